# SPDX-License-Identifier: MIT
"""The register of the uids that mailboxes have, and had: none is ever given to another one.

A line is `UID NAME KIND DATE STATE`, with blanks between: KIND is `system` or `virtual`, DATE the day on which it was
given, STATE `held`, or `retired` where the mail that belonged to it is gone for good, or is no mailbox's. A line is
never taken out: who came after somebody, with the same uid, would own what that one has left behind, in whatever
directory.
"""

from __future__ import annotations

import datetime
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from ansible.module_utils.whole_file import make_directory, write
except ImportError:  # the host's own program has it beside this file
    from whole_file import make_directory, write

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = (
    "# The uids of this site's mailboxes, those of former ones too. A uid is never given twice:\n"
    "# keep this file with the mail, and restore it with the mail.\n"
)
_LINE = re.compile(r"(\d{1,10}) ([!-~]{1,255}) (system|virtual) (\d{4}-\d\d-\d\d) (held|retired)")


class RegisterError(Exception):
    """Why a uid can't be given; the text says what to do."""


@dataclass(frozen=True)
class Entry:
    """One line."""

    uid: int
    name: str
    kind: str
    date: str
    retired: bool = False

    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.uid} {self.name} {self.kind} {self.date} {'retired' if self.retired else 'held'}\n"


class Register:
    """What the file says, and what is to be added."""

    def __init__(self, entries: Iterable[Entry], today: str | None = None) -> None:
        """Take the lines of the file."""
        self.entries = list(entries)
        self.today = today or datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        self._taken = {entry.uid for entry in self.entries}
        self._next: dict[tuple[int, int], int] = {}
        self._held = {(entry.name, entry.kind): entry for entry in self.entries if not entry.retired}

    @classmethod
    def read(cls, path: Path) -> Register | None:
        """What PATH says; None where there is no file.

        Raises RegisterError for a file that isn't whole, or that somebody else can write to, for who writes there says
        whose mail is whose; and OSError.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
                raise RegisterError(
                    f"{path}: somebody else than root can write to it; see what it says, then chown and chmod"
                )
            entries = []
            for number, text in enumerate(file, 1):
                if not text.strip() or text.startswith("#"):
                    continue
                found = _LINE.fullmatch(text.rstrip("\n"))
                if not found or not text.endswith("\n"):
                    raise RegisterError(
                        f"{path}: line {number} is not UID NAME KIND DATE STATE; restore the file from a backup, since "
                        "without what it has lost a uid could be given twice"
                    )
                uid, name, kind, date, state = found.groups()
                entries.append(Entry(int(uid), name, kind, date, state == "retired"))
        return cls(entries)

    def save(self, path: Path) -> None:
        """Write the file by one rename, for root alone."""
        make_directory(path.parent)
        write(path, self.text().encode(), 0o600)

    def text(self) -> str:
        """The whole file."""
        return HEAD + "".join(entry.line() for entry in self.entries)

    def held(self, name: str, kind: str) -> int | None:
        """The uid of a mailbox, None where it has none."""
        entry = self._held.get((name, kind))
        return entry.uid if entry else None

    def note(self, uid: int, name: str, kind: str) -> None:
        """Remember what there was before this register, or beside it: an account, or whom something belongs to."""
        if uid in self._taken and self._held.get((name, kind), None) is None:
            other = next(entry for entry in self.entries if entry.uid == uid)
            raise RegisterError(
                f"{name} has the uid {uid}, which was {other.name}'s ({other.date}), so {name} could read "
                f"what that one left; give the account another uid (usermod --uid), and look at what belongs to {uid}"
            )
        if self.held(name, kind) == uid:
            return
        if self.held(name, kind) is not None:
            self.retire(name, kind)
        if uid not in self._taken:
            self._add(uid, name, kind)

    def spare(self, uid: int, name: str, kind: str, *, held: bool) -> None:
        """Remember a uid by what belongs to it on the host, where the register doesn't know it: it is given to nobody.

        With HELD it is that mailbox's, unless the name has another one. NAME may be any file's.
        """
        if uid in self._taken:
            return
        name = re.sub(r"[^!-~]", "?", name)[:255]
        if held and self.held(name, kind) is None:
            self._add(uid, name, kind)
            return
        self.entries.append(Entry(uid, name, kind, self.today, retired=True))
        self._taken.add(uid)

    def give(self, name: str, kind: str, first: int, last: int, beside: Iterable[int] = ()) -> int:
        """The uid of a mailbox: its own, or the first beyond all that were ever given, from FIRST to LAST.

        BESIDE are uids that something else on the host has. Raises RegisterError where none is left.
        """
        have = self.held(name, kind)
        if have is not None:
            return have
        taken = self._taken if not beside else self._taken.union(beside)
        uid = (
            self._next.get((first, last))
            or max((each for each in taken if first <= each <= last), default=first - 1) + 1
        )
        while uid in taken:
            uid += 1
        if uid > last:
            uid = next((each for each in range(first, last + 1) if each not in taken), 0)
        self._next[first, last] = uid + 1
        if not uid:
            raise RegisterError(
                f"{name}: no uid is left from {first} to {last}; make the range wider (mail_virtual_uids)"
            )
        self._add(uid, name, kind)
        return uid

    def retire(self, name: str, kind: str) -> None:
        """Its mail is gone: should the name come back, it gets another uid."""
        entry = self._held.pop((name, kind), None)
        if entry:
            self.entries[self.entries.index(entry)] = replace(entry, retired=True)

    def _add(self, uid: int, name: str, kind: str) -> None:
        entry = Entry(uid, name, kind, self.today)
        self.entries.append(entry)
        self._taken.add(uid)
        self._held[name, kind] = entry
