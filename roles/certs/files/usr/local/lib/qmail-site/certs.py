#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What happens to a host's certificates between two plays.

    certs.py renewed    after a renewal by certbot, whose deploy hook this is: the new pair becomes its bundle
    certs.py watch      daily: tell the log and the postmaster what is wrong with the bundles and with what ports serve

The checks, the swap and the look at the ports are those of the Ansible module host_certificates, whose parts lie beside
this file; what they are asked for is in /etc/qmail-site/certs.json, which it wrote (host_wishes says in which form).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pem_bundle
import pem_chain
from host_wishes import LOCK, BusyError, alone, asked, bundle_of, not_served, running

CONFIG = Path("/etc/qmail-site/certs.json")
SENDMAIL = Path("/var/qmail/bin/sendmail")


def say(text: str) -> None:
    """One line for the journal, or for whoever runs this."""
    print(f"certs: {text}", file=sys.stderr)


def sentence(error: Exception) -> str:
    """What went wrong, in the words of the modules."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the bundle'}: {error.strerror}"
    return str(error)


def renewed(config: dict[str, Any]) -> int:
    """Make the renewed pair its bundle, but not while a play does the same."""
    try:
        with alone(Path(LOCK), "a renewal by certbot"):
            return take_over(config)
    except (BusyError, OSError) as error:
        say(f"{sentence(error)}; the bundles stay as they were")
        return 1


def take_over(config: dict[str, Any]) -> int:
    """Make the renewed pair its bundle. The renewal of a certificate that is none of ours is not our business."""
    lineage = os.environ.get("RENEWED_LINEAGE", "")
    code = 0
    for certificate in config["certificates"]:
        bundle = bundle_of(certificate, config)
        if lineage and Path(lineage) != Path(bundle["chain"]).parent:
            continue
        try:
            result = pem_bundle.run(bundle, False)
        except (pem_chain.RefusedError, OSError) as error:
            say(f"{sentence(error)}; {bundle['dest']} stays as it was")
            code = 1
            continue
        if result["changed"]:
            what = f"{result['subject']}, {result['fingerprint']}, good until {result['not_after']}"
            say(f"{bundle['dest']} is now {what}")
    return code


def faults(config: dict[str, Any], now: datetime) -> list[str]:
    """One sentence for each thing that is wrong."""
    with_tls = asked(config, running())
    found: list[str] = []
    for certificate in config["certificates"]:
        bundle = bundle_of(certificate, config)
        try:
            chain = pem_chain.load_chain(Path(bundle["dest"]))
        except (pem_chain.RefusedError, OSError) as error:
            found.append(sentence(error))
            continue
        days = (min(map(pem_chain.end_of, chain)) - now).days
        what = f"{bundle['dest']}: {pem_chain.subject(chain[0])} or its chain"
        if days < 0:
            found.append(f"{what} has expired")
        elif days < bundle["warn_days"]:
            found.append(f"{what} expires in {days} days")
        fingerprint = pem_chain.fingerprint(chain[0])
        for service in certificate["services"]:
            if service in with_tls and (fault := not_served(service, certificate, config, fingerprint)):
                found.append(fault)
    return found


def mail(to: str, host: str, found: list[str]) -> None:
    """Send the sentences to the postmaster. Raises OSError or SubprocessError."""
    message = EmailMessage()
    message["From"] = message["To"] = to
    message["Subject"] = f"{host}: the certificate needs a look"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("".join(f"{line}\n" for line in found))
    subprocess.run([SENDMAIL, to], input=bytes(message), check=True, timeout=300)


def watch(config: dict[str, Any]) -> int:
    """Look, and tell. Exit code 1 if something is wrong, so that the unit shows as failed too."""
    found = faults(config, datetime.now(UTC))
    for line in found:
        say(line)
    if not found:
        return 0
    try:
        mail(config["to"], config["certificates"][0]["names"][0], found)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"the mail to {config['to']} could not be sent: {error}")
    return 1


def main(arguments: list[str]) -> int:
    """Run one of the two."""
    commands = {"renewed": renewed, "watch": watch}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: certs.py renewed|watch", file=sys.stderr)
        return 2
    try:
        config = json.loads(CONFIG.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        say(f"{CONFIG}: {error}")
        return 1
    return commands[arguments[0]](config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
