#!/usr/bin/python3 -Es
# SPDX-License-Identifier: MIT
"""mail-dkim: the keys that this host signs mail with.

    mail-dkim make [--check]   have a key for each domain, and the next one where it is time
    mail-dkim rotate           make, then sign with the next keys that every name server has, and let go of the former
    mail-dkim records          what is to be in the DNS, as JSON
    mail-dkim status           the same in words, and what is waited for

What is declared is in /etc/qmail-site/dkim.json, which the play writes. Private keys are in /etc/qmail-site/dkim, each
readable by root and the service that signs, and are never printed. `state.json` beside them says which is in use.

A new key signs only after every authoritative server of its domain answers with its record, so that nobody ever meets a
signature whose key isn't there. The first key of a domain is the exception: there is nothing that it could replace.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime
import fcntl
import grp
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from whole_file import beside, make_directory, sync_directory, write

if TYPE_CHECKING:
    from name_servers import Names

CONFIG = Path("/etc/qmail-site/dkim.json")
LOOK_MOST = 900  # seconds for all questions
PUBLISHED = 7  # days that a former key stays published, beyond the last delivery of what it has signed
LETTERS = {"rsa": "r", "ed25519": "e"}
BITS = 2048  # what everybody verifies, and what fits into an answer

State = dict[str, Any]


class DkimError(Exception):
    """What can't be done; the text says what to do."""


def read(path: Path) -> Any:
    """Read a JSON file. Raises DkimError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DkimError(f"there is no {path}: no play has declared yet who signs here") from None
    except (OSError, ValueError) as error:
        raise DkimError(f"{path}: {error}") from None


class Keys:
    """The keys of this host: what is declared, and what there is."""

    def __init__(self, config: Path, today: datetime.date, *, plan: bool = False, declared: str = "") -> None:
        """Read both; `declared` is what the file will have, if given. With `plan` nothing is changed."""
        wanted = json.loads(declared) if declared else read(config)
        self.home = config.with_name("dkim")
        self.plan = plan
        self.today = today
        self.domains: list[str] = wanted["domains"]
        self.algorithms = ["rsa", *(["ed25519"] if wanted["ed25519"] else [])]
        self.days = int(wanted["key_days"])
        self.prefix: str = wanted["selector_prefix"]
        self.lifetime = datetime.timedelta(seconds=int(wanted["queue_lifetime"]))
        self.nameservers: list[str] | None = wanted.get("nameservers")
        self.port = int(wanted.get("dns_port", 53))
        self.path = self.home / "state.json"
        self.state: State = read(self.path) if self.path.exists() else {}
        try:
            self.group = grp.getgrnam(wanted["group"]).gr_gid
        except KeyError:
            raise DkimError(f"there is no group {wanted['group']}: run the play with the tag users") from None

    # --- what there is ---

    def entry(self, domain: str, algorithm: str) -> dict[str, Any]:
        """Give what is known of a domain's keys of one kind, to be changed."""
        kinds = self.state.setdefault(domain, {"algorithms": {}})["algorithms"]
        entry: dict[str, Any] = kinds.setdefault(algorithm, {"current": None, "next": None, "old": [], "keys": {}})
        return entry

    def entries(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Give each domain, kind, and what is known of its keys."""
        for domain in sorted(self.state):
            for algorithm in sorted(self.state[domain]["algorithms"], reverse=True):
                yield domain, algorithm, self.state[domain]["algorithms"][algorithm]

    def age(self, entry: dict[str, Any]) -> int:
        """Give for how many days the current key has been there."""
        made = datetime.date.fromisoformat(entry["keys"][entry["current"]]["made"])
        return (self.today - made).days

    def is_over(self, since: str, *, days: int) -> bool:
        """Is it so many days, and a message's longest time in the queue, since that day?"""
        return self.today > datetime.date.fromisoformat(since) + self.lifetime + datetime.timedelta(days=days)

    def file(self, domain: str, selector: str) -> Path:
        """Give where a private key is."""
        return self.home / domain / f"{selector}.pem"

    # --- what changes ---

    def save(self) -> None:
        """Write the state; the service reads the keys anew when it is another file."""
        if not self.plan:
            text = json.dumps(self.state, indent=1, sort_keys=True) + "\n"
            if not self.path.exists() or self.path.read_text(encoding="utf-8") != text:
                write(self.path, text.encode(), 0o644)

    def selector(self, domain: str, algorithm: str) -> str:
        """Give a selector that the domain has never had, as far as is known."""
        taken = {name for entry in self.state[domain]["algorithms"].values() for name in entry["keys"]}
        base = f"{self.prefix}{self.today:%Y%m}{LETTERS[algorithm]}"
        names = (base if number == 1 else f"{base}{number}" for number in range(1, 1000))
        return next(name for name in names if name not in taken and not self.file(domain, name).exists())

    def new_key(self, domain: str, algorithm: str) -> str:
        """Make a key, and give its selector."""
        entry = self.entry(domain, algorithm)
        selector = self.selector(domain, algorithm)
        if self.plan:
            return selector
        key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
        if algorithm == "rsa":
            key = rsa.generate_private_key(65537, BITS)
            public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            key = ed25519.Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.mend_directory(domain)
        with beside(self.file(domain, selector), pem, 0o640, (os.geteuid(), self.group)):
            pass
        value = f"v=DKIM1; k={algorithm}; p={base64.b64encode(public).decode()}"
        entry["keys"][selector] = {"made": self.today.isoformat(), "value": value}
        return selector

    def mend_directory(self, domain: str) -> None:
        """Have a domain's directory, that only root and the service enter."""
        make_directory(self.home)
        place = self.home / domain
        with contextlib.suppress(FileExistsError):
            place.mkdir(0o700)
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(fd, os.geteuid(), self.group)
            os.fchmod(fd, 0o750)
        finally:
            os.close(fd)

    def make(self) -> Iterator[str]:
        """Have what is declared; say what is, or would be, done."""
        for domain in self.domains:
            for algorithm in self.algorithms:
                entry = self.entry(domain, algorithm)
                if not entry["current"]:
                    entry["current"] = selector = self.new_key(domain, algorithm)
                    yield f"{domain}: key {selector} ({algorithm}) made, and signs"
                elif self.days and not entry["next"] and not self.plan_less(entry) and self.age(entry) >= self.days:
                    entry["next"] = selector = self.new_key(domain, algorithm)
                    yield f"{domain}: key {selector} ({algorithm}) made; it signs once every name server has its record"
                self.save()
        for domain, algorithm, entry in self.entries():
            if domain in self.domains and algorithm in self.algorithms:
                continue
            for which in ("current", "next"):
                if entry[which]:
                    yield f"{domain}: key {entry[which]} ({algorithm}) signs no more: it isn't declared"
                    entry["old"].append({"selector": entry[which], "since": self.today.isoformat()})
                    entry[which] = None
        yield from self.mend_modes()
        self.save()

    def plan_less(self, entry: dict[str, Any]) -> bool:
        """Is this a key that is only planned?"""
        return entry["current"] not in entry["keys"]

    def mend_modes(self) -> Iterator[str]:
        """Have every key be readable by root and the service alone."""
        for domain, _, entry in self.entries():
            for selector in entry["keys"]:
                for path, mode in ((self.home / domain, 0o750), (self.file(domain, selector), 0o640)):
                    try:
                        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                    except FileNotFoundError:
                        continue
                    try:
                        status = os.fstat(fd)
                        if (status.st_uid, status.st_gid, status.st_mode & 0o7777) != (os.geteuid(), self.group, mode):
                            yield f"{path}: owner and mode mended"
                            if not self.plan:
                                os.fchown(fd, os.geteuid(), self.group)
                                os.fchmod(fd, mode)
                    finally:
                        os.close(fd)

    def missing(self) -> Iterator[str]:
        """Say which keys in use are not on the host."""
        for domain, _, entry in self.entries():
            for which in ("current", "next"):
                if entry[which] and entry[which] in entry["keys"] and not self.file(domain, entry[which]).exists():
                    yield f"{self.file(domain, entry[which])} is gone: bring it back from a backup"

    def rotate(self, names: Names) -> Iterator[str]:
        """Sign with the next keys that every server has, and let go of former ones."""
        yield from self.make()
        for domain, algorithm, entry in self.entries():
            if entry["next"]:
                why = self.unpublished(names, domain, entry, entry["next"])
                if why:
                    yield f"{domain}: key {entry['next']} ({algorithm}) waits: {why}"
                else:
                    former = entry["current"]
                    entry["old"].append({"selector": former, "since": self.today.isoformat()})
                    entry["current"], entry["next"] = entry["next"], None
                    self.save()
                    yield f"{domain}: key {entry['current']} ({algorithm}) signs now, in place of {former}"
            for old in list(entry["old"]):
                yield from self.let_go(names, domain, entry, old)
            self.save()

    def let_go(self, names: Names, domain: str, entry: dict[str, Any], old: dict[str, str]) -> Iterator[str]:
        """Remove a former private key, and forget it once its record is gone, too."""
        file = self.file(domain, old["selector"])
        if self.is_over(old["since"], days=0) and file.exists():
            file.unlink()
            sync_directory(file.parent)
            yield f"{domain}: the private key {old['selector']} is removed; nothing that it signed is in the queue"
        if self.is_over(old["since"], days=PUBLISHED):
            name = f"{old['selector']}._domainkey.{domain}"
            if unlike(names, name, wanted=None):
                yield f"{domain}: the record {name} may be removed from the DNS"
            else:
                entry["old"].remove(old)
                yield f"{domain}: {old['selector']} is gone from the DNS, and forgotten"

    def unpublished(self, names: Names, domain: str, entry: dict[str, Any], selector: str) -> str:
        """Say why a key can't sign yet; nothing where it can."""
        return unlike(names, f"{selector}._domainkey.{domain}", wanted=entry["keys"][selector]["value"])

    # --- what it looks like ---

    def records(self) -> list[dict[str, str]]:
        """Give what is to be in the DNS, and what may go."""
        found = []
        for domain, _, entry in self.entries():
            states = [(entry["current"], "current"), (entry["next"], "next")]
            for old in entry["old"]:
                over = self.is_over(old["since"], days=PUBLISHED)
                states.append((old["selector"], "removable" if over else "old"))
            for selector, state in states:
                if selector:
                    value = entry["keys"][selector]["value"]
                    name = f"{selector}._domainkey.{domain}"
                    found.append({"name": name, "type": "TXT", "value": value, "state": state, "domain": domain})
        return found

    def status(self, names: Names) -> Iterator[str]:
        """Say how each domain's keys are."""
        yield from self.missing()
        for domain, algorithm, entry in self.entries():
            if entry["current"]:
                why = self.unpublished(names, domain, entry, entry["current"])
                where = "at every name server" if not why else f"NOT at every name server: {why}"
                yield f"{domain} {algorithm}: {entry['current']} signs, {self.age(entry)} days old, {where}"
            if entry["next"]:
                why = self.unpublished(names, domain, entry, entry["next"])
                yield f"{domain} {algorithm}: {entry['next']} is next, {why or 'and signs from the next rotation on'}"
            for old in entry["old"]:
                over = self.is_over(old["since"], days=PUBLISHED)
                what = "its record may be removed" if over else "its record is to stay for now"
                yield f"{domain} {algorithm}: {old['selector']} signs no more since {old['since']}; {what}"


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Have nobody else change keys meanwhile."""
    make_directory(home)
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def names_of(keys: Keys) -> Names:
    """Give the DNS: by the site's resolver, or those of resolv.conf."""
    from name_servers import Names, Server
    from site_resolvers import resolvers

    found = dict.fromkeys(keys.nameservers, keys.port) if keys.nameservers else resolvers()
    return Names([Server(each, each, port) for each, port in found.items()], port=keys.port, seconds=LOOK_MOST)


def unlike(names: Names, name: str, *, wanted: str | None) -> str:
    """Say why not every server has this text at a name (or, None, no text at all); nothing where each of them has.

    A server of several addresses has to answer at one of them, and to be right wherever it answers.
    """
    try:
        said = names.everywhere(name, "TXT")
    except LookupError as error:
        return str(error)
    for server, texts in said:
        if wanted is None and texts:
            return f"{server}: still has it"
        if wanted is not None and [same(text) for text in texts] != [same(wanted)]:
            return f"{server}: has {'another' if texts else 'no'} record"
    return ""


def same(text: str) -> dict[str, str]:
    """Give the tags of a text without blanks, for a comparison."""
    tags = (tag.partition("=") for tag in "".join(text.split()).split(";") if tag)
    return {name: value for name, _, value in tags}


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="mail-dkim", description="The keys that this host signs mail with.")
    parser.add_argument("--config", type=Path, default=CONFIG, help=argparse.SUPPRESS)
    parser.add_argument("--today", type=datetime.date.fromisoformat, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="say what would be made, and change nothing")
    parser.add_argument("--declared", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("what", choices=["make", "rotate", "records", "status"])
    said = parser.parse_args()
    if said.declared and not said.check:
        parser.error("--declared is for --check: what is declared otherwise is in a file")
    os.umask(0o077)
    today = said.today or datetime.datetime.now(datetime.UTC).date()
    reads = said.check or said.what in ("records", "status")
    try:
        with contextlib.nullcontext() if reads else alone(said.config.with_name("dkim")):
            keys = Keys(said.config, today, plan=reads, declared="".join(said.declared))
            if said.what == "records":
                print(json.dumps(keys.records(), indent=1))
                return 0
            ways: dict[str, Callable[[], Iterator[str]]] = {
                "make": keys.make,
                "rotate": lambda: keys.rotate(names_of(keys)),
                "status": lambda: keys.status(names_of(keys)),
            }
            for line in ways[said.what]():
                print(line, flush=True)
            for line in keys.missing() if said.what != "status" else ():
                raise DkimError(line)
    except (DkimError, OSError) as error:
        print(f"mail-dkim: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"mail-dkim: {said.config} or {said.config.with_name('dkim')}/state.json has no {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
