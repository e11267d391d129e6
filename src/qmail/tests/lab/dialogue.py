"""A program of the suite at the end of a socket, and the lines of SMTP and POP3 with it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.suite import BUILD, Home


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a TCP connection over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return ours, theirs


class Dialogue:
    """A program with a socket as its descriptors 0 and 1, and our end of it."""

    def __init__(
        self,
        home: Home,
        program: str,
        *args: str,
        env: Mapping[str, str | bytes] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        tcp: bool = False,
    ) -> None:
        """Start the program; user is the uid and gid that it runs as (root only)."""
        ours, theirs = tcp_pair() if tcp else socket.socketpair()
        command: list[str | Path] = [BUILD / "bin" / program, *args]
        groups: list[str | int] | None = [] if user else None
        self.log_file = home.path / f"log-{id(self):x}"
        with self.log_file.open("wb") as log:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=log,
                env=home.environment(env),
                cwd=cwd or home.path,
                user=user,
                group=user,
                extra_groups=groups,
            )
        theirs.close()
        ours.settimeout(30)
        self.socket: socket.socket = ours
        self.pending = b""

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the session, however far it has come."""
        self.socket.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def end_of_sending(self) -> None:
        """Let the program see the end of its input."""
        self.socket.shutdown(socket.SHUT_WR)

    def line(self) -> bytes:
        """Return the next line without its CRLF; b"" stands for the end as well."""
        while b"\n" not in self.pending:
            try:
                got = self.socket.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                rest, self.pending = self.pending, b""
                return rest
            self.pending += got
        line, self.pending = self.pending.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1]

    def rest(self) -> bytes:
        """Return everything up to the end of the connection."""
        while True:
            try:
                got = self.socket.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                rest, self.pending = self.pending, b""
                return rest
            self.pending += got

    def reply(self) -> list[str]:
        """Return an SMTP reply, all its lines."""
        lines = [self.line().decode()]
        while lines[-1][3:4] == "-":
            lines.append(self.line().decode())
        assert len({line[:3] for line in lines}) == 1, lines
        return lines

    def command(self, text: str | bytes) -> str:
        """Send a command; return the last line of the reply."""
        self.send((text.encode() if isinstance(text, str) else text) + b"\r\n")
        return self.reply()[-1]

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Make the socket speak TLS; the context says how strict to be."""
        assert not self.pending, self.pending
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def log(self) -> str:
        """Return what the program has written to descriptor 2."""
        return self.log_file.read_text()

    def ended(self, seconds: float = 10) -> int:
        """Wait for the program's end; return its exit code."""
        return self.process.wait(seconds)

    def wait_for_log(self, text: str, seconds: float = 10) -> bool:
        """Return whether text appears in the log in time."""
        until = time.monotonic() + seconds
        while text not in self.log():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


class Smtp(Dialogue):
    """qmail-smtpd, spoken to."""

    def __init__(
        self,
        home: Home,
        *checker: str,
        env: Mapping[str, str | bytes] | None = None,
        greeted: bool = True,
        tcp: bool = False,
    ) -> None:
        """Start it for a client at 192.0.2.1 with a recording queue; greeted: up to EHLO."""
        base: dict[str, str | bytes] = {
            "TCPREMOTEIP": "192.0.2.1",
            "TCPREMOTEHOST": "client.example.org",
            "TCPLOCALIP": "192.0.2.25",
            "TCPLOCALHOST": "mail.example.test",
        }
        if (home.path / "recorder").exists():
            base["QMAILQUEUE"] = str(home.path / "recorder" / "recorder")
        base.update(env or {})
        super().__init__(home, "qmail-smtpd", *checker, env=base, tcp=tcp)
        self.greeting = ""
        if greeted:
            self.greeting = self.reply()[0]
            assert self.greeting.startswith("220 "), self.greeting
            self.extensions = self.ehlo()

    def ehlo(self, name: str = "client.example.org") -> list[str]:
        """Say EHLO; return the extensions."""
        self.send(f"EHLO {name}\r\n".encode())
        lines = self.reply()
        assert lines[0].startswith("250-"), lines
        return [line[4:] for line in lines[1:]]

    def envelope(self, sender: str, *recipients: str) -> None:
        """Open a transaction; everything must be accepted."""
        assert self.command(f"MAIL FROM:<{sender}>") == "250 ok"
        for recipient in recipients:
            assert self.command(f"RCPT TO:<{recipient}>") == "250 ok", recipient

    def data(self, raw: bytes) -> str:
        """Send DATA and the bytes as they are; return the reply."""
        assert self.command("DATA").startswith("354 ")
        self.send(raw)
        return self.reply()[-1]

    def message(self, text: bytes = b"Subject: x\r\n\r\nbody\r\n") -> str:
        """Send a whole message from a@client.example.org to bob@example.test."""
        self.envelope("a@client.example.org", "bob@example.test")
        return self.data(text + b".\r\n")
