"""bin/bench mail: messages a second into one local Maildir, and what a thousand of them cost in CPU time.

Postfix's smtp-source sends them from this machine, over connections of which each takes one message or many. A round
of a column ends when the last file is in the Maildir; CPU time is that of the whole container, its journal and init
included.
"""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sitelab.bench.peers import DOMAIN, HOME, USER, Peer
from sitelab.bench.rounds import Sample
from sitelab.host import UnfitHostError

SIZE = 4096
WAIT = 90.0
"""Seconds that all messages of a column may take to be accepted, and as many more to be delivered."""
SETTLE = 0.6
"""Seconds after the last delivery, in which what belongs to it is logged and removed from the queue."""
TOOLS = HOME / "tools"


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


COLUMNS = (
    Column("1, new conn.", 1, False, 300),
    Column("10, new conn.", 10, False, 600),
    Column("50, new conn.", 50, False, 600),
    Column("10, reused", 10, True, 600),
    Column("50, reused", 50, True, 600),
)


def ensure_source(tools: Path = TOOLS) -> Path:
    """Give the folder with Postfix's smtp-source, unpacked and not installed, so that no Postfix is started here."""
    root = tools / "postfix"
    if not (root / "usr/sbin/smtp-source").exists():
        tools.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tools) as folder:
            subprocess.run(["apt-get", "-qq", "download", "postfix"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
            (package,) = Path(folder).glob("postfix_*.deb")
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def source_command(root: Path, column: Column, address: str, messages: int) -> list[str]:
    """Give the command that sends one column's messages (smtp-source(1))."""
    words = [str(root / "usr/sbin/smtp-source"), "-s", str(column.connections), "-l", str(SIZE), "-m", str(messages)]
    words += ["-d"] if column.reused else []
    return [*words, "-f", "bench@elsewhere.test", "-t", f"{USER}@{DOMAIN}", f"{address}:25"]


def _empty(inbox: Path) -> None:
    if inbox.is_dir():
        for entry in os.scandir(inbox):
            Path(entry.path).unlink()


def _arrived(inbox: Path) -> int:
    return sum(1 for _ in inbox.iterdir()) if inbox.is_dir() else 0


class Load:
    """What sends mail to the peers."""

    def __init__(self, peers: list[Peer]) -> None:
        """Have the sender, and know where each peer is."""
        self.root = ensure_source()
        self.addresses = {peer.name: peer.container.address() for peer in peers}

    def measure(self, peer: Peer, column: Column, share: float = 1) -> Sample:
        """Send a column's messages, or a share of them; give deliveries a second and CPU seconds a thousand.

        Raises UnfitHostError where a message is refused or doesn't arrive in time: then there is no figure to give.
        """
        messages = column.count(share)
        _empty(peer.inbox)
        command = source_command(self.root, column, self.addresses[peer.name], messages)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(self.root / "usr/lib/postfix")}
        used, begun = peer.container.cpu_seconds(), time.monotonic()
        try:
            sent = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnfitHostError(
                f"{peer.name}, {column.name}: {messages} messages were not accepted in {WAIT:.0f} s"
            ) from error
        accepted = time.monotonic() - begun
        if sent.returncode:
            raise UnfitHostError(f"{peer.name}, {column.name}: smtp-source: {sent.stderr.strip()}")
        while (there := _arrived(peer.inbox)) < messages:
            if time.monotonic() - begun > accepted + WAIT:
                raise UnfitHostError(
                    f"{peer.name}, {column.name}: of {messages} accepted messages {there} were delivered"
                )
            time.sleep(0.02)
        took = time.monotonic() - begun
        time.sleep(SETTLE)
        return {
            "delivered_per_s": messages / took,
            "accepted_per_s": messages / accepted,
            "cpu_s_per_1000": (peer.container.cpu_seconds() - used) / messages * 1000,
        }
