# SPDX-License-Identifier: MIT
"""The people of a host: who has an account, and where each one's mail is."""

from __future__ import annotations

from pathlib import Path

from .found import Found, Mailbox
from .texts import read

FIRST, LAST = 1000, 59999  # uids of people, login.defs(5)


def people(root: Path, found: Found) -> None:
    """Take in each account of somebody's."""
    hashes = {row[0]: row[1] for row in _rows(root / "etc/shadow") if len(row) > 1}
    for row in _rows(root / "etc/passwd"):
        if len(row) < 7 or not row[2].isdigit() or not FIRST <= int(row[2]) <= LAST or row[0] == "nobody":
            continue
        name, home = row[0], row[5]
        maildir = f"{home}/Maildir" if (root / home.lstrip("/") / "Maildir").is_dir() else ""
        found.mailboxes[name] = Mailbox(name, "system", maildir, found.hash_of(name, hashes.get(name, "")))
        if not maildir:
            found.note(f"{name}: has no ~/Maildir; mail in an mbox has to be converted")


def _rows(path: Path) -> list[list[str]]:
    return [line.split(":") for line in read(path).splitlines() if ":" in line]
