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
        "spam": None,
        "logins": [],
        "devices": {},
        "plus": False,
        "dash": False,
        "address": "",
    } | more


def address(*to: str, why: str = "address", until: int | None = None) -> dict[str, Any]:
    """Where one address leads."""
    return {"to": list(to), "why": why, "until": until}


def graph(**more: Any) -> dict[str, Any]:
    """A site with two domains: anna has an account, carol is virtual, and there are two of the name info."""
    return {
        "me": "mail.a.test",
        "mailboxes": {
            "anna": mailbox("system", logins=["anna", "anna@a.test"], address="anna@a.test"),
            "carol": mailbox(logins=["carol", "carol@a.test", "sales@b.test"], address="carol@a.test"),
            "info@b.test": mailbox(logins=["info@b.test"], address="info@b.test", quota=5000000, plus=True),
        },
        "domains": {
            "a.test": {"kind": "local"},
            "b.test": {"kind": "virtual"},
            "c.test": {"kind": "relay", "relay_to": "mx.c.test"},
        },
        "addresses": {
            "anna@a.test": address("anna", why="user"),
            "carol@a.test": address("carol", why="user"),
            "postmaster@a.test": address("anna", why="office"),
            "info@b.test": address("info@b.test", why="user"),
            "sales@b.test": address("carol"),
            "all@b.test": address("anna", "info@b.test", "x@elsewhere.test"),
            "*@b.test": address("carol"),
            "team@b.test": address("team@b.test", why="list"),
        },
        "lists": {
            "team@b.test": {
                "members": ["anna", "y@elsewhere.test"],
                "owner": "anna",
                "who_may_send": "members",
                "senders": ["anna@a.test", "Y@elsewhere.test"],
            }
        },
        "senders": {"carol@a.test": ["carol"], "*": ["anna"]},
        "control": {},
    } | more
