"""Records and policies that strangers publish: the examples of RFC 8461 and RFC 8460, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tls_policy.policy import MAX_AGE_MOST, PolicyError, is_domain, parse, record_id, report_addresses

# RFC 8461 appendix A and section 3.2.
EXAMPLE = b"""version: STSv1\r
mode: enforce\r
mx: mail.example.com\r
mx: *.example.net\r
mx: backupmx.example.com\r
max_age: 604800\r
"""


def test_the_example_of_the_rfc() -> None:
    policy = parse(EXAMPLE, "20160831085700Z")
    assert (policy.id, policy.mode, policy.max_age) == ("20160831085700Z", "enforce", 604800)
    assert policy.mx == ("mail.example.com", "*.example.net", "backupmx.example.com")
    assert policy.lines[1] == "mode: enforce"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=a"], "a"),
        (["v=STSv1 ; id = a ; more = b;"], "a"),
        (["v=spf1 -all", "v=STSv1; id=a;"], "a"),
        ([], None),
        (["v=STSv1; id=a;", "v=STSv1; id=b;"], None),
        (["v=STSv1; id=a;", "v=STSv1; id=a;"], None),
        (["v=STSv2; id=a;"], None),
        (["v=STSv1"], None),
        (["v=STSv1;"], None),
        (["v=STSv1; id=;"], None),
        (["v=STSv1; id=a-b;"], None),
        (["v=STSv1; id=" + "a" * 33], None),
        (["v=STSv1; id=a\nenforce b 1;"], None),
        ([" v=STSv1; id=a;"], None),
    ],
)
def test_a_record(records: list[str], found: str | None) -> None:
    assert record_id(records) == found


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"version: STSv1", b"version: STSv2", "version"),
        (b"version: STSv1\r\n", b"", "version"),
        (b"mode: enforce", b"mode: Enforce", "mode"),
        (b"mode: enforce\r\n", b"", "mode"),
        (b"max_age: 604800", b"max_age: -1", "max_age"),
        (b"max_age: 604800", b"max_age: 1e5", "max_age"),
        (b"max_age: 604800\r\n", b"", "max_age"),
        (b"max_age: 604800", b"max_age: 99999999999", "max_age"),
        (b"mail.example.com", b"mail..example.com", "no name"),
        (b"mail.example.com", b"*.*.example.com", "no name"),
        (b"mail.example.com", b"m*.example.com", "no name"),
        (b"mail.example.com", b"", "no name"),
        (b"mail.example.com", b"mail.example.com\0", "no name"),
        (b"mail.example.com", b"mail example.com", "no name"),
        (b"mail.example.com", b"a." * 130 + b"com", "no name"),
        (b"mode: enforce", b"mode enforce", "colon"),
        (b"mode: enforce", b"mode: enforce\r\nmx: \xff", "text"),
        (b"mx: ", b"nx: ", "names no mx"),
        (b"mode: enforce", b"mode: enforce" + b"\r\nmx: a.example" * 501, "no name"),
    ],
)
def test_a_policy_that_is_none(old: bytes, new: bytes, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        parse(EXAMPLE.replace(old, new), "a")


def test_a_policy_that_is_too_long() -> None:
    with pytest.raises(PolicyError, match="64 KiB"):
        parse(EXAMPLE + b"x: y\r\n" * 11000, "a")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n", b"\n"),
        (b"mode: enforce", b"mode:enforce"),
        (b"mode: enforce", b"mode:  enforce \t"),
        (b"mode: enforce", b"mode: enforce\r\nmode: none"),
        (b"mode: enforce", b"mode: enforce\r\nextension: x: y"),
        (b"max_age: 604800\r\n", b"max_age: 604800"),
        (b"mail.example.com", b"MAIL.example.com."),
    ],
)
def test_the_same_policy_written_otherwise(old: bytes, new: bytes) -> None:
    policy = parse(EXAMPLE.replace(old, new), "a")
    assert (policy.mode, policy.max_age, policy.mx[0]) == ("enforce", 604800, "mail.example.com")


def test_a_policy_that_ends_an_earlier_one_needs_no_mx() -> None:
    policy = parse(b"version: STSv1\nmode: none\nmax_age: 86400\n", "a")
    assert (policy.mode, policy.mx) == ("none", ())


def test_a_policy_holds_for_a_year_at_most() -> None:
    assert parse(EXAMPLE.replace(b"604800", b"9999999999"), "a").max_age == MAX_AGE_MOST


@given(st.binary(max_size=300))
def test_whatever_is_published_is_read_or_refused(body: bytes) -> None:
    try:
        policy = parse(EXAMPLE + body, "a")
    except PolicyError:
        return
    assert all(name.isascii() and name.isprintable() and " " not in name for name in policy.mx)
    assert all(line.isascii() and line.isprintable() for line in policy.lines)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=TLSRPTv1;rua=mailto:reports@example.com"], ["mailto:reports@example.com"]),
        (
            ["v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt, mailto:a@b.example;"],
            ["https://reporting.example.com/v1/tlsrpt", "mailto:a@b.example"],
        ),
        (["v=TLSRPTv1; rua=http://a.example/,file:///etc/passwd,ftp://b.example"], []),
        (["v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:c@d.example"], []),
        (["v=TLSRPTv2; rua=mailto:a@b.example"], []),
        ([], []),
    ],
)
def test_where_reports_go(records: list[str], found: list[str]) -> None:
    assert report_addresses(records) == found


@pytest.mark.parametrize("name", ["x.test", "xn--bcher-kva.example", "a", "_dmarc.x.test", "X.TEST"])
def test_a_domain(name: str) -> None:
    assert is_domain(name)


@pytest.mark.parametrize(
    "name", ["", ".", "x..test", "x.test.", "-a.test", "a b", "a\n", "192.0.2.1", "a" * 64, "a." * 127 + "b"]
)
def test_no_domain(name: str) -> None:
    assert not is_domain(name)
