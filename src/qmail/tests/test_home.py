"""qmail-home: makes a home, finds every difference, follows no link of the queue's owners."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
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
