#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: a certificate from a small certification authority of the host's own."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: private_ca
short_description: Issue a certificate from a small private certification authority
description:
  - Makes a certification authority in O(directory) when there is none, and issues one server certificate from it.
  - For demonstrations, tests and closed networks. Clients trust the site when they trust C(ca.pem).
  - The authority's key never leaves the host. The authority can sign nothing but server certificates below itself
    (path length 0), and its certificate outlives every certificate that it issues.
  - A certificate is issued again when its names, its type of key or its authority differ from what is asked for, when
    fewer than O(renew_before_days) remain, when it does not fit its key, or with O(force). Key and certificate are
    written to temporary files with their final modes first; each is put in place by one rename.
options:
  directory:
    description: Where the authority lives, C(ca.pem) (0644) and C(ca.key) (0600). Its parent must exist or be root's.
    type: path
    required: true
  common_name:
    description: Name of the authority, seen by who looks at the certificate.
    type: str
    required: true
  ca_days:
    description: Days that a new authority is valid.
    type: int
    default: 3650
  leaf:
    description: Path of the issued pair without its ending. C(LEAF.pem) has the certificate, then the authority's;
      C(LEAF.key) the key (0600).
    type: path
    required: true
  names:
    description: Host names and IP addresses of the certificate, the first of which is its subject.
    type: list
    elements: str
    required: true
  days:
    description: Days that the certificate is valid.
    type: int
    default: 90
  renew_before_days:
    description: Issue it again when fewer days remain.
    type: int
    default: 30
  key_type:
    description: C(ecdsa) is P-256, C(rsa) has 3072 bits.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  force:
    description: Issue it again now.
    type: bool
    default: false
requirements:
  - cryptography 38 or newer on the target (Debian package python3-cryptography)
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Issue the demo's certificate
  private_ca:
    directory: /etc/qmail-site/ca
    common_name: qmail-site CA of mail.example.test
    leaf: /etc/qmail-site/ca/issued/mail.example.test
    names: [mail.example.test]
"""

RETURN = r"""
ca_certificate:
  description: Path of the authority's certificate.
  type: str
  returned: success
certificate:
  description: Path of the certificate with the authority's behind it.
  type: str
  returned: success
key:
  description: Path of the certificate's key.
  type: str
  returned: success
issued_because:
  description: Why a certificate was issued (or would be, in check mode), empty if none was.
  type: str
  returned: success
not_after:
  description: End of the certificate's validity, ISO 8601 in UTC; empty in check mode when there is none yet.
  type: str
  returned: success
fingerprint:
  description: SHA-256 of the certificate, hexadecimal; empty in check mode when there is none yet.
  type: str
  returned: success
"""

import contextlib
import datetime
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.pem_chain import (
    HAVE_CRYPTOGRAPHY,
    certificates_pem,
    end_of,
    fingerprint,
    key_pem,
    same_key,
)
from ansible.module_utils.whole_file import make_directory, write

with contextlib.suppress(ImportError):  # main() says what is missing
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# Clocks of clients differ; a certificate that begins a moment ago would be refused by some.
SKEW = datetime.timedelta(hours=1)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)


class CaError(Exception):
    """The sentence for the operator."""


def now() -> datetime.datetime:
    """The time, in UTC, to the second as certificates have it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def general_names(names: list[str]) -> list[x509.GeneralName]:
    """The subjectAltName for host names and IP addresses (RFC 5280, section 4.2.1.6)."""
    result: list[x509.GeneralName] = []
    for index, name in enumerate(names):
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
            continue
        except ValueError:
            pass
        labels = name.removeprefix("*.").split(".")
        if len(name) > 253 or not all(LABEL.fullmatch(label) for label in labels):
            raise CaError(f'names[{index}]: "{name}" is neither a host name (xn-- form, no empty label) nor an address')
        result.append(x509.DNSName(name.lower()))
    if not result:
        raise CaError("names: there is none; a certificate is for at least one host name")
    return result


def new_key(key_type: str) -> PrivateKey:
    """A fresh key of the given type."""
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    return ec.generate_private_key(ec.SECP256R1())


def load_certificate(path: Path) -> x509.Certificate | None:
    """The first certificate of a file; None where there is no file, or no certificate in it."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def load_key(path: Path) -> PrivateKey | None:
    """The key of a file; None where there is no file, or no key in it."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return key if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)) else None


class Authority:
    """The certification authority of a directory."""

    def __init__(self, directory: Path) -> None:
        """Load what is there."""
        self.certificate_path = directory / "ca.pem"
        self.key_path = directory / "ca.key"
        self.certificate = load_certificate(self.certificate_path)
        self.key = load_key(self.key_path)

    def trouble(self) -> str:
        """Why there is no authority to use, empty if there is one; a broken one is an error, not to be replaced."""
        if self.certificate is None and self.key is None and not self.key_path.exists():
            return "there was no authority yet"
        if self.certificate is None or self.key is None:
            raise CaError(
                f"{self.certificate_path} and {self.key_path}: one of them is missing or can't be read as PEM; "
                "bring it back, or move both away for a new authority (clients must then trust that one)"
            )
        if not same_key(self.certificate.public_key(), self.key.public_key()):
            raise CaError(f"{self.key_path} is not the key of {self.certificate_path}; bring the right one back")
        return ""

    def make(self, common_name: str, days: int) -> None:
        """Make key and certificate and write them, the key first."""
        self.key = new_key("ecdsa")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        public = self.key.public_key()
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - SKEW)
            .not_valid_after(now() + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        make_directory(self.certificate_path.parent)
        write(self.key_path, key_pem(self.key), 0o600)
        write(self.certificate_path, certificates_pem([self.certificate]), 0o644)

    def issue(self, key: PrivateKey, names: list[x509.GeneralName], days: int) -> x509.Certificate:
        """A server certificate; its end is no later than the authority's."""
        if self.certificate is None or self.key is None:
            raise CaError("there is no authority to issue from")
        end = min(now() + datetime.timedelta(days=days), end_of(self.certificate))
        if end <= now():
            raise CaError(
                f"{self.certificate_path}: the authority's own certificate has expired; "
                "move it and ca.key away for a new authority"
            )
        # A subject's common name has at most 64 characters (RFC 5280, appendix A); the names that count are the others.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
        authority = self.key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - SKEW)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def key_type_of(key: PrivateKey) -> str:
    """The type of a key, in the words of the option key_type."""
    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa"


def signed_by(certificate: x509.Certificate, authority: x509.Certificate | None) -> bool:
    """Does the certificate name that very authority's key as its issuer's?"""
    if authority is None or certificate.issuer != authority.subject:
        return False
    try:
        have = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        want = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return False
    return have == want


def reason_to_issue(
    certificate: x509.Certificate | None,
    key: PrivateKey | None,
    authority: Authority,
    names: list[x509.GeneralName],
    params: dict[str, Any],
) -> str:
    """Why the pair that is there will not do; empty if it will."""
    if certificate is None or key is None:
        return "there was no certificate yet" if certificate is None else "its key was missing"
    if params["force"]:
        return "it was asked for"
    if not same_key(certificate.public_key(), key.public_key()):
        return "the key was of another certificate"
    if not signed_by(certificate, authority.certificate):
        return "it was of another authority"
    try:
        have = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        have = []
    if have != names:
        return "the names differed"
    if key_type_of(key) != params["key_type"]:
        return f"the key was of type {key_type_of(key)}"
    if end_of(certificate) - now() < datetime.timedelta(days=params["renew_before_days"]):
        return f"fewer than {params['renew_before_days']} days remained"
    return ""


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the module is for; give its result.

    Raises:
        CaError: with a sentence, before anything was written.
        OSError: when a file could not be read or written.
    """
    if not 0 <= params["renew_before_days"] < params["days"] <= params["ca_days"]:
        raise CaError(
            f"days: {params['days']} must be more than renew_before_days ({params['renew_before_days']}) "
            f"and no more than ca_days ({params['ca_days']})"
        )
    names = general_names(params["names"])
    authority = Authority(Path(params["directory"]))
    leaf = Path(params["leaf"])
    certificate_path, key_path = leaf.with_name(f"{leaf.name}.pem"), leaf.with_name(f"{leaf.name}.key")
    certificate, key = load_certificate(certificate_path), load_key(key_path)
    no_authority = authority.trouble()
    because = no_authority or reason_to_issue(certificate, key, authority, names, params)
    before = describe(certificate)
    if because and not check_mode:
        if no_authority:
            authority.make(params["common_name"], params["ca_days"])
        key = new_key(params["key_type"])
        certificate = authority.issue(key, names, params["days"])
        if authority.certificate is None:
            raise CaError("there is no authority to issue from")
        chain = certificates_pem([certificate, authority.certificate])
        make_directory(leaf.parent, 0o700)
        # A reader between the two finds a pair that does not fit, and keeps what it had.
        write(key_path, key_pem(key), 0o600)
        write(certificate_path, chain, 0o644)
    after = describe(certificate) if not check_mode or not because else f"a new certificate: {because}\n"
    return {
        "changed": bool(because),
        "ca_certificate": str(authority.certificate_path),
        "certificate": str(certificate_path),
        "key": str(key_path),
        "issued_because": because,
        "not_after": end_of(certificate).isoformat() if certificate else "",
        "fingerprint": fingerprint(certificate) if certificate else "",
        "diff": {"before": before, "after": after},
    }


def describe(certificate: x509.Certificate | None) -> str:
    """Subject, end and fingerprint for the diff; never anything of a key."""
    if certificate is None:
        return ""
    return (
        f"subject {certificate.subject.rfc4514_string()}\nnot after {end_of(certificate).isoformat()}\n"
        f"sha256 {fingerprint(certificate)}\n"
    )


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "common_name": {"type": "str", "required": True},
            "ca_days": {"type": "int", "default": 3650},
            "leaf": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "days": {"type": "int", "default": 90},
            "renew_before_days": {"type": "int", "default": 30},
            "key_type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa", "no_log": False},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if not HAVE_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography", reason="to issue certificates"))
    try:
        result = ensure(module.params, module.check_mode)
    except CaError as error:
        module.fail_json(msg=f"private_ca: {error}")
    except OSError as error:
        module.fail_json(msg=f"private_ca: {error.filename or params_path(module.params)}: {error.strerror}")
    module.exit_json(**result)


def params_path(params: dict[str, Any]) -> str:
    """The directory to name where an error has no path of its own."""
    return str(params["directory"])


if __name__ == "__main__":
    main()
