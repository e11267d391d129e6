"""A site whose domains, people, addresses, lists and routes are declared, tried by real mail.

    pytest tests/people --site FILE --container NAME --inventory SOURCE...

The site must be finished, with the users alice and bob. It gets three domains more, virtual mailboxes, a list and a
route; then other ones while sessions are open; and then what it had. The smarthost is a server of the tests' own on
this machine, which wants TLS and a password (outside.py); a real one, on another host, is in the scenario world.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.inside import Host, container
from tests.people.outside import PASSWORD, USER, Outside
from tests.rotation.conftest import pytest_addoption
from verify.questions.conftest import site
from verify.talk import Person, Site

__all__ = ["pytest_addoption", "site"]

ROOT = Path(__file__).parents[2]
PASSWORDS = {name: f"Kq7-{name}-Zx3mW" for name in ("mona", "dave", "erin at beta", "erin at gamma", "frank", "phone")}
QUOTA = 1_048_576


def declared(host: Host, outside: Outside, home: str) -> dict[str, Any]:
    """What the site is told; HOME is the domain that it had before."""
    kept = dict(line.split(":")[:2] for line in host("cat /etc/qmail-shadow").splitlines())
    return {
        "qmail_control": {"tlsca.pem": outside.authority},
        "mail_mailboxes": "virtual",
        "mail_domains": [
            home,
            {
                "name": "beta.test",
                "users": False,
                "addresses": {
                    "info": "mona",
                    "first.last": "mona",
                    "sales": ["mona", "dave", "partner@outside.test"],
                    "*": "dave",
                },
            },
            {
                "name": "gamma.test",
                "users": False,
                "addresses": {"info": "dave", "shop7": {"to": "dave", "until": "2099-01-31"}},
            },
            {"name": "backup.test", "relay_to": f"{outside.address}:{outside.port}", "recipients": ["anna"]},
        ],
        "mail_users": [
            {
                "name": "alice",
                "mailbox": "system",
                "password_hash": kept["alice"],
                "aliases": ["al@gamma.test"],
                "plus": True,
            },
            {
                "name": "bob",
                "mailbox": "system",
                "password_hash": kept["bob"],
                "forward": {"to": ["bob@outside.test"], "keep": True},
            },
            {
                "name": "mona",
                "password": PASSWORDS["mona"],
                "aliases": ["m.ona", "monica@gamma.test"],
                "quota": "1M",
                "send_as": ["team@beta.test"],
                "plus": True,
                "dash": True,
            },
            {
                "name": "dave",
                "password": PASSWORDS["dave"],
                "password_hashes": {"phone": {"password": PASSWORDS["phone"], "services": ["smtp"]}},
                "vacation": {"subject": "Fort", "text": "Zurück im März.", "until": "2099-12-31"},
            },
            {"name": "erin@beta.test", "password": PASSWORDS["erin at beta"]},
            {"name": "erin@gamma.test", "password": PASSWORDS["erin at gamma"]},
            {"name": "frank", "password": PASSWORDS["frank"], "state": "disabled"},
            {"name": "gina", "password_hash": "*", "state": "absent"},
            {"name": "ivan@gamma.test", "password_hash": "*"},
        ],
        "mail_postmaster": "alice",
        "mail_lists": [
            {
                "address": "team@beta.test",
                "members": ["mona", "dave", "member@outside.test"],
                "owner": "alice",
                "who_may_send": "members",
            }
        ],
        "mail_routes": [
            {
                "to": "*",
                "via": outside.address,
                "port": outside.port,
                "user": USER,
                "password": PASSWORD,
                "tls": "verify",
            }
        ],
    }


@dataclass
class Declared:
    """The site as it is declared."""

    site: Site
    host: Host
    outside: Outside
    variables: dict[str, Any]
    inventory: list[str]
    folder: Path

    def play(self, variables: dict[str, Any], *more: str, playbook: str = "users.yml") -> str:
        """Play with other variables; give what was said."""
        file = self.folder / "variables.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(variables))
        ansible = str(Path(sys.executable).with_name("ansible-playbook"))
        sources = [word for source in self.inventory for word in ("--inventory", source)]
        command = [ansible, *sources, f"playbooks/{playbook}", "--diff", "-e", f"@{file}", *more]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
        return done.stdout + done.stderr

    def person(self, login: str, password: str, address: str = "") -> Person:
        """Somebody who logs in."""
        return Person(address or login, login, PASSWORDS.get(password, password))

    def mailbox(self, name: str) -> Path:
        """A virtual mailbox's Maildir."""
        return Path("/srv/mail") / name / "Maildir"


def changed(said: str) -> int:
    """How much a play changed."""
    return sum(int(count) for count in re.findall(r"\bchanged=(\d+)", said))


@pytest.fixture(scope="session")
def outside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The smarthost, on this machine's side of the container's network."""
    route = Host(container(request))("ip -4 route show default").split()
    server = Outside(route[route.index("via") + 1], tmp_path_factory.mktemp("outside"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def people(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, site: Site, outside: Outside
) -> Iterator[Declared]:
    """The site, declared; afterwards it is what it was."""
    host = Host(container(request))
    variables = declared(host, outside, site.domain)
    folder = tmp_path_factory.mktemp("plays")
    found = Declared(site, host, outside, variables, request.config.getoption("--inventory"), folder)
    try:
        found.play(variables)
        yield found
    finally:
        found.play({})
        host("rm -rf /srv/mail /var/lib/qmail-site/uids")
