"""bin/bench mail: messages a second into one local Maildir, and what a thousand of them cost in CPU time.

Postfix's smtp-source sends them from this machine, over connections of which each takes one message or many. A round
of a column ends when the last file is in the Maildir; CPU time is that of the whole container, its journal and init
included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sitelab.bench.delivery import by_source, deliver, ensure_tools, source
from sitelab.bench.part import Part
from sitelab.bench.peer import USER, Peer
from sitelab.bench.peers import OPENSMTPD, POSTFIX, SITE
from sitelab.bench.rounds import Sample
from sitelab.bench.show import Figure

SIZE = 4096
DELIVERIES = (
    Figure("delivered_per_s", "delivered/s", 0),
    Figure("cpu_s_per_1000", "CPU s per 1000 messages", 1),
)


@dataclass(frozen=True)
class Column:
    """One load: connections at a time, whether they are reused, and how many messages."""

    name: str
    connections: int
    reused: bool
    messages: int

    def count(self, share: float) -> int:
        """Give how many messages a share of the load has: one for each connection at least."""
        return max(self.connections, int(self.messages * share))


COLUMNS = {
    column.name: column
    for column in (
        Column("1, new conn.", 1, False, 300),
        Column("10, new conn.", 10, False, 600),
        Column("50, new conn.", 50, False, 600),
        Column("10, reused", 10, True, 600),
        Column("50, reused", 50, True, 600),
    )
}


class Mail(Part):
    """Messages of one size for one user, over connections of each kind."""

    name = "mail"
    title = "Mail to one local Maildir, 4 KB a message"
    figures = DELIVERIES
    columns = tuple(COLUMNS)
    peers = (SITE, POSTFIX, OPENSMTPD)
    # Without OpenSMTPD, which left some sessions of the trial without a greeting for five seconds; why is not known.
    usual = (SITE, POSTFIX)
    warm_up = ("10, new conn.",)

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Have the sender, and know where each peer is."""
        super().__init__(peers, share)
        self.root = ensure_tools()
        self.addresses = {peer.name: peer.container.address() for peer in peers}

    def measure(self, peer: Peer, column: str) -> Sample:
        """Send a column's messages; give deliveries a second and CPU seconds a thousand."""
        load = COLUMNS[column]
        messages = load.count(self.share)
        command = source(self.root, self.addresses[peer.name], messages, load.connections, load.reused)
        return deliver(peer, by_source(self.root, [command]), {USER: messages}, column)

    def load(self) -> dict[str, Any]:
        """Say what is sent."""
        return {
            "bytes a message": SIZE,
            "messages a round": {name: column.count(self.share) for name, column in COLUMNS.items()},
        }
