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
  - C(.stamp) holds what was built as well, file by file. Where a prefix has another content than that, RV(to_build) is
    true, and the new build of the same recipe goes into a prefix of its own beside it, C(VERSION-STAMP8.2) and so on.
    Owners and modes that differ are set again; a file that somebody else could have opened to write to is replaced by a
    copy. What is in a prefix without being a part of it is removed.
  - A C(previous) that is not as it was built, or that holds no such record, is removed.
  - Switching back is remembered in the part's file C(.left). While O(recipe) is the one that was left, V(present)
    stays with what was gone back to, mends that, and warns. Another recipe, or switching back again, ends it, and so
    does a change of the programs that were gone back to, which nothing could build anew. What was damaged is not left,
    but made anew.
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
stays:
  description: The sentence about a version that was gone back to and stays; empty if there is none.
  type: str
  returned: with O(state=present)
differs:
  description: What is not as it was built, a clause for each thing.
  type: list
  elements: str
  returned: success
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

import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sealed_tree import (
    CONTENT,
    ENTRY,
    MODES_FILE,
    RIGHTS,
    STAMP_FILE,
    STRANGE,
    Difference,
    Record,
    compared,
    digest_of,
    is_build,
    is_ours,
    noted_modes,
    opened,
    sealed_with,
    spoilt,
    stamp_of,
)
from ansible.module_utils.whole_file import make_directory, write

# So many clauses of what differs stand in a warning.
MOST = 5
# What was left by switching back, in a part's own directory: stamp, entry, and when.
LEFT_FILE = ".left"


class PrefixError(Exception):
    """The sentence for the operator."""


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
        self.differs: list[str] = []

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
            self.set_rights(path, uid, gid, mode, sealed_with(prefix)["files"].get(os.path.normpath(want["path"])))

    def set_rights(self, path: Path, uid: int, gid: int, mode: int, sealed: dict[str, Any] | None = None) -> None:
        """Owner, group and mode of one file or directory. Nobody keeps a descriptor to write to what is there then.

        A file gets them only with the content that it was SEALED with: whoever could write to its directory may have
        put another there since it was compared.
        """
        try:
            fd = opened(path)
        except OSError as error:
            raise PrefixError(f"modes: {path}: {error.strerror}") from None
        try:
            have = os.fstat(fd)
            have_mode = stat.S_IMODE(have.st_mode)
            if (have.st_uid, have.st_gid, have_mode) == (uid, gid, mode):
                return
            self.note(str(path), f"{have.st_uid}:{have.st_gid} {have_mode:04o}", f"{uid}:{gid} {mode:04o}")
            if self.check_mode:
                return
            strange = have.st_uid not in (os.geteuid(), uid) or have_mode & 0o022
            if sealed and "sha256" in sealed:
                if strange:
                    replace_by_copy(path, fd, uid, gid, mode, sealed)
                    return
                if have.st_size != sealed["size"] or digest_of(fd, have.st_size) != sealed["sha256"]:
                    raise PrefixError(f"{path} was changed while it was looked at; nothing was switched")
            os.fchmod(fd, have_mode & 0o700 & mode)  # never setuid to the wrong owner in between
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def own_the_place(self) -> None:
        """Who may write where the builds are can put any other in their place."""
        for path in (self.base.parent, self.base):
            with contextlib.suppress(FileNotFoundError):
                have = path.lstat()
                # Whoever has put it elsewhere has made a link.
                if stat.S_ISDIR(have.st_mode) and (have.st_uid != os.geteuid() or have.st_mode & 0o022):
                    self.set_rights(path, os.geteuid(), os.getegid(), 0o755)

    def mend(self, prefix: Path, modes: list[dict[str, str]]) -> None:
        """Remove what is no part of a prefix, and give the rest the owners and modes that it was built with, or MODES.

        Directories first, the topmost first of all: from then on nobody else exchanges what is in them. So all of it is
        compared once more then.
        """
        record: Record = sealed_with(prefix)["files"]
        found = [each for each in compared(prefix, modes) if each.kind != CONTENT]
        directories = [each for each in found if each.kind == RIGHTS and is_directory(record.get(each.path, {}))]
        for each in directories:
            self.set_as_sealed(prefix, each.path, record)
        self.apply_modes(prefix, modes)
        if directories and not self.check_mode:
            found = compared(prefix, modes)
            if bad := spoilt(found):
                raise PrefixError(f"{prefix} was changed while it was looked at: {bad[0]}; nothing was switched")
        for each in found:
            if each.kind == STRANGE:
                self.note(str(prefix / each.path), "present", "absent")
                if not self.check_mode:
                    remove(prefix / each.path)
            elif each not in directories:
                self.set_as_sealed(prefix, each.path, record)

    def set_as_sealed(self, prefix: Path, path: str, record: Record) -> None:
        """The owner and mode of PATH in a prefix, as its RECORD has them."""
        want = record.get(path, record["."] | {"mode": "0644"})
        self.set_rights(prefix / path, want["owner"], want["group"], int(want["mode"], 8), record.get(path))

    def look_at(self, prefix: Path, modes: list[dict[str, str]]) -> list[Difference]:
        """How PREFIX differs from what was built; remembered for the operator."""
        found: list[Difference] = compared(prefix, modes)
        self.differs += [f"{prefix}: {each}" for each in found]
        return found

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
        prefix = self.base / old
        if old and old != self.previous and prefix.is_dir() and not spoilt(compared(prefix, noted_modes(prefix))):
            self.note("previous", self.previous, old)
            self.previous = old
            if not self.check_mode:
                set_link(self.base / "previous", old)

    def keep_previous(self) -> None:
        """Have the previous build be as it was built, or let it go: nobody is to be switched back to what it became."""
        prefix = self.base / self.previous
        if not self.previous:
            return
        modes = noted_modes(prefix)
        found = self.look_at(prefix, modes) if ENTRY.fullmatch(self.previous) else []
        if not is_build(self.base, self.previous) or spoilt(found):
            self.note("previous", self.previous, "")
            self.previous = ""
            if not self.check_mode:
                (self.base / "previous").unlink()
            return
        self.mend(prefix, modes)

    def left(self) -> dict[str, str]:
        """What was left by switching back, if it was by somebody who may."""
        path = self.base / LEFT_FILE
        with contextlib.suppress(OSError, ValueError):
            have = path.lstat()
            if stat.S_ISREG(have.st_mode) and have.st_uid == os.geteuid() and not have.st_mode & 0o022:
                said = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(said, dict) and all(isinstance(said.get(key), str) for key in ("stamp", "entry", "when")):
                    return said
        return {}

    def remember_left(self, entry: str, stamp: str | None) -> None:
        """Remember that the build ENTRY was left; with no STAMP, that none was."""
        path = self.base / LEFT_FILE
        if self.check_mode:
            return
        if stamp is None:
            path.unlink(missing_ok=True)
            return
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        write(path, (json.dumps({"stamp": stamp, "entry": entry, "when": when}) + "\n").encode(), 0o644)

    def stays(self, stamp: str) -> str:
        """The sentence about what was gone back to, if it is to stay though STAMP is declared; empty if not."""
        left = self.left()
        prefix = self.base / self.current
        if left.get("stamp") != stamp or not self.current or stamp_of(prefix) in (None, stamp):
            return ""
        if spoilt(self.look_at(prefix, noted_modes(prefix))):
            return ""
        return (
            f"{self.base.name}: {self.current} is in use since somebody went back to it on {left['when']}, and stays, "
            f"though {left['entry']} is declared. Declare another version, or go forth again by `ansible-playbook "
            f"-i INVENTORY playbooks/rollback.yml -e part={self.base.name}`"
        )

    def place_of(self, entry: str, stamp: str, modes: list[dict[str, str]]) -> tuple[str, bool]:
        """Where the build with STAMP is, or where it is to be made anew, and which of both.

        One that runs stays where it is until another is complete, however spoilt it may be.
        """
        number = 1
        names = [path.name for path in self.base.glob(f"{entry}*") if path.name == entry or is_later(path.name, entry)]
        for name in sorted(names, key=lambda name: (name != self.current, name)):
            prefix = self.base / name
            if prefix.is_symlink():
                continue
            if stamp_of(prefix) != stamp:
                if name == self.current:
                    self.look_at(prefix, modes)
                continue
            if not spoilt(self.look_at(prefix, modes)):
                return name, False
        while True:
            name = entry if number == 1 else f"{entry}.{number}"
            if not os.path.lexists(self.base / name / STAMP_FILE) and name not in (self.current, self.previous):
                return name, True
            number += 1

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


def is_later(name: str, entry: str) -> bool:
    """Is NAME that of another build of the recipe that ENTRY is named after?"""
    return re.fullmatch(rf"{re.escape(entry)}\.[0-9]+", name) is not None


def remove(path: Path) -> None:
    """Remove PATH, of whatever kind; no symlink is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def is_directory(sealed: dict[str, Any]) -> bool:
    """Is what was SEALED a directory?"""
    return "mode" in sealed and "sha256" not in sealed


def replace_by_copy(path: Path, fd: int, uid: int, gid: int, mode: int, sealed: dict[str, Any]) -> None:
    """Put a copy of an open file into its own place: it is nobody's but its new owner's from the beginning.

    What was copied is compared, not what was there before: its owner may write to it meanwhile.
    """
    with os.fdopen(os.dup(fd), "rb") as source:
        have, data = os.fstat(fd), source.read(sealed["size"] + 1)
    if hashlib.sha256(data).hexdigest() != sealed["sha256"]:
        raise PrefixError(f"{path} was changed while it was looked at; nothing was switched")
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    out = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(out, "wb") as target:
        target.write(data)
        target.flush()
        os.utime(target.fileno(), ns=(have.st_atime_ns, have.st_mtime_ns))  # a compiled module names its source's
        os.fchown(target.fileno(), uid, gid)
        os.fchmod(target.fileno(), mode)
        os.fsync(target.fileno())
    new.replace(path)


def present(part: Part, params: dict[str, Any]) -> dict[str, Any]:
    """Switch to the wanted build if it is complete, else say that it is to be built."""
    version, stamp = params["version"], params["stamp"] or ""
    if not re.fullmatch(r"[0-9a-f]{64}", stamp):
        raise PrefixError("stamp is worked out on the controller by the action plugin build_prefix, which did not run")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]*", version or ""):
        raise PrefixError(f"version: {version!r} is not a plain version (letters, digits and ._+~-)")
    part.own_the_place()
    if stays := part.stays(stamp):
        prefix = part.base / part.current
        part.check_links(params["links"])
        part.mend(prefix, noted_modes(prefix))
        part.make_links(params["links"])
        part.keep_previous()
        part.prune()
        return {"prefix": str(prefix), "to_build": False, "stays": stays}
    entry, to_build = part.place_of(f"{version}-{stamp[:8]}", stamp, params["modes"])
    prefix = part.base / entry
    result: dict[str, Any] = {"prefix": str(prefix), "to_build": to_build, "stays": ""}
    if result["to_build"]:
        if part.check_mode:
            part.note("current", part.current, entry)
            part.keep_previous()
            result["msg"] = f"{params['name']} {version} would be built and installed in {prefix}"
        return result
    part.check_links(params["links"])
    part.mend(prefix, params["modes"])
    part.note_modes(prefix, params["modes"])
    part.switch(entry)
    part.remember_left("", None)
    part.make_links(params["links"])
    part.keep_previous()
    part.prune()
    return result


def previous(part: Part, params: dict[str, Any]) -> dict[str, Any]:
    """Switch back; what was current becomes the previous one, so doing it twice changes nothing in the end."""
    if not part.previous:
        raise PrefixError(f"there is no previous version in {part.base} to switch back to")
    part.own_the_place()
    prefix = part.base / part.previous
    if stamp_of(prefix) is None:
        raise PrefixError(f"{prefix} is not a complete build; nothing was switched")
    noted = (part.base / name for name in (part.previous, part.current))
    modes: list[dict[str, str]] = next((noted_modes(path) for path in noted if (path / MODES_FILE).is_file()), [])
    found = part.look_at(prefix, modes)
    if bad := spoilt(found):
        raise PrefixError(
            f"{prefix} is not what was built ({'; '.join(map(str, bad[:MOST]))}); nothing was switched. Declare the "
            "version that you want: site.yml builds it"
        )
    part.mend(prefix, modes)
    part.note_modes(part.base / part.previous, modes)
    # Back to what had been left is forth again, and leaves nothing; a damaged one is made anew rather than left.
    leaves = part.base / part.current
    stays = part.left().get("stamp") != stamp_of(prefix) and not spoilt(compared(leaves, noted_modes(leaves)))
    part.remember_left(part.current, stamp_of(leaves) if stays else None)
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
    if result.get("stays"):
        module.warn(result["stays"])
    if part.differs:
        more = f"; and {len(part.differs) - MOST} more" if len(part.differs) > MOST else ""
        module.warn(f"{params['name']}: not as it was built: {'; '.join(part.differs[:MOST])}{more}")
    module.exit_json(
        changed=part.changed,
        differs=part.differs,
        current=part.current,
        previous=part.previous,
        diff={"before": "".join(f"{x}\n" for x in part.before), "after": "".join(f"{x}\n" for x in part.after)},
        **result,
    )


if __name__ == "__main__":
    main()
