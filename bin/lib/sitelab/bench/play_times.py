"""Callback plugin of bin/bench play: what each task cost, and what a first run installed and built."""

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

# What a plain shell script would do as well.
REMEMBERED = ("ansible.builtin.apt", "source_build")


class CallbackModule(CallbackBase):
    """Writes a JSON file to where the environment says: a row for each task, and the arguments of some."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "play_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Nothing has run yet."""
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []
        self.begun = time.monotonic()

    def _next(self, task: Any) -> None:
        if self.rows:
            self.rows[-1]["seconds"] = time.monotonic() - self.begun
        self.begun = time.monotonic()
        if task is not None:
            self.rows.append({"name": task.get_name(), "action": task.action, "skipped": False, "changed": False})

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Begin with a task."""
        self._next(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Begin with a handler."""
        self._next(task)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Remember that a task was skipped."""
        self.rows[-1]["skipped"] = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember what a task did."""
        row, found = self.rows[-1], result._result
        row["changed"] = bool(found.get("changed"))
        if row["action"] in REMEMBERED and row["changed"]:
            arguments = found.get("invocation", {}).get("module_args", {})
            self.done.append({"action": row["action"], "arguments": arguments})

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write it all down."""
        self._next(None)
        where = Path(os.environ["PLAY_TIMES"])
        where.write_text(json.dumps({"tasks": self.rows, "done": self.done}, default=str))
