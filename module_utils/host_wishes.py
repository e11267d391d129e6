# SPDX-License-Identifier: MIT
"""What a host wants of its certificates, as the module host_certificates and the host's own program read it.

It is a dict: `certificates`, a list of dicts with `name`, `names`, `chain`, `key` and the names of `services`;
`bundles`, the directory of the bundles NAME.pem; `bundle`, those options of pem_bundle that all of them share; `ports`,
by the name of a service its `port`, `starttls` and the `feature` of the qmail in use without which it has no TLS;
`features`, the file that lists them; `to`, the address that is told.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

try:
    from ansible.module_utils import tls_served
except ImportError:  # the host's own program has it beside this file
    import tls_served

INIT = Path("/etc/init.d/qmail")


def bundle_of(certificate: dict[str, Any], wishes: dict[str, Any]) -> dict[str, Any]:
    """Options of pem_bundle for a certificate."""
    own = {key: certificate[key] for key in ("chain", "key", "names")}
    return {**wishes["bundle"], **own, "dest": f"{wishes['bundles']}/{certificate['name']}.pem"}


def running() -> set[str]:
    """Names of the services that are up."""
    if not INIT.exists():
        return set()
    status = subprocess.run([INIT, "status"], stdout=subprocess.PIPE, text=True, check=False, timeout=60).stdout
    return set(re.findall(r"(?m)^(\S+) +running ", status))


def features(wishes: dict[str, Any]) -> set[str]:
    """What the qmail in use can do; none if it left no list, as for the services."""
    try:
        return set(Path(wishes["features"]).read_text(encoding="utf-8").split())
    except OSError:
        return set()


def asked(wishes: dict[str, Any], up: set[str]) -> set[str]:
    """Of the services that are up, those that have TLS."""
    can = features(wishes)
    return {name for name, port in wishes["ports"].items() if name in up and port.get("feature") in {None, *can}}


def not_served(service: str, certificate: dict[str, Any], wishes: dict[str, Any], fingerprint: str) -> str:
    """What is wrong with what a service serves, empty if it is the certificate with the fingerprint."""
    port = wishes["ports"][service]
    where = f"port {port['port']} ({service})"
    client = {"host": "127.0.0.1", "timeout": 20, "name": certificate["names"][0]}
    try:
        served = tls_served.look(port | client)["fingerprint"]
    except tls_served.ServedError as error:
        return f"{where} {error}"
    if served == fingerprint:
        return ""
    stored = f"{wishes['bundles']}/{certificate['name']}.pem"
    return f"{where} serves another certificate ({served}) than {stored} ({fingerprint})"
