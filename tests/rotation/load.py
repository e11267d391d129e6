"""Sessions of mail clients, begun at a steady rate, each noted with its times, its certificate and how it ended.

The rate is an open one, as on a real port: a session begins when its time has come, whether or not others have ended.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from verify.talk import Channel, Person, Pop3, Site, Smtp, ordinary

FIGURES = pytest.StashKey[list[str]]()
"""Of pytest's configuration: what was measured, for people to read."""

RATE = 50
"""Sessions that begin in a second."""

WORKERS = 300
"""Sessions that may be open at a time: as many as three services with their default limit of 100 each."""

LATE = 1.0
"""Seconds after its time at which a session may begin without being told of."""

MIX = {
    "starttls": 44,
    "starttls, logs in, a message": 5,
    "starttls, a message": 1,
    "smtps": 25,
    "smtps, logs in, a message": 5,
    "pop3s": 16,
    "pop3s, logs in": 4,
}
"""Of a hundred sessions, how many are of each kind. Those that only greet do everything that TLS has a part in. A login
costs the host a hash, and a stranger's message a look by the spam filter, which is as much as ten sessions: there are
as many as two processors bear at this rate."""

assert sum(MIX.values()) == 100


@dataclass
class Session:
    """What became of a session. Times are the machine's, which is also the host's, in seconds since the epoch."""

    kind: str
    due: float
    begun: float = 0.0
    """Just before the connection was asked for."""
    secured: float = 0.0
    """Just after TLS was up and chain and name were verified."""
    ended: float = 0.0
    certificate: str = ""
    """SHA-256 of what the server showed."""
    accepted: str = ""
    """The mark of the message that was answered with 250."""
    fault: str = ""
    """Why the session did not end well; empty if it did."""


def certificate(channel: Channel) -> str:
    """Give the fingerprint of the certificate that a channel's server has shown."""
    assert isinstance(channel.socket, ssl.SSLSocket)
    return hashlib.sha256(channel.socket.getpeercert(binary_form=True) or b"").hexdigest()


def leave_smtp(smtp: Smtp) -> None:
    """Say goodbye; the server must, too, and then close."""
    reply = smtp.say("QUIT")
    assert reply.code == 221, f"QUIT: {reply}"
    assert smtp.ended(), "the server does not close"


def leave_pop3(pop: Pop3) -> None:
    """Say goodbye; the server must, too, and then close."""
    pop.ok("QUIT")
    assert pop.ended(), "the server does not close"


class Client:
    """Runs whole sessions of each kind."""

    def __init__(self, site: Site, sender: Person, recipient: Person) -> None:
        """Take who logs in and sends, and who is written to."""
        self.site = site
        self.sender = sender
        self.recipient = recipient
        self.tls = site.trust()

    def run(self, session: Session) -> None:
        """Have a session from begin to end, and note everything."""
        door, *rest = session.kind.split(", ")
        session.begun = time.time()
        try:
            if door == "pop3s":
                self._pop3(session, "logs in" in rest)
            else:
                self._smtp(session, door, "logs in" in rest, "a message" in rest)
        except (AssertionError, OSError, EOFError) as error:
            session.fault = f"{type(error).__name__}: {error}"
        session.ended = time.time()

    def _secured(self, session: Session, channel: Channel) -> None:
        session.secured = time.time()
        session.certificate = certificate(channel)

    def _smtp(self, session: Session, door: str, logs_in: bool, sends: bool) -> None:
        with Smtp.through(self.site, door, self.tls) as smtp:
            self._secured(session, smtp)
            if logs_in:
                smtp.log_in(self.sender)
            else:
                smtp.ehlo()
            if sends:
                marker = f"marker-{secrets.token_hex(8)}"
                reply = smtp.submit(smtp.author, [self.recipient.address], ordinary(marker, author=smtp.author))
                assert reply.code == 250, f"the message: {reply}"
                session.accepted = marker
            leave_smtp(smtp)

    def _pop3(self, session: Session, logs_in: bool) -> None:
        with Pop3(self.site, self.tls) as pop:
            self._secured(session, pop)
            if logs_in:
                pop.login(self.sender)
                pop.ok("STAT")
            else:
                pop.ok("CAPA")
                pop.rest()
            leave_pop3(pop)


def schedule() -> list[str]:
    """Give a hundred sessions in the order in which they begin: each kind spread evenly."""
    places = [((number + 0.5) / count, kind) for kind, count in MIX.items() for number in range(count)]
    return [kind for _, kind in sorted(places)]


class Load:
    """Sessions that arrive at RATE for so many seconds, and on until they are told that it is enough."""

    def __init__(self, run: Callable[[Session], None], seconds: int) -> None:
        """Begin at once; `seconds` is the shortest time."""
        self.sessions: list[Session] = []
        self._run = run
        self._seconds = seconds
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._arrive)
        self._thread.start()

    def _arrive(self) -> None:
        kinds = schedule()
        begin = time.time()
        with ThreadPoolExecutor(WORKERS) as pool:
            # By whole hundreds, so that the mix is exactly what it is said to be.
            while len(self.sessions) < self._seconds * RATE or not self._enough.is_set():
                for kind in kinds:
                    session = Session(kind, begin + len(self.sessions) / RATE)
                    time.sleep(max(0.0, session.due - time.time()))
                    self.sessions.append(session)
                    pool.submit(self._run, session)

    def join(self) -> list[Session]:
        """Say that it is enough, and wait until every session has ended."""
        self._enough.set()
        self._thread.join()
        return self.sessions


def describe(sessions: list[Session]) -> str:
    """Give the figures of a load in one line."""
    took = max(s.ended for s in sessions) - sessions[0].begun
    late = max(s.begun - s.due for s in sessions)
    until_tls = sorted(s.secured - s.begun for s in sessions if s.secured)
    of_each = ", ".join(f"{count} {kind}" for kind, count in Counter(s.kind.split(",")[0] for s in sessions).items())
    words = [
        f"{len(sessions)} sessions ({of_each}) in {took:.1f} s",
        f"{len(sessions) / (sessions[-1].begun - sessions[0].begun):.1f} began a second",
        f"the latest {late * 1000:.0f} ms after its time",
        f"{sum(bool(s.fault) for s in sessions)} lost",
        f"{sum(bool(s.accepted) for s in sessions)} messages accepted",
    ]
    if late > LATE:
        words.append(f"THIS MACHINE DID NOT BEGIN THEM IN TIME, so the rate was not a steady {RATE} a second")
    if until_tls:
        words.append(
            f"TLS up after {until_tls[len(until_tls) // 2] * 1000:.0f} ms (median), {until_tls[-1]:.1f} s (longest)"
        )
    return "; ".join(words)
