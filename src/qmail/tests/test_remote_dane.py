"""qmail-remote and DANE (RFC 7672), against real TLS servers and a resolver that says what it has validated."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lab.authority import Authority
from lab.remoteworld import World, routed
from lab.servers import AAAA, CNAME, MX, NXDOMAIN, SERVFAIL, TLSA, A, Dns, Smtp, Zone, lines, name_bytes
from lab.suite import Home

OFFER = lines(b"250", b"hello", b"STARTTLS", b"SIZE")
EE, TA = 3, 2
CERT, KEY = 0, 1
FULL, SHA256, SHA512 = 0, 1, 2
RECORDS = "_25._tcp.mx.x.test"


def data(certificate: x509.Certificate, selector: int, matching: int) -> bytes:
    """Return what a TLSA record has of a certificate."""
    if selector == CERT:
        whole = certificate.public_bytes(serialization.Encoding.DER)
    else:
        whole = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return {FULL: whole, SHA256: hashlib.sha256(whole).digest(), SHA512: hashlib.sha512(whole).digest()}[matching]


def leaf(path: Path) -> x509.Certificate:
    """Return the certificate of a bundle."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def serve(server: Smtp, authority: Authority, *names: str, days: int = 1) -> x509.Certificate:
    """Let the server speak TLS with a new certificate for these names, and return that."""
    before = set(authority.directory.glob("leaf-*.pem"))
    authority.serve(server, *names, days=days)
    (path,) = set(authority.directory.glob("leaf-*.pem")) - before
    return leaf(path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority that nobody knows."""
    return Authority.make(tmp_path, "authority")


@pytest.fixture
def world(home: Home) -> Iterator[World]:
    """Make a world whose resolver is believed, and has validated everything."""
    with Dns(Zone(secure={""}, follow=True)) as dns:
        home.control(timeoutremote="3", nameservers=f"[127.0.0.1]:{dns.port}")
        yield World(home, dns)


@pytest.fixture
def server() -> Iterator[Smtp]:
    """Make a server that offers STARTTLS."""
    with Smtp({"EHLO": [OFFER, lines(b"250", b"hello again", b"SIZE")]}) as smtp:
        yield smtp


@pytest.fixture
def certificate(world: World, server: Smtp, authority: Authority) -> x509.Certificate:
    """Make the server mx.x.test, the exchanger of x.test, and return its certificate."""
    world.mx("x.test", (1, "mx.x.test", "203.0.113.1", server))
    return serve(server, authority, "mx.x.test")


def untouched(server: Smtp) -> bool:
    """Tell that nothing of a message was said to the server."""
    return not any(command.startswith(b"MAIL") for command in server.commands)


def asked_for_tlsa(world: World) -> bool:
    """Tell whether anybody asked for TLSA records."""
    return any(b"\x04_tcp" in query for _, query in world.dns.asked)


# --- What proves a server --------------------------------------------------------------


@pytest.mark.parametrize("selector", [CERT, KEY])
@pytest.mark.parametrize("matching", [FULL, SHA256, SHA512])
def test_a_key_proves_a_server(
    world: World, server: Smtp, certificate: x509.Certificate, selector: int, matching: int
) -> None:
    world.zone.tlsa(RECORDS, EE, selector, matching, data(certificate, selector, matching))
    report = world.send("x.test")
    assert report.letters == "rK", report
    assert ", dane)" in report.text
    assert server.sessions[0].server_name == "mx.x.test"


@pytest.mark.parametrize("selector", [CERT, KEY])
@pytest.mark.parametrize("matching", [SHA256, SHA512])
def test_another_key_gets_nothing(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority, selector: int, matching: int
) -> None:
    world.zone.tlsa(RECORDS, EE, selector, matching, data(authority.certificate, selector, matching))
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "must prove itself by the TLSA records of _25._tcp.mx.x.test (#4.7.5), and doesn't: " in report.text
    assert "no matching DANE TLSA records" in report.text.replace("No ", "no ")
    assert untouched(server)
    assert len(server.sessions) == 1


def test_one_of_several_will_do(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority
) -> None:
    """The next key is published before it is in use."""
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(authority.certificate, KEY, SHA256))
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(certificate, KEY, SHA256))
    assert ", dane)" in world.send("x.test").text


@pytest.mark.parametrize(("names", "days"), [(("else.test",), 1), (("mx.x.test",), -1), ((), 1)])
def test_a_key_is_bound_whatever_its_certificate_says(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority, names: tuple[str, ...], days: int
) -> None:
    mine = serve(server, authority, *(names or ("a.test",)), days=days)
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(mine, KEY, SHA256))
    assert ", dane)" in world.send("x.test").text


@pytest.mark.parametrize("name", ["mx.x.test", "x.test", "*.x.test"])
@pytest.mark.parametrize("selector", [CERT, KEY])
def test_an_authority_proves_a_server_by_its_name(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority, name: str, selector: int
) -> None:
    serve(server, authority, name)
    world.zone.tlsa(RECORDS, TA, selector, SHA256, data(authority.certificate, selector, SHA256))
    report = world.send("x.test")
    assert ", dane)" in report.text, report


@pytest.mark.parametrize(("name", "days"), [("y.test", 1), ("mx.y.test", 1), ("m*.x.test", 1), ("mx.x.test", -1)])
def test_an_authority_proves_no_other_name_and_nothing_expired(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority, name: str, days: int
) -> None:
    serve(server, authority, name, days=days)
    world.zone.tlsa(RECORDS, TA, CERT, SHA256, data(authority.certificate, CERT, SHA256))
    assert world.send("x.test").letters == "Z"
    assert untouched(server)


def test_an_authority_that_everybody_trusts_proves_nothing_here(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority
) -> None:
    world.home.control(**{"tlsca.pem": (authority.directory / "authority.pem").read_bytes()})
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    assert world.send("x.test").letters == "Z"
    assert untouched(server)


@pytest.mark.parametrize(
    "script",
    [
        {"EHLO": b"250 hello"},
        {"STARTTLS": b"454 not now"},
        {"STARTTLS": b"220 go\r\n250 injected"},
        {"EHLO": b"502 no"},
    ],
)
def test_without_tls_such_a_server_gets_nothing(
    world: World, server: Smtp, certificate: x509.Certificate, script: dict[str, bytes]
) -> None:
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(certificate, KEY, SHA256))
    server.script.update(script)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert untouched(server)
    assert len(server.sessions) == 1


def test_the_next_exchanger_may_be_the_right_one(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority
) -> None:
    with Smtp({"EHLO": OFFER}) as liar:
        serve(liar, authority, "a.x.test")
        world.zone.records.pop("x.test")
        world.mx("x.test", (1, "a.x.test", "203.0.113.2", liar), (2, "mx.x.test", "203.0.113.1", server))
        world.zone.tlsa("_25._tcp.a.x.test", EE, KEY, SHA256, bytes(32))
        world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(certificate, KEY, SHA256))
        assert ", dane)" in world.send("x.test").text
        assert untouched(liar)


def test_two_addresses_of_one_exchanger_are_one_question(
    world: World, server: Smtp, certificate: x509.Certificate
) -> None:
    world.zone.address("mx.x.test", "203.0.113.2")
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    world.at("203.0.113.2", server)
    server.script["EHLO"] = OFFER
    assert world.send("x.test").letters == "Z"
    assert len(server.sessions) == 2
    assert len([query for _, query in world.dns.asked if b"\x04_tcp" in query]) == 1


# --- Records that are of no use --------------------------------------------------------


UNUSABLE = [
    (0, CERT, SHA256, bytes(32)),
    (1, KEY, SHA256, bytes(32)),
    (4, KEY, SHA256, bytes(32)),
    (255, KEY, SHA256, bytes(32)),
    (EE, 2, SHA256, bytes(32)),
    (EE, KEY, 3, bytes(32)),
    (EE, KEY, SHA256, bytes(31)),
    (EE, KEY, SHA512, bytes(32)),
    (EE, KEY, FULL, b"junk"),
    (TA, CERT, FULL, b"junk"),
]


@pytest.mark.parametrize("record", UNUSABLE)
def test_a_record_of_no_use_asks_for_tls_with_whomever(
    world: World, server: Smtp, certificate: x509.Certificate, record: tuple[int, int, int, bytes]
) -> None:
    world.zone.tlsa(RECORDS, *record)
    report = world.send("x.test")
    assert report.letters == "rK", report
    assert ", encrypted)" in report.text
    server.script["EHLO"] = b"250 hello"
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "it does not offer STARTTLS" in report.text
    assert untouched(server) or len(server.sessions) == 2


@pytest.mark.parametrize("record", UNUSABLE)
def test_a_record_of_no_use_beside_another_changes_nothing(
    world: World, server: Smtp, certificate: x509.Certificate, record: tuple[int, int, int, bytes]
) -> None:
    world.zone.tlsa(RECORDS, *record)
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(certificate, KEY, SHA256))
    assert ", dane)" in world.send("x.test").text
    world.zone.records[RECORDS].pop()
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes([1] * 32))
    server.script["EHLO"] = OFFER
    assert world.send("x.test").letters == "Z"


@pytest.mark.parametrize("content", [b"", b"\3\1", b"\3\1\1", b"\3\1\0"])
def test_a_record_that_is_too_short_to_be_one_allows_nothing_in_the_clear(
    world: World, server: Smtp, certificate: x509.Certificate, content: bytes
) -> None:
    """Some releases of c-ares give no answer with such a record in it."""
    world.zone.add(RECORDS, TLSA, content)
    server.script["EHLO"] = b"250 hello"
    assert world.send("x.test").letters == "Z"
    assert untouched(server)


# --- Where there is no DANE --------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.test", f"x.test/{MX}", "mx.x.test", f"mx.x.test/{A}", RECORDS])
def test_what_is_not_validated_binds_nobody(
    world: World, server: Smtp, certificate: x509.Certificate, name: str
) -> None:
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    world.zone.insecure.add(name)
    report = world.send("x.test")
    assert report.letters == "rK", report
    assert ", encrypted)" in report.text
    # A server of an unsigned zone may stumble over the question (RFC 7672 section 2.2.2).
    assert asked_for_tlsa(world) == (name == RECORDS)


@pytest.mark.parametrize("nameservers", [None, "127.0.0.1 127.0.0.2", "[192.0.2.1]:53\n"])
def test_only_resolvers_of_this_host_that_are_named_are_believed(
    world: World, server: Smtp, certificate: x509.Certificate, nameservers: str | None
) -> None:
    if nameservers is not None and "192" in nameservers:
        nameservers += f"[127.0.0.1]:{world.dns.port}"
    if nameservers is not None and " " in nameservers:
        world.home.control(nameservers=nameservers)
        assert "control/nameservers" in world.send("x.test").text
        return
    world.home.control(nameservers=nameservers)
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    report = world.send("x.test")
    assert ", encrypted)" in report.text, report
    assert not asked_for_tlsa(world)


@pytest.mark.parametrize("code", [NXDOMAIN, 0])
def test_without_records_tls_is_as_it_is_offered(
    world: World, server: Smtp, certificate: x509.Certificate, code: int
) -> None:
    world.zone.codes[RECORDS] = code
    assert ", encrypted)" in world.send("x.test").text
    assert asked_for_tlsa(world)


@pytest.mark.parametrize("how", ["servfail", "silence", "garbage", "half"])
def test_an_answer_that_is_missing_holds_the_mail_back(
    world: World, server: Smtp, certificate: x509.Certificate, how: str
) -> None:
    """Whoever holds it back could be the one in the way."""
    if how == "servfail":
        world.zone.codes[RECORDS] = SERVFAIL
    elif how == "silence":
        world.zone.silent.add(RECORDS)
    elif how == "half":
        record = bytes([EE, KEY, SHA256]) + data(certificate, KEY, SHA256)
        head = b"\x81\xa0\0\1\0\2\0\0\0\0" + name_bytes(RECORDS) + b"\0\x34\0\1"
        world.zone.raw[RECORDS] = head + b"\xc0\x0c\0\x34\0\1\0\0\0\x3c\0\x23" + record + b"\xc0\x0c\0\x34"
    else:
        world.zone.raw[RECORDS] = b"\x81\xa0\0\1\0\1\0\0\0\0" + b"\xff" * 40
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "203.0.113.1 (mx.x.test) is left alone for now: the DNS gives no valid answer" in report.text
    assert server.sessions == []


def test_the_next_exchanger_is_tried_behind_one_whose_answer_is_missing(
    world: World, server: Smtp, certificate: x509.Certificate
) -> None:
    with Smtp({"EHLO": OFFER}) as other:
        world.zone.records.pop("x.test")
        world.mx("x.test", (1, "a.x.test", "203.0.113.2", other), (2, "mx.x.test", "203.0.113.1", server))
        world.zone.codes["_25._tcp.a.x.test"] = SERVFAIL
        assert world.send("x.test").letters == "rK"
        assert other.sessions == []


@pytest.mark.parametrize("file", ["notlshosts", "tlsrequiredhosts"])
def test_control_files_have_the_last_word(world: World, server: Smtp, certificate: x509.Certificate, file: str) -> None:
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    world.home.control(**{file: "x.test"})
    report = world.send("x.test")
    assert report.letters == "rK"
    assert ("in the clear (notlshosts)" if file == "notlshosts" else ", encrypted)") in report.text
    assert not asked_for_tlsa(world)


def test_tls_for_every_destination_does_not_make_dane_less(
    world: World, server: Smtp, certificate: x509.Certificate
) -> None:
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    world.home.control(tlsrequiredhosts=":")
    assert world.send("x.test").letters == "Z"
    world.zone.records.pop(RECORDS)
    server.script["EHLO"] = b"250 hello"
    assert "must be spoken to by TLS (#4.7.4), and isn't" in world.send("x.test").text


def test_a_declared_name_goes_before_the_records(
    world: World, server: Smtp, certificate: x509.Certificate, authority: Authority
) -> None:
    world.home.control(
        tlsverifyhosts="x.test:mx.x.test", **{"tlsca.pem": (authority.directory / "authority.pem").read_bytes()}
    )
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    assert ", verified)" in world.send("x.test").text


def test_a_relay_is_this_sites_own_choice(world: World, server: Smtp, certificate: x509.Certificate) -> None:
    world.zone.tlsa("_25._tcp.mx.x.test", EE, KEY, SHA256, bytes(32))
    assert ", encrypted)" in routed(world, server).send("x.test").text
    assert not asked_for_tlsa(world)


# --- Names behind names ------------------------------------------------------------------


def test_a_host_without_exchangers_is_its_own(world: World, server: Smtp, authority: Authority) -> None:
    world.zone.address("x.test", "203.0.113.1")
    world.at("203.0.113.1", server)
    mine = serve(server, authority, "x.test")
    world.zone.tlsa("_25._tcp.x.test", EE, KEY, SHA256, data(mine, KEY, SHA256))
    assert ", dane)" in world.send("x.test").text
    world.zone.insecure.add(f"x.test/{MX}")
    assert ", encrypted)" in world.send("x.test").text or server.script.update(EHLO=OFFER) is None


def aliased(world: World, server: Smtp) -> None:
    """Let the exchanger of x.test be an alias of real.y.test."""
    world.zone.mx("x.test", (1, "mx.x.test"))
    world.zone.alias("mx.x.test", "real.y.test")
    world.zone.address("real.y.test", "203.0.113.1")
    world.at("203.0.113.1", server)


def test_the_records_of_where_an_alias_leads_go_first(world: World, server: Smtp, authority: Authority) -> None:
    aliased(world, server)
    mine = serve(server, authority, "any.test")
    world.zone.tlsa("_25._tcp.real.y.test", EE, KEY, SHA256, data(mine, KEY, SHA256))
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    report = world.send("x.test")
    assert ", dane)" in report.text, report
    assert server.sessions[0].server_name == "real.y.test"


def test_then_those_of_the_alias(world: World, server: Smtp, authority: Authority) -> None:
    aliased(world, server)
    mine = serve(server, authority, "any.test")
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(mine, KEY, SHA256))
    report = world.send("x.test")
    assert ", dane)" in report.text, report
    assert server.sessions[0].server_name == "mx.x.test"


def test_an_alias_out_of_a_signed_zone_has_its_own_records(world: World, server: Smtp, authority: Authority) -> None:
    aliased(world, server)
    world.zone.insecure.add("real.y.test")
    serve(server, authority, "any.test")
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    world.zone.tlsa("_25._tcp.real.y.test", EE, KEY, SHA256, bytes(32))
    report = world.send("x.test")
    assert "TLSA records of _25._tcp.mx.x.test" in report.text
    assert not any(b"\x04_tcp\x04real" in query for _, query in world.dns.asked)
    world.zone.insecure.add(f"mx.x.test/{CNAME}")
    server.script["EHLO"] = [OFFER, lines(b"250", b"hello again")]
    assert ", encrypted)" in world.send("x.test").text


@pytest.mark.parametrize("missing", ["_25._tcp.real.y.test", f"mx.x.test/{CNAME}"])
def test_a_missing_answer_on_the_way_of_an_alias(
    world: World, server: Smtp, authority: Authority, missing: str
) -> None:
    aliased(world, server)
    serve(server, authority, "any.test")
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    world.zone.codes[missing] = SERVFAIL
    if missing.startswith("mx"):
        world.zone.insecure.add("real.y.test")
    assert "is left alone for now" in world.send("x.test").text
    assert server.sessions == []


@pytest.mark.parametrize(
    ("name", "letters"), [("x.test", "rK"), ("y.test", "rK"), ("mx.y.test", "rK"), ("z.test", "Z")]
)
def test_where_the_mail_is_for_is_a_name_before_and_behind_its_alias(
    world: World, server: Smtp, authority: Authority, name: str, letters: str
) -> None:
    world.zone.alias("x.test", "y.test")
    world.mx("y.test", (1, "mx.y.test", "203.0.113.1", server))
    serve(server, authority, name)
    world.zone.tlsa("_25._tcp.mx.y.test", TA, CERT, SHA256, data(authority.certificate, CERT, SHA256))
    report = world.send("x.test")
    assert report.letters == letters, report


def test_records_behind_an_alias_of_their_own(world: World, server: Smtp, certificate: x509.Certificate) -> None:
    world.zone.alias(RECORDS, "keys.x.test")
    world.zone.tlsa("keys.x.test", EE, KEY, SHA256, data(certificate, KEY, SHA256))
    assert ", dane)" in world.send("x.test").text
    world.zone.insecure.add("keys.x.test")
    server.script["EHLO"] = [OFFER, lines(b"250", b"hello again")]
    assert ", encrypted)" in world.send("x.test").text


def test_an_ipv6_answer_that_is_missing_makes_nothing_insecure(
    world: World, server: Smtp, certificate: x509.Certificate
) -> None:
    world.zone.codes[f"mx.x.test/{AAAA}"] = SERVFAIL
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, bytes(32))
    assert world.send("x.test").letters == "Z"
    assert untouched(server)


def test_old_ciphers_are_no_proof(world: World, server: Smtp, certificate: x509.Certificate) -> None:
    assert server.tls is not None
    server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    server.tls.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    world.zone.tlsa(RECORDS, EE, KEY, SHA256, data(certificate, KEY, SHA256))
    assert world.send("x.test").letters == "Z"


@pytest.mark.parametrize("line", ["resolver.test", "127.0.0.1:53", "[127.0.0.1", "[127.0.0.1]:0", "[127.0.0.1]x"])
def test_a_line_of_nameservers_that_is_none(world: World, line: str) -> None:
    world.home.control(nameservers=line)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "control/nameservers" in report.text
