"""The spam filter of a site in a container: real SMTP from outside, and hands on spamd inside.

    pytest tests/spam --site FILE --container NAME

The site runs with the rules of tests/spam/rules (spamassassin_rules), whose scores are exactly those in a Subject, with
the prefix "[SPAM] " and the default numbers: threshold 5.0, red from 7.0. The mail of senders who have authenticated
has a filter that adds the field X-Test-Filter.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import inside
from tests.inside import pytest_addoption
from verify.questions.conftest import alice, bob, marker, site

__all__ = ["alice", "bob", "marker", "pytest_addoption", "site"]

FILTERS = "/etc/hi-q/filters"
SOCKET = "/run/spamd/socket/spamd"
FAKE = Path(__file__).with_name("fake_spamd.py")
NO_ANSWER = """
import socket, sys
nobody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
nobody.bind(("127.0.0.1", 5399))
print("ready", flush=True)
sys.stdin.read()
"""


class Host(inside.Host):
    """The inside of the host, with hands on the filter."""

    def filter_line(self, *changes: tuple[str, str]) -> str:
        """Change the filter's line: pairs of pattern and replacement. Gives the file as it was."""
        before = self(f"cat {FILTERS}")
        after = before
        for pattern, replacement in changes:
            after, count = re.subn(pattern, replacement, after)
            assert count, pattern
        self(f"cat >{FILTERS}", after.encode())
        return before

    def log_since(self, mark: str) -> list[str]:
        """Give hi-q's lines of the log from a moment on."""
        self("journalctl --sync")
        lines = self(f"journalctl --output=cat -t qmail-smtp -t qmail-smtps --since=@{mark} | grep '^hi-q: ' || :")
        return lines.splitlines()

    def log_line(self, mark: str, word: str) -> str:
        """Wait for the one line of hi-q's log that has this word."""
        deadline = time.monotonic() + 15
        while not (found := [line for line in self.log_since(mark) if word in line]):
            assert time.monotonic() < deadline, f"no line of the log has {word}"
            time.sleep(0.3)
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> Host:
    """Give the inside of the host."""
    return Host(inside.container(request))


@pytest.fixture
def short(host: Host) -> Iterator[Host]:
    """Give a host whose scans may take 3 seconds."""
    before = host.filter_line((" -t [0-9]+", " -t 3"))
    yield host
    host(f"cat >{FILTERS}", before.encode())


@pytest.fixture
def accepting(host: Host) -> Iterator[Host]:
    """Give a host that accepts what could not be scanned within 3 seconds."""
    before = host.filter_line((" -t [0-9]+", " -t 3 -a"))
    yield host
    host(f"cat >{FILTERS}", before.encode())


@pytest.fixture
def no_spamd(host: Host) -> Iterator[Host]:
    """Give a host whose spamd is stopped."""
    host("/etc/init.d/spamd stop")
    yield host
    host("/etc/init.d/spamd start")


@pytest.fixture
def unanswered(host: Host) -> Iterator[Host]:
    """Give a host whose questions to the DNS about who has sent a message nobody answers."""
    before = host.filter_line(("(?m)^(.*module=mailauth .*)$", r"\1 nameservers=127.0.0.1 port=5399"))
    with subprocess.Popen(
        ["podman", "exec", "-i", host.name, "python3", "-c", NO_ANSWER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as nobody:
        assert nobody.stdout
        assert nobody.stdout.readline() == b"ready\n"
        yield host
        nobody.communicate()
    host(f"cat >{FILTERS}", before.encode())


class Fake:
    """Stand-ins for spamd at its socket."""

    def __init__(self, host: Host) -> None:
        """Keep the host."""
        self.host = host
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, manner: str) -> None:
        """Answer in this manner from now on (see fake_spamd.py)."""
        self.process = subprocess.Popen(
            ["podman", "exec", "-i", self.host.name, "python3", "-c", FAKE.read_text(), SOCKET, manner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        """Stop answering."""
        if self.process:
            self.process.communicate(b"", timeout=20)


@pytest.fixture
def fake(no_spamd: Host) -> Iterator[Fake]:
    """Give a host where a stand-in takes spamd's place."""
    made = Fake(no_spamd)
    yield made
    made.end()
