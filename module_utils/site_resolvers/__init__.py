# SPDX-License-Identifier: MIT
"""The resolvers that a site asks: control/nameservers, as every program of the host's that is in Python reads it."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

PATH = Path("/var/qmail/control/nameservers")
PORT = 53
BRACKETS = re.compile(r"\[([^]]+)\](?::([0-9]{1,5}))?")


def listed(text: str) -> dict[str, int]:
    """Give the addresses with their ports: ADDRESS, or [ADDRESS]:PORT, a line. What is neither is passed over."""
    found: dict[str, int] = {}
    for line in map(str.strip, text.splitlines()):
        match = BRACKETS.fullmatch(line)
        address, port = (match[1], int(match[2] or PORT)) if match else (line, PORT)
        try:
            plain = str(ipaddress.ip_address(address))
        except ValueError:
            continue
        if 0 < port < 65536:
            found.setdefault(plain, port)
    return found


def resolvers(path: Path | None = None) -> dict[str, int]:
    """Give those of the site; none where it names none, or the file can't be read: resolv.conf has them then."""
    try:
        return listed((path or PATH).read_text(encoding="ascii", errors="replace"))
    except OSError:
        return {}
