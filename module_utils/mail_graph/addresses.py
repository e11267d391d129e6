# SPDX-License-Identifier: MIT
"""Which addresses a declared site has, who says so, and where each of them leads.

An address is claimed exactly (a mailbox or an alias with @, an address of a domain, a list), or plainly: the name or
the alias of a user is an address in every domain with users. What is exact goes before what is plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .site import ABSENT, LEGACY, LOCAL, RELAY, VIRTUAL, Domain, Mailbox, Site
from .words import Say, several, shown

USER, ALIAS, ADDRESS, OFFICE, LIST, OWNER, CATCH_ALL = (
    "user",
    "alias",
    "address",
    "office",
    "list",
    "owner",
    "catch-all",
)
OWN = (USER, ALIAS)
"""Whose addresses may have extensions (carol+shop@, carol-shop@)."""
POSTMASTER = "postmaster"


@dataclass(slots=True)
class Claim:
    """That an address exists: who says so, what it is (USER, ALIAS ...), where it leads as it is said, its last day."""

    where: str
    why: str
    to: list[str]
    until: int | None = None


def _beginnings(text: str) -> list[str]:
    """The text, and what stands before each of its hyphens."""
    return [text, *(text[:at] for at, sign in enumerate(text) if sign == "-")]


class Book:
    """All addresses of a site. Faults of the claims themselves are said while it is made."""

    def __init__(self, site: Site, say: Say) -> None:
        """Read the claims of a site."""
        self.site = site
        self.boxes: dict[str, Mailbox] = {n: box for n, box in site.mailboxes.items() if box.state != ABSENT}
        self.own_names = [name for name in dict.fromkeys(("localhost", site.fqdn)) if name]
        self.plain: dict[str, Claim] = {}
        self.exact: dict[str, Claim] = {}
        self.caught: dict[str, Claim] = {}
        self.legacy = {key.lower(): prefix for key, prefix in site.legacy.items()}
        self._legacy_domains = {key.rpartition("@")[2] for key in self.legacy}
        self._claim_plain(say)
        self._claim_exact(say)
        self._virtual = {key.rpartition("@")[2] for key in self.exact} | set(self.caught)
        self._say_alike(say)

    # --- who claims what ---

    def _claim_plain(self, say: Say) -> None:
        plain = self.plain
        for name, box in self.boxes.items():
            if "@" not in name:
                plain[name] = Claim(box.where, USER, [name])
        for name, box in self.boxes.items():
            for alias in box.aliases:
                if "@" in alias.name:
                    continue
                if alias.name in plain:
                    taken = plain[alias.name].where.partition(" ")[0]
                    say(f"{box.where}: the alias {shown(alias.name)} is already that of {taken}")
                else:
                    plain[alias.name] = Claim(box.where, ALIAS, [name], alias.until)
        for office in self.site.offices:
            plain.setdefault(office, Claim("mail_offices", OFFICE, [self.site.postmaster]))

    def _every_exact(self) -> Iterator[tuple[str, Claim]]:
        for name, box in self.boxes.items():
            if "@" in name:
                yield name, Claim(box.where, USER, [name])
        for name, box in self.boxes.items():
            for alias in box.aliases:
                if "@" in alias.name:
                    yield alias.name, Claim(box.where, ALIAS, [name], alias.until)
        for domain in self.site.domains.values():
            for local, target in domain.addresses.items():
                address = f"{local}@{domain.name}"
                yield address, Claim(f"{domain.where}: addresses.{local}", ADDRESS, target.to, target.until)
        for each in self.site.lists.values():
            yield each.address, Claim(each.where, LIST, each.members)
        for each in self.site.lists.values():
            yield each.owner_address, Claim(f"{each.where}: its owner's address", OWNER, [each.owner])

    def _claim_exact(self, say: Say) -> None:
        for address, claim in self._every_exact():
            if address in self.exact:
                say(f"{claim.where}: the address {shown(address)} is already that of {self.exact[address].where}")
                continue
            self.exact[address] = claim
            local, _, name = address.partition("@")
            domain = self.site.domains.get(name)
            if domain is None or domain.relay_to is not None or name in self._legacy_domains:
                self._say_not_ours(address, claim, domain, say)
            elif domain.users and claim.why != USER and local in self.boxes and local not in claim.to:
                say(
                    f"{claim.where}: {shown(address)} is the user {local}'s address, since {name} has users; have it "
                    f"lead to {local}, too, or choose another address"
                )
        for domain in self.site.domains.values():
            if domain.catch_all:
                self.caught[domain.name] = Claim(f'{domain.where}: addresses."*"', CATCH_ALL, domain.catch_all)

    def _say_not_ours(self, address: str, claim: Claim, domain: Domain | None, say: Say) -> None:
        name = address.rpartition("@")[2]
        if domain is None and name in self.own_names:
            say(
                f"{claim.where}: {shown(address)}: {name} is this host's own name, where every user has an address; "
                f"give a plain alias, or add {name} to mail_domains"
            )
        elif domain is None:
            say(
                f"{claim.where}: {shown(address)}: {name} is not one of mail_domains; add it there, or drop the address"
            )
        elif domain.relay_to is not None:
            say(
                f"{claim.where}: {shown(address)}: mail for {name} is passed on to {domain.relay_to}, where its "
                "addresses are; drop this one, or the domain's relay_to"
            )
        else:
            say(
                f"{claim.where}: {shown(address)}: {name} is in qmail_virtualdomains; say all of its addresses in "
                "mail_domains, and take it out there"
            )

    def _say_alike(self, say: Say) -> None:
        """info@example.net is delivered as example.net-info, which then can't be anybody's local part as well."""
        virtual = dict.fromkeys(name for name in self.site.domains if self.kind(name) == VIRTUAL)
        for local, claim in self.plain.items():
            if "." in local and (domain := next((each for each in _beginnings(local) if each in virtual), None)):
                say(
                    f"{claim.where}: {shown(local)} is how mail for {domain} is delivered, so it can't be a name or an "
                    "alias, too; choose another one"
                )
            box = self.boxes.get(claim.to[0]) if claim.why in OWN else None
            if box and box.dash and (domain := next((each for each in virtual if each.startswith(f"{local}-")), None)):
                say(
                    f"{claim.where}: dash: {shown(domain)} is how mail for that domain is delivered, so it can't be an "
                    f"extension of {shown(local)}, too; say dash: false"
                )
        for name in virtual:
            if "-" in name and (other := next((each for each in _beginnings(name)[1:] if each in virtual), None)):
                where = self.site.domains[name].where
                say(f"{where}: {shown(name)} begins as {other} does, and both have addresses of their own; drop one")

    # --- which domain is what ---

    def kind(self, name: str) -> str:
        """What a domain of ours is; also of this host's own names."""
        domain = self.site.domains.get(name)
        if name in self._legacy_domains:
            return LEGACY
        if domain is None:
            return LOCAL
        if domain.relay_to is not None:
            return RELAY
        return VIRTUAL if not domain.users or name in self._virtual else LOCAL

    def is_ours(self, name: str) -> bool:
        """Whether addresses of a domain are known here."""
        return name in self.site.domains or name in self.own_names

    def find(self, address: str) -> Claim | None:
        """Whose an address of ours is, in small letters; None where it doesn't exist."""
        claim = self.exact.get(address)
        if claim:
            return claim
        local, _, name = address.rpartition("@")
        domain = self.site.domains.get(name)
        if domain is None or domain.users:
            claim = self.plain.get(local)
        elif local == POSTMASTER:  # RFC 5321, section 4.5.1: every domain has one
            claim = self.plain.get(local) or Claim("mail_postmaster", OFFICE, [self.site.postmaster])
        return claim or self._extended(local, name) or self.caught.get(name)

    def _extended(self, local: str, name: str) -> Claim | None:
        """Whose extension an address is."""
        for at in range(len(local) - 1, 0, -1):
            if local[at] in "+-" and (claim := self._base(local[:at], name)) is not None:
                box = self.boxes.get(claim.to[0])
                if box and claim.why in OWN and (box.plus if local[at] == "+" else box.dash):
                    return claim
        return None

    def _base(self, local: str, name: str) -> Claim | None:
        if claim := self.exact.get(f"{local}@{name}"):
            return claim
        domain = self.site.domains.get(name)
        return self.plain.get(local) if domain is None or domain.users else None

    def names_of(self, domain: str) -> Iterable[tuple[str, Claim]]:
        """Every address of a domain that is listed, with its claim; extensions and what a catch-all gets are not."""
        said = self.site.domains.get(domain)
        names = self.plain if said is None or said.users else (POSTMASTER,)
        for local in names:
            address = f"{local}@{domain}"
            if address not in self.exact and (claim := self.find(address)):
                yield address, claim

    # --- where it leads ---

    def fault_of(self, target: str) -> str | None:
        """Say why nothing can be sent to a target, or give None."""
        if target in self.boxes or target in self.site.spoiled:
            return None
        local, at, name = target.rpartition("@")
        if not at:
            if target in self.plain:
                return None
            if target in self.site.mailboxes:
                return f"leads to {shown(target)}, whose state is absent; lead it to somebody else"
            near = next((name for name in self.site.domains if f"{target}@{name}" in self.exact), None)
            way = f"add it to mail_users{f', or say the whole address, such as {target}@{near}' if near else ''}"
            return f"leads to {shown(target)}, which is neither a mailbox nor an alias here; {way}"
        small = local.lower()
        if not self.is_ours(name):
            return None
        kind = self.kind(name)
        if kind == RELAY:
            known = self.site.domains[name].recipients
            if known is None or small in known or small == POSTMASTER:
                return None
            return f"leads to {shown(target)}, which is not among the recipients of {name}; add it there"
        if kind == LEGACY:
            if f"{small}@{name}" in self.legacy or name in self.legacy:
                return None
            return f"leads to {shown(target)}, which is not in qmail_virtualdomains"
        if self.find(f"{small}@{name}") is not None:
            return None
        if target in self.site.mailboxes:
            return f"leads to {shown(target)}, whose state is absent; lead it to somebody else"
        return f"leads to {shown(target)}, which doesn't exist in {name}, a domain of this site; add it, or correct it"

    def step(self, target: str) -> Claim | None:
        """The claim that a target stands for; None where it is an end: a mailbox, or an address elsewhere."""
        if target in self.boxes:
            return None
        local, at, name = target.rpartition("@")
        if not at:
            return self.plain.get(target)
        if not self.is_ours(name):
            return None
        kind = self.kind(name)
        if kind == LEGACY:
            prefix = self.legacy.get(f"{local.lower()}@{name}", self.legacy.get(name, ""))
            return Claim("qmail_virtualdomains", ADDRESS, [prefix]) if prefix in self.boxes else None
        return None if kind == RELAY else self.find(f"{local.lower()}@{name}")

    def ends(self, targets: list[str]) -> list[str]:
        """Where targets lead at last: names of mailboxes, lists' addresses, addresses elsewhere, each once."""
        boxes = self.boxes
        if all(target in boxes for target in targets):
            return list(dict.fromkeys(targets))
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = list(reversed(targets))
        while waiting:
            target = waiting.pop()
            claim = self.step(target)
            if claim is None:
                if "@" in target or target in boxes:
                    found[target] = None
            elif claim.why == LIST:
                found[self._list_of(claim, target)] = None
            elif target not in seen:
                seen.add(target)
                waiting += reversed(claim.to)
        return list(found)

    def _list_of(self, claim: Claim, target: str) -> str:
        local, _, name = target.rpartition("@")
        return f"{local.lower()}@{name}"

    # --- what is wrong with it ---

    def say_faults(self, say: Say) -> None:
        """Say which targets lead nowhere."""
        boxes = self.boxes
        for claim in [*self.exact.values(), *self.caught.values()]:
            for target in claim.to:
                if target not in boxes and (claim.why not in (LIST, OWNER)) and (fault := self.fault_of(target)):
                    say(f"{claim.where}: {fault}")
        for box in boxes.values():
            for target in box.forward:
                if fault := self.fault_of(target):
                    say(f"{box.where}: forward: {fault}")
        for each in self.site.lists.values():
            for target in each.members:
                if fault := self.fault_of(target):
                    say(f"{each.where}: members: {fault}")
            if each.owner and each.owner not in boxes and each.owner not in self.site.spoiled:
                known = self.site.mailboxes.get(each.owner)
                what = "whose state is absent" if known else "which is no mailbox of mail_users"
                say(f"{each.where}: its owner is {shown(each.owner)}, {what}; name another one")
        self._say_caught(say)

    def _say_caught(self, say: Say) -> None:
        for claim in self.caught.values():
            ends = self.ends(claim.to)
            lists = [end for end in ends if end in self.site.lists]
            outside = [end for end in ends if end not in self.boxes and end not in lists]
            outside += [
                f"{end}, who forwards to {self.outside(self.boxes[end].forward)[0]}"
                for end in ends
                if end in self.boxes and self.outside(self.boxes[end].forward)
            ]
            if outside:
                say(
                    f"{claim.where}: a catch-all that leads to {several(outside)}: what is refused there would be "
                    "bounced, mostly to forged senders; have it lead to mailboxes here that forward nothing"
                )
            if lists:
                say(f"{claim.where}: a catch-all leads to mailboxes, and not to the list {several(lists)}")

    def outside(self, targets: list[str]) -> list[str]:
        """Those of the ends that are elsewhere."""
        return [end for end in self.ends(targets) if end not in self.boxes and end not in self.site.lists]
