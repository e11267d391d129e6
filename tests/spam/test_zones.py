"""What a sender and a reader see of each zone."""

from __future__ import annotations

import base64
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.spam.conftest import Host
from verify.talk import Person, Reply, Site, Smtp, fetch, find

STRANGER = "stranger@example.org"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GREEN = b"X-Spam-Status: No, score="
SHARED = (451, "your host has its share of the spam filter in use, try again later (#4.4.5)")
YELLOW = b"X-Spam-Flag: YES\r\nX-Spam-Status: Yes, score="


def message(marker: str, score: str, head: bytes = b"", body: bytes = b"body\r\n") -> bytes:
    return b"From: a@example.org\r\nSubject: %s score %s\r\n%s\r\n%s" % (marker.encode(), score.encode(), head, body)


def submit(site: Site, person: Person, data: bytes) -> Reply:
    with Smtp(site) as smtp:
        return smtp.submit(STRANGER, [person.address], data)


def told(reply: Reply) -> tuple[int, str]:
    return reply.code, reply.text


def accepted(reply: Reply) -> bool:
    return reply.code == 250 and re.fullmatch(r"ok [0-9]+ qp [0-9]+", reply.text) is not None


@pytest.mark.parametrize("score", ["0", "4.9"])
def test_below_the_threshold_it_is_delivered_with_its_score(
    site: Site, alice: Person, host: Host, marker: str, score: str
) -> None:
    mark = host.now()
    assert accepted(submit(site, alice, message(marker, score)))
    got = fetch(site, alice, marker)
    shown = "0.0" if score == "0" else score
    assert GREEN + shown.encode() + b" required=5.0 " in got
    assert b"X-Spam-Flag" not in got
    assert f"\r\nSubject: {marker} score {score}\r\n".encode() in got
    line = host.log_line(mark, f"score={shown}")
    assert "result=accepted " in line
    assert f"filter=spamzone zone=green score={shown} required=5.0 red=7.0 rules=" in line
    assert f" from=<{STRANGER}> to=<{alice.address}>" in line


@pytest.mark.parametrize("score", ["5.0", "6.9"])
def test_from_the_threshold_on_it_is_delivered_with_a_mark(
    site: Site, alice: Person, host: Host, marker: str, score: str
) -> None:
    mark = host.now()
    assert accepted(submit(site, alice, message(marker, score)))
    got = fetch(site, alice, marker)
    assert b"X-Spam-Flag: YES\r\n" in got
    assert f"X-Spam-Status: Yes, score={score} required=5.0 ".encode() in got
    assert f"\r\nSubject: [SPAM] {marker} score {score}\r\n".encode() in got
    rule = "SITE_" + score.replace(".", "_")
    line = host.log_line(mark, "zone=yellow")
    assert "result=accepted " in line
    assert f"filter=spamzone zone=yellow score={score} required=5.0 red=7.0 rules={rule} " in line


@pytest.mark.parametrize(("score", "shown"), [("7.0", "7.0"), ("99", "99.0")])
def test_from_red_on_it_is_refused_and_nothing_is_queued(
    site: Site, alice: Person, host: Host, marker: str, score: str, shown: str
) -> None:
    mark = host.now()
    reply = submit(site, alice, message(marker, score))
    assert told(reply) == (554, f"spam: score {shown}, refused from 7.0 (#5.7.1)")
    assert host.nothing_queued()
    line = host.log_line(mark, "zone=red")
    assert "result=refused " in line
    assert f"filter=spamzone zone=red score={shown} required=5.0 red=7.0 rules=SITE_" in line
    assert f' from=<{STRANGER}> to=<{alice.address}> reason="spam: score {shown}, refused from 7.0 (#5.7.1)"' in line
    assert find(site, alice, marker) is None


def test_gtube_is_refused(site: Site, alice: Person, marker: str) -> None:
    reply = submit(site, alice, message(marker, "0", body=GTUBE + b"\r\n"))
    assert told(reply) == (554, "spam: score 1000.0, refused from 7.0 (#5.7.1)")


def test_a_session_goes_on_after_a_refusal(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], message(marker, "99")).code == 554
        assert accepted(smtp.submit(STRANGER, [alice.address], message(marker, "0")))
    assert GREEN in fetch(site, alice, marker)


# ---- what a spammer may try ----


@pytest.mark.parametrize(
    "forged",
    [
        b"X-Spam-Status: No, score=-99.0 required=5.0 tests=NONE\r\n",
        b"X-Spam-Flag: NO\r\nX-SPAM-STATUS: No, score=0\r\n",
        b"X-Spam-Status:\r\n No, score=-99.0\r\n required=5.0\r\n",
        b"X-Spam-Status : No, score=-99.0 required=5.0\r\n",
        b"X-Spam-Checker-Version: SpamAssassin 4.0.1\r\nX-Spam-Level: \r\n",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_verdict_that_comes_along_is_worth_nothing(
    site: Site, alice: Person, marker: str, forged: bytes, first: bool
) -> None:
    red = message(marker, "7.0")
    assert (
        submit(site, alice, forged + red if first else red.replace(b"\r\n\r\n", b"\r\n" + forged + b"\r\n", 1)).code
        == 554
    )


def test_a_false_alarm_that_comes_along_goes(site: Site, alice: Person, marker: str) -> None:
    forged = b"X-Spam-Flag: YES\r\nX-Spam-Status: Yes, score=9.0 required=5.0\r\n"
    assert accepted(submit(site, alice, message(marker, "0", head=forged)))
    got = fetch(site, alice, marker)
    assert b"X-Spam-Flag" not in got
    assert b"score=9.0" not in got


@pytest.mark.parametrize(
    "head",
    [
        b"X-A: y" + b"\r\n " + b"\r\n ".join([b"y" * 500] * 200) + b"\r\n",
        b"".join(b"X-A%d: y\r\n" % i for i in range(5000)),
        b"Content-Type: multipart/mixed; boundary=" + b"b" * 2000 + b"\r\n",
        b"Content-Type: text/plain; charset=" + b"\xff" * 100 + b"\r\n",
        b"\xc3\x28: \x80\x81\r\n",
        b"Subject: another score 0\r\n",
        b"X-Nul: a\x00b\r\n",
    ],
    ids=["long field", "many fields", "long boundary", "odd charset", "not UTF-8", "second subject", "NUL"],
)
def test_an_odd_header_hides_nothing(site: Site, alice: Person, marker: str, head: bytes) -> None:
    reply = submit(site, alice, message(marker, "0", head=head, body=GTUBE + b"\r\n"))
    assert (reply.code, reply.text.endswith("refused from 7.0 (#5.7.1)")) == (554, True), reply


def test_a_header_without_a_body(site: Site, alice: Person, marker: str) -> None:
    data = f"From: a@example.org\r\nSubject: {marker} score 99\r\n".encode()
    assert submit(site, alice, data).code == 554


def test_no_header_at_all(site: Site, alice: Person) -> None:
    assert submit(site, alice, b"\r\n" + GTUBE + b"\r\n").code == 554


def test_spam_among_many_parts_is_found(site: Site, alice: Person, marker: str) -> None:
    parts = b"".join(b"--b\r\nContent-Type: text/plain\r\n\r\npart %d\r\n" % i for i in range(300))
    body = parts + b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    body += base64.encodebytes(GTUBE + b"\n").replace(b"\n", b"\r\n") + b"--b--\r\n"
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    assert submit(site, alice, message(marker, "0", head, body)).code == 554


def test_a_sender_can_write_no_word_into_the_log(site: Site, alice: Person, host: Host, marker: str) -> None:
    mark = host.now()
    sender = f'"x> result=accepted zone=green score=0 <{marker}"@example.org'
    with Smtp(site) as smtp:
        smtp.submit(sender, [alice.address], message(marker, "99"))
    for line in host.log_since(mark):
        if marker in line:
            assert " result=accepted" not in line
            assert line.count("zone=") - line.count("\\x20zone=") == 1


# ---- size and bytes ----


LARGE = b"a line of a large message\r\n" * 30000


@pytest.mark.parametrize("body", [GTUBE + b"\r\n" + LARGE, LARGE + GTUBE + b"\r\n"], ids=["beginning", "end"])
def test_of_a_message_above_the_limit_both_ends_are_scanned(
    site: Site, alice: Person, marker: str, body: bytes
) -> None:
    assert submit(site, alice, message(marker, "0", body=body)).code == 554


def test_a_last_part_above_the_limit_is_decoded(site: Site, alice: Person, marker: str) -> None:
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    body = b"--b\r\nContent-Type: text/plain\r\n\r\n" + LARGE
    body += b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    body += base64.encodebytes(LARGE + b"<b>" + GTUBE + b"</b>\n").replace(b"\n", b"\r\n") + b"--b--\r\n"
    assert submit(site, alice, message(marker, "0", head, body)).code == 554


def test_a_message_above_the_limit_is_delivered_whole_and_says_what_was_scanned(
    site: Site, alice: Person, host: Host, marker: str
) -> None:
    mark = host.now()
    body = LARGE + GTUBE + b"\r\n" + LARGE
    forged = b"X-Spam-Status: No, score=-99.0 required=5.0 tests=NONE\r\nX-Spam-Scanned: all\r\n"
    assert accepted(submit(site, alice, message(marker, "5.0", head=forged, body=body)))
    got = fetch(site, alice, marker)
    assert b"score=-99" not in got
    assert YELLOW + b"5.0 " in got
    said = re.findall(rb"X-Spam-Scanned: (.*)\r\n", got)
    assert len(said) == 1
    assert re.fullmatch(rb"512000 of [0-9]{7} bytes, the first and the last", said[0])
    assert f"Subject: [SPAM] {marker} score 5.0\r\n".encode() in got
    assert got.endswith(b"\r\n\r\n" + body)
    assert re.search(r" rules=SITE_5_0 scanned=512000/[0-9]{7} ", host.log_line(mark, "scanned="))


def test_a_large_message_below_the_limit_is_scanned(site: Site, alice: Person, marker: str) -> None:
    body = b"a line of a large message\r\n" * 17000 + GTUBE + b"\r\n"
    assert submit(site, alice, message(marker, "99", body=body)).code == 554
    green = b"a line of a large message\r\n" * 17000
    assert accepted(submit(site, alice, message(marker, "0", body=green)))
    got = fetch(site, alice, marker)
    assert GREEN in got
    assert got.endswith(b"\r\n\r\n" + green)


def test_bytes_of_all_values_pass_unchanged(site: Site, alice: Person, marker: str) -> None:
    body = bytes(value for value in range(256) if value not in b"\r\n\0") * 20 + b"\r\n.\r\n..\r\n"
    assert accepted(submit(site, alice, message(marker, "0", body=body)))
    got = fetch(site, alice, marker)
    assert GREEN in got
    assert got.endswith(b"\r\n\r\n" + body)


def test_ten_thousand_recipients_in_the_header(site: Site, alice: Person, marker: str) -> None:
    head = b"To: " + b",\r\n\t".join(b"recipient-%d@example.org" % i for i in range(10000)) + b"\r\n"
    assert accepted(submit(site, alice, message(marker, "5.0", head=head)))
    got = fetch(site, alice, marker)
    assert YELLOW in got.replace(b"\r\n\t", b" ")
    assert head in got
    assert submit(site, alice, message(marker, "7.0", head=head)).code == 554


# ---- who is exempt ----


def authenticate(smtp: Smtp, person: Person) -> None:
    smtp.say("EHLO client.example.test")
    secret = base64.b64encode(b"\0".join([b"", person.login.encode(), person.password.encode()])).decode()
    assert smtp.say(f"AUTH PLAIN {secret}").code == 235


@pytest.mark.parametrize("service", ["smtp", "smtps"])
def test_a_user_who_has_authenticated_is_exempt(site: Site, alice: Person, marker: str, service: str) -> None:
    with Smtp(site, service, site.trust() if service == "smtps" else None) as smtp:
        if service == "smtp":
            smtp.say("EHLO client.example.test")
            assert smtp.say("STARTTLS").code == 220
            smtp.start_tls(site.trust(), site.host)
        authenticate(smtp, alice)
        assert accepted(smtp.submit(alice.address, [alice.address], message(marker, "99")))
    got = fetch(site, alice, marker)
    assert b"X-Spam" not in got
    assert got.count(b"X-Test-Filter: authenticated\r\n") == 1


def test_a_stranger_s_mail_goes_through_no_filter_of_the_users(site: Site, alice: Person, marker: str) -> None:
    assert accepted(submit(site, alice, message(marker, "0")))
    got = fetch(site, alice, marker)
    assert GREEN in got
    assert b"X-Test-Filter" not in got


def test_a_stranger_is_not_exempt_for_speaking_tls(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site, "smtps", site.trust()) as smtp:
        assert smtp.submit(STRANGER, [alice.address], message(marker, "99")).code == 554


def test_a_stranger_is_not_exempt_after_a_wrong_password(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site, "smtps", site.trust()) as smtp:
        smtp.say("EHLO client.example.test")
        secret = base64.b64encode(b"\0alice\0wrong").decode()
        assert smtp.say(f"AUTH PLAIN {secret}").code == 535
        assert smtp.submit(STRANGER, [alice.address], message(marker, "99")).code == 554


# ---- many at a time ----


def test_two_sessions_do_not_mix(site: Site, alice: Person, bob: Person, marker: str) -> None:
    start = threading.Barrier(2, timeout=60)

    def session(person: Person, score: str, wanted: int) -> list[int]:
        start.wait()
        return [submit(site, person, message(f"{marker}-{score}", score)).code - wanted for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        red = pool.submit(session, alice, "7.0", 554)
        green = pool.submit(session, bob, "4.9", 250)
        assert red.result() == green.result() == [0] * 10
    assert find(site, alice, marker) is None
    for _ in range(10):
        got = fetch(site, bob, marker)
        assert b"score=4.9 " in got
        assert b"X-Spam-Flag" not in got


def test_a_hundred_sessions_at_once_all_end_well(site: Site, alice: Person, host: Host, marker: str) -> None:
    spamd = host("cat /run/spamd/spamd.pid").strip()
    assert "--max-children=5" in host(f"tr '\\0' ' ' </proc/{spamd}/cmdline").split()
    start = threading.Barrier(100, timeout=60)
    scores = ["4.9", "5.0", "7.0", "99"]

    def session(number: int) -> tuple[str, Reply]:
        score = scores[number % 4]
        with Smtp(site) as smtp:
            smtp.socket.settimeout(120)
            smtp.envelope(STRANGER, alice.address)
            start.wait()
            smtp.send(message(f"{marker}-{number}", score) + b".\r\n")
            return score, smtp.reply()

    with ThreadPoolExecutor(100) as pool:
        sessions = [pool.submit(session, number) for number in range(100)]
        children = [0]
        while not all(one.done() for one in sessions):
            children.append(int(host(f"ps --ppid {spamd} -o stat= | grep -vc Z || :")))
        ended = [one.result() for one in sessions]
    assert 1 <= max(children) <= 5
    # One client: what has not had its turn in time is to be sent again.
    wanted = {score: (554, f"spam: score {float(score)}, refused from 7.0 (#5.7.1)") for score in ("7.0", "99")}
    told_now = [(score, reply) for score, reply in ended if told(reply) != SHARED]
    assert len(told_now) > 20
    assert [told(reply) for score, reply in told_now if score in wanted and told(reply) != wanted[score]] == []
    passed = [score for score, reply in told_now if score not in wanted]
    assert [told(reply) for score, reply in told_now if score not in wanted and not accepted(reply)] == []
    delivered = [fetch(site, alice, marker) for _ in passed]
    assert sum(b"X-Spam-Flag: YES" in got for got in delivered) == passed.count("5.0")
    assert find(site, alice, marker) is None
    assert int(host("pgrep -c -f '[h]i-q[.]py' || :")) == 0
