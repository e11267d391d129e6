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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tls_served import ServedError, look


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
