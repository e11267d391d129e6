"""host_command: what a program prints is what it has changed, and in check mode only what looks is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from library import host_command
from tests.unit.conftest import RunModule


@pytest.mark.parametrize(
    ("arguments", "check", "changed", "said"),
    [
        ({"argv": ["echo", "made"]}, False, True, "made"),
        ({"argv": ["true"]}, False, False, ""),
        ({"argv": ["echo", "made"], "check_argv": ["echo", "would be"]}, True, True, "would be"),
        ({"argv": ["echo", "made"], "check_argv": ["true"]}, True, False, ""),
        ({"argv": ["echo", "seen"], "looks": True}, False, False, "seen"),
        ({"argv": ["echo", "seen"], "looks": True}, True, False, "seen"),
        ({"argv": ["echo", "made"], "removes": "/nothing"}, False, False, ""),
        ({"argv": ["echo", "made"], "removes": ["/", "/nothing"]}, False, False, ""),
        ({"argv": ["sh", "-c", "echo half; exit 2"], "codes": [0, 2]}, False, True, "half"),
    ],
)
def test_what_is_said_is_what_has_changed(
    run_module: RunModule, arguments: dict[str, Any], check: bool, changed: bool, said: str
) -> None:
    answer = run_module(host_command, arguments, check=check)
    assert (answer["changed"], answer["failed"], answer["stdout"]) == (changed, False, said)
    assert answer.get("diff") == ({"prepared": f"{said}\n"} if changed else None)


def test_without_a_word_for_check_mode_nothing_is_run_there(run_module: RunModule, tmp_path: Path) -> None:
    answer = run_module(host_command, {"argv": ["touch", str(tmp_path / "made")]}, check=True)
    assert answer["changed"]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_told_with_what_the_program_says(run_module: RunModule) -> None:
    answer = run_module(host_command, {"argv": ["sh", "-c", "echo no room >&2; exit 3"]})
    assert answer["failed"]
    assert (answer["msg"], answer["rc"]) == ("`sh -c` ended with 3: no room", 3)


def test_a_program_that_is_not_there_is_told(run_module: RunModule) -> None:
    answer = run_module(host_command, {"argv": ["/no/such/program"]})
    assert (answer["failed"], answer["rc"]) == (True, 127)


def test_no_word_is_taken_for_one_of_the_environment_s(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("each", "$(echo something else)")
    answer = run_module(host_command, {"argv": ["sh", "-c", 'for each; do echo "$each"; done', "sh", "~", "$HOME"]})
    assert answer["stdout"] == "~\n$HOME"
