"""A public key infrastructure for tests, with every fault that a real one may have."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
HOST = "mail.example.test"


@functools.cache
def slow_key(kind: str) -> Any:
    """Give a key that takes long to make; the same one each time."""
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    # 1024 bits are what the tests want to see refused
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind))


def new_key(kind: str = "ecdsa") -> Any:
    """Make a key: ecdsa, p384, ed25519, ed448, an RSA size, dsa."""
    makers = {
        "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "ed448": ed448.Ed448PrivateKey.generate,
    }
    return makers[kind]() if kind in makers else slow_key(kind)


@dataclasses.dataclass
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self, password: bytes | None = None, traditional: bool = False) -> bytes:
        """The key."""
        hide = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        form = serialization.PrivateFormat.TraditionalOpenSSL if traditional else serialization.PrivateFormat.PKCS8
        return bytes(self.key.private_bytes(serialization.Encoding.PEM, form, hide))


def issue(
    name: str = HOST,
    issuer: Pair | None = None,
    *,
    names: list[str] | None = None,
    kind: str = "ecdsa",
    ca: bool = False,
    path_length: int | None = None,
    begin: datetime.timedelta = datetime.timedelta(hours=-1),
    days: float = 90,
    client: bool = False,
    key: Any = None,
    no_san: bool = False,
) -> Pair:
    """Issue a certificate; without an issuer it signs itself."""
    key = key or new_key(kind)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer.certificate.subject if issuer else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begin)
        .not_valid_after(NOW + datetime.timedelta(days=days, hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if not ca and not no_san:
        hosts: list[x509.GeneralName] = []
        for host in names or [name]:
            try:
                hosts.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                hosts.append(x509.DNSName(host))
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    if not ca:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    digest = None if isinstance(signer, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()
    return Pair(builder.sign(signer, digest), key)


class Pki:
    """A root, an intermediate, and a directory for files."""

    def __init__(self, directory: Path) -> None:
        """Make the two authorities; the root is in the trust store `roots.pem`."""
        self.directory = directory
        self.root = issue("root CA", ca=True, days=3650)
        self.middle = issue("middle CA", self.root, ca=True, path_length=0, days=1000)
        self.write("roots.pem", issue("another root", ca=True).pem, self.root.pem)

    def write(self, name: str, *parts: bytes) -> Path:
        """Write a file; give its path."""
        path = self.directory / name
        path.write_bytes(b"".join(parts))
        return path

    def options(self, leaf: Pair | None = None, *chain: Pair, **changes: Any) -> dict[str, Any]:
        """Write leaf, chain and key; give the module's options."""
        leaf = leaf or issue(issuer=self.middle)
        chain = chain or (self.middle,)
        return {
            "chain": str(self.write("chain.pem", leaf.pem, *(each.pem for each in chain))),
            "key": str(self.write("key.pem", leaf.key_pem())),
            "dest": str(self.directory / "bundle.pem"),
            "names": [HOST],
            "roots": [str(self.directory / "roots.pem")],
        } | changes
