"""Compiled declarations for the tests of what is made of them."""

from __future__ import annotations

from typing import Any


def mailbox(kind: str = "virtual", **more: Any) -> dict[str, Any]:
    """One mailbox, as plain as can be."""
    return {
        "kind": kind,
        "state": "present",
        "keep_mail": True,
        "forward": None,
        "vacation": None,
        "quota": None,
        "logins": [],
        "devices": {},
        "plus": False,
        "dash": False,
    } | more


def address(*to: str, why: str = "address", until: int | None = None, **more: Any) -> dict[str, Any]:
    """Where one address leads."""
    return {"to": list(to), "why": why, "until": until} | more


def domain(kind: str = "virtual", **more: Any) -> dict[str, Any]:
    """One domain."""
    return {"kind": kind, "users": True, "relay_to": None, "recipients": None, "catch_all": None} | more


def graph(**more: Any) -> dict[str, Any]:
    """A site with two domains: anna has an account, carol is virtual, and info is somebody of b.test's."""
    return {
        "fqdn": "mail.a.test",
        "mailboxes": {
            "anna": mailbox("system", logins=["anna", "anna@a.test"]),
            "carol": mailbox(logins=["carol", "carol@a.test", "sales@b.test"]),
            "info@b.test": mailbox(logins=["info@b.test"], quota=5000000, plus=True),
        },
        "domains": {
            "a.test": domain("local"),
            "b.test": domain(catch_all=["carol"]),
            "c.test": domain("relay", relay_to="mx.c.test"),
        },
        "addresses": {
            "anna@a.test": address("anna", why="user"),
            "carol@a.test": address("carol", why="user"),
            "postmaster@a.test": address("anna", why="office"),
            "info@b.test": address("info@b.test", why="user", plus=True),
            "sales@b.test": address("carol"),
            "all@b.test": address("anna", "info@b.test", "x@elsewhere.test"),
            "team@b.test": address("anna", "y@elsewhere.test", why="list"),
        },
        "lists": {
            "team@b.test": {
                "members": ["anna@mail.a.test", "y@elsewhere.test"],
                "owner": "anna",
                "owner_address": "team-owner@b.test",
                "who_may_send": "members",
                "senders": ["anna@a.test", "Y@elsewhere.test"],
            }
        },
        "senders": {"carol@a.test": ["carol"], "*": ["anna"]},
        "senders_until": {},
        "routes": [],
        "spam": {},
        "control": {},
        "uids": {"first": 200000, "last": 200099},
        "homes": "/srv/mail",
    } | more
