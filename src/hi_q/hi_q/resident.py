"""The resident: hi-q's program, started once, that forks for each message. The talk with hi-q is told in ask.h.

From hi-q a message's child has its environment, directory, umask and descriptors. From the resident it has its further
groups, its limits, its control group and its sandbox; user, real and effective group are the same as hi-q's. It holds
nothing of an earlier message, since the resident reads none.
"""

from __future__ import annotations

import gc
import posix
import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
    SIG_UNBLOCK,
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGTERM,
    pthread_sigmask,
    signal,
)
from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CTRUNC,
    MSG_TRUNC,
    SCM_RIGHTS,
    SO_PEERCRED,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
)
from _struct import Struct
from select import POLLIN, poll

from hi_q import main as program
from hi_q.answer import INTERNAL, LATER, REASON_FD, Answer, exit_code, log, takes_reason
from hi_q.filters import Filter, ListError, load
from hi_q.pipeline import Pipeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

TAKEN = b"\1"
TALK_FD = 8  # in the child: above all that a filter is given
REQUEST_MOST = 32768  # bytes, as in ask.c
PATIENCE = 2000  # milliseconds for the request of somebody who has called
BACKLOG = 128
PEER = Struct("3i")  # pid, uid, gid: struct ucred
DESCRIPTOR = Struct("i")
GIVEN = (0, 1, 2, REASON_FD)
USAGE = "usage: resident SOCKET MOST [USER REAL-GROUP GROUP [FURTHER-GROUP ...]], all of them numbers but the socket"


class NotOursError(Exception):
    """The request can't be served here; nobody has touched the message."""


class Request:
    """What a caller wants done: for whose mail, and how its process is."""

    __slots__ = ("descriptors", "directory", "environment", "mask", "whose")

    def __init__(self, text: bytes, descriptors: list[int]) -> None:
        """Read what ask.c wrote. Raises NotOursError for anything else."""
        words = text.split(b"\0")
        if len(words) < 4 or words.pop():  # the last word is ended, too
            raise NotOursError
        whose, mask, directory, *environment = words
        if len(descriptors) not in (3, 4) or not mask.isdigit() or len(mask) > 4 or b"8" in mask or b"9" in mask:
            raise NotOursError
        self.whose = whose.decode("ascii", "replace")
        self.mask = int(mask, 8)
        self.directory = directory
        self.environment = dict(word.split(b"=", 1) for word in environment if b"=" in word)
        self.descriptors = descriptors


def received(talk: socket) -> Request:
    """Wait for the request. Raises NotOursError where none comes, or no whole one."""
    poller = poll()
    poller.register(talk, POLLIN)
    if not poller.poll(PATIENCE):
        raise NotOursError
    text, rights, flags, _ = talk.recvmsg(REQUEST_MOST, CMSG_SPACE(len(GIVEN) * DESCRIPTOR.size))
    descriptors = [
        number
        for level, kind, data in rights
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS)
        for (number,) in DESCRIPTOR.iter_unpack(data[: len(data) // DESCRIPTOR.size * DESCRIPTOR.size])
    ]
    if flags & (MSG_TRUNC | MSG_CTRUNC):
        raise NotOursError
    return Request(text, descriptors)


def wear(request: Request, talk: socket) -> None:
    """Become, in all that counts, the process that asks. Raises OSError."""
    # Through numbers that none of them has.
    high = [posix.dup(number) for number in request.descriptors]
    while min(high) <= TALK_FD:
        high = [posix.dup(number) for number in high]
    line = talk.detach()
    while line <= TALK_FD:
        line = posix.dup(line)
    for number, wanted in zip(high, GIVEN, strict=False):
        posix.dup2(number, wanted)
    posix.dup2(line, TALK_FD, inheritable=False)
    posix.closerange(3, REASON_FD)
    if len(high) < len(GIVEN):
        posix.close(REASON_FD)
    posix.closerange(REASON_FD + 1, TALK_FD)
    posix.closerange(TALK_FD + 1, 65536)
    posix.chdir(request.directory)
    posix.umask(request.mask)
    posix.environ.clear()
    posix.environ.update(request.environment)


def prepared(talk: socket) -> list[Filter]:
    """Take the request and be ready for the message. Raises NotOursError, OSError, ListError: it can't be taken."""
    request = received(talk)
    filters = load(program.LISTS.get(request.whose, ""))
    if not filters:
        raise NotOursError
    wear(request, talk)
    return filters


def serve(talk: socket, pid: int) -> NoReturn:
    """Take one message, in a process of its own."""
    try:
        posix.setpgid(0, 0)
        signal(SIGCHLD, SIG_DFL)
        pthread_sigmask(SIG_UNBLOCK, (SIGCHLD,))
        talk.send(f"{sys.path[0]}".encode())
        filters = prepared(talk)
        with_reason = takes_reason()
        posix.write(TALK_FD, TAKEN)
    except BaseException:
        posix._exit(INTERNAL)
    try:
        Pipeline(filters, program.queueing(program.QUEUE), TALK_FD, pid).run()
    except Answer as answer:
        code = exit_code(answer, with_reason)
    except BaseException as error:
        code = exit_code(Answer(LATER, "mail filter in trouble (#4.3.0)", f"internal: {error!r}"), with_reason)
    try:
        posix.write(TALK_FD, bytes([code]))
    finally:
        posix._exit(code)


def import_modules() -> None:
    """Import the modules of all lists, so that no message waits for it; one that can't be is told with each message."""
    for path in program.LISTS.values():
        try:
            named = [filter_.module for filter_ in load(path) if filter_.module]
        except ListError:
            continue
        for name in named:
            from hi_q.modules import imported

            try:
                imported(name).ready()
            except Exception as error:
                log(f"resident: {name}: {error!r}")


class Resident:
    """The one who listens."""

    def __init__(self, door: socket, most: int) -> None:
        """Serve who calls at this door, at most so many at a time."""
        self.door = door
        self.most = most
        self.user = posix.geteuid()
        self.children: set[int] = set()

    def reap(self, *_: object) -> None:
        """Take note of the children that have ended."""
        while self.children:
            pid, _status = posix.waitpid(-1, posix.WNOHANG)
            if not pid:
                return
            self.children.discard(pid)

    def answer(self) -> None:
        """Fork for the next who calls, if it is ours to serve and there is room."""
        fd, _ = self.door._accept()  # type: ignore[attr-defined]
        talk = socket(fileno=fd)
        try:
            pid, uid, _gid = PEER.unpack(talk.getsockopt(SOL_SOCKET, SO_PEERCRED, PEER.size))
            if uid != self.user or len(self.children) >= self.most:
                return
            pthread_sigmask(SIG_BLOCK, (SIGCHLD,))
            child = posix.fork()
            if not child:
                serve(talk, pid)
            self.children.add(child)
            pthread_sigmask(SIG_UNBLOCK, (SIGCHLD,))
        finally:
            talk.close()

    def run(self) -> NoReturn:
        """Serve for ever."""
        signal(SIGCHLD, self.reap)
        import_modules()
        gc.collect()
        gc.freeze()
        gc.disable()
        while True:
            try:
                self.answer()
            except OSError as error:
                log(f"resident: {error.strerror}")


def listening(path: str, group: int | None) -> socket:
    """Return the socket, new in its place, for this group's members to call at."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass
    if group is not None:
        posix.setegid(group)
    before = posix.umask(0o117)
    door = socket(AF_UNIX, SOCK_SEQPACKET)
    door.bind(path)
    posix.umask(before)
    door.listen(BACKLOG)
    return door


def step_down(user: int, real: int, group: int, further: list[int]) -> None:
    """Be this user with the effective group, for good: closed to others of the user (see hi-q.c)."""
    posix.setgroups(further)
    posix.setresgid(real, group, group)
    posix.setresuid(user, user, user)


def main(arguments: list[str]) -> NoReturn:
    """Listen, step down and serve."""
    try:
        path, most, *ids = arguments
        numbers = [int(word) for word in ids]
        limit = int(most)
        if numbers:
            user, real, group, *further = numbers
    except ValueError:
        sys.exit(USAGE)
    for number in (SIGTERM, SIGINT, SIGHUP):
        signal(number, SIG_DFL)
    door = listening(path, group if numbers else None)
    if numbers:
        step_down(user, real, group, further)
    Resident(door, limit).run()
