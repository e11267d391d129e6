"""qmail-home: makes a home, finds every difference, follows no link of the queue's owners."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest
from lab.queuelab import Queue
from lab.suite import BUILD, SPLIT, Home

# What qmail's installation documents: path, type, mode.
EXPECTED = {
    "alias": (stat.S_IFDIR, 0o2755),
    "control": (stat.S_IFDIR, 0o755),
    "users": (stat.S_IFDIR, 0o755),
    "queue": (stat.S_IFDIR, 0o750),
    "queue/pid": (stat.S_IFDIR, 0o700),
    "queue/intd": (stat.S_IFDIR, 0o700),
    "queue/todo": (stat.S_IFDIR, 0o750),
    "queue/mess": (stat.S_IFDIR, 0o750),
    "queue/mess/0": (stat.S_IFDIR, 0o750),
    f"queue/mess/{SPLIT - 1}": (stat.S_IFDIR, 0o750),
    "queue/info/0": (stat.S_IFDIR, 0o700),
    "queue/local/1": (stat.S_IFDIR, 0o700),
    "queue/remote/2": (stat.S_IFDIR, 0o700),
    "queue/bounce": (stat.S_IFDIR, 0o700),
    "queue/lock": (stat.S_IFDIR, 0o750),
    "queue/lock/sendmutex": (stat.S_IFREG, 0o600),
    "queue/lock/tcpto": (stat.S_IFREG, 0o644),
    "queue/lock/trigger": (stat.S_IFIFO, 0o622),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    path = tmp_path / "qmail"
    path.mkdir()
    made = Home(path)
    assert made.run("qmail-home", "make").returncode == 0
    return made


def differences(home: Home) -> list[str]:
    """Lines of check about directories and the queue (the build's programs have other modes)."""
    lines = home.run("qmail-home", "check").stdout.decode().splitlines()
    return [line for line in lines if "/" in line or line.split(":")[0] not in PROGRAM_NAMES]


PROGRAM_NAMES = {path.name for path in (BUILD / "bin").glob("*")}


@pytest.mark.parametrize("path", EXPECTED)
def test_made_with_type_and_mode(home: Home, path: str) -> None:
    mode = (home.path / path).lstat().st_mode
    assert (stat.S_IFMT(mode), stat.S_IMODE(mode)) == EXPECTED[path]


def test_split_has_no_more_directories_than_said(home: Home) -> None:
    assert len(list((home.path / "queue" / "mess").iterdir())) == SPLIT


def test_fresh_home_has_no_difference(home: Home) -> None:
    assert differences(home) == []


def test_second_make_says_and_changes_nothing(home: Home) -> None:
    assert home.run("qmail-home", "make").stdout == b""


def test_each_difference_is_a_line_and_make_mends_it(home: Home) -> None:
    queue = home.path / "queue"
    (queue / "pid").chmod(0o755)
    (queue / "mess" / "7").rmdir()
    (queue / "lock" / "trigger").unlink()
    result = home.run("qmail-home", "check")
    assert result.returncode == 1
    assert differences(home) == [
        "queue/pid: mode 0755, should be 0700",
        "queue/mess/7: missing",
        "queue/lock/trigger: missing",
    ]
    assert home.run("qmail-home", "make").returncode == 0
    assert differences(home) == []


def test_link_in_the_queue_is_not_followed(home: Home, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("root's")
    victim.chmod(0o600)
    tcpto = home.path / "queue" / "lock" / "tcpto"
    tcpto.unlink()
    tcpto.symlink_to(victim)
    assert home.run("qmail-home", "make").returncode == 111
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert "queue/lock/tcpto: is a symbolic link, should be a regular file" in differences(home)


def test_second_name_of_a_file_is_not_changed(home: Home, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("root's")
    victim.chmod(0o600)
    tcpto = home.path / "queue" / "lock" / "tcpto"
    tcpto.unlink()
    tcpto.hardlink_to(victim)
    home.run("qmail-home", "make")
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


def test_programs_get_their_modes(home: Home, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAM_NAMES:
        (programs / name).write_bytes(b"")
        (programs / name).chmod(0o755)
    assert home.run("qmail-home", "programs", str(programs)).returncode == 0
    assert stat.S_IMODE((programs / "qmail-queue").stat().st_mode) == 0o4711
    assert stat.S_IMODE((programs / "qmail-home").stat().st_mode) == 0o711


def test_missing_program_is_trouble(home: Home, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    result = home.run("qmail-home", "programs", str(tmp_path / "bin"))
    assert result.returncode == 111
    assert b"qmail-queue: missing" in result.stdout


def test_usage(home: Home) -> None:
    assert home.run("qmail-home").returncode == 100
    assert home.run("qmail-home", "chekc").returncode == 100


DAYS = 86400


def message(home: Home, number: int, *directories: str, age: float = 0) -> dict[str, Path]:
    """Put a message's files into these directories of the queue, made so many seconds ago."""
    queue, made = Queue(home), {}
    for name in directories:
        split = name in {"mess", "info", "local", "remote"}
        path = made[name] = queue.split(name, number) if split else queue.flat(name, number)
        path.write_bytes(b"Fsender@example.test\0" if name == "info" else b"Trecipient@example.test\0")
        os.utime(path, (time.time() - age,) * 2)
    return made


@pytest.mark.parametrize(
    "directories",
    [
        ("mess",),
        ("mess", "intd"),
        ("mess", "intd", "todo"),
        ("mess", "info", "local", "remote", "bounce"),
        ("mess", "info"),
    ],
)
def test_a_message_in_each_of_its_states_is_no_difference(home: Home, directories: tuple[str, ...]) -> None:
    message(home, 1234, *directories)
    assert differences(home) == []


# What is put where, how old it is, and what is said of the last.
STRANGE = {
    "info without a message": (("info",), 0, "has no message: there is no queue/mess/15/1234"),
    "recipients without a message": (("info", "remote"), 0, "has no message: there is no queue/mess/15/1234"),
    "an envelope without a message": (("intd",), 0, "has no message: there is no queue/mess/15/1234"),
    "a wish without a message": (("todo",), 0, "has no message: there is no queue/mess/15/1234"),
    "recipients of nobody's": (("mess", "local"), 0, "has no info"),
    "notes of nobody's": (("mess", "bounce"), 0, "has no info"),
    "a message that nobody cleaned up": (("mess",), 3 * DAYS, "has neither info nor todo, and was not cleaned up"),
    "an envelope that nobody cleaned up": (("mess", "intd"), 3 * DAYS, "has no todo, and was not cleaned up"),
    "a message that nobody takes in": (("mess", "intd", "todo"), 2 * DAYS, "waits to be taken in for more than a day"),
    "older than its life": (
        ("mess", "info"),
        10 * DAYS,
        "is in the queue for 240 hours, control/queuelifetime is 168",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_lies_in_the_queue_without_a_reason_is_told_and_left(home: Home, case: str) -> None:
    directories, age, said = STRANGE[case]
    last = list(message(home, 1234, *directories, age=age).values())[-1].relative_to(home.path)
    result = home.run("qmail-home", "check")
    assert f"{last}: {said}" in differences(home)
    assert result.returncode in {1, 2}  # 1: the tests' programs have other modes
    home.run("qmail-home", "make")
    assert (home.path / last).exists()


def test_the_exit_code_says_whether_make_would_mend_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.run("qmail-home", "make").returncode == 0
    assert home.run("qmail-home", "check").returncode == 0
    message(home, 1234, "info")
    assert home.run("qmail-home", "check").returncode == 2
    (home.path / "queue" / "pid").chmod(0o755)
    assert home.run("qmail-home", "check").returncode == 1
    assert home.run("qmail-home", "make").stdout == b"queue/pid: mode 0755, should be 0700\n"
    assert home.run("qmail-home", "check").returncode == 2


def test_the_life_of_a_message_is_the_site_s(home: Home) -> None:
    message(home, 1234, "mess", "info", age=10 * DAYS)
    home.control(queuelifetime=str(30 * DAYS))
    assert differences(home) == []
    home.control(queuelifetime="soon")
    result = home.run("qmail-home", "check")
    assert result.returncode == 111
    assert b"control/queuelifetime" in result.stderr


def test_a_wrong_split_a_strange_name_and_a_strange_kind_are_told(home: Home, tmp_path: Path) -> None:
    queue = home.path / "queue"
    (queue / "mess/3/1234").write_bytes(b"")
    (queue / "mess/3/x\n\x1b[31m").write_bytes(b"")
    (queue / "info/0/0046").write_bytes(b"")
    (queue / "todo/link").symlink_to(tmp_path)
    (queue / "todo/77").symlink_to(tmp_path)
    (queue / "intd/78").mkdir()
    (queue / "mess/23").mkdir()
    (queue / "mess/01").mkdir()
    (queue / "lock/smtp").write_bytes(b"")
    (queue / "spare").mkdir()
    old = queue / "pid" / "1.2.3"
    old.write_bytes(b"")
    os.utime(old, (time.time() - 3 * DAYS,) * 2)
    assert sorted(differences(home)) == [
        "queue/info/0/0046: is no message's",
        "queue/intd/78: is no regular file",
        "queue/lock/smtp: is no part of the queue",
        "queue/mess/01: is no part of the queue",
        "queue/mess/23: is no part of the queue",
        "queue/mess/3/1234: belongs into queue/mess/15",
        "queue/mess/3/x??[31m: is no message's",
        "queue/pid/1.2.3: was left by a qmail-queue, and was not cleaned up",
        "queue/spare: is no part of the queue",
        "queue/todo/77: is no regular file",
        "queue/todo/link: is no message's",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_else_s_file_in_the_queue_is_told(home: Home) -> None:
    path = message(home, 1234, "mess", "info")["info"]
    os.chown(path, 65534, 65534)
    (said,) = differences(home)
    assert said.startswith("queue/info/15/1234: uid 65534, should be ")


def test_a_queue_full_of_strange_things_is_told_in_few_lines(home: Home) -> None:
    for number in range(150):
        (home.path / "queue" / "todo" / f"x{number}").write_bytes(b"")
    said = differences(home)
    assert len(said) == 101
    assert said[-1] == "queue: 50 more"


def test_a_queue_at_work_has_no_difference(home: Home) -> None:
    """Messages that come while it is being looked at are in one of their states at each moment."""
    queue = Queue(home)
    stop = threading.Event()

    def bring() -> None:
        while not stop.is_set():
            queue.send(b"Subject: x\n\nx\n", "a@example.test", "b@example.test")
            for number in queue.numbers():
                # As qmail-send ends a message that was never preprocessed: todo last, the message after it.
                for path in (queue.flat("intd", number), queue.flat("todo", number), queue.split("mess", number)):
                    path.unlink(missing_ok=True)

    worker = threading.Thread(target=bring)
    worker.start()
    try:
        for _ in range(20):
            assert differences(home) == []
    finally:
        stop.set()
        worker.join()
