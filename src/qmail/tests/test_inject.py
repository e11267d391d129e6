"""qmail-inject and sendmail at their interfaces: message, options and environment in, queue and exit code out."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest
from lab.suite import BUILD, Home, Queued, Recorder

MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"


class Inject:
    """Runs qmail-inject, or sendmail, in a home with known control files."""

    def __init__(self, home: Home, recorder: Recorder) -> None:
        self.home, self.recorder = home, recorder
        home.control(defaulthost="host.test", defaultdomain="dom.test", plusdomain="plus.test", idhost="id.test")

    def run(
        self, message: bytes | str, *args: str, env: dict[str, str] | None = None, program: str = "qmail-inject"
    ) -> subprocess.CompletedProcess[bytes]:
        given = {"QMAILQUEUE": str(self.recorder.program), "USER": "joe", **(env or {})}
        stdin = message.encode() if isinstance(message, str) else message
        return self.home.run(program, *args, stdin=stdin, env=given)

    def __call__(
        self, message: bytes | str, *args: str, env: dict[str, str] | None = None, program: str = "qmail-inject"
    ) -> Queued:
        done = self.run(message, *args, env=env, program=program)
        assert (done.returncode, done.stderr) == (0, b"")
        return self.recorder.all()[-1]

    def header(self, message: bytes | str, *args: str, env: dict[str, str] | None = None) -> dict[str, str]:
        queued = self(message, *args, env=env)
        head = queued.message.split(b"\n\n", 1)[0].decode()
        fields = re.split(r"\n(?![ \t])", head)
        names = [field.split(":")[0] for field in fields]
        assert len(names) == len(set(names)), names
        return {name: field.split(":", 1)[1].strip() for name, field in zip(names, fields, strict=True)}


@pytest.fixture
def inject(home: Home, recorder: Recorder) -> Inject:
    return Inject(home, recorder)


# What is added


def test_missing_fields_are_added(inject: Inject) -> None:
    header = inject.header("To: a@b.test\nSubject: x\n\nbody\n")
    assert list(header) == ["To", "Subject", "Date", "Message-ID", "From"]
    assert re.fullmatch(rf"\d+ {MONTH} \d{{4}} \d\d:\d\d:\d\d -0000", header["Date"])
    assert re.fullmatch(r"<\d{14}\.\d+\.qmail@id\.test>", header["Message-ID"])
    assert header["From"] == "joe@host.test"


def test_given_fields_stay(inject: Inject) -> None:
    message = b"Date: then\nMessage-ID: <x>\nFrom: a@b.test\nTo: c@d.test\n\nbody"
    queued = inject(message)
    assert queued.message == message
    assert queued.sender == b"joe@host.test"


def test_a_message_without_recipients_in_sight_gets_a_cc(inject: Inject) -> None:
    assert inject.header("Subject: x\n\n", "a@b.test")["Cc"] == "recipient list not shown: ;"


def test_bcc_return_path_and_content_length_go(inject: Inject) -> None:
    message = "Return-Path: <s@t.test>\nBcc: b@b.test,\n  c@c.test\nTo: a@a.test\nContent-Length: 3\nX: y\n\n"
    queued = inject(message)
    assert queued.recipients == [b"b@b.test", b"c@c.test", b"a@a.test"]
    assert queued.message.startswith(b"To: a@a.test\nX: y\nDate: ")


@pytest.mark.parametrize("program", [("qmail-inject",), ("sendmail", "-t")])
def test_authentication_results_of_our_name_go(inject: Inject, program: tuple[str, ...]) -> None:
    others = b"Authentication-Results: other.test (mail.example.test); spf=pass\n"
    message = (
        b'To: a@b.test\nauthentication-results : (x\n y) "Mail.example".test 1;\n\tspf=pass\n'
        + others
        + b"Authentication-Results:mail.example.test\nAuthentication-Results:\nX: y\n\n"
        + b"Authentication-Results: mail.example.test; none\n"
    )
    queued = inject(message, *program[1:], program=program[0])
    head, body = queued.message.split(b"\n\n", 1)
    assert head.startswith(b"To: a@b.test\n" + others + b"X: y\nDate: ")
    assert head.lower().count(b"authentication-results") == 1
    assert body == b"Authentication-Results: mail.example.test; none\n"


def test_a_name_that_can_not_be_read_is_trouble_for_later(inject: Inject) -> None:
    inject.home.control(me=b"a\0b")
    done = inject.run("To: a@b.test\n\n")
    assert (done.returncode, done.stderr) == (111, b"qmail-inject: fatal: can't read control/me\n")


def test_the_body_is_not_touched(inject: Inject) -> None:
    body = b"To: x\n\n\0\xff\r.\n.\nFrom me\n\rno end\r"
    assert inject(b"To: a@b.test\n\n" + body).message.endswith(b"\n\n" + body)


@pytest.mark.parametrize("program", [("qmail-inject",), ("sendmail", "-t")])
@pytest.mark.parametrize("header", [b"\n", b"\r\n"])
def test_cr_lf_ends_a_line_as_lf_does(inject: Inject, program: tuple[str, ...], header: bytes) -> None:
    message = b"To: a@b.test,|  c@d.test|Subject: x||".replace(b"|", header)
    body = b"one\r\n\r\ntwo\nthree\r\r\n" + b"x" * 65536 + b"\r\n" * 3 + b"\rend\r\n"
    queued = inject(message + body, *program[1:], program=program[0])
    assert queued.recipients == [b"a@b.test", b"c@d.test"]
    head, _, got = queued.message.partition(b"\n\n")
    assert head.startswith(b"To: a@b.test,\n  c@d.test\nSubject: x\nDate: ")
    assert b"\r" not in head
    assert got == b"one\n\ntwo\nthree\r\n" + b"x" * 65536 + b"\n" * 3 + b"\rend\n"


def test_a_body_without_a_header_may_end_its_lines_with_cr_lf(inject: Inject) -> None:
    assert inject(b"text\r\nmore\r\n", "a@b.test").message.endswith(b"\n\ntext\nmore\n")


@pytest.mark.parametrize("message", ["body\n", "\nbody\n", " body\n", ": body\n", "b\xf6dy: x\n", "a b: c\n"])
def test_what_is_no_header_begins_the_body(inject: Inject, message: str) -> None:
    text = inject(message, "a@b.test").message
    assert text.startswith(b"Date: ")
    assert text.endswith(b"\n\n" + message.lstrip("\n").encode())


def test_a_body_that_begins_without_a_blank_line(inject: Inject) -> None:
    assert inject("To: a@b.test\nhello\n").message.endswith(b"\nFrom: joe@host.test\n\nhello\n")


def test_a_header_may_be_all_there_is(inject: Inject) -> None:
    assert inject("To: a@b.test").message.endswith(b"\nFrom: joe@host.test\n\n")
    assert inject(b"", "a@b.test").message.endswith(b"\nFrom: joe@host.test\nCc: recipient list not shown: ;\n\n")


def test_the_line_that_an_mbox_begins_with_goes(inject: Inject) -> None:
    assert inject("From me Mon Nov 23\nTo: a@b.test\n\n").message.startswith(b"To: a@b.test\n")


# Addresses


@pytest.mark.parametrize(
    ("given", "text", "recipients"),
    [
        ("joe", "joe@host.test", ["joe@host.test"]),
        ("joe@here", "joe@here.dom.test", ["joe@here.dom.test"]),
        ("root@localhost", "root@localhost", ["root@localhost"]),
        (
            "root@LocalHost, b@localhost.localdomain",
            "root@LocalHost, b@localhost.localdomain",
            ["root@LocalHost", "b@localhost.localdomain"],
        ),
        ("u@[127.0.0.1]", "u@[127.0.0.1]", ["u@[127.0.0.1]"]),
        ("joe@cs+", "joe@cs.plus.test", ["joe@cs.plus.test"]),
        ("joe@a.b+", "joe@a.b.plus.test", ["joe@a.b.plus.test"]),
        ("joe@a.b", "joe@a.b", ["joe@a.b"]),
        ("joe@[127.0.0.1]", "joe@[127.0.0.1]", ["joe@[127.0.0.1]"]),
        (
            "joe (Joe), ann (A, \\) (n) n)",
            "joe@host.test (Joe), ann@host.test (A, \\) (n) n)",
            ["joe@host.test", "ann@host.test"],
        ),
        (
            "Joe <joe>, Ann B. <ann@x>",
            "Joe <joe@host.test>, Ann B. <ann@x.dom.test>",
            ["joe@host.test", "ann@x.dom.test"],
        ),
        ("<@a,@b.c:joe@x>", "<joe@x.dom.test>", ["joe@x.dom.test"]),
        (
            "list: a, b@c;, d",
            "list: a@host.test, b@c.dom.test;, d@host.test",
            ["a@host.test", "b@c.dom.test", "d@host.test"],
        ),
        ("undisclosed:;", "undisclosed:;", []),
        ('"a b"@c.d', '"a b"@c.d', ["a b@c.d"]),
        ('"a\\"b" <"x@y"@c.d>', '"a\\"b" <"x@y"@c.d>', ["x@y@c.d"]),
        ("a . b @ c . d", "a . b @ c . d", ["a.b@c.d"]),
        ("a @ c (x) ", "a @ c.dom.test (x)", ["a@c.dom.test"]),
        ("a%b@c.d, e!f", "a%b@c.d, e!f@host.test", ["a%b@c.d", "e!f@host.test"]),
        (",,a,,", ",,a@host.test,,", ["a@host.test"]),
        ("a,\n b\n\t,c", "a@host.test,\n b@host.test\n\t,c@host.test", ["a@host.test", "b@host.test", "c@host.test"]),
        ("Joe\\, X <joe>", "Joe\\, X <joe@host.test>", ["joe@host.test"]),
        ("\u00f6@c.d", "\u00f6@c.d", ["\u00f6@c.d"]),
        ("a@b@c", "a@b@c.dom.test", ["a@b@c.dom.test"]),
        ("<a@b.c> (x), <>", "<a@b.c> (x), <>", ["a@b.c"]),
    ],
)
def test_addresses_are_completed_and_found(inject: Inject, given: str, text: str, recipients: list[str]) -> None:
    queued = inject(f"To: {given}\nCc: z@z.test\n\n")
    assert queued.message.startswith(f"To: {text}\n".encode()) or queued.message.startswith(f"To: {text} \n".encode())
    assert queued.recipients == [item.encode() for item in recipients] + [b"z@z.test"]


@pytest.mark.parametrize(
    "bad",
    ['"a@b.c', "a (b", "a)", "<a@b.c", "a@b.c>", "a b@c.d", "<a@b.c> d", "a@", "@b.c", "<a> <b>", "[x", "a@b]",
     'a@"b".c', "a@b\\+", "a\\", "a\\\n", "<a;b>", "<b:a@c>", "a" * 900 + "@b.c", "\0@b.c", '"\\\0"@b.c'],
)  # fmt: skip
def test_what_is_no_address_list_is_refused_by_its_line(inject: Inject, bad: str) -> None:
    done = inject.run(f"To: {bad}\n\n")
    assert done.returncode == 100
    assert b"unable to parse this line: To: " in done.stderr
    assert inject.recorder.all() == []


def test_a_bad_field_that_does_not_count_stays_as_it_is(inject: Inject) -> None:
    queued = inject('Reply-To: "Joe\nTo: no such thing\n\n', "a@b.test")
    assert queued.message.startswith(b'Reply-To: "Joe\nTo: no such thing\nDate: ')


def test_sender_fields_are_completed(inject: Inject) -> None:
    names = ["Sender", "From", "Reply-To", "Errors-To", "Return-Receipt-To", "Apparently-To"]
    header = inject.header("".join(f"{name}: x\n" for name in names) + "Subject: x\n\n", "a@b.test")
    assert {header[name] for name in names} == {"x@host.test"}
    assert header["Subject"] == "x"


def test_a_control_file_that_is_absent_means_me(inject: Inject) -> None:
    inject.home.control(defaulthost=None, defaultdomain=None, plusdomain=None, idhost=None, me="me.test")
    header = inject.header("To: a, b@c, d@e+\n\n")
    assert header["To"] == "a@me.test, b@c.me.test, d@e.me.test"
    assert header["Message-ID"].endswith(".qmail@me.test>")


def test_without_me_each_name_stands_for_itself(inject: Inject) -> None:
    inject.home.control(defaulthost=None, defaultdomain=None, plusdomain=None, idhost=None, me=None)
    assert inject.header("To: a, b@c+\n\n")["To"] == "a@defaulthost.defaultdomain, b@c.plusdomain"


def test_variables_override_control_files(inject: Inject) -> None:
    env = {"QMAILDEFAULTHOST": "h", "QMAILDEFAULTDOMAIN": "d", "QMAILPLUSDOMAIN": "p", "QMAILIDHOST": "i"}
    header = inject.header("To: a, b@c+\n\n", env=env)
    assert header["To"] == "a@h.d, b@c.p"
    assert header["Message-ID"].endswith(".qmail@i>")


def test_an_empty_default_domain_adds_nothing(inject: Inject) -> None:
    inject.home.control(defaultdomain="", defaulthost="h")
    assert inject.header("To: a, b@c\n\n")["To"] == "a@h, b@c"


def test_a_control_file_that_cannot_be_read_defers(inject: Inject) -> None:
    inject.home.control(idhost=None)
    (inject.home.path / "control/idhost").mkdir()
    done = inject.run("To: a\n\n")
    assert done.returncode == 111
    assert b"control/idhost" in done.stderr


# Recipients


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["x"], ["x@host.test"]),
        ([], ["a@a.test", "b@b.test", "c@c.test", "d@d.test"]),
        (["-A", "x", "y@y"], ["x@host.test", "y@y.dom.test"]),
        (["-a", "x"], ["x@host.test"]),
        (["-h", "x"], ["a@a.test", "b@b.test", "c@c.test", "d@d.test"]),
        (["-H", "x"], ["x@host.test", "a@a.test", "b@b.test", "c@c.test", "d@d.test"]),
        (["-ah", "--", "x"], ["a@a.test", "b@b.test", "c@c.test", "d@d.test"]),
    ],
)
def test_which_recipients_count(inject: Inject, options: list[str], expected: list[str]) -> None:
    queued = inject("To: a@a.test\nCC: b@b.test\nbcc : c@c.test\nApparently-To: d@d.test\n\n", *options)
    assert queued.recipients == [item.encode() for item in expected]


@pytest.mark.parametrize(
    ("message", "args"), [("To: a@b.test\n\n", ["-a"]), ("\n", []), ("To: x:;\n\n", []), ("To: <>\n\n", [])]
)
def test_no_recipients_at_all_is_refused(inject: Inject, message: str, args: list[str]) -> None:
    done = inject.run(message, *args)
    assert done.returncode == 100
    assert b"no recipients" in done.stderr
    assert inject.recorder.all() == []


def test_a_resent_message_goes_to_its_new_recipients_only(inject: Inject) -> None:
    message = "To: old@a.test\nCc: old@b.test\nFrom: x@y.test\nResent-To: new@a.test\nresent-bcc: new@b.test\n\n"
    queued = inject(message, env={"QMAILINJECT": "fi"})
    assert queued.recipients == [b"new@a.test", b"new@b.test"]
    head = queued.message.split(b"\n\n")[0].decode().split("\n")
    assert [line.split(":")[0] for line in head] == [
        *("To", "Cc", "From", "Resent-To", "Resent-Date", "Resent-Message-ID", "Resent-From"),
    ]


def test_a_resent_message_without_recipients_in_sight(inject: Inject) -> None:
    queued = inject("To: old@a.test\nResent-From: x@y.test\n\n", "a@b.test")
    assert queued.message.split(b"\n\n")[0].endswith(b"\nResent-Cc: recipient list not shown: ;")


def test_an_argument_that_is_no_address_is_refused(inject: Inject) -> None:
    assert inject.run("\n", "a b").returncode == 100


# The sender


@pytest.mark.parametrize(
    ("env", "args", "header", "sender"),
    [
        ({}, [], "", "joe@host.test"),
        ({"QMAILUSER": "q", "MAILUSER": "m", "LOGNAME": "l"}, [], "", "q@host.test"),
        ({"MAILUSER": "m", "LOGNAME": "l"}, [], "", "m@host.test"),
        ({"USER": "", "LOGNAME": "l"}, [], "", "l@host.test"),
        ({"USER": ""}, [], "", "anonymous@host.test"),
        ({"QMAILHOST": "qh", "MAILHOST": "mh.test"}, [], "", "joe@qh.dom.test"),
        ({"MAILHOST": "mh.test"}, [], "", "joe@mh.test"),
        ({"QMAILSUSER": "s", "QMAILSHOST": "sh.test"}, [], "", "s@sh.test"),
        ({"QMAILSUSER": "s"}, [], "Return-Path: <r@p>\n", "r@p.dom.test"),
        ({}, [], "Return-Path: <>\n", ""),
        ({"QMAILINJECT": "s"}, [], "Return-Path: <r@p>\n", "joe@host.test"),
        ({}, ["-ff"], "Return-Path: <r@p>\n", "f@host.test"),
        ({"QMAILINJECT": "rm"}, ["-f", "f@g.test"], "", "f@g.test"),
        ({}, ["-f", ""], "", ""),
        ({}, ["-f<>"], "", ""),
        ({"QMAILINJECT": "r"}, [], "", "joe-@host.test-@[]"),
        ({"QMAILUSER": "a b"}, [], "", "a b@host.test"),
    ],
)
def test_the_envelope_sender(inject: Inject, env: dict[str, str], args: list[str], header: str, sender: str) -> None:
    assert inject(f"{header}To: a@b.test\n\n", *args, env=env).sender == sender.encode()


@pytest.mark.parametrize(
    ("letters", "form"), [("m", rb"joe-\d{14}\.\d+@host\.test"), ("mr", rb"joe-\d{14}\.\d+-@host\.test-@\[\]")]
)
def test_a_sender_for_each_message(inject: Inject, letters: str, form: bytes) -> None:
    assert re.fullmatch(form, inject("To: a@b.test\n\n", env={"QMAILINJECT": letters}).sender)


def test_two_senders_are_refused(inject: Inject) -> None:
    assert inject.run("To: a@b.test\n\n", "-f", "a, b").returncode == 100


@pytest.mark.parametrize(
    ("env", "author"),
    [
        ({"QMAILNAME": "Joe", "NAME": "no"}, "Joe <joe@host.test>"),
        ({"MAILNAME": "Joe B"}, "Joe B <joe@host.test>"),
        ({"NAME": 'J. "B"\nX: y'}, '"J. \\"B\\" X: y" <joe@host.test>'),
        ({"NAME": "J. (B)\\", "QMAILINJECT": "c"}, "joe@host.test (J. \\(B\\)\\\\)"),
        ({"QMAILUSER": "joe b"}, '"joe b"@host.test'),
        ({"QMAILUSER": "joe\nX: y"}, '"joe_X: y"@host.test'),
    ],
)
def test_the_author(inject: Inject, env: dict[str, str], author: str) -> None:
    assert inject.header("To: a@b.test\n\n", env=env)["From"] == author


def test_letters_f_and_i_replace_what_is_given(inject: Inject) -> None:
    header = inject.header("From: x@y.test\nMessage-ID: <x>\nTo: a@b.test\n\n", env={"QMAILINJECT": "fi"})
    assert header["From"] == "joe@host.test"
    assert header["Message-ID"] != "<x>"


def test_mail_followup_to(inject: Inject) -> None:
    (inject.home.path / "lists").write_text("LIST@l.test\n# no\nother@l.test\n")
    env = {"QMAILMFTFILE": str(inject.home.path / "lists")}
    header = inject.header("To: A <a@b>, list@l.test\nCc: c\n\n", env=env)
    assert header["Mail-Followup-To"] == "a@b.dom.test,\n  list@l.test,\n  c@host.test"
    assert "Mail-Followup-To" not in inject.header("To: a@b\n\n", env=env)
    assert inject.header("To: list@l.test\nMail-Followup-To: x\n\n", env=env)["Mail-Followup-To"] == "x@host.test"
    assert inject.run("To: a@b\n\n", env={"QMAILMFTFILE": "/nonexistent"}).returncode == 111


# Exit codes and bounds


@pytest.mark.parametrize(
    ("code", "reason", "expected"), [(31, "", 100), (53, "", 111), (82, "Dno thanks", 100), (82, "Zlater", 111)]
)
def test_the_queues_answer_is_passed_on(inject: Inject, code: int, reason: str, expected: int) -> None:
    inject.recorder.answer(code, reason)
    done = inject.run("To: a@b.test\n\n")
    assert done.returncode == expected
    assert reason[1:].encode() in done.stderr


def test_no_queue_program_defers(inject: Inject) -> None:
    assert inject.run("To: a@b.test\n\n", env={"QMAILQUEUE": "/nonexistent"}).returncode == 111


def test_an_unknown_option_is_refused(inject: Inject) -> None:
    assert inject.run("", "-x").returncode == 100


def test_printing_queues_nothing(inject: Inject) -> None:
    done = inject.run("To: a\n\nbody\n", "-n")
    assert done.returncode == 0
    assert done.stdout.startswith(b"To: a@host.test\nDate: ")
    assert done.stdout.endswith(b"\n\nbody\n")
    assert inject.recorder.all() == []


def test_a_million_header_lines(inject: Inject) -> None:
    start = time.monotonic()
    queued = inject(b"To: a@b.test\n" + b"X-Line: of a bomb\n" * 1_000_000 + b"\nbody\n")
    assert queued.message.count(b"\n") == 1_000_000 + 6
    assert time.monotonic() - start < 30


def test_a_million_recipients(inject: Inject) -> None:
    queued = inject(b"To: " + b",".join(b"u%d" % number for number in range(1_000_000)) + b"\n\n")
    assert len(queued.recipients) == 1_000_000
    assert queued.recipients[-1] == b"u999999@host.test"


@pytest.mark.parametrize(
    "text", [b"(" * 2_000_000 + b")" * 2_000_000 + b"a", b"a" + b"()" * 1_000_000, b"a: " * 500_000 + b"a"]
)
def test_deep_and_many_comments_and_groups(inject: Inject, text: bytes) -> None:
    start = time.monotonic()
    assert inject(b"To: " + text + b"\n\n").recipients == [b"a@host.test"]
    assert time.monotonic() - start < 30


def test_a_field_folded_a_million_times(inject: Inject) -> None:
    assert inject(b"To: a" + b"\n ," * 1_000_000 + b"b\n\n").recipients == [b"a@host.test", b"b@host.test"]


def test_a_header_without_end_is_refused(inject: Inject) -> None:
    done = inject.run(b"X: " + b"x" * (65 << 20), "a@b.test")
    assert done.returncode == 100
    assert b"header is longer" in done.stderr


# sendmail


@pytest.mark.parametrize(
    ("args", "recipients"),
    [
        (["a@b.test"], ["a@b.test"]),
        (["-t"], ["to@t.test"]),
        (["-t", "a@b.test"], ["a@b.test", "to@t.test"]),
        (["-oi", "-oem", "-i", "-odb", "-bm", "-em", "-v", "-m", "-n", "-U", "--", "a@b.test"], ["a@b.test"]),
        (
            ["-B", "8BITMIME", "-N", "never", "-O", "X=y", "-R", "hdrs", "-V", "id", "-h", "3", "-d0.1", "a"],
            ["a@host.test"],
        ),
        # As cron, PHP's mail(), mailx, s-nail, mutt, git and at call it.
        (["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "a@b.test"], ["a@b.test"]),
        (["-t", "-i", "-fwww@w.test"], ["to@t.test"]),
        (["-i", "-t", "-r", "ann@a.test"], ["to@t.test"]),
        (["-i", "-r", "ann@a.test", "--", "a@b.test"], ["a@b.test"]),
        (["-oem", "-oi", "-f", "ann@a.test", "-N", "failure,delay", "-R", "full", "--", "a@b.test"], ["a@b.test"]),
        (["-i", "-v", "a@b.test"], ["a@b.test"]),
        (["-bm", "-i", "root@localhost"], ["root@localhost"]),
    ],
)
def test_sendmail_and_its_options(inject: Inject, args: list[str], recipients: list[str]) -> None:
    queued = inject("To: to@t.test\n\n.\nmore\n", *args, program="sendmail")
    assert queued.recipients == [item.encode() for item in recipients]
    assert queued.message.endswith(b"\n\n.\nmore\n")


OTHER = {"MAILHOST": "m", "NAME": "N", "MAILNAME": "N", "QMAILNAME": "N", "QMAILHOST": "old.test"}


@pytest.mark.parametrize(
    ("args", "sender", "author"),
    [
        (["-f", "ann@a.test"], b"ann@a.test", "ann@a.test"),
        (["-fann"], b"ann@host.test", "ann@host.test"),
        (["-r", "ann@a.test"], b"ann@a.test", "ann@a.test"),
        (["-F", "Ann", "-f", "ann@a.test"], b"ann@a.test", "Ann <ann@a.test>"),
        (["-f", ""], b"", "joe@old.test"),
        (["-f", "<>"], b"", "joe@old.test"),
        (["-F", "Joe"], b"joe@old.test", "Joe <joe@old.test>"),
        (["-f<ann@a.test>"], b"ann@a.test", "ann@a.test"),
        (["-r", "<ann@a.test>"], b"ann@a.test", "ann@a.test"),
        (["-f", "Ann Other <ann@a.test>"], b"ann@a.test", "ann@a.test"),
        (["-f", "ann@a.test (Ann)"], b"ann@a.test", "ann@a.test"),
        (["-F", "Ann", "-f", '"A. O" <ann@a.test>'], b"ann@a.test", "Ann <ann@a.test>"),
        (["-f", '"odd one"@a.test'], b"odd one@a.test", '"odd one"@a.test'),
        (["-f", "root@localhost"], b"root@localhost", "root@localhost"),
    ],
)
def test_sendmails_sender_is_the_author(inject: Inject, args: list[str], sender: bytes, author: str) -> None:
    queued = inject("To: t@t.test\n\n", "-t", *args, program="sendmail", env=OTHER)
    assert queued.sender == sender
    assert f"\nFrom: {author}\n".encode() in queued.message


def test_a_recipient_that_looks_like_an_option(inject: Inject) -> None:
    assert inject("\n", "--", "-n", program="sendmail").recipients == [b"-n@host.test"]


@pytest.mark.parametrize(
    "args", [["-bd"], ["-bt"], ["-bi"], ["-?"], [], ["-fa@b, c@d", "x"], ["-f", "a b@c", "x"], ["-f", "a\nB: c <", "x"]]
)
def test_what_sendmail_cannot_do_is_refused(inject: Inject, args: list[str]) -> None:
    done = inject.run("\n", *args, program="sendmail")
    assert done.returncode == 100
    assert done.stderr.startswith(b"sendmail: fatal: ")


@pytest.mark.parametrize(
    ("name", "args", "program"),
    [("sendmail", ["-bs"], "qmail-smtpd"), ("sendmail", ["-bp"], "qmail-qread"), ("mailq", [], "qmail-qread")],
)
def test_sendmail_as_other_programs(inject: Inject, name: str, args: list[str], program: str) -> None:
    home = inject.home.path
    (home / "bin").unlink()
    (home / "bin").mkdir()
    (home / "bin" / program).write_text('#!/bin/sh\necho "$0 $#" "${RELAYCLIENT-unset}"\n')
    (home / "bin" / program).chmod(0o755)
    done = subprocess.run(
        [name, *args],
        executable=BUILD / "bin/sendmail",
        env=inject.home.environment(),
        capture_output=True,
        check=False,
    )
    relay = "" if program == "qmail-smtpd" else "unset"
    assert done.stdout.decode() == f"{home}/bin/{program} 0 {relay}\n"


def test_no_descriptor_is_passed_on(inject: Inject) -> None:
    recorder = inject.home.path / "queue-program"
    recorder.write_text("#!/bin/sh\nls /proc/self/fd >&2\ncat >/dev/null\ncat <&1 >/dev/null\n")
    recorder.chmod(0o755)
    extra = os.open("/dev/null", os.O_RDONLY)
    done = inject.home.run("qmail-inject", "a@b.test", stdin=b"\n", env={"QMAILQUEUE": str(recorder)}, fds={9: extra})
    os.close(extra)
    assert done.stderr.decode().split() == ["0", "1", "2", "3", "6"]
