"""mail_lookups: what qmail's programs would find of an address, in their files and in their order."""

from __future__ import annotations

import importlib.util
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import constant_database  # type: ignore[attr-defined,unused-ignore]
from sitelab.paths import ROOT

PROGRAM = ROOT / "roles/users/files/usr/local/lib/qmail-site/mail-site/mail_lookups.py"
PLAIN = (False, "offered")  # no password, TLS where it is offered
ME = os.getuid() or 1  # nobody's mail is delivered as root


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with what is beside it on a host."""
    monkeypatch.setitem(sys.modules, "constant_database", constant_database)
    spec = importlib.util.spec_from_file_location("mail_lookups", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mail_lookups", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("files", "way"),
    [
        ({}, (None, "", 25, *PLAIN)),
        ({"smtproutes": [":r.test"]}, ("", "r.test", 25, *PLAIN)),
        ({"smtproutes": [":r.test", ".b.test:s.test:26", "x.a.b.test:t.test"]}, (".b.test", "s.test", 26, *PLAIN)),
        ({"smtproutes": ["A.B.test:first", "a.b.test:second"]}, ("a.b.test", "first", 25, *PLAIN)),
        ({"smtproutes": ["a.b.test:", ":r.test"], "smtproutes_auth": ["r.test joe x"]}, ("a.b.test", "", 25, *PLAIN)),
        ({"smtproutes": [":R.test:587"], "smtproutes_auth": ["r.test joe x"]}, ("", "R.test", 587, True, "verify")),
        ({"smtproutes": [":r.test:587"], "smtproutes_auth": ["r.test:25 joe x"]}, ("", "r.test", 587, *PLAIN)),
        (
            {"smtproutes": [":[2001:db8::1]:587"], "smtproutes_auth": ["[IPv6:2001:DB8:0::1]:587 joe x"]},
            ("", "2001:db8::1", 587, True, "verify"),
        ),
        ({"tlsverifyhosts": [".b.test:mx.b.test"], "tlsrequiredhosts": [":"]}, (None, "", 25, False, "verify")),
        ({"tlsrequiredhosts": [":"], "notlshosts": ["a.b.test"]}, (None, "", 25, False, "required")),
        ({"notlshosts": [".test"]}, (None, "", 25, False, "never")),
        ({"smtproutes": [":r.test"], "notlshosts": ["r.test"]}, ("", "r.test", 25, False, "never")),
    ],
)  # fmt: skip
def test_the_way_out_is_that_of_qmail_remote(lookups: Any, files: dict[str, list[str]], way: tuple[Any, ...]) -> None:
    assert lookups.way("a.b.test", lambda name: files.get(name, [])) == lookups.Way(*way)


def test_a_recipient_is_found_by_itself_its_extensions_and_its_domain(lookups: Any) -> None:
    assert list(lookups.keys("a-b+c@d.test")) == ["a-b+c@d.test", "a-b+@d.test", "a-@d.test", "@d.test"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Homes of joe, which is his, and of eve, which is another's."""
    for name in ("joe", "eve", "alias", "root"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, os.getuid() if name == "root" else ME, -1)
    uids = {"joe": ME, "eve": ME + 1, "alias": ME, "root": 0}
    people = {name: pwd.struct_passwd((name, "x", uid, 1, "", f"{tmp_path}/{name}", "")) for name, uid in uids.items()}
    monkeypatch.setattr(pwd, "getpwnam", lambda name: people[name])
    (tmp_path / "control").mkdir()
    (tmp_path / "users").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("local", "found"),
    [
        ("joe", ("joe", "", "")),
        ("Joe-a.b-c", ("joe", "-", "a.b-c")),
        ("eve", ("alias", "-", "eve")),
        ("root", ("alias", "-", "root")),
        ("nobody-x", ("alias", "-", "nobody-x")),
        ("b.test-info", ("carol", "", "")),
        ("b.test-info+x-y", ("carol", "-", "+carol-x-y")),
        ("b.test-else", ("alias", "-", "b.test-else")),
    ],
)
def test_who_delivers_is_whom_qmail_lspawn_finds(
    lookups: Any, home: Path, local: str, found: tuple[str, str, str]
) -> None:
    records = [
        (b"=b.test-info", f"carol\0{ME}\0{ME}\0/srv/carol\0\0\0".encode()),
        (b"+b.test-info+", f"carol\0{ME}\0{ME}\0/managed\0-\0+carol-\0".encode()),
        (b"+b.test-", f"alias\0{ME}\0{ME}\0/alias\0-\0b.test-\0".encode()),
        (b"", b"+-"),
    ]
    (home / "users/cdb").write_bytes(constant_database.made(records))
    account = lookups.Lookups(home).account(local)
    assert (account.user, account.dash, account.ext) == found


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("joe@a.test", "joe"),
        ("joe@localhost", "joe"),
        ("joe@b.test", "b.test-joe"),
        ("info@c.test", "bob-info"),
        ("joe@c.test", None),
        ("joe@x.d.test", "d-joe"),
        ("joe@not.d.test", None),
        ("joe@elsewhere.test", None),
    ],
)
def test_what_stays_here_is_what_qmail_send_keeps(lookups: Any, home: Path, address: str, local: str | None) -> None:
    (home / "control/locals").write_text("A.test\n# x\n")
    (home / "control/virtualdomains").write_text("b.test:b.test\ninfo@c.test:bob\n.d.test:d\nnot.d.test:\n")
    assert lookups.Lookups(home).local_part(address) == local


def test_the_nearest_dot_qmail_file_counts(lookups: Any, home: Path) -> None:
    host = lookups.Lookups(home)
    account = lookups.Account("joe", ME, home / "joe", "-", "A.b-c")
    assert host.instructions(account) is None
    for name in (".qmail-default", ".qmail-a:b-default", ".qmail-a:b-c"):
        (home / "joe" / name).write_text(f"# {name}\n&x@{name}\n\n")
        found = host.instructions(account)
        assert (found.file.name, found.lines) == (name, [f"&x@{name}"])
    (home / "joe/.qmail-a:b-c").unlink()
    (home / "joe/.qmail-a:b-c").symlink_to("/etc/passwd")
    assert host.instructions(account).lines == []  # what is a person's is not followed by root
    plain = lookups.Account("joe", ME, home / "joe", "", "")
    assert host.instructions(plain).lines == ["./Maildir/"]
