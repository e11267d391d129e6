"""SMTP smuggling: nothing but CRLF, a dot and CRLF ends a message, and a bare CR or LF is no end of a line."""

import contextlib
import time

import pytest

from verify.talk import STRANGER, Person, Reply, Site, Smtp, fetch

# What some servers have taken for the end of a message.
TRICKS = {
    "LF . LF": b"\n.\n",
    "LF . CRLF": b"\n.\r\n",
    "CRLF . LF": b"\r\n.\n",
    "CR . CR": b"\r.\r",
    "CRLF . CR": b"\r\n.\r",
    "CR . CRLF": b"\r.\r\n",
    "CR . LF": b"\r.\n",
    "LF . CR": b"\n.\r",
    "CRLF . CR CRLF": b"\r\n.\r\r\n",
    "CRLF . LF CRLF": b"\r\n.\n\r\n",
    "CR CRLF . CRLF": b"\r\r\n.\r\n",
    "LF LF . CRLF": b"\n\n.\r\n",
    "CRLF NUL . CRLF": b"\r\n\0.\r\n",
    "CRLF . NUL CRLF": b"\r\n.\0\r\n",
    "CRLF . blank CRLF": b"\r\n. \r\n",
    "CRLF .. CRLF": b"\r\n..\r\n",
}


def smuggle(smtp: Smtp, alice: Person, bob: str, marker: str, trick: bytes) -> list[Reply]:
    """Send a message with a second one hidden behind the trick; give the answers behind DATA's."""
    hidden = f"MAIL FROM:<{STRANGER}>\r\nRCPT TO:<{bob}>\r\nDATA\r\nSubject: {marker}\r\n\r\nhidden\r\n.\r\n"
    smtp.envelope(STRANGER, alice.address)
    smtp.send(f"Subject: outer\r\n\r\nouter {marker}".encode() + trick + hidden.encode())
    with contextlib.suppress(OSError):
        smtp.send(b"QUIT\r\n")
    return smtp.last_words(7)


# These are text like any other, so the message is accepted, as one.
HARMLESS = [name for name in TRICKS if not TRICKS[name].replace(b"\r\n", b"").strip(b".\0 ")]
REFUSALS = (451, 500, 521, 550, 554)
BARE = [name for name in TRICKS if name not in HARMLESS]


# The last four bytes are CRLF . CRLF, so another server may rightly see a message's end there, and a second message.
AN_END = "CR CRLF . CRLF"


@pytest.mark.parametrize(
    "trick",
    [
        *(pytest.param(name, marks=pytest.mark.beyond_classic) if name == AN_END else name for name in BARE),
        *(pytest.param(name, marks=pytest.mark.sends) for name in HARMLESS),
    ],
)
def test_this_hides_no_second_message(site: Site, alice: Person, marker: str, trick: str) -> None:
    """Refused, or all of it is one message: never an answer for the outer and one for the hidden message."""
    with Smtp(site) as smtp:
        replies = smuggle(smtp, alice, f"postmaster@{site.domain}", marker, TRICKS[trick])
    assert sum(reply.code in (250, 354) for reply in replies) <= 1, replies
    if any(reply.code == 250 for reply in replies):
        assert b"outer" in fetch(site, alice, marker)


@pytest.mark.beyond_classic
@pytest.mark.parametrize("trick", BARE)
def test_this_ends_the_session_with_a_refusal(site: Site, alice: Person, marker: str, trick: str) -> None:
    with Smtp(site) as smtp:
        replies = smuggle(smtp, alice, f"postmaster@{site.domain}", marker, TRICKS[trick])
    assert [reply.code for reply in replies[1:]] in ([], [421]), replies
    assert replies[0].code in REFUSALS


@pytest.mark.beyond_classic
@pytest.mark.parametrize("trick", BARE)
def test_the_refusal_is_for_good(site: Site, alice: Person, marker: str, trick: str) -> None:
    """RFC 5321 section 4.2.1: what is wrong with the message is so tomorrow, and nobody should try for days."""
    with Smtp(site) as smtp:
        replies = smuggle(smtp, alice, f"postmaster@{site.domain}", marker, TRICKS[trick])
    assert replies[0].refused


@pytest.mark.beyond_classic
def test_the_refusal_is_heard_after_a_long_message(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(b"Subject: bare\r\n\r\none\ntwo\r\n")
        for _ in range(7):
            time.sleep(0.5)
            smtp.send(b"three\r\n" * 1000)
        smtp.send(b".\r\n")
        assert smtp.reply().refused


@pytest.mark.beyond_classic
@pytest.mark.parametrize("trick", ["LF . LF", "LF . CRLF", "CRLF . LF", "CR . CR", "CRLF . CR"])
def test_encryption_changes_nothing_about_it(site: Site, alice: Person, marker: str, trick: str) -> None:
    with Smtp.through(site, "smtps") as smtp:
        replies = smuggle(smtp, alice, f"postmaster@{site.domain}", marker, TRICKS[trick])
    # The answer can get lost where a TLS wrapper is told of the end while it still has bytes to pass on.
    assert all(reply.code in REFUSALS for reply in replies[:1]), replies
    assert [reply.code for reply in replies[1:]] in ([], [421]), replies


@pytest.mark.parametrize(
    "text",
    [
        b"Subject: bare\r\n\r\none\ntwo\r\n",
        b"Subject: bare\nX: y\r\n\r\nbody\r\n",
        b"\nSubject: bare\r\n\r\nbody\r\n",
        b"Subject: bare\r\n\r\nbody\n\r\n",
    ],
    ids=["in the body", "in the header", "as the first byte", "before a CRLF"],
)
def test_a_bare_lf_in_a_message_is_refused(site: Site, alice: Person, text: bytes) -> None:
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(text + b".\r\n")
        assert smtp.reply().code in REFUSALS


@pytest.mark.beyond_classic
@pytest.mark.parametrize(
    "text",
    [
        b"Subject: bare\r\n\r\none\rtwo\r\n",
        b"Subject: bare\rX: y\r\n\r\nbody\r\n",
        b"\rSubject: bare\r\n\r\nbody\r\n",
        b"Subject: bare\r\n\r\nbody\r\r\n",
    ],
    ids=["in the body", "in the header", "as the first byte", "before a CRLF"],
)
def test_a_bare_cr_in_a_message_is_refused(site: Site, alice: Person, text: bytes) -> None:
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(text + b".\r\n")
        assert smtp.reply().code in REFUSALS


@pytest.mark.parametrize("cut", range(1, 5))
def test_an_end_that_comes_in_pieces_is_the_end(site: Site, alice: Person, cut: int) -> None:
    """CRLF . CRLF split at each place into two packets; the message is too long a loop to be taken."""
    end = b"\r\n.\r\n"
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(b"Received: x\r\n" * 150 + b"\r\nbody" + end[:cut])
        smtp.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            smtp.reply()
        smtp.socket.settimeout(20)
        smtp.send(end[cut:])
        assert smtp.reply().code == 554
