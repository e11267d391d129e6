"""Who is known at RCPT, and where the mail arrives."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote

import pytest

from tests.people.conftest import Declared
from verify.talk import STRANGER, Smtp, ordinary

KNOWN = {
    "mona@example.test": 250,
    "m.ona@example.test": 250,
    "mona+shop@example.test": 250,
    "monica@gamma.test": 250,
    "mona-shop@example.test": 250,
    "monica-shop@gamma.test": 250,
    "alice+shop@example.test": 250,
    "alice-shop@example.test": 550,
    "al+shop@gamma.test": 250,
    "al-shop@gamma.test": 550,
    "dave+shop@example.test": 550,
    "dave-shop@example.test": 550,
    "info@beta.test": 250,
    "First.Last@Beta.test": 250,
    "anything@beta.test": 250,
    "info@gamma.test": 250,
    "mona@gamma.test": 550,
    "anything@gamma.test": 550,
    "shop7@gamma.test": 250,
    "erin@example.test": 550,
    "erin@gamma.test": 250,
    "frank@example.test": 250,
    "gina@example.test": 550,
    "anna@backup.test": 250,
    "bert@backup.test": 550,
    "somebody@outside.test": 553,
    "postmaster@example.test": 250,
}


def arrived(people: Declared, directory: Path | str, mark: str, seconds: float = 40) -> str:
    """Wait for a message with a text in it in a Maildir; give it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = people.host(f"grep -rlsF {quote(mark)} {directory}/new {directory}/cur || :").split()
        if found:
            return people.host(f"cat {found[0]}")
        time.sleep(0.2)
    raise AssertionError(f"{mark} did not arrive in {directory}: {people.host('ls -lR /var/qmail/queue/mess | tail')}")


def send(people: Declared, recipient: str, mark: str, sender: str = STRANGER) -> None:
    """Send a message as a stranger does."""
    with Smtp(people.site) as smtp:
        reply = smtp.submit(sender, [recipient], ordinary(mark))
        assert reply.code == 250, reply


@pytest.mark.parametrize(("recipient", "code"), KNOWN.items())
def test_who_is_known_is_told_in_the_session(people: Declared, recipient: str, code: int) -> None:
    with Smtp(people.site) as smtp:
        smtp.ehlo()
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        assert smtp.say(f"RCPT TO:<{recipient}>").code == code


@pytest.mark.parametrize(
    ("recipient", "mailbox"),
    [
        ("mona@example.test", "mona"),
        ("monica@gamma.test", "mona"),
        ("mona+shop@example.test", "mona"),
        ("first.last@beta.test", "mona"),
        ("anything@beta.test", "dave"),
        ("info@gamma.test", "dave"),
        ("shop7@gamma.test", "dave"),
        ("erin@beta.test", "erin@beta.test"),
        ("erin@gamma.test", "erin@gamma.test"),
        ("frank@example.test", "frank"),
    ],
)
def test_mail_arrives_in_the_mailbox_that_is_declared(people: Declared, recipient: str, mailbox: str) -> None:
    mark = f"to-{recipient.replace('@', '-at-').replace('+', '-')}"
    send(people, recipient, mark)
    arrived(people, people.mailbox(mailbox), mark)


@pytest.mark.parametrize(
    ("recipient", "maildir"),
    [
        ("alice+shop@example.test", "/home/alice/Maildir"),
        ("Alice+a-b.c@example.test", "/home/alice/Maildir"),
        ("al+shop@gamma.test", "/home/alice/Maildir"),
        ("mona+shop@example.test", "/srv/mail/mona/Maildir"),
        ("mona-shop@example.test", "/srv/mail/mona/Maildir"),
        ("m.ona-a-b@example.test", "/srv/mail/mona/Maildir"),
        ("monica-shop@gamma.test", "/srv/mail/mona/Maildir"),
        ("monica+@gamma.test", "/srv/mail/mona/Maildir"),
    ],
)
def test_mail_for_an_extension_arrives_as_the_mailbox_s_own(people: Declared, recipient: str, maildir: str) -> None:
    mark = f"to-{recipient.replace('@', '-at-').replace('+', '-plus-')}-extended"
    send(people, recipient, mark)
    arrived(people, maildir, mark)


def test_an_account_s_own_file_says_where_an_extension_goes(people: Declared) -> None:
    folders = " ".join(f"/home/alice/Maildir-news/{name}" for name in ("", "tmp", "new", "cur"))
    people.host(f"install -d -o alice -m 700 {folders} && echo ./Maildir-news/ >/home/alice/.qmail-news")
    try:
        send(people, "alice+news@example.test", "for-alice-s-own-file")
        arrived(people, "/home/alice/Maildir-news", "for-alice-s-own-file")
    finally:
        people.host("rm -r /home/alice/.qmail-news /home/alice/Maildir-news")


def test_mail_for_several_arrives_at_each_of_them(people: Declared) -> None:
    send(people, "sales@beta.test", "to-all-of-sales")
    for name in ("mona", "dave"):
        arrived(people, people.mailbox(name), "to-all-of-sales")
    people.outside.wait("mail for the partner", lambda message: message.recipients == ("partner@outside.test",))


def test_a_virtual_mailbox_is_its_own_uid_s_and_nobody_else_looks_in(people: Declared) -> None:
    send(people, "mona@example.test", "whose-is-it")
    arrived(people, people.mailbox("mona"), "whose-is-it")
    uids = people.host("stat -c '%u %a' /srv/mail/*/ | sort -u").split()[::2]
    assert len(uids) == len(set(uids)) == 6
    assert people.host("stat -c %a /srv/mail/*/ | sort -u").split() == ["700"]
    assert people.host("getent passwd mona || echo none").strip() == "none"
    refused = "setpriv --reuid=$(stat -c %u /srv/mail/dave) --clear-groups ls /srv/mail/mona 2>&1 || :"
    assert "Permission denied" in people.host(refused)


def test_mail_for_a_domain_that_is_passed_on_leaves_as_it_came(people: Declared) -> None:
    send(people, "anna@backup.test", "for-the-backup")
    message = people.outside.wait("mail for anna", lambda message: message.recipients == ("anna@backup.test",))
    assert message.sender == STRANGER


def test_a_forward_keeps_the_message_and_has_a_sender_of_ours(people: Declared) -> None:
    mark = "a-forward-of-bob-s"
    send(people, "bob@example.test", mark)
    arrived(people, "/home/bob/Maildir", mark)
    message = people.outside.wait("the forward", lambda message: message.recipients == ("bob@outside.test",))
    inside = arrived(people, "/home/bob/Maildir", mark).replace("\n", "\r\n").encode()
    assert inside.partition(b"From: Some Body")[2] == message.content.partition(b"From: Some Body")[2]
    assert message.login == "site"
    assert message.sender.startswith("SRS0=")
    assert message.sender.endswith("=example.org=stranger@mail.example.test")
    with Smtp(people.site) as smtp:
        reply = smtp.submit("", [message.sender], ordinary("its-bounce"))
        assert reply.code == 250, reply
    back = people.outside.wait("the bounce", lambda each: b"its-bounce" in each.content)
    assert (back.sender, back.recipients) == ("", (STRANGER,))


def test_a_forged_return_address_is_none(people: Declared) -> None:
    with Smtp(people.site) as smtp:
        smtp.ehlo()
        smtp.say("MAIL FROM:<>")
        assert smtp.say("RCPT TO:<SRS0=aaaaaaaa=aa=example.org=stranger@mail.example.test>").code == 550


def test_a_list_takes_what_a_member_sends_and_nothing_else(people: Declared) -> None:
    with Smtp(people.site) as smtp:
        smtp.ehlo()
        smtp.say(f"MAIL FROM:<{STRANGER}>")
        refused = smtp.say("RCPT TO:<team@beta.test>")
    assert refused.code == 550
    assert "5.7." in refused.text
    mark = "to-the-team"
    send(people, "team@beta.test", mark, sender="member@outside.test")
    for name in ("mona", "dave"):
        message = arrived(people, people.mailbox(name), mark)
        assert "List-Id: <team.beta.test>" in message
        assert "Return-Path: <team-owner@beta.test>" in message
    sent = people.outside.wait("the list's mail", lambda each: each.recipients == ("member@outside.test",))
    assert sent.sender == "team-owner@beta.test"
    send(people, "team-owner@beta.test", "to-the-owner", sender="")
    arrived(people, "/home/alice/Maildir", "to-the-owner")


def test_who_is_away_says_so_once(people: Declared) -> None:
    before = len(people.outside.having("Fort"))
    for number in (1, 2):
        with Smtp(people.site) as smtp:
            mail = ordinary(f"are-you-there-{number}").replace(b"\r\n\r\n", b"\r\nTo: dave@example.test\r\n\r\n", 1)
            reply = smtp.submit("asker@outside.test", ["dave@example.test"], mail)
            assert reply.code == 250, reply
        arrived(people, people.mailbox("dave"), f"are-you-there-{number}")
    answer = people.outside.wait("the answer", lambda each: each.recipients == ("asker@outside.test",))
    assert answer.sender == ""
    assert b"Auto-Submitted: auto-replied" in answer.content
    assert people.host.nothing_queued()
    assert len(people.outside.having("Fort")) == before + 1
