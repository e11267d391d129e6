# SPDX-License-Identifier: MIT
"""Questions to name servers: which ones have authority for a name, and what each of them says. By dnspython.

What they answer is text of strangers: its amount is bounded here, and it is for whoever shows it to make it printable.
On a host this is one of the modules' parts, which are single files.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

PORT = 53
TIMEOUT = 4.0
TRIES = 2
# Of one answer: more is nobody's zone.
RECORDS_MOST = 200
SERVERS_MOST = 26


class NoAnswerError(LookupError):
    """A question without an answer; the text says who didn't give it, and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """One address of a name server."""

    name: str
    address: str
    port: int = PORT

    def __str__(self) -> str:
        """How it is called in a report."""
        where = self.address if self.port == PORT else f"{self.address} port {self.port}"
        return f"{self.name} ({where})" if self.name != self.address else where


@dataclass(slots=True)
class Zone:
    """A zone, with those who have authority for it."""

    name: str
    servers: list[Server]
    silent: list[str] = field(default_factory=list)
    """Sentences about name servers that can't be asked at all."""


def plain(name: str) -> str:
    """A name in the form that is compared: small letters, no dot at the end but the root's."""
    return name.lower().rstrip(".") or "."


def text_of(rdata: Any) -> str:
    """A record's data as dns_records has it."""
    kind = dns.rdatatype.to_text(rdata.rdtype)
    if kind == "TXT":
        return b"".join(rdata.strings).decode("utf-8", "backslashreplace")
    if kind in ("MX", "SRV"):
        *numbers, name = rdata.to_text().split(" ")
        return " ".join([*numbers, plain(name)])
    if kind in ("CNAME", "PTR", "NS"):
        return plain(rdata.to_text())
    if kind == "TLSA":
        return f"{rdata.usage} {rdata.selector} {rdata.mtype} {rdata.cert.hex()}"
    return str(rdata.to_text())


def is_reachable(address: str) -> bool:
    """Whether this machine has a way to an address at all; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, PORT))
    except OSError:
        return False
    return True


class Names:
    """Asks name servers: a resolver for the way, those with authority for what counts."""

    def __init__(
        self, resolvers: Sequence[Server | str] = (), servers: Sequence[Server] = (), also: Sequence[Server] = (),
        port: int = PORT, seconds: float = 120, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Take who is asked.

        Args:
            resolvers: without any, those of this machine's resolv.conf.
            servers: those with authority for all that is asked, in the place of the ones that NS records name.
            also: more of them, such as a hidden primary.
            port: of resolvers and name servers that don't say another one.
            seconds: after so many, nothing is asked any more.
            clock: what time it is, in seconds.
        """
        every = resolvers or _of_this_machine()
        self._resolvers = [each if isinstance(each, Server) else Server(each, each, port) for each in every]
        self._servers, self._also, self._port = list(servers), list(also), port
        self._clock, self._end = clock, clock() + seconds
        self._zones: dict[str, Zone] = {}
        self._zone_names: dict[str, str] = {}
        self._dead: dict[Server, str] = {}

    # --- one question ---

    def exchange(self, server: Server, name: str, type_: str, *, recursive: bool = False) -> dns.message.Message:
        """Ask one server one thing, by UDP and, if it must be, TCP. Raises NoAnswerError."""
        if server in self._dead:
            raise NoAnswerError(self._dead[server])
        query = dns.message.make_query(_name(name), type_, use_edns=0, payload=1232)
        if not recursive:
            query.flags &= ~dns.flags.RD
        why = ""
        for _ in range(TRIES):
            left = self._end - self._clock()
            if left <= 0:
                raise NoAnswerError("no time is left for more questions")
            try:
                answer, _ = dns.query.udp_with_fallback(
                    query, server.address, timeout=min(TIMEOUT, left), port=server.port, ignore_unexpected=True
                )
            except dns.exception.Timeout:
                why = f"{server} doesn't answer"
            except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
                why = f"{server}: {error}"
            else:
                return answer
        self._dead[server] = why
        raise NoAnswerError(why)

    def answer(self, server: Server, name: str, type_: str) -> list[str]:
        """What a server with authority has at a name; empty where there is nothing. Raises NoAnswerError."""
        said = self.exchange(server, name, type_)
        code = said.rcode()
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise NoAnswerError(f"{server} says {dns.rcode.to_text(code)} to a question for {name}")
        if not said.flags & dns.flags.AA:
            raise NoAnswerError(f"{server} has no authority for {name}, though it should (a lame delegation)")
        return _texts(said, name, type_)

    def found(self, name: str, type_: str) -> list[str]:
        """What a resolver says is at a name, at the end of a chain of CNAME records. Raises NoAnswerError."""
        said = self._resolved(name, type_)
        code = said.rcode()
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise NoAnswerError(f"the resolver says {dns.rcode.to_text(code)} to a question for {name}")
        wanted = dns.rdatatype.from_text(type_)
        sets = [rrset for rrset in said.answer if rrset.rdtype == wanted]
        return [text_of(rdata) for rrset in sets for rdata in rrset][:RECORDS_MOST]

    def _resolved(self, name: str, type_: str) -> dns.message.Message:
        why = NoAnswerError("this machine knows no resolver: /etc/resolv.conf names none")
        for server in self._resolvers:
            try:
                said = self.exchange(server, name, type_, recursive=True)
            except NoAnswerError as error:
                why = error
                continue
            if said.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return said
            why = NoAnswerError(f"{server} says {dns.rcode.to_text(said.rcode())} to a question for {name}")
        raise why

    # --- who has authority ---

    def zone(self, name: str) -> Zone:
        """The zone that a name is in. Raises NoAnswerError."""
        if name not in self._zone_names:
            self._zone_names[name] = self._zone_name(name)
        zone = self._zone_names[name]
        if zone not in self._zones:
            self._zones[zone] = self._with_servers(zone)
        return self._zones[zone]

    def _zone_name(self, name: str) -> str:
        """Which zone that is: the owner of the SOA record that an answer about the name comes with."""
        labels = name.split(".")
        for at in range(len(labels)):
            asked = ".".join(labels[at:])
            said = self.exchange(self._servers[0], asked, "SOA") if self._servers else self._resolved(asked, "SOA")
            for rrset in [*said.answer, *said.authority]:
                owner = plain(rrset.name.to_text())
                if rrset.rdtype == dns.rdatatype.SOA and _name(name).is_subdomain(rrset.name):
                    return owner
        raise NoAnswerError(f"{name}: no zone is found that it is in")

    def _with_servers(self, zone: str) -> Zone:
        if self._servers:
            return Zone(zone, [*self._servers, *self._also])
        found = Zone(zone, [])
        for host in sorted(self.found(zone, "NS"))[:SERVERS_MOST]:
            try:
                addresses = self.found(host, "A") + self.found(host, "AAAA")
            except NoAnswerError as error:
                found.silent.append(f"{zone}: its name server {host} has no address that could be found ({error})")
                continue
            usable = [each for each in addresses if is_reachable(each)]
            if not usable:
                what = "no address that there is a way to from here" if addresses else "no address"
                found.silent.append(f"{zone}: its name server {host} has {what}")
            found.servers += [Server(host, each, self._port) for each in usable]
        found.servers += self._also
        if not found.servers:
            raise NoAnswerError(f"{zone}: none of its name servers can be asked from here")
        return found

    def everywhere(self, name: str, type_: str) -> list[tuple[Server, list[str]]]:
        """What every name server of the zone that a name is in has there, by each of its addresses that answers.

        Raises NoAnswerError where one of the servers answers at none.
        """
        zone = self.zone(name)
        silent = {sentence: NoAnswerError(sentence) for sentence in zone.silent}
        said = []
        for server in zone.servers:
            try:
                said.append((server, self.answer(server, name, type_)))
            except NoAnswerError as error:
                silent[server.name] = error
        heard = {server.name for server, _ in said}
        for who, why in silent.items():
            if who not in heard:
                raise why
        return said

    def is_signed(self, zone: Zone) -> bool:
        """Whether a zone has keys for DNSSEC. Raises NoAnswerError."""
        return bool(self.answer(zone.servers[0], zone.name, "DNSKEY"))

    def authoritative(self, name: str, type_: str) -> list[str]:
        """What the first server with authority that answers has, CNAME records followed by the resolver."""
        if not self._servers:
            return self.found(name, type_)
        zone = self.zone(name)
        return self.answer(zone.servers[0], name, type_)


def _of_this_machine() -> list[str]:
    try:
        found = dns.resolver.Resolver().nameservers
    except dns.exception.DNSException:
        return []
    return [str(each) for each in found if isinstance(each, str) and dns.inet.is_address(each)]


def _name(name: str) -> dns.name.Name:
    try:
        return dns.name.from_text(name)
    except dns.exception.DNSException as error:
        raise NoAnswerError(f"{name} is no name ({error})") from None


def _texts(said: dns.message.Message, name: str, type_: str) -> list[str]:
    wanted, owner = dns.rdatatype.from_text(type_), _name(name)
    sets = [rrset for rrset in said.answer if rrset.rdtype == wanted and rrset.name == owner]
    return [text_of(rdata) for rrset in sets for rdata in rrset][:RECORDS_MOST]


def server(text: str, port: int) -> Server:
    """ADDRESS, or ADDRESS#PORT. Raises ValueError with a sentence."""
    address, _, number = text.partition("#")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"{text} is no address, if need be with #PORT") from None
    if number and not (number.isdecimal() and 0 < int(number) < 65536):
        raise ValueError(f"{text}: {number} is no port")
    return Server(address, address, int(number or port))
