# SPDX-License-Identifier: MIT
"""What a host wants of its certificates, as the module host_certificates and the host's own program read it.

It is a dict: `certificates`, a list of dicts with `name`, `names`, `chain`, `key` and the names of `services`;
`bundles`, the directory of the bundles NAME.pem; `bundle`, those options of pem_bundle that all of them share; `ports`,
by the name of a service its `port`, `starttls` and the `feature` of the qmail in use without which it has no TLS;
`features`, the file that lists them; `to`, the address that is told.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from ansible.module_utils import tls_served
except ImportError:  # the host's own program has it beside this file
    import tls_served

if TYPE_CHECKING:
    from collections.abc import Iterator

INIT = Path("/etc/init.d/qmail")
LOCK = "/run/qmail-site-certs.lock"
# Longer than all that one run has to do, but for an order from a directory that says nothing.
PATIENCE = 120


class BusyError(Exception):
    """Another run exchanges certificates; the text says which."""


@contextlib.contextmanager
def alone(lock: Path, who: str, patience: float = PATIENCE) -> Iterator[None]:
    """Be the only one on this host that exchanges certificates; wait for another.

    The kernel takes the lock away from a process that ends, in whatever way, so none is ever left over. What the file
    says is only for the sentence of a BusyError.
    """
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+", encoding="utf-8") as file:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BusyError(
                        f"{file.read(200).strip()} is still exchanging this host's certificates; run again when it has "
                        "ended, or end that process"
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(f"{who}, process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC,")
        file.flush()
        yield


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
