# SPDX-License-Identifier: MIT
"""What each authoritative server of a zone answers, asked by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

TIMEOUT = 5.0  # seconds for an answer
SERVERS_MOST = 32  # addresses that are asked


class LookError(Exception):
    """Nobody can say now what the servers have."""


@dataclass(frozen=True)
class Server:
    """One address of a name server."""

    name: str
    address: str

    def __str__(self) -> str:
        """Give both."""
        return f"{self.name} ({self.address})"


class Look:
    """The DNS, as this host sees it."""

    def __init__(self, nameservers: dict[str, int] | None = None, port: int = 53) -> None:
        """Ask these resolvers at their ports, or those of resolv.conf; other servers listen on this port."""
        try:
            self.resolver = dns.resolver.Resolver(configure=nameservers is None)
        except dns.resolver.NoResolverConfiguration as error:
            raise LookError(f"no resolver: {error}") from None
        if nameservers is not None:
            self.resolver.nameservers = list(nameservers)
            self.resolver.nameserver_ports = nameservers
        self.resolver.lifetime = 2 * TIMEOUT
        self.port = port
        self.zones: dict[str, list[Server]] = {}

    def values(self, name: str, kind: str) -> list[str]:
        """Give what a resolver answers; nothing where there is none. Raises LookError."""
        try:
            answer = self.resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise LookError(f"{name} {kind}: {error}") from None
        return [each.to_text() for each in answer.rrset or []]

    def servers(self, name: str) -> list[Server]:
        """Give every address of every name server of the zone that a name is in. Raises LookError."""
        zone = dns.name.from_text(name)
        while len(zone.labels) > 1:
            found = self.zones.get(zone.to_text())
            if found is None and (names := self.values(zone.to_text(), "NS")):
                found = self.zones[zone.to_text()] = list(self.addresses(names))
            if found is not None:
                return found
            zone = zone.parent()
        raise LookError(f"{name}: no zone has it")

    def addresses(self, names: list[str]) -> Iterator[Server]:
        """Give the addresses of name servers. Raises LookError for one without any."""
        for name in sorted(names):
            some = self.values(name, "A") + self.values(name, "AAAA")
            if not some:
                raise LookError(f"{name.rstrip('.')}: a name server without an address")
            yield from (Server(name.rstrip("."), address) for address in some)

    def texts(self, server: Server, name: str) -> list[str]:
        """Give the texts that a server itself has at a name. Raises LookError unless it answers as one that knows."""
        question = dns.message.make_query(name, dns.rdatatype.TXT)
        question.flags &= ~dns.flags.RD
        try:
            answer, _ = dns.query.udp_with_fallback(question, server.address, timeout=TIMEOUT, port=self.port)
        except (dns.exception.DNSException, OSError) as error:
            raise LookError(f"{server}: {str(error) or type(error).__name__}") from None
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise LookError(f"{server}: answers {dns.rcode.to_text(answer.rcode())}")
        if not answer.flags & dns.flags.AA:
            raise LookError(f"{server}: isn't authoritative for {name}")
        found = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT]
        return [b"".join(each.strings).decode("latin-1") for rrset in found for each in rrset]

    def everywhere(self, name: str, *, wanted: str | None) -> str:
        """Say why not every server has this text at a name (or, None, no text at all); nothing where each of them has.

        A server of several addresses has to answer at one of them, and to be right wherever it answers.
        """
        silent: dict[str, str] = {}
        heard: set[str] = set()
        until = time.monotonic() + 60
        try:
            servers = self.servers(name)[:SERVERS_MOST]
        except LookError as error:
            return str(error)
        for server in servers:
            if time.monotonic() > until:
                return "the name servers take too long"
            try:
                texts = self.texts(server, name)
            except LookError as error:
                silent[server.name] = str(error)
                continue
            heard.add(server.name)
            if wanted is None and texts:
                return f"{server}: still has it"
            if wanted is not None and [same(text) for text in texts] != [same(wanted)]:
                return f"{server}: has {'another' if texts else 'no'} record"
        return next((why for name, why in silent.items() if name not in heard), "")


def same(text: str) -> dict[str, str]:
    """Give the tags of a text without blanks, for a comparison."""
    tags = (tag.partition("=") for tag in "".join(text.split()).split(";") if tag)
    return {name: value for name, _, value in tags}
