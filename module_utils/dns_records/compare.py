# SPDX-License-Identifier: MIT
"""What should be at a name, held against what a server says is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .record import DIFFERENT, MISSING, RECOMMENDED, REQUIRED, RIGHT, SUPERFLUOUS, Record, Rule
from .spf import VERSION, is_spf
from .words import plain

ORDER = (RIGHT, SUPERFLUOUS, MISSING, DIFFERENT)
"""From the best to the worst."""


@dataclass(slots=True)
class Finding:
    """One record, and what has become of it. `record` is None for one that is superfluous; `found` is what is there."""

    rule: Rule
    status: str
    record: Record | None
    found: str = ""
    need: str = REQUIRED
    note: str = ""
    servers: list[str] = field(default_factory=list)
    """Those that say so, where others say otherwise."""

    @property
    def is_bad(self) -> bool:
        """Whether mail suffers from it."""
        return self.status != RIGHT and self.need == REQUIRED


def _tags(text: str) -> dict[str, str]:
    """tag=value lists, as DKIM, DMARC, MTA-STS and TLS-RPT have them."""
    pairs = (each.partition("=") for each in text.split(";") if each.strip())
    return {tag.strip().lower(): re.sub(r"\s+", "", value) for tag, _, value in pairs}


def _dkim(text: str) -> dict[str, str]:
    """What counts of a key (RFC 6376, section 3.6.1): with what holds if it isn't said."""
    return {"v": "DKIM1", "k": "rsa"} | {tag: value for tag, value in _tags(text).items() if tag != "n"}


def _spf(text: str) -> list[str]:
    return text.lower().split()


def _normal(rule: Rule, text: str) -> object:
    """The form in which two values are the same if they mean the same."""
    if rule.type == "TXT":
        if rule.mark == VERSION:
            return _spf(text)
        return _dkim(text) if "._domainkey." in rule.name else _tags(text)
    if rule.type == "CAA":
        flags, _, rest = text.partition(" ")
        tag, _, value = rest.partition(" ")
        return (flags, tag.lower(), value.strip('"').partition(";")[0].strip().lower())
    return [plain(word) if word != "." else word for word in text.split()]


def meant(rule: Rule, texts: Sequence[str]) -> list[str]:
    """Those of a set that a rule is about."""
    if rule.type != "TXT" or not rule.mark:
        return list(texts)
    if rule.mark == VERSION:
        return [text for text in texts if is_spf(text)]
    return [text for text in texts if re.match(re.escape(rule.mark) + r"\s*(;|$)", text, re.IGNORECASE)]


def compare(rule: Rule, texts: Sequence[str]) -> list[Finding]:
    """What a server's answer makes of a rule. Of a set that is somebody else's, only what the site needs is told."""
    there = meant(rule, texts)
    missing: list[Record] = []
    found: list[Finding] = []
    for record in rule.wanted:
        same = next((text for text in there if _normal(rule, text) == _normal(rule, record.value)), None)
        if same is None:
            missing.append(record)
        else:
            there.remove(same)
            found.append(Finding(rule, RIGHT, record, same, record.need))
    if rule.type == "CAA":
        return found + _caa(rule, missing, there)
    if rule.others:
        found += _instead(rule, missing, there)
    found += [Finding(rule, MISSING, record, need=record.need) for record in missing]
    if rule.others:
        found += [Finding(rule, SUPERFLUOUS, None, text, rule.others, rule.why) for text in there]
    if rule.type == "TLSA":
        _judge_keys(rule, found, bool(texts))
    return found


def _judge_keys(rule: Rule, found: list[Finding], is_any: bool) -> None:
    """Records of other keys than the one that is served, the first, do harm only without that one's (RFC 7672)."""
    is_right = any(each.status == RIGHT and each.record is rule.wanted[0] for each in found)
    for each in found:
        each.need = REQUIRED if is_any and not is_right else RECOMMENDED


def _instead(rule: Rule, missing: list[Record], there: list[str]) -> list[Finding]:
    """What stands in another one's place; it is taken out of both lists."""
    found = []
    for record in list(missing):
        other = _other(rule, record, there)
        if other is None:
            continue
        missing.remove(record)
        there.remove(other)
        found.append(Finding(rule, DIFFERENT, record, other, record.need))
    return found


def _other(rule: Rule, record: Record, there: list[str]) -> str | None:
    if rule.single or (rule.type in ("A", "AAAA", "TLSA") and there):
        return there[0] if there else None
    # The same host with another preference or port.
    host = plain(record.value.split()[-1])
    return next((text for text in there if plain(text.split()[-1]) == host), None)


def _caa(rule: Rule, missing: list[Record], there: list[str]) -> list[Finding]:
    """Who may issue: other authorities are the operator's affair, but a set without ours stops renewals (RFC 8659)."""
    issuers = [text for text in there if text.split()[1:2] == ["issue"]]
    shut = bool(issuers) and len(missing) == len(rule.wanted)
    if not shut:
        return [Finding(rule, MISSING, record, need=record.need) for record in missing]
    note = "with these, the site's authority gives no certificate any more"
    return [Finding(rule, DIFFERENT, record, "; ".join(issuers), REQUIRED, note) for record in missing]


def merge(by_server: dict[str, list[Finding]]) -> list[Finding]:
    """One finding for each record of a rule: the worst that any server says, and which ones say it."""
    seen: dict[tuple[object, ...], list[tuple[str, Finding]]] = {}
    for server, findings in by_server.items():
        for finding in findings:
            key = ("record", finding.record) if finding.record else ("found", str(_normal(finding.rule, finding.found)))
            seen.setdefault(key, []).append((server, finding))
    found = []
    for said in seen.values():
        worst = max((finding for _, finding in said), key=lambda each: ORDER.index(each.status))
        servers = [server for server, finding in said if finding.status == worst.status]
        if len(servers) < len(by_server):
            worst.servers = servers
        found.append(worst)
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """A step on the way to what should be: take `old` out of a set, and put `new` in; one of them may be empty."""

    name: str
    type: str
    old: str
    new: str


def changes(findings: Sequence[Finding], mine: Callable[[str], bool] = lambda name: True) -> list[Change]:
    """What would make the findings right, of names that are MINE.

    What is superfluous is taken out where nobody but this site has a reason for it: keys, policies, a second SPF
    record. Other hosts in MX, A, AAAA, SRV and CAA sets are left for whoever runs the zone to decide.
    """
    found = []
    for each in findings:
        if each.status == RIGHT or each.rule.advice or not mine(each.rule.name):
            continue
        if each.record is None:
            if each.rule.type in ("TXT", "TLSA"):
                found.append(Change(each.rule.name, each.rule.type, each.found, ""))
            continue
        old = each.found if each.status == DIFFERENT and each.rule.others else ""
        found.append(Change(each.rule.name, each.rule.type, old, each.record.value))
    return found


def needs(findings: Sequence[Finding]) -> tuple[int, int]:
    """How many are amiss, of those that mail suffers from, and of the others."""
    amiss = [each for each in findings if each.status != RIGHT]
    required = sum(each.need == REQUIRED for each in amiss)
    return required, sum(each.need == RECOMMENDED for each in amiss)
