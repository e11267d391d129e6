#!/usr/bin/python3 -Es
# SPDX-License-Identifier: MIT
"""mail-site: what a site's declaration is on this host.

    mail-site list                          the mailboxes, with what they hold
    mail-site show ADDRESS                  where mail for an address goes, and why
    mail-site passwd MAILBOX[/DEVICE]       set a password, which is read from standard input
    mail-site undeclared                    what of a site's kind is here and was not declared

Everything but `passwd` only looks. A password that is set here counts until another one is declared, and each play
tells that it is another one than the declared. The declaration is in /etc/qmail-site/declaration.json, as the last play
has left it; what qmail's programs look up is compared with it.
"""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import os
import pwd
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import password_overrides
from constant_database import records
from host_crypt import Crypt, CryptError
from password_overrides import Override
from uid_register import Register, RegisterError
from whole_file import write

HOME = Path("/var/qmail")
DECLARATION = Path("/etc/qmail-site/declaration.json")
REGISTER = Path("/var/lib/qmail-site/uids")
CHECKPASSWORD = Path("/etc/checkpassword.conf")
SHORTEST, LONGEST = 8, 200  # characters, bytes
PEOPLE = "mail user"  # the comment of accounts that a play made for people


class SiteError(Exception):
    """What can't be done; the text says what to do."""


@dataclass(frozen=True)
class Place:
    """Whose a mailbox is on this host."""

    uid: int
    home: Path


class Site:
    """The declaration, and what the host has of it."""

    def __init__(self) -> None:
        """Read it."""
        try:
            self.graph: dict[str, Any] = json.loads(DECLARATION.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SiteError(f"there is no {DECLARATION}: no play has declared this host's mail yet") from None
        except ValueError as error:
            raise SiteError(f"{DECLARATION} is not whole ({error}); run the play again") from None
        self.boxes: Mapping[str, Any] = self.graph["mailboxes"]
        self.addresses: Mapping[str, Any] = self.graph["addresses"]
        self.domains: Mapping[str, Any] = self.graph["domains"]
        self.lists: Mapping[str, Any] = self.graph["lists"]

    def place(self, name: str) -> Place | None:
        """Where a mailbox is; None where the host has none of that name."""
        if self.boxes[name]["kind"] == "virtual":
            home = Path(self.graph["homes"]) / name
            return Place(home.stat().st_uid, home) if home.is_dir() else None
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return Place(entry.pw_uid, Path(entry.pw_dir))


def held(place: Place | None) -> str:
    """How much is in a Maildir, as its quota counts it; empty where nobody counts."""
    if place is None:
        return ""
    try:
        fd = os.open(place.home / "Maildir" / "maildirsize", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
        rows = re.findall(r"(?m)^\s*(-?\d{1,18})\s+(-?\d{1,18})\s*$", file.read(65536))
    return size(sum(int(row[0]) for row in rows))


def size(number: int) -> str:
    """Bytes as people say them."""
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def listed(site: Site) -> Iterator[str]:
    """A line for each mailbox."""
    width = max((len(name) for name in site.boxes), default=0)
    for name, box in sorted(site.boxes.items()):
        place = site.place(name)
        words = [box["kind"], box["state"]]
        if box["quota"]:
            words.append(f"{held(place) or 'nothing counted yet'} of {size(box['quota'])}")
        words.append(f"uid {place.uid}, {place.home}" if place else "not on this host")
        words += [f"forwarded to {', '.join(box['forward']['to'])}"] if box["forward"] else []
        words += ["vacation"] if box["vacation"] else []
        words += [f"passwords {', '.join(sorted(box['devices']))}"] if box["devices"] else []
        yield f"{name:{width}}  {'; '.join(words)}"


# --- where an address goes ---


def answers(file: str, key: str) -> bytes | None:
    """What a database that qmail's programs look up says."""
    try:
        data = (HOME / file).read_bytes()
    except FileNotFoundError:
        return None
    return next((value for name, value in records(data) if name == key.encode()), None)


def accepted(address: str) -> bool:
    """Does qmail-smtpd know the recipient (validrcptto.cdb)? As it looks up: itself, extensions, the whole domain."""
    table = "control/validrcptto.cdb"
    local, _, domain = address.rpartition("@")
    if not (HOME / table).exists():
        return True
    cuts = [at + 1 for at, letter in enumerate(local) if letter in "+-"]
    keys = [address, *(f"{local[:at]}@{domain}" for at in reversed(cuts)), f"@{domain}"]
    return any(answers(table, key) is not None for key in keys)


def shown(site: Site, asked: str) -> Iterator[str]:
    """Where mail for an address goes, step by step."""
    address = asked.lower()
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, site.graph["fqdn"]
        address = f"{local}@{domain}"
    what = site.domains.get(domain)
    if what is None:
        yield f"{address}: {domain} is not a domain of this site; mail for it leaves the host"
        return
    if what["kind"] == "relay":
        known = what["recipients"] is None or local in what["recipients"]
        where = what["relay_to"] or "its own mail exchangers"
        yield (
            f"{address}: {domain} is passed on to {where}"
            if known
            else (f"{address}: refused, 550 5.1.1: {domain} is passed on to {where}, which has no {local} (recipients)")
        )
        return
    yield from found(site, address, local, domain, what)
    if not accepted(address) and (address in site.addresses or what["catch_all"]):
        yield f"  but {HOME}/control/validrcptto.cdb doesn't know it, so it is refused: run the play again"


def found(site: Site, address: str, local: str, domain: str, what: Mapping[str, Any]) -> Iterator[str]:
    """The same for an address of a domain whose mail stays here."""
    entry, why, extension = site.addresses.get(address), "it is declared", None
    for at in reversed(range(1, len(local))) if entry is None else ():
        whole = site.addresses.get(f"{local[:at]}@{domain}", {})
        if entry is None and whole.get({"+": "plus", "-": "dash"}.get(local[at])):
            entry, why, extension = whole, f"{local[at:]} is an extension of {local[:at]}@{domain}", local[at + 1 :]
    if entry is None and what["catch_all"]:
        entry, why = {"to": what["catch_all"], "why": ""}, f"{domain} has a catch-all"
    if entry is None:
        yield f"{address}: refused, 550 5.1.1: {domain} is this site's, and no such address is declared there"
        return
    kinds = {"user": "it is a mailbox's own", "alias": "it is somebody's alias", "office": "it is one of mail_offices"}
    kinds |= {"list": "it is a list", "owner": "it is the owner of a list"}
    yield f"{address} → {', '.join(entry['to'])}: {kinds.get(entry['why'], why) if why == 'it is declared' else why}"
    if entry.get("until") is not None:
        yield f"  until {day(entry['until'])}"
    if address in site.lists:
        yield f"  {site.lists[address]['who_may_send']} may send; {site.lists[address]['owner']} owns it"
    for target in entry["to"]:
        yield from ended(site, target, extension)


def own_file(home: Path, extension: str | None) -> Path | None:
    """What a user says in his home of an extension, or without one of his mail; as qmail-local looks for it."""
    names = [".qmail"]
    if extension is not None:
        text = extension.replace(".", ":")
        cuts = [at for at in range(len(text), 0, -1) if text[at - 1] == "-"]
        names = [f".qmail-{text}", *(f".qmail-{text[:at]}default" for at in [*cuts, 0]), *names]
    return next((home / name for name in names if os.path.lexists(home / name)), None)


def ended(site: Site, target: str, extension: str | None) -> Iterator[str]:
    """What becomes of mail for one target, or for an extension of it."""
    box = site.boxes.get(target)
    if box is None:
        yield f"  {target}: elsewhere; it is forwarded, with its sender rewritten"
        return
    place = site.place(target)
    if not place:
        yield f"  {target}: its home is not on this host; run the play again"
        return
    own = None if box["forward"] or box["vacation"] else own_file(place.home, extension)
    if own:
        yield f"  {target}: as {printable(str(own))} says, as uid {place.uid}"
    elif not box["forward"] or box["forward"]["keep"]:
        limit = f", {held(place) or 'nothing counted yet'} of {size(box['quota'])}" if box["quota"] else ""
        yield f"  {target}: {place.home}/Maildir, as uid {place.uid}{limit}"
    if box["forward"]:
        yield f"  {target}: forwarded to {', '.join(box['forward']['to'])}"
    if box["vacation"]:
        until = box["vacation"].get("until")
        last = "further notice" if until is None else day(until)
        yield f"  {target}: senders are told that nobody is there until {last}"
    if box["state"] == "disabled":
        yield f"  {target}: disabled: mail comes, nobody can log in"


def day(number: int) -> str:
    """A number of days since 1970 as a date."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=number)).isoformat()


# --- passwords ---


def set_password(site: Site, name: str) -> Iterator[str]:
    """Take a password from standard input, and put it in force."""
    box, _, device = name.partition("/")
    if box not in site.boxes or site.boxes[box]["state"] == "absent":
        raise SiteError(
            f"{box!r} is none of this site's mailboxes; `mail-site list` shows them, and `mail-site show` where an "
            "alias leads"
        )
    if device and device not in site.boxes[box]["devices"]:
        devices = ", ".join(sorted(site.boxes[box]["devices"])) or "none"
        raise SiteError(f"{box} has no password named {device!r} ({devices}); declare it in password_hashes")
    database = password_database()
    if database == Path("/etc/shadow"):
        raise SiteError(f"the passwords of this site are the accounts' own: passwd {box}")
    new = Crypt().new(asked_password(name).encode())
    with password_overrides.alone():
        lines = database.read_text(encoding="utf-8").splitlines()
        fields = [line.split(":") for line in lines]
        own = next((field for field in fields if field[0] == name and len(field) > 1), None)
        if own is None:
            raise SiteError(f"{name} is not in {database}; run the play again")
        overrides = password_overrides.read()
        former = overrides[name].former if name in overrides else own[1].removeprefix("!")
        locked = "!" if own[1].startswith("!") else ""
        own[1] = locked + new
        # First what says that it is meant, so that a play between the two takes it for no drift.
        password_overrides.save(overrides | {name: Override(new, former)})
        write(database, "".join(":".join(field) + "\n" for field in fields).encode(), password_overrides.MODE)
    yield f"{name} has another password now, until another one is declared" + (
        "; it is still disabled" if locked else ""
    )


def asked_password(name: str) -> str:
    """One line of standard input; who sits at a terminal is asked twice."""
    if sys.stdin.isatty():
        text = getpass.getpass(f"new password of {name}: ")
        if text != getpass.getpass("once more: "):
            raise SiteError("these are two passwords; nothing is changed")
    else:
        text = sys.stdin.readline().removesuffix("\n")
    if len(text) < SHORTEST or len(text.encode(errors="surrogateescape")) > LONGEST or not text.isprintable():
        raise SiteError(
            f"a password has {SHORTEST} characters to {LONGEST} bytes and no control characters; nothing is changed. "
            "Make one with `openssl rand -base64 15`"
        )
    return text


def password_database() -> Path:
    """Where the hashes are."""
    found = re.search(r"(?m)^database\s+(/\S+)\s*$", CHECKPASSWORD.read_text(encoding="utf-8"))
    if not found:
        raise SiteError(f"{CHECKPASSWORD} names no database; run the play again")
    return Path(found[1])


# --- what nobody declared ---


def undeclared(site: Site) -> Iterator[str]:
    """What is here of a kind that the site declares, and isn't declared; nothing is wrong with it by that."""
    present = {name for name, box in site.boxes.items() if box["state"] != "absent"}
    homes = Path(site.graph["homes"])
    for home in sorted(homes.iterdir()) if homes.is_dir() else []:
        if home.name not in present:
            yield f"{home}: the mail of {printable(home.name)}, who is not declared (any more)"
    for entry in pwd.getpwall():
        if entry.pw_gecos == PEOPLE and entry.pw_name not in present:
            yield f"account {entry.pw_name} ({entry.pw_dir}): was made for somebody who is not declared any more"
    aliases = HOME / "alias"
    for path in sorted(aliases.glob(".qmail*")) if aliases.is_dir() else []:
        if not first_line(path).startswith("# Written by qmail-site"):
            yield f"{aliases}/{printable(path.name)}: an address that is not declared"
    register = Register.read(REGISTER)
    for name in sorted(password_overrides.read()):
        yield f"password of {name}: was set on this host"
    for entry in register.entries if register else []:
        if not entry.retired and entry.name not in present:
            yield f"uid {entry.uid}: kept for {entry.name} ({entry.kind}, {entry.date})"


def first_line(path: Path) -> str:
    """The first line of a file, whatever it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        return file.readline(256).decode(errors="replace")


def printable(name: str) -> str:
    """A name that somebody else chose, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in name)


def main(arguments: list[str]) -> int:
    """Do what is asked; 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(
        prog="mail-site", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="{list,show,passwd,undeclared}")
    commands.add_parser("list", help="the mailboxes, with what they hold")
    commands.add_parser("show", help="where mail for an address goes, and why").add_argument("address")
    commands.add_parser("passwd", help="set a password, read from standard input").add_argument("mailbox")
    commands.add_parser("undeclared", help="what is here and was not declared")
    said = parser.parse_args(arguments)
    work: dict[str, Callable[[Site], Iterator[str]]] = {
        "list": listed,
        "show": lambda site: shown(site, said.address),
        "passwd": lambda site: set_password(site, said.mailbox),
        "undeclared": undeclared,
    }
    try:
        for line in work[said.command](Site()):
            print(line)
    except (SiteError, CryptError, RegisterError) as error:
        print(f"mail-site: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"mail-site: {error.filename}: {error.strerror}; it takes root", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"mail-site: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
