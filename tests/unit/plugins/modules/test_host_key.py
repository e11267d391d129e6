"""host_key: one key in several files, made once and shown to nobody."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from library import host_key
from tests.unit.conftest import RunModule

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to a group")


def asked(tmp_path: Path) -> dict[str, Any]:
    return {"files": [{"path": f"{tmp_path}/key", "group": "nogroup"}, {"path": f"{tmp_path}/keyin", "group": "root"}]}


def test_a_key_is_made_once_and_is_in_no_answer(run_module: RunModule, tmp_path: Path) -> None:
    assert run_module(host_key, asked(tmp_path), check=True)["changed"]
    assert list(tmp_path.iterdir()) == []
    answer = run_module(host_key, asked(tmp_path))
    key = (tmp_path / "key").read_text()
    assert len(key.strip()) == 64
    assert (tmp_path / "keyin").read_text() == key
    assert key.strip() not in str(answer)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o640
    assert run_module(host_key, asked(tmp_path))["changed"] is False
    assert (tmp_path / "key").read_text() == key


@pytest.mark.parametrize("lost", ["key", "keyin"])
def test_a_file_that_is_lost_or_changed_gets_what_the_other_has(
    run_module: RunModule, tmp_path: Path, lost: str
) -> None:
    run_module(host_key, asked(tmp_path))
    key = (tmp_path / "key").read_text()
    (tmp_path / lost).unlink()
    run_module(host_key, asked(tmp_path))
    (tmp_path / lost).write_text("cut off")
    (tmp_path / lost).chmod(0o644)
    assert run_module(host_key, asked(tmp_path))["written"] == [str(tmp_path / lost)]
    assert {(tmp_path / name).read_text() for name in ("key", "keyin")} == {key}


def test_a_former_key_stays_behind_the_one_in_use(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("b" * 64 + "\n" + "a" * 64 + "\n")
    run_module(host_key, asked(tmp_path))
    assert (tmp_path / "keyin").read_text() == "b" * 64 + "\n" + "a" * 64 + "\n"


def test_a_link_in_its_place_is_not_followed(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to("/etc/hostname")
    assert "is not a regular file" in run_module(host_key, asked(tmp_path))["msg"]
