# SPDX-License-Identifier: MIT
"""mail_routes and mail_senders: which way mail leaves, and from whom none is taken; read into one form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import forms
from .domains import relay
from .site import Route
from .words import Say, host_name_fault, is_outside, kind, shown

ROUTE_KEYS = ("to", "via", "port", "user", "password", "tls", "tls_names")
SENDER_KEYS = ("deny", "allow", "own_only")
TLS = ("offered", "required", "verify", "never")
EVERYWHERE = "*"
_CREDENTIAL_MOST = 512  # bytes, as in qmail-remote


def _to(where: str, said: object, say: Say) -> str:
    if said == EVERYWHERE:
        return EVERYWHERE
    if not isinstance(said, str) or (fault := host_name_fault(said.removeprefix("."))):
        reason = f" ({fault})" if isinstance(said, str) else ""
        say(f'{where}: to: {shown(said)} is not a domain{reason}, nor .domain for all below one, nor "*" for every one')
        return ""
    return said.lower()


def _port(where: str, said: object, say: Say) -> int | None:
    text = str(said)
    if isinstance(said, bool) or not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        say(f"{where}: port: {shown(said)} is not a port, such as 587")
        return None
    return int(text)


def _login(where: str, said: Mapping[str, Any], say: Say) -> tuple[str, str]:
    user, password = said.get("user"), said.get("password")
    if user is None and password is None:
        return "", ""
    if user is None:
        say(f"{where}: has a password without a user; say who logs in")
    elif not isinstance(user, str) or not re.fullmatch(r"[!-~]+", user):
        say(f"{where}: user: {shown(user)} is not a name without blanks")
    if password is None:
        say(f"{where}: has a user without a password; say it, from Ansible's vault, or leave the user out")
    elif not isinstance(password, str) or not password.removesuffix("\n").isprintable() or not password.strip():
        say(f"{where}: password is {'empty' if password == '' else kind(password)}, or has a control character")
    values = (str(user or ""), str(password or "").removesuffix("\n"))
    if any(len(value.encode(errors="replace")) > _CREDENTIAL_MOST for value in values):
        say(f"{where}: user or password has more than {_CREDENTIAL_MOST} bytes")
    return values


def _tls(where: str, said: Mapping[str, Any], route: Route, say: Say) -> None:
    if (tls := said.get("tls")) is not None:
        route.tls = str(tls)
        if tls not in TLS:
            say(f"{where}: tls: {shown(tls)} is none of {', '.join(TLS)}")
            route.tls = TLS[0]
    if said.get("tls_names") is not None:
        route.names = forms.texts(f"{where}: tls_names", said["tls_names"], "a host name", say)
        for name in route.names:
            if fault := host_name_fault(name.removeprefix(".")):
                say(f"{where}: tls_names: {shown(name)} is not a host name ({fault})")
        if route.tls != "verify":
            say(f"{where}: tls_names are for tls: verify; say that, or leave them out")
    if route.user and route.tls in ("required", "never"):
        say(f"{where}: a password goes by verified TLS only; say tls: verify, or leave tls out")
    unnamed = route.tls != TLS[0] if ":" in route.via else not route.via and route.tls == "never"
    if route.to == EVERYWHERE and unnamed:
        say(f"{where}: tls: {route.tls} for every destination can't be told by such a relay; give via by name")


def _route(where: str, said: Mapping[str, Any], say: Say) -> Route:
    route = Route(where, _to(where, said.get("to"), say), "", None, "", "", TLS[0], [])
    if route.to:
        route.where = where = f"{where} ({route.to})"
    forms.known_keys(where, said, ROUTE_KEYS, "a route", say)
    if said.get("via") is not None:
        route.via, route.port = relay(f"{where}: via", said["via"], say)
        route.via = route.via.lower()
    if said.get("port") is not None:
        if route.port:
            say(f"{where}: via has a port already; leave port out")
        route.port = _port(where, said["port"], say)
        if said.get("via") is None:
            say(f"{where}: has a port without via; say which host that is")
    route.user, route.password = _login(where, said, say)
    if route.user and said.get("via") is None:
        say(f"{where}: has a user without via; say which host he logs in to")
    if said.get("via") is None and said.get("tls") is None:
        say(f"{where}: has neither via nor tls, so it says nothing; say a relay, or tls: verify, required or never")
    _tls(where, said, route, say)
    return route


def _credentials(routes: list[Route], say: Say) -> None:
    """A relay is logged in to as one user: the file that says so is looked up by relay and port."""
    known: dict[tuple[str, int], Route] = {}
    for route in routes:
        if not route.via:
            continue
        other = known.setdefault((route.via, route.port or 25), route)
        if (other.user, other.password) != (route.user, route.password):
            say(
                f"{route.where}: {route.via}:{route.port or 25} is logged in to otherwise by {other.where}; a relay "
                "and port has one user and password, so say the same there, or use another port"
            )


def read_routes(site: Mapping[str, Any], say: Say) -> list[Route]:
    """The routes, in their order."""
    found: list[Route] = []
    seen: dict[str, str] = {}
    for index, said in enumerate(site.get("mail_routes") or []):
        where = f"mail_routes[{index}]"
        if not isinstance(said, Mapping):
            say(f'{where}: is {kind(said)}, not a mapping such as {{to: "*", via: smtp.example.net}}')
            continue
        route = _route(where, said, say)
        if route.to and route.to in seen:
            say(f"{route.where}: {shown(route.to)} already goes by {seen[route.to]}")
        elif route.to:
            seen[route.to] = where
            found.append(route)
    _credentials(found, say)
    return found


def _patterns(where: str, said: object, say: Say) -> list[str]:
    found = []
    for each in forms.texts(where, said, "an address or @domain", say) if said else []:
        local, at, domain = each.rpartition("@")
        if not at or (local and not is_outside(each)) or host_name_fault(domain):
            say(f"{where}: {shown(each)} is neither an address nor @domain")
        else:
            found.append(each.lower())
    return found


def read_senders(site: Mapping[str, Any], say: Say) -> tuple[list[str], list[str], bool]:
    """Who is denied, who is allowed all the same, and whether who has logged in may send as himself only."""
    said = site.get("mail_senders") or {}
    if not isinstance(said, Mapping):
        say(f"mail_senders: is {kind(said)}, not a mapping with {', '.join(SENDER_KEYS)}")
        return [], [], True
    forms.known_keys("mail_senders", said, SENDER_KEYS, "it", say)
    deny = _patterns("mail_senders.deny", said.get("deny"), say)
    allow = _patterns("mail_senders.allow", said.get("allow"), say)
    for each in allow:
        if each in deny:
            say(f"mail_senders.allow: {shown(each)} is denied as well; take it out of one of them")
    own_only = forms.flag("mail_senders.own_only", said["own_only"], say) if "own_only" in said else True
    return deny, allow, own_only
