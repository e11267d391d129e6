#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: a certificate chain and its key in one file, checked before anything is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pem_bundle
short_description: Put a certificate chain and its key into one file, after checking them
description:
  - Reads a chain and a key, and refuses them, with one sentence that names the file and the cause, unless a server can
    really use them. The first certificate is the server's own; each further one has issued the one before it; the last
    is a root, or issued by a root that the host trusts; all are valid today; the key is that of the first certificate;
    the first certificate covers every name in O(names); keys and signatures are of a sane type and size.
  - The result holds the certificates and the key (PKCS
    8) and nothing else of what the files held. It is written to a temporary file beside O(dest), with its final owner
    and mode before its first byte, flushed to disk, and renamed into place. A reader sees the old or the new bundle,
    never a part of one, and a failure leaves the old one as it was.
  - The bundle that was there is kept as C(DEST.previous), and O(state=previous) brings it back.
  - A directory that others than its owner may write to is refused. Text out of certificates is shown without characters
    that a terminal or a log would obey.
options:
  state:
    description:
      - V(present) makes O(dest) the bundle of O(chain) and O(key).
      - V(previous) exchanges O(dest) and C(DEST.previous).
    type: str
    choices: [present, previous]
    default: present
  chain:
    description: PEM file with the server's certificate, then the ones between it and the root. Required with
      O(state=present).
    type: path
  key:
    description: PEM file with the key, not encrypted. Required with O(state=present).
    type: path
  dest:
    description: The bundle. A symlink is refused; one that points to the bundle is not touched by its exchange.
    type: path
    required: true
  names:
    description:
      - Host names and addresses that the certificate must cover, by its subjectAltName alone (RFC 9525). A name that is
        not ASCII is compared in its C(xn--) form.
    type: list
    elements: str
    default: []
  roots:
    description: PEM files with the roots that the host trusts, for a chain that doesn't bring its own. Those that are
      not there are passed over.
    type: list
    elements: path
    default: [/etc/ssl/certs/ca-certificates.crt]
  fingerprint:
    description:
      - With O(state=previous), go back only from this certificate (SHA-256, as returned). A bundle that another run has put
        there in the meantime is not touched, which is a failure.
    type: str
  warn_days:
    description: Warn when a certificate has fewer days left.
    type: int
    default: 21
  owner:
    description: Owner of the bundle.
    type: str
    default: root
  group:
    description: Group of the bundle.
    type: str
    default: root
  mode:
    description: Mode of the bundle in octal. Others may have no part in it, and nobody may execute it.
    type: str
    default: "0600"
attributes:
  check_mode:
    description: Checks everything and says what would change.
    support: full
  diff_mode:
    description: Shows subjects, names, dates and fingerprints, never anything of a key.
    support: full
requirements:
  - cryptography 38 or newer on the target (Debian package python3-cryptography)
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Install the verified bundle under its descriptive name
  pem_bundle:
    chain: /etc/letsencrypt/live/mail.example.org/fullchain.pem
    key: /etc/letsencrypt/live/mail.example.org/privkey.pem
    dest: /etc/stunnel/mail.example.org.pem
    names: [mail.example.org]
    owner: root
    group: qmailtls
    mode: "0640"

- name: Go back to the bundle before
  pem_bundle:
    state: previous
    dest: /etc/stunnel/mail.example.org.pem
    fingerprint: "{{ installed.fingerprint }}"
    group: qmailtls
    mode: "0640"
"""

RETURN = r"""
dest:
  description: The bundle.
  type: str
  returned: success
previous:
  description: Where the bundle that was there is kept, empty if there was none.
  type: str
  returned: success
subject:
  description: Subject of the server's certificate (RFC 4514).
  type: str
  returned: success
names:
  description: Names and addresses that it covers.
  type: list
  elements: str
  returned: success
not_before:
  description: Begin of its validity, ISO 8601 in UTC.
  type: str
  returned: success
not_after:
  description: End of its validity, ISO 8601 in UTC.
  type: str
  returned: success
days_left:
  description: Whole days until the first certificate of the chain expires.
  type: int
  returned: success
fingerprint:
  description: SHA-256 of the server's certificate, hexadecimal.
  type: str
  returned: success
chain:
  description: Subjects of all certificates in the bundle.
  type: list
  elements: str
  returned: success
key_type:
  description: Type and size of the key, such as V(ECDSA secp256r1).
  type: str
  returned: success
"""

import contextlib
import datetime
import errno
import grp
import ipaddress
import itertools
import os
import pwd
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

with contextlib.suppress(ImportError):  # the host's own programs use the rest without Ansible
    from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.whole_file import beside, sync_directory
except ImportError:  # there it lies beside this file
    from whole_file import beside, sync_directory

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


class BundleError(Exception):
    """The sentence for the operator."""


# ---- reading -------------------------------------------------------------------------------------------------------


def read(path: Path) -> bytes:
    """The content of a file; a sentence if it can't be had."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise BundleError(f"{path}: is larger than {MOST_BYTES} bytes, which no chain or key is")
    return content


def blocks(path: Path, content: bytes) -> list[tuple[str, bytes]]:
    """The PEM blocks of a file, as (label, block); text around them, which many tools write, is passed over.

    Raises BundleError where a block begins and does not end, or where the file holds no block at all.
    """
    found = [(match[1].decode(), match[0] + b"\n") for match in BLOCK.finditer(content)]
    if content.count(b"-----BEGIN ") != len(found):
        raise BundleError(f"{path}: a PEM block begins and does not end as it should; the file may be cut off")
    if not found:
        if content[:1] == b"\x30":
            raise BundleError(
                f"{path}: is DER or PKCS #12, not PEM; convert it first (openssl x509 -inform der, or openssl pkcs12)"
            )
        raise BundleError(f"{path}: holds nothing in PEM form{' (it is empty)' if not content.strip() else ''}")
    return found


def load_chain(path: Path, most: int = MOST_CERTIFICATES) -> list[x509.Certificate]:
    """The certificates of a PEM file in their order.

    Raises BundleError.
    """
    found = blocks(path, read(path))
    pem = [block for label, block in found if label in ("CERTIFICATE", "X509 CERTIFICATE")]
    if not pem:
        labels = ", ".join(sorted({label for label, _ in found}))
        raise BundleError(f"{path}: holds no certificate (only {labels})")
    if len(pem) > most:
        raise BundleError(f"{path}: holds {len(pem)} certificates; a chain has at most {most}")
    chain = []
    for number, block in enumerate(pem, 1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            certificate.public_key()
            list(certificate.extensions)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BundleError(f"{path}: certificate {number} can't be read: {one_line(error)}") from error
        chain.append(certificate)
    return chain


def load_key(path: Path) -> Any:
    """The one private key of a PEM file.

    Raises BundleError; the sentence holds nothing of the key.
    """
    found = blocks(path, read(path))
    keys = [(label, block) for label, block in found if label.endswith("PRIVATE KEY")]
    if len(keys) != 1:
        labels = ", ".join(label for label, _ in found)
        raise BundleError(f"{path}: holds {len(keys) or 'no'} private keys, not one (its PEM blocks: {labels})")
    label, block = keys[0]
    if label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in block:
        raise BundleError(
            f"{path}: the key is encrypted, and nobody is there to type its password when a connection comes; "
            "decrypt it first (openssl pkey)"
        )
    try:
        return serialization.load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleError(f"{path}: the private key can't be read; it is damaged or of an unknown type") from error


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
        raise BundleError(f'names: "{name}" is not a host name') from None


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
            raise BundleError(
                f"{where}: its key is {kind}; an RSA key has between {RSA_BITS[0]} and {RSA_BITS[-1]} bits"
            )
    elif kind.startswith("ECDSA"):
        if key.curve.name not in CURVES:
            raise BundleError(f"{where}: its key is {kind}; the curves that clients know are {', '.join(CURVES)}")
    elif kind not in ("Ed25519", "Ed448"):
        raise BundleError(f"{where}: its key is of type {kind}, not RSA, ECDSA or EdDSA")


def check_issuer(where: str, certificate: x509.Certificate, below: int) -> None:
    """Refuse an issuer that may not issue, or not a chain with `below` authorities under it."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = None
    if basic is None or not basic.ca:
        raise BundleError(f"{where}: is not a certification authority's, so it can't have issued the one before it")
    if basic.path_length is not None and basic.path_length < below:
        raise BundleError(f"{where}: allows {basic.path_length} authorities below it, and here are {below}")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise BundleError(f"{where}: its key may not sign certificates")


def check_leaf(where: str, leaf: x509.Certificate, names: Sequence[str]) -> None:
    """Refuse a certificate that is not a server's, or not this server's."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        pass
    else:
        if ExtendedKeyUsageOID.SERVER_AUTH not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
            raise BundleError(f"{where}: is not for servers (extended key usage without serverAuth)")
    have = names_of(leaf)
    for name in names:
        if not any(covers(pattern, wanted(name)) for pattern in have):
            says = f"its names are {', '.join(have)}" if have else "it has no subjectAltName"
            raise BundleError(f'{where}: does not cover "{name}"; {says}')


def check_dates(where: str, certificate: x509.Certificate, today: datetime.datetime) -> None:
    """Refuse a certificate that is not valid today."""
    if end_of(certificate) <= today:
        raise BundleError(f"{where}: expired on {end_of(certificate):%Y-%m-%d %H:%M} UTC")
    if begin_of(certificate) > today:
        raise BundleError(
            f"{where}: is valid only from {begin_of(certificate):%Y-%m-%d %H:%M} UTC on; is this host's clock right?"
        )


def check_order(path: Path, chain: Sequence[x509.Certificate]) -> None:
    """Refuse a chain in which one certificate did not issue the one before it."""
    for number, (certificate, issuer) in enumerate(itertools.pairwise(chain), 2):
        if issued(issuer, certificate):
            continue
        what = f"{path}: certificate {number} ({subject(issuer)}) has not issued the one before it"
        if any(issued(other, certificate) for other in chain):
            raise BundleError(f"{what}: the order is wrong; it must be the server's certificate, its issuer, and so on")
        if issued(certificate, issuer):
            raise BundleError(f"{what}, but was issued by it: the order is the other way round")
        raise BundleError(
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
    raise BundleError(
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


def check(params: dict[str, Any], today: datetime.datetime) -> tuple[list[x509.Certificate], Any]:
    """The chain and key, if a server can use them.

    Raises BundleError with the first fault found.
    """
    chain_path, key_path = Path(params["chain"]), Path(params["key"])
    chain, key = load_chain(chain_path), load_key(key_path)
    owners = [number for number, each in enumerate(chain, 1) if same_key(each.public_key(), key.public_key())]
    if not owners:
        raise BundleError(f"{key_path}: is not the key of {subject(chain[0])}, the first certificate in {chain_path}")
    if owners[0] != 1:
        whose = subject(chain[owners[0] - 1])
        raise BundleError(
            f"{chain_path}: the key in {key_path} is that of certificate {owners[0]} ({whose}); "
            "the server's own certificate must be the first"
        )
    for number, certificate in enumerate(chain, 1):
        where = f"{chain_path}: certificate {number} ({subject(certificate)})"
        check_key(where, certificate.public_key())
        check_dates(where, certificate, today)
        digest = certificate.signature_hash_algorithm
        if digest is not None and digest.name in WEAK_HASHES and not issued(certificate, certificate):
            raise BundleError(f"{where}: is signed with {digest.name.upper()}, which no client accepts any more")
    check_leaf(f"{chain_path}: the certificate of {subject(chain[0])}", chain[0], params["names"])
    check_order(chain_path, chain)
    for number, issuer in enumerate(chain[1:], 2):
        check_issuer(f"{chain_path}: certificate {number} ({subject(issuer)})", issuer, number - 2)
    check_end(chain_path, chain[-1], [Path(root) for root in params["roots"]])
    return chain, key


# ---- writing -------------------------------------------------------------------------------------------------------


def render(chain: Sequence[x509.Certificate], key: Any) -> bytes:
    """The bundle: certificates, then the key."""
    parts = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain]
    parts.append(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return b"".join(parts)


def identity(params: dict[str, Any]) -> tuple[int, int, int]:
    """Numbers of owner, group and mode."""
    if not re.fullmatch(r"0?[0-7]{3}", params["mode"]) or int(params["mode"], 8) & 0o137:
        raise BundleError(
            f'mode: "{params["mode"]}" would let others at the key, let the group write or anyone execute it; '
            "0600, 0640 and 0400 are such as will do"
        )
    try:
        uid = pwd.getpwnam(params["owner"]).pw_uid
    except KeyError:
        raise BundleError(f"owner: there is no user {params['owner']} on this host") from None
    try:
        gid = grp.getgrnam(params["group"]).gr_gid
    except KeyError:
        raise BundleError(f"group: there is no group {params['group']} on this host") from None
    return uid, gid, int(params["mode"], 8)


def previous_of(dest: Path) -> Path:
    """Where the bundle before is kept."""
    return dest.with_name(f"{dest.name}.previous")


def second_name(path: Path, other: Path) -> None:
    """Make `other` a name of the file `path`, by one rename."""
    new = other.with_name(f".{other.name}.new")
    new.unlink(missing_ok=True)
    os.link(path, new)
    new.replace(other)


def write(dest: Path, content: bytes, owner: tuple[int, int, int]) -> None:
    """Make `content` the bundle; keep the one that was there."""
    uid, gid, mode = owner
    with beside(dest, content, mode, (uid, gid)):
        if dest.exists():
            os.chown(dest, uid, gid)
            dest.chmod(mode)  # what is kept of it must be open to nobody else either
            second_name(dest, previous_of(dest))


def exchange(dest: Path) -> None:
    """Swap the bundle and the one before; at each moment both names have a whole bundle."""
    previous = previous_of(dest)
    kept = dest.with_name(f".{dest.name}.kept")
    kept.unlink(missing_ok=True)
    if dest.exists():
        os.link(dest, kept)
    second_name(previous, dest)
    if kept.exists():
        kept.replace(previous)
    sync_directory(dest.parent)


# ---- the module ----------------------------------------------------------------------------------------------------


def describe(chain: Sequence[x509.Certificate], key: str) -> str:
    """What a diff may show of a bundle."""
    lines = []
    for certificate in chain:
        lines += [
            f"subject {subject(certificate)}",
            f"  issuer {issuer_of(certificate)}",
            f"  valid {begin_of(certificate):%Y-%m-%d %H:%M} to {end_of(certificate):%Y-%m-%d %H:%M} UTC",
            f"  sha256 {certificate.fingerprint(hashes.SHA256()).hex()}",
        ]
        if names := names_of(certificate):
            lines.append(f"  names {', '.join(names)}")
    return "".join(f"{line}\n" for line in [*lines, f"key {key}"])


def look(dest: Path) -> tuple[list[x509.Certificate], str]:
    """The chain of a bundle that is in use, and its description; both empty if there is none or it is not readable."""
    try:
        chain, key = load_chain(dest), load_key(dest)
    except BundleError:
        return [], "not a bundle\n" if dest.exists() else ""
    return chain, describe(chain, describe_key(key))


def ownership(path: Path) -> tuple[int, int, int] | None:
    """Owner, group and mode of a file, None if there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def ownership_line(owner: tuple[int, int, int] | None) -> str:
    """The same for a diff."""
    return f"owner {owner[0]} group {owner[1]} mode {owner[2]:04o}\n" if owner else ""


def answer(dest: Path, chain: Sequence[x509.Certificate], key: str, today: datetime.datetime) -> dict[str, Any]:
    """The facts about a bundle."""
    leaf = chain[0]
    return {
        "dest": str(dest),
        "subject": subject(leaf),
        "names": names_of(leaf),
        "not_before": begin_of(leaf).isoformat(),
        "not_after": end_of(leaf).isoformat(),
        "days_left": (min(map(end_of, chain)) - today).days,
        "fingerprint": leaf.fingerprint(hashes.SHA256()).hex(),
        "chain": [subject(certificate) for certificate in chain],
        "key_type": key,
    }


def check_dest(dest: Path) -> None:
    """Refuse what can't be the bundle's place."""
    if dest.is_symlink():
        raise BundleError(f"{dest}: is a symlink to {os.readlink(dest)}; name that file, the link may stay")  # noqa: PTH115
    if dest.exists() and not dest.is_file():
        raise BundleError(f"{dest}: is there and is not a file")
    if not dest.parent.is_dir():
        raise BundleError(f"{dest}: its directory is not there")
    if (mode := stat.S_IMODE(dest.parent.stat().st_mode)) & 0o022:
        raise BundleError(
            f"{dest}: its directory has the mode {mode:04o}, so that others could put another bundle there; "
            f"chmod go-w {dest.parent}"
        )


def present(params: dict[str, Any], check_mode: bool, today: datetime.datetime) -> dict[str, Any]:
    """Make the bundle what the options say; give the module's result.

    Raises BundleError before anything was touched, OSError when writing failed and the old bundle stayed.
    """
    dest, owner = Path(params["dest"]), identity(params)
    check_dest(dest)
    chain, key = check(params, today)
    content = render(chain, key)
    have, before = look(dest)
    same = bool(have) and dest.read_bytes() == content
    if not check_mode:
        if not same:
            write(dest, content, owner)
        elif ownership(dest) != owner:
            os.chown(dest, *owner[:2])
            dest.chmod(owner[2])
    after = describe(chain, describe_key(key))
    if not same and before == after:
        before += "(other bytes)\n"
    result = answer(dest, chain, describe_key(key), today)
    return result | {"changed": not same, "same": same, "before": before, "after": after, "owner": owner}


def previous(params: dict[str, Any], check_mode: bool, today: datetime.datetime) -> dict[str, Any]:
    """Bring the bundle before back; give the module's result.

    Raises BundleError if there is none, or if the one to go back from is no longer there.
    """
    dest, owner = Path(params["dest"]), identity(params)
    check_dest(dest)
    kept = previous_of(dest)
    if expected := params["fingerprint"]:
        have, _ = look(dest)
        found = have[0].fingerprint(hashes.SHA256()).hex() if have else "no certificate"
        if found != expected:
            raise BundleError(
                f"{dest}: {found} is there, not {expected}, so another run has exchanged it since; it stays. "
                "Run again to see whether it is served"
            )
    chain, after = look(kept)
    if not chain:
        raise BundleError(f"{kept}: there is no bundle from before to go back to")
    key = describe_key(load_key(kept))
    _, before = look(dest)
    if not check_mode:
        os.chown(kept, *owner[:2])
        kept.chmod(owner[2])
        exchange(dest)
    return answer(dest, chain, key, today) | {"changed": True, "before": before, "after": after, "owner": owner}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the module is for; give its result."""
    today = datetime.datetime.now(datetime.UTC)
    dest = Path(params["dest"])
    owned = ownership(dest)
    result = (present if params["state"] == "present" else previous)(params, check_mode, today)
    owner = result.pop("owner")
    result.pop("same", None)
    result["changed"] = result["changed"] or owned != owner
    result["diff"] = {
        "before_header": str(dest),
        "after_header": str(dest),
        "before": result.pop("before") + ownership_line(owned),
        "after": result.pop("after") + ownership_line(owner),
    }
    result["previous"] = str(previous_of(dest)) if previous_of(dest).exists() else ""
    if result["days_left"] < params["warn_days"]:
        result["warning"] = f"{dest}: {result['subject']} or its chain expires in {result['days_left']} days"
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "previous"], "default": "present"},
            "chain": {"type": "path"},
            "key": {"type": "path", "no_log": False},
            "dest": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "roots": {"type": "list", "elements": "path", "default": ["/etc/ssl/certs/ca-certificates.crt"]},
            "fingerprint": {"type": "str"},
            "warn_days": {"type": "int", "default": 21},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0600"},
        },
        required_if=[("state", "present", ["chain", "key"])],
        supports_check_mode=True,
    )
    if not HAVE_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography", reason="to check certificates"))
    try:
        result = run(module.params, module.check_mode)
    except BundleError as error:
        module.fail_json(msg=f"pem_bundle: {error}")
    except OSError as error:
        full = "; the old bundle stays" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        module.fail_json(msg=f"pem_bundle: {error.filename or module.params['dest']}: {error.strerror}{full}")
    if warning := result.pop("warning", ""):
        module.warn(f"pem_bundle: {warning}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
