"""bin/bench: its parts, whom they measure, and the hosts that they want."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sitelab.bench import __main__ as command
from sitelab.bench import against, disk, idle, machine, peer, site, tls, usage
from sitelab.bench.against import Run
from sitelab.bench.debian import accounts
from sitelab.bench.part import Part
from sitelab.bench.peer import Peer
from sitelab.bench.peers import PEERS
from sitelab.bench.rounds import Sample
from sitelab.bench.show import Figure
from sitelab.container import Container
from sitelab.host import UnfitHostError


def test_what_a_server_writes_is_on_this_machines_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def up(self: Container, release: str, hostname: str, volumes: dict[Path, str]) -> None:
        seen.update({inside: str(path.relative_to(tmp_path)) for path, inside in volumes.items() if path.is_dir()})

    monkeypatch.setattr(peer, "DISK", tmp_path)
    monkeypatch.setattr(Container, "state", lambda _: "absent")
    monkeypatch.setattr(Container, "up", up)
    Peer("some", "host", "/var/spool/some", lambda _: None, lambda _: "1").up()
    assert seen == {"/var/spool/some": "host/queue", "/home": "host/home"}


def test_the_hosts_of_another_tree_are_others() -> None:
    assert f"-{peer.TAG}-" in PEERS["postfix"].container.name
    assert len({one.container.name for one in PEERS.values()}) == len({one.host for one in PEERS.values()})


@pytest.mark.parametrize("part", command.PARTS.values(), ids=command.PARTS)
def test_a_part_has_peers_columns_and_figures(part: type[Part]) -> None:
    assert set(part.peers) <= set(PEERS)
    assert set(part.usual) <= set(part.peers)
    assert set(part.warm_up) <= set(part.columns)
    assert part.figures
    for name in part.peers:
        assert any(part.has(name, column) for column in part.columns)
    for column in part.columns:
        assert part.has(part.peers[0], column)


@pytest.mark.parametrize("part", [tls.Tls, idle.Idle])
def test_each_door_is_measured_with_those_who_have_it(part: type[Part]) -> None:
    who = {column: {name for name in part.peers if part.has(name, column)} for column in part.columns}
    ours = {"qmail-site", "qmail-site-native"}
    assert who.pop("465, SMTPS") - {"stunnel4"} == who.pop("25, STARTTLS") == ours | {"postfix"}
    assert who.pop("995, POP3S") == ours | {"dovecot"}
    assert who == ({"25, SMTP": ours | {"postfix"}} if part is idle.Idle else {})


class One(Part):
    """A part that always finds the same."""

    name = "one"
    title = "One & only"
    figures = (Figure("rate", "rate", 0),)
    columns = ("first", "second")
    peers = ("qmail-site", "postfix", "opensmtpd")
    usual = ("qmail-site", "postfix")
    warm_up = ("first",)
    prepared = closed = 0

    def prepare(self) -> None:
        One.prepared += 1

    def measure(self, peer: Peer, column: str) -> Sample:
        del peer, column
        return {"rate": 5.0}

    def load(self) -> dict[str, Any]:
        return {"share": self.share}

    def close(self) -> None:
        One.closed += 1


class Broken(One):
    """A part that finds nothing."""

    name = "broken"

    def measure(self, peer: Peer, column: str) -> Sample:
        raise UnfitHostError(f"{peer.name}, {column}: lost")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(against, "have", lambda names, _: [PEERS[name] for name in names])
    monkeypatch.setattr(Peer, "version", lambda peer: f"{peer.name} 1")
    monkeypatch.setattr(against, "RESULTS", tmp_path / "recorded")
    monkeypatch.setattr(against, "HOME", tmp_path)
    monkeypatch.setattr(against, "DISK", tmp_path)
    return tmp_path


@pytest.mark.parametrize("quick", [False, True])
def test_a_run_writes_its_results_and_a_quick_one_leaves_the_recorded_ones_alone(
    quick: bool, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert against.run(One, Run(rounds=2, quick=quick)) == 0
    assert (results / "recorded").exists() != quick
    folder = results / ("quick" if quick else "recorded")
    written = json.loads((folder / "one.json").read_text())
    assert {"processor", "cores", "kernel", "file_system", "load_before", "load_after"} <= set(written["machine"])
    assert written["peers"] == {"qmail-site": "qmail-site 1", "postfix": "postfix 1"}
    assert list(written["medians"]) == ["first", "second"]
    assert written["rounds"] == (1 if quick else 2)
    assert written["load"] == {"share": 1 / 3 if quick else 1.0}
    assert "| qmail-site : postfix | 1.00 (1.00 to 1.00) |" in capsys.readouterr().out
    assert (folder / "one.md").read_text().startswith("# One & only\n")


def test_a_part_without_figures_puts_back_its_hosts_and_does_not_keep_the_others(results: Path) -> None:
    One.prepared = One.closed = 0
    assert against.run_all([Broken, One], Run(names=["dovecot", "opensmtpd"], quick=True)) == 1
    assert One.prepared == One.closed == 2
    written = json.loads((results / "quick/one.json").read_text())
    assert list(written["peers"]) == ["qmail-site", "opensmtpd"]
    assert not (results / "quick/broken.json").exists()
    with pytest.raises(UnfitHostError, match="qmail-site, first: lost"):
        against.run(Broken, Run(quick=True))


class Ended(One):
    """A part whose run is ended by a signal."""

    def measure(self, peer: Peer, column: str) -> Sample:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().measure(peer, column)


def test_a_run_that_is_ended_puts_back_its_hosts(results: Path) -> None:
    One.closed = 0
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        against.run(Ended, Run(quick=True))
    assert ended.value.code == 128 + signal.SIGTERM
    assert One.closed == 1
    assert signal.getsignal(signal.SIGTERM) == before
    assert not (results / "quick").exists()


def test_all_tells_of_a_peer_that_there_is_not() -> None:
    with pytest.raises(UnfitHostError, match='"exim" is none of qmail-site, '):
        against.run_all([One], Run(names=["exim"]))


def test_the_first_peer_is_always_among_them_and_a_stranger_is_told() -> None:
    assert against.chosen(One, []) == ["qmail-site", "postfix"]
    assert against.chosen(One, ["opensmtpd"]) == ["qmail-site", "opensmtpd"]
    assert against.chosen(tls.Tls, []) == list(tls.Tls.peers)
    with pytest.raises(UnfitHostError, match='one: "exim" is none of qmail-site, postfix, opensmtpd'):
        against.chosen(One, ["postfix", "exim"])


def test_the_command_hands_on_how_a_part_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def run(*words: object) -> int:
        asked.extend(words)
        return 3

    monkeypatch.setattr(against, "run", run)
    monkeypatch.setattr(against, "run_all", run)
    assert command.main(["tls", "--peers", "postfix,dovecot", "--quick", "--rounds", "2"]) == 3
    assert asked == [tls.Tls, Run(["postfix", "dovecot"], 2, quick=True)]
    asked.clear()
    assert command.main(["all", "--as-they-are", "--results", "/x"]) == 3
    assert asked == [list(command.PARTS.values()), Run([], as_they_are=True, results=Path("/x"))]


@pytest.fixture
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this machine's file systems alone."""
    monkeypatch.setattr(disk, "ensure", lambda: False)


@pytest.mark.parametrize(
    ("kind", "commands", "anew"),
    [
        ("ext4 (rw), without journal", ["mkfs.ext4", "mount"], True),
        ("ext4 (rw), with a journal", [], False),
        ("xfs (rw)", [], False),
    ],
)
def test_hosts_write_to_a_file_system_with_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, commands: list[str], anew: bool
) -> None:
    done: list[str] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        done.append(command[0])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(disk, "DISK", tmp_path / "disk")
    monkeypatch.setattr(disk, "IMAGE", tmp_path / "disk.img")
    monkeypatch.setattr(machine, "file_system", lambda _: kind)
    monkeypatch.setattr(subprocess, "run", run)
    assert disk.ensure() is anew
    assert done == commands
    assert (tmp_path / "disk").is_dir()
    assert (tmp_path / "disk.img").exists() is anew


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch, no_disk: None) -> Callable[[str, bool], list[str]]:
    """Whose hosts are made, where all are in such a state."""
    del no_disk

    def of(state: str, as_they_are: bool) -> list[str]:
        made: list[str] = []
        monkeypatch.setattr(Container, "state", lambda _: "running" if made and state == "absent" else state)
        monkeypatch.setattr(Peer, "up", lambda peer: made.append(peer.name))
        against.have(["qmail-site", "stunnel4"], as_they_are)
        return made

    return of


def test_hosts_are_brought_up_to_date_unless_they_are_to_stay(ups: Callable[[str, bool], list[str]]) -> None:
    assert ups("running", False) == ["qmail-site", "stunnel4"]
    assert ups("running", True) == []
    # The second one's door is not there either, where the host had to be made.
    assert ups("absent", True) == ["qmail-site", "stunnel4"]


@pytest.mark.usefixtures("no_disk")
def test_a_peer_that_can_not_be_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = replace(PEERS["postfix"], install=lambda _: None)
    lacking = replace(PEERS["qmail-site-native"], lacks=site.lacks_variable("no_such_variable"))
    monkeypatch.setattr(against, "PEERS", {"postfix": ready, "native": lacking})
    monkeypatch.setattr(Peer, "up", lambda _: None)
    assert against.have(["postfix", "native"], False) == [ready]
    assert "qmail-site-native is left out: no role has a variable no_such_variable" in capsys.readouterr().err
    assert site.lacks_variable("mail_fqdn")() == ""


def test_debians_front_has_the_same_door() -> None:
    words = [
        "/usr/local/bin/tcpserver",
        *("-v", "-W", "-c", "465", "-u", "1", "-G", "7", "0", "465"),
        *("/var/qmail/bin/qmail-smtpd", "/var/qmail/rbin/checkpassword", "-"),
    ]
    variables = ["PATH=/bin", "TLSD=/run/qmail/smtps.tls/socket", "SMTPS=1", "QMAILQUEUE=/hi-q", ""]
    assert site.stunnel4_door("\0".join([*words, ""]), "\0".join(variables), "9") == (
        [
            *("/usr/local/bin/tcpserver", "-v", "-c", "465", "-u", "1", "-G", "7,9", "0", "1465"),
            *("/opt/bench-stunnel4/usr/bin/stunnel4", "/etc/stunnel/smtps.conf"),
        ],
        ["PATH=/bin", "QMAILQUEUE=/hi-q", "TLSFRONT=stunnel"],
    )


def test_the_site_is_told_of_the_people_the_sink_and_one_client_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "HOME", tmp_path)
    monkeypatch.setattr(Container, "gateway", lambda _: "192.0.2.1")
    said = site.variables(PEERS["qmail-site-scan"], site.SCANNING)
    assert [user["name"] for user in said["mail_users"]][:3] == ["alice", "bob", "bench0000"]
    assert len(said["mail_users"]) == 1002
    assert said["qmail_control"]["smtproutes"] == ["sink.test:[192.0.2.1]:2525"]
    assert said["services_connections_per_address"] == said["services_connections_per_network"] == 0
    assert said["spam_filter"] is True
    assert site.variables(PEERS["qmail-site"], {})["spam_filter"] is False
    # Debian's servers have the same people, with the same passwords.
    script = accounts()
    assert f"bob:{said['mail_users'][1]['password_hash']}\n" in script
    assert "\nbench0999\n" in script


def test_memory_is_told_without_the_pages_of_files(tmp_path: Path) -> None:
    assert usage.used_bytes(tmp_path) is None
    (tmp_path / "memory.stat").write_text("cache 1\ntotal_cache 300\nfile 200\nfile_mapped 9\n")
    (tmp_path / "memory.usage_in_bytes").write_text("1000\n")
    assert usage.used_bytes(tmp_path) == 700
    (tmp_path / "memory.current").write_text("2000\n")
    assert usage.used_bytes(tmp_path) == 1800
