# SPDX-License-Identifier: MIT
"""The words that a declaration of a mail site is made of, and how a value is shown in a sentence about it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

Say = Callable[[str], None]
"""Takes one sentence about a fault."""

# What a dot-qmail file's name can carry and every mail client sends without quotes.
_LOCAL_PART = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")
# RFC 5321, section 4.1.2, in ASCII and without quotes.
_OUTSIDE_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABELS = re.compile(
    r"(?=.{4,253}\Z)(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]"
)
_SIZE = re.compile(r"\s*(\d{1,15})\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def shown(value: object) -> str:
    """A value in quotes, cut where it is long, without any character that could do something to a terminal."""
    text = str(value)
    if len(text) > 60:
        text = text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + '"'


def kind(value: object) -> str:
    """What a value is, in words, where the value itself may be a secret."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, Sequence) else "something else"


def is_list(value: object) -> bool:
    """Whether a value is a list, which a text is not."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def several(names: Iterable[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + rest


def host_name_fault(name: str) -> str | None:
    """Say what keeps a text from being the name of an Internet host (RFC 1123, section 2.1), or give None."""
    if _LABELS.fullmatch(name):
        return None
    if not name:
        return "it is empty"
    if not name.isascii():
        return "it has letters outside ASCII; write an international name in its xn-- form"
    if len(name) > 253:
        return f"{len(name)} characters; 253 is the most"
    if name.endswith("."):
        return "it ends in a dot"
    labels = name.split(".")
    for label in labels:
        if not label:
            return "empty label"
        if len(label) > 63:
            return f"the label {shown(label)} has {len(label)} characters; 63 is the most"
        wrong = next((c for c in label if not (c.isalnum() or c == "-")), None)
        if wrong is not None:
            return f"{shown(wrong)} can't be part of one"
        if label.startswith("-") or label.endswith("-"):
            return f"the label {shown(label)} begins or ends with a hyphen"
    if len(labels) < 2:
        return "it has no dot, so no other host can find it"
    if labels[-1].isdigit():
        return "it ends in a number, as an address does"
    return None


def is_local_part(value: str) -> bool:
    """Whether a text can be what stands before the @ of an address here."""
    return len(value) <= 64 and _LOCAL_PART.fullmatch(value) is not None


def is_outside(address: str) -> bool:
    """Whether a text is an address that mail can be sent on to (RFC 5321, section 4.1.2)."""
    local, _, domain = address.rpartition("@")
    return 0 < len(local) <= 64 and _OUTSIDE_LOCAL.fullmatch(local) is not None and host_name_fault(domain) is None


def day_of(value: object) -> int | None:
    """The day that a date or its text (YYYY-MM-DD) is, in days since 1970; None for what is no day."""
    if isinstance(value, datetime.datetime):
        value = value.date()
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            value = datetime.date.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime.date):
        return None
    return value.toordinal() - _EPOCH


def day_shown(day: int) -> str:
    """A day, counted since 1970, as YYYY-MM-DD."""
    return datetime.date.fromordinal(day + _EPOCH).isoformat()


def bytes_of(value: object) -> int | None:
    """A size such as 5G, 500M or a number of bytes; None for what is no size."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    match = _SIZE.fullmatch(str(value))
    return int(match[1]) * _FACTORS[match[2].lower()] if match else None
