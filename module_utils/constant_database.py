# SPDX-License-Identifier: MIT
"""Constant databases (cdb), made and read in their published format; whatever is in one that is read, it is only read.

The file begins with 256 pairs of a hash table's place and its number of slots. The records follow, each with the
lengths of its key and value before these; then the tables. A slot is a key's hash and its record's place. All numbers
have four bytes, the least first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

TABLES = 256
HEADER = 8 * TABLES


def hash_of(key: bytes) -> int:
    """The hash of a key."""
    value = 5381
    for byte in key:
        value = value * 33 & 0xFFFFFFFF ^ byte
    return value


def pair(data: bytes, at: int) -> tuple[int, int]:
    """The two numbers at a place. Raises struct.error where there are none."""
    first, second = struct.unpack_from("<II", data, at)
    return first, second


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each key with its value, as they come. Raises struct.error where the file is broken."""
    at, end = HEADER, min(pair(data, 8 * table)[0] for table in range(TABLES))
    while at < end:
        key, value = pair(data, at)
        start, at = at + 8, at + 8 + key + value
        if at > min(end, len(data)):
            raise struct.error("a record is cut off")
        yield data[start : start + key], data[start + key : at]


def made(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A database of these records, in this order. Of several with one key a look-up finds the first.

    Raises OverflowError where it would have 4 GiB or more.
    """
    body: list[bytes] = []
    slots: list[list[tuple[int, int]]] = [[] for _ in range(TABLES)]
    at = HEADER
    for key, value in entries:
        number = hash_of(key)
        slots[number % TABLES].append((number, at))
        body += (struct.pack("<II", len(key), len(value)), key, value)
        at += 8 + len(key) + len(value)
    header: list[bytes] = []
    for taken in slots:
        # Half of a table stays free, so that a look-up ends after few steps.
        size = 2 * len(taken)
        header.append(struct.pack("<II", at % (1 << 32), size))
        table = [(0, 0)] * size
        for number, place in taken:
            step = number // TABLES % size
            while table[step][1]:
                step = (step + 1) % size
            table[step] = (number, place)
        body += (struct.pack("<II", *slot) for slot in table)
        at += 8 * size
    if at >= 1 << 32:
        raise OverflowError("a constant database has less than 4 GiB")
    return b"".join(header + body)


def is_found(data: bytes, key: bytes) -> bool:
    """Whether a look-up finds a key, and with an empty value. Raises struct.error where the file is broken."""
    number = hash_of(key)
    table, slots = pair(data, 8 * (number % TABLES))
    for step in range(slots):
        found, at = pair(data, table + 8 * ((number // TABLES + step) % slots))
        if not at:
            return False
        if found == number and pair(data, at)[0] == len(key) and data.startswith(key, at + 8):
            return pair(data, at)[1] == 0
    return False


def filled(data: bytes) -> int:
    """How many slots are filled. Raises struct.error where a table is not whole."""
    count = 0
    for number in range(TABLES):
        table, slots = pair(data, 8 * number)
        if table + 8 * slots > len(data):
            raise struct.error("a table is cut off")
        count += sum(at != 0 for _, at in struct.iter_unpack("<II", data[table : table + 8 * slots]))
    return count


def lists(data: bytes, keys: Iterable[bytes]) -> bool:
    """Whether a database has these keys and no others, with empty values, and a look-up finds each."""
    wanted = set(keys)
    try:
        there = [*records(data)]
        same = {*there} == {(key, b"") for key in wanted} and filled(data) == len(there)
        return same and all(is_found(data, key) for key in wanted)
    except struct.error:
        return False


def listed(text: bytes) -> list[bytes]:
    """The lines of a control file of qmail's that is a list, as qmail-newmrh(8) and qmail-newvrt(8) take them."""
    lines = (line.rstrip(b" \t\r").lower() for line in text.split(b"\n"))
    return [line for line in lines if line and not line.startswith(b"#")]
