"""Open relay probes: whatever a stranger says, mail for elsewhere is not taken. No message is ever sent, only RCPT."""

import pytest

from verify.talk import CLIENT, FOREIGN, STRANGER, Site, Smtp

# Recipients whose domain is not the site's, whatever they look like.
ELSEWHERE = {
    "another domain": "<somebody@example.com>",
    "a domain below the site's": "<somebody@sub-{domain}.example.com>",
    "the site's domain with letters in front": "<somebody@not{domain}>",
    "the site's domain with letters behind": "<somebody@{domain}x>",
    "the site's domain below another": "<somebody@{domain}.example.com>",
    "a literal IPv4 address": "<somebody@[192.0.2.1]>",
    "a literal IPv6 address": "<somebody@[IPv6:2001:db8::1]>",
    "a domain in capitals": "<SOMEBODY@EXAMPLE.COM>",
    "two at signs, the last one elsewhere": "<somebody@{domain}@example.com>",
    "a quoted local part with an at sign": '<"somebody@{domain}"@example.com>',
    "an escaped at sign": "<somebody\\@{domain}@example.com>",
    "a route through the site": "<@{domain}:somebody@example.com>",
    "a route of two hosts": "<@{domain},@example.net:somebody@example.com>",
    "no angle brackets": "somebody@example.com",
    "blanks around": " <somebody@example.com> ",
    "a percent sign, both elsewhere": "<somebody%{domain}@example.com>",
    "a bang path, elsewhere": "<{domain}!somebody@example.com>",
    "a comment": "<somebody@example.com(@{domain})>",
    "a parameter that names the site": "<somebody@example.com> ORCPT=rfc822;somebody@{domain}",
}

# The domain is the site's, and the local part asks to send it on.
PROBES = {
    "percent": "<somebody%example.com@{domain}>",
    "two percents": "<somebody%example.com%example.net@{domain}>",
    "bang": "<example.com!somebody@{domain}>",
    "two bangs": "<example.net!example.com!somebody@{domain}>",
    "second at sign": "<somebody@example.com@{domain}>",
    "quoted second at sign": '<"somebody@example.com"@{domain}>',
    "quoted percent": '<"somebody%example.com"@{domain}>',
    "escaped at sign": "<somebody\\@example.com@{domain}>",
    "percent and the host's name": "<somebody%example.com@{host}>",
    "bang and percent": "<example.com!somebody%example.net@{domain}>",
}


@pytest.fixture(params=["IPv4", "IPv6"])
def reached(request: pytest.FixtureRequest, site: Site) -> Site:
    """Give the site by each of its addresses: what is refused to one kind must not be granted to the other."""
    found: Site = site if request.param == "IPv4" else request.getfixturevalue("site6")
    return found


@pytest.mark.parametrize("form", ELSEWHERE)
def test_mail_for_elsewhere_is_refused_in_this_form(site: Site, smtp: Smtp, form: str) -> None:
    smtp.mail(STRANGER)
    assert smtp.say("RCPT TO:" + ELSEWHERE[form].format(domain=site.domain, host=site.host)).refused


@pytest.mark.beyond_classic
@pytest.mark.parametrize("probe", PROBES)
def test_a_local_part_that_asks_to_send_on_is_refused(site: Site, smtp: Smtp, probe: str) -> None:
    smtp.mail(STRANGER)
    reply = smtp.say("RCPT TO:" + PROBES[probe].format(domain=site.domain, host=site.host))
    assert reply.refused, reply


@pytest.mark.beyond_classic
@pytest.mark.parametrize("probe", ["percent", "bang", "second at sign"])
def test_such_a_probe_is_told_553(site: Site, smtp: Smtp, probe: str) -> None:
    smtp.mail(STRANGER)
    assert smtp.say("RCPT TO:" + PROBES[probe].format(domain=site.domain)).code == 553


@pytest.mark.parametrize(
    "sender",
    ["postmaster@{domain}", "", "somebody@{host}", "somebody@localhost", "root", "somebody@example.com", "@{domain}"],
    ids=[
        "the site's postmaster",
        "null",
        "the host",
        "localhost",
        "no domain",
        "the recipient itself",
        "no local part",
    ],
)
def test_no_sender_makes_a_stranger_a_relay_client(site: Site, smtp: Smtp, sender: str) -> None:
    smtp.mail(sender.format(domain=site.domain, host=site.host))
    assert smtp.say(f"RCPT TO:<{FOREIGN}>").refused


@pytest.mark.parametrize("name", ["localhost", "{host}", "[127.0.0.1]", "127.0.0.1"])
def test_no_greeting_makes_a_stranger_a_relay_client(reached: Site, name: str) -> None:
    with Smtp(reached) as smtp:
        smtp.say(f"EHLO {name.format(host=reached.host)}")
        smtp.mail(STRANGER)
        assert smtp.say(f"RCPT TO:<{FOREIGN}>").refused


def test_a_good_recipient_in_front_opens_nothing_for_the_next(site: Site, smtp: Smtp) -> None:
    assert smtp.mail(STRANGER, f"postmaster@{site.domain}").code == 250
    assert smtp.say(f"RCPT TO:<{FOREIGN}>").refused


@pytest.mark.parametrize("command", ["RSET", f"EHLO {CLIENT}", f"HELO {CLIENT}"], ids=["RSET", "EHLO", "HELO"])
def test_a_fresh_start_inside_a_session_opens_nothing(smtp: Smtp, command: str) -> None:
    smtp.mail(STRANGER)
    smtp.say(f"RCPT TO:<{FOREIGN}>")
    smtp.say(command)
    smtp.mail(STRANGER)
    assert smtp.say(f"RCPT TO:<{FOREIGN}>").refused


def test_data_for_nobody_but_a_refused_recipient_is_refused(smtp: Smtp) -> None:
    smtp.mail(STRANGER)
    smtp.say(f"RCPT TO:<{FOREIGN}>")
    assert smtp.say("DATA").refused


def test_asking_fifty_times_gets_fifty_refusals(smtp: Smtp) -> None:
    smtp.mail(STRANGER)
    smtp.send(f"RCPT TO:<{FOREIGN}>\r\n".encode() * 50)
    assert all(smtp.reply().refused for _ in range(50))
