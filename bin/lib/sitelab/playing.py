"""A playbook run against a host in a container: its inventory and its variables as files, and the command."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sitelab.container import Container
from sitelab.paths import ROOT


@dataclass(frozen=True)
class Playing:
    """Who is played against, under which name, and where the files for it are written."""

    container: Container
    hostname: str
    folder: Path

    def run(
        self,
        playbook: Path | str,
        *words: str,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> int:
        """Run a playbook of this tree with more words for ansible-playbook; give its exit code.

        VARIABLES go before the words. What is printed goes to LOG, or to where this process prints.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        inventory = self.folder / f"{self.container.name}.yml"
        inventory.write_text(yaml.safe_dump(self.container.inventory(self.hostname)))
        command = ["ansible-playbook", "-i", str(inventory)]
        if variables is not None:
            said = self.folder / f"{self.container.name}.variables.yml"
            said.write_text(yaml.safe_dump(dict(variables)))
            command += ["-e", f"@{said}"]
        command += [str(playbook), *words]
        whole = {**os.environ, **(environment or {})}
        if log is None:
            return subprocess.run(command, cwd=ROOT, env=whole, check=False).returncode
        with log.open("w") as out:
            return subprocess.run(command, cwd=ROOT, env=whole, stdout=out, stderr=out, check=False).returncode
