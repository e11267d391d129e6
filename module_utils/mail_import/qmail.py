# SPDX-License-Identifier: MIT
"""A qmail that is there already: control/, users/assign, ~alias, and vpopmail's domains where it has some."""

from __future__ import annotations

from pathlib import Path

from .found import Found, Mailbox
from .people import people
from .texts import dot_qmail, lines, pairs, read

HOME = "var/qmail"
RELAY_PORT = 25


class Qmail:
    """One installation below ROOT."""

    def __init__(self, root: Path) -> None:
        """Nothing is read yet."""
        self.root, self.home = root, root / HOME
        self.found = Found("qmail")
        self.assigned: dict[str, list[str]] = {}

    def control(self, name: str) -> str:
        """A control file's text."""
        return read(self.home / "control" / name)

    def look(self) -> Found:
        """Read all of it."""
        found = self.found
        found.fqdn = (lines(self.control("me")) or [""])[0]
        people(self.root, found)
        for line in lines(read(self.home / "users/assign")):
            key, *fields = line.split(":")
            self.assigned[key] = fields
        local = [name.lower() for name in lines(self.control("locals")) or [found.fqdn]]
        for name in local:
            found.domain(name).users = True
        virtual = {key.lower(): value for key, value in pairs(self.control("virtualdomains"))}
        routes = {key.lower(): value for key, value in pairs(self.control("smtproutes"))}
        self.aliases(local)
        for name, prefix in virtual.items():
            self.virtual(name, prefix)
        accepted = lines(self.control("rcpthosts")) + lines(self.control("morercpthosts"))
        for name in (each.lower() for each in accepted):
            if name not in found.domains and name not in virtual and name != "localhost":
                if name.startswith("."):
                    found.note(f"control/rcpthosts: {name} accepts mail for every name below it; name each domain")
                    continue
                found.domain(name).relay_to = routes.pop(name, "") or "mx"
                found.note(
                    f"{name}: mail for every local part is passed on; say its recipients, so that none is bounced"
                )
        self.routes(routes)
        for name in ("localhost", found.fqdn.lower()):
            found.domains.pop(name, None)
        return found

    def routes(self, routes: dict[str, str]) -> None:
        """Take in what is left of control/smtproutes; passwords in it are none of ours to copy."""
        for name, relay in routes.items():
            via, _, port = relay.partition(":")
            if via:
                route = {"to": name or "*", "via": via.strip("[]")} | ({"port": int(port)} if port.isdigit() else {})
                self.found.routes.append(route)
        if self.control("smtproutes_auth") or self.control("outgoingip"):
            self.found.note(
                "control/smtproutes_auth or control/outgoingip: say it in mail_routes (its password in the vault)"
            )

    def aliases(self, local: list[str]) -> None:
        """Take in ~alias, and simple assignments to somebody, for the domains of control/locals."""
        directory = self.home / "alias"
        leads: dict[str, list[str]] = {}
        for path in sorted(directory.glob(".qmail-*")) if directory.is_dir() else []:
            name = path.name.removeprefix(".qmail-").replace(":", ".")
            forward, keep, programs = dot_qmail(read(path))
            if programs or keep:
                self.found.note(f"~alias/{path.name}: runs a program or keeps mail; see what it is for")
            leads[name] = forward
        for key, fields in self.assigned.items():
            if key.startswith("=") and fields and fields[0] in self.found.mailboxes and key[1:] != fields[0]:
                leads[key[1:]] = [fields[0]]
        for name, forward in leads.items():
            owner = self.found.mailboxes.get(forward[0].partition("@")[0]) if len(forward) == 1 else None
            if name == "default":
                self.found.note(f"~alias/.qmail-default: everything else goes to {', '.join(forward) or 'a program'}")
            elif owner and forward[0].partition("@")[2] in ("", *local):
                owner.aliases.append(name)
            else:
                for domain in local:
                    if "." in domain:
                        self.found.address(domain, name, forward, "~alias")

    def virtual(self, key: str, prefix: str) -> None:
        """Take in a line of control/virtualdomains: a domain, or an address."""
        local, at, domain = key.rpartition("@")
        if not prefix:
            return
        assigned = self.assigned.get(f"+{prefix}-")
        directory = self.root / assigned[3].lstrip("/") if assigned and len(assigned) > 3 else None
        if directory and ((directory / "vpasswd").exists() or (directory / ".qmail-default").exists()):
            self.vpopmail(domain, directory)
            return
        account = prefix.partition("-")[0]
        box = self.found.mailboxes.get(account)
        if at:
            self.found.address(domain, local, [account], "control/virtualdomains")
        elif box and box.maildir:
            self.of_account(domain, prefix, account, box)
        else:
            self.found.domain(domain)
            self.found.note(f"control/virtualdomains: {domain} belongs to {prefix}, which is no account with a Maildir")

    def of_account(self, domain: str, prefix: str, account: str, box: Mailbox) -> None:
        """Take in a domain whose addresses are the dot-qmail files of an account."""
        home = self.root / Path(box.maildir).parent.as_posix().lstrip("/")
        start = ".qmail-" + (f"{prefix.partition('-')[2]}-" if "-" in prefix else "")
        self.found.domain(domain)
        for path in sorted(home.glob(f"{start}*")):
            name = path.name.removeprefix(start).replace(":", ".")
            forward, keep, programs = dot_qmail(read(path))
            to = forward + ([account] if keep or not (forward or programs) else [])
            if programs:
                self.found.note(f"~{account}/{path.name}: runs a program; see what it is for")
            if name == "default":
                self.found.domain(domain).catch_all = to
            else:
                self.found.address(domain, name, to, f"~{account}")

    def vpopmail(self, domain: str, directory: Path) -> None:
        """Take in one of vpopmail's domains: its vpasswd, and its dot-qmail files."""
        self.found.domain(domain)
        home = "/" + directory.relative_to(self.root).as_posix()
        for row in (line.split(":") for line in read(directory / "vpasswd").splitlines()):
            if len(row) < 7:
                continue
            name = f"{row[0]}@{domain}"
            kept = self.found.hash_of(name, row[1])
            maildir = f"{row[5] or f'{home}/{row[0]}'}/Maildir"
            quota = row[6].rstrip("S").partition(",")[0]
            size = int(quota) if quota.isdigit() and int(quota) > 0 else None
            self.found.mailboxes[name] = Mailbox(name, "virtual", maildir, kept, quota=size)
        if not (directory / "vpasswd").exists():
            self.found.note(f"{domain}: its people are not in {home}/vpasswd (a database?); name them in mail_users")
        for path in sorted(directory.glob(".qmail-*")):
            name = path.name.removeprefix(".qmail-").replace(":", ".")
            forward, keep, programs = dot_qmail(read(path))
            if name == "default":
                self.rest(domain, forward, programs)
            elif programs or keep:
                self.found.note(f"{home}/{path.name}: runs a program or keeps mail; see what it is for")
            else:
                self.found.address(domain, name, forward, domain)

    def rest(self, domain: str, forward: list[str], programs: list[str]) -> None:
        """What becomes of all other addresses of one of vpopmail's domains."""
        words = programs[0].split() if programs else []
        last = words[-1] if words and "vdelivermail" in words[0] else ""
        if "@" in last:
            self.found.domain(domain).catch_all = [last]
        elif last.startswith("/"):
            self.found.domain(domain).catch_all = [f"{Path(last).name}@{domain}"]
        elif forward:
            self.found.domain(domain).catch_all = forward
        elif last == "delete":
            self.found.note(f"{domain}: mail for unknown addresses was thrown away; here it is refused in the session")
