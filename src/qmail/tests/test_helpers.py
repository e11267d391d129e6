"""The programs that .qmail files call: forward, except, condredirect, bouncesaying, preline, maildirmake."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from lab.suite import Home, Recorder

MESSAGE = b"Subject: x\n\nbody\n"
LINES = {
    "DTLINE": "Delivered-To: alice@example.test\n",
    "RPLINE": "Return-Path: <joe@sender.test>\n",
    "UFLINE": "From joe@sender.test Mon Nov 23 12:00:00 2026\n",
    "NEWSENDER": "alice-owner@example.test",
}


class Helpers:
    """Runs a helper as a program line would."""

    def __init__(self, home: Home, recorder: Recorder) -> None:
        self.home, self.recorder = home, recorder

    def __call__(
        self, *args: str, pipe: bool = False, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        file = self.home.path / "message"
        file.write_bytes(MESSAGE)
        given = {"QMAILQUEUE": str(self.recorder.program), **(LINES if env is None else env)}
        return self.home.run(args[0], *args[1:], stdin=MESSAGE if pipe else file, env=given)


@pytest.fixture
def helper(home: Home, recorder: Recorder) -> Helpers:
    return Helpers(home, recorder)


@pytest.mark.parametrize("pipe", [False, True])
def test_forward_queues_for_all_its_addresses(helper: Helpers, pipe: bool) -> None:
    done = helper("forward", "a@a.test", "b@b.test", pipe=pipe)
    assert done.returncode == 0
    assert done.stdout.startswith(b"qp ")
    queued = helper.recorder.one()
    assert queued.sender == b"alice-owner@example.test"
    assert queued.recipients == [b"a@a.test", b"b@b.test"]
    assert queued.message == LINES["DTLINE"].encode() + MESSAGE


@pytest.mark.parametrize(("code", "expected"), [(31, 100), (53, 111), (81, 111)])
def test_forward_fails_as_the_queue_does(helper: Helpers, code: int, expected: int) -> None:
    helper.recorder.answer(code)
    assert helper("forward", "a@a.test").returncode == expected


@pytest.mark.parametrize(
    "args",
    [
        ("forward", "a@a.test,", "b@b.test"),
        ("forward", "a@a.test", "<b@b.test>"),
        ("forward", ""),
        ("condredirect", "a@a.test b@b.test", "true"),
    ],
)
def test_what_is_no_address_defers(helper: Helpers, args: tuple[str, ...]) -> None:
    done = helper(*args)
    assert done.returncode == 111
    assert b"is not an address" in done.stdout
    assert helper.recorder.all() == []


@pytest.mark.parametrize("missing", ["DTLINE", "NEWSENDER"])
def test_forward_outside_of_dot_qmail_is_refused(helper: Helpers, missing: str) -> None:
    done = helper("forward", "a@a.test", env={name: value for name, value in LINES.items() if name != missing})
    assert done.returncode == 100
    assert missing.encode() in done.stdout


@pytest.mark.parametrize("line", ["Delivered-To: x", "A: b\nC: d\n", "\nbody\n"])
def test_forward_takes_no_header_from_dtline(helper: Helpers, line: str) -> None:
    assert helper("forward", "a@a.test", env=LINES | {"DTLINE": line}).returncode == 100
    assert helper.recorder.all() == []


@pytest.mark.parametrize(("code", "expected"), [(0, 100), (111, 111), (1, 0), (99, 0), (100, 0)])
def test_except_turns_the_exit_code_round(helper: Helpers, code: int, expected: int) -> None:
    assert helper("except", "sh", "-c", f"exit {code}").returncode == expected


@pytest.mark.parametrize("args", [("except",), ("bouncesaying", "no"), ("condredirect", "a@a.test")])
def test_a_program_that_is_missing_or_killed_defers(helper: Helpers, args: tuple[str, ...]) -> None:
    assert helper(*args, "/nonexistent").returncode == 111
    assert helper(*args, "sh", "-c", "kill -KILL $$").returncode == 111
    assert helper.recorder.all() == []


def test_condredirect_forwards_and_stops_where_the_program_agrees(helper: Helpers) -> None:
    done = helper("condredirect", "new@a.test", "grep", "-q", "Subject")
    assert done.returncode == 99
    queued = helper.recorder.one()
    assert (queued.recipients, queued.message) == ([b"new@a.test"], LINES["DTLINE"].encode() + MESSAGE)


@pytest.mark.parametrize(("code", "expected"), [(111, 111), (1, 0), (100, 0), (99, 0)])
def test_condredirect_does_nothing_otherwise(helper: Helpers, code: int, expected: int) -> None:
    assert helper("condredirect", "new@a.test", "sh", "-c", f"exit {code}").returncode == expected
    assert helper.recorder.all() == []


def test_condredirect_does_not_stop_when_it_could_not_forward(helper: Helpers) -> None:
    helper.recorder.answer(53)
    assert helper("condredirect", "new@a.test", "true").returncode == 111


@pytest.mark.parametrize(("code", "expected"), [(0, 100), (111, 111), (1, 0), (100, 0)])
def test_bouncesaying_with_a_program(helper: Helpers, code: int, expected: int) -> None:
    done = helper("bouncesaying", "Not here any more.", "sh", "-c", f"exit {code}")
    assert done.returncode == expected
    assert (done.stdout == b"Not here any more.\n") == (expected == 100)


def test_bouncesaying_alone_always_refuses(helper: Helpers) -> None:
    done = helper("bouncesaying", "Gone.")
    assert (done.returncode, done.stdout) == (100, b"Gone.\n")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), ("UFLINE", "RPLINE", "DTLINE")),
        (("-f",), ("RPLINE", "DTLINE")),
        (("-r",), ("UFLINE", "DTLINE")),
        (("-d",), ("UFLINE", "RPLINE")),
        (("-dfr",), ()),
    ],
)
def test_preline_puts_the_lines_in_front(helper: Helpers, options: tuple[str, ...], lines: tuple[str, ...]) -> None:
    done = helper("preline", *options, "cat")
    assert done.returncode == 0
    assert done.stdout == "".join(LINES[name] for name in lines).encode() + MESSAGE


@pytest.mark.parametrize("code", [0, 1, 99, 100, 111])
def test_preline_ends_as_its_program_does(helper: Helpers, code: int) -> None:
    assert helper("preline", "sh", "-c", f"cat >/dev/null; exit {code}").returncode == code


def test_preline_without_its_variables_or_program(helper: Helpers) -> None:
    assert helper("preline", "cat", env={}).returncode == 100
    assert helper("preline", "-dfr", "cat", env={}).stdout == MESSAGE
    assert helper("preline", "/nonexistent").returncode == 111
    assert helper("preline").returncode == 100
    assert helper("preline", "-x", "cat").returncode == 100


def test_preline_ends_its_program_when_the_message_breaks_off(helper: Helpers) -> None:
    directory = os.open(helper.home.path, os.O_RDONLY)  # it can be opened, and not be read
    done = helper.home.run("preline", "sleep", "50", env=LINES, fds={0: directory}, timeout=20)
    os.close(directory)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("args", [("preline",), ("except",)])
def test_programs_find_signals_as_usual(helper: Helpers, args: tuple[str, ...]) -> None:
    """A program that ignores SIGPIPE may go on writing to nobody."""
    done = helper(*args, "awk", "/^SigIgn/ {print $2}", "/proc/self/status")
    assert not int(done.stdout, 16) >> signal.SIGPIPE - 1 & 1


def test_programs_get_no_descriptors_of_others(helper: Helpers) -> None:
    ours = os.memfd_create("ours", 0)
    done = helper.home.run("except", "ls", "/proc/self/fd", env=LINES, fds={7: ours})
    os.close(ours)
    assert done.stdout.split() == [b"0", b"1", b"2", b"3"], "and the directory itself"


@pytest.mark.parametrize("args", [("except",), ("condredirect", "new@a.test")])
def test_each_reads_the_message_from_its_start(helper: Helpers, args: tuple[str, ...]) -> None:
    """Whatever an earlier line of the dot-qmail file has read of it."""
    file = helper.home.path / "message"
    file.write_bytes(MESSAGE)
    env = {"QMAILQUEUE": str(helper.recorder.program), **LINES}
    with file.open("rb") as opened:
        os.lseek(opened.fileno(), 0, os.SEEK_END)
        done = helper.home.run(*args, "grep", "-q", "Subject", env=env, fds={0: opened.fileno()})
    assert done.returncode == (100 if args[0] == "except" else 99)


def test_maildirmake(home: Home, tmp_path: Path) -> None:
    maildir = tmp_path / "Maildir"
    assert home.run("maildirmake", maildir).returncode == 0
    assert sorted(part.name for part in maildir.iterdir()) == ["cur", "new", "tmp"]
    assert {path.stat().st_mode & 0o7777 for path in (maildir, *maildir.iterdir())} == {0o700}


def test_maildirmake_leaves_what_exists_alone(home: Home, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    done = home.run("maildirmake", tmp_path / "there")
    assert done.returncode == 111
    assert b"File exists" in done.stderr
    assert not list((tmp_path / "there").iterdir())
    assert home.run("maildirmake", tmp_path / "none" / "x").returncode == 111


@pytest.mark.parametrize("args", [(), ("",), ("a", "b")])
def test_maildirmake_wants_one_directory(home: Home, args: tuple[str, ...]) -> None:
    assert home.run("maildirmake", *args).returncode == 100
