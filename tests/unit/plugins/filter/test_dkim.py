"""Whose keys a site has."""

from __future__ import annotations

from typing import Any

import pytest

from filter_plugins.dkim import dkim_faults, signed_domains


@pytest.mark.parametrize(
    ("domains", "fqdn", "more", "signed"),
    [
        (["Example.org"], "mail.example.org", [], ["example.org"]),
        (["example.org"], "mail.example.net", [], ["example.org", "mail.example.net"]),
        (["example.org"], "badexample.org", [], ["example.org", "badexample.org"]),
        ([{"name": "example.org"}, {"name": "b.example", "relay_to": "mx"}], "m.example.org", [], ["example.org"]),
        ([{"name": "b.example", "relay_to": "mx"}], "m.b.example", ["b.example"], ["b.example"]),
        (["a.example", "b.example"], "a.example", ["news.a.example"], ["a.example", "b.example", "news.a.example"]),
    ],
)
def test_the_domains(domains: list[Any], fqdn: str, more: list[str], signed: list[str]) -> None:
    assert signed_domains(domains, fqdn, more) == signed


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"dkim_domains": ["example.com"]}, '"example.com" is neither one of mail_domains nor below one'),
        ({"dkim_domains": ["badexample.org"]}, '"badexample.org" is neither'),
        ({"dkim_domains": ["example.org"]}, '"example.org" is signed anyway'),
        ({"dkim_domains": ["exa mple.org"]}, '"exa mple.org" is not a domain'),
        ({"dkim_domains": ["org"]}, '"org" is not a domain'),
        ({"dkim_domains": ["x." * 110 + "example.org"]}, "is not a domain"),
        ({"dkim_selector_prefix": "Q_"}, 'dkim_selector_prefix: "Q_" can\'t begin a name'),
        ({"dkim_selector_prefix": ""}, "can't begin a name"),
        ({"dkim_selector_prefix": "a.b"}, "can't begin a name"),
        ({"dkim_key_days": 7}, "dkim_key_days: 7 is not a number of days from 30 to 3650"),
    ],
)
def test_the_faults(said: dict[str, Any], fault: str) -> None:
    site = {"mail_fqdn": "mail.example.org", "mail_domains": ["example.org", {"name": "b.example", "relay_to": "mx"}]}
    (found,) = dkim_faults(site | said)
    assert fault in found


def test_what_is_right_has_no_fault() -> None:
    site: dict[str, Any] = {
        "mail_fqdn": "mail.example.org",
        "mail_domains": ["example.org", {"name": "b.example", "relay_to": "mx"}],
        "dkim_domains": ["b.example", "news.example.org"],
        "dkim_selector_prefix": "q-1",
        "dkim_key_days": 0,
    }
    assert dkim_faults(site) == []
