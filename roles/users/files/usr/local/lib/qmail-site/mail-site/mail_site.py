#!/usr/bin/python3 -Es
# SPDX-License-Identifier: MIT
"""mail-site: what a site's declaration is on this host.

    mail-site list [WHAT]                   the mailboxes, with what they hold; or the declared addresses, lists,
                                            domains or routes
    mail-site show ADDRESS                  where mail for an address goes, and why
    mail-site passwd MAILBOX[/DEVICE]       set a password, which is read from standard input
    mail-site undeclared                    what of a site's kind is here and was not declared

Everything but `passwd` only looks. `show` follows an address through the files that qmail's programs look up, and tells
where these are otherwise than declared. The declaration is in /etc/qmail-site/declaration.json, as the last play has
left it. A password that is set here counts until another one is declared, and each play tells that it is another one.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mail_told
import password_overrides
from host_crypt import Crypt, CryptError
from mail_lookups import SMTP, Account, Lookups, LookupsError, Way, way, wider
from mail_told import day
from password_overrides import Override
from uid_register import Register, RegisterError
from whole_file import write

HOME = Path("/var/qmail")
DECLARATION = Path("/etc/qmail-site/declaration.json")
REGISTER = Path("/var/lib/qmail-site/uids")
CHECKPASSWORD = Path("/etc/checkpassword.conf")
POSTMASTER = "postmaster"  # RFC 5321, section 4.5.1: every domain has one
SHORTEST, LONGEST = 8, 200  # characters, bytes
LISTS = ("mailboxes", "addresses", "lists", "domains", "routes")
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


def listed(site: Site, what: str) -> Iterator[str]:
    """A line for each thing of a kind."""
    yield from mailboxes(site) if what == "mailboxes" else sorted(map(printable, mail_told.every(what, site.graph)))


def mailboxes(site: Site) -> Iterator[str]:
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


class Followed:
    """Mail for an address, followed through what qmail's programs look up: not what was declared, but what happens."""

    def __init__(self, site: Site, host: Lookups) -> None:
        """Nothing is followed yet."""
        self.site, self.host = site, host
        self.ends: set[str] = set()
        """Where it ends: mailboxes, and addresses elsewhere."""
        self._seen: set[tuple[object, ...]] = set()

    def lines(self, address: str, forwarded: bool = False) -> Iterator[str]:
        """A line for each step."""
        domain = address.rpartition("@")[2]
        local = self.host.local_part(address)
        if local is None:
            self.ends.add(address.lower())
            yield f"  {address}: {leaves(self.site, self.host, domain)}{self._sender(domain) if forwarded else ''}"
            return
        account = self.host.account(local)
        if account is None:
            yield f"  {address}: comes back (5.1.1): there is nobody here who would deliver it"
        elif (account, local) not in self._seen:
            self._seen.add((account, local))
            yield from self._delivered(address, account)

    def _sender(self, domain: str) -> str:
        """Whose name forwarded mail leaves in, as qmail-remote has it."""
        if not self.host.lines("srsdomain"):
            return "; its sender stays"
        return "; its sender stays" if self.host.receives(domain) else "; a sender from elsewhere is rewritten (SRS)"

    def _delivered(self, address: str, account: Account) -> Iterator[str]:
        found = self.host.instructions(account)
        if found is None:
            yield f"  {address}: comes back (5.1.1): {account.home} has no .qmail{account.dash}{account.ext} for it"
        elif found.file and account.home not in (HOME / "alias", HOME / "mailboxes"):
            self.ends.add(account.user)
            yield f"  {account.user}: by {found.file}, which is {account.user}'s own"
        else:
            for line in found.lines or ["./Maildir/"]:
                yield from self._obeyed(account, printable(line))

    def _obeyed(self, account: Account, line: str) -> Iterator[str]:
        """What one line of a dot-qmail file of root's does."""
        if line.startswith("|"):
            program, _, argument = line[1:].strip().partition(" ")
            if Path(program).name == "qmail-list":
                for member in file_lines(HOME / "users/lists" / Path(argument).name):
                    yield from self.lines(self._whole(member), forwarded=True)
            elif Path(program).name == "qmail-vacation":
                yield f"  {account.user}: senders are told that nobody is there until {self._back(account.user)}"
            else:
                yield f"  {account.user}: {line[1:].strip()} is run, as uid {account.uid}"
        elif line.startswith((".", "/")):
            self.ends.add(account.user)
            yield from self._kept(account, account.home / line)
        else:
            target = self._whole(line.removeprefix("&").strip())
            if account.home == HOME / "mailboxes":
                yield f"  {account.user}: forwarded to {target}"
            yield from self.lines(target, forwarded=True)

    def _whole(self, target: str) -> str:
        """An address of a dot-qmail file; its domain in small letters."""
        local, _, domain = (target if "@" in target else f"{target}@{self.site.graph['fqdn']}").rpartition("@")
        return f"{local}@{domain.lower()}"

    def _back(self, name: str) -> str:
        vacation = self.site.boxes.get(name, {}).get("vacation") or {}
        return day(vacation["until"]) if vacation.get("until") is not None else "further notice"

    def _kept(self, account: Account, path: Path) -> Iterator[str]:
        name = account.user
        quota = (self.host.table("users/quotas.cdb") or {}).get(str(account.uid).encode())
        place = Place(account.uid, path.parent)
        if not path.parent.is_dir():
            yield f"  {name}: its home {path.parent} is not on this host; run the play again"
            return
        limit = f", {held(place) or 'nothing counted yet'} of {size(int(quota))}" if quota else ""
        yield f"  {name}: {path}, as uid {account.uid}{limit}"
        there = self.site.place(name) if name in self.site.boxes else place
        if there and there != place:
            yield f"  but {name}'s home is {there.home}, of uid {there.uid}: run the play again"
        if self.site.boxes.get(name, {}).get("state") == "disabled":
            yield f"  {name}: disabled: mail comes, nobody can log in"


def leaves(site: Site, host: Lookups, domain: str) -> str:
    """By which way mail for a domain leaves, and because of what; and how else it was declared, if it was."""
    found = way(domain, host.lines)
    control = site.graph["control"]
    declared = way(domain, lambda name: control[name] if name in control else host.lines(name))
    routes = {route["to"].removeprefix("*"): route for route in site.graph["routes"]}
    key = next((key for key in [*wider(domain), ""] if key in routes), None)
    why = "" if key is None else f", because of the route to {routes[key]['to']}"
    what = site.domains.get(domain)
    if found.key == domain and what and what["kind"] == "relay" and key != domain:
        why = ", because of its relay_to"
    more = ""
    if (found.relay, found.port, found.tls) != (declared.relay, declared.port, declared.tls):
        more = f"; but it is declared to leave {way_words(declared)}: run the play again"
    elif key is not None and found.key in routes and found.password != bool(routes[found.key]["user"]):
        said = "none is" if found.password else "a password is"
        more = f"; but {said} declared: run the play again"
    return f"leaves {way_words(found)}{why}{more}"


def way_words(found: Way) -> str:
    """A way out in words."""
    port = f", port {found.port}"
    if not found.relay:
        how = f"by its MX records{port if found.port != SMTP else ''}"
        more = ", or as DANE and MTA-STS ask for" if found.tls in ("offered", "required") else ""
        return f"{how}, {mail_told.tls(found.tls)}{more}"
    bare = "" if set(".:") & set(found.relay) else " (asked for in the DNS as it stands)"
    return f"by {found.relay}{bare}{port}{', with a password' if found.password else ''}, {mail_told.tls(found.tls)}"


def shown(site: Site, asked: str) -> Iterator[str]:
    """Where mail for an address goes, step by step."""
    address = asked.lower()
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, site.graph["fqdn"]
        address = f"{local}@{domain}"
    host = Lookups(HOME)
    what = site.domains.get(domain)
    if domain in host.lines("srsdomain") and re.match(r"srs[01][=+-]", local):
        yield f"{address}: leads a bounce back to who has sent what was forwarded from here, for 21 days"
    elif not host.receives(domain):
        refused = (
            f"refused, 553: it is declared, but {HOME}/control/rcpthosts doesn't have {domain}: run the play again"
        )
        way_out = f"{domain} is not a domain of this site; its mail {leaves(site, host, domain)}"
        yield f"{address}: {refused if what else way_out}"
    elif what and what["kind"] == "relay" and host.local_part(address) is None:
        yield from passed_on(site, host, address, what)
    else:
        yield from found(site, host, address)


def passed_on(site: Site, host: Lookups, address: str, what: Mapping[str, Any]) -> Iterator[str]:
    """The same for an address of a domain that another host has."""
    local, _, domain = address.rpartition("@")
    declared = what["recipients"] is None or local in what["recipients"] or local == POSTMASTER
    known = host.knows(address)
    where = f"{domain} is passed on {mail_told.by_relay(what['relay_to'])}; its mail {leaves(site, host, domain)}"
    yield f"{address}: {'' if known else 'refused, 550 5.1.1: it has no such recipient; '}{where}"
    if known != declared:
        yield (
            f"  but it is {'' if declared else 'not '}one of the declared recipients, and "
            f"{HOME}/control/validrcptto.cdb {'has' if known else 'lacks'} it: run the play again"
        )


def claimed(site: Site, address: str) -> tuple[Mapping[str, Any] | None, str]:
    """What is declared of an address, and why it is there."""
    local, _, domain = address.rpartition("@")
    entry = site.addresses.get(address)
    if entry is not None:
        kinds = {"user": "it is a mailbox's own", "alias": "it is somebody's alias", "list": "it is a list"}
        kinds |= {"office": "it is one of mail_offices", "owner": "it is the owner of a list"}
        return entry, kinds.get(entry["why"], "it is declared")
    for cut in range(len(local) - 1, 0, -1):
        whole = site.addresses.get(f"{local[:cut]}@{domain}")
        if whole and whole.get({"+": "plus", "-": "dash"}.get(local[cut], "")):
            return whole, f"{local[cut:]} is an extension of {local[:cut]}@{domain}"
    caught = site.domains.get(domain, {}).get("catch_all")
    if caught:
        return {"to": caught, "why": "", "until": None}, f"{domain} has a catch-all"
    return None, ""


def found(site: Site, host: Lookups, address: str) -> Iterator[str]:
    """The same for an address of a domain whose mail stays here."""
    domain = address.rpartition("@")[2]
    entry, why = claimed(site, address)
    known, last = host.knows(address), host.words(address).get("until", "")
    if last.isdigit() and int(last) < today():
        yield f"{address}: refused, 550 5.1.1: its last day was {day(int(last))}"
        return
    if entry is None and not known:
        yield f"{address}: refused, 550 5.1.1: {domain} is this site's, and no such address is declared there"
        return
    followed = Followed(site, host)
    steps = list(followed.lines(address))
    if entry is None:
        yield f"{address} → {', '.join(sorted(followed.ends)) or 'nobody'}: it is accepted, though it isn't declared"
        yield from steps
        return
    yield f"{address} → {', '.join(entry['to'])}: {why}"
    if last.isdigit():
        yield f"  until {day(int(last))}"
    if address in site.lists:
        yield f"  {site.lists[address]['who_may_send']} may send; {site.lists[address]['owner']} owns it"
    yield from steps
    if not known:
        yield f"  but {HOME}/control/validrcptto.cdb doesn't know it, so it is refused: run the play again"
    if (str(entry["until"]) if entry["until"] is not None else "") != last:
        declared = "no last day" if entry["until"] is None else f"the last day {day(entry['until'])}"
        yield f"  but it is declared with {declared}: run the play again"
    wanted = ends(site, entry["to"])
    if missing := sorted(wanted - followed.ends):
        yield f"  but it is declared to lead to {', '.join(missing)}, too: run the play again"
    if more := sorted(followed.ends - wanted):
        yield f"  but it isn't declared to lead to {', '.join(more)}: run the play again"


def ends(site: Site, targets: Iterable[str], seen: frozenset[str] = frozenset()) -> set[str]:
    """Where targets are declared to end: mailboxes, and addresses elsewhere."""
    reached: set[str] = set()
    for target in targets:
        name = target.removesuffix(f"@{site.graph['fqdn']}")
        if target in seen:
            continue
        further = seen | {target}
        if target in site.lists:
            reached |= ends(site, site.lists[target]["members"], further)
        elif (box := site.boxes.get(target) or site.boxes.get(name)) is None:
            reached.add(target.lower())
        else:
            forward = box["forward"]
            reached |= ends(site, forward["to"], further) if forward else set()
            reached |= set() if forward and not forward["keep"] else {target if target in site.boxes else name}
    return reached


def today() -> int:
    """The day it is, in UTC, counted since 1970."""
    return (datetime.datetime.now(tz=datetime.UTC).date() - datetime.date(1970, 1, 1)).days


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


def file_lines(path: Path) -> list[str]:
    """The lines of a file of root's that are no comments."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [printable(line.strip()) for line in lines if line.strip() and not line.startswith("#")]


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
    lists = commands.add_parser("list", help="the mailboxes, with what they hold, or what else is declared")
    lists.add_argument("what", nargs="?", choices=LISTS, default=LISTS[0])
    commands.add_parser("show", help="where mail for an address goes, and why").add_argument("address")
    commands.add_parser("passwd", help="set a password, read from standard input").add_argument("mailbox")
    commands.add_parser("undeclared", help="what is here and was not declared")
    said = parser.parse_args(arguments)
    work: dict[str, Callable[[Site], Iterator[str]]] = {
        "list": lambda site: listed(site, said.what),
        "show": lambda site: shown(site, said.address),
        "passwd": lambda site: set_password(site, said.mailbox),
        "undeclared": undeclared,
    }
    try:
        for line in work[said.command](Site()):
            print(line)
    except (SiteError, LookupsError, CryptError, RegisterError) as error:
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
