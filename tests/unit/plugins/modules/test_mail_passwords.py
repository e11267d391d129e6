"""mail_passwords: the database has the declared hashes, and nothing else has."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from library import mail_passwords
from tests.unit.conftest import RunModule

ALICE, BOB = "$y$j9T$salt$" + "a" * 43, "$y$j9T$salt$" + "b" * 43


@pytest.fixture
def shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for /etc/shadow, and a chpasswd that tells what it was given."""
    path = tmp_path / "shadow"
    path.write_text(f"root:*:1::::::\nalice:{BOB}:1::::::\nbob:!:1::::::\ncarol:{BOB}:1::::::\n")
    monkeypatch.setattr(mail_passwords, "SHADOW", path)
    program = tmp_path / "bin" / "chpasswd"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments; env >{tmp_path}/environment; cat >{tmp_path}/stdin\n'
        f"[ ! -e {tmp_path}/broken ] || {{ echo 'chpasswd: cannot lock /etc/shadow' >&2; exit 1; }}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return path


def test_the_file_has_the_hashes_and_is_roots_alone(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    args = {"path": str(path), "hashes": {"bob": BOB, "alice": ALICE}}
    before = os.umask(0o022)
    try:
        answer = run_module(mail_passwords, args)
    finally:
        os.umask(before)
    assert (answer["changed"], answer["set"]) == (True, ["alice", "bob"])
    assert path.read_text() == f"alice:{ALICE}:::::::\nbob:{BOB}:::::::\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run_module(mail_passwords, args)["changed"] is False


def test_who_is_no_longer_declared_is_gone_and_the_rest_stays(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    run_module(mail_passwords, {"path": str(path), "hashes": {"bob": BOB, "alice": ALICE}})
    answer = run_module(mail_passwords, {"path": str(path), "hashes": {"bob": "*"}}, check=True)
    assert (answer["set"], answer["removed"]) == (["bob"], ["alice"])
    assert ALICE in path.read_text()
    run_module(mail_passwords, {"path": str(path), "hashes": {"bob": "*"}})
    assert path.read_text() == "bob:*:::::::\n"


def test_a_database_that_others_can_read_is_closed(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    args = {"path": str(path), "hashes": {"bob": BOB}}
    run_module(mail_passwords, args)
    path.chmod(0o644)
    assert run_module(mail_passwords, args)["changed"] is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("check", [True, False])
def test_no_hash_is_in_what_it_says(run_module: RunModule, tmp_path: Path, check: bool) -> None:
    path = tmp_path / "qmail-shadow"
    path.write_text(f"alice:{BOB}:::::::\n")
    args = {"path": str(path), "hashes": {"alice": ALICE}, "_ansible_diff": True, "_ansible_verbosity": 3}
    text = json.dumps(run_module(mail_passwords, args, check=check))
    assert ALICE not in text
    assert BOB not in text
    assert "alice (another password)" in text


def test_in_the_accounts_database_hashes_go_through_a_pipe(run_module: RunModule, shadow: Path) -> None:
    args: dict[str, Any] = {"path": str(shadow), "hashes": {"alice": ALICE, "bob": "!"}, "lock": ["carol", "root", "x"]}
    assert run_module(mail_passwords, args, check=True)["set"] == ["alice"]
    assert not (shadow.parent / "stdin").exists()
    answer = run_module(mail_passwords, args)
    assert (answer["changed"], answer["set"], answer["removed"]) == (True, ["alice"], ["carol"])
    assert (shadow.parent / "stdin").read_text() == f"alice:{ALICE}\ncarol:!\n"
    for seen in ("arguments", "environment"):
        assert ALICE not in (shadow.parent / seen).read_text()


def test_nothing_to_set_asks_no_program(run_module: RunModule, shadow: Path) -> None:
    args = {"path": str(shadow), "hashes": {"alice": BOB}, "lock": ["bob"]}
    assert run_module(mail_passwords, args)["changed"] is False
    assert not (shadow.parent / "stdin").exists()


def test_a_failure_is_told_without_a_hash(run_module: RunModule, shadow: Path) -> None:
    (shadow.parent / "broken").touch()
    answer = run_module(mail_passwords, {"path": str(shadow), "hashes": {"alice": ALICE}})
    assert answer["failed"]
    assert "cannot lock" in answer["msg"]
    assert ALICE not in json.dumps(answer)


@pytest.mark.parametrize(("name", "value"), [("a", "x:y"), ("a", "x\nroot:y"), ("a:b", "*"), ("a", ""), ("a", "x y")])
def test_what_would_make_another_line_is_refused(run_module: RunModule, tmp_path: Path, name: str, value: str) -> None:
    answer = run_module(mail_passwords, {"path": str(tmp_path / "p"), "hashes": {name: value}})
    assert answer["failed"]
    assert not (tmp_path / "p").exists()
