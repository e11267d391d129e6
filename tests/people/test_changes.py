"""What is declared otherwise is so for the next command of an open session, and nothing is started again."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from tests.people.conftest import Declared, changed
from tests.people.outside import Outside
from tests.people.test_addresses import arrived, send
from tests.people.test_log_in import logged_in, smtp_answer
from verify.talk import STRANGER, Pop3, Smtp, ordinary, plain

MONA, TEAM = "mona@example.test", "team@beta.test"


class Asked(NamedTuple):
    """A recipient, and what is answered as it is declared and as it is declared otherwise."""

    recipient: str
    code: int
    otherwise: int
    sender: str = STRANGER
    size: int = 0


class LogIn(NamedTuple):
    """A log-in, and what is answered as it is declared otherwise."""

    login: str
    password: str
    otherwise: int


ASKED = {
    "an address that is new, where a catch-all was": Asked("news@beta.test", 250, 250),
    "any address, where there is no catch-all any more": Asked("anything@beta.test", 250, 550),
    "an address that is gone": Asked("info@gamma.test", 250, 550),
    "any address of a domain that is new": Asked("anybody@delta.test", 553, 250),
    "somebody who is absent": Asked("frank@example.test", 250, 550),
    "somebody who is absent, and whose mail isn't kept": Asked("ivan@gamma.test", 250, 550),
    "somebody who isn't declared any more": Asked("erin@gamma.test", 250, 550),
    "somebody who is disabled": Asked("erin@beta.test", 250, 250),
    "a list, by who is no longer a member": Asked(TEAM, 250, 550, "member@outside.test"),
    "a list, by who still is": Asked(TEAM, 250, 250, MONA),
    "a sender who is denied": Asked(MONA, 250, 553, "offers@bulk.test"),
    "a sender who is allowed all the same": Asked(MONA, 250, 250, "invoices@bulk.test"),
    "a message that is larger than a quota that is new": Asked("dave@example.test", 250, 552, size=2_000_000),
    "a message that has room": Asked("dave@example.test", 250, 250, size=20_000),
}
LOG_INS = {
    "who is disabled": LogIn("erin@beta.test", "erin at beta", 535),
    "who isn't declared any more": LogIn("erin@gamma.test", "erin at gamma", 535),
    "a device's password that is revoked": LogIn("dave", "phone", 535),
    "the password beside it": LogIn("dave", "dave", 235),
}


def otherwise(variables: dict[str, Any], way_out: Outside) -> dict[str, Any]:
    """The same site with other addresses, people, passwords, members, senders, quotas, forwards and routes.

    Among them is somebody who may no longer send as another address: mona for the team.
    """
    other = copy.deepcopy(variables)
    _, beta, gamma, _ = other["mail_domains"]
    users = {user["name"]: user for user in other["mail_users"]}
    beta["addresses"] |= {"news": ["mona", "dave"]}
    del beta["addresses"]["*"]
    gamma["addresses"] = {"office": "dave"}
    other["mail_domains"].append({"name": "delta.test", "users": False, "addresses": {"*": "mona"}})
    users["frank"] |= {"state": "absent"}
    users["ivan@gamma.test"] |= {"state": "absent", "keep_mail": False}
    users["erin@beta.test"] |= {"state": "disabled"}
    other["mail_users"].remove(users["erin@gamma.test"])
    other["mail_users"].append({"name": "henry@gamma.test", "password_hash": "*"})
    del users["mona"]["send_as"]
    del users["dave"]["password_hashes"]
    users["dave"] |= {"quota": "1M"}
    users["bob"] |= {"forward": {"to": ["bob@elsewhere.test"], "keep": True}}
    other["mail_lists"][0]["members"].remove("member@outside.test")
    other["mail_senders"] = {"deny": ["@bulk.test"], "allow": ["invoices@bulk.test"]}
    way = {"to": "partner.test", "via": way_out.address, "port": way_out.port, "tls": "required"}
    other["mail_routes"].append(way)
    return other


def processes(people: Declared) -> str:
    return people.host("cd /run; grep -H . qmail/*.pid")


def answers(smtp: Smtp) -> dict[str, int]:
    """What an open session answers to all that is asked."""
    found = {}
    for what, asked in ASKED.items():
        smtp.say("RSET")
        smtp.say(f"MAIL FROM:<{asked.sender}>" + (f" SIZE={asked.size}" if asked.size else ""))
        found[what] = smtp.say(f"RCPT TO:<{asked.recipient}>").code
    return found


def may_send_as(smtp: Smtp, address: str) -> int:
    """What an open session of somebody's answers."""
    code = smtp.say(f"MAIL FROM:<{address}>").code
    smtp.say("RSET")
    return code


def doors(people: Declared, sessions: ExitStack) -> dict[str, Smtp]:
    """Sessions in which nobody has logged in yet, one for each log-in."""
    opened = {what: sessions.enter_context(Smtp.through(people.site, "smtps")) for what in LOG_INS}
    for smtp in opened.values():
        smtp.ehlo()
    return opened


def log_in(people: Declared, opened: dict[str, Smtp]) -> dict[str, int]:
    """Log in in all of them at once, since each wrong password waits for its answer."""
    for what, smtp in opened.items():
        person = people.person(*LOG_INS[what][:2])
        smtp.send(f"AUTH PLAIN {plain(person.login, person.password)}\r\n".encode())
    return {what: smtp.reply().code for what, smtp in opened.items()}


@dataclass
class Seen:
    """What was seen of the site as it is declared, by --check, as it is declared otherwise, and afterwards."""

    way_out: Outside
    told: str = ""
    done: str = ""
    signers: list[set[str]] = field(default_factory=list)
    answers: list[dict[str, int]] = field(default_factory=list)
    log_ins: list[dict[str, int]] = field(default_factory=list)
    send_as: list[int] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    reads_on: str = ""
    begins_to_read: str = ""
    uids: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    undeclared: str = ""


def uid(people: Declared, name: str) -> str:
    return people.host(f"stat -c %u /srv/mail/{name}").strip()


def signers(people: Declared) -> set[str]:
    """The domains that have a key which signs."""
    return {each["domain"] for each in json.loads(people.host("mail-dkim records")) if each["state"] == "current"}


def watch(people: Declared, seen: Seen, sessions: ExitStack) -> None:
    """Declare it otherwise, and back, with sessions open."""
    stranger = sessions.enter_context(Smtp(people.site))
    stranger.ehlo()
    mona = sessions.enter_context(logged_in(people, "mona", people.person("", "mona").password))
    erin = people.person("erin@beta.test", "erin at beta")
    reading = sessions.enter_context(Pop3(people.site)).login(erin)

    def look() -> None:
        seen.answers.append(answers(stranger))
        seen.send_as.append(may_send_as(mona, TEAM))
        seen.processes.append(processes(people))

    other = otherwise(people.variables, seen.way_out)
    look()
    seen.uids.append(uid(people, "erin@gamma.test"))
    seen.signers.append(signers(people))
    seen.told = people.play(other, "--check")
    look()
    seen.signers.append(signers(people))

    opened, pop3 = doors(people, sessions), sessions.enter_context(Pop3(people.site))
    seen.done = people.play(other)
    look()
    seen.signers.append(signers(people))
    seen.log_ins.append(log_in(people, opened))
    pop3.ok(f"USER {erin.login}")
    seen.begins_to_read = pop3.say(f"PASS {erin.password}")
    seen.reads_on = reading.say("STAT")
    reply = stranger.submit(STRANGER, ["bob@example.test"], ordinary("forwarded-elsewhere"))
    assert reply.code == 250, reply
    reply = mona.submit(MONA, ["somebody@partner.test"], ordinary("another-way-out", author=MONA))
    assert reply.code == 250, reply
    assert people.host.nothing_queued()
    seen.uids.append(uid(people, "henry@gamma.test"))
    seen.kept = people.host("cd /srv/mail; ls -d frank/Maildir ivan@gamma.test/Maildir 2>/dev/null || :").split()
    seen.undeclared = people.host("mail-site undeclared")

    opened = doors(people, sessions)
    people.play(people.variables)
    look()
    seen.log_ins.append(log_in(people, opened))
    seen.uids.append(uid(people, "erin@gamma.test"))


@pytest.fixture(scope="module")
def seen(people: Declared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Everything that needs the site to be declared otherwise, in as few plays as can be: each takes its time."""
    send(people, "ivan@gamma.test", "not-kept")
    arrived(people, people.mailbox("ivan@gamma.test"), "not-kept")
    # What a route asks of TLS holds for its relay's address, whichever port.
    way_out = Outside(people.outside.address, tmp_path_factory.mktemp("way-out"), people.outside.certificate)
    found = Seen(way_out)
    try:
        with ExitStack() as sessions:
            watch(people, found, sessions)
        yield found
    finally:
        way_out.stop()


def test_a_second_play_changes_nothing(people: Declared) -> None:
    assert changed(people.play(people.variables)) == 0


@pytest.mark.parametrize("what", ASKED)
def test_an_open_session_goes_by_what_is_declared_now(seen: Seen, what: str) -> None:
    asked = ASKED[what]
    assert [each[what] for each in seen.answers] == [asked.code, asked.code, asked.otherwise, asked.code]


@pytest.mark.parametrize("what", LOG_INS)
def test_a_session_that_is_open_already_takes_the_passwords_that_are_declared_now(seen: Seen, what: str) -> None:
    assert [each[what] for each in seen.log_ins] == [LOG_INS[what].otherwise, 235]


def test_who_is_disabled_can_not_begin_to_read_and_who_reads_goes_on(seen: Seen) -> None:
    assert seen.begins_to_read.startswith("-ERR")
    assert seen.reads_on.startswith("+OK")


def test_who_may_no_longer_send_as_another_address_is_told_so_in_the_session(seen: Seen) -> None:
    assert seen.send_as == [250, 250, 553, 250]


def test_a_forward_leads_to_where_it_is_declared_now(people: Declared, seen: Seen) -> None:
    assert seen.answers
    people.outside.wait("the forward", lambda message: message.recipients == ("bob@elsewhere.test",))
    assert [each.recipients for each in people.outside.having("forwarded-elsewhere")] == [("bob@elsewhere.test",)]


def test_mail_leaves_by_the_route_that_is_declared_now(people: Declared, seen: Seen) -> None:
    seen.way_out.wait("mail for the partner", lambda message: message.recipients == ("somebody@partner.test",))
    assert not people.outside.having("another-way-out")


def test_mail_is_removed_where_it_is_not_to_be_kept_and_stays_elsewhere(seen: Seen) -> None:
    assert seen.kept == ["frank/Maildir"]


def test_a_mailbox_that_is_no_longer_declared_keeps_its_mail_and_its_uid(seen: Seen) -> None:
    was, new, now = seen.uids
    assert new != was
    assert "mail/erin@gamma.test: the mail of erin@gamma.test" in seen.undeclared
    assert now == was


def test_check_tells_in_words_what_would_change(seen: Seen) -> None:
    assert "+ news@beta.test → mona, dave" in seen.told.replace("+++", "").replace("\n+", "\n")


def test_what_a_new_domain_sends_is_signed_at_once(seen: Seen) -> None:
    for told in (seen.told, seen.done):
        assert re.search(r"delta\.test: key \S+ \(rsa\) made, and signs", told)
    assert ["delta.test" in each for each in seen.signers] == [False, False, True]


def test_nothing_was_started_again(seen: Seen) -> None:
    assert len(set(seen.processes)) == 1


def test_the_host_says_where_an_address_goes(people: Declared) -> None:
    assert "sales@beta.test → mona, dave, partner@outside.test" in people.host("mail-site show sales@beta.test")
    assert "2099-01-31" in people.host("mail-site show shop7@gamma.test")
    assert "550 5.1.1" in people.host("mail-site show nobody@gamma.test")
    assert "uid 200" in people.host("mail-site list")


def test_a_password_that_root_sets_is_in_force_until_the_declaration_changes(people: Declared) -> None:
    people.host("mail-site passwd mona", b"another one of mona's\n")
    new = people.person("mona", "another one of mona's")
    assert smtp_answer(people, new) == 235
    assert smtp_answer(people, people.person("mona", "mona")) == 535
    told = people.play(people.variables)
    assert "the password was set on this host" in " ".join(told.split())
    assert smtp_answer(people, new) == 235
    other = copy.deepcopy(people.variables)
    other["mail_users"][2]["password"] = "still another, from the vault"  # noqa: S105 - it opens nothing
    people.play(other)
    assert smtp_answer(people, new) == 535
    assert smtp_answer(people, people.person("mona", "still another, from the vault")) == 235
    people.play(people.variables)
