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
options:
  path:
    description: The database.
    type: path
    required: true
  hashes:
    description: >-
      User to hash. A hash that no password fits, such as C(*), lets nobody in; mail is received all the same.
    type: dict
    required: true
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
"""

RETURN = r"""
set:
  description: Whose hash is another one now.
  type: list
  elements: str
  returned: success
removed:
  description: Who has none any more.
  type: list
  elements: str
  returned: success
"""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.whole_file import beside

SHADOW = Path("/etc/shadow")
MODE = 0o600


class DatabaseError(Exception):
    """Why the database can't be written; the text holds no hash."""


def entries(path: Path) -> dict[str, str]:
    """User to hash of a database, empty where there is none. A link is not followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with os.fdopen(fd, errors="replace") as file:
        fields = [line.rstrip("\n").split(":") for line in file]
    return {field[0]: field[1] for field in fields if len(field) > 1}


def is_ours(path: Path) -> bool:
    """Is it a regular file that nobody but root may read?"""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    ours = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), os.getegid(), MODE)
    return stat.S_ISREG(status.st_mode) and ours


def check(hashes: dict[str, Any]) -> None:
    """Refuse what would make another line, or two."""
    for name, value in hashes.items():
        if not re.fullmatch(r"[^:\s]+", name):
            raise DatabaseError(f"{name!r} is not a user's name")
        if not isinstance(value, str) or not re.fullmatch(r"[!-9;-~]+", value):
            raise DatabaseError(f"the hash of {name} is not one of crypt(5), nor * for nobody")


def write_own(path: Path, hashes: dict[str, str], check_mode: bool) -> dict[str, Any]:
    """Make a file of mail's own hold HASHES and nothing else."""
    have = entries(path)
    content = "".join(f"{name}:{hashes[name]}:::::::\n" for name in sorted(hashes)).encode()
    same = is_ours(path) and path.read_bytes() == content
    if not same and not check_mode:
        with beside(path, content, MODE, (os.geteuid(), os.getegid())):
            pass
    changed = [name for name in sorted(hashes) if have.get(name) != hashes[name]]
    return {"changed": not same, "set": changed, "removed": sorted(have.keys() - hashes)}


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
    return {"changed": bool(lines), "set": changed, "removed": locked}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True, "no_log": False},
            "hashes": {"type": "dict", "required": True, "no_log": True},
            "lock": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    path, hashes = Path(module.params["path"]), module.params["hashes"]
    try:
        check(hashes)
        if path == SHADOW:
            result = set_in_shadow(hashes, module.params["lock"], module.check_mode)
        else:
            result = write_own(path, hashes, module.check_mode)
    except DatabaseError as error:
        module.fail_json(msg=f"mail_passwords: {path}: {error}")
    except OSError as error:
        module.fail_json(msg=f"mail_passwords: {error.filename or path}: {error.strerror}")
    lines = [f"{name} (another password)\n" for name in result["set"]] or ["(another owner or mode)\n"]
    result["diff"] = {
        "before_header": str(path),
        "after_header": str(path),
        "before": "".join(f"{name}\n" for name in result["removed"]) if result["changed"] else "",
        "after": "".join(lines) if result["changed"] else "",
    }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
