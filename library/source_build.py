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
    O(user), with an environment of O(environment) and a few constants only, in namespaces of its own. There it finds
    no network but a loopback interface, no process but its own, and no file to write to but those of O(work),
    O(prefix) and an empty C(/tmp). With each command every process ends that it has started, also a daemon in a
    session of its own.
  - O(prefix) belongs to O(user) while the commands run. After the last one it is sealed. That is, root copies all of
    it to new files, without set-uid bits and without write permission for others, and writes the file C(.stamp). So
    nothing that a build has kept open or mapped leads to what is used.
  - One build at a time is at work below the directory that O(work) is in; another one waits.
  - On any failure O(prefix) is removed, so what is at O(prefix) is either complete or not there.
options:
  label:
    description: What is built, for messages.
    type: str
    required: true
  user:
    description: User that runs the commands. Only optional where the module itself does not run as root.
    type: str
  exclusive:
    description: >-
      O(user) is for builds alone. If some process runs as that user before the build begins, it is named and nothing
      is built.
    type: bool
    default: false
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
      - Environment of the commands beside C(PATH), C(HOME), C(TMPDIR), C(WORK), C(PREFIX), C(JOBS), C(LC_ALL), C(TZ)
        and C(SOURCE_DATE_EPOCH).
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
  description: Whether the commands ran in all of those namespaces. A host may forbid them.
  type: bool
  returned: success
"""

import contextlib
import fcntl
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.build_cell import Cell, CellError
from ansible.module_utils.sealed_tree import STAMP_FILE, built_beside, record_of

TAIL_LINES = 25
TAIL_BYTES = 4000
LOG_BYTES = 64 << 20
DEPTH = 64
LOCK_FILE = ".lock"


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


class Log:
    """The log, which only root writes, no more than LOG_BYTES: the commands have the other end of a pipe."""

    def __init__(self, file: IO[bytes]) -> None:
        """FILE is open for writing, and nobody else's."""
        self.file, self.room = file, LOG_BYTES

    def write(self, data: bytes) -> None:
        """Take as much of DATA as there is room for."""
        if self.room > 0:
            self.file.write(data[: self.room])
            self.room -= len(data)
            if self.room <= 0:
                self.file.write(b"\n=== the log is full; the rest is left out\n")
            self.file.flush()


class Runner:
    """Runs shell commands as the build user, each in a cell, their output appended to the log."""

    def __init__(self, cell: Cell, log: Log, environment: dict[str, str], timeout: int) -> None:
        """ENVIRONMENT is the whole environment of every command."""
        self.cell, self.log, self.environment, self.timeout = cell, log, environment, timeout

    def run(self, step: str, command: str, directory: Path) -> None:
        """Run COMMAND in DIRECTORY; nothing of it runs any more when this returns."""
        self.log.write(f"\n=== {step}: {command}\n".encode())
        try:
            code = self.cell.run(command, directory, self.environment, self.log, self.timeout)
        except (CellError, OSError) as error:
            raise BuildError(step, f"{first_line(command)}: {error}") from None
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
    """Put what the build user has installed to PREFIX into files that were never another's, and mark it complete.

    The mark says what was built, file by file: what is there later is compared with it.

    A copy, not a change of owner: a descriptor or a mapping that somebody has kept leads to the old file. The build
    user may have put anything there: nothing is followed, and what is neither a file of that user nor a directory nor
    a symlink is refused.
    """
    built = built_beside(prefix)
    prefix.rename(built)
    prefix.mkdir(mode=0o700)
    source, target = (os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) for path in (built, prefix))
    try:
        copy_directory(source, target, prefix, user, DEPTH)
    finally:
        os.close(source)
        os.close(target)
    os.sync()  # the stamp must not outlive, in a power loss, the files that it vouches for
    stamp = stamp | {"files": record_of(prefix)}
    new = prefix / f"{STAMP_FILE}.new"
    with new.open("x", encoding="utf-8") as out:
        json.dump(stamp, out, indent=2, sort_keys=True)
        out.write("\n")
        out.flush()
        os.fchmod(out.fileno(), 0o644)
        os.fsync(out.fileno())
    new.replace(prefix / STAMP_FILE)
    os.sync()
    remove(built)


def copy_directory(source: int, target: int, where: Path, user: User, depth: int) -> None:
    """Copy what is in one open directory into another. WHERE is its name, for messages."""
    if depth == 0:
        raise BuildError("seal", f"{where} is more than {DEPTH} directories deep")
    for name in sorted(os.listdir(source)):
        have = os.stat(name, dir_fd=source, follow_symlinks=False)
        if have.st_uid != user.uid:
            raise BuildError("seal", f"{name} in {where} does not belong to the build user")
        if stat.S_ISLNK(have.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(have.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            within = partial(os.open, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            old, new = within(dir_fd=source), within(dir_fd=target)
            try:
                copy_directory(old, new, where / name, user, depth - 1)
            finally:
                os.close(old)
                os.close(new)
        elif not stat.S_ISREG(have.st_mode):
            raise BuildError("seal", f"{name} in {where} is neither a file nor a directory nor a symlink")
        elif have.st_nlink > 1:
            raise BuildError("seal", f"{name} in {where} has a second hard link; install a copy or a symlink")
        else:
            copy_file(name, source, target, have)
    os.fchmod(target, 0o755)


def copy_file(name: str, source: int, target: int, have: os.stat_result) -> None:
    """Copy content, time and the harmless part of the mode."""
    with (
        os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source), "rb") as old,
        os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=target), "wb") as new,
    ):
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.utime(new.fileno(), ns=(have.st_atime_ns, have.st_mtime_ns))  # a compiled module names its source's
        os.fchmod(new.fileno(), have.st_mode & 0o755)


def fresh_directory(path: Path, user: User, mode: int) -> None:
    """An empty directory of the build user at PATH, whatever was there before."""
    remove(path)
    path.mkdir(mode=0o700, parents=True)
    os.chmod(path, mode)  # noqa: PTH101 - the umask does not count
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)


def remove(path: Path) -> None:
    """Remove PATH and what is below, however deep: it may be the build user's work. No symlink is followed."""
    if os.path.lexists(path):
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], check=True, capture_output=True)


def is_complete(prefix: Path) -> bool:
    """Was PREFIX sealed?"""
    stamp: Path = prefix / STAMP_FILE
    return stamp.is_file()


@contextlib.contextmanager
def alone(place: Path, seconds: float) -> Iterator[None]:
    """Be the only build that is at work in PLACE: builds share a user, and so could reach each other's files."""
    place.mkdir(parents=True, exist_ok=True)
    fd = os.open(place / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BuildError("prepare", f"another build is at work in {place} for {seconds} s now") from None
                time.sleep(0.1)
        yield
    finally:
        os.close(fd)


def processes_of(user: User) -> list[str]:
    """The processes of USER that this one could see anyway (those of a container on this host are not meant)."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, StopIteration):
            if not process.name.isdigit() or (process / "ns/pid").readlink() != Path("/proc/self/ns/pid").readlink():
                continue
            lines = (process / "status").read_text(errors="replace").splitlines()
            ids = next(line for line in lines if line.startswith("Uid:")).split()[1:]
            if str(user.uid) in ids and not any(line.startswith("State:\tZ") for line in lines):
                found.append(f"{process.name} ({lines[0].split(None, 1)[-1]})")
    return sorted(found)


def build(params: dict[str, Any], log: Log) -> tuple[dict[str, float], str]:
    """All steps. Gives the seconds that each took, and what the commands could do that they should not."""
    user = User(params["user"])
    strangers = processes_of(user) if params["exclusive"] else []
    if strangers:
        raise BuildError(
            "prepare",
            f"{', '.join(strangers)} runs as {params['user']} outside of any build; look what it is, end it, run again",
        )
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
    fresh_directory(work, user, 0o700)
    fresh_directory(work / ".tmp", user, 0o700)
    remove(built_beside(prefix))
    fresh_directory(prefix, user, 0o755)
    cache = Path(params["cache"])
    cell = Cell(user.uid, user.gid, [work, prefix], [cache] if cache.is_dir() else [], [work.parent])
    runner = Runner(cell, log, environment, params["timeout"])
    seconds: dict[str, float] = {}
    started = time.monotonic()

    def lap(step: str) -> None:
        nonlocal started
        seconds[step] = round(time.monotonic() - started, 2)
        started = time.monotonic()

    for archive in params["archives"]:
        runner.run("unpack", unpack_command(cache, archive), work)
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
    return seconds, cell.lacks


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
            "exclusive": {"type": "bool", "default": False},
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
    work = Path(params["work"])
    try:
        with alone(work.parent, params["timeout"]):
            try:
                log_path.unlink(missing_ok=True)
                with log_path.open("xb") as log:
                    os.fchmod(log.fileno(), 0o644)
                    seconds, lacks = build(params, Log(log))
            except BaseException:
                remove(prefix)
                remove(built_beside(prefix))
                raise
            finally:
                remove(work)
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        step = error.step if isinstance(error, BuildError) else "prepare"
        tail = tail_of(log_path) if log_path.is_file() else ""
        module.fail_json(
            msg=f"{params['label']}: step {step} failed: {error}\n"
            f"{running_version(prefix)} The whole log is {log_path}; its end:\n{tail}",
            step=step,
            log=str(log_path),
        )
    if lacks:
        module.warn(f"{params['label']}: this host does not allow all namespaces, so the build could {lacks}")
    module.exit_json(changed=True, log=str(log_path), seconds=seconds, isolated=not lacks)


if __name__ == "__main__":
    main()
