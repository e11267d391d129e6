"""What every task owes: secrets stay out of output, what is parsed is judged first, what is read anew is told so.

Said of all roles at once, of files that host_files has and of those that a module of Ansible's own writes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

YAML = [
    *sorted(ROOT.glob("roles/*/tasks/**/*.yml")),
    *sorted(ROOT.glob("roles/*/handlers/*.yml")),
    *sorted(ROOT.glob("roles/*/vars/**/*.yml")),
    *sorted(ROOT.glob("playbooks/**/*.yml")),
]
WRITERS = {"copy", "template", "host_files", "declared_files"}
CONTROL = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers")


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def documents(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Give every mapping in a document, the outer ones first."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from mappings(value)
    elif isinstance(node, list):
        for item in node:
            yield from mappings(item)


def tasks(node: Any) -> Iterator[dict[str, Any]]:
    """Give every task of a list of tasks or plays; one that holds others, without these."""
    for task in node if isinstance(node, list) else []:
        if isinstance(task, dict):
            yield {key: value for key, value in task.items() if key not in CONTROL}
            for key in CONTROL:
                yield from tasks(task.get(key))


def module_of(task: dict[str, Any]) -> str:
    """Give the short name of the module that a task runs, among those that write files."""
    return next((key.rpartition(".")[2] for key in task if key.rpartition(".")[2] in WRITERS), "")


ALL = [(path, documents(path)) for path in YAML]
TASKS = [(path, task) for path, document in ALL for task in tasks(document)]


def files() -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Give each declared file: where it is declared, its entry with its path, and its task where it stands in one."""
    for path, document in ALL:
        for mapping in mappings(document):
            for entry in mapping.get("files") or [] if isinstance(mapping.get("files"), list) else []:
                if isinstance(entry, dict) and "path" in entry:
                    yield path, entry, {}
    for path, task in TASKS:
        for name in ("copy", "template"):
            arguments = task.get(f"ansible.builtin.{name}")
            if isinstance(arguments, dict) and task.get("delegate_to") != "localhost":
                yield path, {**arguments, "path": str(arguments["dest"]), "source": arguments.get("src")}, task


FILES = list(files())


# ---- modes ----


def modes() -> Iterator[tuple[str, str]]:
    for path, document in ALL:
        for mapping in mappings(document):
            for key, value in mapping.items():
                if key == "mode" or key.endswith("_mode"):
                    place = mapping.get("path") or mapping.get("dest") or ""
                    for digits in re.findall(r"\b[0-7]{3,4}\b", str(value)):
                        yield f"{short(path)}: {place}", digits


def test_no_mode_lets_a_group_or_all_write() -> None:
    found = list(modes())
    assert len(found) > 25
    assert [(place, mode) for place, mode in found if int(mode, 8) & 0o022] == []


def test_each_mode_is_a_quoted_string() -> None:
    """YAML reads 0644 as a number, and 644 as another one."""
    numbers = [
        short(path) for path, document in ALL for mapping in mappings(document) if isinstance(mapping.get("mode"), int)
    ]
    assert numbers == []


# ---- what a program parses is judged before it takes its place ----

JUDGES = (
    (r"^/etc/tcp/", "tcprules-update --check"),
    (r"^/etc/hi-q/", "hi-q --check --filters"),
    (r"^\{\{ _spamassassin_site \}\}/", "spamassassin-check"),
    (r"^/etc/(default|init\.d)/|^/etc/qmail-site/services/|^/usr/local/lib/qmail-site/", "sh -n"),
)
"""By path; a script of ours, wherever it goes, is sh -n's."""


def held(path: Path, entry: dict[str, Any]) -> str:
    """Give the text of the role's file or template that a declared file holds, if it has one."""
    role = ROOT / Path(*path.relative_to(ROOT).parts[:2])
    place = str(entry.get("source") or entry.get("template") or "") or entry["path"].lstrip("/")
    # Of a directory that a variable names, its last part tells the file.
    wanted = re.sub(r"^.*\}\}/", "**/", place)
    for folder in ("files", "templates"):
        for name in (wanted, f"{wanted}.j2"):
            for found in sorted((role / folder).glob(name)):
                if found.is_file():
                    return found.read_text(encoding="utf-8")
    return ""


def test_what_a_program_parses_is_judged_first() -> None:
    judged, owed = 0, []
    for path, entry, _ in FILES:
        judge = next((judge for pattern, judge in JUDGES if re.search(pattern, entry["path"])), "")
        if not judge and re.match(r"#!/bin/(ba)?sh", held(path, entry)):
            judge = "sh -n"
        if judge:
            judged += 1
            if judge not in str(entry.get("validate")) or "%s" not in str(entry.get("validate")):
                owed.append((short(path), entry["path"], judge))
    assert owed == []
    assert judged > 12


# ---- what is read only when it is told so ----

# The engine of the init scripts has a changed unit read again itself, before it starts anything.
REREAD_BY_THE_ENGINE = {"/etc/systemd/system/spamd.service"}

UNITS = ("/etc/systemd/system/", "{{ _certs_hooks.unit }}/")


def reloads(path: Path) -> str:
    """Give the expressions by which a role has systemd read its units again."""
    role = path.relative_to(ROOT).parts[1]
    found = [
        str([task.get("when"), mapping["daemon_reload"]])
        for other, task in TASKS
        if other.relative_to(ROOT).parts[:2] == ("roles", role) and "tasks" in other.parts
        for mapping in mappings(task)
        if "daemon_reload" in mapping
    ]
    return "\n".join(found)


def test_a_changed_unit_is_read_again() -> None:
    units, owed = 0, []
    for path, task in TASKS:
        for kind in ("directories", "files", "links"):
            for entry in (task.get("host_files") or {}).get(kind) or []:
                if not isinstance(entry, dict) or not entry["path"].startswith(UNITS):
                    continue
                if kind == "directories" and entry.get("wanted", True) is not False:
                    continue
                units += 1
                told = entry.get("notify") or task.get("notify")
                told = told or (task.get("register") and task["register"] in reloads(path))
                if not told and entry["path"] not in REREAD_BY_THE_ENGINE:
                    owed.append((short(path), entry["path"]))
    assert owed == []
    assert units > 6


def test_a_service_s_settings_are_in_its_definition_or_restart_it() -> None:
    """What is no unit: qmail's control files and builds, which notify."""
    owed = [
        (short(path), task["name"])
        for path, task in TASKS
        if "declared_files" in task and "roles/qmail" in short(path) and not task.get("notify")
    ]
    assert owed == []
    builds = {"qmail", "stunnel", "ucspi_tcp"}
    for role in builds:
        install = (ROOT / f"roles/{role}/tasks/install.yml").read_text()
        assert re.search(r"^    build_notify: ", install, re.MULTILINE), role
    for name in ("main", "make"):
        assert 'notify: "{{ build_notify }}"' in (ROOT / f"roles/build/tasks/{name}.yml").read_text()


def test_a_handler_that_is_notified_is_there() -> None:
    handlers = {task["name"] for path, task in TASKS if "handlers" in path.parts or "playbooks" in path.parts}
    named: set[str] = set()
    for _, document in ALL:
        for mapping in mappings(document):
            told = mapping.get("notify") or []
            named |= {one for one in ([told] if isinstance(told, str) else told) if "{{" not in one}
    assert named
    assert named - handlers == set()


# ---- secrets ----


def secret_names() -> set[str]:
    """Give what holds a secret: what a role's specification keeps out of the log, and what is made of that."""
    names = {"private_key", "PASSWORD"}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for mapping in mappings(documents(path)):
            names |= {key for key, value in mapping.items() if isinstance(value, dict) and value.get("no_log") is True}
    return names


SECRET = secret_names() | {"mail_hashes"}  # the filter that takes them out of mail_users


def tells(value: Any) -> bool:
    """Does an expression take a secret out of what holds it, or is it one by its name?"""
    pattern = rf"(?:\.|attribute=['\"]|\[['\"]|\b)({'|'.join(sorted(SECRET))})\b(?!['\"]?, 'undefined|', 'defined)"
    text = re.sub(r"selectattr\([^)]*\)", "", str(value))
    expressions = re.findall(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL)
    return any(re.search(pattern, expression) for expression in expressions)


HIDING = {"mail_passwords", "declared_files", "host_files", "host_certificates"}
"""Modules of ours that keep their secrets out of what they say; test_a_module_s_secrets_are_no_log."""


def test_the_specifications_name_the_secrets() -> None:
    assert {"password", "password_hash"} <= SECRET


def test_a_task_that_handles_a_secret_says_nothing_of_it() -> None:
    handled, owed = 0, []
    for path, task in TASKS:
        rest = {key: value for key, value in task.items() if key not in ("name", "when", "loop_control")}
        if isinstance(rest.get("loop"), list):  # written out here, for all to read
            rest = {key: re.sub(r"\bitem\.\w+", "", str(value)) for key, value in rest.items()}
        if "hosts" in task or not tells(rest):
            continue
        handled += 1
        if not HIDING & {key.rpartition(".")[2] for key in task} and task.get("no_log") is not True:
            owed.append((short(path), task.get("name")))
    assert owed == []
    assert handled >= 2


def test_a_secret_is_in_no_environment_of_a_task() -> None:
    """That stands in the command line that starts the module: all accounts see it there, and sudo writes it down."""
    found = [(path, task) for path, task in TASKS if task.get("no_log") or tells(task.get("environment"))]
    assert len(found) > 1
    assert [f"{short(path)}: {task.get('name')}" for path, task in found if task.get("environment")] == []


def test_the_description_of_the_site_stays_out_of_the_log() -> None:
    """It holds a login and a password of each user that verify asks for."""
    hidden = [
        task["name"]
        for path, task in TASKS
        if "playbooks/tasks/verify" in short(path) and "__verify_site" in str(task.get("ansible.builtin.copy"))
    ]
    assert hidden
    assert all(task.get("no_log") is True for _, task in TASKS if task.get("name") in hidden)


def test_a_file_that_not_all_may_read_is_not_shown() -> None:
    """host_files sees to that itself; Ansible's own modules show what they write."""
    owed = [
        (short(path), entry["path"])
        for path, entry, task in FILES
        if task and int(str(entry.get("mode", "0644")), 8) & 0o004 == 0
        if not (task.get("diff") is False or task.get("no_log") is True)
    ]
    assert owed == []


SECRET_WORDS = re.compile(r"(?:^|_)(?:passwords?|password_hash|hash|hashes|secrets?|tokens?|private_key)(?:_|$)")
SAYS_ONLY = {"secret", "secret_group", "secret_mode", "hash_as"}
"""Options about secrets that hold none."""


@pytest.mark.parametrize("module", sorted((ROOT / "library").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_s_secrets_are_no_log(module: Path) -> None:
    """And what only sounds like one says so, or Ansible would warn."""
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and isinstance(value, ast.Dict) and isinstance(key.value, str)):
                continue
            option = {k.value: v for k, v in zip(value.keys, value.values, strict=True) if isinstance(k, ast.Constant)}
            if SECRET_WORDS.search(key.value) and "type" in option:
                said = option.get("no_log")
                assert isinstance(said, ast.Constant), f"{key.value} says nothing of no_log"
                assert said.value is (key.value not in SAYS_ONLY), key.value


# ---- who a service is ----


@pytest.mark.parametrize(
    "template",
    sorted((ROOT / "roles/services/templates/etc/qmail-site/services").glob("*.j2")),
    ids=lambda path: path.stem,
)
def test_a_door_is_opened_for_a_user_of_its_own(template: Path) -> None:
    """tcpserver is root's, to have its port, and must be told who to become; `-u 0` is nobody's way out."""
    text = template.read_text()
    if "/tcpserver " not in text.split("run() {")[1]:
        assert template.stem in {"send", "sign", "filter"}
        return
    command = text.split("/tcpserver ")[-1]
    assert re.search(r'(?<!\S)-u "\$uid" -g "\$gid"(?!\S)', command)
    users = re.findall(r"\buid=(.*)", text)
    groups = re.findall(r"\b(?:gid|auth)=(.*)", text)
    assert users
    assert all(re.fullmatch(r"\$\(uid_of qmail\w+\)", user) for user in users), users
    assert all(re.fullmatch(r"\$\(gid_of (qmail\w+|nofiles)\)", group) for group in groups), groups
    assert re.search(r"(?m)^ +ulimit -c 0$", text)
    assert re.search(r"(?m)^ +ulimit -v ", text)


def test_the_signer_is_told_who_to_become() -> None:
    """Who may read the keys, and nothing else of the host's."""
    text = (ROOT / "roles/services/templates/etc/qmail-site/services/sign.j2").read_text()
    assert re.findall(r"\b(?:uid|gid)=(.*)", text) == ["$(uid_of qmailsign)", "$(gid_of qmailsign)"]
    assert re.search(r'(?m)^ +\{\{ services_sign_messages \}\} "\$uid" "\$gid"$', text)
    assert re.search(r"(?m)^ +ulimit -c 0$", text)


def test_the_resident_is_told_who_to_become() -> None:
    """Who runs hi-q, with hi-q's group in effect: without another real one its filters could be looked into."""
    text = (ROOT / "roles/services/templates/etc/qmail-site/services/filter.j2").read_text()
    assert re.findall(r"(?m)^ +(uid|real|gid)=(.*)$", text) == [
        ("uid", "$(uid_of qmaild)"),
        ("real", "$(gid_of qmaildoor)"),
        ("gid", "$(gid_of nofiles)"),
    ]
    assert text.rstrip().endswith('"$uid" "$real" "$gid" "$real"\n}')
    assert re.search(r"(?m)^ +ulimit -c 0$", text)
    assert re.search(r"(?m)^ +ulimit -v ", text)


# ---- what takes a place by rename is on disk before ----

PYTHON = [*sorted((ROOT / "library").glob("*.py")), *sorted((ROOT / "module_utils").glob("*.py"))]


def calls(node: ast.AST) -> list[str]:
    """Name what a function calls, in the order of its lines."""
    found = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    found.sort(key=lambda each: (each.lineno, each.col_offset))
    return [
        each.func.attr if isinstance(each.func, ast.Attribute) else each.func.id
        for each in found
        if isinstance(each.func, ast.Attribute | ast.Name)
    ]


SYNCED_TOGETHER = {"copy_file": "seal"}
"""What writes many files that one other function has put on disk, by os.sync."""
WRITTEN = {"write", "writelines", "dump", "fchown", "fchmod"}


def test_what_is_written_by_a_descriptor_is_synced() -> None:
    """A loss of power after the rename must not leave an empty file in the place of a whole one."""
    writers, owed = 0, []
    for path in PYTHON:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                called = calls(node)
                if node.name in SYNCED_TOGETHER.values():
                    assert called.count("sync") == 2, node.name
                if "fchmod" in called and "flush" in called and node.name not in SYNCED_TOGETHER:
                    writers += 1
                    last = max(at for at, name in enumerate(called) if name in WRITTEN)
                    if "fsync" not in called[last:]:
                        owed.append((short(path), node.name))
    assert owed == []
    assert writers >= 4


@pytest.mark.parametrize(
    ("module", "function"),
    [("module_utils/whole_file.py", "sync_directory"), ("library/host_files.py", "own")],
)
def test_what_is_there_to_sync_does(module: str, function: str) -> None:
    tree = ast.parse((ROOT / module).read_text())
    found = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    assert "fsync" in calls(found)


def test_a_directory_is_synced_after_a_rename_in_it() -> None:
    tree = ast.parse((ROOT / "module_utils/whole_file.py").read_text())
    beside = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "beside")
    assert calls(beside)[-1] == "sync_directory"
