"""Filter `state_faults`: where what runs on a host is not what the site declares, in sentences."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: state_faults
short_description: Compare what runs on a host with what must
description:
  - The document has a table whose first row is C(process), C(user), C(group), C(further groups), C(program), C(with)
    and C(variables). Each further row is a service or a helper in backquotes and what its process must be. Further
    groups are exact. A row C(NAME/FRONT) is for a service where
    that front encrypts. C(with) are words that stand in its arguments, one behind the other. C(NAME=value) among the
    variables must be there, C(NAME) may be, and no other.
  - What is in the arguments and the environment beyond that must be what the service's definition on disk would start.
options:
  _input:
    description: What the module site_state gave.
    type: dict
    required: true
  document:
    description: The text of the document that has the table.
    type: str
    required: true
  declared:
    description:
      - V(features) of the qmail in use; V(spam_filter), whether mail of strangers is filtered.
      - V(ports) of the services by name, and V(listeners), further ports that may be listened on from outside.
      - V(front), what encrypts, C(stunnel) or C(native), or C(inetd) for a stunnel that is started for each connection;
        without it it is C(stunnel).
      - V(drop_ins), paths of units' drop-ins that are the operator's.
      - V(helpers), names of those that run beside qmail-send.
      - V(groups), by name the accounts that are in it, and no other.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See that what runs is what was declared
  ansible.builtin.assert:
    that: state | state_faults(lookup('ansible.builtin.file', 'docs/architecture.md'), declared) | length == 0
"""

RETURN = r"""
_value:
  description: A sentence for each difference.
  type: list
  elements: str
"""

_UNITS = "/etc/systemd/system"
_HEAD = "| process | user | group | further groups | program | with | variables |"
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)
# A service whose door asks for passwords only if its qmail can ask on an encrypted channel.
_ASKS_IF_ABLE = "smtp"
# What has a place beside a service made, and stays there or becomes what does.
_BESIDE = "qmail-tlsd"
_ENCRYPTED = ("smtp", "smtps", "submission", "pop3s")
# By front, what encrypts beside which service.
_STAYS = {"native": dict.fromkeys(_ENCRYPTED, _BESIDE), "stunnel": {"smtps": "stunnel", "pop3s": "stunnel"}}


def _table(document: str) -> dict[str, dict[str, str]]:
    """Give what the table says of each process."""
    lines = document.splitlines()
    if _HEAD not in lines:
        raise AnsibleFilterError(f"state_faults: the document has no table that begins with {_HEAD}")
    names = [cell.strip() for cell in _HEAD.strip("|").split("|")]
    said: dict[str, dict[str, str]] = {}
    for line in lines[lines.index(_HEAD) + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        row = dict(zip(names, cells, strict=True))
        for process in row["process"].replace("`", "").split():
            said[process] = row
    return said


def _command(words: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Give the environment of a definition's command, the arguments of what it starts first, and of what that becomes.

    It begins with env -i and then has pido. What encrypts beside a service is started first, and becomes tcpserver.
    """
    rest, environment = list(words), {}
    if rest[:2] == ["env", "-i"]:
        rest = rest[2:]
    while rest and (found := _ASSIGNMENT.fullmatch(rest[0])):
        environment[found["name"]] = found["value"]
        rest.pop(0)
    if rest and rest[0].rpartition("/")[2] == "pido":
        rest = rest[2:]
    becomes = rest
    if rest and rest[0].rpartition("/")[2] == _BESIDE:
        places = [place for place, word in enumerate(rest) if word.rpartition("/")[2] == "tcpserver"]
        becomes = rest[places[0] :] if places else []
    return environment, rest, becomes


def _ids(name: str, process: Mapping[str, Any], row: Mapping[str, str], further: list[str]) -> Iterator[str]:
    for kind, column in (("users", "user"), ("groups", "group")):
        real, *effective = row[column].split("/")
        wanted = [real, *(effective or [real]) * (len(process[kind]) - 1)]
        if list(process[kind]) != wanted:
            is_so = ", ".join(dict.fromkeys(process[kind]))
            must = f"{row[column]} alone" if not effective else f"{real}, and {effective[0]} in effect"
            yield f"{name}: {kind} of process {process['pid']}: {is_so}; must be {must}"
    # A process may have its own group among the further ones as well.
    others = [group for group in process["further"] if group not in row["group"].split("/")]
    if sorted(others) != sorted(further):
        yield (
            f"{name}: further groups of process {process['pid']}: {', '.join(others) or 'none'}; must be "
            f"{', '.join(further) or 'none'}"
        )


def _base(program: str) -> str:
    """The name of a program, of an interpreter without its minor version."""
    return re.sub(r"^python3\.[0-9]+$", "python3", program.rpartition("/")[2])


def _program(name: str, process: Mapping[str, Any], row: Mapping[str, str]) -> Iterator[str]:
    program = str(process["program"])
    if _base(program) != row["program"]:
        yield f"{name}: process {process['pid']} is {program}; must be {row['program']}"
    with_words = f"\0{chr(0).join(row['with'].split())}\0"
    if row["with"] and with_words not in f"\0{chr(0).join(process['arguments'])}\0":
        yield f'{name}: the arguments of process {process["pid"]} lack "{row["with"]}"'


def _environment(name: str, process: Mapping[str, Any], row: Mapping[str, str], needed: set[str]) -> Iterator[str]:
    environment: Mapping[str, str] = process["environment"]
    known: dict[str, str | None] = {}
    for word in row["variables"].split():
        variable, equals, value = word.partition("=")
        known[variable] = value if equals else None
    for variable in sorted(environment):
        if variable not in known:
            yield f"{name}: process {process['pid']} has the variable {variable}, which nobody declared"
    for variable, wanted in known.items():
        if wanted is not None and environment.get(variable) != wanted:
            yield f"{name}: process {process['pid']} must have {variable}={wanted}"
    for variable in sorted(needed - set(environment)):
        yield f"{name}: process {process['pid']} lacks {variable}, so mail goes round the filters"


def _definition(name: str, process: Mapping[str, Any], words: list[str]) -> Iterator[str]:
    """What runs is what the definition on disk would start. What becomes another program gives itself its arguments."""
    if not words:
        yield f"{name}: its definition can't be asked what it would start; look at /etc/qmail-site/services/{name}"
        return
    environment, _, arguments = _command(words)
    is_so: Mapping[str, str] = process["environment"]
    for variable in sorted({*environment, *is_so}):
        if environment.get(variable) != is_so.get(variable):
            yield (
                f"{name}: {variable} of process {process['pid']} is not what its definition says; "
                f"/etc/init.d/qmail restart {name}"
            )
    is_itself = arguments and _base(arguments[0]) == _base(str(process["program"]))
    if is_itself and arguments != list(process["arguments"]):
        yield (
            f'{name}: process {process["pid"]} runs as "{" ".join(process["arguments"])}"; its definition says '
            f'"{" ".join(arguments)}"; /etc/init.d/qmail restart {name}'
        )


def _service(name: str, said: Mapping[str, Any], row: Mapping[str, str], declared: Mapping[str, Any]) -> Iterator[str]:
    process = said["process"]
    if not process:
        yield f"{name}: no process is on record; /etc/init.d/qmail start {name}"
        return
    further = row["further groups"].split()
    if name == _ASKS_IF_ABLE and "auth" not in declared["features"]:
        further = [group for group in further if group != "qmailauth"]
    needed = {"QMAILQUEUE"} if declared["spam_filter"] and "QMAILQUEUE" in row["variables"].split() else set()
    yield from _ids(name, process, row, further)
    yield from _program(name, process, row)
    if name != "spamd":  # Perl writes the name that it gives itself over its arguments and its environment
        yield from _environment(name, process, row, needed)
        yield from _definition(name, process, said["command"])


def _unknown(name: str) -> str:
    return f"{name}: nobody declared such a service; remove its definition, /etc/qmail-site/services/{name}"


def _helpers(state: Mapping[str, Any], table: Mapping[str, Mapping[str, str]], names: list[str]) -> Iterator[str]:
    """Each helper that began with qmail-send is there, once, with its ids. What it starts becomes somebody else."""
    send = state["services"].get("send", {}).get("process")
    if not send:
        return
    for name in names:
        row = table[name]
        ours = [helper for helper in state["helpers"] if helper["name"] == name and helper["parent"] == send["pid"]]
        if len(ours) != 1:
            yield f"{name}: {len(ours)} processes of it belong to qmail-send (process {send['pid']}); must be one"
        for helper in ours:
            yield from _ids(name, helper, row, row["further groups"].split())
            yield from _program(name, helper, row)
            yield from _environment(name, helper, row, set())


def _resident(words: list[str], arguments: list[str]) -> list[str]:
    """Give the arguments of the stunnel that `qmail-tlsd -x STUNNEL` becomes, with the users' ids as they are."""
    if "-x" not in words or "-c" not in words or "tcpserver" not in map(_base, words):
        return []
    tcpserver = next(at for at, word in enumerate(words) if _base(word) == "tcpserver")
    program, most = (words[words.index(option) + 1] for option in ("-x", "-c"))
    return [program, "-resident", *arguments[2:3], most, words[tcpserver - 1]]


def _beside(state: Mapping[str, Any], table: Mapping[str, Mapping[str, str]], front: str) -> Iterator[str]:
    """What encrypts beside a service is there, once, as its definition says; with another front it is not."""
    # In inetd mode each session begins as a stunnel.
    programs = (_BESIDE,) if front == "inetd" else (_BESIDE, "stunnel")
    for name in _ENCRYPTED:
        said = state["services"].get(name)
        if not said or not said["process"]:
            continue
        pid = said["process"]["pid"]
        for program in programs:
            ours = [helper for helper in state["helpers"] if helper["name"] == program and helper["parent"] == pid]
            wanted = 1 if _STAYS.get(front, {}).get(name) == program else 0
            if len(ours) != wanted:
                yield (
                    f"{name}: {len(ours)} processes of {program} belong to process {pid}; must be {wanted or 'none'}; "
                    f"/etc/init.d/qmail restart {name}"
                )
            for helper in ours:
                yield from _one_beside(f"{name}: {program}", helper, table[program], said["command"], name)


def _one_beside(
    of: str, helper: Mapping[str, Any], row: Mapping[str, str], command: list[str], name: str
) -> Iterator[str]:
    yield from _ids(of, helper, row, row["further groups"].split())
    yield from _program(of, helper, row)
    yield from _environment(of, helper, row, set())
    arguments = list(helper["arguments"])
    _, words, _ = _command(command)
    if row["program"] == "stunnel":
        words = _resident(words, arguments)
    if words != arguments:
        yield (
            f'{of}: process {helper["pid"]} runs as "{" ".join(arguments)}"; its definition says '
            f'"{" ".join(words)}"; /etc/init.d/qmail restart {name}'
        )


def _listeners(state: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[str]:
    ours = {int(port): name for name, port in declared["ports"].items() if name in state["services"]}
    heard: set[int] = set()
    for socket in state["listeners"]:
        port, programs = int(socket["port"]), [str(program) for program in socket["programs"]]
        who = ", ".join(programs) or "a program that can't be seen from here"
        if port in ours:
            heard.add(port)
            if not programs or any(program.rpartition("/")[2] != "tcpserver" for program in programs):
                yield f"port {port} ({ours[port]}): {who} listens there at {socket['address']}; must be tcpserver alone"
        elif not ipaddress.ip_address(socket["address"]).is_loopback and port not in declared["listeners"]:
            yield (
                f"port {port}: {who} listens there at {socket['address']}, which nobody declared; stop it, or name the "
                "port in verify_listeners"
            )
    for port in sorted(set(ours) - heard):
        yield f"port {port} ({ours[port]}): nobody listens there"


def _members(state: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[str]:
    for group, accounts in declared["groups"].items():
        members = state["members"][group]
        if members is None:
            yield f"group {group}: there is none on this host"
            continue
        for account in members:
            if account not in accounts:
                others = ", ".join(accounts) or "processes of services"
                yield f"group {group}: {account} is in it; nobody but {others} may be"


def _unit(name: str, said: Mapping[str, str], drop_ins: list[str]) -> Iterator[str]:
    instance = re.fullmatch(r"qmail@(.+)\.service", name)
    file = f"{_UNITS}/qmail@.service" if instance else f"{_UNITS}/{name}"
    if said.get("FragmentPath") != file:
        yield f"{name}: its unit is {said.get('FragmentPath') or 'missing'}; must be {file}"
    ours = [f"{_UNITS}/{name}.d/sandbox.conf"] if instance else []
    there = said.get("DropInPaths", "").split()
    for path in there:
        if path not in ours and path not in drop_ins:
            yield f"{name}: {path} changes the unit, and nobody declared it; remove it, or name it in verify_drop_ins"
    for path in ours:
        if path not in there:
            yield f"{name}: {path} is missing or not read; systemctl daemon-reload"
    if said.get("NeedDaemonReload") != "no":
        yield f"{name}: systemd has not read the unit as it is on disk; systemctl daemon-reload"
    if (name.endswith(".timer") or name in {"qmail.service", "spamd.service"}) and said.get(
        "UnitFileState"
    ) != "enabled":
        state = said.get("UnitFileState") or "missing"
        yield f"{name}: its unit file is {state}, so it does not start with the host; systemctl enable {name}"
    if name.endswith(".timer") and said.get("ActiveState") != "active":
        yield f"{name}: is {said.get('ActiveState') or 'unknown'}; systemctl start {name}"


def _boot(state: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[str]:
    if state["systemd"]:
        if "qmail.service" not in state["units"]:
            yield f"qmail.service: there is no such unit in {_UNITS}"
        for name, said in state["units"].items():
            yield from _unit(name, said, declared["drop_ins"])
        return
    for script in ("qmail", "spamd"):
        wanted = script == "qmail" or script in state["services"]
        if wanted and not any(str(link).endswith(script) for link in state["boot"]):
            yield f"/etc/init.d/{script}: nothing starts it with the host; update-rc.d {script} defaults"


def state_faults(state: object, document: str, declared: Mapping[str, Any]) -> list[str]:
    """Give one sentence for each thing that runs otherwise than it must.

    Args:
        state: what the module site_state gave.
        document: the text with the table of DOCUMENTATION.
        declared: what the site says of itself, with the keys of DOCUMENTATION's `declared`.

    Raises:
        AnsibleFilterError: if there is no such table, a row has another number of cells, or it lacks what is asked for.
    """
    if not isinstance(state, Mapping):
        raise AnsibleFilterError("state_faults: wants what the module site_state gave")
    try:
        front = declared.get("front", "stunnel")
        table = _table(document)
        table |= {name: table[f"{name}/{front}"] for name in state["services"] if f"{name}/{front}" in table}
        faults = [
            fault
            for name, said in state["services"].items()
            for fault in (_service(name, said, table[name], declared) if name in table else [_unknown(name)])
        ]
        return [
            *faults,
            *_helpers(state, table, declared["helpers"]),
            *_beside(state, table, front),
            *_listeners(state, declared),
            *_members(state, declared),
            *_boot(state, declared),
        ]
    except KeyError as error:
        raise AnsibleFilterError(f"state_faults: neither the state nor the document's table has {error}") from error
    except ValueError as error:
        raise AnsibleFilterError(f"state_faults: a row of the document's table: {error}") from error


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"state_faults": state_faults}
