#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: run a program of the host's that says what it changes, or only looks."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_command
short_description: Run a program that says what it changes
description:
  - What a program of this site prints is what it has changed, or would change; who prints nothing has changed nothing.
  - It is run without a shell, in C(/), and reads nothing.
options:
  argv:
    description: The program and its arguments.
    type: list
    elements: str
    required: true
  check_argv:
    description: What is run instead in check mode, and only looks. Without it nothing is run there.
    type: list
    elements: str
  looks:
    description: >-
      Whether the program only looks, so that it is run in check mode, too, and changes nothing whatever it prints.
    type: bool
    default: false
  removes:
    description: Paths without which there is nothing to be done, such as that of the program.
    type: list
    elements: path
    default: []
  codes:
    description: Exit codes that are no failure.
    type: list
    elements: int
    default: [0]
attributes:
  check_mode:
    description: Runs what only looks.
    support: full
  diff_mode:
    description: Shows what the program has printed.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have each service be what its definition says
  host_command:
    argv: [/etc/init.d/qmail, apply]
    check_argv: [/etc/init.d/qmail, plan]
    removes: /etc/init.d/qmail
"""

RETURN = r"""
stdout:
  description: What it has printed.
  type: str
  returned: always
stderr:
  description: What it has said on its standard error.
  type: str
  returned: always
rc:
  description: Its exit code.
  type: int
  returned: always
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def run(module: AnsibleModule) -> dict[str, Any]:
    """Run what is to be run; give the module's result."""
    wanted, looks = module.params, module.params["looks"]
    argv = wanted["check_argv"] if module.check_mode and not looks else wanted["argv"]
    if not all(os.path.lexists(path) for path in wanted["removes"]):
        return {"changed": False, "stdout": "", "stderr": "", "rc": 0}
    if not argv:
        return {"changed": True, "stdout": "", "stderr": "", "rc": 0}
    # A word of a script that is also one of the environment's is the script's.
    code, out, err = module.run_command(argv, cwd="/", handle_exceptions=False, expand_user_and_vars=False)
    said = out.rstrip("\r\n")
    result = {"changed": bool(said.strip()) and not looks, "stdout": said, "stderr": err, "rc": code}
    return result | {"diff": {"prepared": f"{said}\n"}} if result["changed"] else result


def main() -> None:
    """Run as an Ansible module."""
    words = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={
            "argv": words | {"required": True},
            "check_argv": words,
            "looks": {"type": "bool", "default": False},
            "removes": {"type": "list", "elements": "path", "default": []},
            "codes": {"type": "list", "elements": "int", "default": [0]},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except OSError as error:
        module.fail_json(msg=f"{module.params['argv'][0]}: {error.strerror}", rc=127, stdout="", stderr="")
    if result["rc"] not in module.params["codes"]:
        said = result["stderr"].strip() or result["stdout"] or "it says nothing"
        module.fail_json(msg=f"`{' '.join(module.params['argv'][:2])}` ended with {result['rc']}: {said}", **result)
    # Without a word Ansible takes each code but 0 for a failure.
    module.exit_json(failed=False, **result)


if __name__ == "__main__":
    main()
