# SPDX-License-Identifier: MIT
"""Passwords that were set on the host and count until the declaration says another one.

A line is `NAME:HASH:FORMER`. HASH is in force for as long as what is declared is what it was: the hash FORMER, or a
password that fits it. The file is root's alone, as the database is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

try:
    from ansible.module_utils.whole_file import make_directory, write
except ImportError:  # the host's own program has it beside this file
    from whole_file import make_directory, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH = Path("/etc/qmail-site/passwords")
LOCK = Path("/run/qmail-site-passwords.lock")
MODE = 0o600
_FIELDS = 3


class Override(NamedTuple):
    """The hash that is in force, and the one that was."""

    hash: str
    former: str


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only one on this host that writes passwords; wait for another. The kernel frees the place of who dies."""
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def read(path: Path = PATH) -> dict[str, Override]:
    """What is set, by name; empty where there is no file. Lines that are none are passed over. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
        rows = [line.rstrip("\n").split(":") for line in file]
    return {row[0]: Override(row[1], row[2]) for row in rows if len(row) == _FIELDS and all(row)}


def save(overrides: Mapping[str, Override], path: Path = PATH) -> None:
    """Write the file by one rename; without any override there is none."""
    if not overrides:
        path.unlink(missing_ok=True)
        return
    make_directory(path.parent)
    text = "".join(f"{name}:{each.hash}:{each.former}\n" for name, each in sorted(overrides.items()))
    write(path, text.encode(), MODE)
