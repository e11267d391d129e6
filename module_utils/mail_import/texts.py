# SPDX-License-Identifier: MIT
"""The forms that mail systems' files have: lines, tables, dot-qmail files, shadow and passwd."""

from __future__ import annotations

import os
import re
from pathlib import Path

LARGEST = 16 << 20  # bytes of a file that are read


def read(path: Path) -> str:
    """A file's text; empty where it can't be read. A link is followed: an operator's own may be one."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        try:
            return file.read(LARGEST).decode(errors="replace")
        except OSError:  # a directory
            return ""


def lines(text: str) -> list[str]:
    """The lines that count: no comments, no blank ones."""
    found = [line.strip() for line in text.splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def pairs(text: str) -> list[tuple[str, str]]:
    """`key:value` a line, at the first colon."""
    found = [line.partition(":") for line in lines(text)]
    return [(key, value) for key, colon, value in found if colon]


def dot_qmail(text: str) -> tuple[list[str], bool, list[str]]:
    """Of a dot-qmail file the addresses it forwards to, whether it keeps a copy in a Maildir or mbox, and its programs.

    See dot-qmail(5).
    """
    forward, keep, programs = [], False, []
    for line in lines(text):
        if line.startswith("|"):
            programs.append(line[1:].strip())
        elif line[0] in "./":
            keep = True
        else:
            forward.append(line.removeprefix("&").strip())
    return forward, keep, programs


def postfix_map(text: str) -> list[tuple[str, list[str]]]:
    """A table of Postfix's as text (virtual(5), transport(5)): a key, then values with commas or blanks between them.

    A line that begins with a blank continues the one before it.
    """
    whole = re.sub(r"\n[ \t]+(?=\S)", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found = []
    for line in whole.splitlines():
        key, _, values = (
            line.strip().partition(" ") if "\t" not in line.strip() else re.sub("\t+", " ", line.strip()).partition(" ")
        )
        if key:
            found.append((key, [value for value in re.split(r"[,\s]+", values) if value]))
    return found


def aliases(text: str) -> list[tuple[str, list[str]]]:
    """aliases(5): `name: value, value`, continued by lines that begin with a blank."""
    whole = re.sub(r"\n[ \t]+(?=\S)", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found = [line.partition(":") for line in whole.splitlines() if ":" in line]
    return [(key.strip().strip('"'), [v.strip() for v in value.split(",") if v.strip()]) for key, _, value in found]
