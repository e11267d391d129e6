"""A time within which all is done, whatever a server does: a process that only waits watches over the one that asks."""

import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from verify import progress

LATE = 3
"""The exit code where there was not enough time."""


class _EndedError(Exception):
    """A signal ended the one that watches."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _work(work: Callable[[], int], directory: str, told_to: int) -> NoReturn:
    """Be the process that asks: a group of its own, with a directory that is removed whatever becomes of it."""
    code = 2
    try:
        os.setsid()
        os.environ["TMPDIR"] = tempfile.tempdir = directory
        progress.watched_by(told_to)
        code = work()
    except BaseException:  # whatever it is, nobody above may go on with it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _last_told(reader: int, until: float) -> tuple[bool, str]:
    """Read what is told until the end; give whether it came in time, and the last line."""
    told = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            data = os.read(reader, 65536)
            if not data:
                return True, ""
            told = (told + data)[-65536:]
    lines = told.decode(errors="replace").splitlines()
    return False, lines[-1] if lines else ""


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise _EndedError(number)


def within(seconds: float, work: Callable[[], int], late: Callable[[str], None]) -> int:
    """Do something in a process of its own; give its exit code.

    After `seconds` that process and all that it started are killed, `late` is called with what it did last, and the
    answer is LATE.
    """
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _work(work, directory, writer)
        os.close(writer)
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, _end) for number in signals}
        in_time, doing = False, ""
        try:
            in_time, doing = _last_told(reader, time.monotonic() + seconds)
        except _EndedError as ended:
            return 128 + ended.number
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            if not in_time:
                try:
                    os.killpg(child, signal.SIGKILL)
                except ProcessLookupError:  # it has made no group yet
                    os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        if not in_time:
            late(doing)
            return LATE
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 2
