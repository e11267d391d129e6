"""DMARC: the examples of RFC 9989 (sections 4.10 and B) in our words, and what a record may do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from mailauth.dmarc import Dmarc, Walks, evaluated, parsed, strictest, targets
from qmail_dkim.verify import UnansweredError

PASS, FAIL = "pass", "fail"


class Zone:
    """Records by name, and what was asked."""

    def __init__(self, records: Mapping[str, str | None], missing: tuple[str, ...] = ()) -> None:
        self.records = records
        self.missing = missing
        self.asked: list[str] = []

    def ask(self, name: str) -> list[bytes]:
        self.asked.append(name)
        domain = name.removeprefix("_dmarc.")
        if domain in self.records and self.records[domain] is None:
            raise UnansweredError("no answer")
        text = self.records.get(domain)
        return [each.encode() for each in text.split("|")] if text else []

    def exists(self, name: str) -> bool:
        return name not in self.missing


def judged(
    records: Mapping[str, str | None],
    author: str,
    spf: tuple[str, str] = (FAIL, "other.example"),
    signers: list[tuple[str, str]] | None = None,
    missing: tuple[str, ...] = (),
) -> Dmarc:
    zone = Zone(records, missing)
    return evaluated(zone.ask, zone.exists, author, spf, signers or [])


def test_a_walk_asks_what_the_rfc_says() -> None:
    assert targets("a.mail.example.com") == ["a.mail.example.com", "mail.example.com", "example.com", "com"]
    # RFC 9989 section 4.10: eight questions, however long the name is.
    assert targets("a.b.c.d.e.f.g.h.i.j.mail.example.com") == [
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    ]
    assert len(targets("1.2.3.4.5.6.7.8")) == 8
    assert len(targets("1.2.3.4.5.6.7")) == 7
    assert len(targets(".".join("x" * 127))) == 8


@pytest.mark.parametrize(
    ("records", "domain", "organization"),
    [
        # The examples of section 4.10.2.
        (
            {"mail.example.com": "v=DMARC1; p=none", "example.com": "v=DMARC1; p=none"},
            "a.mail.example.com",
            "example.com",
        ),
        ({"com": "v=DMARC1; p=none; psd=y"}, "a.mail.example.com", "example.com"),
        ({}, "a.mail.example.com", "a.mail.example.com"),
        (
            {"mail.example.com": "v=DMARC1; p=none; psd=n", "example.com": "v=DMARC1; p=none"},
            "a.mail.example.com",
            "mail.example.com",
        ),
        ({"com": "v=DMARC1; p=none; psd=y", "example.com": "v=DMARC1; p=none"}, "a.example.com", "example.com"),
        # A public suffix's own mail.
        ({"com": "v=DMARC1; p=none; psd=y"}, "com", "com"),
        ({"co.example": "v=DMARC1; p=none; psd=y", "example": "v=DMARC1; p=none"}, "x.y.co.example", "y.co.example"),
        # A suffix that forgets to say so: everybody below it is one.
        ({"com": "v=DMARC1; p=none"}, "a.example.com", "com"),
    ],
)
def test_the_organization(records: dict[str, str | None], domain: str, organization: str) -> None:
    assert Walks(Zone(records).ask).organization(domain) == organization


def test_a_walk_stops_where_it_is_told() -> None:
    zone = Zone({"example.com": "v=DMARC1; p=none; psd=n"})
    Walks(zone.ask).organization("a.example.com")
    assert zone.asked == ["_dmarc.a.example.com", "_dmarc.example.com"]


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("v=DMARC1; p=none", True),
        ("v = DMARC1 ;p=none;", True),
        ("v=dmarc1; p=none", False),
        ("p=none; v=DMARC1", False),
        ("v=DMARC1", True),
        ("v=DMARC12; p=none", False),
        ("v=spf1 -all", False),
        ("", False),
    ],
)
def test_what_is_a_record(text: str, there: bool) -> None:
    assert (parsed("example.org", [text.encode()]) is not None) == there


def test_two_records_are_none_and_others_do_no_harm() -> None:
    record = b"v=DMARC1; p=reject"
    assert parsed("x.example", [record, record]) is None
    assert parsed("x.example", [b"something else", record]) is not None


@pytest.mark.parametrize(
    ("record", "policy", "applied"),
    [
        ("p=reject", "reject", "reject"),
        ("p=REJECT", "reject", "reject"),
        ("p=quarantine", "quarantine", "quarantine"),
        ("p=none", "none", "none"),
        ("p=reject; pct=0", "reject", "reject"),
        ("p=reject; t=y", "reject", "quarantine"),
        ("p=quarantine; t=y", "quarantine", "none"),
        ("p=none; t=y", "none", "none"),
        ("p=reject; t=x", "reject", "reject"),
        ("p=reject; sp=none; np=none", "reject", "reject"),
        ("rua=mailto:a@example.org", "none", "none"),
        ("p=else; rua=mailto:a@example.org", "none", "none"),
        ("p=reject; sp=else; rua=mailto:a@example.org", "none", "none"),
    ],
)
def test_the_policy_of_the_very_domain(record: str, policy: str, applied: str) -> None:
    dmarc = judged({"example.org": f"v=DMARC1; {record}"}, "example.org")
    assert (dmarc.result, dmarc.policy, dmarc.applied) == ("fail", policy, applied)


@pytest.mark.parametrize("record", ["", "p=else", "p=reject; sp=else", "p=reject; np=else"])
def test_a_record_without_a_policy_is_none(record: str) -> None:
    assert judged({"example.org": f"v=DMARC1; {record}"}, "example.org").result == "none"


@pytest.mark.parametrize(
    ("record", "missing", "policy"),
    [
        ("p=reject", False, "reject"),
        ("p=reject; sp=quarantine", False, "quarantine"),
        ("p=none; sp=quarantine; np=reject", False, "quarantine"),
        ("p=none; sp=quarantine; np=reject", True, "reject"),
        ("p=none; sp=quarantine", True, "quarantine"),
        ("p=none; np=reject", False, "none"),
        ("p=none; np=reject", True, "reject"),
    ],
)
def test_the_policy_for_a_subdomain(record: str, missing: bool, policy: str) -> None:
    gone = ("a.example.org",) if missing else ()
    assert judged({"example.org": f"v=DMARC1; {record}"}, "a.example.org", missing=gone).policy == policy


def test_the_policy_of_a_public_suffix() -> None:
    records = {"bank.example": None, "example": "v=DMARC1; p=none; sp=quarantine; np=reject; psd=y"}
    del records["bank.example"]
    assert judged(records, "bank.example").policy == "quarantine"
    assert judged(records, "no-bank.example", missing=("no-bank.example",)).policy == "reject"


def test_a_domain_in_the_middle_has_no_say() -> None:
    # Section 4.10.1: the author's own, or the organization's.
    records: dict[str, str | None] = {"b.example.org": "v=DMARC1; p=none", "example.org": "v=DMARC1; p=reject"}
    assert judged(records, "a.b.example.org").policy == "reject"
    assert judged(records, "b.example.org").policy == "none"


@pytest.mark.parametrize(
    ("record", "spf", "signer", "result"),
    [
        ("p=reject", (PASS, "example.org"), (FAIL, "example.org"), PASS),
        ("p=reject", (FAIL, "example.org"), (PASS, "example.org"), PASS),
        ("p=reject", (PASS, "bounce.example.org"), (FAIL, "x"), PASS),
        ("p=reject; aspf=s", (PASS, "bounce.example.org"), (FAIL, "x"), FAIL),
        ("p=reject", (FAIL, "x"), (PASS, "mail.example.org"), PASS),
        ("p=reject; adkim=s", (FAIL, "x"), (PASS, "mail.example.org"), FAIL),
        ("p=reject; adkim=s", (FAIL, "x"), (PASS, "example.org"), PASS),
        ("p=reject", (PASS, "example.net"), (PASS, "example.com"), FAIL),
        ("p=reject", (PASS, "badexample.org"), (PASS, "org"), FAIL),
        ("p=reject", ("softfail", "example.org"), ("neutral", "example.org"), FAIL),
        ("p=reject", ("temperror", "example.org"), (FAIL, "example.org"), "temperror"),
        ("p=reject", ("temperror", "example.net"), (FAIL, "example.org"), FAIL),
        ("p=reject", ("temperror", "example.org"), (PASS, "example.org"), PASS),
    ],
)
def test_alignment(record: str, spf: tuple[str, str], signer: tuple[str, str], result: str) -> None:
    assert judged({"example.org": f"v=DMARC1; {record}"}, "example.org", spf, [signer]).result == result


def test_two_below_a_public_suffix_are_not_of_one_organization() -> None:
    records: dict[str, str | None] = {"example": "v=DMARC1; p=reject; psd=y", "good.example": "v=DMARC1; p=reject"}
    assert judged(records, "good.example", (PASS, "evil.example")).result == FAIL
    assert judged(records, "good.example", (PASS, "a.good.example")).result == PASS
    # Without psd=y, as long as the good one has a record and the suffix has none, too.
    assert judged({"good.example": "v=DMARC1; p=reject"}, "good.example", (PASS, "evil.example")).result == FAIL


def test_without_a_record_there_is_no_dmarc() -> None:
    assert judged({}, "example.org", (PASS, "example.org")).result == "none"


def test_without_an_answer_nobody_knows() -> None:
    assert judged({"example.org": None}, "example.org").result == "temperror"
    # The signer's organization can't be told, so that the message might pass.
    records: dict[str, str | None] = {"example.org": "v=DMARC1; p=reject", "mail.example.org": None}
    assert judged(records, "example.org", signers=[(PASS, "mail.example.org")]).result == "temperror"


def test_a_strangers_silence_leaves_no_doubt() -> None:
    records: dict[str, str | None] = {"example.org": "v=DMARC1; p=reject", "other.example": None}
    assert judged(records, "example.org", (PASS, "other.example")).result == FAIL
    assert judged(records, "example.org", signers=[(PASS, "other.example")]).result == FAIL
    assert judged(records, "example.org", (PASS, "other.example"), [(PASS, "example.org")]).result == PASS


def test_of_several_authors_the_strictest_counts() -> None:
    good, none, unsure = Dmarc("pass", "a.example", "reject", "reject"), Dmarc("none"), Dmarc("temperror")
    mild, hard = Dmarc("fail", "b.example"), Dmarc("fail", "c.example", "reject", "reject")
    assert strictest([good, hard, mild]) is hard
    assert strictest([mild, good]) is mild
    assert strictest([good, none, unsure]) is unsure
    assert strictest([good, none]) is none
    assert strictest([good]) is good


def test_a_message_costs_a_bounded_number_of_questions() -> None:
    zone = Zone({"example.org": "v=DMARC1; p=reject"})
    long = ".".join("x" * 100)
    signers = [(PASS, f"{number}.{long}.example.org") for number in range(8)]
    evaluated(zone.ask, zone.exists, f"{long}.example.org", (FAIL, "x"), signers)
    assert len(zone.asked) <= 8 * 9


@pytest.mark.parametrize(
    ("author", "other", "strict", "relaxed"),
    [
        # RFC 9989 appendix B.1: the same domain, one above or below it, and somebody else's.
        ("example.com", "example.com", PASS, PASS),
        ("example.com", "child.example.com", FAIL, PASS),
        ("child.example.com", "example.com", FAIL, PASS),
        ("child.example.com", "example.net", FAIL, FAIL),
    ],
)
def test_the_rfcs_examples_of_alignment(author: str, other: str, strict: str, relaxed: str) -> None:
    for tags, result in (("aspf=s; adkim=s", strict), ("", relaxed), ("aspf=r; adkim=r", relaxed)):
        records: dict[str, str | None] = {"example.com": f"v=DMARC1; p=reject; {tags}"}
        assert judged(records, author, (PASS, other)).result == result  # B.1.1
        assert judged(records, author, signers=[(PASS, other)]).result == result  # B.1.2
    # Strict of one is not strict of the other.
    records = {"example.com": "v=DMARC1; p=reject; aspf=s"}
    assert judged(records, author, signers=[(PASS, other)]).result == relaxed


def test_the_rfcs_example_of_testing() -> None:
    # Appendix B.2.4: before and after.
    reports = "rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net"
    for text, applied in ((f"p=quarantine; {reports};t=y", "none"), (f"p=reject; {reports}", "reject")):
        found = judged({"test.example.com": f"v=DMARC1; {text}", "example.com": "v=DMARC1; p=none"}, "test.example.com")
        assert (found.result, found.applied) == (FAIL, applied)


def test_the_rfcs_example_of_a_session() -> None:
    # Appendix B.3.1.
    records: dict[str, str | None] = {
        "example.com": "v=DMARC1; p=reject; aspf=r; rua=mailto:dmarc-feedback@example.com"
    }
    for spf, dkim in ((PASS, PASS), (PASS, FAIL), (FAIL, PASS)):
        found = judged(records, "example.com", (spf, "mail.example.com"), [(dkim, "example.com")])
        assert (found.result, found.policy) == (PASS, "reject")
    assert judged(records, "example.com", (FAIL, "mail.example.com"), [(FAIL, "example.com")]).applied == "reject"


@pytest.mark.parametrize(
    ("records", "author", "envelope", "signer", "organizations", "asked"),
    [
        # Appendix B.4: a simple one, a deep one, one below a public suffix.
        (
            {"example.com": "v=DMARC1; p=reject", "signing.example.com": "v=DMARC1; p=none"},
            "example.com",
            "example.com",
            "signing.example.com",
            ("example.com", "example.com", "example.com"),
            ["example.com", "com"],
        ),
        (
            {"example.com": "v=DMARC1; p=reject", "signing.example.com": "v=DMARC1; p=none"},
            "a.b.c.d.e.f.g.h.i.j.k.example.com",
            "example.com",
            "signing.example.com",
            ("example.com", "example.com", "example.com"),
            [
                "a.b.c.d.e.f.g.h.i.j.k.example.com",
                "g.h.i.j.k.example.com",
                "h.i.j.k.example.com",
                "i.j.k.example.com",
                "j.k.example.com",
                "k.example.com",
                "example.com",
                "com",
            ],
        ),
        (
            {"bank.example": "v=DMARC1; p=none; psd=y", "giant.bank.example": "v=DMARC1; p=reject"},
            "giant.bank.example",
            "mail.giant.bank.example",
            "mail.mega.bank.example",
            ("giant.bank.example", "giant.bank.example", "mega.bank.example"),
            ["giant.bank.example", "bank.example"],
        ),
    ],
)
def test_the_rfcs_examples_of_a_walk(
    records: dict[str, str | None],
    author: str,
    envelope: str,
    signer: str,
    organizations: tuple[str, str, str],
    asked: list[str],
) -> None:
    zone = Zone(records)
    assert Walks(zone.ask).organization(author) == organizations[0]
    assert zone.asked == [f"_dmarc.{name}" for name in asked]
    assert tuple(Walks(zone.ask).organization(name) for name in (author, envelope, signer)) == organizations
    assert judged(records, author, (PASS, envelope)).result == PASS
    assert judged(records, author, signers=[(PASS, signer)]).result == (
        PASS if organizations[2] == organizations[0] else FAIL
    )
    # The author's record counts, or the organization's where he has none.
    failed = judged(records, author, signers=[(FAIL, signer)])
    assert (failed.result, failed.policy) == (FAIL, "reject")
