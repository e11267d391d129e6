"""bin/bench pop3: a mailbox of ten thousand messages by POP3S: what a session costs that logs in and asks one thing."""

import os
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

from sitelab.bench.part import Part
from sitelab.bench.peer import KEEPER, Peer
from sitelab.bench.peers import DOVECOT, SITE
from sitelab.bench.rounds import Sample
from sitelab.bench.sessions import Session, pop3_session
from sitelab.bench.show import Figure
from sitelab.bench.site import known
from sitelab.host import UnfitHostError

MESSAGES = 10000
SIZE = 4096
LARGE = 20 * 2**20
"""Bytes of the last one."""
SOME = 100
_LINE = b"A line of the message, as long as the lines of most messages are.\n"


def message(size: int) -> bytes:
    """Give a message of about so many bytes."""
    header = f"From: bench@elsewhere.test\nDate: {formatdate()}\nSubject: {size} bytes\n\n".encode()
    return header + _LINE * max(1, (size - len(header)) // len(_LINE))


def fill(peer: Peer) -> None:
    """Have the keeper's mailbox hold what it should: read messages, the last one large. What is right already stays."""
    maildir = peer.maildir(KEEPER)
    owner = maildir.parent.stat()
    for folder in (maildir, *(maildir / name for name in ("cur", "new", "tmp"))):
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            os.chown(folder, owner.st_uid, owner.st_gid)
    if sum(1 for _ in (maildir / "cur").iterdir()) == MESSAGES:
        return
    for path in (maildir / "cur").iterdir():
        path.unlink()
    small, begun = message(SIZE), int(time.time()) - MESSAGES
    for at in range(MESSAGES):
        # The time comes first: it is the order in which POP3 shows them.
        path = maildir / "cur" / f"{begun + at}.M{at:06}P1.bench:2,S"
        path.write_bytes(message(LARGE) if at == MESSAGES - 1 else small)
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o600)


def _stat(session: Session) -> None:
    count = int(session.ask("STAT").split()[1])
    if count != MESSAGES:
        raise UnfitHostError(f"STAT tells of {count} messages, and there are {MESSAGES}")


def _list(session: Session) -> None:
    session.ask("LIST")
    session.lines()


def _uidl(session: Session) -> None:
    session.ask("UIDL")
    session.lines()


def _retrieve_some(session: Session) -> None:
    for number in range(1, SOME + 1):
        session.ask(f"RETR {number}")
        session.lines()


def _retrieve_large(session: Session) -> None:
    session.ask(f"RETR {MESSAGES}")
    if (size := session.lines()) < LARGE - SIZE:
        raise UnfitHostError(f"the large message has {size} bytes, and should have {LARGE}")


WORK: dict[str, tuple[Callable[[Session], None], int]] = {
    "STAT": (_stat, 15),
    "LIST": (_list, 15),
    "UIDL": (_uidl, 15),
    f"RETR of {SOME}": (_retrieve_some, 9),
    "RETR of 20 MB": (_retrieve_large, 6),
}
"""What a session does by column, and how many sessions a sample has."""


class Pop3(Part):
    """Whole sessions, one after the other: connection, TLS, log-in, one kind of command, QUIT."""

    name = "pop3"
    title = "A mailbox of 10 000 messages, sessions by POP3S"
    figures = (Figure("ms", "ms a session", 0), Figure("cpu_ms", "CPU ms a session", 0))
    columns = tuple(WORK)
    peers = (SITE, DOVECOT)
    warm_up = columns

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Know where each peer is."""
        super().__init__(peers, share)
        self.addresses = {peer.name: peer.container.address() for peer in peers}
        self.password = known()["passwords"][KEEPER]

    def prepare(self) -> None:
        """Have the mailboxes."""
        for peer in self.among:
            fill(peer)

    def measure(self, peer: Peer, column: str) -> Sample:
        """Run a column's sessions; give time and CPU time of one."""
        work, times = WORK[column]
        times = max(1, int(times * self.share))
        used, begun = peer.container.cpu_seconds(), time.monotonic()
        try:
            for _ in range(times):
                pop3_session(self.addresses[peer.name], KEEPER, self.password, work)
        except (UnfitHostError, OSError) as error:
            raise UnfitHostError(f"{peer.name}, {column}: {error}") from error
        took = time.monotonic() - begun
        return {"ms": took / times * 1000, "cpu_ms": (peer.container.cpu_seconds() - used) / times * 1000}

    def load(self) -> dict[str, Any]:
        """Say what is in the mailbox."""
        return {"mailbox": f"{MESSAGES} messages of {SIZE} bytes, the last one of {LARGE}"}
