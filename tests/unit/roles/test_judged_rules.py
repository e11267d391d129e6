"""What SpamAssassin's rules make of the field that hi-q's module writes."""

from __future__ import annotations

import json
import re
import subprocess
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from mailauth.dmarc import Dmarc
from mailauth.results import field
from qmail_dkim.verify import Signature
from sitelab.paths import ROOT

TEMPLATE = ROOT / "roles/spamassassin/templates/etc/qmail-site/spamassassin/judged.cf.j2"
NAME = "mx.example.net"
MATCH = r"""
use JSON::PP; my ($rules, $text) = @{decode_json($ARGV[0])};
print join(" ", sort grep { my $rule = $rules->{$_}; $text =~ /$rule/ } keys %$rules);
"""


def rules() -> dict[str, str]:
    """Give each rule's expression."""
    environment = jinja2.Environment(trim_blocks=True)  # noqa: S701 - no page
    environment.filters |= {"comment": lambda text: "# " + text, "regex_escape": re.escape}
    text = environment.from_string(TEMPLATE.read_text()).render(ansible_managed="x", mail_fqdn=NAME)
    return dict(re.findall(r"^header (\S+) Authentication-Results =~ /(.*)/$", text, re.MULTILINE))


def hits(*fields: bytes) -> set[str]:
    """Give the rules that hit, as SpamAssassin has it: unfolded, a field a line."""
    text = "".join(
        each.decode().partition(":")[2].strip().replace("\n", " ").replace("\t", "") + "\n" for each in fields
    )
    done = subprocess.run(["perl", "-e", MATCH, json.dumps([rules(), text])], stdout=subprocess.PIPE, check=True)
    return {name for name in done.stdout.decode().split() if not name.startswith("__")}


def spf(result: str = "none", identity: str = "smtp.mailfrom", value: str = "a@example.com") -> Any:
    return SimpleNamespace(result=result, identity=identity, value=value)


def signature(domain: str, result: str = "pass", why: str = "") -> Signature:
    tags = {b"d": domain.encode(), b"s": b"s", b"a": b"rsa-sha256", b"b": b"abcdefghij"}
    return Signature(b"", tags, result, why)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ((spf("pass"), [], Dmarc("none", "example.com")), {"SPF_PASS", "DMARC_MISSING"}),
        ((spf("softfail"), [], Dmarc("none", "example.com")), {"SPF_SOFTFAIL", "DMARC_MISSING"}),
        ((spf("fail", "smtp.helo", "x"), [], Dmarc("none", "example.com")), {"SPF_HELO_FAIL", "DMARC_MISSING"}),
        ((spf("temperror"), [], Dmarc("temperror", "example.com", why="no answer")), {"T_SPF_TEMPERROR"}),
        (
            (spf("fail"), [], Dmarc("fail", "example.com", "reject", "reject")),
            {"SPF_FAIL", "DMARC_REJECT"},
        ),
        (
            (spf("fail"), [], Dmarc("fail", "example.com", "quarantine", "none"), "forwarded by relay.example"),
            {"SPF_FAIL"},
        ),
        (
            (spf("none"), [signature("example.com")], Dmarc("pass", "mail.example.com", "none", "none")),
            {"SPF_NONE", "DKIM_SIGNED", "DKIM_VALID", "DKIM_VALID_AU", "DMARC_PASS"},
        ),
        (
            (spf("none"), [signature("example.org")], Dmarc("fail", "badexample.org", "none", "none")),
            {"SPF_NONE", "DKIM_SIGNED", "DKIM_VALID", "DMARC_NONE"},
        ),
        (
            (spf("none"), [signature("a.example", "fail", "the body has been changed")], Dmarc("none", "a.example")),
            {"SPF_NONE", "DKIM_SIGNED", "DMARC_MISSING"},
        ),
        (
            (spf("none"), [signature("x.example"), signature("a.example")], Dmarc("fail", "a.example", "reject")),
            {"SPF_NONE", "DKIM_SIGNED", "DKIM_VALID", "DKIM_VALID_AU", "DMARC_REJECT"},
        ),
    ],
)
def test_each_result_has_its_rule(said: Any, names: set[str]) -> None:
    assert hits(field(NAME, *said)) == names


@pytest.mark.parametrize(
    "sender", ["x; dmarc=pass header.from=a", 'x"; dkim=pass header.d=a ', "x\\", '"', ";spf=pass "]
)
def test_no_stranger_writes_a_result(sender: str) -> None:
    ours = field(NAME, spf("fail", value=f"{sender}@example.com"), [], Dmarc("none", "example.com"))
    assert hits(ours) == {"SPF_FAIL", "DMARC_MISSING"}


def test_only_the_first_field_counts() -> None:
    others = b"Authentication-Results: other.example; spf=pass smtp.mailfrom=a; dmarc=pass header.from=a\n"
    forged = others.replace(b"other.example", NAME.encode())
    ours = field(NAME, spf("none"), [], Dmarc("none", "example.com"))
    assert hits(ours, forged) == {"SPF_NONE", "DMARC_MISSING"}
    assert hits(others, forged) == set()
    assert hits() == set()
