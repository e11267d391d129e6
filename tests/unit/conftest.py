"""What the unit tests share: modules run as Ansible runs them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

# Where Ansible, told by ansible.cfg, finds what modules share.
ansible.module_utils.__path__.append(str(Path(__file__).parents[2] / "module_utils"))

RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    """Run a module's main() with arguments, as Ansible would; gives what it answers."""

    def run(module: ModuleType, args: dict[str, Any], check: bool = False) -> dict[str, Any]:
        internal = {"_ansible_check_mode": check, "_ansible_remote_tmp": os.environ.get("TMPDIR", "/tmp")}  # noqa: S108
        capsys.readouterr()
        with patch_module_args({**args, **internal}), pytest.raises(SystemExit):
            module.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return answer

    return run
