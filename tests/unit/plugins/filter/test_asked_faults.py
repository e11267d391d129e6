"""Each question of playbooks/verify.yml that fails is told, whatever else failed before it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from sitelab.paths import ROOT

from filter_plugins.asked_faults import asked_faults

PREFIX = "__verify_"


def tasks(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the tasks of a list, and of the blocks in it."""
    for task in listed:
        parts = [task[part] for part in ("block", "rescue", "always") if part in task]
        if parts:
            yield from (inner for part in parts for inner in tasks(part))
        else:
            yield task


def test_what_failed_is_told_by_the_name_of_its_question() -> None:
    registered = {
        "__verify_queue_whole": {"failed": True, "msg": "non-zero return code", "stderr": "mess/3/1: wrong place"},
        "__verify_can": {"failed": False, "stdout": "auth"},
        "__verify_trees": ["/etc"],
        "__verify_units": {"skipped": True, "changed": False},
    }
    assert asked_faults(registered, PREFIX) == ["queue whole: non-zero return code\nmess/3/1: wrong place"]


def test_of_a_loop_each_item_that_failed_is_told_and_not_what_it_is() -> None:
    results = [
        {"failed": True, "msg": "25: another certificate", "item": {"password": "hunter2"}},
        {"failed": False, "item": "587"},
        {"failed": True, "msg": "995: nobody answers", "item": "995"},
    ]
    registered = {"__verify_served": {"failed": True, "msg": "One or more items failed", "results": results}}
    assert asked_faults(registered, PREFIX) == ["served: 25: another certificate", "served: 995: nobody answers"]


def test_what_failed_without_a_word_is_told_as_well() -> None:
    assert asked_faults({"__verify_x": {"failed": True}}, PREFIX) == ["x: failed"]


def test_of_what_may_hold_a_secret_only_that_it_failed_is_told() -> None:
    registered = {
        "__verify_let_in": {
            "failed": True,
            "msg": "One or more items failed",
            "results": [{"failed": True, "stdout": "hunter2"}, {"failed": False}],
        }
    }
    (told,) = asked_faults(registered, PREFIX, silent=["__verify_let_in"])
    assert told == "let in: failed; what it said may hold a secret"


def test_verify_tells_no_word_of_a_task_without_a_log() -> None:
    secret = {
        task["register"]
        for file in ("inside", "filter", "outgoing", "unchanged", "outside")
        for task in tasks(yaml.safe_load((ROOT / f"playbooks/tasks/verify/{file}.yml").read_text()))
        if task.get("no_log")
    }
    _, second = yaml.safe_load((ROOT / "playbooks/verify.yml").read_text())
    assert len(secret) > 1
    assert set(second["tasks"][-1]["vars"]["__verify_secret"]) == secret


def test_it_wants_a_mapping() -> None:
    with pytest.raises(AnsibleFilterError):
        asked_faults([], PREFIX)


def test_no_question_is_asked_whose_answer_another_one_overwrites_or_nobody_keeps() -> None:
    names = [
        str(task.get("register"))
        for file in ("inside", "filter", "outgoing", "unchanged", "outside")
        for task in tasks(yaml.safe_load((ROOT / f"playbooks/tasks/verify/{file}.yml").read_text()))
        if "always" not in task
    ]
    assert len(names) > 20
    assert all(name.startswith(PREFIX) for name in names), names
    assert len(set(names)) == len(names), names


def test_no_question_ends_the_play_before_all_are_asked() -> None:
    first, second = yaml.safe_load((ROOT / "playbooks/verify.yml").read_text())
    *asked, judged = first["tasks"] + second["tasks"]
    assert [task["ignore_errors"] for task in asked] == [True, True, True]
    assert "asked_faults" in str(judged)
    assert "ignore_errors" not in judged
