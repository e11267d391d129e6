# SPDX-License-Identifier: MIT
"""Action plugin of the module play_turn: says who asks, and keeps the turn for as long as ansible-playbook runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import signal
import socket
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

from ansible import context
from ansible.plugins.loader import action_loader
from ansible.utils.display import Display

display = Display()

PATH = "/run/qmail-site-play"
LEASE = 120
"""Both as the module has them."""
RENEWED = 30
"""Seconds after which it is renewed."""

# Renew the turn, or give it back, if it is $1's still. The module's file has three lines: owner, sentence, end. Nothing
# is left to do where it was removed.
HOLD = """
[ -e "$2" ] && exec 9<"$2" || exit 0
flock 9
IFS= read -r owner <&9 || exit 0
IFS= read -r said <&9
[ "$owner" = "$1" ] || exit 0
if [ "$3" = 0 ]; then : >"$2"; exit; fi
read -r up idle </proc/uptime
printf '%s\\n' "$owner" "$said" "$((${up%.*} + $3))" >"$2"
"""


def start_of(pid: int) -> str:
    """When a process began, as the kernel has it; empty where that can't be read, or where it has ended."""
    try:
        told = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = told.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def runs(pid: int, start: str) -> bool:
    """Is it the process that began then?"""
    if start:
        return start_of(pid) == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def name_of(pid: int, start: str) -> tuple[str, str]:
    """What tells the run of ansible-playbook from others, and the same for people."""
    host = socket.gethostname()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.geteuid())
    books = " ".join(Path(str(book)).name for book in context.CLIARGS.get("args") or ())
    return f"{host}:{pid}:{start}", f"ansible-playbook {books} ({user} on {host}, process {pid})"


class Mute:
    """Where the talk of a process goes that nobody listens to."""

    def send_display(self, *args: Any, **more: Any) -> None:
        """Drop it."""


class ActionModule(action_loader.get("normal", class_only=True)):  # type: ignore[misc]
    """One module call on the target; another where it has to wait."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host, in a process whose parent is ansible-playbook."""
        result: dict[str, Any] = self.begun(tmp, task_vars)
        run = os.getppid()
        start = start_of(run)
        owner, who = name_of(run, start)
        patience = float(self._task.args.get("patience", 150))
        args = {**self._task.args, "owner": owner, "who": who}
        # So that whoever waits is told so.
        asked = self._execute_module(module_name="play_turn", module_args={**args, "patience": 0}, task_vars=task_vars)
        if asked.pop("busy", False) and patience:
            host = (task_vars or {}).get("inventory_hostname")
            display.display(f"{host}: {asked['msg'].partition(';')[0]}; waiting for its end, {patience:.0f} s at most")
            asked = self._execute_module(
                module_name="play_turn", module_args={**args, "patience": patience}, task_vars=task_vars
            )
            asked.pop("busy", None)
        result.update(asked)
        if result.get("taken"):
            self._keep(owner, str(args.get("path", PATH)), run, start)
        return result

    def _keep(self, owner: str, path: str, run: int, start: str) -> None:
        """Have a process of its own see to it that the turn lasts as long as the run, and no longer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no thread of a worker is needed there
            if os.fork():
                return
        self._hold(owner, path, run, start)

    def _hold(self, owner: str, path: str, run: int, start: str) -> NoReturn:
        """Be that process. Whatever ends the run with its terminal or by its group does not end this."""
        try:
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            mute: Any = Mute()
            display._final_q = mute
            due = time.monotonic() + RENEWED
            while runs(run, start):
                time.sleep(0.3)
                if time.monotonic() >= due:
                    self._tell(owner, path, LEASE)
                    due = time.monotonic() + RENEWED
            self._tell(owner, path, 0)
        finally:
            os._exit(0)

    def _tell(self, owner: str, path: str, seconds: int) -> None:
        """Have the host know. What can't be told is told the next time, or the turn ends by itself."""
        with contextlib.suppress(Exception):
            words = " ".join(map(shlex.quote, (owner, path, str(seconds))))
            self._low_level_execute_command(f"set -- {words}{HOLD}")
