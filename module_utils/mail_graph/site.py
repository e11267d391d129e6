# SPDX-License-Identifier: MIT
"""A declared site in one form, whichever of its forms the inventory used: what the parsers give and all else takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SYSTEM, VIRTUAL = "system", "virtual"
PRESENT, DISABLED, ABSENT = "present", "disabled", "absent"
LOCAL, RELAY, LEGACY = "local", "relay", "legacy"
"""Kinds of domains, beside VIRTUAL. LEGACY: its mail goes as qmail_virtualdomains says."""


@dataclass(slots=True)
class Alias:
    """A further address of a mailbox: a local part, or an address; `until` is its last day."""

    name: str
    until: int | None = None


@dataclass(slots=True)
class Device:
    """A password with a name: where it opens something (nothing said: everywhere), and its last day."""

    services: list[str]
    until: int | None = None


@dataclass(slots=True)
class Mailbox:
    """One of mail_users. `forward` and `send_as` are as they are said; `spam` is points, False, or None: the site's."""

    where: str
    name: str
    kind: str
    state: str = PRESENT
    keep_mail: bool = True
    aliases: list[Alias] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    keep: bool = False
    vacation: dict[str, Any] | None = None
    quota: int | None = None
    devices: dict[str, Device] = field(default_factory=dict)
    send_as: list[str] = field(default_factory=list)
    spam: float | bool | None = None
    plus: bool = False
    dash: bool = False


@dataclass(slots=True)
class Target:
    """Where an address of a domain leads, as it is said, and its last day."""

    to: list[str]
    until: int | None = None


@dataclass(slots=True)
class Domain:
    """One of mail_domains. `recipients` None: all; only of a domain that is passed on (`relay_to`)."""

    where: str
    name: str
    said: str
    users: bool = True
    addresses: dict[str, Target] = field(default_factory=dict)
    catch_all: list[str] = field(default_factory=list)
    relay_to: str | None = None
    recipients: list[str] | None = None
    plain: bool = True


@dataclass(slots=True)
class MailingList:
    """One of mail_lists."""

    where: str
    address: str
    members: list[str]
    owner: str
    who_may_send: str = "members"

    @property
    def owner_address(self) -> str:
        """Where its bounces go."""
        local, _, domain = self.address.partition("@")
        return f"{local}-owner@{domain}"


@dataclass(slots=True)
class Route:
    """One of mail_routes. An empty `via` is by MX records."""

    where: str
    to: str
    via: str
    port: int | None
    user: str
    password: str
    tls: str
    names: list[str]


@dataclass(slots=True)
class Site:
    """All of it."""

    fqdn: str = ""
    said_fqdn: str = ""
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    lists: dict[str, MailingList] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    own_only: bool = True
    spoiled: set[str] = field(default_factory=set)
    """Names of mailboxes that are declared and no good: their own sentence says so, and nobody else need."""
    postmaster: str = ""
    offices: list[str] = field(default_factory=list)
    first_uid: int = 200000
    last_uid: int = 299999
    homes: str = "/srv/mail"
    legacy: dict[str, str] = field(default_factory=dict)
    """qmail_virtualdomains: domain or address to the name that mail is delivered to."""
    extensions: list[str] = field(default_factory=list)
    """qmail_more_recipients."""
