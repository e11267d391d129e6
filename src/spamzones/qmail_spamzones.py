#!/usr/bin/python3 -I
"""qmail-spamzones: what the spam filter did in a day, and whether its two numbers are right.

It reads hi-q's lines with the notes of spamzone (see hi-q(8), spamzone(8)) and prints how many messages were green,
yellow and red, and how their scores lie.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TAGS = ("qmail-smtp", "qmail-smtps")
JOURNAL = Path("/run/systemd/journal/socket")
FILES = tuple(Path(f"/var/log/qmail/{name}.log") for name in ("smtp", "smtps"))
ZONES = ("green", "yellow", "red", "unscanned")
FATE = {
    "green": "delivered",
    "yellow": "delivered, marked",
    "red": "refused",
    "unscanned": "spamd in trouble, or a client beyond its share",
}
COLOUR = {"green": "#3a7d44", "yellow": "#d9a404", "red": "#b3261e"}
LOWEST, HIGHEST = -5, 20  # scores beyond are shown at the ends
LINE_MAX = 20000

# What stands before "hi-q:" is the logger's. All that a stranger can choose, the addresses, stands behind the note.
_LINE = re.compile(
    r"(?P<head>[^<]{0,200}?)\bhi-q: pid=\d+ result=(?P<result>accepted|refused|deferred)"
    r"(?: module=[^ ]+ (?!zone=)[^<]*?)?"
    r" (?:filter=[^ ]+ (?!zone=)[^<]*?)?filter=spamzone zone=(?P<zone>green|yellow|red|unscanned)"
    r"(?: score=(?P<score>-?\d{1,9}(?:\.\d{1,3})?) required=(?P<required>-?\d{1,9}(?:\.\d{1,3})?)"
    r" red=(?P<red>-?\d{1,9}(?:\.\d{1,3})?)(?: rules=[^ ]+(?: scanned=\d+/\d+)?(?P<own> threshold=own)?)?)?"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Judgement:
    """What became of one message; score, threshold and red's beginning in points, where it was scanned.

    `own`: the threshold is its recipients', and not the site's.
    """

    result: str
    zone: str
    score: float | None
    required: float | None
    red: float | None
    own: bool = False


@dataclass
class Day:
    """Counts of messages: by zone, by what became of them, by score in whole points, rounded down."""

    zones: Counter[str] = field(default_factory=Counter)
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    scores: Counter[tuple[int, str]] = field(default_factory=Counter)
    required: float | None = None
    red: float | None = None

    def add(self, judgement: Judgement) -> None:
        """Count one message. The numbers of the latest one under the site's are those that are shown."""
        self.zones[judgement.zone] += 1
        self.results[judgement.zone, judgement.result] += 1
        if judgement.score is not None:
            point = int(judgement.score // 1)
            self.scores[max(LOWEST - 1, min(HIGHEST, point)), judgement.zone] += 1
            if not judgement.own:
                self.required, self.red = judgement.required, judgement.red

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.zones.values())

    def bars(self) -> list[tuple[str, Counter[str]]]:
        """Give each bar of the histogram: its label, and its messages by zone. Empty without a score."""
        if not self.scores:
            return []
        low = min(point for point, _ in self.scores)
        high = max(point for point, _ in self.scores)
        bars = []
        for point in range(low, high + 1):
            label = f"< {LOWEST}" if point < LOWEST else f">= {HIGHEST}" if point == HIGHEST else str(point)
            bars.append((label, Counter({zone: self.scores[point, zone] for zone in COLOUR})))
        return bars


def parse(line: str) -> Judgement | None:
    """Read a line of the log; None for one that is not about a message that spamzone saw. Total."""
    match = _LINE.match(line[:LINE_MAX])
    if not match:
        return None
    score, required, red = (None if match[n] is None else float(match[n]) for n in ("score", "required", "red"))
    if (score is None) != (match["zone"] == "unscanned"):
        return None
    return Judgement(match["result"], match["zone"], score, required, red, own=bool(match["own"]))


def is_of(line: str, day: datetime.date) -> bool:
    """Tell whether a line is of a day, by the time that begins it: ISO 8601's, or syslog's, which has no year."""
    if line[:10] == day.isoformat():
        return True
    match = re.match(r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) ", line)
    return bool(match and match[1] == _MONTHS[day.month - 1] and int(match[2]) == day.day)


def collect(lines: Iterable[str]) -> Day:
    """Count what the lines say."""
    day = Day()
    for line in lines:
        if judgement := parse(line):
            day.add(judgement)
    return day


def report(day: Day, title: str, width: int = 50) -> str:
    """Give the counts and a histogram as text; the longest bar has `width` characters."""
    lines = [f"{title}: {day.total} message{'' if day.total == 1 else 's'}"]
    for zone in ZONES:
        if zone == "unscanned" and not day.zones[zone]:
            continue
        share = 100 * day.zones[zone] / day.total if day.total else 0.0
        fate = FATE[zone]
        if zone == "unscanned":
            parts = ", ".join(f"{count} {result}" for (z, result), count in sorted(day.results.items()) if z == zone)
            fate += f" ({parts})"
        lines.append(f"  {zone:<10}{day.zones[zone]:>7}  {share:5.1f} %  {fate}")
    bars = day.bars()
    if bars:
        zones = "" if day.required is None else f" (yellow from {day.required}, red from {day.red})"
        lines += ["", f"scores{zones}"]
        longest = max(sum(counts.values()) for _, counts in bars)
        for label, counts in bars:
            count = sum(counts.values())
            # A bar that stands for a message is never empty; where zones share a bar, each has its part of it.
            length = -(-count * width // longest)
            marks = "".join(sign * counts[zone] for zone, sign in (("green", "."), ("yellow", "o"), ("red", "#")))
            bar = "".join(marks[i * count // length] for i in range(length)) if count else ""
            lines.append(f"  {label:>6} |{bar}{f' {count}' if count else ''}")
        lines.append("  . green  o yellow  # red; a bar is one point wide and begins at its number")
    return "\n".join(lines) + "\n"


def svg(day: Day, title: str) -> str:
    """Give the histogram as an SVG. All text in it is made of numbers and of this program's words."""
    bars = day.bars()
    step, high, left, top = 28, 220, 44, 56
    width = left + step * max(len(bars), 12) + 20
    longest = max((sum(counts.values()) for _, counts in bars), default=1)
    words = ", ".join(f"{day.zones[zone]} {zone}" for zone in ZONES)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + high + 50}" role="img"'
        ' font-family="sans-serif" font-size="11">',
        f"<title>{title}: {words}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="20" font-size="14">{title}: {day.total} messages</text>',
        f'<text x="{left}" y="38">{words}</text>',
    ]
    for number, (label, counts) in enumerate(bars):
        x, y = left + number * step, float(top + high)
        for zone, colour in COLOUR.items():
            height = high * counts[zone] / longest
            y -= height
            if counts[zone]:
                out.append(
                    f'<rect x="{x + 1}" y="{y:.1f}" width="{step - 2}" height="{height:.1f}" fill="{colour}">'
                    f"<title>{counts[zone]} {zone}</title></rect>"
                )
        shown = label.replace("<", "&lt;").replace(">", "&gt;")
        out.append(f'<text x="{x}" y="{top + high + 14}" text-anchor="middle">{shown}</text>')
    out += [
        f'<line x1="{left}" y1="{top + high}" x2="{width - 10}" y2="{top + high}" stroke="#000"/>',
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{longest}</text>',
        f'<text x="{left}" y="{top + high + 34}">score</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def journal(day: datetime.date) -> Iterator[str]:
    """Give the journal's lines of a day. Raises OSError where the journal can't be read."""
    tags = [word for tag in TAGS for word in ("-t", tag)]
    until = day + datetime.timedelta(days=1)
    words = ["journalctl", "-q", "-o", "short-iso", "--no-pager", *tags, f"--since={day}", f"--until={until}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield from process.stdout
    if process.returncode:
        raise OSError(f"journalctl ended with exit code {process.returncode}")


def read(files: list[str], day: datetime.date | None) -> Iterator[str]:
    """Give the lines of files, "-" being standard input; of one day, if any. Raises OSError."""
    for name in files:
        with open(0 if name == "-" else name, encoding="utf-8", errors="replace", closefd=name != "-") as lines:
            for line in lines:
                if day is None or is_of(line, day):
                    yield line


def main(words: list[str] | None = None) -> int:
    """Do what the command line says; give the exit code."""
    parser = argparse.ArgumentParser(prog="qmail-spamzones", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("files", nargs="*", metavar="FILE", help='a log, "-" for standard input; else the journal')
    parser.add_argument(
        "--day", type=datetime.date.fromisoformat, help="YYYY-MM-DD; today for the journal, all there is for a FILE"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the scores there, too")
    arguments = parser.parse_args(words)
    files, date = arguments.files, arguments.day
    if not files:
        date = date or datetime.date.today()
        if not JOURNAL.exists():
            files = [str(file) for file in FILES if file.exists()]
    try:
        day = collect(read(files, date) if files else journal(date))
        title = str(date) if date else "whole log"
        if arguments.svg:
            arguments.svg.write_text(svg(day, title), encoding="utf-8")
        sys.stdout.write(report(day, title))
    except OSError as error:
        print(f"qmail-spamzones: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
