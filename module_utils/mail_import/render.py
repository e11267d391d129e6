# SPDX-License-Identifier: MIT
"""What was found, as the text of an inventory: to be read, thought about, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .found import Domain, Found, Mailbox

Lines = Iterator[str]


def word(value: object) -> str:
    """A value as YAML takes it for what it is; every string is in quotes that JSON and YAML read alike."""
    return json.dumps(value, ensure_ascii=True)


def inventory(found: Found) -> str:
    """The variables of a site, with what is to be decided on top."""
    return "".join(f"{line}\n" for line in _lines(found))


def passwords(found: Found) -> str:
    """The hashes of the passwords; a file for Ansible's vault."""
    named = {box.name: box.hash for box in found.mailboxes.values() if box.hash}
    head = "# Encrypt this file: ansible-vault encrypt FILE\nimported_hashes:\n"
    return "---\n" + head + "".join(f"  {word(name)}: {word(value)}\n" for name, value in sorted(named.items()))


def _lines(found: Found) -> Lines:
    yield "---"
    yield f"# What {found.system} on this host was set up to do. Read it before it is played."
    for note in found.notes:
        yield f"# TO DECIDE: {_plain(note)}"
    yield f"mail_fqdn: {word(found.fqdn)}"
    yield "mail_domains:"
    for domain in sorted(found.domains.values(), key=lambda each: each.name):
        yield from _domain(domain)
    if found.mailboxes:
        yield "mail_users:"
        for box in sorted(found.mailboxes.values(), key=lambda each: each.name):
            yield from _mailbox(box)
    if found.routes:
        yield "mail_routes:"
        for route in found.routes:
            yield f"  - {json.dumps(route)}"


def _domain(domain: Domain) -> Lines:
    if domain.users and not domain.addresses and not domain.catch_all:
        yield f"  - {word(domain.name)}"
        return
    yield f"  - name: {word(domain.name)}"
    if domain.relay_to is not None:
        yield f"    relay_to: {word(domain.relay_to)}"
        yield f"    recipients: {json.dumps(domain.recipients) if domain.recipients is not None else 'any'}"
        return
    yield f"    users: {word(domain.users)}"
    rest = {"*": domain.catch_all} if domain.catch_all else {}
    if domain.addresses or rest:
        yield "    addresses:"
        for local, to in {**dict(sorted(domain.addresses.items())), **rest}.items():
            yield f"      {word(local)}: {json.dumps(to[0] if len(to) == 1 else to)}"


def _mailbox(box: Mailbox) -> Lines:
    yield f"  - name: {word(box.name)}" + (f" # its mail: {_plain(box.maildir)}" if box.maildir else "")
    if box.kind == "virtual" and "@" not in box.name:
        yield "    mailbox: virtual"
    hashed = f'"{{{{ imported_hashes[{word(box.name)[1:-1]!r}] }}}}"' if box.hash else '"*"'
    yield f"    password_hash: {hashed}"
    if box.aliases:
        yield f"    aliases: {json.dumps(sorted(set(box.aliases)))}"
    if box.forward:
        yield f"    forward: {json.dumps({'to': box.forward, 'keep': box.keep})}"
    if box.quota:
        yield f"    quota: {box.quota}"


def _plain(text: str) -> str:
    """A text of somebody else's that stays on its line."""
    return "".join(c if c.isprintable() else "?" for c in text)
