"""A share of the scanner for each client, with scanners that take their time."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import MESSAGE, SPAMZONE, run, status

GREEN = status("0", spam=False)
SHARED = (111, "Zyour host has its share of the spam filter in use, try again later (#4.4.5)")
BUSY = (111, "Zthe spam filter is busy, try again later (#4.4.5)")


class Scans:
    """Scans that go on until they are let go."""

    def __init__(self, folder: Path) -> None:
        """Keep where the table of slots is, and a file that no scan finds as yet."""
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.gate = folder / "gate"

    def options(self, *more: str) -> list[str]:
        return ["-d", str(self.folder), "-n", "4", "-c", "2", "-w", "1", *more]

    def begin(self, address: str, *more: str) -> subprocess.Popen[bytes]:
        """Have a scan in progress."""
        began = self.folder / f"began-{len(self.running)}"
        command = [
            "sh",
            "-c",
            f"cat >/dev/null; : >{began}; until [ -e {self.gate} ]; do sleep 0.05; done; printf '%s' \"$0\"",
            GREEN,
        ]
        process = subprocess.Popen(
            [SPAMZONE, *self.options(*more), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TCPREMOTEIP": address},
        )
        assert process.stdin
        process.stdin.write(MESSAGE)
        process.stdin.close()
        self.running.append(process)
        deadline = time.monotonic() + 20
        while not began.exists():
            assert time.monotonic() < deadline, "the scan does not begin"
            time.sleep(0.01)
        return process

    def ask(self, address: str, *more: str, **environment: str) -> tuple[int, str]:
        """Give the answer to a message whose scan would take no time."""
        command = ["sh", "-c", "cat >/dev/null; printf '%s' \"$0\"", GREEN]
        result = run(*self.options(*more), *command, environment={"TCPREMOTEIP": address, **environment})
        return result.code, result.reason

    def end(self) -> None:
        self.gate.touch()
        for process in self.running:
            process.wait(20)


@pytest.fixture
def scans(tmp_path: Path) -> Iterator[Scans]:
    """Give scans of which four may go on, two of them for one client."""
    made = Scans(tmp_path)
    yield made
    made.end()


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "198.51.100.1"),
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::", "2001:db8:0:2::1"),
        ("fe80::1%eth0", "fe80::2", "2001:db8::1"),
        ("", "unknown", "0.0.0.1"),
    ],
)
def test_who_has_his_share_waits_and_others_do_not(scans: Scans, first: str, same: str, other: str) -> None:
    for _ in range(2):
        scans.begin(first)
    began = time.monotonic()
    assert scans.ask(same) == SHARED
    assert 0.9 < time.monotonic() - began < 10
    began = time.monotonic()
    assert scans.ask(other) == (0, "")
    assert time.monotonic() - began < 0.9


def test_a_share_that_becomes_free_in_time_is_taken(scans: Scans) -> None:
    one = scans.begin("192.0.2.1")
    scans.begin("192.0.2.1")
    waiting = subprocess.Popen(
        [SPAMZONE, *scans.options("-w", "20"), "sh", "-c", "cat >/dev/null; printf '%s' \"$0\"", GREEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TCPREMOTEIP": "192.0.2.1"},
    )
    assert waiting.stdin
    waiting.stdin.close()
    time.sleep(0.5)
    assert waiting.poll() is None
    one.kill()
    assert waiting.wait(10) == 0


def test_a_network_leaves_a_slot_to_others(scans: Scans) -> None:
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        scans.begin(host)
    assert scans.ask("192.0.2.4") == SHARED
    assert scans.ask("192.0.3.4") == (0, "")
    for host in ("2001:db8:5::1", "2001:db8:5:1::1"):
        assert scans.ask(host) == (0, "")


def test_there_is_an_end_for_all_of_them_too(scans: Scans) -> None:
    for host in ("192.0.2.1", "192.0.3.1", "192.0.4.1", "192.0.5.1"):
        scans.begin(host)
    assert scans.ask("192.0.6.1") == BUSY
    assert scans.ask("192.0.6.1", RELAYCLIENT="") == BUSY


def test_who_may_relay_has_no_share_of_his_own(scans: Scans) -> None:
    for _ in range(2):
        scans.begin("192.0.2.1")
    assert scans.ask("192.0.2.1", RELAYCLIENT="") == (0, "")


def test_no_message_passes_unscanned_because_its_sender_is_beyond_his_share(scans: Scans) -> None:
    for _ in range(2):
        scans.begin("192.0.2.1")
    assert scans.ask("192.0.2.1", "-a") == SHARED
    scans.begin("192.0.3.1")
    scans.begin("192.0.4.1")
    assert scans.ask("192.0.5.1", "-a") == BUSY


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_scan_that_is_killed_leaves_its_slot(scans: Scans, number: signal.Signals) -> None:
    killed = [scans.begin("192.0.2.1") for _ in range(2)]
    assert scans.ask("192.0.2.1") == SHARED
    for process in killed:
        process.send_signal(number)
        process.wait()
    # What they had started still runs, and holds nothing.
    assert scans.ask("192.0.2.1") == (0, "")


def test_a_table_that_cannot_be_had_is_a_filter_in_trouble(scans: Scans) -> None:
    (scans.folder / "slots").symlink_to("/etc/passwd")
    assert scans.ask("192.0.2.1") == (111, "Zthe spam filter is not available, try again later (#4.3.0)")
    assert scans.ask("192.0.2.1", "-d", "/nonexistent")[0] == 111
    assert scans.ask("192.0.2.1", "-a")[0] == 0


def seconds_of(ask: Callable[[], tuple[int, str]]) -> tuple[float, tuple[int, str]]:
    began = time.monotonic()
    answer = ask()
    return time.monotonic() - began, answer


@pytest.mark.parametrize("policy", [(), ("-a",)], ids=["defer", "accept"])
def test_who_keeps_the_table_locked_keeps_nobody_waiting(scans: Scans, policy: tuple[str, ...]) -> None:
    with (scans.folder / "slots").open("wb") as table:
        fcntl.lockf(table, fcntl.LOCK_EX)
        took, answer = seconds_of(lambda: scans.ask("192.0.2.1", "-w", "20", *policy))
        assert answer == BUSY
        assert 1.9 < took < 8
    assert scans.ask("192.0.2.1") == (0, "")


def test_who_has_a_lease_on_the_table_keeps_nobody_waiting(scans: Scans) -> None:
    with (scans.folder / "slots").open("wb") as table:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fcntl.fcntl(table, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        took, answer = seconds_of(lambda: scans.ask("192.0.2.1", "-w", "20"))
        assert answer == BUSY
        assert took < 8


def test_a_table_that_is_none_is_not_waited_for(scans: Scans) -> None:
    os.mkfifo(scans.folder / "slots")
    took, answer = seconds_of(lambda: scans.ask("192.0.2.1", "-w", "20"))
    assert answer[0] == 111
    assert took < 8


@pytest.fixture
def public() -> Iterator[Path]:
    """Give a directory that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="spamzone-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a directory that another user can't write to")
def test_what_is_closed_by_its_own_user_in_a_directory_of_root_s_is_opened_again(public: Path) -> None:
    user = 65534
    shutil.copy(SPAMZONE, public / "spamzone")
    place = public / "place"
    (place / "large").mkdir(parents=True)
    (place / "slots").touch()
    for path in (place / "large", place / "slots"):
        os.chown(path, user, user)
        path.chmod(0)  # as who has taken over a session of the same user may leave it
    script = "cat >/dev/null; printf '%s' \"$0\""
    command: list[str | Path] = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", public / "spamzone"]
    done = subprocess.run(
        [*command, "-s", "1000", "-d", place, "sh", "-c", script, GREEN],
        input=MESSAGE + b"large\n" * 1000,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"large\n")


def test_a_table_with_nonsense_in_it_does_no_harm(scans: Scans) -> None:
    (scans.folder / "slots").write_bytes(os.urandom(5000))
    for _ in range(2):
        scans.begin("192.0.2.1")
    assert scans.ask("192.0.2.1") == SHARED
    assert scans.ask("192.0.3.1") == (0, "")
