"""The configuration of the role resolver, judged by unbound itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sitelab.paths import ROOT

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
CHECK = Path("/usr/sbin/unbound-checkconf")


def rendered(tmp_path: Path, **more: Any) -> Path:
    """What the role writes as its configuration."""
    template = str(ROOT / "roles/resolver/templates/etc/unbound/unbound.conf.d/qmail-site.conf.j2")
    task = {"ansible.builtin.template": {"src": template, "dest": str(tmp_path / "unbound.conf"), "mode": "0600"}}
    said = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "mail_fqdn": "mail.a.test"}
    (tmp_path / "hosts.json").write_text(json.dumps({"mail": {"hosts": {"one": said | more}}}))
    roles = [{"role": "resolver", "when": False}]
    play = {"hosts": "mail", "gather_facts": False, "roles": roles, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "ansible")}
    command = [str(ANSIBLE), "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "unbound.conf"


@pytest.mark.skipif(not CHECK.exists(), reason="unbound is not installed; bin/test does that")
def test_unbound_understands_it_and_answers_on_loopback_alone(tmp_path: Path) -> None:
    file = rendered(tmp_path, resolver_configuration='stub-zone:\n  name: "a.test"\n  stub-addr: 192.0.2.53\n')
    done = subprocess.run([CHECK, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    def value(option: str) -> str:
        return subprocess.run([CHECK, "-o", option, file], capture_output=True, text=True, check=True).stdout.strip()

    assert value("interface") == "127.0.0.1"
    assert value("access-control") == "127.0.0.0/8 allow"
    assert value("module-config") == "validator iterator"
    assert value("val-permissive-mode") == "no"
    assert value("msg-cache-size") == "33554432"
    assert "a.test" in file.read_text()
