# SPDX-License-Identifier: MIT
"""What one DNS record is here, and what is known of the set that it belongs to.

Names are in small letters, without the dot at the end; "." is the root. A value is the text of its data: of TXT the
string itself, without quotes and however it is cut; of MX, SRV, TLSA and CAA the fields with one blank between them.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUIRED, RECOMMENDED = "required", "recommended"
RIGHT, MISSING, DIFFERENT, SUPERFLUOUS = "right", "missing", "different", "superfluous"
# DNS's limits (RFC 1035, sections 2.3.4 and 3.3).
STRING_MOST = 255


@dataclass(frozen=True, slots=True)
class Record:
    """One record that the site needs: `why` says in one clause what it is for."""

    name: str
    type: str
    value: str
    why: str
    need: str = REQUIRED


@dataclass(frozen=True, slots=True)
class Rule:
    """The records of one name and type, as they should be.

    `mark` picks those of a TXT set that are meant, by what they begin with. `others` says what it means when there are
    more: REQUIRED (they do harm and must go), RECOMMENDED (they are of no use), or "" (they are somebody's, and fine).
    `single`: one at most, so that another one stands in its place. `advice`: not in a zone of ours (a PTR record is the
    provider's).
    """

    name: str
    type: str
    wanted: tuple[Record, ...]
    domain: str
    mark: str = ""
    others: str = REQUIRED
    single: bool = False
    advice: bool = False
    why: str = ""


def quoted(text: str) -> str:
    """A TXT string as master files have it (RFC 1035, section 5.1), in pieces that fit."""
    data = text.encode()
    pieces = [data[at : at + STRING_MOST] for at in range(0, len(data), STRING_MOST)] or [b""]
    return " ".join('"' + "".join(map(_escaped, piece)) + '"' for piece in pieces)


def _escaped(byte: int) -> str:
    char = chr(byte)
    if char in '"\\':
        return "\\" + char
    return char if 32 <= byte < 127 else f"\\{byte:03d}"


def absolute(name: str) -> str:
    """A name with the dot at its end."""
    return name if name.endswith(".") else name + "."


_NAME_AT = {"MX": 1, "SRV": 3, "CNAME": 0, "PTR": 0, "NS": 0}


def presented(type_: str, value: str) -> str:
    """A value as a master file or nsupdate has it."""
    if type_ == "TXT":
        return quoted(value)
    if type_ in _NAME_AT:
        fields = value.split(" ")
        fields[_NAME_AT[type_]] = absolute(fields[_NAME_AT[type_]])
        return " ".join(fields)
    return value
