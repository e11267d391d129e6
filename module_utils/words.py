# SPDX-License-Identifier: MIT
"""What others gave, made fit for a message."""

from __future__ import annotations

import re


def without_credentials(text: str) -> str:
    """TEXT with the user and password of each URL in it taken out."""
    return re.sub(r"(?<=//)[^/@\s]*@", "", text)
