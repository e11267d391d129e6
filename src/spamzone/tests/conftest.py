"""What the tests of spamzone share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def scanner(tmp_path: Path) -> Path:
    """Give a double of spamc: it adds the fields given as its second argument and ends with its first."""
    path = tmp_path / "scanner"
    path.write_text(
        f"#!{sys.executable} -IS\n"
        "import sys\n"
        "message = sys.stdin.buffer.read()\n"
        "sys.stdout.buffer.write(sys.argv[2].encode() + message)\n"
        "sys.stdout.flush()\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    path.chmod(0o755)
    return path
