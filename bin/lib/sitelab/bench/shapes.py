"""bin/bench shapes: mail of other sizes, for ten users, and one message for a thousand.

As `bin/bench mail` over ten new connections; a message for a thousand comes over a single one, all of its recipients at
once. Counted are deliveries.
"""

import socket
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

from sitelab.bench.delivery import by_source, deliver, ensure_tools, source
from sitelab.bench.mail import DELIVERIES
from sitelab.bench.part import Part
from sitelab.bench.peer import DOMAIN, USER, Peer, crowd
from sitelab.bench.peers import POSTFIX, SITE
from sitelab.bench.rounds import Sample
from sitelab.host import UnfitHostError

CONNECTIONS = 10
SIZES = {"1 KB": (1024, 400), "4 KB": (4096, 400), "100 KB": (102400, 200)}
"""Bytes a message, and how many messages, of the columns for one user."""
USERS, RECIPIENTS = "10 users", "1000 recipients"
EACH = 60
"""Messages for each of ten users."""
WAIT = 60.0
"""Seconds for which a server may say nothing."""


def send_to_many(address: str, recipients: Sequence[str], port: int = 25) -> None:
    """Send one message of 4 KB to many, with PIPELINING (RFC 2920) for the recipients.

    Raises UnfitHostError where the server doesn't take it for all of them.
    """
    with socket.create_connection((address, port), timeout=WAIT) as connection:
        replies = connection.makefile("rb")

        def expect(first: bytes, after: bytes = b"") -> None:
            connection.sendall(after)
            while (line := replies.readline())[3:4] == b"-":
                continue
            if not line.startswith(first):
                raise UnfitHostError(f"{after[:60]!r} was answered by {line.decode(errors='replace').strip()!r}")

        expect(b"220")
        expect(b"250", b"EHLO bench.elsewhere.test\r\n")
        expect(b"250", b"MAIL FROM:<bench@elsewhere.test>\r\n")
        connection.sendall(b"".join(b"RCPT TO:<%b>\r\n" % recipient.encode() for recipient in recipients))
        for _ in recipients:
            expect(b"250")
        expect(b"354", b"DATA\r\n")
        header = f"From: bench@elsewhere.test\r\nDate: {formatdate()}\r\nSubject: to many\r\n\r\n"
        expect(
            b"250",
            header.encode() + b"one line of sixty-two bytes, and the next one is the same.....\r\n" * 64 + b".\r\n",
        )
        expect(b"221", b"QUIT\r\n")


class Shapes(Part):
    """Messages of several sizes, for several users, for many at once."""

    name = "shapes"
    title = "Mail of other sizes, to ten users, to 1000 recipients"
    figures = DELIVERIES
    columns = (*SIZES, USERS, RECIPIENTS)
    peers = (SITE, POSTFIX)
    warm_up = ("4 KB", RECIPIENTS)

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Have the sender, and know where each peer is."""
        super().__init__(peers, share)
        self.root = ensure_tools()
        self.addresses = {peer.name: peer.container.address() for peer in peers}

    def measure(self, peer: Peer, column: str) -> Sample:
        """Send a column's messages; give deliveries a second and CPU seconds a thousand."""
        send, expected = self._sending(self.addresses[peer.name], column)
        return deliver(peer, send, expected, column)

    def _sending(self, address: str, column: str) -> tuple[Callable[[], None], dict[str, int]]:
        if column == RECIPIENTS:
            names = crowd()[: self._some(len(crowd()))]
            addresses = [f"{name}@{DOMAIN}" for name in names]
            return lambda: send_to_many(address, addresses), dict.fromkeys(names, 1)
        if column == USERS:
            each, names = self._some(EACH), crowd()[:CONNECTIONS]
            commands = [source(self.root, address, each, 1, user=name) for name in names]
            return by_source(self.root, commands), dict.fromkeys(names, each)
        size, count = SIZES[column]
        count = self._some(count)
        command = source(self.root, address, count, CONNECTIONS, what=("-l", str(size)))
        return by_source(self.root, [command]), {USER: count}

    def _some(self, whole: int) -> int:
        return max(CONNECTIONS, int(whole * self.share))

    def load(self) -> dict[str, Any]:
        """Say what is sent."""
        return {"messages a round": {name: self._some(count) for name, (_, count) in SIZES.items()}}
