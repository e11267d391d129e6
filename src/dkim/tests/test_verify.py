"""Other people's signatures."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from pathlib import Path

import examples
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from others import dkimpy
from qmail_dkim.signing import Signer, signatures
from qmail_dkim.stream import Message, lines_of, wire
from qmail_dkim.verify import Signature, UnansweredError, verify

KEY = rsa.generate_private_key(65537, 2048)
NOW = 1_800_000_000


def record(key: rsa.RSAPrivateKey = KEY, tags: str = "v=DKIM1; k=rsa; ") -> bytes:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return tags.encode() + b"p=" + base64.b64encode(public)


KEYS = examples.KEYS | {"s._domainkey.example.org": record()}


def verdicts(stored: bytes, keys: dict[str, bytes] | None = None, prefer: str = "") -> list[Signature]:
    table = KEYS if keys is None else keys

    def ask(name: str) -> Sequence[bytes]:
        if "slow" in name:
            raise UnansweredError("no answer")
        return [table[name]] if name in table else []

    return verify(Message(lines_of([stored]), 1 << 20), ask, NOW, lambda domain: domain == prefer)


def ours(stored: bytes = examples.UNSIGNED, signer: Signer | None = None) -> bytes:
    signers = [signer or Signer("example.org", "s", KEY)]
    return signatures(Message(wire([stored]), 1 << 20), signers, NOW).replace(b"\r\n", b"\n") + stored


def changed(signed: bytes, old: bytes, new: bytes) -> str:
    assert old in signed
    verdict = verdicts(signed.replace(old, new, 1))[0]
    return f"{verdict.result}: {verdict.why}"


def test_the_signatures_of_rfc_8463_are_good() -> None:
    first, second = verdicts(examples.SIGNED)
    assert (first.result, first.why, first.selector) == ("pass", "", "brisbane")
    assert (second.result, second.why, second.selector) == ("pass", "", "test")
    assert first.domain == "football.example.com"


def test_the_message_of_rfc_6376_is_good(tmp_path: Path) -> None:
    (verdict,) = verdicts(examples.SIMPLE, examples.SIMPLE_KEYS)
    assert (verdict.result, verdict.why, verdict.domain) == ("pass", "", "example.com")
    wire_form = tmp_path / "message"
    wire_form.write_bytes(examples.SIMPLE.replace(b"\n", b"\r\n"))
    assert dkimpy(wire_form, examples.SIMPLE_KEYS) == [True]


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        # Appendix A is signed in the simple form: to which a blank more or less is another message.
        (b"game. Are", b"game.  Are", "fail: the body has been changed"),
        (b"com  [192", b"com [192", "fail: the signature is not of this header"),
        (b"Subject: Is", b"subject: Is", "fail: the signature is not of this header"),
        (b"\n      Fri,", b" Fri,", "fail: the signature is not of this header"),
        # Behind b= nothing counts, and empty lines at the end of a body don't.
        (b"\n        4bmp", b"4bmp", "pass: "),
        (b"Joe.\n", b"Joe.\n\n\n", "pass: "),
        # i= is of a domain below, which the key's record may forbid.
        (b"i=joe@football.example.com", b"i=joe@example.com", "fail: the signature is not of this header"),
    ],
)
def test_the_simple_form_is_to_the_byte(old: bytes, new: bytes, result: str) -> None:
    assert old in examples.SIMPLE
    (verdict,) = verdicts(examples.SIMPLE.replace(old, new, 1), examples.SIMPLE_KEYS)
    assert f"{verdict.result}: {verdict.why}" == result


def test_a_key_of_the_domain_alone_is_not_for_one_below() -> None:
    strict = {name: text.replace(b"p=", b"t=s; p=") for name, text in examples.SIMPLE_KEYS.items()}
    (verdict,) = verdicts(examples.SIMPLE, strict)
    assert (verdict.result, verdict.why) == ("permerror", "the key is for the domain alone")


def test_what_is_ours_is_good() -> None:
    (verdict,) = verdicts(ours())
    assert (verdict.result, verdict.why) == ("pass", "")


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        (b"We lost", b"We won", "fail: the body has been changed"),
        (b"dinner", b"lunch", "fail: the signature is not of this header"),
        (b"Subject: Is", b"Subject: A\nSubject: Is", "fail: the signature is not of this header"),
        (b"To: Suzie", b"Content-Type: text/html\nTo: Suzie", "fail: the signature is not of this header"),
        (b"v=1", b"v=2", "permerror: is of another version"),
        (b"a=rsa-sha256", b"a=rsa-sha1", "policy: rsa-sha1 proves nothing"),
        (b"a=rsa-sha256", b"a=x", "permerror: is of an unknown algorithm"),
        (b"h=From:", b"h=", "fail: the signature is not of this header"),
        (b"d=example.org", b"d=-", "permerror: names no domain"),
        (b"d=example.org", b"d=none.example", "permerror: there is no key"),
        (b"d=example.org", b"d=exa mple..org", "permerror: names no domain"),
        (b"d=example.org", b"d=slow.example", "temperror: no answer"),
        (b"s=s;", b"s=t;", "permerror: there is no key"),
        (b"v=1; ", b"v=1; v=1; ", "permerror: not a list of tags"),
        (b"v=1; ", b"v=1; q=http; ", "permerror: has its key elsewhere than in the DNS"),
        (b"v=1; ", b"v=1; i=@example.com; ", "permerror: i= is not within d="),
        (b"v=1; ", b"v=1; x=1799999999; ", "permerror: expires before it was made"),
        (b"v=1; a", b"x=1799999999; v=1; b=; a", "permerror: not a list of tags"),
        (b"v=1; ", b"v=1; l=x; ", "permerror: l= is not a number"),
        (b"c=relaxed/relaxed", b"c=relaxed/other", "permerror: has an unknown form"),
        (b"c=relaxed/relaxed", b"c=simple", "fail: the signature is not of this header"),
        (b"\tbh=", b"\tch=", "permerror: has no bh="),
        (b"DKIM-Signature: ", b"DKIM-Signature: z=" + b"x" * 20000 + b"; ", "permerror: too long"),
    ],
)
def test_what_was_changed_is_told(old: bytes, new: bytes, result: str) -> None:
    assert changed(ours(), old, new) == result


def test_one_that_does_not_sign_from_is_none() -> None:
    signed = ours().replace(b"h=From:From:", b"h=Frown:", 1)
    assert verdicts(signed)[0].why == "doesn't sign From"


@pytest.mark.parametrize(
    ("record_", "result"),
    [
        (b"v=DKIM1; p=", "permerror: the key has been revoked"),
        (b"v=DKIM2; p=abc", "permerror: the key's record can't be read"),
        (b"v=DKIM1; p=!!!", "permerror: the key is not base64"),
        (b"v=DKIM1; p=AAAA", "permerror: the key can't be read"),
        (b"v=DKIM1; k=ed25519; p=AAAA", "permerror: the key is of another kind"),
        (b"v=DKIM1; p=" + base64.b64encode(bytes(60000)), "policy: the key is too long"),
        (record(tags="v=DKIM1; h=sha1; "), "permerror: the key is for another hash"),
        (record(tags="v=DKIM1; s=tlsrpt; "), "permerror: the key is not for mail"),
        (record(tags=""), "pass: "),
        (record(tags="v=DKIM1; t=s:y; h=sha1:sha256; s=email; n=note; "), "pass: "),
    ],
)
def test_a_key_must_be_for_it(record_: bytes, result: str) -> None:
    verdict = verdicts(ours(), {"s._domainkey.example.org": record_})[0]
    assert f"{verdict.result}: {verdict.why}" == result


@pytest.mark.parametrize("bits", [1024, 4096])
def test_a_key_has_the_size_that_counts(bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    signed = ours(signer=Signer("example.org", "s", key))
    assert verdicts(signed, {"s._domainkey.example.org": record(key)})[0].result == "pass"


def test_a_giant_key_is_not_reckoned_with() -> None:
    # Nobody need make it: the record alone says its size.
    public = rsa.RSAPublicNumbers(65537, (1 << 8191) | 1).public_key()
    data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    verdict = verdicts(ours(), {"s._domainkey.example.org": b"p=" + base64.b64encode(data)})[0]
    assert (verdict.result, verdict.why) == ("policy", "a key of 8192 bits proves nothing")


def test_a_signature_ends() -> None:
    (verdict,) = verdicts(ours().replace(b"t=1800000000", b"x=1799999999"))
    assert (verdict.result, verdict.why) == ("fail", "has expired")


def test_thousands_of_signatures_cost_no_more_than_eight() -> None:
    asked = 0

    def ask(_: str) -> Sequence[bytes]:
        nonlocal asked
        asked += 1
        return [record()]

    one = ours().partition(b"From: ")[0]
    stored = one.replace(b"bh=", b"bh=x") * 5000 + ours()
    began = time.process_time()
    found = verify(Message(lines_of([stored]), 4 << 20), ask, NOW)
    assert (len(found), asked) == (8, 8)
    assert time.process_time() - began < 3


def test_those_of_the_author_come_first() -> None:
    other = ours().partition(b"From: ")[0].replace(b"d=example.org", b"d=other.example")
    stored = other * 20 + ours()
    assert [each.result for each in verdicts(stored, prefer="example.org")] == ["pass"] + ["permerror"] * 7


def test_a_length_is_no_proof_of_what_follows() -> None:
    signed = ours()
    assert "pass" not in changed(signed, b"v=1; ", b"v=1; l=3; ")


@pytest.mark.parametrize(
    "value",
    [b" " * 100_000, b"b=" + b"\n " * 8000, b"; " * 8000, b"b" * 16000, b"h=" + b"from:" * 3000, b"\n\tb=" * 4000],
)
def test_no_field_takes_more_time_than_its_size(value: bytes) -> None:
    stored = (
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; bh=AAAA; " + value + b"\n"
    ) * 10 + examples.SIGNED
    began = time.process_time()
    verdicts(stored)
    assert time.process_time() - began < 3
