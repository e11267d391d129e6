"""mail-site: what it says of a host is so, and a password that it sets is in force at once."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pwd
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import (  # type: ignore[attr-defined,unused-ignore]
    constant_database,
    host_crypt,
    mail_tables,
    mail_told,
    password_overrides,
    uid_register,
    whole_file,
)
from sitelab.paths import ROOT

from filter_plugins.control_files import declared_control_files
from module_utils.mail_graph import compile_site
from tests.unit.graphs import graph

FOLDER = ROOT / "roles/users/files/usr/local/lib/qmail-site/mail-site"
PARTS = (constant_database, host_crypt, mail_told, password_overrides, uid_register, whole_file)
OLD, NEW = "$y$j9T$salt$" + "a" * 43, "the new password"
Ask = Callable[..., list[str]]
Show = Callable[..., list[str]]
# A site with each kind of domain, mailbox and way out; anna has an account of the host.
DECLARED: dict[str, Any] = {
    "mail_fqdn": "mail.a.test",
    "mail_postmaster": "anna",
    "mail_offices": ["postmaster"],
    "mail_mailboxes": "virtual",
    "mail_domains": [
        "a.test",
        {
            "name": "b.test",
            "addresses": {
                "sales": "carol",
                "all": ["anna", "x@elsewhere.test", "anna@c.test"],
                "shop7": {"to": "carol", "until": "2027-01-31"},
                "*": "carol",
            },
        },
        {"name": "c.test", "relay_to": "mx.c.test", "recipients": ["anna"]},
        {"name": "d.test", "relay_to": "mx", "recipients": "any"},
    ],
    "mail_users": [
        {"name": "anna", "mailbox": "system", "password_hash": OLD},
        {"name": "carol", "password_hash": OLD},
        {"name": "erin", "password_hash": OLD, "forward": {"to": ["y@elsewhere.test"]}}
        | {"vacation": {"text": "x", "until": "2027-01-06"}},
        {"name": "info@b.test", "password_hash": OLD, "plus": True},
    ],
    "mail_lists": [{"address": "team@b.test", "members": ["anna", "y@partner.test"], "owner": "anna"}],
    "mail_routes": [
        {"to": "*", "via": "smtp.provider.test", "port": 587, "user": "x", "password": "y", "tls": "verify"},
        {"to": "partner.test", "via": "192.0.2.9", "tls": "required"},
        {"to": ".bank.test", "tls": "verify"},
    ],
}
ANNA = os.getuid() or 1  # nobody's mail is delivered as root
OFFERED = "TLS where it is offered"
EVERYWHERE = "leaves by smtp.provider.test, port 587, with a password, TLS verified, because of the route to *"


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
    loaded(monkeypatch, "mail_lookups")
    program = loaded(monkeypatch, "mail_site")
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


def loaded(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """A part of the program, as it is beside the others on a host."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    part = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, part)
    spec.loader.exec_module(part)
    return part


def compiled(keys: list[bytes]) -> bytes:
    made: bytes = constant_database.made((key, b"") for key in keys)
    return made


def assigned(lines: list[str]) -> bytes:
    """What qmail-newu makes of users/assign: lib/assign.h."""
    parts = [line.split(":", 1) for line in lines]
    ends = {key[-1:] for key, _ in parts if key.startswith("+")}
    records = [(key.encode(), rest.replace(":", "\0").encode()) for key, rest in parts]
    made: bytes = constant_database.made([*records, (b"", "".join(sorted(ends)).encode())])
    return made


def stand(top: Path, site: dict[str, Any], declared: dict[str, Any]) -> None:
    """Have a host's tables as the roles make them of a site."""
    for folder in ("control", "users/lists", "mailboxes", "alias", "home/anna"):
        (top / folder).mkdir(parents=True, exist_ok=True)
    os.chown(top / "home/anna", ANNA, -1)
    said: dict[str, Any] = {
        "derived": {"me": "mail.a.test", "srsdomain": "mail.a.test"},
        "control": {},
        "virtualdomains": {},
    }
    said |= {"recipients": ["*"], "more_recipients": [], "alias_targets": {}}
    control = declared_control_files(site, said)
    for name, text in (control["files"] | control["secrets"]).items():
        (top / "control" / name).write_text(text)
    valid = constant_database.listed((top / "control/validrcptto").read_bytes())
    (top / "control/validrcptto.cdb").write_bytes(compiled(valid))
    owner, alias = os.getuid(), mail_tables.Account(1, 1, f"{top}/alias")
    accounts = {name: mail_tables.Account(owner, owner, f"{top}/mail/{name}") for name in declared["mailboxes"]}
    accounts |= {"anna": mail_tables.Account(owner, owner, f"{top}/home/anna")}
    tables = mail_tables.Tables(declared, accounts, alias, "# made here")
    (top / "users/cdb").write_bytes(assigned([line.replace("/var/qmail", str(top)) for line in tables.assignments()]))
    texts = {f"alias/{name}": text for name, text in tables.aliases().items()}
    texts |= {f"users/lists/{name}": text for name, text in tables.members().items()}
    texts |= {f"mailboxes/{name}": file.content for name, file in tables.managed().items()}
    for name, text in texts.items():
        (top / name).write_text(text)
    for name, records in (("recipients", tables.recipients()), ("quotas", tables.quotas())):
        path = top / f"users/{name}.cdb"
        path.write_bytes(constant_database.made((key.encode(), value) for key, value in records.items()))
    for name in accounts:
        Path(accounts[name].home).mkdir(exist_ok=True)


@pytest.fixture
def show(ask: Ask, top: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Ask where an address goes, on a host that stands as DECLARED and MORE have it."""
    monkeypatch.setattr(sys.modules["mail_site"], "today", lambda: 20784)
    people = {
        "anna": pwd.struct_passwd(("anna", "x", ANNA, 1, "", f"{top}/home/anna", "")),
        "alias": pwd.struct_passwd(("alias", "x", 1, 1, "", f"{top}/alias", "")),
    }
    monkeypatch.setattr(pwd, "getpwnam", lambda name: people[name])

    def run(address: str, stand_first: bool = True, code: int = 0, **more: Any) -> list[str]:
        site = DECLARED | more
        declared = compile_site(site) | {"homes": f"{top}/mail"}
        if stand_first:
            stand(top, site, declared)
        return ask("show", address, code=code, declared=declared)

    return run


def test_an_address_is_followed_to_its_mailbox(show: Show, top: Path) -> None:
    uid = os.getuid()
    assert show("Sales@b.test") == [
        "sales@b.test → carol: it is declared",
        f"  carol: {top}/mail/carol/Maildir, as uid {uid}",
    ]
    assert show("carol@a.test")[0] == "carol@a.test → carol: it is a mailbox's own"
    assert show("carol") == ["carol@mail.a.test → carol: it is a mailbox's own", *show("carol@a.test")[1:]]
    assert show("postmaster@a.test") == [
        "postmaster@a.test → anna: it is one of mail_offices",
        f"  anna: {top}/home/anna/Maildir, as uid {ANNA}",
    ]
    full = [DECLARED["mail_users"][0], {"name": "carol", "password_hash": OLD, "quota": 5000000}]
    more = {"mail_users": full, "mail_domains": ["a.test"], "mail_lists": []}
    assert show("carol@a.test", **more)[1].endswith(f"as uid {uid}, nothing counted yet of 4.8 MiB")


def test_what_leads_elsewhere_leaves_by_its_route_and_its_sender_is_told(show: Show, top: Path) -> None:
    assert show("all@b.test") == [
        "all@b.test → anna, x@elsewhere.test, anna@c.test: it is declared",
        f"  anna: {top}/home/anna/Maildir, as uid {ANNA}",
        f"  x@elsewhere.test: {EVERYWHERE}; a sender from elsewhere is rewritten (SRS)",
        f"  anna@c.test: leaves by mx.c.test, port 25, {OFFERED}, because of its relay_to; its sender stays",
    ]
    (top / "control/srsdomain").unlink()
    assert show("all@b.test", stand_first=False)[2].endswith("; its sender stays")


def test_a_forward_a_vacation_and_a_list_are_followed(show: Show, top: Path) -> None:
    assert show("erin@a.test") == [
        "erin@a.test → erin: it is a mailbox's own",
        "  erin: senders are told that nobody is there until 2027-01-06",
        "  erin: forwarded to y@elsewhere.test",
        f"  y@elsewhere.test: {EVERYWHERE}; a sender from elsewhere is rewritten (SRS)",
    ]
    lines = show("team@b.test")
    assert lines[:2] == ["team@b.test → anna, y@partner.test: it is a list", "  members may send; anna owns it"]
    assert lines[2] == f"  anna: {top}/home/anna/Maildir, as uid {ANNA}"
    assert lines[3].startswith("  y@partner.test: leaves by 192.0.2.9, port 25, TLS required")
    assert len(lines) == 4


def test_a_person_s_own_dot_qmail_is_his_own(show: Show, top: Path) -> None:
    show("anna@a.test")
    (top / "home/anna/.qmail").write_text("|hers\n")
    assert show("anna@a.test")[1:] == [f"  anna: by {top}/home/anna/.qmail, which is anna's own"]


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("joe@elsewhere.test", "{}"),
        ("joe@partner.test", "leaves by 192.0.2.9, port 25, TLS required, because of the route to partner.test"),
        ("joe@x.bank.test", "leaves by smtp.provider.test, port 587, with a password, TLS verified, because of the "
         "route to .bank.test"),
    ],
)  # fmt: skip
def test_a_foreign_address_names_its_route(show: Show, address: str, way: str) -> None:
    domain = address.partition("@")[2]
    way = way.format(EVERYWHERE)
    assert show(address) == [f"{address}: {domain} is not a domain of this site; its mail {way}"]


def test_without_a_route_the_mx_records_have_it(show: Show) -> None:
    said = show("joe@elsewhere.test", mail_routes=[])
    assert said[0].endswith(
        "its mail leaves by its MX records, TLS where it is offered, or as DANE and MTA-STS ask for"
    )
    said = show("joe@x.bank.test", mail_routes=[{"to": ".bank.test", "tls": "verify"}])
    assert said[0].endswith("its mail leaves by its MX records, TLS verified, because of the route to .bank.test")


def test_postmaster_of_a_domain_that_is_passed_on_is_accepted(show: Show) -> None:
    way = f"c.test is passed on to mx.c.test; its mail leaves by mx.c.test, port 25, {OFFERED}, because of its relay_to"
    assert show("postmaster@c.test") == [f"postmaster@c.test: {way}"]
    assert show("anna@c.test") == [f"anna@c.test: {way}"]
    assert show("joe@c.test") == [f"joe@c.test: refused, 550 5.1.1: it has no such recipient; {way}"]


def test_mx_is_no_host_and_goes_before_the_route_for_all(show: Show) -> None:
    (line,) = show("joe@d.test")
    assert line.startswith("joe@d.test: d.test is passed on by its MX records; its mail leaves by its MX records, TLS")
    (line,) = show("joe@d.test", mail_routes=[])
    assert "leaves by its MX records, TLS" in line


def test_a_relay_without_a_dot_is_not_completed(show: Show) -> None:
    domains = [*DECLARED["mail_domains"], {"name": "e.test", "relay_to": "gateway", "recipients": "any"}]
    assert "leaves by gateway (asked for in the DNS as it stands), port 25" in show("a@e.test", mail_domains=domains)[0]


def test_an_address_whose_last_day_is_over_is_refused(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    assert show("shop7@b.test")[:2] == ["shop7@b.test → carol: it is declared", "  until 2027-01-31"]
    monkeypatch.setattr(sys.modules["mail_site"], "today", lambda: 20850)
    assert show("shop7@b.test") == ["shop7@b.test: refused, 550 5.1.1: its last day was 2027-01-31"]


def test_what_is_behind_an_address_that_is_none_is_said(show: Show) -> None:
    assert show("nobody@b.test")[0] == "nobody@b.test → carol: b.test has a catch-all"
    assert show("nobody@a.test") == [
        "nobody@a.test: refused, 550 5.1.1: a.test is this site's, and no such address is declared there"
    ]
    assert "leads a bounce back" in show("SRS0=abcdefgh=ab=x.test=joe@mail.a.test")[0]


def test_an_extension_is_its_address_s(show: Show) -> None:
    lines = show("info+shop@b.test")
    assert lines[0] == "info+shop@b.test → info@b.test: +shop is an extension of info@b.test"
    assert "mail/info@b.test/Maildir, as" in lines[1]
    assert len(lines) == 2
    assert show("sales+shop@b.test")[0] == "sales+shop@b.test → carol: b.test has a catch-all"


def test_an_extension_goes_by_its_own_files_and_else_where_all_goes(show: Show, top: Path) -> None:
    people = [person | {"plus": True} if person["name"] == "anna" else person for person in DECLARED["mail_users"]]
    show("anna+a-b.c@a.test", mail_users=people)
    home = top / "home/anna"
    for name in (".qmail", ".qmail-default", ".qmail-a-default", ".qmail-a-b:c"):
        (home / name).write_text("|hers\n")
        said = show("anna+a-b.c@a.test", mail_users=people)
        assert said[0] == "anna+a-b.c@a.test → anna: +a-b.c is an extension of anna@a.test"
        assert said[1:] == [f"  anna: by {home}/{name}, which is anna's own"]


# Each file that a program looks up, changed behind the declaration's back, and what is said of the address then.
DIFFERENT: dict[str, tuple[str, str, str | None, list[str]]] = {
    "no recipient": ("sales@b.test", "control/validrcptto", "carol@a.test\n", ["doesn't know it, so it is refused"]),
    "not received": ("sales@b.test", "control/rcpthosts", "a.test\n", ["refused, 553: it is declared, but"]),
    "no relay's recipient": ("anna@c.test", "control/validrcptto", "", ["refused, 550", "lacks it: run the play"]),
    "a relay's recipient": ("joe@c.test", "control/validrcptto", "@c.test\n", ["c.test is passed", "has it: run the"]),
    "virtual no more": ("sales@b.test", "control/virtualdomains", None, ["to lead to carol, too", "isn't declared to"]),
    "another file": (
        "all@b.test",
        "alias/.qmail-b:test-all",
        "&anna@c.test\n",
        ["lead to anna, x@elsewhere.test, too"],
    ),
    "no file": ("all@b.test", "alias/.qmail-b:test-all", None, ["isn't declared to lead to carol"]),
    "a program": ("all@b.test", "alias/.qmail-b:test-all", "|cat\n", ["  alias: cat is run", "anna, anna@c.test, x@"]),
    "another member": ("team@b.test", "users/lists/team@b.test", "eve@e.test\n", ["isn't declared to lead to eve@e"]),
    "another route": ("x@f.test", "control/smtproutes", ":10.0.0.1\n", ["leave by smtp.provider.test, port 587, with"]),
    "no log-in": ("x@f.test", "control/smtproutes_auth", None, ["a password is declared: run the play"]),
    "no end": ("shop7@b.test", "users/recipients.cdb", None, ["it is declared with the last day 2027-01-31"]),
    "no table": ("erin@a.test", "users/cdb", None, ["is declared to lead to y@elsewhere.test, too"]),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_where_a_table_is_otherwise_than_declared_both_are_told(show: Show, top: Path, case: str) -> None:
    address, name, content, said = DIFFERENT[case]
    assert "run the play again" not in "\n".join(show(address))
    path = top / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    if name.endswith("validrcptto"):
        path.with_suffix(".cdb").write_bytes(compiled([line.encode() for line in (content or "").split()]))
    lines = show(address, stand_first=False)
    for words in said:
        assert words in "\n".join(lines), lines


def test_a_broken_table_is_said(show: Show, top: Path) -> None:
    show("sales@b.test")
    (top / "users/cdb").write_bytes(b"=")
    (line,) = show("sales@b.test", stand_first=False, code=1)
    assert line == f"mail-site: {top}/users/cdb is not whole"


def test_what_is_declared_is_listed_in_the_words_of_a_play(ask: Ask) -> None:
    assert ask("list", "addresses")[:2] == ["all@b.test → anna, info@b.test, x@elsewhere.test", "anna@a.test → anna"]
    assert "domain c.test: passed on to mx.c.test; any recipient" in ask("list", "domains")
    who = "members may send; anna owns it"
    assert ask("list", "lists") == [f"list team@b.test → anna@mail.a.test, y@elsewhere.test; {who}"]
    route = {"to": "*", "via": "r.test", "port": 587, "user": "x", "tls": "verify", "names": []}
    declared = graph(routes=[route])
    said = "route to *: by r.test, port 587; logs in as x; TLS verified"
    assert ask("list", "routes", declared=declared) == [said]
    assert ask("list", "mailboxes") == ask("list")


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
