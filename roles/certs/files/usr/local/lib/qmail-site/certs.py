#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What happens to a host's certificate between two plays.

    certs.py renewed    after a renewal by certbot, whose deploy hook this is: the new pair becomes the bundle
    certs.py watch      daily: tell the log and the postmaster what is wrong with the bundle and with what ports serve

The checks, the swap and the look at the ports are those of the Ansible modules pem_bundle and tls_served, which lie
beside this file; what they are asked for is in /etc/qmail-site/certs.json, written by the role certs:

    {"bundle": options of pem_bundle, "ports": [options of tls_served and "service"], "to": address}
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pem_bundle  # type: ignore[import-not-found,unused-ignore]
import tls_served  # type: ignore[import-not-found,unused-ignore]

CONFIG = Path("/etc/qmail-site/certs.json")
INIT = Path("/etc/init.d/qmail")
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
    """Make the renewed pair the bundle. Another certificate's renewal is none of our business."""
    bundle = config["bundle"]
    lineage = os.environ.get("RENEWED_LINEAGE", "")
    if lineage and Path(lineage) != Path(bundle["chain"]).parent:
        return 0
    try:
        result = pem_bundle.run(bundle, False)
    except (pem_bundle.BundleError, OSError) as error:
        say(f"{sentence(error)}; {bundle['dest']} stays as it was")
        return 1
    if result["changed"]:
        say(f"{bundle['dest']} is now {result['subject']}, {result['fingerprint']}, good until {result['not_after']}")
    return 0


def running() -> set[str]:
    """Names of the services that are up."""
    if not INIT.exists():
        return set()
    status = subprocess.run([INIT, "status"], stdout=subprocess.PIPE, text=True, check=False, timeout=60).stdout
    return set(re.findall(r"(?m)^(\S+) +running ", status))


def faults(config: dict[str, Any], now: datetime) -> list[str]:
    """One sentence for each thing that is wrong."""
    bundle = config["bundle"]
    try:
        chain = pem_bundle.load_chain(Path(bundle["dest"]))
    except (pem_bundle.BundleError, OSError) as error:
        return [sentence(error)]
    found = []
    days = (min(map(pem_bundle.end_of, chain)) - now).days
    if days < 0:
        found.append(f"{bundle['dest']}: {pem_bundle.subject(chain[0])} or its chain has expired")
    elif days < bundle["warn_days"]:
        found.append(f"{bundle['dest']}: {pem_bundle.subject(chain[0])} or its chain expires in {days} days")
    fingerprint = pem_bundle.answer(Path(bundle["dest"]), chain, "", now)["fingerprint"]
    up = running()
    for port in config["ports"]:
        if port["service"] not in up:
            continue
        where = f"port {port['port']} ({port['service']})"
        try:
            served = tls_served.look(port)["fingerprint"]
        except tls_served.ServedError as error:
            found.append(f"{where} {error}")
        else:
            if served != fingerprint:
                found.append(f"{where} serves another certificate ({served}) than {bundle['dest']} ({fingerprint})")
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
        mail(config["to"], config["bundle"]["names"][0], found)
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
