"""Modules, by the one there is: a message is judged, marked and refused, with a DNS on loopback."""

from __future__ import annotations

import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from qmail_dkim.signing import Signer, signatures
from qmail_dkim.stream import Message, wire
from site_double import ENVELOPE, Site
from sitelab.loopback_dns import Servers, Zone, servers

ACCEPTED, REASON = 0, 82
RESOLVER = "127.0.0.55"
KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
MESSAGE = b"From: Alice <alice@example.test>\nTo: bob@example.net\nSubject: x\n\nA message.\n"
NAME = "mx.example.net"


def zone(policy: str = "reject", spf: str = "ip4:192.0.2.1") -> Zone:
    return {
        "example.test": {"TXT": [f"v=spf1 {spf} -all"], "A": ["192.0.2.80"]},
        "_dmarc.example.test": {"TXT": [f"v=DMARC1; p={policy}"]},
        "s._domainkey.example.test": {"TXT": [f"v=DKIM1; k=rsa; p={PUBLIC}"]},
    }


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("dns"), RESOLVER) as made:
        yield made


def listed(site: Site, dns: Servers, *words: str, filters: tuple[str, ...] = ()) -> None:
    options = f"name={NAME} nameservers={RESOLVER} port={dns.port}"
    site.filters(f"module=mailauth {options} {' '.join(words)}", *filters)
    site.environment["SMTPHELO"] = "client.example.test"


def signed(message: bytes = MESSAGE) -> bytes:
    signers = [Signer("example.test", "s", KEY)]
    return signatures(Message(wire([message]), 1 << 20), signers, 1_700_000_000).replace(b"\r\n", b"\n") + message


def marked(site: Site) -> tuple[str, bytes]:
    """Give our field on one line, and what follows it."""
    message = site.recorded("message")
    assert message.startswith(b"Authentication-Results: ")
    head, _, rest = message.partition(b"\n\tdmarc=")
    last, _, rest = rest.partition(b"\n")
    return " ".join((head + b" dmarc=" + last).decode().split()), rest


def test_good_mail_is_marked(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(), authoritative=False)
    listed(site, dns, "policy=refuse")
    result = site.run(signed())
    assert result.code == ACCEPTED, result.log
    said, rest = marked(site)
    assert said.startswith(
        f"Authentication-Results: {NAME}; spf=pass smtp.mailfrom=alice@example.test; "
        "dkim=pass header.d=example.test header.s=s header.a=rsa-sha256 header.b="
    )
    assert said.endswith("; dmarc=pass header.from=example.test policy.dmarc=reject")
    assert rest == signed()
    assert site.recorded("envelope") == ENVELOPE
    assert "module=mailauth spf=pass dkim=pass dmarc=pass policy=reject from=<alice@example.test>" in result.log


def test_a_forgery_is_refused_with_the_policys_name(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(spf="ip4:192.0.2.9"), authoritative=False)
    listed(site, dns, "policy=refuse")
    result = site.run(MESSAGE)
    assert (result.code, result.reason) == (REASON, b"D550 refused by the DMARC policy of example.test (#5.7.1)")
    assert not site.queued
    assert "result=refused module=mailauth spf=fail dkim=none dmarc=fail policy=reject" in result.log


@pytest.mark.parametrize(
    ("policy", "words"), [("reject", "policy=mark"), ("quarantine", "policy=refuse"), ("reject; t=y", "policy=refuse")]
)
def test_what_is_not_refused_is_marked(site: Site, dns: Servers, policy: str, words: str) -> None:
    dns.serve(RESOLVER, zone(policy, "ip4:192.0.2.9"), authoritative=False)
    listed(site, dns, words)
    assert site.run(MESSAGE).code == ACCEPTED
    assert " dmarc=fail header.from=example.test policy.dmarc=" in marked(site)[0]


@pytest.mark.parametrize(
    ("forwarder", "believed"),
    [
        ("192.0.2.0/24", True),
        ("192.0.2.1", True),
        ("203.0.113.0/24", False),
        ("relay.example", True),
        ("example", True),
        ("list.example.test", False),
        ("other.example", False),
    ],
)
def test_a_forwarder_is_believed(site: Site, dns: Servers, forwarder: str, believed: bool) -> None:
    names = {"1.2.0.192.in-addr.arpa": {"PTR": ["mx.relay.example."]}, "mx.relay.example": {"A": ["192.0.2.1"]}}
    dns.serve(RESOLVER, {**zone(spf="ip4:192.0.2.9"), **names}, authoritative=False)
    listed(site, dns, "policy=refuse", f"forwarders=198.51.100.1,{forwarder}")
    result = site.run(MESSAGE)
    assert (result.code == ACCEPTED) == believed
    if believed:
        assert f'dmarc=fail reason="forwarded by {forwarder}"' in marked(site)[0]


def test_no_answer_is_no_refusal(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, {"example.test": "servfail", "_dmarc.example.test": "servfail"}, authoritative=False)
    listed(site, dns, "policy=refuse", "seconds=2")
    assert site.run(MESSAGE).code == ACCEPTED
    assert "spf=temperror" in marked(site)[0]
    assert "dmarc=temperror" in marked(site)[0]


def test_a_second_author_is_no_way_round(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(spf="ip4:192.0.2.9"), authoritative=False)
    listed(site, dns, "policy=refuse")
    for authors in (b"alice@example.test, x@elsewhere.example", b"x@elsewhere.example, Alice <alice@example.test>"):
        result = site.run(MESSAGE.replace(b"Alice <alice@example.test>", authors))
        assert result.reason == b"D550 refused by the DMARC policy of example.test (#5.7.1)", result.log
    many = b", ".join(b"x@%d.example" % number for number in range(5))
    assert b"#5.6.0" in site.run(MESSAGE.replace(b"Alice <alice@example.test>", many)).reason


@pytest.mark.parametrize("slow", [False, True])
def test_a_strangers_names_leave_nothing_unasked(site: Site, dns: Servers, slow: bool) -> None:
    evil: dict[str, dict[str, list[str]] | str] = {"evil.example": "silent", "_dmarc.evil.example": "silent"}
    if not slow:  # more questions than there are for a message
        evil["evil.example"] = {"TXT": ["v=spf1 " + " ".join(f"mx:{n}.evil.example" for n in range(10)) + " -all"]}
        for n in range(10):
            hosts = [f"{n}-{m}.evil.example" for m in range(10)]
            evil[f"{n}.evil.example"] = {"MX": [f"10 {host}." for host in hosts]}
            evil |= {host: {"A": ["198.51.100.1"]} for host in hosts}
    for n in range(8):
        evil[f"k{n}._domainkey.evil.example"] = "silent"
    dns.serve(RESOLVER, {**zone(spf="ip4:192.0.2.9"), **evil}, authoritative=False)
    listed(site, dns, "policy=refuse", "seconds=3" if slow else "seconds=20")
    tags = "a=rsa-sha256; h=from; bh=eA==; b=eA=="
    signed_by = [f"DKIM-Signature: v=1; d=evil.example; s=k{n}; {tags}\n" for n in range(7 if slow else 0)]
    signed_by.append(f"DKIM-Signature: v=1; d=mail.example.test; s=none; {tags}\n")
    message = "".join(signed_by).encode() + MESSAGE.replace(b"alice@example.test", b"alice@sub.example.test")
    result = site.run(message, envelope=ENVELOPE.replace(b"alice@example.test", b"x@evil.example"))
    assert result.reason == b"D550 refused by the DMARC policy of sub.example.test (#5.7.1)", result.log


@pytest.mark.parametrize("names", [[], [f"h{number}.evil.example" for number in range(10)]])
def test_a_clients_silent_name_servers_are_no_way_round(site: Site, dns: Servers, names: list[str]) -> None:
    # SPF asks them for the author's domain, and nothing is known of the signature before the key has been asked for.
    reverse = {"1.2.0.192.in-addr.arpa": {"PTR": [f"{name}." for name in names]} if names else "silent"}
    dns.serve(RESOLVER, {**zone(spf="ptr"), **reverse, **dict.fromkeys(names, "silent")}, authoritative=False)
    listed(site, dns, "policy=refuse")
    result = site.run(signed().replace(b"A message.", b"Another one."))
    assert (result.code, result.reason) == (REASON, b"D550 refused by the DMARC policy of example.test (#5.7.1)")
    assert "spf=fail dkim=fail dmarc=fail policy=reject" in result.log


def test_a_dead_resolver_delays_by_a_bounded_time(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, dict.fromkeys(("example.test", "_dmarc.example.test"), "silent"), authoritative=False)
    listed(site, dns, "policy=refuse", "seconds=2")
    began = time.monotonic()
    assert site.run(MESSAGE).code == ACCEPTED
    assert time.monotonic() - began < 5


def test_forged_fields_of_our_name_go(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(), authoritative=False)
    listed(site, dns)
    forged = b"Authentication-Results: (x)\n MX.example.net;\n\tdmarc=pass\n"
    others = b"Authentication-Results: other.example; spf=pass\nX: a\r\n"
    assert site.run(forged + others + forged + MESSAGE).code == ACCEPTED
    assert marked(site)[1] == others + MESSAGE


def test_a_relay_clients_mail_is_not_judged(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(spf="ip4:192.0.2.9"), authoritative=False)
    listed(site, dns, "policy=refuse")
    site.environment["RELAYCLIENT"] = ""
    assert site.run(MESSAGE).code == ACCEPTED
    assert site.recorded("message") == MESSAGE


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", b"no From field"),
        (b"From: a@example.test\nFrom: b@example.net\n", b"2 From fields"),
        (b"From: nobody\n", b"an address without a domain"),
        (b"X: " + b"x" * 2_000_000 + b"\nFrom: a@example.test\n", b"a header of more than 1048576 bytes"),
    ],
)
def test_whose_mail_nobody_can_tell(site: Site, dns: Servers, head: bytes, reason: bytes) -> None:
    dns.serve(RESOLVER, zone(), authoritative=False)
    listed(site, dns, "policy=refuse")
    result = site.run(head + b"Subject: x\n\nx\n")
    assert result.reason == b"D550 no author can be told from the From field: " + reason + b" (#5.6.0)"
    listed(site, dns, "policy=mark")
    assert site.run(head + b"Subject: x\n\nx\n").code == ACCEPTED
    assert "dmarc=permerror" in marked(site)[0]


def test_filters_follow(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(), authoritative=False)
    listed(site, dns, filters=("/usr/bin/sed s/Authentication/X-Authentication/",))
    assert site.run(MESSAGE).code == ACCEPTED
    assert site.recorded("message").startswith(b"X-Authentication-Results: ")
    listed(site, dns, filters=(site.sh("no", "cat; exit 1"),))
    assert site.run(MESSAGE).code == REASON


def test_a_large_message_is_judged_whole(site: Site, dns: Servers) -> None:
    dns.serve(RESOLVER, zone(), authoritative=False)
    listed(site, dns, filters=("/bin/cat",))
    message = signed(MESSAGE + b"A line of some length, again and again.\n" * 500_000)
    began = time.monotonic()
    assert site.run(message, timeout=120).code == ACCEPTED
    said, rest = marked(site)
    assert "dkim=pass" in said
    assert rest == message
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "message",
    [
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.test; s=s; h=from; bh=AAAA; b=AAAA\n" * 5000 + MESSAGE,
        b"X: y\n" * 2_000_000 + MESSAGE,
        b"From: " + b"(" * 60_000 + b"\n\n",
        b"Authentication-Results: " + b"(" * 900_000 + b"\n" + MESSAGE,
        b"From: " + b"a@b.example, " * 100_000 + b"\n\n",
        MESSAGE + b" " * 10_000_000,
        MESSAGE + b"\n" * 10_000_000,
        b"\n" * 100,
        b"",
        b"\0\r\xff" * 1000,
    ],
    ids=["signatures", "header", "comments", "results", "authors", "blanks", "lines", "nothing", "empty", "junk"],
)
def test_a_hostile_message_costs_a_bounded_time(site: Site, dns: Servers, message: bytes) -> None:
    dns.serve(RESOLVER, zone(), authoritative=False)
    listed(site, dns, "policy=mark")
    began = time.monotonic()
    assert site.run(message).code == ACCEPTED
    assert time.monotonic() - began < 15


def test_a_caller_that_goes_away_ends_it(site: Site, dns: Servers) -> None:
    listed(site, dns)
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(b"Falice@example.test\0Tbob@", close=True)
    assert caller.result().code != ACCEPTED
    assert not site.queued


@pytest.mark.parametrize("words", ["", "name=x y=z", "name=x policy=perhaps", "name=x seconds=0"])
def test_words_that_mean_nothing_defer_and_are_told(site: Site, words: str) -> None:
    site.filters(f"module=mailauth {words}".rstrip())
    result = site.run(MESSAGE)
    assert result.code == REASON
    assert result.reason.startswith(b"Z")


def test_another_module_is_no_module(site: Site) -> None:
    site.filters("module=os")
    result = site.run(MESSAGE)
    assert result.reason.startswith(b"Z")
    assert "'os' is not a module (there is: mailauth)" in result.log


def check_list(site: Site) -> subprocess.CompletedProcess[str]:
    command = [*site.program_for("strangers"), "--check", "--filters", str(site.list), "--queue", str(site.queue)]
    return subprocess.run(command, capture_output=True, text=True)


def test_check_shows_and_judges_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.filters("module=mailauth name=mx.example.net policy=refuse", "/bin/cat")
    done = check_list(site)
    assert "module    module=mailauth name=mx.example.net policy=refuse\nfilter 1  /bin/cat" in done.stdout
    site.filters("module=mailauth policy=perhaps")
    done = check_list(site)
    assert done.returncode == 1
    assert f"{site.list}:1: wants name=, the host's own" in done.stderr
