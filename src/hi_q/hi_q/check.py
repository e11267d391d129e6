"""hi-q --check: would the filter lists work, and what would the pipelines be?"""

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


def fault_of(filter_: Filter) -> str | None:
    """Return what is wrong with a filter or a module, or None."""
    if not filter_.module:
        return command_fault(filter_.argv[0])
    from hi_q.modules import fault

    return fault(filter_) or None


def picture(filters: list[Filter], queue: str) -> str:
    """Return the pipeline, one stage a line, in the order in which a message passes."""
    width = max([len("message"), *(len(f"filter {number}") for number in range(1, len(filters) + 1))])
    lines = ["message".ljust(width) + "  from descriptor 0"]
    width = max([width, *(len("module") for filter_ in filters if filter_.module)])
    lines += ["module".ljust(width) + f"  {filter_}" for filter_ in filters if filter_.module]
    for number, filter_ in enumerate((each for each in filters if not each.module), 1):
        lines.append(f"filter {number}".ljust(width) + f"  {filter_}  (at most {filter_.limit} s for a whole message)")
    lines.append("queue".ljust(width) + f"  {queue}")
    return "\n".join(lines)


def judge(filters_file: str) -> tuple[list[Filter], list[str]]:
    """Return a list's filters, and a sentence for each thing that is wrong with it."""
    try:
        filters = load(filters_file)
    except ListError as error:
        return [], [str(error)]
    faults = ((filter_.line, fault_of(filter_)) for filter_ in filters)
    return filters, [f"{filters_file}:{line}: {fault}" for line, fault in faults if fault]


def check(lists: dict[str, str], queue: str) -> int:
    """Print the pipelines, or all that is wrong with them. Returns 0 or 1. The queue's own program is not judged.

    `lists` has the files, each under whose mail it is for; what has no name is shown without a title.
    """
    judged = {whose: judge(file) for whose, file in lists.items()}
    faults = [fault for _, some in judged.values() for fault in some]
    for fault in faults:
        print(f"hi-q: {fault}", file=sys.stderr)
    if faults:
        return 1
    titles = {whose: f"{whose}: {file}\n" if whose else "" for whose, file in lists.items()}
    print("\n\n".join(titles[whose] + picture(filters, queue) for whose, (filters, _) in judged.items()))
    return 0
