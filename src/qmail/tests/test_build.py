"""The build of the programs as a site gets them; every other test runs them under AddressSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from lab.suite import SOURCE

PROGRAMS = "qmail-clean maildirmake"
ALWAYS = {"-D_FORTIFY_SOURCE=3", "-O2", "-fPIE", "-fstack-protector-strong", "-fstack-clash-protection"}
STRICT = {"-Wall", "-Wextra", "-Wconversion"}
CHECKS = (
    "position-independent",
    "RELRO",
    "binds symbols late",
    "code in its stack",
    "stack protector",
    "checked functions",
    "shadow stack",
    "indirect branches",
)


def make(build: Path, *arguments: str, programs: str = PROGRAMS) -> subprocess.CompletedProcess[str]:
    """Run make for two programs (or others), into a directory of their own, whatever make it is that runs this."""
    chosen = [f"PROGRAMS={programs}"] if programs else []
    command = ["make", "-s", "--no-print-directory", "-j2", f"BUILD={build}", *chosen, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)


def test_the_programs_are_hardened(tmp_path: Path) -> None:
    made = make(tmp_path / "build", "hardening")
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    program = (tmp_path / "build/bin/qmail-clean").read_bytes()
    assert b"/var/qmail" in program
    assert b"QMAIL_TEST_" not in program, "qmail-queue is setuid: no variable may lead it to another home"


@pytest.mark.parametrize(
    ("soft", "expected"),
    [
        (("HARDENED_LINK=-no-pie", "HARDENING=-O0"), {*CHECKS} - {"RELRO", "code in its stack"}),
        (("HARDENED_LINK=-pie -Wl,-z,norelro,-z,execstack", "HARDENING=-O2 -fPIE"), {*CHECKS} - {CHECKS[0]}),
    ],
)
def test_a_soft_build_is_named_and_not_installed(tmp_path: Path, soft: tuple[str, ...], expected: set[str]) -> None:
    made = make(tmp_path / "build", f"DESTDIR={tmp_path / 'stage'}", "PREFIX=/opt/x", "install", *soft)
    assert made.returncode != 0
    lines = [line for line in made.stdout.splitlines() if line.startswith(f"{tmp_path}/build/bin/qmail-clean: ")]
    assert {check for check in CHECKS if any(check in line for line in lines)} == expected, made.stdout + made.stderr
    assert not (tmp_path / "stage").exists()


@pytest.mark.skipif(shutil.which("musl-gcc") is None, reason="there is no musl here")
def test_what_every_message_starts_is_small_and_hardened(tmp_path: Path) -> None:
    made = make(tmp_path / "build", "hardening", programs="qmail-queue")
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    headers = subprocess.run(
        ["readelf", "-lW", tmp_path / "build/bin/qmail-queue"], capture_output=True, text=True, check=True
    ).stdout
    assert "INTERP" not in headers
    soft = make(
        tmp_path / "soft",
        "hardening",
        "HARDENING=-O0 -fPIE",
        "LEAN_LINK=-nostdlib -static -L$(LEAN_HOME)",
        programs="qmail-queue",
    )
    assert soft.returncode != 0
    wrong = {check for check in CHECKS if check in soft.stdout}
    assert wrong == {"position-independent", "binds symbols late", "indirect branches"}, soft.stdout


@pytest.mark.skipif(shutil.which("musl-gcc") is None, reason="there is no musl here")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can install it setuid to somebody else")
def test_setuid_it_takes_no_closed_descriptor_for_an_empty_message(tmp_path: Path) -> None:
    """Musl opens /dev/null in the place of it, which it does for no other program."""
    made = make(tmp_path / "build", f"HOME_DIR={tmp_path}/none", "all", programs="qmail-queue")
    assert made.returncode == 0, made.stderr
    program = tmp_path / "build/bin/qmail-queue"
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    (tmp_path / "given").write_bytes(b"Fa\0Tb\0\0")
    for descriptors, code in (("<given 1<given", 61), ("<&- 1<given", 54), ("<given >&-", 54), ("<&- >&-", 54)):
        command = ["sh", "-c", f'exec "$1" {descriptors}', "sh", str(program)]
        assert subprocess.run(command, cwd=tmp_path, check=False).returncode == code, descriptors


def test_a_machine_without_musl_builds_it_as_all_others(tmp_path: Path) -> None:
    made = make(tmp_path / "build", "hardening", "LEAN_CC=", programs="qmail-queue")
    assert (made.returncode, made.stdout) == (0, ""), made.stderr


def test_every_source_is_compiled_with_all_of_it(tmp_path: Path) -> None:
    commands = make(tmp_path / "build", "-n", "all").stdout.splitlines()
    compiled = [command for command in commands if " -c " in command]
    assert len(compiled) > 20
    for command in compiled:
        assert {*command.split()} >= ALWAYS | STRICT


def test_no_source_gives_a_warning(tmp_path: Path) -> None:
    """As a site compiles it, but with an end at the first; the tests' own build is strict by itself."""
    made = make(tmp_path / "build", "CFLAGS=-Werror", "all", programs="")
    assert made.returncode == 0, made.stdout + made.stderr


def test_the_tests_build_is_strict(tmp_path: Path) -> None:
    commands = make(tmp_path / "build", "-n", "TESTABLE=1", "all").stdout.splitlines()
    assert {"-Werror" in command.split() for command in commands if " -c " in command} == {True}
