"""What docs/addresses.md and the example show can be declared, all of it together."""

from __future__ import annotations

from typing import Any

import yaml
from sitelab.paths import ROOT

from module_utils.mail_graph import compile_site, faults

HASH = "$y$j9T$w3gttR/HLUrfBDxCdlHEe1$x8HN5rCKLvBljkvx5T0XUuLM7AVbGBaAOG4gwAm8Rk9"
TODAY = 20784  # 2026-11-27


def blocks(page: str) -> list[str]:
    """The indented blocks of a page that declare something."""
    found: list[list[str]] = [[]]
    for line in page.splitlines():
        if line.startswith("    ") or (found[-1] and not line):
            found[-1].append(line[4:])
        elif found[-1]:
            found.append([])
    return ["\n".join(block) for block in found if block and block[0].startswith("mail_")]


def shown() -> dict[str, Any]:
    page = (ROOT / "docs/addresses.md").read_text(encoding="utf-8").replace("$y$j9T$...", HASH)
    site: dict[str, Any] = {"mail_fqdn": "mail.example.org", "mail_postmaster": "carol", "mail_offices": ["postmaster"]}
    for block in blocks(page):
        site |= yaml.safe_load(block)
    site["mail_users"].append({"name": "dave", "password_hash": HASH})
    return site


def test_every_form_of_the_page_can_be_declared() -> None:
    site = shown()
    assert {"mail_domains", "mail_users", "mail_lists", "mail_routes", "mail_senders"} <= set(site)
    assert faults(site, TODAY) == []
    addresses = compile_site(site)["addresses"]
    assert addresses["sales@example.net"]["to"] == ["carol", "dave", "partner@elsewhere.example"]
    assert addresses["team@example.org"]["to"] == ["carol", "dave", "x@elsewhere.example"]


def test_the_example_can_be_declared() -> None:
    text = (ROOT / "inventories/example/group_vars/mail.yml").read_text(encoding="utf-8")
    site = yaml.safe_load(text)
    assert faults(site, TODAY) == []
    # And with what it only mentions: the lines behind a single "# " that are no prose.
    lines = [line.replace("# ", "", 1) if is_said(line) else line for line in text.splitlines()]
    more = yaml.safe_load("\n".join(lines).replace("$y$...", HASH))
    assert len(more["mail_users"]) > len(site["mail_users"])
    assert {"mail_lists", "mail_routes", "mail_senders"} <= set(more)
    assert faults(more, TODAY) == []
    graph = compile_site(more)
    assert graph["addresses"]["shop7@example.org"]["until"] is not None
    assert graph["addresses"]["dave@example.org"]["dash"] is True
    assert graph["spam"] == {"dave": 6}


def test_what_holds_for_all_mailboxes_is_named() -> None:
    page = (ROOT / "docs/addresses.md").read_text(encoding="utf-8")
    said = yaml.safe_load((ROOT / "roles/site/defaults/main.yml").read_text(encoding="utf-8"))
    for name in said:
        if name.endswith("_addressing") or name.startswith(("mail_virtual_", "mail_mailboxes", "mail_offices")):
            assert f"`{name}`" in page, name


def is_said(line: str) -> bool:
    said = line.strip().removeprefix("# ")
    keys = (
        "mail_lists:",
        "mail_routes:",
        "mail_senders:",
        "- {",
        "password_hashes:",
        "forward:",
        "vacation:",
        "plus:",
        "dash:",
        "spam:",
        "send_as:",
    )
    return line.strip().startswith("# ") and (said.startswith(keys) or said == '"*": carol')
