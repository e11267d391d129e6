# SPDX-License-Identifier: MIT
"""mail_users: the people and their mailboxes, read into one form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import forms
from .passwords import password_or_hash
from .site import ABSENT, DISABLED, PRESENT, SYSTEM, VIRTUAL, Alias, Device, Mailbox
from .words import Say, host_name_fault, is_list, is_local_part, is_outside, kind, shown

USER_KEYS = (
    "name", "mailbox", "password_hash", "password", "password_hashes", "aliases", "forward", "vacation", "quota",
    "state", "keep_mail", "send_as", "spam", "plus", "dash",
)  # fmt: skip
SERVICES = ("smtp", "pop3", "imap")
DEVICES_MOST = 8
# Below it a single message with an attachment fills the mailbox.
QUOTA_LEAST = 1 << 20
_DEVICE = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
# useradd(8) on Debian, less the upper case that qmail would fold away.
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]*")
# Such a name is a directory's and a file's, with more around it.
_NAME_MOST = 200
# Names that the host or the suite itself uses.
_TAKEN = frozenset({
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data",
    "backup", "list", "irc", "nobody", "sshd", "messagebus", "_apt", "alias", "qmaild", "qmaill", "qmailp", "qmailpop",
    "qmailq", "qmailr", "qmails",
})  # fmt: skip
_VACATION_KEYS = ("subject", "text", "from", "until")


def _plain_name(where: str, name: str, is_virtual: bool, say: Say) -> bool:
    if is_virtual:
        if not is_local_part(name) or name[0] in "-+":
            say(
                f"{where}: {shown(name)} is not the name of a mailbox (small letters, digits and . _ + -, no - or + in "
                "front, at most 64; or such a name with @ and a domain)"
            )
        elif name == "default" or name.endswith("-default"):
            forms.local_part(where, name, "the name", say)
        elif name in _TAKEN:
            say(f"{where}: the name {shown(name)} belongs to the system")
        else:
            return True
    elif len(name) > 32:
        say(
            f"{where}: the name {shown(name)} has {len(name)} characters; 32 is the most for an account; a mailbox "
            "that is virtual may have 64"
        )
    elif not _USER_NAME.fullmatch(name):
        say(f"{where}: {shown(name)} is not a user name (small letters, digits, - and _, and no digit or - in front)")
    elif name in _TAKEN:
        say(f"{where}: the name {shown(name)} belongs to the system")
    else:
        return True
    return False


def _name(where: str, name: object, is_virtual: bool, say: Say) -> str:
    """The name of a mailbox; empty where there is none."""
    if not isinstance(name, str) or not name:
        say(f"{where}: has no name")
        return ""
    if "@" not in name:
        return name if _plain_name(where, name, is_virtual, say) else ""
    found = forms.address(where, name, "the name", say)
    if found and (found != name or found[0] in "-+"):
        say(f"{where}: {shown(name)} is not the name of a mailbox; write it in small letters, and no - or + in front")
        return ""
    if len(found) > _NAME_MOST:
        say(f"{where}: the name {shown(name)} has {len(name)} characters; {_NAME_MOST} is the most")
        return ""
    return found


def _alias(where: str, value: object, today: int | None, say: Say) -> Alias | None:
    until = None
    if isinstance(value, Mapping):
        forms.known_keys(f"{where}: an alias", value, ("name", "until"), "it", say)
        name = value.get("name")
        if value.get("until") is not None:
            until = forms.last_day(f"{where}: the alias {shown(name)}: until", value["until"], today, say)
        value = name
    if not isinstance(value, str):
        say(f"{where}: an alias is {kind(value)}, not a local part")
        return None
    if "@" in value:
        value = forms.address(where, value, "the alias", say)
        return Alias(value, until) if value else None
    if not is_local_part(value):
        say(
            f"{where}: the alias {shown(value)} is not a local part (what stands before the @, in small letters, "
            "digits and . _ + -, at most 64)"
        )
        return None
    return Alias(value, until)


def _aliases(where: str, value: object, today: int | None, say: Say) -> list[Alias]:
    if not isinstance(value, Sequence) or not is_list(value):
        say(f"{where}: aliases: is {kind(value)}, not a list")
        return []
    return [alias for each in value if (alias := _alias(where, each, today, say))]


def _device(where: str, name: object, said: object, owner: object, today: int | None, say: Say) -> Device:
    where = f"{where}: password_hashes.{name if isinstance(name, str) and _DEVICE.fullmatch(name) else '?'}"
    if not isinstance(name, str) or not _DEVICE.fullmatch(name):
        say(f"{where}: {shown(name)} is not a device's name (small letters, digits, - and _, at most 31)")
    if not isinstance(said, Mapping):
        password_or_hash(where, {"hash": said}, (owner, name), "hash", say)
        return Device([])
    forms.known_keys(where, said, ("hash", "password", "services", "until"), "it", say)
    password_or_hash(where, said, (owner, name), "hash", say)
    services: list[str] = []
    if said.get("services") is not None:
        services = forms.texts(f"{where}: services", said["services"], "a service", say)
        if not services and said["services"] in ([], ""):
            say(f"{where}: services: is empty, so it would open nothing; take the device out, or leave services out")
        for service in services:
            if service not in SERVICES:
                say(f"{where}: services: {shown(service)} is none of {', '.join(SERVICES)}")
    until = said.get("until")
    return Device(services, None if until is None else forms.last_day(f"{where}: until", until, today, say))


def _devices(where: str, user: Mapping[str, Any], today: int | None, say: Say) -> dict[str, Device]:
    said = user.get("password_hashes")
    if said is None:
        return {}
    if not isinstance(said, Mapping) or not said:
        what = "empty" if isinstance(said, Mapping) else kind(said)
        say(f"{where}: password_hashes: is {what}, not a mapping of device to hash, such as phone: $y$...")
        return {}
    if len(said) > DEVICES_MOST:
        say(f"{where}: password_hashes: has {len(said)} devices; {DEVICES_MOST} is the most")
    return {str(name): _device(where, name, each, user.get("name"), today, say) for name, each in said.items()}


def _forward(where: str, said: object, say: Say) -> tuple[list[str], bool]:
    where += ": forward"
    if not isinstance(said, Mapping):
        return forms.targets(where, said, say), False
    forms.known_keys(where, said, ("to", "keep"), "it", say)
    keep = "keep" in said and forms.flag(f"{where}.keep", said["keep"], say)
    return forms.targets(f"{where}.to", said.get("to"), say), keep


def _vacation(where: str, said: object, today: int | None, say: Say) -> dict[str, Any] | None:
    where += ": vacation"
    if not isinstance(said, Mapping):
        say(f"{where}: is {kind(said)}, not a mapping with {', '.join(_VACATION_KEYS)}")
        return None
    forms.known_keys(where, said, _VACATION_KEYS, "it", say)
    text, subject = said.get("text"), said.get("subject")
    if not isinstance(text, str) or not text.strip():
        say(f"{where}: has no text; say what the answer shall be")
    elif len(text.encode(errors="replace")) > 65536 or "\0" in text:
        say(f"{where}: text has a NUL character, or more than 65536 bytes")
    if subject is not None and (not isinstance(subject, str) or not subject.isprintable() or len(subject) > 200):
        say(f"{where}: subject is not one line of at most 200 characters")
    first = forms.day(f"{where}.from", said["from"], say) if said.get("from") is not None else None
    last = forms.last_day(f"{where}.until", said["until"], today, say) if said.get("until") is not None else None
    if first is not None and last is not None and last < first:
        say(f"{where}: ends before it begins; exchange from and until")
    return {"subject": subject, "text": text, "from": first, "until": last}


def _spam(where: str, said: object, say: Say) -> float | bool | None:
    where += ": spam"
    if said is False:
        return False
    value = said.get("threshold") if isinstance(said, Mapping) else None
    if isinstance(said, Mapping):
        forms.known_keys(where, said, ("threshold",), "it", say)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -999 <= value <= 999:
        say(f"{where}: is neither {{threshold: POINTS}} (-999 to 999) nor false, which is without the filter")
        return None
    return float(value)


def _send_as(where: str, said: object, say: Say) -> list[str]:
    where += ": send_as"
    found = []
    for each in forms.texts(where, said, 'an address, @domain, or "*"', say):
        local, _, domain = each.rpartition("@")
        if each != "*" and (not each.count("@") or (local and not is_outside(each))):
            say(f'{where}: {shown(each)} is not an address, nor @domain, nor "*" for any')
        elif each != "*" and (fault := host_name_fault(domain)):
            say(f"{where}: {shown(each)} is not an address ({fault})")
        else:
            found.append(each.lower())
    return found


def _kind(where: str, user: Mapping[str, Any], default: str, say: Say) -> str:
    said = user.get("mailbox")
    at = "@" in str(user.get("name"))
    if said not in (None, SYSTEM, VIRTUAL):
        say(f"{where}: mailbox: {shown(said)} is none of {SYSTEM}, {VIRTUAL}")
    elif said == SYSTEM and at:
        say(f"{where}: mailbox: system is for accounts of the host, which have no @ in their name; leave mailbox out")
    return VIRTUAL if at else str(said if said in (SYSTEM, VIRTUAL) else default)


class Defaults:
    """What holds for a mailbox that says nothing of it."""

    def __init__(self, site: Mapping[str, Any]) -> None:
        """Read what a site says for all."""
        self.kind = str(site.get("mail_mailboxes") or SYSTEM)
        self.plus = site.get("mail_plus_addressing") is True
        self.dash = site.get("mail_dash_addressing") is True


def _mailbox(index: int, user: Mapping[str, Any], defaults: Defaults, today: int | None, say: Say) -> Mailbox | None:
    where = f"mail_users[{index}]"
    box = Mailbox(where, "", _kind(where, user, defaults.kind, say), plus=defaults.plus, dash=defaults.dash)
    box.name = _name(where, user.get("name"), box.kind == VIRTUAL, say)
    if box.name:
        box.where = where = f"{where} ({box.name})"
    if "state" in user:
        box.state = str(user["state"])
        if user["state"] not in (PRESENT, DISABLED, ABSENT):
            say(f"{where}: state: {shown(user['state'])} is none of {PRESENT}, {DISABLED}, {ABSENT}")
            box.state = PRESENT
    if "keep_mail" in user:
        box.keep_mail = forms.flag(f"{where}: keep_mail", user["keep_mail"], say)
        if box.state != ABSENT:
            say(f"{where}: keep_mail is for state: absent; leave it out")
    forms.known_keys(where, user, USER_KEYS, "a user", say)
    if box.state == ABSENT:
        return box if box.name else None
    has_one = user.get("password_hash") is not None or "password" in user
    if has_one or ("password_hashes" not in user and box.state == PRESENT):
        password_or_hash(where, user, (user.get("name"),), "password_hash", say)
    _rest(box, user, today, say)
    return box if box.name else None


def _rest(box: Mailbox, user: Mapping[str, Any], today: int | None, say: Say) -> None:
    """What most people have nothing of."""
    where = box.where
    if "aliases" in user:
        box.aliases = _aliases(where, user["aliases"], today, say)
    box.devices = _devices(where, user, today, say)
    if user.get("forward") is not None:
        box.forward, box.keep = _forward(where, user["forward"], say)
    if user.get("vacation") is not None:
        box.vacation = _vacation(where, user["vacation"], today, say)
    if user.get("quota") is not None:
        box.quota = forms.size(f"{where}: quota", user["quota"], QUOTA_LEAST, say)
    if user.get("send_as") is not None:
        box.send_as = _send_as(where, user["send_as"], say)
    if user.get("spam") is not None:
        box.spam = _spam(where, user["spam"], say)
    if "plus" in user:
        box.plus = forms.flag(f"{where}: plus", user["plus"], say)
    if "dash" in user:
        box.dash = forms.flag(f"{where}: dash", user["dash"], say)


def read_people(site: Mapping[str, Any], today: int | None, say: Say) -> dict[str, Mailbox]:
    """The mailboxes by name; of those with a name that is none, and of a second one of a name, only the sentence."""
    users = site.get("mail_users")
    if not users:
        say("mail_users: is empty; name at least one user, who then gets the postmaster's mail")
        return {}
    defaults = Defaults(site)
    found: dict[str, Mailbox] = {}
    places: dict[str, int] = {}
    for index, user in enumerate(users):
        if not isinstance(user, Mapping):
            say(f"mail_users[{index}]: is {kind(user)}, not a mapping with name and password_hash")
            continue
        box = _mailbox(index, user, defaults, today, say)
        if box is None:
            continue
        if box.name in found:
            say(f"{box.where}: the name {shown(box.name)} is already that of mail_users[{places[box.name]}]")
            continue
        found[box.name] = box
        places[box.name] = index
    return found
