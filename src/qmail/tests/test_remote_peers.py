"""Messages made for smuggling, sent by qmail-remote to servers that are not ours: one message each, or none.

One is aiosmtpd; further ones, real servers, are named in QMAIL_TEST_PEERS, blank between them, as
NAME=HOST:PORT:MAILDIR, where MAILDIR is the directory into which the server delivers mail for anybody at peer.test.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from lab.remoteworld import parse
from lab.suite import Home

ENDS = (b"\n", b"\r\n", b"\r", b"\n\n", b"\r\r\n", b"\n\r", b"\n\r\n", b"\0\n", b"\n\0", b"\x85", b"\x0b", b"\x0c")
DOTS = (b".", b"..", b"\0.", b".\0", b" .", b"\r.", b".\r")
EVIL = (b"MAIL FROM:<evil@peer.test>", b"RCPT TO:<victim@peer.test>", b"DATA", b"Subject: smuggled", b"", b"smuggled")


def smuggler(before: bytes, dot: bytes, after: bytes, number: int) -> bytes:
    """Return a message that hides a second one behind before, dot, after."""
    inner = after.join(EVIL)
    return b"Subject: one %d\n\nfirst" % number + before + dot + after + inner + before + b"." + after + b"QUIT\n"


MESSAGES = [
    smuggler(before, dot, after, number)
    for number, (before, dot, after) in enumerate((b, d, a) for b in ENDS for d in DOTS for a in ENDS[:4])
]
# Lines whose end falls on the edges of buffers that receivers are known to have.
MESSAGES += [
    b"Subject: edge\n\n"
    + b"x" * edge
    + b".\nMAIL FROM:<evil@peer.test>\nRCPT TO:<victim@peer.test>\nDATA\n\nsmuggled\n.\n"
    for size in (998, 1000, 1024, 2048, 4096, 8192, 16384)
    for edge in range(size - 3, size + 3)
]


@dataclass
class Peer:
    """A server and what has arrived there."""

    name: str
    address: str
    arrived: Callable[[], list[bytes]]


@contextmanager
def aiosmtpd_peer() -> Iterator[Peer]:
    """Run aiosmtpd in a thread."""
    messages: list[bytes] = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - its interface
            messages.append(envelope.original_content)
            return "250 taken"

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    running = Controller(Handler(), hostname="127.0.0.1", port=port, server_hostname="peer.test")
    running.start()
    try:
        yield Peer("aiosmtpd", f"127.0.0.1:{port}", lambda: list(messages))
    finally:
        running.stop()


@contextmanager
def real_peer(description: str) -> Iterator[Peer]:
    """Use a server that is running: NAME=HOST:PORT:MAILDIR."""
    name, _, rest = description.partition("=")
    host, port, maildir = rest.split(":", 2)
    new = Path(maildir) / "new"

    def arrived() -> list[bytes]:
        before, files = -1, list(new.glob("*"))
        while len(files) != before:  # until nothing has come for a while
            before = len(files)
            time.sleep(3)
            files = list(new.glob("*"))
        return [file.read_bytes() for file in files]

    for file in new.glob("*"):
        file.unlink()
    yield Peer(name, f"{host}:{port}", arrived)


PEERS = ["aiosmtpd", *os.environ.get("QMAIL_TEST_PEERS", "").split()]


@pytest.fixture(params=PEERS, ids=lambda text: text.partition("=")[0])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Give each peer in turn."""
    with aiosmtpd_peer() if request.param == "aiosmtpd" else real_peer(request.param) as found:
        yield found


def test_one_message_or_none_arrives(home: Home, peer: Peer) -> None:
    home.control(smtproutes=f":{peer.address}")

    def send(number: int) -> str:
        path = home.path / f"message-{number}"
        path.write_bytes(MESSAGES[number])
        done = home.run("qmail-remote", "peer.test", "a@b.test", "u@peer.test", stdin=path)
        report = parse(done.stdout)
        assert report.letter in "KD", report
        return report.letter

    with ThreadPoolExecutor(4) as pool:
        accepted = "".join(pool.map(send, range(len(MESSAGES)))).count("K")
    arrived = peer.arrived()
    assert len(arrived) == accepted
    assert accepted > 0
    for content in arrived:
        assert b"evil@peer.test" not in content.replace(b"\r\n", b"\n").partition(b"\n\n")[0]


def test_what_arrives_is_what_was_sent(home: Home, peer: Peer) -> None:
    home.control(smtproutes=f":{peer.address}")
    body = b"..\n.\n.x\nFrom here\n" + b"y" * 998 + b"\n\xe4\xff\t \n\nlast without end"
    path = home.path / "message"
    path.write_bytes(b"Subject: exact\n\n" + body)
    assert parse(home.run("qmail-remote", "peer.test", "", "u@peer.test", stdin=path).stdout).letters == "rK"
    (content,) = peer.arrived()
    received = content.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    assert received == body + b"\n"
