"""What is on disk when a program says so: it has synced the file before it names it, and the name after."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab.queuelab import Queue, envelope
from lab.suite import ASAN_OPTIONS, BUILD, Home, Recorder
from test_local import MESSAGE, User


def watched(log: Path) -> dict[str, str]:
    """Give an environment in which a program's syncs and renames are written down."""
    return {
        "LD_PRELOAD": str(BUILD / "synced.so"),
        "SYNCED": str(log),
        "ASAN_OPTIONS": ASAN_OPTIONS + ":verify_asan_link_order=0",
    }


def told(log: Path, root: Path) -> list[str]:
    """Give what was done, without ROOT: `fsync intd/7`, `name todo/7`, `fsync todo`."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.replace(f"{root}/", "") for line in lines]


def kinds(lines: list[str]) -> list[str]:
    """Give each step with the directory that it concerns, of a path its first part."""
    return [f"{line.split()[0]} {line.split()[1].split('/')[0]}" for line in lines]


@pytest.fixture
def user(home: Home, recorder: Recorder, tmp_path: Path) -> User:
    return User(home, recorder, tmp_path / "alice")


def test_an_accepted_message_is_on_disk_before_it_is_one(home: Home, tmp_path: Path) -> None:
    """See qmail-queue.c: the files, then the name in todo, then the directory todo."""
    log = tmp_path / "synced"
    queue = Queue(home)
    assert queue.put(MESSAGE, envelope("a@example.test", "b@example.test"), env=watched(log)) == 0
    (number,) = queue.numbers()
    steps = told(log, home.path / "queue")
    before = steps[: steps.index(f"name todo/{number}")]
    assert f"fsync intd/{number}" in before
    assert "fsync pid" in kinds(before), "the message, under its first name"
    assert steps[-1] == "fsync todo"


def test_a_delivered_message_is_on_disk(user: User, tmp_path: Path) -> None:
    maildir = user.maildir()
    log = tmp_path / "synced"
    assert user.deliver(env=watched(log)).returncode == 0
    steps = [step.partition("/")[0] for step in told(log, maildir)]
    assert steps[0] == "fsync tmp"
    assert steps[1].startswith("name ")
    assert steps[2:] == ["fsync new"]


def test_a_message_in_an_mbox_is_on_disk(user: User, tmp_path: Path) -> None:
    user.dot("./mbox\n")
    log = tmp_path / "synced"
    assert user.deliver(env=watched(log)).returncode == 0
    assert f"fsync {user.path}/mbox" in told(log, tmp_path / "nowhere")


def test_a_maildir_that_is_made_stays(tmp_path: Path) -> None:
    log = tmp_path / "synced"
    subprocess.run([BUILD / "bin" / "maildirmake", tmp_path / "Maildir"], env=watched(log), check=True, timeout=60)
    assert any(step.startswith("fsync ") for step in told(log, tmp_path))
