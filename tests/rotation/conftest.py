"""Certificates exchanged while a site in a container is busy, by playbooks/rotate-certs.yml: no client loses anything.

    pytest tests/rotation --site FILE --container NAME --inventory SOURCE...

The site's mailboxes should be empty, and it must take messages of 20 MB.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.inside import Host, container
from tests.inside import pytest_addoption as add_options
from tests.rotation.load import FIGURES
from verify.questions.conftest import site

__all__ = ["site"]

ROOT = Path(__file__).parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the site is, which container it is in, and what the playbook must know."""
    add_options(parser)
    parser.getgroup("site").addoption("--inventory", action="append", default=[], help="a source of the inventory")


def pytest_configure(config: pytest.Config) -> None:
    """Have a place for what is measured."""
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was measured."""
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)


class Bundle:
    """The file that the site's TLS ports serve, and its exchange."""

    PATH = "/etc/stunnel/stunnel.pem"

    def __init__(self, host: Host, inventory: list[str]) -> None:
        """Take where the site is."""
        self.host = host
        self.inventory = [word for source in inventory for word in ("--inventory", source)]

    def fingerprint(self) -> str:
        """Give the SHA-256 of the certificate on disk."""
        said = self.host(f"openssl x509 -in {self.PATH} -noout -fingerprint -sha256")
        return said.partition("=")[2].strip().replace(":", "").lower()

    def put_in_place(self) -> float:
        """Give the time at which the file got its name: a rename changes an inode."""
        return float(self.host(f"stat --dereference --format=%.9Z {self.PATH}"))

    def rotate(self) -> None:
        """Renew and exchange the certificate as an operator does, which must succeed."""
        playbook = ["playbooks/rotate-certs.yml", "--extra-vars", "certs_force_renew=true"]
        command = [str(Path(sys.executable).with_name("ansible-playbook")), *self.inventory, *playbook]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> Host:
    """Give the inside of the host."""
    return Host(container(request))


@pytest.fixture(scope="session")
def bundle(request: pytest.FixtureRequest, host: Host) -> Bundle:
    """Give the site's bundle."""
    return Bundle(host, request.config.getoption("--inventory"))
