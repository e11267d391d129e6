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
    from collections.abc import Iterable, Iterator, Mapping

HOME = "/var/qmail"
MANAGED = f"{HOME}/mailboxes"  # the home of mailboxes whose dot-qmail files are root's
LIST_PROGRAM = f"{HOME}/bin/qmail-list"
VACATION_PROGRAM = "/usr/local/bin/qmail-vacation"
DAY_ZERO = "1970-01-01"


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
        return f"{domain}-{local}" if self.domains[domain]["kind"] == "virtual" else local

    def sole(self, address: str) -> str | None:
        """The one mailbox that an address leads to; None where it leads to others."""
        entry = self.graph["addresses"].get(address)
        to = entry["to"] if entry and address not in self.graph["lists"] else []
        return to[0] if len(to) == 1 and to[0] in self.mailboxes else None

    def _leads_by_table(self, name: str, domain: str) -> bool:
        """Is the user table needed for a mailbox's addresses in a domain? Else the accounts of the host say it."""
        virtual = self.mailboxes[name]["kind"] == "virtual" or self.domains[domain]["kind"] == "virtual"
        return virtual or self.is_managed(name)

    # --- users/assign ---

    def assignments(self) -> list[str]:
        """The lines of users/assign, qmail-users(5), without its end; none where accounts and aliases say all."""
        lines: dict[str, str] = {}
        for address in self.graph["addresses"]:
            local, _, domain = address.rpartition("@")
            name = self.sole(address)
            if name is None or not self._leads_by_table(name, domain) or local == "*":
                continue
            account, box, key = self.accounts[name], self.mailboxes[name], self.key(local, domain)
            start = f"{name}:{account.uid}:{account.gid}"
            if self.is_managed(name):
                lines[f"={key}"] = f"{start}:{MANAGED}:-:{name}:"
            else:
                lines[f"={key}"] = f"{start}:{account.home}:::"
            for mark in self._extensions(box):
                lines[f"+{key}{mark}"] = f"{start}:{MANAGED}:-:+{name}-:"
        alias = f"alias:{self.alias.uid}:{self.alias.gid}:{self.alias.home}"
        for domain, what in self.domains.items():
            if what["kind"] == "virtual":
                lines[f"+{domain}-"] = f"{alias}:-:{domain}-:"
        return [f"{key}:{line}" for key, line in sorted(lines.items())]

    @staticmethod
    def _extensions(box: Mapping[str, Any]) -> Iterator[str]:
        """What the extensions of a mailbox's addresses begin with, where the site says so."""
        if box["plus"]:
            yield "+"
        if box["dash"]:
            yield "-"

    # --- dot-qmail files ---

    def managed(self) -> dict[str, ManagedFile]:
        """The files in MANAGED by their names."""
        files: dict[str, ManagedFile] = {}
        for name, box in self.mailboxes.items():
            account = self.accounts[name]
            text = self.mark + "\n" + "".join(f"{line}\n" for line in self._instructions(name))
            file = name.replace(".", ":")
            if self.is_managed(name):
                files[f".qmail-{file}"] = ManagedFile(account.gid, text)
            if any(self._extensions(box)) and (box["kind"] == "virtual" or self.is_managed(name)):
                files[f".qmail-+{file}-default"] = ManagedFile(account.gid, text)
            if box["vacation"]:
                files[f"{name}.vacation"] = ManagedFile(account.gid, self._vacation(name))
        return files

    def _instructions(self, name: str) -> Iterator[str]:
        """What becomes of a mailbox's mail, in dot-qmail(5)'s language."""
        box = self.mailboxes[name]
        forward = box["forward"]
        if box["vacation"]:
            yield f"|{VACATION_PROGRAM} {MANAGED}/{name}.vacation"
        if not forward or forward["keep"]:
            yield f"{self.accounts[name].home}/Maildir/"
        for address in forward["to"] if forward else []:
            yield f"&{self.address_of(address)}"

    def address_of(self, target: str) -> str:
        """Where to send what is for a mailbox, or for an address."""
        return target if "@" in target or target not in self.mailboxes else f"{target}@{self.graph['me']}"

    def _vacation(self, name: str) -> str:
        box = self.mailboxes[name]
        own = sorted(each for each in self.graph["addresses"] if self.sole(each) == name and not each.startswith("*"))
        words = {key: box["vacation"].get(key) for key in ("subject", "text", "from", "until")}
        more = {"sender": box["address"], "addresses": own, "state": f"{self.accounts[name].home}/vacation.db"}
        return json.dumps(words | more, ensure_ascii=False, indent=1) + "\n"

    def aliases(self) -> dict[str, str]:
        """The files in the home of the aliases by their names: what leads to several, elsewhere, or to a list."""
        files: dict[str, str] = {}
        for address, entry in self.graph["addresses"].items():
            local, _, domain = address.rpartition("@")
            name = self.sole(address)
            if domain not in self.domains or self.domains[domain]["kind"] == "relay":
                continue
            if name is not None and (local != "*" and self._leads_by_table(name, domain)):
                continue
            if name is not None and local == name:
                continue  # an account's own name
            ext = "default" if local == "*" else local
            file = f".qmail-{self.key(ext, domain)}".replace(".", ":").replace(":qmail-", ".qmail-", 1)
            if address in self.graph["lists"]:
                lines = [f"|{LIST_PROGRAM} {address}"]
            else:
                lines = [
                    f"&{self.address_of(each) if self.domains[domain]['kind'] == 'virtual' else each}"
                    for each in entry["to"]
                ]
            files[file] = self.mark + "\n" + "".join(f"{line}\n" for line in lines)
        return files

    # --- the databases ---

    def logins(self) -> dict[str, bytes]:
        """What one can log in with: users/logins.cdb."""
        found = {}
        for name, box in self.mailboxes.items():
            account = self.accounts[name]
            value = _words(name, str(account.uid), str(account.gid), account.home)
            for login in box["logins"]:
                found[login.lower()] = value
        return found

    def senders(self) -> dict[str, bytes]:
        """Who may send as an address: users/senders.cdb."""
        return {key.lower(): _words(*names) for key, names in self.graph["senders"].items()}

    def recipients(self) -> dict[str, bytes]:
        """What else there is to know of a recipient: users/recipients.cdb."""
        found: dict[str, bytes] = {}
        for address, entry in self.graph["addresses"].items():
            name = self.sole(address)
            words = []
            if entry.get("until"):
                words.append(f"until {entry['until']}")
            if name is not None:
                box = self.mailboxes[name]
                if box["quota"]:
                    words.append(f"quota {self.accounts[name].uid}")
                if box.get("spam") is not None:
                    words.append(f"spam {'off' if box['spam'] is False else box['spam']}")
            if address in self.graph["lists"]:
                words.append(f"list {address}")
            if not words:
                continue
            local, _, domain = address.rpartition("@")
            value = _words(*words)
            found[f"@{domain}" if local == "*" else address] = value
            if name is not None and local != "*":
                for mark in self._extensions(self.mailboxes[name]):
                    found[f"{local}{mark}@{domain}"] = value
        return found

    def quotas(self) -> dict[str, bytes]:
        """Bytes that a mailbox may have, by uid: users/quotas.cdb."""
        return {
            str(self.accounts[name].uid): str(box["quota"]).encode()
            for name, box in self.mailboxes.items()
            if box["quota"]
        }

    def lists(self) -> dict[str, bytes]:
        """Who may send to a list: users/lists.cdb."""
        found = {}
        for address, what in self.graph["lists"].items():
            found[address] = what["who_may_send"].encode()
            for sender in what["senders"]:
                found[f"{address}\0{sender.lower()}"] = b""
        return found

    def members(self) -> dict[str, str]:
        """The members of each list, a line each, by the list's address."""
        return {
            address: self.mark + "\n" + "".join(f"{self.address_of(each)}\n" for each in what["members"])
            for address, what in self.graph["lists"].items()
        }


def _words(*words: str) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)


# --- the difference, in words ---


def told(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """What changes from one declaration to another, a line each: + what is new, - what goes, ~ what is otherwise."""
    lines: list[str] = []
    old = before or {}
    for words in (_mailbox_words, _domain_words, _address_words, _list_words):
        have, want = dict(words(old)), dict(words(after))
        lines += [f"- {key}{have[key]}" for key in have if key not in want]
        lines += [f"+ {key}{want[key]}" for key in want if key not in have]
        lines += [f"~ {key}{want[key]} (was{have[key]})" for key in want if key in have and have[key] != want[key]]
    return lines


def _mailbox_words(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, box in graph.get("mailboxes", {}).items():
        words = [box["kind"]]
        if box["state"] != "present":
            words.append(box["state"])
        if box["quota"]:
            words.append(f"quota {box['quota']}")
        if box["forward"]:
            words.append(f"forwarded to {_joined(box['forward']['to'])}{' and kept' if box['forward']['keep'] else ''}")
        if box["vacation"]:
            words.append(f"vacation until {box['vacation'].get('until') or 'further notice'}")
        if box.get("spam") is not None:
            words.append("not scanned for spam" if box["spam"] is False else f"spam from {box['spam']}")
        words += [f"password {device}" for device in sorted(box["devices"])]
        yield f"mailbox {name}", f": {', '.join(words)}"


def _domain_words(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for domain, what in graph.get("domains", {}).items():
        yield f"domain {domain}", f" → {what['relay_to']}" if what["kind"] == "relay" else f" ({what['kind']})"


def _address_words(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for address, entry in graph.get("addresses", {}).items():
        if address not in graph.get("lists", {}):
            until = f" until {entry['until']}" if entry.get("until") else ""
            yield address, f" → {_joined(entry['to'])}{until}"


def _list_words(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for address, what in graph.get("lists", {}).items():
        yield (
            f"list {address}",
            f" → {_joined(what['members'])}; {what['who_may_send']} may send, {what['owner']} owns it",
        )


def _joined(names: Iterable[str], most: int = 12) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
