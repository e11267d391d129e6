"""The service and mail-tlsrpt as they run on a host: Debian's interpreter, its dnspython, a resolver."""

from __future__ import annotations

import email
import gzip
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab.servers import SERVFAIL, Dns, Zone
from tls_policy.policy import Policy
from tls_policy.store import Store

from conftest import SOURCE

PYTHON = "/usr/bin/python3"
TXT = 16
pytestmark = pytest.mark.skipif(
    subprocess.run([PYTHON, "-I", "-c", "import dns.resolver"], capture_output=True, check=False).returncode != 0,
    reason="python3-dnspython is not installed",
)


def text(zone: Zone, name: str, words: str) -> None:
    """Add a TXT record."""
    zone.add(name, TXT, bytes([len(words)]) + words.encode())


def program(module: str) -> list[str]:
    """Return the command that runs a module's main as on a host."""
    return [
        PYTHON,
        "-I",
        "-c",
        f"import sys; sys.path[:0] = {[str(SOURCE), str(SOURCE.parents[1] / 'module_utils')]!r}\n"
        f"from tls_policy.{module} import main\n"
        "sys.exit(main(sys.argv[1:]))",
    ]


@dataclass
class Running:
    """The service, its resolver and its files."""

    directory: Path
    zone: Zone
    process: subprocess.Popen[bytes]

    @property
    def path(self) -> Path:
        return self.directory / "socket"

    @property
    def nameservers(self) -> Path:
        return self.directory / "nameservers"

    def answers(self) -> bool:
        """Wait until somebody can call; a socket is there a moment before it is listened at."""
        for _ in range(500):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as talk, suppress(OSError):
                talk.connect(str(self.path))
                return True
            time.sleep(0.02)
        return False

    def say(self, packet: bytes) -> bytes:
        """Send a packet and return the answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as talk:
            talk.settimeout(30)
            talk.connect(str(self.path))
            talk.send(packet)
            return talk.recv(65536)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Dns(Zone()) as dns:
        (tmp_path / "nameservers").write_text(f"[127.0.0.1]:{dns.port}\n")
        arguments = [str(tmp_path / "socket"), str(tmp_path), str(tmp_path / "nameservers"), "4"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([*program("service"), *arguments], stderr=log)
        made = Running(tmp_path, dns.zone, process)
        assert made.answers()
        yield made
        assert made.process.poll() is None
        made.process.terminate()
        made.process.wait(10)


def test_a_domain_without_a_policy(running: Running) -> None:
    assert running.say(b"policy x.test\n") == b"none\n"


def test_a_policy_that_is_kept(running: Running) -> None:
    Store(running.directory / "policy.db").keep(
        "x.test", Policy("1", "enforce", 604800, ("mx.x.test",)), int(time.time())
    )
    text(running.zone, "_mta-sts.x.test", "v=STSv1; id=1;")
    assert running.say(b"policy x.test\n") == b"enforce 1 604800\nmx.x.test\n"
    running.zone.codes["_mta-sts.x.test"] = SERVFAIL
    assert running.say(b"policy X.TEST\n") == b"enforce 1 604800\nmx.x.test\n"


def test_a_policy_host_on_loopback_is_not_asked(running: Running) -> None:
    text(running.zone, "_mta-sts.x.test", "v=STSv1; id=1;")
    running.zone.address("mta-sts.x.test", "127.0.0.1")
    assert running.say(b"policy x.test\n") == b"none\n"
    assert "127.0.0.1 is no address that a stranger may name" in (running.directory / "log").read_text()


@pytest.mark.parametrize("packet", [b"", b"junk", b"policy \n", b"policy " + b"x" * 60000, b"result x.test\n"])
def test_what_is_not_understood_has_no_answer(running: Running, packet: bytes) -> None:
    assert running.say(packet or b"\0") == b""
    assert running.say(b"policy x.test\n") == b"none\n"


def test_who_says_nothing_takes_no_place_for_long(running: Running) -> None:
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
    for each in idle:
        each.connect(str(running.path))
    time.sleep(0.3)
    assert running.say(b"policy x.test\n").startswith(b"Z it has as many questions")
    time.sleep(5.5)
    assert running.say(b"policy x.test\n") == b"none\n"
    for each in idle:
        each.close()


def test_its_file_and_socket_are_not_for_others(running: Running) -> None:
    running.say(b"policy x.test\n")
    assert (running.directory / "policy.db").stat().st_mode & 0o777 == 0o600
    assert running.path.stat().st_mode & 0o777 == 0o660


def test_it_starts_anew_in_the_place_of_one_that_was_killed(running: Running) -> None:
    running.process.kill()
    running.process.wait(10)
    arguments = [str(running.path), str(running.directory), str(running.nameservers), "4"]
    running.process = subprocess.Popen([*program("service"), *arguments])
    for _ in range(500):
        try:
            assert running.say(b"policy x.test\n") == b"none\n"
            break
        except OSError:
            time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_makes_its_socket_as_root_and_becomes_somebody_else_for_good(tmp_path: Path) -> None:
    user, group, callers = 65533, 65532, 65531
    directory = tmp_path / "kept"
    directory.mkdir(mode=0o700)
    os.chown(directory, user, group)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o1 == 0:
            parent.chmod(parent.stat().st_mode | 0o1)
    tmp_path.chmod(0o755)
    ids = [str(number) for number in (user, group, callers)]
    arguments = [str(tmp_path / "socket"), str(directory), str(tmp_path / "none"), "4", *ids]
    with subprocess.Popen([*program("service"), *arguments]) as process:
        for _ in range(500):
            if (directory / "policy.db").exists():
                break
            time.sleep(0.02)
        status = Path(f"/proc/{process.pid}/status").read_text()
        made = (tmp_path / "socket").stat()
        process.terminate()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {str(user)}
    assert set(fields["Gid"].split()) == {str(group)}
    assert fields["Groups"].split() == []
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (0, callers, 0o660)
    assert (directory / "policy.db").stat().st_uid == user


RESULT = b"result %s\npolicy none\noutcome success\nmx mx.x.test\nip 203.0.113.1\n"


def test_a_day_ends_in_a_report(running: Running) -> None:
    text(running.zone, "_smtp._tls.x.test", "v=TLSRPTv1; rua=mailto:tls@x.test")
    running.say(RESULT % b"x.test")
    running.say(RESULT % b"x.test")
    running.say(RESULT % b"silent.test")
    store = Store(running.directory / "policy.db")
    today = int(time.time()) // 86400
    assert store.due(today + 1) == [(today, "x.test")]  # of who asks for none, nothing is kept
    store.db.execute("UPDATE result SET day = day - 1")
    inject = running.directory / "inject"
    inject.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{running.directory}/arguments\ncat >{running.directory}/mail\n')
    inject.chmod(0o755)
    command = [*program("mailer"), str(running.directory), str(running.nameservers), "mail.example.test", str(inject)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.startswith(b"mail-tlsrpt: x.test: 1 results of ")
    assert (running.directory / "arguments").read_text() == "-a\n-f\n\n--\ntls@x.test\n"
    mail = email.message_from_bytes((running.directory / "mail").read_bytes())
    data = mail.get_payload()[1].get_payload(decode=True)  # type: ignore[union-attr, index]
    report = json.loads(gzip.decompress(data))  # type: ignore[arg-type]
    assert report["policies"][0]["policy"]["policy-type"] == "no-policy-found"
    assert report["policies"][0]["summary"]["total-successful-session-count"] == 2
    # What was sent is not sent again.
    (running.directory / "mail").unlink()
    assert subprocess.run(command, capture_output=True, check=True).stdout == b""
    assert not (running.directory / "mail").exists()


def test_a_policy_that_can_not_be_fetched_is_told(running: Running) -> None:
    text(running.zone, "_smtp._tls.x.test", "v=TLSRPTv1; rua=mailto:tls@x.test")
    text(running.zone, "_mta-sts.x.test", "v=STSv1; id=1;")
    running.zone.address("mta-sts.x.test", "127.0.0.1")
    assert running.say(b"policy x.test\n") == b"none\n"
    running.say(RESULT % b"x.test")
    today = int(time.time()) // 86400
    ((found, count),) = Store(running.directory / "policy.db").results(today, "x.test")
    assert (found.kind, found.outcome, count) == ("sts", "sts-policy-fetch-error", 1)
    assert "no address that a stranger may name" in found.reason


def test_a_report_that_could_not_be_sent_is_sent_later(running: Running) -> None:
    text(running.zone, "_smtp._tls.x.test", "v=TLSRPTv1; rua=mailto:tls@x.test")
    running.say(RESULT % b"x.test")
    store = Store(running.directory / "policy.db")
    store.db.execute("UPDATE result SET day = day - 1")
    command = [*program("mailer"), str(running.directory), str(running.nameservers), "mail.example.test", "/bin/false"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    command[-1] = "/bin/true"
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, capture_output=True, check=False).stdout == b""


@pytest.mark.parametrize("place", ["https://[", "https://h:99999/", "https://a.test\x01/ b", "https://\u2100.test/"])
def test_an_address_that_is_none_keeps_back_nobody_elses_report(running: Running, place: str) -> None:
    text(running.zone, "_smtp._tls.a.test", f"v=TLSRPTv1; rua={place}")
    text(running.zone, "_smtp._tls.x.test", "v=TLSRPTv1; rua=mailto:tls@x.test")
    running.say(RESULT % b"a.test")
    running.say(RESULT % b"x.test")
    Store(running.directory / "policy.db").db.execute("UPDATE result SET day = day - 1")
    command = [*program("mailer"), str(running.directory), str(running.nameservers), "mail.example.test", "/bin/true"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"x.test: 1 results" in done.stdout, done.stderr


def test_without_a_file_there_is_nothing_to_report(tmp_path: Path) -> None:
    command = [*program("mailer"), str(tmp_path), str(tmp_path / "nameservers"), "mail.example.test", "/bin/true"]
    assert subprocess.run(command, check=False).returncode == 0
