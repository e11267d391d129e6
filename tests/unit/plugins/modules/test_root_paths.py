"""The module root_paths: who could exchange what root writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from library import root_paths
from tests.unit.conftest import RunModule

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
SOMEBODY, ANOTHER = 65534, 65533


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that nobody else can write to; /tmp above it is sticky."""
    path = Path(tempfile.mkdtemp(prefix="root-paths-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def owned(path: Path, uid: int, mode: int) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


def test_what_is_root_s_all_the_way_up_is_good(run_module: RunModule, place: Path) -> None:
    (place / "etc").mkdir()
    (place / "etc" / "file").touch()
    home = owned(place / "home", SOMEBODY, 0o755)
    (home / "own").touch()
    os.chown(home / "own", SOMEBODY, SOMEBODY)
    answer = run_module(root_paths, {"below": [str(place)], "paths": [str(place / "etc" / "new")]})
    assert (answer.get("failed"), answer["found"]) == (None, [])
    assert answer["looked"] == 5


@pytest.mark.parametrize(
    ("owner", "mode", "who"),
    [(SOMEBODY, 0o500, "nobody"), (SOMEBODY, 0o1755, "nobody"), (0, 0o757, "everybody")],
)
def test_root_s_file_in_what_somebody_can_change_is_found(
    run_module: RunModule, place: Path, owner: int, mode: int, who: str
) -> None:
    bad = owned(place / "a" / "bad", owner, mode)
    (bad / "in").mkdir()
    (bad / "in" / "deep").touch()
    answer = run_module(root_paths, {"below": [str(place)], "paths": [str(bad / "x" / "y")]})
    assert answer["failed"] is True
    assert answer["found"] == [
        f"{bad}/x/y: {bad} can be changed by {who}",
        f"{bad}/in, of root: {bad} can be changed by {who}",
    ]


def test_root_s_file_below_a_user_s_own_directory_is_found(run_module: RunModule, place: Path) -> None:
    home = owned(place / "home", SOMEBODY, 0o755)
    deep = owned(home / "mail", SOMEBODY, 0o700)
    (deep / "file").touch()
    assert run_module(root_paths, {"below": [str(place)]})["found"] == [
        f"{deep}/file, of root: {home} can be changed by nobody"
    ]


def test_a_third_user_s_file_can_only_be_of_root_s_making(run_module: RunModule, place: Path) -> None:
    home = owned(place / "home", SOMEBODY, 0o755)
    owned(home / "other", ANOTHER, 0o700)
    assert run_module(root_paths, {"below": [str(place)]})["found"] == [
        f"{home}/other, of uid {ANOTHER}: {home} can be changed by nobody"
    ]


def test_a_group_counts_if_it_has_members(run_module: RunModule, place: Path) -> None:
    shared = owned(place / "shared", 0, 0o775)
    (shared / "file").touch()
    os.chown(shared, 0, SOMEBODY)  # nogroup, the group of nobody and of others
    (said,) = run_module(root_paths, {"below": [str(place)]})["found"]
    assert "nobody" in said.partition("can be changed by")[2]
    os.chown(shared, 0, 54321)  # nobody's
    assert run_module(root_paths, {"below": [str(place)]})["found"] == []


def test_a_sticky_directory_protects_and_a_link_is_not_followed(run_module: RunModule, place: Path) -> None:
    sticky = owned(place / "sticky", 0, 0o1777)
    (sticky / "file").touch()
    (place / "link").symlink_to(owned(place / "home", SOMEBODY, 0o755))
    (place / "home" / "own").touch()
    os.chown(place / "home" / "own", SOMEBODY, SOMEBODY)
    assert run_module(root_paths, {"below": [str(place)]})["found"] == []


def test_what_is_to_be_left_out_is(run_module: RunModule, place: Path) -> None:
    bad = owned(place / "bad", SOMEBODY, 0o755)
    (bad / "file").touch()
    assert run_module(root_paths, {"below": [str(place)], "besides": [str(bad)]})["found"] == []
    assert run_module(root_paths, {"below": [str(bad)], "besides": [str(bad / "file")]})["found"] == []
