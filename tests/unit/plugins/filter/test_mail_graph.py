"""The filters that hand a declared site to the roles."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.mail_graph import FilterModule, mail_control, mail_graph, mail_hashes, own_domains, system_people

SITE: dict[str, Any] = {
    "mail_fqdn": "mail.example.org",
    "mail_domains": ["example.org"],
    "mail_users": [{"name": "carol", "password_hash": "*"}],
    "mail_postmaster": "carol",
}


def test_the_graph_and_the_control_files_of_a_site() -> None:
    assert mail_graph(SITE)["addresses"]["carol@example.org"] == {"to": ["carol"], "until": None, "why": "user"}
    assert mail_control(SITE)["files"]["rcpthosts"] == ["localhost", "mail.example.org", "example.org"]
    assert mail_hashes(SITE["mail_users"]) == {"hashes": {"carol": "*"}, "passwords": {}}


@pytest.mark.parametrize("ask", [mail_graph, mail_control])
def test_a_site_with_a_fault_has_neither(ask: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r'mail_postmaster: "x" is not the name of one of mail_users'):
        ask(SITE | {"mail_postmaster": "x"})
    with pytest.raises(AnsibleFilterError, match="wants the mapping of a site's variables"):
        ask(["mail_fqdn"])


def test_who_has_an_account() -> None:
    users = [
        {"name": "anna"},
        {"name": "bert", "mailbox": "virtual"},
        {"name": "c@example.org"},
        {"name": "dave", "mailbox": "system"},
        {"name": "eve", "state": "absent"},
    ]
    assert [user["name"] for user in system_people({"mail_users": users})] == ["anna", "dave"]
    assert [user["name"] for user in system_people({"mail_users": users, "mail_mailboxes": "virtual"})] == ["dave"]
    assert system_people({}) == []


def test_domains_that_can_be_asked_for_an_unknown_address() -> None:
    relay, caught = {"name": "r.test", "relay_to": "mx"}, {"name": "c.test", "addresses": {"*": "anna"}}
    assert own_domains([relay, caught, {"name": "n.test"}, "p.test"]) == ["n.test", "p.test"]
    assert own_domains([relay]) == ["r.test"]
    assert FilterModule().filters()["domain_names"]([relay, "p.test"]) == ["r.test", "p.test"]
