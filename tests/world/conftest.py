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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.inside import Host

SECONDS = 40.0
"""The longest that a message may be on its way."""

ADDRESSES = {"alpha": "198.18.7.21", "beta": "198.18.7.22", "gamma": "198.18.7.23", "names": "198.18.7.10"}

# Run on a host: a session from one of its addresses, and what the last answer was. The message is on descriptor 0.
STRANGER = """
import smtplib, sys
source, server, sender, recipient = sys.argv[1:]
session = smtplib.SMTP(server, 25, local_hostname="names.example", timeout=60, source_address=(source, 0))
try:
    session.ehlo()
    session.sendmail(sender, [recipient], sys.stdin.buffer.read())
    print("250 accepted")
except smtplib.SMTPResponseException as error:
    print(error.smtp_code, error.smtp_error.decode())
except smtplib.SMTPRecipientsRefused as error:
    code, text = error.recipients[recipient]
    print(code, text.decode())
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the hosts are."""
    group = parser.getgroup("world")
    group.addoption("--cache", type=Path, help="where the scenario keeps what it makes")
    group.addoption("--prefix", default="qmail-site-world-", help="what the containers' names begin with")


def token() -> str:
    """Give a word that no other message has."""
    return f"token{uuid.uuid4().hex}"


def letter(sender: str, recipient: str, word: str, *lines: bytes, subject: str = "A letter") -> bytes:
    """Give a plain message, with CRLF. WORD is in its body."""
    head = f"From: <{sender}>\nTo: <{recipient}>\nSubject: {subject}\n\n{word}\n".encode()
    return (head + b"\n".join(lines) + (b"\n" if lines else b"")).replace(b"\n", b"\r\n")


@dataclass
class World:
    """The hosts, and what one may do in their names."""

    cache: Path
    prefix: str
    passwords: dict[str, str] = field(repr=False)

    def host(self, name: str) -> Host:
        """One of alpha, beta, gamma and names."""
        return Host(self.prefix + name)

    def submit(self, site: str, sender: str, recipient: str, message: bytes, *, login: str = "alice") -> None:
        """Hand in a message by port 465 as somebody who has logged in."""
        context = ssl.create_default_context(cafile=str(self.cache / "authority.pem"))
        context.check_hostname = False  # it is reached by its address
        with smtplib.SMTP_SSL(ADDRESSES[site], 465, "client.example", context=context, timeout=60) as session:
            session.login(login, self.passwords[login])
            session.sendmail(sender, [recipient], message, ["BODY=8BITMIME"])

    def stranger(self, site: str, sender: str, recipient: str, message: bytes, source: str = ADDRESSES["names"]) -> str:
        """Hand in a message as somebody else's host; give the answer."""
        names = self.host("names")
        names(f"cat >/tmp/stranger.py <<'END'\n{STRANGER}\nEND")
        return names(
            f"python3 /tmp/stranger.py {source} {ADDRESSES[site]} '{sender}' '{recipient}'", stdin=message
        ).strip()

    def found(self, name: str, word: str) -> list[str]:
        """The files of a host's mailboxes that have WORD in them."""
        boxes = "/home/carol/Maildir" if name == "gamma" else "/srv/mail/*/Maildir"
        return self.host(name)(f"grep -rl {word} {boxes}/new {boxes}/cur 2>/dev/null || :").split()

    def arrived(self, name: str, word: str, seconds: float = SECONDS) -> bytes:
        """A message, as soon as it is in a mailbox there."""
        deadline = time.monotonic() + seconds
        while not (files := self.found(name, word)):
            assert time.monotonic() < deadline, f"{word} isn't at {name}: {self.said(name)}"
            time.sleep(0.3)
        assert len(files) == 1, files
        return self.host(name)(f"base64 -w0 {files[0]}").encode()

    def message(self, name: str, word: str, seconds: float = SECONDS) -> email.message.EmailMessage:
        """The same, read."""
        raw = base64.b64decode(self.arrived(name, word, seconds))
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, email.message.EmailMessage)
        return message

    def results(self, name: str, message: email.message.EmailMessage) -> str:
        """What the host that received a message found, in its own name."""
        fields = [str(each) for each in message.get_all("Authentication-Results", [])]
        mine = [each for each in fields if each.split(";")[0].split()[0] == f"mail.{name}.example"]
        return " ; ".join(" ".join(each.split()) for each in mine)

    def said(self, name: str, lines: int = 20) -> str:
        """The end of a host's log of mail."""
        if name == "gamma":
            return self.host(name)(f"tail -n {lines} /var/log/mail.log")
        return self.host(name)(f"journalctl -q -t qmail-send --no-pager -o cat -n {lines}")

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

    def follow(self, zone: str) -> None:
        """Have the second server take over what has changed in a zone."""
        self.host("names")(f"rndc -k /etc/bind/update.key -s 127.0.0.1 -p 954 retransfer {zone}")

    def forget(self, name: str) -> None:
        """Have a host's resolver forget what it knows of our names."""
        self.host(name)("unbound-control flush_zone example. >/dev/null 2>&1 || systemctl restart unbound")

    @contextmanager
    def named(self, zone: str, name: str, kind: str, *others: str) -> Iterator[None]:
        """While this lasts, NAME has the records OTHERS of a kind, or none."""
        names = self.host("names")
        before = names(f"dig +short +tries=1 @{ADDRESSES['names']} {name} {kind}").splitlines()
        put = [f"update add {name} 60 {kind} {each}" for each in others]
        self.update(f"zone {zone}", f"update delete {name} {kind}", *put)
        self.forget("alpha")
        self.forget("beta")
        try:
            yield
        finally:
            back = [f"update add {name} 60 {kind} {each}" for each in before]
            self.update(f"zone {zone}", f"update delete {name} {kind}", *back)
            self.forget("alpha")
            self.forget("beta")

    def try_again(self, name: str) -> None:
        """Have what waits in the queue of one of ours tried now."""
        self.host(name)("qmail alarm 2>/dev/null || kill -ALRM $(cat /run/qmail/send.pid)")


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest) -> World:
    """Give the world that there is."""
    cache: Path = request.config.getoption("--cache")
    passwords = json.loads((cache / "people.json").read_text())["passwords"]
    return World(cache, request.config.getoption("--prefix"), passwords)
