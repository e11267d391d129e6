"""A play that is told secrets, on a site in a container: nobody is told them who reads what it leaves behind.

    pytest tests/secrets --site FILE --container NAME --inventory SOURCE...

The site must be finished. It gets other passwords, a relay with a password and a key, and then all that it had again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.inside import Host, container
from tests.rotation.conftest import pytest_addoption

__all__ = ["pytest_addoption"]

ROOT = Path(__file__).parents[2]
RELAY_PASSWORD = "Qm3Tz8vKp5RwXy2Lh7"  # noqa: S105 - it opens nothing
BY_HAND = "/var/qmail/control/by-hand"


def new_hash(letter: str) -> str:
    """Give a hash in the form of yescrypt that no password is known for."""
    return f"$y$j9T$EcretsAreSeen.{letter}$" + letter * 43


class Watch(threading.Thread):
    """Looks at the arguments of every process of this machine, containers included, until it is told to stop."""

    def __init__(self, words: list[str]) -> None:
        """Take the words to look for."""
        super().__init__()
        self.words = [word.encode() for word in words]
        self.over = threading.Event()
        self.seen: list[str] = []
        self.rounds = 0

    def run(self) -> None:
        """Look again and again."""
        while not self.over.wait(0.01):
            self.rounds += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    arguments = path.read_bytes()
                except OSError:
                    continue
                if any(word in arguments for word in self.words):
                    self.seen.append(arguments.split(b"\0")[0].decode(errors="replace"))


@dataclass
class Seen:
    """What the plays left behind."""

    words: dict[str, str]
    """Each secret by what it is: the part of it that can be told from everything else."""
    outputs: dict[str, str] = field(default_factory=dict)
    """What each play printed."""
    files: dict[str, str] = field(default_factory=dict)
    """Where on the host a secret was while the play's changes were in force: path to mode, owner and group."""
    arguments: list[str] = field(default_factory=list)
    """Programs that had a secret in their arguments."""
    journal: str = ""
    remote: str = ""
    """What qmail-remote said of a message for the relay with a password."""
    listed: dict[str, list[str]] = field(default_factory=dict)
    """The control files after each play."""


class Plays:
    """Runs the site's playbook."""

    def __init__(self, host: Host, inventory: list[str], folder: Path, seen: Seen) -> None:
        """Take where the site is, and what to fill."""
        self.host, self.folder, self.seen = host, folder, seen
        self.inventory = [word for source in inventory for word in ("--inventory", source)]

    def play(self, name: str, variables: dict[str, Any], *more: str) -> None:
        """Play, as loud as one can, and keep what was said."""
        file = self.folder / f"{name}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(variables))
        ansible = str(Path(sys.executable).with_name("ansible-playbook"))
        command = [ansible, *self.inventory, "playbooks/site.yml", "-vvv", "--diff", "-e", f"@{file}", *more]
        watch = Watch(list(self.seen.words.values()))
        watch.start()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        watch.over.set()
        watch.join()
        assert watch.rounds > 1
        assert done.returncode == 0, done.stdout[-3000:]
        self.seen.arguments += watch.seen
        self.seen.outputs[name] = done.stdout + done.stderr
        self.seen.listed[name] = self.host("ls /var/qmail/control").split()


def holders(host: Host, words: list[str]) -> dict[str, str]:
    """Give the files of the host that hold one of the words, with their modes and owners."""
    places = "/etc /home /opt /root /run /srv /tmp /usr/local /var"
    command = f"grep -rlsF -D skip -f - {places} | sort | xargs -r stat --format='%n %a %U %G'"
    lines = host(command, "\n".join(words).encode()).splitlines()
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Play with other secrets, with the accounts' own database, and as it was before; give what could be seen."""
    host = Host(container(request))
    before = dict(line.split(":")[:2] for line in host("cat /etc/qmail-shadow").splitlines())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()
    site_key = host("cat /etc/qmail-site/ca/issued/*.key")
    after = {name: new_hash(letter) for name, letter in zip(before, "abcdefgh", strict=False)}
    words = {f"hash of {name} before": value.rpartition("$")[2] for name, value in before.items()}
    words |= {f"hash of {name}": value.rpartition("$")[2] for name, value in after.items()}
    words |= {"relay's password": RELAY_PASSWORD, "key": key.splitlines()[1]}
    words |= {"the site's key": re.sub(r"-----.*?-----", "", site_key).split()[0]}
    result = Seen(words)
    plays = Plays(host, request.config.getoption("--inventory"), tmp_path_factory.mktemp("plays"), result)
    people = {"mail_users": [{"name": name, "password_hash": value + "\n"} for name, value in after.items()]}
    control = {
        "smtproutes": ["relayed.test:127.0.0.1:9"],
        "smtproutes_auth": [f"127.0.0.1:9 joe {RELAY_PASSWORD}"],
        "clientkey.pem": key,
        "morercpthosts": ["backup.test"],
    }
    host(f"echo mine >{BY_HAND}")
    mark = host.now()
    try:
        plays.play("changed", people | {"qmail_control": control})
        result.files = holders(host, list(words.values()))
        send = "/var/qmail/bin/qmail-remote relayed.test a@b c@relayed.test"
        result.remote = host(f"echo | setpriv --reuid qmailr --regid qmail --clear-groups {send} | tr '\\0' '\\n'")
        accounts = people | {"mail_password_database": "/etc/shadow"}
        plays.play("accounts", accounts, "--tags", "users")
        result.files |= {f"{path} (accounts)": mode for path, mode in holders(host, [after["alice"][-40:]]).items()}
    finally:
        host("chpasswd --encrypted", "".join(f"{name}:!\n" for name in before).encode())
        plays.play("as it was", {})
        host(f"rm {BY_HAND}; journalctl --sync")
    result.journal = host(f"journalctl --output=export --since=@{mark}")
    return result
