"""qmail-smtpd in the clear: each test states one fact of its manual page."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.dialogue import Smtp
from lab.queuelab import Queue
from lab.suite import Home, Recorder

BODY = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(autouse=True)
def site(home: Home, recorder: Recorder) -> None:
    """Receive mail for example.test."""
    home.control(rcpthosts="example.test")


def cdb(path: Path, *keys: str) -> None:
    """Write a constant database with empty values."""
    records = "".join(f"+{len(key)},0:{key}->\n" for key in keys) + "\n"
    subprocess.run(["cdb", "-c", path], input=records.encode(), check=True)


# Greeting and commands ------------------------------------------------------------------------


def test_greeting_is_smtpgreeting(home: Home) -> None:
    home.control(smtpgreeting="mx.example.test be welcome")
    with Smtp(home) as smtp:
        assert smtp.greeting == "220 mx.example.test be welcome ESMTP"


def test_greeting_defaults_to_me(home: Home) -> None:
    with Smtp(home) as smtp:
        assert smtp.greeting == "220 mail.example.test ESMTP"


def test_without_a_name_for_itself_it_refuses_to_run(home: Home) -> None:
    home.control(me=None)
    with Smtp(home, greeted=False) as smtp:
        assert smtp.reply() == ["421 unable to read controls (#4.3.0)"]
        assert smtp.ended() == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("databytes", "many"),
        ("smtperrors", ""),
        ("timeoutsmtpd", "-1"),
        ("rcpthosts", "a\0b"),
        ("serverciphers", "a\0b"),
    ],
)
def test_a_control_file_that_makes_no_sense_is_temporary_trouble(home: Home, name: str, content: str) -> None:
    home.control(**{name: content})
    with Smtp(home, greeted=False) as smtp:
        assert smtp.reply() == ["421 unable to read controls (#4.3.0)"]
        assert name in smtp.log()


def test_ehlo_offers_what_there_is_and_nothing_else(home: Home) -> None:
    home.control(databytes="1000")
    with Smtp(home) as smtp:
        assert smtp.extensions == ["PIPELINING", "8BITMIME", "SIZE 1000"]


def test_helo_gets_one_line(home: Home) -> None:
    with Smtp(home, greeted=False) as smtp:
        smtp.reply()
        smtp.send(b"HELO x\r\n")
        assert smtp.reply() == ["250 mail.example.test"]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("HELO", "501"),
        ("EHLO " + "x" * 255, "250"),
        ("EHLO " + "x" * 256, "501"),
        ("NOOP", "250"),
        ("noop", "250"),
        ("NOOP with words", "250"),
        ("RSET", "250"),
        ("VRFY bob", "252"),
        ("HELP", "214"),
        ("EXPN list", "502"),
        ("ETRN x", "502"),
        ("BDAT 5 LAST", "502"),
        ("", "502"),
        ("NOOPX", "502"),
        ("NO\0OP", "500"),
        ("MAIL FROM:<a\0b@b.test>", "501"),
        ("MAIL\0", "500"),
        ("NOOP \x7f", "501"),
        ("VRFY", "501"),
        ("EXPN", "502"),
        ("RSET x", "501"),
        ("QUIT now", "501"),
        ("DATA x", "501"),
        ("HELP me", "214"),
        ("DATA", "503"),
        ("RCPT TO:<bob@example.test>", "503"),
        ("STARTTLS", "502"),
        ("QUIT", "221"),
    ],
)
def test_commands_outside_a_transaction(home: Home, command: str, answer: str) -> None:
    with Smtp(home) as smtp:
        assert smtp.command(command).startswith(answer)


def test_mail_before_helo_is_out_of_order(home: Home) -> None:
    with Smtp(home, greeted=False) as smtp:
        smtp.reply()
        assert smtp.command("MAIL FROM:<a@b.test>").startswith("503 ")


def test_second_mail_is_out_of_order(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("MAIL FROM:<c@b.test>").startswith("503 ")


def test_data_without_recipients_is_out_of_order(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("DATA").startswith("503 RCPT first")


@pytest.mark.parametrize("command", ["RSET", "EHLO again", "HELO again"])
def test_rset_and_greetings_end_a_transaction(home: Home, command: str) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        assert smtp.command(command).startswith("250 ")
        assert smtp.command("DATA").startswith("503 MAIL first")


def test_a_session_carries_several_messages(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        assert smtp.message(b"one\r\n").startswith("250 ok ")
        assert smtp.message(b"two\r\n").startswith("250 ok ")
    assert [queued.message.split(b"\n")[2] for queued in recorder.all()] == [b"one", b"two"]


def test_pipelined_commands_are_answered_in_order(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        smtp.send(
            b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<x@else.test>\r\n"
            b"DATA\r\nhello\r\n.\r\nNOOP\r\nQUIT\r\n"
        )
        codes = [smtp.reply()[-1][:3] for _ in range(7)]
        assert codes == ["250", "250", "553", "354", "250", "250", "221"]
        assert smtp.ended() == 0
    assert recorder.one().recipients == [b"bob@example.test"]


# Addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("<bob@example.test>", b"bob@example.test"),
        ("<Bob@Example.TEST>", b"Bob@Example.TEST"),
        (" <bob@example.test>", b"bob@example.test"),
        ("bob@example.test", b"bob@example.test"),
        ("<@relay.test,@other.test:bob@example.test>", b"bob@example.test"),
        ('<"bob jones"@example.test>', b"bob jones@example.test"),
        ('<"b\\"ob"@example.test>', b'b"ob@example.test'),
        ("<b\\ob@example.test>", b"bob@example.test"),
        ("<postmaster>", b"postmaster"),
        ("<bob@[127.0.0.1]>", b"bob@mail.example.test"),
    ],
)
def test_addresses_are_queued_in_inner_form(home: Home, recorder: Recorder, path: str, inner: bytes) -> None:
    home.control(rcpthosts="example.test\nmail.example.test")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT TO:{path}") == "250 ok"
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [inner]


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "TO",
        "<bob@example.test>",
        "TO:",
        "TO:<>",
        "TO:<bob@example.test",
        "TO:<bob@example.test>x",
        "TO:<bob@>",
        "TO:<@example.test>",
        "TO:<b ob@example.test>",
        "TO:<bob@exam ple.test>",
        "TO:<bob@exa|mple.test>",
        'TO:<"bob@example.test>',
        'TO:<"bob@example.test">',
        'TO:<bob@"example.test">',
        "TO:<bob@example.test\\>",
        "TO:<@a.test bob@example.test>",
        "TO:<bob<x@example.test>",
        "FROM:<bob@example.test>",
    ],
)
def test_malformed_recipients_are_syntax_errors(home: Home, argument: str) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT {argument}").startswith("501 ")


def test_address_above_900_bytes_is_refused(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<" + "a" * (900 - 13) + "@example.test>") == "250 ok"
        assert smtp.command("RCPT TO:<" + "a" * (901 - 13) + "@example.test>").startswith("501 ")


@pytest.mark.parametrize("sender", ['<"">', "<#@[]>", "<list-@[]>", "", "<a@b.test", "<@b.test>"])
def test_senders_that_only_the_queue_may_use_are_syntax_errors(home: Home, sender: str) -> None:
    with Smtp(home) as smtp:
        assert smtp.command(f"MAIL FROM:{sender}").startswith("501 ")


@pytest.mark.parametrize("parameter", ["BODY=8BITMIME", "body=7bit", "SIZE=10", "AUTH=<>", "SIZE=10 BODY=7BIT"])
def test_parameters_of_offered_extensions_are_taken(home: Home, parameter: str) -> None:
    with Smtp(home) as smtp:
        assert smtp.command(f"MAIL FROM:<a@b.test> {parameter}") == "250 ok"


@pytest.mark.parametrize(
    "parameter",
    ["SIZE", "SIZE=", "SIZE=-1", "SIZE=x", "SIZE=1x", "SIZE=" + "9" * 21, "BODY", "BODY=", "AUTH=", "SIZE=1 SIZE=1",
     "SIZE=1 BODY=7BIT size=2", "BODY=7BIT BODY=8BITMIME", "AUTH=<> AUTH=<>", "SIZE=x SMTPUTF8"],
)  # fmt: skip
def test_malformed_or_repeated_parameters_are_syntax_errors(home: Home, parameter: str) -> None:
    with Smtp(home) as smtp:
        assert smtp.command(f"MAIL FROM:<a@b.test> {parameter}").startswith("501 ")
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("503 ")


@pytest.mark.parametrize("parameter", ["SMTPUTF8", "RET=FULL", "BODY=BINARYMIME", "SIZE=1 RET=FULL", "SIZES=1", "=1"])
def test_parameters_that_were_never_offered_are_refused(home: Home, parameter: str) -> None:
    with Smtp(home) as smtp:
        assert smtp.command(f"MAIL FROM:<a@b.test> {parameter}").startswith("555 ")


def test_recipients_take_no_parameters(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<bob@example.test> NOTIFY=NEVER").startswith("555 ")


# Whom mail is accepted for, and from ------------------------------------------------------------


def test_foreign_domain_is_refused(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        answer = smtp.command("RCPT TO:<x@else.test>")
        assert answer == "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"


def test_without_rcpthosts_nothing_is_relayed(home: Home) -> None:
    home.control(rcpthosts=None)
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("553 ")


@pytest.mark.parametrize(
    ("domain", "code"),
    [("a.example.org", "250"), ("A.B.Example.ORG", "250"), ("example.org", "553"), ("aexample.org", "553")],
)
def test_rcpthosts_wildcard_means_names_below(home: Home, domain: str, code: str) -> None:
    home.control(rcpthosts=".example.org")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT TO:<x@{domain}>").startswith(code)


@pytest.mark.parametrize(
    ("domain", "code"),
    [("more.test", "250"), ("MORE.test", "250"), ("a.wild.test", "250"), ("wild.test", "553"), ("else.test", "553")],
)
def test_morercpthosts_adds_domains(home: Home, domain: str, code: str) -> None:
    cdb(home.path / "control" / "morercpthosts.cdb", "more.test", ".wild.test")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT TO:<x@{domain}>").startswith(code)


def test_a_broken_morercpthosts_is_temporary_trouble(home: Home) -> None:
    (home.path / "control" / "morercpthosts.cdb").write_bytes(b"\xff" * 2048)
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<x@else.test>").startswith("451 ")


def test_relayclient_may_send_anywhere(home: Home, recorder: Recorder) -> None:
    with Smtp(home, env={"RELAYCLIENT": ""}) as smtp:
        smtp.envelope("a@b.test", "x@else.test")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"x@else.test"]


def test_value_of_relayclient_is_appended(home: Home, recorder: Recorder) -> None:
    with Smtp(home, env={"RELAYCLIENT": "@gateway.test"}) as smtp:
        smtp.envelope("a@b.test", "x@else.test", "bob@example.test")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"x@else.test@gateway.test", b"bob@example.test@gateway.test"]


@pytest.mark.parametrize("sender", ["bad@spam.test", "BAD@spam.TEST", "any@worse.test"])
def test_badmailfrom_refuses_each_recipient(home: Home, sender: str) -> None:
    home.control(badmailfrom="bad@spam.test\n@worse.test")
    with Smtp(home) as smtp:
        smtp.envelope(sender)
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("553 sorry, your envelope sender")


@pytest.mark.parametrize("sender", ["good@spam.test", "x@sub.worse.test", ""])
def test_badmailfrom_leaves_others_alone(home: Home, sender: str) -> None:
    home.control(badmailfrom="bad@spam.test\n@worse.test")
    with Smtp(home) as smtp:
        smtp.envelope(sender, "bob@example.test")


def test_localiphost_replaces_our_address(home: Home, recorder: Recorder) -> None:
    home.control(localiphost="example.test")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@[127.0.0.1]", "bob@[0.0.0.0]", "bob@[IPv6:::1]")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"bob@example.test"] * 3


def test_address_of_another_host_is_a_foreign_domain(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<bob@[198.51.100.7]>").startswith("553 ")


def test_null_sender_is_queued_as_such(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("", "bob@example.test")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().sender == b""


def test_nullsendersplit_asks_for_a_second_transaction(home: Home, recorder: Recorder) -> None:
    """RFC 5321 section 4.5.3.1.10: what gets 452 is to be sent in another transaction."""
    home.control(nullsendersplit="1")
    with Smtp(home) as smtp:
        for recipients in (["bob", "alice"], ["alice"]):
            smtp.envelope("", f"{recipients[0]}@example.test")
            for more in recipients[1:]:
                assert smtp.command(f"RCPT TO:<{more}@example.test>").startswith("452 ")
            assert smtp.data(b".\r\n").startswith("250 ")
    assert [queued.recipients for queued in recorder.all()] == [[b"bob@example.test"], [b"alice@example.test"]]


def test_null_sender_with_a_second_recipient_is_refused(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("", "bob@example.test")
        answer = smtp.command("RCPT TO:<alice@example.test>")
        assert answer.startswith("553 ")
        assert "(#5.7.1)" in answer


@pytest.mark.parametrize("local", ["a%b", "a!b", "a@b", '"a@else.test"', "else.test!a", "@a.test:x%y"])
def test_relay_probes_are_refused(home: Home, local: str) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT TO:<{local}@example.test>") == "553 we don't relay (#5.7.1)"


def test_relay_probes_are_fine_from_who_may_relay(home: Home) -> None:
    with Smtp(home, env={"RELAYCLIENT": ""}) as smtp:
        smtp.envelope("a@b.test", "a%b@example.test")


def test_relayprobes_switches_the_check_off(home: Home) -> None:
    home.control(relayprobes="1")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "a%b@example.test")
        assert smtp.command("RCPT TO:<a%b@else.test>").startswith("553 sorry")


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("bob@example.test", "250"),
        ("BOB@Example.test", "250"),
        ("eve@example.test", "550"),
        ("list-@example.test", "250"),
        ("list-any-thing@example.test", "250"),
        ("list@example.test", "550"),
        ("anybody@all.test", "250"),
        ("postmaster", "250"),
        ("carol", "250"),
        ("eve", "550"),
        ("x@else.test", "553"),
    ],
)
def test_validrcptto_knows_who_exists(home: Home, recipient: str, code: str) -> None:
    home.control(rcpthosts="example.test\nall.test")
    keys = ("bob@example.test", "list-@example.test", "@all.test", "carol@mail.example.test")
    cdb(home.path / "control" / "validrcptto.cdb", *keys)
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command(f"RCPT TO:<{recipient}>").startswith(code)


def test_validrcptto_does_not_judge_foreign_domains_of_relay_clients(home: Home) -> None:
    cdb(home.path / "control" / "validrcptto.cdb", "bob@example.test")
    with Smtp(home, env={"RELAYCLIENT": ""}) as smtp:
        smtp.envelope("a@b.test", "x@else.test")
        assert smtp.command("RCPT TO:<eve@example.test>").startswith("550 ")


def test_a_broken_validrcptto_is_temporary_trouble(home: Home) -> None:
    (home.path / "control" / "validrcptto.cdb").write_bytes(b"short")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test")
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("451 ")


# The message ------------------------------------------------------------------------------------


def test_message_is_stored_with_lf_and_without_stuffed_dots(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        assert smtp.message(b"a: b\r\n\r\n..\r\n..x\r\n.y\r\n \r\n").startswith("250 ")
    assert recorder.one().message.split(b"\n", 2)[2] == b"a: b\n\n.\n.x\ny\n \n"


def test_every_byte_but_cr_and_lf_is_kept(home: Home, recorder: Recorder) -> None:
    text = b"\r\n" + bytes(c for c in range(256) if c not in b"\r\n") + b"\r\n"
    with Smtp(home) as smtp:
        assert smtp.message(text).startswith("250 ")
    assert recorder.one().message.split(b"\n", 2)[2] == text.replace(b"\r\n", b"\n")


def test_large_message_arrives_whole(home: Home, recorder: Recorder) -> None:
    text = b"".join(b"%08d %s\r\n" % (i, b"x" * (i % 200)) for i in range(20000))
    with Smtp(home) as smtp:
        assert smtp.message(text).startswith("250 ")
    assert recorder.one().message.split(b"\n", 2)[2] == text.replace(b"\r\n", b"\n")


def test_reply_tells_time_and_queue_process(home: Home) -> None:
    with Smtp(home) as smtp:
        assert re.fullmatch(r"250 ok [0-9]{10,} qp [0-9]+", smtp.message())


def received(recorder: Recorder) -> str:
    """Give the Received field, its lines as they were folded."""
    return recorder.one().message.decode().partition("\nSubject:")[0]


def test_received_line_has_the_form_of_rfc_5321(home: Home, recorder: Recorder) -> None:
    with Smtp(home, env={"TCPREMOTEINFO": "joe"}) as smtp:
        smtp.ehlo("other.name")
        smtp.envelope("Ann@Example.org", "bob@example.test")
        smtp.data(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert re.fullmatch(
        r"Received: from other\.name \(client\.example\.org \[192\.0\.2\.1\]\)\n"
        r"  by mail\.example\.test with ESMTP \(ident joe\)"
        r" \(envelope-from <ann@example\.org>\); \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000",
        received(recorder),
    )


def test_received_line_of_a_null_sender_names_none(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("", "bob@example.test")
        smtp.data(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert re.search(r"\n  by mail\.example\.test with ESMTP; \d", received(recorder))


def test_received_line_has_an_address_of_version_6(home: Home, recorder: Recorder) -> None:
    with Smtp(home, env={"TCPREMOTEIP": "fe80::A%eth0"}) as smtp:
        smtp.ehlo("[IPv6:2001:db8::1]")
        smtp.message()
    assert received(recorder).startswith("Received: from [IPv6:2001:db8::1] (client.example.org [IPv6:fe80::A])\n")


def test_received_line_says_smtp_after_helo(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        smtp.command("HELO x")
        smtp.message()
    assert " with SMTP (envelope-from <" in received(recorder)


def test_received_line_can_not_be_forged_from_outside(home: Home, recorder: Recorder) -> None:
    with Smtp(home, env={"TCPREMOTEINFO": "a)\nX-Evil: (", "TCPREMOTEHOST": "h(o)st\r"}) as smtp:
        smtp.ehlo('x) by y; "<\\\t')
        smtp.message()
    lines = received(recorder).splitlines()
    assert lines[0] == "Received: from x??by?y????? (h?o?st? [192.0.2.1])"
    assert " with ESMTP (ident a??x-evil:??)" in lines[1]


@pytest.mark.parametrize(
    ("helo", "shown"),
    [
        ("[127.0.0.1]", "[127.0.0.1]"),
        ("x[127.0.0.1]", "x?127.0.0.1?"),
        ("[127.0.0.1][8.8.8.8]", "?127.0.0.1??8.8.8.8?"),
        ("[IPv6:::1", "?IPv6:::1"),
        ("[IPv6:1.2.3.4]", "?IPv6:1.2.3.4?"),
        ("[Exim]", "?Exim?"),
        ("[]", "??"),
        ("a@b/c=d", "a?b?c?d"),
        ("x.Envelope-From", "x.Envelope?From"),
        ("return-path:", "return?path:"),
        ("h" * 255, "h" * 255),
    ],
)
def test_received_line_keeps_a_word_of_the_client_a_word(home: Home, recorder: Recorder, helo: str, shown: str) -> None:
    with Smtp(home) as smtp:
        smtp.ehlo(helo)
        smtp.message()
    assert received(recorder).startswith(f"Received: from {shown} (client.example.org [192.0.2.1])\n")


def test_unknown_client_is_called_unknown(home: Home, recorder: Recorder) -> None:
    env = {"TCPREMOTEHOST": "", "TCPREMOTEIP": ""}
    with Smtp(home, env=env) as smtp:
        smtp.ehlo("[8.8.8.8]")
        smtp.message()
    assert received(recorder).startswith("Received: from ?8.8.8.8? (unknown unknown)\n")


@pytest.mark.parametrize(("hops", "code"), [(99, "250"), (100, "554")])
@pytest.mark.parametrize("field", ["Received", "DELIVERED-TO"])
def test_hundred_hops_are_a_loop(home: Home, recorder: Recorder, hops: int, code: str, field: str) -> None:
    with Smtp(home) as smtp:
        assert smtp.message(f"{field}: x\r\n".encode() * hops + b"\r\n").startswith(code)
    assert len(recorder.all()) == (1 if code == "250" else 0)


def test_hops_are_counted_in_the_header_only(home: Home) -> None:
    with Smtp(home) as smtp:
        assert smtp.message(b"a: b\r\n\r\n" + b"Received: x\r\n" * 200).startswith("250 ")


def test_only_whole_names_at_the_start_of_a_line_are_hops(home: Home) -> None:
    with Smtp(home) as smtp:
        text = b"X-Received: a\r\n Received: b\r\nReceived-SPF: c\r\n" * 50
        assert smtp.message(text).startswith("250 ")


def test_smtphops_moves_the_limit(home: Home) -> None:
    home.control(smtphops="2")
    with Smtp(home) as smtp:
        assert smtp.message(b"Received: a\r\nReceived: b\r\n").startswith("554 too many hops")


# Loops that can be foreseen ---------------------------------------------------------------------


@pytest.fixture
def aliases(home: Home) -> None:
    home.control(
        rcpthosts="example.test\nvirtual.test\nmail.example.test",
        locals="example.test\nmail.example.test",
        virtualdomains="virtual.test:emil",
        aliastargets="info:alice\nstaff@example.test:bob team x@else.test\nteam:carol@example.test\nself:self\n"
        "ring:gnir\ngnir:ring",
    )


@pytest.mark.parametrize(
    ("recipient", "delivered", "code"),
    [
        ("alice@example.test", "alice@example.test", "554"),
        ("alice@example.test", "ALICE@Example.TEST", "554"),
        ("Alice@example.test", "alice@example.test  ", "554"),
        ("alice@example.test", "alice@mail.example.test", "250"),
        ("alice@example.test", "bob@example.test", "250"),
        ("alice@example.test", "alice@else.test", "250"),
        ("alice@example.test", "x" * 900 + "@example.test", "250"),
        ("alice@example.test", "", "250"),
        ("info@example.test", "alice@mail.example.test", "554"),
        ("info@example.test", "info@example.test", "554"),
        ("info@example.test", "alice@example.test", "250"),
        ("staff@example.test", "bob@mail.example.test", "554"),
        ("staff@example.test", "carol@example.test", "554"),
        ("staff@example.test", "x@else.test", "250"),
        ("staff@mail.example.test", "bob@mail.example.test", "250"),
        ("any@virtual.test", "emil-any@virtual.test", "554"),
        ("any@virtual.test", "any@virtual.test", "250"),
        ("self@example.test", "alice@example.test", "250"),
        ("ring@example.test", "alice@example.test", "250"),
        ("postmaster", "postmaster@mail.example.test", "554"),
    ],
)
@pytest.mark.usefixtures("aliases")
def test_what_would_loop_is_refused_in_the_session(
    home: Home, recorder: Recorder, recipient: str, delivered: str, code: str
) -> None:
    text = f"Subject: x\r\ndelivered-TO:  {delivered}\r\nDelivered-To: other@else.test\r\n\r\nbody\r\n".encode()
    with Smtp(home) as smtp:
        smtp.envelope("forged@b.test", recipient)
        answer = smtp.data(text + b".\r\n")
        assert answer.startswith(code)
        assert smtp.command("NOOP") == "250 ok"
    assert (code == "554") == ("(#5.4.6)" in answer)
    assert len(recorder.all()) == (1 if code == "250" else 0)


@pytest.mark.usefixtures("aliases")
def test_one_recipient_that_would_loop_refuses_the_message(home: Home, recorder: Recorder) -> None:
    """One reply holds for all: taking it for the others would lose the one, or bounce it."""
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test", "info@example.test")
        assert smtp.data(b"Delivered-To: alice@mail.example.test\r\n\r\n.\r\n").startswith("554 ")
        smtp.envelope("a@b.test", "bob@example.test")
        assert smtp.data(b"Delivered-To: alice@mail.example.test\r\n\r\n.\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"bob@example.test"]


def test_a_delivered_to_in_the_body_is_text(home: Home) -> None:
    home.control(rcpthosts="mail.example.test")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@mail.example.test")
        assert smtp.data(b"a: b\r\n\r\nDelivered-To: bob@mail.example.test\r\n.\r\n").startswith("250 ")


def test_a_broken_aliastargets_is_temporary_trouble_and_only_where_it_matters(home: Home) -> None:
    home.control(aliastargets="a\0b")
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
        assert smtp.message(b"Delivered-To: x@y.test\r\n\r\n").startswith("451 unable to read controls")


def test_hostile_fields_cost_little(home: Home) -> None:
    """Every recipient leads everywhere, and the fields are as many and as long as they can be."""
    home.control(
        rcpthosts="mail.example.test",
        aliastargets="\n".join(f"a{n}:" + " ".join(f"a{m}" for m in range(20)) for n in range(20)),
    )
    fields = b"".join(b"Delivered-To: %d%s@x.test\r\n" % (n, b"y" * 880) for n in range(99))
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", *(f"a{n}@mail.example.test" for n in range(20)))
        began = time.monotonic()
        assert smtp.data(fields + b"\r\n.\r\n").startswith("250 ")
        assert time.monotonic() - began < 10


# Size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "code"), [(100, "250"), (101, "552")])
def test_databytes_limits_the_stored_message(home: Home, recorder: Recorder, size: int, code: str) -> None:
    home.control(databytes="100")
    with Smtp(home) as smtp:
        assert smtp.message(b"x" * (size - 1) + b"\r\n").startswith(code)
        assert smtp.command("NOOP") == "250 ok"
    assert len(recorder.all()) == (1 if code == "250" else 0)


def test_stuffed_dots_and_crs_do_not_count(home: Home) -> None:
    home.control(databytes="4")
    with Smtp(home) as smtp:
        assert smtp.message(b"..\r\n..\r\n").startswith("250 ")


def test_databytes_of_the_environment_goes_first(home: Home) -> None:
    home.control(databytes="10")
    with Smtp(home, env={"DATABYTES": "0"}) as smtp:
        assert "SIZE 0" in smtp.extensions
        assert smtp.message(b"x" * 100 + b"\r\n").startswith("250 ")


@pytest.mark.parametrize(("size", "code"), [("100", "250"), ("101", "552"), ("9" * 20, "552"), ("9" * 30, "501")])
def test_announced_size_is_refused_at_once(home: Home, size: str, code: str) -> None:
    home.control(databytes="100")
    with Smtp(home) as smtp:
        assert smtp.command(f"MAIL FROM:<a@b.test> SIZE={size}").startswith(code)


# What the queue says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "answer"),
    [
        (31, "", "554 mail server permanently rejected message (#5.3.0)"),
        (11, "", "554 envelope address too long"),
        (53, "", "451 "),
        (71, "", "451 "),
        (81, "", "451 "),
        (91, "", "451 "),
        (120, "", "451 "),
        (82, "Dthis is spam", "554 this is spam (#5.7.1)"),
        (82, "Zspamd is down", "451 spamd is down (#4.7.1)"),
        (82, "D550 refused by a policy (#5.7.1)", "550 refused by a policy (#5.7.1)"),
        (82, "D554 a\r\n250 b", "554 554 a (#5.7.1)"),
        (82, "D\x1b[1mno\r250 ok\x7f\xe9", "554 ?[1mno?250 ok??? (#5.7.1)"),
        (82, "D" + "x" * 5000, "554 " + "x" * 400 + " (#5.7.1)"),
        (82, "", "451 "),
    ],
)
def test_refusals_of_the_queue_are_passed_on(
    home: Home, recorder: Recorder, code: int, reason: str, answer: str
) -> None:
    recorder.answer(code, reason)
    with Smtp(home) as smtp:
        assert smtp.message().startswith(answer)
        assert smtp.command("NOOP") == "250 ok"


def test_a_queue_that_can_not_be_run_is_temporary_trouble(home: Home) -> None:
    with Smtp(home, env={"QMAILQUEUE": "/nowhere"}) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        assert smtp.command("DATA").startswith("451 ")
        assert smtp.command("NOOP") == "250 ok"


def test_a_list_without_filters_leaves_its_program_out_until_it_has_one(home: Home, recorder: Recorder) -> None:
    filters, queue = home.path / "filters", Queue(home)
    filters.write_text("# none yet\n\n")
    with Smtp(home, env={"FILTERS": str(filters)}) as smtp:
        assert smtp.message().startswith("250 ")
        assert (len(queue.numbers()), recorder.all()) == (1, [])
        filters.write_text("# none yet\n\n/usr/bin/filter\n")
        assert smtp.message().startswith("250 ")
        assert (len(queue.numbers()), len(recorder.all())) == (1, 1)
        filters.write_text("")
        assert smtp.message().startswith("250 ")
    assert (len(queue.numbers()), len(recorder.all())) == (2, 1)


@pytest.mark.parametrize(
    "what", ["absent", "writable", "a directory", "long", "a control character", "unnamed", "a FIFO"]
)
def test_a_list_that_says_less_than_that_there_is_none_leaves_nothing_out(
    home: Home, recorder: Recorder, what: str
) -> None:
    filters = home.path / "filters"
    if what == "a directory":
        filters.mkdir()
    elif what == "a FIFO":
        os.mkfifo(filters)
    elif what != "absent":
        filters.write_text({"long": "#" * 5000, "a control character": "# \r/usr/bin/filter\n"}.get(what, "# none\n"))
        filters.chmod(0o664 if what == "writable" else 0o644)
    with Smtp(home, env={"FILTERS": "" if what == "unnamed" else str(filters)}) as smtp:
        assert smtp.message().startswith("250 ")
    assert len(recorder.all()) == 1
    assert Queue(home).numbers() == []


def test_a_queue_that_ends_early_does_not_end_the_session(home: Home) -> None:
    with Smtp(home, env={"QMAILQUEUE": "/bin/false"}) as smtp:
        assert smtp.message(b"x" * 60000 + b"\r\n" + b"y" * 60000 + b"\r\n").startswith("451 ")
        assert smtp.command("NOOP") == "250 ok"


def test_lost_connection_queues_nothing(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        smtp.send(b"half a message\r\n")
        smtp.end_of_sending()
        assert smtp.rest() == b""
        assert smtp.ended() == 1
    assert recorder.all() == []


# Lines and smuggling ----------------------------------------------------------------------------

SECOND = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nsmuggled\r\n.\r\n"


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n.\r\r\n",
        b"\r\r\n.\r\n",
        b"\n\n.\r\n",
        b"\r\n.\rx\r\n",
        b"\r\n\0.\n",
    ],
)
def test_smuggled_ends_queue_nothing_and_end_the_session(home: Home, recorder: Recorder, end: bytes) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        smtp.send(b"Subject: x\r\n\r\nbody" + end + SECOND)
        answer = smtp.reply()[0]
        assert answer.startswith("554 bare ")
        assert smtp.rest() == b"421 that ends the session (#4.7.0)\r\n"
    assert recorder.all() == []


@pytest.mark.parametrize("end", [b"\r\n\0.\r\n", b"\r\n .\r\n", b"\r\n.\0\r\n", b"\r\n..\r\n", b"\r\n. \r\n"])
def test_near_ends_are_text(home: Home, recorder: Recorder, end: bytes) -> None:
    with Smtp(home) as smtp:
        assert smtp.message(b"x" + end + b"MAIL FROM:<evil@x.test>\r\n").startswith("250 ")
    assert recorder.one().message.endswith(b"\nMAIL FROM:<evil@x.test>\n")


def test_end_of_data_is_found_in_any_cut_of_the_stream(home: Home, recorder: Recorder) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        for byte in b"a\r\n..\r\nb\r\n.\r\n":
            smtp.send(bytes([byte]))
            time.sleep(0.002)
        assert smtp.reply()[0].startswith("250 ")
    assert recorder.one().message.split(b"\n", 2)[2] == b"a\n.\nb\n"


@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"\n", b"DATA\n", b"QUIT\n"])
def test_bare_lf_or_cr_in_a_command_is_said_and_the_session_goes_on(home: Home, line: bytes) -> None:
    with Smtp(home) as smtp:
        for _ in range(2):
            smtp.send(line)
            assert smtp.reply() == ["500 lines end in CRLF, and in nothing else (#5.5.2)"]
        assert smtp.command("NOOP") == "250 ok"
        assert smtp.message().startswith("250 ")


@pytest.mark.parametrize("line", [b"NOOP\n", b"RCPT TO:<alice@example.test>\n", b"NO\rOP\r\n", b"x" * 3000 + b"\n"])
def test_a_transaction_does_not_outlive_such_a_line(home: Home, recorder: Recorder, line: bytes) -> None:
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.send(line)
        assert smtp.reply()[0].startswith("500 ")
        assert smtp.command("DATA").startswith("503 MAIL first")
    assert recorder.all() == []


@pytest.mark.parametrize("padding", [b"", b"x" * 3000])
@pytest.mark.parametrize("injected", [b"MAIL FROM:<evil@x.test>", b"RSET", b"DATA", b"QUIT", b"NOOP\nNOOP"])
def test_what_stands_behind_a_bare_lf_is_no_command(home: Home, injected: bytes, padding: bytes) -> None:
    """Who could write an LF, but no CRLF, into another one's command must not get a command of his own."""
    with Smtp(home) as smtp:
        smtp.send(b"VRFY " + padding + b"a\n" + injected + b"\r\nNOOP\r\n")
        assert smtp.reply()[0].startswith("500 ")
        assert smtp.reply() == ["250 ok"]


@pytest.mark.parametrize("size", [1024, 4096, 8192, 16384, 32768])
def test_nor_is_what_stands_where_a_read_ends(home: Home, size: int) -> None:
    """The reader's buffer has an end, which a line that is long enough may be cut at."""
    line = b"VRFY a\n"
    with Smtp(home) as smtp:
        smtp.send(line + b"x" * (size - len(line)) + b"MAIL FROM:<evil@x.test>\r\nNOOP\r\n")
        assert smtp.reply()[0].startswith("500 ")
        assert smtp.reply() == ["250 ok"]


@pytest.mark.parametrize("begin", [b"VRFY a\n", b"VRFY a\nb", b"VRFY a\nRSET\r", b"x" * 3000 + b"\n"])
def test_nor_is_what_comes_a_moment_later(home: Home, begin: bytes) -> None:
    """A segment or a record of TLS may end anywhere in a line, too."""
    with Smtp(home) as smtp:
        smtp.command("EHLO x")
        smtp.send(begin)
        time.sleep(0.2)
        if not begin.endswith(b"\r"):
            smtp.send(b"MAIL FROM:<evil@x.test>\r")
            time.sleep(0.2)
        smtp.send(b"\nRSET\r\n")
        assert smtp.reply()[0].startswith("500 ")
        assert smtp.reply() == ["250 flushed"]
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("503 ")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [b"EHLO x", b"MAIL FROM:<a@b.test>", b"RCPT TO:<bob@example.test>", b"DATA", b"\r\n.", b"text"]
        ),
        min_size=4,
        max_size=12,
    ),
    st.lists(st.sampled_from([b"\n", b"\r\n", b"\r\r\n"]), min_size=12, max_size=12),
)
def test_no_message_goes_through_behind_a_line_with_a_bare_lf(
    home: Home, recorder: Recorder, lines: list[bytes], ends: list[bytes]
) -> None:
    """Of what is sent at one go, only transactions whose every line ends in CRLF lead to a message."""
    before = len(recorder.all())
    stream = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    with Smtp(home) as smtp:
        with contextlib.suppress(ConnectionError):
            smtp.send(stream)
            smtp.end_of_sending()
        smtp.rest()
        smtp.ended()
    proper = re.findall(rb"MAIL [^\r\n]*\r\n(?:[^\r\n]*\r\n)*?DATA\r\n(?:[^\r\n]*\r\n)*?\.\r\n", stream)
    assert len(recorder.all()) - before <= len(proper)


def test_who_sends_a_bare_lf_hears_the_verdict_after_a_long_message(home: Home, recorder: Recorder) -> None:
    """A fault that will not go away must not look like a lost connection, after which a sender tries again."""
    with Smtp(home, tcp=True) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        smtp.send(b"one\ntwo\r\n")
        for _ in range(8):
            smtp.send(b"x" * 70 + b"\r\n")
            time.sleep(0.5)
        smtp.send(b".\r\nQUIT\r\n")
        assert smtp.reply()[0].startswith("554 bare LF ")
        assert smtp.rest().startswith(b"421 ")
    assert recorder.all() == []


@pytest.mark.parametrize(
    ("control", "opening", "last"),
    [
        ({"smtpcommands": "1"}, b"NOOP\r\n", b"421 too many commands"),
        ({}, b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nx\ny\r\n", b"421 that ends"),
    ],
)
def test_last_words_arrive_however_much_is_still_under_way(
    home: Home, recorder: Recorder, control: dict[str, str], opening: bytes, last: bytes
) -> None:
    home.control(**control)
    with Smtp(home, tcp=True) as smtp:
        smtp.send(opening + b"more\r\n" * 30000)
        assert smtp.wait_for_log("ended: ")
        words = b""
        while got := smtp.socket.recv(4096):  # a connection that is reset, with what was unread, raises
            words += got
        assert words.splitlines()[-1].startswith(last), words
        smtp.end_of_sending()
        assert smtp.ended() == 1
    assert recorder.all() == []


def test_last_words_are_not_waited_with_for_ever(home: Home) -> None:
    home.control(smtpcommands="1")
    begun = time.monotonic()
    with Smtp(home, tcp=True) as smtp:
        smtp.send(b"NOOP\r\n")
        assert smtp.rest().startswith(b"421 ")
        assert smtp.ended(10) == 1  # though our end is still open
    assert time.monotonic() - begun < 8


# Limits -----------------------------------------------------------------------------------------


def test_long_command_line_is_said_and_the_session_goes_on(home: Home) -> None:
    home.control(smtpcommandlength="600")
    with Smtp(home) as smtp:
        assert smtp.command(b"NOOP " + b"x" * 595) == "250 ok"
        for length in (596, 1000, 500000):
            smtp.send(b"NOOP " + b"x" * length + b"\r\n")
            assert smtp.reply() == ["500 line too long (#5.5.2)"]
        assert smtp.command("NOOP") == "250 ok"


def test_endless_command_line_takes_no_memory(home: Home) -> None:
    with Smtp(home) as smtp:
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                smtp.send(b"x" * 100000)
        assert smtp.reply() == ["421 line too long (#4.5.2)"]
        assert smtp.rest() == b""


@pytest.mark.parametrize(("length", "code"), [(1000, "250"), (1001, "554")])
def test_smtplinelength_bounds_the_lines_of_a_message(home: Home, length: int, code: str) -> None:
    home.control(smtplinelength="1000")
    with Smtp(home) as smtp:
        assert smtp.message(b"x" * length + b"\r\n").startswith(code)
        assert smtp.command("NOOP") == "250 ok"


def test_smtprecipients_bounds_a_message(home: Home, recorder: Recorder) -> None:
    home.control(smtprecipients="2")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "x@example.test", "y@example.test")
        assert smtp.command("RCPT TO:<z@example.test>").startswith("452 ")
        assert smtp.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"x@example.test", b"y@example.test"]


def test_smtpcommands_bounds_a_session(home: Home) -> None:
    home.control(smtpcommands="3")
    with Smtp(home) as smtp:
        smtp.command("NOOP")
        smtp.command("NOOP")
        assert smtp.command("NOOP").startswith("421 ")
        assert smtp.ended() == 1


def test_smtperrors_bounds_a_session(home: Home) -> None:
    home.control(smtperrors="2")
    with Smtp(home) as smtp:
        assert smtp.command("WHAT").startswith("502 ")
        assert smtp.command("WHAT").startswith("502 ")
        assert smtp.command("WHAT").startswith("421 ")
        assert smtp.rest() == b""


def test_an_accepted_message_forgives_errors(home: Home) -> None:
    home.control(smtperrors="2")
    with Smtp(home) as smtp:
        for _ in range(3):
            smtp.command("WHAT")
            smtp.command("WHAT")
            assert smtp.message().startswith("250 ")


def test_timeoutsmtpd_ends_a_silent_session(home: Home) -> None:
    home.control(timeoutsmtpd="1")
    with Smtp(home) as smtp:
        assert smtp.reply()[0].startswith("421 timeout")
        assert smtp.ended() == 1


def test_timeoutsmtpd_holds_inside_data_too(home: Home, recorder: Recorder) -> None:
    home.control(timeoutsmtpd="1")
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        smtp.send(b"x")
        assert smtp.reply()[0].startswith("421 timeout")
        assert smtp.ended() == 1
    assert recorder.all() == []


def test_smtpsessiontime_ends_a_busy_session(home: Home) -> None:
    home.control(smtpsessiontime="2")
    began = time.monotonic()
    with Smtp(home) as smtp:
        answer = "250 ok"
        while answer == "250 ok" and time.monotonic() - began < 10:
            with contextlib.suppress(BrokenPipeError):  # the last words may be there already
                smtp.send(b"NOOP\r\n")
            answer = smtp.reply()[0]
            time.sleep(0.05)
        assert answer.startswith("421 ")
    assert 2 <= time.monotonic() - began < 2.5


@pytest.mark.parametrize("patience", [b"", b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"])
def test_smtpsessiontime_is_exact_for_a_silent_session(home: Home, patience: bytes) -> None:
    home.control(smtpsessiontime="1")
    for delay in (0.0, 0.35, 0.7):  # wherever in its second the clock stands
        time.sleep(delay)
        began = time.monotonic()
        with Smtp(home, greeted=False) as smtp:
            smtp.send(b"HELO x\r\n" + patience)
            assert smtp.rest().endswith(b"421 timeout (#4.4.2)\r\n")
        assert 1 <= time.monotonic() - began < 1.5


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.sampled_from(
                [
                    b"EHLO x\r\n",
                    b"MAIL FROM:<a@b.test>\r\n",
                    b"RCPT TO:<bob@example.test>\r\n",
                    b"DATA\r\n",
                    b"\r\n.\r\n",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_no_bytes_make_it_fail(home: Home, parts: list[bytes]) -> None:
    with Smtp(home) as smtp:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                smtp.send(part)
            smtp.end_of_sending()
        assert all(line[:3].isdigit() for line in smtp.rest().split(b"\r\n") if line)
        assert smtp.ended() in (0, 1)
        assert "Sanitizer" not in smtp.log()
        assert "runtime error" not in smtp.log()


# With the real queue ----------------------------------------------------------------------------


def test_a_message_in_the_real_queue_is_whole(home: Home) -> None:
    queue = Queue(home)
    with Smtp(home, env={"QMAILQUEUE": ""}) as smtp:
        smtp.envelope("a@b.test", "bob@example.test", "alice@example.test")
        assert smtp.data(b"Subject: x\r\n\r\n..dot\r\n.\r\n").startswith("250 ok ")
    (number,) = queue.numbers()
    by_queue, by_smtpd, _, text = queue.split("mess", number).read_bytes().split(b"\n", 3)
    assert by_queue.startswith(b"Received: (qmail ")
    assert by_smtpd.startswith(b"Received: from client.example.org (client.example.org [192.0.2.1])")
    assert text == b"Subject: x\n\n.dot\n"
    records = queue.flat("todo", number).read_bytes().split(b"\0")
    assert records[2:] == [b"Fa@b.test", b"Tbob@example.test", b"Talice@example.test", b""]


def test_a_broken_message_leaves_nothing_in_the_real_queue(home: Home) -> None:
    queue = Queue(home)
    with Smtp(home, env={"QMAILQUEUE": ""}) as smtp:
        smtp.envelope("a@b.test", "bob@example.test")
        smtp.command("DATA")
        smtp.send(b"x\n.\r\n")
        assert smtp.rest().startswith(b"554 ")
        smtp.ended()
    assert queue.files() == []


# The log ----------------------------------------------------------------------------------------


def test_refusals_are_logged_printable_and_with_the_address(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.command(b"MAIL FROM:<a\xff\xfe@b.test>")
        smtp.command("RCPT TO:<x@else.test>")
        (line,) = smtp.log().splitlines()
    refusal = r'refused: from <a\\xff\\xfe@b\.test> to <x@else\.test>: 553 "sorry, [^"]*"'
    assert re.fullmatch(rf"qmail-smtpd \d+ 192\.0\.2\.1: {refusal}", line)


def test_accepted_mail_is_logged(home: Home) -> None:
    with Smtp(home) as smtp:
        smtp.message()
        assert re.search(r"accepted: qp \d+ bytes \d+ from <a@client\.example\.org> recipients 1\n", smtp.log())
