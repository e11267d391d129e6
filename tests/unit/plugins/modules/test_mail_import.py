"""mail_import: a qmail, a vpopmail and a Postfix become variables that say the same and that have no fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import mail_graph  # type: ignore[attr-defined,unused-ignore]

from library import mail_import
from tests.unit.conftest import RunModule
from tests.unit.other_systems import HASH, POSTFIX, QMAIL, VPOPMAIL, tree


def found(run_module: RunModule, root: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The variables, the hashes, and what is to be decided. As a site, they have no fault."""
    answer = run_module(mail_import, {"root": str(root)})
    said, hashes = yaml.safe_load(answer["inventory"]), yaml.safe_load(answer["passwords"])["imported_hashes"] or {}
    site = said | {
        "mail_users": [user | {"password_hash": hashes.get(user["name"], "*")} for user in said.get("mail_users", [])],
        "mail_postmaster": said["mail_users"][0]["name"],
        "mail_offices": ["postmaster"],
    }
    assert mail_graph.faults(site) == []
    return said, hashes, answer["notes"]


@pytest.fixture
def qmail(tmp_path: Path) -> Path:
    return tree(tmp_path, QMAIL)


def test_a_qmail_s_domains_addresses_and_routes(run_module: RunModule, qmail: Path) -> None:
    said, hashes, notes = found(run_module, qmail)
    assert said["mail_fqdn"] == "mail.a.example"
    domains = {each if isinstance(each, str) else each["name"]: each for each in said["mail_domains"]}
    assert domains["a.example"]["addresses"] == {"all": ["anna", "bert"]}
    assert domains["a.example"]["users"] is True
    assert domains["b.example"]["addresses"] == {
        "info": "anna",
        "both": ["bert@a.example", "x@elsewhere.example"],
        "*": "anna",
    }
    assert (domains["c.example"]["relay_to"], domains["c.example"]["recipients"]) == ("mx.c.example", "any")
    assert said["mail_routes"] == [{"to": "*", "via": "relay.example", "port": 587}]
    users = {user["name"]: user for user in said["mail_users"]}
    assert users["bert"]["aliases"] == ["first.last"]
    assert users["anna"]["aliases"] == ["postmaster"]
    assert hashes == {"anna": HASH}
    assert users["bert"]["password_hash"] == "*"  # noqa: S105 - nobody's
    told = "\n".join(notes)
    for what in (
        "bert: the hash of the password is of a method",
        ".qmail-robot: runs a program",
        ".wild.example accepts",
    ):
        assert what in told


def test_nothing_but_the_file_for_the_vault_has_a_hash(run_module: RunModule, qmail: Path) -> None:
    answer = run_module(mail_import, {"root": str(qmail)})
    assert HASH not in answer["inventory"] + "".join(answer["notes"])
    assert HASH in answer["passwords"]


def test_what_names_say_stays_on_its_line(run_module: RunModule, qmail: Path) -> None:
    (qmail / "home/anna/.qmail-x\ninjected: true").write_text("|program\n")
    answer = run_module(mail_import, {"root": str(qmail)})
    assert "injected" not in yaml.safe_load(answer["inventory"])


def test_vpopmail_s_people_exist_in_their_domain_alone(run_module: RunModule, tmp_path: Path) -> None:
    root = tree(tmp_path, VPOPMAIL)
    said, hashes, notes = found(run_module, root)
    users = {user["name"]: user for user in said["mail_users"]}
    assert users["info@v.example"]["quota"] == 50000000
    assert hashes == {"info@v.example": HASH}
    domain = next(each for each in said["mail_domains"] if isinstance(each, dict) and each["name"] == "v.example")
    assert domain["addresses"] == {"sales": ["info@v.example", "x@elsewhere.example"], "*": "info@v.example"}
    assert any("joe@v.example: the hash" in note for note in notes)


def test_a_postfix_s_tables(run_module: RunModule, tmp_path: Path) -> None:
    root = tree(tmp_path, POSTFIX)
    said, _, notes = found(run_module, root)
    domains = {each if isinstance(each, str) else each["name"]: each for each in said["mail_domains"]}
    assert domains.keys() == {"a.example", "b.example", "v.example", "c.example", "d.example"}
    assert domains["b.example"]["addresses"] == {"info": "anna", "all": ["anna", "x@elsewhere.example"], "*": "bert"}
    assert domains["c.example"] == {"name": "c.example", "relay_to": "mx.c.example", "recipients": ["joe"]}
    assert domains["d.example"] == {"name": "d.example", "relay_to": "mx", "recipients": "any"}
    users = {user["name"]: user for user in said["mail_users"]}
    assert users.keys() == {"anna", "bert", "info@v.example", "old@v.example"}
    assert users["anna"]["aliases"] == ["webmaster"]
    assert {"to": "partner.example", "via": "192.0.2.9", "port": 2525} in said["mail_routes"]
    assert {"to": "*", "via": "smtp.provider.example", "port": 587} in said["mail_routes"]
    told = "\n".join(notes)
    for what in (
        "pgsql:/etc/postfix/pg.cf",
        "robot runs a program",
        "wants a password",
        "d.example: mail for every",
        "mbox",
    ):
        assert what in told


def test_a_host_without_a_mail_system_that_is_known_is_told(run_module: RunModule, tmp_path: Path) -> None:
    assert "only qmail, vpopmail and Postfix can be read" in run_module(mail_import, {"root": str(tmp_path)})["msg"]
