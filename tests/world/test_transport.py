"""How mail is carried: by DANE, by MTA-STS, by whatever TLS there is, or not at all, and what the log says of it."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.world.conftest import ADDRESSES, SECONDS, World, letter, token

GAMMA = "carol@gamma.example"
DELTA = "carol@delta.example"
ALICE = "alice@alpha.example"
TLSA = "_25._tcp.mail.gamma.example."
OURS = ("alpha.example.", "_25._tcp.mail.alpha.example.", "TLSA")
POLICY = "/srv/policies/mta-sts.delta.example/.well-known/mta-sts.txt"
POLICIES = "/var/lib/qmail-policy/policy.db"


def send(world: World, recipient: str, site: str = "alpha") -> str:
    """Send a message from one of ours; give its word."""
    word = token()
    sender = f"alice@{site}.example"
    world.submit(site, sender, recipient, letter(sender, recipient, word))
    return word


def carried(world: World, recipient: str, by: str = "gamma", *, site: str = "alpha", to: str = "gamma") -> str:
    """Send a message that arrives at TO; give what the site's log says of how BY took it."""
    since = world.host(site).now()
    word = send(world, recipient, site)
    world.message(to, word)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        log = world.journal(site, "-t qmail-send", since)
        lines = [
            line for line in log.splitlines() if re.search(rf"delivery \d+: success: {re.escape(ADDRESSES[by])}", line)
        ]
        if lines:
            return lines[-1].replace("_", " ")
        time.sleep(0.3)
    raise AssertionError(log)


def goes_when_it_may(world: World, word: str) -> None:
    """Have a message that waited go, now that nothing is wrong any more."""
    world.try_again("alpha")
    world.message("gamma", word)


@contextmanager
def policy(world: World, number: int, text: str) -> Iterator[None]:
    """While this lasts, delta.example has this policy."""
    names = world.host("names")
    before = names(f"cat {POLICY}")
    names(f"cat >{POLICY}", text.encode())
    try:
        with world.named("delta.example.", "_mta-sts.delta.example.", "TXT", f'"v=STSv1; id=n{number}"'):
            # What it has asked the DNS it remembers for as long as the record says.
            world.host("alpha")("qmail restart policy")
            yield
    finally:
        names(f"cat >{POLICY}", before.encode())


@contextmanager
def gone(world: World) -> Iterator[None]:
    """While this lasts, nobody serves policies."""
    names = world.host("names")
    names("systemctl stop policies")
    try:
        yield
    finally:
        names("systemctl start policies")


def of_policies(world: World, command: str) -> None:
    """Change what alpha keeps of policies, as its service would."""
    program = f"import sqlite3; sqlite3.connect('{POLICIES}', timeout=30, isolation_level=None).execute('{command}')"
    who = "setpriv --reuid=qmailpolicy --regid=qmailpolicy --clear-groups"
    world.host("alpha")(f'{who} python3 -c "{program}"')


def sts(mode: str, mx: str = "mx.delta.example") -> str:
    """Give a policy."""
    return f"version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 86400\r\n"


def test_by_dane_where_the_names_say_whose_key_it_is(world: World) -> None:
    assert ", dane)" in carried(world, GAMMA)


def test_another_key_than_the_names_say_is_not_spoken_to(world: World) -> None:
    other = hashlib.sha256(b"another key").hexdigest()
    with world.named("gamma.example.", TLSA, "TLSA", f"3 1 1 {other}"):
        word = send(world, GAMMA)
        assert " 25. tcp.mail.gamma.example" in world.waits("alpha", word, r"deferral: .*TLSA")
    goes_when_it_may(world, word)


def test_a_next_key_beside_the_current_one_does_no_harm(world: World) -> None:
    current = world.host("names")(f"dig +short +tries=1 @198.18.7.10 {TLSA} TLSA").strip()
    other = hashlib.sha256(b"the next key").hexdigest()
    with world.named("gamma.example.", TLSA, "TLSA", current, f"3 1 1 {other}"):
        assert ", dane)" in carried(world, GAMMA)


def test_without_such_records_by_whatever_tls_there_is(world: World) -> None:
    with world.named("gamma.example.", TLSA, "TLSA"):
        assert ", encrypted)" in carried(world, GAMMA)


def test_names_whose_signature_is_wrong_hold_the_message_back(world: World) -> None:
    # A DS that is of no key: nothing of the zone can be believed.
    with world.named("example.", "gamma.example.", "DS", f"1 13 2 {hashlib.sha256(b'no key').hexdigest()}"):
        word = send(world, GAMMA)
        world.waits("alpha", word, "deferral: ")
    goes_when_it_may(world, word)


def test_by_the_policy_of_a_domain_without_dnssec(world: World) -> None:
    with policy(world, 10, sts("enforce")):
        assert ", sts)" in carried(world, DELTA)


def test_a_server_that_the_policy_does_not_name_is_not_spoken_to(world: World) -> None:
    with policy(world, 11, sts("enforce", "mx.elsewhere.example")):
        word = send(world, DELTA)
        assert "MTA-STS" in world.waits("alpha", word, r"deferral: .*policy does not name it")
    with policy(world, 12, sts("enforce")):
        goes_when_it_may(world, word)


def test_while_it_is_tested_the_policy_holds_nothing_back(world: World) -> None:
    with policy(world, 13, sts("testing", "mx.elsewhere.example")):
        assert "testing" in carried(world, DELTA)


def test_a_policy_that_can_t_be_had_holds_nothing_back(world: World) -> None:
    # And nothing that was known before comes in its place: the id is another one, but the old policy still counts.
    with policy(world, 14, sts("enforce")):
        assert ", sts)" in carried(world, DELTA)
    with gone(world), policy(world, 15, sts("enforce")):
        assert ", sts)" in carried(world, DELTA)


def test_a_policy_that_is_over_holds_no_more_where_no_other_can_be_had(world: World) -> None:
    with policy(world, 16, sts("enforce")):
        assert ", sts)" in carried(world, DELTA)
    with gone(world), policy(world, 17, sts("enforce", "mx.elsewhere.example")):
        of_policies(world, "UPDATE policy SET fetched = fetched - 86401")
        assert ", encrypted)" in carried(world, DELTA)
    with policy(world, 18, sts("enforce")):
        assert ", sts)" in carried(world, DELTA)


def test_nobody_is_sent_elsewhere_for_a_policy(world: World) -> None:
    # RFC 8461 section 3.3: who has the policy's host redirect has no policy.
    names = world.host("names")
    there = "/srv/policies/mta-sts.delta.example/elsewhere/mta-sts.txt"
    redirect = POLICY.replace("mta-sts.txt", "REDIRECT")
    names(f"mkdir -p $(dirname {there}) && cat >{there}", sts("enforce", "mx.elsewhere.example").encode())
    names(f"echo https://mta-sts.delta.example/elsewhere/mta-sts.txt >{redirect}")
    try:
        with policy(world, 19, sts("enforce")):
            of_policies(world, "DELETE FROM policy")
            since = world.host("alpha").now()
            assert ", encrypted)" in carried(world, DELTA)
            log = world.journal("alpha", "-t qmail-policy", since)
            assert "policy: delta.example: mta-sts.delta.example answers 301" in log, log
    finally:
        names(f"rm {redirect} {there}")


@contextmanager
def certificate(world: World, kind: str) -> Iterator[None]:
    """While this lasts, gamma shows another certificate of the same key: expired, or selfsigned."""
    gamma, names = world.host("gamma"), world.host("names")
    made = "openssl x509 -new -subj /CN=mail.gamma.example -force_pubkey /dev/stdin -days 30"
    if kind == "expired":
        made = (
            "openssl x509 -new -subj /CN=mx.delta.example -force_pubkey /dev/stdin -CA /srv/authority/authority.pem"
            " -CAkey /srv/authority/authority.key -not_before 20250101000000Z -not_after 20250201000000Z"
            " -extfile /tmp/names.cnf"
        )
        names("echo subjectAltName=DNS:mx.delta.example,DNS:mail.gamma.example >/tmp/names.cnf")
    else:
        made += " -signkey /srv/authority/mail.gamma.example.key"
    public = gamma("openssl x509 -in /etc/postfix/server.pem -noout -pubkey")
    gamma("cat >/etc/postfix/other.pem", names(made, public.encode()).encode())
    gamma("postconf -e smtpd_tls_cert_file=/etc/postfix/other.pem && postfix reload")
    time.sleep(1)
    try:
        yield
    finally:
        gamma("postconf -e smtpd_tls_cert_file=/etc/postfix/server.pem && postfix reload")
        time.sleep(1)


def test_a_key_that_the_names_know_is_good_whatever_its_certificate_says(world: World) -> None:
    for kind in ("expired", "selfsigned"):
        with certificate(world, kind):
            assert ", dane)" in carried(world, GAMMA)


@pytest.mark.parametrize(("kind", "why"), [("expired", "expired"), ("selfsigned", "self-signed")])
def test_a_policy_wants_a_good_certificate(world: World, kind: str, why: str) -> None:
    with policy(world, 20 + len(kind), sts("enforce")):
        with certificate(world, kind):
            word = send(world, DELTA)
            assert "MTA-STS" in world.waits("alpha", word, f"deferral: .*{why}")
        goes_when_it_may(world, word)


def test_whoever_asks_for_no_proof_gets_what_tls_there_is(world: World) -> None:
    with certificate(world, "expired"), world.named("gamma.example.", TLSA, "TLSA"):
        assert ", encrypted)" in carried(world, GAMMA)


def test_a_server_without_tls_is_not_spoken_to_where_the_names_have_a_key(world: World) -> None:
    gamma = world.host("gamma")
    gamma("postconf -e smtpd_tls_security_level=none && postfix reload")
    time.sleep(1)
    try:
        word = send(world, GAMMA)
        assert "does not offer STARTTLS" in world.waits("alpha", word, "deferral: .*TLSA")
    finally:
        gamma("postconf -e smtpd_tls_security_level=may && postfix reload")
    time.sleep(1)
    goes_when_it_may(world, word)


def test_a_route_with_a_password_goes_by_the_relay_that_has_proved_its_name(world: World) -> None:
    assert ", verified)" in carried(world, "carol@epsilon.example", by="beta")


def from_gamma(world: World, pattern: str) -> str:
    """Have gamma send a message to alpha, until its log has this; give the message's word."""
    word = token()
    gamma = world.host("gamma")
    since = gamma("wc -l </var/log/mail.log").strip()
    world.sendmail("gamma", GAMMA, ALICE, letter(GAMMA, ALICE, word))
    deadline = time.monotonic() + SECONDS
    while not re.search(pattern, log := gamma(f"tail -n +{since} /var/log/mail.log")):
        assert time.monotonic() < deadline, log
        time.sleep(0.3)
    return word


def test_postfix_believes_our_own_keys(world: World) -> None:
    word = from_gamma(world, "Verified TLS connection established to mail.alpha.example")
    world.message("alpha", word)


def test_postfix_waits_where_the_names_have_another_key_than_ours(world: World) -> None:
    other = hashlib.sha256(b"another key").hexdigest()
    with world.named(*OURS, f"3 1 1 {other}"):
        word = from_gamma(
            world,
            r"to=<alice@alpha.example>, relay=mail\.alpha\.example\[198\.18\.7\.21\]:25, .*dsn=4\.7\.5, status=deferred"
            r" \(Server certificate not verified\)",
        )
        assert world.found("alpha", word) == []
    world.host("gamma")("postqueue -f")
    world.message("alpha", word)


def test_postfix_goes_by_whatever_tls_there_is_where_the_names_have_no_key_of_ours(world: World) -> None:
    with world.named(*OURS):
        word = from_gamma(world, "TLS connection established to mail.alpha.example")
        world.message("alpha", word)


def test_our_own_policy_is_followed_by_our_other_site(world: World) -> None:
    # The policy that alpha declares, as its own web server has it, where there is no DANE.
    assert ", dane)" in carried(world, ALICE, "alpha", site="beta", to="alpha")
    with world.named(*OURS):
        assert ", sts)" in carried(world, ALICE, "alpha", site="beta", to="alpha")


def test_and_holds_mail_back_from_whoever_it_does_not_name(world: World) -> None:
    # Somebody in between who answers for the names: gamma, to whom all of this mail would go.
    with world.named(*OURS), world.named("alpha.example.", "alpha.example.", "MX", "10 mx.delta.example."):
        word = send(world, ALICE, "beta")
        line = world.waits("beta", word, r"deferral: .*policy does not name it")
        assert "mx.delta.example" in line, line
    world.try_again("beta")
    world.message("alpha", word)
