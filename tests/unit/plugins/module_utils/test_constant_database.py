"""constant_database: a database says what a list says, or it doesn't, whatever is in it."""

from __future__ import annotations

import struct

import pytest
from ansible.module_utils import constant_database
from ansible.module_utils.constant_database import hash_of, listed, lists
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.constant import database

KEYS = [b"joe@a.test", b"joe-@a.test", b"@b.test"]


def made(keys: list[bytes]) -> bytes:
    return database([(key, b"") for key in keys])


@given(st.lists(st.binary(max_size=30), max_size=40))
def test_what_was_made_of_a_list_says_it(keys: list[bytes]) -> None:
    assert lists(made(keys), keys)
    assert not lists(made(keys), [*keys, b"one more, longer than any of them"])
    assert not lists(made([*keys, b"one more, longer than any of them"]), keys)


def test_a_value_is_not_what_a_list_has() -> None:
    assert not lists(database([(b"a", b"x")]), [b"a"])
    assert not lists(database([(b"a", b""), (b"a", b"x")]), [b"a"])
    assert not lists(database([(b"a", b"x"), (b"a", b"")]), [b"a"])


def test_a_key_that_no_look_up_finds_is_not_there() -> None:
    whole = made(KEYS)
    table, slots = struct.unpack_from("<II", whole, 8 * (hash_of(KEYS[0]) & 255))
    assert not lists(whole[:table] + bytes(8 * slots) + whole[table + 8 * slots :], KEYS)
    head = bytearray(whole)
    struct.pack_into("<II", head, 8 * (hash_of(KEYS[0]) & 255), table, 0)
    assert not lists(bytes(head), KEYS)


def test_a_slot_that_leads_to_no_record_is_one_too_many() -> None:
    whole = bytearray(made(KEYS))
    table, slots = struct.unpack_from("<II", whole, 8 * (hash_of(KEYS[0]) & 255))
    free = [at for at in range(table, table + 8 * slots, 8) if not any(whole[at : at + 8])]
    struct.pack_into("<II", whole, free[0], 1, 2**31)
    assert not lists(bytes(whole), KEYS)


@pytest.mark.parametrize("broken", [b"", bytes(2047), bytes(2048), b"\xff" * 4096, made(KEYS)[:2060], made(KEYS)[:-1]])
def test_a_broken_one_says_nothing(broken: bytes) -> None:
    assert not lists(broken, KEYS)


@given(st.data())
def test_no_byte_of_it_brings_more_than_an_answer(data: st.DataObject) -> None:
    whole = bytearray(made(KEYS))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert lists(bytes(whole), KEYS) in (True, False)


def test_the_lines_of_a_list_are_those_that_qmail_takes() -> None:
    assert listed("# ours\nA.test\n.B.test \t\r\n\n #x\nö.Test".encode()) == [
        b"a.test",
        b".b.test",
        b" #x",
        "ö.test".encode(),
    ]


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=60))
def test_what_is_made_is_the_format(records: list[tuple[bytes, bytes]]) -> None:
    assert constant_database.made(records) == database(records)
