"""Progress with the elapsed time, on standard error; standard output belongs to a command's result."""

import os
import sys
import time

_start = time.monotonic()
_watcher: int | None = None


def elapsed() -> float:
    """Seconds since the command began."""
    return time.monotonic() - _start


def watched_by(descriptor: int) -> None:
    """Have what is being done told there from now on, a line each time."""
    global _watcher
    _watcher = descriptor


def doing(what: str) -> None:
    """Tell whoever watches what is being done."""
    if _watcher is not None:
        os.write(_watcher, what.replace("\n", " ").encode(errors="replace")[:500] + b"\n")


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[{elapsed():4.0f}s] {text}", file=sys.stderr, flush=True)
