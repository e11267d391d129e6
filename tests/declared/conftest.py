"""What a play is told, on a site in a container: addresses work in the same run, and secrets are seen by nobody.

    pytest tests/declared --site FILE --container NAME --inventory SOURCE...

The site must be finished, with the users alice and bob. It gets other passwords, a relay with a password, a key, two
more domains, a user more, fewer aliases, and another unit of one service; one user more by the tag users; and then
all that it had again.
"""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.inside import Host, container
from tests.rotation.conftest import pytest_addoption
from verify.questions.conftest import site
from verify.talk import STRANGER, Person, Site, Smtp, fetch, ordinary

__all__ = ["pytest_addoption", "site"]

ROOT = Path(__file__).parents[2]
RELAY_PASSWORD = "Qm3Tz8vKp5RwXy2Lh7"  # noqa: S105 - it opens nothing
PASSWORD = "Wd4 hNs9ü cFj6"  # noqa: S105 - of bob's, for as long as the tests run
CAROLS = "Zk7 pLm2ä xVd9"
BY_HAND = "/var/qmail/control/by-hand"
MARKER = "for-a-virtual-address"
RECIPIENTS = ("info@beta.test", "alice@beta.test", "x@beta.test", "any@gamma.test", "u@backup.test", "x@elsewhere.test")


def new_hash(letter: str) -> str:
    """Give a hash in the form of yescrypt that no password is known for."""
    return f"$y$j9T$EcretsAreSeen.{letter}$" + (f"{letter}7Qx.zK" * 7)[:43]


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
        while not self.over.wait(0.05):
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
    kept: list[str] = field(default_factory=list)
    """The hash that the host keeps of bob's password, after each play that declares it."""
    login: str = ""
    """What checkpassword says of that password."""
    listed: dict[str, list[str]] = field(default_factory=dict)
    """The control files, and what is in the users' homes, after each play."""
    before: dict[str, int] = field(default_factory=dict)
    replies: dict[str, int] = field(default_factory=dict)
    """What a stranger was told of each recipient, before the first play and after it."""
    delivered: list[str] = field(default_factory=list)
    """Whose Maildirs got the message for two virtual addresses."""
    fetched: bytes = b""
    """What the new user has fetched with her password, of a message that a stranger sent her."""
    pids: list[dict[str, str]] = field(default_factory=list)
    """The process of each service, before the first play and after it."""
    by_tag: list[dict[str, int]] = field(default_factory=list)
    """What a stranger is told of somebody whom the tag users alone brings, before that play and after it."""
    units: list[str] = field(default_factory=list)
    """What systemd says of the service whose unit was to change, before and after."""


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
        self.seen.listed[name] = self.host("ls -A /var/qmail/control ~alice ~bob; ls ~bob/Maildir").split()


def holders(host: Host, words: list[str]) -> dict[str, str]:
    """Give the files of the host that hold one of the words, with their modes and owners."""
    places = "/etc /home /opt /root /run /srv /tmp /usr/local /var"
    command = f"grep -rlsF -D skip -f - {places} | sort | xargs -r stat --format='%n %a %U %G'"
    lines = host(command, "\n".join(words).encode()).splitlines()
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}


def replies(address: str, recipients: list[str]) -> dict[str, int]:
    """Ask the site as a stranger which recipients it takes."""
    with smtplib.SMTP(address, 25, timeout=60) as smtp:
        smtp.helo("elsewhere.test")
        smtp.mail("stranger@elsewhere.test")
        return {recipient: smtp.rcpt(recipient)[0] for recipient in recipients}


def pids(host: Host) -> dict[str, str]:
    """Give the process of each service."""
    lines = host("cd /run; grep -H . qmail/*.pid spamd/*.pid").splitlines()
    return {Path(name).stem: pid for name, _, pid in (line.partition(":") for line in lines)}


def unit(host: Host) -> str:
    """Give what systemd allows the service whose unit changes, and what that runs."""
    return host(
        "systemctl show --property MemoryMax qmail@pop3s; tr '\\0' ' ' </proc/$(cat /run/qmail/pop3s.pid)/cmdline"
    )


def to_carol(site: Site) -> bytes:
    """Write to the new user as a stranger does, and fetch it with her password."""
    carol, mark = Person(f"carol@{site.domain}", "carol", CAROLS), "for-a-new-user"
    with Smtp(site) as smtp:
        reply = smtp.submit(STRANGER, [carol.address], ordinary(mark))
        assert reply.code == 250, reply
    return fetch(site, carol, mark)


def delivered(host: Host) -> list[str]:
    """Send a message to both kinds of virtual addresses; give the Maildirs that have it, and remove it there."""
    host("/var/qmail/bin/qmail-inject info@beta.test any@gamma.test", f"Subject: {MARKER}\n\n".encode())
    find, deadline = f"grep -rlsF {MARKER} /home/*/Maildir/new | sort", time.monotonic() + 30
    while len(found := host(f"{find} || :").split()) < 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    host(f"{find} | xargs -r rm")
    return [str(Path(path).parent.parent) for path in found]


def kept(host: Host) -> str:
    """Give the hash that the host keeps for bob."""
    return host("sed -n s/^bob://p /etc/qmail-shadow").split(":")[0]


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, site: Site) -> Seen:
    """Play with other secrets, with the accounts' own database, and as it was before; give what could be seen."""
    host = Host(container(request))
    before = dict(line.split(":")[:2] for line in host("cat /etc/qmail-shadow").splitlines())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()
    site_key = host("cat /etc/qmail-site/ca/issued/*.key")
    after = {name: new_hash(letter) for name, letter in zip(before, "abcdefgh", strict=False)}
    words = {f"hash of {name} before": value.rpartition("$")[2] for name, value in before.items()}
    words |= {f"hash of {name}": value.rpartition("$")[2] for name, value in after.items()}
    words |= {"relay's password": RELAY_PASSWORD, "bob's password": PASSWORD, "key": key.splitlines()[1]}
    words |= {"carol's password": CAROLS}
    words |= {"the site's key": re.sub(r"-----.*?-----", "", site_key).split()[0]}
    result = Seen(words)
    plays = Plays(host, request.config.getoption("--inventory"), tmp_path_factory.mktemp("plays"), result)
    domains = {
        "mail_domains": [site.domain, "beta.test", "gamma.test"],
        "qmail_virtualdomains": {"gamma.test": "bob", "info@beta.test": "alice"},
    }
    users = [{"name": name, "password_hash": value + "\n"} for name, value in after.items()]
    people = {
        "mail_users": [user if user["name"] != "bob" else {"name": "bob", "password": PASSWORD} for user in users]
        + [{"name": "carol", "password": CAROLS}]
    }
    recipients = [*RECIPIENTS, *(f"{name}@{site.domain}" for name in ("info", "alice", "carol"))]
    control = {
        "smtproutes": ["relayed.test:127.0.0.1:9"],
        "smtproutes_auth": [f"127.0.0.1:9 joe {RELAY_PASSWORD}"],
        "clientkey.pem": key,
        "morercpthosts": ["backup.test"],
    }
    host(f"echo mine >{BY_HAND}; rmdir ~bob/Maildir/tmp")
    mark = host.now()
    try:
        changed = people | domains | {"qmail_control": control, "services_pop3s_concurrency": 35}
        result.before, result.pids, result.units = replies(site.address, recipients), [pids(host)], [unit(host)]
        plays.play("changed", changed)
        result.pids.append(pids(host))
        result.units.append(unit(host))
        result.replies, result.delivered = replies(site.address, recipients), delivered(host)
        result.fetched = to_carol(site)
        result.kept.append(kept(host))
        words["hash of bob's password"] = result.kept[0].rpartition("$")[2]
        result.login = host("/var/qmail/rbin/checkpassword - 3<&0; echo $?", f"bob\0{PASSWORD}\0x\0".encode())
        result.files = holders(host, list(words.values()))
        plays.play("again", changed, "--tags", "users")
        result.kept.append(kept(host))
        dora = f"dora@{site.domain}"
        result.by_tag.append(replies(site.address, [dora, f"erin@{site.domain}"]))
        more = changed | {"mail_users": [*people["mail_users"], {"name": "dora", "password_hash": "*"}]}
        plays.play("by tag", more, "--tags", "users")
        result.by_tag.append(replies(site.address, [dora, f"erin@{site.domain}"]))
        send = "/var/qmail/bin/qmail-remote relayed.test a@b c@relayed.test"
        result.remote = host(f"echo | setpriv --reuid qmailr --regid qmail --clear-groups {send} | tr '\\0' '\\n'")
        accounts = people | domains | {"mail_password_database": "/etc/shadow"}
        plays.play("accounts", accounts, "--tags", "users")
        result.files |= {f"{path} (accounts)": mode for path, mode in holders(host, [after["alice"][-40:]]).items()}
    finally:
        host("chpasswd --encrypted", "".join(f"{name}:!\n" for name in before).encode())
        plays.play("as it was", {}, "--tags", "users,qmail,services")
        host(f"rm {BY_HAND}; for name in carol dora; do userdel --remove $name 2>&1 || :; done; journalctl --sync")
    result.journal = host(f"journalctl --output=export --since=@{mark}")
    return result
