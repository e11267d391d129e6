"""bin/bench start and out: copies of a message in a queue."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from sitelab.bench import backlog
from sitelab.bench.backlog import Kept, Postfix, Qmail
from sitelab.bench.peers import PEERS
from sitelab.container import Container
from sitelab.host import UnfitHostError

SPLIT = 23


@pytest.fixture
def qmail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Qmail:
    """A queue whose qmail-queue queues what is submitted, and whose qmail-send defers it."""
    monkeypatch.setattr("sitelab.bench.peer.DISK", tmp_path)
    queue = tmp_path / "site/queue"
    for folder in Qmail.FOLDERS:
        for at in range(SPLIT) if folder in Qmail.SPLIT else [""]:
            (queue / folder / str(at)).mkdir(parents=True)
    (queue / "lock").mkdir()
    (queue / "lock/sendmutex").touch()
    made = Qmail(PEERS["qmail-site"])

    def run(_: Container, *words: str, stdin: str = "") -> None:
        if words[0] == "/usr/sbin/sendmail":
            (queue / f"mess/{7 % SPLIT}/7").write_text(f"Received: by bench\n{stdin}")
            (queue / "todo/7").write_bytes(b"u1\0p2\0Fme\0T%s\0" % words[-1].encode())
            (queue / "intd/7").hardlink_to(queue / "todo/7")
        elif words[1] == "start" and (queue / "todo/7").exists():
            for folder in ("info", "remote"):
                (queue / f"{folder}/{7 % SPLIT}/7").write_text(folder)
            (queue / "todo/7").unlink()
            (queue / "intd/7").unlink()

    monkeypatch.setattr(Container, "run", run)
    return made


def numbers(queue: Path, folder: str) -> set[int]:
    return {int(path.name) for path in (queue / folder).rglob("[0-9]*") if path.is_file()}


def test_new_messages_are_named_by_their_numbers(qmail: Qmail) -> None:
    files = qmail.learn("alice@example.test", waiting=False)
    assert not numbers(qmail.queue, "mess")
    assert (qmail.queue / "lock/sendmutex").exists()
    qmail.add(files, 30)
    messages = [path for path in (qmail.queue / "mess").rglob("*") if path.is_file()]
    assert len(messages) == 30
    for path in messages:
        assert path.stat().st_ino == int(path.name)
        assert int(path.parent.name) == int(path.name) % SPLIT
        assert path.read_text() == f"Received: by bench\n{backlog.MESSAGE}"
        todo = qmail.queue / "todo" / path.name
        assert todo.read_bytes().endswith(b"Talice@example.test\0")
        assert todo.samefile(qmail.queue / "intd" / path.name)
    assert not numbers(qmail.queue, "info")
    assert not list((qmail.queue / "pid").iterdir())


def test_messages_that_wait_are_tried_tomorrow(qmail: Qmail) -> None:
    qmail.add(qmail.learn("x@sink.test", waiting=True), 5)
    there = numbers(qmail.queue, "mess")
    assert len(there) == 5
    assert numbers(qmail.queue, "info") == numbers(qmail.queue, "remote") == there
    assert not numbers(qmail.queue, "todo")
    for folder, least in (("remote", 80000), ("info", -100)):
        for number in there:
            age = (qmail.queue / f"{folder}/{number % SPLIT}/{number}").stat().st_mtime - time.time()
            assert least < age < least + 10000


def test_a_message_that_does_not_come_is_told(qmail: Qmail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "PATIENCE", 0.1)
    monkeypatch.setattr(Container, "run", lambda *_, stdin="": None)
    with pytest.raises(UnfitHostError, match="qmail-site: nothing came to lie in todo"):
        qmail.learn("alice@example.test", waiting=False)


def test_a_queue_that_was_put_aside_comes_back_as_it_was(qmail: Qmail) -> None:
    files = qmail.learn("x@sink.test", waiting=True)
    qmail.add(files, 5)
    there = numbers(qmail.queue, "mess")
    (qmail.queue / "remote").chmod(0o750)
    qmail.park("waiting")
    assert qmail.count() == 0
    assert len(list((qmail.queue / "mess").iterdir())) == SPLIT
    assert (qmail.queue / "remote").stat().st_mode & 0o7777 == 0o750
    qmail.add(files, 2)
    qmail.unpark("waiting")
    assert numbers(qmail.queue, "mess") == numbers(qmail.queue, "remote") == there
    assert qmail.count() == 5
    assert (qmail.queue / "lock/sendmutex").exists()
    qmail.park("waiting")
    qmail.forget("waiting")
    assert [path.name for path in qmail.queue.parent.iterdir()] == ["queue"]


@pytest.fixture
def postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Postfix:
    monkeypatch.setattr("sitelab.bench.peer.DISK", tmp_path)
    queue = tmp_path / "postfix/queue"
    for folder in (*Postfix.FOLDERS, "deferred/A", "pid"):
        (queue / folder).mkdir(parents=True)
    (queue / "pid/master.pid").touch()
    made = Postfix(PEERS["postfix"])

    def run(_: Container, *words: str, stdin: str = "") -> None:
        if words[0] == "/usr/sbin/sendmail":
            (queue / "deferred/A/A0001").write_bytes(b"C")
            (queue / "deferred/A/A0001").chmod(0o700)

    monkeypatch.setattr(Container, "run", run)
    return made


@pytest.mark.parametrize("waiting", [False, True])
def test_postfix_has_a_file_for_each_with_a_name_that_it_would_give(postfix: Postfix, waiting: bool) -> None:
    postfix.add(postfix.learn("x@sink.test", waiting), 5)
    assert (postfix.queue / "pid/master.pid").exists()
    found = list(postfix.queue.glob("deferred/*/*" if waiting else "incoming/*"))
    assert len(found) == postfix.count() == 5
    for path in found:
        assert int(path.name[5:], 16) == path.stat().st_ino
        assert path.stat().st_mode & 0o7777 == 0o700
        assert path.stat().st_mtime > time.time() + 80000 if waiting else path.stat().st_mtime < time.time() + 9
        assert not waiting or path.parent.name == path.name[0]


def test_a_queue_manager_that_does_not_listen_yet_is_waited_for(
    postfix: Postfix, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter([1, 1, 0])
    monkeypatch.setattr(Container, "run", lambda *_, check: subprocess.CompletedProcess([], next(codes)))
    postfix.release()
    assert next(codes, None) is None
    monkeypatch.setattr(Container, "run", lambda *_, check: subprocess.CompletedProcess([], 1))
    monkeypatch.setattr(backlog, "PATIENCE", 0.1)
    with pytest.raises(UnfitHostError, match="postfix: the queue manager takes no request"):
        postfix.release()


def test_a_copy_has_owner_mode_and_content(tmp_path: Path) -> None:
    (tmp_path / "queue/todo").mkdir(parents=True)
    (tmp_path / "queue/todo/1").write_bytes(b"x")
    (tmp_path / "queue/todo/1").chmod(0o640)
    of = backlog.kept(tmp_path / "queue/todo/1", tmp_path / "queue")
    assert of == Kept("todo", b"x", 0o640, os.getuid(), os.getgid())
    of.write(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x"
    assert (tmp_path / "copy").stat().st_mode & 0o7777 == 0o640
