"""The talk with qmail-remote, which src/qmail/remote/sts.h tells: packets in, packets out. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from tls_policy.policy import Policy, is_domain
from tls_policy.store import Result

PACKET_MOST = 65536
REASON_MOST = 200
_TLSA = re.compile(r"tlsa (\d{1,3}) (\d{1,3}) (\d{1,3}) ((?:[0-9a-f]{2})*)")
KINDS = {"tlsa": "tlsa", "sts": "sts", "none": "no-policy-found"}

# RFC 8460 section 4.3: what stands in a reason, and the type of failure that it is.
TYPES = (
    ("sts-policy-fetch-error", "sts-policy-fetch-error"),
    ("sts-policy-invalid", "sts-policy-invalid"),
    ("dnssec-invalid", "dnssec-invalid"),
    ("STARTTLS", "starttls-not-supported"),
    ("expired", "certificate-expired"),
    ("not yet valid", "certificate-expired"),
    ("mismatch", "certificate-host-mismatch"),
    ("DANE TLSA", "validation-failure"),
    ("certificate", "certificate-not-trusted"),
)


class TalkError(ValueError):
    """A packet that is none of ours."""


def failure_type(reason: str) -> str:
    """Return RFC 8460's word for a reason."""
    return next((kind for part, kind in TYPES if part in reason), "validation-failure")


def answer(policy: Policy | None) -> bytes:
    """Return what is said of a policy."""
    if policy is None:
        return b"none\n"
    lines = [f"{policy.mode} {policy.id} {policy.max_age}", *policy.mx]
    packet = "".join(f"{line}\n" for line in lines).encode("ascii")
    return packet if len(packet) <= PACKET_MOST else b"Z the policy is too long\n"


def question(packet: bytes) -> str | None:
    """Return the domain of a question; None for what is another packet. Raises TalkError."""
    if not packet.startswith(b"policy "):
        return None
    words = packet.decode("ascii", "replace")
    domain = words[len("policy ") : -1].lower()
    if words[-1:] != "\n" or not is_domain(domain):
        raise TalkError("a question for no domain")
    return domain


def _word(line: str, name: str) -> str:
    if not line.startswith(f"{name} "):
        raise TalkError(f"no line {name}")
    return line[len(name) + 1 :]


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise TalkError("no address") from None


def result(packet: bytes, known: Callable[[str], Policy | None]) -> Result:
    """Read what became of a session; KNOWN gives the policy of a domain, for the report. Raises TalkError."""
    text = packet.decode("ascii", "replace")
    lines = text.split("\n")
    if len(lines) < 6 or lines.pop() or any(not line.isprintable() for line in lines):
        raise TalkError("no whole result")
    domain = _word(lines[0], "result").lower()
    kind = _word(lines[1], "policy")
    outcome = _word(lines[2], "outcome")
    mx = _word(lines[3], "mx").lower()
    ip = _word(lines[4], "ip")
    if not is_domain(domain) or len(mx) > 255 or kind not in KINDS:
        raise TalkError("no domain, no mx, or another kind of policy")
    rest, own = lines[5:], ""
    if rest and rest[0].startswith("from "):
        own = _address(_word(rest.pop(0), "from"))
    reason = ""
    if outcome != "success":
        reason = _word(outcome, "failure")[:REASON_MOST]
        outcome = failure_type(reason)
    records, hosts = _policy(kind, rest, mx, known(domain) if kind == "sts" else None)
    return Result(domain, KINDS[kind], records, hosts, outcome, reason, mx, _address(ip), own)


def _policy(kind: str, lines: list[str], mx: str, policy: Policy | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a policy's own words, and its exchangers."""
    if kind == "sts":
        return (policy.lines, policy.mx) if policy else ((), ())
    if kind == "none":
        return (), ()
    records = []
    for line in lines:
        match = _TLSA.fullmatch(line)
        if not match:
            raise TalkError("a line that is no TLSA record")
        records.append(" ".join(match.groups()))
    return tuple(records), (mx,)
