"""SPF: RFC 7208's examples (appendix A, section 7.4) and limits (section 4.6.4), with a DNS on loopback."""

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


# RFC 7208 appendix A: the zones that its examples are about.
EXAMPLE: dict[str, dict[str, list[str]]] = {
    "example.com": {"MX": ["10 mail-a.example.com.", "20 mail-b.example.com."], "A": ["192.0.2.10", "192.0.2.11"]},
    "amy.example.com": {"A": ["192.0.2.65"]},
    "bob.example.com": {"A": ["192.0.2.66"]},
    "mail-a.example.com": {"A": ["192.0.2.129"]},
    "mail-b.example.com": {"A": ["192.0.2.130"]},
    "example.org": {"MX": ["10 mail-c.example.org."]},
    "mail-c.example.org": {"A": ["192.0.2.140"]},
    "10.2.0.192.in-addr.arpa": {"PTR": ["example.com."]},
    "11.2.0.192.in-addr.arpa": {"PTR": ["example.com."]},
    "65.2.0.192.in-addr.arpa": {"PTR": ["amy.example.com."]},
    "66.2.0.192.in-addr.arpa": {"PTR": ["bob.example.com."]},
    "129.2.0.192.in-addr.arpa": {"PTR": ["mail-a.example.com."]},
    "130.2.0.192.in-addr.arpa": {"PTR": ["mail-b.example.com."]},
    "140.2.0.192.in-addr.arpa": {"PTR": ["mail-c.example.org."]},
    "4.0.0.10.in-addr.arpa": {"PTR": ["bob.example.com."]},
}
# Its A.3: whose users mail from anywhere, and from which addresses those of a group may.
LISTED = {"A": ["127.0.0.2"]}
USERS: dict[str, dict[str, list[str]]] = {
    "mary.mobile-users._spf.example.com": LISTED,
    "fred.mobile-users._spf.example.com": LISTED,
    "15.15.168.192.joel.remote-users._spf.example.com": LISTED,
    "16.15.168.192.joel.remote-users._spf.example.com": LISTED,
    "mobile-users._spf.example.com": txt("v=spf1 exists:%{l1r+}.%{d}"),
    "remote-users._spf.example.com": txt("v=spf1 exists:%{ir}.%{l1r+}.%{d}"),
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
    ],
)
def test_the_simple_examples_of_the_rfc(dns: Servers, record: str, passes: list[str], fails: list[str]) -> None:
    found = results(dns, with_record(record), *passes, *fails)
    assert found == ["pass"] * len(passes) + ["fail"] * len(fails)


def test_the_rfcs_example_of_several_domains(dns: Servers) -> None:
    towns = {f"{town}.example.org": txt("v=spf1 redirect=example.org") for town in ("la", "ny", "sf")}
    both = {**EXAMPLE["example.org"], **txt("v=spf1 include:example.com include:example.net -all")}
    net = txt("v=spf1 ip4:198.51.100.0/24 -all")
    zone = with_record("v=spf1 a mx -all", {**towns, "example.org": both, "example.net": net})
    for domain in ("example.org", "la.example.org", "sf.example.org"):
        found = results(dns, zone, "192.0.2.129", "198.51.100.7", "192.0.2.140", sender=f"a@{domain}")
        assert found == ["pass", "pass", "fail"]


@pytest.mark.parametrize(
    ("sender", "address", "result"),
    [
        ("mary@example.com", "203.0.113.1", "pass"),
        ("fred+list@example.com", "203.0.113.1", "pass"),
        ("joel@example.com", "203.0.113.1", "fail"),
        ("joel@example.com", "192.168.15.15", "pass"),
        ("joel+list@example.com", "192.168.15.16", "pass"),
        ("joel@example.com", "192.168.15.17", "fail"),
        ("amy@example.com", "192.168.15.15", "fail"),
        ("amy@example.com", "192.0.2.129", "pass"),
    ],
)
def test_the_rfcs_example_of_a_list_of_users(dns: Servers, sender: str, address: str, result: str) -> None:
    zone = with_record("v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all", USERS)
    assert results(dns, zone, address, sender=sender) == [result]


def test_the_rfcs_example_of_several_requirements(dns: Servers) -> None:
    more: Zone = {
        "ip4._spf.example.com": txt("v=spf1 -ip4:192.0.2.0/24 +all"),
        "ptr._spf.example.com": txt("v=spf1 -ptr:example.com +all"),
    }
    zone = with_record("v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all", more)
    # Of the network and of a name; of the network alone; of neither.
    assert results(dns, zone, "192.0.2.65", "192.0.2.140", "10.0.0.4") == ["pass", "fail", "fail"]


@pytest.mark.parametrize(
    ("macro", "name"),
    [
        # RFC 7208 section 7.4, for strong-bad@email.example.com at 192.0.2.3.
        ("%{s}", "strong-bad\\@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        # And what its sections 7.2 and 7.3 say beside.
        ("%{h}", "helo.example"),
        ("%{D}.%{L}", "email.example.com.strong-bad"),
        ("%{p}", "mx.example.org"),
        ("a%_b%%c%-d", "a\\032b%c%20d"),
    ],
)
def test_the_rfcs_examples_of_macros(dns: Servers, macro: str, name: str) -> None:
    zone: Zone = {
        "email.example.com": txt(f"v=spf1 exists:{macro}.t.example -all"),
        "3.2.0.192.in-addr.arpa": {"PTR": ["mx.example.org."]},
        "mx.example.org": {"A": ["192.0.2.3"]},
        "t.example": {},
    }
    dns.asked()
    assert results(dns, zone, "192.0.2.3", sender="strong-bad@email.example.com") == ["fail"]
    assert f"{RESOLVER} {name}.t.example A" in dns.asked()


def test_the_rfcs_example_of_a_macro_for_ipv6(dns: Servers) -> None:
    name = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
    zone: Zone = {"email.example.com": txt("v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all"), name: LISTED}
    sender = "strong-bad@email.example.com"
    assert results(dns, zone, "2001:db8::cb01", "2001:db8::cb02", sender=sender) == ["pass", "fail"]


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


@pytest.mark.parametrize(("number", "result"), [(10, "pass"), (11, "permerror")])
def test_an_mx_has_ten_names_at_most(dns: Servers, number: int, result: str) -> None:
    # Section 4.6.4: each costs a question, and there is no end to them.
    hosts = [f"h{each}.example.net" for each in range(number)]
    more: Zone = {host: {"A": ["192.0.2.77"]} for host in hosts}
    more = {**more, "mx.example.net": {"MX": [f"10 {host}." for host in hosts]}}
    assert results(dns, with_record("v=spf1 mx:mx.example.net -all", more), "192.0.2.77") == [result]


@pytest.mark.parametrize(("number", "ours", "result"), [(10, "h9", "pass"), (12, "", "fail")])
def test_of_an_addresss_names_ten_are_looked_at(dns: Servers, number: int, ours: str, result: str) -> None:
    # Section 4.6.4: the others are as if they weren't there, which is no error.
    names = [f"h{each}" for each in range(number)]
    more: Zone = {f"{name}.example.com": {"A": ["192.0.2.77" if name == ours else "192.0.2.78"]} for name in names}
    more = {**more, "77.2.0.192.in-addr.arpa": {"PTR": [f"{name}.example.com." for name in names]}}
    dns.asked()
    assert results(dns, with_record("v=spf1 ptr -all", more), "192.0.2.77") == [result]
    assert sum(line.endswith(".example.com A") for line in dns.asked()) == 10


@pytest.mark.parametrize(("last", "result"), [(3, "pass"), (4, "permerror")])
def test_ten_look_ups_are_those_of_all_the_records_together(dns: Servers, last: int, result: str) -> None:
    """Seven are in two policies, of which one includes the other: two for that, and five of their own."""
    more: Zone = {f"h{number}.example.net": {"A": ["192.0.2.78"]} for number in range(10)}
    more = {
        **more,
        "one.example.net": txt("v=spf1 a:h0.example.net a:h1.example.net a:h2.example.net include:two.example.net"),
        "two.example.net": txt("v=spf1 mx:no.example.net ?exists:h9.example.net -all"),
        "no.example.net": {"MX": ["10 h9.example.net."]},
    }
    terms = " ".join(f"a:h{3 + number}.example.net" for number in range(last))
    record = f"v=spf1 include:one.example.net {terms} ip4:192.0.2.77 -all"
    assert results(dns, with_record(record, more), "192.0.2.77") == [result]


def test_two_void_look_ups_are_those_of_all_the_records_together(dns: Servers) -> None:
    one, two = (txt(f"v=spf1 a:no{number}.example.net -all") for number in (1, 2))
    more: Zone = {"one.example.net": one, "two.example.net": two}
    for term, result in (("", "fail"), ("a:no3.example.net", "permerror")):
        record = f"v=spf1 include:one.example.net include:two.example.net {term} -all"
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


@pytest.mark.parametrize("trouble", ["servfail", "silent"])
def test_a_clients_own_servers_put_nothing_in_doubt(dns: Servers, trouble: str) -> None:
    # Section 5.5. temperror would have DMARC refuse nothing, whatever the domain of the author wants.
    reverse = "77.2.0.192.in-addr.arpa"
    assert results(dns, with_record("v=spf1 ptr -all", {reverse: trouble}), "192.0.2.77") == ["fail"]
    more: Zone = {
        reverse: {"PTR": ["h.bad.example.", "good.example.com."]},
        "h.bad.example": trouble,
        "good.example.com": {"A": ["192.0.2.77"]},
    }
    assert results(dns, with_record("v=spf1 ptr -all", more), "192.0.2.77") == ["pass"]


def test_a_clients_own_servers_take_no_time_from_others(dns: Servers) -> None:
    # Their answer names them, and a host of the domain's, which would be asked for when the time is over.
    names = [f"h{number}.bad.example" for number in range(9)]
    zone: Zone = {
        **with_record("v=spf1 ptr a:good.example.net -all", {"good.example.net": {"A": ["192.0.2.77"]}}),
        **dict.fromkeys(names, "silent"),
        "77.2.0.192.in-addr.arpa": {"PTR": [f"{name}." for name in [*names, "good.example.net"]]},
    }
    dns.serve(RESOLVER, zone, authoritative=False)
    ((result, _, _, seconds),) = judged(dns, ("192.0.2.77", "joe@example.com", "x.example"), seconds=6)
    assert result == "pass"
    assert seconds < 5


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
