"""The module root_paths: who could exchange what root writes."""

from __future__ import annotations

import os
import shutil
import subprocess
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


def test_what_root_reads_is_root_s_and_nobody_else_writes_to_it(run_module: RunModule, place: Path) -> None:
    for name, owner, mode in (("good", 0, 0o644), ("his", SOMEBODY, 0o600), ("shared", 0, 0o664), ("open", 0, 0o646)):
        (place / name).touch()
        os.chown(place / name, owner, SOMEBODY)
        (place / name).chmod(mode)
    (place / "deep").mkdir()
    (place / "deep" / "open").touch()
    (place / "deep" / "open").chmod(0o666)
    answer = run_module(root_paths, {"read": [str(place)]})
    assert answer["failed"] is True
    (shared,) = [said for said in answer["found"] if said.startswith(f"{place}/shared can be changed by ")]
    assert "nobody" in shared
    assert [said for said in answer["found"] if said != shared] == [
        f"{place}/deep/open can be changed by everybody",
        f"{place}/his can be changed by nobody",
        f"{place}/open can be changed by everybody",
    ]
    assert run_module(root_paths, {"read": [str(place / "good"), str(place / "absent")]})["found"] == []


def test_what_a_link_leads_through_is_root_s_too(run_module: RunModule, place: Path) -> None:
    home = owned(place / "home", SOMEBODY, 0o755)
    (home / "real").touch()
    (place / "one").symlink_to("two")
    (place / "two").symlink_to(home / "real")
    assert run_module(root_paths, {"read": [str(place / "one")]})["found"] == [
        f"{home}/real: {home} can be changed by nobody"
    ]
    (place / "his").symlink_to("good")
    (place / "good").touch()
    os.chown(place / "his", SOMEBODY, SOMEBODY, follow_symlinks=False)
    assert run_module(root_paths, {"read": [str(place / "his")]})["found"] == [f"{place}/his is a link of nobody"]
    (place / "loop").symlink_to("loop")
    assert run_module(root_paths, {"read": [str(place / "loop")]})["found"] == []


def test_the_host_is_asked_for_what_root_has_loaded(run_module: RunModule, place: Path) -> None:
    program = place / "sleep"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert run_module(root_paths, {"ask": True})["found"] == []
            os.chown(program, SOMEBODY, SOMEBODY)
            assert run_module(root_paths, {"ask": True})["found"] == [f"{program} can be changed by nobody"]
        finally:
            process.kill()
    assert run_module(root_paths, {"ask": True})["found"] == []


# Two units: one is root's, one another's.
SHOWN = """\
FragmentPath={unit}
DropInPaths=
EnvironmentFiles={environment} (ignore_errors=yes)
ExecStart={{ path={program} ; argv[]={program} x ; ignore_errors=no ; start_time=[n/a] }}
User=

FragmentPath={other_unit}
ExecStart={{ path={other_program} ; argv[]=y ; ignore_errors=no }}
User=somebody
"""


@pytest.mark.parametrize("name", ["unit", "environment", "program", "other_unit"])
def test_systemd_is_asked_for_what_its_units_read_and_run(
    run_module: RunModule, place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = {each: place / each for each in ("unit", "environment", "program", "other_unit", "other_program")}
    for path in files.values():
        path.touch()
    os.chown(files["other_program"], SOMEBODY, SOMEBODY)  # it runs as that user
    (place / "systemctl").write_text(f"#!/bin/sh\ncat <<'SHOWN'\n{SHOWN.format(**files)}SHOWN\n")
    (place / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setattr(root_paths, "SYSTEMD", place)
    monkeypatch.setattr(root_paths, "loaded_files", lambda: iter(()))
    assert run_module(root_paths, {"ask": True})["found"] == []
    os.chown(files[name], SOMEBODY, SOMEBODY)
    assert run_module(root_paths, {"ask": True})["found"] == [f"{files[name]} can be changed by nobody"]


def test_what_somebody_has_loaded_for_himself_is_his(run_module: RunModule, place: Path) -> None:
    program = place / "sleep"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o711)  # so that his process is closed, and its files in /proc are root's
    os.chown(program, ANOTHER, ANOTHER)
    with subprocess.Popen([program, "60"], user=SOMEBODY, group=SOMEBODY, extra_groups=[]) as process:
        try:
            assert Path(f"/proc/{process.pid}/maps").stat().st_uid == 0
            assert run_module(root_paths, {"ask": True})["found"] == []
        finally:
            process.kill()
