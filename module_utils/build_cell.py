# SPDX-License-Identifier: MIT
"""A cell for commands that nobody trusts: what they start ends with them, and they reach nothing but their own files.

A command runs as a user without rights, as far as the host allows it in namespaces of its own: of processes, so that it
can't see, signal or trace any other, and the kernel ends all that it leaves running; of the network, with nothing but a
loopback interface; of mounts, where everything is read-only but the directories that are named, and what others have
left in /tmp and its like is not to be seen. Where the host allows no namespaces, everything that descends from the
command is ended all the same: a supervising process inherits what its own parents leave, and is gone only after it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, NoReturn, Protocol

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
SYS_MOUNT_SETATTR = 442  # on every architecture
# keyctl(2), which the C library doesn't know, has a number on each.
SYS_KEYCTL = {"x86_64": 250, "i686": 288, "armv7l": 311, "ppc64le": 271, "s390x": 280}
SYS_KEYCTL |= dict.fromkeys(("aarch64", "riscv64", "loongarch64"), 219)
KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_CLEAR = 1, 7
KEYS_OF_A_USER = (-4, -5)  # the keyring of the user, and that of sessions without one of their own
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 0x1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1

# What a cell is made of, the best first, and what a build can do where that is all.
KINDS = (
    (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS, ""),
    (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC, "see the host's own /tmp and /run"),
    (CLONE_NEWNET, "see the host's own /tmp and /run, and other processes"),
    (0, "see the host's own /tmp and /run, and other processes, and reach the network"),
)
# Places where everybody may leave something, or a daemon listens. They are empty in a cell.
COMMON = (("/tmp", "1777"), ("/var/tmp", "1777"), ("/dev/shm", "1777"), ("/run", "0755"))  # noqa: S108
SWEEP_SECONDS = 10
GRACE_SECONDS = 60


class CellError(Exception):
    """A command could not be started, did not end in time, or left something that can't be ended."""


class Output(Protocol):
    """What takes the output of a command."""

    def write(self, data: bytes, /) -> Any:
        """Take DATA."""


class Cell:
    """Where commands of one build run."""

    def __init__(self, uid: int, gid: int, writable: list[Path], readable: list[Path], hidden: list[Path]) -> None:
        """WRITABLE and READABLE are directories that stay in sight, HIDDEN ones that don't, but for those in them."""
        self.uid, self.gid = uid, gid
        self.writable, self.readable, self.hidden = writable, readable, hidden
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.kind, self.lacks = KINDS[-1]
        for self.kind, self.lacks in KINDS:
            with contextlib.suppress(CellError), open(os.devnull, "wb") as nothing:  # noqa: PTH123
                if self.run(":", Path("/"), {}, nothing, GRACE_SECONDS) == 0:
                    break

    def run(self, command: str, directory: Path, environment: dict[str, str], output: Output, timeout: float) -> int:
        """Run COMMAND by the shell. Gives its exit code or -SIGNAL, after every process of it has ended."""
        said, saying = os.pipe()
        told, telling = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            os.close(said)
            os.close(told)
            self._supervise(command, directory, environment, saying, telling, timeout)
        os.close(saying)
        os.close(telling)
        try:
            in_time = _pump(said, output, time.monotonic() + timeout + GRACE_SECONDS)
            if not in_time:
                os.kill(supervisor, signal.SIGKILL)
            os.waitpid(supervisor, 0)
            verdict = os.read(told, 4096).decode(errors="replace").partition("\n")[0]
        finally:
            os.close(said)
            os.close(told)
        if in_time and verdict.startswith("ended "):
            return os.waitstatus_to_exitcode(int(verdict.split()[1]))
        raise CellError(verdict or "its processes could not be ended")

    def _supervise(
        self, command: str, directory: Path, environment: dict[str, str], saying: int, telling: int, timeout: float
    ) -> NoReturn:
        """The process above all of a command; it tells what became of the command when it alone is left."""
        verdict = ""
        try:
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            self._prctl(PR_SET_CHILD_SUBREAPER, 1)
            if self.kind:
                self._call("unshare", self.kind)
            inner, outer = os.pipe()
            first = os.fork()
            if first == 0:
                self._begin(command, directory, environment, saying, outer)
            os.close(saying)
            os.close(outer)
            poll = select.poll()
            poll.register(os.pidfd_open(first), select.POLLIN)
            if not poll.poll(timeout * 1000):
                verdict = f"not done after {timeout:g} s, ended"
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            _sweep()
            verdict = verdict or os.read(inner, 4096).decode(errors="replace").partition("\n")[0]
            verdict = verdict or "its first process was ended from outside"
        except BaseException as error:
            verdict = f"could not be started: {error}"
        finally:
            os.write(telling, f"{verdict}\n".encode(errors="replace"))
            os._exit(0)

    def _begin(self, command: str, directory: Path, environment: dict[str, str], saying: int, outer: int) -> NoReturn:
        """The first process in the cell: with it all others end. The build user can't signal it."""
        try:
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if self.kind & CLONE_NEWNET:
                _raise_loopback()
            if self.kind & CLONE_NEWNS:
                self._furnish()
            shell = os.fork()
            if shell == 0:
                self._become_the_command(command, directory, environment, saying, outer)
            os.close(saying)
            pid, status = 0, 0
            while pid != shell:
                pid, status = os.wait()
            os.write(outer, f"ended {status}\n".encode())
        except BaseException as error:
            os.write(outer, f"could not be started: {error}\n".encode(errors="replace"))
        finally:
            os._exit(0)

    def _become_the_command(
        self, command: str, directory: Path, environment: dict[str, str], saying: int, outer: int
    ) -> NoReturn:
        """Nothing of root's is left when the shell begins: right, group, descriptor or signal's setting."""
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(saying, 1)
            os.dup2(saying, 2)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            drop_rights(self.uid, self.gid)
            self._leave_keyrings()
            self._prctl(PR_SET_NO_NEW_PRIVS, 1)
            os.umask(0o022)
            os.chdir(directory)
            # No other descriptor but the one that closes itself.
            os.closerange(3, outer)
            os.closerange(outer + 1, 1 << 20)
            os.execve("/bin/sh", ["/bin/sh", "-euc", command], environment)  # noqa: S606
        except BaseException as error:
            os.write(outer, f"could not be started: {error}\n".encode(errors="replace"))
        finally:
            os._exit(127)

    def _leave_keyrings(self) -> None:
        """Whoever has a session's keyring may read and change its keys, whosesoever they are: root's own is left for an
        empty one. The user's, which no namespace hides, are emptied of what another build has left there.
        """
        keyctl = SYS_KEYCTL.get(os.uname().machine)
        if keyctl is None or (os.uname().machine == "x86_64" and sys.maxsize < 1 << 32):
            return
        with contextlib.suppress(PermissionError):  # as a container answers that lets nobody use keys
            try:
                self._call("syscall", keyctl, KEYCTL_JOIN_SESSION_KEYRING, None)
                for keyring in KEYS_OF_A_USER:
                    self._call("syscall", keyctl, KEYCTL_CLEAR, keyring)
            except OSError as error:
                if error.errno != errno.ENOSYS:  # a kernel without keys
                    raise

    def _furnish(self) -> None:
        """Make the cell's view of the files, in a mount namespace of its own."""
        kept = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in (*self.readable, *self.writable)]
        self._mount(None, "/", None, MS_REC | MS_PRIVATE)
        for name, mode in (*((str(path), "0755") for path in self.hidden), *COMMON):
            if os.path.isdir(name) and not os.path.islink(name):  # noqa: PTH112, PTH114
                self._mount("tmpfs", name, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
        for path, fd in kept:
            path.mkdir(parents=True, exist_ok=True)  # in one of the new, empty directories, or there already
            self._mount(f"/proc/self/fd/{fd}", str(path), None, MS_BIND)
            os.close(fd)
        self._set_read_only("/", True)
        for path in self.writable:
            self._set_read_only(str(path), False)
        for name, mode in COMMON:
            if mode == "1777" and os.path.ismount(name):
                self._set_read_only(name, False)
        self._mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)

    def _mount(self, what: str | None, where: str, kind: str | None, flags: int, data: str | None = None) -> None:
        words = [word.encode() if word is not None else None for word in (what, where, kind, data)]
        self._call("mount", *words[:3], ctypes.c_ulong(flags), words[3])

    def _set_read_only(self, where: str, read_only: bool) -> None:
        wish = struct.pack("=QQQQ", *((MOUNT_ATTR_RDONLY, 0) if read_only else (0, MOUNT_ATTR_RDONLY)), 0, 0)
        self._call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, where.encode(), AT_RECURSIVE, wish, len(wish))

    def _prctl(self, option: int, value: int) -> None:
        self._call("prctl", option, *map(ctypes.c_ulong, (value, 0, 0, 0)))

    def _call(self, function: str, *arguments: Any) -> None:
        if getattr(self.libc, function)(*arguments) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{function}: {os.strerror(number)}")


def drop_rights(uid: int, gid: int) -> None:
    """Become the user for good, with no group but its own. Where this is not root, there is nothing to drop.

    Build steps of 1998 ask getgroups(2) what a gid_t is, and stop where it gives none.
    """
    if os.geteuid() == 0:
        os.setgroups([gid])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def _raise_loopback() -> None:
    """A new network namespace has its loopback interface down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(sock, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def _pump(source: int, output: Output, deadline: float) -> bool:
    """Copy until every writer has closed. False if that takes too long."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        data = os.read(source, 1 << 16)
        if not data:
            return True
        output.write(data)
        if time.monotonic() > deadline:
            break
    return False


def _children() -> list[int]:
    """This process's children, as the kernel lists them."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # The field before, the program's name, may hold anything, parentheses too.
                if int(Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found


def _sweep() -> None:
    """End what is left. Each process whose parent has ended becomes a child of this one, so there is an end to it.

    In a namespace of processes nothing is left: the kernel has ended all of it.
    """
    deadline = time.monotonic() + SWEEP_SECONDS
    with contextlib.suppress(ChildProcessError):
        while True:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            if time.monotonic() > deadline:
                raise CellError(f"what it left running could not be ended in {SWEEP_SECONDS} s")
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
