"""What was found, as a table for people and as JSON for programs."""

import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from verify import tlsfacts
from verify.cases import Check
from verify.progress import elapsed


@dataclass
class Door:
    """A service, whether the site is declared to have it, whether it was asked, and why not every question was put."""

    name: str
    port: int | None
    declared: bool
    asked: bool
    left_out: str = ""

    @property
    def _is_missed(self) -> bool:
        return self.declared and not self.asked and not self.left_out

    @property
    def fault(self) -> str:
        """The sentence about one that is declared and, of all questions, was not asked; empty for any other."""
        return f"{self.name}: declared, and no question was put to it" if self._is_missed else ""

    def __str__(self) -> str:
        """Tell it in a few words."""
        if self.asked:
            return f"{self.name} {self.port}"
        if self.port is None:
            return f"{self.name} not asked (the site is said to have none)"
        why = "DECLARED" if self._is_missed else self.left_out or f"nothing on port {self.port}"
        return f"{self.name} not asked ({why})"


@dataclass
class Outcome:
    """All that was found."""

    checks: list[Check] = field(default_factory=list)
    tls: list[tlsfacts.Facts] = field(default_factory=list)
    scans: list[tlsfacts.Scan] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    doors: list[Door] = field(default_factory=list)
    late: bool = False
    """Whether questions were left out because there was no time."""

    def count(self, outcome: str) -> int:
        """Count the cases with an outcome."""
        return sum(check.outcome == outcome for check in self.checks)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong, and something was asked at all."""
        bad_scans = [scan for scan in self.scans if scan.faults]
        bad_doors = [door for door in self.doors if door.fault]
        return bool(self.count("passed")) and not self.count("failed") and not (bad_scans or bad_doors or self.late)


def _lines(checks: list[Check], every: bool) -> Iterator[str]:
    groups: dict[str, dict[str, list[Check]]] = {}
    for check in checks:
        groups.setdefault(check.group, {}).setdefault(check.what, []).append(check)
    for group, sentences in groups.items():
        yield ""
        yield f"  {group}"
        for what, cases in sentences.items():
            counts = {o: sum(c.outcome == o for c in cases) for o in ("passed", "failed", "skipped")}
            mark = "FAILED" if counts["failed"] else "ok" if counts["passed"] else "-"
            tried = counts["passed"] + counts["failed"]
            number = f"  ({counts['passed']} of {tried})" if tried > 1 else ""
            yield f"    {mark:<6} {what}{number}"
            if not tried:
                yield f"             not asked: {cases[0].why}"
            for check in cases:
                name = check.case.encode("ascii", "backslashreplace").decode()
                if check.outcome == "failed":
                    yield f"             {name + ': ' if name else ''}{check.why}"
                elif every and name:
                    yield f"           {'ok' if check.outcome == 'passed' else '-'} {name}"


def printable(line: str) -> str:
    """Give a line without what would move a terminal's cursor, or hide text: some of it is what the site said."""
    return "".join(c if c.isprintable() else "?" for c in line)


def report(site: dict[str, Any], outcome: Outcome, every: bool) -> str:
    """Give the table for people."""
    place = f"{site['address']}{', ' + site['address6'] if site['address6'] else ''}"
    lines = ["", f"  {site['host']} ({place}), domain {site['domain']}", "", "  Certificates"]
    for facts in outcome.tls:
        lines.append(f"    {facts.place:<11} {facts.line()}")
    lines += _lines(outcome.checks, every)
    for scan in outcome.scans:
        lines += ["", f"  {scan.program}, {scan.place}: {'FAILED' if scan.faults else 'ok'}"]
        lines += [f"             {fault}" for fault in scan.faults]
    lines += [""] + [f"  warning: {warning}" for warning in outcome.warnings]
    lines += [f"  FAILED {door.fault}" for door in outcome.doors if door.fault]
    if outcome.doors:
        lines.append(f"  doors: {', '.join(map(str, outcome.doors))}")
    result = "all well" if outcome.well else "NOT WELL"
    lines.append(
        f"  {result}: {outcome.count('passed')} passed, {outcome.count('failed')} failed, "
        f"{outcome.count('skipped')} not asked, {elapsed():.0f} s"
    )
    return "\n".join([*map(printable, lines), ""])


def as_json(site: dict[str, Any], outcome: Outcome) -> str:
    """Give all of it as one JSON object, without passwords."""
    return json.dumps(
        {
            "host": site["host"],
            "address": site["address"],
            "address6": site["address6"],
            "domain": site["domain"],
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(elapsed()),
            "ok": outcome.well,
            "passed": outcome.count("passed"),
            "failed": outcome.count("failed"),
            "skipped": outcome.count("skipped"),
            "warnings": outcome.warnings,
            "late": outcome.late,
            "doors": [asdict(door) for door in outcome.doors],
            "tls": [asdict(facts) for facts in outcome.tls],
            "scans": [asdict(scan) for scan in outcome.scans],
            "checks": [asdict(check) for check in outcome.checks],
        }
    )
