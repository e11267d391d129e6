# SPDX-License-Identifier: MIT
"""What is at a path, what is to be there, and whether nobody but root can put something else on the way to it."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 64 << 20
MOST_LINKS = 40
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PathError(Exception):
    """Something stands in the way; the text says what."""


@dataclass(frozen=True)
class Wanted:
    """What a file is to be. An owner of None is an account that a later task would make (check mode)."""

    content: bytes
    owner: tuple[int, int] | None
    mode: int
    secret: bool


@dataclass(frozen=True)
class Found:
    """What is there. Content of None is no regular file."""

    content: bytes | None
    owner: tuple[int, int]
    mode: int


def look(path: Path) -> Found | None:
    """What is at PATH, None if nothing is; a link is not followed."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    content = None
    if stat.S_ISREG(status.st_mode):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            content = file.read(LARGEST) if stat.S_ISREG(status.st_mode) else None
    return Found(content, (status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode))


def differs(want: Wanted, have: Found | None) -> bool:
    """Is something else there than is wanted?"""
    return have is None or (have.content, have.owner, have.mode) != (want.content, want.owner, want.mode)


def printable(name: str) -> str:
    """A name that somebody else chose, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in name)


def account(owner: str, group: str, check_mode: bool) -> tuple[int, int] | None:
    """Numbers of an owner and a group."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        if check_mode:
            return None
        raise PathError(f"there is no user {owner} or no group {group} on this host") from None


def octal(mode: str) -> int:
    """The number of a mode such as 0644."""
    if not re.fullmatch(r"[0-7]{4}", mode):
        raise PathError(f"mode: {mode!r} is not one such as 0644")
    return int(mode, 8)


def head(mode: int, owner: tuple[int, int] | None) -> str:
    """The first line of what a diff shows."""
    return f"mode {mode:04o}, owner {':'.join(map(str, owner)) if owner else 'to be made'}\n"


def about(file: Wanted | Found, secret: bool) -> str:
    """What a diff may show of a file. A file that others can't read, or with a key in it, is secret in any case."""
    first = head(file.mode, file.owner)
    if file.content is None:
        return first + "(not a regular file)\n"
    if secret or not file.mode & stat.S_IROTH or b"PRIVATE KEY-----" in file.content:
        return first + "(its content is secret)\n"
    return first + ("(binary)\n" if b"\0" in file.content else file.content.decode(errors="replace"))


def difference(path: str, have: Found | None, want: Wanted | None, secret: bool) -> dict[str, str]:
    """One change of a file, as --diff shows it."""
    before = about(have, secret) if have else ""
    after = about(want, secret) if want else ""
    if before == after:
        before = before.replace("(its", "(another; its")
    shown = printable(path)
    return {"before_header": shown, "after_header": shown if want else "/dev/null", "before": before, "after": after}


def lines_of(content: bytes | None) -> list[str]:
    """The lines of a text; none of what is not there."""
    return (content or b"").decode(errors="replace").splitlines()


def turn(before: Iterable[str], after: Iterable[str]) -> str:
    """A digest of which lines come and which go, whatever their order: by it one change is known for another one."""
    old, new = set(before), set(after)
    changes = [f"- {line}\n" for line in old - new] + [f"+ {line}\n" for line in new - old]
    return hashlib.sha256("".join(sorted(changes)).encode()).hexdigest()


class Way:
    """The way to directories that nobody but root, or whoever runs this, can change; each group is asked for once."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.members: dict[int, list[str]] = {}
        self.mended: set[tuple[int, int]] = set()

    def passes(self, have: os.stat_result) -> None:
        """Take a directory for root's own, though it isn't: in check mode, one that would be made so first."""
        self.mended.add((have.st_dev, have.st_ino))

    def directory(self, path: str) -> Path:
        """PATH without the links in it, which only root can have made.

        Raises PathError where somebody else may change what is in the directory or on the way to it, FileNotFoundError
        and NotADirectoryError.
        """
        fd, links = os.open("/", DIRECTORY), 0
        todo = path.split("/")[::-1]
        try:
            while todo:
                part = todo.pop()
                if part in ("", "."):
                    continue
                entry = os.stat(part, dir_fd=fd, follow_symlinks=False)
                self._judge(fd, path, entry)
                if not stat.S_ISLNK(entry.st_mode):
                    fd = _moved(fd, os.open(part, DIRECTORY, dir_fd=fd))
                    continue
                if not _trusted(entry.st_uid):
                    raise PathError(
                        f"{_name(fd)}/{part}, on the way to {path}, is a link of {_user(entry.st_uid)}'s; remove it"
                    )
                links += 1
                if links > MOST_LINKS:
                    raise PathError(f"{path}: leads through more than {MOST_LINKS} links")
                target = os.readlink(part, dir_fd=fd)
                todo += target.split("/")[::-1]
                if target.startswith("/"):
                    fd = _moved(fd, os.open("/", DIRECTORY))
            self._judge(fd, path)
            return Path(_name(fd))
        finally:
            os.close(fd)

    def _judge(self, fd: int, path: str, entry: os.stat_result | None = None) -> None:
        """Refuse the directory FD if somebody else can put something in the place of ENTRY, or of anything in it."""
        have = os.fstat(fd)
        if (have.st_dev, have.st_ino) in self.mended:
            return
        # In a sticky directory, what is there is only its owner's to rename.
        if entry is not None and have.st_mode & stat.S_ISVTX and _trusted(have.st_uid) and _trusted(entry.st_uid):
            return
        if who := self._others(have, fd):
            way = "" if entry is None else f", which is on the way to {path},"
            raise PathError(
                f"{_name(fd)}{way} can be changed by {who}, so root does not write there: make it root's own (chown, "
                "chmod), or move it"
            )

    def _others(self, have: os.stat_result, fd: int) -> str:
        """Who else may change what is in a directory."""
        if not _trusted(have.st_uid):
            return _user(have.st_uid)
        if have.st_mode & stat.S_IWOTH:
            return "everybody"
        if not have.st_mode & stat.S_IWGRP:
            return ""
        # With a list of its own, these bits are what that list can give at most.
        with contextlib.suppress(OSError):
            os.getxattr(fd, "system.posix_acl_access")
            return "somebody of its access list"
        return ", ".join(self._members(have.st_gid)[:3]) if have.st_gid != 0 else ""

    def _members(self, gid: int) -> list[str]:
        """Who is in a group, root and whoever runs this apart."""
        if gid not in self.members:
            names = {entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == gid}
            with contextlib.suppress(KeyError):
                names |= set(grp.getgrgid(gid).gr_mem)
            self.members[gid] = sorted(names - {"root", _user(os.geteuid())})
        return self.members[gid]


def _trusted(uid: int) -> bool:
    return uid in (0, os.geteuid())


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _name(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - it is no path of ours


def _moved(old: int, new: int) -> int:
    os.close(old)
    return new
