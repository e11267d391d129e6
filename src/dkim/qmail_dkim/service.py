"""The service `sign`: gives DKIM-Signature fields for the messages that this host originates.

The talk, on a socket (unix(7), SOCK_SEQPACKET) that everybody on the host may call at, one packet a line:

    client    "sign\\n", and with it (SCM_RIGHTS) a descriptor of the message: a regular file, or a memfd, that it may
              read, from its beginning, with LF at each line's end
    service   "K" and the fields to put before the message, with LF at each line's end; none where the From field's
              domain is not one of ours. Or "Z" and why not now, one line. At most 65536 bytes

and both close. One process forks for each message, of which it sees nothing but who has called; the child takes the
message. Who may send as whom was judged before: whoever can call here could as well hand the message to qmail-queue.
"""

from __future__ import annotations

import array
import collections
import contextlib
import gc
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from qmail_dkim.addresses import AddressError, author_domains
from qmail_dkim.ring import Ring, RingError
from qmail_dkim.signing import signatures
from qmail_dkim.stream import Message, pieces, wire

REQUEST = b"sign\n"
ANSWER_MOST = 65536  # bytes
HEADER_MOST = 4 << 20  # bytes; of a message with a larger header nobody verifies a signature
PATIENCE = 30  # seconds, for all of it
REQUEST_PATIENCE = 5  # seconds for the request of who has a turn; it is sent at once
CPU = 30  # seconds
MEMORY = 512 << 20  # bytes of address space
WAITING_MOST = 256  # who has called and waits for a turn; of one user no more than there are places left
PEER = struct.Struct("3i")  # pid, uid, gid: struct ucred
USAGE = "usage: resident SOCKET KEYS MOST [USER GROUP], the last three of them numbers"


def log(text: str) -> None:
    """Write one line to the log."""
    with contextlib.suppress(OSError):
        os.write(2, f"sign: {text}\n".encode("ascii", "backslashreplace"))


@dataclass
class Call:
    """Somebody who has called."""

    talk: socket.socket
    pid: int
    uid: int


def taken(talk: socket.socket) -> int:
    """Take the request; give the message's descriptor. Raises ValueError for anything else."""
    descriptors = array.array("i")
    text, rights, flags, _ = talk.recvmsg(64, socket.CMSG_SPACE(4 * descriptors.itemsize))
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if text != REQUEST or len(descriptors) != 1 or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ValueError("not a request with one message")
    if not stat.S_ISREG(os.fstat(descriptors[0]).st_mode):
        raise ValueError("the message is not a file")
    return descriptors[0]


def signed(fd: int, ring: Ring, now: int) -> tuple[bytes, str]:
    """Give the answer for a message, and what the log is to say. Raises RingError."""
    message = Message(wire(pieces(fd)), HEADER_MOST)
    if not message.whole:
        return b"K", f"not signed: its header is larger than {HEADER_MOST} bytes"
    try:
        domains = author_domains(message.named(b"from"))
    except AddressError as error:
        return b"K", f"not signed: {error}"
    if ring.fault:
        raise RingError(ring.fault)
    # The first address is the author's where there are several (RFC 6376 section 2.3 knows no better).
    signers = ring.for_domain(domains[0])
    if not signers:
        return b"K", f"not ours: {domains[0]}"
    fields = signatures(message, signers, now).replace(b"\r\n", b"\n")
    return b"K" + fields, f"d={signers[0].domain} s={','.join(signer.selector for signer in signers)} from={domains[0]}"


def bounded() -> None:
    """Have no message take more than its share."""
    for what, most in ((resource.RLIMIT_CPU, CPU), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


class Overdue(Exception):  # noqa: N818 - what ends the work
    """The time for a message is over."""


def overdue(*_: object) -> NoReturn:
    """End the work."""
    raise Overdue(f"it has taken {PATIENCE} s")


def serve(call: Call, ring: Ring) -> NoReturn:
    """Answer for one message, in a process of its own."""
    started = time.monotonic()
    said = "Z the message can't be signed now (#4.3.0)"
    note = "nothing"
    try:
        bounded()
        call.talk.settimeout(REQUEST_PATIENCE)
        fd = taken(call.talk)
        call.talk.settimeout(PATIENCE)
        answer, note = signed(fd, ring, int(time.time()))
        if len(answer) > ANSWER_MOST:
            raise ValueError("the fields are too long")
    except RingError as error:
        answer, note = said.encode(), f"deferred: {error}"
    except BaseException as error:
        answer, note = said.encode(), f"deferred: {error!r}"
    try:
        call.talk.sendall(answer)
    except OSError as error:
        note += f"; nobody took the answer: {error.strerror}"
    log(f"pid={call.pid} uid={call.uid} {note} ms={(time.monotonic() - started) * 1000:.0f}")
    os._exit(0)


class Service:
    """The one who listens."""

    def __init__(self, door: socket.socket, ring: Ring, most: int) -> None:
        """Serve who calls at this door, at most so many at a time, of one user half as many."""
        self.door = door
        self.ring = ring
        self.most = most
        self.working: dict[int, int] = {}  # child's pid: uid that it works for
        self.waiting: collections.deque[Call] = collections.deque()
        self.hup = False

    def hear(self, *_: object) -> None:
        """Take note that the keys are to be read anew."""
        self.hup = True

    def accept(self) -> None:
        """Take the next who calls into those who wait; whose user has his share of these is to call again."""
        talk, _ = self.door.accept()
        pid, uid, _ = PEER.unpack(talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
        if sum(call.uid == uid for call in self.waiting) < WAITING_MOST - len(self.waiting):
            self.waiting.append(Call(talk, pid, uid))
        else:
            talk.close()

    def reap(self) -> None:
        """Take note of the children that have ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                uid = self.working.pop(ended[0], -1)
                if ended[1]:
                    log(f"uid={uid} deferred: its process ended with {ended[1]:#x}")

    def has_turn(self, call: Call, of_user: Iterable[int]) -> bool:
        """Is there room for one more of this user's?"""
        return sum(uid == call.uid for uid in of_user) < max(1, self.most // 2)

    def begin(self) -> None:
        """Begin with those who wait, as far as there is room."""
        for call in list(self.waiting):
            if len(self.working) >= self.most:
                return
            if self.has_turn(call, self.working.values()):
                self.waiting.remove(call)
                self.fork(call)

    def fork(self, call: Call) -> None:
        """Have a child answer."""
        if self.ring.read(anew=self.hup):
            self.hup = False
            keys = sum(map(len, self.ring.signers.values()))
            log(self.ring.fault or f"keys read: {keys} of {len(self.ring.signers)} domains")
        child = os.fork()
        if not child:
            self.door.close()
            for other in self.waiting:
                other.talk.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGALRM, overdue)
            signal.alarm(PATIENCE)
            serve(call, self.ring)
        self.working[child] = call.uid
        call.talk.close()

    def run(self) -> NoReturn:
        """Serve for ever."""
        ears, mouth = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, self.hear)
        self.ring.read()
        log(self.ring.fault or f"at work for {len(self.ring.signers)} domains")
        gc.collect()
        gc.freeze()
        poller = select.poll()
        poller.register(ears, select.POLLIN)
        poller.register(self.door, select.POLLIN)
        while True:
            if len(self.waiting) >= WAITING_MOST:
                poller.modify(self.door, 0)
            else:
                poller.modify(self.door, select.POLLIN)
            for fd, _ in poller.poll():
                if fd == ears:
                    os.read(ears, 65536)
                else:
                    with contextlib.suppress(OSError):
                        self.accept()
            self.reap()
            try:
                self.begin()
            except OSError as error:
                log(f"deferred: {error.strerror}")
                time.sleep(0.1)


def listening(path: str) -> socket.socket:
    """Give the socket, new in its place, for everybody to call at."""
    Path(path).unlink(missing_ok=True)
    before = os.umask(0o111)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(path)
    os.umask(before)
    door.listen(128)
    return door


def main(arguments: list[str]) -> NoReturn:
    """Listen, step down and serve."""
    try:
        path, keys, most, *ids = arguments
        limit = int(most)
        numbers = [int(word) for word in ids]
        if len(numbers) not in (0, 2) or limit < 1:
            raise ValueError
    except ValueError:
        sys.exit(USAGE)
    door = listening(path)
    if numbers:
        user, group = numbers
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    Service(door, Ring(Path(keys)), limit).run()
