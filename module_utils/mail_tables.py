# SPDX-License-Identifier: MIT
"""What a site's declaration becomes on a host: qmail's user table, the databases of qmail-smtpd, dot-qmail files.

The declaration is the Graph of `mail_graph`, plain data; whose uid is what says the host's register. Everything here is
a function of the two: nothing is looked at, nothing is written.

Keys of databases are in small letters. An address that stands for extensions of a local part ends, before its @, in the
`-` or `+` that they begin with; `@domain` stands for all of a domain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HOME = "/var/qmail"
MANAGED = f"{HOME}/mailboxes"  # the home of mailboxes whose dot-qmail files are root's
LIST_PROGRAM = f"{HOME}/bin/qmail-list"
VACATION_PROGRAM = "/usr/local/bin/qmail-vacation"
# Kinds of domains and of mailboxes; VIRTUAL is both.
LOCAL, VIRTUAL, RELAY, SYSTEM = "local", "virtual", "relay", "system"


@dataclass(frozen=True)
class Account:
    """What delivers into a mailbox."""

    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class ManagedFile:
    """A file of root's that one mailbox's processes may read."""

    gid: int
    content: str


class Tables:
    """Everything that a declaration becomes.

    Args:
        graph: the declaration.
        accounts: of each mailbox that is not absent.
        alias: who delivers what goes to several, or elsewhere.
        mark: the first line of each text file, a comment.
    """

    def __init__(self, graph: Mapping[str, Any], accounts: Mapping[str, Account], alias: Account, mark: str) -> None:
        """Take what it is made from."""
        self.graph, self.accounts, self.alias, self.mark = graph, accounts, alias, mark
        self.mailboxes: Mapping[str, Any] = {
            name: box for name, box in graph["mailboxes"].items() if box["state"] != "absent"
        }
        self.domains: Mapping[str, Any] = graph["domains"]

    # --- whose an address is ---

    def is_managed(self, name: str) -> bool:
        """Does root say what becomes of a mailbox's mail?"""
        box = self.mailboxes[name]
        return bool(box["forward"] or box["vacation"])

    def key(self, local: str, domain: str) -> str:
        """What qmail-lspawn looks an address up by: a virtual domain's stand behind its name."""
        return f"{domain}-{local}" if self.domains[domain]["kind"] == VIRTUAL else local

    def only(self, to: Sequence[str] | None) -> str | None:
        """The one mailbox among targets; None where there are others."""
        return to[0] if to and len(to) == 1 and to[0] in self.mailboxes else None

    def sole(self, address: str) -> str | None:
        """The one mailbox that an address leads to; None where it leads to others."""
        return None if address in self.graph["lists"] else self.only(self.graph["addresses"][address]["to"])

    def ours(self) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
        """Each address whose mail goes as the declaration says: itself, local part, domain, and where it leads."""
        for address, entry in self.graph["addresses"].items():
            local, _, domain = address.rpartition("@")
            if domain in self.domains and self.domains[domain]["kind"] in (LOCAL, VIRTUAL):
                yield address, local, domain, entry

    def _leads_by_table(self, name: str, domain: str) -> bool:
        """Is the user table needed for a mailbox's addresses in a domain? Else the accounts of the host say it."""
        virtual = VIRTUAL in (self.mailboxes[name]["kind"], self.domains[domain]["kind"])
        return virtual or self.is_managed(name)

    # --- users/assign ---

    def assignments(self) -> list[str]:
        """The lines of users/assign, qmail-users(5), without its end; none where accounts and aliases say all."""
        lines: dict[str, str] = {}
        left: dict[str, str | None] = {}
        for address, local, domain, entry in self.ours():
            name, key = self.sole(address), self.key(local, domain)
            if name is not None:
                lines |= {f"+{key}{sign}": self._of_extensions(name) for sign in _extensions(entry)}
            if name is not None and self._leads_by_table(name, domain):
                lines[f"={key}"] = self._of_mailbox(name)
            else:
                left[key] = name if name == local else None
        alias = f"alias:{self.alias.uid}:{self.alias.gid}:{self.alias.home}:-:"
        for key, account in left.items():
            if self._is_hidden(key, lines):
                lines[f"={key}"] = self._of_mailbox(account) if account else f"{alias}{key}:"
        for domain, what in self.domains.items():
            if what["kind"] == VIRTUAL:
                lines[f"+{domain}-"] = f"{alias}{domain}-:"
        return [f"{key}:{line}" for key, line in sorted(lines.items())]

    def _of_mailbox(self, name: str) -> str:
        """What delivers for a mailbox: root's instructions, or what its home says and else its Maildir."""
        account = self.accounts[name]
        where = f"{MANAGED}:-:{name}:" if self.is_managed(name) else f"{account.home}:::"
        return f"{name}:{account.uid}:{account.gid}:{where}"

    def _of_extensions(self, name: str) -> str:
        """The same for its extensions: without root's instructions ~/.qmail-EXTENSION, and else as its own mail."""
        account = self.accounts[name]
        where = f"{MANAGED}:-:{_extended(name)}-:" if self.is_managed(name) else f"{account.home}::-:"
        return f"{name}:{account.uid}:{account.gid}:{where}"

    def _is_hidden(self, key: str, lines: Mapping[str, str]) -> bool:
        """Would an address be taken for an extension of somebody's: by the table, or since an account has that name?"""
        for at, sign in enumerate(key):
            if sign in "+-" and f"+{key[: at + 1]}" in lines:
                return True
            if sign == "-" and self.mailboxes.get(key[:at], {}).get("kind") == SYSTEM:
                return True
        return False

    # --- dot-qmail files ---

    def managed(self) -> dict[str, ManagedFile]:
        """The files in MANAGED by their names."""
        files: dict[str, ManagedFile] = {}
        extended = {self.sole(address) for address, _, _, entry in self.ours() if any(_extensions(entry))}
        addresses = self._addresses_of()
        for name, box in self.mailboxes.items():
            account, key = self.accounts[name], name.replace(".", ":")
            text = self.mark + "\n" + "".join(f"{line}\n" for line in self._instructions(name))
            if self.is_managed(name):
                files[f".qmail-{key}"] = ManagedFile(account.gid, text)
                if name in extended:
                    extensions = _extended(name).replace(".", ":")
                    files[f".qmail-{extensions}-default"] = ManagedFile(account.gid, text)
            if box["vacation"]:
                files[f".vacation-{key}"] = ManagedFile(account.gid, self._vacation(name, addresses.get(name, [])))
        return files

    def _instructions(self, name: str) -> Iterator[str]:
        """What becomes of a mailbox's mail, in dot-qmail(5)'s language."""
        box = self.mailboxes[name]
        forward = box["forward"]
        if box["vacation"]:
            yield f"|{VACATION_PROGRAM} {MANAGED}/.vacation-{name.replace('.', ':')}"
        if not forward or forward["keep"]:
            yield f"{self.accounts[name].home}/Maildir/"
        for address in forward["to"] if forward else []:
            yield f"&{self.address_of(address)}"

    def _addresses_of(self) -> dict[str, list[str]]:
        """The addresses of each mailbox."""
        found: dict[str, list[str]] = {}
        for address, *_ in self.ours():
            name = self.sole(address)
            if name is not None:
                found.setdefault(name, []).append(address)
        return found

    def address_of(self, target: str) -> str:
        """Where to send what is for a mailbox, or for an address."""
        return target if "@" in target else f"{target}@{self.graph['fqdn']}"

    def _vacation(self, name: str, addresses: list[str]) -> str:
        said = self.mailboxes[name]["vacation"]
        words = {key: said.get(key) for key in ("subject", "text", "from", "until")}
        first = self.address_of(name)
        # The first one is who answers: not one in the host's own name, if there is another.
        own = sorted({first, *addresses}, key=lambda each: (each.endswith(f"@{self.graph['fqdn']}"), each))
        more = {"mailbox": name, "addresses": own, "state": f"{self.accounts[name].home}/.vacation"}
        return json.dumps(more | words, ensure_ascii=False, indent=1) + "\n"

    def aliases(self) -> dict[str, str]:
        """The files in the home of the aliases by their names: what leads to several, elsewhere, or to a list."""
        files: dict[str, str] = {}
        for address, local, domain, entry in self.ours():
            name = self.sole(address)
            if name is not None and (local == name or self._leads_by_table(name, domain)):
                continue
            if address in self.graph["lists"]:
                lines = [f"|{LIST_PROGRAM} {address}"]
            else:
                lines = [f"&{self._forwarded(each, domain)}" for each in entry["to"]]
            files[self._alias_file(local, domain)] = self._text(lines)
        for domain, what in self.domains.items():
            if what["kind"] == VIRTUAL and what["catch_all"]:
                lines = [f"&{self.address_of(each)}" for each in what["catch_all"]]
                files[self._alias_file("default", domain)] = self._text(lines)
        return files

    def _forwarded(self, target: str, domain: str) -> str:
        """A target as it stands in a file: in a local domain, a name is one of the same domain's."""
        return target if self.domains[domain]["kind"] == LOCAL else self.address_of(target)

    def _alias_file(self, local: str, domain: str) -> str:
        return ".qmail-" + self.key(local, domain).replace(".", ":")

    def _text(self, lines: Iterable[str]) -> str:
        return self.mark + "\n" + "".join(f"{line}\n" for line in lines)

    # --- the databases ---

    def logins(self) -> dict[str, bytes]:
        """What one can log in with, and until when: users/logins.cdb."""
        found = {}
        for name, box in self.mailboxes.items():
            account = self.accounts[name]
            value = _words(name, str(account.uid), str(account.gid), account.home)
            for login in box["logins"]:
                until = self.graph["addresses"].get(login, {}).get("until")
                found[login.lower()] = value if until is None else value + _words(f"until {until}")
        return found

    def senders(self) -> dict[str, bytes]:
        """Who may send as an address, and until when: users/senders.cdb; none where everybody may send as anybody."""
        ends = self.graph["senders_until"]
        return {
            key.lower(): _words(*(f"{name} {ends[key][name]}" if name in ends.get(key, ()) else name for name in names))
            for key, names in (self.graph["senders"] or {}).items()
        }

    def recipients(self) -> dict[str, bytes]:
        """What else there is to know of a recipient: users/recipients.cdb."""
        found: dict[str, bytes] = {}
        for address, local, domain, entry in self.ours():
            words = [f"until {entry['until']}"] if entry.get("until") is not None else []
            words += [f"list {address}"] if address in self.graph["lists"] else self._words_of(self.sole(address))
            if words:
                found[address] = _words(*words)
                for sign in _extensions(entry):
                    found[f"{local}{sign}@{domain}"] = _words(*words)
        for domain, what in self.domains.items():
            words = self._words_of(self.only(what["catch_all"]))
            if words and what["kind"] == VIRTUAL:
                found[f"@{domain}"] = _words(*words)
        return found

    def _words_of(self, name: str | None) -> list[str]:
        """What there is to know of a mailbox when mail comes for it."""
        if name is None:
            return []
        words = [f"quota {self.accounts[name].uid}"] if self.mailboxes[name]["quota"] else []
        return words + ([f"spam {self.graph['spam'][name]}"] if name in self.graph["spam"] else [])

    def quotas(self) -> dict[str, bytes]:
        """Bytes that a mailbox may have, by uid: users/quotas.cdb."""
        return {
            str(self.accounts[name].uid): str(box["quota"]).encode()
            for name, box in self.mailboxes.items()
            if box["quota"]
        }

    def lists(self) -> dict[str, bytes]:
        """Who may send to a list, and its List-Id: users/lists.cdb."""
        found = {}
        everybody = [address for address, *_ in self.ours() if self.sole(address) is not None]
        for address, what in self.graph["lists"].items():
            found[address] = _words(what["who_may_send"], address.replace("@", "."))
            senders = everybody if what["who_may_send"] == "users" else what["senders"] or []
            for sender in senders:
                found[f"{address}\0{sender.lower()}"] = b""
        return found

    def members(self) -> dict[str, str]:
        """The members of each list, a line each, by the list's address."""
        return {
            address: self._text(self.address_of(each) for each in what["members"])
            for address, what in self.graph["lists"].items()
        }


# --- control files that follow from the declaration, but for what is said beside it ---


def control(graph: Mapping[str, Any]) -> dict[str, list[str]]:
    """The lines of each control file that a declaration says, in any order; files with passwords apart."""
    lines: dict[str, list[str]] = {name: list(said) for name, said in graph.get("control", {}).items()}
    lines["validrcptto"] = list(_known(graph))
    lines["aliastargets"] = [f"{alias}:{' '.join(to)}" for alias, to in _alias_targets(graph)]
    return lines


def _known(graph: Mapping[str, Any]) -> Iterator[str]:
    """Each recipient that there is."""
    domains = graph.get("domains", {})
    for address, entry in graph.get("addresses", {}).items():
        local, _, domain = address.rpartition("@")
        if domain in domains and domains[domain]["kind"] in (LOCAL, VIRTUAL):
            yield address
            yield from (f"{local}{sign}@{domain}" for sign in _extensions(entry))
    for domain, what in domains.items():
        if what["kind"] == VIRTUAL and what["catch_all"]:
            yield f"@{domain}"
        if what["kind"] == RELAY:
            said = what["recipients"]
            yield from [f"@{domain}"] if said is None else [f"{each}@{domain}" for each in [*said, "postmaster"]]


def _alias_targets(graph: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Local parts, as they are delivered, and the mailboxes that another delivery here takes their mail to."""
    boxes = {name: box for name, box in graph.get("mailboxes", {}).items() if box["state"] != "absent"}

    def further(name: str) -> list[str]:
        return [each for each in (boxes[name]["forward"] or {"to": []})["to"] if each in boxes]

    for name in boxes:
        if "@" not in name and (to := further(name)):
            yield name, to
    for address, entry in graph.get("addresses", {}).items():
        local, _, domain = address.rpartition("@")
        if domain == "localhost" and entry["why"] in ("alias", "office"):
            yield local, entry["to"]
        if graph["domains"].get(domain, {}).get("kind") == VIRTUAL and entry["why"] != "list":
            ends = [end for end in entry["to"] if end in boxes]
            if to := further(ends[0]) if len(entry["to"]) == len(ends) == 1 else ends:
                yield f"{domain}-{local}", to


def _extensions(entry: Mapping[str, Any]) -> Iterator[str]:
    """What the extensions of an address begin with, where the site says so."""
    if entry.get("plus"):
        yield "+"
    if entry.get("dash"):
        yield "-"


def _extended(name: str) -> str:
    """What the files of a mailbox's extensions begin with: without a dash, which would begin an extension itself."""
    return "+" + name.replace("-", "=")


def _words(*words: str) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)
