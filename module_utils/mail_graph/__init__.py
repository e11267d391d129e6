# SPDX-License-Identifier: MIT
"""What a mail site is declared to be, as one graph: domains, mailboxes, addresses, lists, routes. Pure Python.

`faults` says what is wrong with a site's variables, `compile_site` gives the graph as plain data, `site_control` the
control files that follow from it, `declared_passwords` what opens which mailbox.
"""

from __future__ import annotations

from .compiled import Graph, address_of, compile_site
from .control import site_control
from .domains import domain_names
from .passwords import declared_passwords
from .reading import faults, names_of

__all__ = [
    "Graph",
    "address_of",
    "compile_site",
    "declared_passwords",
    "domain_names",
    "faults",
    "names_of",
    "site_control",
]
