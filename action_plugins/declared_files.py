# SPDX-License-Identifier: MIT
"""Action plugin of the module declared_files: takes what the filter `control_files` gives in one, reckoned once."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import action_loader

PARTS = ("files", "secrets", "absent")


class ActionModule(action_loader.get("normal", class_only=True)):  # type: ignore[misc]
    """Gives the module each part by itself, for of a secret inside another argument the log would have the words."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host; one module call on the target."""
        result: dict[str, Any] = self.begun(tmp, task_vars)
        args = dict(self._task.args)
        declared = args.pop("declared", None) or {}
        if not isinstance(declared, dict) or not declared.keys() <= {*PARTS}:
            raise AnsibleActionFail(f"declared: not a dict of {', '.join(PARTS)}")
        result.update(
            self._execute_module(module_name="declared_files", module_args=args | declared, task_vars=task_vars)
        )
        return result
