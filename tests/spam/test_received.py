"""What SpamAssassin's own parser reads out of each form of Received that qmail-smtpd writes."""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.spam.conftest import Host
from tests.spam.test_zones import message
from verify.talk import Person, Site, Smtp, fetch, plain

RELAYS = Path(__file__).with_name("relays.pl")
FOUR, SIX, MAPPED = "198.51.100.7", "2001:db8:0:1::a", "::ffff:198.51.100.7"
SENDER = "stranger@sender.example"
OUR_NAME = "mail.example.test"
PLACE = "/run/received-test"
KEEP = f"#!/bin/sh\ncat >>{PLACE}/messages\nprintf '\\0' >>{PLACE}/messages\ncat <&1 >/dev/null\n"
CHECKER = "#!/bin/sh\ncat <&3 >/dev/null\n"
# Names that the client's DNS may have, and what is to be read of each.
NAMES = {
    "": "",
    "host.client.example": "host.client.example",
    "HELO": "helo",
    "Exim.example": "exim.example",
    "envelope-from": "envelope?from",
    "return-path": "return?path",
}
TLS, LOG_IN = {"TLSFRONT": "stunnel"}, {"TLSFRONT": "stunnel", "LOG_IN": "alice@example.test"}

HOSTILE = [
    "[127.0.0.1]",
    "[8.8.8.8]",
    "[IPv6:::1]",
    "[IPv6:2001:db8::53]",
    "8.8.8.8",
    "127.0.0.1",
    "::1",
    "[8.8.8.8",
    "8.8.8.8]",
    "[8.8.8.8]:25",
    "x[8.8.8.8]",
    "[8.8.8.8][127.0.0.1]",
    "[[8.8.8.8]]",
    "x) (host [8.8.8.8])",
    "x (host [8.8.8.8]) by mail.example.test with ESMTPA",
    "x (trusted.example.org [127.0.0.1]) by mail.example.test (Postfix) with ESMTPSA id 1;",
    "x with SMTP",
    "x with local for root",
    "x by y with ESMTPSA (z)",
    "HELO [8.8.8.8]",
    "helo=[8.8.8.8]",
    "helo=trusted.example.org",
    "EHLO",
    "HELO",
    "unknown",
    "localhost",
    "Exim",
    "[8.8.8.8]Exim",
    "trusted.Exim.example.org",
    "SMTPSVC",
    "[XMail",
    "(ecelerity",
    "(Postfix)",
    "(qmail 1 invoked by uid 0)",
    "X-Originating-IP: 8.8.8.8",
    "envelope-from",
    "envelope-from=ceo@bank.example",
    "envelope-from ceo@bank.example",
    "x.envelope-sender",
    "Return-Path:",
    "return-path",
    "authenticated",
    "x authenticated y",
    "trusted.example.org\t(trusted.example.org\t[127.0.0.1])",
    "<unknown>[8.8.8.8]",
    'a"b\\c',
    "a;b; Mon, 1 Jan 2024 00:00:00 +0000",
    "a,b@c",
    "user@[8.8.8.8]",
    "mail pickup service",
    "\xff\xfe[8.8.8.8]\xa0",
    "b\xfccher.test",
    "x" * 255,
    "[" * 100 + "8.8.8.8" + "]" * 100,
    "=?utf-8?q?[8.8.8.8]?=",
    "\x01\x02[8.8.8.8]\x7f",
]


def random_greetings(count: int) -> list[str]:
    """Give names made of the words that a parser of such fields may go by, the same at each run."""
    chosen = random.Random(11)  # noqa: S311 (nothing secret)
    words = [
        "[8.8.8.8]",
        "[127.0.0.1]",
        "8.8.8.8",
        "::1",
        "(",
        ")",
        " by ",
        " with ",
        "ESMTPA",
        "HELO ",
        "helo=",
        "Exim",
    ]
    words += [
        "[",
        "]",
        "@",
        ";",
        " ",
        "\t",
        "<",
        ">",
        "unknown",
        " id 1",
        "envelope-from ",
        "(Postfix)",
        "(qmail-1)",
        "x.test",
    ]
    return ["".join(chosen.choices(words, k=chosen.randint(1, 9))).strip() or "x" for _ in range(count)]


class Writer:
    """The host's own qmail-smtpd, asked in the place of tcpserver."""

    def __init__(self, host: Host) -> None:
        """Put the programs in place that it hands messages and passwords to."""
        self.host = host
        host(f"rm -rf {PLACE}; mkdir {PLACE}")
        for name, text in (("keep", KEEP), ("checker", CHECKER)):
            host(f"cat >{PLACE}/{name} && chmod 755 {PLACE}/{name}", text.encode())

    def fields(self, environment: dict[str, str], greetings: Sequence[str], sender: str = SENDER) -> list[str]:
        """Give the Received field of a message after each greeting (verb and name)."""
        known = {"TCPLOCALHOST": OUR_NAME, "RELAYCLIENT": "", "QMAILQUEUE": f"{PLACE}/keep", **environment}
        user = known.pop("LOG_IN", "")
        lines = []
        if user:
            known["AUTHQMAILQUEUE"] = f"{PLACE}/keep"
            lines = ["EHLO x", f"AUTH PLAIN {plain(user, 'secret')}"]
        for greeting in greetings:
            lines += [
                greeting,
                f"MAIL FROM:<{sender}>",
                "RCPT TO:<alice@example.test>",
                "DATA",
                "Subject: x\r\n\r\nx\r\n.",
            ]
        self.host(f"rm -f {PLACE}/messages")
        words = shlex.join(f"{name}={value}" for name, value in known.items())
        said = self.host(
            f"cd /var/qmail; exec env -i {words} /var/qmail/bin/qmail-smtpd {PLACE}/checker 2>&1",
            "\r\n".join([*lines, "QUIT", ""]).encode("latin-1"),
        )
        assert said.count("250 ok ") >= len(greetings), said
        texts = self.host(f"cat {PLACE}/messages").split("\0")[:-1]
        assert len(texts) == len(greetings), said
        return [text.partition("\nSubject:")[0] for text in texts]


def parse(host: Host, fields: Sequence[str], *options: str) -> list[dict[str, Any]]:
    """Give what SpamAssassin, configured as spamd is, makes of a message with each of these fields."""
    if not options:
        words = host("tr '\\0' '\\n' <\"/proc/$(cat /run/spamd/spamd.pid)/cmdline\"").split("\n")
        named = {"--siteconfigpath": "site_rules_filename", "--configpath": "rules_filename"}
        options = tuple(
            f"{named[name]}={value}" for name, _, value in (word.partition("=") for word in words) if name in named
        )
    assert any("site_rules_filename" in option for option in options)
    host(f"cat >{PLACE}/relays.pl", RELAYS.read_bytes())
    messages = "".join(f"{field}\nSubject: x\n\nx\n\0" for field in fields)
    return [
        json.loads(line)
        for line in host(f"perl {PLACE}/relays.pl {' '.join(options)}", messages.encode("latin-1")).splitlines()
    ]


@pytest.fixture(scope="module")
def writer(host: Host) -> Writer:
    """Give qmail-smtpd in our hands."""
    return Writer(host)


def client(address: str, name: str) -> dict[str, str]:
    return {"TCPREMOTEIP": address} | ({"TCPREMOTEHOST": name} if name else {})


@pytest.mark.parametrize(
    ("verb", "around", "auth"),
    [("HELO", {}, ""), ("EHLO", {}, ""), ("EHLO", TLS, "")],
    ids=["SMTP", "ESMTP", "ESMTPS"],
)
def test_the_client_is_who_it_is_whatever_it_says(writer: Writer, verb: str, around: dict[str, str], auth: str) -> None:
    helos = [*HOSTILE, "host.client.example", "CLIENT.example"]
    cases = [*((FOUR, name) for name in NAMES), (SIX, ""), (SIX, "host.client.example"), (MAPPED, "")]
    written = [
        writer.fields({**client(address, name), **around}, [f"{verb} {helo}" for helo in helos])
        for address, name in cases
    ]
    said = iter(parse(writer.host, [field for fields in written for field in fields]))
    for (address, name), fields in zip(cases, written, strict=True):
        for field, helo in zip(fields, helos, strict=True):
            read = next(said)
            assert read["unparseable"] == 0, field
            (relay,) = read["trusted"] + read["untrusted"]
            assert relay["ip"] == address.removeprefix("::ffff:"), (helo, field, relay)
            assert relay["rdns"] == NAMES[name], (helo, field, relay)
            assert relay["by"] == OUR_NAME, (helo, field, relay)
            assert relay["auth"] == auth, (helo, field, relay)
            assert relay["envfrom"] == SENDER, (helo, field, relay)
            assert relay["helo"] == re.sub(r"[\[\]]", "!", field.split()[2]), (helo, field, relay)
            # Only who has authenticated is trusted.
            assert bool(read["trusted"]) == bool(auth), (helo, field)


@pytest.mark.parametrize(
    "sender", ["Exim@sender.example", "envelope-from=helo=x@sender.example", '"a) by b [8.8.8.8]"@s.test']
)
@pytest.mark.parametrize("ident", ["", "Exim", "x) by y [8.8.8.8] authenticated", "envelope-from"])
def test_neither_sender_nor_ident_says_who_the_client_is(writer: Writer, sender: str, ident: str) -> None:
    environment = client(FOUR, "Exim.example") | {"TCPREMOTEINFO": ident}
    fields = writer.fields(environment, [f"EHLO {helo}" for helo in HOSTILE[::3]], sender)
    for field, said in zip(fields, parse(writer.host, fields), strict=True):
        assert [(relay["ip"], relay["auth"], relay["by"]) for relay in said["untrusted"]] == [(FOUR, "", OUR_NAME)], (
            field
        )
        assert said["untrusted"][0]["envfrom"].endswith(("@sender.example", "@s.test")), field


def test_no_composition_of_a_parser_s_words_changes_the_client(writer: Writer) -> None:
    fields = writer.fields(client(FOUR, ""), [f"EHLO {helo}" for helo in random_greetings(200)])
    for field, said in zip(fields, parse(writer.host, fields), strict=True):
        assert [(relay["ip"], relay["rdns"], relay["auth"]) for relay in said["untrusted"]] == [(FOUR, "", "")], field


@pytest.mark.parametrize("login", ["alice", "alice@example.test", "exim", "a b) by x [8.8.8.8]"])
def test_who_has_authenticated_is_no_relay_whatever_the_name(writer: Writer, login: str) -> None:
    around = {**client(FOUR, "host.client.example"), **LOG_IN, "LOG_IN": login}
    fields = writer.fields(around, [f"EHLO {helo}" for helo in HOSTILE[::3]])
    for field, said in zip(fields, parse(writer.host, fields), strict=True):
        assert (said["unparseable"], said["trusted"], said["untrusted"]) == (0, [], []), field
        assert FOUR not in field


def test_who_may_relay_by_the_network_is_trusted_and_nobody_else(writer: Writer) -> None:
    fields = [*writer.fields(client("127.0.0.1", ""), ["EHLO x"]), *writer.fields(client("10.1.2.3", ""), ["EHLO x"])]
    inside, outside = parse(writer.host, fields)
    assert [relay["ip"] for relay in inside["trusted"]] == ["127.0.0.1"]
    assert [relay["ip"] for relay in outside["untrusted"]] == ["10.1.2.3"]


def test_the_line_of_qmail_queue_is_no_relay(writer: Writer) -> None:
    (field,) = writer.fields(client(FOUR, ""), ["EHLO x"])
    above = "Received: (qmail 123 invoked by uid 64011); 20 Nov 2026 10:00:00 -0000\n"
    (said,) = parse(writer.host, [above + field])
    assert said["unparseable"] == 0
    assert [relay["ip"] for relay in said["untrusted"]] == [FOUR]


@pytest.mark.parametrize("door", ["starttls", "smtps", "submission"])
def test_version_and_cipher_upset_nothing(
    site: Site, alice: Person, bob: Person, writer: Writer, marker: str, door: str
) -> None:
    with Smtp.through(site, door) as smtp:
        address = smtp.socket.getsockname()[0]
        if door == "submission":
            smtp.log_in(alice)
        else:
            assert smtp.say("EHLO [8.8.8.8]").code == 250
        assert smtp.submit(alice.address, [bob.address], message(marker, "0")).code == 250
    text = fetch(site, bob, marker).decode().replace("\r\n", "\n")
    field = re.search(r"^Received: from .*(?:\n[ \t].*)*", text, re.MULTILINE)
    assert field
    (said,) = parse(writer.host, [field[0]])
    found = [(relay["ip"], relay["auth"]) for relay in said["trusted"] + said["untrusted"]]
    assert found == ([] if door == "submission" else [(address, "")])
    assert (said["trusted"], said["unparseable"]) == ([], 0)
