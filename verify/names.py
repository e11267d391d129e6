"""Whether the host's name, its address and what it says of itself agree in the DNS, as big receivers look at it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from module_utils.dns_records import spf
from module_utils.dns_records.words import plain, reverse, shown
from module_utils.name_servers import Names, NoAnswerError
from verify.cases import Check

GROUP = "The names that others see"
GREETING_MOST = 1000
Ask = Callable[[str, str], Sequence[str]]


def greeting(address: str, port: int) -> str:
    """The name that a server says in its greeting (RFC 5321, section 4.2); empty if there is none."""
    try:
        with socket.create_connection((address, port), timeout=15) as session, session.makefile("rb") as said:
            line = said.readline(GREETING_MOST).decode("ascii", "replace")
            session.sendall(b"QUIT\r\n")
    except OSError:
        return ""
    words = line[4:].split()
    return plain(words[0]) if line[:3] == "220" and words else ""


def _check(what: str, case: str, why: str) -> Check:
    return Check(GROUP, what, case, "failed" if why else "passed", shown(why, 400))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name, 80) for name in names[:5]) or "nothing"


def _address(host: str, address: str, said: str, ask: Ask) -> Iterator[Check]:
    """What holds of one address: its PTR record, the way back, HELO."""
    pointers = [plain(name) for name in ask(reverse(address), "PTR")]
    yield _check(
        "the address has one PTR record", address,
        "" if len(pointers) == 1 else f"it leads to {_listed(pointers)}; whoever gave you the address sets it",
    )  # fmt: skip
    kind = "AAAA" if ":" in address else "A"
    back = [name for name in pointers[:5] if address in ask(name, kind)]
    yield _check(
        "the name of the PTR record leads back to the address", address,
        "" if pointers and back == pointers[:5] else f"{_listed(pointers)}: has no {kind} record of {address}",
    )  # fmt: skip
    yield _check(
        "it is the name that the host has", address,
        "" if host in pointers else f"PTR leads to {_listed(pointers)}, and not to {host}, which it says in HELO",
    )  # fmt: skip
    if said:
        yield _check(
            "it is the name that the host greets with", address,
            "" if said in pointers else f"PTR leads to {_listed(pointers)}, and the greeting says {shown(said, 80)}",
        )  # fmt: skip
    yield _check(
        "the host's name leads to the address", address,
        "" if address in ask(host, kind) else f"{host} has no {kind} record of {address}",
    )  # fmt: skip


def _spf(name: str, addresses: Sequence[str], ask: Ask) -> str:
    """What is wrong with a name's SPF record; empty if it lets all of these addresses pass."""
    try:
        text = spf.record_of(name, ask)
    except ValueError as error:
        return str(error)
    if text is None:
        return f"{name} has no SPF record; bin/dns says which"
    cost = spf.cost(text, name, ask)
    results = {address: spf.result(text, name, address, ask) for address in addresses}
    bad = [f"{address}: {result}" for address, result in results.items() if result != "pass"]
    return "; ".join(cost.faults + bad)


def _dmarc(domain: str, ask: Ask) -> str:
    """What is wrong with a domain's DMARC policy, its own or that of a domain above (RFC 9989)."""
    labels = domain.split(".")
    for at in range(max(len(labels) - 1, 1)):
        name = "_dmarc." + ".".join(labels[at:])
        found = [text for text in ask(name, "TXT") if text.lower().replace(" ", "").startswith("v=dmarc1")]
        if len(found) > 1:
            return f"{name} has {len(found)} DMARC records, so none counts"
        if found:
            return ""
    return f"_dmarc.{domain} has no DMARC record; bin/dns says which"


def _domain(site: dict[str, Any], addresses: Sequence[str], ask: Ask) -> Iterator[Check]:
    host, domain = plain(site["host"]), plain(site["domain"])
    hosts = [plain(text.split(" ")[-1]) for text in ask(domain, "MX")]
    yield _check("mail for the domain goes to the host", domain, "" if host in hosts else f"MX is {_listed(hosts)}")
    yield _check("its SPF record lets the host pass", domain, _spf(domain, addresses, ask))
    yield _check("so does that of the host's own name", host, _spf(host, addresses, ask))
    yield _check("it has a DMARC policy", domain, _dmarc(domain, ask))


def look(site: dict[str, Any], names: Names, greets: Callable[[str, int], str] = greeting) -> list[Check]:
    """Ask a resolver for all of it, of each address of the site."""
    addresses = list(dict.fromkeys(each for each in (site["address"], site.get("address6")) if each))
    port = site.get("ports", {}).get("smtp", 25) or 25
    checks: list[Check] = []
    parts: list[Callable[[], Iterator[Check]]] = [
        *(lambda a=each: _address(plain(site["host"]), a, greets(a, port), names.found) for each in addresses),
        lambda: _domain(site, addresses, names.found),
    ]
    for part in parts:
        try:
            checks += part()
        except NoAnswerError as error:
            checks.append(_check("the DNS answers", "", str(error)))
    return checks
