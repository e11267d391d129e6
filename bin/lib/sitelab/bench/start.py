"""bin/bench start: a queue of 100 000 messages, and how long it takes from the server's start to the first delivery."""

import time
from collections.abc import Sequence
from typing import Any

from sitelab.bench.backlog import Backlog, Kept, backlog
from sitelab.bench.delivery import arrived, emptied
from sitelab.bench.part import Part
from sitelab.bench.peer import DOMAIN, SINK, USER, Peer
from sitelab.bench.peers import POSTFIX, SITE
from sitelab.bench.rounds import Sample
from sitelab.bench.show import Figure
from sitelab.bench.usage import memory_group, used_bytes
from sitelab.host import UnfitHostError
from verify.progress import say

MESSAGES = 100_000
NEW, WAITING = "all new", "all waiting"
WAIT = 120.0
"""Seconds in which the first message must be delivered."""


class Start(Part):
    """Messages for a local user that nobody has looked at yet; or some that wait until tomorrow, and a new one."""

    name = "start"
    title = "The start with 100 000 messages in the queue"
    figures = (
        Figure("first_s", "s to the first delivery", 2),
        Figure("cpu_s", "CPU s until then", 2),
        Figure("mib", "MiB more memory then", 0),
    )
    columns = (NEW, WAITING)
    peers = (SITE, POSTFIX)

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Take the queues."""
        super().__init__(peers, share)
        self.count = int(MESSAGES * share)
        self.queues: dict[str, Backlog] = {peer.name: backlog(peer) for peer in peers}
        self.models: dict[tuple[str, str], Sequence[Kept]] = {}

    def prepare(self) -> None:
        """Fill the queues, one for each column, and put them aside."""
        for name, queue in self.queues.items():
            for column, recipient in ((NEW, f"{USER}@{DOMAIN}"), (WAITING, f"someone@{SINK}")):
                say(f"{name}: {self.count} messages, {column}")
                self.models[name, column] = queue.learn(recipient, waiting=column == WAITING)
                queue.add(self.models[name, column], self.count)
                queue.park(column)

    def measure(self, peer: Peer, column: str) -> Sample:
        """Start the server with a column's queue, and wait for the first message to arrive."""
        queue = self.queues[peer.name]
        queue.stop()
        queue.unpark(column)
        queue.add(self.models[peer.name, column], self.count - queue.count())
        if column == WAITING:
            queue.submit(f"{USER}@{DOMAIN}")
        inbox, group = emptied(peer.maildir()), memory_group(peer.container)
        before, used, begun = used_bytes(group) or 0, peer.container.cpu_seconds(), time.monotonic()
        queue.start()
        while not arrived(inbox):
            if time.monotonic() > begun + WAIT:
                raise UnfitHostError(f"{peer.name}, {column}: nothing was delivered in {WAIT:.0f} s")
            time.sleep(0.005)
        took, used = time.monotonic() - begun, peer.container.cpu_seconds() - used
        memory = (used_bytes(group) or 0) - before
        queue.stop()
        queue.park(column)
        return {"first_s": took, "cpu_s": used, "mib": memory / 2**20}

    def load(self) -> dict[str, Any]:
        """Say what is in the queue."""
        return {"messages in the queue": self.count}

    def close(self) -> None:
        """Leave empty queues, and servers that run."""
        for queue in self.queues.values():
            queue.stop()
            queue.empty()
            for column in self.columns:
                queue.forget(column)
            queue.start()
