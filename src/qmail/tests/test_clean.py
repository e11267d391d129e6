"""qmail-clean at its interface: requests on descriptor 0, answers on 1, what is gone afterwards."""

from __future__ import annotations

import os
import time

import pytest
from lab.queuelab import Queue
from lab.suite import Home


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home)


def fill(queue: Queue, *numbers: int) -> None:
    """Put messages into state S4."""
    for number in numbers:
        queue.split("mess", number).write_bytes(b"x")
        queue.flat("intd", number).write_bytes(b"x")
        queue.flat("todo", number).write_bytes(b"x")


def asked(queue: Queue, *requests: bytes) -> bytes:
    done = queue.home.run("qmail-clean", stdin=b"".join(request + b"\0" for request in requests))
    assert done.returncode == 0
    return done.stdout


def test_t_removes_the_envelope_and_m_the_message(queue: Queue) -> None:
    fill(queue, 101, 102, 103)
    assert asked(queue, b"T101", b"T102", b"M102") == b"+++"
    assert queue.files() == sorted(["intd/103", f"mess/{101 % 23}/101", f"mess/{103 % 23}/103", "todo/103"])


def test_m_removes_an_envelope_that_never_became_one(queue: Queue) -> None:
    fill(queue, 101)
    queue.flat("todo", 101).unlink()
    assert asked(queue, b"M101") == b"+"
    assert queue.files() == []


def test_what_is_not_there_counts_as_removed(queue: Queue) -> None:
    assert asked(queue, b"T101", b"M101", b"P") == b"+++"


@pytest.mark.parametrize("request_", [b"T101", b"M102"])
def test_what_can_not_be_removed_is_told(queue: Queue, request_: bytes) -> None:
    queue.flat("todo", 101).mkdir()
    queue.split("mess", 102).mkdir()
    assert asked(queue, request_, b"T103") == b"!+"


@pytest.mark.parametrize("request_", [b"", b"T", b"M", b"101", b"X101", b"T-1", b"T../103", b"Tx", b"t101", b"PP"])
def test_nonsense_removes_nothing(queue: Queue, request_: bytes) -> None:
    fill(queue, 101, 103)
    before = queue.files()
    assert asked(queue, request_) == b"!"
    assert queue.files() == before


def test_an_endless_request_ends_it(queue: Queue) -> None:
    fill(queue, 101)
    assert asked(queue, b"T" + b"1" * 100, b"T101") == b""
    assert len(queue.files()) == 3


def test_p_removes_old_files_of_pid(queue: Queue) -> None:
    for name, hours in (("old", 37), ("new", 35)):
        (queue.path / "pid" / name).touch()
        when = time.time() - hours * 3600
        os.utime(queue.path / "pid" / name, (when, when))
    assert asked(queue, b"P") == b"+"
    assert queue.files() == ["pid/new"]
