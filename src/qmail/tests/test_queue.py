"""qmail-queue at its interface: descriptors, exit codes, what is in the queue afterwards."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.queuelab import Queue, envelope, wait_until
from lab.sendlab import GID, UID, site
from lab.suite import BUILD, Home, fast_clock

MESSAGE = b"Subject: hello\n\nbody\n"
ADDRESS_MAX = 1003


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home)


def test_accepted_message_is_in_state_4(queue: Queue) -> None:
    queue.send(MESSAGE, "a@example.test", "b@example.test", "c@example.test")
    (number,) = queue.numbers()
    assert queue.files() == sorted(
        [f"mess/{number % 23}/{number}", f"intd/{number}", f"todo/{number}"],
    )


def test_mess_is_named_by_its_inode(queue: Queue) -> None:
    queue.send(MESSAGE, "a@example.test", "b@example.test")
    (number,) = queue.numbers()
    assert queue.split("mess", number).stat().st_ino == number


def test_envelope_file_names_uid_process_sender_and_recipients(queue: Queue) -> None:
    queue.send(MESSAGE, "a@example.test", "b@example.test", "c@example.test")
    (number,) = queue.numbers()
    records = queue.flat("todo", number).read_bytes().split(b"\0")
    assert records[0] == b"u%d" % os.getuid()
    assert re.fullmatch(rb"p[0-9]+", records[1])
    assert records[2:] == [b"Fa@example.test", b"Tb@example.test", b"Tc@example.test", b""]


def test_the_invokers_umask_does_not_count(queue: Queue) -> None:
    """qmail-send and the users' qmail-locals read what belongs to another user."""
    before = os.umask(0o077)
    try:
        queue.send(MESSAGE, "a@example.test", "b@example.test")
    finally:
        os.umask(before)
    (number,) = queue.numbers()
    files = (queue.split("mess", number), queue.flat("todo", number))
    assert [file.stat().st_mode & 0o777 for file in files] == [0o644, 0o644]


def test_todo_and_intd_are_one_file(queue: Queue) -> None:
    queue.send(MESSAGE, "a@example.test", "b@example.test")
    (number,) = queue.numbers()
    assert queue.flat("todo", number).samefile(queue.flat("intd", number))


def test_message_is_kept_byte_for_byte_behind_the_received_line(queue: Queue) -> None:
    message = bytes(range(256)) * 1000 + b"no newline at the end"
    queue.send(message, "a@example.test", "b@example.test")
    (number,) = queue.numbers()
    line, kept = queue.split("mess", number).read_bytes().split(b"\n", 1)
    assert kept == message
    assert re.fullmatch(
        rb"Received: \(qmail \d+ invoked by uid %d\); \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000" % os.getuid(),
        line,
    )


def test_received_line_has_the_process_id_of_the_envelope(queue: Queue) -> None:
    queue.send(MESSAGE, "", "b@example.test")
    (number,) = queue.numbers()
    process = queue.flat("todo", number).read_bytes().split(b"\0")[1][1:]
    assert queue.split("mess", number).read_bytes().startswith(b"Received: (qmail " + process + b" invoked")


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
def test_envelope_forms(queue: Queue, bytes_on_1: bytes, code: int) -> None:
    assert queue.put(MESSAGE, bytes_on_1) == code
    assert len(queue.numbers()) == (1 if code == 0 else 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"F", b"T", b"\0", b"a"])).map(b"".join))
def test_any_envelope_is_either_queued_whole_or_leaves_nothing(queue: Queue, garbage: bytes) -> None:
    before = queue.numbers()
    code = queue.put(MESSAGE, garbage)
    good = re.match(rb"F[^\0]*\0(T[^\0]*\0)+\0", garbage)
    assert (code == 0) == bool(good)
    assert len(queue.numbers()) - len(before) == (1 if good else 0)
    assert not queue.files("pid")
    assert len(queue.files("intd")) == len(queue.numbers())


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_missing_descriptors_queue_nothing(queue: Queue, closed: tuple[int, ...]) -> None:
    assert queue.put(MESSAGE, envelope("a", "b"), closed=closed) == 54
    assert not queue.files()


def test_without_descriptor_2_a_message_is_queued(queue: Queue) -> None:
    assert queue.put(MESSAGE, envelope("a", "b"), closed=(2,)) == 0
    (number,) = queue.numbers()
    assert queue.split("mess", number).read_bytes().endswith(MESSAGE)


def test_file_size_limit_is_a_write_error(queue: Queue) -> None:
    limits = {resource.RLIMIT_FSIZE: 50_000}
    assert queue.put(b"x" * 100_000, envelope("a", "b"), limits=limits) == 53
    assert not queue.files()


@pytest.mark.parametrize(("missing", "code"), [("", 62), ("pid", 63), ("mess", 64), ("intd", 65), ("todo", 66)])
def test_missing_directory(queue: Queue, missing: str, code: int) -> None:
    shutil.rmtree(queue.path / missing)
    assert queue.put(MESSAGE, envelope("a", "b")) == code
    if missing:
        assert not queue.files()


def test_what_is_in_todo_stays_whatever_fails_then() -> None:
    """It may be on its way already: twice is better than never."""
    with site() as place:
        for path in (place.queue.path, *place.queue.path.rglob("*")):
            os.chown(path, UID, GID)
        (place.queue.path / "todo").chmod(0o300)  # so that it can't be opened to be written out
        user = UID if os.geteuid() == 0 else None
        assert place.queue.put(MESSAGE, envelope("a", "b"), user=user) == 66
        (place.queue.path / "todo").chmod(0o700)
        (number,) = place.queue.numbers()
        assert place.queue.files() == sorted([f"mess/{number % 23}/{number}", f"intd/{number}", f"todo/{number}"])


def test_missing_home(queue: Queue) -> None:
    env = {"QMAIL_TEST_HOME": str(queue.path / "nowhere")}
    assert queue.put(MESSAGE, envelope("a", "b"), env=env) == 61


def test_a_number_that_is_taken_is_left_alone(queue: Queue) -> None:
    """A queue restored from a backup has files whose inodes are others than their names."""
    probe = queue.path / "pid" / "probe"
    probe.touch()
    number = probe.stat().st_ino
    taken = [queue.split("mess", number + i) for i in range(-3, 4)]
    for path in taken:
        path.write_bytes(b"restored")
    probe.unlink()
    queue.send(MESSAGE, "a", "b")
    assert all(path.read_bytes() == b"restored" for path in taken)
    (todo,) = queue.files("todo")
    assert queue.split("mess", int(todo.split("/")[1])).read_bytes().endswith(MESSAGE)


class Slow:
    """qmail-queue waiting for the rest of a message."""

    def __init__(self, queue: Queue, env: Mapping[str, str] | None = None) -> None:
        self.envelope_end, envelope_ours = os.pipe()
        self.process = subprocess.Popen(
            [BUILD / "bin" / "qmail-queue"],
            stdin=subprocess.PIPE,
            stdout=self.envelope_end,
            env=queue.home.environment(env),
        )
        os.close(self.envelope_end)
        self.envelope = envelope_ours
        wait_until(lambda: bool(queue.files("mess")), "the mess file exists")


def test_signals_do_not_disturb(queue: Queue) -> None:
    slow = Slow(queue)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE):
        slow.process.send_signal(number)
    assert slow.process.stdin
    slow.process.stdin.write(MESSAGE)
    slow.process.stdin.close()
    os.write(slow.envelope, envelope("a", "b"))
    assert slow.process.wait(20) == 0
    os.close(slow.envelope)


def test_alarm_ends_it_and_leaves_nothing(queue: Queue) -> None:
    slow = Slow(queue)
    slow.process.send_signal(signal.SIGALRM)
    assert slow.process.wait(20) == 52
    os.close(slow.envelope)
    assert not queue.files()


@pytest.mark.parametrize("message_is_whole", [False, True])
def test_after_a_day_it_ends_and_leaves_nothing(queue: Queue, message_is_whole: bool) -> None:
    slow = Slow(queue, fast_clock(40_000))
    began = time.monotonic()
    assert slow.process.stdin
    if message_is_whole:
        slow.process.stdin.write(MESSAGE)
        slow.process.stdin.close()
        wait_until(lambda: bool(queue.files("intd")), "the envelope's file exists")
    assert slow.process.wait(20) == 52
    assert time.monotonic() - began > 1
    os.close(slow.envelope)
    assert not queue.files()


def test_blocked_and_ignored_signals_are_reset(queue: Queue) -> None:
    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    message, message_ours = os.pipe()
    envelope_end, envelope_ours = os.pipe()
    process = subprocess.Popen(
        [BUILD / "bin" / "qmail-queue"],
        stdin=message,
        stdout=envelope_end,
        env=queue.home.environment(),
        preexec_fn=block,
    )
    wait_until(lambda: bool(queue.files("mess")), "the mess file exists")
    process.send_signal(signal.SIGALRM)
    assert process.wait(20) == 52
    for fd in (message, message_ours, envelope_end, envelope_ours):
        os.close(fd)


def test_trigger_is_pulled(queue: Queue) -> None:
    fifo = os.open(queue.path / "lock" / "trigger", os.O_RDWR | os.O_NONBLOCK)
    queue.send(MESSAGE, "a", "b")
    assert os.read(fifo, 10) == b"\0"
    os.close(fifo)


def test_a_million_recipients(queue: Queue) -> None:
    many = b"F\0" + b"Tsomebody-or-other@some.example.test\0" * 1_000_000 + b"\0"
    assert queue.put(MESSAGE, many) == 0
    (number,) = queue.numbers()
    records = queue.flat("todo", number).read_bytes()
    assert records[records.index(b"F") :] == many[:-1]


def test_memory_does_not_grow(queue: Queue) -> None:
    def peak(process: int) -> int:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    slow = Slow(queue)
    before = peak(slow.process.pid)
    assert slow.process.stdin
    slow.process.stdin.write(b"x" * 30_000_000)
    slow.process.stdin.close()
    with os.fdopen(slow.envelope, "wb") as file:
        file.write(b"F\0" + b"Tsomebody-or-other@some.example.test\0" * 500_000)
        file.flush()
        after = peak(slow.process.pid)
        file.write(b"\0")
    assert slow.process.wait(60) == 0
    assert after - before < 2048  # KiB
