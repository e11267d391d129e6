"""The service that knows MTA-STS policies, as a test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Policies:
    """Answers questions, and keeps what it is told."""

    path: Path
    answers: dict[str, bytes | None] = field(default_factory=dict)  # None: it goes away
    asked: list[str] = field(default_factory=list)
    told: list[list[str]] = field(default_factory=list)

    def __enter__(self) -> Policies:
        """Listen."""
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door.bind(str(self.path))
        self.door.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self.door.close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                talk, _ = self.door.accept()
            except OSError:
                return
            with talk, contextlib.suppress(OSError):
                packet = talk.recv(65536).decode()
                if packet.startswith("policy "):
                    domain = packet[len("policy ") :].rstrip("\n")
                    answer = self.answers.get(domain, b"none\n")
                    if answer is not None:
                        talk.send(answer)
                    self.asked.append(domain)
                else:
                    self.told.append(packet.splitlines())

    def results(self, count: int) -> list[list[str]]:
        """Wait until so many results were told, and return all."""
        for _ in range(200):
            if len(self.told) >= count:
                break
            time.sleep(0.02)
        return self.told
