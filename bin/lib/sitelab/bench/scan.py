"""bin/bench scan: messages a second that are scanned while their sessions are open.

CPU time is told of spamd, and of all the rest of the host.
"""

from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

from sitelab.bench.delivery import by_source, deliver, ensure_tools, source
from sitelab.bench.part import Part
from sitelab.bench.peer import DOMAIN, HOME, USER, Peer
from sitelab.bench.peers import SCANNING
from sitelab.bench.rounds import Sample
from sitelab.bench.show import Figure

MESSAGES = 240
CLIENTS = {"1 client": 1, "20 clients": 20}
SIZE = 4096
SPAMD = "system.slice/spamd.service"
WAIT = 240.0
"""Seconds that all messages of a column may take to be accepted, and as many more to be delivered."""
_WORDS = """Good morning, here are the minutes of the meeting on Tuesday. We went through the plan for the new kitchen
and agreed on the lighter wood, the two windows to the yard stay where they are. Please have a look at the numbers
below and tell me until Friday whether the second offer is fine with you; the first one was a good deal dearer.
"""


def ham() -> str:
    """Give a message of SIZE bytes that nobody takes for spam."""
    header = (
        f"From: Ann Example <ann@elsewhere.test>\nTo: Alice <{USER}@{DOMAIN}>\nDate: {formatdate(localtime=True)}\n"
        "Message-ID: <20261127.minutes@elsewhere.test>\nSubject: Minutes of the meeting on Tuesday\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n"
    )
    body = _WORDS * (SIZE // len(_WORDS) + 1)
    return header + body[: SIZE - len(header) - 1] + "\n"


class Scan(Part):
    """Ham of 4 KB from strangers."""

    name = "scan"
    title = "Mail that SpamAssassin scans, 4 KB a message"
    figures = (
        Figure("delivered_per_s", "scanned and delivered/s", 1),
        Figure("spamd_cpu_ms", "CPU ms of spamd a message", 1),
        Figure("rest_cpu_ms", "CPU ms of all the rest a message", 1),
    )
    columns = tuple(CLIENTS)
    peers = (SCANNING,)
    warm_up = ("20 clients",)

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Have the sender and the message, and know where each peer is."""
        super().__init__(peers, share)
        self.root = ensure_tools()
        self.addresses = {peer.name: peer.container.address() for peer in peers}
        self.message = Path(HOME / "ham")
        self.message.write_text(ham())

    def measure(self, peer: Peer, column: str) -> Sample:
        """Send a column's messages; give deliveries a second, and CPU milliseconds of spamd and of the rest."""
        clients = CLIENTS[column]
        messages = self._count(clients)
        command = source(self.root, self.addresses[peer.name], messages, clients, what=("-F", str(self.message)))
        used = peer.container.cpu_seconds(SPAMD)
        found = deliver(peer, by_source(self.root, [command], WAIT), {USER: messages}, column, WAIT)
        spamd = (peer.container.cpu_seconds(SPAMD) - used) / messages * 1000
        return {
            "delivered_per_s": found["delivered_per_s"],
            "spamd_cpu_ms": spamd,
            "rest_cpu_ms": found["cpu_s_per_1000"] - spamd,
        }

    def _count(self, clients: int) -> int:
        return max(clients, int((MESSAGES if clients > 1 else MESSAGES / 6) * self.share))

    def load(self) -> dict[str, Any]:
        """Say what is sent."""
        counts = {name: self._count(clients) for name, clients in CLIENTS.items()}
        return {"bytes a message": SIZE, "messages a round": counts, "DNS": "spamd is told that there is none"}
