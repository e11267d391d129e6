"""Reports of a day (RFC 8460): their JSON and their mail. Nothing here sends anything."""

from __future__ import annotations

import gzip
import json
import re
import time
import urllib.parse
import uuid
from collections.abc import Iterable
from email import policy as mail_policy
from email.message import EmailMessage, MIMEPart
from email.utils import formatdate
from typing import Any

from tls_policy.store import Result

DAY = 86400
FAILURES_MOST = 1000  # details of a policy
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")


def moment(seconds: int) -> str:
    """Return a time as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def contents(host: str, contact: str, day: int, domain: str, results: Iterable[tuple[Result, int]]) -> dict[str, Any]:
    """Return the report of a day (days since 1970, UTC) as RFC 8460 section 4 has it."""
    policies: dict[tuple[str, tuple[str, ...], tuple[str, ...]], dict[str, Any]] = {}
    for result, count in results:
        known = policies.setdefault((result.kind, result.policy, result.mx_hosts), _policy(result))
        summary = known["summary"]
        if result.outcome == "success":
            summary["total-successful-session-count"] += count
            continue
        summary["total-failure-session-count"] += count
        details = known["failure-details"]
        if len(details) < FAILURES_MOST:
            detail: dict[str, Any] = {
                "result-type": result.outcome,
                "receiving-mx-hostname": result.mx,
                "receiving-ip": result.ip,
                "failed-session-count": count,
                "failure-reason-code": result.reason,
            }
            if result.own:
                detail["sending-mta-ip"] = result.own
            details.append(detail)
    for known in policies.values():
        if not known["failure-details"]:
            del known["failure-details"]
    return {
        "organization-name": host,
        "date-range": {"start-datetime": moment(day * DAY), "end-datetime": moment((day + 1) * DAY - 1)},
        "contact-info": contact,
        "report-id": f"{moment(day * DAY)}_{domain}_{uuid.uuid4().hex[:12]}",
        "policies": list(policies.values()),
    }


def _policy(result: Result) -> dict[str, Any]:
    policy: dict[str, Any] = {"policy-type": result.kind, "policy-domain": result.domain}
    if result.policy:
        policy["policy-string"] = list(result.policy)
    if result.mx_hosts:
        policy["mx-host"] = list(result.mx_hosts)
    summary = {"total-successful-session-count": 0, "total-failure-session-count": 0}
    return {"policy": policy, "summary": summary, "failure-details": []}


def packed(report: dict[str, Any]) -> bytes:
    """Return a report as it goes out."""
    return gzip.compress(json.dumps(report, indent=1).encode("ascii"), mtime=0)


def message(host: str, contact: str, day: int, domain: str, report: dict[str, Any], to: str) -> bytes:
    """Return the mail of a report (RFC 8460 section 5.3)."""
    name = f"{host}!{domain}!{day * DAY}!{(day + 1) * DAY - 1}!{report['report-id'].rsplit('_', 1)[1]}.json.gz"
    mail = EmailMessage(policy=mail_policy.default.clone(max_line_length=900))  # no field is folded
    mail["From"] = contact
    mail["To"] = to
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{uuid.uuid4().hex}@{host}>"
    mail["Subject"] = f"Report Domain: {domain} Submitter: {host} Report-ID: <{report['report-id']}@{host}>"
    mail["TLS-Report-Domain"] = domain
    mail["TLS-Report-Submitter"] = host
    mail["MIME-Version"] = "1.0"
    mail["Auto-Submitted"] = "auto-generated"
    text = MIMEPart(policy=mail_policy.default)
    text.set_content(f"How mail from {host} to {domain} was encrypted on {moment(day * DAY)[:10]} (UTC).\n")
    data = MIMEPart(policy=mail_policy.default)
    data.set_content(packed(report), "application", "tlsrpt+gzip", filename=name, disposition="attachment")
    mail["Content-Type"] = 'multipart/report; report-type="tlsrpt"'
    mail.set_payload([text, data])
    return mail.as_bytes()


def mailbox(address: str) -> str | None:
    """Return the address of a mailto: URI, or None for one that no report goes to."""
    to = urllib.parse.unquote(address[len("mailto:") :].partition("?")[0])
    return to if _ADDRESS.fullmatch(to) else None
