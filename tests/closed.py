"""Look into every process of one user id as another process of it: closed.py USER GROUP [NAME...].

For each it tries to read memory, environment and descriptors through /proc, to read memory by process_vm_readv(2),
and to become its tracer. Printed is a line for each process, and the exit code is 1 when any of it worked, or when no
process of one of the NAMEs (as in /proc/PID/comm) was there, or when an ordinary program of the user can't be looked
into, either. Run as root: it becomes the user itself, with the group that the processes have.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
LIBC = ctypes.CDLL(None, use_errno=True)


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read(path: str) -> None:
    """Read the first byte of a file of /proc."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if not os.read(fd, 1):
            raise PermissionError
    finally:
        os.close(fd)


def copy(pid: int) -> None:
    """Copy some bytes of a process's memory, from an address that is nobody's: EFAULT would say that we may."""
    buffer = ctypes.create_string_buffer(1)
    here, there = Vector(ctypes.addressof(buffer), 1), Vector(1, 1)
    LIBC.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    if ctypes.get_errno() in (1, 3):  # EPERM, ESRCH
        raise PermissionError


def trace(pid: int) -> None:
    """Become the tracer of a process, and let it go at once."""
    if LIBC.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
        raise PermissionError
    os.waitpid(pid, 0x40000000)  # __WALL
    LIBC.ptrace(PTRACE_DETACH, pid, None, None)


WAYS: dict[str, Callable[[int], object]] = {
    "mem": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
    "environ": lambda pid: read(f"/proc/{pid}/environ"),
    "maps": lambda pid: read(f"/proc/{pid}/maps"),
    "fd": lambda pid: str(Path(f"/proc/{pid}/fd/0").readlink()),
    "process_vm_readv": copy,
    "ptrace": trace,
}


def worked(pid: int) -> list[str]:
    """Name the ways that lead into the process."""
    found = []
    for name, way in WAYS.items():
        try:
            way(pid)
        except OSError:
            continue
        found.append(name)
    return found


def equals(uid: int) -> dict[int, str]:
    """Give the name of each process with that real or effective user id, other than this one."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            lines = (entry / "status").read_text().splitlines()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if str(uid) in fields["Uid"].split()[:2] and int(entry.name) != os.getpid():
            found[int(entry.name)] = fields["Name"].strip()
    return found


def main(user: str, group: str, *wanted: str) -> int:
    """Do it, and give the exit code."""
    uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    with subprocess.Popen(["/bin/sleep", "60"]) as ordinary:
        time.sleep(0.3)  # until it is that program
        ways = worked(ordinary.pid)
        ordinary.kill()
    code = 0
    if set(ways) != set(WAYS):
        print(f"an ordinary program is open by {', '.join(ways) or 'nothing'} only: this looks at nothing")
        code = 1
    there = equals(uid)
    for pid, name in sorted(there.items()):
        ways = worked(pid)
        print(f"{pid} {name}: {'open by ' + ', '.join(ways) if ways else 'closed'}")
        code |= bool(ways)
    for name in set(wanted) - set(there.values()):
        print(f"no process {name} of {user} is there")
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
