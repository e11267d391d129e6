"""What comes in is judged by SPF, DKIM and DMARC, and told in one field, in our name alone. So does gamma."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.world.conftest import SECONDS, World, letter, read, token

ALICE = "alice@alpha.example"
BOB = "bob@beta.example"
CAROL = "carol@gamma.example"
REFUSED = "550 refused by the DMARC policy of gamma.example (#5.7.1)"
REFUSED_OURS = "550 refused by the DMARC policy of alpha.example (#5.7.1)"
REFUSED_BY_GAMMA = "550 5.7.1 rejected by DMARC policy for alpha.example"
GAMMAS_KEY = ("gamma.example.", "world._domainkey.gamma.example.", "TXT")
GAMMAS_SPF = ("gamma.example.", "gamma.example.", "TXT")
NOBODY = '"v=spf1 -all"'


def from_gamma(world: World, recipient: str, word: str) -> None:
    """Have gamma send a message, signed by OpenDKIM."""
    world.sendmail("gamma", CAROL, recipient, letter(CAROL, recipient, word))


def found_by_beta(world: World, word: str) -> str:
    """Give the whole field that beta has put on top of a message, behind its name."""
    return world.results("beta", world.message("beta", word)).removeprefix("mail.beta.example; ")


def another_key(world: World) -> str:
    """Give a record of a key that has signed nothing here."""
    made = world.host("names")(
        "openssl genrsa 2048 2>/dev/null | openssl rsa -pubout -outform DER 2>/dev/null | base64 -w0"
    )
    return f'"v=DKIM1; k=rsa; p={made[:200]}" "{made[200:]}"'


# --- strangers who write as somebody else ---

# What is wrong with the signature of a message that a stranger brings, in gamma's name: what is in the place of the
# key's record, what of the message is changed behind it, and the result with its reason.
SIGNATURES: dict[str, tuple[str | None, tuple[bytes, bytes] | None, str]] = {
    "expired": (None, None, 'fail reason="has expired"'),
    "body altered": (None, (b"\r\nP.S.", b"\r\nAnd so on."), 'fail reason="the body has been changed"'),
    "header altered": (None, (b"A letter", b"A bill"), 'fail reason="the signature is not of this header"'),
    "no key": ("", None, 'permerror reason="there is no key"'),
    "a revoked key": ('"v=DKIM1; k=rsa; p="', None, 'permerror reason="the key has been revoked"'),
    "another key": ("another", None, 'fail reason="the signature is not of this header"'),
    "a record of nothing": ('"hello"', None, "permerror reason=\"the key's record can't be read\""),
}


@contextmanager
def keyed(world: World, record: str | None) -> Iterator[None]:
    """While this lasts, gamma's key has this record: its own, none, another's."""
    with ExitStack() as stack:
        if record is not None:
            records = [another_key(world)] if record == "another" else [record] if record else []
            stack.enter_context(world.named(*GAMMAS_KEY, *records))
        yield


@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_stranger_s_message_with_a_signature_that_is_not_good(world: World, kind: str) -> None:
    record, change, result = SIGNATURES[kind]
    with keyed(world, record):
        for site, recipient in (("alpha", ALICE), ("beta", BOB)):
            word = token()
            text = world.sealed(letter(CAROL, recipient, word, b"P.S."), expired=kind == "expired")
            said = world.stranger(site, "x@delta.example", recipient, text.replace(*change) if change else text)
            if site == "alpha":
                assert said == REFUSED
                continue
            assert said.startswith("250 "), said
            signature = "".join(str(read(text)["DKIM-Signature"]).split())
            (begins,) = re.findall(r";b=(.{8})", signature)
            assert found_by_beta(world, word) == (
                f"spf=fail smtp.mailfrom=x@delta.example; dkim={result} header.d=gamma.example header.s=world"
                f" header.a=rsa-sha256 header.b={begins}; dmarc=fail header.from=gamma.example policy.dmarc=reject"
            )


def test_a_stranger_s_message_with_a_good_signature_is_its_author_s(world: World) -> None:
    # As it would come by a forwarder.
    word = token()
    said = world.stranger("alpha", "x@delta.example", ALICE, world.sealed(letter(CAROL, ALICE, word)))
    assert said.startswith("250 "), said
    found = world.results("alpha", world.message("alpha", word))
    assert re.fullmatch(
        r"mail\.alpha\.example; spf=fail smtp\.mailfrom=x@delta\.example; dkim=pass header\.d=gamma\.example"
        r" header\.s=world header\.a=rsa-sha256 header\.b=\S{8}; dmarc=pass header\.from=gamma\.example"
        r" policy\.dmarc=reject",
        found,
    ), found


def test_a_forgery_is_refused_where_that_is_wanted(world: World) -> None:
    assert world.stranger("alpha", "x@delta.example", ALICE, letter(CAROL, ALICE, token())) == REFUSED


def test_and_marked_elsewhere(world: World) -> None:
    word = token()
    said = world.stranger("beta", "x@delta.example", BOB, letter(CAROL, BOB, word))
    assert said.startswith("250 "), said
    assert found_by_beta(world, word) == (
        "spf=fail smtp.mailfrom=x@delta.example; dkim=none; dmarc=fail header.from=gamma.example policy.dmarc=reject"
    )


def test_our_own_domain_can_t_be_forged_by_a_stranger(world: World) -> None:
    assert world.stranger("alpha", ALICE, ALICE, letter(ALICE, ALICE, token())) == REFUSED_OURS
    word = token()
    world.stranger("beta", ALICE, BOB, letter(ALICE, BOB, word))
    assert found_by_beta(world, word) == (
        "spf=fail smtp.mailfrom=alice@alpha.example; dkim=none;"
        " dmarc=fail header.from=alpha.example policy.dmarc=reject"
    )


def test_nor_before_others(world: World) -> None:
    assert world.stranger("gamma", ALICE, CAROL, letter(ALICE, CAROL, token())) == REFUSED_BY_GAMMA


def test_a_result_in_our_name_that_somebody_brings_is_taken_out(world: World) -> None:
    word = token()
    forged = b"Authentication-Results: mail.beta.example; dmarc=pass header.from=gamma.example\r\n"
    other = b"Authentication-Results: mx.elsewhere.example; spf=pass\r\n"
    world.stranger("beta", "x@delta.example", BOB, forged + other + letter(CAROL, BOB, word))
    message = world.message("beta", word)
    fields = message.get_all("Authentication-Results", [])
    assert len(fields) == 2, fields
    assert "dmarc=pass" not in world.results("beta", message)


@pytest.mark.parametrize(
    "forged",
    [
        b"Authentication-Results: MAIL.BETA.EXAMPLE; dmarc=pass",
        b"authentication-results:mail.beta.example; dmarc=pass",
        b"Authentication-Results:\r\n mail.beta.example;\r\n dmarc=pass",
        b"Authentication-Results: (a comment (in another)) mail.beta.example; dmarc=pass",
        b"Authentication-Results: mail.beta.example 1; dmarc=pass",
        b'Authentication-Results: "mail.beta.example"; dmarc=pass',
        b"Authentication-Results : mail.beta.example; dmarc=pass",
    ],
)
def test_however_it_is_written(world: World, forged: bytes) -> None:
    word = token()
    world.stranger("beta", "x@delta.example", BOB, forged + b"\r\n" + letter(CAROL, BOB, word))
    raw = world.arrived("beta", word)
    assert b"dmarc=pass" not in raw.partition(b"\n\n")[0], raw[:3000]


# --- gamma writes to us ---


def bounced(world: World, since: str, recipient: str) -> str:
    """Give what gamma's Postfix says of a message that it could not deliver."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        log = world.host("gamma")(f"tail -n +{since} /var/log/mail.log")
        found = re.findall(rf"to=<{re.escape(recipient)}>, .*status=bounced \((.*)\)$", log, re.MULTILINE)
        if found:
            return str(found[-1])
        time.sleep(0.3)
    raise AssertionError(log)


def test_mail_of_somebody_who_is_who_he_says(world: World) -> None:
    for site, recipient in (("alpha", ALICE), ("beta", BOB)):
        word = token()
        from_gamma(world, recipient, word)
        found = world.results(site, world.message(site, word))
        assert re.fullmatch(
            rf"mail\.{site}\.example; spf=pass smtp\.mailfrom=carol@gamma\.example; dkim=pass header\.d=gamma\.example"
            r" header\.s=world header\.a=rsa-sha256 header\.b=\S{8}; dmarc=pass header\.from=gamma\.example"
            r" policy\.dmarc=reject",
            found,
        ), found


@pytest.mark.parametrize(
    ("records", "result"),
    [
        ([], "none"),
        ([NOBODY], "fail"),
        (['"v=spf1 ~all"'], "softfail"),
        (['"v=spf1 ?all"'], "neutral"),
        (['"v=spf1 mx -all"', '"v=spf1 -all"'], "permerror"),
        (['"v=spf1 nonsense:x -all"'], "permerror"),
        (['"v=spf1 include:nowhere.gamma.example -all"'], "permerror"),
        (['"v=spf1 exists:1.gamma.example exists:2.gamma.example exists:3.gamma.example -all"'], "permerror"),
    ],
    ids=["none", "nobody", "perhaps", "neutral", "two", "no mechanism", "an include of nothing", "void look-ups"],
)
def test_spf_is_missing_or_wrong_and_the_signature_vouches_for_it(
    world: World, records: list[str], result: str
) -> None:
    word = token()
    with world.named(*GAMMAS_SPF, *records):
        from_gamma(world, BOB, word)
        found = found_by_beta(world, word)
    assert re.fullmatch(
        rf"spf={result} smtp\.mailfrom=carol@gamma\.example; dkim=pass header\.d=gamma\.example header\.s=world"
        r" header\.a=rsa-sha256 header\.b=\S{8}; dmarc=pass header\.from=gamma\.example policy\.dmarc=reject",
        found,
    ), found


def test_the_key_is_missing_and_the_address_vouches_for_it(world: World) -> None:
    with world.named(*GAMMAS_KEY):
        for site, recipient in (("alpha", ALICE), ("beta", BOB)):
            word = token()
            from_gamma(world, recipient, word)
            found = world.results(site, world.message(site, word))
            assert re.fullmatch(
                rf"mail\.{site}\.example; spf=pass smtp\.mailfrom=carol@gamma\.example; dkim=permerror"
                r' reason="there is no key" header\.d=gamma\.example header\.s=world header\.a=rsa-sha256'
                r" header\.b=\S{8}; dmarc=pass header\.from=gamma\.example policy\.dmarc=reject",
                found,
            ), found


def test_neither_vouches_for_it(world: World) -> None:
    with world.named(*GAMMAS_KEY), world.named(*GAMMAS_SPF, NOBODY):
        since = world.host("gamma")("wc -l </var/log/mail.log").strip()
        from_gamma(world, ALICE, token())
        assert bounced(world, since, ALICE) == (
            f"host mail.alpha.example[198.18.7.21] said: {REFUSED} (in reply to end of DATA command)"
        )


# --- we write to gamma ---


def current(world: World) -> str:
    """Give the name of the record of the key that alpha signs with."""
    records = json.loads(world.host("alpha")("mail-dkim records"))
    (name,) = [each["name"] for each in records if (each["domain"], each["state"]) == ("alpha.example", "current")]
    return f"{name.rstrip('.')}."


@contextmanager
def ours(world: World, key: str, spf: str) -> Iterator[None]:
    """While this lasts, the records of alpha's key and senders are as said: right, missing, wrong."""
    with ExitStack() as stack:
        if key != "right":
            records = [another_key(world)] if key == "wrong" else []
            stack.enter_context(world.named("alpha.example.", current(world), "TXT", *records))
        if spf != "right":
            records = [NOBODY] if spf == "wrong" else []
            stack.enter_context(world.named("alpha.example.", "alpha.example.", "TXT", *records))
        yield


@pytest.mark.parametrize(
    ("key", "spf", "said"),
    [
        ("right", "right", ("spf=pass", "dkim=pass", "dmarc=pass")),
        ("missing", "right", ("spf=pass", 'dkim=fail reason="key not found in DNS"', "dmarc=pass")),
        ("wrong", "right", ("spf=pass", "dkim=fail", "dmarc=pass")),
        ("right", "missing", ("spf=none", "dkim=pass", "dmarc=pass")),
        ("right", "wrong", ("spf=fail", "dkim=pass", "dmarc=pass")),
    ],
)
def test_gamma_s_verdict_where_one_of_two_is_right(world: World, key: str, spf: str, said: tuple[str, ...]) -> None:
    word = token()
    with ours(world, key, spf):
        world.submit("alpha", ALICE, CAROL, letter(ALICE, CAROL, word))
        found = world.results("gamma", world.message("gamma", word))
    for each in said:
        assert each in found, found


@pytest.mark.parametrize(("key", "spf"), [("missing", "missing"), ("missing", "wrong"), ("wrong", "wrong")])
def test_gamma_refuses_where_neither_is_right_and_we_say_how(world: World, key: str, spf: str) -> None:
    word = token()
    with ours(world, key, spf):
        world.submit("alpha", ALICE, CAROL, letter(ALICE, CAROL, word))
        bounce = world.message("alpha", word).as_string()
    assert f"\nRemote host said: {REFUSED_BY_GAMMA}\n" in bounce.replace("\r\n", "\n"), bounce
