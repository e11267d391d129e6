"""Servers that say what a test tells them to: SMTP and DNS, on loopback, with real sockets."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

Reply = bytes | None | Callable[["Session"], None]


@dataclass
class Received:
    """What one connection brought."""

    commands: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    unfinished: bytes = b""  # data without their end
    tls: str | None = None
    server_name: str | None = None
    client_certificate: dict[str, Any] | None = None
    commands_before_tls: int = 0
    closed: bool = False


class Session:
    """One connection to a scripted SMTP server."""

    def __init__(self, server: Smtp, connection: socket.socket) -> None:
        """Take over connection."""
        self.server = server
        self.connection = connection
        self.buffer = b""
        self.received = Received()
        self.open = True

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def line(self) -> bytes:
        """Return the next line without its CR LF; b"" with open False at the end."""
        while b"\r\n" not in self.buffer:
            piece = self.connection.recv(65536)
            if not piece:
                self.open = False
                return b""
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def data(self) -> bytes:
        """Return everything before CR LF . CR LF, as sent."""
        end = b"\r\n.\r\n"
        content = b"\r\n"
        while end not in content + self.buffer:
            content, self.buffer = content + self.buffer, b""
            piece = self.connection.recv(65536)
            if not piece:
                self.open = False
                return content
            self.buffer = piece
        content += self.buffer
        message, self.buffer = content.split(end, 1)
        return message[2:] + b"\r\n" if message else b""

    def close(self) -> None:
        """Hang up."""
        self.open = False

    def start_tls(self) -> None:
        """Do the server's side of the handshake."""
        assert self.server.tls is not None
        self.received.commands_before_tls = len(self.received.commands)
        wrapped = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.connection = wrapped
        self.received.tls = wrapped.version()
        self.received.server_name = self.server.server_names.pop() if self.server.server_names else None
        self.received.client_certificate = wrapped.getpeercert()

    def answer(self, reply: Reply) -> None:
        """Send a reply, do what a function says, or hang up for None."""
        if reply is None:
            self.close()
        elif callable(reply):
            reply(self)
        else:
            self.send(reply + b"\r\n")

    def serve(self) -> None:
        """Follow the script until the peer has gone."""
        script = self.server.script
        self.answer(script.get("greeting", b"220 scripted.example.test ESMTP"))
        while self.open:
            line = self.line()
            if not self.open:
                self.received.closed = True
                break
            self.received.commands.append(line)
            verb = line.split(b" ")[0].split(b":")[0].upper().decode("ascii", "replace")
            default: Reply = b"250 2.0.0 fine"
            if verb == "DATA":
                default = b"354 go ahead"
            elif verb == "QUIT":
                default = b"221 2.0.0 bye"
            elif verb == "STARTTLS":
                default = b"220 2.0.0 go ahead"
            reply = script.get(f"{verb} {len(self.received.messages)}", script.get(verb, default))
            if isinstance(reply, list):
                reply = reply.pop(0) if len(reply) > 1 else reply[0]
            self.answer(reply)
            if verb == "QUIT":
                break
            if not isinstance(reply, bytes):
                continue
            if verb == "DATA" and reply.startswith(b"354"):
                data = self.data()
                if not self.open:
                    self.received.unfinished = data
                else:
                    self.received.messages.append(data)
                    self.answer(script.get("message", b"250 2.0.0 queued"))
            if verb == "STARTTLS" and reply.startswith(b"220") and self.server.tls:
                self.start_tls()


class Smtp:
    """An SMTP server that follows a script.

    The script maps a verb (EHLO, MAIL, ...), "greeting" or "message" (the reply after the final
    dot) to a reply without its CR LF, to None (hang up), to a function of the session, or to a
    list of these, taken in turn.
    """

    def __init__(self, script: dict[str, Any] | None = None, host: str = "127.0.0.1") -> None:
        """Listen on a free port of host and serve in the background."""
        self.script: dict[str, Any] = script or {}
        self.tls: ssl.SSLContext | None = None
        self.server_names: list[str] = []
        self.sessions: list[Received] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, 0), family=family)
        self.host = host
        self.port: int = self.socket.getsockname()[1]
        self.threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Smtp:
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.stop()

    def stop(self) -> None:
        """Stop listening and wait until every session has ended."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        session = Session(self, connection)
        self.sessions.append(session.received)
        with contextlib.suppress(OSError, ssl.SSLError):
            session.serve()
        session.connection.close()

    @property
    def address(self) -> str:
        """Where it listens, as control/smtproutes writes it."""
        return f"[{self.host}]:{self.port}"

    @property
    def messages(self) -> list[bytes]:
        """Every message received, as sent, in order."""
        for thread in self.threads:
            thread.join(10)
        return [message for session in self.sessions for message in session.messages]

    @property
    def commands(self) -> list[bytes]:
        """Every command received."""
        for thread in self.threads:
            thread.join(10)
        return [command for session in self.sessions for command in session.commands]


def lines(*replies: bytes) -> bytes:
    """Return a multi-line reply from its texts: lines(b"250", b"a", b"b")."""
    code, *texts = replies
    return b"\r\n".join(code + (b" " if number == len(texts) - 1 else b"-") + text for number, text in enumerate(texts))


def stall(session: Session) -> None:
    """Say nothing until the peer has gone."""
    with contextlib.suppress(OSError):
        while session.connection.recv(65536):
            pass
    session.close()


def drip_pieces(session: Session, piece: bytes, count: int, seconds: float) -> None:
    """Send so many pieces, so many seconds apart, or until the peer has gone."""
    with contextlib.suppress(OSError):
        for _ in range(count):
            session.send(piece)
            time.sleep(seconds)
    session.close()


def drip(session: Session) -> None:
    """Begin a reply and never finish it, one byte at a time."""
    drip_pieces(session, b"2", 600, 0.05)


def drip_lines(session: Session) -> None:
    """Begin a reply and never finish it, one line at a time."""
    drip_pieces(session, b"250-more\r\n", 120, 0.1)


A, CNAME, PTR, MX, AAAA, TLSA = 1, 5, 12, 15, 28, 52
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


def name_bytes(name: str) -> bytes:
    """Encode a name without compression; "" is the root."""
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def name_of(encoded: bytes) -> str:
    """Decode a name without compression."""
    labels = []
    while encoded[0]:
        labels.append(encoded[1 : 1 + encoded[0]].decode())
        encoded = encoded[1 + encoded[0] :]
    return ".".join(labels)


@dataclass
class Zone:
    """What the scripted DNS knows."""

    records: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    truncate: bool = False  # every UDP answer is empty and says "truncated"
    raw: dict[str, bytes] = field(default_factory=dict)  # bytes sent instead, behind the identifier
    # What a resolver has validated, to whoever asks so: names, or NAME/KIND; "" is everything else.
    secure: set[str] = field(default_factory=set)
    insecure: set[str] = field(default_factory=set)
    follow: bool = False  # aliases, as a resolver does

    def mx(self, name: str, *exchangers: tuple[int, str]) -> None:
        """Add MX records (preference, exchanger)."""
        for preference, exchanger in exchangers:
            self.add(name, MX, struct.pack(">H", preference) + name_bytes(exchanger))

    def address(self, name: str, *addresses: str) -> None:
        """Add A or AAAA records."""
        for address in addresses:
            ip = ip_address(address)
            self.add(name, A if ip.version == 4 else AAAA, ip.packed)

    def tlsa(self, name: str, usage: int, selector: int, matching: int, data: bytes) -> None:
        """Add a TLSA record."""
        self.add(name, TLSA, bytes([usage, selector, matching]) + data)

    def alias(self, name: str, target: str) -> None:
        """Add a CNAME record."""
        self.add(name, CNAME, name_bytes(target))

    def add(self, name: str, kind: int, data: bytes) -> None:
        """Add any record."""
        self.records.setdefault(name, []).append((kind, data))

    def answer(self, query: bytes, stream: bool) -> bytes | None:
        """Return the packet that answers query; None for silence."""
        at = 12
        labels = []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += query[at] + 1
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        question = query[12 : at + 5]
        name = ".".join(labels)
        key = f"{name}/{kind}"
        if name in self.silent or key in self.silent:
            return None
        if name in self.raw:
            return query[:2] + self.raw[name]
        code = self.codes.get(key, self.codes.get(name, 0 if name in self.records else NXDOMAIN))
        flags = 0x8180 | code
        if self.truncate and not stream:
            return query[:2] + struct.pack(">HHHHH", flags | 0x0200, 1, 0, 0, 0) + question
        found = [(b"\xc0\x0c", k, data) for k, data in self.records.get(name, []) if k in (kind, CNAME) and not code]
        names = [name]
        while self.follow and kind != CNAME and found and found[-1][1] == CNAME and len(names) < 9:
            names.append(name_of(found[-1][2]))
            owner = name_bytes(names[-1])
            found += [(owner, k, data) for k, data in self.records.get(names[-1], []) if k in (kind, CNAME)]
        if query[3] & 0x20 and all(self.is_secure(each, kind) for each in names):
            flags |= 0x20
        answer = b"".join(owner + struct.pack(">HHIH", k, 1, 60, len(data)) + data for owner, k, data in found)
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + question + answer

    def is_secure(self, name: str, kind: int) -> bool:
        """Tell whether this is validated."""
        if name in self.insecure or f"{name}/{kind}" in self.insecure:
            return False
        return name in self.secure or f"{name}/{kind}" in self.secure or "" in self.secure


class Dns:
    """A DNS server over UDP and TCP on the same port of 127.0.0.1."""

    def __init__(self, zone: Zone) -> None:
        """Serve zone in the background."""
        self.zone = zone
        self.asked: list[tuple[str, bytes]] = []
        outer = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, sock = self.request
                outer.asked.append(("udp", query))
                answer = outer.zone.answer(query, stream=False)
                if answer is not None:
                    sock.sendto(answer, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while len(size := self.rfile.read(2)) == 2:
                    query = self.rfile.read(struct.unpack(">H", size)[0])
                    outer.asked.append(("tcp", query))
                    answer = outer.zone.answer(query, stream=True)
                    if answer is not None:
                        self.wfile.write(struct.pack(">H", len(answer)) + answer)

        self.stream = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stream)
        self.stream.daemon_threads = True
        self.port = self.stream.server_address[1]
        self.datagram = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Datagram)
        for server in self._servers():
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def _servers(self) -> Iterable[socketserver.BaseServer]:
        return (self.stream, self.datagram)

    def __enter__(self) -> Dns:
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        for server in self._servers():
            server.shutdown()
            server.server_close()
