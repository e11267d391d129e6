"""What becomes of mail by a declaration's tables, as qmail-users(5) and dot-qmail(5) say: a model to test them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible.module_utils.mail_tables import HOME, MANAGED, Tables


@dataclass(frozen=True)
class Delivery:
    """As whom mail is delivered, and by what: a file of instructions, or nothing but the user's own Maildir."""

    user: str
    by: str


def delivered(tables: Tables, address: str, homes: Mapping[str, set[str]] | None = None) -> Delivery | None:
    """Follow an address of the site's; None where the mail bounces.

    HOMES are the dot-qmail files that people have, by the name of their mailbox.
    """
    local, _, domain = address.lower().rpartition("@")
    user, gid, home, dash, ext = _whose(tables, tables.key(local, domain))
    if home == MANAGED:
        files = {name: file.gid for name, file in tables.managed().items()}
    elif home == f"{HOME}/alias":
        files = dict.fromkeys(tables.aliases(), gid)
    else:
        files = dict.fromkeys((homes or {}).get(user, ()), gid)
    for name in _names(dash, ext):
        if name in files:
            assert files[name] == gid, f"{address}: {user} can't read {name}"
            return Delivery(user, f"{home}/{name}")
    return None if dash else Delivery(user, f"{home}/Maildir/")


def _whose(tables: Tables, local: str) -> tuple[str, int, str, str, str]:
    """User, group, home, dash and extension."""
    lines = dict(line.split(":", 1) for line in tables.assignments())
    parts = ["=" + local, *("+" + local[:at] for at in range(len(local), -1, -1))]
    key = next((part for part in parts if part in lines), None)
    if key:
        user, _, gid, home, dash, ext, end = lines[key].split(":")
        assert end == ""
        return user, int(gid), home, dash, ext + (local[len(key) - 1 :] if key[0] == "+" else "")
    for cut in [len(local), *(at for at in range(len(local) - 1, -1, -1) if local[at] == "-")]:
        name = local[:cut]
        if tables.mailboxes.get(name, {}).get("kind") == "system":
            account = tables.accounts[name]
            return name, account.gid, account.home, local[cut : cut + 1], local[cut + 1 :]
    return "alias", tables.alias.gid, tables.alias.home, "-", local


def _names(dash: str, ext: str) -> list[str]:
    """The files that qmail-local looks for, in their order."""
    whole = not dash
    if whole and ext.startswith("-"):
        dash, ext = "-", ext[1:]
    ext = ext.replace(".", ":")
    names = [f".qmail{dash}{ext}"]
    if dash:
        cuts = [at for at in range(len(ext), 0, -1) if ext[at - 1] == "-"]
        names += [f".qmail{dash}{ext[:at]}default" for at in [*cuts, 0]]
    return names + [".qmail"] * whole
