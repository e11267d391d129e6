"""Mail that was accepted arrives: once, whole, and with the trace of its way."""

import re
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from verify.talk import (
    CLIENT,
    STRANGER,
    Person,
    Pop3,
    Site,
    Smtp,
    collect,
    fetch,
    find,
    is_same,
    ordinary,
    wait_for,
    without_trace,
)  # fmt: skip

pytestmark = pytest.mark.sends

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
MIME = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_.b\"\r\n\r\npreamble\r\n--=_.b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\xe2\x82\xac\r\n"
    b"--=_.b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n"
    b"--=_.b--\r\nepilogue\r\n"
)  # fmt: skip

# Each is sent to the first user, and must be fetched byte for byte as it was sent.
CONTENTS = {
    "all that has ever been changed on the way": AWKWARD,
    "an empty body": b"Subject: empty\r\n\r\n",
    "a header and no empty line": b"Subject: no body\r\n",
    "no header at all": b"\r\njust text\r\n",
    "a body that looks like no header": b"this is not a header\r\nnor this\r\n",
    "MIME with parts": MIME,
    "bytes of 8 bits in the header": b"Subject: \xe4\xf6\xfc \xe2\x82\xac\r\n\r\nx\r\n",
    "every byte but NUL, CR and LF": b"\r\n" + bytes(sorted(set(range(1, 256)) - {10, 13})) + b"\r\n",
    "nothing but dots": b"Subject: dots\r\n\r\n" + b".\r\n" * 1000,
    "lines of one, two and three dots": b"\r\n.\r\n..\r\n...\r\n.a\r\n..a\r\n",
    "a dot as the last line": b"\r\nlast\r\n.\r\n",
    "a line of 998 bytes": b"\r\n" + b"x" * 998 + b"\r\n",
    "a line of 998 dots": b"\r\n" + b"." * 998 + b"\r\n",
    "a header field of 50 folded lines": b"X-Long: a\r\n"
    + b"\t"
    + b"\r\n\t".join([b"y" * 900] * 50)
    + b"\r\n\r\nx\r\n",
    "two thousand header fields": b"X-Field: value\r\n" * 2000 + b"\r\nx\r\n",
    "empty lines at the end": b"\r\nx\r\n\r\n\r\n\r\n",
    "blanks at the ends of lines": b"X: y  \r\n\r\na \r\nb\t\r\n \r\n",
    "From at the beginning of lines": b"\r\nFrom a\r\n>From b\r\n>>From c\r\n",
    "SMTP commands": b"\r\nRSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n",
    "POP3's end of a message": b"\r\na\r\n.\r\n+OK\r\n..\r\n-ERR\r\n",
    "thirty Received fields": b"Received: from a by b\r\n" * 30 + b"\r\nx\r\n",
    "somebody else's Delivered-To": b"Delivered-To: somebody@example.com\r\n\r\nx\r\n",
    "somebody else's Return-Path": b"Return-Path: <somebody@example.com>\r\n\r\nx\r\n",
    "a Bcc field": b"Bcc: somebody@example.com\r\n\r\nx\r\n",
    "no To, no From": b"X: y\r\n\r\nx\r\n",
}

# What no RFC lets a message have, and a site that signs its users' messages may mend before it does. A stranger's it
# leaves as it is.
UNRULY = {
    "a NUL": b"Subject: nul\r\n\r\na\0b\r\n",
    "a line of 10000 bytes": b"\r\n" + b"x" * 10_000 + b"\r\n",
    "a header line of 20000 bytes": b"X-Long: " + b"y" * 20_000 + b"\r\n\r\nx\r\n",
}
COMPLETE = f"From: Some Body <{STRANGER}>\r\nTo: <postmaster@{CLIENT}>\r\n".encode()

# The envelope's sender is kept as it was said.
SENDERS = {
    "an ordinary one": "somebody@example.org",
    "none": "",
    "capitals": "SomeBody@Example.ORG",
    "a plus and an equals sign": "list+owner=example.com@example.org",
    "no domain below": "somebody@localhost",
    "an apostrophe": "o'neill@example.org",
    "a long local part": "l" * 64 + "@example.org",
    "no domain": "somebody",
}


# What a site adds to its own users' messages where it lacks (RFC 6409, section 8), every message has.
SENT = formatdate()


def message(marker: str, rest: bytes = AWKWARD) -> bytes:
    """Give a message that can be found again."""
    return f"Message-ID: <{marker}@{CLIENT}>\r\nDate: {SENT}\r\n".encode() + rest


def head(text: bytes) -> str:
    """Give a message's header, unfolded."""
    return re.sub(r"\r\n[ \t]+", " ", text.split(b"\r\n\r\n")[0].decode("utf-8", "replace"))


def new_marker() -> str:
    """Give a word that no other message has."""
    return f"marker-{secrets.token_hex(8)}"


# The tables above are sent together, and then looked for together: one wait for all of them.


def _send_all(
    site: Site, requests: dict[str, Callable[[Smtp, str, str], int]], session: Callable[[Site], Smtp]
) -> dict[str, tuple[str, int, list[bytes]]]:
    person = site.people[0]
    markers = {name: new_marker() for name in requests}
    codes = {}
    for name, send in requests.items():
        with session(site) as smtp:
            codes[name] = send(smtp, person.address, markers[name])
    found = collect(site, person, [markers[name] for name, code in codes.items() if code == 250], 60)
    return {name: (marker, codes[name], found.get(marker, [])) for name, marker in markers.items()}


Sent = dict[str, tuple[str, int, list[bytes]]]


@pytest.fixture(scope="module")
def contents(site: Site) -> Sent:
    """Send each of CONTENTS and UNRULY; give its marker, the answer to it, and what was fetched."""
    if not site.people:
        pytest.skip("no user was given")

    def sender(body: bytes) -> Callable[[Smtp, str, str], int]:
        return lambda smtp, to, marker: smtp.submit(smtp.author, [to], message(marker, body)).code

    users = _send_all(site, {name: sender(body) for name, body in CONTENTS.items()}, Smtp.unfiltered)
    return users | _send_all(site, {name: sender(COMPLETE + body) for name, body in UNRULY.items()}, Smtp)


@pytest.fixture(scope="module")
def senders(site: Site) -> Sent:
    """Send a message from each of SENDERS; give its marker, the answer to it, and what was fetched."""
    if not site.people:
        pytest.skip("no user was given")

    def sender(address: str) -> Callable[[Smtp, str, str], int]:
        return lambda smtp, to, marker: smtp.submit(address, [to], ordinary(marker)).code

    return _send_all(site, {name: sender(address) for name, address in SENDERS.items()}, Smtp)


@pytest.mark.parametrize("name", CONTENTS | UNRULY)
def test_a_message_with_this_is_fetched_as_it_was_sent(contents: Sent, name: str) -> None:
    marker, code, fetched = contents[name]
    sent = message(marker, COMPLETE + UNRULY[name] if name in UNRULY else CONTENTS[name])
    assert code == 250
    assert len(fetched) == 1
    assert fetched[0].endswith(sent)
    assert without_trace(fetched[0]) == sent


@pytest.mark.parametrize("name", SENDERS)
def test_the_return_path_is_the_sender_who_was_said(senders: Sent, name: str) -> None:
    _, code, fetched = senders[name]
    assert code == 250
    first = fetched[0].split(b"\r\n")[0].decode()
    expected = SENDERS[name]
    if "@" in expected or not expected:
        assert first == f"Return-Path: <{expected}>"
    else:
        assert first.startswith(f"Return-Path: <{expected}")  # a domain may have been added


@pytest.mark.essential
def test_swaks_delivers_to_a_mailbox(site: Site, alice: Person, marker: str) -> None:
    command = ["swaks", "--server", site.address, "--port", str(site.ports["smtp"]), "--helo", CLIENT]
    words = ["--from", STRANGER, "--to", alice.address, "--header", f"Subject: {marker}", "--body", "by swaks"]
    try:
        result = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("swaks is not installed here")
    assert result.returncode == 0, result.stdout
    assert b"by swaks" in fetch(site, alice, marker)


def test_a_message_is_fetched_by_curl_byte_for_byte_as_it_was_sent(
    site: Site, alice: Person, marker: str, tmp_path: Path
) -> None:
    if not site.has("pop3s"):
        pytest.skip("this site has no pop3s")
    sent = message(marker)
    with Smtp.unfiltered(site) as smtp:
        assert smtp.submit(smtp.author, [alice.address], sent).code == 250
    config = tmp_path / "curl.conf"
    name, port = site.name("pop3s"), site.ports["pop3s"]
    config.touch(0o600)

    def curl(path: str) -> bytes:
        lines = [f'url = "pop3s://{name}:{port}/{path}"', f'user = "{alice.login}:{alice.password}"']
        lines.append(f'resolve = "{name}:{port}:{site.address}"')
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


# The trace


@pytest.mark.essential
def test_the_trace_tells_the_envelope_and_the_client(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], ordinary(marker)).code == 250
    header = fetch(site, alice, marker).split(b"\r\n\r\n")[0].decode("utf-8", "replace")
    assert header.startswith(f"Return-Path: <{STRANGER}>\r\n")
    delivered_to = re.search(r"^Delivered-To: (.*)$", header, re.MULTILINE)
    assert delivered_to
    assert delivered_to[1].strip().endswith(alice.address)
    assert CLIENT in header.split("\r\nMessage-ID:")[0]


def received(site: Site, person: Person, smtp: Smtp, marker: str, greeting: str = f"EHLO {CLIENT}") -> str:
    """Send a message in a session; give the Received field that names the client."""
    assert smtp.say(greeting).code == 250
    assert smtp.mail(smtp.author, person.address).code == 250
    assert smtp.say("DATA").code == 354
    smtp.send(ordinary(marker, author=smtp.author) + b".\r\n")
    assert smtp.reply().code == 250
    fields = [line for line in head(fetch(site, person, marker)).split("\r\n") if line.startswith("Received: from ")]
    assert fields
    return fields[0]


def test_received_says_who_came_from_where_to_whom_and_when(site: Site, alice: Person, marker: str) -> None:
    """RFC 5321 section 4.4, in its own form or in the classic one, which some filters misread."""
    with Smtp(site) as smtp:
        address = smtp.socket.getsockname()[0]
        field = received(site, alice, smtp, marker)
    date = r"\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d [-+]\d{4}"
    name, ip = re.escape(CLIENT), re.escape(address)
    client = rf"(?:{name} \(\S+ \[(?:IPv6:)?{ip}\]\)|\S+ \(HELO {name}\) \({ip}\))"
    match = re.fullmatch(rf"Received: from {client} by (\S+) with E?SMTP( \([^()]*\))*; {date}", field)
    assert match, field
    assert match[1] == site.host


@pytest.mark.beyond_classic
@pytest.mark.parametrize(("command", "protocol"), [("HELO", "SMTP"), ("EHLO", "ESMTP")])
def test_received_tells_helo_from_ehlo(site: Site, alice: Person, marker: str, command: str, protocol: str) -> None:
    with Smtp(site) as smtp:
        assert re.search(f" with {protocol}[ ;]", received(site, alice, smtp, marker, f"{command} {CLIENT}"))


@pytest.mark.beyond_classic
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLSv1.2", "TLSv1.3"])
def test_received_says_esmtps_behind_starttls_and_names_protocol_and_cipher(
    site: Site, alice: Person, marker: str, version: ssl.TLSVersion
) -> None:
    tls = site.trust()
    tls.minimum_version = tls.maximum_version = version
    with Smtp.through(site, "starttls", tls) as smtp:
        assert isinstance(smtp.socket, ssl.SSLSocket)
        cipher = smtp.socket.cipher()
        protocol = smtp.socket.version()
        field = received(site, alice, smtp, marker)
    assert cipher
    assert f" with ESMTPS ({protocol} {cipher[0]})" in field


@pytest.mark.beyond_classic
def test_received_says_esmtps_on_465(site: Site, alice: Person, marker: str) -> None:
    with Smtp.through(site, "smtps") as smtp:
        assert re.search(r" with ESMTPS( \([^()]*\))*;", received(site, alice, smtp, marker))


@pytest.mark.beyond_classic
def test_received_says_esmtpsa_after_the_login_and_names_user_and_address_or_neither(
    site: Site, door: str, alice: Person, bob: Person, marker: str
) -> None:
    """RFC 6409 section 8 lets a site keep its users' addresses to itself, and then their names as well."""
    with Smtp.through(site, door) as smtp:
        address = smtp.socket.getsockname()[0]
        smtp.log_in(alice)
        field = received(site, bob, smtp, marker)
    assert re.search(r" with ESMTPSA( \([^()]*\))*;", field), field
    user = f"({alice.login}@" in field or f" (authenticated as {alice.login})" in field
    assert user == bool(re.search(rf"[(\[:]{re.escape(address)}[)\]]", field)), field


@pytest.mark.parametrize("name", ["a(b)c", "a<b>c", 'a"b', "a;b", "a\\b"])
def test_received_is_not_forged_by_the_greeting(site: Site, alice: Person, marker: str, name: str) -> None:
    with Smtp(site) as smtp:
        if smtp.say(f"EHLO {name}").code != 250:
            return
        field = received(site, alice, smtp, marker, f"EHLO {name}")
    assert name not in field
    assert re.match(r"Received: from \S+ (?:\(HELO \S+\) \(\S+\)|\(\S+ \[\S+\]\)) by ", field), field


# Who gets it


@pytest.mark.essential
@pytest.mark.beyond_classic
def test_a_user_who_logged_in_writes_to_a_mailbox(site: Site, door: str, alice: Person, marker: str) -> None:
    with Smtp.through(site, door) as smtp:
        smtp.log_in(alice)
        smtp.say("RSET")
        assert smtp.mail(alice.address, alice.address).code == 250
        assert smtp.say("DATA").code == 354
        smtp.send(f"Subject: {marker}\r\n\r\nby {door}\r\n.\r\n".encode())
        assert smtp.reply().code == 250
    assert f"by {door}".encode() in fetch(site, alice, marker)


def test_two_recipients_get_a_copy_each(site: Site, alice: Person, bob: Person, marker: str) -> None:
    with Smtp.unfiltered(site) as smtp:
        assert smtp.submit(smtp.author, [alice.address, bob.address], message(marker)).code == 250
    copies = [without_trace(fetch(site, person, marker)) for person in (alice, bob)]
    assert copies[0] == copies[1]
    assert is_same(copies[0], message(marker))


def test_two_messages_in_one_session_both_arrive(site: Site, alice: Person) -> None:
    markers = [new_marker(), new_marker()]
    with Smtp(site) as smtp:
        for marker in markers:
            assert smtp.submit(STRANGER, [alice.address], ordinary(marker)).code == 250
    assert [len(found) for found in collect(site, alice, markers).values()] == [1, 1]


def test_a_recipient_forgotten_by_rset_gets_nothing(site: Site, alice: Person, bob: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER, bob.address).code == 250
        smtp.say("RSET")
        assert smtp.submit(STRANGER, [alice.address], ordinary(marker)).code == 250
    fetch(site, alice, marker)
    assert find(site, bob, marker) is None


@pytest.mark.parametrize("office", ["postmaster@{domain}", "postmaster", "abuse@{domain}", "PostMaster@{domain}"])
def test_the_offices_are_somebodys(site: Site, marker: str, office: str) -> None:
    if len(site.people) < 2:
        pytest.skip("whose the offices are is not known")
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [office.format(domain=site.domain)], ordinary(marker)).code == 250

    def look() -> bytes | None:
        return next((m for m in (find(site, person, marker) for person in site.people) if m), None)

    wait_for(f"the message for {office}", look)


def test_a_users_aliases_all_lead_to_the_mailbox(site: Site, alice: Person) -> None:
    if not alice.aliases:
        pytest.skip("no alias of this user is known (users[0].aliases)")
    markers = {alias: new_marker() for alias in alice.aliases}
    for alias, marker in markers.items():
        with Smtp(site) as smtp:
            assert smtp.submit(STRANGER, [alias], ordinary(marker)).code == 250
    found = collect(site, alice, list(markers.values()))
    assert [alias for alias, marker in markers.items() if not found[marker]] == []


def test_an_alias_with_a_dot_leads_to_the_mailbox(site: Site, alice: Person, marker: str) -> None:
    dotted = [alias for alias in alice.aliases if "." in alias.split("@")[0]]
    if not dotted:
        pytest.skip("no alias with a dot is known (users[0].aliases)")
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [dotted[0].upper()], ordinary(marker)).code == 250
    assert fetch(site, alice, marker)


def test_mail_for_nobody_is_refused_or_comes_back(site: Site, alice: Person, marker: str) -> None:
    nobody = f"nobody-{marker}@{site.domain}"
    with Smtp(site) as smtp:
        smtp.ehlo()
        if smtp.mail(alice.address, nobody).code >= 500:
            return
        assert smtp.say("DATA").code == 354
        smtp.send(ordinary(marker) + b".\r\n")
        assert smtp.reply().code == 250
    bounce = fetch(site, alice, marker)
    assert bounce.startswith(b"Return-Path: <>\r\n")
    assert nobody.encode() in bounce


# Loops and bounces


@pytest.fixture(scope="module")
def bounce(site: Site) -> tuple[str, bytes]:
    """Have a message bounce: from the second user to the first, and it says that it was there before."""
    if len(site.people) < 2:
        pytest.skip("this needs two of the site's users")
    alice, bob = site.people[:2]
    first, second = new_marker(), new_marker()
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], ordinary(first)).code == 250
    delivered_to = re.search(r"^Delivered-To: *(.*?)\r?$", head(fetch(site, alice, first)), re.MULTILINE)
    assert delivered_to
    looping = f"Delivered-To: {delivered_to[1]}\r\n".encode() + ordinary(second, "round and round\r\n", bob.address)
    # A user's own message is taken, and comes back to the user; see below for a stranger's.
    with Smtp.through(site, "smtps") if site.has("smtps") else Smtp(site) as smtp:
        if "AUTH" in smtp.ehlo():
            smtp.log_in(bob)
        assert smtp.submit(bob.address, [alice.address], looping).code == 250
    text = fetch(site, bob, second)
    assert find(site, alice, second) is None, "the looping message was delivered as well"
    return second, text


@pytest.mark.beyond_classic
@pytest.mark.sends
def test_a_strangers_message_that_was_here_before_is_refused_and_not_bounced(site: Site, alice: Person) -> None:
    """Whoever forged the sender would have the site send the message to somebody else."""
    first = new_marker()
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], ordinary(first)).code == 250
    delivered_to = re.search(r"^Delivered-To: *(.*?)\r?$", head(fetch(site, alice, first)), re.MULTILINE)
    assert delivered_to
    for address in (delivered_to[1], delivered_to[1].upper()):
        looping = f"Delivered-To: {address}\r\n".encode() + ordinary(new_marker())
        with Smtp(site) as smtp:
            assert smtp.submit(STRANGER, [alice.address], looping).code == 554


def test_a_message_that_was_here_before_is_not_delivered_again_but_comes_back(bounce: tuple[str, bytes]) -> None:
    assert b"loop" in bounce[1].lower()


def test_a_bounce_has_the_null_sender(bounce: tuple[str, bytes]) -> None:
    assert bounce[1].startswith(b"Return-Path: <>\r\n")


def test_a_bounce_is_addressed_to_the_sender_and_comes_from_the_mailer_daemon(
    site: Site, bob: Person, bounce: tuple[str, bytes]
) -> None:
    header = head(bounce[1])
    assert re.search(rf"^To: <?{re.escape(bob.address)}>?\r?$", header, re.MULTILINE)
    assert re.search(r"^From: .*MAILER-DAEMON@", header, re.MULTILINE)
    assert re.search(r"^Subject: failure notice\r?$", header, re.MULTILINE)


def test_a_bounce_names_the_recipient_and_the_cause_in_the_qsbmf_form(alice: Person, bounce: tuple[str, bytes]) -> None:
    """QSBMF: a paragraph "Hi. This is the", one a recipient, a line of dashes, the message."""
    body = bounce[1].split(b"\r\n\r\n", 1)[1].decode("utf-8", "replace")
    paragraphs = body.split("\r\n\r\n")
    assert paragraphs[0].startswith("Hi. This is the")
    assert re.match(rf"<{re.escape(alice.address)}>:\r\n\S", paragraphs[1])


def test_a_bounce_has_the_message_at_its_end(bounce: tuple[str, bytes]) -> None:
    marker, text = bounce
    body = text.split(b"\r\n--- ", 1)[1]
    assert f"Subject: About {marker}\r\n".encode() in body
    assert b"\r\n\r\nround and round\r\n" in body


# What must not arrive


def test_a_message_that_breaks_off_is_never_delivered(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        smtp.envelope(STRANGER, alice.address)
        smtp.send(message(marker, b"Subject: cut\r\n\r\nthis is the end of\r\n"))
    time.sleep(2)
    assert find(site, alice, marker) is None


# Load


@pytest.mark.taxing
def test_a_message_of_four_megabytes_arrives_whole(site: Site, alice: Person, marker: str) -> None:
    body = b"Subject: big\r\n\r\n" + (b"0123456789abcdef" * 4 + b"\r\n") * 60_000
    with Smtp.unfiltered(site) as smtp:
        most = int(smtp.ehlo().get("SIZE") or 0)
        if most and most < len(body) + 1000:
            pytest.skip(f"this site takes {most} bytes at most")
        smtp.say("RSET")
        assert smtp.submit(smtp.author, [alice.address], message(marker, body)).code == 250
    assert is_same(without_trace(fetch(site, alice, marker)), message(marker, body))


@pytest.mark.taxing
def test_fifty_messages_at_once_all_arrive_once(site: Site, bob: Person, marker: str) -> None:
    sessions = [Smtp(site) for _ in range(10)]
    for round_number in range(5):
        for index, smtp in enumerate(sessions):
            text = ordinary(f"{marker}-{round_number}{index}", f"{marker} {round_number}-{index}.\r\n")
            assert smtp.submit(STRANGER, [bob.address], text).code == 250
    for smtp in sessions:
        smtp.close()
    expected = {f"{round_number}-{index}" for round_number in range(5) for index in range(10)}
    arrived: list[str] = []

    def look() -> bytes | None:
        with Pop3(site).login(bob) as pop:
            for number in pop.newest():
                found = re.search(rf"{marker} (\d-\d)\.".encode(), pop.message(number))
                if found:
                    arrived.append(found[1].decode())
                    pop.ok(f"DELE {number}")
            pop.ok("QUIT")
        return b"all" if len(arrived) >= len(expected) else None

    wait_for("all of the messages", look, 60)
    assert sorted(arrived) == sorted(expected)
