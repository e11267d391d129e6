# SPDX-License-Identifier: MIT
"""A small certification authority of the host's own, for demonstrations, tests and closed networks.

Clients trust the site when they trust `ca.pem`. The authority's key never leaves the host. It can sign nothing but
server certificates below itself (path length 0), and its certificate outlives every certificate that it issues. Key and
certificate are written to temporary files with their final modes first; each is put in place by one rename.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.key_turn import kept, new_key
from ansible.module_utils.pem_chain import (
    RefusedError,
    certificates_pem,
    end_of,
    key_pem,
    load_chain,
    load_key,
    reason_to_renew,
    same_key,
)
from ansible.module_utils.whole_file import make_directory, write
from ansible.module_utils.words import is_dns_name

with contextlib.suppress(ImportError):  # the module says what is missing
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable

    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# Clocks of clients differ; a certificate that begins a moment ago would be refused by some.
SKEW = datetime.timedelta(hours=1)


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
        if not is_dns_name(name):
            raise RefusedError(
                f'names[{index}]: "{name}" is neither a host name (xn-- form, no empty label) nor an address'
            )
        result.append(x509.DNSName(name.lower()))
    if not result:
        raise RefusedError("names: there is none; a certificate is for at least one host name")
    return result


def loaded(load: Callable[[Path], Any], path: Path) -> Any:
    """What a file of the authority holds; None where there is no file, or nothing in it that could be used."""
    try:
        return load(path)
    except RefusedError:
        return None


class Authority:
    """The certification authority of a directory."""

    def __init__(self, directory: Path) -> None:
        """Load what is there."""
        self.certificate_path = directory / "ca.pem"
        self.key_path = directory / "ca.key"
        self.certificate: x509.Certificate | None = (loaded(load_chain, self.certificate_path) or [None])[0]
        self.key: PrivateKey | None = loaded(load_key, self.key_path)

    def trouble(self) -> str:
        """Why there is no authority to use, empty if there is one; a broken one is an error, not to be replaced."""
        if self.certificate is None and self.key is None and not self.key_path.exists():
            return "there was no authority yet"
        if self.certificate is None or self.key is None:
            raise RefusedError(
                f"{self.certificate_path} and {self.key_path}: one of them is missing or can't be read as PEM; "
                "bring it back, or move both away for a new authority (clients must then trust that one)"
            )
        if not same_key(self.certificate.public_key(), self.key.public_key()):
            raise RefusedError(f"{self.key_path} is not the key of {self.certificate_path}; bring the right one back")
        return ""

    def says(self, certificate: x509.Certificate | None) -> str:
        """What the authority has against a certificate; empty if it has issued it."""
        return "" if certificate is None or signed_by(certificate, self.certificate) else "it was of another authority"

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
            raise RefusedError("there is no authority to issue from")
        end = min(now() + datetime.timedelta(days=days), end_of(self.certificate))
        if end <= now():
            raise RefusedError(
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


def obtain(pair: tuple[Path, Path], wish: dict[str, Any], options: dict[str, Any], check_mode: bool) -> str:
    """Issue a certificate, if there is a reason to; give the reason.

    The pair is where it and its key go. The wish is that of reason_to_renew; its `next` is the key to go on with where
    the present one doesn't stay, or None for a fresh one. The options are `directory` of the authority, its
    `common_name` and `ca_days`, and the certificate's `days`.

    Raises RefusedError before anything was written, OSError when a file could not be read or written.
    """
    if not 0 <= wish["renew_before_days"] < options["days"] <= options["ca_days"]:
        raise RefusedError(
            f"certs_days: {options['days']} must be more than certs_renew_before_days ({wish['renew_before_days']}) "
            f"and no more than certs_ca_days ({options['ca_days']})"
        )
    names = general_names(wish["names"])
    authority = Authority(Path(options["directory"]))
    no_authority = authority.trouble()
    there = loaded(load_chain, pair[0])
    because = no_authority or reason_to_renew(pair, wish, authority.says(there[0] if there else None), now())
    if because and not check_mode:
        if no_authority:
            authority.make(options["common_name"], options["ca_days"])
        key = None if wish.get("turn") else kept(pair, wish["key_type"])
        key = key or wish.get("next") or new_key(wish["key_type"])
        certificate = authority.issue(key, names, options["days"])
        make_directory(pair[0].parent, 0o700)
        # A reader between the two finds a pair that does not fit, and keeps what it had.
        write(pair[1], key_pem(key), 0o600)
        write(pair[0], certificates_pem([certificate, *filter(None, [authority.certificate])]), 0o644)
    return because
