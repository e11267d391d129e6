"""What the caller is told: qmail-queue's exit codes, and a reason where it can take one."""

from __future__ import annotations

import posix

ACCEPTED = 0
REFUSED = 31  # for good: SMTP 554
READ_ERROR = 54
LATER = 71  # SMTP 451
INTERNAL = 81
REASON = 82  # the reason is on descriptor 6: D... for good, Z... for later
REASON_FD = 6
REASON_MAX = 400  # bytes, well inside a line of SMTP
NOTE_FD = 7  # of a filter: one line for the log
NOTE_MAX = 1000  # bytes
LINE_MAX = 7000  # characters of a line of the log


class Answer(Exception):  # noqa: N818 - the end of the work, error or not
    """An exit code of qmail-queue's; for REFUSED and LATER a text for the SMTP client, and one for the log."""

    def __init__(self, code: int, text: str = "", log: str = "") -> None:
        """Keep the three; without a log text nothing is logged."""
        self.code = code
        self.text = text
        self.log = log


def one_line(text: str | bytes, most: int = REASON_MAX) -> str:
    """Return `text` as one line of printable ASCII without blanks at its ends, at most `most` characters long."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    words = text.split()
    return "".join(c if " " <= c <= "~" else "?" for c in " ".join(words))[:most].rstrip()


def log(text: str) -> None:
    """Write one line to descriptor 2, if somebody reads it."""
    try:
        posix.write(2, f"hi-q: {one_line(text, LINE_MAX)}\n".encode())
    except OSError:
        pass


def result(code: int) -> str:
    """Return in one word what an exit code of qmail-queue's means for the message."""
    if code == ACCEPTED:
        return "accepted"
    return "refused" if 11 <= code <= 40 else "deferred"


def _escaped(text: str | bytes, most: int, never: str) -> str:
    """Return `text` as docs/logs.md has what others chose: a byte that might end it becomes \\xHH, a cut \\... ."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    shown = "".join(chr(c) if 32 <= c <= 126 and chr(c) not in never else f"\\x{c:02x}" for c in data[:most])
    return shown + "\\..." if len(data) > most else shown


def bare(text: str | bytes, most: int) -> str:
    """Return `text` as one word of printable ASCII; at most `most` bytes of it are shown."""
    return _escaped(text, most, '"\\ <>')


def quoted(text: str) -> str:
    """Return `text` in double quotes, blanks and all."""
    return '"' + _escaped(" ".join(text.split()), NOTE_MAX, '"\\') + '"'


def takes_reason() -> bool:
    """Is descriptor 6 open for writing? To be asked before anything is opened."""
    from fcntl import F_GETFL, fcntl

    try:
        return fcntl(REASON_FD, F_GETFL) & posix.O_ACCMODE in (posix.O_WRONLY, posix.O_RDWR)
    except OSError:
        return False


def exit_code(answer: Answer, with_reason: bool) -> int:
    """Log and give the reason, and return the code to exit with."""
    if answer.log:
        log(answer.log)
    if not (with_reason and answer.text and answer.code in (REFUSED, LATER)):
        return answer.code
    letter = "D" if answer.code == REFUSED else "Z"
    try:
        posix.write(REASON_FD, f"{letter}{one_line(answer.text)}".encode())
    except OSError:
        return answer.code
    return REASON
