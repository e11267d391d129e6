# SPDX-License-Identifier: MIT
"""mail_domains: what is received here, read into one form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import forms
from .site import Domain, Target
from .words import Say, host_name_fault, is_list, is_local_part, kind, shown

DOMAIN_KEYS = ("name", "users", "addresses", "relay_to", "recipients")
MX = "mx"
"""What `relay_to` says where the MX records know the other host."""
ANY = "any"
_RELAY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_FILE_MOST = 1 << 26  # bytes


def is_relay(host: str) -> bool:
    """Whether a text is a host that mail can be handed to: a name or an address, with brackets or without."""
    if host.startswith("["):
        host = host[1:-1]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host_name_fault(host if "." in host else f"{host}.local") is None
    return True


def relay(where: str, value: object, say: Say) -> tuple[str, int | None]:
    """A relay and its port, if it says one; an empty name for what is none."""
    match = _RELAY.fullmatch(value) if isinstance(value, str) else None
    if match is None or not is_relay(match["host"]) or not 0 < int(match["port"] or 25) < 65536:
        say(f"{where}: {shown(value)} is no host: a name, or an address (IPv6 in brackets), if need be with :PORT")
        return "", None
    return match["host"], int(match["port"]) if match["port"] else None


def _file_lines(where: str, path: str, folder: str, say: Say) -> list[str]:
    file = Path(folder or ".") / path
    try:
        with file.open("rb") as opened:
            text = opened.read(_FILE_MOST + 1).decode("ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        say(f"{where}: {shown(path)} can't be read ({reason}); say a list, the path of a file, or any")
        return []
    if len(text) > _FILE_MOST:
        say(f"{where}: {shown(path)} has more than {_FILE_MOST} bytes")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _recipients(where: str, domain: str, said: object, folder: str, say: Say) -> list[str] | None:
    where += ": recipients"
    if said == ANY:
        return None
    if isinstance(said, str) and said:
        entries: list[Any] = _file_lines(where, said, folder, say)
    elif isinstance(said, list | tuple) and said:
        entries = list(said)
    else:
        say(
            f"{where}: {'is empty' if said in (None, '', [], ()) else kind(said)}; say those that there are, as a list "
            "or the path of a file, or any: what the other host refuses is then bounced, to forged senders too"
        )
        return []
    found = []
    for each in entries:
        local = each.lower().removesuffix("@" + domain) if isinstance(each, str) else ""
        if not is_local_part(local):
            say(f"{where}: {shown(each)} is not a local part of {domain}")
        else:
            found.append(local)
    return list(dict.fromkeys(found))


def _addresses(domain: Domain, said: object, today: int | None, say: Say) -> None:
    where = f"{domain.where}: addresses"
    if not isinstance(said, Mapping):
        say(f"{where}: is {kind(said)}, not a mapping of local part to where it leads, such as info: carol")
        return
    for local, value in said.items():
        local = str(local) if isinstance(local, int) and not isinstance(local, bool) else local
        at = f"{where}.{local}" if isinstance(local, str) and local.isprintable() else f"{where}[{shown(local)}]"
        until = None
        if isinstance(value, Mapping):
            forms.known_keys(at, value, ("to", "until"), "it", say)
            if value.get("until") is not None:
                until = forms.last_day(f"{at}.until", value["until"], today, say)
            value = value.get("to")
        if local == "*":
            domain.catch_all = forms.targets(at, value, say)
            if until is not None:
                say(f"{at}: a catch-all has no last day; leave until out")
        elif not isinstance(local, str) or not forms.local_part(where, local.removesuffix("@" + domain.name), "", say):
            if not isinstance(local, str):
                say(f"{where}: {shown(local)} is not a local part; write it in quotes")
        else:
            domain.addresses[local.removesuffix("@" + domain.name)] = Target(forms.targets(at, value, say), until)


def _mapping(domain: Domain, said: Mapping[str, Any], folder: str, today: int | None, say: Say) -> None:
    where = domain.where
    forms.known_keys(where, said, DOMAIN_KEYS, "a domain", say)
    domain.plain = not set(said) - {"name"}
    if said.get("relay_to") is not None:
        if said["relay_to"] == MX:
            domain.relay_to = MX
        else:
            host, port = relay(f"{where}: relay_to", said["relay_to"], say)
            domain.relay_to = host + (f":{port}" if port else "")
        domain.users = False
        domain.recipients = _recipients(where, domain.name, said.get("recipients"), folder, say)
        for key in ("users", "addresses"):
            if said.get(key):
                say(f"{where}: has relay_to, so its addresses are the other host's; leave {key} out")
        return
    if "recipients" in said:
        say(f"{where}: recipients are for a domain with relay_to; here say addresses")
    if "users" in said:
        domain.users = forms.flag(f"{where}: users", said["users"], say)
    if said.get("addresses") is not None:
        _addresses(domain, said["addresses"], today, say)


def read_domains(site: Mapping[str, Any], today: int | None, say: Say) -> dict[str, Domain]:
    """The domains by name, in small letters."""
    said = site.get("mail_domains")
    if not said:
        say("mail_domains: is empty; name at least one domain that this host receives mail for")
        return {}
    found: dict[str, Domain] = {}
    places: dict[str, int] = {}
    for index, each in enumerate(said):
        where = f"mail_domains[{index}]"
        name = each.get("name") if isinstance(each, Mapping) else each
        if not isinstance(name, str):
            what = "a mapping without a name" if isinstance(each, Mapping) else kind(each)
            say(f"{where}: is {what}, not a host name")
        elif fault := host_name_fault(name):
            say(f"{where}: {shown(name)} is not a host name ({fault})")
        elif name.lower() in found:
            say(f"{where}: {shown(name)} is already mail_domains[{places[name.lower()]}]")
        else:
            low = name.lower()
            places[low] = index
            found[low] = Domain(where, low, name)
            if isinstance(each, Mapping):
                found[low].where = f"{where} ({low})"
                _mapping(found[low], each, str(site.get("inventory_dir") or ""), today, say)
    return found


def domain_names(said: object) -> list[str]:
    """The names of mail_domains, in whichever form, as they are said."""
    each_name = [each.get("name") if isinstance(each, Mapping) else each for each in said] if is_list(said) else []  # type: ignore[attr-defined]
    return [name for name in each_name if isinstance(name, str)]
