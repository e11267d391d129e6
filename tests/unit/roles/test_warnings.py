"""A new compiler's new warning does not stop an upgrade: what the roles run builds all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

WARNING = "what a new compiler warns of"


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def commands(part: str) -> list[str]:
    """What the pipeline runs for a part, up to its installation."""
    if part == "helpers":
        (build,) = (task["vars"] for task in read("roles/helpers/tasks/install.yml") if "vars" in task)
        return [command for command in build["build_commands"] if "spamzone" in command]
    recipe = read(f"roles/{part}/vars/main.yml")[f"_{part}_recipes"]["tree"]
    return [*recipe["commands"], *recipe.get("check", [])]


def copy(source: str, to: Path) -> Path:
    return Path(shutil.copytree(ROOT / "src" / source, to / source, ignore=shutil.ignore_patterns("build*")))


@pytest.mark.parametrize(
    ("part", "source", "makeflags"),
    [
        # Two programs of many, and all of the library.
        ("qmail", "qmail", "PROGRAMS=qmail-clean\\ maildirmake"),
        ("checkpassword", "checkpassword", ""),
        ("helpers", "spamzone", ""),
    ],
)
def test_a_warning_stops_no_build_of_a_role(tmp_path: Path, part: str, source: str, makeflags: str) -> None:
    copy(source, tmp_path)
    (tmp_path / "warning.h").write_text(f"#warning {WARNING}\n")
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    # Not for what only asks whether it knows an option.
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *-fsyntax-only*) ;; *" -c "* | *.c*) set -- -include '
        f'"{tmp_path}/warning.h" "$@" ;; esac\nexec /usr/bin/cc "$@"\n'
    )
    compiler.chmod(0o755)
    environment = {
        "PATH": f"{compiler.parent}:{os.environ['PATH']}",
        "JOBS": "2",
        "WORK": str(tmp_path),
        "MAKEFLAGS": makeflags,
        "LC_ALL": "C.UTF-8",
    }
    warned = ""
    for command in commands(part):
        done = subprocess.run(
            ["/bin/sh", "-euc", command],
            cwd=tmp_path / source,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        warned += done.stderr
    assert WARNING in warned, "the compiler of this test was not the one that was used"


@pytest.mark.parametrize("source", ["checkpassword", "spamzone"])
def test_no_source_gives_a_warning(tmp_path: Path, source: str) -> None:
    """Nor does what a site compiles (src/qmail looks after itself)."""
    subprocess.run(["make", "-C", copy(source, tmp_path), "CFLAGS=-Werror", "all"], check=True, capture_output=True)
