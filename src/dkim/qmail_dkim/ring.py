"""The keys in use: /etc/qmail-site/dkim, as mail-dkim leaves it."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from qmail_dkim.signing import Signer

STATE = "state.json"


class RingError(Exception):
    """Keys that can't be used; one sentence, and nothing of a key."""


def key_of(path: Path, algorithm: str) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    """Read a private key. Raises RingError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise RingError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RingError(f"{path}: not a private key in PEM") from None
    if algorithm == "ed25519" and isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if algorithm == "rsa" and isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key
    raise RingError(f"{path}: not a key for {algorithm}")


class Ring:
    """Each domain's signers, RSA first since nearly everybody verifies that."""

    def __init__(self, home: Path) -> None:
        """Keep where the keys are; none is read yet."""
        self.home = home
        self.seen: tuple[int, ...] = ()
        self.signers: dict[str, list[Signer]] = {}
        self.fault = f"{home / STATE}: not read yet"

    def mark(self) -> tuple[int, ...]:
        """Give what changes whenever the state does: it is written anew, by rename, after every change of keys."""
        try:
            status = (self.home / STATE).stat()
        except OSError:
            return (0,)
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def read(self, *, anew: bool = False) -> bool:
        """Read all keys where they have changed, and say so; those of before stay where that fails."""
        mark = self.mark()
        if mark == self.seen and not anew:
            return False
        self.seen = mark
        try:
            state = json.loads((self.home / STATE).read_text(encoding="utf-8"))
            signers = {domain: self.signers_of(domain, entry) for domain, entry in state.items()}
            # Once here, so that no message pays for what the library does at first.
            for signer in [each for some in signers.values() for each in some][:8]:
                signer.sign(bytes(32))
            self.signers = signers
            self.fault = ""
        except OSError as error:
            self.fault = f"{self.home / STATE}: {error.strerror}"
        except (ValueError, KeyError, TypeError, AttributeError):
            self.fault = f"{self.home / STATE}: not what mail-dkim writes"
        except RingError as error:
            self.fault = str(error)
        return True

    def signers_of(self, domain: str, entry: dict[str, dict[str, dict[str, str]]]) -> list[Signer]:
        """Read a domain's current keys."""
        algorithms = sorted(entry["algorithms"].items(), reverse=True)
        return [
            Signer(domain, each["current"], key_of(self.home / domain / f"{each['current']}.pem", algorithm))
            for algorithm, each in algorithms
            if each.get("current")
        ]

    def for_domain(self, domain: str) -> list[Signer]:
        """Give the signers for a From field's domain: its own, or those of the nearest above it that has some."""
        labels = domain.split(".")
        for start in range(len(labels)):
            signers = self.signers.get(".".join(labels[start:]))
            if signers:
                return signers
        return []
