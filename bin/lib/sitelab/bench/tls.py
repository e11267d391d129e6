"""bin/bench tls: sessions by TLS a second, of ten clients that say QUIT after the greeting, and their CPU time."""

from collections.abc import Sequence
from typing import Any

from sitelab.bench.part import Part
from sitelab.bench.peer import Peer
from sitelab.bench.peers import DOVECOT, NATIVE, POSTFIX, SITE, STUNNEL4
from sitelab.bench.rounds import Sample
from sitelab.bench.sessions import Door, sessions_a_second
from sitelab.bench.show import Figure
from sitelab.bench.site import STUNNEL4_PORT
from sitelab.host import UnfitHostError

CLIENTS = 10
SECONDS = 5.0
DOORS = {
    "465, SMTPS": Door(465, from_first_byte=True),
    "25, STARTTLS": Door(25, starttls=True),
    "995, POP3S": Door(995, from_first_byte=True),
}
_SMTPS, _STARTTLS, _POP3S = DOORS
HAVE = {STUNNEL4: (_SMTPS,), POSTFIX: (_SMTPS, _STARTTLS), DOVECOT: (_POP3S,)}
"""Which of them those have that have not all."""


class Tls(Part):
    """Short sessions by TLS, nothing resumed."""

    name = "tls"
    title = "Sessions by TLS that say QUIT, ten clients"
    figures = (Figure("sessions_per_s", "sessions/s", 0), Figure("cpu_ms", "CPU ms a session", 1))
    columns = tuple(DOORS)
    peers = (SITE, NATIVE, STUNNEL4, POSTFIX, DOVECOT)
    warm_up = columns

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Know where each peer is."""
        super().__init__(peers, share)
        self.addresses = {peer.name: peer.container.address() for peer in peers}

    @classmethod
    def has(cls, peer: str, column: str) -> bool:
        """Tell whether a peer has that door."""
        return column in HAVE.get(peer, cls.columns)

    def measure(self, peer: Peer, column: str) -> Sample:
        """Open sessions for some seconds; give how many a second, and the host's CPU time for each."""
        door = Door(STUNNEL4_PORT, from_first_byte=True) if peer.name == STUNNEL4 else DOORS[column]
        used = peer.container.cpu_seconds()
        try:
            count, took = sessions_a_second(self.addresses[peer.name], door, CLIENTS, SECONDS * self.share)
        except UnfitHostError as error:
            raise UnfitHostError(f"{peer.name}, {column}: {error}") from error
        return {
            "sessions_per_s": count / took,
            "cpu_ms": (peer.container.cpu_seconds() - used) / count * 1000,
        }

    def load(self) -> dict[str, Any]:
        """Say what is opened."""
        return {"clients": CLIENTS, "seconds a sample": round(SECONDS * self.share, 1)}
