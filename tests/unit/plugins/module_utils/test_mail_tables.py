"""mail_tables: what a declaration becomes, file by file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.host_paths import turn
from ansible.module_utils.mail_tables import Account, Tables, control
from hypothesis import given, settings

from filter_plugins.control_files import declared_control_files
from module_utils.mail_graph import compile_site, faults
from tests.unit.deliveries import Delivery, delivered
from tests.unit.graphs import address, domain, graph, mailbox
from tests.unit.plugins.module_utils.test_mail_graph_properties import TODAY, repaired, sites

MARK = "# made here."
ACCOUNTS = {
    "anna": Account(1000, 1000, "/home/anna"),
    "carol": Account(200000, 200000, "/srv/mail/carol"),
    "info@b.test": Account(200001, 200001, "/srv/mail/info@b.test"),
}
ALIAS = Account(150, 151, "/var/qmail/alias")


def tables(**more: object) -> Tables:
    return Tables(graph(**more), ACCOUNTS, ALIAS, MARK)


def test_what_the_accounts_of_the_host_say_needs_no_table() -> None:
    boxes = {"anna": mailbox("system")}
    domains = {"a.test": domain("local")}
    made = tables(mailboxes=boxes, domains=domains, lists={}, addresses={"anna@a.test": address("anna")})
    assert made.assignments() == []
    assert made.aliases() == {}
    assert made.managed() == {}


def test_a_virtual_mailbox_is_delivered_as_its_uid_into_its_home() -> None:
    lines = tables().assignments()
    assert "=carol:carol:200000:200000:/srv/mail/carol:::" in lines
    assert "=b.test-sales:carol:200000:200000:/srv/mail/carol:::" in lines
    assert "=b.test-info:info@b.test:200001:200001:/srv/mail/info@b.test:::" in lines


def test_what_else_there_is_in_a_virtual_domain_is_alias_s() -> None:
    assert "+b.test-:alias:150:151:/var/qmail/alias:-:b.test-:" in tables().assignments()


def test_extensions_go_by_the_home_or_by_a_file_of_root_s_where_root_says_what_becomes_of_mail() -> None:
    made = tables()
    assert "+b.test-info+:info@b.test:200001:200001:/srv/mail/info@b.test::-:" in made.assignments()
    assert made.managed() == {}
    boxes = graph()["mailboxes"]
    boxes["info@b.test"]["forward"] = {"to": ["x@elsewhere.test"], "keep": True}
    made = tables(mailboxes=boxes)
    assert "+b.test-info+:info@b.test:200001:200001:/var/qmail/mailboxes:-:+info@b.test-:" in made.assignments()
    file = made.managed()[".qmail-+info@b:test-default"]
    assert (file.gid, file.content) == (200001, f"{MARK}\n/srv/mail/info@b.test/Maildir/\n&x@elsewhere.test\n")


@pytest.mark.parametrize("domain", ["a.test", "b.test"])
@pytest.mark.parametrize(("name", "kind"), [("anna", "system"), ("carol", "virtual")])
@pytest.mark.parametrize("forwards", [False, True])
@pytest.mark.parametrize("why", ["user", "alias"])
@pytest.mark.parametrize("sign", ["+", "-"])
def test_an_extension_is_never_bounced(domain: str, name: str, kind: str, forwards: bool, why: str, sign: str) -> None:
    """Whatever the mailbox, the domain, the address and the sign."""
    local = name if why == "user" else f"an.alias-{sign}of"
    entry = address(name, why=why, **{{"+": "plus", "-": "dash"}[sign]: True})
    forward = {"to": ["x@elsewhere.test"], "keep": True} if forwards else None
    boxes = {name: mailbox(kind, forward=forward, logins=[name])}
    made = tables(mailboxes=boxes, addresses={f"{local}@{domain}": entry}, lists={}, senders={})
    home = ACCOUNTS[name].home
    key = "" if not forwards else f"/var/qmail/mailboxes/.qmail-+{name}-default"
    for more in ("shop", "", "a-b+c", "Big.Shop", sign):
        asked = f"{local}{sign}{more}@{domain}"
        assert delivered(made, asked) == Delivery(name, key or f"{home}/Maildir/")
        assert delivered(made, asked, {name: {".qmail"}}) == Delivery(name, key or f"{home}/.qmail")
        own = f".qmail-{more.lower().replace('.', ':')}"
        assert delivered(made, asked, {name: {own, ".qmail"}}) == Delivery(name, key or f"{home}/{own}")
    assert delivered(made, f"{local}@{domain}") is not None


@pytest.mark.parametrize("domain", ["a.test", "b.test"])
def test_an_address_that_looks_like_somebody_s_extension_is_its_own(domain: str) -> None:
    """An account, an alias, a list or a mailbox of that name goes before anna-anything."""
    accounts = ACCOUNTS | {"anna-b": Account(1001, 1001, "/home/anna-b"), "anna-c": Account(200002, 200002, "/m/c")}
    boxes = {"anna": mailbox("system"), "anna-b": mailbox("system"), "anna-c": mailbox("virtual")}
    leads = {"anna-all": ["anna", "x@elsewhere.test"], "anna-x": ["anna-b"]}
    for dash in ({"dash": True}, {}):
        found = {name: address(name, why="user", **dash) for name in boxes}
        found["anna-b"].pop("dash", None)
        found |= {name: address(*to) for name, to in leads.items()}
        addresses = {f"{local}@{domain}": entry for local, entry in found.items()}
        made = Tables(graph(mailboxes=boxes, addresses=addresses, lists={}), accounts, ALIAS, MARK)
        for name in boxes:
            assert delivered(made, f"{name}@{domain}") == Delivery(name, f"{accounts[name].home}/Maildir/")
        for name in leads:
            file = delivered(made, f"{name}@{domain}")
            assert file is not None
            if domain == "b.test" and name == "anna-x":
                assert file.user == "anna-b"
            else:
                assert file == Delivery("alias", f"/var/qmail/alias/{made._alias_file(name, domain)}")
        if dash:
            assert delivered(made, f"anna-b-shop@{domain}") == Delivery("anna", "/home/anna/Maildir/")
            assert delivered(made, f"anna-c-shop@{domain}") == Delivery("anna-c", "/m/c/Maildir/")


def test_the_file_of_an_extension_is_never_another_s_who_has_a_longer_name() -> None:
    """anna-b-x@ is anna's where anna-b has no dash-addressing, though anna-b has a file for her own extensions."""
    accounts = ACCOUNTS | {"anna-b": Account(1001, 1001, "/home/anna-b")}
    forward = {"to": ["x@elsewhere.test"], "keep": True}
    boxes = {name: mailbox("system", forward=forward) for name in ("anna", "anna-b")}
    addresses = {
        "anna@a.test": address("anna", why="user", dash=True),
        "anna-b@a.test": address("anna-b", why="user", plus=True),
    }
    made = Tables(graph(mailboxes=boxes, addresses=addresses, lists={}), accounts, ALIAS, MARK)
    managed = "/var/qmail/mailboxes"
    assert delivered(made, "anna-b-x@a.test") == Delivery("anna", f"{managed}/.qmail-+anna-default")
    assert delivered(made, "anna-b+x@a.test") == Delivery("anna-b", f"{managed}/.qmail-+anna=b-default")


def test_a_forward_that_keeps_delivers_twice() -> None:
    boxes = graph()["mailboxes"]
    boxes["carol"]["forward"] = {"to": ["x@elsewhere.test", "anna"], "keep": True}
    made = tables(mailboxes=boxes)
    assert "=carol:carol:200000:200000:/var/qmail/mailboxes:-:carol:" in made.assignments()
    lines = made.managed()[".qmail-carol"].content.splitlines()
    assert lines == [MARK, "/srv/mail/carol/Maildir/", "&x@elsewhere.test", "&anna@mail.a.test"]
    boxes["carol"]["forward"]["keep"] = False
    assert "Maildir" not in tables(mailboxes=boxes).managed()[".qmail-carol"].content


def test_an_account_with_a_forward_goes_by_root_s_file_too() -> None:
    boxes = graph()["mailboxes"]
    boxes["anna"]["forward"] = {"to": ["x@elsewhere.test"], "keep": True}
    made = tables(mailboxes=boxes)
    assert "=anna:anna:1000:1000:/var/qmail/mailboxes:-:anna:" in made.assignments()
    assert "/home/anna/Maildir/" in made.managed()[".qmail-anna"].content


def test_a_vacation_is_a_program_and_what_it_says() -> None:
    boxes = graph()["mailboxes"]
    boxes["carol"]["vacation"] = {"subject": "Fort", "text": "Grüße", "from": None, "until": "2027-01-31"}
    managed = tables(mailboxes=boxes).managed()
    assert "|/usr/local/bin/qmail-vacation /var/qmail/mailboxes/.vacation-carol\n" in managed[".qmail-carol"].content
    said = json.loads(managed[".vacation-carol"].content)
    assert said["addresses"] == ["carol@a.test", "sales@b.test", "carol@mail.a.test"]
    assert (said["text"], said["until"], said["state"]) == ("Grüße", "2027-01-31", "/srv/mail/carol/.vacation")


def test_several_targets_lists_and_the_rest_of_a_domain_are_files_of_alias_s() -> None:
    files = tables().aliases()
    assert files[".qmail-b:test-all"].splitlines() == [MARK, "&anna@mail.a.test", "&info@b.test", "&x@elsewhere.test"]
    assert files[".qmail-b:test-default"].splitlines() == [MARK, "&carol@mail.a.test"]
    assert files[".qmail-b:test-team"].splitlines() == [MARK, "|/var/qmail/bin/qmail-list team@b.test"]
    assert files[".qmail-postmaster"].splitlines() == [MARK, "&anna"]
    assert len(files) == 4


def test_the_databases() -> None:
    made = tables()
    assert made.logins()["sales@b.test"] == b"carol\x00200000\x00200000\x00/srv/mail/carol\x00"
    assert made.senders() == {"carol@a.test": b"carol\0", "*": b"anna\0"}
    assert made.quotas() == {"200001": b"5000000"}
    assert made.recipients() == {
        "info@b.test": b"quota 200001\0",
        "info+@b.test": b"quota 200001\0",
        "team@b.test": b"list team@b.test\0",
    }
    assert made.lists() == {
        "team@b.test": b"members\0team.b.test\0",
        "team@b.test\0anna@a.test": b"",
        "team@b.test\0y@elsewhere.test": b"",
    }
    assert made.members()["team@b.test"].splitlines() == [MARK, "anna@mail.a.test", "y@elsewhere.test"]


@pytest.mark.parametrize(("spam", "word"), [(6.5, b"spam 6.5\0"), ("off", b"spam off\0")])
def test_what_a_mailbox_says_of_spam_goes_with_its_addresses(spam: object, word: bytes) -> None:
    found = tables(spam={"carol": spam}).recipients()
    assert found["carol@a.test"] == found["sales@b.test"] == found["@b.test"] == word


def test_an_address_with_an_end_has_its_last_day() -> None:
    more = graph()["addresses"] | {"shop7@b.test": address("carol", until=20849)}
    boxes = graph()["mailboxes"]
    boxes["carol"]["logins"] += ["shop7@b.test"]
    senders = {"shop7@b.test": ["carol", "anna"], "carol@a.test": ["carol"]}
    made = tables(addresses=more, mailboxes=boxes, senders=senders, senders_until={"shop7@b.test": {"carol": 20849}})
    assert made.recipients()["shop7@b.test"] == b"until 20849\0"
    assert made.logins()["shop7@b.test"] == b"carol\x00200000\x00200000\x00/srv/mail/carol\0until 20849\0"
    assert made.logins()["carol@a.test"] == b"carol\x00200000\x00200000\x00/srv/mail/carol\0"
    assert made.senders() == {"shop7@b.test": b"carol 20849\0anna\0", "carol@a.test": b"carol\0"}


@settings(max_examples=150)
@given(sites(), sites())
def test_the_words_cover_what_control_files_become(one: dict[str, Any], other: dict[str, Any]) -> None:
    """What the roles write of a declared site differs by just the lines that the graph tells."""
    both = [repaired(site) for site in (one, other)]
    if any(faults(site, TODAY) for site in both):
        return
    said = {"derived": {}, "control": {}, "virtualdomains": {}, "recipients": ["*"], "more_recipients": []}
    files = [declared_control_files(site, said | {"alias_targets": {"*": "declared"}})["files"] for site in both]
    told = [control(json.loads(json.dumps(compile_site(site)))) for site in both]
    for name in files[0] | files[1]:
        before, after = (made.get(name, "").splitlines() for made in files)
        assert turn(before, after) == turn(*(lines.get(name, []) for lines in told)), name
