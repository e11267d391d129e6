"""declared_files: a directory becomes what is declared; what is not is removed or told, and no secret is shown."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.host_paths import turn

from library import declared_files
from tests.unit.conftest import RunModule
from tests.unit.constant import database

MARK = "# made here"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "control"
    path.mkdir()
    return path


def options(place: Path, **more: Any) -> dict[str, Any]:
    """Arguments of the module, as whoever runs the test."""
    me = {"owner": account("user"), "group": account("group"), "secret_group": account("group"), "secret_mode": "0640"}
    record = {} if "mark" in more else {"record": str(place.parent / "state" / "record")}
    return {"directory": str(place), "variable": "qmail_control"} | me | record | more


def account(kind: str) -> str:
    return pwd.getpwuid(os.geteuid()).pw_name if kind == "user" else grp.getgrgid(os.getegid()).gr_name


def held(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in place.iterdir()}


def test_what_is_declared_is_written_and_a_second_run_changes_nothing(run_module: RunModule, place: Path) -> None:
    args = options(place, files={"me": "a.example\n", "locals": "b\n"})
    first = run_module(declared_files, args)
    assert (first["changed"], first["written"]) == (True, ["me", "locals"])
    assert held(place) == {"me": "a.example\n", "locals": "b\n"}
    again = run_module(declared_files, args)
    assert (again["changed"], again["written"], again["undeclared"]) == (False, [], [])


def test_what_is_no_longer_declared_goes_and_the_operators_own_is_told(
    run_module: RunModule, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("library.declared_files.AnsibleModule.warn", lambda _, text: warnings.append(text))
    run_module(declared_files, options(place, files={"me": "a\n", "badmailfrom": "x@y\n"}))
    (place / "mine").write_text("by hand\n")
    args = options(place, files={"me": "a\n"})
    checked = run_module(declared_files, args, check=True)
    assert (checked["removed"], checked["undeclared"], len(held(place))) == (["badmailfrom"], ["mine"], 3)
    done = run_module(declared_files, args)
    assert done["removed"] == ["badmailfrom"]
    assert "control: mine: not declared" in warnings[-1]
    assert "declare it in qmail_control, or remove it" in warnings[-1]
    assert held(place) == {"me": "a\n", "mine": "by hand\n"}
    assert run_module(declared_files, args)["changed"] is False


def test_a_run_that_was_killed_while_it_wrote_has_forgotten_nothing(
    run_module: RunModule, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(declared_files.Directory, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            run_module(declared_files, options(place, files={"notlshosts": "x\n"}))
    (place / "notlshosts").write_text("x\n")
    assert run_module(declared_files, options(place, files={}))["removed"] == ["notlshosts"]


def test_a_mark_tells_what_is_ours_without_a_record(run_module: RunModule, place: Path) -> None:
    (place / ".qmail-old").write_text(f"{MARK}\n&x\n")
    (place / ".qmail-own").write_text("&y\n")
    (place / "other").write_text("")
    args = options(place, mark=MARK, pattern=".qmail-*", files={".qmail-a": f"{MARK}\n&a\n"})
    answer = run_module(declared_files, args)
    assert (answer["removed"], answer["undeclared"]) == ([".qmail-old"], [".qmail-own"])
    assert sorted(held(place)) == [".qmail-a", ".qmail-own", "other"]


def test_what_a_name_holds_is_shown_but_not_obeyed(run_module: RunModule, place: Path) -> None:
    os.close(os.open(os.fsencode(place) + b"/x\x1b[2J\xff", os.O_CREAT))
    assert run_module(declared_files, options(place))["undeclared"] == ["x?[2J?"]


def test_absent_is_removed_whoever_wrote_it_with_what_is_compiled_from_it(run_module: RunModule, place: Path) -> None:
    for name in ("morercpthosts", "morercpthosts.cdb", "servercert.pem"):
        (place / name).write_text("")
    answer = run_module(
        declared_files,
        options(
            place,
            absent=["morercpthosts"],
            compiled={"morercpthosts": "morercpthosts.cdb"},
            others=["servercert.pem"],
        ),
    )
    assert answer["removed"] == ["morercpthosts", "morercpthosts.cdb"]
    assert answer["undeclared"] == []
    assert sorted(held(place)) == ["servercert.pem"]


def compile_list(source: Path) -> Path:
    """Make the constant database of a list, as qmail-newvrt(8) does."""
    lines = [line.rstrip().lower() for line in source.read_text().splitlines()]
    made = source.with_name(f"{source.name}.cdb")
    made.write_bytes(database([(line.encode(), b"") for line in lines if line and not line.startswith("#")]))
    return made


def test_what_does_not_say_what_its_source_says_has_to_be_compiled(run_module: RunModule, place: Path) -> None:
    args = options(place, files={"table": "# ours\nJoe@a.test \n\n@b.test\n"}, compiled={"table": "table.cdb"})
    assert run_module(declared_files, args, check=True)["stale"] == ["table"]
    assert run_module(declared_files, args)["stale"] == ["table"]
    assert run_module(declared_files, args)["stale"] == ["table"]  # as after a play that broke off in between
    made = compile_list(place / "table")
    assert run_module(declared_files, args)["changed"] is False
    os.utime(made, (0, 0))  # as from a backup
    assert run_module(declared_files, args)["changed"] is False
    made.write_bytes(database([(b"joe@a.test", b""), (b"@b.test", b""), (b"@everybody.test", b"")]))
    told = run_module(declared_files, args, check=True)
    assert (told["changed"], told["written"], told["stale"]) == (True, [], ["table"])
    assert told["diff"][0]["after_header"] == str(made)


def test_what_is_compiled_is_roots_own_and_goes_with_its_source(run_module: RunModule, place: Path) -> None:
    args = options(place, files={"table": "a\n"}, compiled={"table": "table.cdb"})
    run_module(declared_files, args)
    made = compile_list(place / "table")
    made.chmod(0o666)
    assert run_module(declared_files, args, check=True)["stale"] == ["table"]
    made.chmod(0o644)
    kept = made.rename(place.parent / "elsewhere")
    made.symlink_to(kept)
    assert run_module(declared_files, args, check=True)["stale"] == ["table"]
    kept.rename(made)
    assert run_module(declared_files, args)["changed"] is False
    gone = run_module(declared_files, args | {"files": {}})
    assert gone["removed"] == ["table", "table.cdb"]
    assert gone["diff"][1]["before"].endswith("(binary)\n")


def test_a_secret_is_for_its_group_and_in_no_output(run_module: RunModule, place: Path) -> None:
    (place / "auth").write_text("relay joe old-password\n")  # as written by hand, for all to read
    args = options(place, secrets={"auth": "relay joe new-password\n"}, files={"cert": KEY}, _ansible_diff=True)
    for check in (True, False):
        text = json.dumps(run_module(declared_files, args, check=check))
        assert "-password" not in text
    answer = run_module(declared_files, args | {"files": {}, "secrets": {}})
    assert answer["removed"] == ["auth", "cert"]
    diff = json.dumps(answer["diff"])
    assert "-password" not in diff
    assert "MC4CAQ" not in diff


def test_modes_are_final_whatever_the_umask_is_and_are_repaired(run_module: RunModule, place: Path) -> None:
    args = options(place, files={"me": "a\n"}, secrets={"auth": "s\n"})
    before = os.umask(0o077)
    try:
        run_module(declared_files, args)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    assert modes == {"me": 0o644, "auth": 0o640}
    assert stat.S_IMODE((place.parent / "state").stat().st_mode) == 0o755
    (place / "auth").chmod(0o644)
    assert run_module(declared_files, args)["written"] == ["auth"]
    assert stat.S_IMODE((place / "auth").stat().st_mode) == 0o640


def test_a_link_in_a_files_place_is_replaced_and_not_followed(run_module: RunModule, place: Path) -> None:
    victim = place.parent / "victim"
    victim.write_text("as it was")
    (place / "me").symlink_to(victim)
    (place / ".me.new").symlink_to(victim)
    assert run_module(declared_files, options(place, files={"me": "a\n"}))["written"] == ["me"]
    assert (victim.read_text(), (place / "me").read_text()) == ("as it was", "a\n")


@pytest.mark.parametrize("name", ["../x", "", ".", "..", "a\nb"])
def test_a_name_that_is_none_is_refused(run_module: RunModule, place: Path, name: str) -> None:
    assert "is not the name of a file" in run_module(declared_files, options(place, files={name: "a\n"}))["msg"]


def test_a_directory_in_a_files_place_is_refused_with_its_name(run_module: RunModule, place: Path) -> None:
    (place / "me").mkdir()
    answer = run_module(declared_files, options(place, files={"me": "a\n"}))
    assert answer["msg"].endswith("me is a directory; move it away")


def test_check_mode_before_there_is_a_directory_or_a_group(run_module: RunModule, tmp_path: Path) -> None:
    args = options(tmp_path / "none", files={"me": "a\n"}, secrets={"auth": "s\n"}) | {"secret_group": "no-such-group"}
    assert run_module(declared_files, args, check=True)["written"] == ["me", "auth"]
    assert list(tmp_path.iterdir()) == []


def test_a_change_that_has_been_told_is_not_told_again(run_module: RunModule, place: Path) -> None:
    compiled = {"table": "table.cdb"}
    run_module(declared_files, options(place, files={"table": "a@b.test\nc@b.test\n", "gone": "x\n"}))
    (place / "table.cdb").write_bytes(database([(b"a@b.test", b""), (b"c@b.test", b"")]))
    told = {"table": turn(["a@b.test"], ["d@b.test"]), "new": turn([], ["y"]), "gone": turn(["x"], [])}
    files = {"table": "c@b.test\nd@b.test\n", "new": "y\n"}
    answer = run_module(declared_files, options(place, files=files, compiled=compiled, told=told), check=True)
    assert (answer["written"], answer["removed"], answer["stale"]) == (["table", "new"], ["gone"], ["table"])
    assert answer["diff"] == []


@pytest.mark.parametrize("how", ["another line", "a line less", "mode", "database", "not there"])
def test_what_is_more_than_has_been_told_is_told(run_module: RunModule, place: Path, how: str) -> None:
    run_module(declared_files, options(place, files={"table": "a@b.test\n"}))
    table, made = place / "table", place / "table.cdb"
    made.write_bytes(database([(b"a@b.test" if how != "database" else b"eve@b.test", b"")]))
    if how == "another line":
        table.write_text("a@b.test\neve@b.test\n")
    elif how == "a line less":
        table.write_text("")
    elif how == "mode":
        table.chmod(0o666)
    elif how == "not there":
        table.unlink()
    told = {"table": turn(["a@b.test"], ["a@b.test", "d@b.test"])}
    more = {"compiled": {"table": "table.cdb"}, "told": told}
    answer = run_module(declared_files, options(place, files={"table": "a@b.test\nd@b.test\n"}, **more), check=True)
    shown = {each["before_header"] for each in answer["diff"]}
    assert shown == ({str(made)} if how == "database" else {str(table), str(made)})
