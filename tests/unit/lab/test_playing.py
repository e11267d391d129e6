"""A playbook against a host in a container: what ansible-playbook is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from sitelab import lab
from sitelab.container import Container
from sitelab.paths import CACHE, ROOT
from sitelab.playing import Playing


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ansible-playbook that says how it was called, and ends with 7; what it says goes there."""
    path = tmp_path / "bin/ansible-playbook"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "$WORD" "$PWD" >{tmp_path}/said; echo printed; exit 7\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return tmp_path / "said"


def test_a_play_has_the_hosts_inventory_its_variables_and_a_log(program: Path, tmp_path: Path) -> None:
    playing, log = Playing(Container("some"), "mail.example.test", tmp_path / "files"), tmp_path / "log"
    code = playing.run(Path("site.yml"), "--check", variables={"a": 1}, environment={"WORD": "a word"}, log=log)
    assert code == 7
    _, inventory, _, variables, *rest = program.read_text().splitlines()
    assert rest == ["site.yml", "--check", "a word", str(ROOT)]
    assert yaml.safe_load(Path(inventory).read_text())["mail"]["hosts"]["mail.example.test"]["ansible_host"] == "some"
    assert yaml.safe_load(Path(variables.removeprefix("@")).read_text()) == {"a": 1}
    assert log.read_text() == "printed\n"


def test_the_lab_plays_with_the_words_it_is_given(program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lab.main(["play", "some-host", "playbooks/verify.yml", "--tags", "x"]) == 7
    assert program.read_text().splitlines()[:5] == [
        *("-i", str(CACHE / "lab/some-host.yml"), "playbooks/verify.yml", "--tags", "x"),
    ]
    assert capfd.readouterr().out == "printed\n"
    (CACHE / "lab/some-host.yml").unlink()
