# SPDX-License-Identifier: MIT
"""A built prefix, such as /opt/qmail-site/stunnel/5.68-0a1b2c3d: how it is known, and known to be complete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# The last file to be written, and the first to go.
STAMP_FILE = ".stamp"
_ENTRY = r"[A-Za-z0-9][A-Za-z0-9._+~-]*-[0-9a-f]{8}"
_OURS = re.compile(rf"{_ENTRY}|\.{_ENTRY}\.built")


def built_beside(prefix: Path) -> Path:
    """Where the build user's own files are while they are copied."""
    return prefix.with_name(f".{prefix.name}.built")


def is_ours(name: str) -> bool:
    """Is it the name of a prefix, or of what a build left that was cut short while it was sealed?"""
    return _OURS.fullmatch(name) is not None
