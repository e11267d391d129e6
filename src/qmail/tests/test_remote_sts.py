"""qmail-remote and MTA-STS (RFC 8461), what it tells for the reports of RFC 8460, and IPv6 by name."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.authority import Authority
from lab.policies import Policies
from lab.remoteworld import World, routed
from lab.servers import PTR, SERVFAIL, TLSA, Dns, Smtp, Zone, lines, name_bytes
from lab.suite import Home

OFFER = lines(b"250", b"hello", b"STARTTLS", b"SIZE")
ENFORCE = b"enforce 1 604800\nmx.x.test\n*.y.test\n"
TESTING = ENFORCE.replace(b"enforce", b"testing")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority."""
    return Authority.make(tmp_path, "authority")


@pytest.fixture
def world(home: Home, authority: Authority) -> Iterator[World]:
    """Make a world whose host trusts the authority, as any of the Web's."""
    home.control(timeoutremote="3", policysocket=str(home.path / "policy"))
    with Dns(Zone()) as dns:
        yield World(home, dns, env={"SSL_CERT_FILE": str(authority.directory / "authority.pem")})


@pytest.fixture
def policies(world: World) -> Iterator[Policies]:
    """Make the service, with a policy for x.test to be enforced."""
    with Policies(world.home.path / "policy", {"x.test": ENFORCE}) as service:
        yield service


@pytest.fixture
def server(world: World, authority: Authority) -> Iterator[Smtp]:
    """Make the exchanger of x.test."""
    with Smtp({"EHLO": [OFFER, lines(b"250", b"hello again", b"SIZE")]}) as smtp:
        authority.serve(smtp, "mx.x.test")
        world.mx("x.test", (1, "mx.x.test", "203.0.113.1", smtp))
        yield smtp


def untouched(server: Smtp) -> bool:
    """Tell that nothing of a message was said to the server."""
    return not any(command.startswith(b"MAIL") for command in server.commands)


# --- Enforced ------------------------------------------------------------------------------


def test_a_certificate_for_the_exchanger_that_the_policy_names(world: World, policies: Policies, server: Smtp) -> None:
    report = world.send("x.test")
    assert report.letters == "rK", report
    assert ", sts)" in report.text
    assert server.sessions[0].server_name == "mx.x.test"
    assert policies.asked == ["x.test"]


@pytest.mark.parametrize("mx", ["mx.x.test", "MX.X.test", "any.y.test"])
def test_names_are_compared_as_the_rfc_has_it(
    world: World, policies: Policies, server: Smtp, authority: Authority, mx: str
) -> None:
    world.zone.records.clear()
    world.mx("x.test", (1, mx, "203.0.113.1", server))
    authority.serve(server, mx.lower())
    assert ", sts)" in world.send("x.test").text


@pytest.mark.parametrize("mx", ["y.test", "a.b.y.test", "amx.x.test", "x.test", "xmx.x.test", "mx.x.test.evil.test"])
def test_an_exchanger_that_the_policy_does_not_name_is_left_alone(
    world: World, policies: Policies, server: Smtp, authority: Authority, mx: str
) -> None:
    world.zone.records.clear()
    world.mx("x.test", (1, mx, "203.0.113.1", server))
    authority.serve(server, mx)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert f"203.0.113.1 ({mx}) is left alone: the domain's MTA-STS policy does not name it. (#4.7.5)" in report.text
    assert server.sessions == []


@pytest.mark.parametrize(("name", "days"), [("x.test", 1), ("else.test", 1), ("mx.x.test", -1), ("m*.x.test", 1)])
def test_another_certificate_gets_nothing(
    world: World, policies: Policies, server: Smtp, authority: Authority, name: str, days: int
) -> None:
    authority.serve(server, name, days=days)
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "must prove to be mx.x.test, as the domain's MTA-STS policy has it (#4.7.5), and doesn't: " in report.text
    assert untouched(server)


def test_tlsca_is_not_what_policies_go_by(
    world: World, policies: Policies, server: Smtp, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir()
    Authority.make(tmp_path / "s", "ours").serve(server, "mx.x.test")
    world.home.control(**{"tlsca.pem": (tmp_path / "s/ours.pem").read_bytes()})
    assert world.send("x.test").letters == "Z"
    authority.serve(server, "mx.x.test")
    server.script["EHLO"] = [OFFER, b"250 again"]
    assert ", sts)" in world.send("x.test").text


@pytest.mark.parametrize(
    "script",
    [{"EHLO": b"250 hello"}, {"STARTTLS": b"454 no"}, {"STARTTLS": None}, {"STARTTLS": b"220 go\r\n250 injected"}],
)
def test_without_tls_such_a_domain_gets_nothing(
    world: World, policies: Policies, server: Smtp, script: dict[str, bytes | None]
) -> None:
    server.script.update(script)
    assert world.send("x.test").letters == "Z"
    assert untouched(server)
    assert len(server.sessions) == 1


def test_the_next_exchanger_may_be_the_right_one(world: World, policies: Policies, server: Smtp) -> None:
    with Smtp({"EHLO": OFFER}) as other:
        world.zone.records.pop("x.test")
        world.mx("x.test", (1, "mx.evil.test", "203.0.113.2", other), (2, "mx.x.test", "203.0.113.1", server))
        assert ", sts)" in world.send("x.test").text
        assert other.sessions == []
        assert policies.asked == ["x.test"]


# --- In testing, and none ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["mx.x.test", "else.test"])
def test_in_testing_nothing_is_refused_and_everything_told(
    world: World, policies: Policies, server: Smtp, authority: Authority, name: str
) -> None:
    policies.answers["x.test"] = TESTING
    authority.serve(server, name)
    report = world.send("x.test")
    assert report.letters == "rK"
    assert (", encrypted; MTA-STS in testing: certificate verify failed: " in report.text) == (name == "else.test")
    ((_, policy, outcome, *_),) = policies.results(1)
    assert policy == "policy sts"
    assert (outcome == "outcome success") == (name == "mx.x.test")


def test_in_testing_another_exchanger_is_told(
    world: World, policies: Policies, server: Smtp, authority: Authority
) -> None:
    policies.answers["x.test"] = TESTING.replace(b"mx.x.test", b"mx.z.test")
    assert world.send("x.test").letters == "rK"
    assert policies.results(1)[0][2] == "outcome failure not one of the policy's mx"


def test_in_testing_the_clear_will_do(world: World, policies: Policies, server: Smtp) -> None:
    policies.answers["x.test"] = TESTING
    server.script["EHLO"] = b"250 hello"
    report = world.send("x.test")
    assert "accepted the message in the clear (it does not offer STARTTLS)" in report.text
    assert policies.results(1)[0][1:3] == ["policy sts", "outcome failure it does not offer STARTTLS"]


def test_without_a_policy_tls_is_as_it_is_offered(
    world: World, policies: Policies, server: Smtp, authority: Authority
) -> None:
    policies.answers.clear()
    authority.serve(server, "else.test")
    assert ", encrypted)" in world.send("x.test").text
    assert policies.results(1) == [
        ["result x.test", "policy none", "outcome success", "mx mx.x.test", "ip 203.0.113.1", "from 127.0.0.1"]
    ]


# --- The service ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"Z too much to do\n", "too much to do"),
        (b"Z evil\x1b[2J\nx\n", "is not understood"),
        (b"Z evil\x1b[2J\n", "evil?[2J"),
        (b"junk\n", "is not understood"),
        (b"enforce 1 604800\n", "is not understood"),
        (b"enforce 1 604800\nmx", "is not understood"),
        (b"enforce 1\nmx.x.test\n", "is not understood"),
        (b"none", "is not understood"),
        (b"", "went away"),
        (None, "went away"),
    ],
)
def test_what_can_not_be_known_holds_the_mail_back(
    world: World, policies: Policies, server: Smtp, answer: bytes | None, why: str
) -> None:
    policies.answers["x.test"] = answer or None
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "is left alone for now: the service that knows its MTA-STS policy says: " in report.text
    assert why in report.text
    assert server.sessions == []


def test_a_service_that_is_not_there_is_waited_for(world: World, server: Smtp) -> None:
    began = time.monotonic()
    report = world.send("x.test")
    assert report.letters == "Z"
    assert "No such file or directory" in report.text
    assert 0.4 < time.monotonic() - began < 5
    assert server.sessions == []


def test_a_service_that_says_nothing_has_its_time(world: World, server: Smtp) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(world.home.path / "policy"))
        door.listen()
        began = time.monotonic()
        assert "timed out" in world.send("x.test").text
        assert time.monotonic() - began < 10


def test_without_a_socket_nobody_is_asked(world: World, policies: Policies, server: Smtp) -> None:
    world.home.control(policysocket=None)
    assert ", encrypted)" in world.send("x.test").text
    assert not policies.asked
    assert not policies.told


@pytest.mark.parametrize("file", ["notlshosts", "tlsrequiredhosts"])
def test_control_files_have_the_last_word(
    world: World, policies: Policies, server: Smtp, authority: Authority, file: str
) -> None:
    authority.serve(server, "else.test")
    world.home.control(**{file: "x.test"})
    assert world.send("x.test").letters == "rK"
    assert not policies.asked
    assert not policies.told


def test_a_relay_is_this_sites_own_choice(world: World, policies: Policies, server: Smtp) -> None:
    assert ", encrypted)" in routed(world, server).send("x.test").text
    assert not policies.asked
    assert not policies.told


# --- DANE goes first -------------------------------------------------------------------------


def signed(world: World) -> None:
    """Let the resolver be believed, and everything be validated."""
    world.zone.secure.add("")
    world.home.control(nameservers=f"[127.0.0.1]:{world.dns.port}")


def test_a_policy_does_not_make_dane_less(world: World, policies: Policies, server: Smtp) -> None:
    signed(world)
    world.zone.tlsa("_25._tcp.mx.x.test", 3, 1, 1, bytes(32))
    report = world.send("x.test")
    assert report.letters == "Z"
    assert untouched(server)
    assert policies.asked == []
    (told,) = policies.results(1)
    assert told[:2] == ["result x.test", "policy tlsa"]
    assert "DANE TLSA" in told[2]
    assert told[-1] == "tlsa 3 1 1 " + "00" * 32


def test_an_exchanger_without_records_goes_by_the_policy(world: World, policies: Policies, server: Smtp) -> None:
    signed(world)
    assert ", sts)" in world.send("x.test").text


def test_a_missing_answer_is_told(world: World, policies: Policies, server: Smtp) -> None:
    signed(world)
    world.zone.codes[f"_25._tcp.mx.x.test/{TLSA}"] = SERVFAIL
    assert world.send("x.test").letters == "Z"
    assert policies.results(1)[0][1:3] == [
        "policy tlsa",
        "outcome failure dnssec-invalid: no valid answer for TLSA",
    ]


# --- IPv6 by name ------------------------------------------------------------------------------

REVERSE = "1." + "0." * 31 + "ip6.arpa"


def both(world: World, server: Smtp) -> Smtp:
    """Give the exchanger an IPv6 address, and this host one to send from."""
    six = Smtp({"EHLO": OFFER}, host="::1")
    six.script["EHLO"] = b"250 hello"
    world.zone.address("mx.x.test", "2001:db8::1")
    world.at("2001:db8::1", six)
    world.where["2001:db8::1"] = f"::1:{six.port}"
    world.home.control(outgoingip="::1", policysocket=None)
    return six


@pytest.mark.parametrize(
    ("mode", "names", "six"),
    [
        ("auto", {"host.test": "::1"}, True),
        ("auto", {"other.test": "2001:db8::5", "host.test": "::1"}, True),
        ("auto", {"host.test": "2001:db8::5"}, False),
        ("auto", {"host.test": ""}, False),
        ("auto", {}, False),
        ("no", {"host.test": "::1"}, False),
        ("yes", {}, True),
        (None, {}, True),
    ],
)
def test_ipv6_is_used_where_the_own_address_has_a_name(
    world: World, server: Smtp, mode: str | None, names: dict[str, str], six: bool
) -> None:
    other = both(world, server)
    world.home.control(outgoingipv6=mode)
    for name, address in names.items():
        world.zone.add(REVERSE, PTR, name_bytes(name))
        if address:
            world.zone.address(name, address)
    assert world.send("x.test").letters == "rK"
    assert (bool(other.sessions), bool(server.sessions)) == (six, not six)
    other.stop()


def test_a_host_without_ipv4_is_tried_all_the_same(world: World, server: Smtp) -> None:
    other = both(world, server)
    world.home.control(outgoingipv6="no")
    world.zone.records["mx.x.test"] = world.zone.records["mx.x.test"][1:]
    assert world.send("x.test").letters == "rK"
    assert other.sessions
    other.stop()


def test_another_word_in_outgoingipv6_is_none(world: World) -> None:
    world.home.control(outgoingipv6="perhaps")
    assert "control/outgoingipv6" in world.send("x.test").text
