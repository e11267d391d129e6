"""SPF: RFC 7208's examples and limits, in our words, with a DNS on loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sitelab.loopback_dns import Servers, Zone, servers

SOURCE = Path(__file__).resolve().parents[2]
RESOLVER = "127.0.0.54"

ASK = f"""
import json, sys, time
sys.path[0:0] = [{str(SOURCE / "mailauth")!r}, {str(SOURCE / "dkim")!r}]
sys.path += ["/usr/lib/python3/dist-packages", {str(SOURCE.parent / "module_utils")!r}]
from mailauth.questions import Questions
from mailauth.spf_check import spf_of
port, seconds, *cases = json.loads(sys.argv[1])
if seconds < 0:
    import site_resolvers
    from pathlib import Path
    site_resolvers.PATH = Path(cases.pop())
    seconds = -seconds
for case in cases:
    began = time.monotonic()
    found = spf_of(Questions(seconds, 1, 100, [{RESOLVER!r}] if port else None, port or 53), *case)
    print(json.dumps([found.result, found.identity, found.domain, time.monotonic() - began]))
"""


def txt(*texts: str) -> dict[str, list[str]]:
    return {"TXT": list(texts)}


# RFC 7208 appendix A.
EXAMPLE: dict[str, dict[str, list[str]]] = {
    "example.com": {"MX": ["10 mail-a.example.com.", "20 mail-b.example.com."], "A": ["192.0.2.10", "192.0.2.11"]},
    "amy.example.com": {"A": ["192.0.2.65"]},
    "bob.example.com": {"A": ["192.0.2.66"]},
    "mail-a.example.com": {"A": ["192.0.2.129"]},
    "mail-b.example.com": {"A": ["192.0.2.130"]},
    "example.org": {"MX": ["10 mail-c.example.org."]},
    "mail-c.example.org": {"A": ["192.0.2.140"]},
    "10.2.0.192.in-addr.arpa": {"PTR": ["example.com."]},
    "65.2.0.192.in-addr.arpa": {"PTR": ["amy.example.com."]},
    "140.2.0.192.in-addr.arpa": {"PTR": ["mail-c.example.org."]},
    "4.0.0.10.in-addr.arpa": {"PTR": ["bob.example.com."]},
    "mobile-users._spf.example.com": {},
    "mary.mobile-users._spf.example.com": {"A": ["127.0.0.2"]},
}


def with_record(record: str, more: Zone | None = None) -> Zone:
    return {**EXAMPLE, **(more or {}), "example.com": {**EXAMPLE["example.com"], **txt(record)}}


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("dns"), RESOLVER) as made:
        yield made


def judged(dns: Servers, *cases: tuple[str, str, str], seconds: float = 10) -> list[tuple[str, str, str, float]]:
    words = json.dumps([dns.port, seconds, *cases])
    done = subprocess.run(["/usr/bin/python3", "-IS", "-c", ASK, words], stdout=subprocess.PIPE, text=True, check=True)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def results(dns: Servers, zone: Zone, *addresses: str, sender: str = "joe@example.com") -> list[str]:
    dns.serve(RESOLVER, zone, authoritative=False)
    return [each[0] for each in judged(dns, *((address, sender, "helo.example") for address in addresses))]


@pytest.mark.parametrize(
    ("record", "passes", "fails"),
    [
        ("v=spf1 +all", ["192.0.2.129", "203.0.113.1"], []),
        ("v=spf1 a -all", ["192.0.2.10", "192.0.2.11"], ["192.0.2.129"]),
        ("v=spf1 a:example.org -all", [], ["192.0.2.10"]),
        ("v=spf1 mx -all", ["192.0.2.129", "192.0.2.130"], ["192.0.2.10"]),
        ("v=spf1 mx:example.org -all", ["192.0.2.140"], ["192.0.2.129"]),
        ("v=spf1 mx mx:example.org -all", ["192.0.2.129", "192.0.2.140"], ["192.0.2.10"]),
        ("v=spf1 mx/30 mx:example.org/30 -all", ["192.0.2.131", "192.0.2.143"], ["192.0.2.132"]),
        ("v=spf1 ptr -all", ["192.0.2.10", "192.0.2.65"], ["192.0.2.140", "10.0.0.4"]),
        ("v=spf1 ip4:192.0.2.128/28 -all", ["192.0.2.129"], ["192.0.2.65"]),
        ("v=spf1 ip6:2001:db8::/32 -all", ["2001:db8::1"], ["2001:db9::1", "192.0.2.1"]),
        ("v=spf1 exists:%{l}.mobile-users._spf.%{d} -all", [], ["192.0.2.1"]),
    ],
)
def test_the_examples_of_the_rfc(dns: Servers, record: str, passes: list[str], fails: list[str]) -> None:
    found = results(dns, with_record(record), *passes, *fails)
    assert found == ["pass"] * len(passes) + ["fail"] * len(fails)


def test_a_macro(dns: Servers) -> None:
    zone = with_record("v=spf1 exists:%{l}.mobile-users._spf.%{d} -all")
    assert results(dns, zone, "192.0.2.1", sender="mary@example.com") == ["pass"]


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=spf1 -all", "fail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1", "neutral"),
        ("v=spf10 -all", "none"),
        ("something else", "none"),
        ("v=spf1 moo -all", "permerror"),
        ("v=spf1 ip4:300.0.0.1 -all", "permerror"),
        ("v=spf1 redirect=example.org", "permerror"),
        ("v=spf1 include:example.org -all", "permerror"),
        ("v=spf1 include:example.com -all", "permerror"),
        ("v=spf1 redirect=example.com", "permerror"),
        ("v=spf1 a:%{x} -all", "permerror"),
        ("v=spf1 " + " ".join(f"a:a{number}.example.com" for number in range(11)) + " -all", "permerror"),
        ("v=spf1 a:no1.example.net a:no2.example.net a:no3.example.net -all", "permerror"),
        ("v=spf1 a:no1.example.net a:no2.example.net -all", "fail"),
    ],
)
def test_results_and_limits(dns: Servers, record: str, result: str) -> None:
    more: Zone = {f"a{number}.example.com": {"A": ["192.0.2.77"]} for number in range(11)}
    assert results(dns, with_record(record, more), "203.0.113.1") == [result]


def test_two_records_are_an_error(dns: Servers) -> None:
    zone = {"example.com": txt("v=spf1 -all", "v=spf1 +all")}
    assert results(dns, zone, "203.0.113.1") == ["permerror"]


def test_the_domain_is_behind_the_last_at(dns: Servers) -> None:
    found = results(
        dns, with_record("v=spf1 ip4:192.0.2.1 -all"), "192.0.2.1", "192.0.2.2", sender='"a@bad.example"@example.com'
    )
    assert found == ["pass", "fail"]


def test_an_empty_sender_is_the_name_in_helo(dns: Servers) -> None:
    dns.serve(RESOLVER, {"helo.example": txt("v=spf1 ip4:192.0.2.1 -all")}, authoritative=False)
    found = judged(
        dns, ("192.0.2.1", "", "helo.example"), ("192.0.2.2", "", "helo.example"), ("192.0.2.1", "", "[192.0.2.1]")
    )
    assert [each[:3] for each in found] == [
        ("pass", "smtp.helo", "helo.example"),
        ("fail", "smtp.helo", "helo.example"),
        ("none", "smtp.helo", "[192.0.2.1]"),
    ]


@pytest.mark.parametrize("trouble", ["servfail", "silent"])
def test_no_answer_is_no_verdict(dns: Servers, trouble: str) -> None:
    assert results(dns, {"example.com": trouble}, "192.0.2.1") == ["temperror"]


def test_its_time_is_bounded(dns: Servers) -> None:
    names = [f"a{number}.example.net" for number in range(10)]
    zone: Zone = {**dict.fromkeys(names, "silent"), "example.com": txt("v=spf1 " + " ".join(f"a:{n}" for n in names))}
    dns.serve(RESOLVER, zone, authoritative=False)
    ((result, _, _, seconds),) = judged(dns, ("192.0.2.1", "joe@example.com", "x.example"), seconds=2)
    assert result == "temperror"
    assert seconds < 4


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 include:%{d} -all",
        "v=spf1 include:b.example.com include:b.example.com -all",
        "v=spf1 exists:" + "%{l}" * 2000 + ".%{d} -all",
        "v=spf1 " + "ip4:192.0.2.1 " * 3000,
        "v=spf1 " + "a" * 20000,
        "v=spf1 a:" + "a." * 10000,
        "v=spf1 " + "x=" * 10000,
        "v=spf1 exp=" + "%{d}" * 1000 + " -all",
        "v=spf1 " + "%{" * 10000,
        "v=spf1 a:" + "%{d1r-}" * 3000,
    ],
)
def test_no_record_takes_long(dns: Servers, record: str) -> None:
    zone = with_record(record, {"b.example.com": txt("v=spf1 include:example.com include:b.example.com -all")})
    dns.serve(RESOLVER, zone, authoritative=False)
    ((result, _, _, seconds),) = judged(dns, ("203.0.113.1", "j" * 200 + "@example.com", "x.example"))
    assert result in ("permerror", "none", "pass", "fail", "neutral", "temperror")
    assert seconds < 5


@pytest.mark.parametrize("harm", ["", "; warm.KEYS['test'] = warm.KEYS['test'].replace(b'MIGf', b'MIGg')"])
def test_it_tries_itself_before_it_is_at_work(harm: str) -> None:
    path = [str(SOURCE / "mailauth"), str(SOURCE / "dkim"), str(SOURCE.parent / "module_utils")]
    code = f"import sys; sys.path[0:0] = {path!r}; sys.path.append('/usr/lib/python3/dist-packages'); "
    code += f"from mailauth import judge, warm{harm}; judge.ready()"
    done = subprocess.run(["/usr/bin/python3", "-IS", "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == (1 if harm else 0)
    assert not harm or "a good signature is taken for pass, permerror" in done.stderr


def test_the_sites_resolver_is_asked_where_there_is_one(dns: Servers, tmp_path: Path) -> None:
    dns.serve(RESOLVER, with_record("v=spf1 ip4:192.0.2.1 -all"), authoritative=False)
    (tmp_path / "nameservers").write_text(f"# ours\n[{RESOLVER}]:{dns.port}\n")
    words = json.dumps([0, -5, ("192.0.2.1", "joe@example.com", "x.example"), str(tmp_path / "nameservers")])
    done = subprocess.run(["/usr/bin/python3", "-IS", "-c", ASK, words], stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(done.stdout)[0] == "pass"
