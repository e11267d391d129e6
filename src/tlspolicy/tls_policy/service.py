"""The service: a thread for each who calls, bounded in number and in time."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from tls_policy.known import BusyError, Known
from tls_policy.names import Names
from tls_policy.policy import LaterError, report_addresses
from tls_policy.store import Store
from tls_policy.talk import PACKET_MOST, REASON_MOST, TalkError, answer, question, result
from tls_policy.web import Web

BACKLOG = 128
PATIENCE = 5.0  # seconds for the question of somebody who has called
OVERLOADED = 0.1  # the same, where there is no place
REFRESH = 3600.0  # seconds
DAY = 86400
STACK = 1 << 20  # bytes of each thread
USAGE = "usage: tls-policy SOCKET DIRECTORY NAMESERVERS MOST [USER GROUP SOCKET-GROUP], all numbers from MOST on"


def log(line: str) -> None:
    """Write a line; what strangers have said in it is text."""
    shown = line if line.isascii() and line.isprintable() else ascii(line)
    print(f"tls-policy: {shown[:1000]}", file=sys.stderr, flush=True)


class Service:
    """The one who listens."""

    def __init__(
        self, known: Known, names: Names, store: Store, most: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Serve at most so many at a time."""
        self.known, self.names, self.store, self.clock = known, names, store, clock
        self.places = threading.BoundedSemaphore(most)

    def wants_reports(self, domain: str) -> bool:
        """Tell whether a domain asks for reports; nothing is kept of the others."""
        try:
            return bool(report_addresses(self.names.texts(f"_smtp._tls.{domain}")))
        except LaterError:
            return False

    def note(self, packet: bytes) -> None:
        """Keep what became of a session. Raises TalkError."""
        found = result(packet, self.known.policy)
        if not self.wants_reports(found.domain):
            return
        failure = self.known.failure(found.domain)
        if found.kind == "no-policy-found" and failure:
            # It has one, which nobody could follow.
            kind, _, reason = failure.partition(": ")
            found = replace(found, kind="sts", outcome=kind, reason=reason[:REASON_MOST])
        day = int(self.clock()) // DAY
        self.store.note(found, day)

    def reply(self, packet: bytes) -> bytes | None:
        """Return the answer to a packet; None where there is none to give. Raises TalkError."""
        domain = question(packet)
        if domain is None:
            self.note(packet)
            return None
        try:
            return answer(self.known.policy(domain))
        except BusyError as error:
            return f"Z {error}\n".encode()

    def serve(self, talk: socket.socket) -> None:
        """Take one packet."""
        with talk:
            try:
                talk.settimeout(PATIENCE)
                reply = self.reply(talk.recv(PACKET_MOST + 1))
                if reply is not None:
                    talk.send(reply)
            except (OSError, TalkError) as error:
                log(f"no answer: {error}")
            except Exception as error:
                # Whatever it is: mail to this one domain waits, and the log tells why.
                log(f"internal: {error!r}")
            finally:
                self.places.release()

    def refresh(self) -> NoReturn:
        """Keep fresh what is in use."""
        while True:
            time.sleep(REFRESH)
            try:
                self.known.refresh()
            except Exception as error:
                log(f"internal: {error!r}")

    def run(self, door: socket.socket) -> NoReturn:
        """Serve for ever."""
        threading.Thread(target=self.refresh, daemon=True).start()
        while True:
            talk, _ = door.accept()
            if not self.places.acquire(blocking=False):
                with talk, suppress(OSError):
                    # What is closed with something unread takes back what was said.
                    talk.settimeout(OVERLOADED)
                    talk.recv(PACKET_MOST + 1)
                    talk.send(b"Z it has as many questions as it takes at a time\n")
                continue
            threading.Thread(target=self.serve, args=(talk,), daemon=True).start()


def listening(path: str, group: int | None) -> socket.socket:
    """Return the socket, new in its place, for this group's members to call at."""
    Path(path).unlink(missing_ok=True)
    if group is not None:
        os.setegid(group)
    before = os.umask(0o117)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(path)
    os.umask(before)
    door.listen(BACKLOG)
    return door


def step_down(user: int, group: int) -> None:
    """Be this user, for good."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def main(arguments: list[str]) -> NoReturn:
    """Listen, step down and serve."""
    try:
        path, directory, nameservers, *words = arguments
        most, *ids = [int(word) for word in words]
        if ids:
            user, group, callers = ids
    except ValueError:
        sys.exit(USAGE)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    threading.stack_size(STACK)
    door = listening(path, callers if ids else None)
    if ids:
        step_down(user, group)
    names = Names(Path(nameservers))
    store = Store(Path(directory) / "policy.db")
    Service(Known(names, Web(names.addresses), store, log), names, store, most).run(door)
