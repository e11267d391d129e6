"""Who waits for a slot of the scanner, in what order they are served, and what those leave who don't stay."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import MESSAGE, SPAMZONE, status

GREEN = status("0", spam=False)
LATER = 111
MUTEX = 4096  # the byte of the table that is locked while somebody looks at it; behind it are those who wait
ONE = ("-n", "1", "-c", "1")


class Line:
    """Scanners, and those who wait for them."""

    def __init__(self, folder: Path) -> None:
        """Keep where the table of slots is, and where each scan says that it has begun."""
        self.folder = folder
        self.table = folder / "slots"
        self.order = folder / "order"
        self.order.touch()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def send(self, name: str, address: str, *options: str, scan: str, **environment: str) -> subprocess.Popen[bytes]:
        """Have a message of this name scanned by a command."""
        script = f"cat >/dev/null; echo {name} >>{self.order}; {scan}; printf '%s' \"$0\""
        process = subprocess.Popen(
            [SPAMZONE, "-d", str(self.folder), "-w", "60", *options, "sh", "-c", script, GREEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TCPREMOTEIP": address, **environment},
        )
        assert process.stdin
        process.stdin.write(MESSAGE)
        process.stdin.close()
        self.running[name] = process
        return process

    def hold(self, name: str, address: str, *options: str) -> None:
        """Have a scan in progress, until it is let go."""
        self.send(name, address, *options, scan=f"until [ -e {self.folder}/go-{name} ]; do sleep 0.02; done")
        self.await_order(lambda order: name in order)

    def let_go(self, *names: str) -> None:
        for name in names:
            (self.folder / f"go-{name}").touch()

    def wait(
        self, name: str, address: str, *options: str, scan: str = "sleep 0.1", **environment: str
    ) -> subprocess.Popen[bytes]:
        """Have a message wait: return when it does, or after three seconds, if nobody registers here."""
        before = self.locks()
        process = self.send(name, address, *options, scan=scan, **environment)
        deadline = time.monotonic() + 3
        while self.locks() <= before and time.monotonic() < deadline:
            time.sleep(0.005)
        return process

    def locks(self) -> int:
        """Give how many have a slot, or wait for one."""
        number = self.table.stat().st_ino
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return sum(line[5].endswith(f":{number}") and line[6] != str(MUTEX) for line in lines if "->" not in line)

    def begun(self) -> list[str]:
        return self.order.read_text().split()

    def await_order(self, done: Callable[[list[str]], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not done(self.begun()):
            assert time.monotonic() < deadline, self.begun()
            time.sleep(0.01)

    def codes(self, *names: str) -> set[int]:
        return {self.running[name].wait(90) for name in names}

    def end(self) -> None:
        self.let_go(*self.running)
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.wait(90)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Give scanners, and those who wait for them."""
    made = Line(tmp_path)
    yield made
    made.end()


@contextmanager
def locked(table: Path, start: int, length: int) -> Iterator[None]:
    """Have a part of the table locked by somebody, to the end of all files where the length is 0."""
    with table.open("r+b") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLKW, struct.pack("hhqqixxxx", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0))
        yield


def test_who_came_first_is_served_first(line: Line) -> None:
    names = [str(number) for number in range(8)]
    line.hold("held", "192.0.2.1", *ONE)
    for name in names:
        line.wait(name, "192.0.2.1", *ONE)
    line.let_go("held")
    assert line.codes(*names) == {0}
    assert line.begun() == ["held", *names]


def test_twenty_of_one_client_take_no_longer_than_their_scans(line: Line) -> None:
    options = ("-n", "4", "-c", "4")
    names = [f"{number:02}" for number in range(20)]
    held = [f"held-{number}" for number in range(3)]
    for name in held:
        line.hold(name, "192.0.2.1", *options)
    line.hold("held-3", "192.0.3.1", *options)
    for number, name in enumerate(names):
        line.wait(name, f"192.0.{number % 4}.1", *options, scan="sleep 0.2")
    began = time.monotonic()
    line.let_go(*held, "held-3")
    assert line.codes(*names) == {0}
    # Five turns of 0.2 seconds, and what a busy machine adds to each.
    assert time.monotonic() - began < 15
    # Those of one turn begin at the same time.
    late = [place - names.index(name) for place, name in enumerate(line.begun()[4:])]
    assert max(late) < 7, late


def test_who_comes_while_others_wait_is_not_before_them(line: Line) -> None:
    # Each session brings its next message as soon as it has got rid of one, so all have their turn once a round.
    sessions = "abcdefghijkl"
    running: dict[str, subprocess.Popen[bytes]] = {}
    while len(line.begun()) < 100:
        for name in sessions:
            process = running.get(name)
            if not process or process.poll() is not None:
                assert not process or process.returncode == 0, line.begun()
                running[name] = line.send(name, "192.0.2.1", *ONE, scan="sleep 0.02")
        time.sleep(0.005)
    begun = line.begun()[12:]
    for name in sessions:
        places = [-1, *(place for place, other in enumerate(begun) if other == name), len(begun)]
        rounds = [later - earlier for earlier, later in itertools.pairwise(places)]
        assert max(rounds) < 20, (name, "".join(begun))


def test_who_may_take_none_is_passed_by_and_keeps_his_place(line: Line) -> None:
    options = ("-n", "4", "-c", "2")
    for name, address in {"a1": "192.0.2.1", "a2": "192.0.2.1", "b1": "192.0.3.1", "c1": "192.0.4.1"}.items():
        line.hold(name, address, *options)
    others = {f"e{number}": f"198.51.{number}.1" for number in range(5)}
    line.wait("a3", "192.0.2.1", *options)
    line.wait("d1", "192.0.5.1", *options, scan="sleep 1")
    for name, address in others.items():
        line.wait(name, address, *options, scan="sleep 1")
    line.let_go("b1")
    line.await_order(lambda order: len(order) == 5, 5)
    assert line.begun()[4] == "d1"  # although a3 came before: two are his, and he has them
    line.let_go("a1")
    line.await_order(lambda order: len(order) == 6, 5)
    assert line.begun()[5] == "a3"  # although the others could have had it since they came


def test_who_may_relay_takes_nothing_from_who_came_before_him(line: Line) -> None:
    options = ("-n", "2", "-c", "1")
    line.hold("held-1", "192.0.2.1", *options)
    line.hold("held-2", "192.0.3.1", *options)
    gone = line.wait("gone", "192.0.4.1", *options)
    stranger = line.wait("stranger", "192.0.5.1", *options)
    gone.kill()
    gone.wait()
    # He is registered in the place of who has gone, in front of the stranger's.
    relaying = line.wait("relaying", "192.0.5.1", *options, RELAYCLIENT="")
    for process in (stranger, relaying):
        process.send_signal(signal.SIGSTOP)
    line.wait("last", "192.0.6.1", *options)
    line.let_go("held-1", "held-2")
    assert line.codes("held-1", "held-2") == {0}
    time.sleep(0.5)
    assert "last" not in line.begun()  # both can have one, since the stranger is the first
    for process in (stranger, relaying):
        process.send_signal(signal.SIGCONT)
    assert line.codes("stranger", "relaying", "last") == {0}


def test_who_has_been_served_waits_no_more(line: Line) -> None:
    options = ("-n", "2", "-c", "1")
    line.hold("held-1", "192.0.2.1", *options)
    line.hold("held-2", "192.0.3.1", *options)
    go = f"until [ -e {line.folder}/go-served ]; do sleep 0.02; done"
    line.wait("served", "192.0.4.1", *options, scan=go, RELAYCLIENT="")
    line.let_go("held-1", "held-2")
    line.await_order(lambda order: "served" in order)
    assert line.codes("held-1", "held-2") == {0}
    assert line.send("next", "192.0.5.1", *options, "-w", "2", scan=":").wait(10) == 0


def test_who_leaves_and_comes_back_is_behind_who_stayed(line: Line) -> None:
    line.hold("held", "192.0.2.1", *ONE)
    first = line.wait("first", "192.0.2.1", *ONE, "-w", "2")
    stayed = [str(number) for number in range(6)]
    for name in stayed:
        line.wait(name, "192.0.3.1", *ONE)
    assert first.wait(10) == LATER
    line.wait("again", "192.0.2.1", *ONE)
    line.let_go("held")
    assert line.codes(*stayed, "again") == {0}
    assert line.begun() == ["held", *stayed, "again"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_is_killed_as_he_waits_is_in_nobody_s_way(line: Line, number: signal.Signals) -> None:
    names = [str(number) for number in range(8)]
    line.hold("held", "192.0.2.1", *ONE)
    waiting = [line.wait(name, "192.0.2.1", *ONE) for name in names]
    for killed in (0, 1, 4):
        waiting[killed].send_signal(number)
        assert waiting[killed].wait(10) == -number
    rest = [name for name in names if name not in {"0", "1", "4"}]
    began = time.monotonic()
    line.let_go("held")
    assert line.codes(*rest) == {0}
    assert time.monotonic() - began < 20
    assert line.begun() == ["held", *rest]
    assert line.locks() == 0


def test_who_does_not_take_his_turn_has_no_more_than_one_slot(line: Line) -> None:
    options = ("-n", "2", "-c", "2")
    line.hold("held-1", "192.0.2.1", *options)
    line.hold("held-2", "192.0.3.1", *options)
    stopped = line.wait("stopped", "192.0.4.1", *options)
    stopped.send_signal(signal.SIGSTOP)
    names = [str(number) for number in range(4)]
    for name in names:
        line.wait(name, f"192.0.{name}.1", *options)
    line.let_go("held-1")
    time.sleep(0.5)
    assert line.begun()[2:] == []  # that one is his
    line.let_go("held-2")
    assert line.codes(*names) == {0}
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(10) == 0
    assert line.begun()[2:] == [*names, "stopped"]


def test_the_order_outlasts_somebody_who_keeps_the_table_locked_for_a_while(line: Line) -> None:
    names = [str(number) for number in range(6)]
    line.hold("held", "192.0.2.1", *ONE)
    for name in names:
        line.wait(name, "192.0.2.1", *ONE)
    with locked(line.table, MUTEX, 1):
        line.let_go("held")
        time.sleep(0.8)
        assert line.begun() == ["held"]
    assert line.codes(*names) == {0}
    assert line.begun() == ["held", *names]


def test_who_has_all_places_to_wait_keeps_nobody_from_a_slot(line: Line) -> None:
    line.hold("held", "192.0.2.1", *ONE)
    with locked(line.table, MUTEX + 1, 0):
        for name in ("1", "2", "3"):
            line.send(name, "192.0.2.1", *ONE, scan=":")
        time.sleep(0.3)
        line.let_go("held")
        assert line.codes("1", "2", "3") == {0}


def test_more_than_there_are_places_for_all_get_their_turn(line: Line) -> None:
    line.hold("held", "192.0.2.1", *ONE)
    with locked(line.table, MUTEX + 1, 15 + 32 * 126):  # of 128, two are left
        names = [str(number) for number in range(6)]
        for name in names[:2]:
            line.wait(name, "192.0.2.1", *ONE)
        for name in names[2:]:
            line.send(name, "192.0.2.1", *ONE, scan=":")
        time.sleep(0.3)
        line.let_go("held")
        assert line.codes(*names) == {0}
    assert line.begun()[:3] == ["held", *names[:2]]


def test_nonsense_in_place_of_those_who_wait_does_no_harm(line: Line) -> None:
    line.table.write_bytes(bytes(MUTEX) + b"\xff" * 3333)
    line.hold("held", "192.0.2.1", *ONE)
    with locked(line.table, MUTEX + 1, 1000):
        names = [str(number) for number in range(4)]
        for name in names:
            line.wait(name, "192.0.2.1", *ONE)
        line.let_go("held")
        assert line.codes(*names) == {0}
        assert line.begun() == ["held", *names]
    line.table.write_bytes(b"")
    assert line.send("last", "192.0.2.1", *ONE, scan=":").wait(10) == 0
