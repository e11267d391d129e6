#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: have groups, system users and people's accounts, in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_accounts
short_description: Have groups, system users and people's accounts
description:
  - Compares all of them with what the host knows, and calls the host's own groupadd, useradd, usermod and gpasswd for
    what differs. No password is asked for or given; a system user whose password is not locked is locked.
  - People's accounts are made where they are missing. One that is there keeps its shell, home and password, as it may
    be an administrator's. A home that is missing is made, with mode 0700, if nobody but root can exchange it.
  - Every fault is told at once, before anything is touched.
options:
  groups:
    description: System groups.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      members:
        description: All of its members, beside those whose own group it is. Anybody else is put out.
        type: list
        elements: str
        default: []
  users:
    description: System users, after the groups.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      comment:
        description: What it is for.
        type: str
        required: true
      group:
        description: Its own group, which is there or among O(groups).
        type: str
        required: true
      home:
        description: Its home, which is not made here.
        type: path
        required: true
      shell:
        description: Its shell.
        type: path
        default: /usr/sbin/nologin
  people:
    description: Names of people.
    type: list
    elements: str
    default: []
  people_comment:
    description: The comment of accounts that are made for people. By it they are known when they are no longer listed.
    type: str
    default: ""
  people_register:
    description:
      - The file that remembers each uid that a person's account ever had, also once the account is removed. Without it
        C(useradd) chooses, and may give a removed account's uid, and so what that one left behind, to the next one.
    type: path
  people_homes:
    description: The directory of the homes of accounts that are made for people.
    type: path
    default: /home
  people_shell:
    description: The shell of accounts that are made for people.
    type: path
    default: /usr/sbin/nologin
attributes:
  check_mode:
    description: Compares everything and says what would change.
    support: full
  diff_mode:
    description: Lists what is made and changed.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have the accounts of the queue, and those of the people
  host_accounts:
    groups: [{name: qmail}]
    users:
      - {name: qmailq, comment: qmail queue, group: qmail, home: /var/qmail}
    people: [carol, dave]
    people_comment: mail user
    people_register: /var/lib/qmail-site/uids
"""

RETURN = r"""
made:
  description: What was made or changed, a line each.
  type: list
  elements: str
  returned: success
former:
  description: People for whom an account was made once, and who are no longer listed.
  type: list
  elements: str
  returned: success
"""

import grp
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_paths import PathError, Way
from ansible.module_utils.uid_register import Register, RegisterError
from ansible.module_utils.whole_file import make_directory

SHADOW = Path("/etc/shadow")
LOGIN_DEFS = Path("/etc/login.defs")
LOCKED = "!"


class Accounts:
    """What the host has, and what is to be there."""

    def __init__(self, module: AnsibleModule) -> None:
        """Ask the host once for all that there is."""
        self.module, self.params = module, module.params
        self.users = {entry.pw_name: entry for entry in reversed(pwd.getpwall())}
        self.groups = {entry.gr_name: entry for entry in reversed(grp.getgrall())}
        self.way = Way()
        self.register = self.remembered()
        self.made: list[str] = []
        self.strangers: list[str] = []

    def run(self, *words: str) -> None:
        """Call one of the host's programs; in check mode not."""
        if not self.module.check_mode:
            self.module.run_command([self.module.get_bin_path(words[0], required=True), *words[1:]], check_rc=True)

    def faults(self) -> Iterator[str]:
        """What can't be done, a sentence each."""
        to_be = {*self.groups, *(group["name"] for group in self.params["groups"])}
        for user in self.params["users"]:
            if user["group"] not in to_be:
                yield f"{user['name']}: there is no group {user['group']} on this host"
        known: dict[str, str] = {}
        for home in self.homes().values():
            parent = str(home.parent)
            if parent not in known:
                known[parent] = self.astray(home)
            if known[parent]:
                yield f"{home}: {known[parent]}"

    def astray(self, home: Path) -> str:
        """Why root would not make a home; empty where there is no reason."""
        for above in home.parents:
            try:
                self.way.directory(str(above))
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                return f"{above} is not a directory"
            except PathError as error:
                return str(error)
            return ""
        return ""

    def homes(self) -> dict[str, Path]:
        """Where the people's homes are, or will be."""
        new = Path(self.params["people_homes"])
        return {
            name: Path(self.users[name].pw_dir) if name in self.users else new / name for name in self.params["people"]
        }

    def have_group(self, name: str, members: list[str]) -> None:
        """A group with these members and no others."""
        if name not in self.groups:
            self.run("groupadd", "--system", "--", name)
            self.made.append(f"group {name}")
            have: set[str] = set()
        else:
            have = set(self.groups[name].gr_mem)
        if have != set(members):
            self.run("gpasswd", f"--members={','.join(members)}", "--", name)
            self.made.append(f"members of group {name}: {', '.join(members) or 'none'}")
        # Who declares a group alone, without its users, doesn't say whose it is.
        if name in self.groups and self.params["users"]:
            ours = {user["name"] for user in self.params["users"] if user["group"] == name}
            gid = self.groups[name].gr_gid
            own = [user.pw_name for user in self.users.values() if user.pw_gid == gid and user.pw_name not in ours]
            self.strangers += [f"{name} is the group of {other}" for other in own]

    def have_user(self, user: dict[str, str], unlocked: set[str]) -> None:
        """A system user who is as declared, and whom no password lets in."""
        name = user["name"]
        words = {"comment": user["comment"], "home": user["home"], "shell": user["shell"], "gid": user["group"]}
        have = self.users.get(name)
        if have is None:
            options = [f"--{key}={value}" for key, value in words.items() if key != "home"]
            self.run("useradd", "--system", "--no-create-home", f"--home-dir={user['home']}", *options, "--", name)
            self.made.append(f"user {name}")
            return
        is_so = {"comment": have.pw_gecos, "home": have.pw_dir, "shell": have.pw_shell, "gid": self.group_of(have)}
        differs = {key: value for key, value in words.items() if value != is_so[key]}
        if differs:
            self.run("usermod", *(f"--{key}={value}" for key, value in differs.items()), "--", name)
            self.made += [f"{key} of user {name}: {value}" for key, value in differs.items()]
        if name in unlocked:
            self.run("usermod", f"--password={LOCKED}", "--", name)
            self.made.append(f"lock of user {name}")

    def group_of(self, user: pwd.struct_passwd) -> str:
        """The name of a user's own group; empty where it has none."""
        return next((name for name, group in self.groups.items() if group.gr_gid == user.pw_gid), "")

    def remembered(self) -> Register | None:
        """The register with the people's accounts that are there; None where none is kept."""
        if not self.params["people_register"]:
            return None
        found = Register.read(Path(self.params["people_register"]))
        register, comment = found or Register([]), self.params["people_comment"]
        for name, user in self.users.items():
            if name in self.params["people"] or (comment and user.pw_gecos == comment):
                register.note(user.pw_uid, name, "system")
        if found is None:
            for uid, name in self.left_behind():
                register.spare(uid, name, "system", held=False)
        return register

    def left_behind(self) -> list[tuple[int, str]]:
        """Homes whose account is gone, by their uid: what a register that was lost would know."""
        homes, (first, last) = Path(self.params["people_homes"]), uid_range()
        used = {user.pw_uid for user in self.users.values()}
        found = (
            [(entry.stat(follow_symlinks=False).st_uid, entry.name) for entry in os.scandir(homes)]
            if homes.is_dir()
            else []
        )
        return sorted((uid, name) for uid, name in found if first <= uid <= last and uid not in used)

    def uids(self) -> dict[str, str]:
        """What says to useradd which uid each new account has; remembered before it is used."""
        if self.register is None:
            return {}
        first, last = uid_range()
        used = {user.pw_uid for user in self.users.values()}
        found = {}
        for name in self.params["people"]:
            if name in self.users:
                continue
            if self.register.held(name, "system") in used:  # somebody else has taken it since
                self.register.retire(name, "system")
            found[name] = f"--uid={self.register.give(name, 'system', first, last, used)}"
        self.remember()
        return found

    def remember(self) -> None:
        """Have the register on disk."""
        path = Path(self.params["people_register"])
        if self.register is None or (path.exists() and path.read_text() == self.register.text()):
            return
        self.made.append(f"uids in {path}")
        if not self.module.check_mode:
            self.register.save(path)

    def have_person(self, name: str, home: Path, uid: str | None) -> None:
        """An account and a home where there is none."""
        if name not in self.users:
            # A group of that name may be there without an account.
            own = ["--no-user-group"] if name in self.groups else []
            options = [f"--comment={self.params['people_comment']}", f"--shell={self.params['people_shell']}"]
            self.run(
                "useradd", "--no-create-home", f"--home-dir={home}", *options, *([uid] if uid else []), *own, "--", name
            )
            self.made.append(f"user {name}")
        if os.path.lexists(home):
            return
        self.made.append(f"home {home}")
        if self.module.check_mode:
            return
        make_directory(home.parent)
        entry = pwd.getpwnam(name)
        home.mkdir(mode=0o700)
        os.chown(home, entry.pw_uid, entry.pw_gid)

    def apply(self) -> None:
        """Bring everything about."""
        for group in self.params["groups"]:
            self.have_group(group["name"], group["members"])
        names = {user["name"] for user in self.params["users"]} & self.users.keys()
        unlocked = unlocked_of(names) if names else set()
        for user in self.params["users"]:
            self.have_user(user, unlocked)
        uids = self.uids() if self.params["people"] else {}
        for name, home in self.homes().items():
            self.have_person(name, home, uids.get(name))

    def former(self) -> list[str]:
        """Who was one of the people."""
        comment, people = self.params["people_comment"], set(self.params["people"])
        return [
            name for name, user in self.users.items() if comment and user.pw_gecos == comment and name not in people
        ]


def uid_range() -> tuple[int, int]:
    """The uids of people's accounts on this host (login.defs(5))."""
    text = LOGIN_DEFS.read_text(encoding="utf-8", errors="replace") if LOGIN_DEFS.exists() else ""
    said = dict(re.findall(r"(?m)^\s*(UID_M(?:IN|AX))\s+(\d+)", text))
    return int(said.get("UID_MIN", 1000)), int(said.get("UID_MAX", 60000))


def unlocked_of(names: set[str]) -> set[str]:
    """Who of NAMES could log in with a password, or with none."""
    with SHADOW.open(encoding="utf-8", errors="replace") as lines:
        fields = [line.split(":", 2) for line in lines]
    return {field[0] for field in fields if field[0] in names and not field[1].startswith(("!", "*"))}


def main() -> None:
    """Run as an Ansible module."""
    name = {"type": "str", "required": True}
    group = {"name": name, "members": {"type": "list", "elements": "str", "default": []}}
    user = {
        "name": name,
        "comment": name,
        "group": name,
        "home": {"type": "path", "required": True},
        "shell": {"type": "path", "default": "/usr/sbin/nologin"},
    }
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "dict", "default": [], "options": group},
            "users": {"type": "list", "elements": "dict", "default": [], "options": user},
            "people": {"type": "list", "elements": "str", "default": []},
            "people_comment": {"type": "str", "default": ""},
            "people_register": {"type": "path"},
            "people_homes": {"type": "path", "default": "/home"},
            "people_shell": {"type": "path", "default": "/usr/sbin/nologin"},
        },
        supports_check_mode=True,
    )
    try:
        accounts = Accounts(module)
        if faults := list(accounts.faults()):
            module.fail_json(msg=f"host_accounts: {'; '.join(faults)}")
        accounts.apply()
    except RegisterError as error:
        module.fail_json(msg=f"host_accounts: {error}")
    except OSError as error:
        module.fail_json(msg=f"host_accounts: {error.filename}: {error.strerror}")
    if accounts.strangers:
        module.warn(
            f"{'; '.join(accounts.strangers)}, so it has what the group may have, and is none of this site's; give it "
            "another group (usermod --gid)"
        )
    module.exit_json(
        changed=bool(accounts.made),
        made=accounts.made,
        former=accounts.former(),
        diff={"before": "", "after": "".join(f"{line}\n" for line in accounts.made)},
    )


if __name__ == "__main__":
    main()
