"""mailboxes: a Maildir is mended as its user, and what a user put in the way stops nobody."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from library import mailboxes
from tests.unit.conftest import RunModule

MARK = "# made here."
BOXES: dict[str, Any] = {}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the user nobody, in a place that nobody can reach."""
    nobody = pwd.getpwnam("nobody")
    top = Path(tempfile.mkdtemp(dir="/tmp"))
    top.chmod(0o755)
    path = top / "home"
    path.mkdir()
    path.chmod(0o700)
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    monkeypatch.setitem(BOXES, "nobody", {"uid": nobody.pw_uid, "gid": nobody.pw_gid, "home": str(path)})
    yield path
    shutil.rmtree(top)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warns of."""
    texts: list[str] = []
    monkeypatch.setattr("library.mailboxes.AnsibleModule.warn", lambda _, text: texts.append(text))
    return texts


def run(run_module: RunModule, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module(mailboxes, {"mailboxes": BOXES, "mark": MARK} | more, check)


def test_a_new_maildir_is_its_users_alone(run_module: RunModule, home: Path) -> None:
    assert run(run_module, check=True)["changed"]
    assert list(home.iterdir()) == []
    assert run(run_module)["changed"]
    for part in ("Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"):
        status = (home / part).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (pwd.getpwnam("nobody").pw_uid, 0o700)
    assert run(run_module)["changed"] is False


@pytest.mark.parametrize("part", ["tmp", "new", "cur"])
def test_a_part_that_is_gone_is_made_again_and_mail_stays(run_module: RunModule, home: Path, part: str) -> None:
    run(run_module)
    (home / "Maildir" / part).rmdir()
    kept = home / "Maildir" / ("new" if part == "cur" else "cur") / "1.host"
    kept.write_text("mail")
    assert run(run_module, check=True)["made"] == [f"{home}/Maildir/{part}"]
    assert run(run_module)["made"] == [f"{home}/Maildir/{part}"]
    assert (home / "Maildir" / part).is_dir()
    assert kept.read_text() == "mail"


@pytest.mark.parametrize("there", ["link", "file", "dangling"])
def test_what_a_user_put_in_its_place_is_left_alone_with_a_warning(
    run_module: RunModule, home: Path, warnings: list[str], there: str
) -> None:
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    elsewhere.chmod(0o777)
    if there == "file":
        (home / "Maildir").write_text("")
    else:
        (home / "Maildir").symlink_to(elsewhere if there == "link" else home / "none")
    answer = run(run_module)
    assert answer["changed"] is False
    assert f"{home}/Maildir: is left alone" in warnings[0]
    assert list(elsewhere.iterdir()) == []


def test_a_maildir_that_others_may_enter_is_the_user_s_own_business_and_told(
    run_module: RunModule, home: Path, warnings: list[str]
) -> None:
    run(run_module)
    assert warnings == []
    (home / "Maildir").chmod(0o755)
    assert run(run_module)["changed"] is False
    assert f"{home}/Maildir: has the mode 0755" in warnings[0]
    assert stat.S_IMODE((home / "Maildir").stat().st_mode) == 0o755


def test_nothing_is_done_with_roots_rights(run_module: RunModule, home: Path, warnings: list[str]) -> None:
    """A home that its user may not write to stays as it is, though root could."""
    os.chown(home, 0, 0)
    home.chmod(0o755)
    run(run_module)
    assert "Permission denied" in warnings[0]
    assert list(home.iterdir()) == []


def test_a_virtual_address_gets_a_file_unless_the_user_has_one(run_module: RunModule, home: Path) -> None:
    (home / ".qmail-sales").write_text("|own program\n")
    wanted = {"nobody": ["info", "sales"]}
    assert f"{home}/.qmail-info" in run(run_module, extensions=wanted)["made"]
    assert (home / ".qmail-info").read_text() == f"{MARK}\n./Maildir/\n"
    assert (home / ".qmail-sales").read_text() == "|own program\n"
    assert run(run_module, extensions=wanted)["changed"] is False
    assert run(run_module)["removed"] == [f"{home}/.qmail-info"]
    assert sorted(path.name for path in home.iterdir()) == [".qmail-sales", "Maildir"]


def test_who_is_not_there_yet_is_told_in_check_mode_alone(run_module: RunModule, home: Path) -> None:
    new = {"carol": {"uid": 0, "gid": 0, "home": "/home/carol"}}
    assert run_module(mailboxes, {"mailboxes": new, "mark": MARK}, check=True)["made"] == ["the Maildir of carol"]


def test_many_homes_are_looked_after_by_one_process_and_each_by_itself_if_it_fails(
    run_module: RunModule, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = BOXES["nobody"]
    homes = [home.parent / f"home{number}" for number in range(5)]
    for each in homes:
        each.mkdir(mode=0o700)
        os.chown(each, box["uid"], box["gid"])
    many = {each.name: box | {"home": str(each)} for each in homes}
    asked: list[int] = []
    in_child = mailboxes.in_child

    def counted(work: Any) -> Any:
        asked.append(len(work.args[0]))
        return None if len(work.args[0]) > 1 and len(asked) == 1 else in_child(work)

    monkeypatch.setattr("library.mailboxes.in_child", counted)
    assert len(run_module(mailboxes, {"mailboxes": many, "mark": MARK})["made"]) == 20
    assert asked == [5, 1, 1, 1, 1, 1]
    assert not run_module(mailboxes, {"mailboxes": many, "mark": MARK})["changed"]
    assert asked[6:] == [5]


def test_what_is_root_s_is_not_looked_into_with_root_s_rights(
    run_module: RunModule, home: Path, warnings: list[str]
) -> None:
    run(run_module)
    os.chown(home, 0, 0)
    assert not run(run_module)["changed"]
    assert "Permission denied" in warnings[0]


def test_mail_that_is_to_go_goes_and_the_home_stays(run_module: RunModule, home: Path) -> None:
    run(run_module)
    (home / "Maildir/new/a").touch()
    (home / "notes").touch()
    gone: dict[str, Any] = {"mailboxes": {}, "former": BOXES}
    assert run(run_module, check=True, **gone)["changed"]
    assert (home / "Maildir/new/a").exists()
    assert run(run_module, **gone)["removed"] == [f"{home}/Maildir/ with its mail"]
    assert [path.name for path in home.iterdir()] == ["notes"]
    assert not run(run_module, **gone)["changed"]


def test_mail_goes_with_its_user_s_rights_and_through_no_link(
    run_module: RunModule, home: Path, warnings: list[str]
) -> None:
    other = home.parent / "other"
    other.mkdir()
    (other / "mine").touch()
    (home / "Maildir").symlink_to(other)
    assert not run(run_module, mailboxes={}, former=BOXES)["changed"]
    (home / "Maildir").unlink()
    (home / "Maildir").mkdir()
    (home / "Maildir/roots").mkdir(mode=0o700)
    (home / "Maildir/roots/mine").touch()
    run(run_module, mailboxes={}, former=BOXES)
    assert (other / "mine").exists()
    assert (home / "Maildir/roots/mine").exists()
    assert len(warnings) == 2


def test_who_has_been_told_as_new_is_not_told_by_a_maildir(run_module: RunModule, home: Path) -> None:
    assert run(run_module, check=True)["diff"]["after"].startswith(f"{home}/Maildir\n")
    assert run(run_module, check=True, told=["nobody"])["diff"]["after"] == ""
    made = run(run_module, told=["nobody"], extensions={"nobody": ["info"]})
    assert len(made["made"]) == 5
    assert made["diff"]["after"] == f"{home}/.qmail-info\n"
