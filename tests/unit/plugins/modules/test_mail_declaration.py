"""mail_declaration: what is declared is on the host, changed only where it differs, and no uid is given twice."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.constant_database import records
from ansible.module_utils.host_paths import turn

from library import mail_declaration
from tests.unit.conftest import RunModule
from tests.unit.graphs import address, domain, graph, mailbox

MARK = "# made here."
FIRST = 200000
COMPILER = "#!/bin/sh\ncd {} && cp users/assign users/cdb\n"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives homes away")


@pytest.fixture
def top(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host's directories; anna is nobody, and so is alias."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755)
    for name in ("qmail/users/lists", "qmail/users/full", "qmail/mailboxes", "qmail/bin", "qmail/alias", "etc"):
        (path / name).mkdir(parents=True)
    compiler = path / "qmail/bin/qmail-newu"
    compiler.write_text(COMPILER.format(path / "qmail"))
    compiler.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    known = {"anna": nobody, "alias": nobody}
    monkeypatch.setattr("library.mail_declaration.pwd.getpwnam", lambda name: known[name])
    yield path
    shutil.rmtree(path)


def run(run_module: RunModule, top: Path, declared: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """One run of the module."""
    places = {
        "directory": f"{top}/qmail",
        "register": f"{top}/state/uids",
        "declaration": f"{top}/etc/declaration.json",
        "compiled": f"{top}/state/assignments",
    }
    more: dict[str, Any] = {
        "_ansible_diff": True,
        "graph": declared | {"homes": f"{top}/mail"},
        "mark": MARK,
        "list_group": "nogroup",
    }
    return run_module(mail_declaration, places | more, check)


def forwarding() -> dict[str, Any]:
    """The same site, where info's mail goes on, so that root says what becomes of it."""
    found = graph()
    found["mailboxes"]["info@b.test"]["forward"] = {"to": ["x@elsewhere.test"], "keep": True}
    return found


def owner(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def database(path: Path) -> dict[bytes, bytes]:
    return dict(records(path.read_bytes()))


def test_all_of_it_is_there_after_one_run_and_a_second_changes_nothing(run_module: RunModule, top: Path) -> None:
    before = sorted(top.rglob("*"))
    assert run(run_module, top, forwarding(), check=True)["changed"]
    assert sorted(top.rglob("*")) == before
    made = run(run_module, top, forwarding())
    assert made["changed"]
    assert "+ all@b.test → anna, info@b.test, x@elsewhere.test" in made["changes"]
    assert owner(top / "mail/carol") == (FIRST, FIRST, 0o700)
    assert owner(top / "mail/info@b.test") == (FIRST + 1, FIRST + 1, 0o700)
    assert owner(top / "mail") == (0, 0, 0o711)
    assert owner(top / "state/uids") == (0, 0, 0o600)
    assert owner(top / "etc/declaration.json") == (0, 0, 0o600)
    assert owner(top / "qmail/mailboxes/.qmail-+info@b:test-default") == (0, FIRST + 1, 0o640)
    assert owner(top / f"qmail/users/full/{FIRST + 1}") == (FIRST + 1, FIRST + 1, 0o644)
    assert (top / "qmail/users/assign").read_text().endswith("\n.\n")
    assert database(top / "qmail/users/logins.cdb")[b"carol"].startswith(b"carol\x00200000\0")
    assert database(top / "qmail/users/quotas.cdb") == {b"200001": b"5000000"}
    assert made["mailboxes"]["carol"] == {"uid": FIRST, "gid": FIRST, "home": f"{top}/mail/carol"}
    again = run(run_module, top, forwarding())
    assert not again["changed"], again
    assert again["written"] == again["changes"] == []


@pytest.mark.parametrize(
    "path",
    [
        "users/assign",
        "users/cdb",
        "users/logins.cdb",
        "users/lists/team@b.test",
        "mailboxes/.qmail-+info@b:test-default",
    ],
)
def test_what_was_changed_by_hand_is_told_and_mended(run_module: RunModule, top: Path, path: str) -> None:
    run(run_module, top, forwarding())
    changed = top / "qmail" / path
    before = changed.read_bytes()
    with changed.open("ab") as file:
        file.write(b"=eve:root:0:0:/root:::\n")
    assert str(changed) in run(run_module, top, forwarding(), check=True)["written"]
    assert str(changed) in run(run_module, top, forwarding())["written"]
    assert changed.read_bytes() == before


def test_another_owner_or_mode_is_mended(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    (top / "mail/carol").chmod(0o755)
    (top / "qmail/users/logins.cdb").chmod(0o666)
    assert len(run(run_module, top, graph())["written"]) == 2
    assert owner(top / "mail/carol")[2] == 0o700
    assert owner(top / "qmail/users/logins.cdb")[2] == 0o644


def test_what_is_no_longer_declared_goes_and_its_mail_stays(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    kept = top / "mail/info@b.test/Maildir"
    kept.mkdir()
    less = graph(lists={}, senders={})
    del less["mailboxes"]["info@b.test"]
    less["addresses"] = {"carol@a.test": address("carol")}
    made = run(run_module, top, less)
    assert "- mailbox info@b.test: virtual; quota 5000000; plus-addressing" in made["changes"]
    assert kept.is_dir()
    for gone in ("senders.cdb", "lists.cdb", "quotas.cdb", "recipients.cdb", f"full/{FIRST + 1}", "lists/team@b.test"):
        assert not (top / "qmail/users" / gone).exists(), gone
    assert list((top / "qmail/mailboxes").iterdir()) == []


def test_a_name_that_comes_back_finds_its_mail_and_another_one_never_does(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    less = graph()
    del less["mailboxes"]["carol"]
    less["addresses"] = {"info@b.test": address("info@b.test")}
    run(run_module, top, less)
    less["mailboxes"]["dora"] = mailbox()
    assert run(run_module, top, less)["mailboxes"]["dora"]["uid"] == FIRST + 2
    assert run(run_module, top, graph())["mailboxes"]["carol"]["uid"] == FIRST


def test_mail_that_is_to_go_goes_and_its_uid_with_it(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    (top / "mail/carol/Maildir").mkdir()
    gone = graph()
    gone["mailboxes"]["carol"] |= {"state": "absent", "keep_mail": False}
    gone["addresses"] = {"info@b.test": address("info@b.test")}
    assert run(run_module, top, gone, check=True)["changed"]
    assert (top / "mail/carol/Maildir").is_dir()
    run(run_module, top, gone)
    assert not (top / "mail/carol").exists()
    assert not run(run_module, top, gone)["changed"]
    assert run(run_module, top, graph())["mailboxes"]["carol"]["uid"] == FIRST + 2


def test_an_account_whose_mail_is_to_go_is_told(run_module: RunModule, top: Path) -> None:
    made = run(run_module, top, graph())
    assert made["former"] == {}
    gone = graph()
    gone["mailboxes"]["anna"] |= {"state": "absent", "keep_mail": False}
    gone["addresses"] = {"info@b.test": address("info@b.test")}
    assert run(run_module, top, gone)["former"] == {"anna": made["mailboxes"]["anna"]}
    assert "retired" not in (top / "state/uids").read_text()


@pytest.mark.parametrize("left", [None, "1000 anna system 2026-11-27 held\n"])
def test_a_register_that_is_lost_is_made_from_the_homes(run_module: RunModule, top: Path, left: str | None) -> None:
    """The accounts of people are noted first, so the file is there again, and has only those."""
    run(run_module, top, graph())
    register = top / "state/uids"
    if left:
        register.write_text(left)
    else:
        register.unlink()
    fewer = graph()
    del fewer["mailboxes"]["carol"]
    fewer["addresses"] = {"info@b.test": address("info@b.test")}
    fewer["mailboxes"]["dora"] = mailbox()
    made = run(run_module, top, fewer)["mailboxes"]
    assert (made["info@b.test"]["uid"], made["dora"]["uid"]) == (FIRST + 1, FIRST + 2)
    assert "200000 carol virtual" in register.read_text()
    assert left is None or left in register.read_text()
    assert not run(run_module, top, fewer)["changed"]
    assert run(run_module, top, graph())["mailboxes"]["carol"]["uid"] == FIRST


def test_what_belongs_to_nobody_who_is_known_is_given_to_nobody(run_module: RunModule, top: Path) -> None:
    """A copy of a home, one of a uid that the register doesn't know, and a name that is no mailbox's."""
    run(run_module, top, graph())
    for name, uid in (("a copy of carol's", FIRST), ("straße", FIRST + 2), ("carol.2", FIRST + 3), ("zoe", FIRST + 3)):
        (top / "mail" / name).mkdir()
        os.chown(top / "mail" / name, uid, uid)
    (top / "state/uids").unlink()
    more = graph()
    more["mailboxes"]["dora"] = mailbox()
    made = run(run_module, top, more)["mailboxes"]
    assert {name: who["uid"] for name, who in made.items() if name != "anna"} == {
        "carol": FIRST,
        "info@b.test": FIRST + 1,
        "dora": FIRST + 4,
    }
    assert not run(run_module, top, more)["changed"]


def test_a_home_of_another_uid_is_not_taken(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    os.chown(top / "mail/carol", FIRST + 50, FIRST + 50)
    failed = run(run_module, top, graph())
    assert "mail/carol belongs to the uid 200050" in failed["msg"]
    assert "chown -R 200000:200000" in failed["msg"]


def test_a_link_in_a_home_s_place_is_not_followed(run_module: RunModule, top: Path) -> None:
    (top / "mail").mkdir()
    (top / "mail/carol").symlink_to("/etc")
    assert "is not a directory; move it away" in run(run_module, top, graph())["msg"]
    assert Path("/etc").stat().st_uid == 0


def test_a_directory_of_homes_that_others_can_change_is_refused(run_module: RunModule, top: Path) -> None:
    (top / "mail").mkdir()
    (top / "mail").chmod(0o777)
    assert "can be changed by everybody" in run(run_module, top, graph())["msg"]
    assert list((top / "mail").iterdir()) == []


def test_an_operator_s_own_assignments_are_not_written_over(run_module: RunModule, top: Path) -> None:
    own = top / "qmail/users/assign"
    own.write_text("=x:joe:1000:1000:/home/joe:::\n.\n")
    assert "was not written by this site" in run(run_module, top, graph())["msg"]
    plain = graph(mailboxes={"anna": mailbox("system")}, domains={"a.test": domain("local")}, lists={})
    plain["addresses"] = {"anna@a.test": address("anna")}
    assert "msg" not in run(run_module, top, plain)
    assert "joe" in own.read_text()


def test_a_compiler_that_fails_is_told_and_tried_again(run_module: RunModule, top: Path) -> None:
    compiler = top / "qmail/bin/qmail-newu"
    right = compiler.read_text()
    compiler.write_text("#!/bin/sh\necho 'no memory' >&2\nexit 111\n")
    assert "qmail-newu failed (exit code 111): no memory" in run(run_module, top, graph())["msg"]
    compiler.write_text(right)
    assert str(top / "qmail/users/cdb") in run(run_module, top, graph())["written"]
    assert not run(run_module, top, graph())["changed"]


def test_a_file_that_mail_still_goes_by_is_there(run_module: RunModule, top: Path) -> None:
    run(run_module, top, forwarding())
    (file,) = (top / "qmail/mailboxes").glob(".qmail-info*")
    compiler = top / "qmail/bin/qmail-newu"
    right = compiler.read_text()
    compiler.write_text("#!/bin/sh\nexit 111\n")
    assert "qmail-newu failed" in run(run_module, top, graph())["msg"]
    assert file.exists()
    compiler.write_text(right)
    run(run_module, top, graph())
    assert not file.exists()


def test_what_alias_is_to_deliver_is_there_before_the_table_says_so(run_module: RunModule, top: Path) -> None:
    compiler, own = top / "qmail/bin/qmail-newu", top / "qmail/alias/.qmail-b:test-team"
    own.write_text("an operator's\n")
    compiler.write_text(compiler.read_text() + "ls -A alias >users/there\n")
    made = run(run_module, top, graph(), check=True)
    assert [path.name for path in own.parent.iterdir()] == [own.name]
    made = run(run_module, top, graph())
    assert set((top / "qmail/users/there").read_text().split()) == set(made["aliases"])
    for name, text in made["aliases"].items():
        assert (own.parent / name).read_text() == ("an operator's\n" if name == own.name else text)
        assert owner(own.parent / name) == (0, 0, 0o644)


def test_the_declaration_is_kept_as_it_was_said(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    assert json.loads((top / "etc/declaration.json").read_text()) == graph(homes=f"{top}/mail")


def test_a_suite_that_is_not_there_yet_or_another_one_compiles_later(run_module: RunModule, top: Path) -> None:
    compiler = top / "qmail/bin/qmail-newu"
    right = compiler.read_text()
    compiler.unlink()
    assert run(run_module, top, graph())["uncompiled"]
    compiler.write_text(right)
    compiler.chmod(0o755)
    assert str(top / "qmail/users/cdb") in run(run_module, top, graph())["written"]
    compiler.write_text(right + "# another one\n")
    assert run(run_module, top, graph())["written"] == [str(top / "qmail/users/cdb")]
    assert not run(run_module, top, graph())["changed"]


def otherwise() -> dict[str, Any]:
    """The sample site with a mailbox, an alias, a member, a quota and a forward more, and a mailbox less."""
    after = graph()
    after["mailboxes"] |= {"dora": mailbox(logins=["dora"], quota=1 << 20, plus=True)}
    after["mailboxes"]["carol"] |= {"forward": {"to": ["x@elsewhere.test"], "keep": True}, "quota": 2 << 20}
    del after["mailboxes"]["info@b.test"], after["addresses"]["info@b.test"]
    after["addresses"] |= {
        "dora@a.test": address("dora", why="user", plus=True),
        "all@b.test": address("anna", "carol"),
    }
    after["lists"]["team@b.test"]["members"] = ["anna@mail.a.test"]
    return after


def diff(made: dict[str, Any]) -> list[str]:
    lines: list[str] = made["diff"]["after"].splitlines()
    return lines


def test_a_change_is_told_by_words_alone(run_module: RunModule, top: Path) -> None:
    assert diff(run(run_module, top, graph(), check=True)) == run(run_module, top, graph(), check=True)["changes"]
    run(run_module, top, graph())
    checked, made = (run(run_module, top, otherwise(), check=check) for check in (True, False))
    assert diff(checked) == checked["changes"] == diff(made) == made["changes"]
    assert len(made["written"]) > 10
    assert made["told_mailboxes"] == ["dora"]
    back = run(run_module, top, graph())
    assert diff(back) == back["changes"]
    assert back["told_mailboxes"] == ["info@b.test"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("users/logins.cdb", b"by hand"),
        ("users/assign", b"=eve:root:0:0:/root:::\n.\n"),
        ("users/cdb", b"by hand"),
        ("users/lists/team@b.test", b"eve@elsewhere.test\n"),
        ("mailboxes/.qmail-+info@b:test-default", b"&eve@elsewhere.test\n"),
        ("users/recipients.cdb", None),
    ],
)
def test_what_was_changed_by_hand_is_told_beside_the_words(
    run_module: RunModule, top: Path, name: str, content: bytes | None
) -> None:
    run(run_module, top, graph())
    path = top / "qmail" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    made = run(run_module, top, otherwise(), check=True)
    more = [line.removesuffix(" (removed)") for line in diff(made) if line not in made["changes"]]
    assert str(path) in more
    assert set(more) <= {str(path), str(top / "qmail/users/cdb")}


def test_a_mode_that_is_mended_and_a_home_that_was_lost_are_told_beside_the_words(
    run_module: RunModule, top: Path
) -> None:
    run(run_module, top, graph())
    (top / "qmail/users/logins.cdb").chmod(0o666)
    (top / "mail/carol").rmdir()
    made = run(run_module, top, otherwise(), check=True)
    more = [line for line in diff(made) if line not in made["changes"]]
    assert more == [f"{top}/mail/carol/", f"{top}/qmail/users/logins.cdb"]


def test_mail_that_is_removed_is_told(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    gone = graph()
    gone["mailboxes"]["carol"] |= {"state": "absent", "keep_mail": False}
    gone["addresses"] = {"info@b.test": address("info@b.test")}
    made = run(run_module, top, gone, check=True)
    more = [line for line in diff(made) if line not in made["changes"]]
    assert more == [f"{top}/mail/carol/ (removed with its mail)"]


def test_a_declaration_of_another_form_is_no_hindrance(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    old = {"mailboxes": {}, "fqdn": "x"}
    (top / "etc/declaration.json").write_text(json.dumps(old))
    made = run(run_module, top, graph())
    assert "+ sales@b.test → carol" in made["changes"]


def test_what_other_tasks_write_is_told_by_its_change(run_module: RunModule, top: Path) -> None:
    run(run_module, top, graph())
    assert run(run_module, top, graph())["told"] == {"alias": {}, "control": {}}
    said = run(run_module, top, otherwise(), check=True)["told"]
    old, new = (["# made here.", *(f"&{each}" for each in to)] for to in (
        ["anna@mail.a.test", "info@b.test", "x@elsewhere.test"], ["anna@mail.a.test", "carol@mail.a.test"],
    ))  # fmt: skip
    assert said["alias"] == {".qmail-b:test-all": turn(old, new)}
    known = turn(["info@b.test", "info+@b.test"], ["dora@a.test", "dora+@a.test"])
    assert said["control"]["validrcptto"] == known
