"""Another tree of qmail's shape: what it says of itself stays, and what can only die is not built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from sitelab.paths import ROOT

FIXTURES = ROOT / "tests/fixtures"
SCRIPTS = ROOT / "roles/qmail/files/other-tree"
DEFAULTS = yaml.safe_load((ROOT / "roles/qmail/defaults/main.yml").read_text(encoding="utf-8"))
OURS = DEFAULTS["qmail_cc"].removeprefix("gcc ").strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "qmail-shaped", tmp_path / "tree"))


def configure(tree: Path, cc: str = DEFAULTS["qmail_cc"]) -> tuple[str, str]:
    """Run configure.sh; give the first lines of conf-cc and conf-ld."""
    environment = os.environ | {"TREE_CC": cc.strip(), "TREE_LD": DEFAULTS["qmail_ld"]}
    subprocess.run(["sh", SCRIPTS / "configure.sh", "/var/qmail", "23"], cwd=tree, env=environment, check=True)
    first = [(tree / name).read_text().splitlines()[0] for name in ("conf-cc", "conf-ld")]
    return first[0], first[1]


def make(tree: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    return subprocess.run(["make", *targets], cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("cc -O2", "-O2"),
        ("cc -O2 -DTLS=20060104 -I/usr/include/x", "-O2 -DTLS=20060104 -I/usr/include/x"),
        ('cc -DGREETING=\'"two  words"\' -DA="b c"', '-DGREETING=\'"two  words"\' -DA="b c"'),
        ("ccache x86_64-linux-gnu-gcc  -DX", "-DX"),
        ("cc", ""),
        ("", ""),
    ],
)
def test_what_a_tree_says_for_its_compiler_stays_in_front_of_ours(tree: Path, said: str, kept: str) -> None:
    (tree / "conf-cc").write_text(f"{said}\n\nThe first line is what counts.\n")
    assert configure(tree)[0] == f"gcc {kept} {OURS}"
    (tree / "conf-cc").write_text(f"{said}\n")
    assert configure(tree, "ccache gcc")[0] == f"ccache gcc {kept} "


def test_libraries_stay(tree: Path) -> None:
    (tree / "conf-ld").write_text("cc -s -L/usr/local/ssl/lib -lssl\n")
    assert configure(tree)[1] == f"{DEFAULTS['qmail_ld']} -L/usr/local/ssl/lib -lssl "


def test_the_trees_own_defines_are_compiled_in(tree: Path) -> None:
    configure(tree)
    done = make(tree, "qmail-shaped", "qmail-lspawn")
    assert done.returncode == 0, done.stderr
    assert (
        subprocess.run([tree / "qmail-shaped"], capture_output=True, text=True, check=True).stdout == "3 two  words\n"
    )
    assert subprocess.run([tree / "qmail-lspawn"], capture_output=True, text=True, check=True).stdout == "delivered\n"


@pytest.mark.parametrize(("cast", "error"), [(True, "int-to-pointer-cast"), (False, "int-conversion")])
def test_half_a_pointer_stops_the_build(tree: Path, cast: bool, error: str) -> None:
    """With the warning let be, the program that comes of it dies (on 64 bit), so here it must not come."""
    patch = FIXTURES / "qmail-shaped-patches/undeclared.patch"
    subprocess.run(["patch", "-s", "-p1", "--fuzz=0", "-i", patch], cwd=tree, check=True)
    if not cast:
        spawn = (tree / "spawn.c").read_text()
        (tree / "spawn.c").write_text(spawn.replace("(struct delivery *) ", ""))
    configure(tree)
    done = make(tree, "qmail-lspawn")
    assert done.returncode != 0
    assert f"[-Werror={error}]" in done.stderr
    assert not (tree / "qmail-lspawn").exists()
