"""MTA-STS records and policies, as texts: pure functions over what strangers have published."""

from __future__ import annotations

import re
from dataclasses import dataclass

POLICY_MOST = 65536  # bytes; RFC 8461 section 3.3
MX_MOST = 500
MAX_AGE_MOST = 31557600  # seconds, a year; section 3.2
MODES = ("enforce", "testing", "none")

_RECORD = re.compile(r"v=STSv1[ \t]*;(.*)", re.DOTALL)
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MX = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}\.?")
_DOMAIN = re.compile(rf"(?:(?:{_LABEL}|_[A-Za-z0-9-]{{1,62}})\.)*{_LABEL}")
_TLSRPT = re.compile(r"v=TLSRPTv1[ \t]*;(.*)", re.DOTALL)


class PolicyError(ValueError):
    """A policy that is none; the text says what is wrong with it."""


class LaterError(Exception):
    """The DNS gave no answer."""


@dataclass(frozen=True)
class Policy:
    """A policy, and the id of the record that told of it."""

    id: str
    mode: str
    max_age: int
    mx: tuple[str, ...]
    lines: tuple[str, ...] = ()  # as they were, for reports


def is_domain(name: str) -> bool:
    """Tell whether this can be the domain of an address, in the DNS's spelling."""
    return len(name) <= 253 and _DOMAIN.fullmatch(name) is not None and not name.replace(".", "").isdigit()


def fields(text: str) -> dict[str, str]:
    """Return the fields "name=value;" of a record; the first of two by one name counts."""
    found: dict[str, str] = {}
    for field in text.split(";"):
        name, equals, value = field.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def record_id(records: list[str]) -> str | None:
    """Return the id of the one record that tells of a policy (RFC 8461 section 3.1), or None where there is none.

    Records that begin otherwise are somebody else's; two that begin so are none.
    """
    ours = [match[1] for record in records if (match := _RECORD.fullmatch(record))]
    if len(ours) != 1:
        return None
    value = fields(ours[0]).get("id", "")
    return value if _ID.fullmatch(value) else None


def parse(body: bytes, record: str) -> Policy:
    """Read a policy (RFC 8461 section 3.2). Raises PolicyError."""
    if len(body) > POLICY_MOST:
        raise PolicyError("the policy is longer than 64 KiB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyError("the policy is no text") from None
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    values: dict[str, str] = {}
    mx: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not colon:
            raise PolicyError("a line of the policy has no colon")
        if name == "mx":
            mx.append(value)
        else:
            values.setdefault(name, value)
    if values.get("version") != "STSv1":
        raise PolicyError("the policy's version is not STSv1")
    mode, age = values.get("mode", ""), values.get("max_age", "")
    if mode not in MODES:
        raise PolicyError("the policy's mode is neither enforce, testing nor none")
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise PolicyError("the policy's max_age is no number of seconds")
    if mode == "none":
        mx = []
    elif not mx:
        raise PolicyError("the policy names no mx")
    if len(mx) > MX_MOST or any(len(name) > 255 or not _MX.fullmatch(name) for name in mx):
        raise PolicyError("an mx of the policy is no name")
    shown = tuple(line if line.isascii() and line.isprintable() else ascii(line) for line in lines)
    return Policy(record, mode, min(int(age), MAX_AGE_MOST), tuple(name.lower().rstrip(".") for name in mx), shown)


def report_addresses(records: list[str]) -> list[str]:
    """Return where a domain wants its reports (RFC 8460 section 3): mailto: and https: addresses."""
    ours = [match[1] for record in records if (match := _TLSRPT.fullmatch(record))]
    if len(ours) != 1:
        return []
    words = (word.strip() for word in fields(ours[0]).get("rua", "").split(","))
    return [word for word in words if word[:7].lower() == "mailto:" or word[:8].lower() == "https://"]
