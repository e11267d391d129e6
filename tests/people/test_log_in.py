"""Who comes in with which name and password, and as whom one may send."""

from __future__ import annotations

import pytest

from tests.people.conftest import Declared
from tests.people.test_addresses import arrived, send
from verify.talk import Person, Pop3, Smtp, fetch, ordinary, plain


def logged_in(people: Declared, login: str, password: str) -> Smtp:
    """An SMTP session of somebody's."""
    smtp = Smtp.through(people.site, "smtps")
    smtp.ehlo()
    reply = smtp.say(f"AUTH PLAIN {plain(login, password)}")
    assert reply.code == 235, reply
    return smtp


def smtp_answer(people: Declared, person: Person) -> int:
    with Smtp.through(people.site, "smtps") as smtp:
        smtp.ehlo()
        return smtp.say(f"AUTH PLAIN {plain(person.login, person.password)}").code


@pytest.mark.parametrize(
    "login", ["mona", "mona@example.test", "M.Ona@example.test", "monica@gamma.test", "info@beta.test"]
)
def test_one_logs_in_by_name_or_by_any_address_of_one_s_own(people: Declared, login: str) -> None:
    person = people.person(login, "mona")
    assert smtp_answer(people, person) == 235
    with Pop3(people.site) as pop3:
        pop3.login(person)


def test_two_of_the_same_name_are_two_people(people: Declared) -> None:
    for domain in ("beta", "gamma"):
        mark = f"for-erin-at-{domain}"
        send(people, f"erin@{domain}.test", mark)
        arrived(people, people.mailbox(f"erin@{domain}.test"), mark)
        assert mark.encode() in fetch(people.site, people.person(f"erin@{domain}.test", f"erin at {domain}"), mark)
    assert smtp_answer(people, people.person("erin@beta.test", "erin at gamma")) == 535
    assert smtp_answer(people, people.person("erin", "erin at gamma")) == 535


def test_who_is_disabled_or_absent_is_let_in_nowhere(people: Declared) -> None:
    assert smtp_answer(people, people.person("frank", "frank")) == 535
    assert smtp_answer(people, people.person("gina", "frank")) == 535


def test_a_device_s_password_opens_its_own_doors_alone_and_is_named_in_the_log(people: Declared) -> None:
    mark = people.host.now()
    assert smtp_answer(people, people.person("dave", "phone")) == 235
    with Pop3(people.site) as pop3, pytest.raises(AssertionError):
        pop3.login(people.person("dave", "phone"))
    assert "dave/phone" in people.host(f"journalctl --sync; journalctl --since=@{mark} -u 'qmail@*' --output=cat")


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("mona@example.test", 250),
        ("mona+shop@example.test", 250),
        ("info@beta.test", 250),
        ("team@beta.test", 250),  # by send_as
        ("dave@example.test", 553),
        ("somebody@elsewhere.test", 553),
    ],
)
def test_one_sends_as_oneself_alone(people: Declared, sender: str, code: int) -> None:
    with logged_in(people, "mona", people.person("", "mona").password) as smtp:
        assert smtp.say(f"MAIL FROM:<{sender}>").code == code


def test_the_from_field_is_judged_as_well(people: Declared) -> None:
    for whose, code in (("mona@example.test", 250), ("dave@example.test", 553)):
        with logged_in(people, "mona", people.person("", "mona").password) as smtp:
            lines = [line for line in ordinary("whose-from").split(b"\r\n") if not line.lower().startswith(b"from:")]
            mail = f"From: Somebody <{whose}>\r\n".encode() + b"\r\n".join(lines)
            assert smtp.submit("mona@example.test", ["dave@example.test"], mail).code == code
