"""The people of a site for trying out: their passwords are made on the spot and never leave this machine."""

import json
import secrets
from pathlib import Path
from typing import TypedDict

from passlib.hash import sha512_crypt

NAMES = {"alice": ["info", "alice.example"], "bob": []}
ROUNDS = 5000
"""crypt(5)'s default for sha512crypt; such a password has 120 bits, so more rounds would only cost time."""


class User(TypedDict):
    """One user, as `mail_users` wants it."""

    name: str
    password_hash: str
    aliases: list[str]


class People(TypedDict):
    """The users, and their passwords by name."""

    users: list[User]
    passwords: dict[str, str]


def ensure(path: Path) -> People:
    """Give the people in a file, making the file (mode 0600) with new passwords if it isn't there."""
    if path.exists():
        known: People = json.loads(path.read_text())
        return known
    people: People = {"users": [], "passwords": {}}
    for name, aliases in NAMES.items():
        password = secrets.token_urlsafe(15)
        digest = sha512_crypt.using(rounds=ROUNDS).hash(password)  # type: ignore[no-untyped-call]
        people["users"].append({"name": name, "password_hash": digest, "aliases": list(aliases)})
        people["passwords"][name] = password
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(people, indent=2) + "\n")
    new.replace(path)
    return people
