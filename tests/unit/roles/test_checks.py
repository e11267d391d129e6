"""The checks that a host's build runs, on a host whose /tmp is of no use to them: mounted noexec, or full."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sitelab.paths import ROOT

SRC = ROOT / "src"


@pytest.mark.parametrize("part", ["hi_q", "pido", "spamzones", "vacation"])
def test_make_check_needs_no_temporary_directory(tmp_path: Path, part: str) -> None:
    tree = tmp_path / part
    shutil.copytree(SRC / part, tree, ignore=shutil.ignore_patterns("build*", "__pycache__"))
    if part == "hi_q":  # as the role helpers lays it beside
        shutil.copytree(SRC / "qmail/filters", tmp_path / "filters")
    before = {path for path in tree.rglob("*") if "build" not in path.parts}
    environment = {**os.environ, "TMPDIR": str(tmp_path / "nowhere")}
    done = subprocess.run(["make", "-C", tree, "check"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed, 0 failed" in done.stdout
    left = {path for path in tree.rglob("*") if "build" not in path.relative_to(tree).parts}
    assert left - before == set()
