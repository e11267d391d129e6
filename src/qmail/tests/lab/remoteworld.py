"""A world for qmail-remote: a home, a resolver, servers, and a way to take its reports apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lab.servers import Dns, Smtp, Zone
from lab.suite import Home

MESSAGE = b"Subject: test\n\nhello\n"


@dataclass
class Report:
    """What qmail-remote said."""

    recipients: list[str]  # letter and text each
    letter: str
    text: str

    @property
    def letters(self) -> str:
        """All letters, in order."""
        return "".join(item[0] for item in self.recipients) + self.letter


def parse(output: bytes) -> Report:
    """Take the documented form of the reports apart."""
    assert output.endswith(b"\0")
    *recipients, message = output[:-1].decode("ascii").split("\0")
    assert all(item[0] in "rhs" for item in recipients)
    assert message[0] in "KZD"
    return Report(recipients, message[0], message[1:])


@dataclass
class World:
    """A home, a server and a resolver."""

    home: Home
    dns: Dns
    # Address in the DNS -> address:port where a server really is. Something must be mapped, or
    # every address is connected to for real.
    where: dict[str, str] = field(default_factory=lambda: {"203.0.113.255": "127.0.0.1:1"})
    env: dict[str, str] = field(default_factory=dict)  # further variables

    @property
    def zone(self) -> Zone:
        """What the DNS knows."""
        return self.dns.zone

    def send(
        self,
        host: str,
        *recipients: str | bytes,
        sender: str | bytes = "a@here.example.test",
        message: bytes | Path = MESSAGE,
        timeout: float = 60,
        terminal: int | None = None,
    ) -> Report:
        """Run qmail-remote; a message of bytes is put into a file, as the queue does."""
        if isinstance(message, bytes):
            path = self.home.path / "message"
            path.write_bytes(message)
            message = path
        return self.run(host, sender, recipients or (f"u@{host}",), message, timeout, terminal)

    def run(
        self,
        host: str,
        sender: str | bytes,
        recipients: tuple[str | bytes, ...],
        message: bytes | Path,
        timeout: float = 60,
        terminal: int | None = None,
    ) -> Report:
        """Run it with exactly this on descriptor 0: a Path is opened, bytes come by a pipe.

        terminal: what is to be its controlling one.
        """
        env = {
            "QMAIL_TEST_RESOLVER": f"127.0.0.1:{self.dns.port}",
            "QMAIL_TEST_MAP": " ".join(f"{key}={value}" for key, value in self.where.items()),
            **self.env,
        }
        done = self.home.run(
            "qmail-remote", host, sender, *recipients, stdin=message, env=env, timeout=timeout, terminal=terminal
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return parse(done.stdout)

    def at(self, address: str, server: Smtp) -> None:
        """Put a server where an address of the DNS leads."""
        self.where[address] = f"{server.host}:{server.port}"

    def mx(self, name: str, *servers: tuple[int, str, str, Smtp | None]) -> None:
        """Give a domain mail exchangers: (preference, name, address, server or None: refused)."""
        self.zone.mx(name, *((preference, exchanger) for preference, exchanger, _, _ in servers))
        for _, exchanger, address, server in servers:
            self.zone.address(exchanger, address)
            if server:
                self.at(address, server)


def routed(world: World, server: Smtp, **control: str) -> World:
    """Route x.test to the server."""
    world.where[server.host] = f"{server.host}:{server.port}"
    world.home.control(smtproutes=f"x.test:{server.address}", **control)
    return world
