"""The field Authentication-Results (RFC 8601): ours, and forged ones of our name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qmail_dkim.stream import name_of, value_of

if TYPE_CHECKING:
    from qmail_dkim.verify import Signature

    from mailauth.dmarc import Dmarc
    from mailauth.spf_check import Spf

FIELD = b"authentication-results"
VALUE_MOST = 200  # characters of what a stranger says
UNSEEN = {0: None, ord("\\"): None}
ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.@]+")


def value(text: str) -> str:
    """Give a stranger's text as a value: as it is, or in quotes, and never more than that."""
    shown = "".join(character if " " <= character <= "~" else "?" for character in text[:VALUE_MOST])
    if ATOM.fullmatch(shown) and "=" not in shown:
        return shown
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def spf_words(spf: Spf) -> str:
    """Give what it says of SPF."""
    return f"spf={spf.result} {spf.identity}={value(spf.value)}"


def dkim_words(signatures: Sequence[Signature]) -> list[str]:
    """Give what it says of each signature."""
    if not signatures:
        return ["dkim=none"]
    said = []
    for each in signatures:
        words = [f"dkim={each.result}"]
        if each.why:
            words.append(f"reason={value(each.why)}")
        if each.domain:
            words.append(f"header.d={value(each.domain)}")
        if each.selector:
            words.append(f"header.s={value(each.selector)}")
        if each.text(b"a"):
            words.append(f"header.a={value(each.text(b'a'))}")
        if each.text(b"b"):
            words.append(f"header.b={value(each.text(b'b')[:8])}")
        said.append(" ".join(words))
    return said


def dmarc_words(dmarc: Dmarc, override: str) -> str:
    """Give what it says of DMARC; `override` names why a policy is not applied."""
    words = [f"dmarc={dmarc.result}"]
    if dmarc.why or override:
        words.append(f"reason={value(override or dmarc.why)}")
    if dmarc.domain:
        words.append(f"header.from={value(dmarc.domain)}")
    if dmarc.result in ("pass", "fail"):
        words.append(f"policy.dmarc={dmarc.policy}")
    return " ".join(words)


def field(name: str, spf: Spf, signatures: Sequence[Signature], dmarc: Dmarc, override: str = "") -> bytes:
    """Give our field, with LF at each line's end."""
    said = [spf_words(spf), *dkim_words(signatures), dmarc_words(dmarc, override)]
    return (
        ";\n\t".join([f"Authentication-Results: {name}", *said, ""]).removesuffix(";\n\t").encode("ascii", "replace")
        + b"\n"
    )


def without_comments(text: str) -> str:
    """Give a text without comments and quotes; one that has no end goes on to the text's."""
    depth, quoted, escaped, kept = 0, False, False, []
    for character in text:
        if escaped:
            escaped = False
            if not depth:
                kept.append(character)
        elif character == "\\" and (depth or quoted):
            escaped = True
        elif quoted:
            quoted = character != '"'
            if quoted and not depth:
                kept.append(character)
        elif character == '"' and not depth:
            quoted = True
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth:
            kept.append(character)
    return "".join(kept)


def is_forged(raw: bytes, name: str) -> bool:
    """Does a field of the message pretend to be of our name (section 5)? One that nobody can read does, too.

    So does one with bytes beyond ASCII there: to some they are A-labels (RFC 8616), and could be ours. qmail-smtpd and
    qmail-inject read it likewise (src/qmail/lib/authserv.h).
    """
    if name_of(raw) != FIELD:
        return False
    text = without_comments(value_of(raw)[:65536].decode("latin-1")).translate(UNSEEN)
    first = text.partition(";")[0]
    # Blanks around dots, words beside it, a version with a slash: a lenient reader finds our name in all of that.
    said = ".".join(map(str.strip, first.lower().split(".")))
    ours = rf"(?<![a-z0-9_.-]){re.escape(name.lower())}(?![a-z0-9_-]|\.[a-z0-9])"
    return not said or not first.isascii() or re.search(ours, said) is not None
