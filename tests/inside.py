"""The inside of a site in a container, for tests that look at both sides."""

from __future__ import annotations

import subprocess
import time

import pytest

from verify.questions.conftest import pytest_addoption as add_site_options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the site is, and which container it is in."""
    add_site_options(parser)
    parser.getgroup("site").addoption("--container", help="the name of the container that the site is in")


class Host:
    """The inside of the host."""

    def __init__(self, name: str) -> None:
        """Keep the container's name."""
        self.name = name

    def __call__(self, command: str, stdin: bytes | None = None) -> str:
        """Run a shell command that must succeed; give what it said."""
        done = subprocess.run(
            ["podman", "exec", "-i", self.name, "sh", "-c", command],
            input=stdin or b"",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout.decode()

    def now(self) -> str:
        """Give the host's time."""
        return self("date +%s.%N").strip()

    def nothing_queued(self, seconds: float = 15) -> bool:
        """Tell whether the queue is empty, begun messages included, as soon as deliveries at work are done."""
        deadline = time.monotonic() + seconds
        while self("cd /var/qmail/queue && find mess intd todo pid -type f"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.3)
        return True


def container(request: pytest.FixtureRequest) -> str:
    """Give the name of the container that the site is in."""
    name = request.config.getoption("--container")
    if not name:
        pytest.fail("say which container the site is in: --container NAME", pytrace=False)
    return str(name)
