"""What the role dkim tells mail-dkim in a check, where no declaration is written; and which plays have keys made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

MOST = 128 << 10  # bytes of one argument (execve(2))


def reckoned(tmp_path: Path, domains: list[str]) -> dict[str, Any]:
    """The role's variables, of this machine's own ansible-playbook."""
    roles = [str(ROOT / f"roles/{role}/{part}/main.yml") for part in ("defaults", "vars") for role in ("site", "dkim")]
    content = "{{ {'config': _dkim_config, 'declared': _dkim_declared} | to_json }}"
    copy = {"content": content, "dest": str(tmp_path / "found"), "mode": "0600"}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [each for each in roles if Path(each).exists()],
        "tasks": [{"ansible.builtin.copy": copy, "vars": {"mail_fqdn": "mail.example", "mail_domains": domains}}],
    }
    (tmp_path / "play.json").write_text(json.dumps([play]))
    ansible = Path(sys.executable).with_name("ansible-playbook")
    command = [str(ansible), "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
    environment = os.environ | {"ANSIBLE_LOCALHOST_WARNING": "false"}
    subprocess.run([*command, str(tmp_path / "play.json")], cwd=ROOT, env=environment, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((tmp_path / "found").read_text())
    return found


@pytest.mark.parametrize("count", [2, 6000])
def test_a_check_is_told_all_of_it_in_words_that_a_command_may_have(tmp_path: Path, count: int) -> None:
    found = reckoned(tmp_path, [f"a-domain-with-a-name-of-some-length-{number}.example" for number in range(count)])
    words = found["declared"]
    assert all(word.startswith("--declared=") and len(word) < MOST for word in words)
    assert json.loads("".join(word.removeprefix("--declared=") for word in words)) == found["config"]
    assert len(found["config"]["domains"]) == count + 1
    assert (len(words) > 1) == (count > 2)


def test_users_yml_has_keys_made_for_new_domains() -> None:
    (play,) = yaml.safe_load((ROOT / "playbooks/users.yml").read_text())
    imported = [task.get("ansible.builtin.import_role", {}) for task in play["tasks"]]
    assert {"name": "dkim", "tasks_from": "keys"} in imported
    declare, make = yaml.safe_load((ROOT / "roles/dkim/tasks/keys.yml").read_text())
    assert {"path": "/etc/qmail-site/dkim.json"} in declare["host_files"]["files"]
    assert "_dkim_declared" in make["host_command"]["check_argv"]
    assert "dkim_sign" in make["when"]
