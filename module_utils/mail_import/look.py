# SPDX-License-Identifier: MIT
"""Which mail system a host has, and what it is set up to do."""

from __future__ import annotations

from pathlib import Path

from . import postfix, qmail
from .found import Found


def look(root: Path) -> Found | None:
    """What the mail system below ROOT does; None where there is none that is known. Of two, qmail counts."""
    if (root / qmail.HOME / "control/me").exists():
        return qmail.Qmail(root).look()
    if (root / postfix.DIRECTORY / "main.cf").exists():
        return postfix.Postfix(root).look()
    return None
