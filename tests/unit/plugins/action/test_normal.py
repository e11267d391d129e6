"""The action plugin normal: a module is run by the resident, or else as any other."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from action_plugins import normal

ROOT = Path(__file__).parents[4]
UTILS = "ansible.module_utils"


def play(top: Path, *tasks: dict[str, object], **environment: str) -> str:
    """Run tasks on this machine, and give what Ansible says."""
    book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(tasks)}]
    (top / "play.yml").write_text(yaml.safe_dump(book))
    own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(top / "tmp")}
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-vvv", "play.yml"],
        cwd=top,
        env={**os.environ, **own, **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def say(word: str) -> dict[str, object]:
    return {"name": word, "host_command": {"argv": ["sh", "-c", f"echo {word}-$((20 + 3))"]}}


@pytest.mark.skipif(os.geteuid() != 0, reason="its directory is root's")
def test_one_resident_runs_all_of_a_play_s_modules(tmp_path: Path) -> None:
    said = play(tmp_path, say("first"), say("second"), say("third"))
    assert [f"stdout: {word}-23" in said for word in ("first", "second", "third")] == [True] * 3
    assert said.count("Using module file") - said.count("library/host_command.py") <= 1  # the one that starts it
    assert "AnsiballZ" not in said


def test_without_pipelining_they_are_run_as_any_other(tmp_path: Path) -> None:
    said = play(tmp_path, say("alone"), ANSIBLE_PIPELINING="false")
    assert "stdout: alone-23" in said
    assert "AnsiballZ_host_command.py" in said


def test_with_an_environment_of_its_own_a_task_is_run_as_any_other(tmp_path: Path) -> None:
    task: dict[str, object] = {
        "name": "x",
        "host_command": {"argv": ["sh", "-c", "echo $WORD"]},
        "environment": {"WORD": "given"},
    }
    said = play(tmp_path, task)
    assert "stdout: given" in said
    assert "qmail-site-modules" not in said


def test_a_host_that_can_have_no_resident_runs_them_as_any_other(tmp_path: Path) -> None:
    plugins = tmp_path / "home" / "action_plugins"
    plugins.mkdir(parents=True)
    text = (ROOT / "action_plugins" / "normal.py").read_text()
    (plugins / "normal.py").write_text(text.replace('"/run/qmail-site-modules"', '"/dev/null/none"'))
    for name in ("library", "module_utils"):
        (tmp_path / "home" / name).symlink_to(ROOT / name)
    assert "stdout: other-23" in play(tmp_path, say("other"), ANSIBLE_ACTION_PLUGINS=str(plugins))


PATHS = """
import linecache, sys
from ansible.module_utils import basic
from ansible.module_utils.basic import AnsibleModule
places = [*sys.path, *sys.path_importer_cache]
places += [place for module in list(sys.modules.values()) for place in getattr(module, "__path__", [])]
loaders = [getattr(module, "__loader__", None) for module in list(sys.modules.values())]
places += [loader.archive for loader in loaders if hasattr(loader, "archive")]
theirs = [str(place) for place in places if "payload" in str(place)]
line = linecache.getline(basic.__file__, basic.AnsibleModule.__init__.__code__.co_firstlineno)
AnsibleModule({}).exit_json(theirs=theirs, line=line.strip())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="its directory is root's")
def test_a_resident_looks_for_nothing_where_its_starter_was(tmp_path: Path) -> None:
    """That file has gone, and anybody may have put another of its name there."""
    for name, modules in (("action_plugins", ["normal"]), ("library", ["resident", "host_command"])):
        (tmp_path / "home" / name).mkdir(parents=True)
        for module in modules:
            shutil.copy(ROOT / name / f"{module}.py", tmp_path / "home" / name)
    (tmp_path / "home/library/places.py").write_text(PATHS)
    (tmp_path / "home/module_utils").symlink_to(ROOT / "module_utils")
    own = {
        f"ANSIBLE_{name}": str(tmp_path / "home" / folder)
        for name, folder in (("ACTION_PLUGINS", "action_plugins"), ("LIBRARY", "library"))
    }
    said = play(tmp_path, {"name": "look", "places": {}}, **own)
    assert "qmail-site-modules" in said
    assert "theirs: []" in said
    assert "line: def __init__(self, argument_spec" in said  # for tracebacks, without a look at that file


def shared(text: str) -> set[str]:
    """The names below module_utils that a source of ours imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == UTILS:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{UTILS}."):
            found.add(node.module.split(".")[2])
    return found & {path.stem for path in (ROOT / "module_utils").iterdir()}


def test_all_that_the_modules_of_the_resident_import_is_brought_to_the_host() -> None:
    brought = normal.sources()
    missing = {name: shared(text) - {each.rpartition(".")[2] for each in brought} for name, text in brought.items()}
    assert {name: parts for name, parts in missing.items() if parts} == {}
    assert any(shared(text) for text in brought.values())
