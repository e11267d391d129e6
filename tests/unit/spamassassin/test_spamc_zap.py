"""The patch for spamc -Y, applied to a stand-in that has the lines it holds on to, elsewhere than the patch says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATCH = HERE.parents[2] / "roles/spamassassin/files/patches/spamc-zap.patch"


@pytest.fixture(scope="module")
def spamc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the patched stand-in."""
    folder = tmp_path_factory.mktemp("spamc")
    (folder / "spamc").mkdir()
    source = folder / "spamc/spamc.c"
    source.write_text("\n" * 300 + (HERE / "spamc_stand_in.c").read_text())
    subprocess.run(["patch", "-p1", "--batch", "--forward", "--fuzz=0", "-i", PATCH], cwd=folder, check=True)
    compiler = shutil.which("cc") or "cc"
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-o", folder / "run", source], check=True)
    return folder / "run"


def ask(spamc: Path, score: str, *options: str, **environment: str) -> int:
    env = {**os.environ, "SPAMD_SAYS": score, **environment}
    return subprocess.run([spamc, *options], env=env, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("score", "code"),
    [
        ("-3.0 / 5.0", 0),
        ("4.9 / 5.0", 0),
        ("5.0 / 5.0", 1),
        ("6.9 / 5.0", 1),
        ("7.0 / 5.0", 2),
        ("1005.2 / 5.0", 2),
        ("7.1 / 5.1", 2),
        ("7.0 / 5.1", 1),
    ],
)
def test_the_exit_code_is_the_zone(spamc: Path, score: str, code: int) -> None:
    assert ask(spamc, score, "-E", "-Y", "2.0") == code
    assert ask(spamc, score, "--zap", "2") == code


def test_no_score_is_lost_to_binary_fractions(spamc: Path) -> None:
    for tenths in range(1, 100):
        limit = f"{5.1 + tenths / 10:.1f} / 5.1"
        assert ask(spamc, limit, "-Y", f"{tenths / 10:.1f}") == 2, limit


def test_without_the_option_nothing_changes(spamc: Path) -> None:
    assert ask(spamc, "99 / 5.0", "-E") == 1
    assert ask(spamc, "99 / 5.0") == 0


def test_what_was_not_scanned_is_not_red(spamc: Path) -> None:
    assert ask(spamc, "99 / 5.0", "-Y", "2.0", TOOBIG="1") == 0


@pytest.mark.parametrize("points", ["", "x", "-1", "2x", "nan"])
def test_bad_points_are_refused(spamc: Path, points: str) -> None:
    assert ask(spamc, "9 / 5.0", "-Y", points) == 64
