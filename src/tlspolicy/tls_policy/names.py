"""What the DNS says, by dnspython: of the resolvers of control/nameservers, else the host's."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import dns.exception
import dns.name
import dns.resolver
from site_resolvers import resolvers

from tls_policy.policy import LaterError

LIFETIME = 10.0  # seconds for a question, whoever is asked how often
KEPT_LEAST, KEPT_MOST = 60, 3600  # seconds that an answer is remembered
REMEMBERED = 10000  # answers


class Names:
    """A resolver that remembers for a while."""

    def __init__(self, nameservers: Path) -> None:
        """Ask those that the file names, or the host's."""
        self.path = nameservers
        self.lock = threading.Lock()
        self.known: dict[str, tuple[float, list[str]]] = {}

    def resolver(self) -> dns.resolver.Resolver:
        """Return a resolver as the files are now."""
        found = resolvers(self.path)
        resolver = dns.resolver.Resolver(configure=not found)
        if found:
            resolver.nameservers = list(found)
            resolver.nameserver_ports = found
        resolver.timeout = 3.0
        resolver.lifetime = LIFETIME
        return resolver

    def ask(self, name: str, kind: str) -> tuple[int, list[Any]]:
        """Return the seconds that an answer holds, and its records. Raises LaterError."""
        try:
            answer = self.resolver().resolve(dns.name.from_text(name), kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.NameTooLong):
            return KEPT_LEAST, []
        except (dns.exception.DNSException, OSError) as error:
            raise LaterError(f"the DNS gives no answer about {name}: {type(error).__name__}") from None
        return int(answer.rrset.ttl if answer.rrset else 0), list(answer)

    def texts(self, name: str) -> list[str]:
        """Return the TXT records of a name, each in one piece. Raises LaterError."""
        now = time.monotonic()
        with self.lock:
            until, texts = self.known.get(name, (0.0, []))
        if now < until:
            return texts
        seconds, records = self.ask(name, "TXT")
        texts = [b"".join(record.strings).decode("utf-8", "replace") for record in records]
        with self.lock:
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            self.known[name] = (now + min(max(seconds, KEPT_LEAST), KEPT_MOST), texts)
        return texts

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name, IPv4 first. Raises LaterError where there is none for a missing answer."""
        found: list[str] = []
        trouble: LaterError | None = None
        for kind in ("A", "AAAA"):
            try:
                found += [str(record) for record in self.ask(name, kind)[1]]
            except LaterError as error:
                trouble = error
        if trouble and not found:
            raise trouble
        return found
