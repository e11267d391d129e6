"""What the units of a site in a container promise.

pytest tests/units --site FILE --container NAME
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what the site is, and which container it is in."""
    group = parser.getgroup("site")
    group.addoption("--site", help="a JSON file that describes the site")
    group.addoption("--container", help="the name of the container that the site is in")


class Host:
    """The inside of the host."""

    def __init__(self, name: str) -> None:
        """Keep the container's name."""
        self.name = name

    def ask(self, command: str, stdin: bytes = b"") -> tuple[int, str]:
        """Run a shell command; give its exit code and all that it said."""
        done = subprocess.run(
            ["podman", "exec", "-i", self.name, "sh", "-c", command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=180,
        )
        return done.returncode, done.stdout.decode()

    def __call__(self, command: str, stdin: bytes = b"") -> str:
        """Run a shell command that must succeed; give what it said."""
        code, said = self.ask(command, stdin)
        assert code == 0, f"{command}: {said}"
        return said.strip()


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> Host:
    """Give the inside of the host."""
    return Host(pytestconfig.getoption("--container"))


@pytest.fixture(scope="session")
def site(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Give the site's description."""
    described: dict[str, Any] = json.loads(Path(pytestconfig.getoption("--site")).read_text())
    return described
