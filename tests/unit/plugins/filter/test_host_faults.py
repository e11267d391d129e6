"""What keeps a host from becoming a mail host gets its sentence, and a host that will do gets none."""

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.host_faults import host_faults

DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\noverlay 9000000 1000 {kib} 1% {where}\n"
LISTENER = 'LISTEN 0 100 0.0.0.0:25 0.0.0.0:* users:(("{name}",pid={pid},fd=13))\n'

PARTS = {
    "qmail": {"path": "/var/qmail/control", "needs": []},
    "certs": {"path": "/etc/stunnel/stunnel.pem", "needs": ["qmail"]},
    "services": {"path": "/etc/init.d/qmail", "needs": ["qmail", "certs"]},
}


def host(**changes: Any) -> dict[str, Any]:
    """Give a fresh Debian 13, changed."""
    fresh = {
        "distribution": "Debian",
        "release": "13",
        "releases": ["12", "13"],
        "df": DF.format(kib=8000000, where="/"),
        "disk_mib": 1024,
        "memory_free_mib": 900,
        "memory_mib": 256,
        "listeners": "",
        "executables": {},
        "mtas": [],
        "known_mtas": ["postfix", "exim4-daemon-light"],
        "queued": 0,
        "replace_mta": False,
        "own_prefix": "/opt/qmail-site",
        "users": [{"name": "alice"}],
        "passwd": "daemon:x:1:1::/:\nalice:x:1000:1000::/home/alice:\n",
        "first_uid": 1000,
        "parts": PARTS,
        "parts_there": "",
        "run_tags": ["all"],
        "skip_tags": [],
    }
    return fresh | changes


EXIM = {"mtas": ["exim4-daemon-light"], "listeners": LISTENER.format(name="exim4", pid=70)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"release": "12"},
        EXIM | {"replace_mta": True},
        {
            "listeners": LISTENER.format(name="tcpserver", pid=9),
            "executables": {"9": "/opt/qmail-site/ucspi-tcp/0.88-1a2b3c4d/bin/tcpserver"},
        },
        {"df": ""},
        {"users": "not a list"},
        {"users": [None, {"name": 3}]},
        {"run_tags": ["qmail"]},
        {"run_tags": ["always"]},
        {"run_tags": ["certs"], "parts_there": "/var/qmail/control\n"},
        {"run_tags": ["qmail", "certs"]},
        {"run_tags": ["services"], "parts_there": "/etc/stunnel/stunnel.pem\n/var/qmail/control"},
    ],
)
def test_a_host_that_will_do_has_no_fault(changes: dict[str, Any]) -> None:
    assert host_faults(host(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"users": [{"name": "alice"}, {"name": "daemon"}]},
            "mail_users: daemon: this host already has an account of that name for a program (uid below 1000)",
        ),
        (
            {"run_tags": ["services"]},
            "--tags services: this host has no qmail and no certs yet, which services needs; run it without --tags "
            "first, or with --tags qmail,certs,services",
        ),
        (
            {"skip_tags": ["qmail", "services"], "parts_there": "/etc/stunnel/stunnel.pem"},
            "--tags certs: this host has no qmail yet, which certs needs; run it without --tags first, or with ",
        ),
        (
            {"release": "11"},
            "release: this host runs Debian 11; the roles are made for Debian 12 (bookworm) and Debian 13 (trixie)",
        ),
        ({"distribution": "Ubuntu", "release": "13"}, "release: this host runs Ubuntu 13; "),
        ({"df": DF.format(kib=310 * 1024, where="/var")}, "disk: /var has 310 MiB free, 1024 are wanted"),
        ({"memory_free_mib": 100}, "memory: 100 MiB are free, 256 are wanted"),
        (EXIM, "mta: another mail system is installed (exim4-daemon-light); say replace_mta: true"),
        (EXIM | {"replace_mta": True, "queued": 3}, "mta: mail is waiting in the queue of exim4-daemon-light"),
        (
            {"mtas": ["masqmail"], "replace_mta": True},
            "mta: masqmail is not a mail system that can be replaced from here",
        ),
        ({"listeners": LISTENER.format(name="nc", pid=70)}, "port 25: nc (process 70) listens there; stop it"),
        (
            {"listeners": LISTENER.format(name="tcpserver", pid=9), "executables": {"9": "/usr/local/bin/tcpserver"}},
            "port 25: tcpserver (process 9) listens there",
        ),
        (
            {"listeners": LISTENER.format(name="x", pid=9), "executables": {"9": "/opt/qmail-site-not/x"}},
            "port 25: x (process 9) listens there",
        ),
        ({"listeners": "LISTEN 0 100 0.0.0.0:25 0.0.0.0:*\n"}, "port 25: a program that can't be seen from here"),
    ],
)
def test_a_fault_gets_its_sentence(changes: dict[str, Any], sentence: str) -> None:
    faults = host_faults(host(**changes))
    assert len(faults) == 1
    assert sentence in faults[0]


def test_all_faults_come_at_once() -> None:
    faults = host_faults(host(**EXIM, memory_free_mib=1, disk_mib=1 << 20))
    assert [fault.split(":")[0] for fault in faults] == ["disk", "memory", "mta"]


def test_an_unsupported_release_is_judged_no_further() -> None:
    assert len(host_faults(host(**EXIM, release="10"))) == 1


@pytest.mark.parametrize("wrong", [None, [], {"distribution": "Debian"}])
def test_an_incomplete_input_is_an_error(wrong: object) -> None:
    with pytest.raises(AnsibleFilterError, match="host_faults: "):
        host_faults(wrong)


SS53 = 'udp UNCONN 0 0 {where}:53 0.0.0.0:* users:(("{name}",pid=7,fd=5))\n'


@pytest.mark.parametrize("where", ["127.0.0.1", "0.0.0.0", "*", "[::]", "127.0.0.1%lo"])  # noqa: S104
def test_another_resolver_on_loopback_is_one_sentence(where: str) -> None:
    said = SS53.format(where=where, name="dnsmasq")
    (fault,) = host_faults(host(resolvers=said + said.replace("udp UNCONN", "tcp LISTEN")))
    assert fault.startswith("port 53: dnsmasq (process 7) answers on 127.0.0.1")
    assert "resolver: host" in fault


@pytest.mark.parametrize(
    "said",
    [
        "",
        SS53.format(where="127.0.0.53%lo", name="systemd-resolve"),
        SS53.format(where="192.0.2.1", name="named"),
        SS53.format(where="127.0.0.1", name="unbound"),
    ],
)
def test_what_is_in_nobodys_way_is_no_fault(said: str) -> None:
    assert host_faults(host(resolvers=said)) == []


def test_a_resolver_of_which_one_sees_no_program_is_one_too() -> None:
    assert len(host_faults(host(resolvers="udp UNCONN 0 0 127.0.0.1:53 0.0.0.0:*\n"))) == 1
