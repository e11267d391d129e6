#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: every part is what was built."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sealed_prefixes
short_description: See that every part of the site is what was built
description:
  - Looks at each part in O(root), as the module build_prefix has made it, and compares C(current) and C(previous) with
    what their builds were sealed with, file by file. Owners and modes are those of the build, but for those that the
    prefix says a play has given it.
  - C(current) and C(previous) must lead to a build of that part, one that the stamp in it names.
  - Changes nothing. Fails if there is anything to say.
options:
  root:
    description: Directory of all parts.
    type: path
    default: /opt/qmail-site
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: See that the programs are what was built
  sealed_prefixes:
"""

RETURN = r"""
found:
  description: A sentence for each thing that is not as it was built.
  type: list
  elements: str
  returned: always
parts:
  description: How many parts there are.
  type: int
  returned: always
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sealed_tree import ENTRY, compared, noted_modes, stamp_of

MOST = 20


def look_at_modes(prefix: Path, modes: list[dict[str, str]]) -> Iterator[str]:
    """Whether what a play has given an owner and a mode of its own still has them."""
    for want in modes:
        path = prefix / want["path"]
        try:
            have = path.lstat()
            uid, gid = pwd.getpwnam(want["owner"]).pw_uid, grp.getgrnam(want["group"]).gr_gid
        except FileNotFoundError:
            continue  # told as missing
        except KeyError:
            yield f"{path}: this host has no user {want['owner']} or no group {want['group']}"
            continue
        is_so = (have.st_uid, have.st_gid, stat.S_IMODE(have.st_mode))
        if is_so != (uid, gid, int(want["mode"], 8)):
            yield (
                f"{path} is {is_so[0]}:{is_so[1]} {is_so[2]:04o}, not {want['owner']}:{want['group']} "
                f"{int(want['mode'], 8):04o}"
            )


def look_at_build(link: Path) -> Iterator[str]:
    """What is wrong with the build that LINK leads to."""
    if not link.is_symlink():
        yield f"{link} is no symlink to a build"
        return
    name = os.readlink(link)  # noqa: PTH115 - as it is written
    prefix = link.parent / name
    known = ENTRY.fullmatch(name)
    if known is None or prefix.is_symlink() or not prefix.is_dir():
        yield f"{link} leads to {name}, which is no build of this part"
        return
    stamp = stamp_of(prefix)
    if stamp is None or stamp[:8] != known[1]:
        yield f"{link} leads to {name}, whose stamp is {stamp[:8] if stamp else 'missing'}"
        return
    modes = noted_modes(prefix)
    for each in compared(prefix, modes):
        yield f"{prefix}: {each}"
    yield from look_at_modes(prefix, modes)


def look_at_part(part: Path) -> Iterator[str]:
    """What is wrong with a part."""
    have = part.lstat()
    if have.st_uid != part.parent.stat().st_uid or have.st_mode & 0o022:
        yield f"{part} is of uid {have.st_uid}, mode {stat.S_IMODE(have.st_mode):04o}; only root may write there"
    for name in ("current", "previous"):
        if name == "current" or os.path.lexists(part / name):
            try:
                yield from look_at_build(part / name)
            except (OSError, ValueError) as error:
                yield f"{part / name} can't be compared: {error}"


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "default": "/opt/qmail-site"}}, supports_check_mode=True
    )
    root = Path(module.params["root"])
    parts = sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink()) if root.is_dir() else []
    found = [] if parts else [f"{root} has no part of the site"]
    for part in parts:
        found += look_at_part(part)
    if found:
        more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
        module.fail_json(
            msg=f"not what was built: {'; '.join(found[:MOST])}{more}. The next run of site.yml makes it anew",
            found=found,
            parts=len(parts),
        )
    module.exit_json(changed=False, found=[], parts=len(parts))


if __name__ == "__main__":
    main()
