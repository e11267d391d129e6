"""What of a message is hashed."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator

import examples
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qmail_dkim.stream import Body, Message, fields_of, lines_of, relaxed_field, wire

ODD = st.lists(
    st.sampled_from([b"a", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b"b" * 700, b"."]), max_size=40
)


def body_form(pieces: list[bytes], *, relaxed: bool) -> bytes:
    made: list[bytes] = []
    body = Body(made.append, relaxed=relaxed)
    for piece in pieces:
        body.feed(piece)
    body.end()
    assert body.size == len(b"".join(made))
    return b"".join(made)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_forms_are_those_of_rfc_6376(size: int) -> None:
    body = examples.FORMS.partition(b"\r\n\r\n")[2]
    assert body_form(in_pieces(body, size), relaxed=True) == b" C\r\nD E\r\n"
    assert body_form(in_pieces(body, size), relaxed=False) == b" C \r\nD \t E\r\n"
    fields = fields_of(examples.FORMS.partition(b"\r\n\r\n")[0] + b"\r\n")
    assert [relaxed_field(field) for field in fields] == [b"a:X\r\n", b"b:Y Z\r\n"]
    assert fields == [b"A: X\r\n", b"B : Y\t\r\n\tZ  \r\n"]  # the simple form is the field itself


def test_an_empty_body_has_the_hash_of_rfc_6376() -> None:
    def digest(*, relaxed: bool) -> bytes:
        return base64.b64encode(hashlib.sha256(body_form([b"\r\n"], relaxed=relaxed)).digest())

    assert digest(relaxed=False) == b"frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
    assert digest(relaxed=True) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@given(ODD, st.integers(1, 50), st.booleans())
def test_where_a_piece_ends_makes_no_difference(parts: list[bytes], size: int, relaxed: bool) -> None:
    stored = b"".join(parts)
    whole = b"".join(lines_of([stored]))
    assert b"".join(lines_of(in_pieces(stored, size))) == whole
    assert body_form(in_pieces(whole, size), relaxed=relaxed) == body_form([whole], relaxed=relaxed)
    assert b"".join(wire(in_pieces(stored, size))) == b"".join(wire([stored]))


@given(ODD, st.booleans())
def test_a_form_is_what_the_rfc_says(parts: list[bytes], relaxed: bool) -> None:
    lines = b"".join(lines_of([b"".join(parts)])).split(b"\r\n")
    if relaxed:
        lines = [b" ".join(line.replace(b"\t", b" ").split(b" ")) for line in lines]
        for number, line in enumerate(lines):
            while b"  " in line:
                line = line.replace(b"  ", b" ")
            lines[number] = line.rstrip(b" ")
    while lines and not lines[-1]:
        lines.pop()
    expected = b"".join(line + b"\r\n" for line in lines)
    assert body_form([b"".join(lines_of([b"".join(parts)]))], relaxed=relaxed) == (
        expected if expected or relaxed else b"\r\n"
    )


@given(ODD)
def test_the_wire_has_only_short_lines_that_end(parts: list[bytes]) -> None:
    made = b"".join(wire([b"".join(parts)]))
    assert not made or made.endswith(b"\r\n")
    lines = made.split(b"\r\n")
    assert all(len(line) <= 998 and not {*b"\r\n\0"} & {*line} for line in lines)


def test_the_wire_is_what_qmail_remote_sends() -> None:
    stored = b"a\rb\0c\r\nlast \r" + b"\n" + b"x" * 1999 + b"\n.dot\nno end\r"
    assert b"".join(wire([stored])).split(b"\r\n") == [
        b"a b c",
        b"last ",
        b"x" * 998,
        b" " + b"x" * 997,
        b" xxxx",
        b".dot",
        b"no end ",
        b"",
    ]


@pytest.mark.parametrize("size", [1, 5, 7, 1000])
def test_a_message_is_header_and_body(size: int) -> None:
    stored = b"From: a\nTo: b\n c\n\nbody\n\nmore"
    message = Message(wire(in_pieces(stored, size)), 1000)
    assert message.fields == [b"From: a\r\n", b"To: b\r\n c\r\n"]
    assert message.whole
    assert b"".join(message.body) == b"body\r\n\r\nmore\r\n"


@pytest.mark.parametrize(
    ("stored", "fields", "body"),
    [
        (b"", [], b""),
        (b"\nbody\n", [], b"body\r\n"),
        (b"A: b", [b"A: b\r\n"], b""),
        (b"A: b\n\n", [b"A: b\r\n"], b""),
        (b"A: b\r\n\r\nx\n", [b"A: b\r\n"], b"x\r\n"),
    ],
)
def test_a_message_may_lack_much(stored: bytes, fields: list[bytes], body: bytes) -> None:
    message = Message(wire([stored]), 1000)
    assert (message.fields, b"".join(message.body), message.whole) == (fields, body, True)


def test_of_a_large_header_the_beginning_is_read() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"A: b\n"

    message = Message(lines_of(endless()), 1000)
    assert not message.whole
    assert 160 <= len(message.fields) <= 167


@pytest.mark.parametrize("bytes_", [b" ", b"\n", b"\r", b"\t \n", b" \r\n", b"\r\n\r", b"a", b"a ", b"\0"])
def test_no_body_takes_more_time_than_its_size(bytes_: bytes) -> None:
    stored = in_pieces(bytes_ * (4_000_000 // len(bytes_)), 1 << 18)
    began = time.process_time()
    body_form([*lines_of(stored)], relaxed=True)
    for _ in wire(stored):
        pass
    assert time.process_time() - began < 5
