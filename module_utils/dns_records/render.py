# SPDX-License-Identifier: MIT
"""Records for people and for name servers: a zone file, a table in words, commands for nsupdate(1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .compare import Change, Finding
from .record import MISSING, REQUIRED, RIGHT, SUPERFLUOUS, Rule, absolute, presented
from .words import shown

MARKS = {RIGHT: "ok", MISSING: "MISSING", SUPERFLUOUS: "SUPERFLUOUS"}


def _by_domain(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule.domain, []).append(rule)
    return found


def zone(rules: Sequence[Rule], ttl: int, not_yet: Sequence[str] = ()) -> str:
    """A master file (RFC 1035, section 5) with absolute names, so that it can be put into any zone, or in parts."""
    lines = [f"; {each}" for each in not_yet]
    for domain, each_rule in _by_domain(rules).items():
        lines += ["", f"; --- {domain} ---"]
        for rule in each_rule:
            for record in rule.wanted:
                lines.append(f"; {record.need}: {record.why}")
                line = f"{absolute(record.name)} {ttl} IN {record.type} {presented(record.type, record.value)}"
                lines.append(f";{line}" if rule.advice else line)
    return "\n".join(lines).strip() + "\n"


def wanted_table(rules: Sequence[Rule], not_yet: Sequence[str] = ()) -> str:
    """What is needed, in words; nobody was asked."""
    lines: list[str] = []
    for domain, each_rule in _by_domain(rules).items():
        lines += ["", f"  {domain}"]
        for rule in each_rule:
            for record in rule.wanted:
                lines.append(f"    {record.type:<6} {record.name}")
                lines.append(f"           {shown(record.value)}")
                lines.append(f"           {record.need}: {record.why}")
    return "\n".join([*lines, *_told(not_yet)]) + "\n"


def _told(not_yet: Sequence[str]) -> list[str]:
    return ["", *(f"  not yet: {each}" for each in not_yet)] if not_yet else []


def _finding(each: Finding) -> Iterator[str]:
    mark = MARKS.get(each.status, each.status.upper())
    yield f"    {mark:<12} {each.rule.type:<6} {each.rule.name}"
    is_well = each.status == RIGHT
    if each.record and not is_well:
        yield f"                 should be  {shown(each.record.value)}"
    if each.found and not is_well:
        yield f"                 is         {shown(each.found)}"
    if each.servers:
        yield f"                 says       {', '.join(each.servers)}; the others say otherwise"
    if not is_well:
        yield f"                 {each.need}: {each.record.why if each.record else each.rule.why}"
    if each.note and each.note != each.rule.why:
        yield f"                 {shown(each.note, 400)}"


def table(findings: Sequence[Finding], not_yet: Sequence[str] = (), every: bool = True) -> str:
    """What was found, in words; without EVERY, only what is amiss, or has a note."""
    lines: list[str] = []
    domains: dict[str, list[Finding]] = {}
    for each in findings:
        domains.setdefault(each.rule.domain, []).append(each)
    for domain, said in domains.items():
        lines += ["", f"  {domain}"]
        for each in said:
            if every or each.status != RIGHT or each.note:
                lines += _finding(each)
    return "\n".join([*lines, *_told(not_yet)]) + "\n"


def summary(findings: Sequence[Finding]) -> str:
    """One line: how many are right, and what is amiss."""
    counts = [f"{sum(each.status == RIGHT for each in findings)} right"]
    for status in (MISSING, "different", SUPERFLUOUS):
        said = [each for each in findings if each.status == status]
        required = sum(each.need == REQUIRED for each in said)
        if said:
            counts.append(f"{len(said)} {status}" + (f" ({required} of them required)" if required else ""))
    return ", ".join(counts)


def nsupdate(changes: Sequence[Change], ttl: int, zone_of: dict[str, str] | None = None, server: str = "") -> str:
    """Commands for nsupdate(1), a message for each zone; where ZONE_OF lacks a name, nsupdate finds the zone by itself.

    Only single records are named, never a whole set: what else is at a name stays. All that is taken out goes first,
    since a name with a CNAME takes nothing else.
    """
    zones: dict[str, list[Change]] = {}
    for change in changes:
        zones.setdefault((zone_of or {}).get(change.name, ""), []).append(change)
    lines = [f"server {server}"] if server else []
    for name, each_change in zones.items():
        if name:
            lines.append(f"zone {absolute(name)}")
        for change in each_change:
            if change.old:
                lines.append(
                    f"update delete {absolute(change.name)} {change.type} {presented(change.type, change.old)}"
                )
        for change in each_change:
            if change.new:
                data = presented(change.type, change.new)
                lines.append(f"update add {absolute(change.name)} {ttl} {change.type} {data}")
        lines.append("send")
    return "".join(f"{line}\n" for line in lines)


def additions(rules: Sequence[Rule]) -> list[Change]:
    """What it takes where nothing is there yet."""
    return [
        Change(rule.name, rule.type, "", record.value) for rule in rules if not rule.advice for record in rule.wanted
    ]
