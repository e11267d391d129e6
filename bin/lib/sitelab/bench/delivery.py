"""Mail that is sent to a peer, until the last file of it is in its Maildirs."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sitelab.bench.peer import DOMAIN, HOME, USER, Peer
from sitelab.bench.rounds import Sample
from sitelab.host import UnfitHostError

WAIT = 90.0
"""Seconds that all messages of a column may take to be accepted, and as many more to be delivered."""
SETTLE = 0.6
"""Seconds after the last delivery, in which what belongs to it is logged and removed from the queue."""
TOOLS = HOME / "tools"


def ensure_tools(tools: Path = TOOLS) -> Path:
    """Give the folder with Postfix's smtp-source and smtp-sink, unpacked and not installed: no Postfix starts."""
    root = tools / "postfix"
    if not (root / "usr/sbin/smtp-source").exists():
        tools.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tools) as folder:
            subprocess.run(["apt-get", "-qq", "download", "postfix"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
            (package,) = Path(folder).glob("postfix_*.deb")
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def environment(root: Path) -> dict[str, str]:
    """Give the environment that the unpacked programs need."""
    return {**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib/postfix")}


def source(
    root: Path,
    address: str,
    messages: int,
    connections: int,
    reused: bool = False,
    user: str = USER,
    what: Sequence[str] = ("-l", "4096"),
) -> list[str]:
    """Give the command that sends messages over so many connections at a time (smtp-source(1)).

    WHAT is the option that says what the messages are. A connection that isn't reused takes one message.
    """
    words = [str(root / "usr/sbin/smtp-source"), "-s", str(connections), *what, "-m", str(messages)]
    words += ["-d"] if reused else []
    return [*words, "-f", "bench@elsewhere.test", "-t", f"{user}@{DOMAIN}", f"{address}:25"]


def emptied(maildir: Path) -> Path:
    """Have a Maildir without new mail, if it is there; give where that comes to lie."""
    inbox = maildir / "new"
    if inbox.is_dir():
        for entry in os.scandir(inbox):
            Path(entry.path).unlink()
    return inbox


def arrived(inbox: Path) -> int:
    """Count the messages there."""
    return sum(1 for _ in inbox.iterdir()) if inbox.is_dir() else 0


def by_source(root: Path, commands: Sequence[Sequence[str]], wait: float = WAIT) -> Callable[[], None]:
    """Give what runs senders beside each other, until all that they have is accepted."""

    def send() -> None:
        sources = [
            subprocess.Popen(
                command, env=environment(root), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            for command in commands
        ]
        deadline = time.monotonic() + wait
        try:
            for process in sources:
                said = process.communicate(timeout=max(deadline - time.monotonic(), 0.01))[1]
                if process.returncode:
                    raise UnfitHostError(f"smtp-source: {said.strip()}")
        except subprocess.TimeoutExpired as error:
            raise UnfitHostError(f"not all messages were accepted in {wait:.0f} s") from error
        finally:
            for process in sources:
                process.kill()
                process.wait()

    return send


def deliver(peer: Peer, send: Callable[[], None], expected: Mapping[str, int], what: str, wait: float = WAIT) -> Sample:
    """Send, and wait until each user has the new messages that are expected for him.

    Raises UnfitHostError where a message is refused or doesn't arrive in time: then there is no figure to give.
    """
    inboxes = {emptied(peer.maildir(user)): count for user, count in expected.items()}
    deliveries = sum(expected.values())
    used, begun = peer.container.cpu_seconds(), time.monotonic()
    try:
        send()
    except UnfitHostError as error:
        raise UnfitHostError(f"{peer.name}, {what}: {error}") from error
    accepted = time.monotonic() - begun
    while inboxes := {inbox: count for inbox, count in inboxes.items() if arrived(inbox) < count}:
        if time.monotonic() - begun > accepted + wait:
            lost = sum(count - arrived(inbox) for inbox, count in inboxes.items())
            raise UnfitHostError(
                f"{peer.name}, {what}: of {deliveries} accepted messages {deliveries - lost} were delivered"
            )
        time.sleep(0.02)
    took = time.monotonic() - begun
    time.sleep(SETTLE)
    return {
        "delivered_per_s": deliveries / took,
        "accepted_per_s": deliveries / accepted,
        "cpu_s_per_1000": (peer.container.cpu_seconds() - used) / deliveries * 1000,
    }
