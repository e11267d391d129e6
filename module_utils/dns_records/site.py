# SPDX-License-Identifier: MIT
"""What is known of a site, for its DNS records: read from plain data, as playbooks/dns.yml writes it.

The keys are those of `Site`, beside `update`, which has the key's secret and is for whoever writes records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import tsig
from .mta_sts import AGE_MOST, MODES
from .spf import parse
from .words import is_address, is_mailbox, is_name, plain, shown

POLICIES = ("none", "quarantine", "reject")
STATES = ("current", "next", "old", "removable")
QUALIFIERS = ("-all", "~all", "?all")


@dataclass(slots=True)
class Domain:
    """A domain whose mail is received here. `relay_to`: it is another host's, and passed on."""

    name: str
    relay_to: str | None = None


@dataclass(slots=True)
class Key:
    """A record that only the host knows, of a key: DKIM's or TLSA's. `state` is one of STATES."""

    name: str
    value: str
    state: str


@dataclass(slots=True)
class Site:
    """A site. Where a list of keys is None, nobody has told yet which; without `mta_sts` there is no policy."""

    fqdn: str
    domains: list[Domain]
    addresses: list[str] = field(default_factory=list)
    mx: list[str] = field(default_factory=list)
    ttl: int = 3600
    spf_all: str = "~all"
    spf_more: list[str] = field(default_factory=list)
    dmarc: str = "none"
    dmarc_reports: str = ""
    tls_reports: str = ""
    mta_sts: str = ""
    mta_sts_age: int = 604800
    mta_sts_host: str = ""
    autoconfig_host: str = ""
    submission: bool = False
    caa: list[str] = field(default_factory=list)
    smarthost: str = ""
    dkim: list[Key] | None = None
    tlsa: list[Key] | None = None


Fault = Iterator[str]


def _texts(where: str, said: object, good: Callable[[Any], bool], what: str) -> Fault:
    if not isinstance(said, Sequence) or isinstance(said, str):
        yield f"{where}: is not a list"
        return
    for index, each in enumerate(said):
        if not isinstance(each, str) or not good(each):
            yield f"{where}[{index}]: {shown(each, 60)} is {what}"


def _term(text: str) -> bool:
    try:
        return len(parse(f"v=spf1 {text}")) == 1 and " " not in text
    except ValueError:
        return False


def _keys(where: str, said: object, kind: str) -> Fault:
    if said is None:
        return
    if not isinstance(said, Sequence) or isinstance(said, str):
        yield f"{where}: is not a list of records"
        return
    for index, each in enumerate(said):
        wrong = (
            not isinstance(each, Mapping)
            or each.get("type") != kind
            or not is_name(each.get("name"))
            or not isinstance(each.get("value"), str)
            or not each["value"].isascii()
            or not each["value"].isprintable()
            or each.get("state") not in STATES
        )
        if wrong:
            yield f"{where}[{index}]: is not a record of {{name, type: {kind}, value, state: {'|'.join(STATES)}}}"


def _number(where: str, said: object, least: int, most: int) -> Fault:
    if isinstance(said, bool) or not isinstance(said, int) or not least <= said <= most:
        yield f"{where}: {shown(said, 60)} is not a number of seconds from {least} to {most}"


def _one_of(where: str, said: object, choices: Sequence[str]) -> Fault:
    if said not in choices:
        yield f"{where}: {shown(said, 60)} is none of {', '.join(choices)}"


def _empty_or(where: str, said: object, good: Callable[[Any], bool], what: str) -> Fault:
    if said != "" and not good(said):
        yield f"{where}: {shown(said, 60)} is {what}; empty is none"


NO_NAME = "no host name with a dot in it"
NO_MAILBOX = "no mail address"
_CHECKS: dict[str, Callable[[Any], Fault]] = {
    "addresses": lambda said: _texts("dns_addresses", said, is_address, "no address of IPv4 or IPv6"),
    "mx": lambda said: _texts("dns_mx", said, is_name, NO_NAME),
    "ttl": lambda said: _number("dns_ttl", said, 30, 604800),
    "spf_all": lambda said: _one_of("dns_spf_all", said, QUALIFIERS),
    "spf_more": lambda said: _texts("dns_spf_more", said, _term, "no mechanism of SPF, such as include:_spf.a.example"),
    "dmarc": lambda said: _one_of("dns_dmarc", said, POLICIES),
    "dmarc_reports": lambda said: _empty_or("dns_dmarc_reports", said, is_mailbox, NO_MAILBOX),
    "tls_reports": lambda said: _empty_or("dns_tls_reports", said, is_mailbox, NO_MAILBOX),
    "mta_sts": lambda said: _one_of("mta_sts_mode", said, ("", *MODES)),
    "mta_sts_age": lambda said: _number("mta_sts_max_age", said, 3600, AGE_MOST),
    "mta_sts_host": lambda said: _empty_or("mta_sts_host", said, is_name, NO_NAME),
    "autoconfig_host": lambda said: _empty_or("dns_autoconfig_host", said, is_name, NO_NAME),
    "caa": lambda said: _texts("dns_caa", said, is_name, "no name of an authority, such as letsencrypt.org"),
    "dkim": lambda said: _keys("what mail-dkim records prints", said, "TXT"),
    "tlsa": lambda said: _keys("what mail-tlsa records prints", said, "TLSA"),
}


def faults(said: object) -> list[str]:
    """A sentence for each thing that is wrong with a description."""
    if not isinstance(said, Mapping):
        return ["the description of the site is not a mapping"]
    found = []
    if not is_name(said.get("fqdn")):
        found.append(f"mail_fqdn: {shown(said.get('fqdn'), 60)} is {NO_NAME}")
    domains = said.get("domains")
    if not isinstance(domains, Sequence) or isinstance(domains, str) or not domains:
        found.append("mail_domains: is empty; name at least one domain")
    else:
        for index, each in enumerate(domains):
            if not is_name(each.get("name") if isinstance(each, Mapping) else each):
                found.append(f"mail_domains[{index}]: has no name that is one in the DNS")
    for key, check in _CHECKS.items():
        if key in said:
            found += check(said[key])
    return found


VARIABLES = {
    "dns_addresses": "addresses",
    "dns_mx": "mx",
    "dns_ttl": "ttl",
    "dns_spf_all": "spf_all",
    "dns_spf_more": "spf_more",
    "dns_dmarc": "dmarc",
    "dns_dmarc_reports": "dmarc_reports",
    "dns_tls_reports": "tls_reports",
    "mta_sts_mode": "mta_sts",
    "mta_sts_max_age": "mta_sts_age",
    "mta_sts_host": "mta_sts_host",
    "dns_autoconfig_host": "autoconfig_host",
    "dns_caa": "caa",
}
"""What an inventory calls the keys of a description."""


def variable_faults(said: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that is wrong with these variables, by name, each of its kind."""
    found: list[str] = []
    for name, key in VARIABLES.items():
        if name in said:
            value = said[name]
            # On the command line every value is a string.
            is_number = key in ("ttl", "mta_sts_age") and isinstance(value, str)
            found += _CHECKS[key](int(value) if is_number else value)
    if said.get("dns_update"):
        found += tsig.faults(said["dns_update"])
    return found


def _read_keys(said: Sequence[Mapping[str, str]] | None) -> list[Key] | None:
    return None if said is None else [Key(plain(each["name"]), each["value"], each["state"]) for each in said]


def _domain(said: Any) -> Domain:
    """One of mail_domains, in any of its forms."""
    if isinstance(said, str):
        return Domain(plain(said))
    return Domain(plain(said["name"]), said.get("relay_to") or None)


def read(said: Mapping[str, Any]) -> Site:
    """A description without a fault. Raises ValueError with its faults, a line each."""
    if found := faults(said):
        raise ValueError("\n".join(found))
    known = {name: said[name] for name in Site.__slots__ if name in said}  # type: ignore[attr-defined,unused-ignore]
    known["fqdn"] = plain(said["fqdn"])
    known["domains"] = [_domain(each) for each in said["domains"]]
    known["mx"] = [plain(name) for name in said.get("mx") or [said["fqdn"]]]
    known |= {"dkim": _read_keys(said.get("dkim")), "tlsa": _read_keys(said.get("tlsa"))}
    for key in ("mta_sts_host", "autoconfig_host"):
        known[key] = plain(said[key]) if said.get(key) else ""
    return Site(**known)
