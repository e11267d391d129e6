"""A queue that is long: copies of one message, written where its server keeps it while that doesn't look.

A hundred thousand messages can't be sent in a measurement's time. So one is, by the server's own program, and what its
queue then has of it is written again and again under other names. Which name is the server's own rule: with qmail the
number of the file in mess/, with Postfix digits of a time and the file's number.
"""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sitelab.bench.peer import Peer
from sitelab.host import UnfitHostError

LATER = 86400.0
"""Seconds from now at which a message that waits is tried again."""
PATIENCE = 30.0
"""Seconds in which a server must have done what is asked of it."""
MESSAGE = "Subject: bench\n\n" + "A line of the message.\n" * 40


@dataclass(frozen=True)
class Kept:
    """A file of a queue, to be written again."""

    folder: str
    """Its directory of the queue."""
    data: bytes
    mode: int
    owner: int
    group: int

    def write(self, path: Path) -> None:
        """Write it there."""
        path.write_bytes(self.data)
        self.stamp(path)

    def stamp(self, path: Path) -> None:
        """Give it owner and mode."""
        os.chown(path, self.owner, self.group)
        path.chmod(self.mode)


def kept(path: Path, queue: Path) -> Kept:
    """Remember a file of a queue."""
    status = path.stat()
    folder = path.relative_to(queue).parts[0]
    return Kept(folder, path.read_bytes(), status.st_mode & 0o7777, status.st_uid, status.st_gid)


class Backlog(ABC):
    """The queue of a peer."""

    FOLDERS: ClassVar[tuple[str, ...]]
    """The directories of the queue that hold files of messages."""
    HOLD: ClassVar[tuple[str, ...]]
    """Those below which each message has one file."""

    def __init__(self, peer: Peer) -> None:
        """Take the peer's queue, which is to be emptied."""
        self.peer = peer
        self.queue = peer.spool

    @abstractmethod
    def stop(self) -> None:
        """Have nothing delivered."""

    @abstractmethod
    def start(self) -> None:
        """Have the queue worked on, from its start."""

    @abstractmethod
    def at_a_time(self, number: int) -> None:
        """Have so many remote deliveries at a time, also to one domain, and the server running."""

    def empty(self) -> None:
        """Throw away all messages of a queue that nobody works on; the directories stay."""
        for folder in self.FOLDERS:
            _empty(self.queue / folder)

    @abstractmethod
    def learn(self, recipient: str, waiting: bool) -> Sequence[Kept]:
        """Give what the queue has of a message for a recipient; the queue is empty then, and nobody works on it.

        The message is new, or WAITING for a later attempt since a first one has failed.
        """

    @abstractmethod
    def add(self, files: Sequence[Kept], count: int) -> None:
        """Write so many messages of which `learn` has given the files; those that wait do until tomorrow."""

    @abstractmethod
    def release(self) -> None:
        """Have a running server look at what is new."""

    def count(self) -> int:
        """Count the messages."""
        return sum(len(files) for folder in self.HOLD for _, _, files in os.walk(self.queue / folder))

    def park(self, name: str) -> None:
        """Put a queue that nobody works on aside, with all that is in it, and have an empty one in its place.

        To remove a hundred thousand files and to make them again would be slow: some file systems pass over the numbers
        of those that were removed a while ago.
        """
        aside = self.queue.with_name(f"queue {name}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for folder in self.FOLDERS:
            (self.queue / folder).rename(aside / folder)
            _hollow(aside / folder, self.queue / folder)

    def unpark(self, name: str) -> None:
        """Have a queue again that was put aside, in the place of the one that is there, which nobody works on."""
        aside = self.queue.with_name(f"queue {name}")
        for folder in self.FOLDERS:
            shutil.rmtree(self.queue / folder)
            (aside / folder).rename(self.queue / folder)
        aside.rmdir()

    def forget(self, name: str) -> None:
        """Throw away what was put aside."""
        shutil.rmtree(self.queue.with_name(f"queue {name}"), ignore_errors=True)

    def submit(self, recipient: str) -> None:
        """Queue one message by the server's own program."""
        self.peer.container.run("/usr/sbin/sendmail", "-f", "bench@elsewhere.test", recipient, stdin=MESSAGE)

    def wait_for(self, pattern: str) -> Path:
        """Give the first file of the queue that a pattern names, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE
        while not (found := sorted(self.queue.glob(pattern))):
            if time.monotonic() > deadline:
                raise UnfitHostError(f"{self.peer.name}: nothing came to lie in {pattern} of the queue")
            time.sleep(0.05)
        return found[0]


class Qmail(Backlog):
    """The site's queue: mess, info, local and remote split by the number, todo flat and a second time as intd."""

    FOLDERS = ("mess", "info", "local", "remote", "bounce", "todo", "intd", "pid")
    HOLD = ("mess",)
    SPLIT = ("mess", "info", "local", "remote")

    def stop(self) -> None:
        """Stop qmail-send."""
        self.peer.container.run("/etc/init.d/qmail", "stop", "send")

    def start(self) -> None:
        """Start qmail-send."""
        self.peer.container.run("/etc/init.d/qmail", "start", "send")

    def at_a_time(self, number: int) -> None:
        """Write the control files, and start qmail-send, which reads them then."""
        script = 'cd /var/qmail/control; for file in concurrencyremote concurrencydomain; do echo "$1" >$file; done'
        self.peer.container.run("sh", "-c", script, "sh", str(number))
        self.stop()
        self.start()

    def learn(self, recipient: str, waiting: bool) -> Sequence[Kept]:
        """Give what qmail-queue, or after a failed attempt qmail-send, has written."""
        self.stop()
        self.empty()
        self.submit(recipient)
        number = self.wait_for("todo/[0-9]*").name
        if waiting:
            self.start()
            self.wait_for("remote/*/[0-9]*")
            self.stop()
        files = [kept(path, self.queue) for path in self._files(number)]
        self.empty()
        return files

    def add(self, files: Sequence[Kept], count: int) -> None:
        """Write the file in mess/ first, whose number then is the name of all."""
        split, later = sum(1 for _ in (self.queue / "mess").iterdir()), time.time() + LATER
        new = self.queue / "pid/bench"
        for _ in range(count):
            files[0].write(new)
            number = new.stat().st_ino
            new.rename(self.queue / f"mess/{number % split}/{number}")
            for file in files[1:]:
                path = (
                    self.queue
                    / file.folder
                    / (f"{number % split}/{number}" if file.folder in self.SPLIT else f"{number}")
                )
                if file.folder == "todo":
                    file.write(new)
                    (self.queue / f"intd/{number}").hardlink_to(new)
                    new.rename(path)
                else:
                    file.write(path)
                    os.utime(path, (later, later) if file.folder != "info" else None)

    def release(self) -> None:
        """Pull the trigger."""
        with (self.queue / "lock/trigger").open("wb", buffering=0) as trigger:
            trigger.write(b"\0")

    def _files(self, number: str) -> Iterator[Path]:
        for folder in self.FOLDERS:
            # intd/ is another name of the file in todo/.
            found = (self.queue / folder).glob(f"*/{number}" if folder in self.SPLIT else number)
            yield from () if folder == "intd" else found


class Postfix(Backlog):
    """Postfix's queue: new messages in incoming, those that wait in deferred, by the first letter of their names."""

    FOLDERS = ("maildrop", "incoming", "active", "deferred", "defer", "bounce", "hold", "corrupt", "trace", "saved")
    HOLD = ("maildrop", "incoming", "active", "deferred")

    def stop(self) -> None:
        """Stop Postfix."""
        self.peer.container.run("systemctl", "stop", "postfix")

    def start(self) -> None:
        """Start Postfix."""
        self.peer.container.run("systemctl", "start", "postfix")

    def at_a_time(self, number: int) -> None:
        """Set the limits, also the one of all processes, and start Postfix."""
        settings = (
            f"smtp_destination_concurrency_limit={number}",
            f"initial_destination_concurrency={min(number, 20)}",
            f"default_process_limit={max(number, 100)}",
        )
        self.peer.container.run("postconf", "-e", *settings)
        self.stop()
        self.start()
        self.release()

    def learn(self, recipient: str, waiting: bool) -> Sequence[Kept]:
        """Give what Postfix has written of a message that it was told to defer."""
        self.stop()
        self.empty()
        self.peer.container.run("postconf", "-e", "defer_transports=local,smtp")
        self.start()
        self.submit(recipient)
        file = kept(self.wait_for("deferred/*/*"), self.queue)
        self.stop()
        self.peer.container.run("postconf", "-X", "defer_transports")
        self.empty()
        return [replace(file, folder="deferred" if waiting else "incoming")]

    def add(self, files: Sequence[Kept], count: int) -> None:
        """Write the one file, named by five digits of a time (here: any) and its number."""
        (file,), later = files, time.time() + LATER
        new = self.queue / file.folder / "bench"
        for at in range(count):
            file.write(new)
            name = f"{at % 1_000_000:05X}{new.stat().st_ino:X}"
            folder = self.queue / file.folder
            if file.folder == "deferred":
                folder = self._below(folder / name[0], file)
                os.utime(new, (later, later))
            new.rename(folder / name)

    def _below(self, folder: Path, file: Kept) -> Path:
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            os.chown(folder, file.owner, file.group)
        return folder

    def release(self) -> None:
        """Have the queue manager read incoming; one that has just been started may not listen yet."""
        deadline = time.monotonic() + PATIENCE
        while self.peer.container.run("postkick", "public", "qmgr", "I", check=False).returncode:
            if time.monotonic() > deadline:
                raise UnfitHostError(f"{self.peer.name}: the queue manager takes no request")
            time.sleep(0.05)


def _hollow(folder: Path, new: Path) -> None:
    status = folder.stat()
    new.mkdir()
    os.chown(new, status.st_uid, status.st_gid)
    new.chmod(status.st_mode & 0o7777)
    for entry in folder.iterdir():
        if entry.is_dir():
            _hollow(entry, new / entry.name)


def _empty(folder: Path) -> None:
    for path in list(folder.rglob("*")):
        if not path.is_dir():
            path.unlink()


def backlog(peer: Peer) -> Backlog:
    """Give the queue of a peer."""
    return Postfix(peer) if peer.host == "postfix" else Qmail(peer)
