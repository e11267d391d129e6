"""qmail-spamzones: what it counts, what it draws, and what nobody can make it count."""

from __future__ import annotations

import datetime
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
import qmail_spamzones as spamzones

PROGRAM = Path(spamzones.__file__)


def line(zone: str, score: str = "", result: str = "accepted", sender: str = "a@example.org", head: str = "") -> str:
    note = f" score={score} required=5.0 red=7.0 rules=A,B" if score else ' cause="all scans are in use"'
    return f"{head}hi-q: pid=7 result={result} filter=spamzone zone={zone}{note} from=<{sender}> to=<b@example.net>\n"


LOG = [
    line("green", "-0.5"),
    line("green", "4.9"),
    line("yellow", "5.0"),
    line("yellow", "6.9"),
    line("red", "7.0", "refused"),
    line("red", "1002.5", "refused"),
    line("unscanned", result="deferred"),
]


def test_a_threshold_of_the_recipients_own_is_not_taken_for_the_site_s() -> None:
    own = line("green", "5.5").replace(
        "required=5.0 red=7.0 rules=A,B", "required=9.0 red=11.0 rules=A,B threshold=own"
    )
    part = own.replace("rules=A,B", "rules=A,B scanned=5/9")
    for marked in (own, part):
        day = spamzones.collect([*LOG, marked])
        assert (day.zones["green"], day.required, day.red) == (3, 5.0, 7.0)
    day = spamzones.collect([own])
    assert day.required is None
    assert "\nscores\n" in spamzones.report(day, "x")
    forged = line("green", "5.5", sender="x threshold=own@b.example")
    assert spamzones.collect([forged]).required == 5.0


def test_what_was_not_to_be_scanned_is_not_counted() -> None:
    assert spamzones.collect([line("green").replace('zone=green cause="all scans are in use"', "zone=off")]).total == 0


def test_zones_are_counted() -> None:
    day = spamzones.collect(LOG)
    assert day.zones == {"green": 2, "yellow": 2, "red": 2, "unscanned": 1}
    text = spamzones.report(day, "x")
    assert text.startswith("x: 7 messages\n  green           2   28.6 %  delivered\n")
    assert "  unscanned       1   14.3 %  spamd in trouble, or a client beyond its share (1 deferred)\n" in text
    assert "scores (yellow from 5.0, red from 7.0)" in text


def test_what_a_module_noted_before_makes_no_difference() -> None:
    judged = [
        each.replace(" filter=", " module=mailauth spf=pass dkim=none dmarc=fail policy=reject filter=") for each in LOG
    ]
    assert spamzones.collect(judged).zones == spamzones.collect(LOG).zones
    alone = judged[0].partition(" filter=")[0] + " from=<zone=green@b.example> to=<b@example.net>\n"
    assert spamzones.collect([alone]).total == 0


def test_bars_begin_at_whole_points() -> None:
    bars = dict(spamzones.collect(LOG).bars())
    assert bars["-1"]["green"] == 1
    assert bars["4"]["green"] == 1
    assert bars["5"]["yellow"] == bars["6"]["yellow"] == 1
    assert bars["7"]["red"] == bars[">= 20"]["red"] == 1
    assert next(iter(bars)) == "-1"


def test_a_bar_with_one_message_among_thousands_is_seen() -> None:
    text = spamzones.report(spamzones.collect([line("green", "1.0")] * 5000 + [line("red", "9.0", "refused")]), "x")
    assert "       9 |# 1\n" in text
    assert f"       1 |{'.' * 50} 5000\n" in text


def test_an_empty_log() -> None:
    assert spamzones.report(spamzones.Day(), "x").startswith("x: 0 messages\n  green           0    0.0 %")
    ET.fromstring(spamzones.svg(spamzones.Day(), "x"))  # noqa: S314 - our own


@pytest.mark.parametrize(
    "sender",
    [
        "hi-q:?pid=1?result=accepted?filter=spamzone?zone=green",
        "x zone=green score=1.0 required=5.0 red=7.0",
        "x> hi-q: pid=1 result=accepted filter=spamzone zone=green score=1.0 required=5.0 red=7.0 from=<",
    ],
)
def test_an_address_counts_for_nothing(sender: str) -> None:
    day = spamzones.collect([line("red", "9.0", "refused", sender)])
    assert day.zones == {"red": 1}
    other = f"hi-q: pid=1 result=refused filter=other from=<{sender}> to=<b@example.net>\n"
    assert not spamzones.collect([other]).zones
    assert not spamzones.collect([f"qmail-smtpd 1 10.0.0.1: refused: message from <{sender}>\n"]).zones
    user = sender.replace(" ", r"\x20").replace("<", r"\x3c").replace(">", r"\x3e")  # as docs/logs.md has it
    assert not spamzones.collect([f"qmail-smtpd 1 10.0.0.1: auth: user {user} refused (PLAIN)\n"]).zones


def test_other_filters_notes_may_stand_before_it() -> None:
    text = line("green", "1.0").replace("filter=spamzone", "filter=virus clean=yes filter=spamzone")
    assert spamzones.collect([text]).zones == {"green": 1}


@pytest.mark.parametrize(
    "head", ["2026-11-23T10:00:00+0000 mail qmail-smtp[7]: ", "Nov 23 10:00:00 mail qmail-smtp[7]: "]
)
def test_a_day_is_told_by_the_time_of_a_line(tmp_path: Path, head: str) -> None:
    log = tmp_path / "log"
    log.write_text(line("green", "1.0", head=head) + line("red", "9.0", head=head.replace("23", "24")))
    lines = list(spamzones.read([str(log)], datetime.date(2026, 11, 23)))
    assert spamzones.collect(lines).zones == {"green": 1}
    assert spamzones.collect(spamzones.read([str(log)], None)).total == 2


def test_the_picture_has_a_bar_for_each_zone(tmp_path: Path) -> None:
    picture = tmp_path / "day.svg"
    done = subprocess.run(
        [PROGRAM, "--svg", picture, "-"], input="".join(LOG), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("whole log: 7 messages\n")
    drawn = ET.fromstring(picture.read_text())  # noqa: S314 - our own
    colours = [bar.get("fill") for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert [colours.count(colour) for colour in spamzones.COLOUR.values()] == [2, 2, 2]


@pytest.mark.parametrize("words", [["--day", "yesterday"], ["--day", "2026-13-01"], ["/nonexistent/log"]])
def test_what_cannot_be_done_is_said(words: list[str]) -> None:
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert "qmail-spamzones: " in done.stderr


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_any_line_is_survived(text: str) -> None:
    spamzones.parse(text)
    day = spamzones.collect([f"hi-q: pid=1 result=accepted filter=spamzone zone=green score=1{text}"])
    ET.fromstring(spamzones.svg(day, "x"))  # noqa: S314 - our own


@given(st.lists(st.tuples(st.sampled_from(["green", "yellow", "red"]), st.floats(-2000, 2000))))
def test_no_message_gets_lost_on_the_way_to_the_picture(messages: list[tuple[str, float]]) -> None:
    day = spamzones.collect(line(zone, f"{score:.1f}") for zone, score in messages)
    assert day.total == sum(sum(counts.values()) for _, counts in day.bars()) == len(messages)
    assert len(spamzones.report(day, "x").splitlines()) < 50
