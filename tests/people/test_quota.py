"""A mailbox that is full says so at RCPT, and room that is made is seen."""

from __future__ import annotations

from tests.people.conftest import QUOTA, Declared
from tests.people.test_addresses import arrived
from verify.talk import STRANGER, Smtp, ordinary


def answer(people: Declared, size: int = 0) -> str:
    """What is said to RCPT for mona."""
    with Smtp(people.site) as smtp:
        smtp.ehlo()
        smtp.say(f"MAIL FROM:<{STRANGER}>" + (f" SIZE={size}" if size else ""))
        return smtp.say("RCPT TO:<mona@example.test>").text


def test_a_mailbox_fills_warns_and_refuses_in_the_session(people: Declared) -> None:
    assert "5.2.2" in answer(people, QUOTA * 2)
    body = "x" * 76 + "\r\n"
    for number in range(16):
        if "4.2.2" in answer(people):
            break
        with Smtp(people.site) as smtp:
            smtp.submit(STRANGER, ["mona@example.test"], ordinary(f"filling-{number}", body * 1200))
        assert people.host.nothing_queued() or number > 6
    assert "4.2.2" in answer(people)
    arrived(people, people.mailbox("mona"), "80")
    people.host(f"rm -f {people.mailbox('mona')}/new/* {people.mailbox('mona')}/cur/*")
