"""Two rotations while sessions are held open and fifty more begin each second: nobody loses anything.

All of it is done once, by the fixture `minute`; each test then states one fact about it.
"""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.inside import Host
from tests.rotation.conftest import Bundle
from tests.rotation.load import FIGURES, MIX, RATE, Client, Load, Session, certificate, describe, leave_pop3, leave_smtp
from verify.talk import Channel, Person, Pop3, Site, Smtp, ordinary

SECONDS = 60
ROTATIONS = 2
HELD = 10
"""Sessions of each kind that are held open over all rotations with nothing to do."""

AT_WORK = 2
"""Sessions of each kind that are in the middle of a message all that time."""

TICK = 0.01
"""The clock by which files get their times goes in steps; 10 ms are the longest that a kernel is built with."""

BIG = 12_000_000
"""Bytes of the message that is being fetched."""

FAR = "X" * 70 + "\r\n"
BEHIND = 1_000_000
"""More than what stunnel, its pipes and this machine hold of a message, beside the host's own socket."""

DAEMONS = {name: f"/run/qmail/{name}.pid" for name in ("smtp", "smtps", "pop3s", "send")} | {
    "spamd": "/run/spamd/spamd.pid"
}


@dataclass
class Held:
    """A session that lasts over all rotations."""

    kind: str
    channel: Channel
    step: Callable[[], None]
    """What it does after each rotation."""
    end: Callable[[], None]
    certificate: str = ""
    accepted: str = ""
    steps: int = 0
    fault: str = ""

    def go(self, what: Callable[[], None]) -> None:
        """Do something, and note what went wrong; after that it is over."""
        if self.fault:
            return
        try:
            what()
            self.steps += 1
        except (AssertionError, OSError, EOFError) as error:
            self.fault = f"step {self.steps + 1}: {type(error).__name__}: {error}"


@dataclass
class Minute:
    """All that was seen."""

    certificates: list[str]
    """The fingerprint on disk at the beginning and after each rotation."""
    swaps: list[float] = field(default_factory=list)
    """When each of the later ones came into place."""
    held: list[Held] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    daemons: list[dict[str, str]] = field(default_factory=list)
    """Before and after: process id and start time by name."""
    queue_emptied: bool = False
    delivered: Counter[str] = field(default_factory=Counter)

    def expected(self, session: Session) -> set[str]:
        """Give the certificates that a session may have been shown, by when it began and when TLS was up."""
        first = sum(swap + TICK < session.begun for swap in self.swaps)
        last = sum(swap - TICK < session.secured for swap in self.swaps)
        return set(self.certificates[first : last + 1])


def idle_smtp(client: Client, door: str) -> Held:
    """Have an SMTP session that says hello now and then."""
    smtp = Smtp.through(client.site, door, client.tls)
    smtp.ehlo()

    def step() -> None:
        reply = smtp.say("NOOP")
        assert reply.code == 250, f"NOOP: {reply}"

    return Held(door, smtp, step, lambda: leave_smtp(smtp))


def idle_pop3(client: Client) -> Held:
    """Have a POP3S session, logged in, that looks for mail now and then."""
    pop = Pop3(client.site, client.tls).login(client.sender)

    def step() -> None:
        pop.ok("STAT")

    return Held("pop3s", pop, step, lambda: leave_pop3(pop))


def in_data(client: Client, door: str) -> Held:
    """Have a session in the middle of a message, a part of which follows at each step."""
    smtp = Smtp.through(client.site, door, client.tls)
    if door == "smtps":
        smtp.log_in(client.sender)
    marker = f"marker-{secrets.token_hex(8)}"
    smtp.envelope(smtp.author, client.recipient.address)
    smtp.send(ordinary(marker, author=smtp.author))

    def step() -> None:
        smtp.send(b"This part was written after an exchange of certificates.\r\n")

    def end() -> None:
        smtp.send(b"And this is its end.\r\n.\r\n")
        reply = smtp.reply()
        assert reply.code == 250, f"the message: {reply}"
        held.accepted = marker
        leave_smtp(smtp)

    held = Held(f"{door} in DATA", smtp, step, end)
    return held


def in_retr(client: Client, host: Host, message: bytes) -> Held:
    """Have a session in the middle of fetching the one message of the mailbox, slowly."""
    pop = Pop3(client.site, client.tls).login(client.sender)
    # So that the kernel takes no more on its own account, and the server has to wait for us.
    pop.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    most = int(host("cat /proc/sys/net/ipv4/tcp_wmem").split()[2])
    pop.ok("RETR 1")
    got: list[bytes] = []

    def size() -> int:
        return sum(len(line) + 2 for line in got)

    def step() -> None:
        got.extend(pop.line() for _ in range(1000))
        assert size() + most + BEHIND < len(message), "the server may have sent everything by now"

    def end() -> None:
        while (line := pop.line()) != b".":
            got.append(line)
        assert b"".join(line + b"\r\n" for line in got).endswith(message), "what was fetched is not what was sent"
        leave_pop3(pop)

    step()
    return Held("pop3s in RETR", pop, step, end)


def hold(client: Client, host: Host, message: bytes) -> Iterator[Held]:
    """Open the sessions that last over all rotations."""
    for _ in range(HELD):
        yield idle_smtp(client, "starttls")
        yield idle_smtp(client, "smtps")
        yield idle_pop3(client)
    for _ in range(AT_WORK):
        yield in_data(client, "starttls")
        yield in_data(client, "smtps")
        yield in_retr(client, host, message)


def empty(client: Client, person: Person) -> Counter[str]:
    """Fetch and remove all of a mailbox; give how often each mark was in it."""
    found: Counter[str] = Counter()
    with Pop3(client.site, client.tls).login(person) as pop:
        for number in pop.numbers():
            pop.ok(f"TOP {number} 0")
            head = b"\n".join(pop.rest()).decode(errors="replace")
            found.update(re.findall(r"(?m)^Subject: About (marker-\w+)", head))
            pop.ok(f"DELE {number}")
        pop.ok("QUIT")
    return found


def daemons(host: Host) -> dict[str, str]:
    """Give each daemon's process id and the time of its start."""
    found = {}
    for name, file in DAEMONS.items():
        pid = host(f"cat {file}").strip()
        # proc(5): the 22nd field; the second, in brackets, may have blanks in it.
        start = host(f"cat /proc/{pid}/stat").rpartition(")")[2].split()[19]
        found[name] = f"process {pid}, started at {start}"
    return found


@pytest.fixture(scope="module")
def client(site: Site) -> Client:
    """Give clients of the second user, who logs in, that write to the first one."""
    assert len(site.people) > 1
    return Client(site, sender=site.people[1], recipient=site.people[0])


@pytest.fixture(scope="module")
def big(client: Client, host: Host) -> bytes:
    """Give a message that is the only one in the second user's mailbox, and longer than all buffers on its way."""
    for person in (client.sender, client.recipient):
        empty(client, person)
    message = ordinary("big", FAR * (BIG // len(FAR)), client.sender.address)
    with Smtp.through(client.site, "smtps", client.tls) as smtp:
        smtp.log_in(client.sender)
        reply = smtp.submit(client.sender.address, [client.sender.address], message)
        assert reply.code == 250, reply
    assert host.nothing_queued()
    return message


@pytest.fixture(scope="module")
def minute(request: pytest.FixtureRequest, client: Client, host: Host, bundle: Bundle, big: bytes) -> Minute:
    """Do it all, and give what was seen."""
    seen = Minute([bundle.fingerprint()], daemons=[daemons(host)])
    with ExitStack() as open_sessions:
        for held in hold(client, host, big):
            open_sessions.enter_context(held.channel)
            held.certificate = certificate(held.channel)
            seen.held.append(held)
        begin = time.time()
        load = Load(client.run, SECONDS)
        try:
            for number in range(ROTATIONS):
                time.sleep(max(0.0, begin + number * SECONDS / ROTATIONS - time.time()))
                bundle.rotate()
                seen.swaps.append(bundle.put_in_place())
                seen.certificates.append(bundle.fingerprint())
                for held in seen.held:
                    held.go(held.step)
            # So that there is a time after the last one in any case.
            time.sleep(2)
        finally:
            seen.sessions = load.join()
        for held in seen.held:
            held.go(held.end)
    seen.queue_emptied = host.nothing_queued(60)
    seen.delivered = empty(client, client.recipient)
    empty(client, client.sender)
    seen.daemons.append(daemons(host))
    request.config.stash[FIGURES].append(describe(seen.sessions))
    after = ", ".join(f"{swap - begin:.1f} s" for swap in seen.swaps)
    request.config.stash[FIGURES].append(f"{len(seen.held)} sessions held; certificates exchanged after {after}")
    return seen


def test_each_rotation_puts_another_certificate_in_place(minute: Minute) -> None:
    assert len(set(minute.certificates)) == ROTATIONS + 1


def test_fifty_sessions_a_second_of_that_mix_begin_for_a_minute_or_more(minute: Minute) -> None:
    hundreds, rest = divmod(len(minute.sessions), sum(MIX.values()))
    assert rest == 0
    assert len(minute.sessions) >= SECONDS * RATE
    assert Counter(s.kind for s in minute.sessions) == {kind: count * hundreds for kind, count in MIX.items()}


def test_sessions_begin_before_between_and_after_the_rotations(minute: Minute) -> None:
    groups = Counter(sum(swap < s.begun for swap in minute.swaps) for s in minute.sessions)
    assert set(groups) == set(range(ROTATIONS + 1))
    assert min(groups.values()) >= RATE, groups


def test_every_session_ends_well(minute: Minute) -> None:
    faults = [f"{s.kind}, {s.begun:.3f} to {s.ended:.3f}: {s.fault}" for s in minute.sessions if s.fault]
    assert not faults, f"{len(faults)} of {len(minute.sessions)}; exchanges at {minute.swaps}; {faults[:10]}"


def test_a_session_has_the_certificate_of_its_time(minute: Minute) -> None:
    wrong = [
        f"{s.kind}, begun at {s.begun:.3f}, TLS at {s.secured:.3f}: {minute.certificates.index(s.certificate)}"
        for s in minute.sessions
        if s.secured and s.certificate not in minute.expected(s)
    ]
    assert not wrong, f"{len(wrong)} of {len(minute.sessions)}; exchanges at {minute.swaps}; {wrong[:10]}"


def test_nearly_every_session_can_have_only_one_certificate(minute: Minute) -> None:
    """Those that were about to begin at a rotation may have the old or the new one; the others prove something."""
    sure = sum(len(minute.expected(s)) == 1 for s in minute.sessions)
    assert sure >= 0.9 * len(minute.sessions)


def test_sessions_that_are_held_open_end_well(minute: Minute) -> None:
    faults = [f"{held.kind}: {held.fault}" for held in minute.held if held.fault]
    assert not faults, faults
    assert {held.steps for held in minute.held} == {ROTATIONS + 1}


def test_sessions_that_are_held_open_began_with_the_first_certificate(minute: Minute) -> None:
    assert {held.certificate for held in minute.held} == {minute.certificates[0]}


def test_every_accepted_message_is_delivered_exactly_once(minute: Minute) -> None:
    accepted = [mark for mark in [s.accepted for s in minute.sessions] + [s.accepted for s in minute.held] if mark]
    sent = sum("a message" in s.kind for s in minute.sessions) + sum("DATA" in held.kind for held in minute.held)
    assert len(accepted) == sent > 0
    assert minute.delivered == Counter(accepted)


def test_the_queue_is_empty_at_the_end(minute: Minute) -> None:
    assert minute.queue_emptied


def test_no_daemon_was_started_anew(minute: Minute) -> None:
    before, after = minute.daemons
    assert before == after


@pytest.mark.usefixtures("minute")
def test_an_exchange_that_is_not_one_rename_is_noticed(client: Client, host: Host) -> None:
    """The measurement is not blind: here the file is away for a moment, as by removing and writing."""
    load = Load(client.run, 5)
    time.sleep(1)
    host(f"f=$(readlink -f {Bundle.PATH}) && cp -p $f $f.copy && rm $f && sleep 0.5; cp -p $f.copy $f; rm $f.copy")
    assert any(s.fault for s in load.join())
    assert host.nothing_queued(60)
    empty(client, client.recipient)
