"""Filter `host_faults`: everything that keeps a host from becoming a mail host, in sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: host_faults
short_description: List what keeps a host from becoming a mail host
description:
  - Looks at what was gathered from a host, touches nothing, and gives one sentence for each fault, with the way out.
options:
  _input:
    description:
      - V(distribution), V(release) (major version) and V(releases) (those supported).
      - V(df) is the output of C(df -P -k), V(disk_mib) the free space wanted on each file system in it.
      - V(memory_free_mib) and V(memory_mib), what is there and what is wanted.
      - V(memory_total_mib), the host's memory, V(system_mib), what of it is not for the services, and V(units), name
        to the most that each service may take in MiB; none where the services are not known.
      - V(listeners) is the output of C(ss -Hltnp) for port 25, V(executables) maps a process id to its program's path.
      - V(resolvers) is the output of C(ss -Hlntup) for port 53, where this site's resolver is to answer.
      - V(mtas) lists the installed packages that are mail transport agents, V(known_mtas) those that can be replaced.
      - V(queued) is the number of lines in that agent's list of waiting mail.
      - V(replace_mta) as in the site's variables, V(own_prefix) where our own programs live.
      - V(users) are the site's people, V(passwd) is what C(getent passwd) says, V(first_uid) where people's
        accounts begin.
      - V(parts) maps each part of the site to V(path), which shows that it is on the host, and V(needs); V(parts_there)
        has the paths that there are, V(run_tags) and V(skip_tags) what the play was asked for.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: List what is wrong with this host
  ansible.builtin.debug:
    msg: "{{ {'distribution': 'Debian', 'release': '11', 'releases': ['12', '13']} | host_faults }}"
"""

RETURN = r"""
_value:
  description: The sentences; empty for a host that will do.
  type: list
  elements: str
"""

_CODENAMES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
# Local addresses of ss on which 127.0.0.1 is taken; an interface can be behind them.
_UNBOUNDS = ("127.0.0.1", "0.0.0.0", "*", "[::]", "127.0.0.1%lo")  # noqa: S104 (looked for, not bound)
_SOCKET_OWNER = re.compile(r'\("(?P<name>[^"]*)",pid=(?P<pid>\d+)')


def _release(host: Mapping[str, Any]) -> Iterator[str]:
    supported = [str(release) for release in host["releases"]]
    release = str(host["release"])
    if host["distribution"] != "Debian" or release not in supported:
        wanted = " and ".join(f"Debian {r} ({_CODENAMES[r]})" if r in _CODENAMES else f"Debian {r}" for r in supported)
        yield f"release: this host runs {host['distribution']} {release}; the roles are made for {wanted}"


def _disk(host: Mapping[str, Any]) -> Iterator[str]:
    wanted = int(host["disk_mib"])
    seen = set()
    for line in str(host.get("df", "")).splitlines()[1:]:
        fields = line.split(None, 5)
        if len(fields) != 6 or not fields[3].isdigit() or fields[5] in seen:
            continue
        seen.add(fields[5])
        free = int(fields[3]) // 1024
        if free < wanted:
            yield f"disk: {fields[5]} has {free} MiB free, {wanted} are wanted; make room, or lower preflight_disk_mib"


def _memory(host: Mapping[str, Any]) -> Iterator[str]:
    free, wanted = int(host["memory_free_mib"]), int(host["memory_mib"])
    if free < wanted:
        yield f"memory: {free} MiB are free, {wanted} are wanted; add memory or swap, or lower preflight_memory_mib"


def _units(host: Mapping[str, Any]) -> Iterator[str]:
    units = {str(name): int(mib) for name, mib in host.get("units", {}).items()}
    total, system = int(host.get("memory_total_mib", 0)), int(host.get("system_mib", 0))
    if (wanted := sum(units.values())) > total - system:
        each = ", ".join(f"{name} {mib}" for name, mib in sorted(units.items(), key=lambda unit: -unit[1]))
        yield (
            f"memory: the services may take {wanted} MiB together ({each}), but this host has {total}, and {system} of "
            "these are the system's; lower services_*_concurrency, spamassassin_children or control/concurrencylocal "
            "and concurrencyremote, or add memory"
        )


def foreign_listeners(ss: str, executables: Mapping[str, str], own_prefix: str) -> list[str]:
    """Give the programs in the output of `ss -Hltnp` that are not ours, as "name (process id)"."""
    found = []
    for line in ss.splitlines():
        owners = list(_SOCKET_OWNER.finditer(line))
        if line.strip() and not owners:
            found.append("a program that can't be seen from here")
        for owner in owners:
            path = executables.get(owner["pid"], "")
            if not path.startswith(own_prefix.rstrip("/") + "/"):
                found.append(f"{owner['name']} (process {owner['pid']})")
    return list(dict.fromkeys(found))


def _mta(host: Mapping[str, Any]) -> Iterator[str]:
    installed = [str(name) for name in host.get("mtas", [])]
    unknown = [name for name in installed if name not in host.get("known_mtas", [])]
    listeners = foreign_listeners(str(host.get("listeners", "")), host.get("executables", {}), str(host["own_prefix"]))
    if installed:
        names = ", ".join(installed)
        if not host.get("replace_mta"):
            yield (
                f"mta: another mail system is installed ({names}); say replace_mta: true to have it removed, "
                "or choose another host"
            )
        elif unknown:
            yield f"mta: {', '.join(unknown)} is not a mail system that can be replaced from here; remove it yourself"
        elif queued := int(host.get("queued", 0)):
            yield (
                f"mta: mail is waiting in the queue of {names} (mailq lists it in {queued} lines); "
                "let it be delivered or remove it, then run again"
            )
    # With a known agent that may be replaced, its listener goes with it.
    if listeners and (not installed or unknown):
        yield f"port 25: {', '.join(listeners)} listens there; stop it, and keep it from starting with the host"


def _resolver(host: Mapping[str, Any]) -> Iterator[str]:
    """Who answers on the address that unbound is to answer on."""
    names: dict[str, None] = {}
    for line in str(host.get("resolvers", "")).splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[4].rpartition(":")[0] in _UNBOUNDS:
            owners = [f"{owner['name']} (process {owner['pid']})" for owner in _SOCKET_OWNER.finditer(line)]
            names |= dict.fromkeys(owners or ["a program that can't be seen from here"])
    if others := [name for name in names if not name.startswith("unbound ")]:
        yield (
            f"port 53: {', '.join(others)} answers on 127.0.0.1, where this site's resolver is to; stop it, and keep "
            "it from starting with the host, or say resolver: host to have it asked as /etc/resolv.conf says"
        )


def _accounts(host: Mapping[str, Any]) -> Iterator[str]:
    """Nobody's mail may become a program's. Users that are not well formed are another filter's affair."""
    there = {fields[0]: fields for line in str(host.get("passwd", "")).splitlines() if (fields := line.split(":"))[3:]}
    users = host.get("users", [])
    names = [user.get("name") for user in users if isinstance(user, Mapping)] if isinstance(users, list) else []
    strangers = [str(name) for name in names if name in there and int(there[name][2]) < int(host["first_uid"])]
    if strangers:
        yield (
            f"mail_users: {', '.join(strangers)}: this host already has an account of that name for a program "
            f"(uid below {host['first_uid']}); give the person another name, and the address as an alias of it"
        )


def _parts(host: Mapping[str, Any]) -> Iterator[str]:
    """With --tags, what a part needs must be on the host already, or be run along."""
    asked, left_out = host.get("run_tags", ["all"]), host.get("skip_tags", [])
    parts: Mapping[str, Any] = host.get("parts", {})
    there = str(host.get("parts_there", "")).splitlines()
    run = [part for part in parts if not {"all", "tagged", part}.isdisjoint(asked) and part not in left_out]
    for part in run:
        missing = [need for need in parts[part]["needs"] if need not in run and parts[need]["path"] not in there]
        if missing:
            yield (
                f"--tags {part}: this host has no {' and no '.join(missing)} yet, which {part} needs; "
                f"run it without --tags first, or with --tags {','.join([*missing, part])}"
            )


def host_faults(host: object) -> list[str]:
    """Give one sentence for each thing that keeps a host from becoming a mail host.

    Args:
        host: a mapping with the keys of DOCUMENTATION's `_input`. On an unsupported system nothing else is judged.

    Raises:
        AnsibleFilterError: if the input is not a mapping, or lacks what the system is.
    """
    if not isinstance(host, Mapping):
        raise AnsibleFilterError("host_faults: wants a mapping of what was gathered from the host")
    try:
        if faults := list(_release(host)):
            return faults
        judges = (_disk, _memory, _units, _mta, _resolver, _accounts, _parts)
        return [fault for judge in judges for fault in judge(host)]
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"host_faults: the mapping of what was gathered is incomplete ({error!r})") from error


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"host_faults": host_faults}
