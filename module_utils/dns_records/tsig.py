# SPDX-License-Identifier: MIT
"""dns_update: who writes records, and with which key (RFC 2136, RFC 8945)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from .words import is_address, is_name, shown

PORT = 53
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1")
KEYS = ("server", "port", "zones", "key", "algorithm", "secret")


def _is_base64(text: object) -> bool:
    try:
        return isinstance(text, str) and len(base64.b64decode(text, validate=True)) >= 16
    except (binascii.Error, ValueError):
        return False


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether it is one, which a text is not."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def faults(said: object) -> list[str]:
    """A sentence for each thing that is wrong with dns_update; its secret is in none of them."""
    if not isinstance(said, Mapping):
        return ["dns_update: is not a mapping with server, zones, key, algorithm and secret"]
    found = [f"dns_update: {shown(key, 60)} is none of {', '.join(KEYS)}" for key in said if key not in KEYS]
    if not is_address(said.get("server")):
        found.append(
            f"dns_update: server: {shown(said.get('server'), 60)} is not the address of the primary name server"
        )
    zones = said.get("zones")
    if not is_list(zones) or not zones or not all(map(is_name, zones)):
        wrong = next((zone for zone in zones if not is_name(zone)), None) if is_list(zones) else zones
        found.append(
            f"dns_update: zones: {shown(wrong, 60)} is not "
            + (
                "the name of a zone, such as example.org"
                if is_list(zones) and zones
                else "a list of zones, such as [example.org]"
            )
        )
    if not isinstance(said.get("key"), str) or not said["key"] or not said["key"].isascii():
        found.append("dns_update: key: is empty or not a text; it is the name that tsig-keygen(8) gave the TSIG key")
    if said.get("algorithm", ALGORITHMS[0]) not in ALGORITHMS:
        found.append(f"dns_update: algorithm: {shown(said['algorithm'], 60)} is none of {', '.join(ALGORITHMS)}")
    if not _is_base64(said.get("secret")):
        found.append("dns_update: secret: is not one in base64 of 16 bytes or more, as tsig-keygen(8) makes it")
    port = said.get("port", PORT)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        found.append(f"dns_update: port: {shown(port, 60)} is no port")
    return found
