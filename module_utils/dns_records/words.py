# SPDX-License-Identifier: MIT
"""Values of a description, and how they are shown."""

from __future__ import annotations

import ipaddress
import re

# Host names of the Internet, and names below them that begin with an underscore.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def shown(value: object, most: int = 200) -> str:
    """A text cut where it is long, without any character that could do something to a terminal."""
    text = str(value)
    text = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def plain(name: str) -> str:
    """A name in the form that is compared: small letters, no dot at the end but the root's."""
    return name.lower().rstrip(".") or "."


def is_name(name: object) -> bool:
    """Whether a text is a DNS name of letters, digits, hyphens and underscores, with a dot in it."""
    return (
        isinstance(name, str)
        and len(name) <= 253
        and "." in name
        and all(_LABEL.fullmatch(label) for label in name.lower().split("."))
    )


def is_address(text: object) -> bool:
    """Whether a text is an address of IPv4 or IPv6."""
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True


def is_mailbox(text: object) -> bool:
    """Whether a text is a mail address that can stand in a mailto: URL as it is."""
    local, _, domain = str(text).rpartition("@")
    return re.fullmatch(r"[A-Za-z0-9._+-]{1,64}", local) is not None and is_name(domain)


def reverse(address: str) -> str:
    """The name of an address's PTR record."""
    return ipaddress.ip_address(address).reverse_pointer


def below(name: str, zone: str) -> bool:
    """Whether a name is a zone's, or is below it."""
    return zone == "." or name == zone or name.endswith("." + zone)
