"""A running qmail-send for tests: the real programs, with qmail-remote (and, where asked for, qmail-local) scripted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.queuelab import Queue, wait_until
from lab.suite import BUILD, Home, counted, fast_clock

# The user who gets mail: root never does, so root's tests deliver as nobody.
UID, GID = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())

# Ends as the recipient's address begins; notes its arguments, start and end in the file "calls".
REMOTE = r"""#!/bin/sh
echo "$@" >>"$QMAIL_TEST_HOME/calls"
case $3 in
ok*) printf 'r\0K192.0.2.1 accepted message.\n\0' ;;
never*) printf 'h192.0.2.1 does not like recipient.\n\0DGiving up on 192.0.2.1.\n\0' ;;
refused*) printf 'r\0D192.0.2.1 failed after I sent the message.\n\0' ;;
later*) printf 's192.0.2.1 does not like recipient.\n\0ZGiving up.\n\0' ;;
nolink*) printf 'ZCould not connect.\n\0' ;;
mixed*) printf 'r\0Kline one\nline two \tand \377 bytes\n\0' ;;
crash*) kill -9 $$ ;;
silent*) ;;
hold*) while [ ! -e "$QMAIL_TEST_HOME/release" ]; do sleep 0.02; done; printf 'r\0Kat last\n\0' ;;
flaky*) if [ -e "$QMAIL_TEST_HOME/release" ]; then printf 'r\0Know\n\0'; else printf 'Znot yet\n\0'; fi ;;
busy*) if [ -e "$QMAIL_TEST_HOME/release" ]; then printf 'r\0Know\n\0'; else
    printf 's192.0.2.1 does not like recipient.\nRemote host said: 450 4.7.1 slowly\n\0ZGiving up.\n\0'; fi ;;
long*) head -c 100000 /dev/zero | tr '\0' x; printf '\n\0' ;;
*) printf 'r\0Kdone\n\0' ;;
esac
"""


class Site:
    """A home of its own, readable by the user who gets mail, and qmail-send in it."""

    def __init__(self, path: Path) -> None:
        """Make the home at path, which must be reachable for everybody."""
        path.chmod(0o755)
        (path / "qmail").mkdir()
        self.home = Home(path / "qmail")
        self.home.path.chmod(0o755)
        self.path = self.home.path
        self.queue = Queue(self.home)
        self.log_file = path / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.user_home = path / "user"
        for part in ("tmp", "new", "cur"):
            (self.user_home / "Maildir" / part).mkdir(parents=True)
        for place in (self.user_home, *self.user_home.rglob("*")):
            os.chown(place, UID, GID)
        self.script("qmail-remote", REMOTE)
        self.assign("=alice:alice:{uid}:{gid}:{home}:::", "+alice-:alice:{uid}:{gid}:{home}:-::")
        self.home.control(locals="example.test")

    def script(self, program: str, text: str) -> None:
        """Put a script in a program's place."""
        bin_ = self.path / "bin"
        if bin_.is_symlink():
            bin_.unlink()
            bin_.mkdir()
            for built in (BUILD / "bin").iterdir():
                (bin_ / built.name).symlink_to(built)
        (bin_ / program).unlink(missing_ok=True)
        (bin_ / program).write_text(text)
        (bin_ / program).chmod(0o755)

    def hasten(self, factor: int) -> None:
        """Let the clock of qmail-send run so many times as fast."""
        variables = " ".join(f"{name}={value}" for name, value in fast_clock(factor).items())
        self.script("qmail-send", f"#!/bin/sh\nexport {variables}\nexec {BUILD}/bin/qmail-send\n")

    def count(self, log: Path) -> None:
        """Count what qmail-send asks for about files."""
        variables = " ".join(f"{name}={value}" for name, value in counted(log).items())
        self.script("qmail-send", f"#!/bin/sh\nexport {variables}\nexec {BUILD}/bin/qmail-send\n")

    def assign(self, *lines: str) -> None:
        """Write and compile users/assign; {uid}, {gid}, {home} are the test user's."""
        text = "".join(line.format(uid=UID, gid=GID, home=self.user_home) + "\n" for line in lines)
        (self.path / "users" / "assign").write_text(text + ".\n")
        made = self.home.run("qmail-newu")
        assert made.returncode == 0, made.stderr

    def start(
        self,
        *,
        env: dict[str, str] | None = None,
        default: str = "./Maildir/",
        fds: tuple[int, ...] = (),
        by: tuple[str, ...] = (),
    ) -> None:
        """Start qmail-send, by a command in front of it, with further descriptors of ours; wait until it says so."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*by, BUILD / "bin" / "qmail-start", default],
                env=self.home.environment(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
            )
        count = self.log().count("status: local 0/")
        wait_until(lambda: self.log().count("status: local 0/") > count, "qmail-send has started")

    def stop(self, *, timeout: float = 30) -> int:
        """Send TERM; the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send qmail-send a signal."""
        assert self.process
        self.process.send_signal(number)

    def kill_all(self) -> None:
        """Kill qmail-send, its helpers and their children, all at once, if they run."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def log(self) -> str:
        """Everything logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def await_log(self, pattern: str, count: int = 1, timeout: float = 30) -> list[str]:
        """Wait until the pattern has been logged so often; what matched (groups as in findall)."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = re.findall(pattern, self.log(), re.MULTILINE)
            return len(found) >= count

        try:
            wait_until(seen, f"the log says {pattern!r}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says:\n{self.log()[-3000:]}") from error
        return found

    def await_empty(self, timeout: float = 30) -> None:
        """Wait until no message is in the queue."""
        try:
            wait_until(lambda: not self.queue.files(), "the queue is empty", timeout)
        except AssertionError as error:
            left = self.queue.files()
            raise AssertionError(f"{error}; left: {left}; log:\n{self.log()[-3000:]}") from error

    def calls(self) -> list[str]:
        """The arguments of each qmail-remote that ran."""
        file = self.path / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def release(self) -> None:
        """Let held and flaky deliveries succeed."""
        (self.path / "release").touch()

    def mail(self) -> list[bytes]:
        """What is in the user's Maildir."""
        return [path.read_bytes() for path in sorted((self.user_home / "Maildir" / "new").iterdir())]


@contextmanager
def site(where: Path | None = None) -> Iterator[Site]:
    """A Site that is removed, and its processes ended, at the end; below the directory where, if it is given."""
    path = Path(tempfile.mkdtemp(prefix="qmail-", dir=where))
    made = Site(path)
    try:
        yield made
    finally:
        made.kill_all()
        shutil.rmtree(path, ignore_errors=True)
