#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: have a process on the host that runs this site's modules, instead of a new Python for each."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: resident
short_description: Have a process on the host that runs this site's modules
description:
  - Of the quarter of a second that a module run costs, nearly all goes into starting Python and reading Ansible's own
    library, which is the same each time. This process reads it once, and is a fork away from being any module.
  - The action plugin normal starts it and asks it; a playbook never names it.
  - Each run is a process of its own that begins as Ansible's modules do, in the same environment, and whose standard
    input and output are those of whoever asks. Nothing is remembered from one to the next.
  - It listens to a socket in a directory that only its user may enter. It ends when nobody has asked for a while.
options:
  socket:
    description: Where it listens; the name is that of what it runs, so that no other version of it is ever asked.
    type: path
    required: true
  sources:
    description: The modules and what they share, as a dict of their Python names to their texts; in JSON, compressed.
    type: str
    required: true
attributes:
  check_mode:
    description: Starts it all the same, as it is no part of what the host is.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have it
  resident:
    socket: /run/qmail-site-modules/0123456789abcdef
    sources: "{{ packed }}"
"""

RETURN = r"""
started:
  description: Whether there was none.
  type: bool
  returned: success
"""

import atexit
import base64
import contextlib
import fcntl
import importlib
import json
import linecache
import os
import pkgutil
import re
import socket
import stat
import sys
import zlib
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import ansible.module_utils
from ansible.module_utils.basic import AnsibleModule

IDLE = 60
"""Seconds without a run after which the process ends."""
IMPORTED = re.compile(r"(?m)^(?:import|from) ([a-z_.]+)")


class Sources(Loader, MetaPathFinder):
    """Modules by their names, compiled once. Each run imports them for itself, from what the host has by then."""

    def __init__(self, texts: dict[str, str]) -> None:
        """Compile all of them, and import what they need of Python's own library."""
        self.codes: dict[str, CodeType] = {
            name: compile(text, f"{name}.py", "exec", dont_inherit=True) for name, text in texts.items()
        }
        for name in {name for text in texts.values() for name in IMPORTED.findall(text)}:
            if name.split(".")[0] in sys.stdlib_module_names:
                importlib.import_module(name)
        # Where the modules are; of that package nothing else is sent along.
        sys.modules["ansible.modules"] = package = ModuleType("ansible.modules")
        package.__path__ = []

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Say that a module is one of these."""
        return ModuleSpec(fullname, self) if fullname in self.codes else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module."""
        exec(self.codes[module.__name__], module.__dict__)  # noqa: S102

    def get_code(self, fullname: str) -> CodeType:
        """Give the code of a module that is run."""
        return self.codes[fullname]


def listening(path: Path) -> socket.socket | None:
    """A socket at PATH that nobody but this user can reach; None where another process listens to it.

    Raises OSError where its directory is somebody else's.
    """
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(mode=0o700)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        have = os.fstat(directory)
        if have.st_uid != os.geteuid() or stat.S_IMODE(have.st_mode) != 0o700:
            raise PermissionError(0, "is not a directory of its user's alone (0700)", str(path.parent))
        fcntl.flock(directory, fcntl.LOCK_EX)  # two who start one at the same time
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.connect(str(path))
            return None
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen(64)
    finally:
        os.close(directory)
    return server


def serve(server: socket.socket, path: Path) -> None:
    """Have a child for each who asks, until nobody has for a while and none of them is at work."""
    server.settimeout(IDLE)
    while True:
        try:
            client, _ = server.accept()
        except TimeoutError:
            if at_work():
                continue
            break
        with client:
            at_work()
            if os.fork() == 0:
                server.close()
                answer(client)
    path.unlink(missing_ok=True)


def at_work() -> bool:
    """Take notice of children that have ended; is another one left?"""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def answer(client: socket.socket) -> None:
    """Be the module that the other side names, with its standard input and output. Never returns."""
    code = 1
    try:
        name, given, _, _ = socket.recv_fds(client, 256, 3)
        for number, fd in enumerate(given):
            os.dup2(fd, number)
            os.close(fd)
        code = run(name.decode())
    finally:
        with contextlib.suppress(OSError):
            client.send(bytes([code]))
        os._exit(code)


def run(name: str) -> int:
    """Run a module as Ansible's own wrapper does; give its exit code."""
    from ansible.module_utils._internal._ansiballz import _loader

    with os.fdopen(os.dup(0), "rb") as words:
        given = words.read()
    code: Any = 1
    try:
        _loader.run_module(
            json_params=given, profile="legacy", module_fqn=f"ansible.modules.{name}", modlib_path="", extensions={}
        )
    except SystemExit as ending:
        code = ending.code
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else 0 if code is None else 1


def become_resident(server: socket.socket, path: Path) -> None:
    """Be the process, in a session of its own, with nothing open that is somebody else's."""
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    try:
        serve(server, path)
    finally:
        os._exit(0)


def import_library() -> None:
    """Import all that Ansible sent along of its own: the file that it is in goes with the end of this module."""
    for found in pkgutil.walk_packages(ansible.module_utils.__path__, "ansible.module_utils."):
        with contextlib.suppress(ImportError):
            importlib.import_module(found.name)


def leave(archive: str) -> None:
    """Look for nothing in that file any more: once it is gone, anybody may put another of its name into /tmp."""
    sys.path[:] = [place for place in sys.path if place != archive]
    for place in [place for place in sys.path_importer_cache if place.startswith(archive)]:
        del sys.path_importer_cache[place]
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if spec is None or getattr(spec.loader, "archive", "") != archive:
            continue
        # The lines that a traceback shows; of those that came by a loader no file is asked for ever again.
        linecache.getlines(str(module.__file__), vars(module))
        module.__loader__ = spec.loader = None
        if hasattr(module, "__path__"):
            module.__path__ = []


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "sources": {"type": "str", "required": True, "no_log": True},  # too long for a log
        },
        supports_check_mode=True,
    )
    path = Path(module.params["socket"])
    try:
        server = listening(path)
    except OSError as error:
        module.fail_json(msg=f"resident: {error.filename or path}: {error.strerror}")
    if server is not None:
        sys.meta_path.insert(0, Sources(json.loads(zlib.decompress(base64.b64decode(module.params["sources"])))))
        import_library()
        leave(str(Path(ansible.module_utils.__path__[0]).parents[1]))
        if (child := os.fork()) == 0:
            become_resident(server, path)
        os.waitpid(child, 0)
    module.exit_json(changed=False, started=server is not None)


if __name__ == "__main__":
    main()
