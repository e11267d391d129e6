# SPDX-License-Identifier: MIT
"""SPF records (RFC 7208): whether one is well formed, how many look-ups it costs, and whether it lets an address pass.

What needs the DNS asks for it by ASK(name, type), which gives texts as `record` has them, and raises LookupError where
no answer could be had. Nothing here knows a sender, so what macros (section 7) make of one is counted, and matches
nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .words import is_name, plain, shown

Ask = Callable[[str, str], Sequence[str]]

LOOKUPS_MOST = 10
VOID_MOST = 2
MX_MOST = 10
"""RFC 7208, section 4.6.4."""
# Where counting ends, however many there are.
_GIVEN_UP = 60
VERSION = "v=spf1"
_TERM = re.compile(r"(?P<sign>[-+~?]?)(?P<name>[a-z][a-z0-9_.-]*)(?P<mark>[:=/]?)(?P<rest>.*)", re.IGNORECASE)
_CIDR = re.compile(r"(?P<domain>[^/]*)(?:/(?P<four>\d{1,3}))?(?://(?P<six>\d{1,3}))?")
_COSTLY = ("include", "a", "mx", "ptr", "exists", "redirect")
_RESULTS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral", "": "pass"}


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism, or the modifier redirect. `domain` is empty where the record's own is meant."""

    name: str
    sign: str = ""
    domain: str = ""
    four: int = 32
    six: int = 128
    network: str = ""


@dataclass(slots=True)
class Cost:
    """What a record asks of whoever evaluates it, at most."""

    lookups: int = 0
    void: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether everybody can evaluate it."""
        return not self.faults


def is_spf(text: str) -> bool:
    """Whether a TXT string is an SPF record (RFC 7208, section 4.5)."""
    return text.lower() == VERSION or text.lower().startswith(VERSION + " ")


def _has_macro(domain: str) -> bool:
    return "%" in domain


def _network(term: Term, rest: str) -> Term:
    try:
        network = ipaddress.ip_network(rest, strict=False)
    except ValueError:
        raise ValueError(f"{term.name}:{shown(rest, 60)} is no network") from None
    if network.version != (4 if term.name == "ip4" else 6):
        raise ValueError(f"{term.name}:{shown(rest, 60)} is of the other IP version")
    return Term(term.name, term.sign, network=str(network))


def _domain(term: Term, rest: str, mark: str) -> Term:
    match = _CIDR.fullmatch(rest if mark == ":" else mark + rest)
    if match is None:
        raise ValueError(f"{term.name}: {shown(rest, 60)} is no domain")
    domain, four, six = match["domain"], int(match["four"] or 32), int(match["six"] or 128)
    if four > 32 or six > 128:
        raise ValueError(f"{term.name}: {shown(rest, 60)} has a prefix that is too long")
    if (match["four"] or match["six"]) and term.name not in ("a", "mx"):
        raise ValueError(f"{term.name} takes no prefix")
    if not domain and (mark == ":" or term.name in ("include", "exists")):
        raise ValueError(f"{term.name} has no domain")
    if domain and not _has_macro(domain) and not is_name(plain(domain)):
        raise ValueError(f"{term.name}:{shown(domain, 60)} is no domain")
    return Term(term.name, term.sign, plain(domain) if domain else "", four, six)


def parse(text: str) -> list[Term]:
    """The terms of a record (RFC 7208, section 12). Raises ValueError, a sentence, for one that is not well formed."""
    if not is_spf(text):
        raise ValueError(f"{shown(text, 60)} is no SPF record")
    found = []
    for word in text.split(" ")[1:]:
        if not word:
            continue
        match = _TERM.fullmatch(word)
        if match is None:
            raise ValueError(f"{shown(word, 60)} is no mechanism")
        name, mark, rest = match["name"].lower(), match["mark"], match["rest"]
        if mark == "=":
            if match["sign"]:
                raise ValueError(f"{shown(word, 60)} is a modifier with a sign")
            if name == "redirect":
                found.append(_domain(Term(name), rest, ":"))
        elif name == "all" and not mark:
            found.append(Term(name, match["sign"]))
        elif name in ("ip4", "ip6") and mark == ":":
            found.append(_network(Term(name, match["sign"]), rest))
        elif name in ("include", "a", "mx", "ptr", "exists"):
            found.append(_domain(Term(name, match["sign"]), rest, mark))
        else:
            raise ValueError(f"{shown(word, 60)} is no mechanism that there is")
    return _effective(found)


def _effective(terms: list[Term]) -> list[Term]:
    """What counts: nothing behind `all`, and no redirect beside it (sections 5.1 and 6.1); that comes last."""
    redirects = [term for term in terms if term.name == "redirect"]
    if len(redirects) > 1:
        raise ValueError("redirect stands there twice")
    rest = [term for term in terms if term.name != "redirect"]
    at = next((index for index, term in enumerate(rest) if term.name == "all"), None)
    return rest + redirects if at is None else rest[: at + 1]


def record_of(domain: str, ask: Ask) -> str | None:
    """The one SPF record of a domain, if there is any. Raises ValueError for two, LookupError without an answer."""
    found = [text for text in ask(domain, "TXT") if is_spf(text)]
    if len(found) > 1:
        raise ValueError(f"{domain} has {len(found)} SPF records; one is the most (RFC 7208, section 4.5)")
    return found[0] if found else None


def cost(text: str, domain: str, ask: Ask) -> Cost:
    """What a record costs at most, with all that it includes (section 4.6.4), and what is wrong with any of it."""
    found = Cost()
    _add(text, domain, ask, found, (domain,))
    if found.lookups > LOOKUPS_MOST:
        more = "more than " if found.lookups >= _GIVEN_UP else ""
        found.faults.append(f"takes {more}{found.lookups} look-ups; {LOOKUPS_MOST} is the most, so nobody lets it pass")
    elif found.void > VOID_MOST:
        found.faults.append(f"asks for {found.void} names that don't exist; {VOID_MOST} is the most")
    return found


def _add(text: str, domain: str, ask: Ask, found: Cost, above: tuple[str, ...]) -> None:
    try:
        terms = parse(text)
    except ValueError as error:
        found.faults.append(f"{domain}: {error}" if len(above) > 1 else str(error))
        return
    for term in terms:
        if term.name not in _COSTLY or found.lookups >= _GIVEN_UP:
            continue
        found.lookups += 1
        target = term.domain or domain
        if _has_macro(target) or term.name == "ptr":
            continue
        try:
            if term.name in ("include", "redirect"):
                _include(term, target, ask, found, above)
            else:
                found.void += not _names(term, target, ask, found)
        except LookupError as error:
            found.faults.append(f"{target}: {error}")


def _include(term: Term, target: str, ask: Ask, found: Cost, above: tuple[str, ...]) -> None:
    if target in above:
        found.faults.append(f"{term.name} of {target} goes round in a circle")
        return
    try:
        text = record_of(target, ask)
    except ValueError as error:
        found.faults.append(str(error))
        return
    if text is None:
        found.faults.append(
            f"{term.name} of {target}, which has no SPF record, is an error for everybody (section 5.2)"
        )
        return
    _add(text, target, ask, found, (*above, target))


def _names(term: Term, target: str, ask: Ask, found: Cost) -> bool:
    """Whether a term's first question has an answer."""
    if term.name == "mx":
        hosts = ask(target, "MX")
        if len(hosts) > MX_MOST:
            found.faults.append(f"mx of {target} has {len(hosts)} names; {MX_MOST} is the most")
        return bool(hosts)
    return bool(ask(target, "A") or ask(target, "AAAA"))


def result(text: str, domain: str, address: str, ask: Ask) -> str:
    """What a record says of an address (section 2.6): pass, fail, softfail, neutral, permerror or temperror."""
    try:
        return _evaluated(text, domain, ipaddress.ip_address(address), ask, 0) or "neutral"
    except ValueError:
        return "permerror"
    except LookupError:
        return "temperror"


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _evaluated(text: str, domain: str, address: _Address, ask: Ask, depth: int) -> str | None:
    """The result, or None where nothing matches."""
    if depth > LOOKUPS_MOST:
        raise ValueError("too deep")
    for term in parse(text):
        target = term.domain or domain
        if _has_macro(target):
            continue
        if term.name == "redirect":
            other = record_of(target, ask)
            if other is None:
                raise ValueError("redirect to nothing")
            return _evaluated(other, target, address, ask, depth + 1)
        if _matches(term, target, address, ask, depth):
            return _RESULTS[term.sign]
    return None


def _matches(term: Term, target: str, address: _Address, ask: Ask, depth: int) -> bool:
    if term.name == "all":
        return True
    if term.network:
        return address in ipaddress.ip_network(term.network)
    if term.name == "include":
        other = record_of(target, ask)
        if other is None:
            raise ValueError("include of nothing")
        return _evaluated(other, target, address, ask, depth + 1) == "pass"
    if term.name == "exists":
        return bool(ask(target, "A"))
    return any(address in network for network in _networks(term, target, address.version, ask))


def _networks(
    term: Term, target: str, version: int, ask: Ask
) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    kind, prefix = ("A", term.four) if version == 4 else ("AAAA", term.six)
    hosts = {"a": [target]}.get(term.name, [])
    if term.name == "mx":
        hosts = [plain(text.split(" ")[-1]) for text in ask(target, "MX")][:MX_MOST]
    for host in hosts:
        for each in ask(host, kind):
            yield ipaddress.ip_network(f"{each}/{prefix}", strict=False)
