"""qmail-remote at its real interface: arguments, a message on descriptor 0, reports on 1, real servers."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.remoteworld import MESSAGE, World, parse, routed
from lab.servers import (
    AAAA,
    CNAME,
    MX,
    NXDOMAIN,
    SERVFAIL,
    A,
    Dns,
    Session,
    Smtp,
    Zone,
    drip,
    drip_lines,
    lines,
    name_bytes,
    stall,
)
from lab.suite import BUILD, Home, fast_clock


@pytest.fixture
def world(home: Home) -> Iterator[World]:
    """Make a world without domains; the route for x.test is to be set by route()."""
    with Dns(Zone()) as dns:
        yield World(home, dns)


@pytest.fixture
def server() -> Iterator[Smtp]:
    """Make an SMTP server that accepts everything."""
    with Smtp({"EHLO": lines(b"250", b"scripted", b"SIZE 1000000", b"8BITMIME")}) as smtp:
        yield smtp


# --- The reports and the dialogue -----------------------------------------------------


def test_a_message_arrives_with_its_envelope(world: World, server: Smtp) -> None:
    report = routed(world, server).send("x.test", "one@x.test", "two@x.test")
    assert report.letters == "rrK"
    assert "Remote host said: 250 2.0.0 queued" in report.text
    assert server.messages == [b"Subject: test\r\n\r\nhello\r\n"]
    assert server.commands == [
        b"EHLO mail.example.test",
        b"MAIL FROM:<a@here.example.test> SIZE=24",
        b"RCPT TO:<one@x.test>",
        b"RCPT TO:<two@x.test>",
        b"DATA",
        b"QUIT",
    ]


@pytest.mark.parametrize("sender", ["", "#@[]"])
def test_a_bounce_has_the_null_path(world: World, server: Smtp, sender: str) -> None:
    assert routed(world, server).send("x.test", sender=sender).letters == "rK"
    assert server.commands[1].startswith(b"MAIL FROM:<> ")


def test_recipient_reports_keep_the_order_of_the_recipients(world: World, server: Smtp) -> None:
    server.script["RCPT"] = [b"550 5.1.1 no", b"451 4.2.0 later", b"250 ok", lines(b"550", b"no", b"really not")]
    report = routed(world, server).send("x.test", "a@x.test", "b@x.test", "c@x.test", "d@x.test")
    assert report.letters == "hsrhK"
    assert "does not like recipient.\nRemote host said: 550 5.1.1 no\n" in report.recipients[0]
    assert report.recipients[2] == "r"
    assert "Remote host said: 550-no\n550 really not\n" in report.recipients[3]


@pytest.mark.parametrize(
    ("replies", "letters"),
    [
        ([b"550 no", b"553 no"], "hhD"),
        ([b"550 no", b"450 later"], "hsZ"),
        ([b"450 later", b"452 later"], "ssZ"),
        ([b"250 ok", b"552 enough"], "rsK"),
        ([b"552 full", b"250 ok"], "hrK"),
        ([b"250 ok", b"421 closing"], "rZ"),
        ([b"354 what", b"250 ok"], "srK"),
        ([b"251 will forward", b"252 perhaps"], "rrK"),
    ],
)
def test_without_a_recipient_there_is_no_data(world: World, server: Smtp, replies: list[bytes], letters: str) -> None:
    server.script["RCPT"] = replies
    assert routed(world, server).send("x.test", "a@x.test", "b@x.test").letters == letters
    assert (b"DATA" in server.commands) == letters.endswith("K")


@pytest.mark.parametrize(
    ("step", "reply", "letters"),
    [
        ("greeting", b"554 go away", "D"),
        ("greeting", b"550 go away", "D"),
        ("greeting", b"421 busy", "Z"),
        ("greeting", b"451 busy", "Z"),
        ("greeting", b"250 hello?", "Z"),
        ("greeting", None, "Z"),
        ("greeting", b"SSH-2.0-OpenSSH", "Z"),
        ("EHLO", b"421 closing", "Z"),
        ("EHLO", b"451 busy", "Z"),
        ("EHLO", None, "Z"),
        ("MAIL", b"550 you not", "D"),
        ("MAIL", b"451 later", "Z"),
        ("MAIL", b"421 closing", "Z"),
        ("MAIL", b"354 what", "Z"),
        ("MAIL", None, "Z"),
        ("RCPT", None, "Z"),
        ("DATA", b"554 no", "rD"),
        ("DATA", b"451 later", "rZ"),
        ("DATA", b"421 closing", "rZ"),
        ("DATA", b"250 strange", "rZ"),
        ("DATA", None, "rZ"),
        ("message", b"554 spam", "rD"),
        ("message", b"451 later", "rZ"),
        ("message", b"421 closing", "rZ"),
        ("message", b"354 more", "rZ"),
        ("message", None, "rZ"),
        ("QUIT", None, "rK"),
        ("QUIT", b"421 closing", "rK"),
        ("QUIT", b"nonsense", "rK"),
    ],
)
def test_each_refusal_has_its_letter(world: World, server: Smtp, step: str, reply: bytes | None, letters: str) -> None:
    server.script[step] = reply
    report = routed(world, server).send("x.test")
    assert report.letters == letters
    if reply and letters[-1] == "D":
        assert f"Remote host said: {reply.decode()}\n" in report.text


def test_a_server_without_ehlo_gets_helo(world: World, server: Smtp) -> None:
    server.script["EHLO"] = b"502 unknown"
    assert routed(world, server).send("x.test", message=b"\xe4\n").letters == "rK"
    assert server.commands[:3] == [
        b"EHLO mail.example.test",
        b"HELO mail.example.test",
        b"MAIL FROM:<a@here.example.test>",
    ]


@pytest.mark.parametrize(("reply", "letter"), [(b"550 no", "D"), (b"450 later", "Z")])
def test_a_refused_helo_has_its_letter(world: World, server: Smtp, reply: bytes, letter: str) -> None:
    server.script.update(EHLO=b"500 what", HELO=reply)
    assert routed(world, server).send("x.test").letters == letter


def test_a_message_lost_after_the_dot_may_arrive_twice(world: World, server: Smtp) -> None:
    server.script["message"] = None
    assert "may arrive twice" in routed(world, server).send("x.test").text


def test_a_refusal_in_the_middle_of_the_message_is_heard(world: World, server: Smtp) -> None:
    def refuse(session: Session) -> None:
        session.send(b"354 go\r\n552 5.3.4 too big\r\n")
        session.connection.recv(1000)
        session.connection.shutdown(socket.SHUT_WR)
        session.close()
        time.sleep(0.2)

    server.script["EHLO"] = b"250 hello"
    server.script["DATA"] = refuse
    report = routed(world, server).send("x.test", message=b"x" * 70 + b"\n" * 4_000_000)
    assert report.letters in ("rD", "rZ")
    assert report.letter == "D" or "within the message" in report.text


# --- Replies -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        lines(b"250", *[b"x"] * 129),
        b"250 " + b"x" * 3000,
        lines(b"250", *[b"y" * 1500] * 20),
        b"250-first\r\n550 second",
        b"25 short",
        b"2x0 odd",
        b"250_odd",
        b"150 preliminary",
        b"650 beyond",
        b"",
        b"\0\0\0\0",
    ],
)
def test_a_malformed_or_endless_reply_is_a_temporary_failure(world: World, server: Smtp, reply: bytes) -> None:
    server.script["MAIL"] = reply
    report = routed(world, server).send("x.test")
    assert report.letters == "Z"
    assert "no SMTP reply. (#4.5.0)" in report.text


@pytest.mark.parametrize("reply", [lines(b"250", *[b"x"] * 128), b"250", b"250 ", b"250-a\n250 b", b"299 new"])
def test_unusual_replies_that_are_replies(world: World, server: Smtp, reply: bytes) -> None:
    server.script["RCPT"] = reply
    assert routed(world, server).send("x.test").letters == "rK"


def test_a_reply_can_not_forge_a_report(world: World, server: Smtp) -> None:
    server.script["message"] = b"554 no\0K accepted\x1b[2J\xff"
    report = routed(world, server).send("x.test")
    assert report.letters == "rD"
    assert "554 no?K accepted?[2J?\n" in report.text


# --- Extensions ---------------------------------------------------------------------


def test_a_message_above_the_servers_limit_is_not_sent(world: World, server: Smtp) -> None:
    server.script["EHLO"] = lines(b"250", b"hello", b"SIZE 23")
    report = routed(world, server).send("x.test")
    assert report.letters == "D"
    assert "up to 23 bytes; this one has 24. (#5.3.4)" in report.text
    assert server.commands == [b"EHLO mail.example.test", b"QUIT"]


@pytest.mark.parametrize("size", [b"SIZE", b"SIZE 0", b"SIZE junk", b"size 24", b"SIZE 99999999999999999999999"])
def test_a_size_without_a_limit_is_none(world: World, server: Smtp, size: bytes) -> None:
    server.script["EHLO"] = lines(b"250", b"hello", size)
    assert routed(world, server).send("x.test").letters == "rK"
    assert server.commands[1].endswith(b" SIZE=24")


@pytest.mark.parametrize(
    ("offer", "message", "parameter"),
    [
        (b"8BITMIME", b"plain\n", b""),
        (b"8BITMIME", b"\xe4\n", b" BODY=8BITMIME"),
        (b"8bitmime", b"\xe4\n", b" BODY=8BITMIME"),
        (b"OTHER", b"\xe4\n", b""),
    ],
)
def test_8bitmime_is_declared_where_it_is_needed_and_known(
    world: World, server: Smtp, offer: bytes, message: bytes, parameter: bytes
) -> None:
    server.script["EHLO"] = lines(b"250", b"hello", offer)
    assert routed(world, server).send("x.test", message=message).letters == "rK"
    assert server.commands[1] == b"MAIL FROM:<a@here.example.test>" + parameter


def test_the_first_line_of_ehlo_offers_nothing(world: World, server: Smtp) -> None:
    server.script["EHLO"] = lines(b"250", b"SIZE 1")
    assert routed(world, server).send("x.test").letters == "rK"


def test_a_message_from_a_pipe_is_sent_without_a_size(world: World, server: Smtp) -> None:
    report = routed(world, server).run("x.test", "a@b", ("u@x.test",), MESSAGE)
    assert report.letters == "rK"
    assert server.commands[1] == b"MAIL FROM:<a@b> BODY=8BITMIME"
    assert server.messages == [b"Subject: test\r\n\r\nhello\r\n"]


# --- Addresses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (b"a.b+c@x.test", b"<a.b+c@x.test>"),
        (b"a b@x.test", b'<"a b"@x.test>'),
        (b'a"b\\c@x.test', b'<"a\\"b\\\\c"@x.test>'),
        (b"<x>@x.test", b'<"<x>"@x.test>'),
        (b"a@b@x.test", b'<"a@b"@x.test>'),
        (b".a.@x.test", b'<".a."@x.test>'),
        (b"u@[203.0.113.1]", b"<u@[203.0.113.1]>"),
        (b"u", b"<u>"),
    ],
)
def test_addresses_are_quoted(world: World, server: Smtp, address: bytes, said: bytes) -> None:
    assert routed(world, server).send("x.test", address, sender=address).letters == "rK"
    assert server.commands[1].startswith(b"MAIL FROM:" + said + b" ")
    assert server.commands[2] == b"RCPT TO:" + said


@pytest.mark.parametrize(
    "address",
    [
        b"a\r\nRCPT TO:<evil@x.test>@x.test",
        b"a\nb@x.test",
        b"a\rb@x.test",
        b"a\x7f@x.test",
        b"u@x.test> NOTIFY=NEVER <",
        b"u@x.test\r\nDATA",
        b"u@",
        b"@x.test",
        b"u" * 1000 + b"@x.test",
    ],
)
def test_an_address_that_can_not_be_said_is_never_sent(world: World, server: Smtp, address: bytes) -> None:
    routed(world, server)
    report = world.send("x.test", address, "good@x.test")
    assert report.letters == "hrK"
    assert "(#5.1.3)" in report.recipients[0]
    report = world.send("x.test", sender=address)
    assert report.letters == "D"
    assert "(#5.1.7)" in report.text
    commands = [command for command in server.commands if command.startswith((b"RCPT", b"MAIL"))]
    assert commands == [b"MAIL FROM:<a@here.example.test> SIZE=24", b"RCPT TO:<good@x.test>"]


def test_an_empty_recipient_is_refused(world: World, server: Smtp) -> None:
    assert routed(world, server).send("x.test", "").letters == "hD"


def test_an_international_address_needs_smtputf8(world: World, server: Smtp) -> None:
    routed(world, server)
    assert world.send("x.test", "jörg@x.test".encode()).letters == "hD"
    assert world.send("x.test", sender="jörg@x.test".encode()).letters == "D"
    server.script["EHLO"] = lines(b"250", b"hello", b"SMTPUTF8")
    assert world.send("x.test", "jörg@x.test".encode()).letters == "rK"
    assert b"MAIL FROM:<a@here.example.test> SMTPUTF8" in server.commands
    assert "RCPT TO:<jörg@x.test>".encode() in server.commands


# --- The data -----------------------------------------------------------------------


def expected_data(message: bytes) -> bytes:
    """Encode a message as qmail-remote(8) says, another way: without the protocol's dots."""
    content = message.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\0", b" ")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    out = []
    for line in content.split(b"\n")[:-1]:
        first, rest = line[:998], line[998:]
        out.append(first)
        while rest:
            out.append(b" " + rest[:997])
            rest = rest[997:]
    return b"".join(line + b"\r\n" for line in out)


def unstuffed(data: bytes) -> bytes:
    """Undo dot-stuffing, after checking that CR and LF stand only together."""
    assert data.replace(b"\r\n", b"").count(b"\r") == data.replace(b"\r\n", b"").count(b"\n") == 0
    assert b"\0" not in data
    out = []
    for line in data.split(b"\r\n"):
        assert line != b"."
        assert len(line) <= 999
        out.append(line[1:] if line.startswith(b".") else line)
    return b"\r\n".join(out)


PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b".",
        b"..",
        b"\0",
        b" ",
        b"a",
        b"MAIL FROM:<>",
        b"\xe4",
        b"x" * 997,
        b"y" * 998,
        b"z" * 999,
        b"w" * 5000,
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=12))
def test_the_data_follow_the_documented_rule(world: World, pieces: list[bytes]) -> None:
    message = b"".join(pieces)
    with Smtp({"EHLO": lines(b"250", b"hello", b"SIZE")}) as server:
        assert routed(world, server).send("x.test", message=message).letters == "rK"
        assert [unstuffed(data) for data in server.messages] == [expected_data(message)]
        size = len(expected_data(message))
        stuffed = len(server.messages[0])
        declared = int(server.commands[1].split(b"SIZE=")[1].split()[0])
        assert size <= declared <= stuffed


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\n\n", b"\r\r\n", b"\n\r", b"\n\0", b"\0\n"])
@pytest.mark.parametrize("dot", [b".", b"..", b"\0.", b".\0"])
@pytest.mark.parametrize("after", [b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r\n", b"\0\n"])
def test_no_bytes_make_two_messages(world: World, end: bytes, dot: bytes, after: bytes) -> None:
    inner = b"MAIL FROM:<evil@x.test>" + after + b"RCPT TO:<victim@x.test>" + after + b"DATA" + after
    message = b"Subject: a\n\na" + end + dot + after + inner + b"Subject: b\n\nb\n"
    with Smtp() as server:
        assert routed(world, server).send("x.test", message=message).letters == "rK"
        assert len(server.messages) == 1
        assert unstuffed(server.messages[0]) == expected_data(message)
        assert not any(b"evil" in command for command in server.commands)


def test_pieces_that_meet_at_a_buffers_edge(world: World, server: Smtp) -> None:
    routed(world, server)
    for at in range(16380, 16388):
        message = b"a" * 60 + b"\n"
        message = message * 270
        message = message[: at - 1] + b"\n.\r\n.\n\r.\n"
        server.sessions.clear()
        assert world.send("x.test", message=message).letters == "rK"
        assert unstuffed(server.messages[0]) == expected_data(message)


def test_a_big_message_arrives_whole(world: World, server: Smtp) -> None:
    generator = random.Random(1)  # noqa: S311 - bytes for a test
    message = b"".join(generator.randbytes(70).replace(b"\n", b".") + b"\n" for _ in range(60_000))
    server.script["EHLO"] = b"250 hello"
    assert routed(world, server).send("x.test", message=message).letters == "rK"
    assert unstuffed(server.messages[0]) == expected_data(message)


def test_an_unreadable_message_is_never_completed(world: World, server: Smtp) -> None:
    directory = world.home.path / "directory"
    directory.mkdir()
    report = routed(world, server).run("x.test", "a@b", ("u@x.test",), b"", 60)
    assert report.letters == "rK"
    server.sessions.clear()
    fd = os.open(directory, os.O_RDONLY)
    done = world.home.run(
        "qmail-remote",
        "x.test",
        "a@b",
        "u@x.test",
        fds={0: fd},
        env={
            "QMAIL_TEST_RESOLVER": f"127.0.0.1:{world.dns.port}",
        },
    )
    os.close(fd)
    report = parse(done.stdout)
    assert report.letter == "Z"
    assert "(#4.3.0)" in report.text
    assert server.messages == []


def test_a_message_that_ends_in_an_error_is_never_completed(world: World, server: Smtp) -> None:
    # A connection that is reset while it is read stands for a disk that fails.
    routed(world, server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.sendall(b"Subject: half\n\n" + b"x" * 100_000)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    timer = threading.Timer(0.5, theirs.close)
    timer.start()
    with ours:
        done = world.home.run("qmail-remote", "x.test", "a@b", "u@x.test", fds={0: ours.fileno()})
    report = parse(done.stdout)
    assert report.letters == "rZ"
    assert "could not be read from the queue" in report.text
    server.stop()
    assert server.messages == []
    assert b"QUIT" not in server.sessions[0].unfinished


# --- Routes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("routes", "host", "matches"),
    [
        ("x.test:{relay}", "x.test", True),
        ("x.test:{relay}", "X.TeSt", True),
        ("x.test:{relay}", "a.x.test", False),
        (".x.test:{relay}", "a.x.test", True),
        (".x.test:{relay}", "a.b.x.test", True),
        (".x.test:{relay}", "x.test", False),
        (":{relay}", "any.test", True),
        (":{relay}", "[203.0.113.77]", True),
        ("x.test:\n:{relay}", "x.test", False),
        ("a.x.test:\n.x.test:{relay}", "b.x.test", True),
        ("a.x.test:\n.x.test:{relay}", "a.x.test", False),
        (".test:\n.x.test:{relay}", "a.x.test", True),
        ("# x.test:[1:\nx.test:{relay}", "x.test", True),
        ("x.test:{relay}\nx.test:[203.0.113.9]", "x.test", True),
        ("x.test", "x.test", False),
    ],
)
def test_routes(world: World, server: Smtp, routes: str, host: str, matches: bool) -> None:
    world.where[server.host] = f"{server.host}:{server.port}"
    world.home.control(smtproutes=routes.format(relay=server.address))
    assert (world.send(host, "u@x").letters == "rK") == matches


@pytest.mark.parametrize(
    "relay",
    [
        "127.0.0.1:{port}",
        "[127.0.0.1]:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "[IPv6:::ffff:127.0.0.1]:{port}",
    ],
)
def test_forms_of_a_relays_address(home: Home, server: Smtp, relay: str) -> None:
    home.control(smtproutes="x.test:" + relay.format(port=server.port))
    done = home.run("qmail-remote", "x.test", "a@b", "u@x.test", stdin=MESSAGE)
    assert parse(done.stdout).letters == "rK"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_ipv6_relay(home: Home) -> None:
    try:
        server = Smtp(host="::1")
    except OSError:
        pytest.skip("no ::1 here")
    with server:
        home.control(smtproutes=f"x.test:[::1]:{server.port}")
        assert parse(home.run("qmail-remote", "x.test", "a@b", "u@x.test", stdin=MESSAGE).stdout).letters == "rK"


def test_a_relays_name_is_looked_up_without_its_mx(world: World, server: Smtp) -> None:
    world.zone.address("relay.test", "203.0.113.1")
    world.zone.mx("relay.test", (1, "nowhere.test"))
    world.at("203.0.113.1", server)
    world.home.control(smtproutes=f"x.test:relay.test:{server.port}")
    assert world.send("x.test").letters == "rK"


@pytest.mark.parametrize(
    ("name", "code", "letter", "status"),
    [
        ("none.test", NXDOMAIN, "Z", "control/smtproutes: the relay none.test has no address in the DNS. (#4.4.3)"),
        ("empty.test", 0, "Z", "control/smtproutes: the relay empty.test has no address in the DNS. (#4.4.3)"),
        ("x" * 300, 0, "Z", "control/smtproutes: the relay xxx"),
        ("bad.test", SERVFAIL, "Z", "DNS gave no answer about bad.test"),
    ],
)
def test_a_relay_without_address(world: World, name: str, code: int, letter: str, status: str) -> None:
    world.zone.codes[name] = code
    world.home.control(smtproutes=f":{name}")
    report = world.send("x.test")
    assert report.letters == letter
    assert status in report.text


@pytest.mark.parametrize("relay", ["[1:25", "host:0", "host:65536", "host:x", "host:25:26", "[x]:25", "[]", "h:"])
def test_a_route_that_can_not_be_understood_is_temporary_and_named(world: World, relay: str) -> None:
    world.home.control(smtproutes="x.test:" + relay)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert f'control/smtproutes: "{relay}"' in report.text


# --- MX -----------------------------------------------------------------------------


def test_the_best_exchanger_is_used(world: World) -> None:
    with Smtp() as best, Smtp() as other:
        world.mx("x.test", (20, "b.test", "203.0.113.2", other), (10, "a.test", "203.0.113.1", best))
        assert world.send("x.test").letters == "rK"
        assert (len(best.messages), len(other.messages)) == (1, 0)


@pytest.mark.parametrize(
    "script",
    [
        {"greeting": b"421 busy"},
        {"greeting": b"450 busy"},
        {"greeting": None},
        {"greeting": b"what?"},
        {"EHLO": b"451 busy"},
        {"EHLO": None},
        {"greeting": b"554 no"},
        {"EHLO": b"550 no", "HELO": b"550 no"},
    ],
)
def test_the_next_exchanger_is_tried_when_the_first_has_no_time(
    world: World, server: Smtp, script: dict[str, bytes | None]
) -> None:
    with Smtp(script) as busy:
        world.mx("x.test", (1, "a.test", "203.0.113.1", busy), (2, "b.test", "203.0.113.2", server))
        assert world.send("x.test").letters == "rK"
        assert len(busy.sessions) == len(server.messages) == 1


@pytest.mark.parametrize(
    ("script", "final", "letter"),
    [
        ({"greeting": b"554 no"}, "1", "D"),
        ({"EHLO": b"550 no", "HELO": b"550 no"}, "1", "D"),
        ({"MAIL": b"451 x"}, None, "Z"),
        ({"MAIL": b"550 x"}, None, "D"),
    ],
)
def test_no_other_exchanger_is_asked_after_an_answer_that_counts(
    world: World, server: Smtp, script: dict[str, bytes], final: str | None, letter: str
) -> None:
    world.home.control(greetingfinal=final)
    with Smtp(script) as first:
        world.mx("x.test", (1, "a.test", "203.0.113.1", first), (2, "b.test", "203.0.113.2", server))
        assert world.send("x.test").letter == letter
        assert server.sessions == []


@pytest.mark.parametrize(
    ("first", "second", "letter"),
    [(b"554 no", b"554 no", "D"), (b"554 no", b"421 x", "Z"), (b"421 x", b"554 no", "Z"), (b"554 no", None, "Z")],
)
def test_a_refusal_at_the_door_counts_where_it_came_at_every_door(
    world: World, first: bytes, second: bytes | None, letter: str
) -> None:
    with Smtp({"greeting": first}) as one, Smtp({"greeting": second}) as two:
        place = two if second else None  # None: nobody listens there
        world.mx("x.test", (1, "a.test", "203.0.113.1", one), (2, "b.test", "203.0.113.2", place))
        report = world.send("x.test")
        assert report.letters == letter
        assert len(one.sessions) == 1
        if second is None:
            assert "554 no" in report.text
            assert "could not be asked" in report.text


def test_a_closed_port_leads_to_the_next_exchanger(world: World, server: Smtp) -> None:
    world.mx("x.test", (1, "a.test", "203.0.113.1", None), (2, "b.test", "203.0.113.2", server))
    assert world.send("x.test").letters == "rK"


def test_nobody_answers(world: World) -> None:
    world.mx("x.test", (1, "a.test", "203.0.113.1", None))
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "wasn't able to establish an SMTP connection. (#4.4.1)\n203.0.113.1 port 25 was tried last" in report.text


def test_why_nobody_answers_is_told(world: World) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        world.home.control(smtproutes=f"x.test:[127.0.0.1]:{closed.getsockname()[1]}")
        report = world.send("x.test")
    assert report.letters == "Z"
    assert report.text.endswith(" was tried last: Connection refused.\n")


def test_the_last_busy_server_is_quoted(world: World) -> None:
    with Smtp({"greeting": b"421 go to bed"}) as busy:
        world.mx("x.test", (1, "a.test", "203.0.113.1", busy), (2, "b.test", "203.0.113.2", None))
        report = world.send("x.test")
        assert report.letters == "Z"
        assert "203.0.113.1 greets with a refusal.\nRemote host said: 421 go to bed\n" in report.text


def test_equals_are_tried_in_random_order(world: World) -> None:
    with Smtp() as one, Smtp() as two:
        world.mx("x.test", (5, "a.test", "203.0.113.1", one), (5, "b.test", "203.0.113.2", two))
        for _ in range(40):
            world.send("x.test")
            if one.sessions and two.sessions:
                return
    pytest.fail("always the same of two equals")


def test_the_host_itself_without_mx(world: World, server: Smtp) -> None:
    world.zone.address("x.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    assert world.send("x.test").letters == "rK"


def test_ipv6_comes_before_ipv4_and_falls_back(world: World, server: Smtp) -> None:
    with Smtp({"greeting": b"450 not today"}) as six:
        world.zone.address("x.test", "203.0.113.1", "2001:db8::1")
        world.at("203.0.113.1", server)
        world.at("2001:db8::1", six)
        assert world.send("x.test").letters == "rK"
        assert len(six.sessions) == len(server.sessions) == 1


def test_no_mx_is_used_where_the_exchangers_have_no_address(world: World, server: Smtp) -> None:
    world.zone.mx("x.test", (1, "nowhere.test"))
    world.zone.address("x.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    report = world.send("x.test")
    assert report.letters == "D"
    assert "mail exchanger or IP address for x.test. (#5.4.4)" in report.text


def test_null_mx(world: World, server: Smtp) -> None:
    world.zone.mx("x.test", (0, ""))
    world.zone.address("x.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    report = world.send("x.test")
    assert report.letters == "D"
    assert "accepts no mail (null MX). (#5.1.10)" in report.text


def test_a_null_mx_beside_others_does_not_count(world: World, server: Smtp) -> None:
    world.mx("x.test", (5, "a.test", "203.0.113.1", server))
    world.zone.mx("x.test", (0, ""))
    assert world.send("x.test").letters == "rK"


@pytest.mark.parametrize(
    "host", ["nosuch.test", "", "a..b", "x" * 64 + ".test", "y." * 200 + "test", "[203.0.113.1", "[x]"]
)
def test_a_host_that_does_not_exist(world: World, host: str) -> None:
    report = world.send(host, "u@x.test")
    assert report.letters == "D"
    assert "couldn't find any host named" in report.text
    assert "(#5.1.2)" in report.text


def test_a_host_without_any_address(world: World) -> None:
    world.zone.records["x.test"] = []
    report = world.send("x.test")
    assert report.letters == "D"
    assert "(#5.4.4)" in report.text


@pytest.mark.parametrize("what", ["x.test", "x.test/15"])
def test_a_resolvers_failure_is_temporary(world: World, what: str) -> None:
    world.zone.address("x.test", "203.0.113.1")
    world.zone.codes[what] = SERVFAIL
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "(#4.4.3)" in report.text


def test_a_silent_resolver_is_temporary(world: World) -> None:
    world.zone.silent.add("x.test")
    assert "(#4.4.3)" in world.send("x.test").text


@pytest.mark.parametrize("kind", [A, AAAA])
def test_an_unknown_address_is_not_a_missing_one(world: World, kind: int) -> None:
    world.zone.mx("x.test", (1, "a.test"))
    world.zone.records["a.test"] = []
    world.zone.codes[f"a.test/{kind}"] = SERVFAIL
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "(#4.4.3)" in report.text


def test_one_family_is_enough(world: World, server: Smtp) -> None:
    world.mx("x.test", (1, "a.test", "203.0.113.1", server))
    world.zone.codes[f"a.test/{AAAA}"] = SERVFAIL
    assert world.send("x.test").letters == "rK"


@pytest.mark.parametrize(
    "me",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"],  # noqa: S104 - never bound
)
def test_a_best_exchanger_that_is_me(world: World, server: Smtp, me: str) -> None:
    world.zone.mx("x.test", (1, "me.test"), (2, "b.test"))
    world.zone.address("me.test", me)
    world.zone.address("b.test", "203.0.113.2")
    world.at("203.0.113.2", server)
    world.at(me, server)
    report = world.send("x.test")
    assert report.letters == "D"
    assert "I am listed as the best mail exchanger for x.test" in report.text
    assert "(#5.4.6)" in report.text
    assert server.sessions == []


@pytest.mark.parametrize("listed", ["x.test", ".test", "X.Test"])
def test_an_accepted_domain_that_has_nowhere_to_go_waits_for_the_administrator(world: World, listed: str) -> None:
    world.home.control(rcpthosts=f"other.test\n{listed}")
    world.zone.mx("x.test", (1, "me.test"))
    world.zone.address("me.test", "127.0.0.1")
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "x.test is in control/rcpthosts, but neither in locals nor in virtualdomains" in report.text


def own_address() -> str | None:
    """Return an address of this host that is not a loopback one, where it has any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("198.51.100.1", 9))
        except OSError:
            return None
        address = str(sock.getsockname()[0])
    return None if address.startswith("127.") else address


def test_an_interfaces_address_is_me(world: World) -> None:
    address = own_address()
    if address is None:
        pytest.skip("only loopback here")
    world.zone.address("x.test", address)
    assert "(#5.4.6)" in world.send("x.test").text


def test_only_better_exchangers_than_me_remain(world: World) -> None:
    with Smtp({"greeting": b"421 busy"}) as better, Smtp() as worse:
        world.mx("x.test", (1, "a.test", "203.0.113.1", better), (9, "z.test", "203.0.113.9", worse))
        world.mx("x.test", (5, "me.test", "127.0.0.1", None), (5, "m.test", "203.0.113.5", worse))
        assert world.send("x.test").letters == "Z"
        assert len(better.sessions) == 1
        assert worse.sessions == []


@pytest.mark.parametrize(
    ("unknown", "letter", "status"),
    [
        ("primary.test", "Z", "(#4.4.3)"),
        (f"primary.test/{A}", "Z", "(#4.4.3)"),
        (f"primary.test/{AAAA}", "Z", "(#4.4.3)"),
        ("worse.test", "D", "(#5.4.6)"),
        ("nothing.test", "D", "(#5.4.6)"),
    ],
)
def test_a_backup_does_not_conclude_from_a_missing_answer_that_it_is_the_best(
    world: World, unknown: str, letter: str, status: str
) -> None:
    world.zone.mx("x.test", (10, "primary.test"), (20, "me.test"), (30, "worse.test"))
    world.zone.address("me.test", "127.0.0.1")
    world.zone.records["primary.test"] = []
    world.zone.codes[unknown] = SERVFAIL
    report = world.send("x.test")
    assert report.letters == letter
    assert status in report.text


# --- Names beyond ASCII ----------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["bücher.test", "BÜCHER.test", "bu\u0308cher.test", "bücher。test", "xn--bcher-kva.test"]
)
def test_an_international_name_is_looked_up_by_its_a_labels(world: World, server: Smtp, host: str) -> None:
    world.mx("xn--bcher-kva.test", (1, "a.test", "203.0.113.1", server))
    assert world.send(host, f"u@{host}".encode()).letters == "rK"
    assert {query[13:26] for _, query in world.dns.asked if b"cher" in query} == {b"xn--bcher-kva"}
    expected = host if host.isascii() else "xn--bcher-kva.test"
    assert f"RCPT TO:<u@{expected}>".encode() in server.commands


@pytest.mark.parametrize("key", ["bücher.test", "xn--bcher-kva.test", ".test"])
def test_a_route_for_an_international_name(world: World, server: Smtp, key: str) -> None:
    world.where[server.host] = f"{server.host}:{server.port}"
    world.home.control(smtproutes=f"{key}:{server.address}")
    assert world.send("bücher.test", "u@bücher.test".encode()).letters == "rK"
    assert world.send("xn--bcher-kva.test").letters == "rK"


def test_a_relay_with_an_international_name(world: World, server: Smtp) -> None:
    world.zone.address("xn--bcher-kva.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    world.home.control(smtproutes=f":bücher.test:{server.port}")
    assert world.send("x.test").letters == "rK"


def test_smtputf8_gets_the_address_as_it_was_written(world: World) -> None:
    with Smtp({"EHLO": lines(b"250", b"hello", b"SMTPUTF8")}) as server:
        world.mx("xn--bcher-kva.test", (1, "a.test", "203.0.113.1", server))
        assert world.send("bücher.test", "ü@bücher.test".encode(), sender="a@köln.test".encode()).letters == "rK"
        assert "RCPT TO:<ü@bücher.test>".encode() in server.commands
        assert "MAIL FROM:<a@köln.test> SMTPUTF8".encode() in server.commands


def test_without_smtputf8_a_domain_goes_as_a_labels_and_a_local_part_not_at_all(world: World, server: Smtp) -> None:
    world.mx("xn--bcher-kva.test", (1, "a.test", "203.0.113.1", server))
    recipients = ["ü@bücher.test".encode(), "u@bücher.test".encode()]
    assert world.send("bücher.test", *recipients, sender="a@köln.test".encode()).letters == "hrK"
    assert [line for line in server.commands if line.startswith(b"MAIL FROM:<a@xn--kln-sna.test>")]


@pytest.mark.parametrize(
    "host", [b"b\xfccher.test", "a\u2028b.test", "\uff3b127.0.0.1\uff3d", "ü" * 300, "ü\uff20x.test", "-ü.test"]
)
def test_what_can_be_no_international_name(world: World, host: str | bytes) -> None:
    name = host if isinstance(host, bytes) else host.encode()
    report = parse(world.home.run("qmail-remote", name, "a@b.test", b"u@" + name).stdout)
    assert report.letters == "D"
    assert "(#5.1.2)" in report.text
    assert world.dns.asked == []


def test_ascii_names_cost_no_library() -> None:
    for program in ("qmail-remote", "qmail-send", "qmail-smtpd"):
        needed = subprocess.run(["readelf", "-d", BUILD / "bin" / program], capture_output=True, check=True).stdout
        assert b"libidn2" not in needed


@pytest.mark.parametrize("host", ["[127.0.0.1]", "[IPv6:::1]", "[0.0.0.0]"])
def test_a_literal_that_is_me(world: World, host: str) -> None:
    assert "(#5.4.6)" in world.send(host, "u@x").text


@pytest.mark.parametrize(("host", "address"), [("[203.0.113.1]", "203.0.113.1"), ("[IPv6:2001:db8::1]", "2001:db8::1")])
def test_an_address_literal(world: World, server: Smtp, host: str, address: str) -> None:
    world.at(address, server)
    assert world.send(host, "u@" + host).letters == "rK"


def test_a_truncated_answer_is_asked_again_over_tcp(world: World, server: Smtp) -> None:
    world.mx("x.test", (1, "a.test", "203.0.113.1", server))
    world.zone.truncate = True
    assert world.send("x.test").letters == "rK"
    assert {kind for kind, _ in world.dns.asked} == {"udp", "tcp"}


def test_an_answer_of_nearly_64_kib(world: World, server: Smtp) -> None:
    world.zone.truncate = True
    world.mx("x.test", (1, "best.test", "203.0.113.1", server))
    for number in range(1500):
        world.zone.mx("x.test", (10 + number, f"{number:04}.exchanger.test"))
    query = bytes(12) + name_bytes("x.test") + struct.pack(">HH", MX, 1)
    packet = world.zone.answer(query, stream=True)
    assert packet is not None
    assert 48_000 < len(packet) < 65_536
    assert world.send("x.test").letters == "rK"


def test_cnames_that_go_in_circles(world: World) -> None:
    world.zone.add("x.test", CNAME, name_bytes("y.test"))
    world.zone.add("y.test", CNAME, name_bytes("x.test"))
    assert world.send("x.test").letters == "D"


def test_an_alias_that_the_resolver_has_followed(world: World, server: Smtp) -> None:
    world.zone.add("x.test", CNAME, name_bytes("x.test"))
    world.mx("x.test", (1, "a.test", "203.0.113.1", server))
    assert world.send("x.test").letters == "rK"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x81\x80",
        b"\x81\x80\0\1\0\1\0\0\0\0",
        b"\x81\x80" + b"\xff" * 60,
        b"\x81\x80\0\1\0\1\0\0\0\0" + b"\xc0\x0c" * 9,
    ],
)
def test_a_malformed_answer_is_temporary(world: World, raw: bytes) -> None:
    world.zone.raw["x.test"] = raw
    assert "(#4.4.3)" in world.send("x.test").text


# --- Limits in time -------------------------------------------------------------------


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "message"])
@pytest.mark.parametrize("how", [stall, drip, drip_lines])
def test_every_reply_has_its_time(world: World, server: Smtp, step: str, how: Callable[[Session], None]) -> None:
    server.script[step] = how
    began = time.monotonic()
    report = routed(world, server, timeoutremote="1").send("x.test")
    assert report.letter == "Z"
    assert 0.9 < time.monotonic() - began < 8
    assert step == "greeting" or "no answer in time" in report.text


@pytest.fixture
def frozen(server: Smtp) -> Iterator[Smtp]:
    """Let the server read nothing after DATA, and keep the connection, until the test is over."""
    over = threading.Event()

    def freeze(session: Session) -> None:
        session.send(b"354 go\r\n")
        over.wait(60)
        session.close()

    server.script["EHLO"] = b"250 hello"
    server.script["DATA"] = freeze
    yield server
    over.set()


HUGE = b"x" * 70 + b"\n" * 9_000_000


@pytest.mark.parametrize("limit", ["timeoutremote", "timeoutattempt"])
def test_a_server_that_reads_nothing(world: World, frozen: Smtp, limit: str) -> None:
    began = time.monotonic()
    report = routed(world, frozen, **{limit: "4"}).send("x.test", message=HUGE)
    assert report.letters == "rZ"
    assert "no answer in time within the message" in report.text
    assert 3.9 < time.monotonic() - began < 30


def test_a_message_that_never_comes_has_its_time(world: World, server: Smtp) -> None:
    """No limit of the connection is about descriptor 0; the last one is about everything."""
    message, ours = os.pipe()
    began = time.monotonic()
    env = {"QMAIL_TEST_RESOLVER": f"127.0.0.1:{world.dns.port}", **fast_clock(10)}
    routed(world, server, timeoutattempt="20")
    done = world.home.run("qmail-remote", "x.test", "a@b", "u@x.test", fds={0: message}, env=env)
    assert time.monotonic() - began > 2.9
    report = parse(done.stdout)
    assert report.letters == "Z"
    assert "longer than timeoutattempt. (#4.4.2)" in report.text
    os.close(message)
    os.close(ours)


def test_a_slow_quit_does_not_change_the_report(world: World, server: Smtp) -> None:
    server.script["QUIT"] = stall
    began = time.monotonic()
    assert routed(world, server).send("x.test").letters == "rK"
    assert time.monotonic() - began < 8


def test_the_whole_attempt_has_its_time(world: World) -> None:
    with Smtp({"greeting": stall}) as one, Smtp({"greeting": stall}) as two:
        world.mx("x.test", (1, "a.test", "203.0.113.1", one), (2, "b.test", "203.0.113.2", two))
        world.home.control(timeoutattempt="2", timeoutremote="60")
        began = time.monotonic()
        assert world.send("x.test").letters == "Z"
        assert time.monotonic() - began < 5
        assert two.sessions == []


def unanswering() -> tuple[socket.socket, list[socket.socket]]:
    """Make a listener whose queue is full, so that a further connection gets no answer."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    time.sleep(0.1)
    return listener, waiting


def test_a_connection_ends_with_the_attempt_and_that_is_not_the_hosts_fault(world: World) -> None:
    listener, waiting = unanswering()
    world.mx("x.test", (1, "a.test", "203.0.113.1", None))
    world.where["203.0.113.1"] = f"127.0.0.1:{listener.getsockname()[1]}"
    world.home.control(timeoutattempt="1")
    began = time.monotonic()
    assert world.send("x.test").letters == "Z"
    assert time.monotonic() - began < 6
    assert not any((world.home.path / "queue/lock/tcpto").read_bytes())
    for sock in [listener, *waiting]:
        sock.close()


def test_a_refused_connection_is_no_time_out(world: World) -> None:
    world.mx("x.test", (1, "a.test", "203.0.113.1", None))
    assert world.send("x.test").letters == "Z"
    assert not any((world.home.path / "queue/lock/tcpto").read_bytes())


def test_a_connection_has_its_time_and_the_table_remembers(world: World, server: Smtp) -> None:
    listener, waiting = unanswering()
    world.mx("x.test", (1, "a.test", "203.0.113.1", None), (2, "b.test", "203.0.113.2", server))
    world.where["203.0.113.1"] = f"127.0.0.1:{listener.getsockname()[1]}"
    world.home.control(timeoutconnect="1")
    began = time.monotonic()
    assert world.send("x.test").letters == "rK"
    assert 0.9 < time.monotonic() - began < 6
    table = world.home.path / "queue/lock/tcpto"
    slot = table.read_bytes()[:32]
    assert slot[:16] == bytes(10) + b"\xff\xff" + bytes([203, 0, 113, 1])
    assert slot[24] == 1
    assert abs(struct.unpack(">q", slot[16:24])[0] - time.time()) < 10

    # A second time-out in a row, and the address is left alone.
    table.write_bytes(slot[:16] + struct.pack(">q", int(time.time()) - 200) + slot[24:])
    assert world.send("x.test").letters == "rK"
    assert table.read_bytes()[24] == 2
    world.home.control(timeoutconnect="10")
    began = time.monotonic()
    assert world.send("x.test").letters == "rK"
    assert time.monotonic() - began < 9

    # Where nothing else is left the report says why nothing was tried.
    world.mx("y.test", (1, "a.test", "203.0.113.1", None))
    report = world.send("y.test")
    assert report.letters == "Z"
    assert "timed out recently; see qmail-tcpto. (#4.4.1)" in report.text

    # An hour later it is tried again; a connection clears the slot.
    table.write_bytes(slot[:16] + struct.pack(">q", int(time.time()) - 3700) + b"\2" + slot[25:])
    world.at("203.0.113.1", server)
    assert world.send("y.test").letters == "rK"
    assert table.read_bytes()[24] == 0
    for sock in [listener, *waiting]:
        sock.close()


# --- Control files ---------------------------------------------------------------------


def test_helohost_goes_before_me(world: World, server: Smtp) -> None:
    assert routed(world, server, helohost="out.example.test").send("x.test").letters == "rK"
    assert server.commands[0] == b"EHLO out.example.test"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"me": None}, "helohost"),
        ({"helohost": "two words"}, "helohost"),
        ({"helohost": ""}, "helohost"),
        ({"helohost": "x" * 300}, "helohost"),
        ({"smtproutes": b"a\0b:c"}, "smtproutes"),
        ({"timeoutconnect": "soon"}, "timeoutconnect"),
        ({"timeoutremote": "0"}, "timeoutremote"),
        ({"timeoutremote": "-1"}, "timeoutremote"),
        ({"timeoutattempt": "99999999999999999999"}, "timeoutattempt"),
        ({"outgoingip": "203.0.113.0/24"}, "outgoingip"),
    ],
)
def test_a_control_file_that_can_not_be_used_is_named(
    world: World, files: dict[str, str | bytes | None], name: str
) -> None:
    world.home.control(**files)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert f"control/{name}" in report.text


def test_outgoingip(home: Home) -> None:
    peers = []

    def greet(session: Session) -> None:
        peers.append(session.connection.getpeername()[0])
        session.send(b"220 hello\r\n")

    with Smtp({"greeting": greet}) as server:
        home.control(smtproutes=f":{server.address}", outgoingip="::1\n127.0.0.9")
        assert parse(home.run("qmail-remote", "x.test", "a@b", "u@x.test", stdin=MESSAGE).stdout).letters == "rK"
    assert peers == ["127.0.0.9"]


@pytest.mark.parametrize("args", [(), ("host",), ("host", "sender")])
def test_too_few_arguments(home: Home, args: tuple[str, ...]) -> None:
    done = home.run("qmail-remote", *args)
    assert done.returncode == 0
    assert parse(done.stdout).letters == "D"


def test_without_a_home_it_is_temporary(home: Home) -> None:
    done = home.run("qmail-remote", "x.test", "a@b", "u@x.test", env={"QMAIL_TEST_HOME": "/nonexistent"})
    assert parse(done.stdout).letters == "Z"
