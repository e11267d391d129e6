#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: make a password database hold the declared hashes, which show up nowhere else."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mail_passwords
short_description: Set the hashes of a password database
description:
  - A file of mail's own, in the format of shadow(5), is written as a whole, by one rename. Whoever is not in O(hashes)
    is not in it.
  - In C(/etc/shadow) only the hashes of these accounts are set, and those of O(lock) are made unusable, by chpasswd(8),
    which reads them from a pipe. So no hash is an argument of a program.
  - A user of O(passwords) keeps the hash that the database has for as long as that password fits it. Otherwise this
    host's crypt(3) makes a new one, of the method that it prefers and with a salt of its own.
options:
  path:
    description: The database.
    type: path
    required: true
  hashes:
    description: >-
      User to hash. A hash that no password fits, such as C(*), lets nobody in; mail is received all the same.
    type: dict
    default: {}
  passwords:
    description: >-
      User to password in the clear, at most 200 bytes; a newline at its end does not count. It is compared and hashed,
      and kept nowhere.
    type: dict
    default: {}
  details:
    description:
      - Name to what else its line says, V(until) its last day (days since 1970), V(services) the doors that it opens,
        all if empty. C(/etc/shadow) has no such thing.
    type: dict
    default: {}
  overrides:
    description: >-
      The file of passwords that were set on the host. One counts until what is declared is another one than it was
      then, and a warning names it.
    type: path
  lock:
    description: Accounts in C(/etc/shadow) that shall have no password any more.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Compares and says whose password would change.
    support: full
  diff_mode:
    description: Shows names, never a hash.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Write the password database of mail
  mail_passwords:
    path: /etc/qmail-shadow
    hashes: {carol: "{{ carols_hash }}", dave: "*"}
    passwords: {erin: "{{ erins_password }}"}
"""

RETURN = r"""
set:
  description: Whose hash is another one now.
  type: list
  elements: str
  returned: success
limited:
  description: Whose password opens other doors now, or has another last day.
  type: list
  elements: str
  returned: success
overridden:
  description: Who has a password that was set on the host.
  type: list
  elements: str
  returned: success
removed:
  description: Who has none any more.
  type: list
  elements: str
  returned: success
"""

import contextlib
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_crypt import Crypt, CryptError
from ansible.module_utils.password_overrides import Override, alone, read, save
from ansible.module_utils.whole_file import beside

SHADOW = Path("/etc/shadow")
MODE = 0o600
LONGEST = 200


class DatabaseError(Exception):
    """Why the database can't be written; the text holds no hash."""


def fields_of(path: Path) -> dict[str, list[str]]:
    """User to the fields of a database's line, empty where there is none. A link is not followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with os.fdopen(fd, errors="replace") as file:
        fields = [line.rstrip("\n").split(":") for line in file]
    return {field[0]: field for field in fields if len(field) > 1}


def entries(path: Path) -> dict[str, str]:
    """User to hash of a database, empty where there is none."""
    return {name: field[1] for name, field in fields_of(path).items()}


def is_ours(path: Path) -> bool:
    """Is it a regular file that nobody but root may read?"""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    ours = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), os.getegid(), MODE)
    return stat.S_ISREG(status.st_mode) and ours


def hashed(passwords: dict[str, Any], have: dict[str, str]) -> dict[str, str]:
    """User to hash: the one that the database HAS where the password fits it, otherwise a new one."""
    if not passwords:
        return {}
    crypt, found = Crypt(), {}
    for name, text in passwords.items():
        password = text.removesuffix("\n").encode()
        kept = have.get(name, "")
        found[name] = kept if crypt.fits(password, kept) else crypt.new(password)
    return found


def in_force(declared: dict[str, str], overrides: dict[str, Override]) -> dict[str, Override]:
    """Those that were set on the host while what is declared was what it is now."""
    return {name: each for name, each in overrides.items() if declared.get(name) == each.former}


def check(hashes: dict[str, Any], passwords: dict[str, Any]) -> None:
    """Refuse what would make another line, or two, and what could not be sent as a password."""
    for name in [*hashes, *passwords]:
        if not re.fullmatch(r"[^:\s]+", name):
            raise DatabaseError(f"{name!r} is not a user's name")
        if name in hashes and name in passwords:
            raise DatabaseError(f"{name} has a hash and a password; one of them is enough")
    for name, text in passwords.items():
        if not isinstance(text, str) or not text.removesuffix("\n").isprintable() or not text.strip():
            raise DatabaseError(f"the password of {name} is empty, no string, or has a control character")
        if len(text.removesuffix("\n").encode()) > LONGEST:
            raise DatabaseError(f"the password of {name} has more than {LONGEST} bytes")
    for name, value in hashes.items():
        if not isinstance(value, str) or not re.fullmatch(r"[!-9;-~]+", value):
            raise DatabaseError(f"the hash of {name} is not one of crypt(5), nor * for nobody")


def line(name: str, value: str, details: dict[str, Any]) -> str:
    """One line of shadow(5): the eighth field is the first day on which it counts no more, the ninth is free."""
    until, services = details.get("until"), details.get("services") or []
    expiry = "" if until is None else until + 1
    return f"{name}:{value}::::::{expiry}:{','.join(services)}\n"


def write_own(path: Path, hashes: dict[str, str], details: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make a file of mail's own hold HASHES and nothing else."""
    before = fields_of(path)
    have = {name: field[1] for name, field in before.items()}
    lines = {name: line(name, hashes[name], details.get(name, {})) for name in sorted(hashes)}
    content = "".join(lines.values()).encode()
    same = is_ours(path) and path.read_bytes() == content
    if not same and not check_mode:
        with beside(path, content, MODE, (os.geteuid(), os.getegid())):
            pass
    changed = [name for name in sorted(hashes) if have.get(name) != hashes[name]]
    limited = [name for name, text in lines.items() if name in have and before[name] != text[:-1].split(":")]
    limited = [name for name in limited if name not in changed]
    return {"changed": not same, "set": changed, "limited": limited, "removed": sorted(have.keys() - hashes)}


def set_in_shadow(hashes: dict[str, str], lock: list[str], check_mode: bool) -> dict[str, Any]:
    """Set hashes in /etc/shadow, under its lock, and lock other accounts there."""
    have = entries(SHADOW)
    changed = [name for name in sorted(hashes) if have.get(name) != hashes[name]]
    locked = [name for name in sorted(lock) if name in have and not have[name].startswith(("!", "*"))]
    lines = [f"{name}:{hashes[name]}\n" for name in changed] + [f"{name}:!\n" for name in locked]
    if lines and not check_mode:
        done = subprocess.run(
            ["chpasswd", "--encrypted"], input="".join(lines), text=True, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise DatabaseError(f"chpasswd failed (exit code {done.returncode}): {done.stderr.strip()[:300]}")
    return {"changed": bool(lines), "set": changed, "limited": [], "removed": locked}


def bring_about(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Have the database as it is declared; give the module's result, but for its diff."""
    path, have = Path(params["path"]), entries(Path(params["path"]))
    set_here = Path(params["overrides"]) if params["overrides"] else None
    overrides = read(set_here) if set_here else {}
    # A hash that was set on the host hides the one that the declared password fits.
    kept = have | {name: each.former for name, each in overrides.items() if name in have}
    hashes = params["hashes"] | hashed(params["passwords"], kept)
    counting = in_force(hashes, overrides)
    if set_here and counting != overrides and not check_mode:
        save(counting, set_here)
    hashes |= {name: each.hash for name, each in counting.items()}
    if path == SHADOW:
        result = set_in_shadow(hashes, params["lock"], check_mode)
    else:
        result = write_own(path, hashes, params["details"], check_mode)
    return result | {"overridden": sorted(counting), "changed": result["changed"] or counting != overrides}


def said(name: str, what: str, of: str = "") -> str:
    """A line for the diff: whose it is, and what."""
    box, _, device = name.partition("/")
    device = f"of device {device}" if device else ""
    return f"{box} ({' '.join(word for word in (what, of, device) if word)})\n"


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True, "no_log": False},
            "hashes": {"type": "dict", "default": {}, "no_log": True},
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "details": {"type": "dict", "default": {}},
            "overrides": {"type": "path"},
            "lock": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    path, hashes, passwords = Path(module.params["path"]), module.params["hashes"], module.params["passwords"]
    try:
        check(hashes, passwords)
        have = entries(path)
        with alone() if not module.check_mode else contextlib.nullcontext():
            result = bring_about(module.params, module.check_mode)
    except (DatabaseError, CryptError) as error:
        module.fail_json(msg=f"mail_passwords: {path}: {error}")
    except OSError as error:
        module.fail_json(msg=f"mail_passwords: {error.filename or path}: {error.strerror}")
    if result["overridden"]:
        module.warn(
            f"mail_passwords: {', '.join(result['overridden'])}: the password was set on this host (mail-site passwd) "
            "and is not the declared one; declare it, or declare another one to put it out of force"
        )
    lines = [said(name, f"{'another' if name in have else 'a first'} password") for name in result["set"]]
    lines += [said(name, "other doors or another last day", "for the password") for name in result["limited"]]
    if not lines and not result["removed"]:
        lines = ["(another owner, mode or form)\n"]
    result["diff"] = {
        "before_header": str(path),
        "after_header": str(path),
        "before": "".join(f"{name}\n" for name in result["removed"]) if result["changed"] else "",
        "after": "".join(lines) if result["changed"] else "",
    }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
