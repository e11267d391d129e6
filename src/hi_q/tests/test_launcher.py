"""hi-q.c: who becomes what, and the group that it is installed with is for messages from qmail's programs alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
SOMEBODY, GROUP = 65534, 64000
"""A user without rights, with the group of the same number; and the group that stands for nofiles."""


@pytest.fixture(scope="module")
def launcher() -> Iterator[Path]:
    """Install the programs where everybody comes to, with a program that tells its groups in the place of hi-q's."""
    if os.geteuid() != 0:
        pytest.skip("only root can install a program set-group-id to a group that it isn't in")
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    make = ["make", "-s", "install", f"PREFIX={top}", f"LIBDIR={top}/lib", "DESTDIR="]
    subprocess.run([*make, f"LISTS={top}", f"QUEUE={top}/queue", f"SIGN={top}/sign"], cwd=SOURCE, check=True)
    for program in ("hi-q", "hi-q-authenticated"):
        (top / f"lib/{program}.py").write_text("import os; print(*os.getresgid(), *os.getgroups())")
        os.chown(top / "bin" / program, 0, GROUP)
        (top / "bin" / program).chmod(0o2711)
    (top / "queue").write_text("#!/bin/sh\necho the queue, $#\n")
    (top / "queue").chmod(0o755)
    (top / "sign").write_text("#!/bin/sh\necho the signer, $#\n")
    (top / "sign").chmod(0o755)
    yield top / "bin/hi-q"
    shutil.rmtree(top)


@pytest.fixture
def filters(launcher: Path) -> Iterator[Path]:
    """Give the list for strangers, with a filter; it is removed again."""
    path = launcher.parents[1] / "filters"
    path.write_text("/bin/cat\n")
    path.chmod(0o644)
    yield path
    path.unlink(missing_ok=True)


def said(program: Path, *arguments: str) -> str:
    done = subprocess.run(
        [program, *arguments],
        user=SOMEBODY,
        group=SOMEBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def groups(program: Path, *arguments: str) -> list[int]:
    return [int(group) for group in said(program, *arguments).split()]


def test_a_message_is_filtered_with_the_group(launcher: Path) -> None:
    assert groups(launcher) == [SOMEBODY, GROUP, GROUP]


@pytest.mark.parametrize(
    "arguments",
    [["--queue", "/tmp/x"], ["--filters", "/tmp/x"], ["--check"], [""], ["x", "--queue", "y"]],  # noqa: S108
)
def test_who_says_what_is_run_gets_no_group_for_it(launcher: Path, arguments: list[str]) -> None:
    assert groups(launcher, *arguments) == [SOMEBODY] * 3


BECAME_QUEUE = "the queue, 0"
PROGRAM = f"{SOMEBODY} {GROUP} {GROUP}"
"""What the double of qmail-queue says, and that of the Python program."""


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# none\n", " \t# none # at all\n\n \t", "#", "# " + "x" * 4000],
)
def test_a_list_without_a_filter_starts_no_interpreter(launcher: Path, filters: Path, text: str) -> None:
    filters.write_text(text)
    assert said(launcher) == BECAME_QUEUE


def test_what_is_to_be_signed_starts_no_interpreter_either(
    launcher: Path, filters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters.write_text("# none\n")
    monkeypatch.setenv("SIGNQUEUE", "1")
    assert said(launcher) == "the signer, 0"
    monkeypatch.setenv("SIGNQUEUE", "")
    assert said(launcher) == BECAME_QUEUE


@pytest.mark.parametrize(
    "text",
    [
        "/bin/cat\n",
        "# one\n/bin/cat",
        "limit=5 /bin/cat\n",
        "cat\n",
        "'",
        "# \u00e4\n",
        "# \x01\n",
        "\r\n",
        "# " + "x" * 5000,
    ],
)
def test_any_other_list_is_the_programs_to_judge(launcher: Path, filters: Path, text: str) -> None:
    filters.write_text(text)
    assert said(launcher) == PROGRAM


def test_a_first_filter_counts_from_the_next_message_on(launcher: Path, filters: Path) -> None:
    filters.write_text("# none yet\n")
    assert said(launcher) == BECAME_QUEUE
    with filters.open("a") as file:
        file.write("/bin/cat\n")
    assert said(launcher) == PROGRAM


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o600])
def test_an_empty_list_that_others_may_write_or_that_cannot_be_read_is_the_programs(
    launcher: Path, filters: Path, mode: int
) -> None:
    filters.write_text("")
    filters.chmod(mode)
    assert said(launcher) == PROGRAM


def test_an_empty_list_of_somebody_else_is_the_programs(launcher: Path, filters: Path) -> None:
    filters.write_text("")
    os.chown(filters, SOMEBODY - 1, 0)
    assert said(launcher) == PROGRAM


def test_what_is_no_file_is_the_programs(launcher: Path, filters: Path) -> None:
    filters.unlink()
    assert said(launcher) == PROGRAM
    os.mkfifo(filters)
    assert said(launcher) == PROGRAM


def test_a_closed_descriptor_is_no_empty_message(launcher: Path, filters: Path) -> None:
    """The C library of a program with a group of its own opens something in the place of it."""
    filters.write_text("")
    queue = launcher.parents[1] / "queue"
    before = queue.read_text()
    queue.write_text("#!/bin/sh\ncat 2>&1 >/dev/null && echo a message of nothing\n")
    command = ["sh", "-c", 'exec "$1" <&-', "sh", str(launcher)]
    done = subprocess.run(
        command, user=SOMEBODY, group=SOMEBODY, extra_groups=[], capture_output=True, text=True, check=False
    )
    queue.write_text(before)
    assert done.returncode != 0
    assert "a message of nothing" not in done.stdout


def test_each_class_of_senders_has_its_list(launcher: Path, filters: Path) -> None:
    (launcher.parents[1] / "authenticated").write_text("")
    assert said(launcher) == PROGRAM
    assert said(launcher.with_name("hi-q-authenticated")) == BECAME_QUEUE


def test_with_an_argument_it_is_always_the_program(launcher: Path, filters: Path) -> None:
    filters.write_text("")
    assert groups(launcher, "--check") == [SOMEBODY] * 3
