"""POP3S: the mailbox is open to its owner alone, and RFC 1939 holds."""

import re
import socket

import pytest

from tests.acceptance.talk import Person, Pop3, Site, Smtp, fetch, find, wait_for


def put(site: Site, person: Person, marker: str, body: bytes = b"one\r\ntwo\r\nthree\r\n") -> None:
    """Have a message in a person's mailbox."""
    with Smtp(site) as smtp:
        text = f"Subject: {marker}\r\n\r\n".encode() + body
        assert smtp.submit("stranger@example.org", [person.address], text).code == 250
    wait_for("the message", lambda: find(site, person, marker, remove=False))


def number_of(pop: Pop3, marker: str) -> int:
    """Give the number of the message with a marker."""
    return next(number for number in reversed(pop.numbers()) if marker.encode() in pop.message(number))


def test_the_greeting_is_positive(site: Site) -> None:
    with Pop3(site) as pop:
        assert pop.greeting.startswith(b"+OK")


def test_the_right_password_opens_the_mailbox(site: Site, alice: Person) -> None:
    with Pop3(site).login(alice) as pop:
        assert re.fullmatch(r"\d+ \d+", pop.ok("STAT"))


@pytest.mark.parametrize(
    "password", ["wrong", "", "{password}x", "{half}", "{swapped}"], ids=["wrong", "empty", "longer", "half", "swapped"]
)
def test_a_wrong_password_is_refused(site: Site, alice: Person, password: str) -> None:
    right = alice.password
    tried = password.format(password=right, half=right[: len(right) // 2], swapped=right.swapcase())
    with Pop3(site) as pop:
        pop.say(f"USER {alice.login}")
        assert pop.say(f"PASS {tried}").startswith("-ERR")


@pytest.mark.parametrize("login", ["nosuchuser", "root", "daemon", "qmaild", "../alice", "alice "])
def test_another_login_is_refused(site: Site, alice: Person, login: str) -> None:
    with Pop3(site) as pop:
        pop.say(f"USER {login}")
        assert pop.say(f"PASS {alice.password}").startswith("-ERR")


def test_one_users_password_does_not_open_anothers_mailbox(site: Site, alice: Person, bob: Person) -> None:
    with Pop3(site) as pop:
        pop.say(f"USER {alice.login}")
        assert pop.say(f"PASS {bob.password}").startswith("-ERR")


@pytest.mark.parametrize("command", ["STAT", "LIST", "RETR 1", "DELE 1", "UIDL", "PASS x"])
def test_before_the_login_nothing_is_told(site: Site, command: str) -> None:
    with Pop3(site) as pop:
        assert pop.say(command).startswith("-ERR")


def test_retr_top_and_list_agree(site: Site, alice: Person, marker: str) -> None:
    put(site, alice, marker)
    with Pop3(site).login(alice) as pop:
        number = number_of(pop, marker)
        whole = pop.message(number)
        pop.ok(f"TOP {number} 2")
        top = pop.rest()
        size = int(pop.ok(f"LIST {number}").split()[1])
    assert top[-2:] == [b"one", b"two"]
    assert whole.endswith(b"one\r\ntwo\r\nthree\r\n")
    # Classic qmail counts a line's end as one byte, as it is on disk.
    assert size in (len(whole), len(whole.replace(b"\r\n", b"\n")))
    fetch(site, alice, marker)


def test_a_unique_id_stays_the_same(site: Site, alice: Person, marker: str) -> None:
    put(site, alice, marker)
    ids = []
    for _ in range(2):
        with Pop3(site).login(alice) as pop:
            ids.append(pop.ok(f"UIDL {number_of(pop, marker)}").split()[1])
            pop.ok("QUIT")
    assert ids[0] == ids[1]
    fetch(site, alice, marker)


def test_stat_and_list_leave_a_deleted_message_out(site: Site, alice: Person, marker: str) -> None:
    put(site, alice, marker)
    with Pop3(site).login(alice) as pop:
        number = number_of(pop, marker)
        before = int(pop.ok("STAT").split()[0])
        pop.ok(f"DELE {number}")
        assert int(pop.ok("STAT").split()[0]) == before - 1
        assert number not in pop.numbers()
        assert pop.say(f"RETR {number}").startswith("-ERR")
        pop.ok("RSET")
        assert int(pop.ok("STAT").split()[0]) == before
    fetch(site, alice, marker)


def test_a_message_is_gone_after_dele_and_quit_only(site: Site, alice: Person, marker: str) -> None:
    put(site, alice, marker)
    with Pop3(site).login(alice) as pop:
        pop.ok(f"DELE {number_of(pop, marker)}")
        # No QUIT: RFC 1939, section 6, keeps the message.
    assert find(site, alice, marker, remove=True) is not None
    assert find(site, alice, marker) is None


@pytest.mark.parametrize("command", ["RETR 0", "RETR 99999", "RETR -1", "RETR x", "RETR 4294967297", "DELE", "TOP 1"])
def test_a_message_that_is_not_there_is_refused(site: Site, bob: Person, command: str) -> None:
    with Pop3(site).login(bob) as pop:
        assert pop.say(command).startswith("-ERR")


def test_pop3_in_the_clear_is_closed(site: Site) -> None:
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((site.address, site.ports["pop3"]), timeout=5)
