"""spamd down, slow, wrong: each ends in one of the declared results, and never in half a message."""

from __future__ import annotations

import time

import pytest

from tests.spam.conftest import FILTERS, Fake, Host
from tests.spam.test_zones import GREEN, accepted, message, submit, told
from verify.talk import Person, Site, Smtp, fetch, find

LATER = (451, "the spam filter is not available, try again later (#4.3.0)")
UNSCANNED = b"X-Spam-Unscanned: the spam filter was not available\r\n"
MANNERS = [
    "close at once",
    "close while reading",
    "close after reading",
    "hang before reading",
    "hang after reading",
    "garbage",
    "garbage lines",
    "an error",
    "half a header",
    "half a message",
    "less than announced",
    "no verdict",
    "an empty message",
    "a length without end",
    "a negative length",
    "another verdict in the header",
    "no number",
    "without end",
    "a byte a second",
]


def test_mail_is_deferred_while_spamd_is_down(site: Site, alice: Person, no_spamd: Host, marker: str) -> None:
    mark = no_spamd.now()
    assert told(submit(site, alice, message(marker, "0"))) == LATER
    assert no_spamd.nothing_queued()
    assert "result=deferred " in (line := no_spamd.log_line(mark, "zone="))
    assert "filter=spamzone zone=unscanned cause=" in line
    assert find(site, alice, marker) is None


@pytest.mark.usefixtures("no_spamd")
def test_mail_is_accepted_while_spamd_is_down_where_that_is_wanted(
    site: Site, alice: Person, accepting: Host, marker: str
) -> None:
    mark = accepting.now()
    forged = b"X-Spam-Status: No, score=-9.0 required=5.0\r\nX-Spam-Unscanned: no\r\n"
    assert accepted(submit(site, alice, message(marker, "99", head=forged)))
    got = fetch(site, alice, marker)
    assert got.count(b"X-Spam-Unscanned") == 1
    assert UNSCANNED in got
    assert b"X-Spam-Status" not in got
    assert "result=accepted " in (line := accepting.log_line(mark, "zone="))
    assert "filter=spamzone zone=unscanned cause=" in line


@pytest.mark.parametrize("manner", MANNERS)
def test_a_spamd_that_behaves_badly_defers(
    site: Site, alice: Person, fake: Fake, short: Host, marker: str, manner: str
) -> None:
    fake(manner)
    began = time.monotonic()
    assert told(submit(site, alice, message(marker, "0", body=b"a line\r\n" * 2000))) == LATER
    assert time.monotonic() - began < 15
    assert short.nothing_queued()


@pytest.mark.parametrize("manner", ["hang after reading", "half a message", "garbage"])
def test_a_spamd_that_behaves_badly_changes_no_message_that_is_accepted(
    site: Site, alice: Person, fake: Fake, accepting: Host, marker: str, manner: str
) -> None:
    fake(manner)
    body = b"a line\r\n" * 2000
    assert accepted(submit(site, alice, message(marker, "0", body=body)))
    got = fetch(site, alice, marker)
    assert UNSCANNED in got
    assert got.endswith(b"\r\n\r\n" + body)
    assert accepting.nothing_queued()


def test_a_spamd_that_answers_with_another_message_changes_nothing(
    site: Site, alice: Person, fake: Fake, marker: str
) -> None:
    fake("another message")
    sent = message(marker, "0")
    assert accepted(submit(site, alice, sent))
    assert fetch(site, alice, marker).endswith(sent)


def test_a_scan_that_is_cut_short_is_no_verdict(site: Site, alice: Person, host: Host, marker: str) -> None:
    mark = host.now()
    assert told(submit(site, alice, message(marker, "0 slow 60"))) == LATER
    assert 'zone=unscanned cause="its verdict is incomplete"' in host.log_line(mark, "zone=")
    assert host.nothing_queued()


def test_a_scan_that_is_cut_short_passes_marked_as_unscanned_where_that_is_wanted(
    site: Site, alice: Person, host: Host, marker: str
) -> None:
    before = host.filter_line((" -t [0-9]+", " -t 60 -a"))
    try:
        assert accepted(submit(site, alice, message(marker, "0 slow 60")))
    finally:
        host(f"cat >{FILTERS}", before.encode())
    got = fetch(site, alice, marker)
    assert UNSCANNED in got
    assert b"X-Spam-Status" not in got


def test_a_red_score_that_was_reached_in_time_is_refused(site: Site, alice: Person, host: Host) -> None:
    mark = host.now()
    data = b"Subject: slow 60 score 99\r\n\r\nbody\r\n"
    assert told(submit(site, alice, data)) == (554, "spam: score 99.0, refused from 7.0 (#5.7.1)")
    assert "TIME_LIMIT_EXCEEDED" in host.log_line(mark, "zone=red")


@pytest.mark.parametrize(
    "blow",
    ["sleep 0.05; kill -KILL", "sleep 0.2; kill -KILL", "sleep 0.5; kill -KILL", "sleep 0.2; kill -STOP"],
)
def test_children_of_spamd_killed_mid_message_let_nothing_pass(
    site: Site, alice: Person, host: Host, short: Host, marker: str, blow: str
) -> None:
    # A message that a child has in its hands is deferred; one that no child has taken yet is scanned by the next child.
    # It is red: whatever is accepted was not scanned.
    children = f"$(pgrep -P {host('cat /run/spamd/spamd.pid').strip()})"
    host(f"({blow} {children}; sleep 4; kill -KILL {children}) >/dev/null 2>&1 &")
    body = b"a line of a large message\r\n" * 17000
    reply = submit(site, alice, message(f"first-{marker}", "99", body=body))
    assert told(reply) in (LATER, (554, "spam: score 99.0, refused from 7.0 (#5.7.1)"))
    assert short.nothing_queued()
    assert find(site, alice, f"first-{marker}") is None
    deadline = time.monotonic() + 60
    while not accepted(reply := submit(site, alice, message(marker, "0"))):
        assert told(reply) == LATER
        assert time.monotonic() < deadline, "spamd does not come back by itself"
        time.sleep(1)
    assert GREEN in fetch(site, alice, marker)


def test_spamd_dead_as_a_whole_is_started_again(site: Site, alice: Person, host: Host, marker: str) -> None:
    pid = host("cat /run/spamd/spamd.pid").strip()
    host(f"kill -KILL {pid}")
    deadline = time.monotonic() + 90
    while submit(site, alice, message(marker, "0")).code != 250:
        assert time.monotonic() < deadline, "systemd does not bring spamd back"
        time.sleep(1)
    assert host("cat /run/spamd/spamd.pid").strip() != pid
    assert GREEN in fetch(site, alice, marker)


def test_without_any_answer_from_the_dns_a_message_waits_for_a_bounded_time(
    site: Site, alice: Person, unanswered: Host, marker: str
) -> None:
    mark = unanswered.now()
    began = time.monotonic()
    assert accepted(submit(site, alice, message(marker, "4.9")))
    # helpers_judge_seconds, and the scan.
    assert 8 < time.monotonic() - began < 20
    got = fetch(site, alice, marker)
    assert b"spf=temperror" in got
    assert b"dmarc=temperror" in got
    assert GREEN + b"4.9 " in got
    assert "module=mailauth spf=temperror dkim=none dmarc=temperror" in unanswered.log_line(mark, "zone=")


def test_a_client_that_goes_away_leaves_nothing_behind(site: Site, alice: Person, host: Host, marker: str) -> None:
    for cut in (100, 30000):
        with Smtp(site) as smtp:
            smtp.envelope("stranger@example.org", alice.address)
            smtp.send(message(marker, "0", body=b"a line\r\n" * 10000)[:cut])
    deadline = time.monotonic() + 20
    while int(host("{ pgrep -f '[h]i-q[.]py'; pgrep 'spamzone|spamc'; } | wc -l")):
        assert time.monotonic() < deadline, host("ps ax")
        time.sleep(0.5)
    assert host.nothing_queued()
    assert find(site, alice, marker) is None
