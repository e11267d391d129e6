"""playbooks/import.yml, played against hosts with other mail systems; what it writes can be declared as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sitelab.paths import ROOT

from tests.unit.other_systems import HASH, POSTFIX, QMAIL, VPOPMAIL, tree

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
HOSTS = {"qmail.old": QMAIL, "vpopmail.old": VPOPMAIL, "postfix.old": POSTFIX}
JUDGE: dict[str, Any] = {
    "hosts": "mail",
    "gather_facts": False,
    "roles": ["site"],
    "vars_files": ["import/{{ inventory_hostname }}/inventory.yml", "import/{{ inventory_hostname }}/passwords.yml"],
    "tasks": [
        {
            "name": "Judge it as the preflight does",
            "ansible.builtin.assert": {"that": "_site_declared | site_faults == []"},
        },
        {
            "name": "Say what follows from it",
            "ansible.builtin.copy": {
                "content": "{{ {'graph': _site_declared | mail_graph, 'hashes': mail_users | mail_hashes} | to_json }}",
                "dest": "{{ playbook_dir }}/{{ inventory_hostname }}.json",
                "mode": "0600",
            },
        },
    ],
}


def played(directory: Path, playbook: Path) -> str:
    """Play for all three hosts, from this directory."""
    command = [str(ANSIBLE), "-i", str(directory / "hosts.json"), str(playbook)]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": str(directory), "COLUMNS": "400"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_it_writes_is_a_site_without_a_fault(tmp_path: Path) -> None:
    here = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    roots = {name: tree(tmp_path / "roots" / name, files) for name, files in HOSTS.items()}
    hosts = {name: here | {"import_root": str(root)} for name, root in roots.items()}
    (tmp_path / "hosts.json").write_text(json.dumps({"mail": {"hosts": hosts}}))
    (tmp_path / "judge.json").write_text(json.dumps([JUDGE]))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "roots").rglob("*")}

    told = played(tmp_path, ROOT / "playbooks/import.yml")
    assert "bert: the hash of the password is of a method" in told
    assert HASH not in told
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "roots").rglob("*")} == before
    for name in HOSTS:
        directory = tmp_path / "import" / name
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
            "inventory.yml": 0o600,
            "passwords.yml": 0o600,
        }
        assert HASH not in (directory / "inventory.yml").read_text()

    played(tmp_path, tmp_path / "judge.json")
    made = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in HOSTS}
    leads = {name: made[name]["graph"]["addresses"] for name in HOSTS}
    assert leads["qmail.old"]["both@b.example"]["to"] == ["bert", "x@elsewhere.example"]
    assert made["qmail.old"]["graph"]["domains"]["b.example"]["catch_all"] == ["anna"]
    assert made["qmail.old"]["hashes"]["hashes"]["anna"] == HASH
    assert leads["vpopmail.old"]["sales@v.example"]["to"] == ["info@v.example", "x@elsewhere.example"]
    assert made["vpopmail.old"]["graph"]["mailboxes"]["info@v.example"]["quota"] == 50000000
    assert leads["postfix.old"]["info@b.example"]["to"] == ["anna"]
    assert made["postfix.old"]["graph"]["domains"]["c.example"]["recipients"] == ["joe"]
