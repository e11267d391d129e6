# SPDX-License-Identifier: MIT
"""What another mail system on a host is set up to do, read into the variables of a site. Pure Python; it only looks.

`look` reads the host. What it could not say in variables is in its notes, a sentence each, for somebody to decide.
"""

from __future__ import annotations

from .found import Found
from .look import look
from .render import inventory, passwords

__all__ = ["Found", "inventory", "look", "passwords"]
