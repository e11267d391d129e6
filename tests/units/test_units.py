"""The units: a port comes back, sessions go on, lost daemons are found, and equals are closed to each other."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.units.conftest import Host

DOORS = {"smtp": 25, "smtps": 465, "submission": 587, "pop3s": 995}
UNITS = ["send", *DOORS]
USERS = {"pop3s": "qmailpop"}
CLOSED = Path(__file__).parents[1] / "closed.py"
# What systemd-analyze security may say at most, in tenths; 9.6 is a unit without any sandbox.
EXPOSURE = {"send": 60, "smtp": 42, "smtps": 42, "submission": 42, "pop3s": 50, "spamd": 25}


class Client:
    """A connection to a port, line by line."""

    def __init__(self, site: dict[str, Any], port: int, *, tls: bool = False) -> None:
        """Connect and take the greeting."""
        self.socket = socket.create_connection((site["address"], port), timeout=30)
        if tls:
            context = ssl.create_default_context(cafile=site["ca_file"])
            self.socket = context.wrap_socket(self.socket, server_hostname=site["host"])
        self.file = self.socket.makefile("rb")
        self.greeting = self.line()

    def line(self) -> str:
        """Give the next line."""
        return self.file.readline().decode().rstrip("\r\n")

    def send(self, line: str) -> None:
        """Send a line."""
        self.socket.sendall(line.encode() + b"\r\n")

    def ask(self, line: str) -> str:
        """Send a line; give the last line of the answer."""
        self.send(line)
        while (answer := self.line())[3:4] == "-":
            pass
        return answer

    def close(self) -> None:
        """Go away without a word."""
        self.file.close()
        self.socket.close()


def until(what: str, true: Any, seconds: float = 10) -> None:
    """Wait until true() is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def answers(site: dict[str, Any], port: int) -> bool:
    """Tell whether somebody takes a connection."""
    try:
        socket.create_connection((site["address"], port), timeout=5).close()
    except OSError:
        return False
    return True


def pid(host: Host, service: str) -> int:
    """Give the pid on record."""
    return int(host(f"cat /run/qmail/{service}.pid"))


@pytest.fixture(autouse=True)
def whole(host: Host) -> Iterator[None]:
    """Leave every service running."""
    yield
    host("/etc/init.d/spamd start && qmail start")


@pytest.mark.parametrize("service", DOORS)
def test_a_port_is_back_after_its_own_user_ended_it(host: Host, site: dict[str, Any], service: str) -> None:
    before = pid(host, service)
    user = USERS.get(service, "qmaild")
    host(f"setpriv --reuid={user} --regid=qmaildoor --clear-groups kill -TERM {before}")
    until("it ends", lambda: host.ask(f"kill -0 {before}")[0] != 0)
    until("its port is back", lambda: answers(site, DOORS[service]))
    until("its state is known", lambda: host.ask(f"qmail status {service}")[0] == 0)
    assert pid(host, service) != before


def test_a_start_is_over_when_the_port_answers(host: Host, site: dict[str, Any]) -> None:
    host("systemctl stop qmail@submission")
    assert not answers(site, 587)
    host("systemctl start qmail@submission")
    assert answers(site, 587)


@pytest.mark.parametrize("how", ["qmail restart smtp", "kill -TERM $(cat /run/qmail/smtp.pid)", "qmail zap smtp"])
def test_an_open_session_goes_on(host: Host, site: dict[str, Any], how: str) -> None:
    client = Client(site, 25)
    before = pid(host, "smtp")
    host(how)
    until("it ends", lambda: host.ask(f"kill -0 {before}")[0] != 0)
    assert client.ask("NOOP").startswith("250")
    assert client.ask("QUIT").startswith("221")
    client.close()


def test_a_daemon_whose_pid_file_is_lost_is_known_and_taken_over(host: Host, site: dict[str, Any]) -> None:
    before = pid(host, "smtp")
    host("rm /run/qmail/smtp.pid /run/qmail/smtp.start")
    assert host("qmail status smtp").endswith(f"running (pid {before})")
    assert host("qmail plan smtp").endswith("to restart")
    host("qmail apply")
    assert pid(host, "smtp") != before
    assert answers(site, 25)
    assert host("qmail plan") == ""


@pytest.mark.parametrize("service", ["smtps", "pop3s"])
def test_a_client_that_just_goes_is_no_error_in_the_log_and_one_without_tls_is(
    host: Host, site: dict[str, Any], service: str
) -> None:
    def errors(since: str) -> str:
        # By its name: which unit a process was of is not known any more once it has ended.
        named = f"journalctl --identifier qmail-{service} --after-cursor '{since}' --output cat"
        return host.ask(f"{named} | grep LOG3")[1]

    def cursor() -> str:
        return host("journalctl --lines 0 --show-cursor | sed -n 's/^-- cursor: //p'")

    begin = cursor()
    Client(site, DOORS[service], tls=True).close()
    stays = host(f"pgrep --exact stunnel --parent {pid(host, service)}")
    until("it is gone", lambda: not host.ask(f"pgrep --parent {stays}")[1])
    assert errors(begin) == ""
    with socket.create_connection((site["address"], DOORS[service]), timeout=30) as plain:
        plain.sendall(b"USER somebody\r\n" * 10)
        until("it is logged", lambda: "LOG3" in errors(begin))


LISTENER = "import socket, time; s = socket.create_server(('', 587)); time.sleep(300)"


@contextlib.contextmanager
def listener(host: Host, site: dict[str, Any]) -> Iterator[int]:
    """Have somebody else listen on port 587."""
    other = int(host(f'setsid python3 -c "{LISTENER}" >/dev/null 2>&1 </dev/null & echo $!'))
    try:
        until("it listens", lambda: answers(site, 587))
        yield other
    finally:
        host.ask(f"kill {other}")


def test_a_stranger_on_the_port_is_named(host: Host, site: dict[str, Any]) -> None:
    host("qmail stop submission")
    with listener(host, site) as other:
        code, said = host.ask("qmail apply submission")
        assert code != 0
        program = host("readlink -f /usr/bin/python3")
        assert f"port 587 is held by {program} (pid {other}), which no pid file names" in said
        host(f"kill -0 {other}")
    until("it has ended", lambda: not answers(site, 587))
    host("qmail apply submission")


def test_what_was_left_in_the_unit_is_taken_over(host: Host, site: dict[str, Any]) -> None:
    client = Client(site, 587)  # as long as it is there its unit's control group is
    host("qmail stop submission")
    with listener(host, site) as other:
        group = host("systemctl show --value --property ControlGroup qmail@smtp").replace("@smtp.", "@submission.")
        host(f"echo {other} >/sys/fs/cgroup{group}/cgroup.procs")
        host("qmail apply submission")
        assert host.ask(f"kill -0 {other}")[0] != 0
    assert client.ask("NOOP").startswith("250")
    client.close()


@pytest.mark.parametrize("unit", EXPOSURE)
def test_a_unit_is_no_wider_than_it_was(host: Host, unit: str) -> None:
    name = unit if unit == "spamd" else f"qmail@{unit}"
    host(f"systemd-analyze security --no-pager --threshold={EXPOSURE[unit]} {name}.service")


def test_a_unit_has_its_share_of_the_host(host: Host) -> None:
    for unit in UNITS:
        said = host(f"systemctl show --property MemoryMax,TasksMax qmail@{unit}")
        assert "infinity" not in said, unit


def test_the_journal_has_what_clients_are_told(host: Host, site: dict[str, Any]) -> None:
    client = Client(site, 25)
    port = client.socket.getsockname()[1]
    client.ask("QUIT")
    client.close()

    def logged() -> bool:
        said = host("journalctl --sync; journalctl -q --facility=mail -t qmail-smtp --since=-60 -o cat")
        return f":{port}" in said

    until("tcpserver's line is there", logged)


def test_the_queue_s_work_finds_qmail_s_own_programs_first(host: Host) -> None:
    said = host("tr '\\0' '\\n' </proc/$(cat /run/qmail/send.pid)/environ")
    assert "PATH=/var/qmail/bin:/usr/local/bin:/usr/bin:/bin" in said.splitlines()


# ---- equals ----


def look(host: Host, user: str, *names: str, group: str = "qmaildoor") -> None:
    """Have another process of the user look into all of his processes, these at least."""
    host(f"python3 - {user} {group} {' '.join(names)}", CLOSED.read_bytes())


def test_nobody_looks_into_a_session_of_smtp(host: Host, site: dict[str, Any]) -> None:
    user = site["users"][0]
    words = base64.b64encode(f"\0{user['login']}\0{user['password']}".encode()).decode()
    with_password = Client(site, 465, tls=True)
    with_password.ask("EHLO client.example.test")
    with_password.send(f"AUTH PLAIN {words}")
    look(host, "qmaild", "tcpserver", "qmail-smtpd")
    look(host, "qmailtlsd", "stunnel", group="qmailtls")
    assert with_password.line().startswith("235")
    with_password.close()


def test_nobody_looks_into_a_message_on_its_way(host: Host, site: dict[str, Any]) -> None:
    client = Client(site, 25)
    client.ask("EHLO client.example.test")
    client.ask("MAIL FROM:<a@example.org>")
    assert client.ask(f"RCPT TO:<{site['users'][0]['address']}>").startswith("250")
    # Nobody reads what spamc asks.
    host("systemctl kill --signal=STOP spamd")
    try:
        assert client.ask("DATA").startswith("354")
        client.socket.sendall(b"Subject: secret\r\n\r\n" + b"a secret line\r\n" * 1000 + b".\r\n")
        until("spamc is there", lambda: host.ask("pgrep -x spamc")[0] == 0)
        look(host, "qmaild", "qmail-smtpd", "python3", "spamzone", "spamc")
        look(host, "qmailq", "qmail-queue", "qmail-clean")
    finally:
        host("systemctl kill --signal=CONT spamd")
    assert client.line().startswith("250")
    client.close()


def test_nobody_looks_into_a_session_of_pop3(host: Host, site: dict[str, Any]) -> None:
    user = site["users"][0]
    client = Client(site, 995, tls=True)
    assert client.ask(f"USER {user['login']}").startswith("+OK")
    look(host, "qmailpop", "tcpserver", "qmail-popup")
    look(host, "qmailtlsd", "stunnel", group="qmailtls")
    assert client.ask(f"PASS {user['password']}").startswith("+OK")
    host(f"python3 - {user['login']} {user['login']} qmail-pop3d", CLOSED.read_bytes())
    client.close()
