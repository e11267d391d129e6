"""host_files: files, directories and links become what is declared, and root is led nowhere by anybody else."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from library import host_files
from tests.unit.conftest import RunModule

ME = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "etc"
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    return path


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr("library.host_files.AnsibleModule.warn", lambda _, text: said.append(text))
    return said


def file(path: Path, content: str = "a\n", **more: Any) -> dict[str, Any]:
    return {"path": str(path), "content": content} | ME | more


def folder(path: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(path)} | ME | more


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def everything(place: Path) -> dict[str, Any]:
    return {
        "directories": [folder(place / "d", mode="2750")],
        "files": [file(place / "d/f", mode="0600"), file(place / "g", mode="0755")],
        "links": [{"path": str(place / "l"), "to": "d/f"}],
        "absent": [str(place / "old")],
    }


def test_all_kinds_become_what_is_declared_and_a_second_run_changes_nothing(run_module: RunModule, place: Path) -> None:
    (place / "old").write_text("")
    first = run_module(host_files, everything(place))
    assert first["written"] == [str(place / name) for name in ("d", "d/f", "g", "l")]
    assert (first["changed"], first["removed"]) == (True, [str(place / "old")])
    assert (mode(place / "d"), mode(place / "d/f"), mode(place / "g")) == (0o2750, 0o600, 0o755)
    assert (place / "d/f").read_text() == "a\n"
    assert str((place / "l").readlink()) == "d/f"
    assert not (place / "old").exists()
    again = run_module(host_files, everything(place))
    assert (again["changed"], again["written"], again["removed"], again["diff"]) == (False, [], [], [])


def test_check_mode_says_the_same_and_touches_nothing(run_module: RunModule, place: Path) -> None:
    (place / "old").write_text("")
    (place / "g").write_text("before\n")
    said = run_module(host_files, everything(place), check=True)
    assert sorted(path.name for path in place.iterdir()) == ["g", "old"]
    assert (place / "g").read_text() == "before\n"
    done = run_module(host_files, everything(place))
    assert {key: said[key] for key in ("changed", "written", "removed", "diff")} == {
        key: done[key] for key in ("changed", "written", "removed", "diff")
    }


@pytest.mark.parametrize("drift", ["content", "mode", "directory", "link", "gone"])
def test_each_thing_that_differs_is_mended(run_module: RunModule, place: Path, drift: str) -> None:
    run_module(host_files, everything(place))
    changed = {"content": "g", "mode": "g", "directory": "d", "link": "l", "gone": "d/f"}[drift]
    if drift == "content":
        (place / "g").write_text("b\n")
    elif drift == "mode":
        (place / "g").chmod(0o4777)
    elif drift == "directory":
        (place / "d").chmod(0o777)
    elif drift == "link":
        (place / "l").unlink()
        (place / "l").symlink_to("/etc/passwd")
    else:
        (place / "d/f").unlink()
    assert run_module(host_files, everything(place))["written"] == [str(place / changed)]
    assert not run_module(host_files, everything(place))["changed"]


def test_who_has_the_former_file_open_keeps_that_and_not_the_new_one(run_module: RunModule, place: Path) -> None:
    (place / "f").write_text("before\n")
    with (place / "f").open("r+") as former:
        run_module(host_files, {"files": [file(place / "f")]})
        former.write("after")
    assert (place / "f").read_text() == "a\n"


def test_a_link_in_a_files_place_is_replaced_and_not_followed(run_module: RunModule, place: Path) -> None:
    other = place / "other"
    other.write_text("other\n")
    (place / "f").symlink_to(other)
    (place / ".f.new").symlink_to(other)
    run_module(host_files, {"files": [file(place / "f")]})
    assert not (place / "f").is_symlink()
    assert (other.read_text(), (place / "f").read_text()) == ("other\n", "a\n")


def test_nothing_is_written_where_everybody_could_exchange_it(run_module: RunModule, place: Path) -> None:
    (place / "open").mkdir()
    for bits in (0o777, 0o1777):
        (place / "open").chmod(bits)
        said = run_module(host_files, {"files": [file(place / "open/f"), file(place / "g")]})
        assert said["failed"]
        assert f"{place}/open can be changed by everybody" in said["msg"]
    assert not (place / "g").exists()


def test_check_mode_takes_a_directory_for_what_it_would_be_by_then_and_tells_of_all_in_it(
    run_module: RunModule, place: Path
) -> None:
    declared = {"directories": [folder(place / "open"), folder(place / "open/d")], "files": [file(place / "open/d/f")]}
    run_module(host_files, declared)
    for path in (place / "open", place / "open/d", place / "open/d/f"):
        path.chmod(0o777)
    paths = [str(place / name) for name in ("open", "open/d", "open/d/f")]
    assert run_module(host_files, declared, check=True)["written"] == paths
    assert mode(place / "open") == 0o777
    assert run_module(host_files, declared)["written"] == paths
    # But not where it is declared to be open.
    (place / "open").chmod(0o757)
    open_still = {"directories": [folder(place / "open", mode="0777")], "files": [file(place / "open/f")]}
    assert "can be changed by everybody" in run_module(host_files, open_still, check=True)["msg"]


def test_nor_below_such_a_directory_nor_behind_a_link_into_one(run_module: RunModule, place: Path) -> None:
    (place / "open/below").mkdir(parents=True)
    (place / "open").chmod(0o777)
    (place / "way").symlink_to("open/below")
    for path in (place / "open/below/f", place / "way/f"):
        said = run_module(host_files, {"files": [file(path)], "absent": [str(path.parent / "g")]})
        assert f"{place}/open, which is on the way to {path.parent}, can be changed by everybody" in said["msg"]
    said = run_module(host_files, {"directories": [folder(place / "way", mode="0700")]})
    assert "can be changed by everybody" in said["msg"]
    assert mode(place / "open/below") == 0o755


@as_root
def test_nor_in_a_directory_of_somebody_elses_or_of_a_group_with_members(run_module: RunModule, place: Path) -> None:
    (place / "theirs").mkdir()
    os.chown(place / "theirs", pwd.getpwnam("nobody").pw_uid, 0)
    assert "can be changed by nobody" in run_module(host_files, {"files": [file(place / "theirs/f")]})["msg"]
    (place / "shared").mkdir()
    os.chown(place / "shared", 0, pwd.getpwnam("nobody").pw_gid)
    (place / "shared").chmod(0o775)
    assert "shared can be changed by " in run_module(host_files, {"files": [file(place / "shared/f")]})["msg"]


@as_root
def test_nor_where_an_access_list_lets_somebody_write(run_module: RunModule, place: Path) -> None:
    # acl(5): the owner, nobody, the group, the most that a list may give, the others; each with what it may.
    entries = [(1, 7, -1), (2, 7, pwd.getpwnam("nobody").pw_uid), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
    (place / "listed").mkdir()
    try:
        packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
        os.setxattr(place / "listed", "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("this file system has no access lists")
    said = run_module(host_files, {"files": [file(place / "listed/f")]})
    assert "listed can be changed by somebody of its access list" in said["msg"]


@as_root
def test_a_directory_is_made_for_somebody_else_where_only_root_can_make_it(run_module: RunModule, place: Path) -> None:
    entry = {"path": str(place / "state"), "owner": "nobody", "group": ME["group"], "mode": "0700"}
    assert run_module(host_files, {"directories": [entry]})["written"] == [str(place / "state")]
    assert (place / "state").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert not run_module(host_files, {"directories": [entry]})["changed"]


@as_root
def test_a_file_that_was_somebody_elses_is_a_new_one_and_not_only_given_back(
    run_module: RunModule, place: Path
) -> None:
    (place / "f").write_text("a\n")
    os.chown(place / "f", pwd.getpwnam("nobody").pw_uid, 0)
    inode = (place / "f").stat().st_ino
    run_module(host_files, {"files": [file(place / "f")]})
    assert ((place / "f").stat().st_uid, (place / "f").stat().st_ino == inode) == (0, False)


@as_root
def test_files_of_somebody_elses_are_adopted_by_new_ones(run_module: RunModule, place: Path) -> None:
    (place / "d").mkdir()
    for name, bits in ((".qmail-a", 0o700), (".qmail-b", 0o666), ("other", 0o600)):
        (place / "d" / name).write_text("&bob\n")
        (place / "d" / name).chmod(bits)
        os.chown(place / "d" / name, pwd.getpwnam("nobody").pw_uid, 0)
    (place / "d/.qmail-link").symlink_to("/etc/shadow")
    os.lchown(place / "d/.qmail-link", pwd.getpwnam("nobody").pw_uid, 0)
    args = {"directories": [folder(place / "d", adopt=[".qmail*"])]}
    with (place / "d/.qmail-b").open("a") as former:
        assert run_module(host_files, args)["written"] == [f"{place}/d/.qmail-a", f"{place}/d/.qmail-b"]
        former.write("more")
    found = {path.name: (path.lstat().st_uid, mode(path)) for path in (place / "d").iterdir() if not path.is_symlink()}
    theirs = pwd.getpwnam("nobody").pw_uid
    assert found == {".qmail-a": (0, 0o744), ".qmail-b": (0, 0o644), "other": (theirs, 0o600)}
    assert (place / "d/.qmail-b").read_text() == "&bob\n"
    assert not run_module(host_files, args)["changed"]


def test_a_directory_that_is_declared_is_mended_before_anything_is_written_to_it(
    run_module: RunModule, place: Path
) -> None:
    (place / "d").mkdir()
    (place / "d").chmod(0o777)
    directories = [folder(place / "d"), folder(place / "d/e")]
    said = run_module(host_files, {"directories": directories, "files": [file(place / "d/f")]})
    assert said["written"] == [str(place / "d"), str(place / "d/e"), str(place / "d/f")]
    assert mode(place / "d") == 0o755


def test_a_link_of_roots_own_is_on_the_way_to_files(run_module: RunModule, place: Path) -> None:
    (place / "real").mkdir(mode=0o755)
    (place / "way").symlink_to("real")
    run_module(host_files, {"files": [file(place / "way/f")]})
    assert (place / "real/f").read_text() == "a\n"


def test_what_is_missing_above_is_made(run_module: RunModule, place: Path) -> None:
    run_module(host_files, {"files": [file(place / "a/b/f")]})
    assert (mode(place / "a"), mode(place / "a/b")) == (0o755, 0o755)


def test_a_file_that_is_judged_bad_does_not_take_the_old_ones_place(run_module: RunModule, place: Path) -> None:
    (place / "f").write_text("a=1\n")
    bad = {"files": [file(place / "f", "a=$(\n", validate="/bin/sh -n %s")]}
    for check in (False, True):
        said = run_module(host_files, bad, check)
        assert f"{place}/f: stays as it is, as `/bin/sh -n %s` ended with 2" in said["msg"]
    assert [path.name for path in place.iterdir()] == ["f"]
    assert (place / "f").read_text() == "a=1\n"
    assert run_module(host_files, {"files": [file(place / "f", "a=2\n", validate="/bin/sh -n %s")]})["changed"]


def test_what_judges_may_come_with_the_same_call(run_module: RunModule, place: Path) -> None:
    judge = file(place / "judge", '#!/bin/sh\ngrep -q good "$1"\n', mode="0755")
    args = {"files": [judge, file(place / "f", "good\n", validate=f"{place}/judge %s")]}
    assert run_module(host_files, args, check=True)["written"] == [str(place / "judge"), str(place / "f")]
    assert run_module(host_files, args)["written"] == [str(place / "judge"), str(place / "f")]


def test_all_faults_are_told_at_once_before_anything_is_touched(run_module: RunModule, place: Path) -> None:
    (place / "dir").mkdir()
    (place / "plain").write_text("")
    said = run_module(
        host_files,
        {
            "directories": [folder(place / "made"), folder(place / "plain")],
            "files": [
                file(place / "f", mode="644"),
                file(place / "g", owner="nobody-of-this-name"),
                file(place / "dir"),
                file(Path("etc/x")),
                file(place / "h", validate="/bin/true"),
                file(place / "made"),
            ],
            "links": [{"path": str(place / "plain/../plain"), "to": "f"}],
        },
    )
    for words in (
        f"{place}/f: mode: '644' is not one such as 0644",
        f"{place}/g: there is no user nobody-of-this-name",
        f"{place}/dir: is a directory where a file is to be",
        f"{place}/plain: is there and no directory",
        "'etc/x': is not a whole path",
        f"{place}/h: validate: '/bin/true' has no %s",
        f"{place}/made: is declared twice",
        f"'{place}/plain/../plain': is not a whole path",
    ):
        assert words in said["msg"]
    assert not (place / "made").exists()


def test_a_link_never_replaces_what_is_no_link(run_module: RunModule, place: Path) -> None:
    (place / "l").write_text("mine\n")
    said = run_module(host_files, {"links": [{"path": str(place / "l"), "to": "x"}]})
    assert f"{place}/l: is there and no link; move it away" in said["msg"]
    assert (place / "l").read_text() == "mine\n"


def test_what_nobody_declared_is_told_or_removed_as_is_asked_for(
    run_module: RunModule, place: Path, warnings: list[str]
) -> None:
    (place / "d/deep").mkdir(parents=True)
    for name in ("stranger", "theirs.d", "f"):
        (place / "d" / name).write_text("a\n")
    (place / "d/link").symlink_to("/etc/passwd")
    args = {"files": [file(place / "d/f")]}
    declared = folder(place / "d", besides=["*.d"])
    told = run_module(host_files, args | {"directories": [declared | {"others": "report"}]})
    assert told["undeclared"] == [f"{place}/d/{name}" for name in ("deep", "link", "stranger")]
    assert "not declared" in warnings[0]
    said = run_module(host_files, args | {"directories": [declared | {"others": "remove"}]}, check=True)
    assert said["removed"] == [f"{place}/d/link", f"{place}/d/stranger"]
    assert (place / "d/stranger").exists()
    done = run_module(host_files, args | {"directories": [declared | {"others": "remove"}]})
    assert (done["removed"], done["undeclared"]) == (said["removed"], [f"{place}/d/deep"])
    assert sorted(path.name for path in (place / "d").iterdir()) == ["deep", "f", "theirs.d"]
    assert Path("/etc/passwd").exists()


def test_where_a_directory_is_ours_alone_nothing_stays_of_what_was_there(run_module: RunModule, place: Path) -> None:
    (place / "d/deep").mkdir(parents=True)
    (place / "d/program").write_text("theirs\n")
    (place / "d/program").chmod(0o4755)
    (place / "kept").hardlink_to(place / "d/program")
    args = {
        "directories": [folder(place / "d", others="purge")],
        "links": [{"path": str(place / "d/program"), "to": "/bin/true"}],
    }
    said = run_module(host_files, args, check=True)
    assert mode(place / "kept") == 0o4755
    done = run_module(host_files, args)
    assert (done["written"], done["removed"]) == (said["written"], said["removed"])
    assert done["removed"] == [f"{place}/d/program", f"{place}/d/deep"]
    assert [str(path.readlink()) for path in (place / "d").iterdir()] == ["/bin/true"]
    assert mode(place / "kept") == 0o755
    assert not run_module(host_files, args)["changed"]


def test_a_file_that_keeps_what_it_holds_gets_its_owner_and_mode_alone(run_module: RunModule, place: Path) -> None:
    args = {"files": [{"path": str(place / "table"), "keeps": True, "mode": "0600"} | ME]}
    assert run_module(host_files, args)["written"] == [f"{place}/table"]
    assert ((place / "table").read_text(), mode(place / "table")) == ("", 0o600)
    (place / "table").write_text("its own\n")
    assert not run_module(host_files, args)["changed"]
    (place / "table").chmod(0o666)
    inode = (place / "table").stat().st_ino
    assert run_module(host_files, args, check=True)["changed"]
    assert run_module(host_files, args)["written"] == [f"{place}/table"]
    assert ((place / "table").read_text(), mode(place / "table")) == ("its own\n", 0o600)
    assert (place / "table").stat().st_ino == inode


def test_in_a_directory_of_ours_alone_what_is_of_another_kind_goes(run_module: RunModule, place: Path) -> None:
    (place / "outside").mkdir(mode=0o755)
    (place / "d/table").mkdir(parents=True)
    (place / "d/large").symlink_to(place / "outside")
    args = {
        "directories": [folder(place / "d", others="purge"), folder(place / "d/large", mode="0700")],
        "files": [{"path": str(place / "d/table"), "keeps": True} | ME],
    }
    said = run_module(host_files, args, check=True)
    done = run_module(host_files, args)
    assert said["removed"] == done["removed"] == [f"{place}/d/large", f"{place}/d/table"]
    assert ((place / "d/table").read_text(), mode(place / "d/large"), mode(place / "outside")) == ("", 0o700, 0o755)
    assert not run_module(host_files, args)["changed"]


@as_root
def test_a_link_that_somebody_else_has_made_leads_nowhere(run_module: RunModule, place: Path) -> None:
    (place / "real").mkdir(mode=0o755)
    (place / "way").symlink_to("real")
    os.lchown(place / "way", pwd.getpwnam("nobody").pw_uid, 0)
    assert "is a link of nobody's" in run_module(host_files, {"files": [file(place / "way/f")]})["msg"]
    said = run_module(host_files, {"directories": [folder(place / "way", mode="0700")]})
    assert "is a link that uid" in said["msg"]
    assert mode(place / "real") == 0o755


@as_root
def test_a_directory_holds_copies_of_what_is_on_the_host_and_nothing_else(run_module: RunModule, place: Path) -> None:
    (place / "theirs").mkdir()
    for name in ("a.pre", "b.pre", "c.cf"):
        (place / "theirs" / name).write_text(f"{name}\n")
    args = {
        "directories": [folder(place / "d", copies=[f"{place}/theirs/*.pre"], others="remove")],
        "files": [file(place / "d/b.pre", "ours\n")],
    }
    said = run_module(host_files, args)
    assert {path.name: path.read_text() for path in (place / "d").iterdir()} == {"a.pre": "a.pre\n", "b.pre": "ours\n"}
    assert said["digests"] == {
        f"{place}/d/{name}": hashlib.sha256(text.encode()).hexdigest()
        for name, text in {"a.pre": "a.pre\n", "b.pre": "ours\n"}.items()
    }
    (place / "theirs/a.pre").unlink()
    assert run_module(host_files, args)["removed"] == [f"{place}/d/a.pre"]
    assert not run_module(host_files, args)["changed"]


def test_what_is_not_wanted_goes_and_a_directory_with_all_that_is_in_it(run_module: RunModule, place: Path) -> None:
    (place / "outside").write_text("")
    (place / "d/deep").mkdir(parents=True)
    (place / "d/deep/link").symlink_to(place / "outside")
    (place / "f").write_text("a\n")
    (place / "l").symlink_to("f")
    args = {
        "directories": [folder(place / "d", wanted=False)],
        "files": [file(place / "f", wanted=False)],
        "links": [{"path": str(place / "l"), "to": "f", "wanted": False}],
    }
    assert len(run_module(host_files, args)["removed"]) == 3
    assert [path.name for path in place.iterdir()] == ["outside"]
    assert not run_module(host_files, args)["changed"]


@pytest.mark.parametrize(
    "entry",
    [
        {"content": "s3cr3t-word\n", "secret": True},
        {"content": "s3cr3t-word\n", "mode": "0640"},
        {"content": f"s3cr3t-word\n{KEY}"},
    ],
)
def test_a_secret_is_in_no_diff(run_module: RunModule, place: Path, entry: dict[str, Any]) -> None:
    entry = {"path": str(place / "f")} | ME | entry
    args: dict[str, Any] = {"files": [entry]}
    if entry.get("secret"):  # as the action plugin has it
        args["secrets"] = {entry["path"]: entry.pop("content")}
    (place / "f").write_text("s3cr3t-word before\n")
    (place / "f").chmod(0o600)
    said = run_module(host_files, args)
    assert said["diff"][0]["before"] != said["diff"][0]["after"]
    assert "s3cr3t-word" not in json.dumps(said["diff"])
    if "secrets" in args:
        assert "s3cr3t-word" not in json.dumps(said)


def test_what_judges_a_secret_is_not_quoted(run_module: RunModule, place: Path) -> None:
    entry = {"path": str(place / "f"), "secret": True, "validate": "/bin/sh %s"} | ME
    said = run_module(host_files, {"files": [entry], "secrets": {str(place / "f"): "echo s3cr3t; exit 3\n"}})
    assert "ended with 3" in said["msg"]
    assert "s3cr3t" not in json.dumps(said)


def test_check_mode_before_there_is_a_directory_or_an_account(run_module: RunModule, tmp_path: Path) -> None:
    args = {
        "directories": [{"path": str(tmp_path / "a/b"), "owner": "nobody-of-this-name"}],
        "files": [{"path": str(tmp_path / "a/b/c"), "content": "x", "group": "nobody-of-this-name"}],
        "links": [{"path": str(tmp_path / "x/y"), "to": "z"}],
        "absent": [str(tmp_path / "x/w")],
    }
    said = run_module(host_files, args, check=True)
    assert said["written"] == [str(tmp_path / "a/b"), str(tmp_path / "a/b/c"), str(tmp_path / "x/y")]
    assert list(tmp_path.iterdir()) == []
