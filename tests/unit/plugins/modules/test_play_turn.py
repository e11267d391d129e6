"""The module play_turn and its action plugin: one play after the other on a host, and none holds it for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from action_plugins import play_turn as action
from library import play_turn
from tests.unit.conftest import RunModule


@pytest.fixture
def args(tmp_path: Path) -> dict[str, Any]:
    return {"path": str(tmp_path / "turn"), "patience": 0}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings."""
    texts: list[str] = []
    monkeypatch.setattr("library.play_turn.AnsibleModule.warn", lambda _, text: texts.append(text))
    return texts


def by(name: str, args: dict[str, Any]) -> dict[str, Any]:
    return {**args, "owner": name, "who": f"the play of {name}"}


def hold(owner: str, args: dict[str, Any], seconds: int) -> None:
    """What the action plugin's process has the host do."""
    subprocess.run(["sh", "-c", f'set -- "$@"{action.HOLD}', "sh", owner, args["path"], str(seconds)], check=True)


def until(args: dict[str, Any], seconds: float) -> None:
    """Have the turn end so many seconds from now."""
    path = Path(args["path"])
    path.write_text("\n".join([*path.read_text().splitlines()[:2], str(play_turn.uptime() + seconds), ""]))


def test_the_first_has_the_turn_and_the_second_is_told_whose_it_is(run_module: RunModule, args: dict[str, Any]) -> None:
    first = run_module(play_turn, by("a", args))
    assert (first["changed"], first["taken"]) == (False, True)
    second = run_module(play_turn, by("b", args))
    assert second["failed"]
    assert second["busy"]
    assert second["msg"].startswith("the play of a, since 20")
    assert "run again when that has ended" in second["msg"]
    assert f"the host is free in {play_turn.LEASE - 1}" in second["msg"] or "the host is free in 120" in second["msg"]
    assert f"`rm {args['path']}`" in second["msg"]


def test_the_same_run_has_it_still_and_is_since_when_it_was(run_module: RunModule, args: dict[str, Any]) -> None:
    run_module(play_turn, by("a", args))
    said = Path(args["path"]).read_text().splitlines()[1]
    assert run_module(play_turn, by("a", args) | {"who": "another sentence"})["taken"] is False
    assert Path(args["path"]).read_text().splitlines()[1] == said


@pytest.mark.parametrize("seconds", [-1, play_turn.LEASE + 100], ids=["ended", "of before a boot"])
def test_a_turn_that_cannot_last_counts_no_more(run_module: RunModule, args: dict[str, Any], seconds: float) -> None:
    run_module(play_turn, by("a", args))
    until(args, seconds)
    assert run_module(play_turn, by("b", args))["taken"] is True


@pytest.mark.parametrize("text", ["", "a\n", "a\nb\nsoon\n", "a\nb\n1\n2\n", "\0\xff"])
def test_what_cannot_be_read_is_nobodys(run_module: RunModule, args: dict[str, Any], text: str) -> None:
    Path(args["path"]).write_text(text)
    assert run_module(play_turn, by("b", args))["taken"] is True


def test_who_waits_gets_it_when_it_is_given_back(run_module: RunModule, args: dict[str, Any]) -> None:
    run_module(play_turn, by("a", args))
    timer = threading.Timer(0.5, hold, ("a", args, 0))
    timer.start()
    begun = time.monotonic()
    assert run_module(play_turn, by("b", args) | {"patience": 20})["taken"] is True
    assert time.monotonic() - begun < 5
    timer.join()


def test_check_mode_takes_nothing_waits_for_nothing_and_tells(
    run_module: RunModule, args: dict[str, Any], said: list[str]
) -> None:
    run_module(play_turn, by("b", args), check=True)
    assert not Path(args["path"]).exists()
    run_module(play_turn, by("a", args))
    before = Path(args["path"]).read_text()
    run_module(play_turn, by("a", args), check=True)
    assert said == []
    run_module(play_turn, by("b", args) | {"patience": 100}, check=True)
    assert "the play of a, since" in said[0]
    assert Path(args["path"]).read_text() == before


def test_renewing_moves_the_end_of_ones_own_turn_alone(run_module: RunModule, args: dict[str, Any]) -> None:
    run_module(play_turn, by("a", args))
    until(args, 5)
    path = Path(args["path"])
    hold("b", args, 120)
    hold("b", args, 0)
    assert float(path.read_text().splitlines()[2]) < play_turn.uptime() + 6
    hold("a", args, 120)
    assert path.read_text().splitlines()[0] == "a"
    assert "the play of a, since" in path.read_text()
    assert float(path.read_text().splitlines()[2]) > play_turn.uptime() + 100
    hold("a", args, 0)
    assert play_turn.holder(path) is None


def test_where_it_was_removed_nothing_is_renewed(args: dict[str, Any]) -> None:
    hold("a", args, 120)
    assert not Path(args["path"]).exists()


def test_nobody_but_root_reads_or_writes_it_and_no_link_is_followed(
    run_module: RunModule, args: dict[str, Any]
) -> None:
    run_module(play_turn, by("a", args))
    assert Path(args["path"]).stat().st_mode & 0o777 == 0o600
    Path(args["path"]).rename(Path(args["path"]).with_name("elsewhere"))
    Path(args["path"]).symlink_to("elsewhere")
    assert "it is to say whose turn" in run_module(play_turn, by("b", args))["msg"]


def test_a_run_is_known_by_its_process_and_when_that_began() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        start = action.start_of(process.pid)
        assert action.runs(process.pid, start)
        assert not action.runs(process.pid, "1")
        process.kill()
        while action.start_of(process.pid):  # it is dead, though nobody has asked for its exit code
            time.sleep(0.01)
        assert not action.runs(process.pid, start)
    assert not action.runs(process.pid, start)
    assert action.runs(os.getpid(), "")


def test_the_plugin_and_the_module_mean_the_same_turn() -> None:
    assert action.LEASE == play_turn.LEASE
    assert f"default: {action.PATH}" in play_turn.DOCUMENTATION
    assert action.RENEWED * 3 < play_turn.LEASE
    assert f"default: {play_turn.LEASE + 30}" in play_turn.DOCUMENTATION


ROOT = Path(__file__).parents[4]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - play_turn: {{path: {path}, patience: "{{{{ patience }}}}"}}
    - play_turn: {{path: {path}, patience: 0}}
    - command: sleep {{{{ seconds }}}}
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_run_has_its_turn_as_long_as_it_lives_and_no_longer(
    args: dict[str, Any], number: int, tmp_path: Path
) -> None:
    (tmp_path / "play.yml").write_text(PLAY.format(**args))
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
    }
    words = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(tmp_path / "play.yml"), "-e"]

    def start(patience: int, seconds: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*words, f"patience={patience} seconds={seconds}"], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    first = start(0, 60)
    while not play_turn.holder(Path(args["path"])):
        time.sleep(0.1)
    second = start(0, 0)
    said = second.communicate(timeout=60)[0]
    assert second.returncode == 2, said
    assert f"process {first.pid}), since 20" in said
    third = start(60, 0)
    assert third.stdout is not None
    for line in third.stdout:
        if "waiting for its end, 60 s at most" in line:
            break
    first.send_signal(number)
    first.communicate(timeout=60)
    begun = time.monotonic()
    said = third.communicate(timeout=60)[0]
    assert third.returncode == 0, said
    assert time.monotonic() - begun < 20
    deadline = time.monotonic() + 10
    while play_turn.holder(Path(args["path"])):
        assert time.monotonic() < deadline, "the last run has ended, and has its turn still"
        time.sleep(0.1)
