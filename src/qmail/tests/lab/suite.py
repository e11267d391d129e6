"""What the tests of the suite's programs share: a home of their own and a way to run programs in it."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(os.environ.get("QMAIL_BUILD", Path(__file__).resolve().parents[2] / "build-test"))
SOURCE = Path(__file__).resolve().parents[2]
SPLIT = 23
ASAN_OPTIONS = "detect_leaks=0:allocator_may_return_null=1"

RECORDER = """#!{python} -I
import os, sys
here = {directory!r}
# A queueing program is started without arguments, in the home, and gets exactly these descriptors.
open_ones = [fd for fd in range(64) if os.path.exists("/proc/self/fd/%d" % fd) and os.get_inheritable(fd)]
if sys.argv[1:] or os.getcwd() != {home!r} or not {{0, 1, 6}} <= set(open_ones) <= {{0, 1, 2, 6}}:
    os._exit(81)
code, reason = open(here + "/answer", newline="").read().split("\\n", 1)
message, envelope = sys.stdin.buffer.read(), os.fdopen(1, "rb").read()
number = len(os.listdir(here + "/messages"))
complete = envelope.endswith(b"\\0\\0")
with open(here + "/messages/%d" % number, "wb") as file:
    file.write(b"%d\\n%s\\n%s" % (complete, envelope.hex().encode(), message))
if reason:
    os.write(6, reason.encode())
os._exit(int(code) if complete else 54)
"""


def fast_clock(factor: int) -> dict[str, str]:
    """Return an environment in which the clock of a program runs so many times as fast."""
    return {
        "LD_PRELOAD": str(BUILD / "fastclock.so"),
        "FASTCLOCK": str(factor),
        "ASAN_OPTIONS": ASAN_OPTIONS + ":verify_asan_link_order=0",
    }


def fast_waits(factor: int) -> dict[str, str]:
    """Return an environment in which what a program waits for in poll(2) is over so many times as fast."""
    return {**fast_clock(1), "FASTWAITS": str(factor)}


def counted(log: Path) -> dict[str, str]:
    """Return an environment in which what a program asks for about files is counted in the file LOG."""
    return {
        "LD_PRELOAD": str(BUILD / "counted.so"),
        "COUNTED": str(log),
        "ASAN_OPTIONS": ASAN_OPTIONS + ":verify_asan_link_order=0",
    }


@dataclass(frozen=True)
class Counts:
    """What a program had asked for: see counted.c."""

    looks: int
    opens: int
    names: int
    reads: int
    writes: int
    bytes_read: int

    @classmethod
    def read(cls, log: Path, when: str) -> Counts:
        """Give the counts of this moment, "delivery" or "end"."""
        lines = [line.split() for line in log.read_text().splitlines()]
        (numbers,) = [numbers for word, *numbers in lines if word == when]
        return cls(*map(int, numbers))


@dataclass(frozen=True)
class Queued:
    """A message that was handed to the queueing program."""

    sender: bytes
    recipients: list[bytes]
    message: bytes


class Recorder:
    """A queueing program that writes down what it is given, for QMAILQUEUE."""

    def __init__(self, directory: Path) -> None:
        """Make the program in directory, which must not exist, below the home."""
        (directory / "messages").mkdir(parents=True)
        self.directory = directory
        self.program = directory / "recorder"
        home = str(directory.parent.resolve())
        self.program.write_text(RECORDER.format(python=sys.executable, directory=str(directory), home=home))
        self.program.chmod(0o755)
        self.answer(0)

    def answer(self, code: int, reason: str = "") -> None:
        """From now on exit with code, after reason on descriptor 6."""
        (self.directory / "answer").write_text(f"{code}\n{reason}")

    def all(self) -> list[Queued]:
        """What came with a complete envelope, in order."""
        found = []
        files = sorted((self.directory / "messages").iterdir(), key=lambda path: int(path.name))
        for file in files:
            complete, envelope, message = file.read_bytes().split(b"\n", 2)
            if complete == b"1":
                sender, *recipients = bytes.fromhex(envelope.decode()).split(b"\0")[:-2]
                assert sender[:1] == b"F"
                assert all(item[:1] == b"T" for item in recipients)
                found.append(Queued(sender[1:], [item[1:] for item in recipients], message))
        return found

    def one(self) -> Queued:
        """The only message."""
        found = self.all()
        assert len(found) == 1, found
        return found[0]


class Home:
    """A home directory of the suite, as /var/qmail would be, with an empty queue."""

    def __init__(self, path: Path) -> None:
        """Make it at path, which must exist and be empty."""
        self.path = path
        for name in ("control", "alias", "users"):
            (path / name).mkdir()
        (path / "bin").symlink_to(BUILD / "bin")
        queue = path / "queue"
        for name in ("pid", "intd", "todo", "bounce", "lock"):
            (queue / name).mkdir(parents=True)
        for name in ("mess", "info", "local", "remote"):
            for number in range(SPLIT):
                (queue / name / str(number)).mkdir(parents=True)
        (queue / "lock" / "sendmutex").touch()
        (queue / "lock" / "tcpto").write_bytes(bytes(1024))
        os.mkfifo(queue / "lock" / "trigger")
        self.control(me="mail.example.test")

    def control(self, **files: str | bytes | None) -> None:
        """Write control files, a line end added where there is none; None removes one."""
        for name, value in files.items():
            file = self.path / "control" / name
            if value is None:
                file.unlink(missing_ok=True)
                continue
            content = value.encode() if isinstance(value, str) else value
            file.write_bytes(content if content.endswith(b"\n") or not content else content + b"\n")

    def recorder(self) -> Recorder:
        """Make a queueing program that records; pass its path as QMAILQUEUE."""
        return Recorder(self.path / "recorder")

    def environment(self, env: Mapping[str, str | bytes] | None = None) -> dict[str, str | bytes]:
        """Return what a program of the suite is started with, and env."""
        base: dict[str, str | bytes] = {
            "PATH": f"{self.path / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "QMAIL_TEST_HOME": str(self.path),
            "ASAN_OPTIONS": ASAN_OPTIONS,
        }
        base.update(env or {})
        return base

    def run(
        self,
        program: str,
        *args: str | bytes | Path,
        stdin: bytes | Path = b"",
        env: Mapping[str, str | bytes] | None = None,
        fds: Mapping[int, int] | None = None,
        limits: Mapping[int, int] | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
        terminal: int | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the suite and wait for it.

        stdin: bytes come by a pipe, a Path is opened (seekable). fds: the program's descriptor ->
        ours, 0 to 2 included. limits: resource.RLIMIT_x -> value. terminal: its controlling one.
        """
        given = dict(fds or {})

        def prepare() -> None:
            for target, source in given.items():
                os.dup2(source, target)
            for limit, value in (limits or {}).items():
                resource.setrlimit(limit, (value, value))
            if terminal is not None:
                fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

        command: Sequence[str | bytes | Path] = [BUILD / "bin" / program, *args]
        options = {
            "env": self.environment(env),
            "cwd": cwd or self.path,
            "preexec_fn": prepare,
            "pass_fds": [fd for fd in given if fd > 2],
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "timeout": timeout,
            "start_new_session": terminal is not None,
            "check": False,
        }
        if isinstance(stdin, Path):
            with stdin.open("rb") as file:
                return subprocess.run(command, stdin=file, **options)  # type: ignore[call-overload,no-any-return]
        return subprocess.run(command, input=stdin, **options)  # type: ignore[call-overload,no-any-return]
