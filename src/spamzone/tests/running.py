"""Running spamzone with pipes on its descriptors."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

SPAMZONE = os.environ["SPAMZONE"]
MESSAGE = b"From: a@example.org\nSubject: hello\nTo: b@example.net\n\nbody\n.\n\nmore\n"


@dataclass
class Result:
    """What a run left on its descriptors."""

    code: int
    out: bytes
    reason: str
    note: str


def run(*arguments: str, message: bytes = MESSAGE, environment: dict[str, str] | None = None) -> Result:
    """Run spamzone with pipes on 0, 1, 6 and 7."""
    reason_read, reason_write = os.pipe()
    note_read, note_write = os.pipe()

    def place() -> None:
        os.dup2(reason_write, 60)
        os.dup2(note_write, 61)
        os.dup2(60, 6)
        os.dup2(61, 7)
        os.closerange(60, 62)

    process = subprocess.Popen(
        [SPAMZONE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(6, 7, reason_write, note_write),
        preexec_fn=place,
        env={**os.environ, **(environment or {})},
    )
    os.close(reason_write)
    os.close(note_write)
    out, _ = process.communicate(message, timeout=30)
    with os.fdopen(reason_read) as reason, os.fdopen(note_read) as note:
        return Result(process.returncode, out, reason.read(), note.read())


def status(score: str, *, spam: bool) -> str:
    flag = "X-Spam-Flag: YES\n" if spam else ""
    word = "Yes" if spam else "No"
    return f"{flag}X-Spam-Status: {word}, score={score} required=5.0 tests=AA,\n\tBB autolearn=no\n"
