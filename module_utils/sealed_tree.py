# SPDX-License-Identifier: MIT
"""What a directory of built programs held when it was sealed, file by file, and how it differs from that now.

The record has an entry for each path below the directory, and "." for the directory itself: owner, group and mode, and
of a file its size and SHA-256, of a symlink where it leads. A directory is compared without following any link in it,
and a file whose size is another is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The seal itself, and the owners and modes that a play wants; no part of the build.
STAMP_FILE = ".stamp"
MODES_FILE = ".modes"
OWN_FILES = (STAMP_FILE, MODES_FILE)
# Owner, group and mode that these have.
RECORD_MODE = 0o644

Record = dict[str, dict[str, Any]]

# A build's directory: version, stamp, and a number from 2 on where an earlier build of the same recipe was spoilt.
ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*-([0-9a-f]{8})(?:\.[0-9]+)?")

# The build user's own files, while they are copied; left behind where that was cut short.
UNSEALED = re.compile(rf"\.{ENTRY.pattern}\.built")

CONTENT, RIGHTS, STRANGE = "content", "rights", "strange"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was sealed. KIND says what mends it: a new build, a new owner or mode, a removal."""

    kind: str
    path: str
    text: str

    def __str__(self) -> str:
        """As a clause for a sentence."""
        return f"{self.path} {self.text}"


def built_beside(prefix: Path) -> Path:
    """Where the build user's own files are while they are copied."""
    return prefix.with_name(f".{prefix.name}.built")


def is_ours(name: str) -> bool:
    """Is it the name of a prefix, or of what a build left that was cut short while it was sealed?"""
    return (ENTRY.fullmatch(name) or UNSEALED.fullmatch(name)) is not None


def record_of(top: Path) -> Record:
    """What is in TOP now."""
    return {path: _entry(top / path) for path in (".", *_below(top))}


def differences(top: Path, record: Record, apart: Collection[str] = ()) -> list[Difference]:
    """How TOP differs from its RECORD; the owners and modes of the paths APART are somebody else's to judge."""
    return [*_lost(top, record, set(apart)), *_strange(top, record)]


def sealed_with(prefix: Path) -> dict[str, Any]:
    """What a complete prefix says of itself, nothing for any other."""
    try:
        said = json.loads((prefix / STAMP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def stamp_of(prefix: Path) -> str | None:
    """The stamp of a complete prefix, None for any other."""
    stamp = sealed_with(prefix).get("stamp")
    return stamp if isinstance(stamp, str) else None


def is_build(part: Path, name: str) -> bool:
    """Is NAME in the directory of a part a complete build, with the stamp that it is named after?"""
    known = ENTRY.fullmatch(name)
    stamp = stamp_of(part / name) if known else None
    return known is not None and stamp is not None and stamp[:8] == known[1]


def noted_modes(prefix: Path) -> list[dict[str, str]]:
    """The modes that a prefix says it needs."""
    path = prefix / MODES_FILE
    modes: list[dict[str, str]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return modes


def compared(prefix: Path, modes: list[dict[str, str]]) -> list[Difference]:
    """How a complete prefix differs from what was built, beside the MODES that a play gives it."""
    record: Record | None = sealed_with(prefix).get("files")
    try:
        if isinstance(record, dict) and record:
            found: list[Difference] = differences(prefix, record, [os.path.normpath(want["path"]) for want in modes])
            return found
    except (KeyError, TypeError):
        pass
    return [Difference(CONTENT, STAMP_FILE, "does not say what was built")]


def spoilt(found: list[Difference]) -> list[Difference]:
    """Those of the differences that only a new build mends."""
    return [each for each in found if each.kind == CONTENT]


def opened(path: Path) -> int:
    """A descriptor for a file or directory; a link is refused, and what is none of these does not make it wait."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def digest_of(fd: int, most: int) -> str:
    """SHA-256 of the first MOST bytes of an open file."""
    digest = hashlib.sha256()
    while most > 0 and (data := os.read(fd, min(most, 1 << 20))):
        digest.update(data)
        most -= len(data)
    return digest.hexdigest()


def _below(top: Path, prefix: str = "") -> Iterator[str]:
    with os.scandir(top / prefix) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            path = prefix + entry.name
            if path in OWN_FILES:
                continue
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from _below(top, f"{path}/")


def _entry(path: Path) -> dict[str, Any]:
    have = path.lstat()
    if stat.S_ISLNK(have.st_mode):
        return {"owner": have.st_uid, "group": have.st_gid, "link": str(path.readlink())}
    entry: dict[str, Any] = {"owner": have.st_uid, "group": have.st_gid, "mode": f"{stat.S_IMODE(have.st_mode):04o}"}
    if stat.S_ISREG(have.st_mode):
        fd = opened(path)
        try:
            entry |= {"size": have.st_size, "sha256": digest_of(fd, have.st_size)}
        finally:
            os.close(fd)
    return entry


def _kind_of(entry: dict[str, Any]) -> str:
    return "link" if "link" in entry else "file" if "sha256" in entry else "directory"


def _lost(top: Path, record: Record, apart: set[str]) -> Iterator[Difference]:
    """What was sealed, and is not there, or another thing, or somebody else's."""
    for path, sealed in sorted(record.items()):
        try:
            have = (top / path).lstat()
        except FileNotFoundError:
            yield Difference(CONTENT, path, "is missing")
            continue
        except NotADirectoryError:
            continue  # what is above it has been told
        checks = {"link": stat.S_ISLNK, "file": stat.S_ISREG, "directory": stat.S_ISDIR}
        if not checks[_kind_of(sealed)](have.st_mode):
            yield Difference(CONTENT, path, f"is no {_kind_of(sealed)} any more")
        elif "link" in sealed:
            if (target := str((top / path).readlink())) != sealed["link"]:
                yield Difference(CONTENT, path, f"leads to {target}, not to {sealed['link']}")
        else:
            if "sha256" in sealed and not _same_content(top / path, sealed, have.st_size):
                yield Difference(CONTENT, path, "has another content than what was built")
            elif _has_capabilities(top / path):
                yield Difference(CONTENT, path, "has capabilities, which no build gives")
            if path not in apart:
                yield from _other_rights(path, have, sealed)
    for path in OWN_FILES:
        if os.path.lexists(top / path):
            yield from _other_rights(path, (top / path).lstat(), record["."] | {"mode": f"{RECORD_MODE:04o}"})


def _same_content(path: Path, sealed: dict[str, Any], size: int) -> bool:
    if size != sealed["size"]:
        return False
    fd = opened(path)
    try:
        return digest_of(fd, size) == str(sealed["sha256"])
    finally:
        os.close(fd)


def _has_capabilities(path: Path) -> bool:
    """Does the kernel give whoever runs this file more than they have? The mode says nothing of it."""
    try:
        return "security.capability" in os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system without such things
        return False


def _other_rights(path: str, have: os.stat_result, sealed: dict[str, Any]) -> Iterator[Difference]:
    is_so = (have.st_uid, have.st_gid, f"{stat.S_IMODE(have.st_mode):04o}")
    was = (sealed["owner"], sealed["group"], sealed["mode"])
    if is_so != was:
        text = "is {}:{} {}, not {}:{} {}".format(*is_so, *was)
        yield Difference(RIGHTS, path, text)


def _strange(top: Path, record: Record) -> Iterator[Difference]:
    """What is there and was not sealed; of a directory, not what is in it."""
    told = ""
    for path in _below(top):
        if path not in record and not (told and path.startswith(told)):
            yield Difference(STRANGE, path, "is no part of what was built")
            told = f"{path}/"
