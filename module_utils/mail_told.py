# SPDX-License-Identifier: MIT
"""A declared site in words: what there is, a line each, and what changes from one declaration to another.

The declaration is the Graph of `mail_graph`, plain data without a secret. Nothing in it changes without a word: what is
too long for a line, or nobody's business, is at least told to be another one.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Facts = dict[str, str | tuple[str, ...] | "Unsaid"]
    """What there is to say of one thing, by what kind of fact it is: a phrase, or names that stand behind that kind."""
    Thing = tuple[str, Facts]

MOST = 12  # names in a row
_PLAIN = ("user", "alias", "office")  # what an address is that holds in each domain with users
_SIZES = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"), (1, ""))


@dataclass(frozen=True)
class Unsaid:
    """Something that is only told to be another one."""

    value: str
    changed: str


# --- each kind of thing ---


def mailboxes(graph: Mapping[str, Any]) -> Iterator[Thing]:
    """Each mailbox, with all that is its own but its addresses."""
    more = _send_as(graph)
    for name, box in graph.get("mailboxes", {}).items():
        facts: Facts = {"kind": box["kind"]}
        if box["state"] == "absent":
            facts["state"] = f"absent, and its mail {'is kept' if box['keep_mail'] else 'goes'}"
        elif box["state"] != "present":
            facts["state"] = box["state"]
        if box["quota"]:
            facts["quota"] = f"quota {_size(box['quota'])}"
        if box["forward"]:
            facts["forwarded to"] = tuple(box["forward"]["to"])
            facts["kept"] = "a copy is kept" if box["forward"]["keep"] else "no copy is kept"
        if box["vacation"]:
            said = box["vacation"]
            first = f" from {day(said['from'])}" if said.get("from") is not None else ""
            last = "further notice" if said.get("until") is None else day(said["until"])
            facts["vacation"] = f"vacation{first} until {last}"
            answer = repr((said.get("subject"), said.get("text")))
            facts["answer"] = Unsaid(answer, "another text of the vacation's answer")
        spam = graph.get("spam", {}).get(name)
        if spam is not None:
            facts["spam"] = "not scanned for spam" if spam == "off" else f"spam from {spam}"
        facts |= {key: f"{key}-addressing" for key in ("plus", "dash") if box[key]}
        if name in more:
            facts["may also send as"] = tuple(more[name])
        for device, opens in sorted(box["devices"].items()):
            facts[f"password {device}"] = _device(device, opens)
        yield f"mailbox {name}", facts


def _device(device: str, opens: Mapping[str, Any]) -> str:
    limits = ", ".join(opens["services"])
    if opens["until"] is not None:
        limits += f"{', ' if limits else ''}until {day(opens['until'])}"
    return f"password of device {device}" + (f" ({limits})" if limits else "")


def _send_as(graph: Mapping[str, Any]) -> dict[str, list[str]]:
    """What each mailbox may send as beside the addresses that lead to it."""
    found: dict[str, list[str]] = {}
    addresses, domains = graph.get("addresses", {}), graph.get("domains", {})
    for key, names in (graph.get("senders") or {}).items():
        local, _, domain = key.rpartition("@")
        entry = addresses.get(key)
        if entry is None and local[-1:] in ("+", "-"):
            entry = addresses.get(f"{local[:-1]}@{domain}")
        if entry is None and not local and domains.get(domain, {}).get("kind") == "legacy":
            entry = {"why": "", "to": domains[domain]["catch_all"] or []}
        own = entry["to"] if entry and entry["why"] != "list" else []
        for name in names:
            if name not in own:
                found.setdefault(name, []).append(key)
    return found


def domains(graph: Mapping[str, Any]) -> Iterator[Thing]:
    """Each domain, with what holds in all of it."""
    for domain, what in graph.get("domains", {}).items():
        facts: Facts = {"kind": what["kind"]}
        if what["kind"] == "relay":
            facts["kind"] = f"passed on {by_relay(what['relay_to'])}"
            recipients = what.get("recipients")
            facts["recipients"] = "any recipient" if recipients is None else tuple(recipients)
        elif not what.get("users", True):
            facts["users"] = "without the users' names"
        if what["catch_all"]:
            facts["everything else →"] = tuple(what["catch_all"])
        yield f"domain {domain}", facts


def by_relay(relay_to: str) -> str:
    """How the mail of a domain that is passed on gets there."""
    return "by its MX records" if relay_to == "mx" else f"to {relay_to}"


def addresses(graph: Mapping[str, Any]) -> Iterator[Thing]:
    """Each address that is no list's, and where it leads."""
    lists = graph.get("lists", {})
    for address, entry in graph.get("addresses", {}).items():
        if address not in lists:
            facts: Facts = {"→": tuple(entry["to"])}
            if entry.get("until") is not None:
                facts["until"] = f"until {day(entry['until'])}"
            yield address, facts


def lists(graph: Mapping[str, Any]) -> Iterator[Thing]:
    """Each list: who is on it, and who may say something there."""
    for address, what in graph.get("lists", {}).items():
        who = f"{what['who_may_send']} may send"
        yield f"list {address}", {"→": tuple(what["members"]), "who": who, "owner": f"{what['owner']} owns it"}


def routes(graph: Mapping[str, Any]) -> Iterator[Thing]:
    """The ways out that are declared."""
    for route in graph.get("routes", []):
        port = f", port {route['port']}" if route["port"] else ""
        facts: Facts = {"via": f"by {route['via']}{port}" if route["via"] else "by MX records"}
        if route["user"]:
            facts["user"] = f"logs in as {route['user']}"
        facts["tls"] = tls(route["tls"])
        if route["names"]:
            facts["the certificate's name:"] = tuple(route["names"])
        yield f"route to {route['to']}", facts


def tls(level: str) -> str:
    """What a way out asks of TLS."""
    words = {"verify": "TLS verified", "required": "TLS required", "never": "without TLS"}
    return words.get(level, "TLS where it is offered")


def senders(graph: Mapping[str, Any]) -> Iterator[Thing]:
    """Whose mail is refused, and whether who has logged in is himself."""
    control = graph.get("control", {})
    facts: Facts = {}
    for name, label in (("badmailfrom", "denied:"), ("goodmailfrom", "allowed all the same:")):
        if control.get(name):
            facts[label] = tuple(control[name])
    if graph.get("senders", {}) is None:
        facts["own"] = "who has logged in may send as anybody"
    if facts:
        yield "senders", facts


KINDS: dict[str, Callable[[Mapping[str, Any]], Iterator[Thing]]] = {
    "mailboxes": mailboxes,
    "domains": domains,
    "addresses": addresses,
    "lists": lists,
    "routes": routes,
    "senders": senders,
}


# --- in words ---


def every(kind: str, graph: Mapping[str, Any]) -> list[str]:
    """A line for each thing of a kind."""
    lines = [("", key, _all(facts)) for key, facts in KINDS[kind](graph)]
    return _folded(lines, graph, graph) if kind == "addresses" else [_line(*line) for line in lines]


def told(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """What changes from one declaration to another, a line each: + what is new, - what goes, ~ what is otherwise.

    What happens to an address in several domains at once, since it is a user's plain name or alias, is told once.
    """
    old = before or {}
    lines: list[str] = []
    for kind, things in KINDS.items():
        have, want = dict(things(old)), dict(things(after))
        found = [("-", key, _all(facts)) for key, facts in have.items() if key not in want]
        found += [("+", key, _all(facts)) for key, facts in want.items() if key not in have]
        found += [
            ("~", key, _otherwise(have[key], facts))
            for key, facts in want.items()
            if key in have and have[key] != facts
        ]
        lines += _folded(found, old, after) if kind == "addresses" else [_line(*line) for line in found]
    names = {"fqdn": "this host's name (mail_fqdn)", "homes": "homes of virtual mailboxes"}
    names |= {"uids": "uids of virtual mailboxes"}
    lines += [
        f"~ {what}: {_plain(after[key])} (was {_plain(old[key])})"
        for key, what in names.items()
        if key in old and old[key] != after[key]
    ]
    return lines


def _plain(value: object) -> str:
    return f"{value['first']} to {value['last']}" if isinstance(value, dict) else str(value)


def _line(sign: str, key: str, said: str) -> str:
    space = " " if said.startswith("→") else ": "
    return f"{sign}{' ' if sign else ''}{key}{space}{said}"


def _folded(lines: Sequence[tuple[str, str, str]], *graphs: Mapping[str, Any]) -> list[str]:
    """Lines of addresses: a plain name's that are alike are one, which names the other domains, the host's own last."""
    host = {"localhost", *(graph.get("fqdn") for graph in graphs)}
    found: dict[tuple[str, str, str], list[str]] = {}
    for sign, address, said in lines:
        local, _, domain = address.rpartition("@")
        entries = [graph.get("addresses", {}).get(address) for graph in graphs]
        is_plain = all(entry is None or entry["why"] in _PLAIN for entry in entries)
        found.setdefault((sign, local if is_plain else address, said), []).append(domain)
    told = []
    for (sign, key, said), names in found.items():
        names.sort(key=lambda name: (name in host, name == "localhost"))
        further = f"; also at {_joined(names[1:])}" if names[1:] else ""
        told.append(_line(sign, key if "@" in key else f"{key}@{names[0]}", said + further))
    return told


def _all(facts: Facts) -> str:
    return _sentence(_phrase(label, value) for label, value in facts.items())


def _sentence(phrases: Iterable[str]) -> str:
    return "; ".join(phrase for phrase in phrases if phrase)


def _phrase(label: str, value: str | tuple[str, ...] | Unsaid) -> str:
    if isinstance(value, Unsaid):
        return ""
    return f"{label} {_joined(value) or 'nobody'}" if isinstance(value, tuple) else value


def _otherwise(before: Facts, after: Facts) -> str:
    """What is otherwise of one thing."""
    labels = [*after, *(label for label in before if label not in after)]
    return _sentence(_change(label, before.get(label), after.get(label)) for label in labels)


def _change(label: str, old: str | tuple[str, ...] | Unsaid | None, new: str | tuple[str, ...] | Unsaid | None) -> str:
    if old == new:
        return ""
    if old is None or new is None:
        phrase = _phrase(label, old if new is None else new)  # type: ignore[arg-type] # one of them is there
        return f"no longer {phrase}" if new is None and phrase else phrase
    if isinstance(new, Unsaid):
        return new.changed
    if isinstance(old, tuple) and isinstance(new, tuple) and max(len(old), len(new)) > MOST:
        parts = (
            ("+", [name for name in new if name not in {*old}]),
            ("-", [name for name in old if name not in {*new}]),
        )
        return f"{label} " + (" ".join(f"{sign} {_joined(names)}" for sign, names in parts if names) or "another order")
    return f"{_phrase(label, new)} (was {_phrase('', old).strip() or 'nobody'})"


def _size(number: int) -> str:
    return next(f"{number // unit}{letter}" for unit, letter in _SIZES if number % unit == 0)


def day(number: int) -> str:
    """A number of days since 1970 as a date."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=number)).isoformat()


def _joined(names: Iterable[str]) -> str:
    each = list(names)
    more = f" and {len(each) - MOST} more" if len(each) > MOST else ""
    return ", ".join(each[:MOST]) + more
