# SPDX-License-Identifier: MIT
"""A site's variables, read into one form, with all that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .addresses import Book
from .domains import MX, domain_names, read_domains
from .lists import read_lists
from .loops import say_loops
from .people import read_people
from .routes import read_routes, read_senders
from .site import ABSENT, RELAY, SYSTEM, VIRTUAL, Mailbox, Site
from .words import Say, host_name_fault, is_list, is_local_part, kind, several, shown

# Below it uids are the system's, accounts' or, up to 65535, the init system's own.
_FIRST_UID, _LAST_UID = 65536, 2147483647
# Where others may write, or nothing stays.
_NO_HOMES = re.compile(r"/(tmp|var/tmp|dev|proc|sys|run|var/run|var/qmail|etc)(/|$)")
# How an account tells that the role users made it for a person; see roles/users/vars.
_PERSON = "mail user"
# Variables whose own control file would hide what is declared here, with those who make it.
_HIDDEN = {
    "smtproutes": "mail_routes or relay_to",
    "smtproutes_auth": "mail_routes",
    "tlsverifyhosts": "mail_routes",
    "tlsrequiredhosts": "mail_routes",
    "notlshosts": "mail_routes",
    "badmailfrom": "mail_senders",
    "goodmailfrom": "mail_senders",
    "locals": "mail_domains",
    "rcpthosts": "mail_domains",
}


def names_of(users: object, skip_absent: bool = True) -> list[str]:
    """The names in mail_users, as they are said."""
    said = [user for user in users if isinstance(user, Mapping)] if is_list(users) else []  # type: ignore[attr-defined]
    names = [user.get("name") for user in said if not (skip_absent and user.get("state") == ABSENT)]
    return [name for name in names if isinstance(name, str)]


def _postmaster(site: Mapping[str, Any], say: Say) -> str:
    name = site.get("mail_postmaster")
    if site.get("mail_users") and "mail_postmaster" in site:
        names = names_of(site["mail_users"])
        if name not in names:
            known = several(names) or "none"
            absent = " (state: absent)" if name in names_of(site["mail_users"], False) else ""
            say(f"mail_postmaster: {shown(name)}{absent} is not the name of one of mail_users ({known})")
    return str(name or "")


def _uids(site: Mapping[str, Any], found: Site, say: Say) -> None:
    said = site.get("mail_virtual_uids")
    if said is None:
        return
    if not isinstance(said, Mapping) or set(said) != {"first", "last"}:
        say("mail_virtual_uids: is not {first: ..., last: ...}, such as {first: 200000, last: 299999}")
        return
    try:
        first, last = int(said["first"]), int(said["last"])
    except (TypeError, ValueError):
        say("mail_virtual_uids: first and last are not both whole numbers")
        return
    if not _FIRST_UID <= first <= last <= _LAST_UID:
        say(f"mail_virtual_uids: {first} to {last} is not a range between {_FIRST_UID} and {_LAST_UID}")
        return
    found.first_uid, found.last_uid = first, last
    mailboxes = sum(box.kind == VIRTUAL for box in found.mailboxes.values())
    if mailboxes > last - first + 1:
        say(
            f"mail_virtual_uids: {first} to {last} are {last - first + 1}, and there are {mailboxes} virtual "
            "mailboxes; a uid is never given twice, so choose a range with room"
        )
    fields = [line.split(":") for line in str(site.get("passwd") or "").splitlines()]
    inside = [f"{each[0]} ({each[2]})" for each in fields if each[3:] and first <= _number(each[2]) <= last]
    if inside:
        say(f"mail_virtual_uids: accounts of this host are in it: {several(inside)}; choose a range without any")


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1


def _kinds_there(site: Mapping[str, Any]) -> dict[str, str]:
    """What kind of mailbox each name is on the host already: by the register, else by its account."""
    there: dict[str, str] = {}
    for line in str(site.get("passwd") or "").splitlines():
        fields = line.split(":")
        if fields[5:] and fields[4].split(",")[0] == _PERSON:
            there[fields[0]] = SYSTEM
    for line in str(site.get("uids") or "").splitlines():
        words = line.split()
        if len(words) >= 3:
            there[words[1]] = words[2]
    return there


def _changed_kinds(site: Mapping[str, Any], mailboxes: Mapping[str, Mailbox], say: Say) -> None:
    there = _kinds_there(site)
    for wanted, other in ((VIRTUAL, SYSTEM), (SYSTEM, VIRTUAL)):
        boxes = [n for n, box in mailboxes.items() if box.kind == wanted and box.state != ABSENT]
        if changed := [name for name in boxes if there.get(name) == other]:
            say(
                f"mail_users: {several(changed)}: {other} on this host already, and now declared {wanted}, where the "
                f"mail that is there would not be found; say mailbox: {other} for each (or mail_mailboxes: {other} for "
                "all), or give the new mailbox another name and the old one as an alias"
            )


def _password_database(site: Mapping[str, Any], mailboxes: Mapping[str, Mailbox], say: Say) -> None:
    if site.get("mail_password_database") != "/etc/shadow":
        return
    boxes = [box for box in mailboxes.values() if box.state != ABSENT]
    if virtual := [box.name for box in boxes if box.kind == VIRTUAL]:
        say(
            f"mail_password_database: /etc/shadow is for accounts of the host, and {several(virtual)} are virtual; "
            "leave it out to have a file of mail's own, or say mailbox: system"
        )
    if several_passwords := [box.name for box in boxes if box.devices and box.kind == SYSTEM]:
        say(
            f"mail_password_database: /etc/shadow has one password for each, and {several(several_passwords)} have "
            "password_hashes; leave it out to have a file of mail's own"
        )


def _homes(site: Mapping[str, Any], found: Site, say: Say) -> None:
    said = site.get("mail_virtual_homes")
    if said is None:
        return
    if not isinstance(said, str) or not re.fullmatch(r"/[!-9;-~]{1,60}", said) or "/../" in said + "/":
        say(f"mail_virtual_homes: {shown(said)} is not the absolute path of a directory, without blanks and colons")
    elif _NO_HOMES.match(said):
        say(f"mail_virtual_homes: {shown(said)} is no place for mail to stay; choose one such as /srv/mail")
    else:
        found.homes = said.rstrip("/")


def _offices(site: Mapping[str, Any]) -> list[str]:
    said = site.get("mail_offices")
    return [each for each in said if isinstance(each, str) and is_local_part(each)] if is_list(said) else []  # type: ignore[union-attr]


def _hidden(site: Mapping[str, Any], found: Site, book: Book, say: Say) -> None:
    control = site.get("qmail_control")
    if not isinstance(control, Mapping):
        control = {}
    relayed = any(domain.relay_to not in (None, MX) for domain in found.domains.values())
    own = [name for name in found.domains if book.kind(name) in (VIRTUAL, RELAY)]
    made = {
        "smtproutes": relayed or any(route.via for route in found.routes),
        "smtproutes_auth": any(route.user for route in found.routes),
        "tlsverifyhosts": any(route.tls == "verify" for route in found.routes),
        "tlsrequiredhosts": any(route.tls == "required" for route in found.routes),
        "notlshosts": any(route.tls == "never" for route in found.routes),
        "badmailfrom": bool(found.deny),
        "goodmailfrom": bool(found.allow),
        "locals": bool(own),
        "rcpthosts": bool(own),
    }
    if "qmail_recipients" in site and not site["qmail_recipients"] and own:
        say(
            f"qmail_recipients: is empty, so every address of {several(own)} would be accepted, too, and bounced "
            "later; leave it out, or declare no addresses of single domains"
        )
    for name, declared in made.items():
        if name in control and declared:
            say(f"qmail_control.{name}: would hide what {_HIDDEN[name]} says; say it there, and leave this one out")


def _legacy(site: Mapping[str, Any], found: Site, say: Say) -> None:
    said = site.get("qmail_virtualdomains")
    if not isinstance(said, Mapping):
        return
    found.legacy = {key: value for key, value in said.items() if isinstance(key, str) and isinstance(value, str)}
    for key in found.legacy:
        domain = found.domains.get(key.lower().rpartition("@")[2])
        if domain is not None and not domain.plain:
            say(
                f"qmail_virtualdomains[{shown(key)}]: {domain.where} says more than its name; say all of its addresses "
                "there, and leave this one out"
            )


def read(site: Mapping[str, Any], today: int | None, say: Say) -> tuple[Site, Book]:
    """The site in one form and its addresses. A variable that is not there is not judged, nor what depends on it."""
    fqdn = str(site.get("mail_fqdn") or "")
    found = Site(fqdn=fqdn.lower(), said_fqdn=fqdn)
    if "mail_domains" in site:
        found.domains = read_domains(site, today, say)
    if "mail_users" in site:
        found.mailboxes = read_people(site, today, say)
        found.spoiled = set(names_of(site["mail_users"])) - set(found.mailboxes)
    found.lists = read_lists(site, say)
    found.routes = read_routes(site, say)
    found.deny, found.allow, found.own_only = read_senders(site, say)
    found.offices = _offices(site)
    found.postmaster = _postmaster(site, say)
    more = site.get("qmail_more_recipients")
    found.extensions = [each.lower() for each in more if isinstance(each, str)] if is_list(more) else []  # type: ignore[union-attr]
    _legacy(site, found, say)
    _uids(site, found, say)
    _homes(site, found, say)
    _changed_kinds(site, found.mailboxes, say)
    _password_database(site, found.mailboxes, say)
    whole = "mail_domains" in site and "mail_users" in site
    book = Book(found, say if whole else _silent)
    if whole:
        _hidden(site, found, book, say)
        _own_name(found, say)
        _round_trips(found, say)
        book.say_faults(say)
        say_loops(book, say)
    return found, book


def _own_name(found: Site, say: Say) -> None:
    domain = found.domains.get(found.fqdn)
    if domain is not None and (domain.relay_to is not None or not domain.users):
        say(
            f"{domain.where}: is this host's own name (mail_fqdn), where its programs write to its users; leave "
            f"{'users' if domain.relay_to is None else 'relay_to'} out"
        )


def _round_trips(found: Site, say: Say) -> None:
    """A way out that leads back to this host's own port 25, or that no mail takes, since it is delivered here."""
    itself = f"{found.fqdn} is this host itself (mail_fqdn), so mail would go round; say another host"
    for domain in found.domains.values():
        if found.fqdn and (domain.relay_to or "").lower().removesuffix(":25") == found.fqdn:
            say(f"{domain.where}: relay_to: {itself}, or {MX}")
    for route in found.routes:
        if found.fqdn and route.via == found.fqdn and route.port in (None, 25):
            say(f"{route.where}: via: {itself}")
        own = found.domains.get(route.to)
        if own is not None and own.relay_to is None:
            say(
                f"{route.where}: mail for {route.to} is delivered here ({own.where}) and takes no route; say relay_to "
                "there, or take the route out"
            )


def _silent(_: str) -> None:
    pass


def faults(site: Mapping[str, Any], today: int | None = None) -> list[str]:
    """One sentence for each fault of a site's variables, each a variable of its kind.

    Args:
        site: values by variable; beside them `passwd` (what getent says) and `uids` (the register) of the host, and
            `inventory_dir`, where files with recipients are looked for.
        today: in days since 1970, to say what is over; None says nothing of it.
    """
    said: list[str] = []
    read(site, today, said.append)
    return said


__all__ = ["domain_names", "faults", "host_name_fault", "kind", "names_of", "read"]
