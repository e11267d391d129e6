"""The documented grammar of the log (docs/logs.md), as a reader of logs would write it."""

from __future__ import annotations

import re

WORD = r"(?:[!#-;=?-\[\]-~]|\\x[0-9a-f]{2})+(?:\\\.\.\.)?"
TEXT = r'"(?:[ !#-\[\]-~]|\\x[0-9a-f]{2})*(?:\\\.\.\.)?"'
ADDRESS = f"<(?:{WORD})?>"

LINES = {
    "auth": rf"auth: user (?P<user>{WORD}) (?P<verdict>accepted|refused) \((?:PLAIN|LOGIN)\)",
    "popup auth": rf"auth: user (?P<user>{WORD}) (?P<verdict>refused)",
    "accepted": rf"accepted: qp \d+ bytes \d+ from (?P<sender>{ADDRESS}) recipients \d+(?: user (?P<user>{WORD}))?",
    "recipient": rf"(?P<verdict>refused|deferred): from (?P<sender>{ADDRESS}) to (?P<recipient>{ADDRESS}):"
    rf" \d{{3}} {TEXT}",
    "sender": rf"(?P<verdict>refused|deferred): sender (?P<sender>{ADDRESS}) user (?P<user>{WORD}): \d{{3}} {TEXT}",
    "returned": rf"returned: (?P<recipient>{ADDRESS}) is (?P<sender>{ADDRESS})",
    "message": rf"(?P<verdict>refused|deferred): message from (?P<sender>{ADDRESS}): \d{{3}} (?P<text>{TEXT})",
    "ended": r"ended: [a-zA-Z ,-]+",
}
SEND = {
    "info": rf"info msg \d+: bytes \d+ from (?P<sender>{ADDRESS}) qp \d+ uid \d+",
    "start": rf"starting delivery \d+: msg \d+ to (?:local|remote) (?P<recipient>{WORD})",
    "report": r"delivery \d+: (?P<verdict>success|failure|deferral): (?P<report>[!-~]*)",
    "pause": rf"pause: (?P<domain>{WORD}) (?:\d+ seconds|over)",
    "other": r"(?:status: local \d+/\d+ remote \d+/\d+|new msg \d+|end msg \d+|bounce msg \d+ qp \d+|queue: [a-z ]+)",
}


def read(line: str) -> tuple[str, dict[str, str]]:
    """Return the kind of a line of qmail-smtpd or qmail-popup and what is in it; exactly one kind fits."""
    head = re.match(r"qmail-(?:smtpd|popup) \d+ [0-9a-f.:]+: ", line)
    assert head, line
    return _only(LINES, line[head.end() :])


def read_send(line: str) -> tuple[str, dict[str, str]]:
    """Return the same of a line of qmail-send's."""
    return _only(SEND, line)


def _only(kinds: dict[str, str], line: str) -> tuple[str, dict[str, str]]:
    found = [(kind, m.groupdict("")) for kind, pattern in kinds.items() if (m := re.fullmatch(pattern, line))]
    assert len(found) == 1, (line, found)
    return found[0]


def meant(word: str) -> bytes:
    """Return the bytes that a word, an address in its brackets or a text in its quotes stands for."""
    inner = word[1:-1] if word[:1] in '<"' else word
    return re.sub(r"\\x(..)", lambda m: chr(int(m[1], 16)), inner).encode("latin-1")
