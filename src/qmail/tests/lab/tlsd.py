"""A qmail-tlsd for a test, and a door that asks it, as lib/tlsclient.c does."""

from __future__ import annotations

import array
import os
import pwd
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.dialogue import tcp_pair
from lab.queuelab import wait_until
from lab.suite import BUILD, Home

NAME = "mail.example.test"


class RefusedError(Exception):
    """qmail-tlsd has no place, or does not want this door."""


class EndedError(Exception):
    """It has ended instead of beginning; the text is what it has said."""


class Tlsd:
    """A running qmail-tlsd with its socket and its bundle."""

    def __init__(
        self,
        home: Home,
        bundle: bytes,
        *options: str,
        doors: tuple[str, ...] | None = None,
        path: Path | None = None,
        program: tuple[str, ...] = (),
        before: tuple[str, ...] = (),
        says: str = "bundle ",
    ) -> None:
        """Start it; doors may ask, by default who runs the test.

        With a program it stands beside that, which is then `process`, and `pid` is its own. `before` is a command that
        becomes it. It has begun when it `says` that.
        """
        self.home = home
        self.path = path or home.path / "tlsd"
        self.bundle = home.path / "bundle.pem"
        self.rotate(bundle, "first")
        self.log_file = home.path / "tlsd.log"
        self.said_file = home.path / "tlsd.said"
        names = doors if doors is not None else (pwd.getpwuid(os.getuid()).pw_name,)
        command = [*before, str(BUILD / "bin" / "qmail-tlsd"), *options]
        for name in names:
            command += ["-a", name]
        with self.log_file.open("wb") as log, self.said_file.open("wb") as said:
            self.process = subprocess.Popen(
                [*command, str(self.path), str(self.bundle), *program],
                stdout=said,
                stderr=log,
                env=home.environment({}),
            )
        wait_until(lambda: says in self.log() or self.process.poll() is not None, f"it has said {says!r}", 10)
        if self.process.poll() is not None:
            raise EndedError(self.log())
        self.pid = self.process.pid
        if program:
            [self.pid] = self.children()

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and what is left of its sessions."""
        children = self.children()
        self.process.terminate()
        self.process.wait(10)
        for child in [*children, *([self.pid] if self.pid != self.process.pid else [])]:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        assert "Sanitizer" not in self.log(), self.log()
        assert "runtime error" not in self.log(), self.log()

    def rotate(self, bundle: bytes, name: str) -> None:
        """Point the link at a new file, by one rename."""
        target = self.home.path / f"{name}.pem"
        target.write_bytes(bundle)
        link = self.home.path / "bundle.new"
        link.symlink_to(target)
        link.rename(self.bundle)

    def log(self) -> str:
        """Return what it has said."""
        return self.log_file.read_text()

    def said(self) -> str:
        """Return what its program has said."""
        return self.said_file.read_text()

    def wait_for_log(self, text: str) -> None:
        """Wait until it has said that."""
        wait_until(lambda: text in self.log(), f"it has said {text!r}", 10)

    def children(self) -> list[int]:
        """Return the processes of its sessions."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(word) for word in text.split()]

    def wait_for_children(self, count: int, seconds: float = 10) -> None:
        """Wait until it has so many sessions."""
        wait_until(lambda: len(self.children()) == count, f"it has {count} sessions", seconds)

    def descriptors(self) -> int:
        """Return how many descriptors it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


class Session:
    """A client's socket, and the door's: one session through qmail-tlsd."""

    def __init__(self, tlsd: Tlsd, milliseconds: int = 10000, *, narrow: bool = False) -> None:
        """Ask for it; the handshake is the client's to begin.

        A narrow one has little room between qmail-tlsd and its client: what the client does not take stays there.
        """
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(20)
        self.control.connect(str(tlsd.path))
        try:
            greeting = self.control.recv(400)
        except ConnectionResetError:
            greeting = b""
        if greeting != b"ready":
            self.control.close()
            raise RefusedError(repr(greeting))
        self.client, theirs = tcp_pair()
        if narrow:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.door, carried = socket.socketpair()
        self.client.settimeout(20)
        self.door.settimeout(20)
        fds = array.array("i", [theirs.fileno(), carried.fileno()])
        self.control.sendmsg([b"tls %d" % milliseconds], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        theirs.close()
        carried.close()
        self.tls: ssl.SSLSocket | None = None

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every end."""
        self.end()

    def shake(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        """Do the client's part of the handshake, and hear that it was done."""
        self.tls = context.wrap_socket(self.client, server_hostname=NAME, session=session, suppress_ragged_eofs=False)
        answer = self.answer()
        assert answer.startswith("yes "), answer
        return self.tls

    def answer(self) -> str:
        """Return what qmail-tlsd tells the door."""
        return self.control.recv(400).decode()

    def end(self) -> None:
        """Close every end."""
        for end in (self.tls, self.client, self.door, self.control):
            if end is not None:
                end.close()
