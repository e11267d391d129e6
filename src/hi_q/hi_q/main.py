"""The command line: none for a message, --check for an operator."""

from __future__ import annotations

import posix

from hi_q.answer import LATER, Answer, exit_code, takes_reason
from hi_q.filters import ListError, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

QUEUE = "/var/qmail/bin/qmail-queue"
SIGN = "/var/qmail/bin/qmail-sign"
MISUSED = 100
USAGE = b"usage: hi-q [--check] [--filters FILE] [--queue PROGRAM]\n"
LISTS = {"strangers": "/etc/hi-q/filters", "authenticated": "/etc/hi-q/authenticated"}
"""Whose mail, and the file of its filters. Which of the two a process is for is written in the program started."""


def queueing(queue: str) -> list[str]:
    """Return the command behind the filters: what is to be signed is so when nothing changes it any more.

    The environment says only whether: a program that it named would be run with hi-q's group.
    """
    if not posix.environ.get(b"SIGNQUEUE"):
        return [queue]
    return [SIGN] if queue == QUEUE else [SIGN, queue]


def take(filters_file: str, queue: str) -> NoReturn:
    """Take the message on descriptors 0 and 1. Raises Answer, unless it becomes plain qmail-queue."""
    try:
        filters = load(filters_file)
    except ListError as error:
        raise Answer(LATER, "mail filter configuration in trouble (#4.3.5)", str(error)) from None
    if filters:
        from hi_q.pipeline import Pipeline

        Pipeline(filters, queueing(queue)).run()
    from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal  # type: ignore[import-not-found]

    signal(SIGPIPE, SIG_DFL)  # Python ignores them, and so would the program
    signal(SIGXFSZ, SIG_DFL)
    command = queueing(queue)
    try:
        posix.execv(command[0], command)
    except OSError as error:
        raise Answer(LATER, "mail queue in trouble (#4.3.0)", f"{command[0]}: {error.strerror}") from None


def main(whose: str, arguments: list[str]) -> NoReturn:
    """Do for the mail of these senders what the arguments say, and end."""
    with_reason = takes_reason()
    settings = {"--filters": "", "--queue": QUEUE}
    check = False
    rest = iter(arguments)
    for word in rest:
        value = next(rest, None) if word in settings else None
        if value is not None:
            settings[word] = value
        elif word == "--check":
            check = True
        else:
            posix.write(2, USAGE)
            posix._exit(MISUSED)
    if check:
        from hi_q.check import check as run_check

        lists = {"": settings["--filters"]} if settings["--filters"] else LISTS
        raise SystemExit(run_check(lists, settings["--queue"]))
    try:
        take(settings["--filters"] or LISTS[whose], settings["--queue"])
    except Answer as answer:
        posix._exit(exit_code(answer, with_reason))
    except BaseException as error:  # whatever it is, the message is not accepted
        posix._exit(exit_code(Answer(LATER, "mail filter in trouble (#4.3.0)", f"internal: {error!r}"), with_reason))
