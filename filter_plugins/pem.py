"""Filters `pem_expiry`, `pem_names` and `pem_fingerprint`: what the first certificate of a PEM text says."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from cryptography import x509
from cryptography.hazmat.primitives import hashes

DOCUMENTATION = r"""
name: pem_expiry
short_description: When a certificate expires
description:
  - C(pem_expiry) gives the end of validity, C(pem_names) the host names and addresses of the subjectAltName,
    C(pem_fingerprint) the SHA-256 digest, each of the first certificate in a PEM text. What else the text holds, keys
    too, is passed over.
options:
  _input:
    description: The text, such as the content of a bundle or what C(openssl s_client -showcerts) prints.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show a certificate
  ansible.builtin.debug:
    msg:
      - "{{ lookup('ansible.builtin.file', 'mail.pem') | pem_expiry }}"      # 2026-02-21T12:45:10+00:00
      - "{{ lookup('ansible.builtin.file', 'mail.pem') | pem_names }}"       # [mail.example.org, 192.0.2.1]
      - "{{ lookup('ansible.builtin.file', 'mail.pem') | pem_fingerprint }}" # 64 hexadecimal digits
"""

RETURN = r"""
_value:
  description: The time in ISO 8601 (UTC); the list of names, in lower case; the digest in lower-case hexadecimal.
  type: raw
"""

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def _first(name: str, text: Any) -> x509.Certificate:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        raise AnsibleFilterError(f"{name}: takes the text of a PEM file, not {type(text).__name__}")
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0:
        kind = "DER; convert it first (openssl x509 -inform der)" if text[:1] == "0" and "\0" in text else "not PEM"
        raise AnsibleFilterError(f"{name}: the text holds no certificate in PEM form (it is {kind})")
    if end < 0:
        raise AnsibleFilterError(f"{name}: the certificate begins and does not end; the text is cut off")
    try:
        certificate = x509.load_pem_x509_certificate(text[begin : end + len(_END)].encode("utf-8", "replace"))
        list(certificate.extensions)
    except ValueError as error:
        raise AnsibleFilterError(
            f"{name}: the certificate can't be read: {' '.join(str(error).split())[:200]}"
        ) from None
    return certificate


def pem_expiry(text: Any) -> str:
    """Give the end of validity of the first certificate, ISO 8601 in UTC. Raises AnsibleFilterError."""
    certificate = _first("pem_expiry", text)
    if hasattr(certificate, "not_valid_after_utc"):  # since cryptography 42
        return certificate.not_valid_after_utc.isoformat()
    return certificate.not_valid_after.replace(tzinfo=datetime.UTC).isoformat()


def pem_names(text: Any) -> list[str]:
    """Give the host names and then the addresses of the first certificate. Raises AnsibleFilterError."""
    certificate = _first("pem_names", text)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    hosts = [str(name).lower() for name in names.get_values_for_type(x509.DNSName)]
    return hosts + [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def pem_fingerprint(text: Any) -> str:
    """Give the SHA-256 of the first certificate, 64 lower-case hexadecimal digits. Raises AnsibleFilterError."""
    return _first("pem_fingerprint", text).fingerprint(hashes.SHA256()).hex()


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[[Any], Any]]:
        """Name the filters."""
        return {"pem_expiry": pem_expiry, "pem_names": pem_names, "pem_fingerprint": pem_fingerprint}
