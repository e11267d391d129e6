# SPDX-License-Identifier: MIT
"""mail_lists: addresses whose mail goes to many, read into one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import forms
from .site import MailingList
from .words import Say, kind, shown

LIST_KEYS = ("address", "members", "owner", "who_may_send")
WHO = ("anyone", "members", "users", "owner")


def _list(where: str, said: Mapping[str, Any], say: Say) -> MailingList | None:
    address = said.get("address")
    if not isinstance(address, str) or "@" not in address:
        what = f"{shown(address)} is not an address" if address else "has no address"
        say(f"{where}: {what}; a list has one, such as team@example.org")
        found = ""
    else:
        found = forms.address(where, address, "the address", say)
    if found:
        where = f"{where} ({found})"
    forms.known_keys(where, said, LIST_KEYS, "a list", say)
    members = said.get("members")
    if not members:
        say(f"{where}: has no members; name some, or take the list out")
        members = []
    else:
        members = forms.targets(f"{where}: members", members, say)
    owner = said.get("owner")
    if not isinstance(owner, str) or not owner:
        say(f"{where}: has no owner; name the mailbox of who gets its bounces")
        owner = ""
    who = said.get("who_may_send", "members")
    if who not in WHO:
        say(f"{where}: who_may_send: {shown(who)} is none of {', '.join(WHO)}")
        who = "members"
    return MailingList(where, found, members, owner.lower(), str(who)) if found else None


def read_lists(site: Mapping[str, Any], say: Say) -> dict[str, MailingList]:
    """The lists by address."""
    found: dict[str, MailingList] = {}
    for index, said in enumerate(site.get("mail_lists") or []):
        where = f"mail_lists[{index}]"
        if not isinstance(said, Mapping):
            say(f"{where}: is {kind(said)}, not a mapping with {', '.join(LIST_KEYS)}")
        elif each := _list(where, said, say):
            if each.address in found:
                say(f"{where}: {shown(each.address)} is already {found[each.address].where}")
            else:
                found[each.address] = each
    return found
