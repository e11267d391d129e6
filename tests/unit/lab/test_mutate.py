"""Mutants are single changes of what runs, and those that no test notices are told."""

from pathlib import Path

import pytest
from sitelab.mutate import __main__ as mutate
from sitelab.mutate import c, recipe
from sitelab.paths import ROOT
from yaml import CSafeLoader as Loader
from yaml import load

PYTHON = sorted(path for name in ("library", "filter_plugins", "module_utils") for path in (ROOT / name).glob("*.py"))
TASKS = sorted((ROOT / "roles").glob("*/tasks/*.yml"))
C = sorted((ROOT / "src").glob("*/*.c"))


def changed(path: Path) -> list[tuple[str, bytes, bytes]]:
    data = path.read_bytes()
    found = [(mutant.what, data, mutant.apply(data)) for mutant in mutate.mutants(str(path), data)]
    assert all(before != after for _, before, after in found)
    return found


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_python_stays_python(path: Path) -> None:
    for what, _, after in changed(path)[::7]:
        assert compile(after, what, "exec")


@pytest.mark.parametrize("path", TASKS, ids=lambda path: "-".join(path.parts[-3:]))
def test_tasks_stay_tasks(path: Path) -> None:
    for what, before, after in changed(path):
        tasks, others = load(before, Loader), load(after, Loader)
        assert tasks != others, what
        assert [task["name"] for task in tasks] == [task["name"] for task in others], what


@pytest.mark.parametrize("path", C, ids=lambda path: path.name)
def test_c_changes_in_code_alone(path: Path) -> None:
    for what, before, after in changed(path):
        assert c.code_only(before) != c.code_only(after), what


def test_what_is_no_code_is_blank() -> None:
    text = b'#define A (1 == 2)\nif (a == \'"\' && b) /* x != y */ say("c < d"); // e || f\n'
    code = c.code_only(text)
    assert len(code) == len(text)
    assert code.split() == b"if (a == && b) say( );".split()


def test_options_of_commands_are_dropped() -> None:
    text = b'set -eu\ntcpserver -u "$uid" 0 25\npatch --fuzz=0 -p1\n'
    found = [mutant.what for mutant in recipe.shell_mutants("x.sh", b"#!/bin/sh\n" + text)]
    assert found == ["set -eu becomes :", '-u "$uid" becomes nothing', "--fuzz=0 becomes nothing"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {
        "filter_plugins/parity.py": "def even(n: int) -> bool:\n    return n % 2 == 0 and n < 10\n",
        "tests/unit/test_parity.py": (
            "from filter_plugins.parity import even\n\ndef test_even():\n    assert even(2) and not even(3)\n"
        ),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_no_test_notices_is_told(tree: Path) -> None:
    path = "filter_plugins/parity.py"
    data = (tree / path).read_bytes()
    left = [mutate.told(mutant, data) for mutant in mutate.survivors(tree, path, list(mutate.mutants(path, data)))]
    assert [line.partition("\n")[0] for line in left] == [
        "filter_plugins/parity.py:2: < becomes <=",
        "filter_plugins/parity.py:2: 10 becomes 11",
    ]
    assert (tree / path).read_bytes() == data


def test_a_file_whose_checks_fail_anyway_is_no_question(tree: Path) -> None:
    (tree / "filter_plugins/parity.py").write_text("def even(n: int) -> bool:\n    return n % 2 == 1\n")
    with pytest.raises(mutate.UnfitError, match=r"(?s)its checks fail without any change.*assert"):
        list(mutate.survivors(tree, "filter_plugins/parity.py", []))


def test_a_file_that_no_check_concerns_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutate.main(["README.md"]) == 2
    assert capsys.readouterr().err.endswith("bin/mutate: README.md: no fast check concerns it\n")
