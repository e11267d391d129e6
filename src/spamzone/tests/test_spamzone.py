"""spamzone at its real interface: descriptors, exit codes, and scanners that behave in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from running import MESSAGE, SPAMZONE, run, status


@pytest.mark.parametrize(
    ("score", "spam", "zone"),
    [
        ("-3.1", False, "green"),
        ("4.9", False, "green"),
        ("5.0", True, "yellow"),
        ("6.9", True, "yellow"),
        ("7.0", True, "red"),
        ("999.9", True, "red"),
    ],
)
def test_zone_begins_exactly_at_its_score(scanner: Path, score: str, spam: bool, zone: str) -> None:
    fields = status(score, spam=spam)
    result = run(str(scanner), str(int(spam)), fields)
    assert result.note == f"zone={zone} score={score} required=5.0 red=7.0 rules=AA,BB\n"
    if zone == "red":
        assert (result.code, result.out) == (1, b"")
        assert result.reason == f"Dspam: score {score}, refused from 7.0 (#5.7.1)"
    else:
        assert (result.code, result.out, result.reason) == (0, fields.encode() + MESSAGE, "")


def test_red_zone_can_be_moved(scanner: Path) -> None:
    assert run("-Y", "0.5", str(scanner), "1", status("5.5", spam=True)).code == 1
    assert run("-Y", "0.5", str(scanner), "1", status("5.4", spam=True)).code == 0


@pytest.mark.parametrize(
    ("threshold", "score", "zone"),
    [
        ("6", "5.9", "green"),
        ("6", "6.0", "yellow"),
        ("6.0", "7.9", "yellow"),
        ("6.000", "8.0", "red"),
        ("3.5", "3.4", "green"),
        ("3.5", "4.9", "yellow"),
        ("3.5", "5.5", "red"),
        ("-1", "-1.1", "green"),
        ("-1", "0.9", "yellow"),
        ("-1", "1.0", "red"),
        ("", "5.0", "yellow"),
    ],
)
@pytest.mark.parametrize("by_code", [False, True])
def test_the_recipients_threshold_goes_before_the_scanner_s(
    scanner: Path, threshold: str, score: str, zone: str, by_code: bool
) -> None:
    theirs = float(score) >= 5
    code = "2" if by_code and float(score) >= 7 else str(int(theirs))
    options = ("-e",) if by_code else ()
    result = run(
        *options,
        *("-p", "[SPAM] ", str(scanner), code, "X-Spam-Level: ***\n" + status(score, spam=theirs)),
        environment={"SPAMTHRESHOLD": threshold},
    )
    own = float(threshold or 5)
    assert result.note == (
        f"zone={zone} score={score} required={own} red={own + 2} rules=AA,BB{' threshold=own' if threshold else ''}\n"
    )
    if zone == "red":
        assert (result.code, result.out) == (1, b"")
        assert result.reason == f"Dspam: score {score}, refused from {own + 2} (#5.7.1)"
        return
    assert result.code == 0
    fields = result.out[: -len(MESSAGE) - (7 if zone == "yellow" else 0)].decode()
    assert fields.count("X-Spam-Flag: YES\n") == (zone == "yellow")
    assert "X-Spam-Level: ***\n" in fields
    word = "Yes" if zone == "yellow" else "No"
    assert f"X-Spam-Status: {word}, score={score} required={own} tests=AA,\n\tBB autolearn=no\n" in fields
    assert (b"Subject: [SPAM] hello" in result.out) is (zone == "yellow")


def test_off_means_unscanned_and_without_a_stranger_s_verdict(tmp_path: Path) -> None:
    forged = b"X-Spam-Status: No, score=-99 required=5.0 tests=NONE\n"
    ran = tmp_path / "ran"
    result = run("touch", str(ran), message=forged + MESSAGE, environment={"SPAMTHRESHOLD": "off"})
    assert (result.code, result.out, result.note, result.reason) == (0, MESSAGE, "zone=off\n", "")
    assert not ran.exists()
    large = MESSAGE + b"x" * 3_000_000
    assert run("false", message=large, environment={"SPAMTHRESHOLD": "off"}).out == large


@pytest.mark.parametrize("threshold", ["x", "OFF", "5,0", "1e3", " 5", "5.0001", "--1", "9" * 20])
def test_a_threshold_that_is_none_defers(scanner: Path, threshold: str) -> None:
    result = run("-a", str(scanner), "0", status("0", spam=False), environment={"SPAMTHRESHOLD": threshold})
    assert (result.code, result.out) == (111, b"")
    assert result.reason.startswith("Z")
    assert "SPAMTHRESHOLD" in result.note


def test_a_verdict_that_is_incomplete_counts_where_it_is_red_under_the_own_threshold(scanner: Path) -> None:
    fields = status("5.0", spam=True).replace("BB", "TIME_LIMIT_EXCEEDED")
    assert run(str(scanner), "1", fields, environment={"SPAMTHRESHOLD": "3"}).code == 1
    assert run(str(scanner), "1", fields, environment={"SPAMTHRESHOLD": "4"}).code == 111


def test_exit_code_can_tell_the_zone(scanner: Path) -> None:
    assert run("-e", str(scanner), "2", status("5.5", spam=True)).code == 1
    assert run("-e", str(scanner), "1", status("99", spam=True)).code == 0
    assert run("-e", str(scanner), "0", status("1", spam=False)).code == 0


def test_only_a_yellow_subject_gets_the_prefix(scanner: Path) -> None:
    yellow = run("-p", "[SPAM] ", str(scanner), "1", status("5.0", spam=True))
    assert MESSAGE.replace(b"hello", b"[SPAM] hello") in yellow.out
    green = run("-p", "[SPAM] ", str(scanner), "0", status("4.9", spam=False))
    assert MESSAGE in green.out


def test_prefix_comes_once_and_makes_a_missing_subject(scanner: Path) -> None:
    fields = status("5.0", spam=True)
    once = run("-p", "[SPAM] ", str(scanner), "1", fields, message=b"Subject: [SPAM] x\n\nb\n")
    assert once.out == fields.encode() + b"Subject: [SPAM] x\n\nb\n"
    none = run("-p", "[SPAM] ", str(scanner), "1", fields, message=b"From: x\n\nSubject: body\n")
    assert none.out == fields.encode() + b"From: x\nSubject: [SPAM] \n\nSubject: body\n"


@pytest.mark.parametrize(
    "forged",
    [
        b"X-Spam-Status: No, score=-99 required=5.0 tests=NONE\n",
        b"x-SPAM-status: No, score=-99\n\trequired=5.0 tests=NONE\n",
        b"X-Spam-Flag: NO\n \n\t\n",
    ],
)
def test_fields_of_the_message_itself_go(scanner: Path, forged: bytes) -> None:
    fields = status("5.0", spam=True)
    result = run(str(scanner), "1", fields, message=forged + MESSAGE)
    assert result.out == fields.encode() + MESSAGE


def test_field_in_the_body_stays_and_does_not_count(scanner: Path) -> None:
    message = MESSAGE + b"\nX-Spam-Status: No, score=-99 required=5.0 tests=NONE\n"
    assert run(str(scanner), "1", status("7.0", spam=True), message=message).code == 1
    result = run(str(scanner), "0", status("1.0", spam=False), message=message)
    assert result.out.endswith(message)


def test_forged_verdict_alone_is_no_verdict(scanner: Path) -> None:
    forged = b"X-Spam-Status: No, score=-99 required=5.0 tests=NONE\n"
    result = run(str(scanner), "0", "", message=forged + MESSAGE)
    assert (result.code, result.out) == (111, b"")


@pytest.mark.parametrize(
    "command",
    [
        ["/nonexistent/spamc"],
        ["sh", "-c", "cat >/dev/null; exit 69"],
        ["sh", "-c", "exit 0"],
        ["sh", "-c", "cat; exit 0"],
        ["sh", "-c", "kill -9 $$"],
        ["sh", "-c", "head -c 20; kill -9 $$"],
        ["sh", "-c", "head -c 100000 /dev/urandom; exit 0"],
        ["sh", "-c", "cat >/dev/null; printf 'X-Spam-Status: maybe\\n\\n'; exit 0"],
        ["sh", "-c", "cat >/dev/null; printf 'X-Spam-Status: No, score=1 required=5\\n\\n'; exit 1"],
        ["sh", "-c", "cat >/dev/null; printf 'X-Spam-Status: Yes, score=9 required=5\\n\\n'; exit 0"],
        ["sh", "-c", "cat >/dev/null; printf 'X-Spam-Status: Yes, score=nan required=5\\n\\n'; exit 1"],
        ["sh", "-c", "cat >/dev/null; yes 'X-Spam-A: b' | head -n 4000; exit 0"],
    ],
)
def test_scanner_in_trouble_defers_or_accepts_as_declared(command: list[str]) -> None:
    deferred = run(*command)
    assert (deferred.code, deferred.out) == (111, b"")
    assert deferred.reason.startswith("Z")
    assert deferred.note.startswith("zone=unscanned cause=")
    accepted = run("-a", *command)
    assert accepted.code == 0
    assert accepted.out == b"X-Spam-Unscanned: the spam filter was not available\n" + MESSAGE


INCOMPLETE = "X-Spam-Status: {}, score={} required=5.0 tests={},\n\tTIME_LIMIT_EXCEEDED autolearn=no\n"


@pytest.mark.parametrize(("word", "score"), [("No", "0.0"), ("No", "-5.0"), ("Yes", "6.9")])
@pytest.mark.parametrize("rules", ["A", ",".join(f"RULE_{number}" for number in range(100))], ids=["one", "many"])
def test_a_verdict_that_says_it_is_incomplete_is_none(scanner: Path, word: str, score: str, rules: str) -> None:
    command = [str(scanner), str(int(word == "Yes")), INCOMPLETE.format(word, score, rules)]
    deferred = run(*command)
    assert (deferred.code, deferred.out) == (111, b"")
    assert deferred.note == 'zone=unscanned cause="its verdict is incomplete"\n'
    accepted = run("-a", *command)
    assert accepted.out == b"X-Spam-Unscanned: the spam filter was not available\n" + MESSAGE


def test_a_red_score_that_was_reached_in_time_counts(scanner: Path) -> None:
    assert run(str(scanner), "1", INCOMPLETE.format("Yes", "7.0", "A")).code == 1


@pytest.mark.parametrize("rule", ["MY_TIME_LIMIT_EXCEEDED", "TIME_LIMIT_EXCEEDED_NOT", "time_limit_exceeded"])
def test_a_rule_of_another_name_says_nothing_of_the_kind(scanner: Path, rule: str) -> None:
    fields = f"X-Spam-Status: No, score=1.0 required=5.0 tests=A,{rule} autolearn=no\n"
    assert run(str(scanner), "0", fields).code == 0


def test_answer_never_changes_the_message() -> None:
    answer = "cat >/dev/null; printf 'X-Spam-Status: No, score=1.0 required=5.0 tests=A\\nSubject: other\\n\\nevil'"
    result = run("sh", "-c", answer)
    assert result.out == b"X-Spam-Status: No, score=1.0 required=5.0 tests=A\n" + MESSAGE


def test_hanging_scanner_is_ended_in_time() -> None:
    began = time.monotonic()
    result = run("-t", "1", "sh", "-c", "echo $$ >&2; exec sleep 60")
    assert result.code == 111
    assert "took too long" in result.note
    assert time.monotonic() - began < 10


def test_scanner_gets_neither_reason_nor_note() -> None:
    result = run(
        "sh", "-c", "cat >/dev/null; ls /proc/self/fd >&2; (echo x >&6) && exit 1; (echo x >&7) && exit 1; exit 0"
    )
    assert result.reason.startswith("Z")
    assert "x" not in result.note.replace("exit", "")


def test_bytes_of_any_value_pass(scanner: Path) -> None:
    message = b"Subject: \xff\x00\xfe\n\n" + bytes(range(256)) * 100 + b"no newline at end"
    fields = status("0", spam=False)
    assert run(str(scanner), "0", fields, message=message).out == fields.encode() + message


def test_empty_message(scanner: Path) -> None:
    fields = status("0", spam=False)
    assert run(str(scanner), "0", fields, message=b"").out == fields.encode()


def test_ten_thousand_recipients_of_header(scanner: Path) -> None:
    message = b"To: " + b",\n\t".join(b"r%d@example.org" % i for i in range(10000)) + b"\n\nbody\n"
    fields = status("0", spam=False)
    assert run(str(scanner), "0", fields, message=message).out == fields.encode() + message


def test_reader_that_goes_away_makes_it_temporary(scanner: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [SPAMZONE, str(scanner), "0", status("0", spam=False)], stdin=subprocess.PIPE, stdout=write
    )
    os.close(write)
    process.communicate(MESSAGE, timeout=30)
    assert process.returncode == 111
    assert process.returncode != -signal.SIGPIPE


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-Y", "x", "true"],
        ["-Y", "-1", "true"],
        ["-s", "0", "true"],
        ["-s", "-1", "true"],
        ["-t", "1x", "true"],
        ["-n", "0", "true"],
        ["-n", "257", "true"],
        ["-c", "x", "true"],
        ["-w", "0", "true"],
        ["-p", "a\nb", "c"],
    ],
)
def test_bad_settings_are_said(arguments: list[str]) -> None:
    result = subprocess.run([SPAMZONE, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert result.returncode == 100
    assert result.stderr.startswith(b"spamzone: ")


@pytest.mark.parametrize("end", [b"X", b"X-Spa", b"Subject: no end"])
def test_a_message_that_ends_within_a_field_s_name_goes_on_whole(scanner: Path, end: bytes) -> None:
    message = b"From: a@example.org\n" + end
    result = run(str(scanner), "0", status("0", spam=False), message=message)
    assert result.code == 0, result
    assert result.out.endswith(message)
