"""What qmail-smtpd knows of a declared site: log-ins, senders, recipients and what was forwarded, each by its table."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab.dialogue import Smtp
from lab.loggrammar import read
from lab.suite import Counts, Home, Recorder, counted

DAY = 86400
TODAY = int(time.time()) // DAY
KEY = "0123456789abcdef0123456789abcdef"
CHECKER = """#!{python} -I
import os, sys
user, password, rest = os.fdopen(3, "rb").read(1024).split(b"\\0", 2)
open({seen!r}, "ab").write(user + b"\\n")
open({seen!r} + "-service", "w").write(os.environ.get("AUTHSERVICE", "none"))
sys.exit(0 if password == b"right" else 1)
"""
THRESHOLD = """#!{python} -I
import os
open({there!r}, "a").write(os.environ.get("SPAMTHRESHOLD", "none") + "\\n")
os.execv({recorder!r}, [{recorder!r}])
"""


@pytest.fixture(autouse=True)
def site(home: Home, recorder: Recorder) -> None:
    home.control(rcpthosts="example.test\nexample.net", authdelay="0", locals="example.test")


@pytest.fixture
def checker(home: Home) -> str:
    program = home.path / "checker"
    program.write_text(CHECKER.format(python=sys.executable, seen=str(home.path / "seen")))
    program.chmod(0o755)
    return str(program)


def cdb(path: Path, records: dict[str, str]) -> None:
    """Write a constant database in the old one's place."""
    text = b"".join(
        b"+%d,%d:%s->%s\n" % (len(key.encode()), len(value.encode()), key.encode(), value.encode())
        for key, value in records.items()
    )
    new = path.with_suffix(".new")
    subprocess.run(["cdb", "-c", new], input=text + b"\n", check=True)
    new.rename(path)


def table(home: Home, name: str, **records: str) -> None:
    cdb(home.path / "users" / f"{name}.cdb", records)


def words(*each: str) -> str:
    return "".join(word + "\0" for word in each)


def log_in(home: Home, checker: str, name: str = "carol", **env: str) -> Smtp:
    queue = str(home.path / "recorder" / "recorder")
    smtp = Smtp(home, checker, env={"TLSFRONT": "stunnel", "AUTHQMAILQUEUE": queue, **env})
    assert smtp.command(b"AUTH PLAIN " + base64.b64encode(b"\0" + name.encode() + b"\0right")).startswith("235 ")
    return smtp


def lines(smtp: Smtp) -> list[tuple[str, dict[str, str]]]:
    return [read(line) for line in smtp.log().splitlines()]


# Log-in ---------------------------------------------------------------------------------------


LOGINS = {
    "carol": words("carol", "200001", "200001", "/srv/mail/carol"),
    "c.arol@example.net": words("carol", "200001", "200001", "/srv/mail/carol"),
    "carol@example.test": words("carol", "200001", "200001", "/srv/mail/carol"),
    "info@example.test": words("info@example.test", "200002", "200002", "/srv/mail/info@example.test"),
    "info@example.net": words("info@example.net", "200003", "200003", "/srv/mail/info@example.net"),
    "info@xn--bcher-kva.test": words("books", "200004", "200004", "/srv/mail/books"),
}


@pytest.mark.parametrize(
    ("typed", "mailbox"),
    [
        ("carol", "carol"),
        ("Carol", "carol"),
        ("C.Arol@Example.NET", "carol"),
        ("info@example.test", "info@example.test"),
        ("info@example.net", "info@example.net"),
        ("info", "info"),
        ("bob@example.test", "bob"),
        ("bob@example.net", "bob@example.net"),
    ],
)
def test_the_checker_is_asked_for_the_mailbox_of_an_address(home: Home, checker: str, typed: str, mailbox: str) -> None:
    cdb(home.path / "users" / "logins.cdb", LOGINS)
    with log_in(home, checker, typed) as smtp:
        ((kind, parts),) = lines(smtp)
    assert (kind, parts["user"]) == ("auth", mailbox)
    assert (home.path / "seen").read_text() == mailbox + "\n"


@pytest.mark.parametrize(
    ("until", "asked"),
    [
        (f"until {TODAY + 1}", "carol"),
        (f"until {TODAY}", "carol"),
        (f"until {TODAY - 1}", "shop7@example.test"),
        ("until 0", "shop7@example.test"),
    ],
)
def test_an_address_whose_last_day_is_over_is_no_log_in(home: Home, checker: str, until: str, asked: str) -> None:
    """It isn't the account shop7 either, which somebody else may have."""
    table(home, "logins", **{"shop7@example.test": LOGINS["carol"] + words(until)})
    with log_in(home, checker, "Shop7@Example.Test"):
        assert (home.path / "seen").read_text() == asked + "\n"


def test_the_checker_hears_which_service_asks(home: Home, checker: str) -> None:
    with log_in(home, checker, AUTHSERVICE="smtp"):
        assert (home.path / "seen-service").read_text() == "smtp"


@pytest.mark.parametrize("content", [b"short", "no NUL behind it", words("carol", "1", "1", "/", "until tomorrow")])
def test_a_broken_table_of_log_ins_is_trouble_and_no_wrong_password(
    home: Home, checker: str, content: bytes | str
) -> None:
    if isinstance(content, str):
        table(home, "logins", carol=content)
    else:
        (home.path / "users" / "logins.cdb").write_bytes(content)
    with Smtp(home, checker, env={"TLSFRONT": "stunnel"}) as smtp:
        answer = smtp.command(b"AUTH PLAIN " + base64.b64encode(b"\0carol\0right"))
    assert answer.startswith("454 ")


# Senders --------------------------------------------------------------------------------------


SENDERS = {
    "carol@example.test": words("carol"),
    "carol+@example.test": words("carol"),
    "carol-@example.test": words("carol"),
    "sales@example.test": words("bob", "carol"),
    "bob@example.test": words("bob"),
    "@example.net": words("carol"),
    "*": words("root@example.test"),
    "mail.example.test": words("carol"),
    "carol@mail.example.test": words("carol"),
}


@pytest.fixture
def senders(home: Home) -> None:
    cdb(home.path / "users" / "senders.cdb", SENDERS)


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("carol@example.test", "250"),
        ("CAROL@Example.TEST", "250"),
        ("carol+shop@example.test", "250"),
        ("carol-a-b@example.test", "250"),
        ("sales@example.test", "250"),
        ("anybody@example.net", "250"),
        ("carol", "250"),
        ("bob@example.test", "553"),
        ("bob+x@example.test", "553"),
        ("carolx@example.test", "553"),
        ("car@example.test", "553"),
        ("carol@example.org", "553"),
        ("carol@example.test.example.net", "553"),
        ("carol@sub.example.net", "553"),
        ("bob", "553"),
        ('"carol@example.test"@else.test', "553"),
        ("", "553"),
    ],
)
@pytest.mark.usefixtures("senders")
def test_who_has_logged_in_sends_as_his_own_addresses(home: Home, checker: str, sender: str, code: str) -> None:
    with log_in(home, checker) as smtp:
        answer = smtp.command(f"MAIL FROM:<{sender}>")
        assert answer.startswith(code), answer
        if code == "250":
            return
        assert "carol may not send as" in answer
        assert sender.replace('"', "")[:5] in answer
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("503 ")
        kind, parts = lines(smtp)[-1]
    assert (kind, parts["user"], parts["verdict"]) == ("sender", "carol", "refused")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([f"carol {TODAY + 1}"], 250),
        ([f"carol {TODAY}"], 250),
        ([f"carol {TODAY - 1}"], 553),
        ([f"carol {TODAY - 1}", "carol"], 250),
        (["carol 0", f"carol {TODAY}"], 250),
        ([f"carola {TODAY}", f"carol-a {TODAY}", f"caro {TODAY}", f"bob {TODAY}"], 553),
        (["carol tomorrow"], 451),
        (["carol "], 451),
        ([f"carol {'9' * 30}"], 451),
    ],
)
def test_who_may_send_as_an_address_may_until_a_last_day(home: Home, checker: str, names: list[str], code: int) -> None:
    table(home, "senders", **{"shop7@example.test": words(*names), "carol@example.test": words("carol")})
    with log_in(home, checker) as smtp:
        assert smtp.command("MAIL FROM:<shop7@example.test>").startswith(str(code))
        smtp.command("RSET")
        smtp.envelope("carol@example.test", "bob@example.test")
        assert smtp.data(b"From: shop7@example.test\r\n\r\n.\r\n").startswith(str(code))


def test_a_name_with_a_blank_is_not_taken_for_a_last_day(home: Home, checker: str) -> None:
    table(home, "senders", **{"shop7@example.test": words(f"carol {TODAY - 1}")})
    with log_in(home, checker, f"carol {TODAY - 1}") as smtp:
        assert smtp.command("MAIL FROM:<shop7@example.test>").startswith("553 ")


@pytest.mark.parametrize("sender", ["", "boss@elsewhere.test", "bob@example.test"])
@pytest.mark.usefixtures("senders")
def test_the_star_may_send_as_anybody(home: Home, checker: str, sender: str) -> None:
    with log_in(home, checker, "root@else.test") as smtp:
        assert smtp.command(f"MAIL FROM:<{sender}>").startswith("553 ")
    with log_in(home, checker, "root@example.test") as smtp:  # an account "root" by locals
        assert smtp.command(f"MAIL FROM:<{sender}>").startswith("553 ")
    table(home, "logins", **{"root@example.test": words("root@example.test", "1", "1", "/x")})
    with log_in(home, checker, "root@example.test") as smtp:
        smtp.envelope(sender, "bob@example.test")
        assert smtp.data(b"From: boss@elsewhere.test\r\n\r\n.\r\n").startswith("250 ")


@pytest.mark.usefixtures("senders")
def test_only_who_has_logged_in_is_judged(home: Home, recorder: Recorder) -> None:
    with Smtp(home, env={"RELAYCLIENT": ""}) as smtp:
        smtp.envelope("whoever@else.test", "bob@example.test")
        assert smtp.data(b"From: carol@example.test\r\n\r\n.\r\n").startswith("250 ")
    assert recorder.one().sender == b"whoever@else.test"


def test_without_the_table_nobody_is_judged(home: Home, checker: str) -> None:
    with log_in(home, checker) as smtp:
        smtp.envelope("bob@example.test", "bob@example.test")
        assert smtp.data(b"From: boss@else.test\r\n\r\n.\r\n").startswith("250 ")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("From: carol@example.test", 250),
        ("From: Carol <Carol@Example.Test>", 250),
        ('from:"Carol, boss@else.test" <carol+x@example.test>', 250),
        ("From: carol@example.test <carol@example.test>", 250),
        ("From: =?utf-8?q?Carol?= (boss@else.test)\r\n <carol@example.test>", 250),
        ("From: carol@example.test, Sales <sales@example.test>\r\nSender: carol@example.test", 250),
        ("FROM \t:\r\n\tcarol@example.test", 250),
        ("Subject: no From at all", 250),
        ("Subject: x\r\n From: boss@else.test\r\nFrom: carol@example.test", 250),
        ("From boss: boss@else.test\r\nFrom: carol@example.test", 250),
        ("X-From: boss@else.test\r\nFromage: boss@else.test\r\nFrom: carol@example.test", 250),
        ("Resent-From: boss@else.test\r\nFrom: carol@example.test", 250),
        ("From: carol@example.test\r\n\r\nFrom: boss@else.test", 250),
        ('From: "boss@else.test" <carol@example.test>', 250),
        ("From: (boss@else.test) =?utf-8?q?b=40c.test?= at work <carol@example.test>", 250),
        ("From: us: carol@example.test, sales@example.test;", 250),
        ("From: boss@else.test", 553),
        ("From: boss@else.test <carol@example.test>", 553),
        ("From: The boss@else.test Himself <carol@example.test>", 553),
        ("From: boss @ else . test (x) <carol@example.test>", 553),
        ("From: boss@else.test: carol@example.test;", 553),
        ("From: <@else.test:carol@example.test>", 553),
        ('From: "boss"@else.test <carol@example.test>', 553),
        ("From: carol@example.test <boss@else.test>", 553),
        ("From: carol@example.test, boss@else.test", 553),
        ("From: carol@example.test\r\nFrom: boss@else.test", 553),
        ("From: boss@else.test\r\nFrom: carol@example.test", 553),
        ("From: carol@example.test\r\n , boss@else.test", 553),
        ("From: carol@example.test\r\nno field at all\r\nFrom: boss@else.test", 553),
        ("From: carol@example.test\r\n \r\nFROM  : boss@else.test", 553),
        ("From: us: carol@example.test, boss@else.test;", 553),
        ("From: boss", 553),
        ("From:", 553),
        ("From: undisclosed:;", 553),
        ("From: <>", 553),
        ("From: Carol boss@else.test", 553),
        ("From: <carol@example.test", 553),
        ("From: carol@example.test (", 553),
        ('From: "carol@example.test', 553),
        ("From: carol@example.test\0@else.test", 553),
        ("From: carol@example.test boss@else.test", 553),
        ("From: " + "carol@example.test, " * 4000 + "carol@example.test", 553),
        # As qmail-remote sends it, a NUL is a blank, and a line of more than 998 bytes is two.
        ("From\0: boss@else.test", 553),
        ("From \0\t: boss@else.test\r\nFrom: carol@example.test", 553),
        ("From: carol@example.test\r\n\0<boss@else.test>", 553),
        ("Subject: x\r\n\0From: boss@else.test\r\nFrom: carol@example.test", 250),
        ('From: "' + "a" * 990 + '\\" <boss@else.test>, " <carol@example.test>', 553),
        ("From: " + "a" * 971 + " <carol@example.test>", 250),
        ("From: " + "a" * 972 + " <carol@example.test>", 553),
        ("X: " + "a" * 2000 + "\r\nFrom: carol@example.test\r\nY: " + "a" * 2000, 250),
    ],
)
@pytest.mark.usefixtures("senders")
def test_the_authors_of_a_message_must_be_his_addresses(
    home: Home, recorder: Recorder, checker: str, header: str, code: int
) -> None:
    home.control(smtplinelength="200000")
    with log_in(home, checker) as smtp:
        smtp.envelope("carol@example.test", "bob@example.test")
        answer = smtp.data(header.encode() + b"\r\n\r\nFrom: boss@else.test\r\n.\r\n")
        assert answer.startswith(str(code)), answer
        assert len(recorder.all()) == (code == 250)
        kind, parts = lines(smtp)[-1]
        assert kind == ("accepted" if code == 250 else "message")
        assert parts["sender"] == "<carol@example.test>"
        if "boss@else.test" in header and "carol may not" in answer:
            assert answer == "553 sorry, carol may not write From <boss@else.test> (#5.7.1)"
        smtp.envelope("carol@example.test", "bob@example.test")
        assert smtp.data(b"From: sales@example.test\r\n\r\n.\r\n").startswith("250 ")


@pytest.mark.usefixtures("senders")
def test_a_header_that_comes_in_pieces_is_judged_whole(home: Home, checker: str) -> None:
    with log_in(home, checker) as smtp:
        smtp.envelope("carol@example.test", "bob@example.test")
        assert smtp.command("DATA").startswith("354 ")
        for byte in b"Subject: x\r\nFrom: Boss <boss@else.test>\r\n\r\n.\r\n":
            smtp.send(bytes([byte]))
            time.sleep(0.001)
        assert smtp.reply()[-1].startswith("553 ")


def test_a_broken_table_of_senders_is_temporary_trouble(home: Home, checker: str) -> None:
    (home.path / "users" / "senders.cdb").write_bytes(b"short")
    with log_in(home, checker) as smtp:
        assert smtp.command("MAIL FROM:<carol@example.test>").startswith("451 ")


@pytest.mark.usefixtures("senders")
def test_an_open_session_sees_a_change_of_the_senders(home: Home, checker: str) -> None:
    with log_in(home, checker) as smtp:
        assert smtp.command("MAIL FROM:<new@example.test>").startswith("553 ")
        cdb(home.path / "users" / "senders.cdb", {**SENDERS, "new@example.test": words("carol")})
        smtp.envelope("new@example.test", "bob@example.test")
        cdb(home.path / "users" / "senders.cdb", SENDERS)
        assert smtp.data(b"From: new@example.test\r\n\r\n.\r\n").startswith("553 ")


# Which senders are refused, and which domains are ours, anew ----------------------------------


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("bad@spam.test", "553"),
        ("friend@spam.test", "250"),
        ("FRIEND@Spam.Test", "250"),
        ("one@worse.test", "553"),
        ("a@mixed.test", "250"),
        ("b@mixed.test", "250"),
        ("c@good.test", "250"),
    ],
)
def test_goodmailfrom_takes_back_what_badmailfrom_says(home: Home, sender: str, code: str) -> None:
    home.control(
        badmailfrom="@spam.test\n@worse.test\na@mixed.test", goodmailfrom="friend@spam.test\n@mixed.test\n@good.test"
    )
    with Smtp(home) as smtp:
        smtp.envelope(sender)
        assert smtp.command("RCPT TO:<bob@example.test>").startswith(code)


def test_a_goodmailfrom_that_can_not_be_read_is_temporary_trouble(home: Home) -> None:
    home.control(badmailfrom="@spam.test", goodmailfrom="a\0b")
    with Smtp(home) as smtp:
        assert smtp.command("MAIL FROM:<bad@spam.test>").startswith("451 ")
        assert smtp.command("MAIL FROM:<good@else.test>").startswith("250 ")


def replaced(home: Home, name: str, content: str) -> None:
    """Write a control file as a play does: by rename."""
    new = home.path / "control" / "new"
    new.write_text(content)
    new.rename(home.path / "control" / name)


def edited(home: Home, name: str, content: str) -> None:
    """Write it as an editor may: in its place."""
    time.sleep(0.02)  # a time stamp may be that coarse
    (home.path / "control" / name).write_text(content)


@pytest.mark.parametrize("write", [replaced, edited])
def test_an_open_session_sees_a_change_of_its_lists(home: Home, write: object) -> None:
    assert callable(write)
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        assert smtp.command("RCPT TO:<bob@new.test>").startswith("553 ")
        write(home, "rcpthosts", "example.test\nnew.test\n")
        assert smtp.command("RCPT TO:<bob@new.test>").startswith("250 ")
        assert smtp.command("RCPT TO:<bob@example.net>").startswith("553 ")
        (home.path / "control" / "rcpthosts").unlink()
        assert smtp.command("RCPT TO:<bob@new.test>").startswith("553 ")
        write(home, "badmailfrom", "a@b.test\n")
        smtp.command("RSET")
        write(home, "rcpthosts", "new.test\n")
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<bob@new.test>").startswith("553 sorry, your envelope sender")


def test_a_list_that_has_become_unreadable_is_temporary_trouble(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        home.control(rcpthosts=b"a\0b")
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("451 ")
        home.control(rcpthosts="example.test")
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("250 ")
        home.control(rcpthosts="b\u00fccher.test")  # the next session can spell it
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("451 ")


# Recipients -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("carol@example.test", "250"),
        ("carol+shop@example.test", "250"),
        ("CAROL+shop+more@example.test", "250"),
        ("carol-x@example.test", "550"),
        ("dave-x+y@example.test", "250"),
        ("dave+x@example.test", "550"),
        ("eve+x-y@example.test", "250"),
    ],
)
def test_plus_keys_of_validrcptto(home: Home, recipient: str, code: str) -> None:
    keys = ["carol@example.test", "carol+@example.test", "dave-@example.test", "eve+@example.test"]
    cdb(home.path / "control" / "validrcptto.cdb", dict.fromkeys(keys, ""))
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT TO:<{recipient}>").startswith(code)


@pytest.mark.parametrize(("day", "code"), [(TODAY + 1, "250"), (TODAY, "250"), (TODAY - 1, "550"), (0, "550")])
def test_an_address_ends_with_its_last_day(home: Home, day: int, code: str) -> None:
    table(home, "recipients", **{"shop7@example.test": words(f"until {day}")})
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        answer = smtp.command("RCPT TO:<shop7@example.test>")
        assert answer.startswith(code)
        cdb(home.path / "control" / "validrcptto.cdb", {"x": ""})
        if code == "550":
            assert answer == smtp.command("RCPT TO:<nobody@example.test>"), "as if it had never been there"
        assert smtp.command("RCPT TO:<Postmaster>").startswith("250 ")


@pytest.mark.parametrize("word", ["until", "until x", "until -1", "spam yes", "spam ", "quota x", "list none@x"])
def test_words_that_make_no_sense_are_temporary_trouble(home: Home, word: str) -> None:
    table(home, "recipients", **{"x@example.test": words(word)})
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<x@example.test>").startswith("250 " if word == "until" else "451 ")


def test_a_broken_table_of_recipients_is_temporary_trouble(home: Home) -> None:
    (home.path / "users" / "recipients.cdb").write_bytes(b"short")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<x@example.test>").startswith("451 ")


@pytest.mark.parametrize(
    ("kind", "code", "tables"),
    [
        ("known@example.test", "250", 2),
        ("unknown@example.test", "550", 1),
        ("caught@example.net", "250", 2),  # asked for by itself, then among all others
    ],
)
def test_a_recipient_costs_as_much_among_20_addresses_as_among_20000(
    home: Home, kind: str, code: str, tables: int
) -> None:
    """But for slots of eight bytes: a table of hashes is half full, so some may be in use before the right one."""
    asked, costs = 20, []
    for count in (20, 20000):
        addresses = {f"{number}known@example.test": words("spam 6") for number in reversed(range(count))}
        addresses["@example.net"] = words("spam 6")
        cdb(home.path / "control" / "validrcptto.cdb", dict.fromkeys(addresses, ""))
        table(home, "recipients", **addresses)
        log = home.path / f"counted-{count}"
        with Smtp(home, env=counted(log)) as smtp:
            smtp.envelope("a@b.test")
            for number in range(asked):
                assert smtp.command(f"RCPT TO:<{number}{kind}>").startswith(code)
            smtp.command("QUIT")
            assert smtp.ended() == 0
        costs.append(Counts.read(log, "end"))
    few, many = costs
    assert few.looks < 2 * asked, "one of them is at control/rcpthosts"
    more = many.reads - few.reads
    assert 0 <= more <= 6 * asked * tables
    assert many.bytes_read - few.bytes_read == 8 * more
    assert (many.looks, many.opens, many.names, many.writes) == (few.looks, few.opens, few.names, few.writes)


LISTS = {
    "open@example.test": words("anyone", "open"),
    "team@example.test": words("members", "team"),
    "all@example.test": words("users", "all"),
    "news@example.test": words("owner", "news"),
    "team@example.test\0ann@else.test": "",
    "news@example.test\0carol@example.test": "",
}


@pytest.mark.parametrize(
    ("sender", "name", "stranger", "user"),
    [
        ("x@else.test", "open", "250", "250"),
        ("", "open", "250", "250"),
        ("ann@else.test", "team", "250", "250"),
        ("ANN@Else.Test", "team", "250", "250"),
        ("x@else.test", "team", "550", "550"),
        ("", "team", "550", "550"),
        ("x@else.test", "all", "550", "250"),
        ("carol@example.test", "news", "250", "250"),
        ("ann@else.test", "news", "550", "550"),
    ],
)
def test_who_may_write_to_a_list(home: Home, checker: str, sender: str, name: str, stranger: str, user: str) -> None:
    cdb(home.path / "users" / "lists.cdb", LISTS)
    table(home, "recipients", **{f"{name}@example.test": words(f"list {name}@example.test")})
    with Smtp(home) as smtp:
        smtp.envelope(sender)
        answer = smtp.command(f"RCPT TO:<{name}@example.test>")
        assert answer.startswith(stranger)
        assert stranger == "250" or answer.endswith("(#5.7.2)")
    with log_in(home, checker) as smtp:
        smtp.envelope(sender)
        assert smtp.command(f"RCPT TO:<{name}@example.test>").startswith(user)


def full(home: Home, text: str, age: int = 0) -> None:
    (home.path / "users" / "full").mkdir(exist_ok=True)
    file = home.path / "users" / "full" / "200001"
    file.write_text(text)
    os.utime(file, (time.time() - age,) * 2)


@pytest.mark.parametrize(
    ("text", "age", "size", "code"),
    [
        ("0 1000 ok 0\n", 0, "", "250"),
        ("999 1000 95 95      \n", 0, "", "250"),
        ("1000 1000 95 95\n", 0, "", "452"),
        ("5000 1 ok 0\n", 0, "", "452"),
        ("5000 1000 full 95\n", 290, "", "452"),
        ("5000 1000 full 95\n", 310, "", "250"),
        ("900 1000 full 80        \n", 0, "", "452"),
        ("900 1000 full", 0, "", "452"),
        ("900 1000 fully 80\n", 0, "", "250"),
        ("900 1000 full 80\n", 0, " SIZE=100", "250"),
        ("900 1000 80 80\n", 0, " SIZE=100", "250"),
        ("900 1000 80 80\n", 0, " SIZE=101", "452"),
        ("0 1000 ok 0\n", 0, " SIZE=1001", "552"),
        ("5000 1000 full 95\n", 0, " SIZE=1001", "552"),
        ("", 0, "", "250"),
        ("5000", 0, "", "250"),
        ("5000 1000", 0, "", "250"),
        ("-5000 x y\n", 0, "", "250"),
        ("99999999999999999999999 1000 ok\n", 0, "", "250"),
        (" full full full", 0, "", "452"),
        ("9" * 300, 0, "", "250"),
    ],
)
def test_a_full_mailbox_is_told_at_once(home: Home, text: str, age: int, size: str, code: str) -> None:
    table(home, "recipients", **{"carol@example.test": words("quota 200001")})
    table(home, "quotas", **{"200001": "1000"})
    full(home, text, age)
    with Smtp(home) as smtp:
        assert smtp.command(f"MAIL FROM:<a@b.test>{size}").startswith("250 ")
        answer = smtp.command("RCPT TO:<carol@example.test>")
        assert answer.startswith(code)
        assert code == "250" or answer.endswith({"452": "(#4.2.2)", "552": "(#5.2.2)"}[code])
        table(home, "quotas", **{"1": "1"})
        assert smtp.command("RCPT TO:<carol@example.test>").startswith("250 "), "there is no limit any more"


def test_no_link_of_a_users_leads_elsewhere(home: Home) -> None:
    table(home, "recipients", **{"carol@example.test": words("quota 200001")})
    table(home, "quotas", **{"200001": "1000"})
    (home.path / "other").write_text("5000 1000 full 95\n")
    (home.path / "users" / "full").mkdir()
    (home.path / "users" / "full" / "200001").symlink_to(home.path / "other")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "carol@example.test")


@pytest.fixture
def thresholds(home: Home, recorder: Recorder) -> dict[str, str]:
    """Return the environment for a queueing program that writes down its threshold as well."""
    table(
        home,
        "recipients",
        **{
            "six@example.test": words("spam 6"),
            "also6@example.test": words("quota 200001", "spam 6"),
            "off@example.test": words("spam off"),
        },
    )
    program = home.path / "threshold"
    there = home.path / "thresholds"
    program.write_text(THRESHOLD.format(python=sys.executable, there=str(there), recorder=str(recorder.program)))
    program.chmod(0o755)
    return {"QMAILQUEUE": str(program)}


def test_a_message_has_one_threshold(home: Home, recorder: Recorder, thresholds: dict[str, str]) -> None:
    with Smtp(home, env=thresholds) as smtp:
        for first, others, refused in (
            ("six", ["also6"], ["off", "bob"]),
            ("off", [], ["six", "bob"]),
            ("bob", ["dave", "eve@example.net"], ["six", "off"]),
        ):
            smtp.envelope("a@b.test", f"{first}@example.test")
            for name in others:
                address = name if "@" in name else f"{name}@example.test"
                assert smtp.command(f"RCPT TO:<{address}>").startswith("250 ")
            for name in refused:
                answer = smtp.command(f"RCPT TO:<{name}@example.test>")
                assert answer.startswith("452 ")
                assert answer.endswith("(#4.5.3)")
            assert smtp.data(b".\r\n").startswith("250 ")
    assert (home.path / "thresholds").read_text().split() == ["6", "off", "none"]
    assert [len(queued.recipients) for queued in recorder.all()] == [2, 1, 3]


def test_the_doors_own_threshold_comes_back(home: Home, thresholds: dict[str, str]) -> None:
    with Smtp(home, env={**thresholds, "SPAMTHRESHOLD": "4"}) as smtp:
        for name in ("six", "bob", "off", "bob"):
            smtp.envelope("a@b.test", f"{name}@example.test")
            assert smtp.data(b".\r\n").startswith("250 ")
    assert (home.path / "thresholds").read_text().split() == ["6", "4", "off", "4"]


def test_a_mail_client_is_not_asked_for_a_second_copy(home: Home, thresholds: dict[str, str]) -> None:
    with Smtp(home, env={**thresholds, "RELAYCLIENT": ""}) as smtp:
        smtp.envelope("a@b.test", "six@example.test", "off@example.test", "x@else.test", "six@example.test")
        assert smtp.data(b".\r\n").startswith("250 ")
        smtp.envelope("a@b.test", "six@example.test", "also6@example.test")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert (home.path / "thresholds").read_text().split() == ["none", "6"]


def test_rset_forgets_the_threshold(home: Home, thresholds: dict[str, str]) -> None:
    with Smtp(home, env=thresholds) as smtp:
        smtp.envelope("a@b.test", "six@example.test")
        smtp.command("RSET")
        smtp.envelope("a@b.test", "off@example.test")
        smtp.command("EHLO x")
        smtp.envelope("a@b.test", "bob@example.test")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert (home.path / "thresholds").read_text().split() == ["none"]


# What was forwarded, and comes back -----------------------------------------------------------


BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def stamp(day: int = TODAY) -> str:
    return BASE32[day % 1024 // 32] + BASE32[day % 32]


def signed(text: str, kind: int = 0, key: str = KEY) -> str:
    """Return an address as another implementation of lib/srs.h makes it."""
    digest = hmac.new(key.encode(), f"{kind}{text.lower()}".encode(), hashlib.sha256).digest()
    return f"SRS{kind}={base64.b32encode(digest[:5]).decode()}={text}@srs.example.test"


@pytest.fixture
def keys(home: Home) -> None:
    home.control(srsdomain="srs.example.test", srskeyin=f"another key that is long enough, as it has to be\n{KEY}")
    cdb(home.path / "control" / "validrcptto.cdb", {"bob@example.test": ""})


@pytest.mark.parametrize(
    ("address", "original"),
    [
        (signed(f"{stamp()}=else.test=ann"), "ann@else.test"),
        (signed(f"{stamp()}=else.test=ann").lower(), "ann@else.test"),
        (signed(f"{stamp()}=else.test=Ann=x+y").replace("SRS0=", "SRS0+", 1), "Ann=x+y@else.test"),
        (signed(f"{stamp(TODAY - 21)}=else.test=ann"), "ann@else.test"),
        (signed("first.test==OPAQ=QQ=else.test=ann", 1), "SRS0=OPAQ=QQ=else.test=ann@first.test"),
        (signed(f"{stamp()}=example.test=bob"), "bob@example.test"),
    ],
)
@pytest.mark.parametrize("sender", ["", "postmaster@else.test"])
@pytest.mark.usefixtures("keys")
def test_a_bounce_finds_the_sender_of_what_was_forwarded(
    home: Home, recorder: Recorder, address: str, original: str, sender: str
) -> None:
    with Smtp(home) as smtp:
        smtp.envelope(sender, address)
        assert smtp.data(b".\r\n").startswith("250 ")
        kinds = [kind for kind, _ in lines(smtp)]
    assert kinds == ["returned", "accepted"]
    assert recorder.one().recipients == [original.encode()]


@pytest.mark.parametrize(
    "address",
    [
        signed(f"{stamp(TODAY - 22)}=else.test=ann"),
        signed(f"{stamp(TODAY + 2)}=else.test=ann"),
        signed(f"{stamp()}=else.test=ann", key="0" * 32),
        signed(f"{stamp()}=else.test=ann").replace("ann", "bob"),
        signed(f"{stamp()}=else.test=ann").replace("else", "e1se"),
        signed(f"{stamp()}=else.test=ann").replace("SRS0", "SRS1"),
        signed("else.test"),
        signed("no"),
        signed(""),
        signed("x", 1),
        "SRS0=@srs.example.test",
        "SRS0=AAAAAAAA=@srs.example.test",
        "srs1-x@SRS.example.test",
        signed(f"{stamp()}=example.test=nobody"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_forged_and_old_return_addresses_lead_nowhere(home: Home, address: str) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("")
        answer = smtp.command(f"RCPT TO:<{address}>")
        assert answer.startswith("550 ")
        assert answer.endswith("(#5.1.1)")


@pytest.mark.usefixtures("keys")
def test_return_addresses_of_another_domain_are_ordinary_ones(home: Home) -> None:
    address = signed(f"{stamp()}=else.test=ann").replace("@srs.example", "@example")
    with Smtp(home) as smtp:
        smtp.envelope("")
        assert smtp.command(f"RCPT TO:<{address}>").startswith("550 sorry, no mailbox")
        home.control(srsdomain=None)
        address = signed(f"{stamp()}=else.test=ann")
        assert smtp.command(f"RCPT TO:<{address}>").startswith("553 sorry, that domain")


@pytest.mark.parametrize("content", [None, "short", "#", b"a\0b"])
@pytest.mark.usefixtures("keys")
def test_without_a_good_key_nothing_is_decided(home: Home, content: str | bytes | None) -> None:
    home.control(srskeyin=content)
    with Smtp(home) as smtp:
        smtp.envelope("")
        assert smtp.command(f"RCPT TO:<{signed(f'{stamp()}=else.test=ann')}>").startswith("451 ")
