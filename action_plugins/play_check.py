# SPDX-License-Identifier: MIT
"""Action plugin play_check: runs a playbook with --check as this run was started, and tells what it would change."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - its name everywhere
from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

SECONDS = 1800
# So many paths are named for a task.
MOST = 20
# What is handed on as it was given, by the names that ansible-playbook has for them.
GIVEN = {
    "inventory": "--inventory",
    "extra_vars": "--extra-vars",
    "subset": "--limit",
    "remote_user": "--user",
    "connection": "--connection",
    "timeout": "--timeout",
    "private_key_file": "--private-key",
    "ssh_common_args": "--ssh-common-args",
    "sftp_extra_args": "--sftp-extra-args",
    "scp_extra_args": "--scp-extra-args",
    "ssh_extra_args": "--ssh-extra-args",
    "become_method": "--become-method",
    "become_user": "--become-user",
    "forks": "--forks",
}
TASK = re.compile(r"(?:TASK|RUNNING HANDLER) \[(.*)\] \**")
DIFFERS = re.compile(r"--- before: (/\S+)")
CHANGED = re.compile(r"changed: \[([^\] ]+)")
FAILED = re.compile(r"(?:fatal|failed): \[([^\] ]+)")
MESSAGE = re.compile(r"\s+msg: (.*)")
WARNING = re.compile(r"\[WARNING\]: (.*)")


def words_of(given: Mapping[str, Any]) -> list[str]:
    """The options of ansible-playbook that are handed on."""
    words = []
    for name, option in GIVEN.items():
        values = given.get(name)
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if value not in (None, "", False):
                words.append(f"{option}={value}")  # in one word, as a value may begin with a dash
    return words + (["--become"] if given.get("become") else [])


def faults_of(text: str) -> list[str]:
    """What would be changed and what can't be run, by the output of ansible-playbook: a clause each."""
    found: dict[str, str] = {}
    paths: list[str] = []
    task, failing = "", ""
    for line in text.splitlines():
        if head := TASK.match(line):
            task, failing, paths = head[1], "", []
        elif differs := DIFFERS.match(line):
            paths.append(differs[1])
        elif changed := CHANGED.match(line):
            found.setdefault(f"{changed[1]}: {task}", f"would change {', '.join(paths[:MOST]) or 'something'}")
        elif failed := FAILED.match(line):
            failing = f"{failed[1]}: {task}"
            found[failing] = "fails"
        elif failing and found[failing] == "fails" and (message := MESSAGE.match(line)):
            found[failing] = f"fails: {message[1][:300]}"
    return [f"{what} {how}" for what, how in found.items()]


class ActionModule(ActionBase):
    """Runs on the controller alone."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the playbook, and tell what became of it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        playbook = Path(str(self._task.args.get("playbook") or ""))
        if not playbook.is_file():
            raise AnsibleActionFail(f"playbook: {playbook} is no file")
        with tempfile.TemporaryDirectory(prefix="play-check-") as directory:
            words = [sys.executable, "-m", "ansible", "playbook", "--check", "--diff", *words_of(context.CLIARGS)]
            words += [*self._secrets(Path(directory)), str(playbook.resolve())]
            code, text = self._output(words, int(self._task.args.get("seconds", SECONDS)))
        faults = faults_of(text)
        if code and not faults:
            faults = [f"ends with exit code {code}: {' '.join(text.split())[-600:]}"]
        # In the same words, so that what this run has been warned of already is not said twice.
        for warning in dict.fromkeys(WARNING.findall(text)):
            Display().warning(warning)
        result |= {"changed": False, "faults": faults}
        if faults:
            result |= {"failed": True, "msg": f"{playbook.name} --check: {'; '.join(faults)}"}
        return result

    def _output(self, words: list[str], seconds: int) -> tuple[int, str]:
        """The exit code, and all that is said."""
        environment = {key: value for key, value in os.environ.items() if key != "ANSIBLE_FORCE_COLOR"}
        environment |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
        environment |= {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml", "ANSIBLE_CHECK_MODE_MARKERS": "0"}
        if config := getattr(C, "CONFIG_FILE", None):
            environment["ANSIBLE_CONFIG"] = str(config)
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=environment, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                text, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                text, _ = process.communicate()
                return 1, f"no end within {seconds} seconds\n{text}"
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                raise
        return process.returncode, text

    def _secrets(self, directory: Path) -> list[str]:
        """Options for what was asked for at the terminal or read from somewhere, each in a file of its own."""
        words = []
        files = {}
        for number, (identity, secret) in enumerate(getattr(self._loader, "_vault").secrets or []):  # noqa: B009
            if content := getattr(secret, "bytes", None):
                files[directory / f"vault{number}"] = content
                words += ["--vault-id", f"{identity or 'default'}@{directory}/vault{number}"]
        for name, option in (("become_pass", "--become-password-file"), ("password", "--connection-password-file")):
            if value := getattr(self._play_context, name, None):
                files[directory / name] = str(value).encode()
                words += [option, str(directory / name)]
        for path, content in files.items():
            path.touch(mode=0o600)
            path.write_bytes(content)
        return words
