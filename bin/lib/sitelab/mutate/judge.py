"""Who is to notice a mutant: the fast checks that concern a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PYTEST = ("python", "-m", "pytest", "-qx", "--no-header", "-p", "no:cacheprovider", "--timeout=120")
_ANSIBLE = ("roles", "playbooks", "inventories")


@dataclass(frozen=True)
class Judge:
    """Commands, run in the root of a tree one after the other until one fails; a mutant that none refuses survives."""

    commands: tuple[tuple[str, ...], ...]


def judge(root: Path, path: str) -> Judge:
    """Give the judge of the file PATH below ROOT.

    Of the unit tests those that name the file by its stem, else all; a program's tests are its Makefile's.
    Raises ValueError for a file that no fast check concerns.
    """
    parts = Path(path).parts
    if parts[0] == "src" and len(parts) > 2:
        return _of_program(root, "/".join(parts[:2]))
    if parts[0] in _ANSIBLE:
        return Judge(((*PYTEST, "tests/unit/roles", *_naming(root, path)), ("ansible-lint", "--offline", path)))
    if Path(path).suffix == ".py" and "tests" not in parts:
        return Judge(((*PYTEST, *(_naming(root, path) or ["tests/unit"])),))
    raise ValueError(f"{path}: no fast check concerns it")


def _of_program(root: Path, part: str) -> Judge:
    makefile = root / part / "Makefile"
    if makefile.exists() and "\ntest:" in makefile.read_text():
        flags = f"-x -n {os.cpu_count() or 1} --timeout=120"
        return Judge((("make", "-s", "-C", part, "test", "PYTHON=python", f"PYTEST_FLAGS={flags}"),))
    return Judge(((*PYTEST, f"{part}/tests"),))


def _naming(root: Path, path: str) -> list[str]:
    stem = Path(path).stem
    tests = sorted((root / "tests/unit").rglob("test_*.py"))
    return [str(test.relative_to(root)) for test in tests if len(stem) > 3 and stem in test.read_text()]
