#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: which certificate a TLS port serves."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: tls_served
short_description: See which certificate a TLS port serves
description:
  - Connects as a client would, with TLS from the first byte or after STARTTLS, and gives the fingerprint of the
    certificate that the server presents. Trust is not judged, so that any certificate can be compared with any file.
  - With O(fingerprint), fails unless that one is served.
options:
  host:
    description: Address or name to connect to.
    type: str
    default: 127.0.0.1
  port:
    description: Port to connect to.
    type: int
    required: true
  starttls:
    description: The protocol in which STARTTLS is spoken first; V(none) means TLS from the first byte.
    type: str
    choices: [none, smtp]
    default: none
  name:
    description: Server name to ask for (SNI).
    type: str
  fingerprint:
    description: SHA-256 of the certificate that must be served, hexadecimal.
    type: str
  timeout:
    description: Seconds that a step may take.
    type: int
    default: 20
attributes:
  check_mode:
    description: Only looks, in any mode.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: See that the new certificate is served
  tls_served:
    port: 25
    starttls: smtp
    name: mail.example.org
    fingerprint: "{{ lookup('ansible.builtin.file', 'mail.example.org.pem') | pem_fingerprint }}"
"""

RETURN = r"""
fingerprint:
  description: SHA-256 of the certificate that is served, hexadecimal.
  type: str
  returned: when the handshake succeeded
certificate:
  description: That certificate in PEM form.
  type: str
  returned: when the handshake succeeded
protocol:
  description: TLS version, such as V(TLSv1.3).
  type: str
  returned: when the handshake succeeded
cipher:
  description: Cipher suite in OpenSSL's words.
  type: str
  returned: when the handshake succeeded
"""

import contextlib
import hashlib
import smtplib
import socket
import ssl
from typing import Any

with contextlib.suppress(ImportError):  # the host's own programs use the rest without Ansible
    from ansible.module_utils.basic import AnsibleModule


class ServedError(Exception):
    """The sentence for the operator."""


def in_one_line(text: bytes | str) -> str:
    """What a server says, in one line of bounded length, without what a log or a terminal would obey."""
    words = " ".join((text.decode(errors="replace") if isinstance(text, bytes) else text).split())
    return "".join(c if c.isprintable() else "?" for c in words[:200])


def context() -> ssl.SSLContext:
    """A client that accepts any certificate: this module reports, it does not trust."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def after_starttls(params: dict[str, Any]) -> ssl.SSLSocket:
    """Speak SMTP until TLS is up; give the socket."""
    smtp = smtplib.SMTP(timeout=params["timeout"], local_hostname="localhost")
    # smtplib takes the server name from here; there is no other way to set it apart from the address.
    code, text = smtp.connect(params["host"], params["port"])
    if code != 220:
        raise ServedError(f"greets with {code} {in_one_line(text)}")
    smtp._host = params["name"] or params["host"]  # type: ignore[attr-defined]
    code, text = smtp.starttls(context=context())
    if code != 220:
        raise ServedError(f"answers STARTTLS with {code} {in_one_line(text)}")
    if not isinstance(smtp.sock, ssl.SSLSocket):
        raise ServedError("has no TLS after STARTTLS")
    return smtp.sock


def from_the_first_byte(params: dict[str, Any]) -> ssl.SSLSocket:
    """Connect with TLS; give the socket."""
    plain = socket.create_connection((params["host"], params["port"]), timeout=params["timeout"])
    return context().wrap_socket(plain, server_hostname=params["name"] or params["host"])


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Connect and give what is served.

    Raises ServedError with the rest of a sentence that begins with host and port.
    """
    try:
        with (after_starttls if params["starttls"] == "smtp" else from_the_first_byte)(params) as channel:
            der = channel.getpeercert(binary_form=True) or b""
            cipher = channel.cipher() or ("", "", 0)
            protocol = channel.version()
    except smtplib.SMTPResponseException as error:
        raise ServedError(f"answers STARTTLS with {error.smtp_code} {in_one_line(error.smtp_error)}") from error
    except smtplib.SMTPException as error:
        raise ServedError(f"does not get to TLS: {in_one_line(str(error))}") from error
    except ssl.SSLError as error:
        raise ServedError(f"breaks the TLS handshake off: {error.reason or error}") from error
    except OSError as error:
        raise ServedError(f"can't be spoken to: {error.strerror or error}") from error
    return {
        "fingerprint": hashlib.sha256(der).hexdigest(),
        "certificate": ssl.DER_cert_to_PEM_cert(der),
        "protocol": protocol,
        "cipher": cipher[0],
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "required": True},
            "starttls": {"type": "str", "choices": ["none", "smtp"], "default": "none"},
            "name": {"type": "str"},
            "fingerprint": {"type": "str"},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    where = f"tls_served: port {module.params['port']} of {module.params['host']}"
    try:
        served = look(module.params)
    except ServedError as error:
        module.fail_json(msg=f"{where} {error}")
    wanted = module.params["fingerprint"]
    if wanted and wanted.replace(":", "").lower() != served["fingerprint"]:
        module.fail_json(msg=f"{where} serves another certificate ({served['fingerprint']}) than {wanted}", **served)
    module.exit_json(changed=False, **served)


if __name__ == "__main__":
    main()
