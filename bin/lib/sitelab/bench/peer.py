"""A host that the bench measures: a Debian system in a container of its own, kept between runs.

What a mail server writes, its queue and its mailboxes, is on a directory of this machine's disk and not on the
container's overlay.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sitelab.container import Container
from sitelab.paths import CACHE, ROOT

HOME = CACHE / "bench"
DISK = HOME / "disk"
HOSTNAME = "mail.example.test"
DOMAIN = "example.test"
RELEASE = "trixie"
USER = "alice"
"""Who gets the mail of the load."""
KEEPER = "bob"
"""Who has a large mailbox."""
SINK = "sink.test"
"""The domain whose mail goes to a sink on this machine."""
SINK_PORT = 2525
MANY = 1000
"""So many people more have a mailbox, of whom `crowd` gives the names."""
NETWORKS = "10.0.0.0/8"
"""Where podman's bridges are."""
TAG = hashlib.sha256(bytes(ROOT)).hexdigest()[:4]
"""In the names of the hosts: their disks belong to this working tree, so another tree has others."""


def crowd() -> list[str]:
    """Give the names of those who are there to be many."""
    return [f"bench{at:04}" for at in range(MANY)]


@dataclass(frozen=True)
class Peer:
    """Who is measured: a server, or one of its doors, in a container that several may share."""

    name: str
    host: str
    """What container and disk are called."""
    queue: str
    """The directory inside that holds the queue."""
    install: Callable[["Peer"], None]
    version_of: Callable[["Peer"], str]
    """Says what is installed."""
    lacks: Callable[[], str] = str
    """Says what is not there yet, without which this peer can't be; empty: nothing."""
    restart: tuple[str, ...] = ()
    """The command that starts its doors anew."""

    @property
    def container(self) -> Container:
        """The container, whether or not it is there."""
        return Container(f"qmail-site-bench-{TAG}-{self.host}")

    @property
    def disk(self) -> Path:
        """The directory of this machine that holds the queue and the mailboxes."""
        return DISK / self.host

    @property
    def spool(self) -> Path:
        """The queue, seen from this machine."""
        return self.disk / "queue"

    def maildir(self, user: str = USER) -> Path:
        """Give somebody's Maildir, seen from this machine."""
        return self.disk / "home" / user / "Maildir"

    @property
    def inbox(self) -> Path:
        """Where new mail comes to lie, seen from this machine."""
        return self.maildir() / "new"

    def up(self) -> None:
        """Have the host there, with its mail server as this tree or Debian has it now."""
        if self.container.state() == "absent":
            shutil.rmtree(self.disk, ignore_errors=True)
        volumes = {self.spool: self.queue, self.disk / "home": "/home"}
        for path in volumes:
            path.mkdir(parents=True, exist_ok=True)
        self.container.up(RELEASE, HOSTNAME, volumes=volumes)
        self.install(self)

    def down(self) -> None:
        """Remove the host and all that it wrote."""
        self.container.down()
        shutil.rmtree(self.disk, ignore_errors=True)

    def version(self) -> str:
        """Say what is installed."""
        return self.version_of(self)


def of_tree(peer: Peer) -> str:
    """Give the version and the revision of this repository."""
    del peer
    command = ["git", "-c", f"safe.directory={ROOT}", "describe", "--always", "--dirty"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return f"qmail-site {(ROOT / 'VERSION').read_text().strip()} ({found.stdout.strip() or 'no git'})"


def of_package(name: str) -> Callable[[Peer], str]:
    """Give what says which version of Debian's package is installed."""

    def version(peer: Peer) -> str:
        return peer.container.run("dpkg-query", "-W", "-f", "${Package} ${Version}", name).stdout.strip()

    return version
