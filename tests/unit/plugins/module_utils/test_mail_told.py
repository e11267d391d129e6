"""mail_told: nothing in a declaration changes without a word, each address is told once, and no text is repeated."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.mail_told import every, told

from tests.unit.graphs import address, domain, graph, mailbox

HOST = {"localhost": domain("local"), "mail.a.test": domain("local")}


def carol(**more: Any) -> dict[str, Any]:
    boxes = graph()["mailboxes"] | {"carol": graph()["mailboxes"]["carol"] | more}
    return graph(mailboxes=boxes)


def part(kind: str, name: str, **more: Any) -> dict[str, Any]:
    whole = graph()[kind]
    return graph(**{kind: whole | {name: whole[name] | more}})


DEVICES = {"phone": {"services": ["smtp", "imap"], "until": 20849}, "pad": {"services": [], "until": None}}
AWAY = {"subject": "Fort", "text": "Bin weg.", "from": None, "until": None}
ROUTE = {"to": "*", "via": "r.test", "port": 587, "user": "x", "tls": "verify", "names": []}
# What is otherwise, and how it is told.
CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    (carol(quota=5 << 30), ["~ mailbox carol: quota 5G"]),
    (carol(state="disabled"), ["~ mailbox carol: disabled"]),
    (carol(state="absent", keep_mail=False), ["~ mailbox carol: absent, and its mail goes"]),
    (carol(plus=True, dash=True), ["~ mailbox carol: plus-addressing; dash-addressing"]),
    (carol(forward={"to": ["x@y.test"], "keep": True}), ["~ mailbox carol: forwarded to x@y.test; a copy is kept"]),
    (carol(vacation=AWAY), ["~ mailbox carol: vacation until further notice"]),
    (
        carol(vacation=AWAY | {"from": 20820, "until": 20824}),
        ["~ mailbox carol: vacation from 2027-01-02 until 2027-01-06"],
    ),
    (
        carol(devices=DEVICES),
        [
            "~ mailbox carol: password of device pad; password of device phone (smtp, imap, until 2027-01-31)",
        ],
    ),
    (graph(spam={"carol": "off"}), ["~ mailbox carol: not scanned for spam"]),
    (graph(spam={"carol": 6.5}), ["~ mailbox carol: spam from 6.5"]),
    (
        graph(senders={"carol@a.test": ["carol", "anna"], "*": ["anna"], "@b.test": ["carol"]}),
        ["~ mailbox anna: may also send as carol@a.test, * (was *)", "~ mailbox carol: may also send as @b.test"],
    ),
    (graph(senders={}), ["~ mailbox anna: no longer may also send as *"]),
    (
        graph(senders=None),
        ["~ mailbox anna: no longer may also send as *", "+ senders: who has logged in may send as anybody"],
    ),
    (
        part("domains", "c.test", relay_to="mx"),
        ["~ domain c.test: passed on by its MX records (was passed on to mx.c.test)"],
    ),
    (
        part("domains", "c.test", recipients=["anna", "bert"]),
        ["~ domain c.test: recipients anna, bert (was any recipient)"],
    ),
    (part("domains", "b.test", users=False), ["~ domain b.test: without the users' names"]),
    (part("domains", "b.test", catch_all=None), ["~ domain b.test: no longer everything else → carol"]),
    (part("addresses", "sales@b.test", until=20849), ["~ sales@b.test: until 2027-01-31"]),
    (part("addresses", "sales@b.test", to=["anna"]), ["~ sales@b.test → anna (was carol)"]),
    (
        part("lists", "team@b.test", members=["anna"]),
        ["~ list team@b.test → anna (was anna@mail.a.test, y@elsewhere.test)"],
    ),
    (part("lists", "team@b.test", who_may_send="users"), ["~ list team@b.test: users may send (was members may send)"]),
    (graph(routes=[ROUTE]), ["+ route to *: by r.test, port 587; logs in as x; TLS verified"]),
    (
        graph(control={"badmailfrom": ["@bulk.test"], "goodmailfrom": ["a@bulk.test"]}),
        ["+ senders: denied: @bulk.test; allowed all the same: a@bulk.test"],
    ),
    (graph(homes="/srv/post"), ["~ homes of virtual mailboxes: /srv/post (was /srv/mail)"]),
    (
        graph(uids={"first": 300000, "last": 300009}),
        ["~ uids of virtual mailboxes: 300000 to 300009 (was 200000 to 200099)"],
    ),
    (graph(fqdn="mx.a.test"), ["~ this host's name (mail_fqdn): mx.a.test (was mail.a.test)"]),
]


@pytest.mark.parametrize("case", range(len(CHANGES)))
def test_a_change_is_told_in_words(case: int) -> None:
    after, said = CHANGES[case]
    assert told(graph(), after) == said
    assert told(json.loads(json.dumps(after)), after) == []
    back = told(after, graph())
    assert len(back) == len(said)
    assert len(told(None, after)) >= 13


def test_what_comes_and_goes_is_told() -> None:
    after = graph()
    after["addresses"] = after["addresses"] | {"news@b.test": address("carol", "anna")}
    del after["addresses"]["sales@b.test"]
    assert told(graph(), after) == ["- sales@b.test → carol", "+ news@b.test → carol, anna"]
    assert "+ domain b.test: virtual; everything else → carol" in told(None, after)
    assert "+ list team@b.test → anna@mail.a.test, y@elsewhere.test; members may send; anna owns it" in told(
        None, after
    )


def plain(**more: Any) -> dict[str, Any]:
    """anna's alias, in all domains with users."""
    names = ("localhost", "mail.a.test", "a.test", "b.test")
    addresses = {f"nan@{name}": address("anna", why="alias", **more) for name in names}
    return graph(domains=HOST | graph()["domains"], addresses=graph()["addresses"] | addresses)


def test_a_plain_name_is_told_once_with_the_domains_that_have_it() -> None:
    before = graph(domains=HOST | graph()["domains"])
    also = "; also at b.test, mail.a.test, localhost"
    assert told(before, plain()) == [f"+ nan@a.test → anna{also}"]
    assert told(plain(), before) == [f"- nan@a.test → anna{also}"]
    assert told(plain(), plain(until=20849)) == [f"~ nan@a.test: until 2027-01-31{also}"]
    fewer = plain()
    del fewer["domains"]["b.test"], fewer["addresses"]["nan@b.test"]
    assert "- nan@b.test → anna" in told(plain(), fewer)
    own = plain()
    own["addresses"]["nan@b.test"] = address("carol")
    assert told(plain(), own) == ["~ nan@b.test → carol (was anna)"]
    assert f"nan@a.test → anna{also}" in every("addresses", plain())


def test_a_long_row_of_names_tells_what_is_otherwise() -> None:
    many = [f"user{number}" for number in range(20)]
    before, after = (part("domains", "c.test", recipients=names) for names in (many, [*many[1:], "zoe"]))
    assert told(before, after) == ["~ domain c.test: recipients + zoe - user0"]
    before, after = (part("lists", "team@b.test", members=names) for names in (many, many[::-1]))
    assert told(before, after) == ["~ list team@b.test → another order"]


def test_the_text_of_a_vacation_is_not_repeated() -> None:
    lines = told(carol(vacation=AWAY), carol(vacation=AWAY | {"text": "Bin wieder weg."}))
    assert lines == ["~ mailbox carol: another text of the vacation's answer"]
    assert "weg" not in "".join(told(None, carol(vacation=AWAY)))


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each value in a declaration that has no further ones in it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from leaves(each, (*way, key))
    if value is not None and not isinstance(value, dict | list):
        yield way, value


def test_nothing_changes_without_a_word() -> None:
    full = carol(
        vacation=AWAY | {"from": 20820, "until": 20824},
        devices=DEVICES,
        quota=5,
        forward={"to": ["x@y.test"], "keep": False},
    )
    full |= {"routes": [ROUTE | {"names": ["a.test"]}], "spam": {"carol": 6.5}}
    full["mailboxes"]["gone"] = mailbox(state="absent")
    full["domains"]["c.test"]["recipients"] = ["anna"]
    silent = set()
    for way, value in leaves(full):
        after = copy.deepcopy(full)
        at: Any = after
        for step in way[:-1]:
            at = at[step]
        at[way[-1]] = {str: "local" if value == "relay" else "relay", bool: value is not True}.get(type(value), 7)
        if not told(full, after):
            silent.add(way)
    # What follows from the rest, is said by the list itself, or means nothing where it is.
    follows = {"logins", "why", "owner_address", "senders", "keep_mail", "relay_to"}
    of_address = {("addresses", "team@b.test", "to"), ("addresses", "info@b.test", "plus")}
    silent = {way for way in silent if not follows & {*way} and way[:3] not in of_address}
    assert silent == {("domains", "c.test", "users")}
