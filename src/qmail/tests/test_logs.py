"""What others choose can't make a line of the log pass for another: hostile words, and the documented grammar."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.certificates import Certificate
from lab.dialogue import Dialogue, Smtp
from lab.loggrammar import meant, read, read_send
from lab.sendlab import site
from lab.suite import SOURCE, Home, Recorder

sys.path.insert(0, str(SOURCE.parent / "spamzones"))
import qmail_spamzones  # type: ignore[import-not-found]

SCANNED = "hi-q: pid=1 result=accepted filter=spamzone zone=green score=1.0 required=5.0 red=7.0"
HOSTILE = [
    b"bob accepted (PLAIN)",
    b"bob refused (PLAIN)\\",
    b'x" "y',
    b"x> to <y>: 250",
    b"\\x41\\...",
    b"caf\xc3\xa9",
    b"%s%n",
    b"x" * 330,
    SCANNED.encode(),
    b"a qp 1 bytes 1 from <root> recipients 1 user root",
]
CHECKER = "#!/bin/sh\nexec 3<&-\nexit %d\n"


@pytest.fixture(autouse=True)
def place(home: Home, recorder: Recorder, certificate: Certificate) -> None:
    home.control(rcpthosts="example.test", authdelay="0", authfailures="100")


def checker(home: Home, code: int) -> str:
    program = home.path / "checker"
    program.write_text(CHECKER % code)
    program.chmod(0o755)
    return str(program)


def shown(word: bytes) -> bytes:
    """Return what the log has of a word."""
    return word if len(word) <= 320 else word[:320] + b"\\..."


def lines(log: Path) -> list[str]:
    text = log.read_bytes()
    assert all(byte == 10 or 32 <= byte <= 126 for byte in text), text
    assert not any(
        qmail_spamzones.parse(f"Nov 26 00:00:00 mail qmail-smtp[7]: {line}") for line in text.decode().split("\n")
    )
    return text.decode().splitlines()


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_user_name_is_one_word(home: Home, name: bytes, code: int) -> None:
    with Smtp(home, checker(home, code), env={"TLSFRONT": "stunnel"}) as smtp:
        smtp.command(b"AUTH PLAIN " + base64.b64encode(b"\0" + name + b"\0x"))
        kind, parts = read(lines(smtp.log_file)[0])
    assert (kind, parts["verdict"]) == ("auth", "refused" if code else "accepted")
    assert meant(parts["user"]) == shown(name.lower())


@pytest.mark.parametrize("name", [*HOSTILE, b"a\nqmail-popup 1 10.0.0.1: auth: user b refused", b"\x1b[2J", b"\xff\r"])
def test_a_pop3_user_name_is_one_word(home: Home, name: bytes) -> None:
    with Dialogue(home, "qmail-popup", "pop.test", checker(home, 1), env={"TCPREMOTEIP": "192.0.2.1"}) as pop:
        pop.send(b"USER " + name.partition(b"\n")[0] + b"\r\nPASS x\r\n")
        pop.rest()
        kind, parts = read(lines(pop.log_file)[0])
    assert kind == "popup auth"
    assert meant(parts["user"]) == shown(name.partition(b"\n")[0].lower())


def quoted(local: bytes) -> bytes:
    return b'"' + local.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@pytest.mark.parametrize("local", HOSTILE)
def test_addresses_and_reasons_are_one_word_and_one_text(home: Home, recorder: Recorder, local: bytes) -> None:
    with Smtp(home) as smtp:
        smtp.command(b"MAIL FROM:<" + quoted(local) + b"@b.test>")
        smtp.command(b"RCPT TO:<" + quoted(local) + b"@else.test>")
        smtp.command("RCPT TO:<bob@example.test>")
        recorder.answer(82, f"D{local.decode('latin-1')}")
        assert smtp.data(b".\r\n").startswith("554 ")
        recorder.answer(0)
        smtp.command(b"MAIL FROM:<" + quoted(local) + b"@b.test>")
        smtp.command("RCPT TO:<bob@example.test>")
        smtp.data(b".\r\n")
        found = [read(line) for line in lines(smtp.log_file)]
    assert [kind for kind, _ in found] == ["recipient", "message", "accepted"]
    assert {meant(parts["sender"]) for _, parts in found} == {shown(local + b"@b.test")}
    assert meant(found[0][1]["recipient"]) == shown(local + b"@else.test")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4))
def test_no_client_writes_a_line_of_its_own(home: Home, words: list[bytes]) -> None:
    with Smtp(home, checker(home, 1), env={"TLSFRONT": "stunnel"}, greeted=False) as smtp:
        for word in words:
            smtp.send(b"EHLO " + word + b"\r\nMAIL FROM:<" + word + b"@b.test>\r\nRCPT TO:<" + word + b"@c.test>\r\n")
            smtp.send(b"RSET\r\nAUTH PLAIN " + base64.b64encode(b"\0" + word + b"\0x") + b"\r\n")
        smtp.end_of_sending()
        smtp.rest()
        smtp.ended()
        for line in lines(smtp.log_file):
            read(line)


@pytest.mark.parametrize("local", [*HOSTILE[:-2], b"a\ndelivery 1: success: x", b"b\nend msg 1", b"\x1b[2J"])
def test_qmail_send_writes_addresses_as_one_word(local: bytes) -> None:
    text = local.decode("latin-1")
    with site() as made:
        made.start()
        made.queue.send(b"Subject: x\n\nx\n", f"{text}@sender.test", f"ok{text}@remote.test")
        made.await_log(r"^end msg")
        found = [read_send(line) for line in lines(made.log_file)]
    (info,) = (parts for kind, parts in found if kind == "info")
    (start,) = (parts for kind, parts in found if kind == "start")
    assert sum(kind == "report" for kind, _ in found) == 1
    assert meant(info["sender"]).startswith(shown(text.encode())[:320])
    assert meant(start["recipient"]).startswith(b"ok" + text.encode()[:300])
