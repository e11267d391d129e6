"""The service, as those who call see it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from others import dkimpy

SOURCE = Path(__file__).resolve().parents[1]
MESSAGE = (
    b"From: a@example.org\nTo: b@example.net\nSubject: x\nDate: y\nMessage-ID: <z>\n\n" + b"A line of text.\n" * 250
)
RSA = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
ED25519 = ed25519.Ed25519PrivateKey.generate()


class Site:
    """A place with keys, and the service."""

    def __init__(self, top: Path) -> None:
        self.socket = top / "socket"
        self.keys = top / "dkim"
        self.log = top / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def declare(self, **domains: dict[str, str]) -> None:
        state = {domain.replace("_", "."): {"algorithms": each} for domain, each in domains.items()}
        whole = {d: {"algorithms": {a: {"current": s} for a, s in e["algorithms"].items()}} for d, e in state.items()}
        new = self.keys / "new"
        new.write_text(json.dumps(whole))
        new.replace(self.keys / "state.json")

    def put(self, domain: str, selector: str, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
        (self.keys / domain).mkdir(parents=True, exist_ok=True)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.keys / domain / f"{selector}.pem").write_bytes(pem)

    def start(self, most: int = 12) -> None:
        code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); sys.path.append('/usr/lib/python3/dist-packages')\n"
        code += f"from qmail_dkim.service import main; main([{str(self.socket)!r}, {str(self.keys)!r}, '{most}'])"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(["/usr/bin/python3", "-IS", "-c", code], stderr=log)
        for _ in range(500):
            if b"\n" in self.log.read_bytes():
                return
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def call(self) -> socket.socket:
        talk = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        talk.settimeout(60)
        talk.connect(str(self.socket))
        return talk

    def ask(self, message: bytes, request: bytes = b"sign\n") -> bytes:
        fd = os.memfd_create("message")
        os.write(fd, message)
        with contextlib.closing(self.call()) as talk:
            socket.send_fds(talk, [request], [fd])
            os.close(fd)
            return talk.recv(70000)

    def eventually(self, word: str) -> str:
        for _ in range(250):
            if word in self.log.read_text():
                break
            time.sleep(0.02)
        return self.log.read_text()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.put("example.org", "q1r", RSA[0])
    made.put("example.org", "q1e", ED25519)
    made.declare(example_org={"rsa": "q1r", "ed25519": "q1e"})
    yield made
    made.stop()


def test_a_message_of_ours_gets_its_fields(site: Site, tmp_path: Path) -> None:
    site.start()
    answer = site.ask(MESSAGE)
    assert answer.startswith(b"KDKIM-Signature: v=1; a=rsa-sha256; ")
    assert answer.count(b"DKIM-Signature: ") == 2
    assert answer.endswith(b"\n")
    assert b"\r" not in answer
    wire = tmp_path / "wire"
    wire.write_bytes((answer[1:] + MESSAGE).replace(b"\n", b"\r\n"))
    der = RSA[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    keys = {
        "q1r._domainkey.example.org": b"v=DKIM1; k=rsa; p=" + b64encode(der),
        "q1e._domainkey.example.org": b"v=DKIM1; k=ed25519; p=" + b64encode(raw),
    }
    assert dkimpy(wire, keys) == [True, True]
    log = site.eventually("d=example.org")
    assert f"pid={os.getpid()} uid={os.getuid()} d=example.org s=q1r,q1e from=example.org ms=" in log


@pytest.mark.parametrize(
    ("sender", "says"),
    [
        ("a@mail.example.org", b"KDKIM-Signature"),
        ("a@example.com", b"K"),
        ("a@badexample.org", b"K"),
        ("nobody", b"K"),
    ],
)
def test_the_from_field_decides(site: Site, sender: str, says: bytes) -> None:
    site.start()
    answer = site.ask(MESSAGE.replace(b"a@example.org", sender.encode()))
    assert answer == says if says == b"K" else answer.startswith(says)


@pytest.mark.parametrize("request_", [b"sign", b"verify\n", b"", b"sign\n" + b"x" * 1000])
def test_another_request_is_answered_with_later(site: Site, request_: bytes) -> None:
    site.start()
    assert site.ask(MESSAGE, request_ or b"\n").startswith(b"Z")
    assert site.ask(MESSAGE).startswith(b"KD")


def test_what_is_no_file_is_not_read(site: Site) -> None:
    site.start()
    reading, writing = os.pipe()
    with contextlib.closing(site.call()) as talk:
        socket.send_fds(talk, [b"sign\n"], [reading])
        assert talk.recv(1000).startswith(b"Z")
    os.close(reading)
    os.close(writing)
    with contextlib.closing(site.call()) as talk:
        talk.send(b"sign\n")
        assert talk.recv(1000).startswith(b"Z")


def test_keys_are_read_anew_when_they_change(site: Site) -> None:
    site.start()
    assert b"s=q1r;" in site.ask(MESSAGE)
    site.put("example.org", "q2r", RSA[1])
    assert b"s=q1r;" in site.ask(MESSAGE)
    site.declare(example_org={"rsa": "q2r"})
    answer = site.ask(MESSAGE)
    assert b"s=q2r;" in answer
    assert answer.count(b"DKIM-Signature: ") == 1
    assert site.process
    site.process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert b"s=q2r;" in site.ask(MESSAGE)


@pytest.mark.parametrize("harm", ["none", "json", "pem", "small", "gone", "kind"])
def test_without_keys_a_message_waits(site: Site, harm: str) -> None:
    if harm == "none":
        (site.keys / "state.json").unlink()
    elif harm == "json":
        (site.keys / "state.json").write_text("{")
    elif harm == "pem":
        (site.keys / "example.org/q1r.pem").write_text(
            "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"
        )
    elif harm == "small":
        site.put("example.org", "q1r", rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is to be refused
    elif harm == "gone":
        (site.keys / "example.org/q1r.pem").unlink()
    else:
        site.put("example.org", "q1r", ED25519)
    site.start()
    answer = site.ask(MESSAGE)
    assert answer == b"Z the message can't be signed now (#4.3.0)"
    assert "SECRET" not in site.log.read_text()


def test_no_user_has_all_places(site: Site) -> None:
    site.start(4)
    idle = [site.call() for _ in range(3)]  # of whom two are waited for
    time.sleep(0.3)
    assert site.process
    children = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text().split()
    assert len(children) == 2
    idle[0].close()
    idle[1].close()
    idle[2].close()
    assert site.ask(MESSAGE).startswith(b"KD")


def test_no_user_has_all_places_of_those_who_wait(site: Site) -> None:
    """Of one user, all of whose calls these are, half of them wait; who calls beyond that is to call again."""
    site.start(4)
    calls = []
    for _ in range(200):
        calls.append(site.call())
        time.sleep(0.001)
    time.sleep(0.3)
    closed = 0
    for call in calls:
        call.setblocking(False)
        try:
            closed += call.recv(1000) == b""
        except BlockingIOError:
            continue
    assert closed == 200 - 2 - 128
    for call in calls:
        call.close()
    answer = b""
    for _ in range(100):
        with contextlib.suppress(ConnectionError):
            answer = site.ask(MESSAGE)
            break
        time.sleep(0.1)
    assert answer.startswith(b"KD")


def test_who_calls_and_says_nothing_has_a_place_for_a_short_time(site: Site) -> None:
    site.start()
    began = time.monotonic()
    assert site.call().recv(1000).startswith(b"Z")
    assert time.monotonic() - began < 15


def test_a_child_that_is_killed_harms_nobody(site: Site) -> None:
    site.start()
    idle = site.call()
    time.sleep(0.3)
    assert site.process
    (child,) = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    assert idle.recv(1000) == b""
    assert site.ask(MESSAGE).startswith(b"KD")


@pytest.mark.parametrize("part", [b" ", b"\n", b"\r", b"x", b"(", b"From: a@example.org\n", b"X: y\n"])
def test_no_message_takes_long(site: Site, part: bytes) -> None:
    site.start()
    began = time.monotonic()
    for message in (MESSAGE + part * (8_000_000 // len(part)), part * (8_000_000 // len(part)) + MESSAGE):
        assert site.ask(message)[:1] == b"K"
    assert time.monotonic() - began < 20


def test_what_a_message_costs(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the CPU time of a message of 4 KB with its fork; the bound is wide, for a busy machine."""
    site.start()
    assert site.process

    def used() -> float:
        words = Path(f"/proc/{site.process.pid}/stat").read_text().rpartition(")")[2].split() if site.process else []
        return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")

    site.ask(MESSAGE)
    before, count = used(), 40
    for _ in range(count):
        assert site.ask(MESSAGE).startswith(b"KD")
    time.sleep(0.1)
    each = (used() - before) / count
    with capsys.disabled():
        print(f"\n{each * 1000:.1f} ms of CPU time a message of {len(MESSAGE)} bytes, signed twice")
    assert each < 0.04
