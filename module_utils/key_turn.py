# SPDX-License-Identifier: MIT
"""The key of a certificate, and the one that comes after it.

Senders who go by DANE (RFC 7672) believe in keys: a certificate that comes back from its renewal with another one is
refused until the DNS has that one's record, and caches have forgotten the old answer. So a key stays at renewals. The
next one is made beforehand, in a directory of root's, so that its record can be published (`mail-tlsa records`); its
turn comes when the present one is old, and every name server with authority has had the record for longer than caches
keep an answer. Where none of them has any such record, nobody goes by one, and there is nothing to wait for.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

try:
    from ansible.module_utils.pem_chain import RefusedError, key_pem, key_type_of, load_chain, load_key, same_key
    from ansible.module_utils.whole_file import make_directory, write
except ImportError:  # the host's own program has them beside this file
    from pem_chain import RefusedError, key_pem, key_type_of, load_chain, load_key, same_key
    from whole_file import make_directory, write

with contextlib.suppress(ImportError):  # the module says what is missing
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

DAY = 86400
# Seconds for which a record must have been seen everywhere: more than twice dns_ttl, which is enough (RFC 7671, 8.1).
SEEN_LEAST = 2 * DAY
NAMESERVERS = Path("/var/qmail/control/nameservers")  # the site's resolver; without it, those of resolv.conf
Ask = Callable[[str], Sequence[Sequence[str]]]
"""What each name server with authority has of TLSA records at a name. Raises LookupError if one doesn't answer."""


def new_key(key_type: str) -> Any:
    """A fresh key of the given type."""
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    return ec.generate_private_key(ec.SECP256R1())


def record(public_key: Any) -> str:
    """A key's TLSA record: DANE-EE, the key alone, by SHA-256 (RFC 7671, section 5.1)."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(public_key.public_bytes(*form)).hexdigest()}"


def at(name: str) -> str:
    """Where a host's records for SMTP are."""
    return f"_25._tcp.{name}"


def kept(pair: tuple[Path, Path], key_type: str) -> Any:
    """The key that a renewed certificate goes on with; None where none is there that fits and is wanted."""
    try:
        leaf, key = load_chain(pair[0])[0], load_key(pair[1])
    except RefusedError:
        return None
    fits = same_key(leaf.public_key(), key.public_key()) and key_type_of(key) == key_type
    return key if fits else None


class Next:
    """The key after a certificate's present one, in `path`; a file beside it has since when its record is published."""

    def __init__(self, directory: Path, name: str, key_type: str) -> None:
        """Take where it is."""
        self.path, self._seen, self._key_type = directory / f"{name}.key", directory / f"{name}.published", key_type

    def key(self) -> Any:
        """The key; None where there is none, or one of another type."""
        try:
            key = load_key(self.path)
        except RefusedError:
            return None
        return key if key_type_of(key) == self._key_type else None

    def make(self) -> None:
        """Have another one."""
        make_directory(self.path.parent, 0o700)
        self._seen.unlink(missing_ok=True)
        write(self.path, key_pem(new_key(self._key_type)), 0o600)

    def is_due(self, days: int, now: float) -> bool:
        """Whether the present key is DAYS old, which is how old this file is: the two change at the same time."""
        try:
            return 0 < days * DAY <= now - self.path.stat().st_mtime
        except OSError:
            return False

    def wait(self, names: Sequence[str], ask: Ask, now: float, *, note: bool = True) -> str:
        """What keeps the key's turn from coming, as a sentence; empty if nothing does."""
        key = self.key()
        if key is None:
            return "there is no next key yet"
        mine, some = record(key.public_key()), False
        for name in names:
            try:
                said = ask(at(name))
            except LookupError as error:
                return str(error)
            some = some or any(said)
            if any(each and mine not in each for each in said) or (any(said) and not all(said)):
                self._seen.unlink(missing_ok=True)
                return f"not every name server has the next key's record {at(name)} TLSA {mine}"
        return self._patience(now, note=note) if some else ""

    def _patience(self, now: float, *, note: bool) -> str:
        if not self._seen.exists() and note:
            write(self._seen, b"", 0o600)
        try:
            since = now - self._seen.stat().st_mtime
        except OSError:
            since = 0
        if since >= SEEN_LEAST:
            return ""
        left = int((SEEN_LEAST - since) // 3600) + 1
        return f"the next key's record is published, and old answers are forgotten in {left} hours"


def resolvers() -> list[tuple[str, int]]:
    """Addresses and ports of NAMESERVERS, a line each: ADDRESS, or [ADDRESS]:PORT. Raises LookupError."""
    try:
        lines = [line.strip() for line in NAMESERVERS.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise LookupError(f"{NAMESERVERS}: {error}") from None
    parts = [line.removeprefix("[").partition("]:") for line in lines if line and not line.startswith("#")]
    return [(address.removesuffix("]"), int(port) if port.isdigit() else 53) for address, _, port in parts]


def published() -> Ask:
    """Asks the name servers themselves. Raises LookupError where the library for that is missing."""
    try:
        from ansible.module_utils.name_servers import Names, Server
    except ImportError as error:
        raise LookupError(f"python3-dnspython is missing on the host ({error})") from None
    names = Names([Server(address, address, port) for address, port in resolvers()], seconds=60)

    def ask(name: str) -> list[list[str]]:
        return [names.answer(server, name, "TLSA") for server in names.zone(name).servers]

    return ask


def turn(
    own: Next, names: Sequence[str], wish: dict[str, Any], *, note: bool, ask: Ask | None = None
) -> tuple[str, str]:
    """Why a certificate is to be had for the next key now, or why that one, though due, waits; one is empty, or both.

    The wish has `key_days`, after how many a key is old (0: never), and `new_key`, whether it is to go in any case.
    """
    if wish["new_key"]:
        return "another key was asked for", ""
    now = time.time()
    if not own.is_due(wish["key_days"], now):
        return "", ""
    try:
        why = own.wait(names, ask or published(), now, note=note)
    except LookupError as error:
        why = str(error)
    return ("", why) if why else ("it was the next key's turn", "")
