"""The action plugin play_check: it tells what a play would change, and is started as the run that asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from action_plugins.play_check import faults_of, words_of

ROOT = Path(__file__).parents[4]
OUTPUT = """
PLAY [Make each host a mail host] ***

TASK [Gathering Facts] ***
ok: [one.test]

TASK [qmail : Write the control files] ***
--- before: /var/qmail/control/me
+++ after: /var/qmail/control/me
@@ -1 +1 @@
-secret
+another secret

--- before: /var/qmail/control/locals
+++ after: /var/qmail/control/locals

changed: [one.test]
changed: [two.test -> localhost]

TASK [users : Create the accounts] ***
changed: [one.test] => (item=alice)
changed: [one.test] => (item=bob)
ok: [two.test]

TASK [certs : Look] ***
[ERROR]: Task failed: Module failed: no
fatal: [two.test]: FAILED! =>
    changed: false
    msg: the key is gone

RUNNING HANDLER [services : Restart] ***
changed: [one.test]

PLAY RECAP ***
one.test : ok=4 changed=3 unreachable=0 failed=0
"""


def test_each_change_and_each_failure_is_told_once_with_its_host() -> None:
    assert faults_of(OUTPUT) == [
        "one.test: qmail : Write the control files would change /var/qmail/control/me, /var/qmail/control/locals",
        "two.test: qmail : Write the control files would change /var/qmail/control/me, /var/qmail/control/locals",
        "one.test: users : Create the accounts would change something",
        "two.test: certs : Look fails: the key is gone",
        "one.test: services : Restart would change something",
    ]


def test_a_play_with_nothing_to_do_has_none() -> None:
    assert faults_of(OUTPUT.replace("changed: [", "ok: [").partition("TASK [certs")[0]) == []


def test_what_the_run_was_given_is_handed_on_but_not_its_tags() -> None:
    given = {
        "inventory": ["/a", "/b"],
        "extra_vars": ("@users.yml", "x=1"),
        "subset": "one.test",
        "ssh_common_args": "-C",
        "become": True,
        "become_method": "sudo",
        "private_key_file": None,
        "tags": ["inside"],
        "skip_tags": ["outside"],
        "forks": 5,
    }
    assert words_of(given) == [
        *("--inventory=/a", "--inventory=/b", "--extra-vars=@users.yml", "--extra-vars=x=1", "--limit=one.test"),
        *("--ssh-common-args=-C", "--become-method=sudo", "--forks=5", "--become"),
    ]


@pytest.mark.parametrize(("declared", "code"), [("now", 0), ("another", 2)])
def test_a_real_play_is_asked_with_its_variables_and_its_vault(tmp_path: Path, declared: str, code: int) -> None:
    """And nothing is changed by the asking; what it warns of is warned of."""
    target = tmp_path / "file"
    target.write_text("now")
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "plain.yml").write_text(f"content: {declared}\n")
    run = [sys.executable, "-m", "ansible"]
    vault = ["--vault-id", f"site@{tmp_path}/password"]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
    }
    subprocess.run(
        [*run, "vault", "encrypt", *vault, "--output", str(tmp_path / "vars.yml"), str(tmp_path / "plain.yml")],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    play = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n    - name: "
    arguments = "content: '{{ content }}', mode: '0644'"
    copy = f"Write\n      ansible.builtin.copy: {{dest: {target}, {arguments}}}\n"
    target.chmod(0o644)
    (tmp_path / "site.yml").write_text(play + copy + "- hosts: nobody\n")
    (tmp_path / "verify.yml").write_text(f"{play}Ask\n      play_check: {{playbook: {tmp_path}/site.yml}}\n")
    words = ["playbook", "-i", "localhost,", *vault, "-e", f"@{tmp_path}/vars.yml", str(tmp_path / "verify.yml")]
    done = subprocess.run([*run, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert (f"site.yml --check: localhost: Write would change {target}" in done.stdout) is bool(code)
    assert "[WARNING]: Could not match supplied host pattern, ignoring: nobody" in done.stderr
    assert target.read_text() == "now"
