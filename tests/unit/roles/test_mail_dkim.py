"""mail-dkim: keys, and when they change."""

from __future__ import annotations

import base64
import datetime
import grp
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from sitelab.loopback_dns import Servers, servers

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "roles/dkim/files/usr/local/lib/qmail-site/mail-dkim"
PARTS = ("name_servers", "whole_file")
RESOLVER, FIRST, SECOND, SIXTH = "127.0.0.53", "127.0.0.11", "127.0.0.12", "127.0.0.16"
SOA = "ns1.example.org. hostmaster.example.org. 1 3600 600 86400 300"
DAY = datetime.date(2026, 11, 27)
LATER = DAY + datetime.timedelta(days=180)


class Host:
    """A host's keys, and a DNS where ns1 and ns2 have the zone example.org."""

    def __init__(self, top: Path, dns: Servers) -> None:
        self.top = top
        self.dns = dns
        self.config = top / "dkim.json"
        self.home = top / "dkim"
        self.day = DAY
        self.wants: dict[str, Any] = {
            "domains": ["example.org"],
            "ed25519": False,
            "key_days": 180,
            "selector_prefix": "q",
            "queue_lifetime": 604800,
            "group": grp.getgrgid(os.getgid()).gr_name,
            "nameservers": [RESOLVER],
            "dns_port": dns.port,
        }
        self.declare()
        self.resolve()

    def declare(self, **changes: object) -> None:
        self.wants |= changes
        self.config.write_text(json.dumps(self.wants))

    def resolve(self, ns2: str = SECOND) -> None:
        names = {"NS": ["ns1.example.org.", "ns2.example.org."], "SOA": [SOA]}
        zone = {"example.org": names, "ns1.example.org": {"A": [FIRST]}, "ns2.example.org": {"A": [ns2]}}
        self.dns.serve(RESOLVER, zone, authoritative=False)

    def publish(self, *addresses: str, but: str = "") -> None:
        zone = {each["name"]: {"TXT": [each["value"]]} for each in self.records() if each["name"] != but}
        for address in addresses:
            self.dns.serve(address, {"example.org": {"NS": ["ns1.example.org."]}, **zone})

    def run(self, *words: str, code: int = 0) -> str:
        stage = self.top / "program"
        if not stage.exists():
            stage.mkdir()
            for part in (*PROGRAM.glob("*.py"), *(ROOT / "module_utils" / f"{name}.py" for name in PARTS)):
                shutil.copy(part, stage)
            shutil.copy(ROOT / "module_utils/site_resolvers/__init__.py", stage / "site_resolvers.py")
        command = ["/usr/bin/python3", "-Es", str(stage / "mail_dkim.py"), "--config", str(self.config)]
        command += ["--today", self.day.isoformat(), *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        assert "PRIVATE" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def records(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.run("records"))
        return found

    def states(self) -> dict[str, str]:
        return {each["name"].partition(".")[0]: each["state"] for each in self.records()}

    def state(self) -> dict[str, Any]:
        whole: dict[str, Any] = json.loads((self.home / "state.json").read_text())
        return whole


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with servers(tmp_path, RESOLVER, FIRST, SECOND, SIXTH) as dns:
        yield Host(tmp_path, dns)


def test_the_first_key_signs_at_once_and_is_closed(host: Host) -> None:
    assert host.run("make") == "example.org: key q202611r (rsa) made, and signs\n"
    file = host.home / "example.org/q202611r.pem"
    assert oct(file.stat().st_mode) == "0o100640"
    assert oct(file.parent.stat().st_mode) == "0o40750"
    assert oct((host.home / "state.json").stat().st_mode) == "0o100644"
    key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    assert host.records() == [
        {
            "name": "q202611r._domainkey.example.org",
            "type": "TXT",
            "value": f"v=DKIM1; k=rsa; p={public}",
            "state": "current",
            "domain": "example.org",
        }
    ]
    assert "PRIVATE" not in (host.home / "state.json").read_text()
    before = (host.home / "state.json").stat().st_mtime_ns
    assert host.run("make") == ""
    assert (host.home / "state.json").stat().st_mtime_ns == before


def test_check_changes_nothing(host: Host) -> None:
    assert host.run("make", "--check") == "example.org: key q202611r (rsa) made, and signs\n"
    assert not host.home.exists()


def test_a_check_says_what_a_declaration_that_is_not_written_would_make(host: Host) -> None:
    host.run("make")
    text = json.dumps(host.wants | {"domains": ["example.org", "example.net"]})
    pieces = [f"--declared={text[:20]}", f"--declared={text[20:]}"]
    assert host.run("make", "--check", *pieces) == "example.net: key q202611r (rsa) made, and signs\n"
    assert list(host.state()) == ["example.org"]
    assert "--declared is for --check" in host.run("make", *pieces, code=2)


def test_a_second_algorithm_and_a_domain_come_and_go(host: Host) -> None:
    host.run("make")
    host.declare(ed25519=True, domains=["example.org", "example.net"])
    assert host.run("make").count("made, and signs") == 3
    assert host.states() == {"q202611r": "current", "q202611e": "current"}
    assert len(host.records()) == 4
    host.declare(ed25519=False, domains=["example.org"])
    assert host.run("make").count("signs no more: it isn't declared") == 3
    assert [each["state"] for each in host.records()].count("old") == 3
    host.declare(ed25519=True)
    assert "key q202611e2 (ed25519) made, and signs" in host.run("make")


def test_modes_are_mended(host: Host) -> None:
    host.run("make")
    file = host.home / "example.org/q202611r.pem"
    file.chmod(0o644)
    file.parent.chmod(0o755)
    assert host.run("make", "--check").count("owner and mode mended") == 2
    assert file.stat().st_mode & 0o777 == 0o644
    assert host.run("make").count("owner and mode mended") == 2
    assert file.stat().st_mode & 0o777 == 0o640
    assert host.run("make") == ""


def test_a_key_that_is_gone_is_told(host: Host) -> None:
    host.run("make")
    (host.home / "example.org/q202611r.pem").unlink()
    assert "is gone: bring it back from a backup" in host.run("make", code=1)


def test_the_next_key_waits_until_every_server_has_it(host: Host) -> None:
    host.run("make")
    host.publish(FIRST, SECOND)
    assert "at every name server" in host.run("status")
    host.day = LATER
    said = host.run("rotate")
    assert "key q202705r (rsa) made; it signs once every name server has its record" in said
    assert f"key q202705r (rsa) waits: ns1.example.org (127.0.0.11 port {host.dns.port}): has no record" in said
    host.publish(FIRST)
    assert "waits: ns2.example.org (127.0.0.12 " in host.run("rotate")
    assert host.states() == {"q202611r": "current", "q202705r": "next"}
    host.publish(FIRST, SECOND)
    assert "key q202705r (rsa) signs now, in place of q202611r" in host.run("rotate")
    assert host.states() == {"q202705r": "current", "q202611r": "old"}
    assert host.run("rotate") == ""


@pytest.mark.parametrize("trouble", ["servfail", "silent", "another", "lame", "no address", "no resolver"])
def test_a_server_in_trouble_holds_it_up(host: Host, trouble: str) -> None:
    host.run("make")
    host.day = LATER
    host.run("make")
    host.publish(FIRST, SECOND)
    name = "q202705r._domainkey.example.org"
    if trouble in ("servfail", "silent"):
        host.dns.serve(SECOND, {name: trouble})
    elif trouble == "another":
        host.dns.serve(SECOND, {name: {"TXT": ["v=DKIM1; k=rsa; p=AAAA"]}})
    elif trouble == "lame":
        host.dns.serve(SECOND, dict(host.dns.views[SECOND]["zone"]), authoritative=False)  # type: ignore[call-overload]
    elif trouble == "no address":
        names = {"NS": ["ns1.example.org.", "ns2.example.org."], "SOA": [SOA]}
        host.dns.serve(RESOLVER, {"example.org": names, "ns1.example.org": {"A": [FIRST]}}, authoritative=False)
    else:
        host.dns.serve(RESOLVER, {"example.org": "servfail"}, authoritative=False)
    assert "key q202705r (rsa) waits: " in host.run("rotate")
    assert host.states()["q202705r"] == "next"


def test_one_address_of_a_server_is_enough_and_none_may_be_wrong(host: Host) -> None:
    host.run("make")
    host.day = LATER
    host.run("make")
    names = {"NS": ["ns1.example.org."], "SOA": [SOA]}
    zone = {"example.org": names, "ns1.example.org": {"A": [FIRST, SECOND]}}
    host.dns.serve(RESOLVER, zone, authoritative=False)
    host.publish(FIRST)
    assert "waits: ns1.example.org (127.0.0.12" in host.run("rotate")
    host.dns.serve(SECOND, {"q202705r._domainkey.example.org": "servfail"})
    assert "signs now" in host.run("rotate")


def test_a_value_in_other_blanks_is_the_same(host: Host) -> None:
    host.run("make")
    host.day = LATER
    host.run("make")
    host.publish(FIRST)
    name = "q202705r._domainkey.example.org"
    value = next(each["value"] for each in host.records() if each["name"] == name)
    host.dns.serve(SECOND, {name: {"TXT": [value.replace("; ", ";") + ";"]}})
    assert "signs now" in host.run("rotate")


def test_former_keys_go_in_their_time(host: Host) -> None:
    host.run("make")
    host.day = LATER
    host.run("make")
    host.publish(FIRST, SECOND)
    host.run("rotate")
    file = host.home / "example.org/q202611r.pem"
    host.day = LATER + datetime.timedelta(days=7)
    assert host.run("rotate") == ""
    assert file.exists()
    host.day = LATER + datetime.timedelta(days=8)
    assert "the private key q202611r is removed" in host.run("rotate")
    assert not file.exists()
    host.day = LATER + datetime.timedelta(days=14)
    assert host.run("rotate") == ""
    assert host.states()["q202611r"] == "old"
    host.day = LATER + datetime.timedelta(days=15)
    assert "the record q202611r._domainkey.example.org may be removed" in host.run("rotate")
    assert host.states()["q202611r"] == "removable"
    host.publish(FIRST, but="q202611r._domainkey.example.org")
    assert "may be removed" in host.run("rotate")
    host.publish(FIRST, SECOND, but="q202611r._domainkey.example.org")
    assert "q202611r is gone from the DNS, and forgotten" in host.run("rotate")
    assert host.states() == {"q202705r": "current"}


def test_never_is_never(host: Host) -> None:
    host.declare(key_days=0)
    host.run("make")
    host.day = DAY + datetime.timedelta(days=5000)
    assert host.run("make") == ""


def test_without_a_declaration_it_says_so(host: Host) -> None:
    host.config.unlink()
    assert "no play has declared yet who signs here" in host.run("make", code=1)
    host.declare(group="no-such-group")
    assert "there is no group no-such-group" in host.run("make", code=1)
