#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: read what another mail system on a host is set up to do, as the variables of a site."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mail_import
short_description: Read another mail system's set-up
description:
  - Reads a qmail (control files, users/assign, the aliases, vpopmail's domains) or a Postfix (main.cf, tables that are
    text, aliases) with the host's accounts, and gives the text of an inventory that does the same. It only looks.
  - What can't be said in variables, such as a program in a dot-qmail file, stands on top of the text for somebody to
    decide.
options:
  root:
    description: The directory that is the host's root.
    type: path
    default: /
attributes:
  check_mode:
    description: It only looks in any case.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: See what the host's mail system does
  mail_import:
  register: found
  no_log: true # the hashes of passwords
"""

RETURN = r"""
system:
  description: The mail system that was found.
  type: str
  returned: success
inventory:
  description: The variables, as YAML.
  type: str
  returned: success
passwords:
  description: The hashes of passwords, as YAML. They belong into Ansible's vault.
  type: str
  returned: success
notes:
  description: What somebody has to decide.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mail_import import inventory, look, passwords


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True)
    found = look(Path(module.params["root"]))
    if found is None:
        module.fail_json(
            msg="mail_import: this host has neither /var/qmail/control/me nor /etc/postfix/main.cf; only qmail, "
            "vpopmail and Postfix can be read"
        )
    module.exit_json(
        changed=False, system=found.system, inventory=inventory(found), passwords=passwords(found), notes=found.notes
    )


if __name__ == "__main__":
    main()
