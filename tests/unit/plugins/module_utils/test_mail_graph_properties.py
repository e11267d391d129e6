"""Whatever is declared gets an answer, and what has no fault holds together: each address leads somewhere, once."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.mail_tables import Account, Tables
from hypothesis import given, settings
from hypothesis import strategies as st

from filter_plugins.control_files import valid_recipients
from module_utils.mail_graph import compile_site, faults, site_control
from tests.unit.deliveries import delivered

TODAY = 20000
NAMES = ["anna", "bert", "carol", "anna-b", "anna@a.test", "bert@b.test", "zoe@b.test"]
DOMAINS = ["a.test", "b.test", "c.test", "mail.a.test"]
LOCALS = ["info", "anna", "carol", "team", "info+x", "anna-b-c", "carol-x", "postmaster"]
OUTSIDE = ["x@else.test", "Y.z@else.test"]
OFFICES = ["postmaster", "root"]

maybe = st.booleans()
local = st.sampled_from(LOCALS)
address = st.builds("{}@{}".format, local, st.sampled_from([*DOMAINS, "r.test"]))
target = st.one_of(st.sampled_from(NAMES), address, st.sampled_from(OUTSIDE), local)
targets = st.one_of(target, st.lists(target, min_size=1, max_size=3, unique=True))


@st.composite
def users(draw: st.DrawFn, domains: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": "dave", "password_hash": "*"}]
    names = [name for name in NAMES if "@" not in name or name.partition("@")[2] in domains]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, unique=True)):
        user: dict[str, Any] = {"name": name, "password_hash": "*"}
        if draw(maybe):
            user["aliases"] = draw(st.lists(st.one_of(local, address), max_size=2, unique=True))
        if draw(st.integers(0, 3)) == 0:
            user["forward"] = {"to": draw(targets), "keep": draw(maybe)}
        if draw(st.integers(0, 5)) == 0:
            user["state"] = draw(st.sampled_from(["absent", "disabled"]))
        if draw(maybe):
            user |= {"plus": draw(maybe), "dash": draw(maybe)}
        found.append(user)
    return found


@st.composite
def domains(draw: st.DrawFn) -> list[Any]:
    found: list[Any] = []
    for name in draw(st.lists(st.sampled_from(DOMAINS), min_size=1, unique=True)):
        said: Any = name
        if draw(maybe):
            said = {"name": name, "addresses": draw(st.dictionaries(local, targets, max_size=3))}
            if name != "mail.a.test":
                said["users"] = draw(maybe)
            if draw(st.integers(0, 3)) == 0:
                said["addresses"]["*"] = draw(targets)
        found.append(said)
    if draw(maybe):
        found.append(
            {"name": "r.test", "relay_to": "mx", "recipients": draw(st.sampled_from(["any", ["anna", "info"]]))}
        )
    return found


@st.composite
def sites(draw: st.DrawFn) -> dict[str, Any]:
    received = draw(domains())
    names = [each if isinstance(each, str) else each["name"] for each in received]
    people = draw(users(names))
    lists = st.builds(
        lambda local, domain, members, owner: {"address": f"{local}@{domain}", "members": members, "owner": owner},
        st.sampled_from(["team", "all"]),
        st.sampled_from([name for name in names if name != "r.test"]),
        st.lists(
            st.sampled_from([*(user["name"] for user in people), *OUTSIDE, "team@a.test"]), min_size=1, unique=True
        ),
        st.sampled_from([user["name"] for user in people]),
    )
    return {
        "mail_fqdn": "mail.a.test",
        "mail_domains": received,
        "mail_users": people,
        "mail_lists": draw(st.lists(lists, max_size=2)),
        "mail_mailboxes": draw(st.sampled_from(["system", "virtual"])),
        "mail_postmaster": "dave",
        "mail_offices": draw(st.sampled_from([OFFICES, ["root"], []])),
    }


def repaired(site: dict[str, Any]) -> dict[str, Any]:
    """Give the site without what a first look finds fault with, so that most of them have none."""
    for _ in range(8):
        said = faults(site, TODAY)
        if not said:
            return site
        text = " ".join(said)
        site = site | {
            "mail_lists": [each for at, each in enumerate(site["mail_lists"]) if f"mail_lists[{at}]" not in text],
            "mail_domains": [_less(each, f"mail_domains[{at}]", text) for at, each in enumerate(site["mail_domains"])],
            "mail_users": [_less(each, f"mail_users[{at}]", text) for at, each in enumerate(site["mail_users"])],
        }
        if "go round" in text:
            site["mail_lists"] = site["mail_lists"][:-1]
            site["mail_users"] = [_less(user, "", "") for user in site["mail_users"]]
    return site


def _less(said: Any, where: str, text: str) -> Any:
    if isinstance(said, str) or where not in text:
        return said
    return {key: value for key, value in said.items() if key not in ("aliases", "forward", "addresses")}


@settings(max_examples=150)
@given(sites())
def test_a_site_has_faults_or_holds_together(site: dict[str, Any]) -> None:
    site = repaired(site)
    if faults(site, TODAY):
        return
    graph = json.loads(json.dumps(compile_site(site)))
    there = {name for name, box in graph["mailboxes"].items() if box["state"] != "absent"}
    each_leads_somewhere(graph, there)
    no_forward_comes_back(graph, there)
    what_is_known_at_rcpt_is_what_there_is(site, graph)
    what_is_known_at_rcpt_is_delivered(graph, there)
    nobody_has_what_is_anothers(graph, there)


def each_leads_somewhere(graph: dict[str, Any], there: set[str]) -> None:
    ours = {name for name, domain in graph["domains"].items() if domain["kind"] in ("local", "virtual")}
    for entry in [
        *graph["addresses"].values(),
        *(box["forward"] for box in graph["mailboxes"].values() if box["forward"]),
    ]:
        assert entry["to"]
        for end in entry["to"]:
            assert end in there or end in graph["lists"] or end.rpartition("@")[2] not in ours, (end, graph)
            assert "@" in end or end in there
    for domain in graph["domains"].values():
        assert set(domain["catch_all"] or []) <= there
    for each in graph["lists"].values():
        assert each["owner"] in there
        assert each["members"]
        assert not set(each["members"]) & set(graph["lists"])


def no_forward_comes_back(graph: dict[str, Any], there: set[str]) -> None:
    after = {name: (box["forward"] or {"to": []})["to"] for name, box in graph["mailboxes"].items()}
    after |= {name: graph["addresses"][name]["to"] for name in graph["lists"]}
    for start in after:
        seen, waiting = set(), list(after[start])
        while waiting:
            node = waiting.pop()
            assert node != start, graph
            if node in after and node not in seen:
                seen.add(node)
                waiting += after[node]


def what_is_known_at_rcpt_is_what_there_is(site: dict[str, Any], graph: dict[str, Any]) -> None:
    declared = site_control(site)
    said = {"control": declared["files"], "virtualdomains": {}, "recipients": ["*"], "more_recipients": []}
    lines = valid_recipients(said | {"declared": declared})
    assert len(lines) == len(set(lines))
    wanted = set(graph["addresses"])
    for found, entry in graph["addresses"].items():
        local_part, _, domain = found.partition("@")
        wanted |= {f"{local_part}{sign}@{domain}" for sign, key in (("+", "plus"), ("-", "dash")) if key in entry}
    for name, domain in graph["domains"].items():
        if domain["catch_all"] or (domain["kind"] == "relay" and domain["recipients"] is None):
            wanted.add(f"@{name}")
        elif domain["kind"] == "relay":
            wanted |= {f"{each}@{name}" for each in [*domain["recipients"], "postmaster"]}
    # A domain of which nothing is known at all is open; of ours, each has a mailbox at least.
    assert set(lines) == wanted
    for name in graph["domains"]:
        assert name in declared["files"]["rcpthosts"]


def what_is_known_at_rcpt_is_delivered(graph: dict[str, Any], there: set[str]) -> None:
    accounts = {name: Account(1000 + at, 1000 + at, f"/home/{name}") for at, name in enumerate(sorted(there))}
    tables = Tables(graph, accounts, Account(150, 151, "/var/qmail/alias"), "#")
    files = tables.aliases()
    for found, entry in graph["addresses"].items():
        local_part, _, domain = found.partition("@")
        direct = delivered(tables, found)
        assert direct is not None, found
        owner = tables.sole(found)
        if direct.user == "alias":
            lines = files[direct.by.rpartition("/")[2]].splitlines()[1:]
            wanted = [f"|/var/qmail/bin/qmail-list {found}"] if found in graph["lists"] else None
            assert lines == (wanted or [f"&{tables._forwarded(to, domain)}" for to in entry["to"]])
        else:
            assert direct.user == owner
        for sign, key in (("+", "plus"), ("-", "dash")):
            for more in ("shop", "x-default", "") if key in entry else ():
                extended = f"{local_part}{sign}{more}@{domain}"
                if extended not in graph["addresses"]:
                    delivery = delivered(tables, extended)
                    assert delivery is not None, extended
                    assert delivery.user == owner
    for name, domain in graph["domains"].items():
        if domain["kind"] == "virtual" and domain["catch_all"]:
            caught = delivered(tables, f"nobody.of.this-name@{name}")
            assert caught is not None
            assert caught.user == "alias"


def nobody_has_what_is_anothers(graph: dict[str, Any], there: set[str]) -> None:
    logins = [login for box in graph["mailboxes"].values() for login in box["logins"]]
    assert len(logins) == len(set(logins))
    for name, box in graph["mailboxes"].items():
        for login in box["logins"]:
            assert login == name or graph["addresses"][login]["to"] == [name]
    for key, names in graph["senders"].items():
        assert set(names) <= there
        if key in graph["addresses"]:
            assert set(names) == {end for end in graph["addresses"][key]["to"] if end in there}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.dates() | st.sampled_from([*NAMES, "a.test"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), each, max_size=3),
    max_leaves=8,
)
KEYS = {
    "mail_domains": ("name", "users", "addresses", "relay_to", "recipients"),
    "mail_users": (
        "name", "mailbox", "password_hash", "password_hashes", "aliases", "forward", "vacation", "quota", "state",
        "keep_mail", "send_as", "spam", "plus", "dash",
    ),
    "mail_lists": ("address", "members", "owner", "who_may_send"),
    "mail_routes": ("to", "via", "port", "user", "password", "tls", "tls_names"),
}  # fmt: skip


@st.composite
def odd_sites(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {"mail_fqdn": "mail.a.test", "mail_postmaster": draw(anything)}
    for variable, keys in KEYS.items():
        entry = st.dictionaries(st.sampled_from(keys), anything | target | targets)
        found[variable] = draw(st.lists(anything | entry, max_size=3))
    for variable in ("mail_senders", "mail_virtual_uids", "qmail_control", "qmail_virtualdomains"):
        found[variable] = draw(
            st.dictionaries(st.sampled_from(["deny", "allow", "first", "last"]) | st.text(), anything)
        )
    return found


@settings(max_examples=200)
@given(odd_sites())
def test_whatever_is_declared_gets_an_answer(site: dict[str, Any]) -> None:
    said = faults(site, TODAY)
    assert all(isinstance(fault, str) and fault.isprintable() for fault in said), said
    if not said:
        compile_site(site)
