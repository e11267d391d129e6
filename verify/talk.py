"""Plain clients for SMTP and POP3, which say exactly the bytes that a test wants said."""

from __future__ import annotations

import base64
import functools
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SECONDS = 20.0
"""The longest that one answer, or one delivery, may take."""

LINE_SECONDS = 60.0
"""The longest that one line may take whose bytes come, however slowly."""

LINE_BYTES = 64 * 1024 * 1024
"""More than any line that the suite asks for."""

REPLY_LINES = 1000
"""More than any answer of an SMTP server has."""

OPENED: Counter[str] = Counter()
"""How often each service was connected to, or was tried to be."""

CLIENT = "client.example.test"
"""What these clients call themselves."""

STRANGER = "stranger@example.org"
"""A sender that no site knows."""

FOREIGN = "somebody@example.com"
"""A recipient that no site receives mail for. No message is ever sent there."""

DOORS = ("starttls", "smtps", "submission")
"""The ways to an encrypted SMTP session: port 25 with STARTTLS, port 465, port 587 with STARTTLS."""

NEWEST = 200
"""How many of a mailbox's newest messages are looked at, so that a full mailbox costs the site nothing."""


@dataclass(frozen=True)
class Person:
    """A user of the site."""

    address: str
    login: str
    password: str = field(repr=False)  # so that no report of a failure shows it
    aliases: tuple[str, ...] = ()
    """Further addresses whose mail this user gets."""


@dataclass(frozen=True)
class Site:
    """A running site, as it is seen from outside."""

    host: str
    """The name that its certificate must carry."""
    address: str
    """Where to connect to."""
    ports: dict[str, int | None]
    """None for a service that the site does not have."""
    ca_file: Path | None
    """The authority to trust; None for those that this machine trusts."""
    domain: str
    people: tuple[Person, ...]
    address6: str | None = None
    """The same host by IPv6, where it has that."""
    relay_source: str | None = None
    """An address of this machine that the site lets relay; None if there is none."""
    size_limit: int | None = None
    """The longest message that the site says it takes; None if that is not known."""
    spam_filter: bool | None = None
    """Whether the site says that it refuses spam; None if that is not known."""
    features: frozenset[str] | None = None
    """What the site says that its qmail can do, `starttls` among it; None if that is not known."""
    names: dict[str, str] = field(default_factory=dict)
    """The name that the certificate must carry at a service where it is not the host's."""
    doors: frozenset[str] = frozenset()
    """The services, and `starttls`, that the site is declared to have: they are asked, whatever they look like."""
    spam_filter_authenticated: bool = False
    """Whether the site says that it refuses spam of its own users, too."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `bin/demo --json` prints. The host's name and ports have defaults."""
        ports = {"smtp": 25, "smtps": 465, "submission": 587, "pop3s": 995, "pop3": 110}
        return cls(
            host=data.get("host") or data["address"],
            address=data["address"],
            ports={**ports, **data.get("ports", {})},
            ca_file=Path(data["ca_file"]) if data.get("ca_file") else None,
            domain=data["domain"],
            people=tuple(
                Person(u["address"], u["login"], u["password"], tuple(u.get("aliases", ())))
                for u in data.get("users", [])
            ),
            address6=data.get("address6"),
            relay_source=data.get("relay_source"),
            size_limit=data.get("size_limit"),
            spam_filter=data.get("spam_filter"),
            features=None if data.get("features") is None else frozenset(data["features"]),
            names=data.get("names") or {},
            doors=frozenset(data.get("doors") or ()),
            spam_filter_authenticated=bool(data.get("spam_filter_authenticated")),
        )

    def name(self, place: str) -> str:
        """Give the name that a client of a service asks for."""
        return self.names.get("smtp" if place == "starttls" else place, self.host)

    def trust(self) -> ssl.SSLContext:
        """Give a TLS client's settings that verify chain and name."""
        return ssl.create_default_context(cafile=self.ca_file)

    @functools.cache  # noqa: B019 (there is one site)
    def has(self, service: str) -> bool:
        """Tell whether a service is there. Submission is a choice of the site's, so the port itself is asked.

        What is declared is there: if it isn't, that is a fault.
        """
        if service in self.doors and self.ports.get("smtp" if service == "starttls" else service) is not None:
            return True
        if service == "starttls" and self.features is not None and service not in self.features:
            return False
        service = "smtp" if service == "starttls" else service
        if self.ports[service] is None:
            return False
        if service != "submission":
            return True
        # Not by a Channel: to look whether somebody listens is no question, and the summary tells what was asked.
        try:
            socket.create_connection((self.address, self.ports[service]), timeout=SECONDS).close()
        except OSError:
            return False
        return True

    def __hash__(self) -> int:
        """Tell sites apart by where they are."""
        return hash((self.host, self.address))


class Channel:
    """A connection that speaks in lines."""

    def __init__(
        self,
        site: Site,
        service: str,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        source: str | None = None,
    ) -> None:
        """Connect; with `tls`, from the first byte.

        `name` is the name to verify, the service's own if not given; `source` the address of this machine to come from.
        """
        port = site.ports[service]
        if port is None:
            raise ValueError(f"the site is said to have no {service}")
        OPENED[service] += 1
        self.socket: socket.socket = socket.create_connection(
            (site.address, port), timeout=SECONDS, source_address=(source, 0) if source else None
        )
        self._buffer = b""
        if tls is not None:
            self.start_tls(tls, name or site.name(service))

    def start_tls(self, tls: ssl.SSLContext, name: str) -> None:
        """Speak TLS from here on. Nothing may have been said by the server beyond its answer."""
        assert not self._buffer, f"behind the answer came {self._buffer!r}"
        try:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        except BaseException:
            self.socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send these very bytes."""
        self.socket.sendall(data)

    def line(self) -> bytes:
        """Read one line, without its end. Raises EOFError where the peer has closed, TimeoutError where none ends."""
        end = time.monotonic() + LINE_SECONDS
        while b"\n" not in self._buffer:
            if time.monotonic() > end or len(self._buffer) > LINE_BYTES:
                raise TimeoutError(f"a line without end, which begins with {self._buffer[:60]!r}")
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the connection ended after {self._buffer!r}")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.removesuffix(b"\r")

    def ended(self) -> bool:
        """Tell whether the peer has closed, having nothing more to say; waits for it."""
        end = time.monotonic() + LINE_SECONDS
        try:
            while self.socket.recv(65536):
                if time.monotonic() > end:
                    return False
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close without a word."""
        self.socket.close()

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close without a word."""
        self.close()


@dataclass(frozen=True)
class Reply:
    """An SMTP server's answer."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one text, without codes."""
        return "\n".join(self.lines)

    @property
    def refused(self) -> bool:
        """Whether it is a refusal for good."""
        return 500 <= self.code < 600

    @property
    def extensions(self) -> dict[str, str]:
        """The extensions that an answer to EHLO offers, in capitals, each with its parameters."""
        words = [line.upper().partition(" ") for line in self.lines[1:]]
        return {name: parameters.strip() for name, _, parameters in words}


def ordinary(marker: str, body: str = "What is written here is of no importance.\r\n", author: str = STRANGER) -> bytes:
    """Give a message in which no spam filter finds anything, and which can be found again."""
    date = formatdate(localtime=False, usegmt=False)
    head = [f"From: Some Body <{author}>", f"To: <postmaster@{CLIENT}>", f"Date: {date}", f"Subject: About {marker}"]
    head += [f"Message-ID: <{marker}@{CLIENT}>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"]
    return "\r\n".join([*head, "", body]).encode()


def b64(text: str | bytes) -> str:
    """Give Base64, as AUTH wants it."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(login: str, password: str, identity: str = "") -> str:
    """Give the response of AUTH PLAIN (RFC 4616)."""
    return b64(f"{identity}\0{login}\0{password}")


class Smtp(Channel):
    """An SMTP client that has read the greeting."""

    def __init__(
        self, site: Site, service: str = "smtp", tls: ssl.SSLContext | None = None, source: str | None = None
    ) -> None:
        """Connect and read the greeting."""
        super().__init__(site, service, tls, source=source)
        # Who has logged in may be held to write as nobody else.
        self.author = STRANGER
        self.greeting = self.reply()

    @classmethod
    def through(cls, site: Site, door: str, tls: ssl.SSLContext | None = None, source: str | None = None) -> Self:
        """Have an encrypted session by one of DOORS; EHLO comes next."""
        tls = tls or site.trust()
        if door == "smtps":
            return cls(site, "smtps", tls, source)
        smtp = cls(site, "smtp" if door == "starttls" else door, source=source)
        smtp.ehlo()
        reply = smtp.say("STARTTLS")
        assert reply.code == 220, f"STARTTLS: {reply}"
        smtp.start_tls(tls, site.name(door))
        return smtp

    @classmethod
    def unfiltered(cls, site: Site) -> Self:
        """Have a session whose mail no spam filter has a say in: after a login, where the site has that."""
        if site.has("smtps"):
            smtp = cls.through(site, "smtps")
            if "AUTH" in smtp.ehlo():
                smtp.log_in(site.people[0])
                return smtp
            smtp.close()
        return cls(site)

    def ehlo(self) -> dict[str, str]:
        """Greet; give the extensions that are offered."""
        reply = self.say(f"EHLO {CLIENT}")
        assert reply.code == 250, f"EHLO: {reply}"
        return reply.extensions

    def mail(self, sender: str, *recipients: str) -> Reply:
        """Begin a transaction; give the answer to the last command. All before it must be accepted."""
        reply = self.say(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            assert reply.code == 250, f"before <{recipient}>: {reply}"
            reply = self.say(f"RCPT TO:<{recipient}>")
        return reply

    def log_in(self, person: Person) -> None:
        """Greet and log in, which must succeed."""
        self.ehlo()
        reply = self.say(f"AUTH PLAIN {plain(person.login, person.password)}")
        assert reply.code == 235, reply
        self.author = person.address

    def last_words(self, most: int = 50) -> list[Reply]:
        """Read answers until the server closes, or has nothing to say for a while."""
        replies: list[Reply] = []
        try:
            while len(replies) < most:
                replies.append(self.reply())
        except (EOFError, OSError):
            pass
        return replies

    def reply(self) -> Reply:
        """Read one answer, of one line or more (RFC 5321, section 4.2)."""
        lines = []
        while True:
            line = self.line().decode("utf-8", "replace")
            match = re.fullmatch(r"(\d{3})(?:([ -])(.*))?", line)
            if not match:
                raise AssertionError(f"not an SMTP answer: {line!r}")
            lines.append(match[3] or "")
            assert len(lines) <= REPLY_LINES, "an SMTP answer without end"
            if match[2] != "-":
                return Reply(int(match[1]), tuple(lines))

    def say(self, command: str | bytes) -> Reply:
        """Send one command; give the answer."""
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.reply()

    def envelope(self, sender: str, *recipients: str) -> None:
        """Get as far as the message: all must be accepted."""
        for command, code in [
            ("EHLO client.example.test", 250),
            (f"MAIL FROM:<{sender}>", 250),
            *((f"RCPT TO:<{recipient}>", 250) for recipient in recipients),
            ("DATA", 354),
        ]:
            reply = self.say(command)
            assert reply.code == code, f"{command}: {reply}"

    def submit(self, sender: str, recipients: list[str], message: bytes) -> Reply:
        """Send a message whose lines end in CRLF; give the answer to its end."""
        assert not message or message.endswith(b"\r\n")
        self.envelope(sender, *recipients)
        self.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
        return self.reply()


class Pop3(Channel):
    """A POP3 client (RFC 1939) that has read the greeting."""

    def __init__(self, site: Site, tls: ssl.SSLContext | None = None) -> None:
        """Connect to POP3S, and read the greeting; to plain POP3 where the site is said to have nothing else."""
        if site.ports["pop3s"] is None:
            super().__init__(site, "pop3")
        else:
            super().__init__(site, "pop3s", tls or site.trust())
        self.greeting = self.line()

    def say(self, command: str) -> str:
        """Send one command; give the first line of the answer."""
        self.send(command.encode() + b"\r\n")
        return self.line().decode("utf-8", "replace")

    def ok(self, command: str) -> str:
        """Send one command that must succeed; give what stands behind +OK."""
        answer = self.say(command)
        assert answer.startswith("+OK"), f"{command.split()[0]}: {answer}"
        return answer[3:].strip()

    def rest(self) -> list[bytes]:
        """Read the further lines of an answer, with the doubled dots undone."""
        lines = []
        while (line := self.line()) != b".":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return lines

    def login(self, person: Person) -> Self:
        """Log in, which must succeed."""
        self.ok(f"USER {person.login}")
        self.ok(f"PASS {person.password}")
        return self

    def numbers(self) -> list[int]:
        """Give the numbers of the messages."""
        self.ok("LIST")
        return [int(line.split()[0]) for line in self.rest()]

    def message(self, number: int) -> bytes:
        """Fetch a message, each line with CRLF."""
        self.ok(f"RETR {number}")
        return b"".join(line + b"\r\n" for line in self.rest())

    def newest(self) -> list[int]:
        """Give the numbers of the newest messages, the newest first."""
        return self.numbers()[::-1][:NEWEST]


def wait_for(what: str, look: Callable[[], bytes | None], seconds: float = SECONDS) -> bytes:
    """Look again and again until there is something; AssertionError after the given time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


def find(site: Site, person: Person, marker: str, remove: bool = True) -> bytes | None:
    """Give the message in a person's mailbox that has a marker in it, and remove it there."""
    with Pop3(site).login(person) as pop:
        for number in pop.newest():
            message = pop.message(number)
            if marker.encode() in message:
                if remove:
                    pop.ok(f"DELE {number}")
                pop.ok("QUIT")
                return message
        pop.ok("QUIT")
    return None


def fetch(site: Site, person: Person, marker: str) -> bytes:
    """Wait for the message with a marker in a person's mailbox; give it and remove it there."""
    return wait_for(f"the message {marker} for {person.address}", lambda: find(site, person, marker))


def collect(site: Site, person: Person, markers: list[str], seconds: float = SECONDS) -> dict[str, list[bytes]]:
    """Wait until each marker is in some message of a person's mailbox; give and remove these messages.

    Markers that did not come within the time have an empty list.
    """
    found: dict[str, list[bytes]] = {marker: [] for marker in markers}
    deadline = time.monotonic() + seconds
    while True:
        with Pop3(site).login(person) as pop:
            for number in pop.newest():
                message = pop.message(number)
                for marker in markers:
                    if marker.encode() in message:
                        found[marker].append(message)
                        pop.ok(f"DELE {number}")
                        break
            pop.ok("QUIT")
        if all(found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def without_trace(message: bytes) -> bytes:
    """Take off what reception and delivery put in front.

    These are trace headers (RFC 5321, section 4.4), signatures, and what others found.
    """
    lines = message.split(b"\r\n")
    while lines and re.match(
        rb"(?i)(Return-Path|Delivered-To|Received|X-Spam-[a-z-]+|DKIM-Signature|Authentication-Results):", lines[0]
    ):
        lines.pop(0)
        while lines and lines[0][:1] in (b" ", b"\t"):
            lines.pop(0)
    return b"\r\n".join(lines)


def is_same(fetched: bytes, sent: bytes) -> bool:
    """Tell whether a message came as it was sent. Classic qmail sends an empty line behind what RETR gives."""
    return fetched in (sent, sent + b"\r\n")
