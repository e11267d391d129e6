#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: have each user's Maildir whole, and the dot-qmail files that lead virtual addresses to it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mailboxes
short_description: Have Maildirs whole
description:
  - Makes what is missing of C(~/Maildir/{tmp,new,cur}), also in a Maildir that has lost one of them.
  - Everything below a home is looked at and made as its user, and no link is followed there. What a user has made of
    the home, such as a link in the Maildir's place, is left alone, and a warning tells it; it stops nobody else's mail.
  - For O(extensions) it makes C(~/.qmail-EXTENSION) where the user has none. Such a file carries O(mark), and one with
    the mark goes when its extension is no longer wanted.
options:
  mailboxes:
    description: >-
      Each mailbox with its V(uid), V(gid) and V(home), as M(mail_declaration) returns them. One without a uid, or with
      a home that is not there, is not on the host yet (check mode), and counts as lacking everything.
    type: dict
    required: true
  former:
    description: >-
      Such mailboxes whose mail is to go: C(~/Maildir) is removed with all that is in it, and nothing else of the home.
    type: dict
    default: {}
  told:
    description: Those of O(mailboxes) that have been told as new already, so the diff needn't have their Maildirs.
    type: list
    elements: str
    default: []
  extensions:
    description: User to the extensions whose mail goes to the Maildir.
    type: dict
    default: {}
  mark:
    description: The first line of such a dot-qmail file, a comment.
    type: str
    required: true
attributes:
  check_mode:
    description: Looks, and says what would be made.
    support: full
  diff_mode:
    description: Lists what is made and removed.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have the Maildirs whole
  mailboxes:
    mailboxes: {carol: {uid: 200000, gid: 200000, home: /srv/mail/carol}}
    extensions: {carol: [info]}
    mark: "# Written by the mail site"
"""

RETURN = r"""
made:
  description: What was made.
  type: list
  elements: str
  returned: success
removed:
  description: What was removed.
  type: list
  elements: str
  returned: success
"""

import contextlib
import json
import os
import pwd
import shutil
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

PARTS = ("tmp", "new", "cur")
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BATCH = 100  # homes that one process looks at, with all that it has open
MOST = 1 << 16  # bytes that are read of a dot-qmail file


Errand = tuple[pwd.struct_passwd, Callable[[], dict[str, list[str]]]]
"""A user, and what is to be done in that user's home."""


class Home:
    """One home, by a descriptor, in a process with its user's rights."""

    def __init__(self, path: str, check_mode: bool) -> None:
        """Open it. It may itself be behind a link, since root names it in /etc/passwd."""
        self.path, self.check_mode = path, check_mode
        self.made: list[str] = []
        self.removed: list[str] = []
        self.warnings: list[str] = []
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def directory(self, at: int, name: str, shown: str) -> int | None:
        """A descriptor of a directory that is there or is made; None in check mode if it isn't."""
        with contextlib.suppress(FileNotFoundError):
            return os.open(name, DIRECTORY, dir_fd=at)
        self.made.append(shown)
        if self.check_mode:
            return None
        os.mkdir(name, 0o700, dir_fd=at)
        return os.open(name, DIRECTORY, dir_fd=at)

    def maildir(self) -> None:
        """Have a whole Maildir."""
        shown = f"{self.path}/Maildir"
        try:
            fd = self.directory(self.fd, "Maildir", shown)
        except OSError as error:
            self.warnings.append(f"{shown}: is left alone: {said(error)}")
            return
        if fd is not None and (mode := stat.S_IMODE(os.fstat(fd).st_mode)) & 0o077:
            self.warnings.append(
                f"{shown}: has the mode {mode:04o}, and is left alone; without a reason: chmod 0700 {shown}"
            )
        for part in PARTS:
            if fd is None:
                self.made.append(f"{shown}/{part}")
                continue
            try:
                self.directory(fd, part, f"{shown}/{part}")
            except OSError as error:
                self.warnings.append(
                    f"{shown}/{part}: is left alone: {said(error)}; it must be a directory of the user's"
                )

    def no_maildir(self) -> None:
        """Have no Maildir, and no mail that was in it."""
        shown = f"{self.path}/Maildir"
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.stat("Maildir", dir_fd=self.fd, follow_symlinks=False).st_mode):
                self.warnings.append(f"{shown}: is left alone: not a directory")
                return
            self.removed.append(f"{shown}/ with its mail")
            if not self.check_mode:
                shutil.rmtree("Maildir", dir_fd=self.fd)

    def dot_qmail(self, extensions: list[str], mark: str) -> None:
        """Have a file for each extension, and none of ours for another one."""
        wanted = [f".qmail-{extension}" for extension in extensions]
        for name in wanted:
            self.write(name, f"{mark}\n./Maildir/\n".encode())
        for name in sorted(os.listdir(self.fd)):  # noqa: PTH208 - by its descriptor
            if name.startswith(".qmail-") and name not in wanted and self.is_marked(name, mark):
                shown = "".join(c if c.isprintable() else "?" for c in name)  # the user's own choice of a name
                self.removed.append(f"{self.path}/{shown}")
                if not self.check_mode:
                    os.unlink(name, dir_fd=self.fd)

    def write(self, name: str, content: bytes) -> None:
        """Make a file unless something of its name is there."""
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            return
        self.made.append(f"{self.path}/{name}")
        if self.check_mode:
            return
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        with os.fdopen(fd, "wb") as file:
            file.write(content)

    def is_marked(self, name: str, mark: str) -> bool:
        """Does a regular file begin with the mark?"""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError:
            return False
        with os.fdopen(fd, "rb") as file:
            return stat.S_ISREG(os.fstat(fd).st_mode) and file.read(MOST).startswith(f"{mark}\n".encode())


def said(error: OSError) -> str:
    """The system's words for an error."""
    return error.strerror or type(error).__name__


def look_after(user: pwd.struct_passwd, extensions: list[str], mark: str, check_mode: bool) -> dict[str, list[str]]:
    """See to one home, with its user's rights."""
    os.umask(0o077)
    try:
        home = Home(user.pw_dir, check_mode)
    except FileNotFoundError:
        if not check_mode:
            return {"warnings": [f"{user.pw_dir}: is not there"]}
        return {"made": [f"{user.pw_dir}/Maildir"]}
    except OSError as error:
        return {"warnings": [f"{user.pw_dir}: is left alone: {said(error)}"]}
    home.maildir()
    try:
        home.dot_qmail(extensions, mark)
    except OSError as error:
        home.warnings.append(f"{user.pw_dir}: its dot-qmail files are left alone: {said(error)}")
    return {"made": home.made, "removed": home.removed, "warnings": home.warnings}


def clear(path: str, check_mode: bool) -> dict[str, list[str]]:
    """Have no mail in one home, with its user's rights."""
    try:
        home = Home(path, check_mode)
        home.no_maildir()
    except FileNotFoundError:
        return {"warnings": []}
    except OSError as error:
        return {"warnings": [f"{path}: its mail is left alone: {said(error)}"]}
    return {"removed": home.removed, "warnings": home.warnings}


def in_child(work: Callable[[], Any]) -> Any:
    """Call WORK in a process of its own; what it says is plain data. None if it ended badly."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            answer = json.dumps(work()).encode()
            with os.fdopen(writer, "wb") as out:
                out.write(answer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    return json.loads(answer) if status == 0 else None


def errands(some: list[Errand]) -> list[dict[str, list[str]]]:
    """Do each errand with the rights of its user and no others. To be called in a process of its own."""
    answers = []
    for user, what in some:
        if os.getuid() == 0:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setegid(user.pw_gid)
            os.seteuid(user.pw_uid)
        answers.append(what())
        if os.getuid() == 0:
            os.seteuid(0)
            os.setegid(0)
    return answers


def as_users(some: list[Errand]) -> list[dict[str, list[str]]]:
    """Have each errand done with the rights of its user; a process does many, or, where it ends badly, one.

    The process stays root's, so no user may touch it; what it opens and makes is the user's own.
    """
    answers = []
    for at in range(0, len(some), BATCH):
        part = some[at : at + BATCH]
        for each, answer in zip(part, in_child(partial(errands, part)) or [None] * len(part), strict=True):
            user = each[0]
            answers.append(
                answer
                or (in_child(partial(errands, [each])) or [None])[0]
                or {"warnings": [f"{user.pw_dir}: could not be looked at as {user.pw_name}"]}
            )
    return answers


def owner(name: str, who: dict[str, Any]) -> pwd.struct_passwd:
    """The user of a mailbox, who need not be one of the host's."""
    return pwd.struct_passwd((name, "", int(who["uid"]), int(who["gid"]), "", str(who["home"]), ""))


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """See to every home; give the module's result."""
    made: list[str] = []
    removed: list[str] = []
    warnings: list[str] = []
    some: list[Errand] = []
    for name, who in params["mailboxes"].items():
        if int(who["uid"]) == 0:
            made.append(f"the Maildir of {name}")
            continue
        user = owner(name, who)
        extensions = list(params["extensions"].get(name, []))
        some.append((user, partial(look_after, user, extensions, params["mark"], check_mode)))
    for name, who in params["former"].items():
        user = owner(name, who)
        some.append((user, partial(clear, user.pw_dir, check_mode)))
    answers = as_users(some)
    for answer in answers:
        made += answer.get("made", [])
        removed += answer.get("removed", [])
        warnings += answer.get("warnings", [])
    return {"changed": bool(made or removed), "made": made, "removed": removed, "warnings": warnings}


def told(params: dict[str, Any]) -> set[str]:
    """What is made as the Maildirs of those who have been told as new."""
    found = set()
    for name in params["told"]:
        maildir = f"{params['mailboxes'][name]['home']}/Maildir"
        found |= {f"the Maildir of {name}", maildir, *(f"{maildir}/{part}" for part in PARTS)}
    return found


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "mailboxes": {"type": "dict", "required": True},
            "former": {"type": "dict", "default": {}},
            "told": {"type": "list", "elements": "str", "default": []},
            "extensions": {"type": "dict", "default": {}},
            "mark": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    result = run(module.params, module.check_mode)
    for warning in result.pop("warnings"):
        module.warn(f"mailboxes: {warning}")
    known = told(module.params)
    result["diff"] = {
        "before": "".join(f"{path}\n" for path in result["removed"]),
        "after": "".join(f"{path}\n" for path in result["made"] if path not in known),
    }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
