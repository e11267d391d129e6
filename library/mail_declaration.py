#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: make a site's declared mailboxes, addresses and lists true on a host, in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mail_declaration
short_description: Make mailboxes, addresses and lists what is declared
description:
  - Gives each virtual mailbox a uid that nobody had before, by the host's register, and a home of its own. Writes what
    qmail's programs look up (users/assign with its database, and the databases beside it), the dot-qmail files of
    root's, the members of lists, and the declaration itself, by which a later run tells in words what changes.
  - What differs is written by one rename, so whoever looks something up has either the old or the new file, and nothing
    has to be started again. What comes into use last is what says that an address is there.
  - A file that is not as it is declared, whoever changed it, is written again, and told.
  - The mail of a mailbox that is no longer declared stays, unless O(graph) says that it goes.
options:
  graph:
    description: The compiled declaration, as the filter C(mail_graph_text) gives it.
    type: json
    required: true
  directory:
    description: The home of the suite, with C(users), C(mailboxes) and C(bin) in it.
    type: path
    default: /var/qmail
  register:
    description: The file that remembers each uid that was ever given.
    type: path
    default: /var/lib/qmail-site/uids
  declaration:
    description: The file that the declaration is kept in.
    type: path
    default: /etc/qmail-site/declaration.json
  compiled:
    description: The file that remembers what users/cdb was compiled from.
    type: path
    default: /var/lib/qmail-site/assignments
  alias:
    description: The account that delivers what goes to several or elsewhere.
    type: str
    default: alias
  list_group:
    description: The group that may read the members of lists.
    type: str
    default: nofiles
  mark:
    description: The first line of each text file, a comment.
    type: str
    required: true
attributes:
  check_mode:
    description: Compares everything and says what would change. Uids that would be given are not given.
    support: full
  diff_mode:
    description: >-
      Tells in words what of the declaration comes, goes and changes; and which files are written, but for those of
      which just what the words say becomes otherwise.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Make the declared mailboxes and addresses true
  mail_declaration:
    graph: "{{ _site_declared | mail_graph_text }}"
    mark: "# Written by the mail site"
"""

RETURN = r"""
mailboxes:
  description: uid, gid and home of each mailbox that is not absent.
  type: dict
  returned: success
former:
  description: The same of each account whose mail is to go, and which is still there.
  type: dict
  returned: success
aliases:
  description: The files that the home of the aliases is to have.
  type: dict
  returned: success
devices:
  description: Of each password with a name (MAILBOX/DEVICE) the services that it opens, and its last day.
  type: dict
  returned: success
told:
  description: >-
    In diff mode, of files of V(alias) and of V(control) a digest of the change that RV(changes) tells, for
    M(declared_files) to take.
  type: dict
  returned: success
told_mailboxes:
  description: Mailboxes that RV(changes) tells as new.
  type: list
  elements: str
  returned: success
uncompiled:
  description: Whether the suite, whose compiler makes users/cdb, is not on the host yet.
  type: bool
  returned: success
changes:
  description: What became otherwise, in words.
  type: list
  elements: str
  returned: success
written:
  description: Files that were written or removed.
  type: list
  elements: str
  returned: success
"""

import contextlib
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.constant_database import made
from ansible.module_utils.host_paths import PathError, Wanted, Way, differs, look, turn
from ansible.module_utils.mail_tables import Account, Tables, control
from ansible.module_utils.mail_told import told
from ansible.module_utils.uid_register import Register, RegisterError
from ansible.module_utils.whole_file import beside, make_directory, write

VIRTUAL, SYSTEM = "virtual", "system"
COMPILER_SECONDS = 120
OTHER_FORM = (KeyError, TypeError, AttributeError)
"""What reading a declaration fails by that an earlier version has written in another form."""


Files = dict[str, tuple[bytes, int, tuple[int, int] | None]]
"""What each file of a directory holds, its mode, and its owner and group; None is root."""


class DeclarationError(Exception):
    """Why a declaration can't be made true; the text says what to do."""


class Host:
    """One host, and what is to be true on it."""

    def __init__(self, params: dict[str, Any], check_mode: bool, diff_mode: bool) -> None:
        """Look at what there is; nothing is changed yet."""
        self.params, self.check_mode, self.diff_mode = params, check_mode, diff_mode
        self.graph: dict[str, Any] = json.loads(params["graph"])
        self.home = Path(params["directory"])
        self.users = self.home / "users"
        self.homes = Path(self.graph["homes"])
        self.first, self.last = self.graph["uids"]["first"], self.graph["uids"]["last"]
        self.warnings: list[str] = []
        self.written: list[str] = []
        self.was: dict[str, bytes | None] = {}
        """What was there of what is written, where nothing but its content is another one."""
        self.changes: list[str] = []
        self.uncompiled = False
        self.register_path = Path(params["register"])
        self.boxes: dict[str, Any] = self.graph["mailboxes"]
        self.before = _read(Path(params["declaration"]))
        self.old_boxes: dict[str, Any] = _present(self.before or {})

    # --- who has which uid ---

    def register(self) -> Register:
        """The register of this host. What it doesn't know of the homes that are there, as if it was lost, they say."""
        register = Register.read(self.register_path) or Register([])
        for uid, name in self.owners():
            register.spare(uid, name, VIRTUAL, held=True)
        return register

    def owners(self) -> list[tuple[int, str]]:
        """Whom the homes of virtual mailboxes belong to, those of former ones too; a mailbox's before a copy of it."""
        if not self.homes.is_dir():
            return []
        found = [(entry.stat(follow_symlinks=False), entry.name) for entry in os.scandir(self.homes)]
        owners = [(status.st_uid, name) for status, name in found if self.first <= status.st_uid <= self.last]
        return sorted(owners, key=lambda owner: (owner[0], owner[1] not in self.boxes, owner[1]))

    def accounts(self, register: Register) -> dict[str, Account]:
        """The uid, gid and home of each mailbox that is there or is to be."""
        found: dict[str, Account] = {}
        others = {entry.pw_uid for entry in pwd.getpwall() if self.first <= entry.pw_uid <= self.last}
        for name, box in self.boxes.items():
            if box["state"] == "absent":
                continue
            if box["kind"] == VIRTUAL:
                uid = register.give(name, VIRTUAL, self.first, self.last, others)
                found[name] = Account(uid, uid, str(self.homes / name))
                continue
            try:
                entry = pwd.getpwnam(name)
                found[name] = Account(entry.pw_uid, entry.pw_gid, entry.pw_dir)
            except KeyError:
                if not self.check_mode:
                    raise DeclarationError(f"there is no account {name} on this host") from None
                found[name] = Account(0, 0, f"/home/{name}")
        return found

    # --- homes ---

    def have_home(self, name: str, account: Account) -> None:
        """A home of the mailbox's own, that nobody else may look into."""
        path = Path(account.home)
        try:
            status = path.lstat()
        except FileNotFoundError:
            self.written.append(f"{path}/")
            if name not in self.old_boxes:
                self.was[f"{path}/"] = None
            if not self.check_mode:
                path.mkdir(mode=0o700)
                os.chown(path, account.uid, account.gid)
            return
        except NotADirectoryError:
            raise DeclarationError(f"{path}: {path.parent} is not a directory") from None
        if not stat.S_ISDIR(status.st_mode):
            raise DeclarationError(f"{path} is not a directory; move it away, it would be the home of {name}")
        if status.st_uid != account.uid:
            raise DeclarationError(
                f"{path} belongs to the uid {status.st_uid}, and the register ({self.register_path}) gives {name} "
                f"{account.uid}; restore the register that belongs to this mail, or give the mail to its mailbox: "
                f"chown -R {account.uid}:{account.gid} {path}"
            )
        if stat.S_IMODE(status.st_mode) != 0o700 or status.st_gid != account.gid:
            self.written.append(f"{path}/ (mode)")
            if not self.check_mode:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    os.fchown(fd, account.uid, account.gid)
                    os.fchmod(fd, 0o700)
                finally:
                    os.close(fd)

    def drop_home(self, name: str, register: Register) -> None:
        """The mail of a virtual mailbox that is to be gone with its mail, and its uid for ever."""
        path, gone = self.homes / name, self.homes / f".{name}.gone"
        for there in (gone, path):
            if not there.is_dir() or there.is_symlink():
                continue
            self.written.append(f"{there}/ (removed with its mail)")
            if not self.check_mode:
                # A name that no mailbox has: what is cut off half-way is removed by the next run.
                shutil.rmtree(there.rename(gone))
        register.retire(name, VIRTUAL)

    def former(self, names: list[str]) -> dict[str, Any]:
        """Those of NAMES that are accounts. Such a one stays, for it may be somebody's for more than mail."""
        found = {}
        for name in names:
            if self.boxes[name]["kind"] == VIRTUAL:
                continue
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                found[name] = {"uid": entry.pw_uid, "gid": entry.pw_gid, "home": entry.pw_dir}
        return found

    # --- files ---

    def have(self, path: Path, content: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
        """A file as it is declared; True if it was otherwise."""
        want = Wanted(content, owner or (os.geteuid(), os.getegid()), mode, secret=True)
        found = look(path)
        if not differs(want, found):
            return False
        if found and found.content is None:
            raise DeclarationError(f"{path} is not a regular file; move it away")
        self.written.append(str(path))
        if found is None or (found.mode, found.owner) == (mode, want.owner):
            self.was[str(path)] = found and found.content
        if not self.check_mode:
            with beside(path, content, mode, want.owner):
                pass
        return True

    def have_files(self, directory: Path, files: Files) -> None:
        """These files in a directory."""
        if not directory.is_dir() and files and not self.check_mode:
            raise DeclarationError(f"{directory} is not a directory")
        for name, (content, mode, owner) in files.items():
            self.have(directory / name, content, mode, owner)

    def have_no_others(self, directory: Path, files: Files) -> None:
        """A directory without any file but these."""
        there = {entry.name for entry in os.scandir(directory)} if directory.is_dir() else set()
        for name in sorted(there - files.keys()):
            path = directory / name
            if path.is_dir() and not path.is_symlink():
                self.warnings.append(f"{path} is a directory that nobody declared; remove it")
                continue
            self.remove(path)

    def remove(self, path: Path) -> None:
        """A file that is there and is to go."""
        found = look(path)
        self.written.append(f"{path} (removed)")
        self.was[f"{path} (removed)"] = found and found.content
        if not self.check_mode:
            path.unlink()

    def have_new_aliases(self, files: dict[str, str]) -> None:
        """Files of alias's that are not there yet: what leads to them would be bounced once the table says so."""
        directory = self.home / "alias"
        new = [name for name in files if not os.path.lexists(directory / name)] if directory.is_dir() else []
        if new:
            Way().directory(str(directory))
        for name in new:
            self.have(directory / name, files[name].encode())

    def have_database(self, name: str, records: dict[str, bytes]) -> None:
        """A database that says these records; none where there is none to say."""
        path = self.users / f"{name}.cdb"
        if records:
            self.have(path, _database(records))
        elif os.path.lexists(path):
            self.remove(path)

    def have_assignments(self, lines: list[str]) -> None:
        """users/assign, and the database that the suite in use compiles from it."""
        source, compiled, record = self.users / "assign", self.users / "cdb", Path(self.params["compiled"])
        remembered = record.read_text().split() if record.exists() else []
        if not lines and not remembered:
            return
        found = look(source)
        if found and not remembered and found.content != _assign(lines):
            raise DeclarationError(
                f"{source} is there and was not written by this site; say with mail_users and mail_domains what it "
                "says, then move it away"
            )
        if not lines:
            in_step = remembered[:2] == _digests(source, compiled)
            for path in (compiled, source):
                if os.path.lexists(path):
                    self.remove(path)
            if in_step:
                self.was[f"{compiled} (removed)"] = None  # it goes with its source
            if not self.check_mode:
                record.unlink(missing_ok=True)
            return
        if not remembered and not self.check_mode:
            make_directory(record.parent)
            write(record, b"not compiled yet", 0o600)
        in_step = (remembered or _digests(source, compiled))[:2] == _digests(source, compiled)
        wrote = self.have(source, _assign(lines))
        program = self.home / "bin" / "qmail-newu"
        if not wrote and remembered == _digests(source, compiled, program.resolve()):
            return
        self.written.append(str(compiled))
        if wrote and in_step:
            self.was[str(compiled)] = None  # it becomes another one with its source
        self.uncompiled = not program.exists()
        if self.check_mode or self.uncompiled:
            return
        done = subprocess.run([program], capture_output=True, text=True, timeout=COMPILER_SECONDS, check=False)
        if done.returncode != 0:
            raise DeclarationError(f"{program} failed (exit code {done.returncode}): {done.stderr.strip()[:300]}")
        write(record, " ".join(_digests(source, compiled, program.resolve())).encode(), 0o600)

    # --- all of it ---

    def apply(self) -> dict[str, Any]:
        """Bring everything about; give the module's result."""
        declaration = Path(self.params["declaration"])
        self.changes = told(self.before, self.graph)
        register = self.register()
        accounts = self.accounts(register)
        gone = [name for name, box in self.boxes.items() if box["state"] == "absent" and not box["keep_mail"]]
        # What is given is remembered before it is used, so that a run that is cut off gives it to nobody else.
        self.remember(register)
        if any(box["kind"] == VIRTUAL for box in self.boxes.values()):
            self._have_parent()
        for name, account in accounts.items():
            if self.boxes[name]["kind"] == VIRTUAL:
                self.have_home(name, account)
        alias = self._alias()
        tables = Tables(self.graph, accounts, alias, self.params["mark"])
        lister = (os.geteuid(), self._group(self.params["list_group"]))
        members: Files = {name: (text.encode(), 0o640, lister) for name, text in tables.members().items()}
        self.have_files(self.users / "lists", members)
        own: Files = {
            name: (file.content.encode(), 0o640, (os.geteuid(), file.gid)) for name, file in tables.managed().items()
        }
        self.have_files(self.home / "mailboxes", own)
        aliases = tables.aliases()
        self.have_new_aliases(aliases)
        self.have_full(accounts)
        self.have_database("quotas", tables.quotas())
        self.have_assignments(tables.assignments())
        # Only now, since mail that goes by a file that is gone is bounced.
        self.have_no_others(self.home / "mailboxes", own)
        self.have_no_others(self.users / "lists", members)
        self.have_database("lists", tables.lists())
        self.have_database("recipients", tables.recipients())
        self.have_database("senders", tables.senders())
        self.have_database("logins", tables.logins())
        for name in gone:
            if self.boxes[name]["kind"] == VIRTUAL:
                self.drop_home(name, register)
        self.remember(register)
        # A line for each of its parts: with more, the library would no longer do it in C.
        parts = (f"{json.dumps(part)}: {json.dumps(self.graph[part], sort_keys=True)}" for part in sorted(self.graph))
        content = "{" + ",\n".join(parts) + "}\n"
        if not self.check_mode:
            make_directory(declaration.parent)
        self.have(declaration, content.encode(), 0o600)
        self.was[str(declaration)] = None  # what it was is what the words begin with
        former = None
        if self.changes and self.diff_mode:  # else nobody sees what it takes seconds to know
            former = self.former_tables(register, accounts, alias)
        return {
            "changed": bool(self.written),
            "changes": self.changes,
            "written": self.written,
            "mailboxes": {name: {"uid": who.uid, "gid": who.gid, "home": who.home} for name, who in accounts.items()},
            "former": self.former(gone),
            "aliases": aliases,
            "devices": {
                f"{name}/{device}": said for name in accounts for device, said in self.boxes[name]["devices"].items()
            },
            "told": self.told_files(former, aliases),
            "told_mailboxes": sorted(accounts.keys() - self.old_boxes.keys()) if self.changes else [],
            "uncompiled": self.uncompiled,
            "warnings": self.warnings,
            "diff": {
                "before": "",
                "after": "".join(f"{line}\n" for line in self.changes + self.untold(former)) if self.written else "",
            },
        }

    # --- what the words tell ---

    def former_tables(self, register: Register, accounts: dict[str, Account], alias: Account) -> Tables | None:
        """What the declaration of before became; None where there was none, or it was one of another form."""
        if self.before is None:
            return None
        uids = {entry.name: entry.uid for entry in register.entries if entry.kind == VIRTUAL}
        old: dict[str, Account] = {}
        for name, box in self.old_boxes.items():
            if box.get("kind") == VIRTUAL and name in uids:
                home = Path(self.before.get("homes") or self.homes) / name
                old[name] = Account(uids[name], uids[name], str(home))
            elif name in accounts:
                old[name] = accounts[name]
            else:
                with contextlib.suppress(KeyError):
                    entry = pwd.getpwnam(name)
                    old[name] = Account(entry.pw_uid, entry.pw_gid, entry.pw_dir)
        with contextlib.suppress(*OTHER_FORM):
            return Tables(self.before, old, alias, self.params["mark"])
        return None

    def former_files(self, tables: Tables) -> dict[str, bytes]:
        """The content that the former declaration gave the files which are written now, by path."""
        names = {path.removesuffix(" (removed)") for path in self.was}
        files: dict[Path, bytes] = {}
        databases = {
            "quotas": tables.quotas,
            "lists": tables.lists,
            "recipients": tables.recipients,
            "senders": tables.senders,
            "logins": tables.logins,
        }
        for name, reckon in databases.items():
            path = self.users / f"{name}.cdb"
            records = reckon() if str(path) in names else {}
            if records:
                files[path] = _database(records)
        if str(self.users / "assign") in names and (lines := tables.assignments()):
            files[self.users / "assign"] = _assign(lines)
        files |= {self.users / "lists" / name: text.encode() for name, text in tables.members().items()}
        if any(name.startswith(f"{self.home}/mailboxes/") for name in names):
            files |= {self.home / "mailboxes" / name: file.content.encode() for name, file in tables.managed().items()}
        return {str(path): content for path, content in files.items()}

    def untold(self, former: Tables | None) -> list[str]:
        """What is written and the words don't say: files that were otherwise than the former declaration had them."""
        if not self.changes or not self.diff_mode:
            return self.written
        files: dict[str, bytes] = {}
        if former is not None:
            with contextlib.suppress(*OTHER_FORM):
                files = self.former_files(former)
        return [
            path
            for path in self.written
            if path not in self.was or self.was[path] != files.get(path.removesuffix(" (removed)"))
        ]

    def told_files(self, former: Tables | None, after: dict[str, str]) -> dict[str, dict[str, str]]:
        """Digests of the changes that the words tell, of what other tasks write: aliases' files, control files."""
        if not self.changes or not self.diff_mode:
            return {"alias": {}, "control": {}}
        before: dict[str, str] = {}
        old: dict[str, list[str]] = {}
        with contextlib.suppress(*OTHER_FORM):
            before, old = former.aliases() if former else {}, control(self.before or {})
        new = control(self.graph)
        alias = {
            name: turn(before.get(name, "").splitlines(), after.get(name, "").splitlines())
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        }
        return {
            "alias": alias,
            "control": {
                name: turn(old.get(name, []), new.get(name, []))
                for name in old.keys() | new.keys()
                if old.get(name) != new.get(name)
            },
        }

    # --- what else there is ---

    def have_full(self, accounts: dict[str, Account]) -> None:
        """For each mailbox with a quota a file that it may say in how full it is, and none for any other."""
        directory = self.users / "full"
        wanted = {str(accounts[name].uid): accounts[name] for name in accounts if self.boxes[name]["quota"]}
        there = {entry.name for entry in os.scandir(directory)} if directory.is_dir() else set()
        names = {str(accounts[name].uid): name for name in accounts}
        for uid in sorted(wanted.keys() - there):
            self.written.append(f"{directory}/{uid}")
            if not self.old_boxes.get(names[uid], {}).get("quota"):
                self.was[f"{directory}/{uid}"] = None
            if not self.check_mode:
                fd = os.open(directory / uid, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                try:
                    os.fchmod(fd, 0o644)
                    os.fchown(fd, wanted[uid].uid, wanted[uid].gid)
                finally:
                    os.close(fd)
        for uid in sorted(there - wanted.keys()):
            self.written.append(f"{directory}/{uid} (removed)")
            if uid not in names or self.old_boxes.get(names[uid], {}).get("quota"):
                self.was[f"{directory}/{uid} (removed)"] = None
            if not self.check_mode:
                (directory / uid).unlink()

    def remember(self, register: Register) -> None:
        """Have the register on disk."""
        found = look(self.register_path)
        if found and found.content == register.text().encode():
            return
        if str(self.register_path) not in self.written:
            self.written.append(str(self.register_path))
            if found or not self.before:
                self.was[str(self.register_path)] = None
        if not self.check_mode:
            register.save(self.register_path)

    def _have_parent(self) -> None:
        """The directory of the homes, whose entries nobody but root may exchange."""
        if not self.homes.is_dir():
            self.written.append(f"{self.homes}/")
            if all(box["kind"] != VIRTUAL for box in self.old_boxes.values()):
                self.was[f"{self.homes}/"] = None
            if not self.check_mode:
                make_directory(self.homes, 0o711)
        if self.homes.is_dir():
            Way().directory(str(self.homes))

    def _alias(self) -> Account:
        home = str(self.home / "alias")
        try:
            entry = pwd.getpwnam(self.params["alias"])
        except KeyError:
            if not self.check_mode:
                raise DeclarationError(f"there is no account {self.params['alias']} on this host") from None
            return Account(0, 0, home)
        return Account(entry.pw_uid, entry.pw_gid, home)

    def _group(self, name: str) -> int:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            if not self.check_mode:
                raise DeclarationError(f"there is no group {name} on this host") from None
            return 0


def _assign(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in [*lines, "."]).encode()


def _digests(*paths: Path) -> list[str]:
    return [hashlib.sha256((found.content or b"") if (found := look(path)) else b"").hexdigest() for path in paths]


def _database(records: dict[str, bytes]) -> bytes:
    content: bytes = made((key.encode(), value) for key, value in sorted(records.items()))
    return content


def _present(graph: dict[str, Any]) -> dict[str, Any]:
    """The mailboxes of a declaration that were not absent."""
    boxes = graph.get("mailboxes")
    found = boxes if isinstance(boxes, dict) else {}
    return {name: box for name, box in found.items() if box.get("state") != "absent"}


def _read(path: Path) -> dict[str, Any] | None:
    """The declaration of an earlier run; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def main() -> None:
    """Run as an Ansible module."""
    path = {"type": "path"}
    module = AnsibleModule(
        argument_spec={
            "graph": {"type": "json", "required": True},
            "directory": {**path, "default": "/var/qmail"},
            "register": {**path, "default": "/var/lib/qmail-site/uids"},
            "declaration": {**path, "default": "/etc/qmail-site/declaration.json"},
            "compiled": {**path, "default": "/var/lib/qmail-site/assignments"},
            "alias": {"type": "str", "default": "alias"},
            "list_group": {"type": "str", "default": "nofiles"},
            "mark": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        result = Host(module.params, module.check_mode, module._diff).apply()
    except (DeclarationError, RegisterError, PathError) as error:
        module.fail_json(msg=f"mail_declaration: {error}")
    except OSError as error:
        module.fail_json(msg=f"mail_declaration: {error.filename}: {error.strerror}")
    except subprocess.TimeoutExpired as error:
        module.fail_json(msg=f"mail_declaration: {error.cmd[0]} did not end within {COMPILER_SECONDS} s")
    for warning in result.pop("warnings"):
        module.warn(f"mail_declaration: {warning}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
