"""A loss of power between any two steps of queueing, and of a delivery: nothing accepted is lost, nothing is cut.

The home is on an ext4 of its own, with a journal and without. A program stops after each call that may change the
disk; then what has reached the device is copied, checked by e2fsck as after a crash, and looked at. Other things go on
meanwhile: the kernel writes out its own structures when it likes, and what another program has synced takes along what
was done before.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.queuelab import envelope, wait_until
from lab.suite import ASAN_OPTIONS, BUILD, SPLIT, Home
from test_queued import connected, is_listening, packet

MESSAGE = b"Subject: x\n\n" + b"a line of many\n" * 300
ENVELOPE = envelope("a@b.test", "bob@example.test")
KINDS = {"journal": "has_journal", "no-journal": "^has_journal"}


def sh(*command: str | Path, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


class Disk:
    """An ext4 in a file, mounted."""

    def __init__(self, folder: Path, features: str) -> None:
        """Make it and mount it."""
        self.image, self.copy = folder / "disk", folder / "copy"
        self.mount, self.look = folder / "mounted", folder / "look"
        for path in (self.mount, self.look):
            path.mkdir()
        with self.image.open("wb") as file:
            file.truncate(16 << 20)
        # A commit comes when it is asked for, not after five seconds.
        sh("mkfs.ext4", "-q", "-F", "-b", "1024", "-O", features, self.image)
        self.device = sh("losetup", "--find", "--show", self.image).strip()
        sh("mount", "-o", "commit=300" if features == "has_journal" else "rw", self.device, self.mount)

    def close(self) -> None:
        """Unmount it."""
        sh("umount", self.mount, check=False)
        sh("losetup", "--detach", self.device, check=False)

    def write_structures(self) -> None:
        """Write out the device's own pages: blocks of directories, inodes and maps, and of no file."""
        device = os.open(self.device, os.O_RDONLY)
        os.fsync(device)
        os.close(device)

    def sync_another(self) -> None:
        """Write out a new file of somebody else's."""
        with (self.mount / "another").open("w") as file:
            file.write("x")
            file.flush()
            os.fsync(file.fileno())
        (self.mount / "another").unlink()

    @contextmanager
    def after_power_loss(self) -> Iterator[Path]:
        """Give what is found after a loss of power at this moment."""
        shutil.copyfile(self.image, self.copy)
        assert subprocess.run(["e2fsck", "-fy", self.copy], capture_output=True, check=False).returncode in (0, 1)
        sh("mount", "-o", "ro,loop", self.copy, self.look)
        try:
            yield self.look
        finally:
            sh("umount", self.look)


@contextmanager
def a_disk(folder: Path, kind: str) -> Iterator[Disk]:
    if os.getuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.skip("needs root and loop devices")
    folder.mkdir()
    made = Disk(folder, KINDS[kind])
    try:
        yield made
    finally:
        made.close()


class Steps:
    """Who is told of each step of a program, before it goes on."""

    def __init__(self, folder: Path) -> None:
        """Make the FIFOs."""
        self.path = folder / "steps"
        os.mkfifo(self.path)
        os.mkfifo(f"{self.path}.go")

    def environment(self, lazy: bool) -> dict[str, str]:
        """Give what the program is started with."""
        options = {"LD_PRELOAD": str(BUILD / "steps.so"), "STEPS": str(self.path)}
        options["ASAN_OPTIONS"] = ASAN_OPTIONS + ":verify_asan_link_order=0"
        return options | ({"LAZY": "1"} if lazy else {})

    def follow(self, judge: Callable[[str], None]) -> list[str]:
        """Judge each step until the program has ended, and that; give their names."""
        seen = []
        with self.path.open() as steps, Path(f"{self.path}.go").open("w") as go:
            for line in steps:
                seen.append(line.strip())
                judge(line.strip())
                go.write("x")
                go.flush()
        judge("answer")
        return seen


Judge = Callable[[Path, str, bool], list[str]]


class Case:
    """A disk, what goes on there meanwhile, and what is wrong with it at each step."""

    def __init__(self, disk: Disk, meanwhile: Callable[[Disk], None], steps: Steps, lazy: bool) -> None:
        """Make a home there."""
        self.disk, self.meanwhile, self.steps, self.lazy = disk, meanwhile, steps, lazy
        (disk.mount / "qmail").mkdir()
        self.home = Home(disk.mount / "qmail")
        self.faults: list[str] = []
        self.done = False
        sh("sync", "-f", disk.mount)

    def environment(self) -> dict[str, str | bytes]:
        """Give what the program is started with."""
        return self.home.environment(self.steps.environment(self.lazy))

    def follow(self, judge: Judge) -> list[str]:
        """Let the program run, and give its steps."""

        def look(step: str) -> None:
            self.done = self.done or step == "answer"
            self.meanwhile(self.disk)
            with self.disk.after_power_loss() as found:
                self.faults += judge(found, step, self.done)

        return self.steps.follow(look)


def judge_queue(found: Path, step: str, accepted: bool) -> list[str]:
    entries = sorted(path.name for path in (found / "qmail/queue/todo").iterdir())
    faults = [f"{step}: {name} is cut" for name in entries if not is_whole(found, name)]
    return faults + ([f"{step}: accepted, and lost"] if accepted and len(entries) != 1 else [])


def is_whole(found: Path, name: str) -> bool:
    message = found / f"qmail/queue/mess/{int(name) % SPLIT}/{name}"
    if not message.exists() or not re.fullmatch(rb"Received: .*\n" + re.escape(MESSAGE), message.read_bytes()):
        return False
    return (found / f"qmail/queue/todo/{name}").read_bytes().endswith(b"\0" + ENVELOPE[:-1])


def queue_by_program(case: Case) -> list[str]:
    files = [os.memfd_create(name) for name in ("message", "envelope")]
    for fd, content in zip(files, (MESSAGE, ENVELOPE), strict=True):
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
    program = subprocess.Popen([BUILD / "bin/qmail-queue"], env=case.environment(), stdin=files[0], stdout=files[1])
    seen = case.follow(judge_queue)
    assert seen.count("link") == 2
    assert program.wait(30) == 0
    for fd in files:
        os.close(fd)
    return seen


def queue_by_queued(case: Case) -> list[str]:
    program = subprocess.Popen([BUILD / "bin/qmail-queued"], env=case.environment(), stdin=subprocess.PIPE)

    def hand_over() -> None:
        wait_until(lambda: is_listening(case.home), "it listens")
        with connected(case.home) as client:
            client.settimeout(120)
            client.send(packet(MESSAGE, ENVELOPE))
            answers.append(struct.unpack("I4xQ", client.recv(100))[0])
        assert program.stdin
        program.stdin.close()

    answers: list[int] = []
    client = threading.Thread(target=hand_over)
    client.start()
    seen = case.follow(judge_queue)
    client.join()
    assert program.wait(30) == 0
    assert answers == [0]
    return seen


def judge_maildir(found: Path, step: str, delivered: bool) -> list[str]:
    mails = [path.read_bytes() for path in (found / "user/Maildir/new").iterdir()]
    faults = [f"{step}: a message is cut" for mail in mails if not mail.endswith(b"\n" + MESSAGE)]
    return faults + ([f"{step}: delivered, and lost"] if delivered and len(mails) != 1 else [])


def deliver(case: Case) -> list[str]:
    user, message = case.disk.mount / "user", case.disk.mount / "message"
    for part in ("tmp", "new", "cur"):
        (user / "Maildir" / part).mkdir(parents=True)
    message.write_bytes(MESSAGE)
    sh("sync", "-f", message)
    words = ["alice", str(user), "alice", "", "", "example.test", "a@b.test", "./Maildir/"]
    with message.open("rb") as file:
        program = subprocess.Popen([BUILD / "bin/qmail-local", "--", *words], env=case.environment(), stdin=file)
    seen = case.follow(judge_maildir)
    assert "linkat" in seen
    assert program.wait(30) == 0
    return seen


WAYS = {"qmail-queue": queue_by_program, "qmail-queued": queue_by_queued, "qmail-local": deliver}


MEANWHILE: dict[str, Callable[[Disk], None]] = {
    "nothing": lambda _: None,
    "structures": Disk.write_structures,
    "another": Disk.sync_another,
}


# How often what waits for the disk is called: the fewest times that the file system lets it.
FSYNCS = {
    ("journal", "qmail-queue"): 1,
    ("journal", "qmail-queued"): 1,
    ("journal", "qmail-local"): 1,
    ("no-journal", "qmail-queue"): 3,
    ("no-journal", "qmail-queued"): 3,
    ("no-journal", "qmail-local"): 2,
}


def faults(folder: Path, kind: str, way: str, meanwhile: str, lazy: bool) -> list[str]:
    with a_disk(folder, kind) as disk:
        case = Case(disk, MEANWHILE[meanwhile], Steps(folder), lazy)
        assert WAYS[way](case).count("fsync") == FSYNCS[kind, way]
        assert case.done
        return case.faults


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_loss_of_power_at_any_step_loses_and_cuts_nothing(
    tmp_path: Path, kind: str, way: str, meanwhile: str
) -> None:
    assert faults(tmp_path / "power", kind, way, meanwhile, lazy=False) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_without_writing_out_it_would(tmp_path: Path, kind: str, way: str) -> None:
    """Somebody else's sync(2) writes out everything there is on this machine, but not each time."""
    assert any(faults(tmp_path / str(attempt), kind, way, "nothing", lazy=True) for attempt in range(3))
