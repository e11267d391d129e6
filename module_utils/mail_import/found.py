# SPDX-License-Identifier: MIT
"""What was found of a mail system, in the terms of a site's variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# What filter_plugins takes for strong enough; see crypt(5).
_STRONG = re.compile(r"\$(?:y|gy|7|2[aby]|6|5)\$\S+")
_LOCAL = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")


@dataclass
class Mailbox:
    """Somebody's mailbox: where it is now, and the hash of the password, which no text has."""

    name: str
    kind: str
    maildir: str = ""
    hash: str = field(default="", repr=False)
    aliases: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    keep: bool = False
    quota: int | None = None


@dataclass
class Domain:
    """A domain: its addresses, what catches the rest, or where it is passed on to."""

    name: str
    users: bool = False
    addresses: dict[str, list[str]] = field(default_factory=dict)
    catch_all: list[str] = field(default_factory=list)
    relay_to: str | None = None
    recipients: list[str] | None = None


@dataclass
class Found:
    """All of it."""

    system: str
    fqdn: str = ""
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    routes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def domain(self, name: str) -> Domain:
        """A domain, which is made if it is new."""
        return self.domains.setdefault(name.lower(), Domain(name.lower()))

    def note(self, text: str) -> None:
        """Say what somebody has to decide, once."""
        if text not in self.notes:
            self.notes.append(text)

    def address(self, domain: str, local: str, to: list[str], where: str) -> None:
        """An address of a domain that leads to TO; what can't be one is noted."""
        if not to:
            return
        if not _LOCAL.fullmatch(local.lower()):
            self.note(f"{where}: {local}@{domain} can't be declared as an address; it leads to {', '.join(to)}")
            return
        self.domain(domain).addresses[local.lower()] = to

    def hash_of(self, name: str, text: str) -> str:
        """A hash that may stay; a weak one is noted, and nobody logs in with it."""
        if _STRONG.fullmatch(text):
            return text
        if text and text[0] not in "!*":
            self.note(f"{name}: the hash of the password is of a method that is too weak to keep; set a new password")
        return ""
