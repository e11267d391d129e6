#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: unpack, patch, build, check and install a part's sources as a user without any rights."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: source_build
short_description: Build verified sources into a prefix, as an unprivileged user without network
description:
  - Unpacks O(archives), applies O(patches), then runs the commands of O(steps). Everything of the sources runs as
    O(user), with an environment of O(environment) and a few constants only, in a network namespace that has nothing
    but its own loopback interface.
  - O(prefix) belongs to O(user) while the commands run. After the last one it is sealed. That is, everything in it
    becomes root's, without set-uid bits and without write permission for others, and the file C(.stamp) is written.
  - On any failure O(prefix) is removed, so what is at O(prefix) is either complete or not there.
options:
  label:
    description: What is built, for messages.
    type: str
    required: true
  user:
    description: User that runs the commands. Only optional where the module itself does not run as root.
    type: str
  work:
    description: Working directory. Emptied before and removed after the build.
    type: path
    required: true
  prefix:
    description: Where the commands of O(steps) install to. It must not exist, or be an incomplete build.
    type: path
    required: true
  stamp:
    description: Content of C(.stamp), a dict with at least the key C(stamp).
    type: dict
    required: true
  log:
    description: File that takes the output of all commands. Written anew.
    type: path
    required: true
  cache:
    description: Directory of the verified files, readable for O(user).
    type: path
    default: /var/cache/qmail-site/distfiles
  archives:
    description: Files of O(cache) to unpack, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: File in O(cache).
        type: str
        required: true
      into:
        description: Directory in O(work) that takes the content, without the archive's topmost directory.
        type: str
        required: true
      unpack:
        description: If false, the file itself is put into the directory.
        type: bool
        default: true
  patches:
    description: Patches, applied in this order without fuzz, in the directory of the first archive.
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description: Path in O(work). A pattern stands for its matches in order of name, and must have one.
        type: str
        required: true
      strip:
        description: Number of leading path components to strip from file names in the patch.
        type: int
        default: 1
  steps:
    description: What to run, in this order, each command by C(/bin/sh -eu) in the directory of the first archive.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name for messages, such as C(build).
        type: str
        required: true
      run:
        description: Commands. The first one that fails ends the build.
        type: list
        elements: str
        required: true
  environment:
    description:
      - Environment of the commands beside C(PATH), C(HOME), C(WORK), C(PREFIX), C(JOBS), C(LC_ALL), C(TZ) and
        C(SOURCE_DATE_EPOCH).
    type: dict
    default: {}
  timeout:
    description: Seconds that one command may take.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Runs nothing and reports a change.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Build a part
  source_build:
    label: hello 1.0
    user: _qmailbuild
    work: /srv/build/hello
    prefix: /opt/qmail-site/hello/1.0-0a1b2c3d
    stamp:
      stamp: 0a1b2c3d
    log: /var/log/qmail-site/build-hello.log
    archives:
      - name: hello-1.0.tar.gz
        into: source
    steps:
      - name: build
        run: [make]
      - name: install
        run: ['make install PREFIX="$PREFIX"']
"""

RETURN = r"""
log:
  description: The file with the output of all commands.
  type: str
  returned: always
step:
  description: The step that failed.
  type: str
  returned: on failure
seconds:
  description: Duration of each step.
  type: dict
  returned: success
  sample: {unpack: 0.1, patch: 0.1, build: 4.2, install: 0.1}
isolated:
  description: Whether the commands ran without the host's network. A host may forbid namespaces.
  type: bool
  returned: success
"""

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule

CLONE_NEWNET = 0x40000000
PR_SET_NO_NEW_PRIVS = 38
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
STAMP_FILE = ".stamp"
TAIL_LINES = 25
TAIL_BYTES = 4000


class BuildError(Exception):
    """A step failed; STEP names it."""

    def __init__(self, step: str, text: str) -> None:
        """Keep both halves: the message tells which step."""
        super().__init__(text)
        self.step = step


class User:
    """The user that builds: by name, or (where this is not root) whoever this is."""

    def __init__(self, name: str | None) -> None:
        """Look NAME up on this host."""
        if name is None:
            if os.geteuid() == 0:
                raise BuildError("prepare", "user: sources are never built as root; name an unprivileged user")
            self.uid, self.gid = os.geteuid(), os.getegid()
        else:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                raise BuildError("prepare", f"user: this host has no user {name!r}") from None
            self.uid, self.gid = entry.pw_uid, entry.pw_gid
            if self.uid == 0:
                raise BuildError("prepare", f"user: {name!r} is root; sources are never built as root")


def lone_network(libc: ctypes.CDLL) -> bool:
    """Leave the host's network for one that has only a loopback interface, up. False where that is forbidden."""
    if libc.unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(sock, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    return True


class Runner:
    """Runs shell commands as the build user, their output appended to the log."""

    def __init__(self, user: User, log: IO[bytes], environment: dict[str, str], timeout: int) -> None:
        """LOG is open for writing; ENVIRONMENT is the whole environment of every command."""
        self.user, self.log, self.environment, self.timeout = user, log, environment, timeout
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.isolated = self._can_isolate()

    def _can_isolate(self) -> bool:
        """Try it in a child, which then is gone with its namespace."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if lone_network(self.libc) else 1
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def _become(self) -> None:
        """In the child, before the shell: no network, no groups, no rights, and no way to regain any."""
        if self.isolated:
            lone_network(self.libc)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(self.user.gid, self.user.gid, self.user.gid)
            os.setresuid(self.user.uid, self.user.uid, self.user.uid)
        self.libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.umask(0o022)

    def run(self, step: str, command: str, directory: Path) -> None:
        """Run COMMAND in DIRECTORY; what it leaves running in its process group is ended with it."""
        self.log.write(f"\n=== {step}: {command}\n".encode())
        self.log.flush()
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-euc", command],
                cwd=directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._become,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BuildError(step, f"{first_line(command)}: could not be started: {error}") from None
        try:
            code = process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            raise BuildError(step, f"{first_line(command)}: not done after {self.timeout} s, ended") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0:
            how = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
            raise BuildError(step, f"{first_line(command)}: {how}")


def first_line(command: str) -> str:
    """A command fit for a message."""
    lines = command.strip().splitlines() or [""]
    return lines[0] + (" ..." if len(lines) > 1 else "")


def tail_of(log: Path) -> str:
    """The last lines of the log, indented."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(f"  | {line}" for line in lines)


def unpack_command(cache: Path, archive: dict[str, Any]) -> str:
    """The shell command that puts one archive where it belongs."""
    into, path = shlex.quote(archive["into"]), shlex.quote(str(cache / archive["name"]))
    if not archive["unpack"]:
        return f"mkdir -p {into}; cp {path} {into}/"
    return f"mkdir -p {into}; tar -xf {path} -C {into} --strip-components=1 --no-same-owner --no-same-permissions"


def patch_files(work: Path, patches: list[dict[str, Any]]) -> list[tuple[Path, int]]:
    """The patches in their order with patterns resolved, each with its strip count."""
    found: list[tuple[Path, int]] = []
    for entry in patches:
        if entry["file"].startswith("/") or ".." in entry["file"].split("/"):
            raise BuildError("patch", f"{entry['file']!r} is not a path inside the working directory")
        matches = sorted(path for path in work.glob(entry["file"]) if path.is_file())
        if not matches:
            raise BuildError("patch", f"{entry['file']}: no such file among the unpacked sources")
        found += [(path, entry["strip"]) for path in matches]
    return found


def seal(prefix: Path, user: User, stamp: dict[str, Any]) -> None:
    """Take PREFIX over from the build user and mark it complete.

    The build user may have put anything there: nothing is followed, and what is neither a file of that user nor a
    directory nor a symlink is refused.
    """
    root = os.geteuid() == 0
    for _, directories, files, fd in os.fwalk(prefix, follow_symlinks=False):
        for name in [*directories, *files]:
            have = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if have.st_uid != user.uid:
                raise BuildError("seal", f"{name} in {prefix} does not belong to the build user")
            if stat.S_ISLNK(have.st_mode):
                if root:
                    os.chown(name, 0, 0, dir_fd=fd, follow_symlinks=False)
                continue
            if not (stat.S_ISREG(have.st_mode) or stat.S_ISDIR(have.st_mode)):
                raise BuildError("seal", f"{name} in {prefix} is neither a file nor a directory nor a symlink")
            if stat.S_ISREG(have.st_mode) and have.st_nlink > 1:
                raise BuildError("seal", f"{name} in {prefix} has a second hard link; install a copy or a symlink")
        for name in files:
            have = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(have.st_mode):
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                try:
                    if root:
                        os.fchown(file, 0, 0)
                    os.fchmod(file, have.st_mode & 0o755)
                finally:
                    os.close(file)
        if root:
            os.fchown(fd, 0, 0)
        os.fchmod(fd, 0o755)
    os.sync()  # the stamp must not outlive, in a power loss, the files that it vouches for
    new = prefix / f"{STAMP_FILE}.new"
    with new.open("x", encoding="utf-8") as out:
        json.dump(stamp, out, indent=2, sort_keys=True)
        out.write("\n")
        out.flush()
        os.fchmod(out.fileno(), 0o644)
        os.fsync(out.fileno())
    new.replace(prefix / STAMP_FILE)
    os.sync()


def fresh_directory(path: Path, user: User, mode: int) -> None:
    """An empty directory of the build user at PATH, whatever was there before."""
    remove(path)
    path.mkdir(mode=0o700, parents=True)
    os.chmod(path, mode)  # noqa: PTH101 - the umask does not count
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)


def remove(path: Path) -> None:
    """Remove PATH and what is below."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def is_complete(prefix: Path) -> bool:
    """Was PREFIX sealed?"""
    return (prefix / STAMP_FILE).is_file()


def build(params: dict[str, Any], log: IO[bytes]) -> tuple[dict[str, float], bool]:
    """All steps. Gives the seconds that each took, and whether the commands were kept off the network."""
    user = User(params["user"])
    work, prefix = Path(params["work"]), Path(params["prefix"])
    for entry in params["archives"]:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry["into"]):
            raise BuildError("unpack", f"into: {entry['into']!r} is not a plain directory name")
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(work),
        # Not /tmp, where a host may let nothing be executed.
        "TMPDIR": str(work / ".tmp"),
        "WORK": str(work),
        "PREFIX": str(prefix),
        "JOBS": str(len(os.sched_getaffinity(0))),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "946684800",
        **{str(key): str(value) for key, value in params["environment"].items()},
    }
    runner = Runner(user, log, environment, params["timeout"])
    seconds: dict[str, float] = {}
    started = time.monotonic()

    def lap(step: str) -> None:
        nonlocal started
        seconds[step] = round(time.monotonic() - started, 2)
        started = time.monotonic()

    fresh_directory(work, user, 0o700)
    fresh_directory(work / ".tmp", user, 0o700)
    fresh_directory(prefix, user, 0o755)
    for archive in params["archives"]:
        runner.run("unpack", unpack_command(Path(params["cache"]), archive), work)
    lap("unpack")
    source = work / params["archives"][0]["into"]
    for path, strip in patch_files(work, params["patches"]):
        command = f"patch -p{strip} --batch --forward --fuzz=0 --no-backup-if-mismatch -r - -i {shlex.quote(str(path))}"
        runner.run("patch", command, source)
    lap("patch")
    for step in params["steps"]:
        for command in step["run"]:
            runner.run(step["name"], command, source)
        lap(step["name"])
    seal(prefix, user, params["stamp"])
    return seconds, runner.isolated


def running_version(prefix: Path) -> str:
    """A sentence on what the host goes on using."""
    try:
        current = (prefix.parent / "current").readlink()
    except OSError:
        return "Nothing was installed."
    return f"The version in use, {current}, is untouched."


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "label": {"type": "str", "required": True},
            "user": {"type": "str"},
            "work": {"type": "path", "required": True},
            "prefix": {"type": "path", "required": True},
            "stamp": {"type": "dict", "required": True},
            "log": {"type": "path", "required": True},
            "cache": {"type": "path", "default": "/var/cache/qmail-site/distfiles"},
            "archives": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "into": {"type": "str", "required": True},
                    "unpack": {"type": "bool", "default": True},
                },
            },
            "patches": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"file": {"type": "str", "required": True}, "strip": {"type": "int", "default": 1}},
            },
            "steps": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "run": {"type": "list", "elements": "str", "required": True},
                },
            },
            "environment": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 1800},
        },
        supports_check_mode=True,
    )
    params = module.params
    log_path, prefix = Path(params["log"]), Path(params["prefix"])
    if module.check_mode:
        module.exit_json(changed=True, log=str(log_path))
    if is_complete(prefix):
        module.fail_json(
            msg=f"{params['label']}: {prefix} is a complete build, not to be built over", log=str(log_path)
        )
    if not params["archives"]:
        module.fail_json(msg=f"{params['label']}: no archives to build from", log=str(log_path))
    try:
        log_path.unlink(missing_ok=True)
        with log_path.open("xb") as log:
            os.fchmod(log.fileno(), 0o644)
            seconds, isolated = build(params, log)
    except BaseException as error:
        remove(prefix)
        remove(Path(params["work"]))
        if not isinstance(error, (BuildError, OSError)):
            raise
        step = error.step if isinstance(error, BuildError) else "prepare"
        tail = tail_of(log_path) if log_path.is_file() else ""
        module.fail_json(
            msg=f"{params['label']}: step {step} failed: {error}\n"
            f"{running_version(prefix)} The whole log is {log_path}; its end:\n{tail}",
            step=step,
            log=str(log_path),
        )
    remove(Path(params["work"]))
    if not isolated:
        module.warn(f"{params['label']}: this host allows no network namespaces, so the build could reach the network")
    module.exit_json(changed=True, log=str(log_path), seconds=seconds, isolated=isolated)


if __name__ == "__main__":
    main()
