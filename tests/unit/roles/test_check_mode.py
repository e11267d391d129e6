"""`--check` on a fresh host warns of nothing: what a play would make first is not looked up, and not looked into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

ROLES = ("helpers", "spamassassin", "users")
# Whom these roles make, by name or by the variable that has it.
MADE = {"alias", "qmaild", "qmaill", "qmailp", "qmailpop", "qmailq", "qmailr", "qmails", "spamd", "debian-spamd"}
MADE |= {"nofiles", "qmail", "{{ _spamassassin_updater }}"}
TASKS = [path for role in ROLES for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))]


def tasks(path: Path) -> Iterator[dict[str, Any]]:
    for task in yaml.safe_load(path.read_text(encoding="utf-8")):
        yield from [task, *task.get("block", [])]


def waits(task: dict[str, Any]) -> bool:
    """Is it left out where a check of a fresh host would come to it?"""
    return "ansible_check_mode" in str(task.get("when")) or "_there" in str(task.get("when"))


@pytest.mark.parametrize("path", TASKS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_an_account_that_a_check_does_not_make_is_not_looked_up(path: Path) -> None:
    for task in tasks(path):
        file = task.get("ansible.builtin.file", {})
        if not waits(task):
            assert {file.get("owner"), file.get("group")} & MADE == set(), task["name"]


@pytest.mark.parametrize("path", [p for p in TASKS if p.stem != "distfile"], ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_a_directory_that_a_check_does_not_make_is_not_looked_into(path: Path) -> None:
    assert [task["name"] for task in tasks(path) if "ansible.builtin.find" in task and not waits(task)] == []
