"""Filters `pem_expiry`, `pem_names` and `pem_fingerprint`: what the first certificate of a PEM text says."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleFilterError

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


def _loaded(name: str) -> ModuleType:
    """What modules share, and nobody on the controller would find by its name."""
    place = Path(__file__).resolve().parents[1] / "module_utils" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise AnsibleFilterError(f"{place} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_pem_chain = _loaded("pem_chain")


def _first(name: str, text: Any) -> Any:
    if not isinstance(text, str | bytes):
        raise AnsibleFilterError(f"{name}: takes the text of a PEM file, not {type(text).__name__}")
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        return _pem_chain.certificates_in("the text", content)[0]
    except _pem_chain.RefusedError as error:
        raise AnsibleFilterError(f"{name}: {error}") from None


def pem_expiry(text: Any) -> str:
    """Give the end of validity of the first certificate, ISO 8601 in UTC. Raises AnsibleFilterError."""
    return str(_pem_chain.end_of(_first("pem_expiry", text)).isoformat())


def pem_names(text: Any) -> list[str]:
    """Give the host names and then the addresses of the first certificate. Raises AnsibleFilterError."""
    return list(_pem_chain.names_of(_first("pem_names", text)))


def pem_fingerprint(text: Any) -> str:
    """Give the SHA-256 of the first certificate, 64 lower-case hexadecimal digits. Raises AnsibleFilterError."""
    return str(_pem_chain.fingerprint(_first("pem_fingerprint", text)))


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[[Any], Any]]:
        """Name the filters."""
        return {"pem_expiry": pem_expiry, "pem_names": pem_names, "pem_fingerprint": pem_fingerprint}
