"""Sessions with a mail server that this machine opens, each with a connection of its own and nothing resumed."""

import multiprocessing
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from sitelab.host import UnfitHostError

POP3S = 995
TIMEOUT = 30.0
"""Seconds for which a server may say nothing."""


def context() -> ssl.SSLContext:
    """Give TLS as a client wants it that asks for no name, since the peers' certificates are their own."""
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


class Session:
    """A session, open after the greeting."""

    def __init__(self, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Connect, from the first byte in TLS if there is any, and read the greeting."""
        self._socket = socket.create_connection((address, port), timeout=TIMEOUT)
        try:
            if tls:
                self._socket = tls.wrap_socket(self._socket)
            self._replies: BinaryIO = self._socket.makefile("rb")
            self.greeting = self.reply()
        except BaseException:
            self._socket.close()
            raise

    def reply(self) -> bytes:
        """Read a reply of SMTP, all of its lines, or a line of POP3.

        Raises UnfitHostError for one that says no.
        """
        while (line := self._replies.readline())[3:4] == b"-" and line[:3].isdigit():
            continue
        if not line.startswith((b"2", b"3", b"+OK")):
            raise UnfitHostError(f"the server answered {line.decode(errors='replace').strip()!r}")
        return line

    def ask(self, line: str) -> bytes:
        """Send a line; give the reply."""
        self._socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def lines(self) -> int:
        """Read an answer of several lines up to the dot (RFC 1939 section 3); give how many bytes it has."""
        size = 0
        while (line := self._replies.readline()) != b".\r\n":
            if not line:
                raise UnfitHostError("the server ended the session in the middle of an answer")
            size += len(line)
        return size

    def encrypt(self, tls: ssl.SSLContext) -> None:
        """Go on in TLS (RFC 3207)."""
        self.ask("EHLO bench.elsewhere.test")
        self.ask("STARTTLS")
        self._socket = tls.wrap_socket(self._socket)
        self._replies = self._socket.makefile("rb")

    def close(self) -> None:
        """Just go."""
        self._replies.close()
        self._socket.close()


@dataclass(frozen=True)
class Door:
    """How a session with a service is opened."""

    port: int
    from_first_byte: bool = False
    starttls: bool = False

    def open(self, address: str, tls: ssl.SSLContext) -> Session:
        """Open a session at an address."""
        session = Session(address, self.port, tls if self.from_first_byte else None)
        if self.starttls:
            session.encrypt(tls)
        return session


def _client(address: str, door: Door, seconds: float) -> tuple[int, float, float]:
    tls, count, begun = context(), 0, time.monotonic()
    while not count or time.monotonic() < begun + seconds:
        session = door.open(address, tls)
        session.ask("QUIT")
        session.close()
        count += 1
    return count, begun, time.monotonic()


def sessions_a_second(address: str, door: Door, clients: int, seconds: float) -> tuple[int, float]:
    """Have so many clients open sessions, each one after the other, that say QUIT; give how many, and in which time.

    Each client is a process, and has one at least. Raises UnfitHostError where one is refused.
    """
    # What the bench does at SIGTERM is nothing that a client should do when the pool ends it.
    ends = (signal.SIGTERM, signal.SIG_DFL)
    with multiprocessing.get_context("fork").Pool(clients, signal.signal, ends) as pool:
        try:
            found = pool.starmap(_client, [(address, door, seconds)] * clients, chunksize=1)
        except OSError as error:
            raise UnfitHostError(f"port {door.port}: {error}") from error
    counts, begun, ended = zip(*found, strict=True)
    return sum(counts), max(ended) - min(begun)


def pop3_session(address: str, user: str, password: str, work: Callable[[Session], None]) -> None:
    """Log in by POP3S, do something, and say QUIT."""
    session = Session(address, POP3S, context())
    try:
        session.ask(f"USER {user}")
        session.ask(f"PASS {password}")
        work(session)
        session.ask("QUIT")
    finally:
        session.close()
