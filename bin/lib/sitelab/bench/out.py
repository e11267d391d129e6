"""bin/bench out: mail that leaves for a sink on this machine, twenty and two hundred deliveries at a time.

The messages are in the queue when the time begins to run, so that only their sending is measured. The sink is Postfix's
smtp-sink, which answers at once, or a second after each DATA.
"""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sitelab.bench.backlog import Backlog, Kept, backlog
from sitelab.bench.delivery import SETTLE, ensure_tools, environment
from sitelab.bench.part import Part
from sitelab.bench.peer import SINK, SINK_PORT, Peer
from sitelab.bench.peers import POSTFIX, SITE
from sitelab.bench.rounds import Sample
from sitelab.bench.show import Figure
from sitelab.host import UnfitHostError

WAIT = 120.0
"""Seconds in which all messages of a column must have come."""


@dataclass(frozen=True)
class Column:
    """Deliveries at a time, seconds that the sink takes for each, and how many messages."""

    at_a_time: int
    slow: int
    messages: int


COLUMNS = {
    "20 at a time": Column(20, 0, 1000),
    "200 at a time": Column(200, 0, 1000),
    "200, 1 s each": Column(200, 1, 1000),
}


class Out(Part):
    """Mail from the queue to one sink."""

    name = "out"
    title = "Outgoing mail to a sink, 1 KB a message"
    figures = (Figure("sent_per_s", "sent/s", 0), Figure("cpu_s_per_1000", "CPU s per 1000 messages", 1))
    columns = tuple(COLUMNS)
    peers = (SITE, POSTFIX)
    warm_up = ("20 at a time",)

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Have the sink, and take the queues."""
        super().__init__(peers, share)
        self.root = ensure_tools()
        self.queues: dict[str, Backlog] = {peer.name: backlog(peer) for peer in peers}
        self.models: dict[str, Sequence[Kept]] = {}

    def measure(self, peer: Peer, column: str) -> Sample:
        """Fill the queue, and let it go to the sink; give messages a second, and CPU seconds a thousand."""
        load, queue = COLUMNS[column], self.queues[peer.name]
        messages = self._count(load)
        if peer.name not in self.models:
            self.models[peer.name] = queue.learn(f"someone@{SINK}", waiting=False)
        queue.at_a_time(load.at_a_time)
        sink = subprocess.Popen(
            self._sink(peer, load, messages), env=environment(self.root), stderr=subprocess.PIPE, text=True
        )
        try:
            time.sleep(SETTLE)
            queue.add(self.models[peer.name], messages)
            used, begun = peer.container.cpu_seconds(), time.monotonic()
            queue.release()
            said = sink.communicate(timeout=WAIT)[1]
            took = time.monotonic() - begun
        except subprocess.TimeoutExpired as error:
            raise UnfitHostError(f"{peer.name}, {column}: not all messages came within {WAIT:.0f} s") from error
        finally:
            sink.kill()
            sink.wait()
        if sink.returncode:
            raise UnfitHostError(f"{peer.name}, {column}: {said.strip()}")
        time.sleep(SETTLE)
        used = peer.container.cpu_seconds() - used
        return {"sent_per_s": messages / took, "cpu_s_per_1000": used / messages * 1000}

    def _sink(self, peer: Peer, load: Column, messages: int) -> list[str]:
        # smtp-sink(1): -M ends it after so many messages; root must say as whom it runs; at last the listen backlog.
        delay = ["-w", str(load.slow)] if load.slow else []
        where = f"{peer.container.gateway()}:{SINK_PORT}"
        return [str(self.root / "usr/sbin/smtp-sink"), *delay, "-u", "nobody", "-M", str(messages), where, "1000"]

    def _count(self, load: Column) -> int:
        return max(load.at_a_time, int(load.messages * self.share))

    def load(self) -> dict[str, Any]:
        """Say what is sent."""
        return {"messages a round": {name: self._count(column) for name, column in COLUMNS.items()}}

    def close(self) -> None:
        """Leave empty queues."""
        for queue in self.queues.values():
            queue.stop()
            queue.empty()
            queue.start()
