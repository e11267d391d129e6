"""How long a client that does nothing useful is waited for: by SMTP, behind STARTTLS, by POP3, after a wrong guess."""

from __future__ import annotations

import base64
import contextlib
import time
from pathlib import Path

import pytest
from lab.certificates import Certificate
from lab.dialogue import Dialogue, Smtp
from lab.suite import Home, Recorder


@pytest.fixture(autouse=True)
def site(home: Home, recorder: Recorder, certificate: Certificate) -> None:
    home.control(rcpthosts="example.test")
    (home.path / "control" / "servercert.pem").write_bytes(certificate.bundle)


def checker(home: Home, code: int) -> str:
    """A password checker that always ends with this code."""
    program = home.path / "checker"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    return str(program)


def trickle(session: Dialogue, data: bytes, pause: float = 0.2) -> float:
    """Send byte by byte until the program has ended; return the seconds that it took."""
    began = time.monotonic()
    for byte in data:
        with contextlib.suppress(ConnectionError):
            session.send(bytes([byte]))
        time.sleep(pause)
        if session.process.poll() is not None:
            break
    return time.monotonic() - began


def test_timeoutfirst_ends_a_silent_session(home: Home) -> None:
    home.control(timeoutfirst="1")
    with Smtp(home, greeted=False) as smtp:
        smtp.reply()
        assert smtp.reply()[0].startswith("421 timeout")
        assert smtp.ended() == 1


def test_timeoutfirst_is_no_pause_that_a_byte_now_and_then_renews(home: Home) -> None:
    home.control(timeoutfirst="1")
    with Smtp(home, greeted=False) as smtp:
        smtp.reply()
        assert trickle(smtp, b"EHLO " + b"x" * 50) < 4


def test_timeoutfirst_is_over_with_the_first_command(home: Home) -> None:
    home.control(timeoutfirst="1")
    with Smtp(home) as smtp:
        time.sleep(2.2)
        assert smtp.command("NOOP") == "250 ok"


def test_timeoutlogin_ends_a_session_that_does_nothing_but_talk(home: Home) -> None:
    home.control(timeoutlogin="2")
    with Smtp(home) as smtp:
        assert trickle(smtp, b"NOOP\r\n" * 20, 0.1) < 5
        assert smtp.rest().endswith(b"421 timeout (#4.4.2)\r\n")


def test_timeoutlogin_goes_on_over_starttls(home: Home, certificate: Certificate) -> None:
    home.control(timeoutlogin="2")
    began = time.monotonic()
    with Smtp(home) as smtp:
        time.sleep(1)
        smtp.command("STARTTLS")
        smtp.start_tls(certificate.client(), "mail.example.test")
        assert smtp.reply()[0].startswith("421 timeout")
    assert time.monotonic() - began < 4


def test_timeoutlogin_is_not_put_off_by_recipients_that_are_refused(home: Home) -> None:
    home.control(timeoutlogin="1")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("553 ")
        assert smtp.reply()[0].startswith("421 timeout")


def test_timeoutlogin_is_over_with_the_first_recipient(home: Home) -> None:
    home.control(timeoutlogin="1")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        time.sleep(2.2)
        assert smtp.data(b".\r\n").startswith("250 ")
        assert smtp.command("NOOP") == "250 ok"


def test_timeoutlogin_is_over_with_a_log_in(home: Home) -> None:
    home.control(timeoutlogin="1")
    with Smtp(home, checker(home, 0), env={"TLSFRONT": "test"}) as smtp:
        assert smtp.command("AUTH PLAIN " + base64.b64encode(b"\0alice\0x").decode()).startswith("235 ")
        time.sleep(2.2)
        assert smtp.command("NOOP") == "250 ok"


CROWDED = {"TCPCROWDED": "1"}


def test_of_the_last_places_a_stranger_has_one_only_so_long(home: Home) -> None:
    home.control(timeoutcrowded="2")
    with Smtp(home, env=CROWDED) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        assert trickle(smtp, b"NOOP\r\n" * 20, 0.1) < 5
        assert smtp.rest().endswith(b"421 timeout (#4.4.2)\r\n")


def test_a_message_in_drops_holds_none_of_the_last_places(home: Home) -> None:
    home.control(timeoutcrowded="2")
    with Smtp(home, env=CROWDED) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        assert trickle(smtp, b"x" * 60, 0.1) < 5


def test_a_message_that_is_accepted_gives_more_time_in_the_last_places(home: Home) -> None:
    home.control(timeoutcrowded="2")
    with Smtp(home, env=CROWDED) as smtp:
        for _ in range(3):
            smtp.envelope("a@b.test", "bob@example.test")
            time.sleep(1)
            assert smtp.data(b".\r\n").startswith("250 ")
        assert smtp.reply()[0].startswith("421 timeout")


@pytest.mark.parametrize("env", [{}, {"TCPCROWDED": ""}, CROWDED | {"RELAYCLIENT": ""}], ids=str)
def test_timeoutcrowded_is_for_strangers_in_the_last_places(home: Home, env: dict[str, str]) -> None:
    home.control(timeoutcrowded="1")
    with Smtp(home, env=env) as smtp:
        time.sleep(2.2)
        assert smtp.command("NOOP") == "250 ok"


def test_who_has_logged_in_keeps_one_of_the_last_places(home: Home) -> None:
    home.control(timeoutcrowded="1")
    with Smtp(home, checker(home, 0), env=CROWDED | {"TLSFRONT": "test"}) as smtp:
        assert smtp.command("AUTH PLAIN " + base64.b64encode(b"\0alice\0x").decode()).startswith("235 ")
        time.sleep(2.2)
        assert smtp.command("NOOP") == "250 ok"


def test_timeouttls_ends_a_handshake_in_drops(home: Home) -> None:
    home.control(timeouttls="1")
    with Smtp(home) as smtp:
        smtp.command("STARTTLS")
        assert trickle(smtp, b"\x16\x03\x01\x40\x00" + b"\x01" * 50) < 4


@pytest.mark.parametrize("code", [1, 111], ids=["wrong", "not checked"])
def test_who_hangs_up_after_a_guess_holds_no_place(home: Home, code: int) -> None:
    home.control(authdelay="30")
    with Smtp(home, checker(home, code), env={"TLSFRONT": "test"}) as smtp:
        smtp.send(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0x") + b"\r\nNOOP\r\n")
        assert smtp.wait_for_log("auth: user ")
        assert smtp.process.poll() is None
        smtp.socket.close()
        assert smtp.ended(3) == 1
        assert "the client has left" in smtp.log()


def test_who_says_that_he_sends_no_more_learns_nothing_sooner(home: Home) -> None:
    home.control(authdelay="30")
    with Smtp(home, checker(home, 1), env={"TLSFRONT": "test"}) as smtp:
        smtp.send(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0x") + b"\r\n")
        smtp.end_of_sending()
        assert smtp.rest() == b""


def test_guesses_that_are_not_checked_end_the_session_too(home: Home) -> None:
    home.control(authdelay="0")
    with Smtp(home, checker(home, 111), env={"TLSFRONT": "test"}) as smtp:
        for _ in range(3):
            assert smtp.command("AUTH PLAIN " + base64.b64encode(b"\0alice\0x").decode()).startswith("454 ")
        assert smtp.ended() == 1


def test_timeoutlogin_ends_pop3_in_drops(home: Home) -> None:
    home.control(timeoutlogin="1")
    with Dialogue(home, "qmail-popup", "pop.example.test", checker(home, 0)) as pop:
        pop.line()
        assert trickle(pop, b"CAPA\r\n" * 10, 0.1) < 4


def test_pop3_says_that_it_can_not_read_its_controls(home: Home) -> None:
    home.control(timeoutlogin="soon")
    with Dialogue(home, "qmail-popup", "pop.example.test", checker(home, 0)) as pop:
        assert pop.line().startswith(b"-ERR [SYS/TEMP] ")


@pytest.mark.parametrize("code", [1, 111], ids=["wrong", "not checked"])
def test_who_hangs_up_after_a_guess_holds_no_place_by_pop3(home: Home, code: int) -> None:
    home.control(authdelay="30")
    with Dialogue(home, "qmail-popup", "pop.example.test", checker(home, code)) as pop:
        pop.send(b"USER alice\r\nPASS x\r\n")
        assert pop.wait_for_log("auth: user ")
        assert pop.process.poll() is None
        pop.socket.close()
        assert pop.ended(3) == 1


def test_the_checker_of_pop3_starts_where_qmail_popup_did(home: Home, tmp_path: Path) -> None:
    program = tmp_path / "checker"
    program.write_text('#!/bin/sh\nprintf "+OK %s\\r\\n" "$PWD"\n')
    program.chmod(0o755)
    with Dialogue(home, "qmail-popup", "pop.example.test", "./checker", cwd=tmp_path) as pop:
        pop.send(b"USER alice\r\nPASS x\r\n")
        assert [pop.line() for _ in range(3)][2] == f"+OK {tmp_path}".encode()
