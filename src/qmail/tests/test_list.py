"""qmail-list: who may write to a list, what its members get, and what ends without a word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab.signer import FIELDS, Signer
from lab.suite import Home, Queued, Recorder

LIST = "team@example.org"
ID = "team.example.org"
MESSAGE = b"Received: (x); y\nFrom: carol@example.org\nSubject: hello\n\nbody\n"
ADDED = f"List-Id: <{ID}>\nPrecedence: list\n".encode()
DTLINE = "Delivered-To: team@example.org\n"


def cdb(path: Path, records: dict[bytes, bytes]) -> None:
    """Write a constant database."""
    lines = b"".join(b"+%d,%d:%s->%s\n" % (len(key), len(data), key, data) for key, data in records.items())
    subprocess.run(["cdb", "-c", path], input=lines + b"\n", check=True)


class Lists:
    """A home with one list, and what is sent to it."""

    def __init__(self, home: Home, recorder: Recorder) -> None:
        self.home, self.recorder = home, recorder
        self.database = home.path / "users" / "lists.cdb"
        (home.path / "users" / "lists").mkdir()
        self.declare("members", "carol@example.org", "dave@else.test")
        self.members("carol@example.org", "dave@else.test")

    def declare(self, policy: str, *senders: str) -> None:
        records = {LIST.encode(): f"{policy}\0{ID}\0".encode()}
        records |= {f"{LIST}\0{sender}".encode(): b"" for sender in senders}
        cdb(self.database, records)

    def members(self, *lines: str) -> None:
        (self.home.path / "users" / "lists" / LIST).write_text("".join(line + "\n" for line in lines))

    def send(
        self, message: bytes = MESSAGE, *, sender: str = "carol@example.org", address: str = LIST, pipe: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        file = self.home.path / "message"
        file.write_bytes(message)
        env = {"QMAILQUEUE": str(self.recorder.program), "SENDER": sender, "DTLINE": DTLINE}
        return self.home.run("qmail-list", address, stdin=message if pipe else file, env=env)

    def sent(self, message: bytes = MESSAGE, **how: str) -> Queued:
        done = self.send(message, **how)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stdout
        return self.recorder.one()


@pytest.fixture
def lists(home: Home, recorder: Recorder) -> Lists:
    return Lists(home, recorder)


@pytest.mark.parametrize("pipe", [False, True])
def test_a_message_is_queued_once_for_all_members_and_comes_from_the_owner(lists: Lists, pipe: bool) -> None:
    done = lists.send(pipe=pipe)
    assert done.returncode == 0
    assert done.stdout.startswith(b"list team@example.org: 2 members, qp ")
    queued = lists.recorder.one()
    assert queued.sender == b"team-owner@example.org"
    assert queued.recipients == [b"carol@example.org", b"dave@else.test"]
    head, body = MESSAGE.split(b"\n\n")
    assert queued.message == DTLINE.encode() + head + b"\n" + ADDED + b"\n" + body


def test_ten_thousand_members_are_one_message(lists: Lists) -> None:
    lists.members("# members", "", *(f"m{i}@else.test" for i in range(10000)))
    assert len(lists.sent().recipients) == 10000


def test_the_case_of_address_and_sender_does_not_matter(lists: Lists) -> None:
    assert lists.sent(address="Team@Example.ORG", sender="CAROL@example.org").sender == b"team-owner@example.org"


@pytest.mark.parametrize("policy", ["members", "users", "owner", "a word of tomorrow"])
def test_who_is_not_named_may_not_write(lists: Lists, policy: str) -> None:
    lists.declare(policy, "carol@example.org")
    assert lists.send().returncode == 0
    for stranger in ("mallory@example.org", "carol@example.or", "carol@example.orga", "", "anyone"):
        done = lists.send(sender=stranger)
        assert done.returncode == (99 if not stranger else 100)
        if stranger:
            assert done.stdout == b"This sender may not write to the list team@example.org. (#5.7.2)\n"
    assert len(lists.recorder.all()) == 1


def test_anyone_may_write_where_that_is_declared(lists: Lists) -> None:
    lists.declare("anyone")
    assert lists.sent(sender="mallory@else.test")


# Loops


@pytest.mark.parametrize(
    "field",
    [
        b"List-Id: <team.example.org>\n",
        b"LIST-ID : The <team> of <TEAM.example.org>\n",
        b"list-id:\n\tThe team\n\t<team.example.org>\n",
        b"List-Id: team.example.org\n",
        b"List-Id: <team.example.org\n",
        b"no field\nList-Id: <other>\nList-Id: <team.example.org>\n",
        b"Auto-Submitted: auto-replied\n",
        b"auto-submitted: (a (nested\\) one) here)\n Auto-Replied (vacation); owner-email=x\n",
    ],
)
def test_what_the_list_has_sent_and_what_answers_ends_without_a_word(lists: Lists, field: bytes) -> None:
    assert lists.send(field + MESSAGE).returncode == 99
    assert lists.send(MESSAGE.replace(b"\n\n", b"\n" + field + b"\n", 1)).returncode == 99
    assert not lists.recorder.all()


@pytest.mark.parametrize("sender", ["", "#@[]"])
def test_a_bounce_is_not_for_the_members(lists: Lists, sender: str) -> None:
    lists.declare("anyone")
    assert lists.send(sender=sender).returncode == 99
    assert not lists.recorder.all()


@pytest.mark.parametrize(
    "field",
    [
        b"List-Id: <team.example.org.else.test>\n",
        b"X-List-Id: <team.example.org>\n",
        b"Subject: List-Id: <team.example.org>\n",
        b"Auto-Submitted: auto-generated\n",
        b"Auto-Submitted: no (auto-replied)\n",
        b"Auto-Submitted: auto-replied-not\n",
        b"Auto-Submitted:\n",
    ],
)
def test_what_only_resembles_these_is_sent(lists: Lists, field: bytes) -> None:
    lists.sent(field + MESSAGE)


def test_what_stands_in_the_body_is_not_looked_at(lists: Lists) -> None:
    message = MESSAGE + b"\nList-Id: <team.example.org>\nAuto-Submitted: auto-replied\n"
    assert lists.sent(message).message.endswith(b"\nList-Id: <team.example.org>\nAuto-Submitted: auto-replied\n")


# Headers


def test_another_list_s_fields_give_way_to_ours(lists: Lists) -> None:
    head = b"List-ID: The other\n <other.test>\nX: y\nprecedence : bulk\n\t(more)\nTo: team@example.org\n"
    queued = lists.sent(head + b"\nbody\n")
    assert queued.message == DTLINE.encode() + b"X: y\nTo: team@example.org\n" + ADDED + b"\nbody\n"


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (b"", ADDED + b"\n"),
        (b"\nbody\n", ADDED + b"\nbody\n"),
        (b"a: b", b"a: b\n" + ADDED + b"\n"),
        (b"a: b\n", b"a: b\n" + ADDED + b"\n"),
        (b"a: b\nList-Id: <x>", b"a: b\n" + ADDED + b"\n"),
        (b" x\nno field\n: y\n\n\n", b" x\nno field\n: y\n" + ADDED + b"\n\n"),
        (b"a: b\r\n\r\nbody\n", b"a: b\r\n\r\nbody\n" + ADDED + b"\n"),
    ],
)
def test_any_header_stays_as_it_is(lists: Lists, message: bytes, sent: bytes) -> None:
    assert lists.sent(message).message == DTLINE.encode() + sent


def test_a_long_line_and_a_large_body_come_through(lists: Lists) -> None:
    message = b"X: " + b"y" * 500000 + b"\n\n" + b"z\0\n" * 500000
    assert (
        lists.sent(message).message
        == DTLINE.encode() + b"X: " + b"y" * 500000 + b"\n" + ADDED + b"\n" + b"z\0\n" * 500000
    )


@pytest.mark.parametrize("message", [b"X: " + b"y" * (1 << 20) + b"\n\n", b"X: y\n" * 300000 + b"\n", b"X: \0\n\n"])
def test_a_header_that_is_none_for_a_list_is_refused(lists: Lists, message: bytes) -> None:
    assert lists.send(message).returncode == 100
    assert not lists.recorder.all()


# Trouble


@pytest.mark.parametrize("address", ["team", "../../x@example.org", "a b@example.org", "", "<team@example.org>"])
def test_what_is_no_list_s_address_defers(lists: Lists, address: str) -> None:
    done = lists.send(address=address)
    assert done.returncode == 111
    assert b"is not the address of a list" in done.stdout


@pytest.mark.parametrize(
    "value", [b"", b"anyone", b"anyone\0", b"anyone\0\0", b"anyone\0id", b"anyone\0a>b\0", b"anyone\0id\0x\0"]
)
def test_a_malformed_declaration_defers(lists: Lists, value: bytes) -> None:
    cdb(lists.database, {LIST.encode(): value})
    assert lists.send().returncode == 111


def test_a_list_that_is_not_declared_defers(lists: Lists) -> None:
    assert lists.send(address="other@example.org").returncode == 111
    lists.database.write_bytes(b"short")
    assert lists.send().returncode == 111
    lists.database.unlink()
    assert lists.send().returncode == 111


@pytest.mark.parametrize("line", ["carol", "a@b.test c@d.test", "<a@b.test>", "a@b.test\0x"])
def test_a_member_that_is_no_address_defers(lists: Lists, line: str) -> None:
    lists.members("carol@example.org", line)
    assert lists.send().returncode == 111
    assert not lists.recorder.all()


def test_no_file_of_members_defers_and_an_empty_one_sends_nothing(lists: Lists) -> None:
    file = lists.home.path / "users" / "lists" / LIST
    lists.members()
    done = lists.send()
    assert (done.returncode, done.stdout) == (0, b"The list team@example.org has no members.\n")
    file.unlink()
    assert lists.send().returncode == 111
    assert not lists.recorder.all()


@pytest.mark.parametrize(("code", "expected"), [(31, 100), (53, 111), (81, 111)])
def test_the_queue_decides(lists: Lists, code: int, expected: int) -> None:
    lists.recorder.answer(code)
    assert lists.send().returncode == expected


@pytest.mark.parametrize("missing", ["SENDER", "DTLINE"])
def test_outside_of_dot_qmail_it_does_nothing(lists: Lists, missing: str) -> None:
    env = {name: value for name, value in (("SENDER", "carol@example.org"), ("DTLINE", DTLINE)) if name != missing}
    done = lists.home.run("qmail-list", LIST, stdin=MESSAGE, env=env)
    assert done.returncode == 100
    assert missing.encode() in done.stdout


def test_what_a_list_sends_is_signed_with_its_fields(lists: Lists) -> None:
    path = lists.home.path / "sign.socket"
    lists.home.control(signsocket=str(path))
    with Signer(path) as signer:
        sent = lists.sent()
    (signed,) = signer.messages
    assert sent.message == FIELDS + signed
    assert ADDED in signed
