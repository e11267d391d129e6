"""docs/patches.md: every file and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUITE = ROOT / "src" / "qmail"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "patches.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| item")
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_files_and_tests_are_there(row: list[str]) -> None:
    _, _, places, tests = row
    for place in re.findall(r"`([^`]+)`", places):
        assert (SUITE / place).is_file(), place
    named = re.findall(r"`([^`]+)`", tests)
    assert named
    for test in named:
        file, _, function = test.partition("::")
        text = (SUITE / "tests" / file).read_text()
        assert f"def {function or 'test_'}" in text, test


def test_there_is_a_row_for_each_patch() -> None:
    assert len(ROWS) > 20
