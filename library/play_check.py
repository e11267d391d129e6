#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: what a playbook would change. All of it is in the action plugin; this documents it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: play_check
short_description: See that a playbook would change nothing
description:
  - Runs O(playbook) with C(--check) on the controller, with the inventory, limit, variables, vault secrets, passwords
    and connection of the run of ansible-playbook that the task belongs to. Its tags are not handed on.
  - Fails, and names each task that would change something or can't be run, by host, and the paths of what differs.
  - What the playbook warns of, such as a control file that nobody declared, is warned of.
  - No difference itself is told, so that no content of a file is in a report.
options:
  playbook:
    description: The playbook.
    type: path
    required: true
  seconds:
    description: How long it may take.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Verify that the play has nothing to do
  play_check:
    playbook: "{{ playbook_dir }}/site.yml"
  run_once: true
"""

RETURN = r"""
faults:
  description: A clause for each task that would change something or can't be run.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that there is nothing to run on a host."""
    module = AnsibleModule(
        {"playbook": {"type": "path", "required": True}, "seconds": {"type": "int", "default": 1800}}
    )
    module.fail_json(msg="play_check runs on the controller, by its action plugin; is action_plugins in ansible.cfg?")


if __name__ == "__main__":
    main()
