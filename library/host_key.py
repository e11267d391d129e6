#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: have a random key on the host, in one file for each program that needs it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_key
short_description: Have a random key in files
description:
  - Makes a key of 32 random bytes, as hexadecimal digits on one line, where no file has one. It is made on the host,
    and is in no output, diff or argument.
  - All files have the same content, each its own group and mode, so that programs of different groups share a key. What
    the first file with a key has counts, further lines too, such as a key that was in use before; none is replaced.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Its path, in a directory that only root can change.
        type: path
        required: true
      group:
        description: Its group.
        type: str
        required: true
      mode:
        description: Its mode in octal.
        type: str
        default: "0640"
attributes:
  check_mode:
    description: Compares and says what would change.
    support: full
  diff_mode:
    description: Names the files, never a key.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have the key of rewritten senders
  host_key:
    files:
      - {path: /var/qmail/control/srskey, group: qmail}
"""

RETURN = r"""
written:
  description: Files that were made or mended.
  type: list
  elements: str
  returned: success
"""

import os
import re
import secrets
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_paths import PathError, Wanted, account, differs, look, octal
from ansible.module_utils.whole_file import beside

KEY = re.compile(rb"[0-9a-f]{64}\n(?:[!-~]{32,}\n)*")


def run(files: list[dict[str, Any]], check_mode: bool) -> list[str]:
    """Have the files; give those that were not as they are to be."""
    found = {each["path"]: look(Path(each["path"])) for each in files}
    kept = [have.content for have in found.values() if have and have.content and KEY.fullmatch(have.content)]
    content = kept[0] if kept else f"{secrets.token_hex(32)}\n".encode()
    written = []
    for each in files:
        path, have = Path(each["path"]), found[each["path"]]
        owner = account("root", each["group"], check_mode)
        want = Wanted(content, (os.geteuid(), owner[1]) if owner else None, octal(each["mode"]), secret=True)
        if not differs(want, have):
            continue
        if have and have.content is None:
            raise PathError(f"{path} is not a regular file; move it away")
        written.append(str(path))
        if not check_mode:
            with beside(path, want.content, want.mode, want.owner):
                pass
    return written


def main() -> None:
    """Run as an Ansible module."""
    options = {
        "path": {"type": "path", "required": True},
        "group": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0640"},
    }
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True, "options": options}},
        supports_check_mode=True,
    )
    try:
        written = run(module.params["files"], module.check_mode)
    except PathError as error:
        module.fail_json(msg=f"host_key: {error}")
    except OSError as error:
        module.fail_json(msg=f"host_key: {error.filename}: {error.strerror}")
    after = "".join(f"{path} (its content is secret)\n" for path in written)
    module.exit_json(changed=bool(written), written=written, diff={"before": "", "after": after})


if __name__ == "__main__":
    main()
