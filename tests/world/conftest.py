"""Sites that find each other by names: mail between two of ours and one of Postfix, judged by other people's programs.

    pytest tests/world --cache DIRECTORY --prefix CONTAINERS

The four hosts are those of molecule/world, finished, with their records published. What a test changes in the names it
puts back.
"""

from __future__ import annotations

import base64
import email
import email.message
import email.policy
import json
import re
import smtplib
import ssl
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.inside import Host

SECONDS = 40.0
"""The longest that a message may be on its way."""

ADDRESSES = {"alpha": "198.18.7.21", "beta": "198.18.7.22", "gamma": "198.18.7.23", "names": "198.18.7.10"}

SECOND = "198.18.7.11"
"""The second server of alpha.example; from this address of names one may relay by alpha."""

# dkimpy's word on the message with CRLF on descriptor 0, and that of
# OpenDKIM's library, where DKIM_STAT_OK is 0.
VERIFY = """
import ctypes, re, sys, dkim
message = sys.stdin.buffer.read()
print("dkimpy:", "pass" if dkim.verify(message, timeout=10) else "fail")
library = ctypes.CDLL("libopendkim.so.11")
library.dkim_init.restype = library.dkim_verify.restype = ctypes.c_void_p
handle = ctypes.c_void_p(library.dkim_init(None, None))
job = ctypes.c_void_p(library.dkim_verify(handle, b"world", None, ctypes.byref(ctypes.c_int(0))))
header, _, body = message.partition(b"\\r\\n\\r\\n")
for field in re.split(rb"\\r\\n(?![ \\t])", header):
    library.dkim_header(job, field, ctypes.c_size_t(len(field)))
said = library.dkim_eoh(job)
if not said and body:
    said = library.dkim_body(job, body, ctypes.c_size_t(len(body)))
print("OpenDKIM:", {0: "pass"}.get(said or library.dkim_eom(job, None), "fail"))
"""

# A signature of dkimpy's over a message with CRLF on descriptor 0. With a word behind it, it expired long ago.
SIGN = """
import sys, dkim
class Expired(dkim.DKIM):
    def gen_header(self, fields, *rest, **more):
        fields = [(name, b"1000000000" if name == b"t" else value) for name, value in fields]
        return super().gen_header([*fields[:-1], (b"x", b"1000086400"), fields[-1]], *rest, **more)
kind = Expired if sys.argv[1:] else dkim.DKIM
key = open("/etc/dkimkeys/world.private", "rb").read()
said = kind(sys.stdin.buffer.read()).sign(b"world", b"gamma.example", key, include_headers=[b"from", b"to", b"subject"])
sys.stdout.write(said.decode())
"""

# What an answer looks like in what swaks tells of a session.
ANSWER = re.compile(r"^<(?:-|~|\*\*|~\*) +(\d{3}.*)$", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the hosts are."""
    group = parser.getgroup("world")
    group.addoption("--cache", type=Path, help="where the scenario keeps what it makes")
    group.addoption("--prefix", default="qmail-site-world-", help="what the containers' names begin with")


def token() -> str:
    """Give a word that no other message has."""
    return f"token{uuid.uuid4().hex}"


def header(sender: str, recipient: str, subject: str) -> bytes:
    """Give a message without a body, with CRLF."""
    return f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n\r\n".encode()


def letter(sender: str, recipient: str, word: str, *lines: bytes, subject: str = "A letter") -> bytes:
    """Give a plain message, with CRLF. WORD is in its body."""
    return header(sender, recipient, subject) + b"".join(line + b"\r\n" for line in (word.encode(), *lines))


def last_answer(transcript: str) -> str:
    """Give the last answer before QUIT, of a session as swaks tells it."""
    said = ANSWER.findall(re.split(r"^ [-~]> QUIT$", transcript, maxsplit=1, flags=re.MULTILINE)[0])
    assert said, transcript
    return str(said[-1])


def read(raw: bytes) -> email.message.EmailMessage:
    """Read a message."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


@dataclass
class World:
    """The hosts, and what one may do in their names."""

    cache: Path
    prefix: str
    passwords: dict[str, str] = field(repr=False)

    def host(self, name: str) -> Host:
        """One of alpha, beta, gamma and names."""
        return Host(self.prefix + name)

    def submit(
        self, site: str, sender: str, recipient: str | list[str], message: bytes, *, login: str = "alice"
    ) -> None:
        """Hand in a message by port 465 as somebody who has logged in."""
        context = ssl.create_default_context(cafile=str(self.cache / "authority.pem"))
        context.check_hostname = False  # it is reached by its address
        with smtplib.SMTP_SSL(ADDRESSES[site], 465, "client.example", context=context, timeout=60) as session:
            session.login(login, self.passwords[login])
            session.sendmail(sender, recipient, message, ["BODY=8BITMIME"])

    def stranger(self, site: str, sender: str, recipient: str, message: bytes, source: str = ADDRESSES["names"]) -> str:
        """Hand in a message as somebody else's host, by swaks; give the answer, and no more of it than its line."""
        said = self.host("names")(
            f"swaks --server {ADDRESSES[site]} --local-interface {source} --helo names.example --timeout 60"
            f" --from '{sender}' --to '{recipient}' --data - --suppress-data 2>&1 || :",
            stdin=message,
        )
        return last_answer(said)

    def sendmail(self, name: str, sender: str, recipient: str, message: bytes) -> None:
        """Have a host's own sendmail send a message."""
        self.host(name)(f"/usr/sbin/sendmail -f {sender} {recipient}", message.replace(b"\r\n", b"\n"))

    def sealed(self, message: bytes, *, expired: bool = False) -> bytes:
        """Give a message with a signature of gamma's key."""
        command = f"python3 -c '{SIGN}' {'expired' if expired else ''}"
        return self.host("gamma")(command, stdin=message).encode() + message

    def verified(self, raw: bytes) -> list[str]:
        """Give what dkimpy and OpenDKIM say of the signature of a message as it was delivered, anywhere."""
        return self.host("gamma")(f"python3 -c '{VERIFY}'", stdin=raw.replace(b"\n", b"\r\n")).splitlines()

    def found(self, name: str, word: str) -> list[str]:
        """The files of a host's mailboxes that have WORD in them."""
        boxes = "/home/carol/Maildir" if name == "gamma" else "/srv/mail/*/Maildir"
        return self.host(name)(f"grep -rl {word} {boxes}/new {boxes}/cur 2>/dev/null || :").split()

    def arrived(self, name: str, word: str, seconds: float = SECONDS) -> bytes:
        """A message as it was delivered, as soon as it is in a mailbox there."""
        deadline = time.monotonic() + seconds
        while not (files := self.found(name, word)):
            assert time.monotonic() < deadline, f"{word} isn't at {name}: {self.said(name)}"
            time.sleep(0.3)
        assert len(files) == 1, files
        return base64.b64decode(self.host(name)(f"base64 -w0 {files[0]}"))

    def message(self, name: str, word: str, seconds: float = SECONDS) -> email.message.EmailMessage:
        """The same, read."""
        return read(self.arrived(name, word, seconds))

    def results(self, name: str, message: email.message.EmailMessage) -> str:
        """What the host that received a message found, in its own name: the field, or fields, without folding."""
        fields = [str(each) for each in message.get_all("Authentication-Results", [])]
        mine = [each for each in fields if each.split(";")[0].split()[0] == f"mail.{name}.example"]
        return " ; ".join(" ".join(each.split()) for each in mine)

    def said(self, name: str, lines: int = 20) -> str:
        """The end of a host's log of mail."""
        if name == "gamma":
            return self.host(name)(f"tail -n {lines} /var/log/mail.log")
        return self.host(name)(f"journalctl -q -t qmail-send --no-pager -o cat -n {lines}")

    def journal(self, name: str, whose: str, since: str) -> str:
        """What a program (-t NAME) or a unit (-u NAME) of one of ours has said since a time of the host's."""
        return self.host(name)(f"journalctl --sync; journalctl -q {whose} --no-pager -o cat --since @{since}")

    def waits(self, name: str, word: str, pattern: str, seconds: float = SECONDS) -> str:
        """The line of the log of one of ours that matches, of the message that has WORD and is in the queue."""
        deadline = time.monotonic() + seconds
        host = self.host(name)
        while True:
            number = host(f"grep -rl {word} /var/qmail/queue/mess || :").split()
            if number:
                log = host("journalctl -q -t qmail-send --no-pager -o cat --since -3min")
                attempt = re.findall(rf"starting delivery (\d+): msg {Path(number[0]).name} ", log)
                for line in log.replace("_", " ").splitlines():
                    if any(f"delivery {each}: " in line for each in attempt) and re.search(pattern, line):
                        return line
            assert time.monotonic() < deadline, f"nothing like {pattern!r}: {self.said(name)}"
            time.sleep(0.5)

    def update(self, *lines: str) -> None:
        """Change names at the primary."""
        said = "\n".join([f"server {ADDRESSES['names']}", *lines, "send", ""])
        self.host("names")("nsupdate -k /etc/bind/update.key", stdin=said.encode())

    def records(self, name: str, kind: str) -> list[str]:
        """What the primary has of a kind at a name."""
        return self.host("names")(f"dig +short +tries=1 @{ADDRESSES['names']} {name} {kind}").splitlines()

    def follow(self, zone: str) -> None:
        """Have the second server take over what has changed in a zone."""
        self.host("names")(
            f"rndc -k /etc/bind/update.key -s 127.0.0.1 -p 954 retransfer {zone}\n"
            f"soa() {{ dig +short +tries=1 @$1 {zone} SOA; }}\n"
            f'for i in $(seq 50); do [ "$(soa {ADDRESSES["names"]})" = "$(soa {SECOND})" ] && exit; sleep 0.1; done\n'
            "exit 1"
        )

    def forget(self, *names: str) -> None:
        """Have the resolvers of hosts, or of all of them, forget what they know of our names."""
        for name in names or ("alpha", "beta", "gamma"):
            self.host(name)("unbound-control flush_zone example. >/dev/null 2>&1 || systemctl restart unbound")

    def put(self, zone: str, name: str, kind: str, values: Iterable[str]) -> None:
        """Have NAME have these records of a kind, and no other."""
        added = [f"update add {name} 60 {kind} {each}" for each in values]
        self.update(f"zone {zone}", f"update delete {name} {kind}", *added)
        if zone == "alpha.example.":
            self.follow(zone)
        self.forget()
        if zone == "alpha.example.":
            time.sleep(1.2)  # what gamma's filters remember is a second old at most

    @contextmanager
    def named(self, zone: str, name: str, kind: str, *others: str) -> Iterator[None]:
        """While this lasts, NAME has the records OTHERS of a kind, or none."""
        before = self.records(name, kind)
        self.put(zone, name, kind, others)
        try:
            yield
        finally:
            self.put(zone, name, kind, before)

    def try_again(self, name: str) -> None:
        """Have what waits in the queue of one of ours tried now."""
        self.host(name)("qmail alarm 2>/dev/null || kill -ALRM $(cat /run/qmail/send.pid)")


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest) -> World:
    """Give the world that there is."""
    cache: Path = request.config.getoption("--cache")
    passwords = json.loads((cache / "people.json").read_text())["passwords"]
    return World(cache, request.config.getoption("--prefix"), passwords)
