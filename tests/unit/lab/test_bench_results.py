"""bin/bench: rounds, what is told of them, and tables, JSON and pictures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sitelab.bench import show, summary
from sitelab.bench.__main__ import PARTS
from sitelab.bench.machine import file_system, mount_of, processor
from sitelab.bench.rounds import Found, Spread, order, spread, turns
from sitelab.bench.show import About, Figure
from sitelab.host import UnfitHostError
from sitelab.paths import ROOT

RATE, CPU = Figure("rate", "delivered/s", 0), Figure("cpu", "CPU s <all>", 1)
SVG = "{http://www.w3.org/2000/svg}"
ABOUT = About("mail", "today", {"processor": "a & b", "cores": 2}, {"ours": "1", "theirs": "2"}, {})


@pytest.fixture
def found() -> Found:
    """Three rounds of two peers in one column: ours is faster."""
    result = Found(["10, reused"], ["ours", "theirs"])
    for ours, theirs in ((300.0, 100.0), (200.0, 160.0), (250.0, 150.0)):
        result.add("10, reused", "ours", {"rate": ours, "cpu": 2.0})
        result.add("10, reused", "theirs", {"rate": theirs, "cpu": 4.0})
    return result


@given(st.lists(st.floats(0.001, 1e6), min_size=1))
def test_the_median_lies_within_its_spread(figures: list[float]) -> None:
    of = spread(figures)
    assert of.least <= of.median <= of.greatest


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds(found: Found) -> None:
    ratio = found.ratio("10, reused", "ours", "theirs", "rate")
    assert ratio == Spread(250 / 150, 200 / 160, 3.0)


def test_rounds_are_those_that_every_peer_had(found: Found) -> None:
    found.add("10, reused", "ours", {"rate": 1.0, "cpu": 1.0})
    assert found.rounds == 3


def test_each_round_begins_with_another_peer() -> None:
    assert [order(["a", "b", "c"], number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert all(sorted(order(["a", "b", "c"], number)) == ["a", "b", "c"] for number in range(4))


def test_the_peers_of_a_column_follow_each_other_in_every_round() -> None:
    assert list(turns(["x", "y"], ["a", "b"], 2, 99, lambda: 0.0)) == [
        *(("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")),
        *(("x", "b"), ("x", "a"), ("y", "b"), ("y", "a")),
    ]


@pytest.mark.parametrize(("seconds", "rounds"), [(1, 1), (19, 1), (20, 2), (35, 3), (1000, 5)])
def test_a_round_that_would_end_too_late_is_not_begun(seconds: float, rounds: int) -> None:
    clock = [0.0]
    for _ in turns(["x"], ["a"], 5, seconds, lambda: clock[0]):
        clock[0] += 10
    assert clock[0] == 10 * rounds


def test_the_table_has_medians_with_their_spread_and_ratios(found: Found) -> None:
    text = show.table(found, [RATE, CPU], "ours")
    assert "| delivered/s | 10, reused |\n|---|---|\n" in text
    assert "| ours | 250 (200 to 300) |" in text
    assert "| theirs | 150 (100 to 160) |" in text
    assert "| ours : theirs | 1.67 (1.25 to 3.00) |" in text
    assert "| ours : theirs | 0.50 (0.50 to 0.50) |" in text
    assert "ours : ours" not in text


def test_the_json_has_what_the_table_has_and_every_sample(found: Found) -> None:
    whole = json.loads(show.as_json(found, [RATE], "ours", {"part": "mail"}))
    assert whole["part"] == "mail"
    assert whole["rounds"] == 3
    assert whole["medians"]["10, reused"]["ours"]["rate"] == {"median": 250, "least": 200, "greatest": 300}
    assert whole["ratios_of_ours"]["10, reused"]["theirs"]["rate"]["least"] == 1.25
    assert [sample["rate"] for sample in whole["samples"]["10, reused"]["theirs"]] == [100, 160, 150]


def test_the_picture_has_bars_as_long_as_their_figures(found: Found) -> None:
    tree = ET.fromstring(show.picture(found, [RATE, CPU], "Mail & more", show.note(found, ABOUT)))  # noqa: S314 (our own)
    bars = [float(bar.attrib["width"]) for bar in tree.iter(f"{SVG}rect") if bar.attrib["height"] == "12"]
    assert len(bars) == 4
    assert bars[1] / bars[0] == pytest.approx(150 / 250, abs=0.01)
    assert bars[2] / bars[3] == pytest.approx(0.5, abs=0.01)
    words = {text.text for text in tree.iter(f"{SVG}text")}
    assert {"Mail & more", "ours", "theirs", "250", "150", "2.0", "4.0", "delivered/s", "CPU s <all>"} <= words


def test_nothing_in_the_picture_lies_outside_of_it(found: Found) -> None:
    tree = ET.fromstring(show.picture(found, [RATE, CPU], "Mail", "note"))  # noqa: S314 (our own)
    width, height = float(tree.attrib["width"]), float(tree.attrib["height"])
    for element in tree.iter():
        if "x" in element.attrib:
            assert 0 <= float(element.attrib["x"]) + float(element.attrib.get("width", 0)) <= width
            assert 0 <= float(element.attrib["y"]) + float(element.attrib.get("height", 0)) <= height
    for path in tree.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"[\d.]+", path.attrib["d"])]
        assert max(numbers[0], numbers[2]) <= width


def test_results_say_machine_and_versions(found: Found) -> None:
    lines = show.about_lines(found, ABOUT)
    assert "- processor: a & b\n" in lines
    assert "- theirs: 2\n" in lines
    assert "- rounds: 3\n" in lines


def test_results_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    for text in ("first", "second"):
        show.write(tmp_path / "results", "mail", {"md": text, "json": "{}"})
    assert {path.name: path.read_text() for path in (tmp_path / "results").iterdir()} == {
        "mail.md": "second",
        "mail.json": "{}",
    }


def test_a_processor_is_named_and_called_virtual() -> None:
    text = "model name\t: Some CPU @ 2GHz\nflags\t\t: fpu hypervisor sse\n"
    assert processor(text * 2) == "Some CPU @ 2GHz, virtual"
    assert processor(text.replace("hypervisor ", "")) == "Some CPU @ 2GHz"
    assert processor("") == "unknown"


def test_the_file_system_is_that_of_the_longest_mount() -> None:
    text = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /srv rw - tmpfs tmpfs rw,size=1k
31 22 254:1 / /srv/disk rw shared:1 - xfs /dev/vdb rw,noquota
"""
    assert mount_of("/srv/disk/x", text) == ("xfs", "/dev/vdb", "rw,noquota")
    assert mount_of("/srv/disks", text)[0] == "tmpfs"
    assert mount_of("/var", text)[1] == "/dev/vda"
    assert mount_of("/srv", text + "32 22 0:9 / /srv rw - ramfs ramfs rw\n")[0] == "ramfs"


def test_this_machines_file_system_is_told(tmp_path: Path) -> None:
    assert "unknown" not in file_system(tmp_path)


@pytest.fixture
def gaps() -> Found:
    """Two columns, of which one peer has only the first."""
    result = Found(["465", "995"], ["ours", "theirs"])
    result.add("465", "ours", {"rate": 2.0})
    result.add("465", "theirs", {"rate": 0.0})
    result.add("995", "ours", {"rate": 3.0})
    return result


def test_who_has_not_what_a_column_is_about_is_not_measured_there() -> None:
    def has(peer: str, column: str) -> bool:
        return (peer, column) != ("b", "y")

    assert list(turns(["x", "y"], ["a", "b"], 1, 99, lambda: 0.0, has)) == [("x", "a"), ("x", "b"), ("y", "a")]


def test_a_gap_is_shown_as_one(gaps: Found) -> None:
    text = show.table(gaps, [RATE], "ours")
    assert "| ours | 2 (2 to 2) | 3 (3 to 3) |" in text
    assert "| theirs | 0 (0 to 0) | - |" in text
    assert text.rstrip().endswith("| - |")
    assert gaps.rounds == 1
    bars = ET.fromstring(show.picture(gaps, [RATE], "Gaps", "note")).iter(f"{SVG}rect")  # noqa: S314 (our own)
    assert sum(bar.attrib["height"] == "12" for bar in bars) == 3


def test_a_ratio_to_nothing_is_told_as_none(gaps: Found) -> None:
    assert "nan" in show.table(gaps, [RATE], "ours")
    whole = json.loads(show.as_json(gaps, [RATE], "ours", {}), parse_constant=pytest.fail)
    assert whole["ratios_of_ours"] == {
        "465": {"theirs": {"rate": {"median": None, "least": None, "greatest": None}}},
        "995": {},
    }
    assert "theirs" not in whole["medians"]["995"]


def test_a_sample_is_told_in_one_line() -> None:
    assert show.in_words([RATE, CPU], {"rate": 1.6, "cpu": 2.04}) == "2 delivered/s, 2.0 CPU s <all>"


Medians = dict[str, dict[str, float]]


def result(medians: Medians, processor: str = "some", when: str = "2026-11-27 09:00 UTC") -> dict[str, Any]:
    of = {
        column: {peer: {"delivered_per_s": {"median": median}} for peer, median in peers.items()}
        for column, peers in medians.items()
    }
    return {"when": when, "machine": {"processor": processor, "cores": 2}, "medians": of}


MAIL: Medians = {"10, reused": {"qmail-site": 400.4, "postfix": 300.0}}
SCAN: Medians = {"20 clients": {"qmail-site-scan": 17.0}}


def test_the_readers_table_has_a_row_for_what_was_measured() -> None:
    text = summary.table({"mail": result(MAIL), "scan": result(SCAN, when="2026-11-28 01:00 UTC")})
    assert text.splitlines()[2:] == [
        "| messages/s, ten connections that are reused | 400 |  | 300 |",
        "| messages/s that SpamAssassin scans, 20 clients | 17 |  |  |",
        "",
        "Medians, measured by `bin/bench all` (2026-11-27 to 2026-11-28; some, 2 cores).",
    ]


def test_its_rows_are_columns_and_figures_of_the_parts() -> None:
    for row in summary.ROWS:
        part = PARTS[row.part]
        assert row.column in part.columns
        assert row.figure in [figure.key for figure in part.figures]


def test_it_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{summary.BEGIN}{summary.END}below\n")
    for text in ("first\n", "second\n"):
        summary.put(page, text)
    assert page.read_text() == f"above\n{summary.BEGIN}\nsecond\n\n{summary.END}below\n"
    page.write_text("nothing\n")
    with pytest.raises(UnfitHostError, match="no place for the table"):
        summary.put(page, "x")
    assert summary.BEGIN in (ROOT / "README.md").read_text()


def test_it_tells_of_one_machine(tmp_path: Path) -> None:
    with pytest.raises(UnfitHostError, match="has no results"):
        summary.read(tmp_path)
    (tmp_path / "mail.json").write_text(json.dumps(result(MAIL)))
    assert list(summary.read(tmp_path)) == ["mail"]
    (tmp_path / "scan.json").write_text(json.dumps(result(SCAN, "other")))
    with pytest.raises(UnfitHostError, match="of 2 machines"):
        summary.read(tmp_path)
