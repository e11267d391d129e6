"""qmail-smtpd's AUTH and STARTTLS: each test states one fact of its manual page."""

from __future__ import annotations

import base64
import os
import re
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from lab.certificates import Certificate
from lab.dialogue import Smtp
from lab.suite import BUILD, Home, Recorder

HOST = "mail.example.test"

CHECKER = """#!{python} -I
import os, sys
here = {directory!r}
user, password, timestamp, rest = os.fdopen(3, "rb").read(1024).split(b"\\0")
with open(here + "/seen", "ab") as seen:
    seen.write(b"%s %s %s\\n" % (user, password, b" ".join(a.encode() for a in sys.argv[1:])))
with open(here + "/inherited", "w") as inherited:
    for name in sorted(os.listdir("/proc/self/fd"), key=int)[:3]:
        print(name, os.readlink("/proc/self/fd/" + name), file=inherited)
    print(*sorted(os.environ), file=inherited)
if password == b"hang":
    import time
    time.sleep(60)
if password == b"kill":
    os.kill(os.getpid(), 11)
if password.startswith(b"exit "):
    sys.exit(int(password[5:]))
sys.exit(0 if (user, password) == (b"alice", b"wonder land") else 1)
"""


@pytest.fixture(autouse=True)
def site(home: Home, recorder: Recorder, certificate: Certificate) -> None:
    home.control(rcpthosts="example.test", authdelay="0")
    (home.path / "control" / "servercert.pem").write_bytes(certificate.bundle)


@pytest.fixture
def checker(home: Home) -> str:
    directory = home.path / "checked"
    directory.mkdir()
    program = directory / "checker"
    program.write_text(CHECKER.format(python=sys.executable, directory=str(directory)))
    program.chmod(0o755)
    (directory / "seen").touch()
    return str(program)


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


GOOD = b64("\0alice\0wonder land")
BAD = b64("\0alice\0looking glass")


def front(home: Home, *checker: str, **env: str) -> Smtp:
    """Start a session that something in front has encrypted."""
    return Smtp(home, *checker, env={"TLSFRONT": "stunnel", **env})


def seen(home: Home) -> list[str]:
    return (home.path / "checked" / "seen").read_text().splitlines()


# When AUTH is offered, and what is said when it is not ------------------------------------------


def test_auth_is_offered_on_an_encrypted_channel_with_a_checker(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert "AUTH LOGIN PLAIN" in smtp.extensions


def test_auth_is_not_offered_in_the_clear(home: Home, checker: str) -> None:
    with Smtp(home, checker) as smtp:
        assert not [line for line in smtp.extensions if line.startswith("AUTH")]


def test_auth_is_not_offered_without_a_checker(home: Home) -> None:
    with front(home) as smtp:
        assert not [line for line in smtp.extensions if line.startswith("AUTH")]
        assert smtp.command("AUTH PLAIN").startswith("503 ")


@pytest.mark.parametrize("command", [f"AUTH PLAIN {GOOD}", "AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5", "AUTH"])
def test_auth_in_the_clear_is_refused_before_anything_is_read(home: Home, checker: str, command: str) -> None:
    with Smtp(home, checker) as smtp:
        assert smtp.command(command).startswith("538 ")
        assert smtp.command("NOOP") == "250 ok", "what follows is a command, no response"
        smtp.command("MAIL FROM:<a@b.test>")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("553 ")
    assert seen(home) == []


def test_auth_before_ehlo_is_out_of_order(home: Home, checker: str) -> None:
    with Smtp(home, checker, env={"TLSFRONT": "stunnel"}, greeted=False) as smtp:
        smtp.reply()
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("503 ")


def test_auth_twice_is_out_of_order(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("235 ")
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("503 ")


def test_auth_inside_a_transaction_is_out_of_order(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("503 ")
        smtp.command("RSET")
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("235 ")


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "DIGEST-MD5", "XOAUTH2", "PLAINX", "PLAI"])
def test_unknown_mechanisms_get_504(home: Home, checker: str, mechanism: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH {mechanism} {GOOD}").startswith("504 ")


def test_auth_without_a_mechanism_gets_501(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command("AUTH").startswith("501 ")


# The exchanges ----------------------------------------------------------------------------------


def test_plain_with_initial_response(home: Home, checker: str) -> None:
    with front(home, checker, "-") as smtp:
        assert smtp.command(f"auth plain {GOOD}").startswith("235 ")
    assert seen(home) == ["alice wonder land -"], "user, password and the checker's arguments"


def test_plain_with_prompt(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command("AUTH PLAIN") == "334 "
        assert smtp.command(GOOD).startswith("235 ")


def test_login_with_prompts(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert smtp.command(b64("alice")) == "334 UGFzc3dvcmQ6"
        assert smtp.command(b64("wonder land")).startswith("235 ")


def test_login_with_initial_response(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH LOGIN {b64('alice')}") == "334 UGFzc3dvcmQ6"
        assert smtp.command(b64("wonder land")).startswith("235 ")


def test_long_responses_are_read(home: Home, checker: str) -> None:
    home.control(smtpcommandlength="512")
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(0) + 'x' * 9000)}").startswith("535 ")
        assert smtp.command("AUTH PLAIN") == "334 "
        assert smtp.command(b64("\0alice\0" + "x" * 9000)).startswith("535 ")
    assert seen(home) == [], "no checker is asked about more than its interface takes"


@pytest.mark.parametrize("steps", [["AUTH PLAIN"], ["AUTH LOGIN"], ["AUTH LOGIN", b64("alice")]])
def test_star_cancels(home: Home, checker: str, steps: list[str]) -> None:
    with front(home, checker) as smtp:
        for step in steps:
            assert smtp.command(step).startswith("334 ")
        assert smtp.command("*") == "501 auth exchange cancelled (#5.0.0)"
        assert smtp.command("NOOP") == "250 ok"
    assert seen(home) == []


def test_an_equals_sign_is_an_empty_initial_response(home: Home, checker: str) -> None:
    """RFC 4954 section 4; what it is good for is another matter."""
    with front(home, checker) as smtp:
        assert smtp.command("AUTH LOGIN =") == "334 UGFzc3dvcmQ6"
        assert smtp.command(b64("wonder land")).startswith("501 ")
        assert smtp.command("AUTH PLAIN =").startswith("501 ")
    assert seen(home) == []


@pytest.mark.parametrize(
    "response",
    [
        "=",
        "!!!!",
        GOOD[:-1],
        GOOD + "=",
        "*x",
        b64("alice"),
        b64("alice\0wonder land"),
        b64("\0alice\0"),
        b64("\0\0wonder land"),
        b64("\0alice\0wonder land\0more"),
    ],
)
def test_malformed_plain_responses_get_501(home: Home, checker: str, response: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {response}").startswith("501 ")
        assert smtp.command("MAIL FROM:<a@b.test>") == "250 ok"
        assert smtp.command("RCPT TO:<x@else.test>").startswith("553 ")
    assert seen(home) == []


@pytest.mark.parametrize(
    ("user", "password"), [("alice\0", "wonder land"), ("alice", "wonder land\0x"), ("", "x"), ("x", "")]
)
def test_malformed_login_responses_get_501(home: Home, checker: str, user: str, password: str) -> None:
    """What stands behind a NUL would never reach the checker: half a password must not do."""
    with front(home, checker) as smtp:
        smtp.command("AUTH LOGIN")
        assert smtp.command(b64(user)) == "334 UGFzc3dvcmQ6"
        assert smtp.command(b64(password)).startswith("501 ")
    assert seen(home) == []


def test_own_authorization_identity_is_fine(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {b64(chr(0).join(['alice', 'alice', 'wonder land']))}").startswith("235 ")


@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice@Example.TEST", "alice@mail.example.test", "aLiCe@localhost"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_address_does_as_well_as_the_name_in_any_case(home: Home, checker: str, name: str, mechanism: str) -> None:
    home.control(locals="localhost\nexample.test\nmail.example.test")
    with front(home, checker) as smtp:
        if mechanism == "PLAIN":
            assert smtp.command(f"AUTH PLAIN {b64(f'{chr(0)}{name}{chr(0)}wonder land')}").startswith("235 ")
        else:
            smtp.command("AUTH LOGIN")
            smtp.command(b64(name))
            assert smtp.command(b64("wonder land")).startswith("235 ")
        assert "auth: user alice accepted" in smtp.log()
    assert seen(home) == ["alice wonder land "]


@pytest.mark.parametrize(
    "name", ["alice@else.test", "alice@example.test.", "alice@", "@example.test", "x@alice@x.test"]
)
def test_a_name_in_another_domain_is_another_name(home: Home, checker: str, name: str) -> None:
    home.control(locals="example.test", virtualdomains="else.test:alice")
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {b64(f'{chr(0)}{name}{chr(0)}wonder land')}").startswith("535 ")
    assert seen(home) == [f"{name} wonder land "]


def test_me_is_the_domain_where_there_are_no_locals(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert (
            smtp.command(f"AUTH PLAIN {b64(chr(0) + 'alice@mail.example.test' + chr(0) + 'wonder land')}")[:3] == "235"
        )


def test_locals_that_can_not_be_read_are_trouble_and_no_wrong_password(home: Home, checker: str) -> None:
    home.control(locals="a\0b")
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {b64(chr(0) + 'alice@x.test' + chr(0) + 'wonder land')}").startswith("454 ")
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("235 ")


@pytest.mark.parametrize(
    ("identity", "code"),
    [("alice", "235"), ("Alice@Example.test", "235"), ("root", "535"), ("alice@else.test", "535"), ("alicia", "535")],
)
def test_nobody_acts_for_another_one(home: Home, checker: str, identity: str, code: str) -> None:
    home.control(locals="example.test")
    with front(home, checker) as smtp:
        response = b64(f"{identity}\0ALICE\0wonder land")
        assert smtp.command(f"AUTH PLAIN {response}").startswith(code)
        smtp.command("MAIL FROM:<a@b.test>")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("250" if code == "235" else "553")
    assert len(seen(home)) == (code == "235")


def test_user_names_with_control_characters_are_never_asked_about(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(10) + 'x' + chr(0) + 'p')}").startswith("535 ")
    assert seen(home) == []


@pytest.mark.parametrize("password", ["exit 2", "exit 100", "exit 111", "kill"])
def test_trouble_of_the_checker_gets_454(home: Home, checker: str, password: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(0) + password)}").startswith("454 ")
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("235 ")


def test_missing_checker_gets_454(home: Home) -> None:
    with front(home, "/nowhere/checker") as smtp:
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("454 ")


def test_a_checker_that_hangs_is_killed_and_gets_454(home: Home, checker: str) -> None:
    home.control(authtimeout="1")
    with front(home, checker) as smtp:
        began = time.monotonic()
        assert smtp.command(f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(0) + 'hang')}").startswith("454 ")
        assert time.monotonic() - began < 10
        children = Path(f"/proc/{smtp.process.pid}/task/{smtp.process.pid}/children").read_text()
        assert children == ""


def test_the_checker_gets_exactly_what_it_needs(home: Home, checker: str) -> None:
    with front(home, checker, RELAYCLIENT="", LD_LIBRARY_PATH="/nowhere") as smtp:
        smtp.command(f"AUTH PLAIN {GOOD}")
        lines = (home.path / "checked" / "inherited").read_text().splitlines()
    assert lines[:2] == ["0 /dev/null", "1 /dev/null"], "not the client's connection"
    assert lines[2] == f"2 {smtp.log_file}", "and nothing between the log and what it opens itself"
    names = set(lines[3].split()) - {"LC_CTYPE"}
    assert names == {"PATH", "TCPREMOTEIP", "TCPREMOTEHOST", "TCPLOCALIP", "TCPLOCALHOST"}


def descriptors(pid: int) -> list[str]:
    return sorted(path.name for path in Path(f"/proc/{pid}/fd").iterdir())


def test_failed_auth_leaves_descriptor_3_and_control_files_alone(home: Home, checker: str) -> None:
    database = home.path / "control" / "morercpthosts.cdb"
    subprocess.run(["cdb", "-c", database], input=b"+9,0:more.test->\n\n", check=True)
    with front(home, checker) as smtp:
        before = descriptors(smtp.process.pid)
        assert smtp.command(f"AUTH PLAIN {BAD}").startswith("535 ")
        assert descriptors(smtp.process.pid) == before
        smtp.envelope("a@b.test", "x@more.test")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("553 ")


# Failures ---------------------------------------------------------------------------------------


def test_wrong_password_gets_535_and_no_relaying(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        assert smtp.command(f"AUTH PLAIN {BAD}").startswith("535 ")
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("553 ")


def test_failures_are_answered_later_and_later(home: Home, checker: str) -> None:
    home.control(authdelay="1")
    with front(home, checker) as smtp:
        began = time.monotonic()
        smtp.command(f"AUTH PLAIN {BAD}")
        first = time.monotonic() - began
        smtp.command(f"AUTH PLAIN {BAD}")
        second = time.monotonic() - began - first
    assert first >= 0.9
    assert second >= 1.9


def test_third_failure_ends_the_session(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        for _ in range(3):
            assert smtp.command(f"AUTH PLAIN {BAD}").startswith("535 ")
        assert smtp.rest() == b"421 too many failed log-ins (#4.7.0)\r\n"
        assert smtp.ended() == 1
    assert len(seen(home)) == 3


def test_log_names_user_and_address_and_no_password(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        smtp.command(f"AUTH PLAIN {b64(chr(0) + 'al' + chr(0x9B) + 'ice' + chr(0) + 'pass word')}")
        smtp.command(f"AUTH PLAIN {GOOD}")
        first, second = smtp.log().splitlines()
    assert re.fullmatch(r"qmail-smtpd \d+ 192\.0\.2\.1: auth: user al\\xc2\\x9bice refused \(PLAIN\)", first)
    assert re.fullmatch(r"qmail-smtpd \d+ 192\.0\.2\.1: auth: user alice accepted \(PLAIN\)", second)


# Success ----------------------------------------------------------------------------------------


def test_authenticated_user_may_send_anywhere(home: Home, checker: str) -> None:
    with front(home, checker) as smtp:
        smtp.command(f"AUTH PLAIN {GOOD}")
        smtp.envelope("alice@example.test", "x@else.test", "a%b@else.test")


def test_what_loops_may_come_back_to_who_has_logged_in(home: Home, checker: str) -> None:
    home.control(locals="example.test")
    with front(home, checker) as smtp:
        plain_queue(home)
        text = b"Delivered-To: bob@example.test\r\n\r\n.\r\n"
        smtp.envelope("alice@example.test", "bob@example.test")
        assert smtp.data(text).startswith("554 this message is looping")
        smtp.command(f"AUTH PLAIN {GOOD}")
        smtp.envelope("alice@example.test", "bob@example.test")
        assert smtp.data(text).startswith("250 ")


def test_value_of_relayclient_is_not_appended_after_auth(home: Home, recorder: Recorder, checker: str) -> None:
    with front(home, checker, RELAYCLIENT="@gateway.test") as smtp:
        smtp.command(f"AUTH PLAIN {GOOD}")
        (home.path / "bin").unlink()
        (home.path / "bin").mkdir()
        (home.path / "bin" / "qmail-queue").symlink_to(recorder.program)
        smtp.envelope("alice@example.test", "x@else.test")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"x@else.test"]


@pytest.mark.parametrize("command", ["RSET", "EHLO again", "HELO again", "NOOP"])
def test_rset_and_ehlo_keep_authenticated_and_relaying_together(home: Home, checker: str, command: str) -> None:
    with front(home, checker, SMTPAUTH_REQUIRED="1") as smtp:
        smtp.command(f"AUTH PLAIN {GOOD}")
        smtp.command(command)
        smtp.envelope("alice@example.test", "x@else.test")


def plain_queue(home: Home) -> Recorder:
    """Put a second recorder where bin/qmail-queue is."""
    queue = Recorder(home.path / "plain")
    replace_program(home, "qmail-queue", queue.program)
    return queue


def replace_program(home: Home, name: str, by: Path | None) -> None:
    """Put another program, or none, in the place of one in bin."""
    (home.path / "bin").unlink()
    (home.path / "bin").mkdir()
    for program in (BUILD / "bin").iterdir():
        if program.name != name:
            (home.path / "bin" / program.name).symlink_to(program)
    if by:
        (home.path / "bin" / name).symlink_to(by)


def test_authenticated_mail_skips_the_filters(home: Home, recorder: Recorder, checker: str) -> None:
    recorder.answer(31)
    with front(home, checker) as smtp:
        queue = plain_queue(home)
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.message().startswith("250 ")
        assert smtp.message().startswith("250 ")
    assert len(queue.all()) == 2
    assert recorder.all() == []


def test_other_mail_over_tls_is_filtered(home: Home, recorder: Recorder, checker: str) -> None:
    with front(home, checker) as smtp:
        queue = plain_queue(home)
        smtp.command(f"AUTH PLAIN {BAD}")
        assert smtp.message().startswith("250 ")
    assert queue.all() == []
    assert len(recorder.all()) == 1


@pytest.fixture
def filters(home: Home) -> Recorder:
    """Give the program that filters what authenticated users send."""
    return Recorder(home.path / "filters")


@pytest.mark.parametrize("between", ["NOOP", "RSET", "EHLO again", "HELO again", "STARTTLS", f"AUTH PLAIN {BAD}"])
def test_authenticated_mail_has_filters_of_its_own_whatever_comes_between(
    home: Home, recorder: Recorder, filters: Recorder, checker: str, between: str
) -> None:
    with front(home, checker, AUTHQMAILQUEUE=str(filters.program)) as smtp:
        queue = plain_queue(home)
        assert smtp.message().startswith("250 ")
        smtp.command(f"AUTH PLAIN {GOOD}")
        for count in (1, 2):
            smtp.command(between)
            assert smtp.message().startswith("250 ")
            assert len(filters.all()) == count
    assert len(recorder.all()) == 1
    assert queue.all() == []


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [f"AUTH PLAIN {BAD}"],
        [f"AUTH PLAIN {b64(chr(0) * 2)}"],
        ["AUTH PLAIN", "*"],
        ["AUTH LOGIN", b64("alice"), "*"],
        ["AUTH CRAM-MD5"],
        ["MAIL FROM:<a@b.test> AUTH=alice"],
        ["XCLIENT LOGIN=alice", "EHLO AUTHQMAILQUEUE=/bin/true"],
    ],
    ids=[
        "nothing",
        "a wrong password",
        "no name",
        "a cancelled PLAIN",
        "a cancelled LOGIN",
        "no mechanism",
        "AUTH=",
        "XCLIENT",
    ],
)
def test_nothing_but_a_log_in_reaches_the_filters_of_authenticated_mail(
    home: Home, recorder: Recorder, filters: Recorder, checker: str, lines: list[str]
) -> None:
    with front(home, checker, AUTHQMAILQUEUE=str(filters.program), RELAYCLIENT="") as smtp:
        queue = plain_queue(home)
        for line in [*lines, "RSET"]:
            smtp.command(line)
        assert smtp.message().startswith("250 ")
    assert len(recorder.all()) == 1
    assert filters.all() == queue.all() == []


def test_the_filters_of_authenticated_mail_refuse_in_the_session(
    home: Home, recorder: Recorder, filters: Recorder, checker: str
) -> None:
    filters.answer(82, "Dyou have sent enough for today (#5.7.1)")
    with front(home, checker, AUTHQMAILQUEUE=str(filters.program)) as smtp:
        queue = plain_queue(home)
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.message() == "554 you have sent enough for today (#5.7.1)"
    assert recorder.all() == queue.all() == []


def test_authenticated_mail_never_passes_filters_that_can_not_be_run(home: Home, checker: str) -> None:
    with front(home, checker, AUTHQMAILQUEUE="/nowhere") as smtp:
        queue = plain_queue(home)
        smtp.command(f"AUTH PLAIN {GOOD}")
        smtp.envelope("alice@example.test", "bob@example.test")
        assert smtp.command("DATA").startswith("451 ")
    assert queue.all() == []


def test_an_empty_name_is_no_filters(home: Home, recorder: Recorder, checker: str) -> None:
    with front(home, checker, AUTHQMAILQUEUE="") as smtp:
        queue = plain_queue(home)
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.message().startswith("250 ")
    assert len(queue.all()) == 1
    assert recorder.all() == []


@pytest.mark.parametrize("empty", ["FILTERS", "AUTHFILTERS"])
def test_each_kind_of_mail_goes_by_its_own_list(
    home: Home, recorder: Recorder, filters: Recorder, checker: str, empty: str
) -> None:
    lists = {name: home.path / name for name in ("FILTERS", "AUTHFILTERS")}
    for name, path in lists.items():
        path.write_text("" if name == empty else "/usr/bin/filter\n")
    variables = {name: str(path) for name, path in lists.items()}
    with front(home, checker, AUTHQMAILQUEUE=str(filters.program), **variables) as smtp:
        queue = plain_queue(home)
        assert smtp.message().startswith("250 ")
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.message().startswith("250 ")
    assert (len(recorder.all()), len(filters.all()), len(queue.all())) == (
        (0, 1, 1) if empty == "FILTERS" else (1, 0, 1)
    )


def received(recorder: Recorder) -> str:
    return b" ".join(recorder.one().message.split(b"\n")[:2]).decode()


def test_received_says_esmtpsa_and_names_the_user_where_it_is_to(home: Home, checker: str) -> None:
    home.control(receivedclient="1")
    with front(home, checker, TCPREMOTEINFO="identd") as smtp:
        queue = plain_queue(home)
        smtp.command(f"AUTH PLAIN {GOOD}")
        smtp.message()
    assert "(client.example.org [192.0.2.1])" in received(queue)
    assert " with ESMTPSA (TLS by stunnel) (authenticated as alice) (envelope-from <" in received(queue)


def test_queue_finds_the_user_in_tcpremoteinfo(home: Home, checker: str) -> None:
    with front(home, checker, TCPREMOTEINFO="identd") as smtp:
        (home.path / "bin").unlink()
        (home.path / "bin").mkdir()
        queue = home.path / "bin" / "qmail-queue"
        queue.write_text('#!/bin/sh\nprintf "D%s" "$TCPREMOTEINFO" >&6\ncat >/dev/null\nexit 82\n')
        queue.chmod(0o755)
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.message() == "554 alice (#5.7.1)"


# Policies ---------------------------------------------------------------------------------------


def test_required_auth_is_asked_for_at_mail(home: Home, checker: str) -> None:
    with front(home, checker, SMTPAUTH_REQUIRED="1", RELAYCLIENT="") as smtp:
        assert smtp.command("MAIL FROM:<a@b.test>").startswith("530 ")
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.command("MAIL FROM:<a@b.test>") == "250 ok"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("MAIL FROM:<a@b.test>", "530"),
        ("HELO x", "530"),
        ("RSET", "530"),
        ("VRFY x", "530"),
        ("WHAT", "530"),
        (f"AUTH PLAIN {GOOD}", "538"),
        ("NOOP", "250"),
        ("EHLO x", "250"),
        ("QUIT", "221"),
        ("STARTTLS", "220"),
    ],
)
def test_required_starttls_allows_only_the_way_there(home: Home, checker: str, command: str, code: str) -> None:
    with Smtp(home, checker, env={"STARTTLS_REQUIRED": "1"}) as smtp:
        assert smtp.command(command).startswith(code)


def test_required_starttls_is_content_with_tls(home: Home, certificate: Certificate) -> None:
    with Smtp(home, env={"STARTTLS_REQUIRED": "1"}) as smtp:
        assert smtp.command("STARTTLS").startswith("220 ")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()
        assert smtp.message().startswith("250 ")


def test_required_starttls_is_content_with_what_something_in_front_encrypts(home: Home) -> None:
    with front(home, STARTTLS_REQUIRED="1") as smtp:
        assert smtp.message().startswith("250 ")


# STARTTLS ---------------------------------------------------------------------------------------


def test_starttls_is_offered_with_a_certificate(home: Home) -> None:
    with Smtp(home) as smtp:
        assert "STARTTLS" in smtp.extensions


def test_starttls_is_not_offered_without_one(home: Home) -> None:
    (home.path / "control" / "servercert.pem").unlink()
    with Smtp(home) as smtp:
        assert "STARTTLS" not in smtp.extensions
        assert smtp.command("STARTTLS").startswith("502 ")


def test_starttls_is_not_offered_where_something_in_front_encrypts(home: Home) -> None:
    with front(home) as smtp:
        assert "STARTTLS" not in smtp.extensions
        assert smtp.command("STARTTLS").startswith("502 ")


def test_session_goes_on_encrypted(home: Home, recorder: Recorder, certificate: Certificate, checker: str) -> None:
    with Smtp(home, checker) as smtp:
        assert smtp.command("STARTTLS").startswith("220 ")
        smtp.start_tls(certificate.client(), HOST)
        extensions = smtp.ehlo()
        assert "STARTTLS" not in extensions
        assert "AUTH LOGIN PLAIN" in extensions
        assert smtp.message(b"x" * 60000 + b"\r\n").startswith("250 ")
        assert smtp.command("QUIT").startswith("221 ")
    assert re.search(r" with ESMTPS \(TLSv1\.3 TLS_AES_256_GCM_SHA384\) \(", received(recorder))
    assert recorder.one().message.endswith(b"\n" + b"x" * 60000 + b"\n")


def test_a_certificate_that_is_exchanged_while_it_is_read_costs_no_session(
    home: Home, certificate: Certificate
) -> None:
    """A file is opened once for the certificate and once for the key; here it is another one after the first time."""
    fifo = home.path / "control" / "servercert.pem"
    fifo.unlink()
    os.mkfifo(fifo, 0o600)
    old = Certificate(HOST).bundle

    def feed() -> None:
        content = old
        while True:
            with fifo.open("wb") as file:
                file.write(content)
            time.sleep(0.1)  # the reader sees the end, and opens the file again
            content = certificate.bundle

    threading.Thread(target=feed, daemon=True).start()
    with Smtp(home) as smtp:
        assert smtp.command("STARTTLS").startswith("220 ")
        smtp.start_tls(certificate.client(), HOST)
        assert "SIZE 0" in smtp.ehlo()


def test_auth_after_starttls(home: Home, certificate: Certificate, checker: str) -> None:
    with Smtp(home, checker) as smtp:
        queue = plain_queue(home)
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("235 ")
        smtp.message()
    assert " with ESMTPSA (TLSv1.3 " in received(queue)


def test_starttls_makes_nobody_authenticated(
    home: Home, recorder: Recorder, filters: Recorder, certificate: Certificate, checker: str
) -> None:
    with Smtp(home, checker, env={"AUTHQMAILQUEUE": str(filters.program)}) as smtp:
        assert smtp.command(f"AUTH PLAIN {GOOD}").startswith("538 ")
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()
        assert smtp.message().startswith("250 ")
        smtp.command(f"AUTH PLAIN {GOOD}")
        assert smtp.message().startswith("250 ")
    assert len(recorder.all()) == len(filters.all()) == 1


def test_starttls_twice_gets_502(home: Home, certificate: Certificate) -> None:
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        assert smtp.command("STARTTLS").startswith("502 ")


def test_starttls_with_an_argument_gets_501(home: Home) -> None:
    with Smtp(home) as smtp:
        assert smtp.command("STARTTLS now").startswith("501 ")


@pytest.mark.parametrize("content", [b"no certificate\n", None])
def test_unusable_certificate_gets_454_and_the_session_goes_on(
    home: Home, certificate: Certificate, content: bytes | None
) -> None:
    bundle = content if content is not None else certificate.bundle.split(b"-----BEGIN PRIVATE")[0]
    (home.path / "control" / "servercert.pem").write_bytes(bundle)
    with Smtp(home) as smtp:
        assert smtp.command("STARTTLS").startswith("454 ")
        assert smtp.message().startswith("250 ")
        assert "TLS not available: control/servercert.pem" in smtp.log()


def test_key_may_be_in_its_own_file(home: Home, certificate: Certificate) -> None:
    chain, key = certificate.bundle.split(b"-----BEGIN PRIVATE", 1)
    (home.path / "control" / "servercert.pem").write_bytes(chain)
    (home.path / "control" / "serverkey.pem").write_bytes(b"-----BEGIN PRIVATE" + key)
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()


def test_the_environment_names_another_bundle(home: Home, certificate: Certificate) -> None:
    """It goes before both control files: the key in serverkey.pem belongs to another certificate."""
    other = Certificate(HOST)
    bundle = home.path / "submission.pem"
    bundle.write_bytes(other.bundle)
    (home.path / "control" / "serverkey.pem").write_bytes(certificate.bundle)
    with Smtp(home, env={"TLSBUNDLE": str(bundle)}) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(other.client(), HOST)
        smtp.ehlo()


def test_an_empty_name_is_no_bundle(home: Home, certificate: Certificate) -> None:
    with Smtp(home, env={"TLSBUNDLE": ""}) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()


@pytest.mark.parametrize("broken", ["servercert.pem", "serverkey.pem"])
def test_the_log_names_the_file_that_can_not_be_used(home: Home, certificate: Certificate, broken: str) -> None:
    for name in ("servercert.pem", "serverkey.pem"):
        (home.path / "control" / name).write_bytes(b"junk\n" if name == broken else certificate.bundle)
    with Smtp(home) as smtp:
        assert smtp.command("STARTTLS").startswith("454 ")
        assert f"TLS not available: control/{broken}: " in smtp.log()


def test_a_bundle_that_is_not_there_is_not_replaced_by_the_control_file(home: Home) -> None:
    with Smtp(home, env={"TLSBUNDLE": "/no/such/bundle.pem"}) as smtp:
        assert "STARTTLS" not in smtp.ehlo()
        assert smtp.command("STARTTLS").startswith("502 ")


def test_certificate_is_read_anew_by_each_session(home: Home, certificate: Certificate) -> None:
    other = Certificate(HOST)
    (home.path / "control" / "servercert.pem").write_bytes(other.bundle)
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        with pytest.raises(ssl.SSLCertVerificationError):
            smtp.start_tls(certificate.client(), HOST)
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(other.client(), HOST)


def test_commands_pipelined_behind_starttls_are_dropped(
    home: Home, recorder: Recorder, certificate: Certificate
) -> None:
    with Smtp(home) as smtp:
        smtp.send(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        assert smtp.reply()[0].startswith("220 ")
        time.sleep(0.1)
        smtp.start_tls(certificate.client(), HOST)
        assert smtp.command("NOOP") == "250 ok", "the first reply is to the first encrypted command"
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("503 ")


def test_starttls_forgets_helo(home: Home, certificate: Certificate) -> None:
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        assert smtp.command("MAIL FROM:<a@b.test>").startswith("503 ")


def test_starttls_forgets_the_transaction(home: Home, certificate: Certificate) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("503 MAIL first")
        assert smtp.command("DATA").startswith("503 MAIL first")


def test_plain_text_after_220_ends_the_session(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.send(b"NOOP\r\nNOOP\r\nNOOP\r\n")
        assert b"250" not in smtp.rest()
        assert smtp.ended() == 1


@pytest.mark.parametrize("limit", ["timeoutsmtpd", "smtpsessiontime"])
def test_silent_handshake_ends_in_time(home: Home, limit: str) -> None:
    home.control(**{limit: "1"})
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        assert smtp.ended() == 1
        assert "TLS handshake timed out" in smtp.log()


def test_the_time_of_the_handshake_does_not_hold_behind_it(home: Home, certificate: Certificate) -> None:
    home.control(timeoutsmtpd="3")
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        for _ in range(6):
            time.sleep(0.8)
            assert smtp.command("NOOP") == "250 ok"


def trickle(smtp: Smtp, data: bytes) -> int:
    """Send byte by byte, slowly; return how many were taken."""
    for number, byte in enumerate(data):
        try:
            smtp.send(bytes([byte]))
        except ConnectionError:
            return number
        time.sleep(0.05)
    return len(data)


def test_handshake_in_drops_ends_in_time(home: Home) -> None:
    home.control(timeoutsmtpd="1")
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        began = time.monotonic()
        hello = b"\x16\x03\x01\x40\x00" + b"\x01" * 200
        assert trickle(smtp, hello) < len(hello)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions_that_are_spoken(home: Home, certificate: Certificate, version: ssl.TLSVersion) -> None:
    context = certificate.client()
    context.minimum_version = context.maximum_version = version
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(context, HOST)
        smtp.ehlo()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_before_1_2_is_refused(home: Home, certificate: Certificate) -> None:
    home.control(serverciphers="ALL:@SECLEVEL=0")  # so that nothing but the version stands against it
    context = certificate.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            smtp.start_tls(context, HOST)


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "aNULL:@SECLEVEL=0"])
def test_weak_tls_1_2_ciphers_are_refused(home: Home, certificate: Certificate, ciphers: str) -> None:
    context = certificate.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        with pytest.raises(ssl.SSLError):
            smtp.start_tls(context, HOST)


def test_serverciphers_chooses(home: Home, recorder: Recorder, certificate: Certificate) -> None:
    home.control(serverciphers="ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305")
    context = certificate.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(context, HOST)
        smtp.ehlo()
        smtp.message()
    assert "CHACHA20-POLY1305)" in received(recorder)


def test_smtps_is_tls_from_the_first_byte(home: Home, certificate: Certificate, checker: str) -> None:
    with Smtp(home, checker, env={"SMTPS": "1"}, greeted=False) as smtp:
        smtp.start_tls(certificate.client(), HOST)
        assert smtp.reply()[0].startswith("220 ")
        assert "AUTH LOGIN PLAIN" in smtp.ehlo()
        assert smtp.command("STARTTLS").startswith("502 ")


def test_smtps_says_nothing_in_the_clear(home: Home) -> None:
    with Smtp(home, env={"SMTPS": "1"}, greeted=False) as smtp:
        smtp.send(b"EHLO x\r\nEHLO x\r\n")
        answer = smtp.rest()
        assert b"220" not in answer
        assert b"250" not in answer
        assert smtp.ended() == 1


def test_timeouts_hold_inside_tls(home: Home, certificate: Certificate) -> None:
    home.control(timeoutsmtpd="1")
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        assert smtp.reply()[0].startswith("421 timeout")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_can_not_be_resumed(home: Home, certificate: Certificate, version: ssl.TLSVersion) -> None:
    context = certificate.client()
    context.minimum_version = context.maximum_version = version
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(context, HOST)
        smtp.command("NOOP")  # TLS 1.3 has its tickets behind the handshake
        assert isinstance(smtp.socket, ssl.SSLSocket)
        assert smtp.socket.session is not None
        assert not smtp.socket.session.has_ticket
        assert version == ssl.TLSVersion.TLSv1_3 or smtp.socket.session.id == b""


def test_the_end_is_said_inside_tls(home: Home, certificate: Certificate) -> None:
    """Without that a client can't tell the end from a connection that somebody has cut."""
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        smtp.socket = certificate.client().wrap_socket(smtp.socket, server_hostname=HOST, suppress_ragged_eofs=False)
        assert smtp.command("QUIT").startswith("221 ")
        assert smtp.rest() == b""


def libraries(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_openssl_is_loaded_by_starttls_and_not_before(home: Home, certificate: Certificate) -> None:
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
        assert "libssl" not in libraries(smtp.process.pid)
        assert "libcrypto" not in libraries(smtp.process.pid)
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()
        assert "libssl" in libraries(smtp.process.pid)


@pytest.mark.parametrize(
    ("limit", "last"), [("smtperrors", "421 too many errors"), ("smtpcommands", "421 too many commands")]
)
def test_starttls_gives_no_second_share(home: Home, certificate: Certificate, limit: str, last: str) -> None:
    home.control(**{limit: "5" if limit == "smtperrors" else "6"})
    with Smtp(home) as smtp:
        for _ in range(3):
            assert smtp.command("WHAT").startswith("502 ")
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        answers = [smtp.command("WHAT") for _ in range(3 if limit == "smtperrors" else 2)]
    assert answers[-1].startswith(last)
    assert all(answer.startswith("502 ") for answer in answers[:-1])


def test_starttls_gives_no_second_time(home: Home, certificate: Certificate) -> None:
    home.control(timeoutlogin="2")
    with Smtp(home) as smtp:
        smtp.ehlo()
        time.sleep(1.5)
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        begin = time.monotonic()
        assert smtp.reply()[0].startswith("421 timeout")
        assert time.monotonic() - begin < 1.5


def test_a_handshake_has_no_more_time_than_the_session(home: Home, certificate: Certificate) -> None:
    assert certificate
    home.control(timeoutlogin="2", timeouttls="20")
    with Smtp(home) as smtp:
        assert smtp.command("STARTTLS").startswith("220 ")
        begin = time.monotonic()
        smtp.ended(10)
        assert time.monotonic() - begin < 4


def telling_queue(place: Path) -> dict[str, str | bytes]:
    """Make a queueing program that writes its environment into a file, for the environment."""
    queue = place / "queue"
    queue.write_text(f"#!/bin/sh\nenv >{place}/environment\ncat >/dev/null; cat <&1 >/dev/null\n")
    queue.chmod(0o755)
    return {"QMAILQUEUE": str(queue)}


def test_without_its_second_program_a_session_goes_on_in_the_clear(
    home: Home, certificate: Certificate, tmp_path: Path
) -> None:
    assert certificate
    with Smtp(home, env=telling_queue(tmp_path)) as smtp:
        replace_program(home, "qmail-smtpd-full", None)
        smtp.ehlo()
        assert smtp.command("STARTTLS").startswith("454 ")
        assert smtp.message().startswith("250 ")
    assert "QMAILSMTPDSESSION" not in (tmp_path / "environment").read_text()


def test_a_session_whose_certificate_fails_goes_on_with_its_greeting(home: Home, certificate: Certificate) -> None:
    assert certificate
    (home.path / "control" / "servercert.pem").write_text("nothing")
    with Smtp(home) as smtp:
        smtp.ehlo()
        assert smtp.command("STARTTLS").startswith("454 ")
        assert smtp.message().startswith("250 ")


def test_what_a_session_takes_along_ends_there(home: Home, certificate: Certificate, tmp_path: Path) -> None:
    with Smtp(home, env=telling_queue(tmp_path)) as smtp:
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), HOST)
        smtp.ehlo()
        assert smtp.message().startswith("250 ")
    assert "TCPREMOTEIP=" in (told := (tmp_path / "environment").read_text())
    assert "QMAILSMTPDSESSION" not in told


@pytest.mark.parametrize("said", ["", "1 2", "x 0 0 0 0 0 0 0 0 0 ", "-1 0 0 0 0 0 0 0 0 0 h"])
def test_what_a_session_takes_along_must_be_whole(home: Home, said: str) -> None:
    done = home.run("qmail-smtpd-full", env={"QMAILSMTPDSESSION": said, "TCPREMOTEIP": "192.0.2.1"})
    assert done.stdout.startswith(b"421 unable to go on")


def test_smtplib_starttls_and_login(home: Home, certificate: Certificate, checker: str) -> None:
    with Smtp(home, checker, greeted=False) as session:
        queue = plain_queue(home)

        class Client(smtplib.SMTP):
            def _get_socket(self, *_: object) -> socket.socket:
                return session.socket

        client = Client(HOST, 25)
        client.starttls(context=certificate.client())
        client.login("alice", "wonder land")
        client.sendmail("alice@example.test", ["x@else.test"], "Subject: x\r\n\r\n.dot\r\n")
        client.quit()
    assert re.search(rb"Subject: x\nDate: .*\nMessage-ID: .*\n\n\.dot\n\Z", queue.one().message)
