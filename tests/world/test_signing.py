"""What leaves one of our sites is signed, and the signature holds where it arrives: OpenDKIM's word, and dkimpy's."""

from __future__ import annotations

import pytest

from tests.world.conftest import SECOND, SECONDS, World, header, letter, read, token

ALICE = "alice@alpha.example"
BOB = "bob@beta.example"
CAROL = "carol@gamma.example"
GOOD = ["dkimpy: pass", "OpenDKIM: pass"]

BODIES = {
    "plain": [b"A plain line."],
    "8-bit": ["Grüße aus Köln, 8 Bit".encode()],
    "no charset's": [bytes(range(0x80, 0x100))],
    "long lines": [b"x" * 900, b"x" * 900, b""],
    "lines beyond 998": [b"y" * 2500, b"", b"z" * 999, b"." * 1500],
    "dots": [b".", b"..", b".a", b"...", b"end."],
    "blank lines at the end": [b"text", b"", b"", b""],
    "blanks at line ends": [b"text   ", b"\t", b"  more"],
    "20 MB": [b"QUJD" * 19] * (20_000_000 // 77),
}
FIELDS = {
    "folded": b"Subject: folded\r\n\t over\r\n   three lines\r\n",
    "doubled": b"Subject: first\r\nSubject: second\r\n",
    "blanks": b"Subject:   blanks   in  it  \r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n",
    "8-bit fields": "Subject: Grüße ohne Kodierung\r\n".encode(),
    "lower case": b"subject:lower case and no blank\r\n",
    "very long": b"Subject: " + b"word " * 300 + b"\r\n",
}


def message_of(kind: str, word: str) -> bytes:
    """Give a message of alice's to carol."""
    if kind in BODIES:
        return letter(ALICE, CAROL, word, *BODIES[kind])
    if kind == "empty":
        return header(ALICE, CAROL, word)
    head = f"From: {ALICE}\r\nTo: {CAROL}\r\n".encode()
    return head + FIELDS[kind] + f"\r\n{word}\r\n".encode()


@pytest.mark.parametrize("kind", [*BODIES, "empty", *FIELDS])
def test_a_submission_is_signed_and_good_wherever_it_goes_whoever_verifies_it(world: World, kind: str) -> None:
    word = token()
    seconds = 120 if kind == "20 MB" else SECONDS
    world.submit("alpha", ALICE, [CAROL, BOB], message_of(kind, word))
    for site in ("gamma", "beta"):
        raw = world.arrived(site, word, seconds)
        found = world.results(site, read(raw))
        for each in ("spf=pass", "dkim=pass", "header.d=alpha.example", "dmarc=pass"):
            assert each in found, found
        assert world.verified(raw) == GOOD, site


def test_an_empty_body_stays_empty(world: World) -> None:
    word = token()
    world.submit("alpha", ALICE, CAROL, header(ALICE, CAROL, word))
    assert world.arrived("gamma", word).partition(b"\n\n")[2] == b""


def test_who_verifies_can_say_no(world: World) -> None:
    word = token()
    world.submit("alpha", ALICE, CAROL, letter(ALICE, CAROL, word))
    raw = world.arrived("gamma", word)
    said = world.verified(raw.replace(word.encode() + b"\n", b"another word\n"))
    assert said == ["dkimpy: fail", "OpenDKIM: fail"]


def test_what_it_lacks_is_there_and_who_sent_it_is_not(world: World) -> None:
    word = token()
    world.submit("alpha", ALICE, CAROL, letter(ALICE, CAROL, word))
    message = world.message("gamma", word)
    assert message["Date"]
    assert message["Message-ID"]
    received = " ".join(str(each) for each in message.get_all("Received", []))
    assert "198.18.7.1)" not in received, received
    assert "alice" not in received.replace(ALICE, ""), received
    assert "client.example" not in received, received


def is_ours(world: World, raw: bytes, domain: str = "alpha.example", dmarc: str = "pass") -> None:
    """See that a message in gamma's hands has a signature of a domain's, and that everybody takes it for good."""
    found = world.results("gamma", read(raw))
    for each in ("spf=pass", "dkim=pass", f"header.d={domain}", f"dmarc={dmarc}"):
        assert each in found, found
    assert world.verified(raw) == GOOD


def test_mail_of_the_host_s_own_programs_is_signed(world: World) -> None:
    word = token()
    world.sendmail("alpha", "root@alpha.example", CAROL, letter("root@alpha.example", CAROL, word))
    is_ours(world, world.arrived("gamma", word))


def test_mail_of_a_relay_network_s_client_is_signed(world: World) -> None:
    word = token()
    said = world.stranger("alpha", ALICE, CAROL, letter(ALICE, CAROL, word), source=SECOND)
    assert said.startswith("250 "), said
    is_ours(world, world.arrived("gamma", word))


def test_a_bounce_is_signed(world: World) -> None:
    # What gamma's user sends to somebody whose mail goes on to nobody comes back, out of alpha.
    word = token()
    world.sendmail("gamma", CAROL, "gone@alpha.example", letter(CAROL, "gone@alpha.example", word))
    raw = world.arrived("gamma", word)
    # Its author is of mail.alpha.example. OpenDMARC has a list of what may be above that, and example isn't in it.
    is_ours(world, raw, dmarc="none")
    assert read(raw)["Return-Path"] == "<>"


def test_a_bounce_to_one_of_our_own_is_signed(world: World) -> None:
    word = token()
    nobody = "nobody@nowhere.gamma.example"
    world.submit("alpha", ALICE, nobody, letter(ALICE, nobody, word))
    raw = world.arrived("alpha", word)
    assert "d=alpha.example" in str(read(raw)["DKIM-Signature"]).replace(" ", "")
    assert world.verified(raw) == GOOD


def test_an_answer_of_who_is_away_is_signed(world: World) -> None:
    # Who has had one gets none for a week, so it is somebody new each time.
    word = token()
    sender = f"{word}@gamma.example"
    world.sendmail("gamma", sender, "vera@alpha.example", letter(sender, "vera@alpha.example", word))
    raw = world.arrived("gamma", word)
    assert read(raw)["Auto-Submitted"] == "auto-replied"
    is_ours(world, raw)


def test_what_is_forwarded_keeps_its_signature_and_has_a_sender_of_ours(world: World) -> None:
    word = token()
    world.submit(
        "beta", "alice@beta.example", "fred@alpha.example", letter("alice@beta.example", "fred@alpha.example", word)
    )
    raw = world.arrived("gamma", word)
    message = read(raw)
    is_ours(world, raw, "beta.example")
    assert "header.d=alpha.example" not in world.results("gamma", message)
    assert str(message["Return-Path"]).endswith("@mail.alpha.example>")


def test_a_list_signs_what_its_own_people_send(world: World) -> None:
    word = token()
    world.submit("alpha", ALICE, "team@alpha.example", letter(ALICE, "team@alpha.example", word))
    raw = world.arrived("gamma", word)
    is_ours(world, raw)
    message = read(raw)
    assert "dkim=fail" not in world.results("gamma", message)
    assert message["List-Id"]
