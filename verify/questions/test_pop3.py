"""Fetching mail: the mailbox is open to its owner alone, and RFC 1939 holds."""

import contextlib
import functools
import re
import secrets
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from verify.refusals import LOGINS
from verify.talk import CLIENT, STRANGER, Person, Pop3, Site, Smtp, collect, find, ordinary, wait_for

BODY = b"one\r\ntwo\r\n.three\r\n..\r\nfive\r\n"


@pytest.fixture(scope="module")
def box(site: Site) -> Iterator[str]:
    """Have three messages in the first user's mailbox; give the marker that all have."""
    if not site.people:
        pytest.skip("no user was given")
    marker = f"marker-{secrets.token_hex(8)}"
    with Smtp.unfiltered(site) as smtp:
        for number in range(3):
            head = f"Date: {formatdate()}\r\nMessage-ID: <{number}.{marker}@{CLIENT}>\r\n"
            text = f"{head}Subject: {marker} {number}\r\nX-Number: {number}\r\n\r\n".encode() + BODY
            assert smtp.submit(smtp.author, [site.people[0].address], text).code == 250
    for number in range(3):
        looked_for = functools.partial(find, site, site.people[0], f"{marker} {number}", remove=False)
        wait_for("the message", looked_for)
    yield marker
    collect(site, site.people[0], [f"{marker} {number}" for number in range(3)])


@pytest.fixture
def pop(site: Site, alice: Person) -> Iterator[Pop3]:
    """Give a session of the first user."""
    with Pop3(site).login(alice) as session:
        yield session


def ours(pop: Pop3, marker: str) -> list[int]:
    """Give the numbers of the messages with a marker."""
    return sorted(number for number in pop.newest() if marker.encode() in pop.message(number))


# The door


def test_the_greeting_is_positive(site: Site) -> None:
    with Pop3(site) as pop:
        assert pop.greeting.startswith(b"+OK")


def test_the_right_password_opens_the_mailbox(pop: Pop3) -> None:
    assert re.fullmatch(r"\d+ \d+", pop.ok("STAT"))


@pytest.mark.beyond_classic
@pytest.mark.parametrize("change", [str, str.upper], ids=["as it is", "in capitals"])
def test_the_address_opens_the_mailbox_as_well(site: Site, alice: Person, change: Callable[[str], str]) -> None:
    """Mail clients fill in the address, and phones begin with a capital."""
    with Pop3(site) as pop:
        pop.ok(f"USER {change(alice.address)}")
        pop.ok(f"PASS {alice.password}")


def test_each_user_opens_an_own_mailbox(site: Site, bob: Person) -> None:
    with Pop3(site).login(bob) as pop:
        assert re.fullmatch(r"\d+ \d+", pop.ok("STAT"))


def test_the_same_mailbox_may_be_open_twice(site: Site, alice: Person, pop: Pop3) -> None:
    with Pop3(site).login(alice) as other:
        other.ok("STAT")
    pop.ok("STAT")


@pytest.mark.parametrize(
    "command",
    ["STAT", "LIST", "RETR 1", "TOP 1 0", "DELE 1", "UIDL", "RSET", "LAST", "PASS x", "XTND", "AUTH PLAIN", ""],
)
def test_before_the_login_nothing_is_told(site: Site, command: str) -> None:
    with Pop3(site) as pop:
        assert pop.say(command).startswith("-ERR")


def test_pass_before_user_is_refused_even_with_the_right_password(site: Site, alice: Person) -> None:
    with Pop3(site) as pop:
        assert pop.say(f"PASS {alice.password}").startswith("-ERR")
        assert pop.say("STAT").startswith("-ERR")


def test_user_without_a_name_is_refused(site: Site) -> None:
    with Pop3(site) as pop:
        assert pop.say("USER").startswith("-ERR")


def test_user_tells_nobody_who_exists(site: Site, alice: Person) -> None:
    answers = []
    for name in (alice.login, "nosuchuser"):
        with Pop3(site) as pop:
            answers.append(pop.say(f"USER {name}"))
    assert answers[0] == answers[1]


def test_the_name_may_be_corrected_before_the_password(site: Site, alice: Person) -> None:
    with Pop3(site) as pop:
        pop.say("USER somebody-else")
        pop.login(alice)


def test_the_commands_are_the_same_in_small_letters(site: Site, alice: Person) -> None:
    with Pop3(site) as pop:
        pop.ok(f"user {alice.login}")
        pop.ok(f"pass {alice.password}")
        pop.ok("stat")


def test_quit_before_the_login_ends_the_session(site: Site) -> None:
    with Pop3(site) as pop:
        assert pop.say("QUIT").startswith("+OK")
        assert pop.ended()


@pytest.mark.beyond_classic
def test_capa_names_what_is_there_and_no_apop(site: Site) -> None:
    with Pop3(site) as pop:
        pop.ok("CAPA")
        names = {line.decode().split()[0] for line in pop.rest()}
    assert {"USER", "UIDL", "TOP"} <= names
    assert not {"SASL", "STLS"} & names


@pytest.mark.taxing
@pytest.mark.parametrize("length", [1000, 1_000_000])
def test_a_line_of_any_length_before_the_login_does_no_harm(site: Site, length: int) -> None:
    with Pop3(site) as pop:
        try:
            pop.send(b"USER " + b"x" * length + b"\r\n")
            pop.line()
        except (EOFError, OSError):
            pass
    with Pop3(site) as pop:
        assert pop.greeting.startswith(b"+OK")


@pytest.mark.parametrize("noise", [b"\x00\r\n", bytes(range(14, 256)) + b"\r\n", b"USER \x00\r\n", b"\n\n\n"])
def test_noise_before_the_login_does_no_harm(site: Site, noise: bytes) -> None:
    with Pop3(site) as pop:
        pop.send(noise + b"STAT\r\n")
        with contextlib.suppress(EOFError, OSError):
            assert pop.line()[:4] in (b"-ERR", b"+OK")
    with Pop3(site) as pop:
        assert pop.greeting.startswith(b"+OK")


@pytest.mark.parametrize("attempt", ["pop3s: a wrong password", "pop3s: an unknown user"])
def test_a_wrong_login_is_refused_and_nothing_is_told_afterwards(
    refusal: Callable[[str], list[str]], attempt: str
) -> None:
    answers = refusal(attempt)
    assert answers[1].startswith("-ERR")
    assert answers[2] == "closed" or answers[2].startswith("-ERR")


@pytest.mark.taxing
@pytest.mark.parametrize(
    "attempt",
    ["pop3s: another user's password", "pop3s: an empty password", *(f"pop3s: {name}" for name in list(LOGINS)[1:])],
)
def test_this_login_is_refused(refusal: Callable[[str], list[str]], attempt: str) -> None:
    """Some answer in refusal, or none; the name of a thousand letters may end the session at once."""
    answers = refusal(attempt)
    assert answers[1] == "closed" or answers[1].startswith("-ERR"), answers


# The mailbox


@pytest.mark.sends
@pytest.mark.beyond_classic
def test_list_counts_a_messages_bytes_as_retr_sends_them(box: str, pop: Pop3) -> None:
    """RFC 1939 section 11. Classic qmail counts a line's end as one byte, as it is on disk."""
    for number in ours(pop, box):
        size = int(pop.ok(f"LIST {number}").split()[1])
        assert size == len(pop.message(number))


@pytest.mark.sends
def test_list_counts_a_messages_bytes_on_disk_or_on_the_wire(box: str, pop: Pop3) -> None:
    for number in ours(pop, box):
        size = int(pop.ok(f"LIST {number}").split()[1])
        wholes = {pop.message(number), pop.message(number).removesuffix(b"\r\n")}
        assert size in {length for whole in wholes for length in (len(whole), len(whole.replace(b"\r\n", b"\n")))}


@pytest.mark.sends
@pytest.mark.beyond_classic
def test_retr_puts_no_empty_line_behind_a_message(box: str, pop: Pop3) -> None:
    for number in ours(pop, box):
        assert pop.message(number).endswith(b"\r\n\r\n" + BODY)


@pytest.mark.sends
def test_stat_is_the_sum_of_list(box: str, pop: Pop3) -> None:
    count, size = map(int, pop.ok("STAT").split())
    pop.ok("LIST")
    rows = [tuple(map(int, line.split())) for line in pop.rest()]
    assert (len(rows), sum(row[1] for row in rows)) == (count, size)


@pytest.mark.sends
def test_list_is_numbered_from_one_without_a_gap(box: str, pop: Pop3) -> None:
    numbers = pop.numbers()
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.sends
def test_retr_doubles_the_dots_at_the_beginning_of_lines(box: str, pop: Pop3) -> None:
    """RFC 1939 section 3."""
    pop.ok(f"RETR {ours(pop, box)[0]}")
    raw = []
    while (line := pop.line()) != b".":
        raw.append(line)
    assert [line for line in raw if line.startswith(b".")] == [b"..three", b"..."]


@pytest.mark.sends
@pytest.mark.parametrize(("lines", "expected"), [(0, 0), (1, 1), (3, 3), (5, 5), (1000, 5)])
def test_top_gives_the_header_and_so_many_lines(box: str, pop: Pop3, lines: int, expected: int) -> None:
    number = ours(pop, box)[0]
    whole = pop.message(number)
    pop.ok(f"TOP {number} {lines}")
    top = b"".join(line + b"\r\n" for line in pop.rest())
    header = whole[: whole.index(b"\r\n\r\n") + 4]
    wanted = header + b"".join(line + b"\r\n" for line in BODY.split(b"\r\n")[:expected])
    # A server may send an empty line behind the last one.
    assert top in (wanted, wanted + b"\r\n")


@pytest.mark.sends
def test_a_unique_id_stays_the_same_and_is_a_messages_own(site: Site, alice: Person, box: str) -> None:
    """RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E."""
    seen = []
    for _ in range(2):
        with Pop3(site).login(alice) as pop:
            seen.append([pop.ok(f"UIDL {number}").split()[1] for number in ours(pop, box)])
            pop.ok("QUIT")
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 3
    assert all(re.fullmatch(r"[!-~]{1,70}", uid) for uid in seen[0])


@pytest.mark.sends
def test_uidl_of_all_agrees_with_uidl_of_one(box: str, pop: Pop3) -> None:
    pop.ok("UIDL")
    rows = dict(line.decode().split() for line in pop.rest())
    for number in ours(pop, box):
        assert pop.ok(f"UIDL {number}").split() == [str(number), rows[str(number)]]


@pytest.mark.sends
@pytest.mark.parametrize(
    "command",
    ["RETR {n}", "LIST {n}", "UIDL {n}", "TOP {n} 0", "DELE {n}"],
    ids=["RETR", "LIST", "UIDL", "TOP", "DELE"],
)
def test_a_deleted_message_is_no_longer_there_for(box: str, pop: Pop3, command: str) -> None:
    number = ours(pop, box)[1]
    pop.ok(f"DELE {number}")
    assert pop.say(command.format(n=number)).startswith("-ERR")


@pytest.mark.sends
@pytest.mark.beyond_classic
def test_stat_leaves_a_deleted_message_out(box: str, pop: Pop3) -> None:
    number = ours(pop, box)[1]
    count, size = map(int, pop.ok("STAT").split())
    own = int(pop.ok(f"LIST {number}").split()[1])
    pop.ok(f"DELE {number}")
    assert pop.ok("STAT") == f"{count - 1} {size - own}"


@pytest.mark.sends
@pytest.mark.parametrize("command", ["LIST", "UIDL"])
def test_a_deleted_message_is_left_out_and_the_others_keep_their_numbers(box: str, pop: Pop3, command: str) -> None:
    before = pop.numbers()
    number = ours(pop, box)[0]
    pop.ok(f"DELE {number}")
    pop.ok(command)
    assert [int(line.split()[0]) for line in pop.rest()] == [n for n in before if n != number]


@pytest.mark.sends
def test_rset_brings_the_deleted_messages_back(box: str, pop: Pop3) -> None:
    before = pop.ok("STAT")
    for number in ours(pop, box):
        pop.ok(f"DELE {number}")
    pop.ok("RSET")
    assert pop.ok("STAT") == before


@pytest.mark.sends
def test_without_quit_nothing_is_removed(site: Site, alice: Person, box: str) -> None:
    """RFC 1939 section 6."""
    with Pop3(site).login(alice) as pop:
        for number in ours(pop, box):
            pop.ok(f"DELE {number}")
    with Pop3(site).login(alice) as pop:
        assert len(ours(pop, box)) == 3


@pytest.mark.sends
@pytest.mark.essential
def test_a_message_is_gone_after_dele_and_quit(site: Site, alice: Person, marker: str) -> None:
    with Smtp(site) as smtp:
        assert smtp.submit(STRANGER, [alice.address], ordinary(marker)).code == 250
    wait_for("the message", lambda: find(site, alice, marker, remove=True))
    assert find(site, alice, marker) is None


@pytest.mark.sends
def test_a_message_that_comes_during_a_session_is_seen_by_the_next_one(site: Site, alice: Person, marker: str) -> None:
    with Pop3(site).login(alice) as pop:
        before = pop.ok("STAT")
        with Smtp(site) as smtp:
            assert smtp.submit(STRANGER, [alice.address], ordinary(marker)).code == 250
        wait_for("the message", lambda: find(site, alice, marker, remove=False))
        assert pop.ok("STAT") == before
    assert find(site, alice, marker)


# Numbers that a lax reader takes for another one, or does without; RFC 1939 has no such form.
LAX = ["RETR -1", "RETR 4294967297", "RETR 18446744073709551617", "RETR 1x", "DELE -1", "TOP 1", "LIST x", "UIDL ../1"]


@pytest.mark.parametrize(
    "command",
    ["RETR 0", "RETR 99999", "RETR x", "RETR", "DELE", "DELE 0", "DELE 99999", "TOP 0 1", "TOP x 1", "TOP 99999 0",
     "LIST 0", "LIST 99999", "UIDL 0", "UIDL 99999", "RETR ../../etc/passwd", "RETR \x00",
     *(pytest.param(lax, marks=pytest.mark.beyond_classic) for lax in LAX)],
)  # fmt: skip
def test_a_message_that_is_not_there_is_refused(pop: Pop3, command: str) -> None:
    assert pop.say(command).startswith("-ERR")
    pop.ok("NOOP")


@pytest.mark.parametrize("command", ["USER x", "PASS x", "APOP x y", "NONSENSE", "", "STATS", "XTND XMIT", "STLS"])
def test_another_command_after_the_login_is_refused(pop: Pop3, command: str) -> None:
    assert pop.say(command).startswith("-ERR")
    pop.ok("NOOP")


def test_pipelined_commands_are_answered_in_order(pop: Pop3) -> None:
    pop.send(b"NOOP\r\nSTAT\r\nNONSENSE\r\nQUIT\r\n")
    assert [pop.line()[:3] for _ in range(4)] == [b"+OK", b"+OK", b"-ER", b"+OK"]
    assert pop.ended()
