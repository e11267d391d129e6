"""The packets, and the reports that come of them."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tls_policy.policy import Policy
from tls_policy.report import contents, mailbox, message
from tls_policy.store import RESULTS_MOST, Result, Store
from tls_policy.talk import TalkError, answer, failure_type, question, result

POLICY = Policy("a1", "enforce", 604800, ("mx.x.test", "*.y.test"), ("version: STSv1", "mode: enforce"))
DANE = b"""result x.test
policy tlsa
outcome failure certificate verify failed: No matching DANE TLSA records
mx mx.x.test
ip 203.0.113.1
tlsa 3 1 1 %s
""" % (b"ab" * 32)
DAY = 20784  # 2026-11-27


def test_a_question() -> None:
    assert question(b"policy X.test\n") == "x.test"
    assert question(DANE) is None


@pytest.mark.parametrize(
    "packet", [b"policy \n", b"policy x.test", b"policy a b\n", b"policy x.test\n\n", b"policy \xff\n"]
)
def test_a_question_for_no_domain(packet: bytes) -> None:
    with pytest.raises(TalkError):
        question(packet)


def test_answers() -> None:
    assert answer(None) == b"none\n"
    assert answer(POLICY) == b"enforce a1 604800\nmx.x.test\n*.y.test\n"
    assert answer(Policy("a", "testing", 1, ("a." * 120,) * 400)).startswith(b"Z ")


def test_a_result_of_dane() -> None:
    found = result(DANE, lambda _: None)
    assert (found.domain, found.kind, found.outcome, found.mx, found.ip) == (
        "x.test",
        "tlsa",
        "validation-failure",
        "mx.x.test",
        "203.0.113.1",
    )
    assert found.policy == ("3 1 1 " + "ab" * 32,)
    assert found.reason == "certificate verify failed: No matching DANE TLSA records"


def test_a_result_knows_where_it_was_from() -> None:
    found = result(DANE.replace(b"tlsa 3", b"from 2001:db8:0::7\ntlsa 3"), lambda _: None)
    assert (found.own, found.policy) == ("2001:db8::7", ("3 1 1 " + "ab" * 32,))
    with pytest.raises(TalkError):
        result(DANE.replace(b"tlsa 3", b"from 2001:db8\ntlsa 3"), lambda _: None)
    report = contents("h.test", "p@h.test", DAY, "x.test", [(found, 2)])
    assert report["policies"][0]["failure-details"][0]["sending-mta-ip"] == "2001:db8::7"


def test_a_result_of_a_policy() -> None:
    packet = b"result x.test\npolicy sts\noutcome success\nmx mx.x.test\nip 2001:db8::1\n"
    found = result(packet, lambda _: POLICY)
    assert (found.kind, found.policy, found.mx_hosts, found.outcome) == ("sts", POLICY.lines, POLICY.mx, "success")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"result x.test", b"result x..test"),
        (b"policy tlsa", b"policy other"),
        (b"outcome failure", b"outcome trouble"),
        (b"ip 203.0.113.1", b"ip 203.0.113"),
        (b"mx mx.x.test\n", b""),
        (b"tlsa 3 1 1", b"tlsa 3 1"),
        (b"mx.x.test", b"mx.\x1bx.test"),
        (b"mx.x.test", b"mx." + b"x" * 300),
    ],
)
def test_no_result(old: bytes, new: bytes) -> None:
    with pytest.raises(TalkError):
        result(DANE.replace(old, new), lambda _: None)


@given(st.binary(max_size=200))
def test_whatever_is_said_is_read_or_refused(packet: bytes) -> None:
    for text in (packet, b"policy " + packet, b"result " + packet, DANE + packet):
        try:
            if question(text) is None:
                result(text, lambda _: POLICY)
        except TalkError:
            pass


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("it does not offer STARTTLS", "starttls-not-supported"),
        ("it refuses STARTTLS", "starttls-not-supported"),
        ("certificate verify failed: certificate has expired", "certificate-expired"),
        ("certificate verify failed: hostname mismatch", "certificate-host-mismatch"),
        ("certificate verify failed: self-signed certificate", "certificate-not-trusted"),
        ("dnssec-invalid: no valid answer for TLSA", "dnssec-invalid"),
        ("TLS handshake timed out", "validation-failure"),
        ("not one of the policy's mx", "validation-failure"),
    ],
)
def test_types_of_failures(reason: str, kind: str) -> None:
    assert failure_type(reason) == kind


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "policy.db")
    fine = Result("x.test", "sts", POLICY.lines, POLICY.mx, "success", "", "mx.x.test", "203.0.113.1")
    bad = Result("x.test", "sts", POLICY.lines, POLICY.mx, "certificate-expired", "expired", "mx.x.test", "203.0.113.1")
    for _ in range(3):
        store.note(fine, DAY)
    store.note(bad, DAY)
    store.note(result(DANE, lambda _: None), DAY)
    store.note(fine, DAY + 1)
    return store


def test_days_are_counted_apart(store: Store) -> None:
    assert store.due(DAY + 1) == [(DAY, "x.test")]
    assert [count for _, count in store.results(DAY, "x.test")] == [1, 3, 1]
    store.reported(DAY, "x.test")
    assert store.due(DAY + 1) == []
    assert store.due(DAY + 2) == [(DAY + 1, "x.test")]


def test_what_is_too_old_goes(store: Store) -> None:
    assert store.due(DAY + 4) == [(DAY + 1, "x.test")]


def test_results_have_a_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RESULTS_MOST <= 100000
    monkeypatch.setattr("tls_policy.store.RESULTS_MOST", 5)
    for number in range(9):
        store.note(Result("y.test", "no-policy-found", (), (), "success", "", f"m{number}.test", "192.0.2.1"), DAY)
    assert len(list(store.results(DAY, "y.test"))) == 1


def test_a_report_as_the_rfc_has_it(store: Store) -> None:
    report = contents("mail.example.test", "postmaster@mail.example.test", DAY, "x.test", store.results(DAY, "x.test"))
    assert set(report) == {"organization-name", "date-range", "contact-info", "report-id", "policies"}
    assert report["date-range"] == {"start-datetime": "2026-11-27T00:00:00Z", "end-datetime": "2026-11-27T23:59:59Z"}
    sts, tlsa = sorted(report["policies"], key=lambda each: str(each["policy"]["policy-type"]))
    assert sts["policy"] == {
        "policy-type": "sts",
        "policy-string": ["version: STSv1", "mode: enforce"],
        "policy-domain": "x.test",
        "mx-host": ["mx.x.test", "*.y.test"],
    }
    assert sts["summary"] == {"total-successful-session-count": 3, "total-failure-session-count": 1}
    assert sts["failure-details"] == [
        {
            "result-type": "certificate-expired",
            "receiving-mx-hostname": "mx.x.test",
            "receiving-ip": "203.0.113.1",
            "failed-session-count": 1,
            "failure-reason-code": "expired",
        }
    ]
    assert tlsa["policy"]["policy-string"] == ["3 1 1 " + "ab" * 32]


def test_the_mail_of_a_report(store: Store) -> None:
    host, contact = "mail.example.test", "postmaster@mail.example.test"
    report = contents(host, contact, DAY, "x.test", store.results(DAY, "x.test"))
    text = message(host, contact, DAY, "x.test", report, "tls@x.test")
    assert max(map(len, text.split(b"\n"))) < 500
    mail = email.message_from_bytes(text, policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("x.test", host)
    assert mail["Subject"] == f"Report Domain: x.test Submitter: {host} Report-ID: <{report['report-id']}@{host}>"
    words, data = mail.iter_parts()
    assert words.get_content_type() == "text/plain"
    assert data.get_content_type() == "application/tlsrpt+gzip"
    assert str(data.get_filename()).startswith(f"{host}!x.test!{DAY * 86400}!{DAY * 86400 + 86399}!")
    assert json.loads(gzip.decompress(data.get_content())) == report


@pytest.mark.parametrize(
    ("address", "to"),
    [
        ("mailto:a@b.example", "a@b.example"),
        ("mailto:a%2Bx@b.example?subject=x", "a+x@b.example"),
        ("mailto:a@b.example%0d%0aBcc:c@d.example", None),
        ("mailto:a", None),
        ("mailto:", None),
        ("mailto:-fx@b.example", "-fx@b.example"),
    ],
)
def test_whom_a_report_is_mailed_to(address: str, to: str | None) -> None:
    assert mailbox(address) == to
