"""qmail-vacation at its real interface: who is answered, who never is, and what an answer looks like."""

from __future__ import annotations

import base64
import datetime
import email
import email.policy
import email.utils
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
import qmail_vacation as vacation

PROGRAM = Path(vacation.__file__)
SENDER = "Joe@sender.example"
MESSAGE = (
    b"Received: (x); y\nFrom: Joe <joe@sender.example>\nTo: Carol <carol@example.org>\n"
    b"Subject: Lunch?\nMessage-ID: <1@sender.example>\n\nbody\n"
)
QUEUE = """#!{python} -IS
import os, sys
message, envelope = sys.stdin.buffer.read(), os.fdopen(1, "rb").read()
number = len(os.listdir("queued"))
if {code}:
    os._exit({code})
open("queued/%d" % number, "wb").write(envelope + message)
"""


class Away:
    """Somebody who is away, and what comes meanwhile."""

    def __init__(self, path: Path) -> None:
        (path / "queued").mkdir()
        self.path, self.state = path, path / ".vacation"
        self.queue(0)
        self.declare()

    def queue(self, code: int) -> None:
        program = self.path / "queue"
        program.write_text(QUEUE.format(python=sys.executable, code=code))
        program.chmod(0o755)

    def declare(self, **changes: Any) -> None:
        values = {
            "mailbox": "carol",
            "addresses": ["carol@example.org", "info@Example.net"],
            "subject": "Away",
            "text": "I am away.\n",
            "state": str(self.state),
        }
        self.write(json.dumps({**values, **changes}))

    def write(self, text: str) -> None:
        (self.path / "declaration").write_text(text)

    def get(self, message: bytes = MESSAGE, sender: str | None = SENDER) -> str:
        """Get a message; what is said of it."""
        (self.path / "message").write_bytes(message)
        env = {"QMAILQUEUE": str(self.path / "queue"), "PATH": os.environ["PATH"]}
        if sender is not None:
            env["SENDER"] = sender
        command = [sys.executable, "-IS", str(PROGRAM), "--home", str(self.path), str(self.path / "declaration")]
        with (self.path / "message").open("rb") as stdin:
            done = subprocess.run(
                command, stdin=stdin, env=env, capture_output=True, text=True, check=False, timeout=60
            )
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"vacation: [ -~]+\n", done.stdout)
        return str(done.stdout[10:-1])

    def queued(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted((self.path / "queued").iterdir(), key=lambda path: int(path.name))]

    def answer(self, message: bytes = MESSAGE, sender: str = SENDER) -> EmailMessage:
        """Get a message that must be answered; the answer."""
        assert self.get(message, sender) == f"answered {sender}"
        (found,) = self.queued()
        envelope, text = found.split(b"\0\0", 1)
        assert envelope == b"F\0T" + sender.encode()
        assert b"\r" not in text
        text.decode("ascii")
        parsed = email.message_from_bytes(text, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        assert not parsed.defects
        return parsed


@pytest.fixture
def away(tmp_path: Path) -> Away:
    return Away(tmp_path)


SIGN = """#!/bin/sh
printf '%s' "$*" >signed-by
exec "$1"
"""


def test_an_answer_is_signed_where_the_site_signs(away: Away) -> None:
    (away.path / "control").mkdir()
    (away.path / "bin").mkdir()
    (away.path / "control" / "signsocket").write_text("/run/qmail/sign.socket\n")
    (away.path / "bin" / "qmail-sign").write_text(SIGN)
    (away.path / "bin" / "qmail-sign").chmod(0o755)
    away.answer()
    assert (away.path / "signed-by").read_text() == str(away.path / "queue")


def test_and_is_not_where_the_file_is_empty(away: Away) -> None:
    (away.path / "control").mkdir()
    (away.path / "control" / "signsocket").write_text("\n")
    away.answer()


def day(offset: int) -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    return (today + datetime.timedelta(offset)).isoformat()


def number(offset: int) -> int:
    return int(time.time() // 86400) + offset


# The answer


def test_an_answer_is_what_rfc_3834_asks_for(away: Away) -> None:
    answer = away.answer()
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["From"] == "carol@example.org"
    assert answer["To"] == "Joe@sender.example"
    assert answer["Subject"] == "Away"
    assert answer["In-Reply-To"] == answer["References"] == "<1@sender.example>"
    assert re.fullmatch(r"<\d+\.\d+\.vacation@example\.org>", answer["Message-ID"])
    assert abs(email.utils.parsedate_to_datetime(answer["Date"]).timestamp() - time.time()) < 60
    assert answer.get_content() in ("I am away.\n", "I am away.\r\n")
    assert base64.b64decode(str(answer.get_payload())) == b"I am away.\r\n"


def test_without_a_subject_it_has_the_message_s(away: Away) -> None:
    away.declare(subject=None)
    assert away.answer()["Subject"] == "Auto: Lunch?"


@pytest.mark.parametrize(
    ("field", "subject"),
    [
        (b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Auto: Grüße"),
        (b"Subject: Gr\xc3\xbc\xc3\x9fe", "Auto: Grüße"),
        (b"Subject: Gr\xfc\xdfe", "Auto: Grüße"),
        (b"Subject: a\n\tb\rBcc: x@y.example\x00c", "Auto: a b Bcc: x@y.example c"),
        (b"Subject:" + b" word" * 100, "Auto:" + " word" * 39),
        (b"Subject: " + b"x" * 5000, "Auto:"),
        (b"X: y", "Auto:"),
        (b"Subject: " + "ü€𝄞 ".encode() * 30, "Auto: " + ("ü€𝄞 " * 30).strip()),
    ],
)
def test_any_subject_makes_one_field(away: Away, field: bytes, subject: str) -> None:
    away.declare(subject=None)
    answer = away.answer(MESSAGE.replace(b"Subject: Lunch?", field))
    assert answer["Subject"] == subject
    assert "Bcc" not in answer


def test_declared_words_may_be_of_any_alphabet(away: Away) -> None:
    text = "Ich bin bis Montag verreist. Grüße\n\nこんにちは " + "ü" * 300 + "\n.\n"
    away.declare(subject="Nicht da: größere Reise " + "ö" * 40, text=text.replace("\n", "\r\n"))
    answer = away.answer()
    assert answer["Subject"] == "Nicht da: größere Reise " + "ö" * 40
    assert answer.get_content().replace("\r\n", "\n") == text
    assert all(len(line) <= 78 for line in answer.as_bytes().splitlines())


def test_it_comes_from_the_address_that_was_written_to(away: Away) -> None:
    assert away.answer(MESSAGE.replace(b"carol@example.org", b"INFO@example.net"))["From"] == "info@example.net"


def test_references_go_on_and_stay_short(away: Away) -> None:
    ids = [f"<{i}@x.example>" for i in range(50)]
    header = f"References: {' '.join(ids)}\n\trubbish <a b> <>\n".encode()
    assert away.answer(header + MESSAGE)["References"].split() == [*ids[-20:], "<1@sender.example>"]


def test_without_references_the_answered_one_is_named(away: Away) -> None:
    assert away.answer(b"In-Reply-To: <0@x.example>\n" + MESSAGE)["References"].split() == [
        "<0@x.example>",
        "<1@sender.example>",
    ]


@pytest.mark.parametrize(
    "field", [b"Message-ID: none", b"Message-ID: <a\n b>", b"Message-ID: <" + b"x" * 300 + b">", b"X: y"]
)
def test_a_malformed_id_is_left_out(away: Away, field: bytes) -> None:
    answer = away.answer(MESSAGE.replace(b"Message-ID: <1@sender.example>", field))
    assert "In-Reply-To" not in answer
    assert "References" not in answer


# Who is answered


@pytest.mark.parametrize(
    "field",
    [
        b"To: carol@example.org",
        b"to : x@y.example,\n\t<CAROL@Example.Org>",
        b"Cc: Carol (carol) <carol+shop@example.org>",
        b"Resent-To: carol@example.org",
        b"Bcc: x\nCC: a: b@c.example, carol@example.org;",
    ],
)
def test_who_wrote_to_him_is_answered(away: Away, field: bytes) -> None:
    assert away.get(field + b"\nSubject: x\n\n") == f"answered {SENDER}"


@pytest.mark.parametrize(
    "field",
    [
        b"To: undisclosed-recipients:;",
        b"To: dave@example.org",
        b"To: carol@example.org.evil.example",
        b"To: xcarol@example.org",
        b"Bcc: carol@example.org",
        b"X-To: carol@example.org",
        b"To: " + b"+" * 200000 + b"@example.org",
        b"To: " + b"(" * 100000,
    ],
)
def test_who_did_not_is_not(away: Away, field: bytes) -> None:
    assert (
        away.get(field + b"\nSubject: x\n\nTo: carol@example.org\n")
        == "no answer: neither To nor Cc names an address of his"
    )


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        ("", "it has no sender"),
        (None, "it has no sender"),
        ("#@[]", "it has no sender"),
        ("joe", "its sender can't be answered"),
        ("a b@c.example", "its sender can't be answered"),
        ("a@b.example\nBcc: x", "its sender can't be answered"),
        ("a>@b.example", "its sender can't be answered"),
        ("a@b.example\n", "its sender can't be answered"),
        ("x" * 300 + "@b.example", "its sender can't be answered"),
        ("MAILER-DAEMON@b.example", "its sender is a program"),
        ("owner-list@b.example", "its sender is a program"),
        ("list-owner@b.example", "its sender is a program"),
        ("list-owner-carol=example.org@b.example", "its sender is a program"),
        ("list-request@b.example", "its sender is a program"),
        ("bounce+7=carol@b.example", "its sender is a program"),
        ("No-Reply@b.example", "its sender is a program"),
        ("donotreply-shop@b.example", "its sender is a program"),
        ("noreply@b.example", "its sender is a program"),
        ("SRS0=abcd=xy=c.example=d@b.example", "its sender is a program"),
        ("carol@EXAMPLE.org", "he has written it himself"),
        ("info+x@example.net", "he has written it himself"),
    ],
)
def test_senders_that_are_never_answered(away: Away, sender: str | None, why: str) -> None:
    assert away.get(sender=sender) == f"no answer: {why}"
    assert not away.queued()


@pytest.mark.parametrize(
    "sender", ["bruno@b.example", "renata-owens@b.example", "noreen@b.example", "a.requester@b.example"]
)
def test_people_whose_names_only_resemble_these_are_answered(away: Away, sender: str) -> None:
    assert away.get(sender=sender) == f"answered {sender}"


@pytest.mark.parametrize(
    "field",
    [
        b"Auto-Submitted: auto-generated",
        b"auto-submitted: (x)\n auto-replied; owner=x",
        b"Auto-Submitted:",
        b"List-Id: <x>",
        b"LIST-UNSUBSCRIBE: <mailto:x>",
        b"List-Post: NO",
        b"Precedence: bulk",
        b"precedence: List",
        b"Precedence: junk (really)",
        b"X-Spam-Flag: YES",
        b"X-Auto-Response-Suppress: DR, OOF, AutoReply",
        b"X-Auto-Response-Suppress: All",
        b"X-Autoreply: yes",
    ],
)
def test_messages_that_are_never_answered(away: Away, field: bytes) -> None:
    assert away.get(field + b"\n" + MESSAGE).startswith("no answer: ")
    assert away.get(MESSAGE.replace(b"\n\n", b"\n" + field + b"\n\n", 1)).startswith("no answer: ")
    assert not away.queued()


@pytest.mark.parametrize(
    "field", [b"Auto-Submitted: no", b"Precedence: first-class", b"X-Spam-Flag: NO", b"X-List-Id: <x>"]
)
def test_fields_that_only_resemble_these_do_not_matter(away: Away, field: bytes) -> None:
    away.answer(field + b"\n" + MESSAGE)


def test_what_the_body_says_does_not_matter(away: Away) -> None:
    away.answer(MESSAGE + b"\nPrecedence: bulk\n")


# How often, and when


def test_a_sender_is_answered_once_a_week(away: Away) -> None:
    assert away.get().startswith("answered")
    assert away.get(sender="JOE@Sender.example") == "no answer: its sender has had an answer in the last seven days"
    assert away.get(sender="ann@sender.example").startswith("answered")
    answered = [line.split(" ")[1] for line in away.state.read_text().splitlines()]
    assert sorted(answered) == ["ann@sender.example", "joe@sender.example"]
    assert away.state.stat().st_mode & 0o777 == 0o600
    now = int(time.time())
    for age, said in ((7 * 86400 - 100, "no answer"), (7 * 86400 + 1, "answered")):
        away.state.write_text(f"{now - age} joe@sender.example\n")
        assert away.get().startswith(said)


def test_a_day_has_a_hundred_answers_whoever_writes(away: Away) -> None:
    now = int(time.time())
    away.state.write_text("".join(f"{now - 100} s{i}@x.example\n" for i in range(100)))
    assert away.get() == "no answer: there were 100 answers in the last 24 hours"
    away.state.write_text("".join(f"{now - 86401 + (i > 0)} s{i}@x.example\n" for i in range(100)))
    assert away.get().startswith("answered")


@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"\xff\0\n" * 1000, b"9999999999999 joe@sender.example\n", b"5\n"]
)
def test_a_state_that_is_none_answers(away: Away, content: bytes) -> None:
    away.state.write_bytes(content)
    assert away.get().startswith("answered")
    assert away.get().startswith("no answer")


def test_two_deliveries_at_a_time_answer_once(away: Away) -> None:
    (away.path / "message").write_bytes(MESSAGE)
    env = {"QMAILQUEUE": str(away.path / "queue"), "SENDER": SENDER}
    command = [sys.executable, "-IS", str(PROGRAM), "--home", str(away.path), str(away.path / "declaration")]
    running = []
    for _ in range(8):
        with (away.path / "message").open("rb") as stdin:
            running.append(subprocess.Popen(command, stdin=stdin, env=env, stdout=subprocess.DEVNULL))
    assert [process.wait(60) for process in running] == [0] * 8
    assert len(away.queued()) == 1


def test_a_queue_in_trouble_answers_another_time(away: Away) -> None:
    away.queue(53)
    assert away.get().endswith("qmail-queue ended with 53")
    away.queue(0)
    assert away.get().startswith("answered")


@pytest.mark.parametrize("form", ["text", "number"])
@pytest.mark.parametrize(
    ("first", "last", "answers"),
    [(0, 0, True), (-1, None, True), (None, 1, True), (1, None, False), (None, -1, False), (None, None, True)],
)
def test_only_on_the_declared_days(away: Away, form: str, first: int | None, last: int | None, answers: bool) -> None:
    days = [None if offset is None else day(offset) if form == "text" else number(offset) for offset in (first, last)]
    away.declare(**{"from": days[0]}, until=days[1])
    assert away.get().startswith("answered" if answers else "no answer: it is none of the days declared")


# Trouble: the mail is delivered all the same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100000,
        '{"addresses": []}',
        '{"addresses": ["a@b.example"], "text": "x"}',
        '{"addresses": ["a@b.example"], "text": "x", "state": "here"}',
        '{"addresses": ["a@b.example"], "text": 7, "state": "/x"}',
        '{"addresses": ["a b@b.example"], "text": "x", "state": "/x"}',
        '{"addresses": ["a@b.example"], "text": "x", "state": "/x", "until": "tomorrow"}',
        '{"addresses": ["a@b.example"], "text": "x", "state": "/x", "until": "2026-13-01"}',
        '{"addresses": ["a@b.example"], "text": "x", "state": "/x", "from": true}',
        '{"addresses": ["a@b.example"], "text": "x", "state": "/x", "from": 1.5}',
    ],
)
def test_a_declaration_that_is_none_is_said(away: Away, text: str) -> None:
    away.write(text)
    assert away.get().startswith(f"no answer: {away.path}/declaration: ")


def test_a_missing_declaration_and_a_home_that_can_not_be_written_to_are_said(away: Away) -> None:
    (away.path / "declaration").unlink()
    assert "No such file" in away.get()
    away.declare(state="/nonexistent/x")
    assert "No such file" in away.get()
    assert not away.queued()


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_nothing_is_followed_in_the_state_s_place(away: Away, kind: str) -> None:
    victim = away.path / "victim"
    victim.write_text("untouched")
    for name in (".vacation.lock", ".vacation.new", ".vacation"):
        place = away.path / name
        place.unlink(missing_ok=True)
        {"link": lambda p: p.symlink_to(victim), "fifo": os.mkfifo, "directory": os.mkdir}[kind](place)
        away.get(sender=f"{name[1:]}@x.example")
        assert victim.read_text() == "untouched"
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()


def test_a_held_lock_keeps_no_mail(away: Away) -> None:
    with (away.path / ".vacation.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert away.get() == "no answer: another answer takes too long"


def test_a_header_without_end_is_not_a_person_s(away: Away) -> None:
    assert away.get(b"X: y\n" * 100000 + MESSAGE) == "no answer: its header is too long for an answer"
    assert away.get(b"X" * 1000000) == "no answer: its header is too long for an answer"


def test_without_a_declaration_s_name_it_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-IS", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "usage: in .qmail: |qmail-vacation declaration\n")


# Properties

ASCII = st.characters(max_codepoint=0xFF)


@given(st.binary(max_size=2000))
def test_any_header_is_read(text: bytes) -> None:
    for name, values in vacation.parse_header(text).items():
        assert re.fullmatch(r"[!-~]+", name)
        assert all("\n" not in value and "\r" not in value for value in values)


@given(
    st.lists(st.sampled_from(["Subject", "References", "Message-ID", "In-Reply-To"])), st.lists(st.text(max_size=300))
)
def test_any_message_gets_an_answer_whose_header_is_ours_alone(names: list[str], values: list[str]) -> None:
    header: vacation.Header = {}
    for name, value in zip(names, values, strict=False):
        header.setdefault(name.lower(), []).append(vacation.readable(value.encode(errors="replace")))
    declared = vacation.Vacation(("a@b.example",), "text", "/x")
    text = vacation.compose(declared, header, "c@d.example", "a@b.example", 1.8e9)
    head, body = text.split(b"\n\n", 1)
    assert base64.b64decode(body) == b"text\r\n"
    assert all(len(line) <= 998 for line in head.split(b"\n"))
    names_out = [
        line.split(b":")[0] for line in head.decode("ascii").encode().split(b"\n") if not line.startswith(b" ")
    ]
    expected = [b"Date", b"From", b"To", b"Subject", b"Message-ID", b"Auto-Submitted"]
    if b"In-Reply-To" in names_out:
        expected += [b"In-Reply-To", b"References"]
    assert names_out == [*expected, b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,9}@[a-z.]{1,9}", fullmatch=True), st.integers(10**9, 10**9 + vacation.WEEK - 1)
    )
)
def test_what_is_remembered_is_read_again(answered: dict[str, int]) -> None:
    assert vacation.read_state(vacation.format_state(answered), 10**9 + vacation.WEEK - 1) == answered
