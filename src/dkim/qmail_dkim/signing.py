"""Making DKIM-Signature fields."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from qmail_dkim.stream import Body, Message, name_of, relaxed_field

# Signed once more than they occur, so that none can be added (RFC 6376 section 8.15): what a reader is shown, and what
# says how the body is to be read.
OVERSIGNED = (
    *(b"From", b"Subject", b"Date", b"To", b"Cc", b"Message-ID", b"Reply-To"),
    *(b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"),
)
# Signed once more than they occur where they occur: a list's (section 5.4.1, RFC 8058 section 4). Where they don't, a
# list elsewhere that the message is sent to may add its own, and the signature lasts.
LISTS = (
    *(b"List-Id", b"List-Help", b"List-Unsubscribe", b"List-Unsubscribe-Post", b"List-Subscribe", b"List-Post"),
    *(b"List-Owner", b"List-Archive"),
)
# Signed as often as they occur.
SIGNED = (
    *(
        b"Sender",
        b"In-Reply-To",
        b"References",
        b"Content-ID",
        b"Content-Description",
        b"Content-Disposition",
        b"Auto-Submitted",
    ),
    *(b"Resent-From", b"Resent-To", b"Resent-Cc", b"Resent-Date", b"Resent-Sender", b"Resent-Message-ID"),
)
OCCURRENCES = 200  # of a field that are signed; the uppermost of more are not
WIDTH = 76  # of the field's lines


@dataclass(frozen=True)
class Signer:
    """A key under its selector."""

    domain: str
    selector: str
    key: Any  # rsa.RSAPrivateKey or ed25519.Ed25519PrivateKey

    @property
    def algorithm(self) -> bytes:
        """Its name in the tag a."""
        return b"ed25519-sha256" if isinstance(self.key, ed25519.Ed25519PrivateKey) else b"rsa-sha256"

    def sign(self, digest: bytes) -> bytes:
        """Give the signature of a SHA-256 digest (RFC 6376 section 3.3.1, RFC 8463 section 3)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(digest, padding.PKCS1v15(), Prehashed(SHA256()))
        signature: bytes = self.key.sign(digest)
        return signature


def signed_names(fields: Sequence[bytes]) -> list[bytes]:
    """Give the names for the tag h, in their order."""
    count: dict[bytes, int] = {}
    for field in fields:
        name = name_of(field)
        count[name] = count.get(name, 0) + 1
    names: list[bytes] = []
    for name in (*OVERSIGNED, *LISTS, *SIGNED):
        there = min(count.get(name.lower(), 0), OCCURRENCES)
        names += [name] * (there + (name in OVERSIGNED or (name in LISTS and there > 0)))
    return names


def selected(fields: Sequence[bytes], names: Sequence[bytes]) -> list[bytes]:
    """Give the fields that these names stand for, the last of a name first (RFC 6376 section 5.4.2)."""
    left: dict[bytes, list[bytes]] = {name.lower(): [] for name in names}
    for field in fields:
        of_name = left.get(name_of(field))
        if of_name is not None:
            of_name.append(field)
    return [left[name.lower()].pop() for name in names if left[name.lower()]]


def folded(words: Sequence[bytes], width: int = WIDTH) -> bytes:
    """Give the words, each with what is to stand between it and the next, in lines that begin with a blank."""
    lines = [b""]
    for word in words:
        if len(lines[-1]) + len(word) >= width and lines[-1]:
            lines.append(b"")
        lines[-1] += word
    return b"\r\n\t".join(line.rstrip(b" ") for line in lines)  # none is blanks alone


def in_parts(text: bytes, width: int = WIDTH - 4) -> list[bytes]:
    """Give a long word in parts that may be on lines of their own."""
    return [text[start : start + width] for start in range(0, len(text), width)]


def field_of(signer: Signer, names: Sequence[bytes], body_hash: bytes, time: int) -> bytes:
    """Give the DKIM-Signature field up to the signature itself."""
    parts = [b"DKIM-Signature: ", b"v=1; ", b"a=" + signer.algorithm + b"; ", b"c=relaxed/relaxed; "]
    parts += [f"d={signer.domain}; ".encode(), f"s={signer.selector}; ".encode(), b"t=%d; " % time]
    parts += [b"h=" + names[0], *(b":" + name for name in names[1:]), b"; ", b"bh=" + body_hash + b"; "]
    return folded(parts) + b"\r\n\tb="


def signatures(message: Message, signers: Sequence[Signer], time: int) -> bytes:
    """Give a DKIM-Signature field for each of these keys, with CR LF; the message's body is read.

    All are over the same fields, and none over another signature.
    """
    digest = hashlib.sha256()
    body = Body(digest.update, relaxed=True)
    for chunk in message.body:
        body.feed(chunk)
    body.end()
    body_hash = base64.b64encode(digest.digest())
    names = signed_names(message.fields)
    signed = hashlib.sha256()
    for field in selected(message.fields, names):
        signed.update(relaxed_field(field))
    made = b""
    for signer in signers:
        field = field_of(signer, names, body_hash, time)
        whole = signed.copy()
        whole.update(relaxed_field(field).removesuffix(b"\r\n"))
        made += field + b"\r\n\t ".join(in_parts(base64.b64encode(signer.sign(whole.digest())))) + b"\r\n"
    return made
