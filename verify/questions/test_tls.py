"""TLS at every door that has it: a certificate that clients can verify, today's versions, no weak ciphers."""

import datetime
import re
import secrets
import shutil
import ssl
import subprocess
import warnings
from pathlib import Path

import pytest

from verify.talk import Channel, Person, Pop3, Site, Smtp

# Each way to TLS; STARTTLS is ours.
TLS = [
    "smtps",
    "pop3s",
    pytest.param("starttls", marks=pytest.mark.beyond_classic),
    pytest.param("submission", marks=pytest.mark.beyond_classic),
]
# TLS 1.2 cipher suites (the numbers are IANA's) without forward secrecy, encryption or authentication, or broken ones.
# OpenSSL does not know all of them any more, so they are offered by a greeting of our own.
WEAK = {
    "RSA key exchange": "009c 009d 002f 0035 003c 003d",
    "CBC": "c009 c00a c013 c014 c023 c024 c027 c028 0033 0039 0067 006b",
    "3DES": "000a c008 c012 0016",
    "single DES": "0009 0015",
    "RC4": "0004 0005 c007 c011",
    "export strength": "0003 0006 0008 0011 0014 0062 0064",
    "no encryption": "0001 0002 003b c006 c010",
    "no authentication": "0018 001b 0034 003a 006c 006d 00a6 00a7 c018 c019",
    "pre-shared key": "008c 008d 00a8 00a9 ccab",
}
GOOD = "c02b c02f c02c c030 cca8 cca9"
RENEWAL_DAYS = 7
"""A certificate that ends sooner than this was not renewed in time."""


@pytest.fixture(params=TLS)
def place(request: pytest.FixtureRequest, site: Site) -> str:
    """Give each place where the site speaks TLS."""
    name = str(request.param)
    if not site.has(name):
        pytest.skip(f"this site has no {name}")
    return name


def before_tls(site: Site, place: str) -> Channel:
    """Have a channel on which the next byte is TLS's first."""
    if place in ("smtps", "pop3s"):
        return Channel(site, place)
    smtp = Smtp(site, "smtp" if place == "starttls" else place)
    smtp.ehlo()
    assert smtp.say("STARTTLS").code == 220
    return smtp


def connect(site: Site, place: str, tls: ssl.SSLContext, name: str | None = None) -> Channel:
    """Have an encrypted channel, and read what the server says first there, if anything."""
    if place in ("smtps", "pop3s"):
        channel = Channel(site, place, tls, name)
        channel.line()
        return channel
    smtp = before_tls(site, place)
    assert isinstance(smtp, Smtp)
    smtp.start_tls(tls, name or site.name(place))
    smtp.ehlo()
    return smtp


def certificate(site: Site, place: str) -> dict[str, object]:
    """Give the fields of the certificate that is shown."""
    with connect(site, place, site.trust()) as channel:
        assert isinstance(channel.socket, ssl.SSLSocket)
        fields = channel.socket.getpeercert()
    assert fields
    return dict(fields)


def test_the_chain_and_the_name_are_verified_by_a_client_that_trusts_the_authority(site: Site, place: str) -> None:
    connect(site, place, site.trust()).close()


def test_the_certificate_is_for_no_other_name(site: Site, place: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(site, place, site.trust(), name="other.example.net")


def test_a_client_that_trusts_nobody_is_not_satisfied(site: Site, place: str) -> None:
    trust_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(site, place, trust_nobody)


def test_the_certificate_is_good_for_some_days_still(site: Site, place: str) -> None:
    end = ssl.cert_time_to_seconds(str(certificate(site, place)["notAfter"]))
    left = datetime.datetime.fromtimestamp(end, datetime.UTC) - datetime.datetime.now(datetime.UTC)
    assert left.days >= RENEWAL_DAYS, f"it ends in {left.days} days"


def test_the_host_is_among_the_certificates_alternative_names(site: Site, place: str) -> None:
    """RFC 9525: the common name does not count."""
    assert "subjectAltName" in certificate(site, place)


def test_openssl_verifies_it_strictly(site: Site, place: str) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed here")
    port = site.ports["smtp" if place == "starttls" else place]
    address = f"[{site.address}]" if ":" in site.address else site.address
    command = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", site.name(place)]
    command += ["-verify_hostname", site.name(place), "-verify_return_error", "-x509_strict", "-purpose", "sslserver"]
    command += ["-CAfile", str(site.ca_file)] if site.ca_file else []
    command += ["-starttls", "smtp"] if place in ("starttls", "submission") else []
    result = subprocess.run(command, input=b"QUIT\r\n", capture_output=True, timeout=30, check=False)
    assert b"Verify return code: 0 (ok)" in result.stdout, (result.stdout[-800:], result.stderr[-400:])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def test_this_version_is_spoken(site: Site, place: str, version: ssl.TLSVersion) -> None:
    tls = site.trust()
    tls.minimum_version = tls.maximum_version = version
    connect(site, place, tls).close()


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_this_older_version_is_refused(site: Site, place: str, version: str) -> None:
    tls = site.trust()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion[version]
    # Without this it would be the client that refuses.
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        connect(site, place, tls)


def hello(host: str, suites: str) -> bytes:
    """Give a TLS 1.2 ClientHello (RFC 5246 section 7.4.1.2) that offers just these suites."""

    def sized(data: bytes, octets: int = 2) -> bytes:
        return len(data).to_bytes(octets, "big") + data

    numbers = bytes.fromhex(suites)
    extensions = {
        0: sized(b"\0" + sized(host.encode())),
        10: sized(bytes.fromhex("001d 0017 0018")),
        11: sized(b"\0", 1),
        13: sized(bytes.fromhex("0403 0804 0401 0503 0805 0501 0603 0806 0601 0203 0201")),
    }
    packed = b"".join(kind.to_bytes(2, "big") + sized(data) for kind, data in extensions.items())
    body = b"\3\3" + secrets.token_bytes(32) + b"\0" + sized(numbers) + b"\1\0" + sized(packed)
    return b"\x16\3\1" + sized(b"\1" + sized(body, 3))


def takes(site: Site, place: str, suites: str) -> bool:
    """Tell whether the server goes on with a client that offers just these suites."""
    channel = before_tls(site, place)
    with channel:
        channel.send(hello(site.name(place), suites))
        try:
            answer = channel.socket.recv(6)
        except ConnectionError:
            return False
    return answer[:1] == b"\x16" and answer[5:6] in (b"", b"\2")


@pytest.mark.parametrize("kind", WEAK)
def test_a_client_with_nothing_but_weak_ciphers_gets_no_session(site: Site, place: str, kind: str) -> None:
    assert not takes(site, place, WEAK[kind])


def test_a_client_with_good_ciphers_gets_a_session(site: Site, place: str) -> None:
    assert takes(site, place, GOOD)


def test_the_cipher_that_is_chosen_has_forward_secrecy_and_authenticated_encryption(site: Site, place: str) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = site.trust()
        tls.minimum_version = tls.maximum_version = version
        with connect(site, place, tls) as channel:
            assert isinstance(channel.socket, ssl.SSLSocket)
            chosen = channel.socket.cipher()
        assert chosen
        assert re.match(r"(?:ECDHE|DHE).*(?:GCM|CHACHA20|CCM)|TLS_", chosen[0]), chosen


def test_nothing_is_compressed(site: Site, place: str) -> None:
    """CRIME."""
    with connect(site, place, site.trust()) as channel:
        assert isinstance(channel.socket, ssl.SSLSocket)
        assert channel.socket.compression() is None


@pytest.mark.parametrize("service", ["smtps", "pop3s"])
def test_plain_text_gets_no_service(site: Site, service: str) -> None:
    if not site.has(service):
        pytest.skip(f"this site has no {service}")
    with Channel(site, service) as channel:
        channel.send(b"EHLO client.example.test\r\n")
        channel.socket.settimeout(5)
        try:
            answer = channel.line()
        except (EOFError, OSError):
            return
        assert not answer.startswith((b"220", b"250", b"+OK"))


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\xff\xff" + b"\x01" * 300, b"\x80\x2e\x01\x00\x02", b"\x16\x03\x01\x00\x05"]
)
def test_a_broken_handshake_does_no_harm(site: Site, place: str, noise: bytes) -> None:
    """A greeting with a wrong length, one of SSL 2, and one that breaks off."""
    channel = before_tls(site, place)
    with channel:
        channel.send(noise)
    connect(site, place, site.trust()).close()


def test_a_client_that_has_verified_with_another_authority_does_not_connect(
    site: Site, place: str, tmp_path: Path
) -> None:
    """With the authorities that this machine knows: a site with one of its own is not trusted by it."""
    if site.ca_file is None:
        pytest.skip("the site's authority is one that this machine knows")
    other = tmp_path / "other.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=another authority", "-keyout", str(tmp_path / "other.key"), "-out", str(other)]
    subprocess.run(command, capture_output=True, check=True, timeout=30)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(site, place, ssl.create_default_context(cafile=other))


@pytest.mark.taxing
def test_sessions_that_say_nothing_cost_the_others_nothing(site: Site, alice: Person) -> None:
    idle = [Channel(site, "smtps", site.trust()) for _ in range(3)]
    with Pop3(site).login(alice) as pop:
        pop.ok("QUIT")
    for channel in idle:
        channel.close()
