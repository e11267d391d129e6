"""What the bench found, as a table, as JSON, and as a picture."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sitelab.bench.rounds import Found, Sample

NOTHING = "-"
"""What stands where a peer hasn't what a column is about."""


@dataclass(frozen=True)
class Figure:
    """One figure of the samples, as it is shown."""

    key: str
    title: str
    digits: int


@dataclass(frozen=True)
class About:
    """When, where, and of what the figures are."""

    part: str
    when: str
    machine: dict[str, Any]
    peers: dict[str, str]
    load: dict[str, Any]


def about_lines(found: Found, about: About) -> str:
    """Give it as a list in Markdown."""
    facts = {"when": about.when, "rounds": found.rounds, **about.machine, **about.peers, **about.load}
    return "".join(f"- {name.replace('_', ' ')}: {value}\n" for name, value in facts.items())


def note(found: Found, about: About) -> str:
    """Give the line below a picture."""
    machine = f"{about.machine['processor']}, {about.machine['cores']} cores"
    return f"{about.when}; {machine}; medians of {found.rounds} rounds, lines: least to greatest"


def table(found: Found, figures: Sequence[Figure], base: str) -> str:
    """Give a table in Markdown for each figure: medians (least to greatest), and ratios of the others to BASE's own."""
    parts = []
    for figure in figures:
        lines = [f"| {figure.title} | {' | '.join(found.columns)} |", "|---" * (len(found.columns) + 1) + "|"]
        for peer in found.peers:
            cells = [_cell(found, column, peer, figure) for column in found.columns]
            lines.append(f"| {peer} | {' | '.join(cells)} |")
        for other in found.peers:
            if other != base:
                cells = [_ratio(found, column, base, other, figure) for column in found.columns]
                lines.append(f"| {base} : {other} | {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _ratio(found: Found, column: str, base: str, other: str, figure: Figure) -> str:
    if not found.has(column, base, other):
        return NOTHING
    ratio = found.ratio(column, base, other, figure.key)
    return f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})"


def _cell(found: Found, column: str, peer: str, figure: Figure) -> str:
    if not found.has(column, peer):
        return NOTHING
    is_so, digits = found.spread(column, peer, figure.key), figure.digits
    return f"{is_so.median:.{digits}f} ({is_so.least:.{digits}f} to {is_so.greatest:.{digits}f})"


def as_json(found: Found, figures: Sequence[Figure], base: str, about: dict[str, Any]) -> str:
    """Give all of it as JSON: ABOUT, medians with their spread, ratios of BASE's to each other peer's, every sample."""
    keys = [figure.key for figure in figures]
    medians = {
        column: {
            peer: {key: asdict(found.spread(column, peer, key)) for key in keys}
            for peer in found.peers
            if found.has(column, peer)
        }
        for column in found.columns
    }
    ratios = {
        column: {
            other: {key: _known(asdict(found.ratio(column, base, other, key))) for key in keys}
            for other in found.peers
            if other != base and found.has(column, base, other)
        }
        for column in found.columns
    }
    whole = {
        **about,
        "rounds": found.rounds,
        "medians": medians,
        f"ratios_of_{base}": ratios,
        "samples": found.samples,
    }
    return json.dumps(whole, indent=1) + "\n"


def _known(ratio: dict[str, float]) -> dict[str, float | None]:
    # JSON has no word for what a division by nothing gives.
    return {name: None if math.isnan(value) else value for name, value in ratio.items()}


COLOURS = ("#1b6ca8", "#c8553d", "#6b8f71", "#8a6fa8", "#b08b2e")
_LEFT, _WIDTH, _BAR, _GAP, _LEGEND = 130, 420, 14, 12, 130
_PANEL = _LEFT + _WIDTH + 70


def picture(found: Found, figures: Sequence[Figure], title: str, note: str) -> str:
    """Give an SVG: a panel for each figure, in it a group of bars for each column, with their spread."""
    group = _BAR * len(found.peers) + _GAP
    height = 66 + group * len(found.columns) + 34
    width = max(_PANEL * len(figures), 10 + _LEGEND * len(found.peers))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(10, 18, title, "start", ' font-size="14" font-weight="bold"'),
    ]
    for at, peer in enumerate(found.peers):
        out.append(f'<rect x="{10 + at * _LEGEND}" y="26" width="10" height="10" fill="{COLOURS[at % len(COLOURS)]}"/>')
        out.append(_text(25 + at * _LEGEND, 35, peer, "start"))
    for at, figure in enumerate(figures):
        out += _panel(found, figure, at * _PANEL, group)
    out += [_text(10, height - 10, note, "start", ' fill="#555"'), "</svg>"]
    return "\n".join(out) + "\n"


def _panel(found: Found, figure: Figure, left: int, group: int) -> list[str]:
    shown = [(column, peer) for column in found.columns for peer in found.peers if found.has(column, peer)]
    most = max(found.spread(column, peer, figure.key).greatest for column, peer in shown)
    scale = _WIDTH / most if most > 0 else 0.0
    out = [_text(left + _LEFT, 56, figure.title, "start", ' font-weight="bold"')]
    for row, column in enumerate(found.columns):
        top = 66 + row * group
        out.append(_text(left + _LEFT - 6, top + (group - _GAP) / 2 + 4, column, "end"))
        for at, peer in enumerate(found.peers):
            if (column, peer) not in shown:
                continue
            is_so, y, x = found.spread(column, peer, figure.key), top + at * _BAR, left + _LEFT
            colour = COLOURS[at % len(COLOURS)]
            length, middle = max(is_so.median, 0) * scale, y + _BAR / 2 - 1
            low, high = x + max(is_so.least, 0) * scale, x + is_so.greatest * scale
            out += [
                f'<rect x="{x}" y="{y}" width="{length:.1f}" height="{_BAR - 2}" fill="{colour}"/>',
                f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="black" stroke-width="1"/>',
                _text(max(high, x + length) + 4, y + 10, f"{is_so.median:.{figure.digits}f}", "start"),
            ]
    return out


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(words)}</text>'


def write(folder: Path, part: str, texts: dict[str, str]) -> list[Path]:
    """Write a part's results, by their suffix; each is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, text in texts.items():
        path = folder / f"{part}.{suffix}"
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        new.replace(path)
        paths.append(path)
    return paths


def in_words(figures: Sequence[Figure], sample: Sample) -> str:
    """Give a sample as one line."""
    return ", ".join(f"{sample[figure.key]:.{figure.digits}f} {figure.title}" for figure in figures)
