# SPDX-License-Identifier: MIT
"""Readers of single values of a declaration: each gives what it read, and says a sentence where that is no good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .words import Say, bytes_of, day_of, day_shown, host_name_fault, is_list, is_local_part, is_outside, kind, shown

OVER = "take it out, or give a later day"
# A dot-qmail file of such a name is for every address that has none of its own.
_DEFAULT = "is what qmail calls the file for all other addresses; choose another name"


def _is_default(local: str) -> bool:
    return local.endswith("default") and (local == "default" or local.endswith("-default"))


def known_keys(where: str, value: Mapping[Any, Any], keys: Sequence[str], what: str, say: Say) -> None:
    """Say which keys mean nothing."""
    for key in value:
        if key not in keys:
            say(f"{where}: {shown(key)} means nothing here; {what} has {', '.join(keys)}")


def texts(where: str, value: object, what: str, say: Say) -> list[str]:
    """A text, or a list of them."""
    if isinstance(value, str) and value:
        return [value]
    if not isinstance(value, Sequence) or not is_list(value):
        say(f"{where}: is {kind(value)}, not {what} or a list of such")
        return []
    good = [each for each in value if isinstance(each, str) and each]
    if len(good) < len(value):
        wrong = next(each for each in value if not (isinstance(each, str) and each))
        say(f"{where}: has {'nothing' if wrong == '' else kind(wrong)} where {what} belongs")
    if len(set(good)) < len(good):
        twice = next(each for at, each in enumerate(good) if each in good[:at])
        say(f"{where}: {shown(twice)} is there twice")
    return list(dict.fromkeys(good))


def flag(where: str, value: object, say: Say) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        say(f"{where}: {shown(value)} is not true or false")
        return False
    return value


def day(where: str, value: object, say: Say) -> int | None:
    """A day."""
    found = day_of(value)
    if found is None:
        say(f"{where}: {shown(value)} is not a day, such as 2027-01-31")
    return found


def last_day(where: str, value: object, today: int | None, say: Say) -> int | None:
    """A day that is not over."""
    found = day(where, value, say)
    if found is not None and today is not None and found < today:
        say(f"{where}: {day_shown(found)} is over; {OVER}")
    return found


def size(where: str, value: object, least: int, say: Say) -> int | None:
    """A number of bytes; none for 0, which is no limit."""
    found = bytes_of(value)
    if found is None:
        say(f"{where}: {shown(value)} is not a size, such as 5G or 500M, or 0 for no limit")
        return None
    if found and not least <= found < 1 << 62:
        say(f"{where}: {shown(value)} is not a size from {least >> 20}M up, or 0 for no limit")
        return None
    return found or None


def target(where: str, value: str, say: Say) -> str:
    """Something that mail can go to: a mailbox's name, an address here or elsewhere; empty for what is none."""
    local, at, domain = value.rpartition("@")
    if not at:
        if is_local_part(value):
            return value
        say(f"{where}: {shown(value)} is neither the name of a mailbox nor an address")
        return ""
    small = f"{local}@{domain.lower()}"
    if not is_outside(value) and not is_local_part(local):
        say(f"{where}: {shown(value)} is not an address")
        return ""
    if fault := host_name_fault(domain):
        say(f"{where}: {shown(value)} is not an address ({fault})")
        return ""
    return small


def targets(where: str, value: object, say: Say) -> list[str]:
    """Where mail goes: one place, or several."""
    if value is None or value == "" or value == []:
        say(f"{where}: leads nowhere; name a mailbox or an address")
        return []
    found = [target(where, each, say) for each in texts(where, value, "the name of a mailbox, or an address,", say)]
    return list(dict.fromkeys(each for each in found if each))


def local_part(where: str, value: str, what: str, say: Say) -> bool:
    """Whether a text is a local part that can have a dot-qmail file of its own."""
    if not is_local_part(value):
        say(
            f"{where}: {what} {shown(value)} is not a local part (what stands before the @, in small letters, "
            "digits and . _ + -, at most 64)"
        )
        return False
    if _is_default(value):
        say(f"{where}: {what} {shown(value)} {_DEFAULT}")
        return False
    return True


def address(where: str, value: str, what: str, say: Say) -> str:
    """An address with a local part as it can be here, its domain in small letters; empty for what is none."""
    local, _, domain = value.rpartition("@")
    if fault := host_name_fault(domain):
        say(f"{where}: {what} {shown(value)} is not an address ({fault})")
        return ""
    if not _is_default(local) and is_local_part(local):
        return f"{local}@{domain.lower()}"
    local_part(where, local, f"{what} {shown(value)}:", say)
    return ""
