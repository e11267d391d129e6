"""What runs against what must: each thing that is otherwise gets its sentence, and nothing else does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from sitelab.paths import ROOT

from filter_plugins.state_faults import state_faults

DOCUMENT = Path(ROOT, "docs/architecture.md").read_text()
DOOR_VARIABLES = {"PATH": "/usr/bin:/bin", "DOORRULES": "/etc/tcp/doors.cdb", "MAXCONNIP": "20", "MAXCONNNET": "30"}
TCPSERVER = ["/usr/local/bin/tcpserver", "-u", "64011", "-g", "64020"]
UNIT = {"UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no", "DropInPaths": ""}
DECLARED: dict[str, Any] = {
    "features": ["auth", "starttls"],
    "spam_filter": True,
    "ports": {"smtp": 25, "submission": 587, "pop3s": 995},
    "listeners": [22],
    "drop_ins": [],
    "helpers": ["qmail-lspawn", "qmail-rspawn", "qmail-clean"],
    "groups": {"qmail": ["qmailq", "qmails"], "qmailauth": []},
}


def process(
    user: str, group: str, *further: str, program: str = "/opt/qmail-site/ucspi-tcp/1/bin/tcpserver"
) -> dict[str, Any]:
    """What the kernel says of a process."""
    return {"pid": 7, "program": program, "users": [user] * 4, "groups": [group] * 4, "further": list(further)}


def door(user: str, *arguments: str, **variables: str) -> dict[str, Any]:
    """A service behind tcpserver, which runs as its definition says."""
    service = {"AUTHSERVICE": "smtp" if user == "qmaild" else "pop3"}
    words, environment = [*TCPSERVER, *arguments], {**DOOR_VARIABLES, **service, **variables}
    told = process(user, "qmaildoor", "qmailauth", "qmailtls") | {"arguments": words, "environment": environment}
    command = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    return {"process": told, "command": [*command, "/usr/local/bin/pido", "/run/qmail/x.pid", *words]}


def resident(
    program: str = "/usr/bin/python3.13", groups: tuple[str, ...] = ("qmaildoor", *["nofiles"] * 3)
) -> dict[str, Any]:
    """hi-q's resident, as its definition starts it."""
    place = "/opt/qmail-site/helpers/current/lib/hi-q/resident.py"
    words = ["/usr/bin/python3", "-IS", place, "/run/qmail/filter.socket", "12"]
    told = process("qmaild", "", "qmaildoor", program=program) | {"groups": list(groups), "arguments": words}
    command = ["env", "-i", "PATH=/usr/bin", "pido", "/run/qmail/filter.pid", *words]
    return {"process": told | {"environment": {"PATH": "/usr/bin"}}, "command": command}


def helper(name: str, user: str, group: str, *arguments: str) -> dict[str, Any]:
    """One of qmail-send's family, a child of process 9."""
    told: dict[str, Any] = process(user, group, program=f"/opt/qmail-site/qmail/1/bin/{name}")
    return told | {
        "name": name,
        "parent": 9,
        "arguments": [f"bin/{name}", *arguments],
        "environment": {"PATH": "/usr/bin"},
    }


SOCKET = "/run/qmail/pop3s.tls/socket"


def stays() -> dict[str, Any]:
    """A service that a stunnel stays beside, as its definition starts it."""
    said = door("qmailpop", "/var/qmail/bin/qmail-pop3d", "Maildir", TLSD=SOCKET)
    said["process"] |= {"pid": 8, "further": ["qmailauth"]}
    beside = ["/var/qmail/bin/qmail-tlsd", "-x", "/usr/local/bin/stunnel", "-u", "qmailtlsd", "-g", "qmaildoor"]
    at = said["command"].index(TCPSERVER[0])
    said["command"][at:at] = [*beside, "-c", "40", "-a", "qmailpop", SOCKET, "/etc/stunnel/pop3s.conf"]
    return said


def stunnel(*arguments: str) -> dict[str, Any]:
    """What stays beside it."""
    told = helper("stunnel", "qmailtlsd", "qmailtls") | {"program": "/opt/qmail-site/stunnel/1/bin/stunnel"}
    return told | {"parent": 8, "pid": 18, "arguments": list(arguments)}


def begins() -> dict[str, Any]:
    """The same host where stunnel is started for each connection, one of which is there."""
    state = good()
    words = ("/usr/local/bin/stunnel", "/etc/stunnel/pop3s.conf")
    state["services"]["pop3s"] = door("qmailpop", *words, TLSFRONT="stunnel")
    state["helpers"] = [each for each in state["helpers"] if each["name"] != "stunnel"]
    state["helpers"].append(stunnel(*words) | {"parent": 7, "users": ["qmailpop"] * 4})
    return state


def good() -> dict[str, Any]:
    """A host on which all is as it must be."""
    send = helper("qmail-send", "qmails", "qmail") | {"pid": 9}
    words = ["env", "-i", "PATH=/usr/bin", "pido", "/run/qmail/send.pid", "/var/qmail/bin/qmail-start", "./Maildir/"]
    door_programs = {"programs": ["/opt/qmail-site/ucspi-tcp/1/bin/tcpserver"]}
    units = {
        f"qmail@{name}.service": {
            **UNIT,
            "FragmentPath": "/etc/systemd/system/qmail@.service",
            "DropInPaths": f"/etc/systemd/system/qmail@{name}.service.d/sandbox.conf",
            "UnitFileState": "disabled",
        }
        for name in ("smtp", "pop3s", "send")
    }
    whole = {
        name: {**UNIT, "FragmentPath": f"/etc/systemd/system/{name}"}
        for name in ("qmail.service", "qmail-site-certs.timer")
    }
    return {
        "services": {
            "smtp": door("qmaild", "-x", "/etc/tcp/smtp.cdb", "::", "25", QMAILQUEUE="/usr/local/bin/hi-q"),
            "pop3s": stays(),
            "send": {"process": send, "command": words},
        },
        "helpers": [
            helper("qmail-lspawn", "root", "root", "./Maildir/"),
            helper("qmail-rspawn", "qmailr", "qmail"),
            helper("qmail-clean", "qmailq", "qmail") | {"further": ["qmail"]},
            # Those that look up users and deliver begin as this one.
            helper("qmail-lspawn", "qmailp", "nofiles") | {"parent": 8},
            stunnel("/usr/local/bin/stunnel", "-resident", "64014", "40", "/etc/stunnel/pop3s.conf"),
            # Each session is one more, whose parent is that.
            stunnel() | {"parent": 18, "pid": 19},
        ],
        "listeners": [
            {"address": "0.0.0.0", "port": 22, "programs": ["/usr/sbin/sshd"]},  # noqa: S104 - what is said of a host
            {"address": "::", "port": 25, **door_programs},
            {"address": "127.0.0.53", "port": 53, "programs": ["/usr/lib/systemd/systemd-resolved"]},
            {"address": "::", "port": 995, **door_programs},
        ],
        "systemd": True,
        "units": units | whole,
        "boot": [],
        "members": {"qmail": ["qmailq"], "qmailauth": []},
    }


def fault_of_a_helper(state: dict[str, Any], declared: dict[str, Any], pid: int, key: str, value: object) -> str:
    """The only fault of a host where one fact of one of its helpers is otherwise."""
    next(each for each in state["helpers"] if each["pid"] == pid)[key] = value
    (fault,) = state_faults(state, DOCUMENT, declared)
    return fault


def test_a_host_as_it_must_be_has_no_fault() -> None:
    assert state_faults(good(), DOCUMENT, DECLARED) == []


NATIVE = {**DECLARED, "front": "native"}


def test_a_stunnel_that_can_not_stay_has_another_table() -> None:
    assert state_faults(begins(), DOCUMENT, {**DECLARED, "front": "inetd"}) == []
    assert "pop3s: 0 processes of stunnel belong to process 8; must be 1" in "\n".join(
        state_faults(good() | {"helpers": good()["helpers"][:4]}, DOCUMENT, DECLARED)
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("users", ["qmailpop"] * 4, "users of process 18: qmailpop; must be qmailtlsd alone"),
        ("further", ["qmailauth"], "further groups of process 18: qmailauth; must be none"),
        (
            "arguments",
            ["/usr/local/bin/stunnel", "-resident", "64014", "400", "/etc/stunnel/pop3s.conf"],
            "stunnel -re",
        ),
        ("arguments", ["/usr/local/bin/stunnel", "-resident", "64014", "40", "/etc/x.conf"], "its definition says"),
        ("environment", {"LD_PRELOAD": "/x"}, "has the variable LD_PRELOAD"),
        ("program", "/opt/qmail-site/stunnel/1/bin/sh", "must be stunnel"),
    ],
)
def test_the_stunnel_that_stays_is_as_it_must_be(key: str, value: object, said: str) -> None:
    fault = fault_of_a_helper(good(), DECLARED, 18, key, value)
    assert said in fault
    assert fault.startswith("pop3s: stunnel: ")


def native() -> dict[str, Any]:
    """The same host with the other front."""
    state = good()
    state["helpers"] = [each for each in state["helpers"] if each["name"] != "stunnel"]
    tlsd = ["/var/qmail/bin/qmail-tlsd", "-u", "qmailtlsd", "-g", "qmaildoor", "/run/qmail/x.tls/socket", "/x.pem"]
    for pid, name in ((21, "smtp"), (22, "pop3s")):
        more = ["-x", "/etc/tcp/smtp.cdb"] if name == "smtp" else ["/var/qmail/bin/qmail-pop3d", "Maildir"]
        variables = {"TLSD": f"/run/qmail/{name}.tls/socket"} | ({"QMAILQUEUE": "/hi-q"} if name == "smtp" else {})
        said = door("qmaild" if name == "smtp" else "qmailpop", *more, **variables)
        said["process"] |= {"pid": pid, "further": ["qmailauth"]}
        place = said["command"].index(TCPSERVER[0])
        said["command"][place:place] = tlsd
        state["services"][name] = said
        beside = helper("qmail-tlsd", "qmailtlsd", "qmailtls")
        state["helpers"] += [
            beside | {"parent": pid, "pid": pid + 10, "arguments": said["command"][place:]},
            # Each session is one more, whose parent is that.
            beside | {"parent": pid + 10, "users": ["root"] * 4},
        ]
    return state


def test_another_front_has_another_table() -> None:
    assert state_faults(native(), DOCUMENT, NATIVE) == []
    faults = "\n".join(state_faults(native(), DOCUMENT, DECLARED))
    assert "smtp: process 21 has the variable TLSD, which nobody declared" in faults
    assert "smtp: 1 processes of qmail-tlsd belong to process 21; must be none" in faults
    assert "smtp: 0 processes of qmail-tlsd belong to process 7; must be 1" in "\n".join(
        state_faults(good(), DOCUMENT, NATIVE)
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("users", ["root"] * 4, "users of process 31: root; must be qmailtlsd alone"),
        (
            "groups",
            ["qmailtls", "root", "root", "root"],
            "groups of process 31: qmailtls, root; must be qmailtls alone",
        ),
        ("further", ["qmailauth"], "further groups of process 31: qmailauth; must be none"),
        ("arguments", ["/var/qmail/bin/qmail-tlsd", "-u", "qmailtlsd", "-g", "qmaildoor"], "its definition says"),
        ("environment", {"LD_PRELOAD": "/x"}, "has the variable LD_PRELOAD"),
        ("program", "/opt/qmail-site/qmail/1/bin/sh", "must be qmail-tlsd"),
    ],
)
def test_what_encrypts_is_as_it_must_be(key: str, value: object, said: str) -> None:
    fault = fault_of_a_helper(native(), NATIVE, 31, key, value)
    assert said in fault
    assert fault.startswith("smtp: qmail-tlsd: ")


def test_arguments_of_what_it_becomes_are_compared() -> None:
    state = native()
    state["services"]["smtp"]["process"]["arguments"].append("more")
    assert "smtp: process 21 runs as" in "".join(state_faults(state, DOCUMENT, NATIVE))


def test_a_port_without_passwords_has_no_group_for_them() -> None:
    state, declared = good(), {**DECLARED, "features": []}
    assert "further groups of process 7: qmailauth, qmailtls; must be qmailtls" in "".join(
        state_faults(state, DOCUMENT, declared)
    )
    state["services"]["smtp"]["process"]["further"] = ["qmailtls"]
    assert state_faults(state, DOCUMENT, declared) == []


def test_a_host_without_a_filter_needs_no_variable_for_it() -> None:
    state = good()
    state["services"]["smtp"] = door("qmaild", "-x", "/etc/tcp/smtp.cdb", "::", "25")
    assert state_faults(state, DOCUMENT, {**DECLARED, "spam_filter": False}) == []
    assert state_faults(state, DOCUMENT, DECLARED) == [
        "smtp: process 7 lacks QMAILQUEUE, so mail goes round the filters"
    ]


def test_spamd_writes_over_its_arguments_and_its_environment() -> None:
    state = good()
    spamd = process("spamd", "spamd", program="/usr/bin/perl") | {
        "arguments": ["spamd child"],
        "environment": {"d": ""},
    }
    state["services"]["spamd"] = {"process": spamd, "command": []}
    assert state_faults(state, DOCUMENT, DECLARED) == []
    spamd["users"][1] = "root"
    assert state_faults(state, DOCUMENT, DECLARED) == ["spamd: users of process 7: spamd, root; must be spamd alone"]


def smtp(state: Any) -> Any:
    return state["services"]["smtp"]["process"]


def redefined(state: Any, **variables: str) -> None:
    """The definition was changed, and the service started anew from it."""
    state["services"]["smtp"] = door("qmaild", "-x", "/etc/tcp/smtp.cdb", QMAILQUEUE="/usr/local/bin/hi-q", **variables)


def unit(state: Any, name: str, **said: str) -> None:
    state["units"][name].update(said)


# What somebody did to the host, and what is said of it.
CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "as root": (lambda s: smtp(s).update(users=["root"] * 4), "smtp: users of process 7: root; must be qmaild alone"),
    "may become root": (
        lambda s: smtp(s).update(users=["qmaild", "qmaild", "root", "qmaild"]),
        "qmaild, root; must be",
    ),
    "root's group": (
        lambda s: smtp(s).update(groups=["root"] * 4),
        "groups of process 7: root; must be qmaildoor alone",
    ),
    "a group more": (
        lambda s: smtp(s)["further"].append("shadow"),
        "further groups of process 7: qmailauth, qmailtls, shadow; must",
    ),
    "a group less": (lambda s: smtp(s)["further"].clear(), "further groups of process 7: none; must be qmailauth"),
    "another program": (lambda s: smtp(s).update(program="/usr/bin/nc"), "process 7 is /usr/bin/nc; must be tcpserver"),
    "a replaced program": (
        lambda s: smtp(s).update(program="/opt/qmail-site/ucspi-tcp/1/bin/tcpserver (deleted)"),
        "(deleted); must be tcpserver",
    ),
    "no rules": (lambda s: smtp(s)["arguments"].remove("-x"), 'process 7 lack "-x /etc/tcp/smtp.cdb"'),
    "an argument": (lambda s: smtp(s)["arguments"].append("evil"), 'runs as "/usr/local/bin/tcpserver -u'),
    "a variable": (lambda s: smtp(s)["environment"].update(RELAYCLIENT=""), "variable RELAYCLIENT, which nobody"),
    "a variable of the definition's": (lambda s: redefined(s, RELAYCLIENT=""), "variable RELAYCLIENT, which nobody"),
    "no door rules": (lambda s: redefined(s, DOORRULES="/etc/x"), "must have DOORRULES=/etc/tcp/doors.cdb"),
    "another value": (
        lambda s: smtp(s)["environment"].update(QMAILQUEUE="/x"),
        "QMAILQUEUE of process 7 is not what its",
    ),
    "a value less": (lambda s: smtp(s)["environment"].pop("MAXCONNIP"), "MAXCONNIP of process 7 is not what its"),
    "not running": (lambda s: s["services"]["smtp"].update(process=None), "smtp: no process is on record"),
    "no definition": (lambda s: s["services"]["smtp"].update(command=[]), "smtp: its definition can't be asked"),
    "no helper": (lambda s: s["helpers"].pop(2), "qmail-clean: 0 processes of it belong to qmail-send"),
    "somebody else's helper": (lambda s: s["helpers"][0].update(parent=1), "qmail-lspawn: 0 processes of it"),
    "two helpers": (lambda s: s["helpers"].append(s["helpers"][0]), "qmail-lspawn: 2 processes of it"),
    "a helper as root": (lambda s: s["helpers"][2].update(users=["root"] * 4), "qmail-clean: users of process 7: root"),
    "a helper's variable": (lambda s: s["helpers"][1]["environment"].update(LD_PRELOAD="x"), "the variable LD_PRELOAD"),
    "another default": (lambda s: s["helpers"][0].update(arguments=["bin/qmail-lspawn", "./x"]), 'lack "./Maildir/"'),
    "a listener": (
        lambda s: s["listeners"].append({"address": "::", "port": 2525, "programs": ["/usr/bin/nc"]}),
        "port 2525: /usr/bin/nc listens there at ::, which nobody declared; stop it, or name the port in verify_",
    ),
    "an unseen listener": (
        lambda s: s["listeners"].append({"address": "192.0.2.1", "port": 110, "programs": []}),
        "port 110: a program that can't be seen from here listens there",
    ),
    "a stranger at a door": (
        lambda s: s["listeners"].append({"address": "127.0.0.1", "port": 25, "programs": ["/usr/bin/nc"]}),
        "port 25 (smtp): /usr/bin/nc listens there at 127.0.0.1; must be tcpserver alone",
    ),
    "a door is shut": (lambda s: s["listeners"].pop(1), "port 25 (smtp): nobody listens there"),
    "a drop-in": (
        lambda s: unit(s, "qmail.service", DropInPaths="/etc/systemd/system/qmail.service.d/x.conf"),
        "qmail.service: /etc/systemd/system/qmail.service.d/x.conf changes the unit, and nobody declared it",
    ),
    "a drop-in in /run": (
        lambda s: unit(s, "qmail@smtp.service", DropInPaths="/run/systemd/system/qmail@.service.d/x.conf"),
        "qmail@smtp.service: /run/systemd/system/qmail@.service.d/x.conf changes the unit",
    ),
    "no sandbox": (lambda s: unit(s, "qmail@smtp.service", DropInPaths=""), "sandbox.conf is missing or not read"),
    "another unit": (
        lambda s: unit(s, "qmail@smtp.service", FragmentPath="/run/systemd/system/x"),
        "its unit is /run/",
    ),
    "masked": (lambda s: unit(s, "qmail.service", FragmentPath="/dev/null"), "its unit is /dev/null; must be /etc/"),
    "no unit": (lambda s: s["units"].pop("qmail.service"), "qmail.service: there is no such unit"),
    "no units": (lambda s: s.update(units={}), "qmail.service: there is no such unit in /etc/systemd/system"),
    "not read": (lambda s: unit(s, "qmail@send.service", NeedDaemonReload="yes"), "systemd has not read the unit"),
    "not at boot": (lambda s: unit(s, "qmail.service", UnitFileState="disabled"), "unit file is disabled, so it does"),
    "a stranger in a group": (
        lambda s: s["members"].update(qmailauth=["alice"]),
        "group qmailauth: alice is in it; nobody but processes of services may be",
    ),
    "another in a group": (
        lambda s: s["members"]["qmail"].append("bob"),
        "bob is in it; nobody but qmailq, qmails may be",
    ),
    "no group": (lambda s: s["members"].update(qmail=None), "group qmail: there is none on this host"),
    "no timer": (
        lambda s: unit(s, "qmail-site-certs.timer", ActiveState="inactive"),
        "certs.timer: is inactive; system",
    ),
    "timer not at boot": (lambda s: unit(s, "qmail-site-certs.timer", UnitFileState="disabled"), "does not start with"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_otherwise_is_told(case: str) -> None:
    change, said = CASES[case]
    state = copy.deepcopy(good())
    change(state)
    assert said in "\n".join(state_faults(state, DOCUMENT, DECLARED))


def test_an_operator_s_drop_in_and_port_are_his_own() -> None:
    state = good()
    path = "/etc/systemd/system/qmail.service.d/mine.conf"
    unit(state, "qmail.service", DropInPaths=path)
    state["listeners"].append({"address": "::", "port": 9100, "programs": ["/usr/bin/node_exporter"]})
    assert state_faults(state, DOCUMENT, {**DECLARED, "drop_ins": [path], "listeners": [22, 9100]}) == []


def test_a_service_that_nobody_declared_is_told_and_hides_no_other_fault() -> None:
    state = good()
    state["services"]["imap"] = {"process": None, "command": []}
    smtp(state)["users"][0] = "root"
    first, second = state_faults(state, DOCUMENT, DECLARED)
    assert first.startswith("smtp: users of process 7: root, qmaild")
    assert second == "imap: nobody declared such a service; remove its definition, /etc/qmail-site/services/imap"


def test_without_systemd_the_boot_is_asked_for_its_links() -> None:
    state = good() | {"systemd": False, "units": {}}
    assert "/etc/init.d/qmail: nothing starts it with the host" in "".join(state_faults(state, DOCUMENT, DECLARED))
    assert state_faults(state | {"boot": ["/etc/rc2.d/S01qmail"]}, DOCUMENT, DECLARED) == []


@pytest.mark.parametrize(
    ("state", "document", "sentence"),
    [
        ([], DOCUMENT, "wants what the module"),
        (good(), "no table", "has no table that begins with"),
        ({**good(), "members": {}}, DOCUMENT, "has 'qmail'"),
        (good(), DOCUMENT.replace("| `send` | qmails |", "| `send` |"), "a row of"),
    ],
)
def test_what_can_t_be_compared_is_an_error(state: object, document: str, sentence: str) -> None:
    with pytest.raises(AnsibleFilterError, match=sentence):
        state_faults(state, document, DECLARED)


def test_a_process_may_have_another_group_in_effect_where_the_table_says_so() -> None:
    state = good()
    state["services"]["filter"] = resident()
    assert not [fault for fault in state_faults(state, DOCUMENT, DECLARED) if fault.startswith("filter")]


@pytest.mark.parametrize(
    "groups", [["qmaildoor"] * 4, ["nofiles"] * 4, ["qmaildoor", "nofiles", "qmaildoor", "nofiles"]]
)
def test_a_group_that_is_not_in_effect_is_told(groups: list[str]) -> None:
    state = good()
    state["services"]["filter"] = resident(groups=tuple(groups))
    is_so = ", ".join(dict.fromkeys(groups))
    assert f"filter: groups of process 7: {is_so}; must be qmaildoor, and nofiles in effect" in state_faults(
        state, DOCUMENT, DECLARED
    )


def test_an_interpreter_is_known_by_its_name_without_the_version() -> None:
    state = good()
    state["services"]["filter"] = resident(program="/usr/bin/perl")
    told = state_faults(state, DOCUMENT, DECLARED)
    assert "filter: process 7 is /usr/bin/perl; must be python3" in told
    state["services"]["filter"] = resident()
    state["services"]["filter"]["process"]["arguments"][-1] = "13"
    state["services"]["filter"]["command"] = [*resident()["command"]]
    assert any("runs as" in fault and fault.startswith("filter") for fault in state_faults(state, DOCUMENT, DECLARED))
