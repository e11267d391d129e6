"""qmail-smtpd and the mail of the site's own users: what is added, what is kept to ourselves, and that it is signed."""

from __future__ import annotations

import base64
import re
import sys

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lab.dialogue import Smtp
from lab.signer import FIELDS, Signer
from lab.suite import Home, Recorder
from mailauth.results import is_forged

CHECKER = """#!{python} -I
import os, sys
sys.exit(0 if os.fdopen(3, "rb").read(1024).startswith(b"alice\\0secret\\0") else 1)
"""
PROGRAM = """#!/bin/sh
env >"{home}/environment"
exec "{home}/recorder/recorder"
"""
DATE = rb"Date: \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000\n"
ID = rb"Message-ID: <\d+\.\d{6}\.\d+\.smtp@ids\.example\.test>\n"
LOCAL = {"TCPREMOTEIP": "192.0.2.1", "TCPREMOTEINFO": "joe"}


@pytest.fixture(autouse=True)
def site(home: Home, recorder: Recorder) -> None:
    home.control(rcpthosts="example.test", idhost="ids.example.test")


@pytest.fixture
def checker(home: Home) -> str:
    program = home.path / "checker"
    program.write_text(CHECKER.format(python=sys.executable))
    program.chmod(0o755)
    return str(program)


def own(home: Home, **env: str) -> Smtp:
    """A client of a relay network."""
    return Smtp(home, env={"RELAYCLIENT": "", **env})


def logged_in(home: Home, checker: str, **env: str) -> Smtp:
    """A client that has authenticated."""
    recorder = str(home.path / "recorder" / "recorder")
    smtp = Smtp(home, checker, env={"TLSFRONT": "stunnel", "AUTHQMAILQUEUE": recorder, **LOCAL, **env})
    assert smtp.command("AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode()).startswith("235 ")
    return smtp


def below_received(message: bytes) -> bytes:
    """The message as it came, and what was added."""
    assert message.startswith(b"Received: ")
    return re.sub(rb"\A[^\n]*\n([ \t][^\n]*\n)*", b"", message)


def crlf(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


# What is added: RFC 6409 section 8 ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"From: a@b.test\n\nbody\n", rb"From: a@b\.test\n" + DATE + ID + rb"\nbody\n"),
        (b"Date: x\n\nbody\n", rb"Date: x\n" + ID + rb"\nbody\n"),
        (b"message-id: x\n\nbody\n", rb"message-id: x\n" + DATE + rb"\nbody\n"),
        (b"DATE : x\nMessage-Id: y\n\nbody\n", rb"DATE : x\nMessage-Id: y\n\nbody\n"),
        (b"X-Date: x\nDates: y\nDat: z\n\n", rb"X-Date: x\nDates: y\nDat: z\n" + DATE + ID + rb"\n"),
        (b"A: b\n Date: folded\n\n", rb"A: b\n Date: folded\n" + DATE + ID + rb"\n"),
        (b"A: b\n\nDate: in the body\n", rb"A: b\n" + DATE + ID + rb"\nDate: in the body\n"),
        (b"\nbody\n", DATE + ID + rb"\nbody\n"),
        (b"A: b\n", rb"A: b\n" + DATE + ID),
        (b"", DATE + ID),
        (b"no header here\n\nbody\n", DATE + ID + rb"no header here\n\nbody\n"),
        (b"A: b\nno field\nDate: x\n\n", rb"A: b\n" + DATE + ID + rb"no field\nDate: x\n\n"),
        (b"From me Fri 27 Nov\nDate: x\n\n", rb"From me Fri 27 Nov\nDate: x\n" + ID + rb"\n"),
        (b" folded\n\n", DATE + ID + rb" folded\n\n"),
        (b"\xff: b\n\n", DATE + ID + rb"\xff: b\n\n"),
        (b".: x\n\n.\n", rb"\.: x\n" + DATE + ID + rb"\n\.\n"),
    ],
)
def test_what_a_message_lacks_is_added_behind_its_fields(
    home: Home, recorder: Recorder, text: bytes, expected: bytes
) -> None:
    with own(home) as smtp:
        assert smtp.message(re.sub(rb"^\.", b"..", crlf(text), flags=re.MULTILINE)).startswith("250 ")
    found = below_received(recorder.one().message)
    assert re.fullmatch(expected, found), found


def test_so_it_is_for_who_has_authenticated(home: Home, recorder: Recorder, checker: str) -> None:
    with logged_in(home, checker) as smtp:
        assert smtp.message().startswith("250 ")
    assert re.search(rb"\nSubject: x\n" + DATE + ID + rb"\nbody\n\Z", recorder.one().message)


def test_a_strangers_message_stays_as_it_is(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
    assert below_received(recorder.one().message) == b"Subject: x\n\nbody\n"


# What nobody may bring along: RFC 8601 section 5 ----------------------------------------------

OURS = "mail.example.test"
PRETENDED = [
    b" mail.example.test; dmarc=pass header.from=bank.test\n",
    b"\n\tMAIL.Example.Test 1;\n\tspf=pass\n more\n",
    b' (a (comment)) "mail.example.test".; none\n',
    b" ma(x)il . exam\\ple.test/1; none\n",
    b" =?utf-8?q?mail.example.test?=; none\n",
    b" mail\xe3\x80\x82example\xe3\x80\x82test; none\n",
    b" mail.example.\0test; none\n",
    b" (no end\n",
    b"\n",
]
PIECES = ("mail", "example", "test", OURS, OURS.upper(), "ü", *'.;()"\\ \t\0x-1/_\x0b\x1f\x85\xa0=,')
BLANKS = [b" \t", b"\0", b" " * 990]


def results_of(message: bytes) -> bytes:
    """The message, with Date and Message-ID before what was added."""
    return b"Date: x\nMessage-ID: y\n" + message


def passed(home: Home, recorder: Recorder, message: bytes) -> bytes:
    with own(home) as smtp:
        assert smtp.message(crlf(message)).startswith("250 ")
    return below_received(recorder.all()[-1].message)


@pytest.mark.parametrize("value", PRETENDED)
def test_results_of_our_name_go(home: Home, recorder: Recorder, value: bytes) -> None:
    message = results_of(b"X: y\n|Z: y\n\n|body\n")
    with_it = message.replace(b"|", b"authentication-Results:" + value, 1)
    assert passed(home, recorder, with_it.replace(b"|", b"")) == message.replace(b"|", b"")


@pytest.mark.parametrize("blanks", BLANKS)
def test_so_they_do_with_blanks_behind_their_name(home: Home, recorder: Recorder, blanks: bytes) -> None:
    message = b"Authentication-Results" + blanks + b": mail.example.test; spf=pass\nX: y\n\nbody\n"
    assert b"uthentication-Results" not in passed(home, recorder, message)


def test_and_behind_a_line_that_is_no_field(home: Home, recorder: Recorder) -> None:
    fields = b"Authentication-Results: mail.example.test;\n\0 spf=pass\n"
    message = results_of(b"no field\n" + fields + b"X: y\n\n" + fields)
    assert passed(home, recorder, message) == message.replace(fields, b"", 1)


def test_and_at_a_messages_end(home: Home, recorder: Recorder) -> None:
    assert passed(home, recorder, results_of(b"Authentication-Results: mail.example.test\n")) == results_of(b"")


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mail.example.net; spf=pass\n",
        b"Authentication-Results: other (mail.example.test);\n\tspf=pass\n",
        b"Authentication-Results: a.mail.example.test; spf=pass\n",
        b"ARC-Authentication-Results: i=1; mail.example.test; spf=pass\n",
        b"X: y\n Authentication-Results: mail.example.test; spf=pass\n",
        b"Authentication-Results mail.example.test; spf=pass\n",
        b"Authentication-Results\n",
        b"Authentication-Results: other; " + b"x=\xc3\xbc\n " * 3 + b"\n",
    ],
)
def test_those_of_others_stay(home: Home, recorder: Recorder, field: bytes) -> None:
    assert field in passed(home, recorder, results_of(field) + b"\nbody\n")


def test_one_that_has_no_end_is_no_way_round(home: Home, recorder: Recorder) -> None:
    folded = b"Authentication-Results:" + b"\n (" + b"x" * 70000 + b")\n mail.example.test; spf=pass\n"
    home.control(smtplinelength="100000")
    assert passed(home, recorder, results_of(folded + b"Z: y\n\n")) == results_of(b"Z: y\n\n")


def test_who_has_authenticated_can_forge_none(home: Home, recorder: Recorder, signer: Signer, checker: str) -> None:
    with logged_in(home, checker) as smtp:
        assert smtp.message(crlf(b"Authentication-Results: mail.example.test; spf=pass\nX: y\n\n")).startswith("250 ")
    assert b"Results" not in recorder.one().message
    assert b"Results" not in signer.messages[0]


def test_a_strangers_are_looked_at_behind(home: Home, recorder: Recorder) -> None:
    message = b"Authentication-Results: mail.example.test; spf=pass\n\n"
    with Smtp(home) as smtp:
        assert smtp.message(crlf(message)).startswith("250 ")
    assert below_received(recorder.one().message) == message


@settings(max_examples=40, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.sampled_from(PIECES),
            max_size=9,
        ).map("".join),
        min_size=30,
        max_size=100,
    )
)
def test_they_are_read_as_mailauth_reads_a_strangers(home: Home, recorder: Recorder, values: list[str]) -> None:
    fields = [f"Authentication-Results: {value}".encode("latin-1") for value in values]
    text = b"".join(b"N%d: y\n" % number + field + b"\n" for number, field in enumerate(fields))
    expected = b"".join(
        b"N%d: y\n" % number + (b"" if is_forged(field + b"\r\n", OURS) else field + b"\n")
        for number, field in enumerate(fields)
    )
    assert passed(home, recorder, results_of(text) + b"\n") == results_of(expected) + b"\n"


# What is kept to ourselves --------------------------------------------------------------------


def test_received_names_neither_address_nor_login_of_who_has_authenticated(
    home: Home, recorder: Recorder, checker: str
) -> None:
    with logged_in(home, checker) as smtp:
        assert smtp.message().startswith("250 ")
    first = recorder.one().message.split(b"\n\nbody")[0]
    received = first[: first.index(b"Subject:")]
    assert re.fullmatch(
        rb"Received: from authenticated\n  by mail\.example\.test with ESMTPSA \(TLS by stunnel\) "
        rb"\(envelope-from <a@client\.example\.org>\); [^\n]*\n",
        received,
    )
    for word in (b"192.0.2.1", b"alice", b"joe", b"client.example.org "):
        assert word not in received


def test_a_variable_brings_them_back(home: Home, recorder: Recorder, checker: str) -> None:
    home.control(receivedclient="1")
    with logged_in(home, checker) as smtp:
        assert smtp.message().startswith("250 ")
    assert recorder.one().message.startswith(b"Received: from client.example.org (client.example.org [192.0.2.1])\n")
    assert b"(authenticated as alice)" in recorder.one().message


def test_a_relay_network_is_named(home: Home, recorder: Recorder) -> None:
    with own(home) as smtp:
        assert smtp.message().startswith("250 ")
    assert recorder.one().message.startswith(b"Received: from client.example.org (client.example.org [192.0.2.1])\n")


# What the queueing program is told ------------------------------------------------------------


@pytest.fixture
def program(home: Home) -> str:
    """A queueing program that is one of filters, of which there is one."""
    path = home.path / "filters-then-queue"
    path.write_text(PROGRAM.format(home=home.path))
    path.chmod(0o755)
    (home.path / "list").write_text("/bin/cat\n")
    (home.path / "list").chmod(0o644)
    return str(path)


def told(home: Home) -> dict[str, str]:
    """The environment of that program."""
    text = (home.path / "environment").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_name_that_the_client_has_given(home: Home, program: str) -> None:
    with Smtp(home, env={"QMAILQUEUE": program, "SMTPHELO": "false.example"}) as smtp:
        assert smtp.message().startswith("250 ")
        assert told(home)["SMTPHELO"] == "client.example.org"
        smtp.ehlo("[192.0.2.77]")
        assert smtp.message().startswith("250 ")
        assert told(home)["SMTPHELO"] == "[192.0.2.77]"


def test_filters_sign_what_is_ours_at_their_end(home: Home, recorder: Recorder, program: str, signer: Signer) -> None:
    with own(home, QMAILQUEUE=program, FILTERS=str(home.path / "list")) as smtp:
        assert smtp.message().startswith("250 ")
    assert told(home)["SIGNQUEUE"] == "1"
    assert signer.asked == []
    assert recorder.one().message.startswith(b"Received: from ")


def test_and_no_stranger_can_have_it_so(home: Home, program: str, signer: Signer) -> None:
    env = {"QMAILQUEUE": program, "FILTERS": str(home.path / "list"), "SIGNQUEUE": "1"}
    with Smtp(home, env=env) as smtp:
        assert smtp.message().startswith("250 ")
    assert "SIGNQUEUE" not in told(home)
    assert signer.asked == []


def test_without_a_signer_they_are_told_nothing(home: Home, program: str) -> None:
    env = {"QMAILQUEUE": program, "FILTERS": str(home.path / "list"), "SIGNQUEUE": "1"}
    with own(home, **env) as smtp:
        assert smtp.message().startswith("250 ")
    assert "SIGNQUEUE" not in told(home)


# Signing --------------------------------------------------------------------------------------


def test_a_relay_networks_message_is_signed(home: Home, recorder: Recorder, signer: Signer) -> None:
    with own(home) as smtp:
        assert smtp.message().startswith("250 ")
        assert smtp.message().startswith("250 ")
    first, second = (queued.message for queued in recorder.all())
    assert first.startswith(FIELDS + b"Received: from ")
    assert second.startswith(FIELDS + b"Received: from ")
    assert [FIELDS + message for message in signer.messages] == [first, second]
    assert re.search(DATE + ID, signer.messages[0])


def test_so_is_that_of_who_has_authenticated(home: Home, recorder: Recorder, signer: Signer, checker: str) -> None:
    with logged_in(home, checker) as smtp:
        assert smtp.message().startswith("250 ")
    assert recorder.one().message == FIELDS + signer.messages[0]


def test_a_strangers_is_not(home: Home, recorder: Recorder, signer: Signer) -> None:
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
    assert signer.asked == []
    assert recorder.one().message.startswith(b"Received: from ")


def test_an_empty_list_of_filters_costs_no_program(
    home: Home, program: str, signer: Signer, recorder: Recorder
) -> None:
    (home.path / "list").write_text("# none\n")
    with own(home, QMAILQUEUE=program, FILTERS=str(home.path / "list")) as smtp:
        assert smtp.message().startswith("250 ")
    assert len(signer.asked) == 1
    assert recorder.all() == []
    assert not (home.path / "environment").exists()


def test_a_signer_in_trouble_is_told_in_the_session(home: Home, recorder: Recorder, signer: Signer) -> None:
    signer.answer = b"Zthe disk is full"
    with own(home) as smtp:
        assert smtp.message() == "451 the message can't be signed now, try again later (#4.3.0)"
        assert 'deferred: "the disk is full"' in smtp.log()
        signer.answer = b"K"
        assert smtp.message().startswith("250 ")
    assert len(recorder.all()) == 1


def test_a_control_file_that_can_not_be_read_is_trouble(home: Home, recorder: Recorder) -> None:
    home.control(signsocket=b"/a\0b")
    with own(home) as smtp:
        smtp.envelope("a@client.example.org", "bob@example.test")
        assert smtp.command("DATA") == "451 unable to read controls (#4.3.0)"
        assert smtp.command("RSET") == "250 flushed"
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")


def test_a_message_that_is_refused_is_not_signed(home: Home, recorder: Recorder, signer: Signer) -> None:
    home.control(databytes="100")
    with own(home) as smtp:
        assert smtp.message(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 20).startswith("552 ")
    assert signer.asked == []
    assert recorder.all() == []
