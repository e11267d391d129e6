"""qmail-qread, qmail-qstat, qmail-tcpto, qmail-tcpok, qmail-getpw: what they print."""

from __future__ import annotations

import os
import re
import struct
import time
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from lab.queuelab import Queue
from lab.suite import Home


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home)


def fill(queue: Queue) -> None:
    """Two messages that were taken in, one in todo, one half queued."""
    for number, size in ((500, 7), (501, 11), (502, 3), (503, 3)):
        queue.split("mess", number).write_bytes(b"x" * size)
    queue.flat("todo", 502).write_bytes(b"u0\0p1\0Fa\0Tb\0")
    queue.split("info", 500).write_bytes(b"Fjoe@here.test\0")
    os.utime(queue.split("info", 500), (1700000000, 1700000000))
    queue.split("local", 500).write_bytes(b"Dalice@example.test\0Tbob@example.test\0")
    queue.split("remote", 500).write_bytes(b"Tfar@away.test\0")
    queue.split("info", 501).write_bytes(b"F\0")
    queue.split("remote", 501).write_bytes(b"Tx\x1b[2J@away.test\0")
    queue.flat("bounce", 501).write_bytes(b"note")


def test_qread_lists_messages_and_what_is_left(queue: Queue) -> None:
    fill(queue)
    result = queue.home.run("qmail-qread")
    assert result.returncode == 0, result.stderr
    first = b"14 Nov 2023 22:13:20 GMT  #500  7  <joe@here.test>\n"
    assert first + b"  done\tlocal\talice@example.test\n\tlocal\tbob@example.test\n" in result.stdout
    assert b"\tremote\tfar@away.test\n" in result.stdout
    assert re.search(rb"GMT  #501  11  <> bouncing\n\tremote\tx\?\[2J@away\.test\n", result.stdout)
    assert b"#502" not in result.stdout


def test_qstat_counts(queue: Queue) -> None:
    fill(queue)
    result = queue.home.run("qmail-qstat")
    assert result.stdout == b"messages in queue: 4\nmessages in queue but not yet preprocessed: 1\n"


@pytest.mark.parametrize("program", ["qmail-qread", "qmail-qstat", "qmail-tcpto", "qmail-tcpok"])
def test_without_a_queue_they_say_so(home: Home, program: str, tmp_path: Path) -> None:
    result = home.run(program, env={"QMAIL_TEST_HOME": str(tmp_path / "nowhere")})
    assert result.returncode == 111
    assert program.encode() in result.stderr


def slot(address: str, when: int, count: int) -> bytes:
    ip = IPv6Address(address if ":" in address else "::ffff:" + address)
    return ip.packed + struct.pack(">QB7x", when, count)


def test_tcpto_shows_and_tcpok_forgets(queue: Queue) -> None:
    table = queue.path / "lock" / "tcpto"
    now = int(time.time())
    table.write_bytes((slot("192.0.2.1", now - 100, 2) + slot("2001:db8::1", now - 5, 1)).ljust(2048, b"\0"))
    lines = queue.home.run("qmail-tcpto").stdout.decode().splitlines()
    assert re.fullmatch(r"192\.0\.2\.1 timed out 10\d seconds ago; # recent timeouts: 2", lines[0])
    assert re.fullmatch(r"2001:db8::1 timed out \d seconds ago; # recent timeouts: 1", lines[1])
    assert queue.home.run("qmail-tcpok").returncode == 0
    assert queue.home.run("qmail-tcpto").stdout == b""
    assert len(table.read_bytes()) == 2048


def test_getpw_usage(home: Home) -> None:
    assert home.run("qmail-getpw").returncode == 100
