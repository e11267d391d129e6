"""hi-q --check: would this filter list work, and what would the pipeline be?"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from hi_q.filters import Filter, ListError, load


def command_fault(program: str) -> str | None:
    """Return what is wrong with a program that is to be started, or None."""
    try:
        status = Path(program).stat()
    except OSError as error:
        return f"{program}: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return f"{program}: not a program"
    if not status.st_mode & 0o111:
        return f"{program}: not executable (chmod +x mends it)"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{program}: writable by group or others (chmod go-w mends it)"
    return None


def picture(filters: list[Filter], queue: str) -> str:
    """Return the pipeline, one stage a line, in the order in which a message passes."""
    width = max([len("message"), *(len(f"filter {number}") for number in range(1, len(filters) + 1))])
    lines = ["message".ljust(width) + "  from descriptor 0"]
    for number, filter_ in enumerate(filters, 1):
        lines.append(f"filter {number}".ljust(width) + f"  {filter_}  (at most {filter_.limit} s for a whole message)")
    lines.append("queue".ljust(width) + f"  {queue}")
    return "\n".join(lines)


def check(filters_file: str, queue: str) -> int:
    """Print the pipeline, or what is wrong with it. Returns 0 or 1. The queue's own program is not judged."""
    try:
        filters = load(filters_file)
    except ListError as error:
        print(f"hi-q: {error}", file=sys.stderr)
        return 1
    faults = [
        f"{filters_file}:{filter_.line}: {fault}" for filter_ in filters if (fault := command_fault(filter_.argv[0]))
    ]
    for fault in faults:
        print(f"hi-q: {fault}", file=sys.stderr)
    if faults:
        return 1
    print(picture(filters, queue))
    return 0
