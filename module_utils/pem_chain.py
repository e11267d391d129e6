# SPDX-License-Identifier: MIT
"""A certificate chain and its key in PEM files: reading them, what they say, and whether a server can use them.

A fault is a RefusedError with one sentence that names the file and the cause, and holds nothing of a key.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:
    HAVE_CRYPTOGRAPHY = False
else:
    HAVE_CRYPTOGRAPHY = True

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# No chain that a server presents comes near these; a file beyond them is something else.
MOST_BYTES = 1 << 20
MOST_CERTIFICATES = 10
RSA_BITS = range(2048, 8193)
CURVES = ("secp256r1", "secp384r1", "secp521r1")
WEAK_HASHES = ("md2", "md4", "md5", "sha1")
BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*?)-----END \1-----", re.DOTALL)
# What editors and mail leave at the ends of lines means nothing.
BLANKS = re.compile(rb"[ \t]+(?=\r?$)", re.MULTILINE)


class RefusedError(Exception):
    """The sentence for the operator."""


# ---- reading -------------------------------------------------------------------------------------------------------


def read(path: Path) -> bytes:
    """The content of a file; a sentence if it can't be had."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise RefusedError(f"{path}: is larger than {MOST_BYTES} bytes, which no chain or key is")
    return content


def blocks(path: Path | str, content: bytes) -> list[tuple[str, bytes]]:
    """The PEM blocks of a file, as (label, block); text around them, which many tools write, is passed over.

    Raises RefusedError where a block begins and does not end, or where the file holds no block at all.
    """
    content = BLANKS.sub(b"", content)
    found = [(match[1].decode(), match[0] + b"\n") for match in BLOCK.finditer(content)]
    if content.count(b"-----BEGIN ") != len(found):
        raise RefusedError(f"{path}: a PEM block begins and does not end as it should; the file may be cut off")
    if not found:
        if content[:1] == b"\x30":
            raise RefusedError(
                f"{path}: is DER or PKCS #12, not PEM; convert it first (openssl x509 -inform der, or openssl pkcs12)"
            )
        raise RefusedError(f"{path}: holds nothing in PEM form{' (it is empty)' if not content.strip() else ''}")
    return found


def certificates_in(path: Path | str, content: bytes, most: int = MOST_CERTIFICATES) -> list[x509.Certificate]:
    """The certificates of a PEM text in their order, one that is there twice at its first place only.

    Raises RefusedError, which begins with the text's name or path.
    """
    found = blocks(path, content)
    pem = [block for label, block in found if label in ("CERTIFICATE", "X509 CERTIFICATE")]
    if not pem:
        labels = ", ".join(sorted({label for label, _ in found}))
        raise RefusedError(f"{path}: holds no certificate (only {labels})")
    if len(pem) > most:
        raise RefusedError(f"{path}: holds {len(pem)} certificates; a chain has at most {most}")
    chain = []
    for number, block in enumerate(pem, 1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            certificate.public_key()
            list(certificate.extensions)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise RefusedError(f"{path}: certificate {number} can't be read: {one_line(error)}") from error
        if certificate not in chain:
            chain.append(certificate)
    return chain


def load_chain(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, as certificates_in gives them."""
    return certificates_in(path, read(path))


def load_key(path: Path) -> Any:
    """The one private key of a PEM file.

    Raises RefusedError; the sentence holds nothing of the key.
    """
    found = blocks(path, read(path))
    keys = [(label, block) for label, block in found if label.endswith("PRIVATE KEY")]
    if len(keys) != 1:
        labels = ", ".join(label for label, _ in found)
        raise RefusedError(f"{path}: holds {len(keys) or 'no'} private keys, not one (its PEM blocks: {labels})")
    label, block = keys[0]
    if label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in block:
        raise RefusedError(
            f"{path}: the key is encrypted, and nobody is there to type its password when a connection comes; "
            "decrypt it first (openssl pkey)"
        )
    try:
        return serialization.load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RefusedError(f"{path}: the private key can't be read; it is damaged or of an unknown type") from error


def printable(text: str) -> str:
    """A text of a stranger's, such as a name in a certificate, without what a log or a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text[:500])


def one_line(error: Exception) -> str:
    """What a library says of an error, in one line of bounded length."""
    return printable(" ".join(str(error).split())[:200]) or type(error).__name__


# ---- what certificates say -----------------------------------------------------------------------------------------


def subject(certificate: x509.Certificate) -> str:
    """Subject of a certificate; where it is empty, as it may be, its first name."""
    return printable(certificate.subject.rfc4514_string() or ", ".join(names_of(certificate)[:1])) or "(no subject)"


def issuer_of(certificate: x509.Certificate) -> str:
    """Issuer of a certificate."""
    return printable(certificate.issuer.rfc4514_string())


def begin_of(certificate: x509.Certificate) -> datetime.datetime:
    """When its validity begins (the attribute has a new name since cryptography 42)."""
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc
    return certificate.not_valid_before.replace(tzinfo=datetime.UTC)


def end_of(certificate: x509.Certificate) -> datetime.datetime:
    """When its validity ends."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=datetime.UTC)


def names_of(certificate: x509.Certificate) -> list[str]:
    """Host names and addresses in the subjectAltName."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    hosts = [printable(str(name).lower()) for name in names.get_values_for_type(x509.DNSName)]
    return hosts + [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def covers(pattern: str, name: str) -> bool:
    """Does a name of a certificate cover a host's: itself, or a whole first label as `*` (RFC 9525, section 6.3)."""
    if pattern == name:
        return True
    first, dot, rest = name.partition(".")
    return bool(first and dot and "." in rest) and pattern == f"*.{rest}"


def wanted(name: str) -> str:
    """A host name or address as certificates have it: lower case, xn-- form, addresses in their shortest form."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return name.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        raise RefusedError(f'names: "{name}" is not a host name') from None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def same_key(one: Any, other: Any) -> bool:
    """Are two public keys the same?"""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return bool(one.public_bytes(*form) == other.public_bytes(*form))


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Has `issuer` issued `certificate`: are the names right, and does the signature hold?"""
    if certificate.issuer != issuer.subject:
        return False
    key: Any = issuer.public_key()
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        if hasattr(certificate, "verify_directly_issued_by"):  # since cryptography 40
            certificate.verify_directly_issued_by(issuer)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), digest_of(certificate))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(digest_of(certificate)))
        else:
            key.verify(signature, signed)
    except (InvalidSignature, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return False
    return True


def digest_of(certificate: x509.Certificate) -> hashes.HashAlgorithm:
    """The digest in a certificate's signature; ValueError for those that have none."""
    digest = certificate.signature_hash_algorithm
    if digest is None:
        raise ValueError("no digest")
    return digest


def describe_key(key: Any) -> str:
    """Type and size of a key, private or public."""
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return f"RSA {key.key_size}"
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return f"ECDSA {key.curve.name}"
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return "Ed25519"
    if isinstance(key, (ed448.Ed448PrivateKey, ed448.Ed448PublicKey)):
        return "Ed448"
    return type(key).__name__.replace("PublicKey", "").replace("PrivateKey", "").strip("_")


# ---- the checks ----------------------------------------------------------------------------------------------------


def check_key(where: str, key: Any) -> None:
    """Refuse a key whose type or size a TLS client should not accept."""
    kind = describe_key(key)
    if kind.startswith("RSA"):
        if key.key_size not in RSA_BITS:
            raise RefusedError(
                f"{where}: its key is {kind}; an RSA key has between {RSA_BITS[0]} and {RSA_BITS[-1]} bits"
            )
    elif kind.startswith("ECDSA"):
        if key.curve.name not in CURVES:
            raise RefusedError(f"{where}: its key is {kind}; the curves that clients know are {', '.join(CURVES)}")
    elif kind not in ("Ed25519", "Ed448"):
        raise RefusedError(f"{where}: its key is of type {kind}, not RSA, ECDSA or EdDSA")


def check_issuer(where: str, certificate: x509.Certificate, below: int) -> None:
    """Refuse an issuer that may not issue, or not a chain with `below` authorities under it."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = None
    if basic is None or not basic.ca:
        raise RefusedError(f"{where}: is not a certification authority's, so it can't have issued the one before it")
    if basic.path_length is not None and basic.path_length < below:
        raise RefusedError(f"{where}: allows {basic.path_length} authorities below it, and here are {below}")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise RefusedError(f"{where}: its key may not sign certificates")


def check_leaf(where: str, leaf: x509.Certificate, names: Sequence[str]) -> None:
    """Refuse a certificate that is not a server's, or not this server's."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        pass
    else:
        if ExtendedKeyUsageOID.SERVER_AUTH not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
            raise RefusedError(f"{where}: is not for servers (extended key usage without serverAuth)")
    have = names_of(leaf)
    for name in names:
        if not any(covers(pattern, wanted(name)) for pattern in have):
            says = f"its names are {', '.join(have)}" if have else "it has no subjectAltName"
            raise RefusedError(f'{where}: does not cover "{name}"; {says}')


def check_dates(where: str, certificate: x509.Certificate, today: datetime.datetime) -> None:
    """Refuse a certificate that is not valid today."""
    if end_of(certificate) <= today:
        raise RefusedError(f"{where}: expired on {end_of(certificate):%Y-%m-%d %H:%M} UTC")
    if begin_of(certificate) > today:
        raise RefusedError(
            f"{where}: is valid only from {begin_of(certificate):%Y-%m-%d %H:%M} UTC on; is this host's clock right?"
        )


def check_order(path: Path, chain: Sequence[x509.Certificate]) -> None:
    """Refuse a chain in which one certificate did not issue the one before it."""
    for number, (certificate, issuer) in enumerate(itertools.pairwise(chain), 2):
        if issued(issuer, certificate):
            continue
        what = f"{path}: certificate {number} ({subject(issuer)}) has not issued the one before it"
        if any(issued(other, certificate) for other in chain):
            raise RefusedError(
                f"{what}: the order is wrong; it must be the server's certificate, its issuer, and so on"
            )
        if issued(certificate, issuer):
            raise RefusedError(f"{what}, but was issued by it: the order is the other way round")
        raise RefusedError(
            f"{what} ({subject(certificate)}, issued by {issuer_of(certificate)}): "
            "a certificate between them is missing, or this one does not belong here"
        )


def check_end(path: Path, last: x509.Certificate, roots: Sequence[Path]) -> None:
    """Refuse a chain that ends below a root which the host doesn't know."""
    if issued(last, last):
        return
    known = [root for root in roots if root.exists()]
    for file in known:
        for root in load_roots(file):
            if issued(root, last):
                return
    raise RefusedError(
        f"{path}: the chain ends with {subject(last)}, whose issuer ({issuer_of(last)}) is neither in the "
        f"file nor among the roots of {', '.join(map(str, known)) or 'this host'}; "
        "add the missing certificate behind it"
    )


def load_roots(path: Path) -> Iterator[x509.Certificate]:
    """The certificates of a trust store; those that this version of the library can't read are passed over."""
    for label, block in blocks(path, read(path)):
        if label == "CERTIFICATE":
            try:
                yield x509.load_pem_x509_certificate(block)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue


def load_pair(
    chain_path: Path, key_path: Path, names: Sequence[str], roots: Sequence[Path], today: datetime.datetime
) -> tuple[list[x509.Certificate], Any]:
    """The chain and key of two files, if a server of `names` can use them today for clients that trust `roots`.

    Raises RefusedError with the first fault found.
    """
    chain, key = load_chain(chain_path), load_key(key_path)
    owners = [number for number, each in enumerate(chain, 1) if same_key(each.public_key(), key.public_key())]
    if not owners:
        raise RefusedError(f"{key_path}: is not the key of {subject(chain[0])}, the first certificate in {chain_path}")
    if owners[0] != 1:
        whose = subject(chain[owners[0] - 1])
        raise RefusedError(
            f"{chain_path}: the key in {key_path} is that of certificate {owners[0]} ({whose}); "
            "the server's own certificate must be the first"
        )
    for number, certificate in enumerate(chain, 1):
        where = f"{chain_path}: certificate {number} ({subject(certificate)})"
        check_key(where, certificate.public_key())
        check_dates(where, certificate, today)
        digest = certificate.signature_hash_algorithm
        if digest is not None and digest.name in WEAK_HASHES and not issued(certificate, certificate):
            raise RefusedError(f"{where}: is signed with {digest.name.upper()}, which no client accepts any more")
    check_leaf(f"{chain_path}: the certificate of {subject(chain[0])}", chain[0], names)
    check_order(chain_path, chain)
    for number, issuer in enumerate(chain[1:], 2):
        check_issuer(f"{chain_path}: certificate {number} ({subject(issuer)})", issuer, number - 2)
    check_end(chain_path, chain[-1], roots)
    return chain, key


# ---- whether it is due ----------------------------------------------------------------------------------------------


def key_type_of(key: Any) -> str:
    """The type of a key, in the words of the role's variables."""
    return describe_key(key).partition(" ")[0].lower()


def reason_to_renew(pair: tuple[Path, Path], wish: dict[str, Any], source_says: str, today: datetime.datetime) -> str:
    """Why the certificate and key of two files have to be had anew, whatever their source is; empty if they will do.

    The wish has `names`, `key_type`, `renew_before_days` and `force`, and a `turn`, where another key's has come, that
    says so. What only the source knows of them, such as that they are from another authority, it says in SOURCE_SAYS.
    """
    try:
        leaf = load_chain(pair[0])[0]
    except RefusedError:
        return "there was no certificate yet"
    try:
        key = load_key(pair[1])
    except RefusedError:
        return "its key was missing"
    if wish.get("turn"):
        return str(wish["turn"])
    if wish["force"]:
        return "it was asked for"
    if not same_key(leaf.public_key(), key.public_key()):
        return "the key was of another certificate"
    if source_says:
        return source_says
    if set(map(wanted, wish["names"])) != set(names_of(leaf)):
        return "the names differed"
    if key_type_of(key) != wish["key_type"]:
        return f"the key was of type {key_type_of(key)}"
    if end_of(leaf) - today < datetime.timedelta(days=wish["renew_before_days"]):
        return f"fewer than {wish['renew_before_days']} days remained"
    return ""


# ---- giving them back ----------------------------------------------------------------------------------------------


def certificates_pem(chain: Sequence[x509.Certificate]) -> bytes:
    """Certificates in PEM form, one behind the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def key_pem(key: Any) -> bytes:
    """A private key in PKCS #8, not encrypted: whoever may read the file needs it so."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    result: bytes = key.private_bytes(*form)
    return result
