# SPDX-License-Identifier: MIT
"""A Postfix that is there already: main.cf and the tables that are text beside their compiled form, and passwd."""

from __future__ import annotations

import re
from pathlib import Path

from .found import Found, Mailbox
from .people import people
from .texts import aliases, postfix_map, read

DIRECTORY = "etc/postfix"
TEXT_KINDS = ("hash", "btree", "lmdb", "texthash", "cdb", "dbm")


class Postfix:
    """One installation below ROOT."""

    def __init__(self, root: Path) -> None:
        """Read main.cf."""
        self.root = root
        self.found = Found("postfix")
        self.settings = main_cf(read(root / DIRECTORY / "main.cf"))

    def words(self, name: str) -> list[str]:
        """A setting's words, with $names in them replaced."""
        return [word for word in re.split(r"[,\s]+", self.value(name)) if word]

    def value(self, name: str, depth: int = 0) -> str:
        """A setting."""
        text = self.settings.get(name, "")
        if depth > 10:
            return ""
        return re.sub(r"\$[{(]?(\w+)[)}]?", lambda use: self.value(use[1], depth + 1), text)

    def tables(self, name: str) -> list[tuple[str, list[str]]]:
        """What a setting's tables say; those that are no text are noted."""
        rows: list[tuple[str, list[str]]] = []
        for word in self.words(name):
            kind, colon, path = word.partition(":")
            if colon and kind in TEXT_KINDS:
                rows += postfix_map(read(self.root / path.lstrip("/")))
            elif colon:
                self.found.note(
                    f"{name}: {kind}:{path} is no table that can be read here; say in variables what it says"
                )
        return rows

    def names(self, name: str) -> list[str]:
        """The domains of a setting, those in tables too."""
        plain = [word.lower() for word in self.words(name) if ":" not in word and not word.startswith("/")]
        return plain + [key.lower() for key, _ in self.tables(name)]

    def look(self) -> Found:
        """Read all of it."""
        found = self.found
        found.fqdn = self.value("myhostname")
        people(self.root, found)
        for name in self.names("mydestination"):
            if "." in name and name != found.fqdn.lower() and not name.startswith("localhost."):
                found.domain(name).users = True
        for name in [*self.names("virtual_alias_domains"), *self.names("virtual_mailbox_domains")]:
            found.domain(name)
        self.mailboxes()
        self.virtual()
        self.local_aliases()
        self.passed_on()
        return found

    def mailboxes(self) -> None:
        """Take in virtual mailboxes; where their passwords are, Postfix doesn't know."""
        base = self.value("virtual_mailbox_base").rstrip("/")
        for key, value in self.tables("virtual_mailbox_maps"):
            local, at, domain = key.lower().rpartition("@")
            if not at or not value:
                continue
            place = f"{base}/{value[0]}"
            if not local:
                self.found.note(f"virtual_mailbox_maps: {key} takes every address of {domain}; say whose they are")
                continue
            self.found.domain(domain)
            name = f"{local}@{domain}"
            self.found.mailboxes[name] = Mailbox(name, "virtual", place.rstrip("/") if place.endswith("/") else "")
            if not place.endswith("/"):
                self.found.note(f"{name}: its mail is an mbox ({place}), which has to be converted")
        if any(box.kind == "virtual" for box in self.found.mailboxes.values()):
            self.found.note(
                "passwords of virtual mailboxes are where the POP3 or IMAP server has them; say each one's hash"
            )

    def virtual(self) -> None:
        """Take in virtual(5)."""
        for key, to in self.tables("virtual_alias_maps"):
            local, at, domain = key.lower().rpartition("@")
            if not at:
                self.found.note(f"virtual_alias_maps: {key} leads to {', '.join(to)}" if to else "")
            elif not local:
                self.found.domain(domain).catch_all = to
            elif to != [key.lower()]:
                self.found.address(domain, local, to, "virtual_alias_maps")
        if "" in self.found.notes:
            self.found.notes.remove("")

    def local_aliases(self) -> None:
        """Take in aliases(5), for every domain whose people are the host's accounts."""
        for word in self.words("alias_maps"):
            kind, _, path = word.partition(":")
            rows = aliases(read(self.root / path.lstrip("/"))) if kind in TEXT_KINDS else []
            for name, to in rows:
                if any(each[0] in '|/":' for each in to):
                    self.found.note(f"{path}: {name} runs a program, or writes or reads a file; see what it is for")
                    continue
                owner = self.found.mailboxes.get(to[0]) if len(to) == 1 else None
                if owner:
                    owner.aliases.append(name.lower())
                elif to and name.lower() not in ("postmaster", "mailer-daemon", "root", "abuse"):
                    for domain in [each.name for each in self.found.domains.values() if each.users]:
                        self.found.address(domain, name, to, path)

    def passed_on(self) -> None:
        """Take in relay_domains, transports and relayhost."""
        transports = {key.lower(): value[0] for key, value in self.tables("transport_maps") if value}
        recipients: dict[str, list[str]] = {}
        for key, _ in self.tables("relay_recipient_maps"):
            local, at, whose = key.lower().rpartition("@")
            if at and local:
                recipients.setdefault(whose, []).append(local)
        for name in self.names("relay_domains"):
            if name in self.found.domains:
                continue
            domain = self.found.domain(name)
            to = hop(next_hop(transports.pop(name, "")))
            domain.relay_to = ":".join(str(part) for part in to.values()) or "mx"
            domain.recipients = sorted(recipients[name]) if name in recipients else None
            if domain.recipients is None:
                self.found.note(
                    f"{name}: mail for every local part is passed on; say its recipients, so that none is bounced"
                )
        for key, transport in transports.items():
            via = next_hop(transport)
            if via and key not in self.found.domains:
                self.found.routes.append({"to": key} | hop(via))
        relay = self.value("relayhost")
        if relay:
            self.found.routes.append({"to": "*"} | hop(relay))
            if self.words("smtp_sasl_password_maps"):
                self.found.note(
                    f"relayhost: {relay} wants a password; say user and password (from the vault) in mail_routes"
                )


def main_cf(text: str) -> dict[str, str]:
    """main.cf: `name = value`, continued by lines that begin with a blank; the last one counts (postconf(5))."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t":
            found[name] = f"{found.get(name, '')} {line.strip()}"
            continue
        name, _, value = (part.strip() for part in line.partition("="))
        found[name] = value
    return found


def next_hop(transport: str) -> str:
    """Where a line of transport(5) leads; empty where it is no SMTP."""
    kind, _, host = transport.partition(":")
    return host if kind in ("smtp", "relay") else ""


def hop(text: str) -> dict[str, object]:
    """[HOST]:PORT as a route says it; the brackets say that no MX record is to be asked for, as always in a route."""
    host, port = re.fullmatch(r"\[?([^\]]*?)\]?(?::(\d+))?", text).groups()  # type: ignore[union-attr]
    return {"via": host} | ({"port": int(port)} if port else {})
