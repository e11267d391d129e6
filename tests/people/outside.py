"""The world outside of the site: a smarthost that wants TLS and a password, and takes what it is given."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "site", "Vr6kTz9mBq2x"


@dataclass(frozen=True)
class Message:
    """One message, as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)
    login: str


class Outside:
    """The server, on an address of this machine that the site reaches."""

    def __init__(self, address: str, folder: Path, certificate: Path | None = None) -> None:
        """Start it, with a certificate of its own or another's."""
        self.messages: list[Message] = []
        self._lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate = certificate or _certificate(address, folder)
        context.load_cert_chain(self.certificate)
        self._controller = Controller(
            self,
            hostname=address,
            port=_free_port(address),
            tls_context=context,
            require_starttls=True,
            authenticator=self._authenticate,
            auth_required=False,
        )
        self._controller.start()
        self.address = address
        self.port = self._controller.port

    @staticmethod
    def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, auth_data=USER if right else None)

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a message."""
        # Whether the null sender is "" or "<>" depends on the library's version.
        sender = (envelope.mail_from or "").removeprefix("<").removesuffix(">")
        message = Message(sender, tuple(envelope.rcpt_tos), envelope.content, session.auth_data or "")
        with self._lock:
            self.messages.append(message)
        return "250 taken"

    def wait(self, what: str, wanted: Callable[[Message], bool], seconds: float = 40) -> Message:
        """Give the first message of a kind."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                found = next((message for message in self.messages if wanted(message)), None)
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what} did not arrive outside; what did: {self.messages}")

    def having(self, mark: str) -> list[Message]:
        """Give the messages with a text in them."""
        with self._lock:
            return [message for message in self.messages if mark.encode() in message.content]

    @property
    def authority(self) -> str:
        """What the site is to trust."""
        text = self.certificate.read_text()
        return text[: text.index("-----BEGIN PRIVATE KEY")]

    def stop(self) -> None:
        """End it."""
        self._controller.stop()


def _free_port(address: str) -> int:
    """A port that nobody has just now: the controller asks for one by number."""
    with socket.socket() as found:
        found.bind((address, 0))
        return int(found.getsockname()[1])


def _certificate(address: str, folder: Path) -> Path:
    """A certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outside.test")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "outside.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return path
