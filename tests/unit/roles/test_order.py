"""What a role makes of a list has the list's own order, at each run: what a set gives has another one each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sitelab.paths import ROOT

SET_FILTERS = re.compile(r"\|\s*(?:ansible\.builtin\.)?(difference|intersect|symmetric_difference|union)\b")
EXPRESSIONS = sorted(
    path for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*") if path.suffix in (".yml", ".j2")
)


@pytest.mark.parametrize("path", EXPRESSIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_filter_that_goes_by_sets(path: Path) -> None:
    """reject('in', ...) and select('in', ...) do the same and keep the order."""
    assert SET_FILTERS.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("seed", range(3))
def test_locals_of_several_domains_are_in_the_order_of_the_site(tmp_path: Path, seed: int) -> None:
    domains = [f"{letter}.example" for letter in "qwertyuiop"]
    play = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars_files": [str(ROOT / "roles/qmail/vars/main.yml")],
            "vars": {
                "mail_fqdn": "mail.example",
                "mail_domains": domains,
                "qmail_virtualdomains": {domains[3]: "x"},
                "ansible_python_interpreter": sys.executable,
            },
            "tasks": [
                {
                    "ansible.builtin.copy": {
                        "content": "{{ _qmail_locals | to_json }}",
                        "dest": str(tmp_path / "locals"),
                        "mode": "0600",
                    }
                }
            ],
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(play))
    ansible = Path(sys.executable).with_name("ansible-playbook")
    environment = os.environ | {"PYTHONHASHSEED": str(seed), "ANSIBLE_LOCALHOST_WARNING": "false"}
    subprocess.run([ansible, tmp_path / "play.json"], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert json.loads((tmp_path / "locals").read_text()) == ["localhost", "mail.example", *domains[:3], *domains[4:]]
