"""The table of mutations: each can be run, has a name of its own, and says who notices it."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

TABLE: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/mutations/table.yml").read_text())


def test_names_are_given_once() -> None:
    assert [name for name, count in Counter(row["id"] for row in TABLE).items() if count > 1] == []


@pytest.mark.parametrize("row", TABLE, ids=[row["id"] for row in TABLE])
def test_each_is_a_command_and_a_claim(row: dict[str, Any]) -> None:
    assert set(row) == {"id", "how", "who", "mended"}
    assert row["who"] in {"verify", "check"}
    assert isinstance(row["mended"], bool)
    said = subprocess.run(["bash", "-n", "-c", row["how"]], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
