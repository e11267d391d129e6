"""What the tests of the queue share: messages handed to qmail-queue, and what is on disk afterwards."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.suite import BUILD, SPLIT, Home

DIRECTORIES = ("pid", "mess", "intd", "todo", "info", "local", "remote", "bounce")


@dataclass(frozen=True)
class Queued:
    """How qmail-queue ended."""

    code: int


def envelope(sender: str, *recipients: str) -> bytes:
    """An envelope as qmail-queue reads it."""
    return b"".join([b"F", sender.encode(), b"\0", *(b"T" + r.encode() + b"\0" for r in recipients), b"\0"])


def wait_until(condition: Callable[[], object], what: str, timeout: float = 30) -> None:
    """Poll the condition; AssertionError with what when it does not come true."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"timed out waiting until {what}"
        time.sleep(0.01)


def names(files: list[str], directory: str) -> list[str]:
    """Those of Queue.files that are in a directory of the queue."""
    return [name for name in files if name.startswith(directory + "/")]


class Queue:
    """The queue of a home."""

    def __init__(self, home: Home) -> None:
        """Look at this home's queue; nothing is made."""
        self.home = home
        self.path = home.path / "queue"

    def put(
        self,
        message: bytes,
        raw_envelope: bytes,
        *,
        limits: Mapping[int, int] | None = None,
        closed: tuple[int, ...] = (),
        env: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> int:
        """Hand a message and the bytes of an envelope to qmail-queue; its exit code. user: whom it runs as (root)."""
        files = [os.memfd_create(name) for name in ("message", "envelope")]
        for fd, content in zip(files, (message, raw_envelope), strict=True):
            os.truncate(fd, len(content))
            os.pwrite(fd, content, 0)

        def prepare() -> None:
            for target, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in files]):
                os.dup2(fd, target)
            for fd in closed:
                os.close(fd)
            for limit, value in (limits or {}).items():
                resource.setrlimit(limit, (value, value))

        try:
            environment = self.home.environment(env)
            program = subprocess.Popen(
                [BUILD / "bin" / "qmail-queue"],
                env=environment,
                preexec_fn=prepare,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
            return program.wait(120)
        finally:
            for fd in files:
                os.close(fd)

    def send(self, message: bytes, sender: str, *recipients: str) -> int:
        """Queue a message, which must be accepted; its number may be used again once it is delivered."""
        assert self.put(message, envelope(sender, *recipients)) == 0
        return 0

    def files(self, *directories: str) -> list[str]:
        """The files in these directories of the queue (all), as dir/[split/]id, sorted."""
        found: list[str] = []
        for directory in directories or DIRECTORIES:
            for path in (self.path / directory).rglob("*"):
                if not path.is_dir():
                    found.append(str(path.relative_to(self.path)))
        return sorted(found)

    def numbers(self) -> list[int]:
        """The messages in the queue."""
        return sorted(int(name.rsplit("/", 1)[1]) for name in self.files("mess"))

    def split(self, directory: str, number: int) -> Path:
        """queue/DIRECTORY/SPLIT/NUMBER."""
        return self.path / directory / str(number % SPLIT) / str(number)

    def flat(self, directory: str, number: int) -> Path:
        """queue/DIRECTORY/NUMBER."""
        return self.path / directory / str(number)
