"""hi-q.c: the group that it is installed with is for messages from qmail's programs alone."""

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
    subprocess.run(make, cwd=SOURCE, check=True)
    (top / "lib/hi-q.py").write_text("import os; print(*os.getresgid(), *os.getgroups())")
    program = top / "bin/hi-q"
    os.chown(program, 0, GROUP)
    program.chmod(0o2711)
    yield program
    shutil.rmtree(top)


def groups(program: Path, *arguments: str) -> list[int]:
    done = subprocess.run(
        [program, *arguments],
        user=SOMEBODY,
        group=SOMEBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(group) for group in done.stdout.split()]


def test_a_message_is_filtered_with_the_group(launcher: Path) -> None:
    assert groups(launcher) == [SOMEBODY, GROUP, GROUP]


@pytest.mark.parametrize(
    "arguments",
    [["--queue", "/tmp/x"], ["--filters", "/tmp/x"], ["--check"], [""], ["x", "--queue", "y"]],  # noqa: S108
)
def test_who_says_what_is_run_gets_no_group_for_it(launcher: Path, arguments: list[str]) -> None:
    assert groups(launcher, *arguments) == [SOMEBODY] * 3
