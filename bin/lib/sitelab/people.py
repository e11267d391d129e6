"""The people of a site for trying out: their passwords are made on the spot and never leave this machine."""

import json
import secrets
from pathlib import Path
from typing import TypedDict

from passlib.hash import sha512_crypt

NAMES = {"alice": ["info"], "bob": []}
ROUNDS = 5000
"""crypt(5)'s default for sha512crypt; such a password has 120 bits, so more rounds would only cost time."""


class Person(TypedDict):
    """One user, as `mail_users` wants it, with the password beside its hash."""

    name: str
    password: str
    password_hash: str
    aliases: list[str]


def ensure(path: Path) -> list[Person]:
    """Give the people in a file, making the file (mode 0600) with new passwords if it isn't there."""
    if path.exists():
        users: list[Person] = json.loads(path.read_text())["users"]
        return users
    users = []
    for name, aliases in NAMES.items():
        password = secrets.token_urlsafe(15)
        digest = sha512_crypt.using(rounds=ROUNDS).hash(password)  # type: ignore[no-untyped-call]
        users.append({"name": name, "password": password, "password_hash": digest, "aliases": list(aliases)})
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps({"users": users}, indent=2) + "\n")
    new.replace(path)
    return users
