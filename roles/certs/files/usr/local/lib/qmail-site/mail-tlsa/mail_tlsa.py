#!/usr/bin/python3 -Es
# SPDX-License-Identifier: MIT
"""The TLSA records of this host's certificate for SMTP (RFC 7672).

    mail-tlsa records [NAME ...]    as JSON, a list of {name, type, value, state}, of those MX names that it is for
    mail-tlsa status                in words

Without a NAME it is the host's own. `current` is the key that is served; `next` is one whose turn may come, as soon as
every name server with authority has had its record for two days. playbooks/dns.yml and bin/dns ask for it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What it shares with the modules is one above.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import key_turn
import pem_chain

CONFIG = Path("/etc/qmail-site/certs.json")


def public_of(path: Path) -> Any:
    """The public key of a file's private one; None where there is none to be read."""
    try:
        return pem_chain.load_key(path).public_key()
    except (pem_chain.RefusedError, OSError):
        return None


def keys(config: dict[str, Any], certificate: dict[str, Any]) -> list[tuple[str, Any]]:
    """State and public key of each that counts: the one that is served first. Raises RefusedError, OSError."""
    served = pem_chain.load_chain(Path(config["bundles"]) / f"{certificate['name']}.pem")[0].public_key()
    found = [("current", served)]
    # What was had last may not be served yet, where a port did not take it.
    after = [Path(certificate["key"])]
    if config.get("keys"):
        after.append(Path(config["keys"]) / f"{certificate['name']}.key")
    for key in filter(None, map(public_of, after)):
        if not any(pem_chain.same_key(key, other) for _, other in found):
            found.append(("next", key))
    return found


def records(config: dict[str, Any], asked: list[str]) -> list[dict[str, str]]:
    """The records of these MX names, or of the host's own. Raises RefusedError, OSError."""
    host = config["to"].rpartition("@")[2].lower()
    found = []
    for certificate in config["certificates"]:
        if "smtp" not in certificate["services"]:
            continue
        covered = [name.lower() for name in certificate["names"]]
        names = [name for name in map(str.lower, asked or [host]) if name in covered]
        for state, key in keys(config, certificate):
            value = key_turn.record(key)
            found += [{"name": key_turn.at(name), "type": "TLSA", "value": value, "state": state} for name in names]
    return found


def main(arguments: list[str]) -> int:
    """Run one of the two."""
    if arguments[:1] not in (["records"], ["status"]):
        print("usage: mail-tlsa records [NAME ...] | status", file=sys.stderr)
        return 2
    try:
        config = json.loads(CONFIG.read_text(encoding="utf-8"))
        found = records(config, arguments[1:])
    except (pem_chain.RefusedError, OSError, ValueError) as error:
        print(f"mail-tlsa: {error}", file=sys.stderr)
        return 1
    if arguments[0] == "records":
        print(json.dumps(found))
    else:
        for each in found:
            print(f"{each['state']:<8} {each['name']} TLSA {each['value']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
