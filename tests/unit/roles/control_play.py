"""The control files that the role qmail would write, reckoned by ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sitelab.paths import ROOT


def a_play(variables: dict[str, Any], dest: Path) -> list[dict[str, Any]]:
    """A play that writes what the role qmail would write to control."""
    roles = ["site", "qmail"]
    return [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars_files": [
                str(ROOT / f"roles/{role}/{part}/main.yml") for part in ("defaults", "vars") for role in roles
            ],
            "tasks": [
                {
                    "ansible.builtin.copy": {
                        "content": "{{ _qmail_files | to_json }}",
                        "dest": str(dest),
                        "mode": "0600",
                    },
                    "vars": variables | {"role_path": str(ROOT / "roles/qmail")},
                }
            ],
        }
    ]


def written(tmp_path: Path, variables: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """What the role writes, of this machine's own ansible-playbook."""
    (tmp_path / "play.json").write_text(json.dumps(a_play(variables, tmp_path / "files")))
    ansible = Path(sys.executable).with_name("ansible-playbook")
    environment = os.environ | {"PYTHONHASHSEED": str(seed), "ANSIBLE_LOCALHOST_WARNING": "false"}
    command = [str(ansible), "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
    subprocess.run([*command, str(tmp_path / "play.json")], cwd=ROOT, env=environment, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((tmp_path / "files").read_text())
    return found
