"""Modules: what hi-q does with a message by itself, once it has all of it and before any filter is started.

A module is a package beside this one whose `judge.py` has `judge(fd, sender, environment, words)`. It gives a verdict:
`refusal` (what the client is told, or nothing), `note` (for the log), and `head`, bytes that take the place of the
message's first `skip`. `check(words)` says what is wrong with a list's words, and `limit(words)` after how many seconds
something is wrong.

The resident imports modules before it forks and calls their `ready()`, so a message costs no import. What a module does
is bounded by its limit.
"""

from __future__ import annotations

import posix
import sys
from _signal import SIG_DFL, SIG_UNBLOCK, SIGALRM, alarm, pthread_sigmask, signal  # type: ignore[import-not-found]
from select import POLLIN, poll
from time import monotonic

from hi_q.answer import LATER, READ_ERROR, REFUSED, Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from hi_q.filters import Filter

LIBRARIES = "/usr/lib/python3/dist-packages"  # Debian's, where -S doesn't look
CHUNK = 1 << 16
SMALL = 1 << 20  # bytes of a message that is kept in memory; a larger one is a file without a name
SPOOL = "/var/tmp"  # noqa: S108 - no name is made there
MODULE_TEXT = "mail filter in trouble, try again later (#4.3.0)"


class OverdueError(BaseException):
    """A module's time is over; not an Exception, so that no library takes it for its own."""


def overdue(number: int, frame: object) -> NoReturn:
    """End a module."""
    raise OverdueError


def imported(name: str) -> Any:
    """Return a module, imported where it wasn't."""
    if LIBRARIES not in sys.path:
        sys.path.append(LIBRARIES)
    return __import__(f"{name}.judge", fromlist=["judge"])


def fault(filter_: Filter) -> str:
    """Return what is wrong with a module and its words, or nothing."""
    try:
        said: str = imported(filter_.module).check(filter_.argv)
    except ImportError as error:
        return f"{filter_.module}: {error}"
    return said


def spool_file(size: int) -> int:
    """Return a new file for so many bytes, that nobody else can name."""
    if size <= SMALL:
        return posix.memfd_create("message", 1)  # MFD_CLOEXEC
    return posix.open(SPOOL, posix.O_TMPFILE | posix.O_RDWR | posix.O_CLOEXEC, 0o600)


def put(fd: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]


def copied(source: int, offset: int, to: int) -> None:
    """Write what a file has from an offset on."""
    while data := posix.pread(source, CHUNK, offset):
        put(to, data)
        offset += len(data)


def spooled(wait: Callable[[int], None]) -> int:
    """Read the message on descriptor 0 to its end into a file, and return that; `wait` returns when there is more."""
    fd = spool_file(0)
    size = 0
    small = True
    while True:
        wait(0)
        try:
            data = posix.read(0, CHUNK)
        except OSError as error:
            raise Answer(READ_ERROR, log=f"message: {error.strerror}") from None
        if not data:
            return fd
        size += len(data)
        if small and size > SMALL:
            small = False
            larger = spool_file(size)
            copied(fd, 0, larger)
            posix.close(fd)
            fd = larger
        put(fd, data)


def applied(fd: int, head: bytes, skip: int) -> int:
    """Return a file with `head` in the place of another's first bytes, and close that."""
    if not head and not skip:
        return fd
    changed = spool_file(posix.fstat(fd).st_size + len(head))
    put(changed, head)
    copied(fd, skip, changed)
    posix.close(fd)
    return changed


def bounded(filter_: Filter, fd: int, sender: str) -> Any:
    """Return a module's verdict. Raises Answer where it has none in its time."""
    environment = {name.decode("latin-1"): value.decode("latin-1") for name, value in posix.environ.items()}
    began = monotonic()
    before = signal(SIGALRM, overdue)
    pthread_sigmask(SIG_UNBLOCK, (SIGALRM,))
    try:
        module = imported(filter_.module)
        alarm(module.limit(filter_.argv))
        return module.judge(fd, sender, environment, filter_.argv)
    except OverdueError:
        raise Answer(LATER, MODULE_TEXT, f"{filter_}: took longer than {monotonic() - began:.0f} s") from None
    except Exception as error:
        raise Answer(LATER, MODULE_TEXT, f"{filter_}: {error!r}") from None
    finally:
        alarm(0)
        signal(SIGALRM, before or SIG_DFL)


def run(modules: list[Filter], wait: Callable[[int], None], sender: Callable[[], bytes], notes: list[str]) -> None:
    """Have the message on descriptor 0 be what the modules make of it. Raises Answer, also for a refusal.

    `sender` returns the envelope's, and waits for it. Notes for the log are added to `notes`.
    """
    fd = spooled(wait)
    who = sender().decode("latin-1")
    for filter_ in modules:
        verdict = bounded(filter_, fd, who)
        notes.append(f"module={filter_.module} {verdict.note}".rstrip() if verdict.note or verdict.refusal else "")
        if verdict.refusal:
            raise Answer(REFUSED, verdict.refusal)
        fd = applied(fd, verdict.head, verdict.skip)
    posix.lseek(fd, 0, 0)
    posix.dup2(fd, 0)
    posix.close(fd)


def waiting(fd: int, seconds: float, also: int) -> list[int]:
    """Return which of two descriptors has something to be read; none of them after so many seconds."""
    poller = poll()
    poller.register(fd, POLLIN)
    if also >= 0:
        poller.register(also, POLLIN)
    return [ready for ready, _ in poller.poll(max(0, int(seconds * 1000)) + 1)]
