# SPDX-License-Identifier: MIT
"""The suite's control files that follow from a declared site: name to lines, and only those with any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .addresses import LIST, OWN, Book, Claim
from .domains import MX
from .reading import read
from .routes import EVERYWHERE
from .site import LEGACY, LOCAL, RELAY, VIRTUAL, Route, Site

Lines = dict[str, list[str]]


def _said(site: Site) -> list[str]:
    """The host's own names and the domains, as they are said, each once."""
    return list(dict.fromkeys(["localhost", site.said_fqdn, *(domain.said for domain in site.domains.values())]))


def _destination(route: Route) -> str:
    """What stands for a route in a list of destinations: its relay, unless that is no plain word there."""
    if route.via and ":" not in route.via:
        return route.via
    return "" if route.to == EVERYWHERE else route.to


def _tls(routes: list[Route], tls: str) -> list[str]:
    lines = []
    for route in routes:
        if route.tls == tls:
            names = "".join(f":{name}" for name in route.names)
            lines.append((_destination(route) + names) or ":")
    return list(dict.fromkeys(lines))


def _has_wider_route(site: Site, domain: str) -> bool:
    """Would mail for a domain go by a relay that is declared for others, and none for it alone?"""
    relays = {route.to for route in site.routes if route.via}
    labels = domain.split(".")
    wider = {EVERYWHERE, *("." + ".".join(labels[at:]) for at in range(1, len(labels)))}
    return domain not in relays and bool(relays & wider)


def _smtproutes(site: Site) -> Iterator[str]:
    for domain in site.domains.values():
        if domain.relay_to == MX and _has_wider_route(site, domain.name):
            yield f"{domain.name}:"  # by its MX records, whatever holds for others
        elif domain.relay_to not in (None, MX):
            yield f"{domain.name}:{domain.relay_to}"
    for route in site.routes:
        if route.via:
            to = "" if route.to == EVERYWHERE else route.to
            yield f"{to}:{route.via}" + (f":{route.port}" if route.port else "")


def control_lines(site: Site, book: Book) -> Lines:
    """The lines of each file that follows from the declaration, without those that hold passwords and validrcptto."""
    always = {
        "locals": [name for name in _said(site) if book.kind(name.lower()) == LOCAL],
        "rcpthosts": _said(site),
        "virtualdomains": [f"{key}:{prefix}" for key, prefix in site.legacy.items()]
        + [f"{name}:{name}" for name in site.domains if book.kind(name) == VIRTUAL],
    }
    some = {
        "smtproutes": list(_smtproutes(site)),
        "tlsverifyhosts": _tls(site.routes, "verify"),
        "tlsrequiredhosts": _tls(site.routes, "required"),
        "notlshosts": _tls(site.routes, "never"),
        "badmailfrom": site.deny,
        "goodmailfrom": site.allow,
    }
    return always | {name: lines for name, lines in some.items() if lines}


def _secret_lines(site: Site) -> Lines:
    lines = [f"{r.via}:{r.port or 25} {r.user} {r.password}" for r in site.routes if r.user]
    return {"smtproutes_auth": list(dict.fromkeys(lines))} if lines else {}


def _extensions(address: str, claim: Claim, book: Book) -> Iterator[str]:
    box = book.boxes.get(claim.to[0]) if claim.why in OWN else None
    if box and (box.plus or box.dash):
        local, _, domain = address.partition("@")
        if box.plus:
            yield f"{local}+@{domain}"
        if box.dash:
            yield f"{local}-@{domain}"


def _recipients(site: Site, book: Book) -> dict[str, list[str]]:
    """The lines of validrcptto that no role reckons from local parts, and the domains that they are all of."""
    lines: list[str] = []
    whole: list[str] = []
    for name in dict.fromkeys([*book.own_names, *site.domains]):
        kind = book.kind(name)
        if kind == RELAY:
            recipients = site.domains[name].recipients
            lines += [f"@{name}"] if recipients is None else [f"{each}@{name}" for each in [*recipients, "postmaster"]]
        elif kind != LEGACY:
            for address, claim in book.names_of(name):
                if kind == VIRTUAL:
                    lines.append(address)
                lines += _extensions(address, claim, book)
        if kind in (RELAY, VIRTUAL):
            whole.append(name)
    for address, claim in book.exact.items():
        lines += [address, *_extensions(address, claim, book)]
    lines += [f"@{name}" for name in book.caught]
    return {"lines": list(dict.fromkeys(lines)), "domains": whole}


def _alias_targets(site: Site, book: Book) -> dict[str, str]:
    """Local part, as it is delivered, to where its mail goes on to by another delivery here."""
    found = dict.fromkeys(site.offices, site.postmaster)
    for name, box in book.boxes.items():
        found |= dict.fromkeys((alias.name for alias in box.aliases if "@" not in alias.name), name)

    def further(ends: list[str]) -> list[str]:
        """The mailboxes among them, and those that these hand on to."""
        return [end for end in ends if end in book.boxes]

    for name, box in book.boxes.items():
        if box.forward and "@" not in name and (to := further(book.ends(box.forward))):
            found[name] = " ".join(to)
    exact: dict[str, list[tuple[str, Claim]]] = {}
    for address, claim in book.exact.items():
        exact.setdefault(address.rpartition("@")[2], []).append((address, claim))
    for name in site.domains:
        if book.kind(name) != VIRTUAL:
            continue
        for address, claim in [*book.names_of(name), *exact.get(name, [])]:
            if claim.why == LIST:
                continue
            ends = book.ends(claim.to)
            only = book.boxes.get(ends[0]) if len(ends) == 1 else None
            # One mailbox gets it at once; what it forwards comes by here again.
            if to := further(book.ends(only.forward) if only else ends):
                found[f"{name}-{address.partition('@')[0]}"] = " ".join(to)
    return found


def local_parts(site: Site, book: Book) -> list[str]:
    """What stands before the @ in each domain that has no addresses of its own: names, their aliases, the offices."""
    names = [name for name in book.boxes if "@" not in name]
    aliases = [alias.name for box in book.boxes.values() for alias in box.aliases if "@" not in alias.name]
    return [*names, *aliases, *site.offices]


def site_control(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the role qmail makes control files of.

    Returns:
        `files`, name to lines, those with passwords too; `recipients`, the lines of validrcptto beside those of
        `local_parts`, and the domains that they have all recipients of; `alias_targets`.

    Raises:
        ValueError: with the first faults, if there are any.
    """
    said: list[str] = []
    site, book = read(variables, None, said.append)
    if said:
        raise ValueError("; ".join(said[:5]))
    return {
        "files": control_lines(site, book) | _secret_lines(site),
        "recipients": _recipients(site, book),
        "local_parts": local_parts(site, book),
        "alias_targets": _alias_targets(site, book),
    }
