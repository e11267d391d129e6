"""tcprules-update: a bad rules file is named and never replaces good rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sitelab.paths import ROOT

SCRIPT = ROOT / "roles/services/files/usr/local/sbin/tcprules-update"
PATH = "PATH=/usr/local/bin:/usr/bin:/bin\n"
# Like the real one: reads rules on standard input, writes the second file and renames it to the first.
TCPRULES = """#!/bin/sh
cat >"$2" && ! grep -q forbidden "$2" && mv "$2" "$1"
"""
GOOD = '# comment\n\n127.:allow,RELAYCLIENT=""\n2001:db8::allow,RELAYCLIENT="",A="x y"\n192.0.2.1-9:deny\n:allow\n'


class Rules:
    """A directory with a copy of the script, a compiler and a rules file."""

    def __init__(self, root: Path) -> None:
        """Lay them out."""
        text = SCRIPT.read_text()
        assert text.count(PATH) == 1
        self.script = root / "tcprules-update"
        self.script.write_text(text.replace(PATH, f"PATH={root}:/usr/bin:/bin\n"))
        compiler = root / "tcprules"
        compiler.write_text(TCPRULES)
        for file in (self.script, compiler):
            file.chmod(0o755)
        self.directory = root / "tcp"
        self.directory.mkdir()
        self.rules = self.directory / "smtp.rules"
        self.cdb = self.directory / "smtp.cdb"

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it."""
        return subprocess.run([self.script, *words], capture_output=True, text=True, check=False, timeout=20)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    made = Rules(tmp_path)
    made.rules.write_text(GOOD)
    return made


def test_good_rules_are_compiled_and_then_left_alone(rules: Rules) -> None:
    first = rules(rules.rules)
    assert (first.returncode, first.stdout) == (0, f"{rules.cdb} compiled anew\n")
    before = rules.cdb.stat()
    again = rules(rules.rules)
    assert (again.returncode, again.stdout) == (0, f"{rules.cdb} is up to date\n")
    assert rules.cdb.stat().st_ino == before.st_ino
    assert before.st_mode & 0o777 == 0o644, "tcpserver reads it as another user"


def test_a_database_that_others_could_write_is_made_anew_and_so_is_a_link(rules: Rules) -> None:
    rules(rules.rules)
    rules.cdb.chmod(0o666)
    assert rules("--plan", rules.rules).stdout == f"{rules.cdb} is to be compiled anew\n"
    assert rules(rules.rules).stdout == f"{rules.cdb} compiled anew\n"
    assert rules.cdb.stat().st_mode & 0o777 == 0o644
    rules.cdb.rename(rules.directory / "elsewhere")
    rules.cdb.symlink_to("elsewhere")
    assert rules(rules.rules).stdout == f"{rules.cdb} compiled anew\n"
    assert not rules.cdb.is_symlink()


@pytest.mark.parametrize(
    "bad",
    [
        "127.",
        "127.:permit",
        "127.:allow,RELAYCLIENT",
        '127.:allow RELAYCLIENT=""',
        '127.:allow,RELAYCLIENT="',
        " # indented",
        '127.:allow,RELAYCLIENT=""; reboot',
    ],
)
def test_a_bad_line_is_named_and_the_old_rules_stay(rules: Rules, bad: str) -> None:
    rules(rules.rules)
    old = rules.cdb.read_bytes()
    rules.rules.write_text(f"{GOOD}{bad}\n")
    for words in ((rules.rules,), ("--plan", rules.rules), ("--check", rules.rules)):
        answer = rules(*words)
        assert answer.returncode == 1
        assert f"{rules.rules}, line 7: not ADDRESS:allow" in answer.stderr
        assert bad in answer.stderr
    assert rules.cdb.read_bytes() == old
    assert sorted(path.name for path in rules.directory.iterdir()) == ["smtp.cdb", "smtp.rules"]


def test_what_tcprules_refuses_leaves_the_old_rules(rules: Rules) -> None:
    rules(rules.rules)
    old = rules.cdb.read_bytes()
    rules.rules.write_text('127.:allow,X="forbidden"\n')
    answer = rules(rules.rules)
    assert answer.returncode == 1
    assert "the old rules stay in force" in answer.stderr
    assert rules.cdb.read_bytes() == old


def test_check_takes_any_name_and_leaves_nothing(rules: Rules, tmp_path: Path) -> None:
    candidate = tmp_path / "candidate"
    candidate.write_text(GOOD)
    assert rules("--check", candidate).returncode == 0
    assert not rules.cdb.exists()
    assert rules(candidate).returncode == 1, "a file to compile is called NAME.rules"


def test_plan_tells_and_does_nothing(rules: Rules) -> None:
    assert "is to be compiled anew" in rules("--plan", rules.rules).stdout
    assert not rules.cdb.exists()
    rules(rules.rules)
    assert "is up to date" in rules("--plan", rules.rules).stdout


@pytest.mark.parametrize("words", [(), ("a", "b"), ("/no/such.rules",)])
def test_misuse(rules: Rules, words: tuple[str, ...]) -> None:
    answer = rules(*words)
    assert answer.returncode == 1
    assert answer.stderr.startswith("tcprules-update: ")
