"""What comes in is judged by SPF, DKIM and DMARC, and says so in one field, in our name alone."""

from __future__ import annotations

import base64

import pytest

from tests.world.conftest import World, letter, token


def from_gamma(world: World, recipient: str, word: str) -> None:
    """Have gamma send a message, signed by OpenDKIM."""
    world.host("gamma")(
        f"/usr/sbin/sendmail -f carol@gamma.example {recipient}",
        letter("carol@gamma.example", recipient, word).replace(b"\r\n", b"\n"),
    )


def test_mail_of_somebody_who_is_who_he_says(world: World) -> None:
    for site, recipient in (("alpha", "alice@alpha.example"), ("beta", "bob@beta.example")):
        word = token()
        from_gamma(world, recipient, word)
        found = world.results(site, world.message(site, word))
        for each in ("spf=pass", "dkim=pass", "dmarc=pass"):
            assert each in found, found


def test_a_forgery_is_refused_where_that_is_wanted(world: World) -> None:
    said = world.stranger(
        "alpha", "x@delta.example", "alice@alpha.example", letter("carol@gamma.example", "alice@alpha.example", token())
    )
    assert said.startswith("550 "), said
    assert "5.7.1" in said, said
    assert "gamma.example" in said, said


def test_and_marked_elsewhere(world: World) -> None:
    word = token()
    said = world.stranger(
        "beta", "x@delta.example", "bob@beta.example", letter("carol@gamma.example", "bob@beta.example", word)
    )
    assert said.startswith("250"), said
    found = world.results("beta", world.message("beta", word))
    assert "dmarc=fail" in found, found
    assert "spf=fail" in found, found


def test_a_result_in_our_name_that_somebody_brings_is_taken_out(world: World) -> None:
    word = token()
    forged = b"Authentication-Results: mail.beta.example; dmarc=pass header.from=gamma.example\r\n"
    other = b"Authentication-Results: mx.elsewhere.example; spf=pass\r\n"
    world.stranger(
        "beta",
        "x@delta.example",
        "bob@beta.example",
        forged + other + letter("carol@gamma.example", "bob@beta.example", word),
    )
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
    text = letter("carol@gamma.example", "bob@beta.example", word)
    world.stranger("beta", "x@delta.example", "bob@beta.example", forged + b"\r\n" + text)
    raw = base64.b64decode(world.arrived("beta", word))
    assert b"dmarc=pass" not in raw.partition(b"\n\n")[0], raw[:3000]


def test_our_own_domain_can_t_be_forged_by_a_stranger(world: World) -> None:
    word = token()
    world.stranger(
        "beta", "alice@alpha.example", "bob@beta.example", letter("alice@alpha.example", "bob@beta.example", word)
    )
    found = world.results("beta", world.message("beta", word))
    assert "spf=pass" not in found, found
    assert "dkim=pass" not in found, found
