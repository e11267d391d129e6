# SPDX-License-Identifier: MIT
"""Action plugin of all modules that have none of their own: has this site's own ones run by the host's resident.

Everything that Ansible does with a module and its answer stays as it is. What changes is what the host is told to run:
not Python with the module and all of Ansible's library, but a few words that hand over to a process which has read both
(the module resident). Where there is none yet, it is started; where that can't be, the module is run as any other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - its name everywhere
from ansible.executor.module_common import _BuiltModule
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase
from ansible.release import __version__

HOME = Path(__file__).resolve().parents[1]
SOCKETS = "/run/qmail-site-modules"
# These bring more along than the resident reads, of Ansible's library or as a package, or are what starts it.
APART = ("distfile", "mail_import", "resident")
PROFILE = "legacy"
GONE = 69
# What nobody answers: no resident, or no interpreter for the few words.
UNANSWERED = (GONE, 126, 127)
PYTHON = "/usr/bin/python3"
# An error before there is an answer: the module was not begun, as a child's socket that was read from just ends.
ASK = f"""import _socket, sys
c = _socket.socket(_socket.AF_UNIX)
fds = b"".join(n.to_bytes(4, sys.byteorder) for n in range(3))
try:
    c.connect(sys.argv[1])
    c.sendmsg([sys.argv[2].encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
    told = c.recv(1)
except OSError:
    sys.exit({GONE})
sys.exit(ord(told or b"\\1"))
"""


@cache
def sources() -> dict[str, str]:
    """The modules and what they share, by the names that Python has for them on a host."""
    places = {"ansible.module_utils": HOME / "module_utils", "ansible.modules": HOME / "library"}
    return {
        f"{package}.{name}": path.read_text(encoding="utf-8")
        for package, folder in places.items()
        for name, path in _files(folder)
        if name not in APART
    }


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The modules in a folder; a package that is one file is as good as one."""
    for path in sorted(folder.glob("*.py")):
        yield path.stem, path
    for path in sorted(folder.glob("*/__init__.py")):
        if list(path.parent.glob("*.py")) == [path]:
            yield path.parent.name, path


@cache
def socket() -> str:
    """Where the resident that runs these sources listens; one of another make is another, too."""
    what = [__version__, (HOME / "library/resident.py").read_text(encoding="utf-8"), sources()]
    return f"{SOCKETS}/{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"


class ActionModule(ActionBase):
    """One module call on the target. The other action plugins of this site are made of it."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host."""
        result = self.begun(tmp, task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
        if self._task.action in C._ACTION_SETUP:
            result["_ansible_verbose_override"] = True  # of all facts only what was asked for
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)  # type: ignore[no-untyped-call]
        return result

    def begun(self, tmp: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """What each run begins with, and the others' too: their super().run would run the module as it is."""
        return dict(super().run(tmp, task_vars))

    def _configure_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        """What is sent to the host for a module, and the module's file."""
        self._asked: tuple[str, dict[str, Any], dict[str, Any]] | None = None
        ours = f"ansible.modules.{module_name}" in sources()
        apart = self._task.async_val or self._compute_environment_string()  # type: ignore[no-untyped-call]
        if not ours or apart or not self._is_pipelining_enabled("new"):
            return super()._configure_module(module_name, module_args, task_vars)
        self._asked = module_name, module_args, task_vars
        encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
        built = _BuiltModule(
            b_module_data=json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode(),
            module_style="new",
            shebang=f"#!{PYTHON}",
            serialization_profile=PROFILE,
        )
        return built, str(HOME / "library" / f"{module_name}.py")

    def _low_level_execute_command(self, cmd: str, *args: Any, **more: Any) -> dict[str, Any]:
        """Run a command on the host; where it is to ask the resident and there is none, start one."""
        execute = super()._low_level_execute_command
        asked, self._asked = getattr(self, "_asked", None), None
        if asked is None:
            return dict(execute(cmd, *args, **more))  # type: ignore[no-untyped-call]
        name, module_args, task_vars = asked
        cmd = f"{PYTHON} -ISc {shlex.quote(ASK)} {socket()} {name}"
        done = dict(execute(cmd, *args, **more))  # type: ignore[no-untyped-call]
        if done["rc"] in UNANSWERED and self._start(task_vars):
            done = dict(execute(cmd, *args, **more))  # type: ignore[no-untyped-call]
        if done["rc"] in UNANSWERED:
            built, _ = super()._configure_module(name, module_args, task_vars)
            cmd = self._connection._shell.build_module_command("", built.shebang, "")
            done = dict(execute(cmd, *args, **{**more, "in_data": built.b_module_data}))  # type: ignore[no-untyped-call]
        return done

    def _start(self, task_vars: dict[str, Any]) -> bool:
        """Start the resident; is there one now?"""
        packed = base64.b64encode(zlib.compress(json.dumps(sources()).encode())).decode()
        words = {"socket": socket(), "sources": packed}
        return not self._execute_module(module_name="resident", module_args=words, task_vars=task_vars).get("failed")
