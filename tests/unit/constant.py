"""Constant databases for the tests, made by the format's description and not by what reads them."""

from __future__ import annotations

import struct


def database(records: list[tuple[bytes, bytes]]) -> bytes:
    """Give a whole one."""
    body, tables = b"", [[] for _ in range(256)]  # type: tuple[bytes, list[list[tuple[int, int]]]]
    for key, value in records:
        number = 5381
        for byte in key:
            number = ((number << 5) + number) % 2**32 ^ byte
        tables[number & 255].append((number, 2048 + len(body)))
        body += struct.pack("<II", len(key), len(value)) + key + value
    head, tail = b"", b""
    for table in tables:
        head += struct.pack("<II", 2048 + len(body) + len(tail), 2 * len(table))
        slots = [(0, 0)] * 2 * len(table)
        for number, place in table:
            at = (number >> 8) % len(slots)
            while slots[at][1]:
                at = (at + 1) % len(slots)
            slots[at] = number, place
        tail += b"".join(struct.pack("<II", *slot) for slot in slots)
    return head + body + tail
