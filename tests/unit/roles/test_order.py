"""What a role makes of a list has the list's own order, at each run: what a set gives has another one each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sitelab.paths import ROOT

from tests.unit.roles.control_play import written

SET_FILTERS = re.compile(r"\|\s*(?:ansible\.builtin\.)?(difference|intersect|symmetric_difference|union)\b")
EXPRESSIONS = sorted(
    path for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*") if path.suffix in (".yml", ".j2")
)


@pytest.mark.parametrize("path", EXPRESSIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_filter_that_goes_by_sets(path: Path) -> None:
    """reject('in', ...) and select('in', ...) do the same and keep the order."""
    assert SET_FILTERS.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(("resolver", "lines"), [("unbound", "127.0.0.1\n"), ("host", None)])
def test_qmail_remote_asks_the_resolver_of_the_host_s_own(tmp_path: Path, resolver: str, lines: str | None) -> None:
    said = {
        "mail_fqdn": "mail.example",
        "mail_domains": ["a.example"],
        "mail_users": [{"name": "x", "password_hash": "*"}],
        "resolver": resolver,
    }
    assert written(tmp_path, said)["files"].get("nameservers") == lines


@pytest.mark.parametrize("seed", range(3))
def test_locals_of_several_domains_are_in_the_order_of_the_site(tmp_path: Path, seed: int) -> None:
    domains = [f"{letter}.example" for letter in "qwertyuiop"]
    said = {
        "mail_fqdn": "mail.example",
        "mail_domains": domains,
        "mail_users": [{"name": "x", "password_hash": "*"}],
        "qmail_virtualdomains": {domains[3]: "x"},
    }
    found = written(tmp_path, said, seed)["files"]["locals"].splitlines()
    assert found == ["localhost", "mail.example", *domains[:3], *domains[4:]]
