"""Progress with the elapsed time, on standard error; standard output belongs to a command's result."""

import sys
import time

_start = time.monotonic()


def elapsed() -> float:
    """Seconds since the command began."""
    return time.monotonic() - _start


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[{elapsed():4.0f}s] {text}", file=sys.stderr, flush=True)
