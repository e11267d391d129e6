#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: which of the built versions of a part is the current one."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: build_prefix
short_description: Make a built version of a part the current one
description:
  - A part lives in C(ROOT/NAME). Each build of it has a directory C(VERSION-STAMP8) there, its prefix. The symlink
    C(current) names the one in use and C(previous) the one in use before it; other builds are removed.
  - A stamp is the SHA-256 digest of everything that the result of a build depends on. It is worked out on the
    controller from O(recipe). A prefix is complete when its file C(.stamp), written as a build's last act, holds the
    whole stamp.
  - If the prefix is complete, O(modes) are applied, C(current) is switched to it by one rename, and O(links) are
    made. If it is not, nothing is touched and RV(to_build) is true.
  - A prefix notes its O(modes) in its file C(.modes), so that going back to it makes them true again. One without that
    file gets those of the prefix that is left.
options:
  name:
    description: The part, such as C(qmail).
    type: str
    required: true
  state:
    description:
      - V(present) makes the version that O(recipe) describes the current one.
      - V(previous) switches back to the version that was in use before.
    type: str
    choices: [present, previous]
    default: present
  version:
    description: Version for humans, the first half of the prefix's name. Required with O(state=present).
    type: str
  recipe:
    description:
      - Everything that the result depends on. Two recipes with one difference make two prefixes.
      - C(sources) is a list of dicts, each with C(into), and C(tree), C(distfile) (a dict with C(name), C(size),
        C(sha256) and C(sites)) or C(git) (a dict with C(url), C(commit) and, if wanted, C(sha256)). A source counts by
        its digest or commit. Where it comes from does not count.
      - C(patches) is a list of dicts, each with C(strip), and C(file) (a path in the working directory) or C(distfile).
      - Any other key counts as it is.
    type: dict
    default: {}
  stamp:
    description: The stamp. Worked out from O(recipe), not to be given.
    type: str
  root:
    description: Directory of all parts.
    type: path
    default: /opt/qmail-site
  modes:
    description: Owner, group and mode of files in the prefix where they are not root, root and as built.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: File or directory, relative to the prefix.
        type: str
        required: true
      owner:
        description: Name of the user, looked up on the target.
        type: str
        default: root
      group:
        description: Name of the group, looked up on the target.
        type: str
        default: root
      mode:
        description: Mode in octal, such as C("4711").
        type: str
        required: true
  links:
    description: Symlinks outside of the prefix, into C(current).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The symlink. Missing directories above it are made. Anything there but a symlink is an error.
        type: path
        required: true
      to:
        description: What it points to, relative to the prefix.
        type: str
        required: true
attributes:
  check_mode:
    description: Says what would be switched, changed or built.
    support: full
  diff_mode:
    description: Lists the symlinks and modes that differ.
    support: full
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Use checkpassword 1.0 if it is built
  build_prefix:
    name: checkpassword
    version: "1.0"
    recipe:
      sources:
        - tree: ../../src/checkpassword
          into: source
      commands: [make]
    links:
      - path: /usr/local/bin/checkpassword
        to: bin/checkpassword
  register: result

- name: Switch back to what was in use before
  build_prefix:
    name: checkpassword
    state: previous
"""

RETURN = r"""
to_build:
  description: Whether the wanted version is not there (or not complete).
  type: bool
  returned: with O(state=present)
prefix:
  description: Absolute path of the wanted version.
  type: str
  returned: success
  sample: /opt/qmail-site/checkpassword/1.0-5f70bf18
current:
  description: Name of the prefix in use (in check mode, of the one that would be), empty if there is none.
  type: str
  returned: success
previous:
  description: Name of the prefix in use before, empty if there is none.
  type: str
  returned: success
stamp:
  description: The stamp.
  type: str
  returned: with O(state=present)
sources:
  description: The sources of the recipe, with C(name), C(size), C(sha256) also for a tree.
  type: list
  elements: dict
  returned: with O(state=present)
patches:
  description: The patches, each with its place in the working directory as C(file).
  type: list
  elements: dict
  returned: with O(state=present)
archives:
  description: The same sources as the module source_build wants them.
  type: list
  elements: dict
  returned: with O(state=present)
"""

import grp
import json
import os
import pwd
import re
import shutil
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.built_prefix import STAMP_FILE, is_ours
from ansible.module_utils.whole_file import make_directory

MODES_FILE = ".modes"


class PrefixError(Exception):
    """The sentence for the operator."""


def stamp_of(prefix: Path) -> str | None:
    """The stamp of a complete prefix, None for any other."""
    try:
        stamp = json.loads((prefix / STAMP_FILE).read_text(encoding="utf-8"))["stamp"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return stamp if isinstance(stamp, str) else None


def link_target(link: Path) -> str:
    """What a symlink says, empty if it is not one."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def set_link(link: Path, target: str) -> None:
    """Point LINK to TARGET by one rename: at no moment is there no link."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def inside(prefix: Path, relative: str) -> Path:
    """The path RELATIVE to PREFIX; refuses one that leaves it."""
    if relative.startswith("/") or ".." in relative.split("/") or not relative:
        raise PrefixError(f"{relative!r} is not a path inside the prefix (relative, without ..)")
    return prefix / relative


def ids_of(owner: str, group: str) -> tuple[int, int]:
    """Numbers of a user and a group on this host."""
    try:
        uid = pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise PrefixError(f"modes: this host has no user {owner!r}; create it first") from None
    try:
        return uid, grp.getgrnam(group).gr_gid
    except KeyError:
        raise PrefixError(f"modes: this host has no group {group!r}; create it first") from None


class Part:
    """One part, such as qmail, and its prefixes. In check mode changes are noted but not made."""

    def __init__(self, root: Path, name: str, check_mode: bool) -> None:
        """Look at what is there; nothing is made yet."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]*", name):
            raise PrefixError(f"name: {name!r} is not a plain name (lower-case letters, digits and ._+-)")
        self.base = root / name
        self.check_mode = check_mode
        self.current = link_target(self.base / "current")
        self.previous = link_target(self.base / "previous")
        self.before: list[str] = []
        self.after: list[str] = []

    @property
    def changed(self) -> bool:
        """Was anything changed, or would it be?"""
        return self.before != self.after

    def note(self, what: str, before: str, after: str) -> None:
        """Remember a difference for changed and for the diff."""
        self.before.append(f"{what} {before}".rstrip())
        self.after.append(f"{what} {after}".rstrip())

    def apply_modes(self, prefix: Path, modes: list[dict[str, str]]) -> None:
        """Owner, group and mode of single files, each looked up on this host."""
        for want in modes:
            path = inside(prefix, want["path"])
            if not re.fullmatch(r"0?[0-7]{3,4}", want["mode"]):
                raise PrefixError(f'modes: {want["mode"]!r} of {want["path"]} is not an octal mode such as "0755"')
            mode = int(want["mode"], 8)
            try:
                uid, gid = ids_of(want["owner"], want["group"])
            except PrefixError:
                if not self.check_mode:
                    raise
                # An earlier task would make that user or group.
                self.note(str(path), "", f"{want['owner']}:{want['group']} {mode:04o}")
                continue
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise PrefixError(f"modes: {path}: {error.strerror}") from None
            try:
                have = os.fstat(fd)
                have_mode = stat.S_IMODE(have.st_mode)
                if (have.st_uid, have.st_gid, have_mode) == (uid, gid, mode):
                    continue
                self.note(
                    str(path),
                    f"{have.st_uid}:{have.st_gid} {have_mode:04o}",
                    f"{uid}:{gid} {mode:04o}",
                )
                if not self.check_mode:
                    os.fchmod(fd, have_mode & 0o700 & mode)  # never setuid to the wrong owner in between
                    os.fchown(fd, uid, gid)
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)

    def note_modes(self, prefix: Path, modes: list[dict[str, str]]) -> None:
        """Have the prefix itself say which modes it needs."""
        text = json.dumps(modes, indent=2, sort_keys=True) + "\n"
        path = prefix / MODES_FILE
        have = path.read_text(encoding="utf-8") if path.is_file() else "[]\n"
        if have == text:
            return
        self.note(str(path), " ".join(have.split()), " ".join(text.split()))
        if not self.check_mode:
            new = path.with_name(f"{MODES_FILE}.new")
            new.write_text(text, encoding="utf-8")
            new.chmod(0o644)
            new.replace(path)

    def switch(self, entry: str) -> None:
        """Make ENTRY the current one, and what was current the previous one."""
        if self.current == entry:
            return
        old, self.current = self.current, entry
        self.note("current", old, entry)
        if not self.check_mode:
            set_link(self.base / "current", entry)
        if old and old != self.previous and (self.base / old).is_dir():
            self.note("previous", self.previous, old)
            self.previous = old
            if not self.check_mode:
                set_link(self.base / "previous", old)

    def make_links(self, links: list[dict[str, str]]) -> None:
        """Symlinks elsewhere that go through current, so a switch never touches them."""
        for want in links:
            link = Path(want["path"])
            target = str(inside(self.base / "current", want["to"]))
            have = link_target(link)
            if have == target:
                continue
            if not have and os.path.lexists(link):
                raise PrefixError(f"links: {link} is there and is not a symlink; move it away, then run again")
            self.note(str(link), have, target)
            if not self.check_mode:
                make_directory(link.parent)
                set_link(link, target)

    def check_links(self, links: list[dict[str, str]]) -> None:
        """Refuse what make_links would refuse, before anything is switched."""
        for want in links:
            inside(self.base / "current", want["to"])
            if os.path.lexists(want["path"]) and not os.path.islink(want["path"]):  # noqa: PTH114 - as given
                raise PrefixError(f"links: {want['path']} is there and is not a symlink; move it away, then run again")

    def prune(self) -> None:
        """Remove every build that is neither current nor previous."""
        if not self.base.is_dir():
            return
        for path in sorted(self.base.iterdir()):
            if path.is_symlink() or not path.is_dir():
                continue
            if not is_ours(path.name):
                continue
            if path.name in (self.current, self.previous):
                continue
            self.note(str(path), "present", "absent")
            if not self.check_mode:
                (path / STAMP_FILE).unlink(missing_ok=True)  # a removal that is cut short leaves no complete prefix
                shutil.rmtree(path)


def present(part: Part, params: dict[str, Any]) -> dict[str, Any]:
    """Switch to the wanted build if it is complete, else say that it is to be built."""
    version, stamp = params["version"], params["stamp"] or ""
    if not re.fullmatch(r"[0-9a-f]{64}", stamp):
        raise PrefixError("stamp is worked out on the controller by the action plugin build_prefix, which did not run")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]*", version or ""):
        raise PrefixError(f"version: {version!r} is not a plain version (letters, digits and ._+~-)")
    entry = f"{version}-{stamp[:8]}"
    prefix = part.base / entry
    result: dict[str, Any] = {"prefix": str(prefix), "to_build": stamp_of(prefix) != stamp}
    if result["to_build"]:
        if part.check_mode:
            part.note("current", part.current, entry)
            result["msg"] = f"{params['name']} {version} would be built and installed in {prefix}"
        return result
    part.check_links(params["links"])
    part.apply_modes(prefix, params["modes"])
    part.note_modes(prefix, params["modes"])
    part.switch(entry)
    part.make_links(params["links"])
    part.prune()
    return result


def previous(part: Part, params: dict[str, Any]) -> dict[str, Any]:
    """Switch back; what was current becomes the previous one, so doing it twice changes nothing in the end."""
    if not part.previous:
        raise PrefixError(f"there is no previous version in {part.base} to switch back to")
    if stamp_of(part.base / part.previous) is None:
        raise PrefixError(f"{part.base / part.previous} is not a complete build; nothing was switched")
    noted = (part.base / name / MODES_FILE for name in (part.previous, part.current))
    modes: list[dict[str, str]] = next((json.loads(path.read_text("utf-8")) for path in noted if path.is_file()), [])
    part.apply_modes(part.base / part.previous, modes)
    part.note_modes(part.base / part.previous, modes)
    part.switch(part.previous)
    return {"prefix": str(part.base / part.current)}


def main() -> None:
    """Run as an Ansible module."""
    owner = {"type": "str", "default": "root"}
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "previous"], "default": "present"},
            "version": {"type": "str"},
            "recipe": {"type": "dict", "default": {}},
            "stamp": {"type": "str"},
            "root": {"type": "path", "default": "/opt/qmail-site"},
            "modes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "owner": owner,
                    "group": owner,
                    "mode": {"type": "str", "required": True},
                },
            },
            "links": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "path", "required": True}, "to": {"type": "str", "required": True}},
            },
        },
        required_if=[("state", "present", ("version",))],
        supports_check_mode=True,
    )
    params = module.params
    try:
        part = Part(Path(params["root"]), params["name"], module.check_mode)
        result = (present if params["state"] == "present" else previous)(part, params)
    except PrefixError as error:
        module.fail_json(msg=f"{params['name']}: {error}")
    except OSError as error:
        module.fail_json(msg=f"{params['name']}: {error}")
    module.exit_json(
        changed=part.changed,
        current=part.current,
        previous=part.previous,
        diff={"before": "".join(f"{x}\n" for x in part.before), "after": "".join(f"{x}\n" for x in part.after)},
        **result,
    )


if __name__ == "__main__":
    main()
