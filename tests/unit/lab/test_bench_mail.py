"""bin/bench mail: rounds, what is told of them, and its table, JSON and picture."""

from __future__ import annotations

import json
import re
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sitelab.bench import __main__ as command
from sitelab.bench import against, mail, show
from sitelab.bench.machine import file_system, mount_of, processor
from sitelab.bench.mail import COLUMNS, Load
from sitelab.bench.peers import PEERS, Peer
from sitelab.bench.rounds import Found, Spread, order, spread, turns
from sitelab.bench.show import About, Figure
from sitelab.container import Container
from sitelab.host import UnfitHostError

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
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A sender that puts as many files into the inbox as it is told to send, and a container that isn't there."""
    source = tmp_path / "root/usr/sbin/smtp-source"
    source.parent.mkdir(parents=True)
    inbox = tmp_path / "disk/postfix/home/alice/Maildir/new"
    inbox.mkdir(parents=True)
    (inbox / "left over").touch()
    source.write_text(
        '#!/bin/sh\nwhile [ "$1" != -m ]; do shift; done\n'
        f'[ ! -e {tmp_path}/refuse ] || {{ echo "fatal: 421 no" >&2; exit 1; }}\n'
        f'i=0; while [ $i -lt "$2" ]; do i=$((i + 1)); : >{inbox}/$i; done\n[ ! -e {tmp_path}/lose ] || rm {inbox}/7\n'
    )
    source.chmod(source.stat().st_mode | stat.S_IXUSR)
    used = iter([10.0, 11.2])
    monkeypatch.setattr(Container, "cpu_seconds", lambda _: next(used))
    monkeypatch.setattr(Container, "address", lambda _: "192.0.2.1")
    monkeypatch.setattr("sitelab.bench.peers.DISK", tmp_path / "disk")
    monkeypatch.setattr(mail, "ensure_source", lambda: tmp_path / "root")
    monkeypatch.setattr(mail, "SETTLE", 0.0)
    monkeypatch.setattr(mail, "WAIT", 5.0)
    return Load([PEERS["postfix"]])


def postfix() -> Peer:
    return PEERS["postfix"]


def test_a_round_counts_its_own_messages_and_its_own_cpu_time(load: Load) -> None:
    sample = load.measure(postfix(), COLUMNS[1])
    assert sample["cpu_s_per_1000"] == pytest.approx(2.0)
    assert 0 < sample["delivered_per_s"] <= sample["accepted_per_s"]
    assert len(list(postfix().inbox.iterdir())) == 600


def test_a_message_that_is_refused_or_lost_ends_the_run(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refuse").touch()
    with pytest.raises(UnfitHostError, match="421 no"):
        load.measure(postfix(), COLUMNS[1])
    (tmp_path / "refuse").unlink()
    (tmp_path / "lose").touch()
    monkeypatch.setattr(mail, "WAIT", 0.5)
    monkeypatch.setattr(Container, "cpu_seconds", lambda _: 0.0)
    with pytest.raises(UnfitHostError, match="of 10 accepted messages 9 were delivered"):
        load.measure(postfix(), COLUMNS[1], 0.01)


def test_connections_are_reused_only_where_the_column_says_so() -> None:
    for column in COLUMNS:
        words = mail.source_command(Path("/x"), column, "192.0.2.1", 5)
        assert ("-d" in words) == column.reused == column.name.endswith("reused")
        assert words[words.index("-s") + 1] == str(column.connections)
        assert words[-1] == "192.0.2.1:25"


def test_a_share_of_a_load_has_a_message_for_each_connection() -> None:
    assert [column.count(0.001) for column in COLUMNS] == [1, 10, 50, 10, 50]
    assert [column.count(1) for column in COLUMNS] == [300, 600, 600, 600, 600]


def test_what_a_server_writes_is_on_this_machines_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def up(self: Container, release: str, hostname: str, volumes: dict[Path, str]) -> None:
        seen.update({inside: str(path.relative_to(tmp_path)) for path, inside in volumes.items() if path.is_dir()})

    monkeypatch.setattr("sitelab.bench.peers.DISK", tmp_path)
    monkeypatch.setattr(Container, "state", lambda _: "absent")
    monkeypatch.setattr(Container, "up", up)
    Peer("some", "/var/spool/some", lambda _: None).up()
    assert seen == {"/var/spool/some": "some/queue", "/home": "some/home"}


def test_a_peer_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["mail", "--peers", "postfix,exim"])
    assert '"exim" is none of qmail-site, postfix, opensmtpd' in capsys.readouterr().err


def test_the_site_is_always_among_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run_mail(names: list[str], *_: object) -> int:
        asked.append(names)
        return 0

    monkeypatch.setattr(against, "run_mail", run_mail)
    command.main(["mail", "--peers", "opensmtpd"])
    command.main(["mail"])
    assert asked == [["qmail-site", "opensmtpd"], ["qmail-site", "postfix"]]


@pytest.mark.parametrize("quick", [False, True])
def test_a_run_writes_its_results_and_a_quick_one_leaves_the_recorded_ones_alone(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Always:
        def __init__(self, _: list[Peer]) -> None:
            pass

        def measure(self, *_: object) -> dict[str, float]:
            return {"delivered_per_s": 5.0, "accepted_per_s": 6.0, "cpu_s_per_1000": 7.0}

    monkeypatch.setattr(against, "have", lambda names, _: [PEERS[name] for name in names])
    monkeypatch.setattr(mail, "Load", Always)
    monkeypatch.setattr(Peer, "version", lambda peer: f"{peer.name} 1")
    monkeypatch.setattr(against, "RESULTS", tmp_path / "recorded")
    monkeypatch.setattr(against, "HOME", tmp_path)
    monkeypatch.setattr(against, "DISK", tmp_path)
    assert against.run_mail(against.USUAL, 2, quick, False, None) == 0
    assert (tmp_path / "recorded").exists() != quick
    written = json.loads((tmp_path / ("quick" if quick else "recorded") / "mail.json").read_text())
    assert {"processor", "cores", "kernel", "file_system", "load_before", "load_after"} <= set(written["machine"])
    assert written["peers"] == {"qmail-site": "qmail-site 1", "postfix": "postfix 1"}
    assert list(written["medians"]) == [column.name for column in COLUMNS]
    assert written["rounds"] == 2
    assert "| qmail-site : postfix | 1.00 (1.00 to 1.00) |" in capsys.readouterr().out
