"""qmail-queue at its interface: descriptors, exit codes, what is in the queue afterwards."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite import BUILD, Home, envelope, wait_until

MESSAGE = b"Subject: hello\n\nbody\n"
ADDRESS_MAX = 1003


def test_accepted_message_is_in_state_4(home: Home) -> None:
    assert home.queue(MESSAGE, "a@example.test", "b@example.test", "c@example.test").code == 0
    (number,) = home.queued()
    assert home.queue_files() == sorted(
        [f"mess/{number % 23}/{number}", f"intd/{number}", f"todo/{number}"],
    )


def test_mess_is_named_by_its_inode(home: Home) -> None:
    home.queue(MESSAGE, "a@example.test", "b@example.test")
    (number,) = home.queued()
    assert home.split("mess", number).stat().st_ino == number


def test_envelope_file_names_uid_process_sender_and_recipients(home: Home) -> None:
    home.queue(MESSAGE, "a@example.test", "b@example.test", "c@example.test")
    (number,) = home.queued()
    records = home.flat("todo", number).read_bytes().split(b"\0")
    assert records[0] == b"u%d" % os.getuid()
    assert re.fullmatch(rb"p[0-9]+", records[1])
    assert records[2:] == [b"Fa@example.test", b"Tb@example.test", b"Tc@example.test", b""]


def test_todo_and_intd_are_one_file(home: Home) -> None:
    home.queue(MESSAGE, "a@example.test", "b@example.test")
    (number,) = home.queued()
    assert home.flat("todo", number).samefile(home.flat("intd", number))


def test_message_is_kept_byte_for_byte_behind_the_received_line(home: Home) -> None:
    message = bytes(range(256)) * 1000 + b"no newline at the end"
    home.queue(message, "a@example.test", "b@example.test")
    (number,) = home.queued()
    line, kept = home.split("mess", number).read_bytes().split(b"\n", 1)
    assert kept == message
    assert re.fullmatch(
        rb"Received: \(qmail \d+ invoked by uid %d\); \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000" % os.getuid(),
        line,
    )


def test_received_line_has_the_process_id_of_the_envelope(home: Home) -> None:
    home.queue(MESSAGE, "", "b@example.test")
    (number,) = home.queued()
    process = home.flat("todo", number).read_bytes().split(b"\0")[1][1:]
    assert home.split("mess", number).read_bytes().startswith(b"Received: (qmail " + process + b" invoked")


@pytest.mark.parametrize(
    ("bytes_on_1", "code"),
    [
        (envelope("", "b"), 0),
        (envelope("a", "b") + b"what follows is not read", 0),
        (b"Fa\0Tb\0", 54),
        (b"Fa\0Tb", 54),
        (b"", 54),
        (b"Fa\0", 54),
        (b"Fa\0\0", 91),
        (b"Tb\0Fa\0\0", 91),
        (b"Fa\0Xb\0\0", 91),
        (b"Fa\0Fb\0\0", 91),
        (b"\0", 91),
        (b"fa\0tb\0\0", 91),
        (envelope("a" * ADDRESS_MAX, "b"), 0),
        (envelope("a", "b" * ADDRESS_MAX), 0),
        (envelope("a" * (ADDRESS_MAX + 1), "b"), 11),
        (envelope("a", "b", "c" * (ADDRESS_MAX + 1)), 11),
        (b"F" + b"a" * 10_000_000, 11),
    ],
)
def test_envelope_forms(home: Home, bytes_on_1: bytes, code: int) -> None:
    result = home.run("qmail-queue", stdin=MESSAGE, fds={1: bytes_on_1})
    assert result.code == code
    assert len(home.queued()) == (1 if code == 0 else 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"F", b"T", b"\0", b"a"])).map(b"".join))
def test_any_envelope_is_either_queued_whole_or_leaves_nothing(home: Home, garbage: bytes) -> None:
    before = home.queued()
    code = home.run("qmail-queue", stdin=MESSAGE, fds={1: garbage}).code
    good = re.match(rb"F[^\0]*\0(T[^\0]*\0)+\0", garbage)
    assert (code == 0) == bool(good)
    assert len(home.queued()) - len(before) == (1 if good else 0)
    assert not home.queue_files("pid")
    assert len(home.queue_files("intd")) == len(home.queued())


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_missing_descriptors_queue_nothing(home: Home, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for fd in closed:
            os.close(fd)

    result = home.run("qmail-queue", stdin=MESSAGE, fds={1: envelope("a", "b")}, prepare=close)
    assert result.code == 54
    assert not home.queue_files()


def test_without_descriptor_2_a_message_is_queued(home: Home) -> None:
    result = home.run("qmail-queue", stdin=MESSAGE, fds={1: envelope("a", "b")}, prepare=lambda: os.close(2))
    assert result.code == 0
    (number,) = home.queued()
    assert home.split("mess", number).read_bytes().endswith(MESSAGE)


def test_file_size_limit_is_a_write_error(home: Home) -> None:
    result = home.run(
        "qmail-queue",
        stdin=b"x" * 100_000,
        fds={1: envelope("a", "b")},
        prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert result.code == 53
    assert not home.queue_files()


def test_no_more_descriptors_is_trouble_with_a_queue_file(home: Home) -> None:
    result = home.run(
        "qmail-queue",
        stdin=MESSAGE,
        fds={1: envelope("a", "b")},
        prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)),
    )
    assert result.code == 63
    assert not home.queue_files()


@pytest.mark.parametrize(
    ("missing", "code"), [("queue", 62), ("queue/pid", 63), ("queue/mess", 64), ("queue/intd", 65), ("queue/todo", 66)]
)
def test_missing_directory(home: Home, missing: str, code: int) -> None:
    shutil.rmtree(home.path / missing)
    assert home.queue(MESSAGE, "a", "b").code == code
    if missing != "queue":
        assert not home.queue_files()


def test_missing_home(home: Home) -> None:
    result = home.run(
        BUILD / "bin" / "qmail-queue",
        stdin=MESSAGE,
        fds={1: envelope("a", "b")},
        env={"QMAIL_TEST_HOME": str(home.path / "nowhere")},
    )
    assert result.code == 61


def test_a_number_that_is_taken_is_left_alone(home: Home) -> None:
    """A queue restored from a backup has files whose inodes are others than their names."""
    probe = home.path / "queue" / "pid" / "probe"
    probe.touch()
    number = probe.stat().st_ino
    taken = [home.split("mess", number + i) for i in range(-3, 4)]
    for path in taken:
        path.write_bytes(b"restored")
    probe.unlink()
    assert home.queue(MESSAGE, "a", "b").code == 0
    assert all(path.read_bytes() == b"restored" for path in taken)
    (todo,) = home.queue_files("todo")
    assert home.split("mess", int(todo.split("/")[1])).read_bytes().endswith(MESSAGE)


class Slow:
    """qmail-queue waiting for the rest of a message."""

    def __init__(self, home: Home) -> None:
        self.envelope_end, envelope_ours = os.pipe()
        self.process = subprocess.Popen(
            [home.path / "bin" / "qmail-queue"],
            stdin=subprocess.PIPE,
            stdout=self.envelope_end,
            env=home.environment(),
        )
        os.close(self.envelope_end)
        self.envelope = envelope_ours
        wait_until(lambda: bool(home.queue_files("mess")), "the mess file exists")


def test_signals_do_not_disturb(home: Home) -> None:
    slow = Slow(home)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE):
        slow.process.send_signal(number)
    assert slow.process.stdin
    slow.process.stdin.write(MESSAGE)
    slow.process.stdin.close()
    os.write(slow.envelope, envelope("a", "b"))
    assert slow.process.wait(20) == 0
    os.close(slow.envelope)


def test_alarm_ends_it_and_leaves_nothing(home: Home) -> None:
    slow = Slow(home)
    slow.process.send_signal(signal.SIGALRM)
    assert slow.process.wait(20) == 52
    os.close(slow.envelope)
    assert not home.queue_files()


def test_blocked_and_ignored_signals_are_reset(home: Home) -> None:
    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    message, message_ours = os.pipe()
    envelope_end, envelope_ours = os.pipe()
    process = subprocess.Popen(
        [home.path / "bin" / "qmail-queue"],
        stdin=message,
        stdout=envelope_end,
        env=home.environment(),
        preexec_fn=block,
    )
    wait_until(lambda: bool(home.queue_files("mess")), "the mess file exists")
    process.send_signal(signal.SIGALRM)
    assert process.wait(20) == 52
    for fd in (message, message_ours, envelope_end, envelope_ours):
        os.close(fd)


def test_trigger_is_pulled(home: Home) -> None:
    fifo = os.open(home.path / "queue" / "lock" / "trigger", os.O_RDWR | os.O_NONBLOCK)
    home.queue(MESSAGE, "a", "b")
    assert os.read(fifo, 10) == b"\0"
    os.close(fifo)


def test_memory_does_not_grow_with_recipients(home: Home) -> None:
    """A million recipients within an address space that could not hold them."""
    build = BUILD.parent / "build" / "bin" / "qmail-queue"
    if not build.exists():
        pytest.skip("needs the plain build: address space limits and AddressSanitizer exclude each other")
    many = b"F\0" + b"Tsomebody-or-other@some.example.test\0" * 1_000_000 + b"\0"
    start = time.monotonic()
    result = home.run("qmail-queue", stdin=MESSAGE, fds={1: many})
    assert result.code == 0
    assert time.monotonic() - start < 30
    (number,) = home.queued()
    assert home.flat("todo", number).stat().st_size > len(many)
