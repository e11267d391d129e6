"""Our signatures, as others see them."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import examples
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from others import dkimpy, opendkim
from qmail_dkim.signing import Signer, signatures, signed_names
from qmail_dkim.stream import Message, pieces, wire

RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(examples.ED25519_SEED))
SIGNERS = [Signer("football.example.com", "ours", RSA), Signer("football.example.com", "brisbane", ED25519)]
PUBLIC = base64.b64encode(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
OURS = {"ours._domainkey.football.example.com": b"v=DKIM1; k=rsa; p=" + PUBLIC}
KEYS = examples.KEYS | OURS

HEAD = b"From: Joe <joe@football.example.com>\nTo: a@b.example\nSubject: x\n"
MESSAGES = {
    "plain": examples.UNSIGNED,
    "8-bit": HEAD.replace(b"x\n", "\u00fcber \u20ac\n".encode())
    + "\nGr\u00fc\u00dfe, \u20ac\n".encode()
    + b"\xff\xfe\n",
    "long lines": HEAD + b"X: " + b"y" * 3000 + b"\nReferences: " + b"<z@z> " * 500 + b"\n\n" + b"w" * 5000 + b"\n",
    "dots": HEAD + b"\n.\n..\n.dot\n.\n",
    "folded": HEAD + b"Cc: a@b.example,\n\tb@b.example,\n    c@b.example  \nReferences:\n <a@b>\n\n\tx \t y \n",
    "doubled": HEAD + b"To: c@d.example\nTo: e@f.example\nReceived: by x\nReceived: by y\nCc: a\nCc:b\n\nx\n",
    "list": HEAD + b"List-Id: <l.example>\nList-Unsubscribe: <https://l.example/>\nList-Unsubscribe-Post: One\n\nx\n",
    "mime": HEAD
    + b'MIME-Version: 1.0\nContent-Type: text/plain;\n charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\nx\n',
    "empty body": HEAD + b"\n",
    "no body": HEAD,
    "only empty lines": HEAD + b"\n\n\n\n",
    "empty lines at the end": HEAD + b"\nx\n\n\n \n\n",
    "no last newline": HEAD + b"\nx",
    "blanks at the end": HEAD + b"\nx  \t",
    "lone CR": HEAD + b"\na\rb\r\n\rc\n\r\n",
    "NUL": HEAD + b"\na\0b\n",
    "CR LF": HEAD.replace(b"\n", b"\r\n") + b"\r\nx\r\n",
    "an empty field": HEAD + b"Cc:\nDate: \n\nx\n",
    "signed already": examples.SIGNED,
}


def on_the_wire(stored: bytes) -> bytes:
    signed = signatures(Message(wire([stored]), 1 << 22), SIGNERS, 1_700_000_000).replace(b"\r\n", b"\n") + stored
    return b"".join(wire([signed]))


@pytest.mark.parametrize("stored", MESSAGES.values(), ids=MESSAGES)
def test_dkimpy_and_opendkim_find_them_good(stored: bytes, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(on_the_wire(stored))
    assert dkimpy(message, KEYS)[:2] == [True, True]
    # OpenDKIM of Debian has no Ed25519, and judges the first signature that it knows.
    assert opendkim(message, OURS) == 0


@pytest.mark.parametrize(
    "change", [b"Subject: y\n", b"To: x\n", b"Cc: x\n", b"Content-Type: text/html\n", b"Reply-To: x\n"]
)
def test_no_field_can_be_added(change: bytes, tmp_path: Path) -> None:
    message = tmp_path / "message"
    signed = on_the_wire(MESSAGES["plain"])
    message.write_bytes(signed.replace(b"From: ", change.replace(b"\n", b"\r\n") + b"From: ", 1))
    assert dkimpy(message, KEYS)[:2] == [False, False]


def test_a_list_elsewhere_may_add_its_own(tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(b"List-Id: <other.example>\r\nSender: l@other.example\r\n" + on_the_wire(MESSAGES["plain"]))
    assert dkimpy(message, KEYS) == [True, True]
    names = signed_names([b"List-Id: x\r\n"])
    assert names.count(b"List-Id") == 2


def test_one_of_20_megabytes(tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    line = base64.b64encode(bytes(range(57))) + b"\n"
    stored.write_bytes(HEAD + b"\n" + line * (20_000_000 // len(line)))
    with stored.open("rb") as file:
        made = signatures(Message(wire(pieces(file.fileno())), 1 << 22), SIGNERS, 1_700_000_000)
    message = tmp_path / "message"
    message.write_bytes(made + stored.read_bytes().replace(b"\n", b"\r\n"))
    assert dkimpy(message, KEYS) == [True, True]
    assert opendkim(message, OURS) == 0


def test_the_field_is_in_lines_that_everybody_takes() -> None:
    made = signatures(Message(wire([MESSAGES["list"]]), 1 << 22), SIGNERS, 1_700_000_000)
    lines = made.split(b"\r\n")
    assert all(len(line) <= 78 for line in lines)
    assert [line for line in lines if not re.match(rb"DKIM-Signature: |[ \t]+\S", line)] == [b""]


def test_no_selector_or_domain_is_too_long_for_it() -> None:
    signer = Signer(".".join(["x" * 60] * 4), "s" * 60, RSA)
    made = signatures(Message(wire([MESSAGES["plain"]]), 1 << 22), [signer], 1_700_000_000)
    assert f"d={signer.domain};".encode() in made
