"""SPF (RFC 7208) by pyspf, with its questions asked by ours: ten look-ups, two void ones, and the message's time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import spf
from qmail_dkim.verify import UnansweredError

from mailauth.questions import NoSuchNameError, Questions

RESULTS = ("pass", "fail", "softfail", "neutral", "none", "temperror", "permerror")


@dataclass(frozen=True)
class Spf:
    """The result, of which identity: `smtp.mailfrom`, or `smtp.helo` where the sender is empty."""

    result: str
    identity: str
    value: str  # the address, or the host's name
    domain: str
    why: str = ""


def data_of(kind: str, each: object) -> object:
    """Give an answer's data as pyspf wants it."""
    if kind == "TXT":
        return list(each.strings)  # type: ignore[attr-defined]
    if kind == "MX":
        return (each.preference, each.exchange.to_text(omit_final_dot=True))  # type: ignore[attr-defined]
    return str(each).rstrip(".")


def domain_of(sender: str, helo: str) -> str:
    """Give the domain that is judged."""
    return (sender.rpartition("@")[2] if sender else helo).rstrip(".").lower()


def spf_of(questions: Questions, address: str, sender: str, helo: str) -> Spf:
    """Judge a client's address for an envelope sender; for the name in HELO where that is empty (section 2.4)."""

    def look_up(name: str, kind: str, *_: object, **__: object) -> Iterator[tuple[tuple[str, str], object]]:
        try:
            found = questions.ask(name, kind)
        except NoSuchNameError:
            return iter([])
        except UnansweredError as error:
            raise spf.TempError(f"DNS: {error}") from None
        return iter([((name, kind), data_of(kind, each)) for each in found])

    spf.DNSLookup = look_up
    identity = "smtp.mailfrom" if sender else "smtp.helo"
    domain = domain_of(sender, helo)
    value = sender or helo
    if "." not in domain or not domain.isascii() or (sender and "@" not in sender):
        return Spf("none", identity, value, domain, "no domain to ask")
    try:
        # The library takes what is behind the first @ for the domain, and a quoted local part may have one.
        local = sender.rpartition("@")[0].replace("@", "_")
        query = spf.query(address, f"{local}@{domain}" if sender else "", helo, strict=True, timeout=20)
        # What a domain says of itself in a refusal is nobody's business here, and costs no question.
        query.get_explanation = lambda _: None
        # Its own way ends with temperror where the client's name servers say nothing: DMARC would then refuse nothing.
        query.validated_ptrs = lambda: questions.names_of(address)
        result, _code, why = query.check()
    except Exception as error:  # what a stranger's record makes of a library is the record's fault
        return Spf("permerror", identity, value, domain, type(error).__name__)
    return Spf(result if result in RESULTS else "permerror", identity, value, domain, why)
