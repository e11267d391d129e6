"""A pipeline to try: the program with a filter list of the test's, and a qmail-queue that records what it is given."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
# Where hi-q is installed its modules are beside it.
PACKAGES = [
    str(SOURCE),
    str(SOURCE.parent / "mailauth"),
    str(SOURCE.parent / "dkim"),
    str(SOURCE.parents[1] / "module_utils"),
]
START = f"import sys; sys.path[0:0] = {PACKAGES!r}"

# Like qmail-queue in what matters: it reads the message to its end, then the envelope, and says 0 only to a whole one.
QUEUE_DOUBLE = """#!/usr/bin/python3 -IS
import os, sys
def whole(fd):
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
        if fd == 1 and b"\\0\\0" in data:
            break
    return data
def record(name, data):
    with open("@RECORD@/" + name, "wb") as file:
        file.write(data)
record("started", b"")
if os.path.exists("@RECORD@/die-early"):
    os._exit(int(open("@RECORD@/die-early").read()))
message = whole(0)
record("message", message)
envelope = whole(1)
record("envelope", envelope)
record("descriptors", " ".join(sorted(os.listdir("/proc/self/fd"))).encode())
record("sigign", [l for l in open("/proc/self/status") if l.startswith("SigIgn")][0].split()[1].encode())
if not envelope:
    sys.exit(54)
if not envelope.endswith(b"\\0\\0"):
    sys.exit(91)
if os.path.exists("@RECORD@/exit-code"):
    code = int(open("@RECORD@/exit-code").read())
    if code == 82:
        os.write(6, b"Dthe queue's own words")
    os._exit(code)
record("queued", b"")
"""

ENVELOPE = b"Falice@example.test\0Tbob@example.net\0Tcarol@example.net\0\0"
MESSAGE = b"Subject: test\n\nA message.\n"


@dataclass
class Result:
    """What the caller of hi-q sees."""

    code: int
    reason: bytes
    log: str
    broken: bool
    """The caller could not write the whole message."""


@dataclass
class Site:
    """A folder with all that a test needs."""

    top: Path
    program: Sequence[str | Path] = field(default_factory=list)
    named: bool = True
    """The list is named on the command line."""
    launcher: Path | None = None
    """hi-q itself, which takes no argument and asks the resident."""
    resident: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """What the caller has besides."""

    def __post_init__(self) -> None:
        """Make the queue's double and an empty list."""
        self.record = self.top / "record"
        self.record.mkdir()
        self.queue = self.top / "qmail-queue"
        self.script("qmail-queue", QUEUE_DOUBLE.replace("@RECORD@", str(self.record)))
        self.list = self.top / "filters"
        self.filters()
        self.program = self.program or self.program_for("strangers")

    def program_for(self, whose: str, lists: dict[str, str] | None = None) -> list[str]:
        """Return the command of the program for these senders' mail; `lists` takes the place of the host's files."""
        start = f"{START}; import hi_q.main as m"
        start += f"; m.SIGN = {str(self.top / 'qmail-sign')!r}"
        if lists:
            start += f"; m.LISTS = {lists!r}"
        return ["/usr/bin/python3", "-IS", "-c", f"{start}; m.main({whose!r}, sys.argv[1:])"]

    def reside(self, launcher: Path, most: int = 64, code: Path = SOURCE) -> subprocess.Popen[bytes]:
        """Have a resident take the messages; what hi-q does by itself leaves the file `alone` in the record."""
        lists = {"strangers": f"{self.top}/filters", "authenticated": f"{self.top}/authenticated"}
        start = f"{START}; import hi_q.main as m; m.LISTS = {lists!r}"
        start += f"; m.QUEUE = {str(self.queue)!r}; m.SIGN = {str(self.top / 'qmail-sign')!r}"
        alone = f"{start}; open({str(self.record / 'alone')!r}, 'w').close(); m.main('strangers', sys.argv[1:])\n"
        (self.top / "hi-q.py").write_text(alone)
        serve = f"{start}; sys.path[0] = {str(code)!r}; from hi_q.resident import main; main(['resident', '{most}'])"
        # By a command that doesn't name this place, as the filters' do.
        self.resident = subprocess.Popen(["/usr/bin/python3", "-IS", "-"], cwd=self.top, stdin=subprocess.PIPE)
        assert self.resident.stdin
        self.resident.stdin.write(serve.encode())
        self.resident.stdin.close()
        self.program, self.launcher = [launcher], launcher
        self.await_door()
        return self.resident

    def await_door(self) -> None:
        """Wait until somebody listens, and what this has started is gone."""
        assert self.resident
        children = Path(f"/proc/{self.resident.pid}/task/{self.resident.pid}/children")
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
                reached = door.connect_ex(str(self.top / "resident")) == 0
                if reached:
                    door.recv(1000)
            while reached and children.read_text():
                time.sleep(0.01)
            if reached:
                return
            time.sleep(0.02)
        raise AssertionError("the resident doesn't listen")

    def dismiss(self) -> None:
        """End the resident, if there is one."""
        if self.resident:
            self.resident.kill()
            self.resident.wait()

    @property
    def alone(self) -> bool:
        """Has hi-q done the work by itself?"""
        return (self.record / "alone").exists()

    def script(self, name: str, text: str) -> Path:
        """Make an executable file."""
        path = self.top / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def sh(self, name: str, text: str) -> str:
        """Make a filter of shell commands and return its path."""
        return str(self.script(name, f"#!/bin/sh\n{text}\n"))

    def filters(self, *lines: str) -> None:
        """Make these lines the filter list."""
        self.list.write_text("".join(line + "\n" for line in lines))
        self.list.chmod(0o644)

    def command(self) -> list[str | Path]:
        """Return the command line that hi-q is started with."""
        if self.launcher in self.program:
            return list(self.program)
        named: list[str | Path] = ["--filters", self.list] if self.named else []
        return [*self.program, *named, "--queue", self.queue]

    def start(self, *, reasons: bool = True, stdin: int | None = None) -> Caller:
        """Start it as a caller does, with open pipes."""
        return Caller(self, reasons, stdin)

    def run(
        self, message: bytes = MESSAGE, envelope: bytes = ENVELOPE, *, reasons: bool = True, timeout: float = 30
    ) -> Result:
        """Give a message and an envelope, as qmail-smtpd does: one after the other."""
        return self.give(message, envelope, reasons=reasons).result(timeout)

    def give(self, message: bytes = MESSAGE, envelope: bytes = ENVELOPE, *, reasons: bool = True) -> Caller:
        """The same, and don't wait for the answer."""
        caller = self.start(reasons=reasons)
        caller.give_message(message)
        caller.give_envelope(envelope)
        return caller

    @property
    def queued(self) -> bool:
        """Has the queue's double accepted a message?"""
        return (self.record / "queued").exists()

    def recorded(self, name: str) -> bytes:
        """Return what the double recorded."""
        return (self.record / name).read_bytes()


class Caller:
    """The part of qmail-smtpd: three pipes and a child."""

    def __init__(self, site: Site, reasons: bool, stdin: int | None = None) -> None:
        """Start hi-q."""
        message_out, self.message = os.pipe()
        envelope_out, self.envelope = os.pipe()
        self.reason, reason_in = os.pipe()
        source = message_out if stdin is None else stdin
        self.broken = False

        def prepare() -> None:
            # Through numbers that none of them has, however many callers there are.
            os.dup2(source, 900)
            os.dup2(envelope_out, 901)
            os.dup2(reason_in, 902)
            os.dup2(900, 0)
            os.dup2(901, 1)
            if reasons:
                os.dup2(902, 6)
            else:
                os.closerange(6, 7)
            os.closerange(900, 903)

        self.process = subprocess.Popen(
            site.command(),
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
            pass_fds=(6,) if reasons else (),
            env={"PATH": "/usr/bin:/bin", "TCPREMOTEIP": "192.0.2.1", **site.environment},
            cwd=site.top,
        )
        for fd in (message_out, envelope_out, reason_in):
            os.close(fd)

    def give_message(self, message: bytes, *, close: bool = True) -> None:
        """Write the message, as far as it is taken."""
        view = memoryview(message)
        try:
            while view:
                view = view[os.write(self.message, view) :]
        except BrokenPipeError:
            self.broken = True
        if close:
            os.close(self.message)

    def give_envelope(self, envelope: bytes, *, close: bool = True) -> None:
        """Write the envelope."""
        view = memoryview(envelope)
        try:
            while view:
                view = view[os.write(self.envelope, view) :]
        except BrokenPipeError:
            pass
        if close:
            os.close(self.envelope)

    def result(self, timeout: float = 30) -> Result:
        """Wait for the end."""
        timer = threading.Timer(timeout, self.process.send_signal, [signal.SIGKILL])
        timer.start()
        try:
            _, log = self.process.communicate()
        finally:
            timer.cancel()
        reason = b""
        while chunk := os.read(self.reason, 65536):
            reason += chunk
        os.close(self.reason)
        return Result(self.process.returncode, reason, log.decode(), self.broken)
