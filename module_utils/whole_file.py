# SPDX-License-Identifier: MIT
"""Files that others see whole or not at all, also after a loss of power."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def beside(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> Iterator[None]:
    """Have CONTENT on disk beside PATH, and rename it to PATH when the block ends well; else all is as it was.

    Owner (user and group id; None is whoever runs this) and mode are final before the first byte is written. What a
    killed run left there is removed, and a symlink that somebody planted there is not followed.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            if owner:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            os.fsync(fd)
        yield
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write(path: Path, content: bytes, mode: int) -> None:
    """Make CONTENT what PATH holds, by one rename."""
    with beside(path, content, mode):
        pass


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Have a directory; what has to be made gets this mode, and 0755 above it, whatever the umask is."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700)
    path.chmod(mode)


def sync_directory(path: Path) -> None:
    """Make renames in a directory last through a loss of power."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
