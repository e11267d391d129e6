"""bin/bench idle: what a session holds that is open and says nothing: memory, and the CPU time of opening it."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from sitelab.bench import tls
from sitelab.bench.part import Part
from sitelab.bench.peer import Peer
from sitelab.bench.peers import DOVECOT, NATIVE, POSTFIX, SITE
from sitelab.bench.rounds import Sample
from sitelab.bench.sessions import Door, context
from sitelab.bench.show import Figure
from sitelab.bench.usage import memory_group, used_bytes
from sitelab.host import UnfitHostError

OPEN = 20
DOORS = {"25, SMTP": Door(25), **tls.DOORS}
SETTLE = 1.0
"""Seconds after a start, or after the last session was opened, before anything is read."""


class Idle(Part):
    """Open sessions beyond the first one, which brings along what is there for all of them."""

    name = "idle"
    title = "An open session that says nothing, beyond the first of 21"
    figures = (
        Figure("kib", "KiB a session", 0),
        Figure("peak_kib", "KiB at most while they are opened", 0),
        Figure("cpu_ms", "CPU ms to open one", 1),
    )
    columns = tuple(DOORS)
    peers = (SITE, NATIVE, POSTFIX, DOVECOT)

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Know where each peer is, and where its memory is counted."""
        super().__init__(peers, share)
        self.addresses = {peer.name: peer.container.address() for peer in peers}
        self.groups = {peer.name: memory_group(peer.container) for peer in peers}

    @classmethod
    def has(cls, peer: str, column: str) -> bool:
        """Tell whether a peer has that door."""
        return peer != DOVECOT if column not in tls.DOORS else tls.Tls.has(peer, column)

    def measure(self, peer: Peer, column: str) -> Sample:
        """Start the doors anew, open a session, then the others; give what each of these takes."""
        peer.container.run(*peer.restart)
        time.sleep(SETTLE)
        address, door, encryption = self.addresses[peer.name], DOORS[column], context()
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(door.open(address, encryption).close)
                time.sleep(SETTLE)
                memory, used = self._memory(peer), peer.container.cpu_seconds()
                most = memory
                for _ in range(OPEN):
                    stack.callback(door.open(address, encryption).close)
                    most = max(most, self._memory(peer))
                opened = peer.container.cpu_seconds() - used
                time.sleep(SETTLE)
                held = self._memory(peer) - memory
        except (UnfitHostError, OSError) as error:
            raise UnfitHostError(f"{peer.name}, {column}: {error}") from error
        return {
            "kib": held / OPEN / 1024,
            "peak_kib": (most - memory) / OPEN / 1024,
            "cpu_ms": opened / OPEN * 1000,
        }

    def _memory(self, peer: Peer) -> int:
        used = used_bytes(self.groups[peer.name])
        if used is None:
            raise UnfitHostError("its control group is gone")
        return used

    def load(self) -> dict[str, Any]:
        """Say what is opened."""
        return {"sessions": f"{OPEN} beyond the first"}
