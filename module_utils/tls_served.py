# SPDX-License-Identifier: MIT
"""Which certificate a TLS port serves, as a client sees it."""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
from typing import Any


class ServedError(Exception):
    """The sentence for the operator."""


def in_one_line(text: bytes | str) -> str:
    """What a server says, in one line of bounded length, without what a log or a terminal would obey."""
    words = " ".join((text.decode(errors="replace") if isinstance(text, bytes) else text).split())
    return "".join(c if c.isprintable() else "?" for c in words[:200])


def context() -> ssl.SSLContext:
    """A client that accepts any certificate: this module reports, it does not trust."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def after_starttls(params: dict[str, Any]) -> ssl.SSLSocket:
    """Speak SMTP until TLS is up; give the socket."""
    smtp = smtplib.SMTP(timeout=params["timeout"], local_hostname="localhost")
    # smtplib takes the server name from here; there is no other way to set it apart from the address.
    code, text = smtp.connect(params["host"], params["port"])
    if code != 220:
        raise ServedError(f"greets with {code} {in_one_line(text)}")
    smtp._host = params["name"] or params["host"]  # type: ignore[attr-defined]
    code, text = smtp.starttls(context=context())
    if code != 220:
        raise ServedError(f"answers STARTTLS with {code} {in_one_line(text)}")
    if not isinstance(smtp.sock, ssl.SSLSocket):
        raise ServedError("has no TLS after STARTTLS")
    return smtp.sock


def from_the_first_byte(params: dict[str, Any]) -> ssl.SSLSocket:
    """Connect with TLS; give the socket."""
    plain = socket.create_connection((params["host"], params["port"]), timeout=params["timeout"])
    return context().wrap_socket(plain, server_hostname=params["name"] or params["host"])


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Connect and give what is served.

    Raises ServedError with the rest of a sentence that begins with host and port.
    """
    try:
        with (after_starttls if params["starttls"] == "smtp" else from_the_first_byte)(params) as channel:
            der = channel.getpeercert(binary_form=True) or b""
            cipher = channel.cipher() or ("", "", 0)
            protocol = channel.version()
    except smtplib.SMTPResponseException as error:
        raise ServedError(f"answers STARTTLS with {error.smtp_code} {in_one_line(error.smtp_error)}") from error
    except smtplib.SMTPException as error:
        raise ServedError(f"does not get to TLS: {in_one_line(str(error))}") from error
    except ssl.SSLError as error:
        raise ServedError(f"breaks the TLS handshake off: {error.reason or error}") from error
    except OSError as error:
        raise ServedError(f"can't be spoken to: {error.strerror or error}") from error
    return {
        "fingerprint": hashlib.sha256(der).hexdigest(),
        "certificate": ssl.DER_cert_to_PEM_cert(der),
        "protocol": protocol,
        "cipher": cipher[0],
    }
