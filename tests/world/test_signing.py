"""What leaves one of our sites is signed, and the signature holds where it arrives: OpenDKIM's word, and dkimpy's."""

from __future__ import annotations

import pytest

from tests.world.conftest import World, letter, token

LONG = b"x" * 900
VERIFY = """
import base64, sys, dkim
message = base64.b64decode(sys.stdin.buffer.read())
head, _, body = message.partition(b"\\n\\n")
print(dkim.DKIM(message.replace(b"\\n", b"\\r\\n"), timeout=10).verify())
"""

BODIES = {
    "plain": [b"A plain line."],
    "empty": [],
    "8-bit": ["Grüße aus Köln, 8 Bit".encode()],
    "long lines": [LONG, LONG, b""],
    "dots": [b".", b"..", b".a", b"...", b"end."],
    "blank lines at the end": [b"text", b"", b"", b""],
    "blanks at line ends": [b"text   ", b"\t", b"  more"],
}


def judged(world: World, word: str) -> str:
    """What gamma, OpenDKIM and OpenDMARC, found."""
    return world.results("gamma", world.message("gamma", word))


@pytest.mark.parametrize("kind", BODIES)
def test_a_submission_is_signed_for_its_domain(world: World, kind: str) -> None:
    word = token()
    world.submit(
        "alpha",
        "alice@alpha.example",
        "carol@gamma.example",
        letter("alice@alpha.example", "carol@gamma.example", word, *BODIES[kind]),
    )
    found = judged(world, word)
    assert "dkim=pass" in found, found
    assert "header.d=alpha.example" in found, found
    assert "dmarc=pass" in found, found


@pytest.mark.parametrize(
    "fields",
    [
        b"Subject: folded\r\n\t over\r\n   three lines\r\n",
        b"Subject: first\r\nSubject: second\r\n",
        b"Subject:   blanks   in  it  \r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n",
        "Subject: Grüße ohne Kodierung\r\n".encode(),
        b"subject:lower case and no blank\r\n",
    ],
    ids=["folded", "doubled", "blanks", "8-bit", "lower case"],
)
def test_whatever_the_header_looks_like(world: World, fields: bytes) -> None:
    word = token()
    head = b"From: alice@alpha.example\r\nTo: carol@gamma.example\r\n"
    world.submit("alpha", "alice@alpha.example", "carol@gamma.example", head + fields + f"\r\n{word}\r\n".encode())
    assert "dkim=pass" in judged(world, word)


def test_an_attachment_of_20_mb(world: World) -> None:
    word = token()
    lines = [b"QUJD" * 19] * (20_000_000 // 77)
    world.submit(
        "alpha",
        "alice@alpha.example",
        "carol@gamma.example",
        letter("alice@alpha.example", "carol@gamma.example", word, *lines),
    )
    found = world.results("gamma", world.message("gamma", word, 120))
    assert "dkim=pass" in found, found


def test_what_it_lacks_is_there_and_who_sent_it_is_not(world: World) -> None:
    word = token()
    world.submit(
        "alpha",
        "alice@alpha.example",
        "carol@gamma.example",
        letter("alice@alpha.example", "carol@gamma.example", word),
    )
    message = world.message("gamma", word)
    assert message["Date"]
    assert message["Message-ID"]
    received = " ".join(str(each) for each in message.get_all("Received", []))
    assert "198.18.7.1)" not in received, received
    assert "alice" not in received.replace("alice@alpha.example", ""), received
    assert "client.example" not in received, received


def test_between_two_of_ours_it_holds_by_dkimpy(world: World) -> None:
    word = token()
    world.submit(
        "alpha",
        "alice@alpha.example",
        "bob@beta.example",
        letter("alice@alpha.example", "bob@beta.example", word, *BODIES["8-bit"], *BODIES["dots"]),
    )
    raw = world.arrived("beta", word)
    for each in ("dkim=pass", "spf=pass", "dmarc=pass"):
        assert each in world.results("beta", world.message("beta", word))
    beta = world.host("beta")
    beta(f"cat >/tmp/verify.py <<'END'\n{VERIFY}\nEND")
    beta("echo nameserver 127.0.0.1 >/tmp/resolv.conf")
    own_names = "mount --bind /tmp/resolv.conf /etc/resolv.conf && python3 /tmp/verify.py"
    assert "True" in beta(f"unshare -m sh -c '{own_names}'", stdin=raw)


def test_mail_of_the_host_s_own_programs_is_signed(world: World) -> None:
    word = token()
    world.host("alpha")(
        "/usr/sbin/sendmail -f root@alpha.example carol@gamma.example",
        letter("root@alpha.example", "carol@gamma.example", word).replace(b"\r\n", b"\n"),
    )
    assert "dkim=pass" in judged(world, word)


def test_a_bounce_is_signed(world: World) -> None:
    # An address that gamma refuses, of a message of its own user, bounces to him.
    word = token()
    world.submit(
        "alpha",
        "alice@alpha.example",
        "nobody@nowhere.gamma.example",
        letter("alice@alpha.example", "nobody@nowhere.gamma.example", word),
    )
    message = world.message("alpha", word, 60)
    assert "d=alpha.example" in str(message["DKIM-Signature"]).replace(" ", ""), str(message)[:2000]


def test_what_is_forwarded_keeps_its_signature_and_has_a_sender_of_ours(world: World) -> None:
    word = token()
    world.submit(
        "beta", "alice@beta.example", "fred@alpha.example", letter("alice@beta.example", "fred@alpha.example", word)
    )
    message = world.message("gamma", word)
    found = world.results("gamma", message)
    for each in ("dkim=pass", "header.d=beta.example", "spf=pass", "dmarc=pass"):
        assert each in found, found
    assert "header.d=alpha.example" not in found, found
    assert str(message["Return-Path"]).endswith("@mail.alpha.example>")


def test_a_list_signs_what_its_own_people_send(world: World) -> None:
    word = token()
    world.submit(
        "alpha", "alice@alpha.example", "team@alpha.example", letter("alice@alpha.example", "team@alpha.example", word)
    )
    message = world.message("gamma", word)
    found = world.results("gamma", message)
    assert "dkim=pass" in found, found
    assert "dkim=fail" not in found, found
    assert "dmarc=pass" in found, found
    assert message["List-Id"]
