"""bin/verify ends in time, whatever a server does, and passes over no door that the site is declared to have."""

import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from verify import __main__ as command
from verify import arguments, cases, deadline, progress, report, talk
from verify.talk import Channel, Site, Smtp


def test_what_ends_in_time_gives_its_own_code_and_what_it_wrote(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        print("done")
        return 7

    assert deadline.within(60, work, lambda last: pytest.fail(last)) == 7
    assert capfd.readouterr().out == "done\n"


def test_what_breaks_could_not_be_asked(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise ValueError("a fault of ours")

    assert deadline.within(60, work, lambda last: pytest.fail(last)) == 2
    assert "a fault of ours" in capfd.readouterr().err


def test_what_takes_too_long_is_ended_with_all_that_it_started_and_leaves_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    note = tmp_path / "note"

    def work() -> int:
        with subprocess.Popen(["sleep", "600"]) as sleeper:
            note.write_text(f"{os.getpid()} {sleeper.pid} {tempfile.mkdtemp()}")
            progress.doing("waiting for nothing")
            progress.doing("waiting for nothing\nelse")
        return 0

    begun = time.monotonic()
    assert deadline.within(2, work, told.append) == deadline.LATE == 3
    assert time.monotonic() - begun < 10
    assert told == ["waiting for nothing else"]
    child, sleeper, directory = note.read_text().split()
    assert not Path(directory).exists()
    for _ in range(100):  # whoever is nobody's child any more is buried by process 1
        state = [Path("/proc", pid, "stat") for pid in (child, sleeper)]
        if not any(path.exists() and path.read_text().split(") ")[1][0] not in "ZX" for path in state):
            break
        time.sleep(0.05)
    else:
        pytest.fail("it goes on")


class Slow:
    """A server that says one thing, a byte each time, and never comes to the end of it."""

    def __init__(self, text: bytes, pause: float) -> None:
        """Begin to serve."""
        self.text, self.pause = text, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        try:
            while True:
                for byte in self.text:
                    client.sendall(bytes([byte]))
                    time.sleep(self.pause)
        except OSError:
            client.close()


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> Iterator[Slow]:
    made = Slow(*request.param)
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()


def site_at(port: int, **more: object) -> Site:
    ports = {"smtp": port, "smtps": None, "submission": None, "pop3s": None, "pop3": None}
    return Site.from_json({"host": "a.b", "address": "127.0.0.1", "domain": "b", "ports": ports, **more})


@pytest.mark.parametrize(
    "slow", [(b"220-a", 0.2), (b"220-a\r\n", 0.2)], ids=["one line", "line after line"], indirect=True
)
def test_a_server_that_says_a_byte_at_a_time_does_not_hold_verify(
    slow: Slow, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = {"host": "a.b", "address": "127.0.0.1", "address6": "none", "domain": "b"}
    ports = {"smtp": slow.port, "smtps": None, "submission": None, "pop3s": None, "pop3": None}
    (tmp_path / "site.json").write_text(json.dumps({**data, "ports": ports}))
    begun = time.monotonic()
    assert command.main(["--site", str(tmp_path / "site.json"), "--no-scanner", "--deadline", "5"]) == 3
    assert time.monotonic() - begun < 20
    said = capfd.readouterr()
    assert "verify: a.b: no end within 5 seconds (--deadline), so there is no report; it waited for: " in said.err
    assert said.out == ""


@pytest.mark.parametrize("slow", [(b"220-a", 0.05)], indirect=True)
def test_a_line_without_end_is_a_fault_of_its_question(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "LINE_SECONDS", 0.5)
    with Channel(site_at(slow.port), "smtp") as channel:
        with pytest.raises(TimeoutError, match="a line without end, which begins with b'220-a"):
            channel.line()
        assert not channel.ended()


@pytest.mark.parametrize("slow", [(b"220-a\r\n", 0)], indirect=True)
def test_an_answer_without_end_is_a_fault_of_its_question(slow: Slow) -> None:
    with pytest.raises(AssertionError, match="an SMTP answer without end"):
        Smtp(site_at(slow.port))


@pytest.mark.parametrize(("words", "seconds"), [([], 900), (["--full"], 3600), (["--deadline", "7"], 7)])
def test_there_is_a_deadline_whoever_names_none(words: list[str], seconds: int) -> None:
    given = arguments.parser().parse_args(["--host", "a.b", "--address", "192.0.2.1", *words])
    arguments.describe(given)
    assert given.deadline == seconds


def test_a_deadline_of_nothing_is_refused() -> None:
    given = arguments.parser().parse_args(["--host", "a.b", "--address", "192.0.2.1", "--deadline", "0"])
    with pytest.raises(arguments.VerifyError, match="--deadline 0: give a number of seconds, 1 or more"):
        arguments.describe(given)


def test_where_there_is_no_time_left_the_questions_left_are_told_and_it_is_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "questions"
    suite.mkdir()
    (suite / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--site')\n"
        "def pytest_configure(config):\n    for m in ('taxing', 'sends', 'essential'):\n"
        "        config.addinivalue_line('markers', m)\n"
    )
    (suite / "test_some.py").write_text('"""Some."""\ndef test_one(): pass\ndef test_two(): pass\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setattr(cases, "QUESTIONS", suite)
    given = arguments.parser().parse_args(["--host", "a.b", "--address", "192.0.2.1"])
    checks, late = cases.ask(arguments.describe(given), given, 0)
    assert late
    assert [(check.what, check.outcome) for check in checks] == [("one", "passed"), ("two", "skipped")]
    assert checks[1].why == "no time was left (--deadline)"
    assert not report.Outcome(checks=checks, late=True).well


def test_a_declared_door_is_there_whatever_it_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ports = {"smtp": port, "submission": port, "smtps": None}
    site = {"host": "a.b", "address": "127.0.0.1", "domain": "b", "ports": ports, "features": []}
    monkeypatch.setattr(talk, "OPENED", Counter())
    assert not Site.from_json(site).has("submission")
    assert not talk.OPENED["submission"], "a look whether somebody listens counts as a question"
    declared = Site.from_json(site | {"doors": ["submission", "starttls", "smtps"]})
    assert declared.has("submission")
    assert declared.has("starttls")
    assert not declared.has("smtps")


def test_who_says_where_a_door_is_declares_it() -> None:
    words = ["--host", "a.b", "--address", "192.0.2.1", "--port-submission", "587", "--port-pop3s", "none"]
    assert arguments.describe(arguments.parser().parse_args(words))["doors"] == ["submission"]


def test_a_declared_door_that_was_not_asked_is_a_fault_that_the_summary_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "OPENED", Counter({"smtp": 3, "pop3s": 1}))
    ports = {"smtps": 465, "submission": None}
    data = {"host": "a.b", "address": "a", "address6": None, "domain": "b", "ports": ports, "doors": ["smtps", "pop3s"]}
    outcome = report.Outcome(checks=[cases.Check("group", "it holds", "", "passed")])
    assert outcome.well
    outcome.doors = command.doors(data, "")
    assert [(door.name, door.declared, door.asked) for door in outcome.doors] == [
        ("smtp", False, True),
        ("smtps", True, False),
        ("submission", False, False),
        ("pop3s", True, True),
    ]
    assert not outcome.well
    said = report.report(data, outcome, every=False)
    assert "FAILED smtps: declared, and no question was put to it" in said
    assert (
        "doors: smtp 25, smtps not asked (DECLARED), submission not asked (the site is said to have none), pop3s 995"
        in said
    )
    assert json.loads(report.as_json(data, outcome))["doors"][1]["declared"] is True


def test_a_door_that_was_left_out_is_no_fault_and_is_not_said_to_be_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "OPENED", Counter({"submission": 1}))
    ports = {"smtps": None}
    data = {"host": "a.b", "address": "a", "address6": None, "domain": "b", "ports": ports, "doors": ["smtps", "pop3s"]}
    doors = command.doors(data, "left out by -k")
    assert not any(door.fault for door in doors)
    assert [str(door) for door in doors] == [
        "smtp not asked (left out by -k)",
        "smtps not asked (the site is said to have none)",
        "submission 587",
        "pop3s not asked (left out by -k)",
    ]
