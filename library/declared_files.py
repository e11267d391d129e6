#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: make the files of a directory what is declared, and tell what in it nobody declared."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: declared_files
short_description: Make the files of a directory what is declared
description:
  - Compares owner, mode and content of each declared file, and writes what differs by one rename. No link is followed,
    whoever may write to the directory.
  - A file that this module has written and that is no longer declared is removed. Which ones it has written it knows
    from O(mark) or O(record). Any other file of O(pattern) stays, and a warning names it.
  - What is secret goes through O(secrets) and appears in no output, diff or log.
options:
  directory:
    description: The directory. It must exist, except in check mode.
    type: path
    required: true
  declared:
    description: O(files), O(secrets) and O(absent) in one, as the filter C(control_files) gives them.
    type: dict
  files:
    description: Content of each file by its name.
    type: dict
    default: {}
  secrets:
    description: The same for files that not everybody may read.
    type: dict
    default: {}
  absent:
    description: Names of files that are removed, whoever wrote them, and what is compiled from them.
    type: list
    elements: str
    default: []
  told:
    description: >-
      File to the digest of a change (C(host_paths.turn)) that has been told in words already. Where just that becomes
      otherwise of it, and nothing else, the diff says nothing of the file.
    type: dict
    default: {}
  compiled:
    description: >-
      File to the constant database that another program compiles from it; its keys are the file's lines in small
      letters, its values are empty. RV(stale) tells where that has to be done, because the database says something else
      than the file, whatever its time is. It goes with its source.
    type: dict
    default: {}
  others:
    description: Names of files that somebody else takes care of. They are neither removed nor reported.
    type: list
    elements: str
    default: []
  mark:
    description: A text by which a file that this module wrote is known. It must be in each of O(files).
    type: str
  record:
    description: The file that remembers what this module wrote. One of O(mark) and O(record) is needed.
    type: path
  pattern:
    description: Glob of the files that are looked at. Names that begin with a dot match only a pattern that does, too.
    type: str
    default: "*"
  owner:
    description: Owner of the files.
    type: str
    default: root
  group:
    description: Group of O(files).
    type: str
    default: root
  mode:
    description: Mode of O(files) in octal.
    type: str
    default: "0644"
  secret_group:
    description: Group of O(secrets).
    type: str
    default: root
  secret_mode:
    description: Mode of O(secrets) in octal.
    type: str
    default: "0600"
  variable:
    description: The variable in which files are declared, for the warning.
    type: str
    required: true
attributes:
  check_mode:
    description: Compares everything and says what would change.
    support: full
  diff_mode:
    description: Shows the lines of O(files), never one of O(secrets).
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Write the control files
  declared_files:
    directory: /var/qmail/control
    files: {me: "mail.example.org\n"}
    secrets: {smtproutes_auth: "{{ relay }} {{ user }} {{ password }}\n"}
    secret_group: qmail
    secret_mode: "0640"
    record: /var/lib/qmail-site/control-files
    variable: qmail_control
"""

RETURN = r"""
written:
  description: Names of the files that were written, or got another owner or mode.
  type: list
  elements: str
  returned: always
removed:
  description: Names of the files that were removed.
  type: list
  elements: str
  returned: always
undeclared:
  description: Names of the files that nobody declared and that stay.
  type: list
  elements: str
  returned: always
stale:
  description: Names of the files that have to be compiled.
  type: list
  elements: str
  returned: always
"""

import fnmatch
import os
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.constant_database import listed, lists
from ansible.module_utils.host_paths import (
    Found,
    PathError,
    Wanted,
    account,
    difference,
    differs,
    lines_of,
    look,
    octal,
    printable,
    turn,
)
from ansible.module_utils.whole_file import beside, make_directory, sync_directory, write


class Directory:
    """The declared files of one directory."""

    def __init__(self, params: dict[str, Any], check_mode: bool) -> None:
        """Refuse what can't be done at all."""
        self.params, self.check_mode = params, check_mode
        self.path = Path(params["directory"])
        self.record = Path(params["record"]) if params["record"] else None
        self.diff: list[dict[str, str]] = []
        if not check_mode and (self.path.is_symlink() or not self.path.is_dir()):
            raise PathError(f"{self.path} is not a directory")
        self.wanted = self._wanted(params["files"], params["group"], params["mode"], secret=False)
        self.wanted |= self._wanted(params["secrets"], params["secret_group"], params["secret_mode"], secret=True)
        mark = params["mark"]
        for name, want in self.wanted.items():
            if not re.fullmatch(r"[^/\0\n]{1,255}", name) or name in (".", ".."):
                raise PathError(f"{name!r} is not the name of a file")
            if mark and mark.encode() not in want.content:
                raise PathError(f"{name}: lacks the mark by which it would be known again")

    def _wanted(self, files: dict[str, str], group: str, mode: str, *, secret: bool) -> dict[str, Wanted]:
        number = octal(mode)
        owner = account(self.params["owner"], group, self.check_mode) if files else None
        return {name: Wanted(str(text).encode(), owner, number, secret) for name, text in files.items()}

    def compiled(self) -> dict[str, str]:
        """Those compiled files whose source is declared."""
        return {source: made for source, made in self.params["compiled"].items() if source in self.wanted}

    def listed(self) -> dict[str, Found]:
        """What of the pattern is there."""
        pattern = self.params["pattern"]
        names = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        names = [name for name in names if fnmatch.fnmatchcase(name, pattern) and (name[0] != "." or pattern[0] == ".")]
        return {name: have for name in names if (have := look(self.path / name))}

    def remembered(self) -> set[str]:
        """What the record says that this module wrote."""
        if self.record is None or not self.record.exists():
            return set()
        return {line for line in self.record.read_text().splitlines() if line and not line.startswith("#")}

    def remember(self, names: set[str]) -> None:
        """Write the record: before a file is written and after one is removed, so that none is ever forgotten."""
        if self.record is None or self.check_mode or (names == self.remembered() and self.record.exists()):
            return
        make_directory(self.record.parent)
        head = f"# What qmail-site wrote to {self.path}. A file that is listed and no longer declared is removed.\n"
        write(self.record, (head + "".join(f"{name}\n" for name in sorted(names))).encode(), 0o644)

    def is_ours(self, name: str, have: Found, remembered: set[str]) -> bool:
        """Did this module write what is there?"""
        if mark := self.params["mark"]:
            return have.content is not None and mark.encode() in have.content
        return name in remembered

    def put(self, name: str, want: Wanted, have: Found | None) -> None:
        """Have one file as it is wanted."""
        path = self.path / name
        if have and have.content is None and path.is_dir() and not path.is_symlink():
            raise PathError(f"{path} is a directory; move it away")
        if not self.check_mode:
            with beside(path, want.content, want.mode, want.owner):
                pass
        if not self.is_told(name, have, want):
            self.diff.append(difference(str(path), have, want, want.secret))

    def is_told(self, name: str, have: Found | None, want: Wanted | None) -> bool:
        """Has the change of a file been told already, and is nothing else otherwise?"""
        change = self.params["told"].get(name)
        if change is None:
            return False
        if have and (have.content is None or (want and (have.owner, have.mode) != (want.owner, want.mode))):
            return False
        return bool(change == turn(lines_of(have and have.content), lines_of(want and want.content)))

    def drop(self, name: str, have: Found) -> None:
        """Remove one file."""
        path = self.path / name
        if have.content is None and path.is_dir() and not path.is_symlink():
            raise PathError(f"{path} is a directory; remove it yourself")
        if not self.check_mode:
            path.unlink(missing_ok=True)
        if not self.is_told(name, have, None):
            self.diff.append(difference(str(path), have, None, secret=False))

    def apply(self) -> dict[str, Any]:
        """Bring everything about; give the module's result."""
        there, remembered = self.listed(), self.remembered()
        compiled = self.compiled()
        keep = set(self.wanted) | set(compiled.values())
        absent = {*self.params["absent"], *(self.params["compiled"].get(name) for name in self.params["absent"])}
        gone = [
            name
            for name, have in there.items()
            if name not in keep
            and name not in self.params["others"]
            and (name in absent or self.is_ours(name, have, remembered))
        ]
        self.remember(remembered | keep)
        written = [
            name for name, want in self.wanted.items() if differs(want, there.get(name) or look(self.path / name))
        ]
        told = {name for name in written if self.is_told(name, there.get(name), self.wanted[name])}
        told -= {name for name in told & compiled.keys() if self.is_stale(compiled[name], there.get(name))}
        for name in written:
            self.put(name, self.wanted[name], look(self.path / name))
        for name in gone:
            self.drop(name, there[name])
        if (written or gone) and not self.check_mode:
            sync_directory(self.path)
        self.remember(keep)
        stale = [
            source for source, made in compiled.items() if source in written or self.is_stale(made, self.wanted[source])
        ]
        for source in (source for source in stale if source not in told):
            made = str(self.path / compiled[source])
            after = f"compiled anew from {source}\n"
            self.diff.append({"before_header": made, "after_header": made, "before": "", "after": after})
        return {
            "changed": bool(written or gone or stale),
            "written": written,
            "removed": [printable(name) for name in gone],
            "undeclared": [printable(name) for name in there if name not in [*keep, *gone, *self.params["others"]]],
            "stale": stale,
            "diff": self.diff,
        }

    def is_stale(self, made: str, source: Wanted | Found | None) -> bool:
        """Is what is compiled not what its source says, or not root's own?"""
        have = look(self.path / made)
        if source is None or have is None:
            return source is not have
        is_own = have.owner[0] == os.geteuid() and not have.mode & 0o022
        return not is_own or not lists(have.content or b"", listed(source.content or b""))


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "declared": {"type": "dict"},  # which the action plugin takes apart
            "files": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "absent": {"type": "list", "elements": "str", "default": []},
            "told": {"type": "dict", "default": {}},
            "compiled": {"type": "dict", "default": {}},
            "others": {"type": "list", "elements": "str", "default": []},
            "mark": {"type": "str"},
            "record": {"type": "path"},
            "pattern": {"type": "str", "default": "*"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0644"},
            "secret_group": {"type": "str", "default": "root", "no_log": False},
            "secret_mode": {"type": "str", "default": "0600", "no_log": False},
            "variable": {"type": "str", "required": True},
        },
        required_one_of=[("mark", "record")],
        mutually_exclusive=[("mark", "record")],
        supports_check_mode=True,
    )
    try:
        result = Directory(module.params, module.check_mode).apply()
    except PathError as error:
        module.fail_json(msg=f"declared_files: {error}")
    except OSError as error:
        module.fail_json(msg=f"declared_files: {error.filename or module.params['directory']}: {error.strerror}")
    if result["undeclared"]:
        module.warn(
            f"{module.params['directory']}: {', '.join(result['undeclared'])}: not declared, and not written by this "
            f"site's roles, so it stays as it is; declare it in {module.params['variable']}, or remove it"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
