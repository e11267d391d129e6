"""qmail-smtpd's door: who speaks before the greeting, what is said in HELO, names of addresses, by real DNS packets."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from lab.dialogue import Smtp
from lab.servers import CNAME, SERVFAIL, Dns, Zone, name_bytes
from lab.suite import Home, Recorder

PTR = 12
FOUR, SIX = "192.0.2.1", "2001:db8::1"
OURS = "550 you say in HELO that you are me (#5.7.1)"
NO_NAME = "550 what you say in HELO is no host's whole name, nor an address (#5.7.1)"
NOT_IN_DNS = "550 the DNS has no host of the name that you say in HELO (#5.7.1)"
NO_REVERSE = "550 your address has no name that leads back to it (#5.7.25)"
EARLY = "554 you must wait for the greeting (#5.5.1)"


@pytest.fixture(autouse=True)
def site(home: Home, recorder: Recorder) -> None:
    home.control(rcpthosts="example.test")


@pytest.fixture
def dns(home: Home) -> Iterator[Dns]:
    with Dns(Zone()) as found:
        home.control(nameservers=f"[127.0.0.1]:{found.port}")
        yield found


def named(dns: Dns, address: str, *names: str) -> None:
    """Give an address its names."""
    for name in names:
        dns.zone.add(ip_address(address).reverse_pointer, PTR, name_bytes(name))


def recipient(smtp: Smtp, helo: str = "client.example.org", command: str = "EHLO") -> str:
    """Greet with this name; the answer to a recipient."""
    smtp.send(f"{command} {helo}\r\n".encode())
    assert smtp.reply()[0].startswith("250")
    assert smtp.command("MAIL FROM:<a@client.example.org>") == "250 ok"
    return smtp.command("RCPT TO:<bob@example.test>")


# The greeting ---------------------------------------------------------------------------------


def test_a_stranger_waits_for_the_greeting(home: Home) -> None:
    home.control(greetdelay="1")
    began = time.monotonic()
    with Smtp(home) as smtp:
        assert time.monotonic() - began > 0.9
        assert smtp.message().startswith("250 ")


def test_who_speaks_before_it_is_told_and_noted(home: Home) -> None:
    home.control(greetdelay="20")
    began = time.monotonic()
    with Smtp(home, greeted=False) as smtp:
        smtp.send(b"EHLO client.example.org\r\nMAIL FROM:<a@b.test>\r\n")
        assert smtp.reply() == [EARLY]
        assert smtp.rest() == b""
        assert smtp.ended() == 1
        assert smtp.log().endswith(f" {FOUR}: ended: the client spoke before the greeting\n")
    assert time.monotonic() - began < 10


def test_who_leaves_before_it_is_not_noted(home: Home) -> None:
    home.control(greetdelay="20")
    with Smtp(home, greeted=False) as smtp:
        smtp.end_of_sending()
        assert smtp.ended() == 1
        assert smtp.log() == ""


@pytest.mark.parametrize(
    "env",
    [
        {"RELAYCLIENT": ""},
        {"TCPCROWDED": "1"},
        {"SMTPAUTH_REQUIRED": "1"},
        {"TLSFRONT": "stunnel"},
        {"TCPREMOTEIP": "127.0.0.1"},
    ],
)
def test_nobody_else_waits(home: Home, env: dict[str, str]) -> None:
    home.control(greetdelay="20")
    began = time.monotonic()
    with Smtp(home, env=env) as smtp:
        assert smtp.greeting.startswith("220 ")
    assert time.monotonic() - began < 10


def test_without_the_file_nobody_does_and_who_speaks_early_is_served(home: Home) -> None:
    with Smtp(home, greeted=False) as smtp:
        smtp.send(b"EHLO client.example.org\r\n")
        assert smtp.reply()[0].startswith("220 ")


# HELO -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "helo",
    [
        "mail.example.test",
        "MAIL.Example.TEST",
        "mail.example.test.",
        "mx.example.test",
        "door.example.test",
        "[127.0.0.1]",
        "127.0.0.1",
        "127.0.0.1.",
        "[IPv6:::1]",
        "::1",
        "[0.0.0.0]",
    ],
)
@pytest.mark.parametrize("command", ["HELO", "EHLO"])
def test_a_stranger_is_not_us(home: Home, helo: str, command: str) -> None:
    home.control(helocheck="own", smtpgreeting="mx.example.test be welcome")
    with Smtp(home, greeted=False, env={"TCPLOCALHOST": "door.example.test"}) as smtp:
        smtp.reply()
        assert recipient(smtp, helo, command) == OURS
        assert f'refused: from <a@client.example.org> to <bob@example.test>: 550 "{OURS[4:]}"' in smtp.log()


def test_and_may_say_anything_else(home: Home) -> None:
    home.control(helocheck="own")
    with Smtp(home) as smtp:
        for helo in ("localhost", "x", "-", "[192.0.2.77]", "mail.example.test.evil.test", "example.test"):
            assert recipient(smtp, helo) == "250 ok", helo


def test_another_name_is_judged_anew(home: Home) -> None:
    home.control(helocheck="own")
    with Smtp(home) as smtp:
        assert recipient(smtp, "mail.example.test") == OURS
        assert recipient(smtp, "client.example.org") == "250 ok"
        assert recipient(smtp, "mail.example.test") == OURS


@pytest.mark.parametrize(
    ("helo", "fine"),
    [
        ("client.example.org", True),
        ("client.example.org.", True),
        ("a_b.example.org", True),
        ("xn--bcher-kva.example", True),
        ("1.2.example", True),
        ("x" * 63 + ".example", True),
        ("[192.0.2.77]", True),
        ("[IPv6:2001:db8::77]", True),
        ("x" * 64 + ".example", False),
        ("host", False),
        ("localhost", False),
        ("192.0.2.77", False),
        ("a.123", False),
        ("a..b", False),
        (".a.b", False),
        ("a.b..", False),
        ("-a.b", False),
        ("a-.b", False),
        ("a b.c", False),
        ("a(b).c", False),
        ("[192.0.2]", False),
        ("[192.0.2.77", False),
        ("b\u00fccher.example", False),
        ("%s%n.x", False),
        ("*.example", False),
    ],
)
def test_a_stranger_says_who_it_is(home: Home, helo: str, fine: bool) -> None:
    home.control(helocheck="syntax")
    with Smtp(home) as smtp:
        assert recipient(smtp, helo) == ("250 ok" if fine else NO_NAME)


def test_and_the_dns_knows_the_name(home: Home, dns: Dns) -> None:
    home.control(helocheck="resolves")
    dns.zone.address("four.example", "198.51.100.1")
    dns.zone.address("six.example", "2001:db8::5")
    dns.zone.mx("mail.example", (10, "four.example"))
    dns.zone.add("alias.example", CNAME, name_bytes("four.example"))
    dns.zone.codes["broken.example"] = SERVFAIL
    dns.zone.raw["nonsense.example"] = b"\x81\x80\x00\x01\x00\x01"
    with Smtp(home) as smtp:
        for helo in ("four.example", "six.example", "mail.example", "[192.0.2.77]", "broken.example"):
            assert recipient(smtp, helo) == "250 ok", helo
        assert recipient(smtp, "nowhere.example") == NOT_IN_DNS
        assert recipient(smtp, "mail.example.test") == OURS
        assert recipient(smtp, "host") == NO_NAME


def test_each_name_is_asked_for_once(home: Home, dns: Dns) -> None:
    home.control(helocheck="resolves")
    dns.zone.address("four.example", "198.51.100.1")
    with Smtp(home) as smtp:
        assert recipient(smtp, "four.example") == "250 ok"
        for _ in range(5):
            assert smtp.command("RCPT TO:<bob@example.test>") == "250 ok"
        assert recipient(smtp, "four.example") == "250 ok"
    assert len(dns.asked) == 1


def test_who_names_no_recipient_costs_no_question(home: Home, dns: Dns) -> None:
    home.control(helocheck="resolves", reversecheck="refuse")
    with Smtp(home) as smtp:
        smtp.ehlo("nowhere.example")
        assert smtp.command("MAIL FROM:<a@b.test>") == "250 ok"
        assert smtp.command("QUIT").startswith("221 ")
    assert dns.asked == []


# The name of an address -----------------------------------------------------------------------


@pytest.mark.parametrize("address", [FOUR, SIX, "::ffff:192.0.2.1"])
def test_an_address_needs_a_name_that_leads_back(home: Home, recorder: Recorder, dns: Dns, address: str) -> None:
    home.control(reversecheck="refuse")
    plain = address.removeprefix("::ffff:")
    named(dns, plain, "other.example", "Host.Example")
    dns.zone.address("other.example", "198.51.100.9", "2001:db8::9")
    dns.zone.address("host.example", "198.51.100.8", FOUR, SIX)
    with Smtp(home, env={"TCPREMOTEIP": address, "TCPREMOTEHOST": "claimed.example"}) as smtp:
        assert smtp.message().startswith("250 ")
    assert b"(host.example [" in recorder.one().message.split(b"\n")[0]


@pytest.mark.parametrize("names", [(), ("other.example",), ("nowhere.example",)])
def test_without_one_it_is_refused(home: Home, dns: Dns, names: tuple[str, ...]) -> None:
    home.control(reversecheck="refuse")
    named(dns, FOUR, *names)
    dns.zone.address("other.example", "198.51.100.9")
    with Smtp(home) as smtp:
        assert recipient(smtp) == NO_REVERSE


def test_or_only_marked(home: Home, recorder: Recorder, dns: Dns) -> None:
    home.control(reversecheck="mark")
    with Smtp(home, env={"TCPREMOTEHOST": "claimed.example"}) as smtp:
        assert smtp.message().startswith("250 ")
    assert b"(unknown [192.0.2.1])" in recorder.one().message.split(b"\n")[0]


@pytest.mark.parametrize("trouble", ["PTR", "A"])
def test_nobody_suffers_for_a_dns_in_trouble(home: Home, dns: Dns, trouble: str) -> None:
    home.control(reversecheck="refuse")
    named(dns, FOUR, "host.example")
    dns.zone.codes[ip_address(FOUR).reverse_pointer if trouble == "PTR" else "host.example"] = SERVFAIL
    with Smtp(home) as smtp:
        assert recipient(smtp) == "250 ok"


def test_a_dead_resolver_costs_eight_seconds(home: Home, dns: Dns) -> None:
    home.control(reversecheck="refuse", nameservers=f"[127.0.0.1]:{dns.port}\n[127.0.0.1]:{dns.port}\n127.0.0.1")
    dns.zone.silent.add(ip_address(FOUR).reverse_pointer)
    began = time.monotonic()
    with Smtp(home) as smtp:
        assert recipient(smtp) == "250 ok"
        assert 3 < time.monotonic() - began < 9.5
        again = time.monotonic()
        assert recipient(smtp) == "250 ok"
        assert time.monotonic() - again < 2


def test_the_next_resolver_is_asked(home: Home, dns: Dns) -> None:
    home.control(reversecheck="refuse", nameservers=f"[127.0.0.1]:1\n[127.0.0.1]:{dns.port}")
    with Smtp(home) as smtp:
        assert recipient(smtp) == NO_REVERSE


# Who isn't judged -----------------------------------------------------------------------------


@pytest.mark.parametrize("env", [{"RELAYCLIENT": ""}, {"TCPREMOTEIP": "127.0.0.1"}])
def test_relay_networks_and_this_host_are_not_judged(home: Home, dns: Dns, env: dict[str, str]) -> None:
    home.control(helocheck="resolves", reversecheck="refuse")
    with Smtp(home, env=env) as smtp:
        assert recipient(smtp, "mail.example.test") == "250 ok"
    assert dns.asked == []


def test_nor_is_who_has_authenticated(home: Home, dns: Dns) -> None:
    home.control(helocheck="resolves", reversecheck="refuse")
    checker = home.path / "checker"
    checker.write_text(f"#!{sys.executable} -I\nimport os\nos.fdopen(3).read()\n")
    checker.chmod(0o755)
    with Smtp(home, str(checker), env={"TLSFRONT": "stunnel"}) as smtp:
        smtp.ehlo("localhost")
        assert smtp.command("AUTH PLAIN " + base64.b64encode(b"\0alice\0x").decode()).startswith("235 ")
        assert smtp.command("MAIL FROM:<a@b.test>") == "250 ok"
        assert smtp.command("RCPT TO:<bob@else.test>") == "250 ok"
    assert dns.asked == []


@pytest.mark.parametrize(("name", "content"), [("helocheck", "all"), ("reversecheck", ""), ("greetdelay", "31")])
def test_a_word_that_is_none_of_them_is_temporary_trouble(home: Home, name: str, content: str) -> None:
    home.control(**{name: content or "\n"})
    with Smtp(home, greeted=False) as smtp:
        assert smtp.reply() == ["421 unable to read controls (#4.3.0)"]
        assert name in smtp.log()
