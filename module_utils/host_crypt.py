# SPDX-License-Identifier: MIT
"""This host's crypt(3): the library that its programs check passwords with, so it knows the same methods."""

from __future__ import annotations

import ctypes
import hmac
import re

# A hash of another method is too weak to keep, whatever fits it (filter_plugins/site_faults.py refuses it as well).
STRONG = re.compile(r"\$(?:y|gy|7|2[aby]|6|5)\$")


class CryptError(Exception):
    """Why there is no hash; the text holds none."""


class Crypt:
    """The library."""

    def __init__(self) -> None:
        """Load it: Python's own module is gone since 3.13."""
        try:
            library = ctypes.CDLL("libcrypt.so.1", use_errno=True)
            self._crypt, self._gensalt = library.crypt, library.crypt_gensalt
        except (OSError, AttributeError) as error:
            raise CryptError(f"this host's crypt(3) can't be used: {error}; install libcrypt1") from None
        self._crypt.argtypes, self._crypt.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_char_p
        self._gensalt.argtypes = (ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int)
        self._gensalt.restype = ctypes.c_char_p

    def _hash(self, password: bytes, setting: bytes) -> str | None:
        """The hash, or None where SETTING is not one of a method; a failure begins with a "*" (crypt(3))."""
        made: bytes | None = self._crypt(password, setting)
        return None if made is None or made.startswith(b"*") else made.decode("ascii")

    def fits(self, password: bytes, kept: str) -> bool:
        """Does PASSWORD fit a hash that is worth keeping?"""
        if not kept.isascii() or not STRONG.match(kept):
            return False
        made = self._hash(password, kept.encode())
        return made is not None and hmac.compare_digest(made, kept)

    def new(self, password: bytes) -> str:
        """Make a hash of the method that the host prefers, with a salt from the system's source of randomness."""
        setting: bytes | None = self._gensalt(None, 0, None, 0)
        made = self._hash(password, setting) if setting else None
        if made is None or not STRONG.match(made):
            raise CryptError("this host's crypt(3) makes no hash of a strong method")
        return made
