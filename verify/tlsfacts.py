"""What a site's TLS doors show: certificates, versions, ciphers; by our own client, by sslscan and by testssl.sh."""

import hashlib
import json
import shutil
import ssl
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from verify.progress import doing, elapsed, say
from verify.talk import Channel, Site, Smtp

PLACES = ("starttls", "smtps", "submission", "pop3s")
SCAN_SECONDS = 600
_TESTSSL_BAD = ("HIGH", "CRITICAL")
# What X509_verify_cert(3) says of a chain that leads to nobody who is trusted.
_STRANGER = {2, 18, 19, 20, 21}
_OLD = {("ssl", "2"), ("ssl", "3"), ("tls", "1.0"), ("tls", "1.1")}


@dataclass
class Facts:
    """What one door shows; `trouble` says why if nothing."""

    place: str
    port: int
    trouble: str = ""
    protocol: str = ""
    cipher: str = ""
    names: list[str] = field(default_factory=list)
    issuer: str = ""
    not_after: str = ""
    days_left: int | None = None
    key: str = ""
    sha256: str = ""

    def line(self) -> str:
        """Give it in one line."""
        if self.trouble:
            return self.trouble
        return (
            f"{self.protocol} {self.cipher}, {self.key}, {', '.join(self.names)}, by {self.issuer}, "
            f"until {self.not_after[:10]} ({self.days_left} days)"
        )


@dataclass
class Scan:
    """What a scanner found at one door."""

    program: str
    place: str
    faults: list[str]


def _connect(site: Site, place: str, tls: ssl.SSLContext) -> Channel:
    if place == "pop3s":
        return Channel(site, place, tls)
    return Smtp.through(site, place, tls)


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    size = getattr(key, "key_size", None)
    return f"{type(key).__name__.removesuffix('PublicKey').lstrip('_')}{f' {size}' if size else ''}"


def facts_of(site: Site, place: str) -> Facts:
    """Look at one door. Trust is not judged here, so that any certificate can be shown."""
    found = Facts(place, site.ports["smtp" if place == "starttls" else place] or 0)
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        with _connect(site, place, tls) as channel:
            assert isinstance(channel.socket, ssl.SSLSocket)  # noqa: S101 (wrapped in the line above)
            der = channel.socket.getpeercert(binary_form=True)
            found.protocol, cipher = channel.socket.version() or "", channel.socket.cipher()
    except (OSError, EOFError, AssertionError) as error:
        found.trouble = f"no TLS: {error}".splitlines()[0]
        return found
    certificate = x509.load_der_x509_certificate(der or b"")
    found.cipher = cipher[0] if cipher else ""
    found.sha256 = hashlib.sha256(der or b"").hexdigest()
    found.issuer = certificate.issuer.rfc4514_string()
    found.not_after = certificate.not_valid_after_utc.isoformat()
    found.days_left = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    found.key = _key(certificate)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found.names = [str(name.value) for name in names]
    except x509.ExtensionNotFound:
        found.names = []
    return found


def look(data: dict[str, Any]) -> list[Facts]:
    """Look at each door that the site has."""
    site = Site.from_json(data)
    return [facts_of(site, place) for place in PLACES if site.has(place)]


def strangers(data: dict[str, Any]) -> bool:
    """Tell whether all doors' certificates come from an authority that isn't trusted here, whatever else they are."""
    site = Site.from_json(data)
    tls = site.trust()
    tls.check_hostname = False
    found = False
    for place in PLACES:
        if not site.has(place):
            continue
        try:
            _connect(site, place, tls).close()
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _STRANGER:
                return False
            found = True
        except (OSError, EOFError, AssertionError):
            continue
        else:
            return False
    return found


def sslscan_faults(text: str) -> list[str]:
    """Give what is wrong according to sslscan's XML."""
    test = ET.fromstring(text).find("ssltest")  # noqa: S314 (a program of this machine wrote it)
    if test is None:
        return ["sslscan could not scan this"]
    faults = [
        f"{protocol.get('type', '').upper()} {protocol.get('version')} is spoken"
        for protocol in test.findall("protocol")
        if protocol.get("enabled") == "1" and (protocol.get("type"), protocol.get("version")) in _OLD
    ]
    faults += [f"heartbleed ({h.get('sslversion')})" for h in test.findall("heartbleed") if h.get("vulnerable") == "1"]
    faults += ["TLS is compressed" for c in test.findall("compression") if c.get("supported") == "1"]
    faults += [
        f"{cipher.get('cipher')} ({cipher.get('sslversion')}) is {cipher.get('strength')}"
        for cipher in test.findall("cipher")
        if cipher.get("strength") in ("weak", "null", "anonymous", "insecure")
    ]
    return faults


def testssl_faults(text: str) -> list[str]:
    """Give what testssl.sh's JSON calls a high or critical risk; trust is the suite's, which knows the authority."""
    rows = json.loads(text)
    if not any(row["id"] == "TLS1_2" for row in rows):
        return ["testssl.sh could not scan this"]
    return [
        f"{row['id']}: {row['finding']}"
        for row in rows
        if row.get("severity") in _TESTSSL_BAD
        and not row["id"].startswith(("cert_chain_of_trust", "cert_caIssuers", "cert_revocation", "engine_problem"))
    ]


def _sslscan(program: str, site: Site, place: str, port: int, seconds: float) -> list[str]:
    address = f"[{site.address}]" if ":" in site.address else site.address
    command = [program, "--no-colour", "--xml=-", f"--sni-name={site.name(place)}"]
    command += ["--starttls-smtp"] if place in ("starttls", "submission") else []
    result = subprocess.run([*command, f"{address}:{port}"], capture_output=True, timeout=seconds, check=False)
    return sslscan_faults(result.stdout.decode("utf-8", "replace"))


def _testssl(program: str, site: Site, place: str, port: int, seconds: float) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        file = Path(directory) / "testssl.json"
        command = [program, "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", site.address]
        command += ["--protocols", "--std", "--server-defaults", "--vulnerable", "--jsonfile", str(file)]
        command += ["--starttls", "smtp"] if place in ("starttls", "submission") else []
        subprocess.run(
            [*command, f"{site.name(place)}:{port}"], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=seconds, check=False,
        )  # fmt: skip
        return testssl_faults(file.read_text()) if file.exists() else ["testssl.sh could not scan this"]


def scan(data: dict[str, Any], until: float) -> list[Scan]:
    """Have each door looked at by the scanners that are installed, until a moment (as `elapsed` has it)."""
    site = Site.from_json(data)
    scanners = {
        "sslscan": ("sslscan", _sslscan),
        "testssl.sh": ("testssl.sh", _testssl),
        "testssl": ("testssl", _testssl),
    }
    scans: list[Scan] = []
    for program, (name, run) in scanners.items():
        path = shutil.which(program)
        if not path:
            continue
        for place in PLACES:
            port = site.ports["smtp" if place == "starttls" else place]
            if port is None or not site.has(place):
                continue
            say(f"{name}: {place}")
            doing(f"{name}: {place}")
            try:
                faults = run(path, site, place, port, max(1.0, min(SCAN_SECONDS, until - elapsed())))
            except (subprocess.TimeoutExpired, ET.ParseError, ValueError) as error:
                faults = [f"{name} gave no result: {error}"]
            scans.append(Scan(name, place, faults))
    return scans
