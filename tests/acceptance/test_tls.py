"""SMTPS and POP3S: TLS from the first byte, with a certificate that a client can verify."""

import ssl
import warnings

import pytest

from tests.acceptance.talk import Channel, Person, Pop3, Site, Smtp, fetch

SERVICES = ["smtps", "pop3s"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_chain_and_the_name_are_verified_by_a_client_that_trusts_the_authority(site: Site, service: str) -> None:
    with Channel(site, service, site.trust()) as channel:
        assert channel.line()[:3] in (b"220", b"+OK")


@pytest.mark.parametrize("service", SERVICES)
def test_the_certificate_is_for_no_other_name(site: Site, service: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Channel(site, service, site.trust(), name="other.example.net")


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_that_trusts_nobody_is_not_satisfied(site: Site, service: str) -> None:
    trust_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        Channel(site, service, trust_nobody)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(site: Site, service: str, version: ssl.TLSVersion) -> None:
    tls = site.trust()
    tls.minimum_version = tls.maximum_version = version
    with Channel(site, service, tls) as channel:
        assert channel.line()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_older_versions_are_refused(site: Site, service: str, version: str) -> None:
    tls = site.trust()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion[version]
    # Without this it would be the client that refuses.
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Channel(site, service, tls).line()


@pytest.mark.parametrize("service", SERVICES)
def test_plain_text_gets_no_service(site: Site, service: str) -> None:
    with Channel(site, service) as channel:
        channel.send(b"EHLO client.example.test\r\n")
        channel.socket.settimeout(5)
        try:
            answer = channel.line()
        except (EOFError, OSError):
            return
        assert not answer.startswith((b"220", b"250", b"+OK"))


def test_a_message_sent_over_smtps_arrives(site: Site, alice: Person, bob: Person, marker: str) -> None:
    with Smtp(site, "smtps", site.trust()) as smtp:
        assert smtp.greeting.code == 220
        reply = smtp.submit(alice.address, [bob.address], f"Subject: {marker}\r\n\r\nover TLS\r\n".encode())
        assert reply.code == 250
    assert b"over TLS" in fetch(site, bob, marker)


def test_tls_gives_a_stranger_no_right_to_relay(site: Site) -> None:
    with Smtp(site, "smtps", site.trust()) as smtp:
        smtp.say("EHLO client.example.test")
        smtp.say("MAIL FROM:<stranger@example.org>")
        assert 500 <= smtp.say("RCPT TO:<somebody@example.com>").code < 600


def test_a_session_that_says_nothing_costs_the_others_nothing(site: Site, alice: Person) -> None:
    idle = [Channel(site, "smtps", site.trust()) for _ in range(3)]
    with Pop3(site).login(alice) as pop:
        pop.ok("QUIT")
    for channel in idle:
        channel.close()
