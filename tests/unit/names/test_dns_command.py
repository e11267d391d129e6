"""bin/dns against real name servers: what it finds, what it prints, what it writes."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rrset
import pytest
from sitelab.paths import ROOT

from dnscheck import __main__ as command
from dnscheck.look import Outcome
from module_utils import dns_records
from module_utils.name_servers import Names, NoAnswerError, Server
from tests.unit.names.conftest import PRIMARY, SECONDARY, Start

SITE: dict[str, Any] = {
    "fqdn": "mail.a.test",
    "domains": [{"name": "a.test"}],
    "addresses": ["192.0.2.25"],
    "dmarc_reports": "postmaster@a.test",
    "tls_reports": "postmaster@a.test",
    "mta_sts": "testing",
    "dkim": [
        {"name": "q1r._domainkey.a.test", "type": "TXT", "value": f"v=DKIM1; k=rsa; p={'A' * 392}", "state": "current"}
    ],
    "tlsa": [{"name": "_25._tcp.mail.a.test", "type": "TLSA", "value": "3 1 1 " + "ab" * 32, "state": "current"}],
}
NS = f"""@ NS ns1.a.test.
@ NS ns2.a.test.
ns1 A {PRIMARY}
ns2 A {SECONDARY}
"""
REVERSE = "2.0.192.in-addr.arpa"
REVERSE_ZONE = "@ NS ns1.a.test.\n@ NS ns2.a.test.\n25 PTR mail.a.test.\n"
SECRET = base64.b64encode(bytes(range(32))).decode()


# One that has each kind of record; and of each, by type and name: is it required, and what may be there instead.
WHOLE: dict[str, Any] = SITE | {
    "addresses": ["192.0.2.25", "2001:db8::25"],
    "autoconfig_host": "mail.a.test",
    "submission": True,
    "caa": ["letsencrypt.org"],
}
KINDS = {
    ("MX", "a.test"): ("required", "20 mail.a.test."),
    ("A", "mail.a.test"): ("required", "192.0.2.26"),
    ("AAAA", "mail.a.test"): ("required", "2001:db8::26"),
    ("PTR", "25.2.0.192.in-addr.arpa"): ("required", "elsewhere.test."),
    ("PTR", "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"): (
        "required",
        "elsewhere.test.",
    ),
    ("TXT", "a.test"): ("required", '"v=spf1 -all"'),
    ("TXT", "q1r._domainkey.a.test"): ("required", '"v=DKIM1; k=rsa; p=AAAA"'),
    ("TXT", "_dmarc.a.test"): ("required", '"v=DMARC1; p=reject; pct=none"'),
    ("TXT", "_smtp._tls.a.test"): ("recommended", '"v=TLSRPTv1; rua=mailto:x@elsewhere.test"'),
    ("TXT", "_mta-sts.a.test"): ("recommended", '"v=STSv1; id=1;"'),
    ("CNAME", "mta-sts.a.test"): ("recommended", "elsewhere.test."),
    ("TLSA", "_25._tcp.mail.a.test"): ("recommended", f"3 1 1 {'cd' * 32}"),
    ("SRV", "_submissions._tcp.a.test"): ("recommended", "0 1 465 elsewhere.test."),
    ("SRV", "_submission._tcp.a.test"): ("recommended", "0 1 587 elsewhere.test."),
    ("SRV", "_pop3s._tcp.a.test"): ("recommended", "0 1 995 elsewhere.test."),
    ("SRV", "_pop3._tcp.a.test"): ("recommended", "0 1 110 elsewhere.test."),
    ("CNAME", "autoconfig.a.test"): ("recommended", "elsewhere.test."),
    ("SRV", "_autodiscover._tcp.a.test"): ("recommended", "0 1 443 elsewhere.test."),
    ("CAA", "mail.a.test"): ("recommended", '0 issue "elsewhere.test"'),
}
REVERSE_OF_IPV6 = "8.b.d.0.1.0.0.2.ip6.arpa"


def wanted(site: dict[str, Any] = SITE) -> str:
    """All that a site needs, as the command prints it."""
    return dns_records.zone(dns_records.rules(dns_records.read(site)), 60)


def zones(*more: str, without: str | tuple[str, ...] = (), site: dict[str, Any] = SITE) -> dict[str, str]:
    out = (without,) if isinstance(without, str) else without
    lines = [line for line in wanted(site).splitlines() if not any(text in line for text in out)]
    return {"a.test": NS + "\n".join([*lines, *more]) + "\n", REVERSE: REVERSE_ZONE}


def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int, *words: str, site: dict[str, Any] | None = None
) -> tuple[int, str]:
    file = tmp_path / "site.json"
    file.write_text(json.dumps(site or SITE))
    code = command.main(["--site", str(file), "--resolver", PRIMARY, "--port", str(port), *words])
    said = capsys.readouterr()
    return code, said.out + said.err


def found(text: str) -> dict[tuple[str, str], str]:
    """Status by type and name."""
    return {(each["type"], each["name"]): each["status"] for each in json.loads(text)["records"]}


def test_the_zone_file_that_it_prints_is_all_that_is_needed(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(tmp_path, capsys, start(zones()), "--json")
    assert set(found(said).values()) == {"right"}
    assert code == 0
    assert json.loads(said)["troubles"] == []


def whole(*more: str, records: bool = True) -> dict[str, str]:
    """The zones of WHOLE, with all of its records or none, and others."""
    reverse, forward = ([line for line in more if (".arpa." in line) == is_reverse] for is_reverse in (True, False))
    mine = zones(*forward, without=() if records else " 60 IN ", site=WHOLE)
    mine[REVERSE] = NS.replace("ns1 A", "; ").replace("ns2 A", "; ").replace("@ NS", "@ IN NS")
    mine[REVERSE_OF_IPV6] = mine[REVERSE]
    ours = [f"{name}. 60 IN PTR mail.a.test." for kind, name in KINDS if kind == "PTR" and records]
    for line in [*ours, *reverse]:
        mine[REVERSE if "in-addr" in line else REVERSE_OF_IPV6] += line + "\n"
    return mine


def judged(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int) -> tuple[int, dict[tuple[str, str], Any]]:
    """Its code, and status and need of each record by type and name."""
    code, said = run(tmp_path, capsys, port, "--json", "--server", PRIMARY, site=WHOLE)
    return code, {
        (each["type"], each["name"]): (each["status"], each["need"])
        for each in json.loads(said)["records"]
        if each["status"] != "superfluous"
    }


def test_each_kind_of_record_is_asked_for_and_right(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, records = judged(tmp_path, capsys, start(whole()))
    assert code == 0
    assert {key: records[key][0] for key in KINDS} == dict.fromkeys(KINDS, "right")


def test_each_kind_of_record_is_missed_and_as_much_as_it_matters(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, records = judged(tmp_path, capsys, start(whole(records=False)))
    assert code == 1
    assert {key: records[key] for key in KINDS} == {key: ("missing", need) for key, (need, _) in KINDS.items()}


def test_each_kind_of_record_is_compared(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [f"{name}. 60 IN {kind} {value}" for (kind, name), (_, value) in KINDS.items()]
    code, records = judged(tmp_path, capsys, start(whole(*wrong, records=False)))
    assert code == 1
    assert {key: records[key][0] for key in KINDS} == dict.fromkeys(KINDS, "different")


def test_the_table_has_each_kind_and_counts_spfs_look_ups(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(tmp_path, capsys, start(whole()), "--all", "--server", PRIMARY, site=WHOLE)
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    assert [key for key in KINDS if ["ok", *key] not in lines] == []
    assert "1 of 10 look-ups" in said


def test_what_somebody_else_has_to_set_is_advice_in_the_zone_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(tmp_path, capsys, 53, "--offline", "--zone", site=WHOLE)
    assert code == 0
    lines = [line.split() for line in said.splitlines() if " 3600 IN " in line]
    advice = {(line[3], line[0].strip(";.")) for line in lines if line[0].startswith(";")}
    assert advice == {key for key in KINDS if key[0] == "PTR"}
    assert {(line[3], line[0].strip(";.")) for line in lines} >= KINDS.keys()


def test_without_a_record_it_says_which_and_why(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(tmp_path, capsys, start(zones(without="_dmarc")))
    assert code == 1
    assert "MISSING      TXT    _dmarc.a.test" in said
    assert "should be  v=DMARC1; p=none; rua=mailto:postmaster@a.test" in said
    assert "Gmail" in said
    assert "1 missing (1 of them required)" in said


def test_what_is_only_recommended_is_no_failure_unless_asked_for(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = start(zones(without="_pop3s"))
    assert run(tmp_path, capsys, port)[0] == 0
    assert run(tmp_path, capsys, port, "--strict")[0] == 1


def test_a_server_that_lags_behind_is_named(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = start(zones(), zones(without="q1r._domainkey"))
    code, said = run(tmp_path, capsys, port)
    assert code == 1
    assert f"says       ns2.a.test ({SECONDARY} port {port}); the others say otherwise" in said


def test_what_is_too_much_is_told(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = start(
        zones("a.test. 60 IN MX 5 old.a.test.", "mail.a.test. 60 IN AAAA 2001:db8::1", 'a.test. 60 IN TXT "hello"')
    )
    code, said = run(tmp_path, capsys, port)
    assert code == 1
    assert "SUPERFLUOUS  MX     a.test" in said
    assert "SUPERFLUOUS  AAAA   mail.a.test" in said
    assert "the host has no address of IPv6" in said
    assert "hello" not in said


def test_another_spf_record_that_lets_the_host_pass_is_right(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spf = ('a.test. 60 IN TXT "v=spf1 include:spf.a.test -all"', 'spf.a.test. 60 IN TXT "v=spf1 ip4:192.0.2.0/24"')
    code, said = run(tmp_path, capsys, start(zones(*spf, without='"v=spf1 a:')), "--all")
    assert code == 0
    assert "1 of 10 look-ups; another text than ours" in said


def test_an_spf_record_of_eleven_look_ups_is_told(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = " ".join(f"a:h{number}.a.test" for number in range(10))
    hosts = [f"h{number}.a.test. 60 IN A 192.0.2.1" for number in range(10)]
    spf = f'a.test. 60 IN TXT "v=spf1 {terms} a:mail.a.test ~all"'
    code, said = run(tmp_path, capsys, start(zones(spf, *hosts, without='"v=spf1 a:')))
    assert code == 1
    assert "takes 11 look-ups; 10 is the most" in said


def test_two_spf_records_are_one_too_many(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(tmp_path, capsys, start(zones('a.test. 60 IN TXT "v=spf1 -all"')))
    assert code == 1
    assert "SUPERFLUOUS  TXT    a.test" in said


def test_records_of_dane_in_a_zone_that_isnt_signed_are_told(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "the zone a.test isn't signed" in run(tmp_path, capsys, start(zones()), "--all")[1]


def test_a_wrong_key_for_dane_is_a_failure_though_none_is_not(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = f"_25._tcp.mail.a.test. 60 IN TLSA 3 1 1 {'cd' * 32}"
    port = start(zones(without="TLSA"), zones(wrong, without="TLSA"))
    code, said = run(tmp_path, capsys, port)
    assert code == 1
    assert "DIFFERENT    TLSA" in said
    assert run(tmp_path, capsys, port, "--server", PRIMARY)[0] == 0


def test_a_ptr_record_that_leads_elsewhere_is_a_failure(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = zones() | {REVERSE: REVERSE_ZONE.replace("mail.a.test", "host25.provider.example")}
    code, said = run(tmp_path, capsys, start(mine))
    assert code == 1
    assert "is         host25.provider.example" in said


def test_a_server_without_authority_is_told(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = start(zones(), {"b.test": "@ NS ns1.b.test.\nns1 A 127.0.31.2\n"})
    code, said = run(tmp_path, capsys, port)
    assert code == 3
    assert f"ns2.a.test ({SECONDARY} port {port})" in said


def test_an_answer_without_authority_counts_for_nothing() -> None:
    """As a resolver gives it that somebody has named as a name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((PRIMARY, 0))

        def serve() -> None:
            question, client = here.recvfrom(4096)
            said = dns.message.make_response(dns.message.from_wire(question))
            said.answer.append(dns.rrset.from_text("a.test.", 60, "IN", "MX", "10 mail.a.test."))
            here.sendto(said.to_wire(), client)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NoAnswerError, match="has no authority"):
            Names([PRIMARY]).answer(Server("ns", PRIMARY, here.getsockname()[1]), "a.test", "MX")
        thread.join()


def test_a_silent_server_is_told_and_doesnt_hold_up(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = start(zones("@ NS ns3.a.test.", "ns3 A 127.0.31.77"))
    code, said = run(tmp_path, capsys, port)
    assert code == 3
    assert "no answer: a.test: ns3.a.test (127.0.31.77" in said


def test_a_hidden_primary_is_asked_as_well(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only_second = {
        zone: text.replace("@ NS ns1.a.test.\n", "") for zone, text in zones(without="q1r._domainkey").items()
    }
    port = start(zones(), only_second)
    words = ["--resolver", SECONDARY]
    assert run(tmp_path, capsys, port, "--server", PRIMARY)[0] == 0
    code, said = run(tmp_path, capsys, port, "--server", SECONDARY, "--also", PRIMARY, *words)
    assert code == 1
    assert f"says       {SECONDARY} port {port}" in said


# --- nsupdate, and updates of our own ---


def test_what_it_says_for_nsupdate_mends_the_zone(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [
        'a.test. 60 IN TXT "v=spf1 -all"',
        "mta-sts.a.test. 60 IN CNAME elsewhere.test.",
        'a.test. 60 IN TXT "x=\\"y\\""',
    ]
    port = start(zones(*bad, without=("v=", "CNAME")), secret=SECRET)
    code, said = run(tmp_path, capsys, port, "--nsupdate", "--server", PRIMARY)
    assert code == 1
    key = tmp_path / "key"
    key.write_text(f'key probe {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
    done = subprocess.run(
        ["nsupdate", "-k", key], input=f"server {PRIMARY} {port}\n{said}", text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code, said = run(tmp_path, capsys, port, "--json", "--server", PRIMARY)
    assert code == 0, said
    assert set(found(said).values()) == {"right"}
    answer = dns.query.udp(dns.message.make_query("a.test", "TXT"), PRIMARY, port=port, timeout=5)
    assert '"x=\\"y\\""' in answer.answer[0].to_text()


def updating(port: int, **more: Any) -> dict[str, Any]:
    key = {"server": PRIMARY, "port": port, "zones": ["a.test"], "key": "probe", "secret": SECRET}
    return SITE | {"update": key | more}


def test_with_a_key_it_writes_what_is_amiss(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = start(zones(without="v="), secret=SECRET)
    code, said = run(tmp_path, capsys, port, "--update", "--server", PRIMARY, site=updating(port))
    assert code == 0, said
    assert "written      TXT    _dmarc.a.test" in said
    code, said = run(tmp_path, capsys, port, "--update", "--server", PRIMARY, site=updating(port))
    assert (code, "written" in said) == (0, False)


def test_without_update_nothing_is_written(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = start(zones(without="v="), secret=SECRET)
    for _ in range(2):
        assert run(tmp_path, capsys, port, "--server", PRIMARY, site=updating(port))[0] == 1


def test_hosts_that_others_may_have_put_there_stay(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = start(zones("a.test. 60 IN MX 5 old.a.test.", 'a.test. 60 IN TXT "v=spf1 -all"'), secret=SECRET)
    code, said = run(tmp_path, capsys, port, "--update", "--server", PRIMARY, "--json", site=updating(port))
    assert code == 1
    assert json.loads(said)["written"] == ["TXT a.test"]
    left = [(each["type"], each["found"]) for each in json.loads(said)["records"] if each["status"] != "right"]
    assert left == [("MX", "5 old.a.test")]


@pytest.mark.parametrize("wrong", [{"secret": SECRET[::-1].replace("=", "") + "="}, {"key": "other"}])
def test_a_wrong_key_writes_nothing_and_is_told_without_its_secret(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, str]
) -> None:
    port = start(zones(without="v="), secret=SECRET)
    site = updating(port, **wrong)
    code, said = run(tmp_path, capsys, port, "--update", "--server", PRIMARY, site=site)
    assert code == 2
    assert "was refused" in said
    assert site["update"]["secret"] not in said


@pytest.mark.parametrize("form", ["--json", "--describe", "--zone", "--nsupdate", "--table"])
def test_the_secret_is_in_no_output(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    port = start(zones(without="v="), secret=SECRET)
    assert SECRET not in run(tmp_path, capsys, port, form, site=updating(port))[1]


def test_a_zone_that_isnt_ours_is_left_alone(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = start(zones(without="v="), secret=SECRET)
    site = updating(port, zones=["b.test"])
    code, said = run(tmp_path, capsys, port, "--update", "--server", PRIMARY, "--json", site=site)
    assert code == 1
    assert json.loads(said)["written"] == []
    said = run(tmp_path, capsys, port, "--update", "--server", PRIMARY, site=site)[1]
    (line,) = [each for each in said.splitlines() if each.startswith("  not written")]
    assert line.startswith("  not written, in none of dns_update.zones (b.test): ")
    assert "_dmarc.a.test" in line
    assert said.splitlines()[-1].startswith("  mail.a.test: ")  # dns.yml fails with the last line


@pytest.mark.parametrize("form", ["--nsupdate", "--table"])
def test_who_gives_no_answer_is_told_in_each_form(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    port = start({REVERSE: REVERSE_ZONE})
    code, said = run(tmp_path, capsys, port, form)
    assert code == 3
    assert " says REFUSED to a question for mail.a.test" in said


def test_what_is_told_of_a_name_is_not_told_again_of_its_records() -> None:
    site = dns_records.read(SITE)
    rules = [rule for rule in dns_records.rules(site) if rule.type in ("MX", "PTR")]
    outcome = Outcome([], ["a.test: no zone is found that it is in"], unasked=rules)
    said = command.in_words(site, outcome, [], every=False)
    assert "not asked:   PTR    25.2.0.192.in-addr.arpa" in said
    assert "not asked:   MX     a.test" not in said


# --- without any server ---


def test_a_description_with_faults_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = SITE | {"addresses": ["mail"], "dmarc": "strict", "spf_more": ["include:a b"]}
    code, said = run(tmp_path, capsys, 53, "--offline", site=site)
    assert code == 2
    assert [line.split(":")[1].strip() for line in said.splitlines()] == [
        "dns_addresses[0]",
        "dns_spf_more[0]",
        "dns_dmarc",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say which site"),
        (["-i", "x", "--site", "y"], "say which site"),
        (["--site", "/nowhere.json"], "/nowhere.json"),
        (["-i", "/nowhere"], "/nowhere: there is no such inventory"),
        (["--site", "SITE", "--server", "ns1"], "ns1 is no address"),
        (["--site", "SITE", "--port", "0"], "0: is no port"),
        (["--site", "SITE", "--update"], "no key for it is declared"),
    ],
)
def test_what_it_cant_do_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    file = tmp_path / "site.json"
    file.write_text(json.dumps(SITE))
    assert command.main([str(file) if word == "SITE" else word for word in words]) == 2
    assert sentence in capsys.readouterr().err


def test_bin_dns_tells_what_it_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dnscheck.arguments"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--from-host" in done.stdout
