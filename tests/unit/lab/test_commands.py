"""bin/test's counting, bin/demo's memory and its answer where no container can run, and the people's secrets."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from identify.identify import tags_from_path
from passlib.hash import sha512_crypt
from sitelab import demo, lab, people, suite
from sitelab.container import Container
from sitelab.host import UnfitHostError
from sitelab.paths import ROOT

from action_plugins.distfile import source_files

_SHELL = re.compile(rb"#!\s*/(?:usr/)?bin/(?:env )?(?:ba|da)?sh\b")


@pytest.mark.parametrize(
    ("makefile", "target"),
    [
        ("all:\n\ncheck: all\n\t./check\n", "check"),
        ("test: all\ncheck: all\n", "test"),
        ("all: test.o\n\tcc test.o\n", None),
        ("checked:\n", None),
    ],
)
def test_a_parts_own_tests_are_its_target_test_or_check(makefile: str, target: str | None) -> None:
    assert suite.makefile_target(makefile) == target


def test_skipped_tests_count_for_neither_side(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text('<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/></testsuites>')
    assert suite.count(junit) == suite.Result(passed=4, failed=3)


def test_a_command_that_breaks_is_a_failure_even_if_no_test_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "LOGS", tmp_path)
    junit = tmp_path / "j.xml"
    script = f"echo '<testsuite tests=\"5\"/>' > {junit}; exit 2"
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    assert suite.run(suite.Check("broken", ("sh", "-c", script), junit=junit)) == suite.Result(passed=5, failed=1)


def test_an_activated_environment_is_not_the_python_that_makes_it_anew() -> None:
    def found(inside: int) -> str:
        outside = [word for word in os.environ["PATH"].split(":") if Path(word) != ROOT / ".venv/bin"]
        path = ":".join([f"{ROOT}/.venv/bin"] * inside + outside)
        command = [f". {ROOT}/bin/lib/bootstrap.sh && find_python && printf %s $PATH"]
        done = subprocess.run(
            ["bash", "-euc", *command], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
        )
        python, _, after = done.stdout.partition("\n")
        assert after == path, "the caller's PATH stays as it is"
        return python

    assert found(0)
    assert found(0) == found(1) == found(2)


def test_a_check_has_no_signal_ignored_that_its_caller_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "LOGS", tmp_path)
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        suite.run(suite.Check("signals", ("grep", "SigIgn", "/proc/self/status")))
    finally:
        for number, action in zip(numbers, before, strict=True):
            signal.signal(number, action)
    (log,) = tmp_path.iterdir()
    assert int(log.read_text().split()[1], 16) == 0


def test_the_linters_see_every_shell_script() -> None:
    """What pre-commit takes for a shell script, it takes by the file's first line, and by its executable bit."""
    scripts = [path for path in source_files(ROOT) if path.is_file() and _SHELL.match(path.read_bytes()[:40])]
    missed = [path for path in scripts if "shell" not in tags_from_path(str(path)) and path.suffix != ".j2"]
    assert (len(scripts) > 10, missed) == (True, [])


def test_what_a_commit_is_looked_at_with_is_what_the_stage_runs() -> None:
    names = {check.name for check in suite.lint_checks()}
    assert {"ansible-lint", "mypy", "ruff", "yamllint", "shellcheck", "clang-format"} <= names
    assert all(check.command[:3] == ("pre-commit", "run", "--all-files") for check in suite.lint_checks())


def test_each_scenario_is_run_by_just_one_stage() -> None:
    every = {file.parent.name for file in (ROOT / "molecule").glob("*/molecule.yml")}
    names = [check.command[-1] for check in [*suite.molecule_checks(), *suite.scenario_checks()]]
    assert names[0] == "default"
    assert sorted(names) == sorted(every)
    assert {"acme", "rotate"} < every


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ([], ["lint", "unit", "c", "molecule"]),
        (["scenarios"], ["scenarios"]),
        (["scenarios", "lint"], ["lint", "scenarios"]),
        (["acme"], ["acme"]),
    ],
)
def test_the_other_scenarios_run_only_when_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, words: list[str], run: list[str]
) -> None:
    stages: list[str] = []

    def note(stage: str) -> list[suite.Result]:
        stages.append(stage)
        return [suite.Result(1, 0)]

    monkeypatch.setattr(suite, "run_stage", note)
    assert suite.main(words) == 0
    assert sorted(stages) == sorted(run)
    assert stages.index(run[-1]) == len(run) - 1 or "molecule" in run


def test_a_stage_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        suite.main(["lnit"])
    assert "no stage lnit; there are lint, unit, c, molecule, scenarios, acme, bookworm" in capsys.readouterr().err


def test_people_keep_their_passwords(tmp_path: Path) -> None:
    file = tmp_path / "private" / "people.json"
    first = people.ensure(file)
    assert people.ensure(file) == first
    assert file.stat().st_mode & 0o777 == 0o600


def test_each_password_is_its_own_and_fits_its_hash(tmp_path: Path) -> None:
    known = people.ensure(tmp_path / "people.json")
    assert len(set(known["passwords"].values())) == len(known["users"]) == 2
    for user in known["users"]:
        password = known["passwords"][user["name"]]
        assert sha512_crypt.verify(password, user["password_hash"])
        assert password not in json.dumps(known["users"])


def test_the_demo_notices_a_changed_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role = tmp_path / "roles" / "build" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text("one")
    made = tmp_path / "src" / "x" / "build"
    made.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/src/*/build/\n")
    users = tmp_path / "users.json"
    users.write_text("{}")
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "USERS", users)
    before = demo.digest_of_sources("id")
    (made / "object.o").write_text("what make leaves behind")
    assert demo.digest_of_sources("id") == before
    assert demo.digest_of_sources("another container") != before
    (role / "main.yml").write_text("two")
    assert demo.digest_of_sources("id") != before


def test_where_no_container_can_run_the_demo_says_why_and_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unfit() -> None:
        raise UnfitHostError("the kernel says no")

    monkeypatch.setattr(demo, "DEMO", tmp_path)
    monkeypatch.setattr(demo, "USERS", tmp_path / "users.json")
    monkeypatch.setattr("sitelab.container.machine.look", unfit)
    monkeypatch.setattr(demo, "Container", lambda name: unfit())
    assert demo.main([]) == 1
    said = capsys.readouterr()
    assert "the kernel says no" in said.err
    assert "inventories/local" in said.err
    assert said.out == ""


def test_the_report_shows_what_failed() -> None:
    about = {"address": "192.0.2.1", "users": []}
    proofs = [demo.Proof("one", "curl", True, "fine"), demo.Proof("two", "swaks", False, "no answer")]
    report = demo.report(about, proofs)
    assert "ok     one  curl   fine" in report
    assert "FAILED two  swaks  no answer" in report


def test_the_help_of_verify_makes_nothing_ready(tmp_path: Path) -> None:
    for part in ("bin/verify", "bin/lib/bootstrap.sh", "verify"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / part, tmp_path / part)
    done = subprocess.run([tmp_path / "bin/verify", "--help"], capture_output=True, text=True, check=True)
    assert "Exit code: 0 all well" in done.stdout
    assert "--deadline" in done.stdout
    assert not {".venv", ".cache"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("json_wanted", [False, True])
def test_a_host_that_is_up_is_told_with_its_address_and_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], json_wanted: bool
) -> None:
    monkeypatch.setattr(Container, "__init__", lambda self, name: setattr(self, "name", name))
    monkeypatch.setattr(Container, "up", lambda *_, **__: None)
    monkeypatch.setattr(Container, "address", lambda _: "192.0.2.7")
    assert lab.main(["up", "my-host", *(["--json"] if json_wanted else [])]) == 0
    said = capsys.readouterr().out
    if json_wanted:
        assert json.loads(said) == {"container": "my-host", "address": "192.0.2.7"}
    else:
        assert said.startswith("my-host is up, at 192.0.2.7.")
        assert [line.split()[:2] for line in said.splitlines()[1:]] == [
            ["bin/lab", command] for command in ("play", "shell", "down")
        ]
