"""The DNS, asked within a message's time and share."""

from __future__ import annotations

import time

import dns.exception
import dns.name
import dns.resolver
from qmail_dkim.verify import UnansweredError
from site_resolvers import resolvers

VALUES_MOST = 100  # of an answer
REVERSE_MOST = 3.0  # seconds for an address's names, of which a stranger says how long they take


class NoSuchNameError(Exception):
    """The name doesn't exist (RFC 8020)."""


class Questions:
    """What may be asked for one message."""

    def __init__(
        self, seconds: float, each: float, most: int, nameservers: list[str] | None = None, port: int = 53
    ) -> None:
        """Allow so many seconds in all, so many for each question, and so many questions."""
        self.until = time.monotonic() + seconds
        self.each = each
        self.left = most
        self.known: dict[tuple[str, str], list[object] | Exception] = {}
        ports: dict[str, int] = {}
        if nameservers is None:
            ports = resolvers()
            nameservers = list(ports)
        self.resolver: dns.resolver.Resolver | None
        try:
            self.resolver = dns.resolver.Resolver(configure=not nameservers)
        except dns.exception.DNSException:
            self.resolver = None
        if self.resolver is not None:
            if nameservers:
                self.resolver.nameservers = nameservers
            self.resolver.nameserver_ports = ports
            self.resolver.port = port
            self.resolver.timeout = min(each, 3.0)

    def ask(self, name: str, kind: str) -> list[object]:
        """Give the data of an answer, at most VALUES_MOST. Raises NoSuchNameError, UnansweredError."""
        key = (name.lower().rstrip("."), kind)
        found = self.known.get(key)
        if found is None:
            try:
                found = self.asked(*key)
            except (NoSuchNameError, UnansweredError) as error:
                found = error
            self.known[key] = found
        if isinstance(found, Exception):
            raise found
        return found

    def asked(self, name: str, kind: str) -> list[object]:
        """Ask. Raises NoSuchNameError, UnansweredError."""
        seconds = min(self.each, self.until - time.monotonic())
        if self.left <= 0 or seconds <= 0:
            raise UnansweredError("no more questions for this message" if self.left <= 0 else "no time left")
        if self.resolver is None:
            raise UnansweredError("no resolver")
        self.left -= 1
        try:
            answer = self.resolver.resolve(
                dns.name.from_text(name), kind, lifetime=seconds, raise_on_no_answer=False, search=False
            )
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            raise NoSuchNameError(name) from None
        except (dns.exception.DNSException, OSError, UnicodeError, ValueError) as error:
            raise UnansweredError(f"{name}: {type(error).__name__}") from None
        return list(answer.rrset or [])[:VALUES_MOST]

    def texts(self, name: str) -> list[bytes]:
        """Give the texts at a name, each with its strings joined; none where there is none. Raises UnansweredError."""
        try:
            return [b"".join(each.strings) for each in self.ask(name, "TXT")]  # type: ignore[attr-defined]
        except NoSuchNameError:
            return []

    def exists(self, name: str) -> bool:
        """Does a domain exist (RFC 9989 section 3.2.13: anything at or below it)? Raises UnansweredError."""
        try:
            self.ask(name, "A")
        except NoSuchNameError:
            return False
        return True

    def names_of(self, address: str) -> list[str]:
        """Give the names that lead to an address and back (FCrDNS), at most ten looked at, in REVERSE_MOST.

        What isn't answered is none (RFC 7208 section 5.5): these servers are the client's, whose silence proves nothing
        and takes no time from what is asked of others.
        """
        import ipaddress

        wanted = ipaddress.ip_address(address)
        kind = "AAAA" if wanted.version == 6 else "A"
        names = []
        until = self.until
        self.until = min(until, time.monotonic() + REVERSE_MOST)
        try:
            for name in [str(each).rstrip(".").lower() for each in self.ask(wanted.reverse_pointer, "PTR")[:10]]:
                try:
                    if any(ipaddress.ip_address(str(each)) == wanted for each in self.ask(name, kind)):
                        names.append(name)
                except UnansweredError:
                    self.known.pop((name, kind))  # it may be anybody's name, who would have answered in time
                except (NoSuchNameError, ValueError):
                    continue
        except (NoSuchNameError, UnansweredError):
            return []
        finally:
            self.until = until
        return names
