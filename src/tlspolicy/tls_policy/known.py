"""Which policy holds for a domain: discovery, fetching and keeping (RFC 8461 sections 3 and 5.1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from tls_policy.policy import POLICY_MOST, LaterError, Policy, PolicyError, parse, record_id
from tls_policy.store import Store
from tls_policy.web import Web, WebError

AGAIN = 300.0  # seconds until a fetch that failed is tried again (section 3.3)
FAILURES_MOST = 10000
FETCHES = 12  # at a time
FETCH_WAIT = 10.0  # seconds for one of these places


def _type(error: Exception) -> str:
    """Return RFC 8460's word for a fetch that failed."""
    if isinstance(error, PolicyError):
        return "sts-policy-invalid"
    return "sts-webpki-invalid" if "certificate" in str(error) else "sts-policy-fetch-error"


class BusyError(Exception):
    """There is a policy to be fetched, and no place to do it in."""


class Texts(Protocol):
    """Where TXT records come from."""

    def texts(self, name: str) -> list[str]:
        """Return those of a name. Raises LaterError."""


class Known:
    """The policies of domains."""

    def __init__(
        self, names: Texts, web: Web, store: Store, log: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        """Look up by NAMES, fetch by WEB and keep in STORE."""
        self.names, self.web, self.store, self.log, self.clock = names, web, store, log, clock
        self.lock = threading.Lock()
        self.places = threading.BoundedSemaphore(FETCHES)
        self.failed: dict[str, tuple[str, float, str]] = {}  # domain: id, when, why
        self.fetching: dict[str, threading.Event] = {}

    def fetch(self, domain: str, record: str) -> Policy:
        """Fetch the policy that the record with this id tells of. Raises WebError, PolicyError, LaterError."""
        status, kind, body = self.web.request("GET", f"mta-sts.{domain}", "/.well-known/mta-sts.txt", most=POLICY_MOST)
        if status != 200:
            raise WebError(f"mta-sts.{domain} answers {status}")
        if kind != "text/plain":
            raise PolicyError("the policy is not text/plain")
        return parse(body, record)

    def _try(self, domain: str, record: str) -> Policy | None:
        """Fetch and keep, unless that has just failed; None where it fails."""
        with self.lock:
            id_, when, _ = self.failed.get(domain, ("", 0.0, ""))
        if id_ == record and 0 <= self.clock() - when < AGAIN:
            return None
        try:
            policy = self.fetch(domain, record)
        except (WebError, PolicyError, LaterError) as error:
            self.log(f"policy: {domain}: {error}")
            with self.lock:
                if len(self.failed) >= FAILURES_MOST:
                    self.failed.clear()
                self.failed[domain] = (record, self.clock(), f"{_type(error)}: {error}")
            return None
        with self.lock:
            self.failed.pop(domain, None)
        self.store.keep(domain, policy, int(self.clock()))
        return policy

    def _once(self, domain: str, record: str) -> Policy | None:
        """Fetch; where somebody else is about to, wait for what comes of that."""
        with self.lock:
            other = self.fetching.get(domain)
            if not other:
                self.fetching[domain] = threading.Event()
        if other:
            other.wait(120)
            kept = self.store.policy(domain, int(self.clock()))
            return kept.policy if kept and kept.policy.id == record else None
        try:
            if not self.places.acquire(timeout=FETCH_WAIT):
                raise BusyError("it fetches as many policies as it can at a time")
            try:
                return self._try(domain, record)
            finally:
                self.places.release()
        finally:
            with self.lock:
                self.fetching.pop(domain).set()

    def policy(self, domain: str) -> Policy | None:
        """Return the policy that holds now, or None. Where it can't be fetched, an earlier one holds to its end.

        Raises BusyError: whoever keeps all places in use must not have others go without their policy.
        """
        now = self.clock()
        kept = self.store.policy(domain, int(now))
        held = kept.policy if kept and kept.holds(now) else None
        try:
            record = record_id(self.names.texts(f"_mta-sts.{domain}"))
        except LaterError:
            record = None
        if record and (not held or held.id != record):
            try:
                held = self._once(domain, record) or held
            except BusyError:
                if not held:
                    raise
        return held if held and held.mode != "none" else None

    def failure(self, domain: str) -> str:
        """Return the type of failure and the reason, where the last fetch, of this day, failed; or nothing."""
        with self.lock:
            _, when, why = self.failed.get(domain, ("", 0.0, ""))
        return why if self.clock() - when < 86400 else ""

    def refresh(self, most: int = 100) -> None:
        """Fetch again, before they end, those that are in use (section 3.3)."""
        for domain, kept in self.store.stale(int(self.clock()), most):
            try:
                record = record_id(self.names.texts(f"_mta-sts.{domain}")) or kept.policy.id
            except LaterError:
                continue
            with suppress(BusyError):
                self._once(domain, record)
