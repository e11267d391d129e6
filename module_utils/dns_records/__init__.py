# SPDX-License-Identifier: MIT
"""The DNS records that a mail site needs: which, why, and what a server's answers make of them. Pure Python.

`read` takes a description of the site, `rules` gives what should be at each name, `compare` and `merge` hold it against
answers, `changes` says what would mend it; `zone`, `table` and `nsupdate` show it.
"""

from __future__ import annotations

from .compare import Change, Finding, changes, compare, merge
from .record import DIFFERENT, MISSING, RECOMMENDED, REQUIRED, RIGHT, SUPERFLUOUS, Record, Rule
from .render import additions, nsupdate, summary, table, wanted_table, zone
from .site import Site, faults, read, variable_faults
from .wanted import not_yet, rules

__all__ = [
    "DIFFERENT",
    "MISSING",
    "RECOMMENDED",
    "REQUIRED",
    "RIGHT",
    "SUPERFLUOUS",
    "Change",
    "Finding",
    "Record",
    "Rule",
    "Site",
    "additions",
    "changes",
    "compare",
    "faults",
    "merge",
    "not_yet",
    "nsupdate",
    "read",
    "rules",
    "summary",
    "table",
    "variable_faults",
    "wanted_table",
    "zone",
]
