"""bin/verify: what it makes of its options, of the suite's names, and of the scanners' findings."""

import json
from pathlib import Path

import pytest

from verify import arguments, cases, report, tlsfacts
from verify.talk import Site


def describe(*words: str) -> dict[str, object]:
    return arguments.describe(arguments.parser("").parse_args(list(words)))


def test_a_tests_name_is_a_sentence() -> None:
    assert cases.plain_words("test_25_auth_is_not_offered") == "25 AUTH is not offered"
    assert cases.plain_words("test_by_ipv6_starttls_works") == "by IPv6 STARTTLS works"


def test_the_domain_is_the_hosts_without_its_first_label() -> None:
    assert describe("--host", "mail.example.test", "--address", "192.0.2.1")["domain"] == "example.test"


def test_a_host_of_two_labels_is_its_own_domain() -> None:
    assert describe("--host", "example.test", "--address", "192.0.2.1")["domain"] == "example.test"


def test_a_service_can_be_said_to_be_absent() -> None:
    ports = describe(
        "--host", "a.example.test", "--address", "192.0.2.1", "--port-pop3s", "none", "--port-smtp", "2525"
    )
    assert ports["ports"] == {"smtp": 2525, "pop3s": None}


def test_a_service_can_have_another_name(tmp_path: Path) -> None:
    words = ["--host", "mail.example.test", "--address", "192.0.2.1", "--name-pop3s", "pop.example.test"]
    data = describe(*words)
    assert data["names"] == {"pop3s": "pop.example.test"}
    site = Site.from_json(data)
    assert [site.name(place) for place in ("starttls", "smtps", "pop3s")] == [
        *["mail.example.test"] * 2,
        "pop.example.test",
    ]


@pytest.mark.parametrize(
    ("features", "places"),
    [
        (None, ["starttls", "smtps"]),
        (["auth", "starttls"], ["starttls", "smtps"]),
        (["filters"], ["smtps"]),
        ([], ["smtps"]),
    ],
)
def test_a_qmail_without_starttls_has_no_such_door(features: list[str] | None, places: list[str]) -> None:
    site = Site.from_json({"host": "a.b", "address": "192.0.2.1", "domain": "b", "features": features})
    assert [place for place in ("starttls", "smtps") if site.has(place)] == places


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", ""])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(arguments.VerifyError, match=r"--port-smtp: .* is no port"):
        describe("--host", "a.example.test", "--address", "192.0.2.1", f"--port-smtp={port}")


def test_no_host_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(arguments.VerifyError, match="--host NAME"):
        describe()


def test_a_ca_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(arguments.VerifyError, match=r"none\.pem: no such file"):
        describe("--host", "a.b", "--address", "192.0.2.1", "--ca-file", str(tmp_path / "none.pem"))


def test_passwords_come_from_the_file_in_the_order_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("one\ntwo\n")
    words = ["--host", "mail.example.test", "--address", "192.0.2.1", "--user", "a", "--user", "b=b@example.org"]
    assert describe(*words, "--password-file", str(file))["users"] == [
        {"login": "a", "address": "a@example.test", "password": "one"},
        {"login": "b", "address": "b@example.org", "password": "two"},
    ]


def test_too_few_passwords_are_told(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("one\n")
    with pytest.raises(arguments.VerifyError, match="has 1 lines; 2 users"):
        describe("--host", "a.b", "--address", "::1", "--user", "a", "--user", "b", "--password-file", str(file))


class _Report:
    def __init__(self, text: str) -> None:
        self.longrepr = text


@pytest.mark.parametrize(
    "text",
    ["assert say('AUTH PLAIN AGEAc2VjcmV0') == 1", "PASS hunter2secret: -ERR", "Person(password='hunter2secret')"],
)
def test_no_cause_of_a_failure_shows_a_password(text: str) -> None:
    cause = cases.Recorder(["hunter2secret"])._cause(_Report(text))  # type: ignore[arg-type]
    assert "hunter2secret" not in cause
    assert "AGEAc2VjcmV0" not in cause


def test_nothing_asked_is_not_well() -> None:
    assert not report.Outcome().well


def test_a_scanners_fault_is_not_well() -> None:
    outcome = report.Outcome(checks=[cases.Check("g", "w", "", "passed")])
    assert outcome.well
    outcome.scans.append(tlsfacts.Scan("sslscan", "smtps", ["RC4"]))
    assert not outcome.well


def test_the_report_names_what_failed_and_why() -> None:
    site = {"host": "h", "address": "a", "address6": None, "domain": "d"}
    outcome = report.Outcome(checks=[cases.Check("group", "it holds", "case", "failed", "it did not")])
    text = report.report(site, outcome, every=False)
    assert "FAILED it holds" in text
    assert "case: it did not" in text
    assert "NOT WELL" in text


def test_the_json_is_one_object_without_passwords() -> None:
    site = {"host": "h", "address": "a", "address6": None, "domain": "d", "users": [{"password": "hunter2secret"}]}
    text = report.as_json(site, report.Outcome())
    assert json.loads(text)["ok"] is False
    assert "hunter2secret" not in text


def test_sslscan_finds_old_versions_and_weak_ciphers() -> None:
    xml = """<document><ssltest host="h">
      <protocol type="ssl" version="3" enabled="0"/><protocol type="tls" version="1.1" enabled="1"/>
      <protocol type="tls" version="1.2" enabled="1"/><heartbleed sslversion="TLSv1.2" vulnerable="0"/>
      <compression supported="0"/>
      <cipher status="accepted" sslversion="TLSv1.2" cipher="ECDHE-RSA-AES128-GCM-SHA256" strength="strong"/>
      <cipher status="accepted" sslversion="TLSv1.2" cipher="RC4-SHA" strength="weak"/></ssltest></document>"""
    assert tlsfacts.sslscan_faults(xml) == ["TLS 1.1 is spoken", "RC4-SHA (TLSv1.2) is weak"]


def test_sslscan_without_a_result_is_a_fault() -> None:
    assert tlsfacts.sslscan_faults("<document></document>") == ["sslscan could not scan this"]


def test_testssl_counts_what_it_calls_high_or_critical_and_leaves_trust_to_the_suite() -> None:
    rows = [
        {"id": "TLS1_2", "severity": "OK", "finding": "offered"},
        {"id": "TLS1", "severity": "HIGH", "finding": "offered"},
        {"id": "cert_chain_of_trust", "severity": "CRITICAL", "finding": "failed (self signed)"},
        {"id": "BREACH", "severity": "MEDIUM", "finding": "potentially"},
    ]
    assert tlsfacts.testssl_faults(json.dumps(rows)) == ["TLS1: offered"]


def test_testssl_without_a_result_is_a_fault() -> None:
    assert tlsfacts.testssl_faults("[]") == ["testssl.sh could not scan this"]


def test_what_a_site_says_of_itself_does_not_reach_the_terminal_as_it_is() -> None:
    """A certificate may hold any text, and so may a reply."""
    hostile = "\x1b]0;owned\x07\x1b[2J\n  all well: 999 passed\u202e\r"
    site = {"host": "h", "address": "a", "address6": None, "domain": "d"}
    outcome = report.Outcome(
        checks=[cases.Check("group", "it holds", "case", "failed", hostile)],
        tls=[tlsfacts.Facts("smtps", 465, names=[hostile], issuer=hostile)],
        scans=[tlsfacts.Scan("testssl.sh", "smtps", [hostile])],
        warnings=[hostile],
    )
    text = report.report(site, outcome, every=True)
    assert all(line.isprintable() for line in text.split("\n"))
    assert not [line for line in text.split("\n") if line.startswith("  all well")]
