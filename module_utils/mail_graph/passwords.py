# SPDX-License-Identifier: MIT
"""Passwords and their hashes, as they are declared: whether they will do. No sentence ever repeats one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .words import Say, kind

# crypt(5): yescrypt, gost-yescrypt, scrypt, bcrypt, sha512crypt, sha256crypt. Older ones are searched in hours.
_STRONG_HASH = re.compile(
    r"\$(?:y|gy)\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}"
    r"|\$7\$[./A-Za-z0-9]{11,97}\$[./A-Za-z0-9]{43}"
    r"|\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"
    r"|\$6\$(?:rounds=\d{1,9}\$)?[^$:\n]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$5\$(?:rounds=\d{1,9}\$)?[^$:\n]{1,16}\$[./A-Za-z0-9]{43}"
)
_WEAK_HASH = re.compile(r"\$(?:1|md5|sha1|3)[$,].*|[./A-Za-z0-9]{13}|_[./A-Za-z0-9]{19}")
_MAKE_A_HASH = "make one with `mkpasswd --method=yescrypt`"
# No password fits these (shadow(5)): the user can't log in, and still receives mail. A locked hash stays behind a "!".
_NO_LOG_IN = re.compile(r"[*!]+")
_MAKE_ONE = "make one with `openssl rand -base64 15`, and keep it in Ansible's vault"
# In characters; and in bytes, so that checkpassword's 512 have room for an address beside it.
_SHORTEST, _LONGEST = 8, 200


def _password(where: str, holder: Mapping[str, Any], names: tuple[object, ...], key: str, say: Say) -> None:
    value = holder["password"]
    if holder.get(key) is not None:
        say(f"{where}: has a password and a {key}; leave one of them out")
    if not isinstance(value, str):
        say(f"{where}: password is {kind(value)}, not a string; {_MAKE_ONE}")
        return
    # A file or a vault often ends in a newline.
    value = value.removesuffix("\n")
    if _STRONG_HASH.fullmatch(value.strip().lstrip("!")) or _NO_LOG_IN.fullmatch(value):
        say(f"{where}: password is what belongs into {key}; rename it")
    elif not value.isprintable():
        say(f"{where}: password has a control character, which no client can send; {_MAKE_ONE}")
    elif len(value.strip()) < _SHORTEST or value in names:
        why = f"it has fewer than {_SHORTEST} characters or is the name"
        say(f"{where}: password can be guessed, {why}; {_MAKE_ONE}")
    elif len(value.encode(errors="replace")) > _LONGEST:
        say(f"{where}: password has more than {_LONGEST} bytes, which not every client sends; {_MAKE_ONE}")


def password_or_hash(where: str, holder: Mapping[str, Any], names: tuple[object, ...], key: str, say: Say) -> None:
    """Say what is wrong with the `password` of a mapping, or else with the hash that KEY says.

    NAMES are those of whom it belongs to: none of them is a password.
    """
    if "password" in holder:
        _password(where, holder, names, key, say)
        return
    value = holder.get(key)
    if value is None or value == "":
        say(f'{where}: has no {key}; {_MAKE_A_HASH}, or say "*" for a user who shall not log in')
    elif not isinstance(value, str):
        say(f"{where}: {key} is {kind(value)}, not a string; {_MAKE_A_HASH}")
    else:
        # A file or a vault often ends in a newline; a locked hash counts as the hash.
        value = value.strip()
        if _NO_LOG_IN.fullmatch(value) or _STRONG_HASH.fullmatch(value.lstrip("!")):
            return
        if _WEAK_HASH.fullmatch(value):
            say(f"{where}: {key} is of a method that is too weak to keep; {_MAKE_A_HASH}")
        else:
            say(f"{where}: {key} is not a hash of crypt(5) (a clear password, or a cut line?); {_MAKE_A_HASH}")


def declared_passwords(users: object) -> dict[str, dict[str, str]]:
    """What opens what, of a site without a fault: `hashes` and `passwords` by NAME, or NAME/DEVICE.

    Whoever is disabled has a hash that nothing fits and no devices; who is absent has nothing, and so has who only has
    passwords of devices: no password without a name opens anything of his.
    """
    hashes: dict[str, str] = {}
    clear: dict[str, str] = {}

    def add(name: str, holder: Mapping[str, Any], key: str) -> None:
        if holder.get(key) is not None:
            hashes[name] = str(holder[key]).strip()
        elif holder.get("password") is not None:
            clear[name] = holder["password"]

    for user in users if isinstance(users, list | tuple) else []:
        name, state = str(user["name"]), user.get("state") or "present"
        if state == "absent":
            continue
        devices = user.get("password_hashes") or {}
        if state == "disabled" or (devices and user.get("password_hash") is None and user.get("password") is None):
            hashes[name] = "*"
        else:
            add(name, user, "password_hash")
        for device, said in devices.items() if state == "present" else ():
            add(f"{name}/{device}", said if isinstance(said, Mapping) else {"hash": said}, "hash")
    return {"hashes": hashes, "passwords": clear}
