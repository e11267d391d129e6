"""The policy, door by door: what each port offers, to whom, and what it takes before and after encryption and AUTH."""

import socket
import ssl

import pytest

from verify.talk import (
    CLIENT,
    FOREIGN,
    STRANGER,
    Channel,
    Person,
    Pop3,
    Reply,
    Site,
    Smtp,
    b64,
    fetch,
    ordinary,
    plain,
)

# Nobody's: a password that is anybody's must not be sent in the clear, not even to see it refused.
NOBODY = plain("nobody-in-particular", "not a password")


# Port 25 in the clear


def test_25_auth_is_not_offered(site: Site) -> None:
    with Smtp(site) as smtp:
        assert not [name for name in smtp.ehlo() if name.startswith("AUTH")]


@pytest.mark.parametrize(
    "command",
    ["AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5", f"AUTH PLAIN {NOBODY}", f"AUTH LOGIN {b64('nobody')}", "auth plain"],
    ids=["PLAIN", "LOGIN", "CRAM-MD5", "PLAIN at once", "LOGIN at once", "in small letters"],
)
def test_25_auth_is_refused_before_a_password_is_read(smtp: Smtp, command: str) -> None:
    """Refused as impossible here: neither asked for (334) nor checked (235, 535)."""
    reply = smtp.say(command)
    assert reply.refused
    assert reply.code != 535


@pytest.mark.beyond_classic
def test_25_auth_is_refused_with_538_or_503(smtp: Smtp) -> None:
    assert smtp.say("AUTH PLAIN").code in (538, 503)


def test_25_after_a_refused_auth_nothing_is_allowed_that_was_not_before(smtp: Smtp) -> None:
    smtp.say(f"AUTH PLAIN {NOBODY}")
    assert smtp.mail(STRANGER, FOREIGN).refused


def test_25_a_stranger_writes_to_a_user(smtp: Smtp, alice: Person) -> None:
    assert smtp.mail(STRANGER, alice.address).code == 250


def test_25_a_stranger_may_not_relay(smtp: Smtp) -> None:
    assert smtp.mail(STRANGER, FOREIGN).refused


@pytest.fixture
def listed(site: Site) -> str:
    """Give an address of this machine whose network the site lets relay."""
    if not site.relay_source:
        pytest.skip("no address of this machine is known to be listed (relay_source)")
    return site.relay_source


def test_25_a_client_in_a_listed_network_may_relay(site: Site, listed: str) -> None:
    with Smtp(site, source=listed) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, FOREIGN).code == 250


@pytest.mark.parametrize("way", [pytest.param("starttls", marks=pytest.mark.beyond_classic), "smtps"])
def test_a_client_in_a_listed_network_may_relay_behind_encryption_too(site: Site, listed: str, way: str) -> None:
    with Smtp.through(site, way, source=listed) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, FOREIGN).code == 250


@pytest.mark.beyond_classic
def test_a_client_in_a_listed_network_is_told_as_well_that_a_mailbox_does_not_exist(site: Site, listed: str) -> None:
    with Smtp(site, source=listed) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, f"nosuchuser@{site.domain}").code == 550


@pytest.mark.beyond_classic
def test_25_starttls_is_offered(site: Site) -> None:
    with Smtp(site) as smtp:
        assert "STARTTLS" in smtp.ehlo()


@pytest.mark.beyond_classic
def test_25_starttls_takes_no_argument(smtp: Smtp) -> None:
    assert smtp.say("STARTTLS now").code == 501
    assert smtp.say("NOOP").code == 250


# Behind STARTTLS


@pytest.mark.beyond_classic
def test_starttls_is_not_offered_again_where_the_channel_is_encrypted(encrypted: Smtp) -> None:
    assert "STARTTLS" not in encrypted.ehlo()


@pytest.mark.beyond_classic
def test_starttls_where_the_channel_is_encrypted_is_refused(encrypted: Smtp) -> None:
    encrypted.ehlo()
    assert encrypted.say("STARTTLS").refused
    assert encrypted.say("NOOP").code == 250


@pytest.mark.beyond_classic
def test_starttls_forgets_the_greeting(site: Site) -> None:
    with Smtp.through(site, "starttls") as smtp:
        assert smtp.say(f"MAIL FROM:<{STRANGER}>").code == 503


@pytest.mark.beyond_classic
@pytest.mark.parametrize("command", ["RCPT TO:<postmaster@{domain}>", "DATA"])
def test_starttls_forgets_the_transaction(site: Site, command: str) -> None:
    with Smtp(site) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, f"postmaster@{site.domain}").code == 250
        assert smtp.say("STARTTLS").code == 220
        smtp.start_tls(site.trust(), site.name("smtp"))
        smtp.ehlo()
        assert smtp.say(command.format(domain=site.domain)).code == 503


@pytest.mark.beyond_classic
@pytest.mark.parametrize(
    ("injected", "code"),
    [
        ("NOOP", 250),
        ("QUIT", 221),
        ("VRFY injected", 252),
        (f"EHLO injected\r\nMAIL FROM:<{STRANGER}>\r\nRCPT TO:<postmaster>", 250),
        ("NOOP\r\n" * 500 + "NOOP", 250),
    ],
    ids=["NOOP", "QUIT", "VRFY", "a transaction", "more than a buffer"],
)
def test_starttls_drops_what_was_sent_behind_it_in_the_clear(site: Site, injected: str, code: int) -> None:
    """CVE-2011-0411: nothing said before the encryption is obeyed after it. Breaking the session off is well, too."""
    with Smtp(site) as smtp:
        smtp.ehlo()
        smtp.send(f"STARTTLS\r\n{injected}\r\n".encode())
        assert smtp.reply().code == 220
        try:
            smtp.start_tls(site.trust(), site.name("smtp"))
            smtp.send(b"HELP injection\r\n")
            first = smtp.reply()
        except (EOFError, OSError):
            return
        # HELP is answered by 214 or not known: by none of the injected commands' answers.
        assert first.code in (214, 500, 501, 502, 503), f"{first} answers {injected[:20]!r}, whose answer is {code}"
        smtp.socket.settimeout(1)
        assert smtp.last_words() == []


@pytest.mark.beyond_classic
def test_starttls_followed_by_plain_text_ends_the_session(site: Site, alice: Person) -> None:
    with Smtp(site) as smtp:
        smtp.ehlo()
        assert smtp.say("STARTTLS").code == 220
        smtp.send(f"EHLO {CLIENT}\r\nMAIL FROM:<{STRANGER}>\r\nRCPT TO:<{alice.address}>\r\n".encode())
        rest = b""
        try:
            while data := smtp.socket.recv(4096):
                rest += data
        except OSError:
            pass
        assert b"250" not in rest


@pytest.mark.beyond_classic
def test_encryption_without_a_login_is_enough_to_write_to_a_user(site: Site, door: str, alice: Person) -> None:
    if door == "submission":
        pytest.skip("587 is for the site's own users")
    with Smtp.through(site, door) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, alice.address).code == 250


@pytest.mark.beyond_classic
def test_encryption_gives_a_stranger_no_right_to_relay(encrypted: Smtp) -> None:
    encrypted.ehlo()
    assert encrypted.mail(STRANGER).code in (250, 530)
    assert encrypted.say(f"RCPT TO:<{FOREIGN}>").refused


@pytest.mark.beyond_classic
def test_an_encrypted_session_offers_the_other_extensions_too(encrypted: Smtp) -> None:
    assert {"PIPELINING", "8BITMIME", "SIZE"} <= set(encrypted.ehlo())


# Port 465


def test_465_greets_behind_tls(site: Site) -> None:
    with Smtp.through(site, "smtps") as smtp:
        assert smtp.greeting.code == 220
        assert smtp.greeting.text.split()[0] == site.host


# Port 587, where it is enabled


@pytest.fixture
def submission(site: Site) -> Site:
    """Give a site that has 587."""
    if not site.has("submission"):
        pytest.skip("587 is not enabled at this site")
    return site


@pytest.mark.beyond_classic
@pytest.mark.parametrize("command", [f"MAIL FROM:<{STRANGER}>", "RCPT TO:<postmaster>", "DATA", "VRFY x", "RSET"])
def test_587_wants_starttls_first(submission: Site, command: str) -> None:
    with Smtp(submission, "submission") as smtp:
        smtp.ehlo()
        assert smtp.say(command).code == 530


@pytest.mark.beyond_classic
def test_587_offers_no_auth_in_the_clear_and_refuses_it(submission: Site) -> None:
    with Smtp(submission, "submission") as smtp:
        assert "AUTH" not in smtp.ehlo()
        assert smtp.say(f"AUTH PLAIN {NOBODY}").code in (503, 504, 530, 538)


@pytest.mark.beyond_classic
@pytest.mark.parametrize("sender", [STRANGER, "", "{user}"], ids=["stranger", "null sender", "a user's address"])
def test_587_wants_a_login_before_any_mail(submission: Site, alice: Person, sender: str) -> None:
    with Smtp.through(submission, "submission") as smtp:
        smtp.ehlo()
        assert smtp.say(f"MAIL FROM:<{sender.format(user=alice.address)}>").code == 530
        assert smtp.say(f"RCPT TO:<{alice.address}>").refused
        assert smtp.say("DATA").refused


@pytest.mark.beyond_classic
def test_587_takes_mail_after_the_login(submission: Site, alice: Person, bob: Person) -> None:
    with Smtp.through(submission, "submission") as smtp:
        smtp.log_in(alice)
        assert smtp.mail(alice.address, bob.address).code == 250
        assert smtp.say(f"RCPT TO:<{FOREIGN}>").code == 250


# Spam


GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


def send_spam(site: Site, smtp: Smtp, person: Person, marker: str) -> Reply:
    """Send what every spam filter takes for spam; give the answer to its end."""
    if not site.spam_filter:
        pytest.skip("this site is not said to refuse spam (spam_filter)")
    return smtp.submit(smtp.author, [person.address], ordinary(marker, GTUBE, smtp.author))


@pytest.mark.beyond_classic
@pytest.mark.sends
@pytest.mark.essential
def test_25_spam_is_refused_with_554_while_the_session_is_open(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert send_spam(site, smtp, alice, marker).code == 554


@pytest.mark.beyond_classic
@pytest.mark.sends
@pytest.mark.essential
@pytest.mark.parametrize("way", ["starttls", "smtps"])
def test_spam_of_a_stranger_is_refused_behind_encryption_too(site: Site, alice: Person, marker: str, way: str) -> None:
    if not site.has(way):
        pytest.skip(f"this site has no {way}")
    with Smtp.through(site, way) as smtp:
        assert send_spam(site, smtp, alice, marker).code == 554


@pytest.mark.beyond_classic
@pytest.mark.sends
@pytest.mark.parametrize("way", ["in the clear", "starttls", "smtps"])
def test_spam_from_a_listed_network_is_refused_too(
    site: Site, listed: str, alice: Person, marker: str, way: str
) -> None:
    """Being allowed to relay is not being logged in."""
    with Smtp(site, source=listed) if way == "in the clear" else Smtp.through(site, way, source=listed) as smtp:
        assert send_spam(site, smtp, alice, marker).code == 554


@pytest.mark.beyond_classic
@pytest.mark.sends
def test_after_spam_the_session_goes_on_with_the_next_message(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert send_spam(site, smtp, alice, "spam").code == 554
        assert smtp.submit(STRANGER, [alice.address], ordinary(marker)).code == 250
    fetch(site, alice, marker)


@pytest.mark.beyond_classic
@pytest.mark.sends
@pytest.mark.essential
def test_spam_of_a_logged_in_user_is_refused_where_the_site_says_so(
    site: Site, door: str, alice: Person, marker: str
) -> None:
    if not site.spam_filter_authenticated:
        pytest.skip("this site is not said to filter its own users' mail (spam_filter_authenticated)")
    with Smtp.through(site, door) as smtp:
        smtp.log_in(alice)
        assert send_spam(site, smtp, alice, marker).code == 554


@pytest.mark.beyond_classic
@pytest.mark.sends
def test_what_a_logged_in_user_writes_is_not_filtered(site: Site, door: str, alice: Person, marker: str) -> None:
    if site.spam_filter_authenticated:
        pytest.skip("this site filters its own users' mail, too")
    with Smtp.through(site, door) as smtp:
        smtp.log_in(alice)
        assert send_spam(site, smtp, alice, marker).code == 250
    assert b"GTUBE" in fetch(site, alice, marker)


# POP3


def test_995_wants_user_and_pass(site: Site) -> None:
    with Pop3(site) as pop:
        assert pop.say("STAT").startswith("-ERR")


@pytest.mark.beyond_classic
def test_995_has_no_apop_which_would_need_passwords_stored_in_the_clear(site: Site) -> None:
    with Pop3(site) as pop:
        assert b"<" not in pop.greeting
        assert pop.say("APOP alice c4c9334bac560ecc979e58001b3e22fb").startswith("-ERR")


@pytest.mark.beyond_classic
def test_110_is_closed(site: Site) -> None:
    """POP3 without TLS would carry passwords in the clear."""
    port = site.ports["pop3"] or 110
    with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
        socket.create_connection((site.address, port), timeout=5)


@pytest.mark.parametrize("port", [109, 143, 106, 628], ids=["POP2", "IMAP", "poppassd", "QMQP"])
def test_no_other_door_to_the_mail_is_open_in_the_clear(site: Site, port: int) -> None:
    """IMAP is another program's; if it is there, it must not take passwords in the clear."""
    try:
        connection = socket.create_connection((site.address, port), timeout=3)
    except OSError:
        return
    with connection:
        connection.settimeout(5)
        greeting = connection.recv(1000)
    assert b"LOGINDISABLED" in greeting, f"port {port} says {greeting!r}"


# IPv6


def test_by_ipv6_25_greets(site6: Site) -> None:
    with Smtp(site6) as smtp:
        assert smtp.greeting.text.split()[0] == site6.host


def test_by_ipv6_a_stranger_writes_to_a_user(site6: Site, alice: Person) -> None:
    with Smtp(site6) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, alice.address).code == 250


def test_by_ipv6_a_stranger_may_not_relay(site6: Site) -> None:
    with Smtp(site6) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, FOREIGN).refused


def test_by_ipv6_auth_is_refused_in_the_clear(site6: Site) -> None:
    with Smtp(site6) as smtp:
        assert "AUTH" not in smtp.ehlo()
        assert smtp.say("AUTH PLAIN").refused


@pytest.mark.beyond_classic
def test_by_ipv6_starttls_and_auth_work(site6: Site, alice: Person) -> None:
    with Smtp.through(site6, "starttls") as smtp:
        smtp.log_in(alice)
        assert smtp.mail(alice.address, FOREIGN).code == 250


@pytest.mark.parametrize("service", ["smtps", "pop3s"])
def test_by_ipv6_the_certificate_is_good(site6: Site, service: str) -> None:
    with Channel(site6, service, site6.trust()) as channel:
        assert channel.line()[:3] in (b"220", b"+OK")


def test_by_ipv6_a_mailbox_opens(site6: Site, alice: Person) -> None:
    with Pop3(site6).login(alice) as pop:
        pop.ok("STAT")


@pytest.mark.beyond_classic
def test_by_ipv6_110_is_closed(site6: Site) -> None:
    with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
        socket.create_connection((site6.address, 110), timeout=5)


def test_a_session_cannot_be_moved_from_plain_to_tls_without_starttls(site: Site) -> None:
    """A TLS greeting on port 25 gets no TLS, and does the server no harm."""
    with Smtp(site) as smtp, pytest.raises((ssl.SSLError, OSError, EOFError)):
        smtp.start_tls(site.trust(), site.name("smtp"))
    with Smtp(site) as smtp:
        assert smtp.say("NOOP").code == 250
