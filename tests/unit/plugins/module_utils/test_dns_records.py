"""The DNS records of a site: which, why, and what answers make of them."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils import dns_records
from module_utils.dns_records import mta_sts, spf, tsig
from module_utils.dns_records.compare import Change, meant
from module_utils.dns_records.record import quoted

SITE: dict[str, Any] = {"fqdn": "mail.a.test", "domains": ["a.test"], "addresses": ["192.0.2.25"]}


def wanted(**more: Any) -> dict[tuple[str, str], list[str]]:
    """Values by type and name."""
    found: dict[tuple[str, str], list[str]] = {}
    for rule in dns_records.rules(dns_records.read(SITE | more)):
        found.setdefault((rule.type, rule.name), []).extend(record.value for record in rule.wanted)
    return found


def rule_of(type_: str, name: str, **more: Any) -> dns_records.Rule:
    (rule,) = [
        each for each in dns_records.rules(dns_records.read(SITE | more)) if (each.type, each.name) == (type_, name)
    ]
    return rule


def statuses(rule: dns_records.Rule, *texts: str) -> list[tuple[str, str]]:
    return [(each.status, each.need) for each in dns_records.compare(rule, list(texts))]


# --- which ---


def test_a_domain_has_what_big_receivers_want() -> None:
    found = wanted(dmarc_reports="p@a.test")
    assert found["MX", "a.test"] == ["10 mail.a.test"]
    assert found["TXT", "a.test"] == ["v=spf1 a:mail.a.test ~all"]
    assert found["TXT", "_dmarc.a.test"] == ["v=DMARC1; p=none; rua=mailto:p@a.test"]
    assert found["PTR", "25.2.0.192.in-addr.arpa"] == ["mail.a.test"]


def test_a_host_of_its_domains_own_name_has_one_record_of_each() -> None:
    found = wanted(fqdn="a.test", mx=["a.test"])
    assert found["TXT", "a.test"] == ["v=spf1 a ~all"]
    assert found["MX", "a.test"] == ["10 a.test"]


def test_forwarded_mail_is_sent_in_the_hosts_name_which_has_a_record_for_it() -> None:
    assert wanted()["TXT", "mail.a.test"] == ["v=spf1 a -all"]


def test_a_host_of_a_domain_that_isnt_ours_has_a_policy_of_its_own() -> None:
    assert ("TXT", "_dmarc.mail.a.test") not in wanted()
    assert ("TXT", "_dmarc.mx.b.test") in wanted(fqdn="mx.b.test")


def test_a_domain_that_is_passed_on_has_its_mx_alone() -> None:
    found = wanted(domains=["a.test", {"name": "b.test", "relay_to": "mx"}])
    assert [key for key in found if key[1].endswith("b.test")] == [("MX", "b.test")]


def test_reports_to_another_domain_need_its_consent() -> None:
    found = wanted(domains=["a.test", "b.test"], dmarc_reports="p@a.test")
    assert found["TXT", "b.test._report._dmarc.a.test"] == ["v=DMARC1"]
    assert ("TXT", "a.test._report._dmarc.a.test") not in found


def test_without_a_policy_there_is_no_mta_sts() -> None:
    assert wanted()["TXT", "_mta-sts.a.test"] == []
    found = wanted(mta_sts="none")
    assert found["TXT", "_mta-sts.a.test"][0].startswith("v=STSv1; id=")
    assert found["CNAME", "mta-sts.a.test"] == ["mail.a.test"]


def test_another_policy_has_another_id() -> None:
    said = [(mode, age) for mode in mta_sts.MODES for age in (3600, 9600)]
    ids = {mta_sts.policy_id(mta_sts.policy(mode, ["mail.a.test"], age)) for mode, age in said}
    assert len(ids) == 6
    assert all(len(each) <= 32 and each.isalnum() for each in ids)


def test_services_that_there_arent_are_said_not_to_be() -> None:
    assert wanted()["SRV", "_pop3._tcp.a.test"] == ["0 0 0 ."]
    assert wanted()["SRV", "_submission._tcp.a.test"] == ["0 0 0 ."]
    assert wanted(submission=True)["SRV", "_submission._tcp.a.test"] == ["10 1 587 mail.a.test"]


def test_a_removable_key_is_superfluous_and_an_old_one_stays() -> None:
    keys = [
        {"name": f"{state}._domainkey.a.test", "type": "TXT", "value": "v=DKIM1; p=AA", "state": state}
        for state in ("current", "next", "old", "removable")
    ]
    found = wanted(dkim=keys)
    assert found["TXT", "removable._domainkey.a.test"] == []
    assert found["TXT", "old._domainkey.a.test"] == ["v=DKIM1; p=AA"]
    rule = rule_of("TXT", "removable._domainkey.a.test", dkim=keys)
    assert statuses(rule, "v=DKIM1; p=AA") == [("superfluous", "recommended")]
    assert statuses(rule_of("TXT", "next._domainkey.a.test", dkim=keys)) == [("missing", "recommended")]
    assert statuses(rule_of("TXT", "current._domainkey.a.test", dkim=keys)) == [("missing", "required")]


def test_what_nobody_has_told_yet_is_said() -> None:
    found = dns_records.not_yet(dns_records.read(SITE | {"addresses": [], "smarthost": "out.test"}))
    assert [each.partition(":")[0] for each in found] == ["addresses", "DKIM", "TLSA", "SPF"]


def test_an_address_behind_a_router_is_told() -> None:
    found = dns_records.not_yet(dns_records.read(SITE | {"addresses": ["10.1.2.3"], "dkim": [], "tlsa": []}))
    assert len(found) == 1
    assert "10.1.2.3 can't be reached from the Internet" in found[0]


def test_a_domain_that_the_host_has_no_key_for_is_told() -> None:
    key = {"name": "q1r._domainkey.a.test", "type": "TXT", "value": "v=DKIM1; k=rsa; p=AABB", "state": "current"}
    domains = ["a.test", "b.test", {"name": "c.test", "relay_to": "mx"}]
    site = SITE | {"addresses": ["192.0.2.25"], "tlsa": [], "domains": domains, "smarthost": ""}
    (told,) = dns_records.not_yet(dns_records.read(site | {"dkim": [key]}))
    assert told.startswith("DKIM: the host has no key for b.test yet, and its mail leaves unsigned; playbooks/users")
    assert dns_records.not_yet(dns_records.read(site | {"dkim": []})) == []


@pytest.mark.parametrize(
    ("zones", "sentence"),
    [
        ("a.test", "zones: a.test is not a list of zones, such as [example.org]"),
        ([], "is not a list of zones"),
        (["a.test", {"name": "b.test"}], "b.test"),
        (["a..test"], "zones: a..test is not the name of a zone, such as example.org"),
    ],
)
def test_what_is_no_zone_to_write_is_named(zones: object, sentence: str) -> None:
    key = {"server": "192.0.2.53", "key": "k", "secret": "A" * 24}
    (fault,) = tsig.faults(key | {"zones": zones})
    assert sentence in fault
    assert tsig.faults(key | {"zones": ["a.test"]}) == []


def test_every_record_says_why_in_the_zone_file() -> None:
    lines = dns_records.zone(dns_records.rules(dns_records.read(SITE)), 300).splitlines()
    records = [at for at, line in enumerate(lines) if " 300 IN " in line]
    assert records
    assert all(lines[at - 1].startswith(("; required: ", "; recommended: ")) for at in records)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"fqdn": "mail"}, "mail_fqdn: mail is no host name"),
        ({"domains": []}, "mail_domains: is empty"),
        ({"domains": [{"users": False}]}, "mail_domains[0]: has no name"),
        ({"addresses": "192.0.2.1"}, "dns_addresses: is not a list"),
        ({"spf_more": ["ip4:192.0.2.1/40"]}, "dns_spf_more[0]"),
        ({"spf_more": ["a b"]}, "dns_spf_more[0]"),
        ({"dmarc": "rejct"}, "dns_dmarc: rejct is none of"),
        ({"dmarc_reports": "p@a.test,q@b.test"}, "dns_dmarc_reports"),
        ({"mta_sts_age": 1}, "mta_sts_max_age"),
        ({"dkim": [{"name": "x._domainkey.a.test"}]}, "what mail-dkim records prints[0]"),
        ({"tlsa": [{"name": "_25._tcp.a.test", "type": "TXT", "value": "", "state": "current"}]}, "mail-tlsa"),
        ({"dkim": "x"}, "is not a list of records"),
    ],
)
def test_a_fault_names_the_variable(said: dict[str, Any], sentence: str) -> None:
    (fault,) = dns_records.faults(SITE | said)
    assert sentence in fault


# --- compared ---


def test_values_that_mean_the_same_are_right() -> None:
    assert statuses(rule_of("MX", "a.test"), "10 MAIL.a.test.") == [("right", "required")]
    dmarc = rule_of("TXT", "_dmarc.a.test", dmarc_reports="p@a.test")
    assert statuses(dmarc, "v=DMARC1;p=none;  rua=mailto:p@a.test ;") == [("right", "required")]
    key = {"name": "x._domainkey.a.test", "type": "TXT", "value": "v=DKIM1; k=rsa; p=AABB", "state": "current"}
    rule = rule_of("TXT", "x._domainkey.a.test", dkim=[key])
    assert statuses(rule, "p=AA BB; n=hello") == [("right", "required")]
    assert statuses(rule, "v=DKIM1; k=ed25519; p=AABB") == [("different", "required")]


def test_another_preference_is_different_and_another_host_superfluous() -> None:
    assert statuses(rule_of("MX", "a.test"), "20 mail.a.test", "5 old.a.test") == [
        ("different", "required"),
        ("superfluous", "required"),
    ]


def test_a_backup_mx_leaves_the_others_alone() -> None:
    rule = rule_of("MX", "b.test", domains=["a.test", {"name": "b.test", "relay_to": "mx"}])
    assert statuses(rule, "10 mail.a.test", "5 main.b.test") == [("right", "required")]
    assert statuses(rule, "5 main.b.test") == [("missing", "required")]


def test_other_texts_at_the_domain_are_nobodys_business() -> None:
    rule = rule_of("TXT", "a.test")
    assert meant(rule, ["v=spf10 x", "google-site-verification=1", "V=SPF1 -all"]) == ["V=SPF1 -all"]


def test_a_wrong_dane_record_is_worse_than_none() -> None:
    keys = [{"name": "_25._tcp.mail.a.test", "type": "TLSA", "value": "3 1 1 ab", "state": "current"}]
    rule = rule_of("TLSA", "_25._tcp.mail.a.test", tlsa=keys)
    assert statuses(rule) == [("missing", "recommended")]
    assert statuses(rule, "3 1 1 cd") == [("different", "required")]
    assert statuses(rule, "3 1 1 AB", "3 1 1 cd") == [("right", "recommended"), ("superfluous", "recommended")]


def test_the_next_key_alone_in_the_dns_is_a_failure_and_its_absence_is_not() -> None:
    name = "_25._tcp.mail.a.test"
    keys = [
        {"name": name, "type": "TLSA", "value": value, "state": state}
        for value, state in (("3 1 1 cd", "next"), ("3 1 1 ab", "current"))
    ]
    rule = rule_of("TLSA", name, tlsa=keys)
    assert statuses(rule, "3 1 1 ab") == [("right", "recommended"), ("missing", "recommended")]
    assert sorted(statuses(rule, "3 1 1 cd")) == [("missing", "required"), ("right", "required")]
    assert statuses(rule, "3 1 1 ab", "3 1 1 ee") == [("right", "recommended"), ("different", "recommended")]


def test_authorities_without_ours_stop_renewals() -> None:
    rule = rule_of("CAA", "mail.a.test", caa=["letsencrypt.org"])
    assert statuses(rule) == [("missing", "recommended")]
    assert statuses(rule, '0 iodef "mailto:x@a.test"') == [("missing", "recommended")]
    assert statuses(rule, '0 issue "other.test"') == [("different", "required")]
    ours = '0 issue "letsencrypt.org; accounturi=x"'
    assert statuses(rule, '0 issue "other.test"', ours) == [("right", "recommended")]


def test_the_worst_that_a_server_says_counts_and_who_says_it() -> None:
    rule = rule_of("MX", "a.test")
    good, bad = dns_records.compare(rule, ["10 mail.a.test"]), dns_records.compare(rule, [])
    (found,) = dns_records.merge({"one": good, "two": bad, "three": good})
    assert (found.status, found.servers) == ("missing", ["two"])
    (found,) = dns_records.merge({"one": good, "two": good})
    assert (found.status, found.servers) == ("right", [])


def test_changes_leave_the_hosts_of_others() -> None:
    findings = dns_records.compare(rule_of("MX", "a.test"), ["20 mail.a.test", "5 old.a.test"])
    assert dns_records.changes(findings) == [Change("a.test", "MX", "20 mail.a.test", "10 mail.a.test")]
    findings = dns_records.compare(rule_of("CAA", "mail.a.test", caa=["x.test"]), ['0 issue "other.test"'])
    assert dns_records.changes(findings) == [Change("mail.a.test", "CAA", "", '0 issue "x.test"')]


def test_a_ptr_record_is_nobodys_to_change_here() -> None:
    rule = rule_of("PTR", "25.2.0.192.in-addr.arpa")
    assert dns_records.changes(dns_records.compare(rule, ["other.test"])) == []


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300)


@given(st.lists(texts, max_size=4))
def test_whatever_a_server_says_has_an_answer(said: list[str]) -> None:
    for rule in dns_records.rules(dns_records.read(SITE | {"caa": ["x.test"], "mta_sts": "testing"})):
        if rule.type == "TXT":
            found = dns_records.compare(rule, said)
            dns_records.table(found)
            dns_records.nsupdate(dns_records.changes(found), 60)


@given(texts)
def test_what_is_written_into_a_zone_file_is_one_line_of_ascii(text: str) -> None:
    line = quoted(text)
    assert line.isascii()
    assert line.isprintable()


# --- SPF ---

ZONE = {
    ("a.test", "TXT"): ["v=spf1 a:mail.a.test include:p.test ~all"],
    ("p.test", "TXT"): ["v=spf1 ip4:198.51.100.0/24 mx -all"],
    ("p.test", "MX"): ["10 mx.p.test"],
    ("mx.p.test", "A"): ["203.0.113.7"],
    ("mail.a.test", "A"): ["192.0.2.25"],
    ("loop.test", "TXT"): ["v=spf1 include:loop.test -all"],
    ("two.test", "TXT"): ["v=spf1 -all", "v=spf1 +all"],
}


def ask(name: str, type_: str) -> list[str]:
    if name == "silent.test":
        raise LookupError("no answer")
    return ZONE.get((name, type_), [])


@pytest.mark.parametrize(
    ("text", "lookups"),
    [
        ("v=spf1 -all", 0),
        ("v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 -all", 0),
        ("v=spf1 a:mail.a.test -all", 1),
        ("v=spf1 include:p.test -all", 2),
        ("v=spf1 include:a.test -all", 4),
        ("v=spf1 redirect=a.test", 4),
        ("v=spf1 -all redirect=a.test", 0),
        ("v=spf1 -all a:mail.a.test", 0),
        ("v=spf1 exists:%{i}.x.test ptr -all", 2),
    ],
)
def test_look_ups_are_counted_with_all_that_is_included(text: str, lookups: int) -> None:
    cost = spf.cost(text, "x.test", ask)
    assert (cost.lookups, cost.faults) == (lookups, [])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("v=spf1 include:loop.test", "circle"),
        ("v=spf1 include:nothing.test", "no SPF record"),
        ("v=spf1 include:two.test", "has 2 SPF records"),
        ("v=spf1 a:silent.test", "no answer"),
        ("v=spf1 a:n1.test a:n2.test a:n3.test", "asks for 3 names that don't exist"),
        ("v=spf1 " + "a:mail.a.test " * 11, "takes 11 look-ups"),
        ("v=spf1 ipv4:192.0.2.1", "no mechanism that there is"),
        ("v=spf1 ip4:2001:db8::1", "other IP version"),
        ("v=spf1 a:mail_.x..test", "is no domain"),
        ("v=spf1 include:", "has no domain"),
        ("v=spf1 redirect=a.test redirect=b.test", "twice"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(text: str, sentence: str) -> None:
    assert any(sentence in fault for fault in spf.cost(text, "x.test", ask).faults)


@pytest.mark.parametrize(
    ("text", "address", "result"),
    [
        ("v=spf1 a:mail.a.test -all", "192.0.2.25", "pass"),
        ("v=spf1 a:mail.a.test/24 -all", "192.0.2.99", "pass"),
        ("v=spf1 a:mail.a.test -all", "192.0.2.26", "fail"),
        ("v=spf1 include:a.test ?all", "198.51.100.9", "pass"),
        ("v=spf1 include:a.test ~all", "203.0.113.8", "softfail"),
        ("v=spf1 redirect=p.test", "203.0.113.7", "pass"),
        ("v=spf1 ip4:192.0.2.0/24", "192.0.2.9", "pass"),
        ("v=spf1 ip4:192.0.2.0/24", "192.0.3.9", "neutral"),
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::5", "pass"),
        ("v=spf1 include:nothing.test", "192.0.2.9", "permerror"),
        ("v=spf1 include:loop.test", "192.0.2.9", "permerror"),
        ("v=spf1 a:silent.test -all", "192.0.2.9", "temperror"),
    ],
)
def test_what_a_record_says_of_an_address(text: str, address: str, result: str) -> None:
    assert spf.result(text, "x.test", address, ask) == result


words = st.lists(
    st.one_of(
        st.text(string.printable, max_size=12),
        st.sampled_from(["a", "mx", "-all", "include:a.test", "include:loop.test", "ip4:192.0.2.1/24", "exists:%{i}"]),
    ),
    max_size=12,
)


@given(words)
def test_any_record_has_a_cost_and_a_result(terms: list[str]) -> None:
    text = " ".join(["v=spf1", *terms])
    assert spf.cost(text, "x.test", ask).lookups <= 60 + 12
    assert spf.result(text, "x.test", "192.0.2.1", ask) in (
        "pass", "fail", "softfail", "neutral", "permerror", "temperror",
    )  # fmt: skip
