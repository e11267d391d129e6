"""Port 25 in the clear: what it offers, takes and refuses."""

import pytest

from tests.acceptance.talk import Person, Reply, Site, Smtp, fetch

STRANGER = "stranger@example.org"


def test_the_greeting_names_the_host(site: Site) -> None:
    with Smtp(site) as smtp:
        assert smtp.greeting.code == 220
        assert smtp.greeting.text.split()[0] == site.host


def test_helo_is_answered(site: Site) -> None:
    with Smtp(site) as smtp:
        assert smtp.say("HELO client.example.test").code == 250


@pytest.mark.parametrize("extension", ["PIPELINING", "8BITMIME", "SIZE"])
def test_ehlo_offers(site: Site, extension: str) -> None:
    with Smtp(site) as smtp:
        offered = [line.split()[0].upper() for line in smtp.say("EHLO client.example.test").lines[1:]]
    assert extension in offered


def test_auth_is_not_offered_in_the_clear(site: Site) -> None:
    with Smtp(site) as smtp:
        assert "AUTH" not in smtp.say("EHLO client.example.test").text.upper()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_auth_in_the_clear_is_refused_before_a_password_is_read(site: Site, mechanism: str) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        assert 500 <= smtp.say(f"AUTH {mechanism}").code < 600


@pytest.mark.parametrize(
    ("command", "codes"),
    [("NOOP", {250}), ("RSET", {250}), ("VRFY alice", {252, 502, 550}), ("NONSENSE", {500, 502}), ("", {500, 502})],
)
def test_a_command_outside_a_transaction_is_answered(site: Site, command: str, codes: set[int]) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        assert smtp.say(command).code in codes


def test_quit_ends_the_session(site: Site) -> None:
    with Smtp(site) as smtp:
        assert smtp.say("QUIT").code == 221
        assert smtp.ended()


@pytest.mark.parametrize("command", ["RCPT TO:<alice@example.test>", "DATA"])
def test_a_command_out_of_order_is_refused(site: Site, command: str) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        assert smtp.say(command).code == 503


def test_data_without_an_accepted_recipient_is_refused(site: Site) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        smtp.say("RCPT TO:<somebody@example.com>")
        assert 500 <= smtp.say("DATA").code < 600


def test_rset_forgets_the_recipients(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        assert smtp.say(f"RCPT TO:<{alice.address}>").code == 250
        assert smtp.say("RSET").code == 250
        assert smtp.say("DATA").code == 503


@pytest.mark.parametrize(
    "recipient",
    ["somebody@example.com", "somebody@{domain}.example.com", "somebody@not{domain}", "somebody@[192.0.2.1]"],
)
def test_a_stranger_may_not_relay(site: Site, recipient: str) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        assert 500 <= smtp.say(f"RCPT TO:<{recipient.format(domain=site.domain)}>").code < 600


def test_a_sender_of_the_site_does_not_make_a_stranger_a_relay_client(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{alice.address}>")
        assert 500 <= smtp.say("RCPT TO:<somebody@example.com>").code < 600


@pytest.mark.parametrize("probe", ["somebody%example.com@{domain}", "example.com!somebody@{domain}"])
def test_a_relay_probe_reaches_nobody_elsewhere(site: Site, probe: str) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        reply = smtp.say(f"RCPT TO:<{probe.format(domain=site.domain)}>")
    # Classic qmail takes such an address for a local one, which is no relaying either.
    assert reply.code == 250 or 500 <= reply.code < 600


def test_the_domain_is_the_same_in_capitals(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        assert smtp.say(f"RCPT TO:<{alice.address.split('@')[0]}@{site.domain.upper()}>").code == 250


@pytest.mark.parametrize(
    "trick",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n"],
    ids=["LF.LF", "LF.CRLF", "CRLF.LF", "CR.CR", "CRLF.CR", "CR.CRLF"],
)
def test_nothing_but_a_proper_end_ends_a_message(
    site: Site, alice: Person, bob: Person, marker: str, trick: bytes
) -> None:
    """The known forms of SMTP smuggling: a second message hidden in a first one is never taken for one."""
    hidden = f"MAIL FROM:<{STRANGER}>\r\nRCPT TO:<{bob.address}>\r\nDATA\r\nSubject: {marker}\r\n\r\nhidden\r\n.\r\n"
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(f"Subject: outer\r\n\r\nouter {marker}".encode() + trick + hidden.encode())
        replies: list[Reply] = []
        try:
            smtp.send(b"QUIT\r\n")
            while len(replies) < 6:
                replies.append(smtp.reply())
        except (EOFError, OSError):
            pass
    # Refused, or all of it is one message: never one answer for the outer and one for the hidden message.
    assert sum(reply.code in (250, 354) for reply in replies) <= 1, replies
    if any(reply.code == 250 for reply in replies):
        assert b"outer" in fetch(site, alice, marker)


def test_a_bare_line_feed_in_a_message_is_refused(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(b"Subject: bare\r\n\r\none\ntwo\r\n.\r\n")
        assert smtp.reply().code in (451, 500, 550, 554)


def test_a_line_of_a_megabyte_does_no_harm(site: Site) -> None:
    with Smtp(site) as smtp:
        try:
            smtp.send(b"EHLO " + b"x" * 1_000_000 + b"\r\n")
            smtp.reply()
        except (EOFError, OSError):
            pass
    with Smtp(site) as smtp:
        assert smtp.say("NOOP").code == 250


def test_pipelined_commands_are_all_answered_in_order(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        commands = [
            f"MAIL FROM:<{STRANGER}>",
            f"RCPT TO:<{alice.address}>",
            "RCPT TO:<x@example.com>",
            "RSET",
            "QUIT",
            "",
        ]
        smtp.send("\r\n".join(commands).encode())
        codes = [smtp.reply().code for _ in range(5)]
    assert codes[0] == codes[1] == codes[3] == 250
    assert 500 <= codes[2] < 600
    assert codes[4] == 221
