"""qmail-remote and TLS: opportunistic, with a duty to verify, and the log-in to a relay."""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from lab.authority import Authority
from lab.remoteworld import World, routed
from lab.servers import Dns, Session, Smtp, Zone, drip, lines, stall
from lab.suite import Home

OFFER = lines(b"250", b"hello", b"STARTTLS", b"SIZE")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority."""
    return Authority.make(tmp_path, "authority")


@pytest.fixture
def world(home: Home, authority: Authority) -> Iterator[World]:
    """Make a world whose home trusts the authority."""
    home.control(timeoutremote="3", **{"tlsca.pem": (authority.directory / "authority.pem").read_bytes()})
    with Dns(Zone()) as dns:
        yield World(home, dns)


@pytest.fixture
def server(authority: Authority) -> Iterator[Smtp]:
    """Make a server that offers STARTTLS as mx.x.test, at 203.0.113.1."""
    with Smtp({"EHLO": [OFFER, lines(b"250", b"hello again", b"SIZE", b"AUTH PLAIN LOGIN")]}) as smtp:
        authority.serve(smtp, "mx.x.test")
        yield smtp


def found(world: World, server: Smtp) -> World:
    """Let the server be the mail exchanger of x.test."""
    world.mx("x.test", (1, "mx.x.test", "203.0.113.1", server))
    return world


# --- Where it is offered ----------------------------------------------------------------


def test_starttls_is_used_where_it_is_offered(world: World, server: Smtp) -> None:
    report = found(world, server).send("x.test")
    assert report.letters == "rK"
    assert "accepted the message by TLSv1.3 (TLS_" in report.text
    session = server.sessions[0]
    assert session.tls == "TLSv1.3"
    assert session.server_name == "mx.x.test"
    assert session.commands[:2] == [b"EHLO mail.example.test", b"STARTTLS"]
    assert session.commands[2] == b"EHLO mail.example.test"
    assert session.commands_before_tls == 2
    assert server.messages == [b"Subject: test\r\n\r\nhello\r\n"]


def test_the_offers_inside_tls_count(world: World, server: Smtp) -> None:
    server.script["EHLO"] = [lines(b"250", b"hello", b"STARTTLS", b"SIZE 1"), lines(b"250", b"hello")]
    assert found(world, server).send("x.test").letters == "rK"
    assert server.sessions[0].commands[3] == b"MAIL FROM:<a@here.example.test>"


@pytest.mark.parametrize("reply", [b"454 not now", b"502 what", b"501 hm"])
def test_a_refused_starttls_leaves_it_in_the_clear(world: World, server: Smtp, reply: bytes) -> None:
    server.script["STARTTLS"] = reply
    report = found(world, server).send("x.test")
    assert report.letters == "rK"
    assert "accepted the message in the clear (it refuses STARTTLS)" in report.text
    assert len(server.sessions) == 1


def break_with(data: bytes) -> Callable[[Session], None]:
    """Say 220, then these bytes instead of a handshake."""

    def act(session: Session) -> None:
        session.send(b"220 go\r\n")
        session.connection.recv(1000)
        session.send(data)
        session.close()

    return act


def stall_the_handshake(session: Session) -> None:
    """Say 220, then nothing."""
    session.send(b"220 go\r\n")
    stall(session)


def drip_the_handshake(session: Session) -> None:
    """Say 220, then begin a record that never becomes whole."""
    session.send(b"220 go\r\n")
    session.connection.recv(1000)
    session.send(b"\x16\x03\x03\x3f\xff")
    drip(session)


@pytest.mark.parametrize(
    "how",
    [
        None,
        break_with(b""),
        break_with(b"500 what?\r\n"),
        break_with(b"\x15\x03\x03\0\2\2\x28"),
        stall,
        stall_the_handshake,
    ],
)
def test_a_broken_handshake_is_followed_by_an_attempt_in_the_clear(
    world: World, server: Smtp, how: Callable[[Session], None] | None
) -> None:
    server.script["EHLO"] = OFFER
    server.script["STARTTLS"] = how
    report = found(world, server).send("x.test")
    assert report.letters == "rK"
    assert [session.tls for session in server.sessions] == [None, None]
    assert b"STARTTLS" not in server.sessions[1].commands
    assert len(server.messages) == 1


def test_a_server_that_closes_down_at_starttls_is_left_for_the_next(world: World, server: Smtp) -> None:
    with Smtp({"EHLO": OFFER, "STARTTLS": b"421 closing"}) as first:
        world.mx("x.test", (1, "a.test", "203.0.113.1", first), (2, "mx.x.test", "203.0.113.2", server))
        assert world.send("x.test").letters == "rK"
        assert len(first.sessions) == 1
        assert first.messages == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(("verify", "letters"), [("", "rK"), ("x.test", "Z")])
def test_old_tls_alone_is_as_good_as_none(
    world: World, server: Smtp, authority: Authority, verify: str, letters: str
) -> None:
    context = authority.serve(server, "x.test")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.minimum_version = ssl.TLSVersion.TLSv1
    server.script["EHLO"] = OFFER
    # Nothing but the version stands against it.
    world.home.control(clientciphers="ALL:@SECLEVEL=0", tlsverifyhosts=verify)
    assert found(world, server).send("x.test").letters == letters
    assert {session.tls for session in server.sessions} == {None}


def test_tls_1_2_is_spoken(world: World, server: Smtp) -> None:
    assert server.tls is not None
    server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "by TLSv1.2 (ECDHE" in found(world, server).send("x.test").text


WEAK = "ECDHE-ECDSA-AES128-SHA"


def test_weak_encryption_is_better_than_none(world: World, server: Smtp) -> None:
    assert server.tls is not None
    server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    server.tls.set_ciphers(WEAK)
    assert f"by TLSv1.2 ({WEAK}, encrypted)" in found(world, server).send("x.test").text


def test_weak_encryption_will_not_do_where_it_is_a_duty(world: World, server: Smtp, authority: Authority) -> None:
    context = authority.serve(server, "x.test")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(WEAK)
    world.home.control(tlsverifyhosts="x.test")
    assert found(world, server).send("x.test").letters == "Z"
    assert server.messages == []
    # It is the control file's to allow it.
    server.script["EHLO"] = OFFER
    world.home.control(clientciphers=WEAK)
    assert f"by TLSv1.2 ({WEAK}, verified)" in world.send("x.test").text


def test_clientciphers_chooses(world: World, server: Smtp) -> None:
    assert server.tls is not None
    server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    world.home.control(clientciphers="ECDHE-ECDSA-CHACHA20-POLY1305")
    assert "by TLSv1.2 (ECDHE-ECDSA-CHACHA20-POLY1305, encrypted)" in found(world, server).send("x.test").text


def test_bytes_behind_the_reply_to_starttls_are_never_heard(world: World, server: Smtp) -> None:
    # Were they kept, they would answer the next EHLO.
    server.script["EHLO"] = [OFFER, OFFER]
    server.script["STARTTLS"] = [b"220 go\r\n250-injected\r\n250 SIZE 1", b"220 go"]
    report = found(world, server).send("x.test")
    assert report.letters == "rK"
    assert b"STARTTLS" in server.sessions[0].commands
    assert b"STARTTLS" not in server.sessions[1].commands


@pytest.mark.parametrize("line", ["x.test", ".test", "mx.x.test", "203.0.113.1"])
def test_notlshosts(world: World, server: Smtp, line: str) -> None:
    server.script["EHLO"] = OFFER
    world.home.control(notlshosts=f"other.test\n{line}")
    assert found(world, server).send("x.test").letters == "rK"
    assert server.sessions[0].tls is None


@pytest.mark.parametrize(("line", "tls"), [("relay.test", None), (".relay.test", "TLSv1.3"), ("mx.x.test", "TLSv1.3")])
def test_notlshosts_knows_relays(world: World, server: Smtp, authority: Authority, line: str, tls: str | None) -> None:
    authority.serve(server, "relay.test")
    world.zone.address("relay.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    world.home.control(smtproutes=":relay.test", notlshosts=line)
    assert world.send("x.test").letters == "rK"
    assert server.sessions[0].tls == tls


@pytest.mark.parametrize("line", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_notlshosts_knows_a_relays_address_as_it_is_and_as_it_is_written(world: World, server: Smtp, line: str) -> None:
    world.at("127.0.0.1", server)
    world.home.control(smtproutes=f"x.test:[::ffff:127.0.0.1]:{server.port}", notlshosts=line)
    assert world.send("x.test").letters == "rK"
    assert server.sessions[0].tls is None


def test_the_next_exchanger_gets_tls_behind_one_that_does_not(world: World, server: Smtp) -> None:
    with Smtp({"EHLO": [OFFER, b"450 busy"], "STARTTLS": None}) as broken:
        world.mx("x.test", (1, "a.test", "203.0.113.1", broken), (2, "mx.x.test", "203.0.113.2", server))
        assert world.send("x.test").letters == "rK"
        assert len(broken.sessions) == 2
        assert server.sessions[0].tls == "TLSv1.3"


def test_any_certificate_will_do_without_a_duty(world: World, server: Smtp, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    Authority.make(tmp_path / "s", "stranger").serve(server, "else.test", days=-1)
    assert "by TLSv1.3" in found(world, server).send("x.test").text


@pytest.mark.parametrize("limit", ["timeoutremote", "timeoutattempt"])
@pytest.mark.parametrize("how", [stall_the_handshake, drip_the_handshake])
def test_a_handshake_has_its_time(
    world: World, server: Smtp, authority: Authority, how: Callable[[Session], None], limit: str
) -> None:
    authority.serve(server, "x.test")
    server.script["STARTTLS"] = how
    world.home.control(**{"tlsverifyhosts": "x.test", "timeoutremote": "60", limit: "1"})
    began = time.monotonic()
    assert found(world, server).send("x.test").letters == "Z"
    assert 0.9 < time.monotonic() - began < 8
    assert len(server.sessions) == 1


def test_a_record_that_never_becomes_whole_has_its_time(world: World, server: Smtp) -> None:
    def drip_a_record(session: Session) -> None:
        raw = session.connection.fileno()
        with contextlib.suppress(OSError):
            os.write(raw, b"\x17\x03\x03\x3f\xff")
            for _ in range(400):
                os.write(raw, b"x")
                time.sleep(0.05)
        session.close()

    server.script["MAIL"] = drip_a_record
    began = time.monotonic()
    report = found(world, server).send("x.test")
    assert report.letters == "Z"
    assert "no answer in time" in report.text
    assert 2.5 < time.monotonic() - began < 10


# --- Where it must be verified ---------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("x.test", ("x.test",)),
        ("x.test", ("mx.x.test",)),
        ("x.test", ("*.x.test",)),
        (".test", ("x.test",)),
        (":", ("x.test",)),
        ("x.test:mx.x.test", ("mx.x.test",)),
        ("x.test:a.test:b.test", ("b.test",)),
        ("x.test:.b.test", ("any.b.test",)),
        ("X.TEST:A.TEST", ("a.test",)),
    ],
)
def test_a_verified_server_gets_the_message(
    world: World, server: Smtp, authority: Authority, line: str, names: tuple[str, ...]
) -> None:
    authority.serve(server, *names)
    world.home.control(tlsverifyhosts=line)
    report = found(world, server).send("x.test")
    assert report.letters == "rK", report
    assert ", verified)" in report.text


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("x.test", ("y.test",)),
        ("x.test", ("testx.test",)),
        ("x.test:mx.x.test", ("x.test",)),
        ("x.test:.b.test", ("b.test",)),
        ("x.test:a.test", ("a.test.evil.test",)),
        ("x.test:mx.x.test", ("m*.x.test",)),
        ("x.test", ("203.0.113.1",)),
    ],
)
def test_another_name_gets_nothing(
    world: World, server: Smtp, authority: Authority, line: str, names: tuple[str, ...]
) -> None:
    authority.serve(server, *names)
    world.home.control(tlsverifyhosts=line)
    report = found(world, server).send("x.test")
    assert report.letters == "Z"
    assert "must be spoken to by verified TLS (#4.7.4)" in report.text
    assert "mismatch" in report.text
    assert server.messages == []
    assert not any(command.startswith(b"MAIL") for command in server.commands)


def test_an_exchanger_named_by_dns_is_not_believed(world: World, server: Smtp, authority: Authority) -> None:
    world.mx("x.test", (1, "mx.evil.test", "203.0.113.1", server))
    authority.serve(server, "mx.evil.test")
    world.home.control(tlsverifyhosts="x.test")
    assert "mismatch" in world.send("x.test").text
    assert server.messages == []


def test_another_authority_gets_nothing(world: World, server: Smtp, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    Authority.make(tmp_path / "s", "stranger").serve(server, "x.test")
    world.home.control(tlsverifyhosts="x.test")
    report = found(world, server).send("x.test")
    assert (report.letters, server.messages) == ("Z", [])
    assert "certificate" in report.text


def test_an_expired_certificate_gets_nothing(world: World, server: Smtp, authority: Authority) -> None:
    authority.serve(server, "x.test", days=-1)
    world.home.control(tlsverifyhosts="x.test")
    report = found(world, server).send("x.test")
    assert (report.letters, server.messages) == ("Z", [])
    assert "expired" in report.text


@pytest.mark.parametrize(
    "script",
    [
        {"EHLO": b"250 hello"},
        {"STARTTLS": b"454 not now"},
        {"STARTTLS": None},
        {"STARTTLS": break_with(b"x")},
        {"STARTTLS": b"220 go\r\n250 injected"},
        {"EHLO": b"502 what"},
    ],
)
def test_without_tls_a_verified_destination_gets_nothing(
    world: World, server: Smtp, authority: Authority, script: dict[str, bytes | None]
) -> None:
    authority.serve(server, "x.test")
    server.script.update(script)
    world.home.control(tlsverifyhosts="x.test", notlshosts="x.test")
    assert found(world, server).send("x.test").letters == "Z"
    assert len(server.sessions) == 1
    assert not any(command.startswith(b"MAIL") for command in server.commands)


REQUIRED = ["x.test", ".test", ":", "X.Test"]


@pytest.mark.parametrize("line", REQUIRED)
def test_a_destination_that_needs_tls_gets_it_from_whoever_answers(world: World, server: Smtp, line: str) -> None:
    world.home.control(tlsrequiredhosts=f"other.test\n{line}", notlshosts="x.test")
    report = found(world, server).send("x.test")
    assert report.letters == "rK", report
    assert "verified" not in report.text
    assert server.sessions[0].tls is not None


@pytest.mark.parametrize("line", REQUIRED)
@pytest.mark.parametrize(
    "script",
    [
        {"EHLO": b"250 hello"},
        {"STARTTLS": b"454 not now"},
        {"STARTTLS": break_with(b"x")},
        {"STARTTLS": b"220 go\r\n250 injected"},
        {"EHLO": b"502 what"},
    ],
)
def test_without_tls_a_destination_that_needs_it_gets_nothing(
    world: World, server: Smtp, line: str, script: dict[str, bytes | None]
) -> None:
    server.script.update(script)
    world.home.control(tlsrequiredhosts=line)
    report = found(world, server).send("x.test")
    assert report.letters == "Z"
    assert len(server.sessions) == 1
    assert not any(command.startswith(b"MAIL") for command in server.commands)


def test_a_refused_starttls_is_told_where_tls_is_needed(world: World, server: Smtp) -> None:
    server.script["STARTTLS"] = b"454 not now"
    world.home.control(tlsrequiredhosts="x.test")
    assert "must be spoken to by TLS (#4.7.4), and isn't" in found(world, server).send("x.test").text


@pytest.mark.parametrize(("line", "letters"), [("relay.test", "Z"), (".relay.test", "rK")])
def test_tlsrequiredhosts_knows_relays(world: World, server: Smtp, line: str, letters: str) -> None:
    server.script["EHLO"] = b"250 hello"
    world.zone.address("relay.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    world.home.control(smtproutes=":relay.test", tlsrequiredhosts=line)
    assert world.send("x.test").letters == letters


def test_the_next_exchanger_may_be_the_verified_one(world: World, server: Smtp, authority: Authority) -> None:
    authority.serve(server, "x.test")
    with Smtp({"EHLO": OFFER}) as liar:
        authority.serve(liar, "y.test")
        world.home.control(tlsverifyhosts="x.test")
        world.mx("x.test", (1, "a.test", "203.0.113.1", liar), (2, "b.test", "203.0.113.2", server))
        assert world.send("x.test").letters == "rK"
        assert liar.messages == []


@pytest.mark.parametrize(("name", "letters"), [("127.0.0.1", "rK"), ("127.0.0.2", "Z"), ("x.test", "Z")])
def test_a_relay_by_address_shows_that_address(
    world: World, server: Smtp, authority: Authority, name: str, letters: str
) -> None:
    authority.serve(server, name)
    assert routed(world, server, tlsverifyhosts="x.test").send("x.test").letters == letters


@pytest.mark.parametrize(
    ("line", "names", "letters"),
    [
        ("x.test:a.test", ("a.test",), "rK"),
        ("x.test:a.test", ("relay.test",), "Z"),
        ("x.test", ("relay.test",), "rK"),
        ("relay.test:a.test", ("a.test",), "rK"),
        ("relay.test:a.test", ("relay.test",), "Z"),
        ("relay.test:a.test\nx.test:b.test", ("a.test",), "rK"),
        ("relay.test:a.test\nx.test:b.test", ("b.test",), "Z"),
        ("y.test:a.test", ("b.test",), "rK"),
    ],
)
def test_the_relay_or_the_domain_behind_it_makes_it_a_duty(
    world: World, server: Smtp, authority: Authority, line: str, names: tuple[str, ...], letters: str
) -> None:
    authority.serve(server, *names)
    world.zone.address("relay.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    world.home.control(smtproutes=":relay.test", tlsverifyhosts=line)
    report = world.send("x.test")
    assert report.letters == letters
    assert (", verified)" in report.text) == (letters == "rK" and not line.startswith("y.test"))


@pytest.mark.parametrize(
    ("name", "letters"), [("mx.x.test", "rK"), ("*.x.test", "rK"), ("m*.x.test", "Z"), ("127.0.0.1", "Z")]
)
def test_a_relay_by_address_may_have_to_show_a_name(
    world: World, server: Smtp, authority: Authority, name: str, letters: str
) -> None:
    authority.serve(server, name)
    assert routed(world, server, tlsverifyhosts="x.test:mx.x.test").send("x.test").letters == letters


def test_a_relay_by_name_shows_that_name(world: World, server: Smtp, authority: Authority) -> None:
    authority.serve(server, "relay.test")
    world.zone.address("relay.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    world.home.control(smtproutes=":relay.test", tlsverifyhosts="relay.test")
    assert ", verified)" in world.send("x.test").text
    assert server.sessions[0].server_name == "relay.test"


# --- Our certificate --------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True], ids=["the key with it", "the key in its own file"])
def test_a_relay_is_shown_our_certificate(world: World, server: Smtp, authority: Authority, apart: bool) -> None:
    assert server.tls is not None
    server.tls.verify_mode = ssl.CERT_REQUIRED
    server.tls.load_verify_locations(authority.directory / "authority.pem")
    bundle = authority.leaf("mail.example.test").read_bytes()
    chain, key = bundle.split(b"-----BEGIN PRIVATE", 1)
    if apart:
        world.home.control(**{"clientcert.pem": chain, "clientkey.pem": b"-----BEGIN PRIVATE" + key})
    else:
        world.home.control(**{"clientcert.pem": bundle})
    assert "by TLSv1.3" in routed(world, server).send("x.test").text
    certificate = server.sessions[0].client_certificate
    assert certificate is not None
    assert certificate["subjectAltName"] == (("DNS", "mail.example.test"),)


def test_nobody_else_is_shown_our_certificate(world: World, server: Smtp, authority: Authority) -> None:
    assert server.tls is not None
    server.tls.verify_mode = ssl.CERT_OPTIONAL
    server.tls.load_verify_locations(authority.directory / "authority.pem")
    world.home.control(**{"clientcert.pem": authority.leaf("mail.example.test").read_bytes()})
    assert "by TLSv1.3" in found(world, server).send("x.test").text
    assert not server.sessions[0].client_certificate


def test_a_server_that_wants_another_certificate_gets_the_message_in_the_clear(
    world: World, server: Smtp, authority: Authority
) -> None:
    assert server.tls is not None
    server.tls.verify_mode = ssl.CERT_REQUIRED
    server.tls.load_verify_locations(authority.directory / "authority.pem")
    server.script["EHLO"] = OFFER
    assert found(world, server).send("x.test").letters == "rK"
    assert len(server.sessions) == 2


def test_a_server_that_wants_another_certificate_gets_nothing_in_the_clear_where_tls_is_a_duty(
    world: World, server: Smtp, authority: Authority
) -> None:
    """With TLS 1.3 the handshake is through, and the name is verified, when the server says so."""
    context = authority.serve(server, "x.test")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.directory / "authority.pem")
    world.home.control(tlsverifyhosts="x.test")
    assert found(world, server).send("x.test").letters == "Z"
    assert len(server.sessions) == 1
    assert server.messages == []


def test_no_terminal_is_asked_for_the_password_of_a_key(world: World, server: Smtp, authority: Authority) -> None:
    """Who starts the services by hand has one, and they would wait for ever."""
    bundle = authority.leaf("mail.example.test").read_bytes()
    key = serialization.load_pem_private_key(bundle[bundle.index(b"-----BEGIN PRIVATE") :], None)
    hidden = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    world.home.control(**{"clientcert.pem": bundle, "clientkey.pem": hidden})
    routed(world, server)
    ours, theirs = os.openpty()
    try:
        report = world.send("x.test", terminal=theirs, timeout=20)
    finally:
        os.close(ours)
        os.close(theirs)
    assert report.letters == "Z"
    assert "control/clientkey.pem: " in report.text


@pytest.mark.parametrize(
    "files",
    [{"clientcert.pem": "junk"}, {"clientciphers": "NO-SUCH"}, {"tlsca.pem": "junk", "tlsverifyhosts": "x.test"}],
)
def test_a_file_of_ours_that_tls_can_not_use_is_temporary(world: World, server: Smtp, files: dict[str, str]) -> None:
    world.home.control(**files)
    report = routed(world, server).send("x.test")
    assert report.letters == "Z"
    assert "(#4.3.5)" in report.text
    assert server.messages == []


def test_authorities_are_read_only_where_a_chain_counts(world: World, server: Smtp) -> None:
    """It takes most of the time of a delivery by TLS."""
    world.home.control(**{"tlsca.pem": "junk"})
    assert ", encrypted)" in found(world, server).send("x.test").text


# --- The log-in to a relay ----------------------------------------------------------------


def relayed(world: World, server: Smtp, authority: Authority, line: str | None = None) -> World:
    """Route x.test to relay.test, with credentials."""
    authority.serve(server, "relay.test")
    world.zone.address("relay.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    world.home.control(
        smtproutes=":relay.test:587",
        smtproutes_auth=line or "# ours\nrelay.test:587 relayuser pass word: x",
    )
    (world.home.path / "control/smtproutes_auth").chmod(0o640)
    return world


PLAIN = base64.b64encode(b"\0relayuser\0pass word: x")


@pytest.mark.parametrize("offer", [b"AUTH PLAIN LOGIN", b"AUTH LOGIN PLAIN", b"AUTH CRAM-MD5 PLAIN", b"auth plain"])
def test_plain_is_used_where_it_is_offered(world: World, server: Smtp, authority: Authority, offer: bytes) -> None:
    server.script["EHLO"] = [OFFER, lines(b"250", b"again", offer)]
    server.script["AUTH"] = b"235 welcome"
    assert relayed(world, server, authority).send("x.test").letters == "rK"
    session = server.sessions[0]
    assert session.commands[3] == b"AUTH PLAIN " + PLAIN
    assert session.commands_before_tls == 2


def test_login_is_used_otherwise(world: World, server: Smtp, authority: Authority) -> None:
    answers: list[bytes] = []

    def login(session: Session) -> None:
        session.send(b"334 VXNlcm5hbWU6\r\n")
        answers.append(session.line())
        session.send(b"334 UGFzc3dvcmQ6\r\n")
        answers.append(session.line())
        session.send(b"235 welcome\r\n")

    server.script["EHLO"] = [OFFER, lines(b"250", b"again", b"AUTH LOGIN")]
    server.script["AUTH"] = login
    assert relayed(world, server, authority).send("x.test").letters == "rK"
    assert server.sessions[0].commands[3] == b"AUTH LOGIN"
    assert [base64.b64decode(answer) for answer in answers] == [b"relayuser", b"pass word: x"]


@pytest.mark.parametrize("reply", [b"535 5.7.8 no", b"454 later", b"334 more", b"250 hm", None])
@pytest.mark.parametrize("offer", [b"AUTH PLAIN", b"AUTH LOGIN"])
def test_a_refused_password_is_temporary_and_not_told(
    world: World, server: Smtp, authority: Authority, reply: bytes | None, offer: bytes
) -> None:
    server.script["EHLO"] = [OFFER, lines(b"250", b"again", offer)]
    server.script["AUTH"] = reply
    report = relayed(world, server, authority).send("x.test")
    assert report.letters == "Z"
    assert "pass" not in report.text.replace("password", "")
    assert not any(command.startswith(b"MAIL") for command in server.commands)


def test_no_mechanism_that_we_know(world: World, server: Smtp, authority: Authority) -> None:
    server.script["EHLO"] = [OFFER, lines(b"250", b"again", b"AUTH GSSAPI")]
    report = relayed(world, server, authority).send("x.test")
    assert report.letters == "Z"
    assert "neither AUTH PLAIN nor AUTH LOGIN" in report.text


@pytest.mark.parametrize(
    "script", [{"EHLO": lines(b"250", b"hi", b"AUTH PLAIN")}, {"STARTTLS": b"454 no"}, {"STARTTLS": break_with(b"x")}]
)
def test_a_password_never_goes_out_in_the_clear(
    world: World, server: Smtp, authority: Authority, script: dict[str, bytes]
) -> None:
    server.script.update(script)
    assert relayed(world, server, authority).send("x.test").letters == "Z"
    assert not any(command.startswith(b"AUTH") for command in server.commands)


def test_a_password_never_goes_to_somebody_else(world: World, server: Smtp, authority: Authority) -> None:
    relayed(world, server, authority)
    authority.serve(server, "relay.evil.test")
    assert "mismatch" in world.send("x.test").text
    assert not any(command.startswith(b"AUTH") for command in server.commands)


def test_credentials_belong_to_a_relay_and_its_port(world: World, server: Smtp, authority: Authority) -> None:
    relayed(world, server, authority, "relay.test:25 u p\nother.test:587 u p\n203.0.113.1:587 u p")
    assert world.send("x.test").letters == "rK"
    assert not any(command.startswith(b"AUTH") for command in server.commands)


def test_mail_by_mx_never_logs_in(world: World, server: Smtp) -> None:
    world.home.control(smtproutes_auth="x.test u p\nmx.x.test u p")
    (world.home.path / "control/smtproutes_auth").chmod(0o600)
    assert found(world, server).send("x.test").letters == "rK"
    assert not any(command.startswith(b"AUTH") for command in server.commands)


@pytest.mark.parametrize("mode", [0o644, 0o641, 0o660, 0o642, 0o777])
def test_a_password_file_open_to_others_is_not_used(
    world: World, server: Smtp, authority: Authority, mode: int
) -> None:
    relayed(world, server, authority)
    (world.home.path / "control/smtproutes_auth").chmod(mode)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "control/smtproutes_auth: its mode must be 0640 or stricter" in report.text
    assert server.sessions == []


@pytest.mark.parametrize(
    "line", ["relay.test:587 user", "relay.test:587", "relay.test:x user secret", ":587 user secret"]
)
def test_a_line_that_is_not_understood_is_named_without_its_secret(
    world: World, server: Smtp, authority: Authority, line: str
) -> None:
    report = relayed(world, server, authority, line).send("x.test")
    assert report.letters == "Z"
    assert "control/smtproutes_auth: the line for" in report.text
    assert "secret" not in report.text
    assert server.sessions == []


# --- Port 465 ------------------------------------------------------------------------------


def implicit(server: Smtp, authority: Authority) -> None:
    """Let the server speak TLS from the first byte."""
    authority.serve(server, "127.0.0.1")

    def greet(session: Session) -> None:
        session.start_tls()
        session.send(b"220 hello\r\n")

    server.script["greeting"] = greet
    server.script["EHLO"] = lines(b"250", b"hello", b"STARTTLS", b"AUTH PLAIN")
    server.script["AUTH"] = b"235 welcome"


@pytest.mark.parametrize("verify", ["", "x.test"])
def test_a_relay_at_port_465_gets_tls_from_the_first_byte(
    world: World, server: Smtp, authority: Authority, verify: str
) -> None:
    implicit(server, authority)
    world.at("127.0.0.1", server)
    world.home.control(smtproutes="x.test:127.0.0.1:465", tlsverifyhosts=verify)
    report = world.send("x.test")
    assert report.letters == "rK"
    assert "by TLSv1.3" in report.text
    assert server.sessions[0].commands_before_tls == 0
    assert b"STARTTLS" not in server.commands


def test_a_relay_at_port_465_that_speaks_no_tls_gets_nothing(world: World) -> None:
    with Smtp() as server:
        world.at("127.0.0.1", server)
        world.home.control(smtproutes="x.test:127.0.0.1:465")
        report = world.send("x.test")
        assert report.letters == "Z"
        assert "breaks TLS" in report.text
        assert len(server.sessions) == 1


def test_a_relay_at_port_465_that_wants_another_certificate_gets_nothing(
    world: World, server: Smtp, authority: Authority
) -> None:
    implicit(server, authority)
    assert server.tls is not None
    server.tls.verify_mode = ssl.CERT_REQUIRED
    server.tls.load_verify_locations(authority.directory / "authority.pem")
    world.at("127.0.0.1", server)
    world.home.control(smtproutes="x.test:127.0.0.1:465")
    assert world.send("x.test").letters == "Z"
    assert len(server.sessions) == 1


def test_a_relay_at_port_465_that_hangs_up_is_left_alone(world: World, server: Smtp, authority: Authority) -> None:
    implicit(server, authority)
    server.script["EHLO"] = None
    world.at("127.0.0.1", server)
    world.home.control(smtproutes="x.test:127.0.0.1:465")
    assert world.send("x.test").letters == "Z"
    assert len(server.sessions) == 1


def test_a_relay_at_port_465_with_a_log_in(world: World, server: Smtp, authority: Authority) -> None:
    implicit(server, authority)
    world.at("127.0.0.1", server)
    world.home.control(smtproutes="x.test:127.0.0.1:465", smtproutes_auth="127.0.0.1:465 relayuser pass word: x")
    (world.home.path / "control/smtproutes_auth").chmod(0o640)
    assert world.send("x.test").letters == "rK"
    assert server.commands[1] == b"AUTH PLAIN " + PLAIN
