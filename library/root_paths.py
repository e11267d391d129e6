#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: nobody but root can exchange what root writes."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: root_paths
short_description: See that nobody but root can exchange what root writes
description:
  - Who may write to a directory can put a link, or a file that he keeps open, in the place of anything in it. What
    root then does to that name, root does to something else.
  - Looks at all of O(below) for what only root can have put there, and at each of O(paths), and says which of them has
    a directory above it that somebody else may change. Its owner may; so may a group with write permission that has
    members, and anybody where it is writable for all. A sticky directory protects what is in it.
  - What only root can have put there is what belongs to root, and what belongs to another user than the directory of a
    user that it is in.
  - What root reads or runs, O(read), must be root's itself, too, and nobody else may write to it; so must all be that a
    symlink leads through. With O(ask) the host is asked for more of it, which is the files and programs of all units
    that systemd knows, and the programs and libraries that processes of root have loaded.
  - Changes nothing. Fails if there is anything to say.
options:
  paths:
    description: Paths to look at, whether they are there or not.
    type: list
    elements: path
    default: []
  below:
    description:
      - Directories to look through. Other file systems that are mounted there are looked through, but for those of the
        kernel's own.
    type: list
    elements: path
    default: []
  read:
    description: Files that root reads or runs, and directories of such files, which are looked through.
    type: list
    elements: path
    default: []
  ask:
    description: Whether the host is asked for more of what root reads or runs.
    type: bool
    default: false
  besides:
    description: Directories and files that are not looked at, with what is in them.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: See that nobody can lead root astray
  root_paths:
    below: [/]
    besides: [/home]
"""

RETURN = r"""
looked:
  description: How many paths were looked at.
  type: int
  returned: always
found:
  description: A sentence for each path that somebody else can exchange or change.
  type: list
  elements: str
  returned: always
"""

import contextlib
import grp
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

KERNEL = (
    "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts efivarfs fusectl hugetlbfs mqueue nsfs proc pstore"
)
KERNEL_TYPES = {*KERNEL.split(), "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs"}
MOST = 20
# What of a unit root reads, and what it runs for it.
PROPERTIES = "FragmentPath DropInPaths EnvironmentFiles ExecStart ExecStartPre ExecStartPost ExecReload ExecStop"
SYSTEMD = Path("/run/systemd/system")  # there if it is process 1
SECONDS = 20
LINKS = 40  # as the kernel, which follows no more in one path


class Looker:
    """Looks at directories, each once."""

    def __init__(self, besides: list[str]) -> None:
        """Learn which accounts are in which group, and where the kernel's own file systems are."""
        self.besides = {os.path.normpath(path) for path in besides}
        self.members: dict[int, set[str]] = {entry.gr_gid: set(entry.gr_mem) for entry in grp.getgrall()}
        self.names: dict[int, str] = {}
        for account in pwd.getpwall():
            self.names.setdefault(account.pw_uid, account.pw_name)
            self.members.setdefault(account.pw_gid, set()).add(account.pw_name)
        self.known: dict[str, str] = {}
        self.read: set[str] = set()
        self.looked = 0
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:  # noqa: PTH123
            for line in mounts:
                words = line.split()
                if words[words.index("-") + 1] in KERNEL_TYPES:
                    self.besides.add(words[4])

    def name_of(self, uid: int) -> str:
        """A user's name, or its number."""
        return self.names.get(uid, f"uid {uid}")

    def who_writes(self, have: os.stat_result, path: str) -> str:
        """Who beside root may exchange what is in the directory PATH; empty if nobody."""
        if have.st_uid != 0:
            return self.name_of(have.st_uid)
        if have.st_mode & stat.S_ISVTX:
            return ""  # only the owner of a thing in it, or its own, may rename that
        return self.who_shares(have, path)

    def who_shares(self, have: os.stat_result, path: str) -> str:
        """Who may write to PATH beside its owner; empty if nobody."""
        if have.st_mode & stat.S_IWOTH:
            return "everybody"
        if have.st_mode & stat.S_IWGRP:
            # With a list of its own, these bits are what that list can give at most.
            with contextlib.suppress(OSError):
                os.getxattr(path, "system.posix_acl_access")
                return "somebody of its access list"
            members = self.members.get(have.st_gid, set()) - {"root"}
            if members and have.st_gid != 0:
                return ", ".join(sorted(members)[:3])
        return ""

    def above(self, path: str) -> str:
        """Who may change PATH, a directory, or one above it, and which; empty if nobody."""
        if path not in self.known:
            said = self.above(os.path.dirname(path)) if path != "/" else ""  # noqa: PTH120
            if not said:
                with contextlib.suppress(OSError):
                    have = os.lstat(path)
                    who = self.who_writes(have, path) if stat.S_ISDIR(have.st_mode) else ""
                    said = f"{path} can be changed by {who}" if who else ""
            self.known[path] = said
        return self.known[path]

    def look_at(self, path: str) -> Iterator[str]:
        """A sentence if somebody can exchange PATH."""
        self.looked += 1
        said = self.above(os.path.dirname(path))  # noqa: PTH120
        if said:
            yield f"{path}: {said}"

    def look_at_file(self, path: str) -> Iterator[str]:
        """A sentence if somebody else can change what root reads at PATH: there, or wherever a link leads on."""
        for _ in range(LINKS):
            self.looked += 1
            if path in self.read:
                return
            self.read.add(path)
            said = self.above(os.path.dirname(path))  # noqa: PTH120
            try:
                have = os.lstat(path)
            except OSError:
                have = None
            if said or have is None:
                if said:
                    yield f"{path}: {said}"
                return
            if stat.S_ISLNK(have.st_mode):
                if have.st_uid != 0:
                    yield f"{path} is a link of {self.name_of(have.st_uid)}"
                path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))  # noqa: PTH115, PTH118, PTH120
                continue
            # A device is as it is; a sticky file is nobody's protection.
            if stat.S_ISREG(have.st_mode) and (who := self.who_changes(have, path)):
                yield f"{path} can be changed by {who}"
            return

    def who_changes(self, have: os.stat_result, path: str) -> str:
        """Who beside root may write to the file PATH; empty if nobody."""
        if have.st_uid != 0:
            return self.name_of(have.st_uid)
        return self.who_shares(have, path)

    def look_through(self, top: str) -> Iterator[str]:
        """A sentence for each file at or below TOP that root reads and somebody else can change."""
        if top in self.besides:
            return
        if os.path.isdir(top) and not os.path.islink(top):  # noqa: PTH112, PTH114
            if said := self.above(top):
                yield f"{top}: {said}"
                return
            with contextlib.suppress(OSError):
                for name in sorted(os.listdir(top)):  # noqa: PTH208
                    yield from self.look_through(f"{top.rstrip('/')}/{name}")
        else:
            yield from self.look_at_file(top)

    def look_below(self, top: str) -> Iterator[str]:
        """A sentence for each thing below TOP that somebody can exchange though only root can have put it there."""
        if top in self.besides:
            return
        with contextlib.suppress(OSError):
            owner = os.lstat(top).st_uid
            held = self.above(top)
            with os.scandir(top) as entries:
                for entry in entries:
                    self.looked += 1
                    if entry.path in self.besides:
                        continue
                    uid = entry.stat(follow_symlinks=False).st_uid
                    if held and (uid == 0 or owner not in (0, uid)):
                        yield f"{entry.path}, of {self.name_of(uid)}: {held}"
                    elif entry.is_dir(follow_symlinks=False):
                        yield from self.look_below(entry.path)


def units_files() -> Iterator[str]:
    """The files of every unit that systemd knows, and the programs that it runs as root."""
    if not SYSTEMD.is_dir():
        return
    wanted = ",".join([*PROPERTIES.split(), "User", "DynamicUser", "RootDirectory"])
    asked = subprocess.run(
        ["systemctl", "show", "*", f"--property={wanted}"], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    for block in asked.stdout.split("\n\n"):
        said: dict[str, list[str]] = {}
        for line in block.splitlines():
            name, _, value = line.partition("=")
            said.setdefault(name, []).append(value)
        yield from " ".join(said.get("FragmentPath", []) + said.get("DropInPaths", [])).split()
        yield from re.findall(r"(?m)^-?(/\S+)", "\n".join(said.get("EnvironmentFiles", [])))
        as_root = said.get("User", [""])[0] in {"", "root", "0"} and said.get("DynamicUser") != ["yes"]
        if as_root and not said.get("RootDirectory", [""])[0]:
            values = [value for name, values in said.items() if name.startswith("Exec") for value in values]
            yield from re.findall(r"(?:^|\{ )path=(/\S+) ;", "\n".join(values), re.MULTILINE)


def loaded_files() -> Iterator[str]:
    """The programs and libraries that processes of root in this view of the files have loaded."""
    mine = Path("/proc/self/ns/mnt").stat().st_ino
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            status = (process / "status").read_text(errors="replace")
            # Real and effective. Whose the files in /proc are doesn't tell: those of a closed process are root's.
            as_root = re.search(r"(?m)^Uid:\s+(?:0\s+\d+|\d+\s+0)\s", status)
            if as_root and (process / "ns/mnt").stat().st_ino == mine:
                for line in (process / "maps").read_text(errors="replace").splitlines():
                    words = line.split(None, 5)
                    if len(words) == 6 and "x" in words[1] and words[5].startswith("/"):
                        yield words[5].removesuffix(" (deleted)")


def main() -> None:
    """Run as an Ansible module."""
    many: dict[str, Any] = {"type": "list", "elements": "path", "default": []}
    module = AnsibleModule(
        argument_spec={
            "paths": many,
            "below": many,
            "read": many,
            "ask": {"type": "bool", "default": False},
            "besides": many,
        },
        supports_check_mode=True,
    )
    looker = Looker(module.params["besides"])
    found: list[str] = []
    for path in module.params["paths"]:
        found += looker.look_at(os.path.normpath(path))
    for path in module.params["below"]:
        found += looker.look_below(os.path.normpath(path))
    for path in module.params["read"]:
        found += looker.look_through(os.path.normpath(path))
    if module.params["ask"]:
        try:
            asked = sorted({*units_files(), *loaded_files()})
        except (OSError, subprocess.SubprocessError) as error:
            module.fail_json(msg=f"this host can't be asked what root runs: {error}")
        for path in asked:
            found += looker.look_at_file(os.path.normpath(path))
    found = list(dict.fromkeys(found))
    if found:
        more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
        module.fail_json(msg=f"not safe for root: {'; '.join(found[:MOST])}{more}", found=found, looked=looker.looked)
    module.exit_json(changed=False, found=found, looked=looker.looked)


if __name__ == "__main__":
    main()
