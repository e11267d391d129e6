"""The graph of a declared site: what can be said, what follows from it, and each fault in a sentence."""

from __future__ import annotations

import datetime
import math
import re
import time
from pathlib import Path
from typing import Any

import pytest

from module_utils.mail_graph import compile_site, declared_passwords, faults, site_control
from module_utils.mail_graph.words import bytes_of, day_of, day_shown

HASH = "$y$j9T$w3gttR/HLUrfBDxCdlHEe1$x8HN5rCKLvBljkvx5T0XUuLM7AVbGBaAOG4gwAm8Rk9"
TODAY = 20784  # 2026-11-27
OWN = {"name": "example.net", "users": False, "addresses": {"info": "carol", "sales": ["carol", "dave", "p@else.test"]}}
RELAY = {"name": "branch.test", "relay_to": "mx.branch.test:2525", "recipients": ["anna", "Bert@branch.test"]}
TEAM = {"address": "team@example.net", "members": ["carol", "dave"], "owner": "carol"}


def user(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "password_hash": HASH} | more


def site(**changes: Any) -> dict[str, Any]:
    """Give a site without a fault, changed."""
    return {
        "mail_fqdn": "mail.example.org",
        "mail_domains": ["example.org", OWN, RELAY],
        "mail_users": [user("carol", aliases=["carola"]), user("dave"), user("info@example.org")],
        "mail_postmaster": "carol",
        "mail_offices": ["postmaster", "root"],
        "mail_lists": [TEAM],
    } | changes


def people(*more: dict[str, Any], **carol: Any) -> dict[str, Any]:
    """Give the site with more of carol, and more people."""
    return site(mail_users=[user("carol", aliases=["carola"]) | carol, *site()["mail_users"][1:], *more])


def domain(**changes: Any) -> dict[str, Any]:
    """Give the site with another example.net."""
    return site(mail_domains=["example.org", OWN | changes])


def addresses(**more: Any) -> dict[str, Any]:
    return domain(addresses={"info": "carol", **more})


def to(declared: dict[str, Any], address: str) -> list[str]:
    found: list[str] = compile_site(declared)["addresses"][address]["to"]
    return found


def relay(**changes: Any) -> dict[str, Any]:
    return site(mail_domains=["example.org", OWN, {k: v for k, v in (RELAY | changes).items() if v != "gone"}])


def a_list(**changes: Any) -> dict[str, Any]:
    return site(mail_lists=[TEAM | changes])


def routes(*said: object, **more: Any) -> dict[str, Any]:
    return site(mail_routes=list(said), **more)


VIA = {"to": "*", "via": "smtp.provider.test"}
LOGIN = VIA | {"port": 587, "user": "joe", "password": "open sesame"}


@pytest.mark.parametrize(
    "declared",
    [
        site(),
        people(name="carol", forward="carol@else.test"),
        people(forward={"to": ["dave", "x@else.test"], "keep": True}),
        people(password_hashes={"phone": HASH, "pc": {"hash": HASH, "services": ["smtp"], "until": "2026-11-27"}}),
        people(user("c.arol", mailbox="virtual")),
        people({"name": "eve", "state": "absent", "keep_mail": False}, {"name": "gus", "state": "disabled"}),
        people({"name": "eve", "state": "absent"}, aliases=["eve"]),
        people(aliases=[{"name": "shop7", "until": datetime.date(2027, 1, 31)}, "c.arol@example.net"]),
        people(vacation={"text": "Back on Monday.", "from": "2026-11-20", "until": "2026-11-30"}),
        people(quota=0, spam=False, send_as=["*"], plus=True, dash=False),
        people(quota="512 MiB", spam={"threshold": 6}, send_as=["@else.test", "a@else.test"]),
        people(user("carol@example.org")),
        addresses(**{"*": ["dave", "carol"]}),
        addresses(sales={"to": "dave", "until": "2027-01-31"}, more="sales@example.net", all="team@example.net"),
        site(mail_domains=["example.org", {"name": "example.net", "addresses": {"carol": ["carol", "dave"]}}]),
        relay(relay_to="mx", recipients="any"),
        relay(relay_to="[2001:db8::1]:25"),
        # Another port of this host may be another program's.
        relay(relay_to="mail.example.org:10025"),
        routes({"to": "a.test", "via": "mail.example.org", "port": 10025}),
        relay() | {"mail_routes": [{"to": "branch.test", "tls": "verify"}]},
        addresses(branch="anna@branch.test") | {"mail_domains": [*site()["mail_domains"]]},
        a_list(members=["carol", "info@example.net", "x@else.test"], who_may_send="anyone"),
        routes(
            LOGIN, {"to": ".partner.test", "via": "192.0.2.9", "tls": "required"}, {"to": "a.test", "tls": "verify"}
        ),
        routes(VIA | {"via": "192.0.2.9", "tls": "verify", "tls_names": ["smtp.provider.test"]}),
        site(mail_senders={"deny": ["@bad.test"], "allow": ["a@bad.test"], "own_only": False}),
        site(mail_domains=["mail.example.org", "example.org", OWN]),
    ],
)
def test_what_can_be_declared(declared: dict[str, Any]) -> None:
    assert faults(declared, TODAY) == []
    compile_site(declared)
    site_control(declared)


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        # who there is
        (people(user("Carol@example.org")), 'the name "Carol@example.org": "Carol" is not a local part'),
        (people(user("carol@Example.org")), "write it in small letters"),
        (people(user("-x@example.org")), "no - or + in front"),
        (people(user("x@example.com")), '"x@example.com": example.com is not one of mail_domains; add it there'),
        (people(user("x@branch.test")), "mail for branch.test is passed on to mx.branch.test:2525"),
        (
            people(user("x@mail.example.org")),
            "mail.example.org is this host's own name, where every user has an address",
        ),
        (people(user("default@example.org")), "is what qmail calls the file for all other addresses"),
        (people(user("x@" + "a" * 63 + "." + "b" * 63 + "." + "c" * 60 + ".example.org")), "200 is the most"),
        (people(user("a" * 33)), "32 is the most for an account; a mailbox that is virtual may have 64"),
        (people(user("a" * 65, mailbox="virtual")), "is not the name of a mailbox"),
        (people(user("-a", mailbox="virtual")), "no - or + in front"),
        (people(user("a/b", mailbox="virtual")), "is not the name of a mailbox"),
        (people(user("root", mailbox="virtual")), "belongs to the system"),
        (people(user("x@example.org", mailbox="system")), "mailbox: system is for accounts of the host"),
        (people(mailbox="cloud"), 'mailbox: "cloud" is none of system, virtual'),
        (people(user("dave")), 'the name "dave" is already that of mail_users[1]'),
        (people(state="gone"), 'state: "gone" is none of present, disabled, absent'),
        (people(keep_mail=False), "keep_mail is for state: absent; leave it out"),
        (people({"name": "eve", "state": "absent", "keep_mail": "no"}), 'keep_mail: "no" is not true or false'),
        (people(state="absent"), 'mail_postmaster: "carol" (state: absent) is not the name of one of mail_users (dave'),
        (people({"name": "gus"}), "mail_users[3] (gus): has no password_hash"),
        # what opens it
        (people(password_hashes={}), "password_hashes: is empty, not a mapping of device to hash"),
        (people(password_hashes=HASH), "password_hashes: is a string, not a mapping"),
        (people(password_hashes={"My phone": HASH}), '"My phone" is not a device\'s name'),
        (people(password_hashes={"a/b": HASH}), '"a/b" is not a device\'s name'),
        (people(password_hashes={"pc": "hunter2"}), "password_hashes.pc: hash is not a hash of crypt(5)"),
        (people(password_hashes={"pc": {"password": "short"}}), "password_hashes.pc: password can be guessed"),
        (people(password_hashes={"pc": {"hash": HASH, "services": ["ftp"]}}), '"ftp" is none of smtp, pop3, imap'),
        (people(password_hashes={"pc": {"hash": HASH, "services": []}}), "is empty, so it would open nothing"),
        (
            people(password_hashes={"pc": {"hash": HASH, "until": "2026-11-26"}}),
            "until: 2026-11-26 is over; take it out",
        ),
        (people(password_hashes={"pc": {"hash": HASH, "untill": 1}}), '"untill" means nothing here'),
        (people(password_hashes={f"d{n}": HASH for n in range(9)}), "has 9 devices; 8 is the most"),
        # what belongs to it
        (people(aliases=["dave"]), 'the alias "dave" is already that of mail_users[1]'),
        (people(aliases=["info@example.net"]), 'addresses.info: the address "info@example.net" is already that of'),
        (people(aliases=["info@example.org"]), 'the address "info@example.org" is already that of mail_users[2]'),
        (people(aliases=[{"name": "a", "until": "2026-11-26"}]), 'the alias "a": until: 2026-11-26 is over'),
        (people(aliases=[{"name": "a", "until": "soon"}]), '"soon" is not a day, such as 2027-01-31'),
        (people(aliases=[{"name": "a", "til": 1}]), '"til" means nothing here'),
        (people(aliases=["x@branch.test"]), "drop this one, or the domain's relay_to"),
        (people(forward="nobody"), 'forward: leads to "nobody", which is neither a mailbox nor an alias here'),
        (people(forward=[]), "forward: leads nowhere"),
        (people(forward={"keep": True}), "forward.to: leads nowhere"),
        (people(forward={"to": "dave", "keep": "yes"}), 'forward.keep: "yes" is not true or false'),
        (people(forward="x@"), '"x@" is not an address (it is empty)'),
        (people(forward="a b@else.test"), '"a b@else.test" is not an address'),
        (people(forward=["dave", "dave"]), '"dave" is there twice'),
        (people(forward="carol"), "(carol): forwards to itself; say keep: true to keep a copy"),
        (people(forward="carola@example.org"), "forwards to itself; say keep: true to keep a copy, and take carola@"),
        (people(forward="nobody@example.net"), "which doesn't exist in example.net, a domain of this site"),
        (people(vacation="gone"), "vacation: is a string, not a mapping with subject, text, from, until"),
        (people(vacation={"subject": "x"}), "vacation: has no text"),
        (people(vacation={"text": "x", "subject": "a\nb"}), "subject is not one line"),
        (people(vacation={"text": "x", "until": "2026-11-26"}), "vacation.until: 2026-11-26 is over"),
        (people(vacation={"text": "x", "from": "2027-02-01", "until": "2027-01-01"}), "ends before it begins"),
        (people(quota="5 Gold"), 'quota: "5 Gold" is not a size, such as 5G or 500M'),
        (people(quota=5000), 'quota: "5000" is not a size from 1M up'),
        (people(quota=-1), 'quota: "-1" is not a size'),
        (people(quota=True), 'quota: "True" is not a size'),
        (people(spam=True), "spam: is neither {threshold: POINTS}"),
        (people(spam={"threshold": "six"}), "spam: is neither {threshold: POINTS}"),
        (people(send_as=["else.test"]), 'send_as: "else.test" is not an address, nor @domain'),
        (people(send_as=["@else..test"]), 'send_as: "@else..test" is not an address (empty label)'),
        (people(plus="no"), 'plus: "no" is not true or false'),
        # domains
        (site(mail_domains=[{"users": False}]), "mail_domains[0]: is a mapping without a name, not a host name"),
        (domain(adresses={}), '"adresses" means nothing here; a domain has name, users, addresses'),
        (domain(users="no"), 'users: "no" is not true or false'),
        (domain(addresses=["info"]), "addresses: is a list, not a mapping of local part to where it leads"),
        (addresses(**{"in fo": "carol"}), '"in fo" is not a local part'),
        (addresses(default="carol"), "is what qmail calls the file for all other addresses"),
        (addresses(x=None), "addresses.x: leads nowhere; name a mailbox or an address"),
        (addresses(x="zoe"), 'addresses.x: leads to "zoe", which is neither a mailbox nor an alias here'),
        (addresses(x={"to": "carol", "until": "2026-01-01"}), "addresses.x.until: 2026-01-01 is over"),
        (addresses(x="y@example.net", y="x@example.net"), "mail would go round: x@example.net, y@example.net, x@"),
        (addresses(x="x@example.net"), "mail would go round: x@example.net, x@example.net"),
        (addresses(team="dave"), 'the address "team@example.net" is already that of mail_domains[1] (example.net)'),
        (addresses(**{"team-owner": "dave"}), "(team@example.net): its owner's address: the address"),
        (
            addresses(**{"*": "x@else.test"}),
            "a catch-all that leads to x@else.test: what is refused there would be bounced",
        ),
        (
            addresses(**{"*": "team@example.net"}),
            "a catch-all leads to mailboxes, and not to the list team@example.net",
        ),
        (addresses(**{"*": {"to": "dave", "until": "2027-01-01"}}), "a catch-all has no last day"),
        (
            people(forward={"to": "x@else.test", "keep": True})
            | {"mail_domains": addresses(**{"*": "carol"})["mail_domains"]},
            "a catch-all that leads to carol, who forwards to x@else.test",
        ),
        (
            site(mail_domains=["example.org", {"name": "example.net", "addresses": {"carol": "dave"}}]),
            '"carol@example.net" is the user carol\'s address, since example.net has users; have it lead to carol, too',
        ),
        (site(mail_domains=[{"name": "mail.example.org", "users": False}, OWN]), "is this host's own name (mail_fqdn)"),
        (relay(relay_to="a b"), 'relay_to: "a b" is no host'),
        (relay(relay_to="mx.branch.test:0"), "is no host: a name, or an address (IPv6 in brackets)"),
        (relay(recipients="gone"), "recipients: is empty; say those that there are, as a list or the path of a file"),
        (relay(recipients=["in fo"]), '"in fo" is not a local part of branch.test'),
        (relay(recipients=["a@else.test"]), '"a@else.test" is not a local part of branch.test'),
        (relay(recipients="/nowhere/list"), '"/nowhere/list" can\'t be read (No such file or directory)'),
        (relay(addresses={"a": "carol"}), "has relay_to, so its addresses are the other host's; leave addresses out"),
        (domain(recipients=["a"]), "recipients are for a domain with relay_to; here say addresses"),
        (people(forward="zoe@branch.test"), "which is not among the recipients of branch.test; add it there"),
        (people(aliases=["example.net-info"]), '"example.net-info" is how mail for example.net is delivered'),
        (people(user("example.net", mailbox="virtual")), '"example.net" is how mail for example.net is delivered'),
        (
            people(user("ex", dash=True)) | {"mail_domains": ["example.org", OWN | {"name": "ex-a.net"}]},
            '(ex): dash: "ex-a.net" is how mail for that domain is delivered',
        ),
        (
            site(mail_domains=["example.org", OWN, OWN | {"name": "example.net-x", "addresses": {"a": "dave"}}]),
            '"example.net-x" begins as example.net does',
        ),
        (site(qmail_control={"locals": ["example.org"]}), "qmail_control.locals: would hide what mail_domains says"),
        # lists
        (a_list(address="team"), '"team" is not an address; a list has one, such as team@example.org'),
        (a_list(address="team@example.com"), "example.com is not one of mail_domains"),
        (a_list(members=[]), "(team@example.net): has no members; name some, or take the list out"),
        (a_list(members=["zoe"]), 'members: leads to "zoe"'),
        (a_list(owner=None), "has no owner; name the mailbox"),
        (a_list(owner="zoe"), 'its owner is "zoe", which is no mailbox of mail_users; name another one'),
        (a_list(who_may_send="all"), 'who_may_send: "all" is none of anyone, members, users, owner'),
        (a_list(moderated=True), '"moderated" means nothing here; a list has address'),
        (site(mail_lists=[TEAM, TEAM]), '"team@example.net" is already mail_lists[0] (team@example.net)'),
        (site(mail_lists=["team"]), "mail_lists[0]: is a string, not a mapping"),
        (a_list(members=["team@example.net"]), "mail would go round: team@example.net, team@example.net"),
        (people(forward="team@example.net"), "mail would go round: carol, team@example.net, carol"),
        (a_list(address=None), "mail_lists[0]: has no address; a list has one, such as team@example.org"),
        (
            addresses(x="info"),
            "neither a mailbox nor an alias here; add it to mail_users, or say the whole address, such as info@",
        ),
        # ways out
        (routes(VIA | {"via": "Mail.example.org"}), "mail_routes[0] (*): via: mail.example.org is this host itself"),
        (routes(VIA | {"to": "example.org"}), "mail for example.org is delivered here (mail_domains[0]"),
        (relay(relay_to="mail.example.org:25"), "relay_to: mail.example.org is this host itself (mail_fqdn)"),
        (routes(VIA | {"to": "a..b"}), 'to: "a..b" is not a domain (empty label)'),
        (routes(VIA | {"via": "a b"}), 'via: "a b" is no host'),
        (routes(VIA | {"port": 99999}), 'port: "99999" is not a port, such as 587'),
        (routes(VIA | {"via": "relay:25", "port": 26}), "via has a port already; leave port out"),
        (
            routes(VIA | {"user": "joe"}),
            "mail_routes[0] (*): has a user without a password; say it, from Ansible's vault",
        ),
        (routes(VIA | {"password": "x"}), "has a password without a user; say who logs in"),
        (routes(LOGIN | {"user": "joe doe"}), '"joe doe" is not a name without blanks'),
        (routes(LOGIN | {"password": "x" * 513}), "user or password has more than 512 bytes"),
        (routes(LOGIN | {"tls": "never"}), "a password goes by verified TLS only"),
        (routes(VIA | {"tls": "maybe"}), 'tls: "maybe" is none of offered, required, verify, never'),
        (routes(VIA | {"tls_names": ["a.test"]}), "tls_names are for tls: verify"),
        (routes({"to": "a.test"}), "has neither via nor tls, so it says nothing"),
        (routes({"to": "*", "tls": "never"}), "for every destination can't be told by such a relay"),
        (routes({"to": "a.test", "user": "x", "password": "y", "tls": "verify"}), "has a user without via"),
        (routes(VIA, VIA), '"*" already goes by mail_routes[0]'),
        (
            routes(LOGIN, LOGIN | {"to": "a.test", "password": "other"}),
            "is logged in to otherwise by mail_routes[0] (*)",
        ),
        (routes("relay"), "mail_routes[0]: is a string, not a mapping"),
        (
            routes(VIA, qmail_control={"smtproutes": ":x"}),
            "qmail_control.smtproutes: would hide what mail_routes or relay_to",
        ),
        (site(mail_senders={"deny": ["bad.test"]}), '"bad.test" is neither an address nor @domain'),
        (site(mail_senders={"deny": ["@b.test"], "allow": ["@b.test"]}), '"@b.test" is denied as well'),
        (site(mail_senders={"block": []}), '"block" means nothing here; it has deny, allow, own_only'),
        # what else is said
        (site(mail_virtual_uids={"first": 1000, "last": 2000}), "1000 to 2000 is not a range between 65536 and"),
        (site(mail_virtual_uids={"first": 200000}), "is not {first: ..., last: ...}"),
        (site(mail_virtual_uids={"first": 300000, "last": 200000}), "is not a range between"),
        (
            site(mail_mailboxes="virtual", mail_virtual_uids={"first": 200000, "last": 200001}),
            "200000 to 200001 are 2, and there are 3 virtual mailboxes",
        ),
        (
            site(**{"passwd": "zoe:x:200005:5::/:/bin/sh\n", "mail_virtual_uids": {"first": 200000, "last": 299999}}),
            "accounts of this host are in it: zoe (200005); choose a range without any",
        ),
        (site(mail_virtual_homes="/var/qmail/homes"), '"/var/qmail/homes" is no place for mail to stay'),
        (site(mail_virtual_homes="srv"), '"srv" is not the absolute path of a directory'),
        (
            site(**{"mail_mailboxes": "virtual", "passwd": "carol:x:1001:1001:mail user:/home/carol:/bin/sh\n"}),
            "mail_users: carol: system on this host already, and now declared virtual",
        ),
        (
            site(uids="200000 carol virtual 2026-11-27\n"),
            "mail_users: carol: virtual on this host already, and now declared",
        ),
        (
            site(**{"mail_password_database": "/etc/shadow"}),
            "/etc/shadow is for accounts of the host, and info@example.org are",
        ),
        (
            site(qmail_recipients=[]),
            "qmail_recipients: is empty, so every address of example.org, example.net, branch.test would be",
        ),
        (site(qmail_virtualdomains={"example.net": "dave"}), "says more than its name; say all of its addresses there"),
    ],
)
def test_a_fault_gets_its_sentence(declared: dict[str, Any], sentence: str) -> None:
    said = faults(declared, TODAY)
    assert any(sentence in fault for fault in said), said
    if "over" not in sentence:
        for reckon in (compile_site, site_control):
            with pytest.raises(ValueError, match=r"."):
                reckon(declared)


def test_no_password_is_ever_repeated() -> None:
    declared = people(password_hash="hunter2", password_hashes={"pc": {"password": "hunter2", "hash": "hunter2"}})  # noqa: S106
    declared |= {"mail_routes": [VIA | {"user": "a b", "password": "hunter2\n\n"}]}
    said = faults(declared, TODAY)
    assert len(said) > 3
    assert "hunter2" not in " ".join(said)


def test_a_fault_of_a_name_does_not_bring_others_along() -> None:
    declared = addresses(x="Zoe", y="Zoe") | {"mail_users": [*site()["mail_users"], user("Zoe")]}
    assert [fault for fault in faults(declared, TODAY) if "leads to" in fault] == []


def test_what_is_not_there_is_not_judged() -> None:
    declared = site()
    del declared["mail_users"]
    assert faults(declared, TODAY) == []


# --- what follows ---


def test_what_is_exact_goes_before_what_is_plain() -> None:
    declared = site(
        mail_domains=["example.org", {"name": "example.net", "addresses": {"carola": "dave"}}],
        mail_users=[user("carol", aliases=["carola"]), user("dave"), user("carol@example.net")],
    )
    assert to(declared, "carola@example.org") == ["carol"]
    assert to(declared, "carola@example.net") == ["dave"]
    assert to(declared, "carol@example.net") == ["carol@example.net"]
    assert to(declared, "dave@example.net") == ["dave"]


def test_addresses_of_addresses_lead_to_their_ends() -> None:
    declared = addresses(a=["b@example.net", "x@else.test"], b="carola", c=["a@example.net", "carol"])
    assert to(declared, "c@example.net") == ["carol", "x@else.test"]


def test_a_domain_with_users_off_has_its_addresses_and_a_postmaster() -> None:
    found = compile_site(site(mail_lists=[]))["addresses"]
    names = [address.partition("@")[0] for address in found if address.endswith("@example.net")]
    assert sorted(names) == ["info", "postmaster", "sales"]


def test_a_domain_with_an_address_of_its_own_is_virtual_as_a_whole() -> None:
    domains = compile_site(site(mail_lists=[]))["domains"]
    kinds = {name: said["kind"] for name, said in domains.items()}
    assert kinds == {
        "localhost": "local",
        "mail.example.org": "local",
        "example.org": "virtual",
        "example.net": "virtual",
        "branch.test": "relay",
    }


def test_who_is_absent_has_no_address_and_who_is_disabled_keeps_his() -> None:
    graph = compile_site(people({"name": "eve", "state": "absent"}, {"name": "gus", "state": "disabled"}))
    assert "eve@example.org" not in graph["addresses"]
    assert graph["mailboxes"]["eve"]["state"] == "absent"
    assert graph["mailboxes"]["eve"]["logins"] == []
    assert graph["addresses"]["gus@example.org"]["to"] == ["gus"]


def test_log_ins_are_the_name_and_each_address_that_is_his_alone() -> None:
    graph = compile_site(addresses(both=["carol", "dave"]))
    logins = graph["mailboxes"]["carol"]["logins"]
    assert logins[0] == "carol"
    assert {"carola@example.org", "info@example.net"} <= set(logins)
    assert "both@example.net" not in logins
    every = [login for box in graph["mailboxes"].values() for login in box["logins"]]
    assert len(every) == len(set(every))


def test_one_may_send_as_what_is_his_and_what_is_said() -> None:
    senders = compile_site(people(send_as=["boss@else.test", "@example.net"], plus=True))["senders"]
    assert senders["carola@example.org"] == ["carol"]
    assert senders["carol+@example.org"] == ["carol"]
    assert senders["sales@example.net"] == ["carol", "dave"]
    assert senders["boss@else.test"] == ["carol"]
    assert senders["@example.net"] == ["carol"]
    assert "team@example.net" not in senders
    assert senders["team-owner@example.net"] == ["carol"]


def test_who_gets_the_rest_may_not_send_as_everybody() -> None:
    assert "@example.net" not in compile_site(addresses(**{"*": "dave"}))["senders"]


def test_no_senders_where_any_will_do() -> None:
    assert compile_site(site(mail_senders={"own_only": False}))["senders"] is None


@pytest.mark.parametrize(
    ("who", "may", "may_not"),
    [
        ("members", ["dave@example.org", "x@else.test", "carol@example.org"], "info@example.org"),
        ("owner", ["carol@example.org"], "dave@example.org"),
    ],
)
def test_who_may_send_to_a_list(who: str, may: list[str], may_not: str) -> None:
    declared = a_list(members=["dave", "x@else.test"], who_may_send=who)
    senders = compile_site(declared)["lists"]["team@example.net"]["senders"]
    assert set(may) <= set(senders)
    assert may_not not in senders


def test_members_of_a_list_among_the_members_are_members() -> None:
    inner = TEAM | {"address": "inner@example.net", "members": ["dave", "x@else.test"]}
    declared = site(mail_lists=[TEAM | {"members": ["carol", "inner@example.net", "dave"]}, inner])
    found = compile_site(declared)["lists"]["team@example.net"]
    assert found["members"] == ["carol@mail.example.org", "dave@mail.example.org", "x@else.test"]


def test_a_last_day_is_that_of_the_alias() -> None:
    graph = compile_site(people(aliases=[{"name": "shop7", "until": "2027-01-31"}]))
    assert graph["addresses"]["shop7@example.org"]["until"] == day_of("2027-01-31")
    assert graph["addresses"]["carol@example.org"]["until"] is None


def test_a_mailbox_as_the_host_is_told() -> None:
    away = {"text": "Back on Monday.", "from": "1970-01-02", "until": datetime.date(2027, 1, 31)}
    phone = {"hash": HASH, "services": ["smtp", "pop3"], "until": "2027-01-31"}
    forward = {"to": ["dave@example.org", "info@example.org", "x@else.test"], "keep": True}
    more = {"password_hashes": {"phone": phone, "pc": HASH}, "spam": False, "plus": True}
    graph = compile_site(people(forward=forward, vacation=away, quota="1G", **more))
    carol = graph["mailboxes"]["carol"]
    assert carol["logins"][:2] == ["carol", "carol@localhost"]
    assert carol | {"logins": []} == {
        "kind": "system",
        "state": "present",
        "keep_mail": True,
        "forward": {"to": ["dave", "info@example.org", "x@else.test"], "keep": True},
        "vacation": {"subject": None, "text": "Back on Monday.", "from": 1, "until": day_of("2027-01-31")},
        "quota": 1 << 30,
        "logins": [],
        "devices": {
            "phone": {"services": ["smtp", "pop3"], "until": day_of("2027-01-31")},
            "pc": {"services": [], "until": None},
        },
        "plus": True,
        "dash": False,
    }
    assert graph["mailboxes"]["dave"]["forward"] is None
    assert graph["spam"] == {"carol": "off"}
    assert graph["mailboxes"]["info@example.org"]["kind"] == "virtual"
    assert graph["uids"] == {"first": 200000, "last": 299999}
    assert graph["homes"] == "/srv/mail"


def test_plus_and_dash_of_the_site_and_of_who_says_otherwise() -> None:
    declared = people(plus=False) | {"mail_plus_addressing": True, "mail_dash_addressing": True}
    found = compile_site(declared)["addresses"]
    assert "plus" not in found["carol@example.org"]
    assert found["carol@example.org"]["dash"] is True
    assert found["dave@example.org"] == {"to": ["dave"], "until": None, "why": "user", "plus": True, "dash": True}
    assert "plus" not in found["info@example.net"]


def test_who_may_send_as_an_address_may_until_its_last_day() -> None:
    ends = {"name": "shop7", "until": "2027-01-31"}
    declared = people(aliases=["carola", ends], plus=True, send_as=["fair@example.net"])
    declared["mail_users"][1]["send_as"] = ["shop7@example.org"]
    declared["mail_domains"][1] = OWN | {"addresses": {"fair": {"to": ["carol", "dave"], "until": "2027-02-01"}}}
    found = compile_site(declared | {"mail_lists": []})
    last = found["addresses"]["shop7@example.org"]["until"]
    assert found["senders"]["shop7@example.org"] == ["carol", "dave"]
    ours = {
        key: names
        for key, names in found["senders_until"].items()
        if not key.endswith(("localhost", "mail.example.org"))
    }
    assert ours == {
        "shop7@example.org": {"carol": last},
        "shop7+@example.org": {"carol": last},
        "fair@example.net": {"dave": last + 1},
    }


def test_extensions_are_targets_too() -> None:
    declared = addresses(x="dave+shop@example.org") | {"mail_plus_addressing": True}
    assert to(declared, "x@example.net") == ["dave"]
    assert "which doesn't exist in example.org" in " ".join(faults(declared | {"mail_plus_addressing": False}, TODAY))


def test_domains_of_before_are_known_as_such() -> None:
    declared = site(
        mail_domains=["example.org", "beta.test", "gamma.test", "delta.test"],
        mail_users=[user("carol"), user("dave")],
        mail_lists=[],
        qmail_virtualdomains={"info@beta.test": "dave", "gamma.test": "carol", "delta.test": "alias-x"},
        qmail_more_recipients=["carol-@example.org", "joe-@example.org", "@example.org"],
    )
    assert faults(declared, TODAY) == []
    graph = compile_site(declared)
    assert {graph["domains"][f"{name}.test"]["kind"] for name in ("beta", "gamma", "delta")} == {"legacy"}
    assert graph["addresses"]["info@beta.test"]["to"] == ["dave"]
    assert graph["senders"]["info@beta.test"] == ["dave"]
    assert graph["senders"]["@gamma.test"] == ["carol"]
    assert graph["senders"]["carol-@example.org"] == ["carol"]
    assert "joe-@example.org" not in graph["senders"]
    assert "@delta.test" not in graph["senders"]
    assert to(declared | {"mail_users": [user("carol"), user("dave", forward="x@gamma.test")]}, "dave@example.org") == [
        "dave"
    ]


def test_where_mail_goes_for_a_domain_of_before() -> None:
    declared = site(
        mail_domains=[
            "example.org",
            {"name": "n.test", "addresses": {"x": "info@beta.test", "y": "z@delta.test"}},
            "beta.test",
            "delta.test",
        ],
        mail_lists=[],
        mail_users=[user("carol")],
        qmail_virtualdomains={"info@beta.test": "carol", "delta.test": "alias-x"},
    )
    assert to(declared, "x@n.test") == ["carol"]
    assert to(declared, "y@n.test") == ["z@delta.test"]
    declared["mail_domains"][1]["addresses"]["x"] = "no@beta.test"
    assert 'leads to "no@beta.test", which is not in qmail_virtualdomains' in " ".join(faults(declared, TODAY))


def test_the_graph_has_no_password() -> None:
    graph = compile_site(
        routes(LOGIN) | {"mail_users": [user("carol", password_hashes={"pc": HASH}), *site()["mail_users"][1:]]}
    )
    assert HASH not in str(graph)
    assert "open sesame" not in str(graph)


def test_what_opens_what() -> None:
    declared = [
        user("carol", password_hashes={"pc": {"hash": HASH + "\n"}, "phone": HASH}),
        {"name": "dave", "password": "open sesame"},
        {"name": "eve", "password_hashes": {"pc": {"password": "open barley"}}},
        user("gus", state="disabled", password_hashes={"pc": HASH}),
        user("zoe", state="absent"),
    ]
    assert declared_passwords(declared) == {
        "hashes": {"carol": HASH, "carol/pc": HASH, "carol/phone": HASH, "eve": "*", "gus": "*"},
        "passwords": {"dave": "open sesame", "eve/pc": "open barley"},
    }


def test_control_files_of_routes_and_senders() -> None:
    partner = {"to": "partner.test", "via": "192.0.2.9", "tls": "required"}
    six = {"to": "six.test", "via": "[2001:db8::1]", "tls": "verify", "tls_names": ["six.test", ".six.test"]}
    bare = {"to": ".plain.test", "tls": "never"}
    senders = {"deny": ["@Bad.test"], "allow": ["a@bad.test"]}
    files = site_control(routes(LOGIN, partner, six, bare, mail_senders=senders))["files"]
    assert files["smtproutes"] == [
        "branch.test:mx.branch.test:2525",
        ":smtp.provider.test:587",
        "partner.test:192.0.2.9",
        "six.test:[2001:db8::1]",
    ]
    assert files["smtproutes_auth"] == ["smtp.provider.test:587 joe open sesame"]
    assert files["tlsrequiredhosts"] == ["192.0.2.9"]
    assert files["tlsverifyhosts"] == ["six.test:six.test:.six.test"]
    assert files["notlshosts"] == [".plain.test"]
    assert files["badmailfrom"] == ["@bad.test"]
    assert files["goodmailfrom"] == ["a@bad.test"]


def test_a_relay_is_logged_in_to_at_its_own_port() -> None:
    files = site_control(routes({"to": "*", "via": "relay.test", "user": "joe", "password": "x"}))["files"]
    assert files["smtproutes_auth"] == ["relay.test:25 joe x"]
    assert files["smtproutes"][-1] == ":relay.test"


@pytest.mark.parametrize(
    ("to", "lines"),
    [
        ("*", ["x.branch.test:", ":relay.test"]),
        (".branch.test", ["x.branch.test:", ".branch.test:relay.test"]),
        ("x.branch.test", ["x.branch.test:relay.test"]),
        ("other.test", ["other.test:relay.test"]),
    ],
)
def test_by_its_mx_records_goes_before_a_route_for_others(to: str, lines: list[str]) -> None:
    passed_on = relay(name="x.branch.test", relay_to="mx", recipients="any")
    assert site_control(passed_on | {"mail_routes": [{"to": to, "via": "relay.test"}]})["files"]["smtproutes"] == lines


def test_local_parts_are_the_plain_names_aliases_and_offices() -> None:
    assert site_control(site())["local_parts"] == ["carol", "dave", "carola", "postmaster", "root"]


def test_control_files_of_domains() -> None:
    files = site_control(site())["files"]
    assert files["locals"] == ["localhost", "mail.example.org"]
    assert files["rcpthosts"] == ["localhost", "mail.example.org", "example.org", "example.net", "branch.test"]
    assert files["virtualdomains"] == ["example.org:example.org", "example.net:example.net"]


def test_recipients_of_domains() -> None:
    said = site_control(people(plus=True, dash=True) | {"mail_domains": site()["mail_domains"]})["recipients"]
    assert {"carol@example.org", "carol+@example.org", "carola-@example.org", "info@example.net"} <= set(said["lines"])
    assert {"anna@branch.test", "bert@branch.test", "postmaster@branch.test", "carol+@localhost"} <= set(said["lines"])
    assert not {"carol@example.net", "@branch.test", "info+@example.net"} & set(said["lines"])
    assert said["domains"] == ["example.org", "example.net", "branch.test"]


def test_recipients_of_another_host_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# those of branch\nanna\n\n Bert@branch.test \n")
    declared = relay(recipients="list") | {"inventory_dir": str(tmp_path)}
    assert faults(declared, TODAY) == []
    assert {"anna@branch.test", "bert@branch.test"} <= set(site_control(declared)["recipients"]["lines"])


def test_a_catch_all_makes_every_address_exist() -> None:
    assert "@example.net" in site_control(addresses(**{"*": "dave"}))["recipients"]["lines"]


def test_where_aliases_lead_that_come_by_here_again() -> None:
    targets = site_control(addresses(all=["carol", "dave"], one="dave", out="x@else.test"))["alias_targets"]
    assert targets["carola"] == "carol"
    assert targets["example.net-all"] == "carol dave"
    assert "example.net-one" not in targets
    assert "example.net-out" not in targets
    forwarded = site_control(people(forward={"to": ["dave", "x@else.test"], "keep": True}))["alias_targets"]
    assert forwarded["carol"] == "dave"
    assert forwarded["example.net-info"] == "dave"


def many(count: int) -> dict[str, Any]:
    users = [user(f"u{n}", aliases=[f"a{n}", f"b.{n}@example.net"], quota="5G", forward="u0") for n in range(1, count)]
    chain = {f"c{n}": f"c{n + 1}@example.net" for n in range(count)} | {f"c{count}": "u0"}
    return site(
        mail_domains=["example.org", OWN | {"addresses": chain}],
        mail_users=[user("u0"), *users],
        mail_postmaster="u0",
        mail_lists=[],
        mail_mailboxes="virtual",
    )


def a_tenth_of_a_second() -> float:
    """The CPU time of work of this kind that takes so long on a machine of 2024; any other has its own."""
    start = time.process_time()
    found: dict[str, list[str]] = {}
    for number in range(50_000):
        text = f"b.{number}@example.net"
        local, _, domain_name = text.rpartition("@")
        if isinstance(local, str) and re.fullmatch(r"[a-z0-9._+-]+", local) and domain_name.islower():
            found.setdefault(text, []).append(local)
    return time.process_time() - start


def test_ten_thousand_users_are_judged_in_a_second_and_a_long_way_is_followed() -> None:
    declared = many(10_000)
    taken = tenth = math.inf
    # What else the machine does makes a try dearer, and none cheaper: the least of some is what it costs.
    for _ in range(10):
        tenth = min(tenth, a_tenth_of_a_second())
        start = time.process_time()
        assert faults(declared, TODAY) == []
        taken = min(taken, time.process_time() - start)
        if taken < 10 * tenth:
            break
    assert taken < 10 * tenth, f"{taken:.2f} s, where this machine's second is {10 * tenth:.2f} s"
    declared["mail_domains"][1]["addresses"]["c10000"] = "c0@example.net"
    (fault,) = faults(declared, TODAY)
    assert fault.startswith("mail would go round: c0@example.net, c1@example.net, ")
    assert fault.endswith(" and 9992 more; take one of these steps out")


@pytest.mark.parametrize(
    ("said", "found"), [("5G", 5 << 30), ("500M", 500 << 20), (12, 12), ("1 KiB", 1024), ("2tb", 2 << 40), ("5X", None)]
)
def test_sizes(said: object, found: int | None) -> None:
    assert bytes_of(said) == found


def test_days() -> None:
    assert day_of("1970-01-02") == 1
    assert day_of(datetime.datetime(1970, 1, 3, 12, tzinfo=datetime.UTC)) == 2
    assert day_of("2026-02-30") is None
    assert day_shown(TODAY) == "2026-11-27"
