"""When a certificate's next key has its turn: what the name servers are asked, and by whom they are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils import key_turn, name_servers, site_resolvers  # type: ignore[attr-defined,unused-ignore]
from sitelab.loopback_dns import Servers, servers

RESOLVER, FIRST, SECOND = "127.0.0.59", "127.0.0.57", "127.0.0.58"
SOA = "ns1.example.org. hostmaster.example.org. 1 3600 600 86400 300"
NAME = "_25._tcp.mail.example.org"
RECORD = "3 1 1 " + "ab" * 32


@pytest.fixture
def dns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """Run a zone with two name servers, which only the resolver of control/nameservers knows."""
    with servers(tmp_path, RESOLVER, FIRST, SECOND) as found:
        names = {"SOA": [SOA], "NS": ["ns1.example.org.", "ns2.example.org."]}
        hosts = {"ns1.example.org": {"A": [FIRST]}, "ns2.example.org": {"A": [SECOND]}}
        found.serve(RESOLVER, {"example.org": names, **hosts}, authoritative=False)
        for address in (FIRST, SECOND):
            found.serve(address, {NAME: {"TLSA": [RECORD]}})
        (tmp_path / "nameservers").write_text(f"junk\n[{RESOLVER}]:{found.port}\n")
        monkeypatch.setattr(site_resolvers, "PATH", tmp_path / "nameservers")
        of_zone = name_servers.Names._with_servers

        def at_our_port(self: object, zone: str) -> object:
            self._port = found.port  # type: ignore[attr-defined]
            return of_zone(self, zone)

        monkeypatch.setattr(name_servers.Names, "_with_servers", at_our_port)
        yield found


def test_the_sites_own_resolver_finds_those_with_authority(dns: Servers) -> None:
    assert key_turn.published()(NAME) == [[RECORD], [RECORD]]
    asked = {line.split()[0] for line in dns.asked()}
    assert asked == {RESOLVER, FIRST, SECOND}


@pytest.mark.parametrize("trouble", ["servfail", "lame", "no address"])
def test_a_server_in_trouble_is_told(dns: Servers, trouble: str) -> None:
    if trouble == "servfail":
        dns.serve(SECOND, {NAME: "servfail"})
    elif trouble == "lame":
        dns.serve(SECOND, {NAME: {"TLSA": [RECORD]}}, authoritative=False)
    else:
        names = {"SOA": [SOA], "NS": ["ns1.example.org.", "ns2.example.org."]}
        dns.serve(RESOLVER, {"example.org": names, "ns1.example.org": {"A": [FIRST]}}, authoritative=False)
    with pytest.raises(LookupError, match=r"ns2\.example\.org"):
        key_turn.published()(NAME)
