"""mail-site: what it says of a host is so, and a password that it sets is in force at once."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import (  # type: ignore[attr-defined,unused-ignore]
    constant_database,
    host_crypt,
    password_overrides,
    uid_register,
    whole_file,
)
from sitelab.paths import ROOT

from tests.unit.graphs import address, graph

PROGRAM = ROOT / "roles/users/files/usr/local/lib/qmail-site/mail-site/mail_site.py"
PARTS = (constant_database, host_crypt, password_overrides, uid_register, whole_file)
OLD, NEW = "$y$j9T$salt$" + "a" * 43, "the new password"
Ask = Callable[..., list[str]]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A host with carol's home, and a database of passwords."""
    (tmp_path / "mail/carol/Maildir").mkdir(parents=True)
    (tmp_path / "alias").mkdir()
    (tmp_path / "shadow").write_text(f"carol:{OLD}:::::::\ninfo@b.test:!{OLD}:::::::\ncarol/phone:{OLD}::::::9:smtp\n")
    (tmp_path / "checkpassword.conf").write_text(f"# ours\ndatabase {tmp_path}/shadow\n")
    return tmp_path


@pytest.fixture
def ask(top: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run it with arguments; gives the lines that it says, standard error last."""
    for part in PARTS:
        monkeypatch.setitem(sys.modules, part.__name__.rpartition(".")[2], part)
    spec = importlib.util.spec_from_file_location("mail_site", PROGRAM)
    assert spec
    assert spec.loader
    program = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mail_site", program)
    spec.loader.exec_module(program)
    places = {"HOME": top, "DECLARATION": top / "declaration.json", "REGISTER": top / "uids"}
    for name, path in (places | {"CHECKPASSWORD": top / "checkpassword.conf"}).items():
        monkeypatch.setattr(program, name, path)
    monkeypatch.setattr(password_overrides, "LOCK", top / "lock")
    monkeypatch.setattr(password_overrides.read, "__defaults__", (top / "passwords",))
    monkeypatch.setattr(password_overrides.save, "__defaults__", (top / "passwords",))

    def run(*words: str, said: str = "", code: int = 0, declared: dict[str, Any] | None = None) -> list[str]:
        more = {"homes": f"{top}/mail"}
        (top / "declaration.json").write_text(json.dumps((declared or graph()) | more))
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        assert program.main(list(words)) == code
        captured = capsys.readouterr()
        return (captured.out + captured.err).splitlines()

    return run


def test_an_address_is_followed_to_its_mailbox(ask: Ask, top: Path) -> None:
    uid = os.getuid()
    assert ask("show", "Sales@b.test") == [
        "sales@b.test → carol: it is declared",
        f"  carol: {top}/mail/carol/Maildir, as uid {uid}",
    ]
    assert ask("show", "carol@a.test")[0] == "carol@a.test → carol: it is a mailbox's own"
    assert ask("show", "all@b.test")[0] == "all@b.test → anna, info@b.test, x@elsewhere.test: it is declared"
    assert ask("show", "all@b.test")[-1] == "  x@elsewhere.test: elsewhere; it is forwarded, with its sender rewritten"


def test_what_is_behind_an_address_that_is_none_is_said(ask: Ask) -> None:
    declared = graph()
    declared["domains"]["b.test"]["catch_all"] = None
    assert "refused, 550 5.1.1" in ask("show", "nobody@b.test", declared=declared)[0]
    assert ask("show", "nobody@b.test")[0] == "nobody@b.test → carol: b.test has a catch-all"
    assert "not a domain of this site" in ask("show", "joe@elsewhere.test")[0]
    assert ask("show", "joe@c.test")[0] == "joe@c.test: c.test is passed on to mx.c.test"
    declared["domains"]["c.test"]["recipients"] = ["anna"]
    assert "which has no joe" in ask("show", "joe@c.test", declared=declared)[0]


def test_an_extension_is_its_address_s(ask: Ask) -> None:
    assert "+shop is an extension of info@b.test" in ask("show", "info+shop@b.test")[0]
    declared = graph()
    declared["domains"]["b.test"]["catch_all"] = None
    assert "refused" in ask("show", "sales+shop@b.test", declared=declared)[0]


def test_the_longest_address_has_an_extension_as_qmail_has_it(ask: Ask) -> None:
    declared = graph()
    declared["addresses"]["carol@a.test"]["plus"] = True
    declared["addresses"]["carol+x@a.test"] = address("anna", why="alias", dash=True)
    said = "carol+x-y@a.test → anna: -y is an extension of carol+x@a.test"
    assert ask("show", "carol+x-y@a.test", declared=declared)[0] == said
    assert "is an extension of carol@a.test" in ask("show", "carol+xy-z@a.test", declared=declared)[0]
    assert "+@a.test → carol: + is an extension" in ask("show", "carol+@a.test", declared=declared)[0]


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ("carol", ".qmail"),
        ("carol+a-b.c", ".qmail-a-b:c"),
        ("carol+a-b.c", ".qmail-a-default"),
        ("carol+a-b.c", ".qmail-default"),
        ("carol+a-b.c", ".qmail"),
    ],
)
def test_a_file_of_the_user_s_own_is_named(ask: Ask, top: Path, asked: str, file: str) -> None:
    declared = graph()
    declared["addresses"]["carol@a.test"]["plus"] = True
    (top / "mail/carol").mkdir(parents=True, exist_ok=True)
    (top / "mail/carol/.qmail-other").touch()
    assert "/Maildir, " in ask("show", f"{asked}@a.test", declared=declared)[-1]
    (top / "mail/carol" / file).touch()
    assert ask("show", f"{asked}@a.test", declared=declared)[-1] == (
        f"  carol: as {top}/mail/carol/{file} says, as uid {os.getuid()}"
    )
    declared["mailboxes"]["carol"]["forward"] = {"to": ["x@elsewhere.test"], "keep": True}
    assert "/Maildir, " in ask("show", f"{asked}@a.test", declared=declared)[-2]


def test_an_address_that_qmail_smtpd_does_not_know_is_told(ask: Ask, top: Path) -> None:
    (top / "control").mkdir()
    table = top / "control/validrcptto.cdb"
    table.write_bytes(constant_database.made([(b"carol@a.test", b"")]))
    assert len(ask("show", "carol@a.test")) == 2
    assert "doesn't know it, so it is refused" in ask("show", "sales@b.test")[-1]
    table.write_bytes(constant_database.made([(b"@b.test", b"")]))
    assert len(ask("show", "sales@b.test")) == 2


def test_the_list_has_each_mailbox_and_what_it_holds(ask: Ask, top: Path) -> None:
    home = top / "mail/info@b.test/Maildir"
    home.mkdir(parents=True)
    (home / "maildirsize").write_text("5000000S\n3000000 10\n-952576 -2\n")
    lines = {line.split()[0]: line for line in ask("list")}
    assert "2.0 MiB of 4.8 MiB" in lines["info@b.test"]
    assert f"virtual; present; uid {os.getuid()}, {top}/mail/carol" in lines["carol"]
    assert "not on this host" in lines["anna"]


def test_a_password_is_in_force_at_once_and_remembered(ask: Ask, top: Path) -> None:
    assert ask("passwd", "carol", said=f"{NEW}\n") == ["carol has another password now, until another one is declared"]
    rows = [line.split(":") for line in (top / "shadow").read_text().splitlines()]
    assert host_crypt.Crypt().fits(NEW.encode(), rows[0][1])
    assert rows[1:] == [["info@b.test", f"!{OLD}", *[""] * 7], ["carol/phone", OLD, *[""] * 5, "9", "smtp"]]
    assert stat.S_IMODE((top / "shadow").stat().st_mode) == 0o600
    override = password_overrides.read(top / "passwords")["carol"]
    assert override == (rows[0][1], OLD)
    ask("passwd", "carol", said="still another one\n")
    assert password_overrides.read(top / "passwords")["carol"].former == OLD


def test_a_device_s_password_keeps_its_end_and_who_is_disabled_stays_so(ask: Ask, top: Path) -> None:
    declared = graph()
    declared["mailboxes"]["carol"]["devices"] = {"phone": {"services": ["smtp"], "until": 8}}
    ask("passwd", "carol/phone", said=NEW, declared=declared)
    assert (top / "shadow").read_text().splitlines()[2].endswith("::::::9:smtp")
    assert "still disabled" in ask("passwd", "info@b.test", said=NEW)[0]
    assert (top / "shadow").read_text().splitlines()[1].startswith("info@b.test:!$y$")


@pytest.mark.parametrize(
    ("name", "said", "why"),
    [
        ("joe", NEW, "none of this site's mailboxes"),
        ("carol/tablet", NEW, "no password named 'tablet'"),
        ("carol", "short", "a password has 8 characters"),
        ("carol", "with\x07bell in it", "no control characters"),
        ("anna", NEW, "anna is not in"),
    ],
)
def test_what_can_t_be_set_changes_nothing(ask: Ask, top: Path, name: str, said: str, why: str) -> None:
    before = (top / "shadow").read_bytes()
    (line,) = ask("passwd", name, said=said, code=1)
    assert why in line
    assert said not in line
    assert (top / "shadow").read_bytes() == before
    assert not (top / "passwords").exists()


def test_what_nobody_declared_is_told(ask: Ask, top: Path) -> None:
    (top / "mail/dora").mkdir()
    (top / "alias/.qmail-old").write_text("&x@elsewhere.test\n")
    (top / "alias/.qmail-b:test-all").write_text("# Written by qmail-site for its users.\n&anna\n")
    register = uid_register.Register([])
    register.give("dora", "virtual", 200000, 200099)
    register.give("carol", "virtual", 200000, 200099)
    register.save(top / "uids")
    lines = "\n".join(ask("undeclared"))
    assert "mail/dora: the mail of dora" in lines
    assert "alias/.qmail-old" in lines
    assert "all" not in lines.replace("alias", "")
    assert "uid 200000: kept for dora" in lines
    assert "carol" not in lines


def test_without_a_declaration_it_says_so(ask: Ask, top: Path) -> None:
    ask("list")
    (top / "declaration.json").unlink()
    spec = sys.modules["mail_site"]
    assert spec.main(["list"]) == 1


def test_an_address_with_an_end_has_it_told(ask: Ask) -> None:
    declared = graph()
    declared["addresses"]["shop7@b.test"] = address("carol", until=20849)
    assert "  until 2027-01-31" in ask("show", "shop7@b.test", declared=declared)
    declared["mailboxes"]["carol"]["vacation"] = {"subject": "", "text": "x", "from": None, "until": 20824}
    assert "  carol: senders are told that nobody is there until 2027-01-06" in ask(
        "show", "shop7@b.test", declared=declared
    )
