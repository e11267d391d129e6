# SPDX-License-Identifier: MIT
"""What others gave: whether it is a name, and how it is made fit for a message."""

from __future__ import annotations

import re

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """TEXT with the user and password of each URL in it taken out."""
    return re.sub(r"(?<=//)[^/@\s]*@", "", text)


def is_dns_name(text: str) -> bool:
    """Whether a certificate can be for that name: labels in ASCII, an underscore too, perhaps below `*.`."""
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.removeprefix("*.").split("."))
