"""Mail that was accepted arrives: once, whole, and with the trace of its way."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.talk import Person, Pop3, Site, Smtp, fetch, find, wait_for, without_trace

STRANGER = "stranger@example.org"

# What programs on the way have been known to change: dots, blanks at the end of lines, tabs, bytes of 8 bits, long
# lines, "From " at the beginning of a line, empty lines at the end, a header that looks like a trace header.
AWKWARD = (
    b"Subject: awkward\r\nX-Blank:  two  \r\nX-Folded: a\r\n\tb\r\n \r\nX-Empty:\r\n\r\n"
    b".\r\n..\r\n. \r\n.dot\r\nFrom somebody\r\n>From somebody\r\n\ttab \t\r\n"
    + bytes(range(0x80, 0x100))
    + b"\x01\x02\x1b\x7f\r\n"
    + b"long " * 190
    + b"\r\nReceived: no\r\n\r\n\r\nlast \r\n\r\n"
)


def message(marker: str, rest: bytes = AWKWARD) -> bytes:
    """Give a message that can be found again."""
    return f"Message-ID: <{marker}@client.example.test>\r\n".encode() + rest


def test_swaks_delivers_to_a_mailbox(site: Site, alice: Person, marker: str) -> None:
    command = ["swaks", "--server", site.address, "--port", str(site.ports["smtp"]), "--helo", "client.example.test"]
    words = ["--from", STRANGER, "--to", alice.address, "--header", f"Subject: {marker}", "--body", "by swaks"]
    result = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout
    assert b"by swaks" in fetch(site, alice, marker)


def test_a_message_is_fetched_by_curl_byte_for_byte_as_it_was_sent(
    site: Site, alice: Person, marker: str, tmp_path: Path
) -> None:
    sent = message(marker)
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], sent).code == 250
    config = tmp_path / "curl.conf"
    port = site.ports["pop3s"]
    config.touch(0o600)

    def curl(path: str) -> bytes:
        lines = [f'url = "pop3s://{site.host}:{port}/{path}"', f'user = "{alice.login}:{alice.password}"']
        lines.append(f'resolve = "{site.host}:{port}:{site.address}"')
        if site.ca_file:
            lines.append(f'cacert = "{site.ca_file}"')
        config.write_text("\n".join(lines))
        command = ["curl", "--silent", "--show-error", "--max-time", "20", "--config", str(config)]
        return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout

    def look() -> bytes | None:
        numbers = [line.split()[0].decode() for line in curl("").splitlines() if line.strip()]
        found = (curl(number) for number in reversed(numbers))
        return next((text for text in found if marker.encode() in text), None)

    fetched = wait_for("the message", look)
    find(site, alice, marker)
    assert without_trace(fetched) == sent


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty body", b"Subject: empty\r\n\r\n"),
        ("no header at all", b"\r\njust text\r\n"),
        ("one line of 100000 bytes", b"Subject: long\r\n\r\n" + b"x" * 100_000 + b"\r\n"),
        ("a megabyte", b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 4 * 16384 + b"\r\n"),
        ("nothing but dots", b"Subject: dots\r\n\r\n" + b".\r\n" * 1000),
    ],
)
def test_what_is_fetched_is_what_was_sent(site: Site, alice: Person, marker: str, name: str, body: bytes) -> None:
    sent = message(marker, body)
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], sent).code == 250
    assert without_trace(fetch(site, alice, marker)) == sent, name


def test_the_trace_tells_the_envelope_and_the_client(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], message(marker)).code == 250
    head = fetch(site, alice, marker).split(b"\r\n\r\n")[0].decode("utf-8", "replace")
    assert head.startswith(f"Return-Path: <{STRANGER}>\r\n")
    delivered_to = re.search(r"^Delivered-To: (.*)$", head, re.MULTILINE)
    assert delivered_to
    assert delivered_to[1].strip().endswith(alice.address)
    assert "client.example.test" in head.split("\r\nMessage-ID:")[0]


def test_two_recipients_get_a_copy_each(site: Site, alice: Person, bob: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address, bob.address], message(marker)).code == 250
    assert without_trace(fetch(site, alice, marker)) == without_trace(fetch(site, bob, marker)) == message(marker)


def test_the_postmaster_is_reached(site: Site, marker: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [f"postmaster@{site.domain}"], message(marker)).code == 250

    def look() -> bytes | None:
        return next((m for m in (find(site, person, marker) for person in site.people) if m), None)

    wait_for("the postmaster's message", look)


def test_mail_for_nobody_is_refused_or_comes_back(site: Site, alice: Person, marker: str) -> None:
    nobody = f"nobody-{marker}@{site.domain}"
    with Smtp(site) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say(f"MAIL FROM:<{alice.address}>")
        if smtp.say(f"RCPT TO:<{nobody}>").code >= 500:
            return
        assert smtp.say("DATA").code == 354
        smtp.send(message(marker) + b".\r\n")
        assert smtp.reply().code == 250
    bounce = fetch(site, alice, marker)
    assert bounce.startswith(b"Return-Path: <>\r\n")
    assert nobody.encode() in bounce


def test_a_message_that_breaks_off_is_never_delivered(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(message(marker, b"Subject: cut\r\n\r\nthis is the end of\r\n"))
    time.sleep(2)
    assert find(site, alice, marker) is None


def test_fifty_messages_at_once_all_arrive_once(site: Site, bob: Person, marker: str) -> None:
    sessions = [Smtp(site) for _ in range(10)]
    for round_number in range(5):
        for index, smtp in enumerate(sessions):
            body = f"Subject: many\r\n\r\n{marker} {round_number}-{index}.\r\n".encode()
            assert smtp.submit(STRANGER, [bob.address], body).code == 250
    for smtp in sessions:
        smtp.close()
    expected = {f"{round_number}-{index}" for round_number in range(5) for index in range(10)}
    arrived: list[str] = []

    def look() -> bytes | None:
        with Pop3(site).login(bob) as pop:
            for number in pop.numbers():
                found = re.search(rf"{marker} (\d-\d)\.".encode(), pop.message(number))
                if found:
                    arrived.append(found[1].decode())
                    pop.ok(f"DELE {number}")
            pop.ok("QUIT")
        return b"all" if len(arrived) >= len(expected) else None

    wait_for("all of the messages", look, 60)
    assert sorted(arrived) == sorted(expected)
