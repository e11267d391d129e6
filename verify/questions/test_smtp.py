"""Port 25 in the clear: the dialogue of RFC 5321, its order, its syntax and its limits."""

import pytest

from verify.talk import CLIENT, FOREIGN, STRANGER, Person, Site, Smtp


def test_the_greeting_names_the_host(site: Site) -> None:
    with Smtp(site) as smtp:
        assert smtp.greeting.code == 220
        assert smtp.greeting.text.split()[0] == site.host


def test_the_greeting_says_esmtp(site: Site) -> None:
    with Smtp(site) as smtp:
        assert "ESMTP" in smtp.greeting.text


def test_helo_is_answered_with_the_hosts_name_and_no_extensions(site: Site) -> None:
    with Smtp(site) as smtp:
        reply = smtp.say(f"HELO {CLIENT}")
    assert (reply.code, len(reply.lines)) == (250, 1)
    assert reply.text.split()[0] == site.host


def test_ehlo_is_answered_with_the_hosts_name_first(site: Site) -> None:
    with Smtp(site) as smtp:
        assert smtp.say(f"EHLO {CLIENT}").lines[0].split()[0] == site.host


@pytest.mark.parametrize(
    "extension", ["PIPELINING", "8BITMIME", pytest.param("SIZE", marks=pytest.mark.beyond_classic)]
)
def test_ehlo_offers(site: Site, extension: str) -> None:
    with Smtp(site) as smtp:
        assert extension in smtp.ehlo()


@pytest.mark.parametrize("extension", ["CHUNKING", "BDAT", "ETRN", "TURN", "XCLIENT", "XFORWARD", "VRFY", "EXPN"])
def test_ehlo_does_not_offer(site: Site, extension: str) -> None:
    with Smtp(site) as smtp:
        assert extension not in smtp.ehlo()


@pytest.mark.parametrize(
    ("command", "codes"),
    [
        ("NOOP", {250}),
        ("noop", {250}),
        ("NOOP with words", {250}),
        ("RSET", {250}),
        ("VRFY alice", {252, 502, 550}),
        pytest.param("VRFY", {501, 502}, marks=pytest.mark.beyond_classic),
        pytest.param("RSET now", {501}, marks=pytest.mark.beyond_classic),
        pytest.param("QUIT now", {501}, marks=pytest.mark.beyond_classic),
        ("EXPN list", {500, 502, 550}),
        ("HELP", {214, 500, 502}),
        ("NONSENSE", {500, 502}),
        ("", {500, 502}),
        (" NOOP", {500, 502}),
        ("NOOPS", {500, 502}),
        ("ETRN example.com", {500, 502}),
        ("TURN", {500, 502}),
        ("BDAT 10 LAST", {500, 502, 503}),
        ("XCLIENT ADDR=127.0.0.1", {500, 502, 550}),
        ("DEBUG", {500, 502}),
        ("WIZ", {500, 502}),
    ],
)
def test_a_command_outside_a_transaction_is_answered(smtp: Smtp, command: str, codes: set[int]) -> None:
    assert smtp.say(command).code in codes


def test_vrfy_tells_nobody_who_exists(site: Site, smtp: Smtp) -> None:
    there, absent = (smtp.say(f"VRFY {name}@{site.domain}") for name in ("postmaster", "nosuchuser"))
    assert (there.code, there.text) == (absent.code, absent.text)


def test_quit_ends_the_session(smtp: Smtp) -> None:
    assert smtp.say("QUIT").code == 221
    assert smtp.ended()


def test_what_comes_behind_quit_is_not_obeyed(smtp: Smtp, alice: Person) -> None:
    smtp.send(f"QUIT\r\nMAIL FROM:<{STRANGER}>\r\nRCPT TO:<{alice.address}>\r\n".encode())
    assert [reply.code for reply in smtp.last_words()] == [221]


@pytest.mark.parametrize("command", ["RCPT TO:<postmaster>", "DATA"])
def test_a_command_out_of_order_is_refused(smtp: Smtp, command: str) -> None:
    assert smtp.say(command).code == 503


@pytest.mark.beyond_classic
def test_mail_before_the_greeting_is_refused(site: Site) -> None:
    with Smtp(site) as smtp:
        assert smtp.say(f"MAIL FROM:<{STRANGER}>").code == 503


@pytest.mark.beyond_classic
def test_a_second_mail_inside_a_transaction_is_refused(smtp: Smtp) -> None:
    smtp.mail(STRANGER)
    assert smtp.mail("another@example.org").code == 503


@pytest.mark.beyond_classic
@pytest.mark.parametrize("command", ["HELO", "EHLO", "DATA now", "STARTTLS now"])
def test_a_command_with_the_wrong_number_of_words_is_501(smtp: Smtp, command: str) -> None:
    assert smtp.say(command).code in (501, 502)


def test_rset_forgets_the_recipients(smtp: Smtp, alice: Person) -> None:
    assert smtp.mail(STRANGER, alice.address).code == 250
    assert smtp.say("RSET").code == 250
    assert smtp.say("DATA").code == 503


@pytest.mark.parametrize("command", ["EHLO", "HELO"])
def test_a_new_greeting_forgets_the_transaction(smtp: Smtp, alice: Person, command: str) -> None:
    assert smtp.mail(STRANGER, alice.address).code == 250
    assert smtp.say(f"{command} {CLIENT}").code == 250
    assert smtp.say("DATA").code == 503


def test_the_domain_is_the_same_in_capitals(site: Site, smtp: Smtp) -> None:
    assert smtp.mail(STRANGER, f"postmaster@{site.domain.upper()}").code == 250


def test_the_commands_are_the_same_in_small_letters(site: Site, smtp: Smtp) -> None:
    assert smtp.say(f"mail from:<{STRANGER}>").code == 250
    assert smtp.say(f"rcpt to:<postmaster@{site.domain}>").code == 250


# Recipients


@pytest.mark.parametrize("office", ["postmaster", "abuse", "mailer-daemon", "Postmaster", "POSTMASTER"])
def test_an_office_that_every_host_has_is_there(site: Site, smtp: Smtp, office: str) -> None:
    """RFC 5321 section 4.5.1 for postmaster, in any case; RFC 2142 for abuse."""
    assert smtp.mail(STRANGER, f"{office}@{site.domain}").code == 250


def test_postmaster_without_a_domain_is_there(smtp: Smtp) -> None:
    """RFC 5321 section 4.5.1."""
    assert smtp.mail(STRANGER, "postmaster").code == 250


@pytest.mark.beyond_classic
@pytest.mark.parametrize(
    "local",
    ["nobody-here", "{user}x", "{user}-extension", "{user}-", "-{user}", "{user}.", ".{user}", "{user}+tag", "alias",
     "qmaild", "daemon", "nobody", "alias-{user}", "../{user}", "{user}/Maildir", "|{user}", "./Maildir/", "*", "%s"],
)  # fmt: skip
def test_a_recipient_who_does_not_exist_is_550(site: Site, smtp: Smtp, alice: Person, local: str) -> None:
    """Refused while the session is open, so that no bounce ever goes to a sender who may be forged."""
    user = alice.address.split("@")[0]
    smtp.mail(STRANGER)
    reply = smtp.say(f"RCPT TO:<{local.format(user=user)}@{site.domain}>")
    assert reply.code in (550, 553) if "%" in local else reply.code == 550


@pytest.mark.beyond_classic
def test_after_a_550_the_next_recipient_is_taken(site: Site, smtp: Smtp) -> None:
    smtp.mail(STRANGER)
    assert smtp.say(f"RCPT TO:<nobody-here@{site.domain}>").code == 550
    assert smtp.say(f"RCPT TO:<postmaster@{site.domain}>").code == 250


def test_the_local_part_is_the_same_in_capitals(smtp: Smtp, alice: Person) -> None:
    local, _, domain = alice.address.partition("@")
    assert smtp.mail(STRANGER, f"{local.upper()}@{domain}").code == 250


def test_a_users_aliases_are_taken(smtp: Smtp, alice: Person) -> None:
    if not alice.aliases:
        pytest.skip("no alias of this user is known (users[0].aliases)")
    for alias in alice.aliases:
        smtp.say("RSET")
        assert smtp.mail(STRANGER, alias).code == 250, alias


# The null sender


def test_the_null_sender_is_taken_for_one_recipient(smtp: Smtp, alice: Person) -> None:
    assert smtp.mail("", alice.address).code == 250


@pytest.mark.beyond_classic
def test_the_null_sender_has_no_second_recipient(site: Site, smtp: Smtp, alice: Person) -> None:
    """A bounce goes to one address; more is spam."""
    assert smtp.mail("", alice.address, f"postmaster@{site.domain}").code in (452, 553)


@pytest.mark.beyond_classic
def test_the_null_sender_may_not_write_to_the_same_recipient_twice(smtp: Smtp, alice: Person) -> None:
    assert smtp.mail("", alice.address, alice.address).code in (452, 553)


# Syntax


@pytest.mark.parametrize(
    "command",
    [
        "MAIL FROM:<a@b> SIZE=10",
        "MAIL FROM:<a@b> BODY=8BITMIME",
        "MAIL FROM:<a@b> BODY=7BIT",
        "MAIL FROM:<a@b> body=8bitmime size=10",
        "MAIL FROM:<@x.example,@y.example:a@example.org>",
        'MAIL FROM:<"a b"@example.org>',
        'MAIL FROM:<"a\\"b"@example.org>',
        "MAIL FROM:<a+b=c/d@example.org>",
        "MAIL FROM: <a@example.org>",
        "MAIL FROM:a@example.org",
        "MAIL FROM:<>",
        f"MAIL FROM:<{'l' * 64}@{'d' * 60}.{'e' * 60}.example>",
    ],
)
def test_this_form_of_mail_is_taken(smtp: Smtp, command: str) -> None:
    assert smtp.say(command).code == 250


@pytest.mark.beyond_classic
@pytest.mark.parametrize(
    "command",
    [
        "MAIL",
        "MAIL FROM",
        "MAIL FROM:",
        "MAIL TO:<a@b>",
        "MAIL FROM:<a@example.org",
        "MAIL FROM:<a@>",
        "MAIL FROM:<a<b@example.org>",
        'MAIL FROM:<"a@example.org>',
        "MAIL FROM:<a b@example.org>",
        "MAIL FROM:<a@example.org>x",
        "MAIL FROM:<a@example.org> SIZE=x",
        "MAIL FROM:<a@example.org> SIZE=-1",
        "MAIL FROM:<a@example.org> SIZE=1 SIZE=1",
        "MAIL FROM:<a@example.org> BODY=7BIT BODY=7BIT",
        "MAIL FROM:<a\x00b@example.org>",
        "MAIL FROM:<a@example.org> BODY=9BIT",
        "MAIL FROM:<a@example.org> UNKNOWN=1",
        "MAIL FROM:<a\x01b@example.org>",
        "MAIL FROM:<a\tb@example.org>",
        f"MAIL FROM:<{'l' * 1000}@example.org>",
    ],
)
def test_this_form_of_mail_is_refused(smtp: Smtp, command: str) -> None:
    assert smtp.say(command).refused
    assert smtp.say("DATA").refused


@pytest.mark.beyond_classic
@pytest.mark.parametrize(
    "command",
    [
        "RCPT",
        "RCPT TO:",
        "RCPT TO:<>",
        "RCPT FROM:<postmaster>",
        "RCPT TO:<postmaster",
        "RCPT TO:<@{domain}>",
        "RCPT TO:<postmaster@{domain}> NOTIFY=NEVER",
        "RCPT TO:<postmaster@{domain}>x",
        "RCPT TO:<post\x00master@{domain}>",
        "RCPT TO:<postmaster@{domain}\x00.example.com>",
        "RCPT TO:<{long}@{domain}>",
    ],
)
def test_this_form_of_rcpt_is_refused(site: Site, smtp: Smtp, command: str) -> None:
    smtp.mail(STRANGER)
    assert smtp.say(command.format(domain=site.domain, long="l" * 1000)).refused


@pytest.mark.parametrize("length", [64, 255])
def test_a_long_name_in_the_greeting_is_taken(site: Site, length: int) -> None:
    with Smtp(site) as smtp:
        assert smtp.say("EHLO " + "x" * length).code == 250


@pytest.mark.parametrize("length", [500, 1000])
def test_a_longer_name_in_the_greeting_is_answered(site: Site, length: int) -> None:
    with Smtp(site) as smtp:
        assert smtp.say("EHLO " + "x" * length).code in (250, 500, 501, 550)


@pytest.mark.parametrize("name", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "host", "-", "a b", "\xe9", "<script>", "%s%n"])
def test_an_odd_name_in_the_greeting_does_no_harm(site: Site, name: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.say(f"EHLO {name}").code in (250, 501, 550)
        assert smtp.say("NOOP").code == 250


@pytest.mark.beyond_classic
@pytest.mark.parametrize(
    "line",
    [b"NOOP\n", b"NOOP\rNOOP\r\n", b"NOOP\r\r\n", b"\rNOOP\r\n", b"RSET\nMAIL FROM:<a@b>\r\n"],
    ids=["LF alone", "CR inside", "CR CR LF", "CR first", "two commands by LF"],
)
def test_a_command_with_a_bare_cr_or_lf_is_refused_as_one(smtp: Smtp, line: bytes) -> None:
    """What stands behind the LF is no command, and the session goes on."""
    smtp.send(line)
    assert smtp.reply().code in (500, 501)
    assert smtp.say("NOOP").code == 250


@pytest.mark.beyond_classic
@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n"], ids=["LF alone", "CR inside"])
def test_no_transaction_goes_on_behind_a_bare_cr_or_lf(smtp: Smtp, alice: Person, line: bytes) -> None:
    assert smtp.mail(STRANGER, alice.address).code == 250
    smtp.send(line)
    assert smtp.reply().code in (500, 501)
    assert smtp.say("DATA").code == 503


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n",
        b"\x00" * 100 + b"\r\n",
        bytes(range(1, 10)) + bytes(range(14, 256)) + b"\r\n",
    ],
    ids=["a TLS greeting", "HTTP", "NULs", "every byte"],
)
def test_noise_is_refused_and_does_no_harm(site: Site, noise: bytes) -> None:
    with Smtp(site) as smtp:
        smtp.send(noise + b"QUIT\r\n")
        assert all(reply.code in (221, 421) or reply.refused for reply in smtp.last_words())
    with Smtp(site) as smtp:
        assert smtp.say("NOOP").code == 250


# Pipelining


def test_pipelined_commands_are_all_answered_in_order(smtp: Smtp, alice: Person) -> None:
    commands = [f"MAIL FROM:<{STRANGER}>", f"RCPT TO:<{alice.address}>", f"RCPT TO:<{FOREIGN}>", "RSET", "QUIT", ""]
    smtp.send("\r\n".join(commands).encode())
    codes = [smtp.reply().code for _ in range(5)]
    assert codes[0] == codes[1] == codes[3] == 250
    assert 500 <= codes[2] < 600
    assert codes[4] == 221


def test_a_greeting_sent_before_the_servers_own_is_still_answered(site: Site) -> None:
    with Smtp(site) as smtp:
        smtp.send(b"EHLO a\r\nNOOP\r\nQUIT\r\n")
        assert [smtp.reply().code for _ in range(3)] == [250, 250, 221]


def test_a_command_that_comes_byte_by_byte_is_understood(smtp: Smtp) -> None:
    for byte in b"NOOP\r\n":
        smtp.send(bytes([byte]))
    assert smtp.reply().code == 250


def test_two_hundred_pipelined_commands_are_all_answered(smtp: Smtp) -> None:
    smtp.send(b"NOOP\r\n" * 200)
    assert [smtp.reply().code for _ in range(200)] == [250] * 200


# Limits


@pytest.mark.beyond_classic
def test_a_command_line_of_ten_thousand_bytes_is_refused(smtp: Smtp) -> None:
    smtp.send(b"NOOP " + b"x" * 10_000 + b"\r\n")
    assert all(reply.refused for reply in smtp.last_words(1))


@pytest.mark.taxing
def test_a_command_line_of_a_megabyte_does_no_harm(site: Site) -> None:
    with Smtp(site) as smtp:
        try:
            smtp.send(b"EHLO " + b"x" * 1_000_000 + b"\r\n")
            smtp.reply()
        except (EOFError, OSError):
            pass
    with Smtp(site) as smtp:
        assert smtp.say("NOOP").code == 250


@pytest.mark.beyond_classic
@pytest.mark.taxing
def test_a_session_of_nothing_but_errors_is_ended(smtp: Smtp) -> None:
    smtp.send(b"NONSENSE\r\n" * 1000)
    replies = smtp.last_words(1001)
    assert len(replies) <= 1000
    assert replies[-1].code == 421


@pytest.mark.beyond_classic
@pytest.mark.taxing
def test_a_session_of_endless_commands_is_ended(smtp: Smtp) -> None:
    try:
        for _ in range(20):
            smtp.send(b"NOOP\r\n" * 1000)
            for _ in range(1000):
                if smtp.reply().code == 421:
                    return
    except (EOFError, OSError):
        return
    pytest.fail("20000 commands were all answered")


@pytest.mark.beyond_classic
@pytest.mark.taxing
def test_a_message_has_a_limited_number_of_recipients_and_is_told_452(site: Site, smtp: Smtp) -> None:
    """RFC 5321 section 4.5.3.1.8: at least a hundred; somewhere the next one is put off, not lost."""
    smtp.mail(STRANGER)
    smtp.send(f"RCPT TO:<postmaster@{site.domain}>\r\n".encode() * 1200)
    codes = [smtp.reply().code for _ in range(1200)]
    assert codes[:100] == [250] * 100
    assert codes[-1] == 452
    assert smtp.say("RSET").code == 250


def test_a_hundred_recipients_are_taken(site: Site, smtp: Smtp) -> None:
    """RFC 5321 section 4.5.3.1.8."""
    smtp.mail(STRANGER)
    smtp.send(f"RCPT TO:<postmaster@{site.domain}>\r\n".encode() * 100)
    assert [smtp.reply().code for _ in range(100)] == [250] * 100


def limit(site: Site) -> int:
    """Give the longest message that the site says it takes."""
    with Smtp(site) as smtp:
        words = smtp.ehlo().get("SIZE", "").split()
    return int(words[0]) if words else 0


@pytest.mark.beyond_classic
def test_the_limit_of_a_messages_size_is_declared(site: Site) -> None:
    if site.size_limit is None:
        pytest.skip("what the limit should be is not known (size_limit)")
    assert limit(site) == site.size_limit


@pytest.mark.beyond_classic
@pytest.mark.parametrize("size", ["{above}", "99999999999999999999", "18446744073709551617"])
def test_a_message_that_is_announced_as_too_big_is_552(site: Site, smtp: Smtp, size: str) -> None:
    if not (most := limit(site)):
        pytest.skip("this site declares no limit (SIZE 0)")
    assert smtp.say(f"MAIL FROM:<{STRANGER}> SIZE={size.format(above=most + 1)}").code == 552


@pytest.mark.beyond_classic
def test_a_message_that_is_announced_as_just_small_enough_is_taken(site: Site, smtp: Smtp) -> None:
    assert smtp.say(f"MAIL FROM:<{STRANGER}> SIZE={limit(site)}").code == 250


@pytest.mark.beyond_classic
@pytest.mark.taxing
def test_a_message_that_is_too_big_is_552_at_its_end(site: Site, alice: Person) -> None:
    most = limit(site)
    if not most or most > 20_000_000:
        pytest.skip(f"the limit is {most}: too much to try")
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        line = b"x" * 70 + b"\r\n"
        for _ in range(most // (70 * 1000) + 1):
            smtp.send(line * 1000)
        smtp.send(b".\r\n")
        assert smtp.reply().code == 552
        assert smtp.say("NOOP").code == 250


@pytest.mark.beyond_classic
@pytest.mark.taxing
def test_a_line_of_three_megabytes_in_a_message_is_refused(site: Site, alice: Person) -> None:
    """RFC 5321 section 4.5.3.1.6 asks for 1000 bytes."""
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(b"Subject: long line\r\n\r\n" + b"x" * 3_000_000 + b"\r\n.\r\n")
        assert smtp.reply().refused


def test_a_message_that_has_come_round_in_circles_is_refused(site: Site, alice: Person) -> None:
    """RFC 5321 section 6.3: a hundred Received fields and more are a loop."""
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(b"Received: from here by there\r\n" * 150 + b"Subject: loop\r\n\r\nx\r\n.\r\n")
        assert smtp.reply().code == 554
        assert smtp.say("NOOP").code == 250


# Bystanders


def test_a_client_that_goes_away_inside_a_command_does_no_harm(site: Site) -> None:
    with Smtp(site) as smtp:
        smtp.send(b"EHLO cli")
    with Smtp(site) as smtp:
        assert smtp.say("NOOP").code == 250


@pytest.mark.taxing
def test_ten_silent_sessions_cost_the_others_nothing(site: Site) -> None:
    idle = [Smtp(site) for _ in range(10)]
    with Smtp(site) as smtp:
        assert smtp.say("NOOP").code == 250
    for session in idle:
        session.close()
