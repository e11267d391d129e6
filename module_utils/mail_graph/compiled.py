# SPDX-License-Identifier: MIT
"""The graph of a site as plain data: who has which mailbox, which addresses there are, and where each of them leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .addresses import ADDRESS, ALIAS, LIST, OFFICE, OWN, OWNER, USER, Book, Claim
from .control import control_lines
from .reading import read
from .site import ABSENT, LEGACY, LOCAL, RELAY, VIRTUAL, Mailbox, Site

Graph = dict[str, Any]
_OF_ONE = (USER, ALIAS, ADDRESS, OFFICE)


def _mailbox(box: Mailbox, book: Book) -> dict[str, Any]:
    there = box.state != ABSENT
    return {
        "kind": box.kind,
        "state": box.state,
        "keep_mail": box.keep_mail,
        "forward": {"to": book.ends(box.forward), "keep": box.keep} if there and box.forward else None,
        "vacation": box.vacation,
        "quota": box.quota,
        "logins": [box.name] if there else [],
        "devices": {name: {"services": d.services, "until": d.until} for name, d in box.devices.items()},
        "plus": box.plus and there,
        "dash": box.dash and there,
    }


def _entry(claim: Claim, book: Book) -> dict[str, Any]:
    entry: dict[str, Any] = {"to": book.ends(claim.to), "until": claim.until, "why": claim.why}
    if claim.why in OWN and (box := book.boxes.get(claim.to[0])):
        if box.plus:
            entry["plus"] = True
        if box.dash:
            entry["dash"] = True
    return entry


def _members(book: Book, address: str) -> list[str]:
    """The ends of a list's members: of a list among them, its members."""
    found: dict[str, None] = {}
    waiting, seen = [address], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for end in book.ends(book.site.lists[name].members):
            if end in book.site.lists:
                waiting.append(end)
            else:
                found[end] = None
    return list(found)


def _domains(site: Site, book: Book) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys([*book.own_names, *site.domains]):
        domain = site.domains.get(name)
        kind = book.kind(name)
        caught = domain.catch_all if domain and kind != LEGACY else []
        found[name] = {
            "kind": kind,
            "users": domain is None or domain.users,
            "relay_to": domain.relay_to if domain else None,
            "recipients": domain.recipients if domain and kind == RELAY else None,
            "catch_all": book.ends(caught) or None,
        }
        if kind == LEGACY and book.legacy.get(name) in book.boxes:
            found[name]["catch_all"] = [book.legacy[name]]
    return found


def _addresses(domains: Mapping[str, Any], book: Book) -> dict[str, Any]:
    addresses: dict[str, Any] = {}
    for name, domain in domains.items():
        if domain["kind"] in (LOCAL, VIRTUAL):
            for address, claim in book.names_of(name):
                addresses[address] = _entry(claim, book)
    for address, claim in book.exact.items():
        addresses[address] = _entry(claim, book)
        if claim.why == LIST:
            addresses[address]["to"] = _members(book, address)
    for key, prefix in book.legacy.items():
        if "@" in key and prefix in book.boxes:
            addresses[key] = {"to": [prefix], "until": None, "why": ADDRESS}
    return addresses


def _senders(site: Site, book: Book, graph: Graph) -> dict[str, dict[str, int | None]]:
    """Who may send as whom, and until when: as each address that leads to one, and as what send_as says."""
    found: dict[str, dict[str, int | None]] = {}

    def add(key: str, name: str, until: int | None = None) -> None:
        names = found.setdefault(key, {})
        if name not in names or until is None:
            names[name] = until

    for address, entry in graph["addresses"].items():
        if entry["why"] == LIST:
            continue
        local, _, domain = address.partition("@")
        for name in entry["to"]:
            if name in book.boxes:
                add(address, name, entry["until"])
                for sign, key in (("+", "plus"), ("-", "dash")):
                    if key in entry:
                        add(f"{local}{sign}@{domain}", name, entry["until"])
    for name, domain in graph["domains"].items():
        if domain["kind"] == LEGACY:
            for box in domain["catch_all"] or []:
                add(f"@{name}", box)
    for extension in site.extensions:
        local, at, domain_name = extension.rpartition("@")
        if at and local[-1:] in ("-", "+") and local[:-1] in book.boxes and book.is_ours(domain_name):
            add(extension, local[:-1])
    for name, box in book.boxes.items():
        for key in box.send_as:
            add(key, name)
    return found


def address_of(name: str, fqdn: str) -> str:
    """The address that a mailbox has whatever else there is."""
    return name if "@" in name else f"{name}@{fqdn}"


def _lists(site: Site, book: Book, graph: Graph, of_all: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    if not site.lists:
        return {}
    of_box: dict[str, list[str]] = {}
    for address, names in of_all.items():
        for name in names if "@" in address[1:] and not address.partition("@")[0].endswith(("+", "-")) else ():
            of_box.setdefault(name, []).append(address)
    found = {}
    for address, each in site.lists.items():
        members = graph["addresses"][address]["to"]
        owner = of_box.get(each.owner, [])
        senders = {"owner": owner, "members": owner}.get(each.who_may_send)
        if each.who_may_send == "members":
            senders = [*owner, *(a for end in members for a in of_box.get(end, [end] if "@" in end else []))]
        found[address] = {
            "members": [address_of(end, site.fqdn) if end in book.boxes else end for end in members],
            "owner": each.owner,
            "owner_address": each.owner_address,
            "who_may_send": each.who_may_send,
            "senders": None if senders is None else list(dict.fromkeys(sender.lower() for sender in senders)),
        }
    return found


def compile_site(site: Mapping[str, Any]) -> Graph:
    """Give the graph of a site whose variables have no fault.

    Raises:
        ValueError: with the first faults, if there are any.
    """
    said: list[str] = []
    found, book = read(site, None, said.append)
    if said:
        raise ValueError("; ".join(said[:5]))
    graph: Graph = {
        "fqdn": found.fqdn,
        "mailboxes": {name: _mailbox(box, book) for name, box in found.mailboxes.items()},
        "domains": _domains(found, book),
    }
    graph["addresses"] = _addresses(graph["domains"], book)
    for address, entry in graph["addresses"].items():
        owner = entry["to"][0] if len(entry["to"]) == 1 and entry["why"] in _OF_ONE else None
        if owner in graph["mailboxes"] and owner != address:
            graph["mailboxes"][owner]["logins"].append(address)
    senders = _senders(found, book, graph)
    graph["senders"] = {key: list(names) for key, names in senders.items()} if found.own_only else None
    ends = {key: {name: end for name, end in names.items() if end is not None} for key, names in senders.items()}
    graph["senders_until"] = {key: names for key, names in ends.items() if names}
    graph["lists"] = _lists(found, book, graph, senders)
    graph["routes"] = [
        {"to": r.to, "via": r.via, "port": r.port, "user": r.user, "tls": r.tls, "names": r.names} for r in found.routes
    ]
    graph["spam"] = {
        name: "off" if box.spam is False else box.spam for name, box in book.boxes.items() if box.spam is not None
    }
    graph["control"] = control_lines(found, book)
    graph["uids"] = {"first": found.first_uid, "last": found.last_uid}
    graph["homes"] = found.homes
    return graph


__all__ = ["OWNER", "Graph", "address_of", "compile_site"]
