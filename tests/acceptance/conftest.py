"""The acceptance suite talks to a running site over the network and knows nothing of what runs there.

    pytest tests/acceptance --site FILE

FILE is JSON of the form that `bin/demo --json` prints: {host, address, ports, ca_file, domain, users}. Options override
it. The suite sends mail to the first two users and removes it again.
"""

import json
import secrets
from pathlib import Path

import pytest

from tests.acceptance.talk import Person, Site


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the site is."""
    group = parser.getgroup("site")
    group.addoption("--site", type=Path, help="JSON file that describes the site")
    group.addoption("--host", help="the site's name, as its certificate has it")
    group.addoption("--address", help="where to connect to")
    group.addoption("--ca", help="file with the certificate of the authority to trust")
    for service in ("smtp", "smtps", "pop3s", "pop3"):
        group.addoption(f"--{service}-port", type=int)


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    """Give the site under test."""
    option = request.config.getoption
    if not option("--site"):
        pytest.fail("say which site to test: --site FILE (see tests/acceptance/conftest.py)", pytrace=False)
    data = json.loads(option("--site").read_text())
    for name, key in (("--host", "host"), ("--address", "address"), ("--ca", "ca_file")):
        if option(name):
            data[key] = option(name)
    for service in ("smtp", "smtps", "pop3s", "pop3"):
        if option(f"--{service}-port"):
            data.setdefault("ports", {})[service] = option(f"--{service}-port")
    return Site.from_json(data)


@pytest.fixture
def alice(site: Site) -> Person:
    """Give the first user."""
    return site.people[0]


@pytest.fixture
def bob(site: Site) -> Person:
    """Give the second user."""
    return site.people[1]


@pytest.fixture
def marker() -> str:
    """Give a word that no other message has."""
    return f"marker-{secrets.token_hex(8)}"
