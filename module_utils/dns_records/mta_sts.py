# SPDX-License-Identifier: MIT
"""The MTA-STS policy of this site's domains (RFC 8461): the file, and the id in the DNS that tells of another one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

MODES = ("none", "testing", "enforce")
# RFC 8461, section 3.2: a year is the most.
AGE_MOST = 31557600


def policy(mode: str, mx: Sequence[str], max_age: int) -> str:
    """The file's text (RFC 8461, section 3.2); the role dns writes the same."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx), f"max_age: {max_age}"]
    return "".join(f"{line}\n" for line in lines)


def policy_id(text: str) -> str:
    """What says in the DNS which policy it is (RFC 8461, section 3.1): for another text another one, of 32 at most."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]
