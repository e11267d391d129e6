#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: make the files, directories and links of a part of the host what is declared, in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_files
short_description: Make files, directories and links what is declared
description:
  - Compares owner, mode and content of all that is declared, and mends what differs. Directories come first, then the
    files in their order, then the links, then what is to be absent.
  - A file is written beside its place and takes it by one rename, so nobody sees half of one, and who has the former
    one open keeps that. No link in a file's place is followed.
  - Nothing is written where somebody else than root could exchange it, as that somebody could lead root astray. Such a
    directory is a fault, and so is one on the way to it. Where it is declared itself, it is mended first.
  - Every fault of what is declared is told at once, before anything is touched.
  - Templates are rendered and sources are read on the controller. In O(directories), O(files) and O(links) a list
    counts as the entries in it.
options:
  directories:
    description: Directories. What is missing above one is made, root's and with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path.
        type: path
        required: true
      owner:
        description: Name of its owner.
        type: str
        default: root
      group:
        description: Name of its group.
        type: str
        default: root
      mode:
        description: Its mode in octal.
        type: str
        default: "0755"
      others:
        description: >-
          What becomes of things in it that this call does not declare. V(report) tells them in a warning, V(remove)
          removes them, unless they are directories, which are told, V(purge) removes these too. Where things are
          removed, so is what is of another kind than what is declared in its place.
        type: str
        choices: [keep, report, remove, purge]
        default: keep
      besides:
        description: Globs of names in it that somebody else takes care of.
        type: list
        elements: str
        default: []
      copies:
        description: >-
          Globs of files on the host of which it holds a copy each, under the same name and with mode 0644, beside what
          is declared there.
        type: list
        elements: path
        default: []
      adopt:
        description: >-
          Globs of files in it that become root's where they belong to somebody else. Each is a new file with the same
          content, which its owner may write to and everybody may read, as who has the old one open can go on with that.
        type: list
        elements: str
        default: []
      each:
        description: >-
          Words for each of which there is one such entry, with the word in the place of C(NAME) in its path.
        type: list
        elements: str
      wanted:
        description: If not, it is to be absent, with all that is in it.
        type: bool
        default: true
      notify:
        description: Handlers to be notified when it changes.
        type: list
        elements: str
        default: []
  files:
    description:
      - Files. What a file holds is one of O(files[].content), O(files[].template) and O(files[].source).
      - Without any of them it is the role's template of the same path with C(.j2) behind it, or else the role's file
        of the same path.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path.
        type: path
        required: true
      content:
        description: What it holds.
        type: str
      template:
        description: The role's template that is rendered for it.
        type: str
      vars:
        description: Variables for this rendering alone.
        type: dict
        default: {}
      source:
        description: The role's file that is copied.
        type: str
      keeps:
        description: Whether what it holds is its owner's own business. Where it is missing, it is made empty.
        type: bool
        default: false
      owner:
        description: Name of its owner.
        type: str
        default: root
      group:
        description: Name of its group.
        type: str
        default: root
      mode:
        description: Its mode in octal.
        type: str
        default: "0644"
      validate:
        description: >-
          A command that judges the new file before it takes the old one's place; C(%s) stands for it. In check mode it
          is asked where it can be, that is when it is there and nothing before the file would change.
        type: str
      secret:
        description: >-
          Whether what it holds may be in no output. What not everybody may read, or has a private key in it, is never
          shown by O(ignore:--diff) in any case.
        type: bool
        default: false
      each:
        description: >-
          Words for each of which there is one such entry, with the word in the place of C(NAME) in its path
          and its other words;
          in a template it is the variable C(NAME).
        type: list
        elements: str
      wanted:
        description: If not, it is to be absent.
        type: bool
        default: true
      notify:
        description: Handlers to be notified when it changes.
        type: list
        elements: str
        default: []
  links:
    description: Symlinks. Anything there but a symlink is a fault, unless its directory is ours alone.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path.
        type: path
        required: true
      to:
        description: Where it leads.
        type: str
        required: true
      each:
        description: >-
          Words for each of which there is one such entry, with the word in the place of C(NAME) in its path.
        type: list
        elements: str
      wanted:
        description: If not, it is to be absent.
        type: bool
        default: true
      notify:
        description: Handlers to be notified when it changes.
        type: list
        elements: str
        default: []
  absent:
    description: Paths where nothing is to be. A directory goes with all that is in it; a link alone.
    type: list
    elements: path
    default: []
  secrets:
    description: What secret files hold, by path. Comes from O(files), not to be given.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Compares everything and says what would change.
    support: full
  diff_mode:
    description: Shows what changes, never what is secret.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have the files of the services
  host_files:
    directories:
      - {path: /etc/tcp}
      - {path: /var/log/qmail, owner: qmaill, group: adm, mode: "2750"}
    files:
      - {path: /etc/init.d/qmail, mode: "0755"}
      - {path: /etc/qmail-site/services/NAME, each: [smtp, pop3s]}
      - {path: /etc/default/qmail, validate: /bin/sh -n %s}
      - {path: /etc/systemd/system/qmail.service, wanted: "{{ on_systemd }}", notify: [Reread the units]}
    links:
      - {path: /usr/local/sbin/qmail, to: /etc/init.d/qmail}
    absent: [/etc/tcp/old.rules]
"""

RETURN = r"""
written:
  description: Paths of what was made, or changed in content, owner or mode.
  type: list
  elements: str
  returned: success
removed:
  description: Paths of what was removed.
  type: list
  elements: str
  returned: success
undeclared:
  description: Paths of what nobody declared, and that stays.
  type: list
  elements: str
  returned: success
digests:
  description: SHA-256 of what each declared or copied file holds, or would hold, by its path. Secrets have none.
  type: dict
  returned: success
"""

import contextlib
import fnmatch
import glob
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_paths import (
    DIRECTORY,
    PathError,
    Wanted,
    Way,
    account,
    difference,
    differs,
    head,
    look,
    octal,
    printable,
)
from ansible.module_utils.whole_file import beside, make_directory, sync_directory

ROOT = {"owner": "root", "group": "root"}
KINDS = ("directories", "files", "links")
SAID = 2000  # characters of what a validation says


class Host:
    """All that one call declares, and what became of it."""

    def __init__(self, module: AnsibleModule) -> None:
        """Nothing is looked at yet."""
        self.module, self.check_mode = module, module.check_mode
        self.directories, self.files, self.links = (module.params[kind] for kind in KINDS)
        self.absent: list[str] = [
            *module.params["absent"],
            *(entry["path"] for kind in KINDS for entry in module.params[kind] if not entry["wanted"]),
        ]
        self.directories, self.files, self.links = (
            [entry for entry in entries if entry["wanted"]] for entries in (self.directories, self.files, self.links)
        )
        self.way = Way()
        self.copied: list[str] = []
        self.digests: dict[str, str] = {}
        self.written: list[str] = []
        self.removed: list[str] = []
        self.undeclared: list[str] = []
        self.diff: list[dict[str, str]] = []

    def declared(self) -> list[str]:
        """The paths of all that is to be there."""
        return [entry["path"] for entries in (self.directories, self.files, self.links) for entry in entries]

    def faults(self) -> Iterator[str]:
        """What of the declaration can't be done, a sentence each."""
        paths = self.declared() + self.absent
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield f"{path}: is declared twice"
        for path in paths:
            if not path.startswith("/") or os.path.normpath(path) != path or path == "/":
                yield f"{path!r}: is not a whole path of something below /, such as /etc/hosts"
        for entry in self.files:
            if entry["validate"] and "%s" not in entry["validate"]:
                yield f"{entry['path']}: validate: {entry['validate']!r} has no %s for the file that it is to judge"
        for entry in self.directories + self.files:
            try:
                octal(entry["mode"])
                account(entry["owner"], entry["group"], self.check_mode)
            except PathError as error:
                yield f"{entry['path']}: {error}"
        for path, find in ((path, find) for find in (self.in_the_way, self.astray) for path in paths):
            if said := find(path):
                yield said

    def in_the_way(self, path: str) -> str:
        """What is at PATH, if it is of another kind than what is declared."""
        if self.is_ours(path):
            return ""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mode = os.lstat(path).st_mode
            if path in (entry["path"] for entry in self.files) and stat.S_ISDIR(mode):
                return f"{path}: is a directory where a file is to be; move it away"
            if path in (entry["path"] for entry in self.links) and not stat.S_ISLNK(mode):
                return f"{path}: is there and no link; move it away"
            if path in (entry["path"] for entry in self.directories) and not Path(path).is_dir():
                return f"{path}: is there and no directory; move it away"
        return ""

    def clear(self, path: str, place: Path | None, kind: Callable[[int], bool]) -> None:
        """Where all that nobody declared is removed, so is what is of another kind at a place."""
        if place and self.is_ours(path) and os.path.lexists(place) and not kind(place.lstat().st_mode):
            self.drop(path)

    def is_ours(self, path: str) -> bool:
        """Is all that is beside PATH, and nobody declared, removed?"""
        own = {entry["path"] for entry in self.directories if entry["others"] in ("remove", "purge")}
        return os.path.dirname(path) in own  # noqa: PTH120

    def astray(self, path: str) -> str:
        """Why root would not write PATH, apart from what is mended first."""
        mended = {entry["path"] for entry in self.directories}
        if os.path.dirname(path) in mended:  # noqa: PTH120
            return ""
        try:
            self.behind(path) if path in mended else self.place(path)
        except PathError as error:
            return f"{path}: {error}"
        return ""

    def place(self, path: str) -> Path | None:
        """Where PATH really is, with no link above it, none if nothing is there to hold it."""
        place = Path(path)
        try:
            parent: Path = self.way.directory(str(place.parent))
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise PathError(f"{place.parent} is not a directory; move it away") from None
        return parent / place.name

    def behind(self, path: str) -> Path | None:
        """Where the directory PATH really is: a link of root's own leads to it as well as to what is in it."""
        place = self.place(path)
        if place is None or not place.is_symlink() or self.is_ours(path):
            return place
        if (uid := place.lstat().st_uid) not in (0, os.geteuid()):
            raise PathError(f"is a link that uid {uid} has made; remove it")
        return self.place(str(place.resolve()))

    def room(self, path: str) -> Path | None:
        """Where PATH really is, with what is missing above it; None in check mode where it would have to be made."""
        place = self.place(path)
        if place is None and not self.check_mode:
            make_directory(Path(path).parent)
            place = self.place(path)
        return place

    def apply(self) -> None:
        """Bring everything about."""
        for entry in self.directories:
            self.have_directory(entry)
            self.adopt(entry)
        for entry, content in self.copies():
            self.have_file(entry, content)
        for entry in self.files:
            self.have_file(entry, self.content(entry))
        for entry in self.links:
            self.have_link(entry)
        for path in self.absent:
            self.drop(path)
        for entry in self.directories:
            self.look_through(entry)

    def note(self, path: str, before: str, after: str) -> None:
        """Remember a change of a directory or a link."""
        self.written.append(path)
        self.diff.append({"before_header": path, "after_header": path, "before": before, "after": after})

    def have_directory(self, entry: dict[str, Any]) -> None:
        """One directory, with its owner and mode."""
        path, mode = entry["path"], octal(entry["mode"])
        owner = account(entry["owner"], entry["group"], self.check_mode)
        place = self.room(path) and self.behind(path)
        self.clear(path, place, stat.S_ISDIR)
        have = None
        if place and path not in self.removed:
            with contextlib.suppress(FileNotFoundError):
                have = place.lstat()
        before = head(stat.S_IMODE(have.st_mode), (have.st_uid, have.st_gid)) if have else ""
        after = head(mode, owner)
        if before == after:
            return
        self.note(path, before, after)
        if self.check_mode and have and owner and owner[0] in (0, os.geteuid()) and not mode & 0o022:
            self.way.passes(have)
        if self.check_mode or place is None or owner is None:
            return
        if have is None:
            place.mkdir(mode=0o700)
        own(place, owner, mode, DIRECTORY)
        sync_directory(place.parent)

    def adopt(self, entry: dict[str, Any]) -> None:
        """Have files of somebody else's be root's."""
        for name in sorted(os.listdir(entry["path"])) if entry["adopt"] and Path(entry["path"]).is_dir() else []:  # noqa: PTH208
            path = f"{entry['path']}/{name}"
            have = look(Path(path)) if any(fnmatch.fnmatchcase(name, pattern) for pattern in entry["adopt"]) else None
            if have is None or have.content is None or have.owner[0] == os.geteuid():
                continue
            want = Wanted(
                have.content, (os.geteuid(), os.getegid()), 0o744 if have.mode & 0o100 else 0o644, secret=False
            )
            if not self.check_mode and (place := self.place(path)):
                with beside(place, want.content, want.mode, want.owner):
                    pass
            self.written.append(printable(path))
            self.diff.append(difference(path, have, want, secret=False))

    def content(self, entry: dict[str, Any]) -> bytes:
        """What a file is to hold."""
        text = self.module.params["secrets"].get(entry["path"]) if entry["secret"] else entry["content"]
        return str(text or "").encode(errors="surrogateescape")

    def copies(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Files like those that are declared, for what is copied on the host itself, and what they hold."""
        for folder in self.directories:
            for source in sorted(source for pattern in folder["copies"] for source in glob.glob(pattern)):  # noqa: PTH207
                have = look(Path(source))
                path = f"{folder['path']}/{Path(source).name}"
                if have is None or have.content is None or path in self.declared():
                    continue
                self.copied.append(path)
                yield (
                    {"path": path, "mode": "0644", "validate": None, "secret": False, "keeps": False, **ROOT},
                    have.content,
                )

    def have_file(self, entry: dict[str, Any], content: bytes) -> None:
        """One file, judged before it takes its place."""
        path = entry["path"]
        want = Wanted(
            content,
            account(entry["owner"], entry["group"], self.check_mode),
            octal(entry["mode"]),
            entry["secret"],
        )
        if not entry["secret"]:
            self.digests[path] = hashlib.sha256(content).hexdigest()
        place = self.room(path)
        self.clear(path, place, lambda mode: stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and not entry["keeps"]))
        have = look(place) if place and path not in self.removed else None
        if entry["keeps"] and have and have.content is not None:
            want = replace(want, content=have.content)
        if not differs(want, have):
            return
        if entry["keeps"] and have and place and want.owner and not self.check_mode:
            own(place, want.owner, want.mode, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        elif not self.check_mode and place is not None:
            with beside(place, want.content, want.mode, want.owner):
                self.validate(entry, place.with_name(f".{place.name}.new"))
        elif not self.written:
            self.validate_in_check_mode(entry, want)
        self.written.append(path)
        self.diff.append(difference(path, have, want, want.secret))

    def validate(self, entry: dict[str, Any], file: Path) -> None:
        """Have a new file judged."""
        if not entry["validate"]:
            return
        words = [word.replace("%s", str(file)) for word in shlex.split(entry["validate"])]
        code, out, err = self.module.run_command(words, cwd="/")
        if code != 0:
            said = printable(f"{err.strip() or out.strip()}".replace("\n", "; "))[:SAID]
            said = "what it says may quote a secret" if entry["secret"] else said or "it says nothing"
            raise PathError(f"{entry['path']}: stays as it is, as `{entry['validate']}` ended with {code}: {said}")

    def validate_in_check_mode(self, entry: dict[str, Any], want: Wanted) -> None:
        """Have judged what would be written, if what judges it is there."""
        program = shlex.split(entry["validate"] or "")[:1]
        if not program or not os.access(program[0], os.X_OK):
            return
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as folder:
            file = Path(folder) / Path(entry["path"]).name
            with beside(file, want.content, want.mode):
                pass
            self.validate(entry, file)

    def have_link(self, entry: dict[str, Any]) -> None:
        """One link."""
        place = self.room(entry["path"])
        have = None
        if place:
            self.clear(entry["path"], place, stat.S_ISLNK)
            with contextlib.suppress(OSError):
                have = str(place.readlink())
        if have == entry["to"]:
            return
        if not self.check_mode and place:
            new = place.with_name(f".{place.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(entry["to"])
            new.replace(place)
            sync_directory(place.parent)
        self.note(entry["path"], f"{have}\n" if have else "", f"{entry['to']}\n")

    def drop(self, path: str) -> None:
        """Have nothing at a path."""
        place = self.place(path)
        if place is None or not os.path.lexists(place):
            return
        have = look(place)
        if not self.check_mode:
            # By descriptors, so that no link in it leads anywhere.
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                # Who has the file open, or has given it another name, could go on with these bits.
                if have and have.content is not None and have.mode & (stat.S_ISUID | stat.S_ISGID):
                    place.chmod(have.mode & 0o777)
                place.unlink()
            sync_directory(place.parent)
        self.removed.append(printable(path))
        self.diff.append(difference(path, have, None, secret=path in self.module.params["secrets"]))

    def look_through(self, entry: dict[str, Any]) -> None:
        """See what is in a directory that nobody declared."""
        if entry["others"] == "keep" or not Path(entry["path"]).is_dir():
            return
        known = {
            Path(path).relative_to(entry["path"]).parts[0]
            for path in self.declared() + self.copied
            if Path(entry["path"]) in Path(path).parents
        }
        for name in sorted(os.listdir(entry["path"])):  # noqa: PTH208 - names are what is compared
            path = f"{entry['path']}/{name}"
            if name in known or any(fnmatch.fnmatchcase(name, pattern) for pattern in entry["besides"]):
                continue
            if path in self.removed:  # check mode
                continue
            is_directory = Path(path).is_dir() and not Path(path).is_symlink()
            if entry["others"] == "purge" or (entry["others"] == "remove" and not is_directory):
                self.drop(path)
            else:
                self.undeclared.append(printable(path))


def own(path: Path, owner: tuple[int, int], mode: int, flags: int) -> None:
    """Give what is at PATH its owner and mode, by a descriptor."""
    fd = os.open(path, flags)
    try:
        # Whoever was its owner loses it before others may enter, and a new owner takes set-id bits away.
        os.fchown(fd, *owner)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def main() -> None:
    """Run as an Ansible module."""
    path = {"type": "path", "required": True}
    each = {"type": "list", "elements": "str"}
    wanted = {"type": "bool", "default": True}
    notify = {"type": "list", "elements": "str", "default": []}
    name = {"type": "str", "default": "root"}
    directory = {
        "path": path,
        "owner": name,
        "group": name,
        "mode": {"type": "str", "default": "0755"},
        "others": {"type": "str", "choices": ["keep", "report", "remove", "purge"], "default": "keep"},
        "besides": {"type": "list", "elements": "str", "default": []},
        "copies": {"type": "list", "elements": "path", "default": []},
        "adopt": {"type": "list", "elements": "str", "default": []},
        "each": each,
        "wanted": wanted,
        "notify": notify,
    }
    file = {
        "path": path,
        "content": {"type": "str"},
        "template": {"type": "str"},
        "vars": {"type": "dict", "default": {}},
        "source": {"type": "str"},
        "keeps": {"type": "bool", "default": False},
        "owner": name,
        "group": name,
        "mode": {"type": "str", "default": "0644"},
        "validate": {"type": "str"},
        "secret": {"type": "bool", "default": False, "no_log": False},
        "each": each,
        "wanted": wanted,
        "notify": notify,
    }
    link = {"path": path, "to": {"type": "str", "required": True}, "each": each, "wanted": wanted, "notify": notify}
    many = {"type": "list", "elements": "dict", "default": []}
    module = AnsibleModule(
        argument_spec={
            "directories": many | {"options": directory},
            "files": many | {"options": file},
            "links": many | {"options": link},
            "absent": {"type": "list", "elements": "path", "default": []},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    host = Host(module)
    try:
        if faults := list(host.faults()):
            raise PathError("; ".join(faults))
        host.apply()
    except PathError as error:
        module.fail_json(msg=f"host_files: {error}", written=host.written, removed=host.removed)
    except OSError as error:
        module.fail_json(
            msg=f"host_files: {error.filename}: {error.strerror}", written=host.written, removed=host.removed
        )
    if host.undeclared:
        module.warn(
            f"{', '.join(host.undeclared)}: not declared, and not written by this site's roles, so it stays as it is; "
            "remove it if nobody needs it"
        )
    module.exit_json(
        changed=bool(host.written or host.removed),
        written=host.written,
        removed=host.removed,
        undeclared=host.undeclared,
        digests=host.digests,
        diff=host.diff,
    )


if __name__ == "__main__":
    main()
