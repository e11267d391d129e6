# SPDX-License-Identifier: MIT
"""The MTA-STS policy of this site's domains (RFC 8461): the file, and the id in the DNS that tells when it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

MODES = ("none", "testing", "enforce")
# RFC 8461, section 3.2: a year is the most.
AGE_MOST = 31557600


def policy(mode: str, mx: Sequence[str], max_age: int) -> str:
    """The file's text (RFC 8461, section 3.2)."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines)


def policy_id(text: str) -> str:
    """What says in the DNS which policy it is (RFC 8461, section 3.1): another one for another text, at most 32 characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]
