"""The description of a site, out of its inventory: ansible-playbook (playbooks/dns.yml) reckons it, and writes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLAYBOOK = ROOT / "playbooks" / "dns.yml"


class InventoryError(Exception):
    """The inventory describes no site; the text says why."""


def command(program: str, inventory: str, to: Path, host: str, from_host: bool, more: Sequence[str]) -> list[str]:
    """What is run. The description is written into the directory TO, a file for each host."""
    said = json.dumps({"_dns_ask_host": from_host, "_dns_describe_to": str(to)})
    limit = ["--limit", host] if host else []
    return [program, "-i", inventory, str(PLAYBOOK), *limit, "-e", said, *more]


def described(inventory: str, host: str, from_host: bool, more: Sequence[str]) -> dict[str, Any]:
    """The description of an inventory's host, `update` included. Raises InventoryError."""
    if not inventory.rstrip().endswith(",") and not Path(inventory).exists():
        raise InventoryError(f"{inventory}: there is no such inventory")
    program = shutil.which("ansible-playbook")
    if program is None:
        raise InventoryError("there is no ansible-playbook here; README.md says what it takes, or give --site FILE")
    with tempfile.TemporaryDirectory(prefix="dns-") as folder:
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "NO_COLOR": "1",
            "ANSIBLE_NOCOLOR": "1",
        }
        # Those are of the Python that this runs in; ansible-playbook has its own.
        for name in ("PYTHONPATH", "VIRTUAL_ENV"):
            environment.pop(name, None)
        words = command(program, inventory, Path(folder), host, from_host, more)
        done = subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", check=False)
        found = sorted(Path(folder).glob("*.json"))
        if done.returncode != 0 or not found:
            raise InventoryError(_why(done.stdout + done.stderr) or f"{inventory} has no host in the group mail")
        if len(found) > 1:
            names = ", ".join(path.stem for path in found)
            raise InventoryError(f"{inventory} has several hosts; say which one with --host: {names}")
        site: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
        return site


def _why(said: str) -> str:
    """Of all that Ansible said, what went wrong."""
    lines = said.splitlines()
    at = next((index for index, line in enumerate(lines) if line.startswith(("fatal:", "[ERROR]", "ERROR!"))), None)
    return "" if at is None else "\n".join(lines[at : at + 12])
