"""The package itself, and what the tests of the suite have for servers and authorities."""

from __future__ import annotations

import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(SOURCE), str(SOURCE.parent / "qmail/tests")]
