#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: what runs on the host, as the kernel and systemd have it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: site_state
short_description: Tell what runs on a mail host, as the kernel and systemd have it
description:
  - Reads, in one go, each service's process with its ids, arguments and environment, the command that its definition
    would start now, the processes of the site's programs, who listens on which TCP port, and what systemd says of the
    site's units.
  - Judges nothing and changes nothing; the filter state_faults compares it with what must be.
options:
  services:
    description: Directory of the services' definitions.
    type: path
    default: /etc/qmail-site/services
  programs:
    description: Directory that all of the site's own programs are in.
    type: path
    default: /opt/qmail-site
  helpers:
    description: Names of programs in there that are told with their processes, beside those of the services.
    type: list
    elements: str
    default: []
  groups:
    description: Groups whose members are told.
    type: list
    elements: str
    default: []
  units:
    description: Patterns of names of unit files in C(/etc/systemd/system) that are the site's.
    type: list
    elements: str
    default: [qmail*, spamd.service, spamassassin-update.*]
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Ask what runs
  site_state:
    helpers: [qmail-lspawn]
  register: state
"""

RETURN = r"""
services:
  description:
    - By name, as C(process) the one on record (or none), with C(pid), C(parent), C(program), C(users) and C(groups)
      (real, effective, saved and of the file system), C(further) groups, C(arguments) and C(environment); and as
      C(command) what its definition would start.
  type: dict
  returned: success
helpers:
  description: The same of each process of a helper, with its C(name).
  type: list
  elements: dict
  returned: success
listeners:
  description: Each listening TCP socket, with C(address), C(port) and the C(programs) of the processes that have it.
  type: list
  elements: dict
  returned: success
members:
  description: By group, the accounts that are in it, those among them whose own group it is.
  type: dict
  returned: success
units:
  description: By name, what systemd says of each of the site's units; nothing where systemd is not process 1.
  type: dict
  returned: success
systemd:
  description: Whether systemd is process 1.
  type: bool
  returned: success
boot:
  description: The links that start the services where systemd is not process 1.
  type: list
  elements: str
  returned: success
"""

import contextlib
import fnmatch
import grp
import ipaddress
import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

UNITS = Path("/etc/systemd/system")
SYSTEMD = Path("/run/systemd/system")  # there if it is process 1
PROPERTIES = "Id,LoadState,FragmentPath,DropInPaths,UnitFileState,ActiveState,NeedDaemonReload"
SECONDS = 20
LISTENING = "0A"


def user_name(uid: str) -> str:
    """A user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except KeyError:
        return uid


def group_name(gid: str) -> str:
    """A group's name, or the number where there is none."""
    try:
        return grp.getgrgid(int(gid)).gr_name
    except KeyError:
        return gid


def words_of(data: bytes) -> list[str]:
    """Words that each end with a NUL."""
    return [word.decode(errors="replace") for word in data.split(b"\0")[:-1]]


def process(pid: int) -> dict[str, Any] | None:
    """What the kernel says of a process; None for one that is gone, or the kernel's own."""
    place = Path("/proc", str(pid))
    try:
        status = dict(line.split(":", 1) for line in (place / "status").read_text(errors="replace").splitlines())
        environment = dict(word.partition("=")[::2] for word in words_of((place / "environ").read_bytes()))
        return {
            "pid": pid,
            "parent": int(status["PPid"]),
            "program": str((place / "exe").readlink()),
            "users": [user_name(uid) for uid in status["Uid"].split()],
            "groups": [group_name(gid) for gid in status["Gid"].split()],
            "further": sorted(group_name(gid) for gid in status["Groups"].split()),
            "arguments": words_of((place / "cmdline").read_bytes()),
            "environment": environment,
        }
    except OSError:
        return None


def processes() -> Iterator[int]:
    """All of them."""
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            yield int(name)


def recorded(run: Path, name: str) -> dict[str, Any] | None:
    """The process of a service, by its pid file."""
    try:
        pid = int((run / f"{name}.pid").read_text())
    except (OSError, ValueError):
        return None
    return process(pid) if pid > 1 else None


def command(name: str) -> list[str]:
    """What the service's definition would start now; nothing where it can't be asked."""
    script = f"/etc/init.d/{family(name)}"
    try:
        asked = subprocess.run([script, "words", name], capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return words_of(asked.stdout) if asked.returncode == 0 else []


def family(name: str) -> str:
    """The init script that a service belongs to."""
    return "spamd" if name == "spamd" else "qmail"


def helpers(programs: Path, names: list[str]) -> list[dict[str, Any]]:
    """The processes of these programs."""
    found = []
    for pid in processes():
        with contextlib.suppress(OSError):
            program = Path("/proc", str(pid), "exe").readlink()
            if program.name.removesuffix(" (deleted)") not in names or not program.is_relative_to(programs):
                continue
            if told := process(pid):
                found.append({"name": program.name.removesuffix(" (deleted)"), **told})
    return found


def address_of(text: str) -> tuple[str, int]:
    """An address as /proc/net/tcp and tcp6 have it: words of 32 bits in the byte order of the host, which is ours."""
    digits, _, port = text.partition(":")
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port, 16)


def listeners() -> list[dict[str, Any]]:
    """Each listening TCP socket of the host, with the programs that have it open."""
    sockets: dict[str, dict[str, Any]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING:
                    address, port = address_of(fields[1])
                    sockets[f"socket:[{fields[9]}]"] = {"address": address, "port": port, "programs": set()}
    for pid in processes():
        with contextlib.suppress(OSError):
            for fd in Path("/proc", str(pid), "fd").iterdir():
                with contextlib.suppress(OSError):
                    if (name := os.readlink(fd)) in sockets:  # noqa: PTH115 - no path
                        sockets[name]["programs"].add(str(Path("/proc", str(pid), "exe").readlink()))
    found = [{**socket, "programs": sorted(socket["programs"])} for socket in sockets.values()]
    return sorted(found, key=lambda socket: (socket["port"], socket["address"]))


def members(name: str) -> list[str] | None:
    """The accounts in a group; None where there is no such group."""
    try:
        group = grp.getgrnam(name)
    except KeyError:
        return None
    own = [account.pw_name for account in pwd.getpwall() if account.pw_gid == group.gr_gid]
    return sorted({*group.gr_mem, *own})


def unit_names(patterns: list[str], services: list[str]) -> list[str]:
    """The site's units: those with a file, and the instances of the services."""
    there = sorted(path.name for path in UNITS.iterdir() if not path.is_dir()) if UNITS.is_dir() else []
    named = [name for name in there if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    instances = [f"qmail@{name}.service" for name in services if family(name) == "qmail"]
    return [*(name for name in named if "@." not in name), *instances]


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """What systemd says of them."""
    if not SYSTEMD.is_dir() or not names:
        return {}
    asked = subprocess.run(
        ["systemctl", "show", f"--property={PROPERTIES}", "--", *names],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in asked.stdout.strip().split("\n\n")]
    # An alias answers with the name of what it is an alias of.
    return dict(zip(names, blocks, strict=True))


def main() -> None:
    """Run as an Ansible module."""
    many: dict[str, Any] = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "path", "default": "/etc/qmail-site/services"},
            "programs": {"type": "path", "default": "/opt/qmail-site"},
            "helpers": {**many, "default": []},
            "groups": {**many, "default": []},
            "units": {**many, "default": ["qmail*", "spamd.service", "spamassassin-update.*"]},
        },
        supports_check_mode=True,
    )
    params = module.params
    place = Path(params["services"])
    names = sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []
    services = {
        name: {"process": recorded(Path("/run", family(name)), name), "command": command(name)} for name in names
    }
    try:
        told = units(unit_names(params["units"], names))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        module.fail_json(msg=f"systemd can't be asked: {error}")
    boot = [str(path) for path in Path("/etc").glob("rc[2-5].d/S*") if re.fullmatch(r"S\d\d(qmail|spamd)", path.name)]
    module.exit_json(
        changed=False,
        services=services,
        helpers=helpers(Path(params["programs"]), params["helpers"]),
        listeners=listeners(),
        members={name: members(name) for name in params["groups"]},
        systemd=SYSTEMD.is_dir(),
        units=told,
        boot=sorted(boot),
    )


if __name__ == "__main__":
    main()
