"""A mailbox that is full says so at RCPT, has warned its owner before, and room that is made is seen at once."""

from __future__ import annotations

import time

from tests.people.conftest import QUOTA, Declared
from tests.people.test_addresses import arrived
from verify.talk import STRANGER, Pop3, Smtp, ordinary

ROOM = "250 ok"
FULL = "452 sorry, the mailbox is full (#4.2.2)"
TOO_LARGE = "552 sorry, that message is larger than the mailbox may be (#5.2.2)"
WARNINGS = ("Subject: 80 % of your mailbox is used", "Subject: 95 % of your mailbox is used")
LINE = "x" * 76 + "\r\n"
# Of the latter each is less than a twentieth of the quota, so that 95 % are passed before there is no room.
LINES = [1200] * 8 + [600] * 16


def answer(smtp: Smtp, size: int = 0) -> str:
    """What is said in this session to RCPT for mona."""
    smtp.say("RSET")
    smtp.say(f"MAIL FROM:<{STRANGER}>" + (f" SIZE={size}" if size else ""))
    reply = smtp.say("RCPT TO:<mona@example.test>")
    return f"{reply.code} {reply.text}"


def mark(number: int) -> str:
    return f"filling-{number:02}"


def has(people: Declared, smtp: Smtp, number: int, seconds: float = 40) -> bool:
    """Wait until a message has come into the Maildir, or has found no room."""
    deadline = time.monotonic() + seconds
    maildir = people.mailbox("mona")
    while time.monotonic() < deadline:
        if people.host(f"grep -rlsF {mark(number)} {maildir}/new || :"):
            return True
        if answer(smtp) == FULL:
            return False
        time.sleep(0.2)
    raise AssertionError(f"{mark(number)} has neither come nor found the mailbox full")


def fill(people: Declared, smtp: Smtp) -> int:
    """Send messages until one finds no room and waits in the queue; give its number."""
    for number, lines in enumerate(LINES):
        reply = smtp.submit(STRANGER, ["mona@example.test"], ordinary(mark(number), LINE * lines))
        assert reply.code == 250, reply
        if not has(people, smtp, number):
            return number
    raise AssertionError("it is never full")


def delete(people: Declared, number: int) -> None:
    """Delete a message, as its owner does."""
    with Pop3(people.site).login(people.person("mona", "mona")) as pop:
        found = next(each for each in pop.newest() if mark(number).encode() in pop.message(each))
        pop.ok(f"DELE {found}")
        pop.ok("QUIT")


def test_a_mailbox_warns_refuses_in_the_session_and_takes_mail_again(people: Declared) -> None:
    maildir = people.mailbox("mona")
    with Smtp(people.site) as smtp:
        smtp.ehlo()
        assert answer(smtp, QUOTA * 2) == TOO_LARGE
        waits = fill(people, smtp)
        for subject in WARNINGS:
            assert subject in arrived(people, maildir, subject).splitlines()
            assert people.host(f"grep -rlxF '{subject}' {maildir}/new {maildir}/cur | wc -l").strip() == "1"
        assert answer(smtp) == FULL
        delete(people, 0)
        assert answer(smtp) == ROOM
        delete(people, 1)
        people.host("kill -ALRM $(cat /run/qmail/send.pid)")
        arrived(people, maildir, mark(waits))
        assert people.host.nothing_queued()
    people.host(f"rm -f {maildir}/new/* {maildir}/cur/*")
