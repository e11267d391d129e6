"""Verifying DKIM-Signature fields (RFC 6376 section 6, RFC 8301, RFC 8463)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from qmail_dkim.signing import selected
from qmail_dkim.stream import Body, Message, relaxed_field, value_of
from qmail_dkim.tags import TagError, tags_of, without_blanks

FIELD_MOST = 16384  # bytes of a signature
KEY_MOST = 2048  # bytes of a key: RSA of 4096 bits takes 550
BITS = range(1024, 4097)  # RFC 8301 section 3.2
SIGNATURES_MOST = 8  # that are verified
DOMAIN_MOST = 253

Ask = Callable[[str], Sequence[bytes]]
"""Gives the texts at a name, each with its strings joined. Raises UnansweredError."""


class UnansweredError(Exception):
    """The DNS has not answered; another time it may."""


class SignatureError(Exception):
    """What is wrong with a signature: a result of RFC 8601 section 2.7.1, and why."""

    def __init__(self, result: str, why: str) -> None:
        """Keep both."""
        super().__init__(f"{result}: {why}")
        self.result = result
        self.why = why


@dataclass
class Signature:
    """A DKIM-Signature field, and what became of it."""

    raw: bytes
    tags: dict[bytes, bytes] = field(default_factory=dict)
    result: str = "neutral"
    why: str = ""

    def text(self, tag: bytes, default: str = "") -> str:
        """Give a tag's value without blanks."""
        return without_blanks(self.tags.get(tag, default.encode())).decode("ascii", "replace")

    @property
    def domain(self) -> str:
        """Who has signed."""
        return self.text(b"d").lower()

    @property
    def selector(self) -> str:
        """Under which name the key is."""
        return self.text(b"s").lower()

    def canonical(self) -> tuple[str, str]:
        """Give the form of the header and of the body."""
        header, _, body = self.text(b"c", "simple/simple").partition("/")
        return header, body or "simple"


def parsed(raw: bytes) -> Signature:
    """Read a field. What is wrong with it is its result."""
    signature = Signature(raw)
    try:
        if len(raw) > FIELD_MOST:
            raise SignatureError("permerror", "too long")
        try:
            signature.tags = tags_of(value_of(raw))
        except TagError as error:
            raise SignatureError("permerror", str(error)) from None
        judge_tags(signature)
    except SignatureError as error:
        signature.result, signature.why = error.result, error.why
    return signature


def is_name(name: str) -> bool:
    """Is this something that can be asked for?"""
    labels = name.split(".")
    good = name.isascii() and name.replace(".", "").replace("-", "").replace("_", "").isalnum()
    return good and len(name) <= DOMAIN_MOST and all(0 < len(label) < 64 for label in labels)


def judge_tags(signature: Signature) -> None:
    """Raise SignatureError unless the tags are good by themselves (section 6.1.1)."""
    for tag in (b"v", b"a", b"b", b"bh", b"d", b"h", b"s"):
        if tag not in signature.tags:
            raise SignatureError("permerror", f"has no {tag.decode()}=")
    if signature.text(b"v") != "1":
        raise SignatureError("permerror", "is of another version")
    if not is_name(signature.domain) or not is_name(signature.selector):
        raise SignatureError("permerror", "names no domain")
    identity = signature.text(b"i", f"@{signature.domain}").lower().rpartition("@")[2]
    if identity != signature.domain and not identity.endswith("." + signature.domain):
        raise SignatureError("permerror", "i= is not within d=")
    if b"from" not in signed_names(signature):
        raise SignatureError("permerror", "doesn't sign From")
    if "dns/txt" not in signature.text(b"q", "dns/txt").split(":"):
        raise SignatureError("permerror", "has its key elsewhere than in the DNS")
    if not {*signature.canonical()} <= {"simple", "relaxed"}:
        raise SignatureError("permerror", "has an unknown form")
    for tag in (b"l", b"t", b"x"):
        if tag in signature.tags and not (signature.text(tag).isdigit() and len(signature.text(tag)) <= 12):
            raise SignatureError("permerror", f"{tag.decode()}= is not a number")
    if signature.text(b"a") == "rsa-sha1":
        raise SignatureError("policy", "rsa-sha1 proves nothing")
    if signature.text(b"a") not in ("rsa-sha256", "ed25519-sha256"):
        raise SignatureError("permerror", "is of an unknown algorithm")


def judge_time(signature: Signature, now: int) -> None:
    """Raise SignatureError for one that has expired."""
    if b"x" in signature.tags:
        end = int(signature.text(b"x"))
        if b"t" in signature.tags and end < int(signature.text(b"t")):
            raise SignatureError("permerror", "expires before it was made")
        if end < now:
            raise SignatureError("fail", "has expired")


def signed_names(signature: Signature) -> list[bytes]:
    """Give the names of the fields that are signed."""
    return [name.strip().lower() for name in signature.tags[b"h"].split(b":")]


def decoded(value: bytes, what: str) -> bytes:
    """Read base64 with blanks in it. Raises SignatureError."""
    try:
        return base64.b64decode(without_blanks(value), validate=True)
    except binascii.Error:
        raise SignatureError("permerror", f"{what} is not base64") from None


def key_record(texts: Sequence[bytes]) -> dict[bytes, bytes]:
    """Give the tags of the first text that is a key's (section 3.6.1). Raises SignatureError."""
    for text in texts:
        try:
            tags = tags_of(text)
        except TagError:
            continue
        if tags.get(b"v", b"DKIM1") == b"DKIM1" and b"p" in tags and (b"v" not in tags or next(iter(tags)) == b"v"):
            return tags
    raise SignatureError("permerror", "there is no key" if not texts else "the key's record can't be read")


def public_key(signature: Signature, record: dict[bytes, bytes]) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    """Give the key of a record, if it is for this signature. Raises SignatureError."""
    kind = signature.text(b"a").partition("-")[0]
    if record.get(b"k", b"rsa") != kind.encode():
        raise SignatureError("permerror", "the key is of another kind")
    if b"h" in record and b"sha256" not in without_blanks(record[b"h"]).split(b":"):
        raise SignatureError("permerror", "the key is for another hash")
    if not {b"*", b"email"} & {*without_blanks(record.get(b"s", b"*")).split(b":")}:
        raise SignatureError("permerror", "the key is not for mail")
    if b"s" in without_blanks(record.get(b"t", b"")).split(b":"):
        identity = signature.text(b"i", f"@{signature.domain}").lower().rpartition("@")[2]
        if identity != signature.domain:
            raise SignatureError("permerror", "the key is for the domain alone")
    if not without_blanks(record[b"p"]):
        raise SignatureError("permerror", "the key has been revoked")
    data = decoded(record[b"p"], "the key")
    if len(data) > KEY_MOST:
        raise SignatureError("policy", "the key is too long")
    try:
        if kind == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(data)
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise SignatureError("permerror", "the key can't be read") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise SignatureError("permerror", "the key is of another kind")
    if key.key_size not in BITS:
        raise SignatureError("policy", f"a key of {key.key_size} bits proves nothing")
    return key


def without_signature(raw: bytes) -> bytes:
    """Give the field with nothing behind b=, and without its last CR LF (section 3.5)."""
    name, _, value = raw.removesuffix(b"\r\n").partition(b":")
    parts = value.split(b";")
    for number, part in enumerate(parts):
        tag, equals, _ = part.partition(b"=")
        if equals and tag.strip() == b"b":
            parts[number] = tag + b"="
    return name + b":" + b";".join(parts)


def header_digest(signature: Signature, fields: Sequence[bytes]) -> bytes:
    """Give the hash of what of the header is signed (section 3.7)."""
    relaxed = signature.canonical()[0] == "relaxed"
    digest = hashlib.sha256()
    for each in selected(fields, signed_names(signature)):
        digest.update(relaxed_field(each) if relaxed else each)
    itself = without_signature(signature.raw)
    digest.update(relaxed_field(itself).removesuffix(b"\r\n") if relaxed else itself)
    return digest.digest()


def judge_header(signature: Signature, fields: Sequence[bytes], ask: Ask) -> None:
    """Raise SignatureError unless the key has signed these fields."""
    record = key_record(ask(f"{signature.selector}._domainkey.{signature.domain}"))
    key = public_key(signature, record)
    made = decoded(signature.tags[b"b"], "b=")
    digest = header_digest(signature, fields)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(made, digest, padding.PKCS1v15(), Prehashed(SHA256()))
        else:
            key.verify(made, digest)
    except InvalidSignature:
        raise SignatureError("fail", "the signature is not of this header") from None


class Hashed:
    """What is hashed of a body in one form, for every length that signatures name; -1 is all of it."""

    def __init__(self, *, relaxed: bool) -> None:
        """Begin."""
        self.body = Body(self.take, relaxed=relaxed)
        self.left: dict[int, int] = {}
        self.digests = {-1: hashlib.sha256()}

    def want(self, length: int) -> None:
        """Have a hash of so many bytes, too."""
        if length >= 0:
            self.left[length] = length
            self.digests[length] = hashlib.sha256()

    def take(self, data: bytes) -> None:
        """Take what the body has become."""
        self.digests[-1].update(data)
        for length, left in self.left.items():
            self.digests[length].update(data[:left])
            self.left[length] = max(0, left - len(data))


def judge_body(signature: Signature, hashed: Hashed) -> None:
    """Raise SignatureError unless the body is the one that was signed, to its end."""
    length = int(signature.text(b"l", "-1"))
    if length > hashed.body.size:
        raise SignatureError("fail", "the body is shorter than l=")
    if hashed.digests[length].digest() != decoded(signature.tags[b"bh"], "bh="):
        raise SignatureError("fail", "the body has been changed")
    if 0 <= length < hashed.body.size:
        raise SignatureError("policy", f"signs {length} bytes of the body's {hashed.body.size}")


def verify(message: Message, ask: Ask, now: int, prefer: Callable[[str], bool] = lambda _: False) -> list[Signature]:
    """Give a message's signatures with their results; its body is read if one of them is good so far.

    Of more than SIGNATURES_MOST those of preferred domains count first, then those that stand first; no other is read.
    """
    found = message.named(b"dkim-signature")
    signatures = [parsed(raw) for raw in found[:1000]]
    signatures.sort(key=lambda each: not (each.result == "neutral" and prefer(each.domain)))
    signatures = signatures[:SIGNATURES_MOST]
    forms: dict[str, Hashed] = {}
    good: list[Signature] = []
    for signature in signatures:
        if signature.result != "neutral":
            continue
        try:
            if not message.whole:
                raise SignatureError("permerror", "the header is too long")
            judge_time(signature, now)
            judge_header(signature, message.fields, ask)
            form = signature.canonical()[1]
            forms.setdefault(form, Hashed(relaxed=form == "relaxed")).want(int(signature.text(b"l", "-1")))
            good.append(signature)
        except SignatureError as error:
            signature.result, signature.why = error.result, error.why
        except UnansweredError as error:
            signature.result, signature.why = "temperror", str(error)
    if forms:
        for chunk in message.body:
            for hashed in forms.values():
                hashed.body.feed(chunk)
    for hashed in forms.values():
        hashed.body.end()
    for signature in good:
        try:
            judge_body(signature, forms[signature.canonical()[1]])
            signature.result = "pass"
        except SignatureError as error:
            signature.result, signature.why = error.result, error.why
    return signatures
