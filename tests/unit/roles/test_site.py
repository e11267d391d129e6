"""The site's defaults weigh least: what is said counts, at each place where Ansible lets one say it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
SAID = {"spam_when_down": "accept"}
# File to content, below a directory with the folders `inventory`, which has the host already, and `play`.
PLACES: dict[str, dict[str, str]] = {
    "a host of a YAML inventory": {"inventory/b.yml": "mail: {hosts: {one: {spam_when_down: accept}}}"},
    "the group of a YAML inventory": {"inventory/b.yml": "mail: {vars: {spam_when_down: accept}}"},
    "all of a YAML inventory": {"inventory/b.yml": "all: {vars: {spam_when_down: accept}}"},
    "a host of an INI inventory": {"inventory/b.ini": "[mail]\none spam_when_down=accept"},
    "the group of an INI inventory": {"inventory/b.ini": "[mail:vars]\nspam_when_down=accept"},
    "all of an INI inventory": {"inventory/b.ini": "[all:vars]\nspam_when_down=accept"},
    "the inventory's group_vars/all": {"inventory/group_vars/all.yml": "spam_when_down: accept"},
    "the inventory's group_vars/mail": {"inventory/group_vars/mail/site.yml": "spam_when_down: accept"},
    "the inventory's host_vars": {"inventory/host_vars/one.yml": "spam_when_down: accept"},
    "the playbook's group_vars/all": {"play/group_vars/all.yml": "spam_when_down: accept"},
    "the playbook's group_vars/mail": {"play/group_vars/mail.yml": "spam_when_down: accept"},
    "the playbook's host_vars": {"play/host_vars/one.yml": "spam_when_down: accept"},
}
PLAYS: dict[str, dict[str, Any]] = {
    "the play's vars": {"vars": SAID},
    "the play's vars_files": {"vars_files": ["said.yml"]},
    "set_fact": {"pre_tasks": [{"ansible.builtin.set_fact": SAID}]},
}


def spoken(
    tmp_path: Path, *more: str, play: dict[str, Any] | None = None, files: dict[str, str] | None = None
) -> list[str]:
    """Run a play that has the site's variables; give what it takes for spam_when_down."""
    base = {"inventory/a.yml": "mail: {hosts: {one: {ansible_connection: local}}}", "play/said.yml": json.dumps(SAID)}
    for name, content in (base | (files or {})).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    hear = {"ansible.builtin.debug": {"msg": "heard {{ spam_when_down }}."}}
    base_play = {"hosts": "mail", "gather_facts": False, "roles": ["site"], "tasks": [hear]}
    (tmp_path / "play" / "play.yml").write_text(yaml.safe_dump([base_play | (play or {})]))
    command = [str(ANSIBLE), "-i", str(tmp_path / "inventory"), str(tmp_path / "play" / "play.yml")]
    done = subprocess.run([*command, *more], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"heard (\w+)\.", done.stdout)


def test_without_a_word_it_is_the_default(tmp_path: Path) -> None:
    assert spoken(tmp_path) == ["defer"]


@pytest.mark.parametrize("place", PLACES)
def test_what_an_inventory_says_counts(tmp_path: Path, place: str) -> None:
    assert spoken(tmp_path, files=PLACES[place]) == ["accept"]


@pytest.mark.parametrize("place", PLAYS)
def test_what_a_play_says_counts(tmp_path: Path, place: str) -> None:
    assert spoken(tmp_path, play=PLAYS[place]) == ["accept"]


def test_what_the_command_line_says_counts(tmp_path: Path) -> None:
    assert spoken(tmp_path, "-e", "spam_when_down=accept") == ["accept"]
