"""The acceptance suite talks to a running site over the network and knows nothing of what runs there.

    pytest verify/questions --site FILE

FILE is JSON of the form that `bin/demo --json` prints: {host, address, ports, ca_file, domain, users}. It may also have
address6, features, names, relay_source, size_limit, spam_filter, and each user's aliases (see `Site`); a port of null
is a service that the site does not have. Options override the file. The suite sends mail to the first two users and
removes it again.

Markers, for -m:

beyond_classic  what classic qmail (1.03 behind a TLS wrapper) does not promise: another qmail is asked the rest
sends           puts messages into the users' mailboxes
essential       of those, the few that are worth sending to a host in production
taxing          costs the site something: load, many failed log-ins, big messages
"""

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from verify import refusals
from verify.talk import DOORS, Person, Site, Smtp

MARKERS = {
    "beyond_classic": "goes beyond what classic qmail promises",
    "sends": "puts messages into the users' mailboxes",
    "essential": "of those that send, the few that are worth it on a host in production",
    "taxing": "costs the site something: load, many failed log-ins, big messages",
}
SERVICES = ("smtp", "smtps", "submission", "pop3s", "pop3")
WORKERS = 10
TOO_MANY = (
    "the site looks at no password from here for now (454): too many wrong ones came; where it is this project's, "
    "name this machine in checkpassword_failures_except, or ask again in an hour"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the site is."""
    group = parser.getgroup("site")
    group.addoption("--site", type=Path, help="JSON file that describes the site")
    group.addoption("--host", help="the site's name, as its certificate has it")
    group.addoption("--address", help="where to connect to")
    group.addoption("--address6", help="where to connect to by IPv6")
    group.addoption("--ca", help="file with the certificate of the authority to trust")
    for service in SERVICES:
        group.addoption(f"--{service}-port", type=int)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the cases last that wait for answers which a site gives late on purpose."""
    items.sort(key=lambda item: "refusal" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    """Give the site under test."""
    option = request.config.getoption
    if not option("--site"):
        pytest.fail("say which site to test: --site FILE (see verify/questions/conftest.py)", pytrace=False)
    data: dict[str, Any] = json.loads(option("--site").read_text())
    for name, key in (("host", "host"), ("address", "address"), ("address6", "address6"), ("ca", "ca_file")):
        if option(f"--{name}"):
            data[key] = option(f"--{name}")
    for service in SERVICES:
        if option(f"--{service}-port"):
            data.setdefault("ports", {})[service] = option(f"--{service}-port")
    return Site.from_json(data)


@pytest.fixture
def site6(site: Site) -> Site:
    """Give the same site by IPv6."""
    if not site.address6:
        pytest.skip("this site has no IPv6 address, or none was given (address6)")
    return replace(site, address=site.address6)


def _person(site: Site, index: int) -> Person:
    if len(site.people) <= index:
        pytest.skip(f"this needs {index + 1} of the site's users, and {len(site.people)} were given")
    return site.people[index]


@pytest.fixture
def alice(site: Site) -> Person:
    """Give the first user."""
    return _person(site, 0)


@pytest.fixture
def bob(site: Site) -> Person:
    """Give the second user."""
    return _person(site, 1)


@pytest.fixture
def marker() -> str:
    """Give a word that no other message has."""
    return f"marker-{secrets.token_hex(8)}"


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, site: Site) -> str:
    """Give each way to an encrypted SMTP session that the site has."""
    name = str(request.param)
    if not site.has(name):
        pytest.skip(f"this site has no {name}")
    return name


@pytest.fixture
def encrypted(site: Site, door: str) -> Iterator[Smtp]:
    """Give an encrypted session, by each of the doors; EHLO comes next."""
    with Smtp.through(site, door) as smtp:
        yield smtp


@pytest.fixture
def reached(site: Site) -> Site:
    """Give the site by the address that is asked; a module may have its cases ask by others too."""
    return site


@pytest.fixture
def smtp(reached: Site) -> Iterator[Smtp]:
    """Give a session on port 25, in the clear and after EHLO."""
    with Smtp(reached) as session:
        session.ehlo()
        yield session


@pytest.fixture(scope="session", autouse=True)
def _attempts(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[str]]]]:
    """Begin all attempts that the site will keep waiting, so that their time passes while the other cases run."""
    wanted: set[str] = {
        str(item.callspec.params["attempt"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "attempt" in item.callspec.params
    }
    if wanted:
        wanted.add("smtps: a wrong password")  # what others are compared with
    with ThreadPoolExecutor(WORKERS) as pool:
        started: dict[str, Future[list[str]]] = {}
        if wanted:
            site = request.getfixturevalue("site")
            started = {name: pool.submit(refusals.ATTEMPTS[name], site) for name in wanted if site.people}
        yield started


@pytest.fixture
def refusal(_attempts: dict[str, Future[list[str]]], alice: Person) -> Callable[[str], list[str]]:
    """Give what the site answered to an attempt of `refusals`; that it looks at no password now is no answer."""

    def answers(attempt: str) -> list[str]:
        if attempt not in _attempts:
            pytest.fail(f"the attempt {attempt!r} is none that was begun", pytrace=False)
        said = _attempts[attempt].result()
        if not refusals.was_looked_at(said):
            pytest.skip(TOO_MANY)
        return said

    return answers
