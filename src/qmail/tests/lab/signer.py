"""A signer for tests: it listens where the real one would, and says of each message what the test wants."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FIELDS = b"DKIM-Signature: v=1; d=example.test;\n\tb=c2lnbmVk\n"
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True)
class Asked:
    """A message that was to be signed."""

    message: bytes
    uid: int
    sealed: bool  # nobody can change it any more
    on_disk: bool


class Signer:
    """The talk of src/qmail/sign/signer.h, at a real socket."""

    def __init__(self, path: Path) -> None:
        """Listen at path; answer with one signature until told otherwise."""
        self.path = path
        self.answer: bytes | None = b"K" + FIELDS
        self.before_answer: Callable[[], object] = lambda: None
        self.asked: list[Asked] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.socket.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Signer:
        """Return the signer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.path.unlink(missing_ok=True)

    @property
    def messages(self) -> list[bytes]:
        """What was to be signed, in order."""
        return [asked.message for asked in self.asked]

    def _accept(self) -> None:
        while True:
            try:
                talk, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(talk,), daemon=True).start()

    def _serve(self, talk: socket.socket) -> None:
        with talk:
            word, rights, _, _ = talk.recvmsg(64, socket.CMSG_SPACE(16))
            if word != b"sign\n":
                return
            ((_, _, data),) = rights
            (fd,) = array.array("i", data)
            credentials = array.array("i", talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            with os.fdopen(fd, "rb") as file:
                try:
                    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
                except OSError:
                    seals = -1
                self.asked.append(Asked(file.read(), credentials[1], seals == SEALS, seals == -1))
            self.before_answer()
            if self.answer is not None:
                with contextlib.suppress(OSError):
                    talk.send(self.answer)
