"""tls_served: what a port serves is told as it is, and what keeps it from serving in one sentence."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from library import tls_served
from tests.unit.pki import HOST, Pair, issue

Run = Any
Talk = Callable[[socket.socket, ssl.SSLContext], None]


@pytest.fixture(scope="module")
def leaf() -> Pair:
    return issue()


def tls(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Serve TLS from the first byte."""
    context.wrap_socket(connection, server_side=True).recv(1)


def smtp(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Serve STARTTLS."""
    connection.sendall(b"220 mail ESMTP\r\n")
    connection.recv(1000)
    connection.sendall(b"250-mail\r\n250 STARTTLS\r\n")
    connection.recv(1000)
    connection.sendall(b"220 go on\r\n")
    tls(connection, context)


def smtp_without(connection: socket.socket, _: ssl.SSLContext) -> None:
    """Offer no STARTTLS."""
    connection.sendall(b"220 mail ESMTP\r\n")
    connection.recv(1000)
    connection.sendall(b"250 mail\r\n")
    connection.recv(1000)
    connection.recv(1000)


def smtp_busy(connection: socket.socket, _: ssl.SSLContext) -> None:
    """Be there and not be able."""
    connection.sendall(b"421 later\r\n")


def smtp_454(connection: socket.socket, _: ssl.SSLContext) -> None:
    """Offer STARTTLS and then have trouble."""
    connection.sendall(b"220 mail ESMTP\r\n")
    connection.recv(1000)
    connection.sendall(b"250-mail\r\n250 STARTTLS\r\n")
    connection.recv(1000)
    connection.sendall(b"454 no certificate\r\n")


def smtp_hostile(connection: socket.socket, _: ssl.SSLContext) -> None:
    """Say what a terminal or a log would obey."""
    connection.sendall(b"554-\x1b[2J\r\n554-From: root\r\n554 \xff" + b"x" * 400 + b"\r\n")


def nonsense(connection: socket.socket, _: ssl.SSLContext) -> None:
    """Speak something else."""
    connection.recv(1)
    connection.sendall(b"this is no TLS record at all\r\n")


def silence(connection: socket.socket, _: ssl.SSLContext) -> None:
    """Say nothing until the client goes."""
    with contextlib.suppress(OSError):
        while connection.recv(1000):
            pass


def hang_up(_: socket.socket, __: ssl.SSLContext) -> None:
    """Say nothing and go."""


@contextlib.contextmanager
def server(talk: Talk, leaf: Pair, directory: Path, asked: list[str | None] | None = None) -> Iterator[int]:
    """Serve one connection; give the port."""
    bundle = directory / "bundle.pem"
    bundle.write_bytes(leaf.pem + leaf.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    if asked is not None:
        context.sni_callback = lambda _, name, __: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                talk(connection, context)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(("starttls", "talk"), [("none", tls), ("smtp", smtp)])
def test_what_is_served_is_told(run_module: Run, tmp_path: Path, leaf: Pair, starttls: str, talk: Talk) -> None:
    asked: list[str | None] = []
    fingerprint = hashlib.sha256(leaf.der).hexdigest()
    with server(talk, leaf, tmp_path, asked) as port:
        options = {"port": port, "starttls": starttls, "name": HOST, "fingerprint": fingerprint.upper()}
        result = run_module(tls_served, options)
    assert not result["changed"]
    assert result["fingerprint"] == fingerprint
    assert ssl.PEM_cert_to_DER_cert(result["certificate"]) == leaf.der
    assert result["protocol"] == "TLSv1.3"
    assert asked == [HOST]


def test_another_certificate_is_a_failure(run_module: Run, tmp_path: Path, leaf: Pair) -> None:
    with server(tls, leaf, tmp_path) as port:
        result = run_module(tls_served, {"port": port, "fingerprint": "00" * 32})
    assert result["failed"]
    assert f"tls_served: port {port} of 127.0.0.1 serves another certificate" in result["msg"]
    assert result["fingerprint"] == hashlib.sha256(leaf.der).hexdigest()


@pytest.mark.parametrize(
    ("starttls", "talk", "sentence"),
    [
        ("none", nonsense, "breaks the TLS handshake off"),
        ("none", hang_up, "breaks the TLS handshake off|can't be spoken to: Connection reset"),
        ("none", silence, "can't be spoken to"),
        ("smtp", hang_up, "does not get to TLS"),
        ("smtp", smtp_busy, "greets with 421 later"),
        ("smtp", smtp_without, "does not get to TLS: STARTTLS extension not supported by server"),
        ("smtp", smtp_454, "answers STARTTLS with 454 no certificate"),
        ("smtp", silence, "does not get to TLS: .*timed out"),
    ],
)
def test_trouble_is_told(run_module: Run, tmp_path: Path, leaf: Pair, starttls: str, talk: Talk, sentence: str) -> None:
    with server(talk, leaf, tmp_path) as port:
        result = run_module(tls_served, {"port": port, "starttls": starttls, "timeout": 1})
    assert result["failed"]
    assert re.search(sentence, result["msg"])


def test_what_a_server_says_is_one_printable_line(run_module: Run, tmp_path: Path, leaf: Pair) -> None:
    with server(smtp_hostile, leaf, tmp_path) as port:
        message = run_module(tls_served, {"port": port, "starttls": "smtp", "timeout": 5})["msg"]
    assert "greets with 554 ?[2J From: root" in message
    assert message.isprintable()
    assert len(message) < 300


def test_nobody_listens(run_module: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert "can't be spoken to: Connection refused" in run_module(tls_served, {"port": port})["msg"]
