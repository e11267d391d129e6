"""resident.py STUNNEL: does this stunnel stay beside a service the way the site has it?

That is, in the resident mode that a patch of ours adds: one process that has loaded everything, and forks for each
session that a door asks for. Here this program is the door and its client. Each check states one fact of the patch;
everything that is needed for them is made in a temporary directory and goes with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NAME = "mail.example.test"
FORMER = "The former configuration and certificate stay in use"
MUCH = 300_000
"""More bytes than the door's socket holds, and than stunnel does."""


class RefusedError(Exception):
    """There is no place, or this door is not wanted."""


def make_certificate(directory: Path, name: str) -> Path:
    """A self-signed certificate and its key in one file."""
    key, cert, both = (directory / f"{name}.{suffix}" for suffix in ("key", "crt", "pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", f"/CN={NAME}"]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{NAME}"], check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    both.chmod(0o600)
    return both


class Resident:
    """A stunnel that waits for doors, and what it has said."""

    def __init__(
        self, stunnel: str, directory: Path, *, most: int = 20, busy: int = 60, uid: int | None = None
    ) -> None:
        """Start it; its bundle is the link bundle.pem. What may take its time has BUSY seconds, on a busy host too."""
        self.place, self.log = directory / "socket", directory / "log"
        configuration = directory / "stunnel.conf"
        configuration.write_text(
            f"cert = {directory}/bundle.pem\nsslVersionMin = TLSv1.2\noptions = IGNORE_UNEXPECTED_EOF\n"
            f"foreground = yes\nsyslog = no\ndebug = warning\nTIMEOUTbusy = {busy}\nexec = /bin/false\n"
        )
        self.place.unlink(missing_ok=True)
        ours, self.end = os.pipe()
        words = [stunnel, "-resident", str(os.getuid() if uid is None else uid), str(most), str(configuration)]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, self.log.open("wb") as log:
            listener.bind(str(self.place))
            listener.listen(50)
            self.process = subprocess.Popen(words, stdin=listener.fileno(), stdout=ours, stderr=log)
        os.close(ours)

    def finish(self) -> None:
        """Do what the end of the program beside it does, and see it end."""
        os.close(self.end)
        self.process.wait(20)


class Session:
    """One of its sessions: the client's end, the door's, and the connection on which the door has asked."""

    def __init__(self, resident: Resident, milliseconds: int = 20_000) -> None:
        """Ask for it."""
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(20)
        self.control.connect(str(resident.place))
        try:
            ready = self.control.recv(100)
        except ConnectionResetError:
            ready = b""
        if ready != b"ready":
            self.control.close()
            raise RefusedError
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname(), timeout=20)
            theirs, _ = listener.accept()
        # So that what a client does not take stays where it is.
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.door, carried = socket.socketpair()
        self.door.settimeout(20)
        socket.send_fds(self.control, [b"tls %d" % milliseconds], [theirs.fileno(), carried.fileno()])
        theirs.close()
        carried.close()

    def shake(self, trusted: Path) -> ssl.SSLSocket:
        """Do the client's part, which verifies chain and name; the door hears that it was done."""
        context = ssl.create_default_context(cafile=str(trusted))
        self.client = context.wrap_socket(self.client, server_hostname=NAME)
        answer = self.control.recv(400)
        check(answer.startswith(b"yes TLSv1."), f"the door hears protocol and cipher, not {answer!r}")
        return self.client

    def close(self) -> None:
        """End all of it."""
        for end in (self.client, self.door, self.control):
            end.close()


def check(fact: bool, sentence: str) -> None:
    """Go on if it is so."""
    if not fact:
        sys.exit(f"resident: {sentence}")


@contextlib.contextmanager
def session(resident: Resident, milliseconds: int = 20_000) -> Iterator[Session]:
    """Have one that ends behind it."""
    made = Session(resident, milliseconds)
    try:
        yield made
    finally:
        made.close()


def refused(resident: Resident) -> bool:
    """Whether it wants no session now."""
    try:
        Session(resident).close()
    except RefusedError:
        return True
    return False


def link(directory: Path, bundle: Path) -> None:
    """Exchange the bundle as the site does, by one rename."""
    new = directory / "new.pem"
    new.symlink_to(bundle)
    new.rename(directory / "bundle.pem")


def received(end: socket.socket) -> int:
    """How many bytes come up to the end."""
    size = 0
    with contextlib.suppress(ssl.SSLEOFError):
        while part := end.recv(65536):
            size += len(part)
    return size


def carries(resident: Resident, trusted: Path) -> None:
    """What is said goes both ways."""
    with session(resident) as one:
        tls = one.shake(trusted)
        tls.sendall(b"QUIT\r\n")
        check(one.door.recv(100) == b"QUIT\r\n", "the door does not hear the client")
        one.door.sendall(b"221 bye\r\n")
        check(tls.recv(100) == b"221 bye\r\n", "the client does not hear the door")


def last_words(resident: Resident, trusted: Path) -> None:
    """All that a door has said arrives, though it ended without having heard all, and the client takes its time."""
    with session(resident) as one:
        tls = one.shake(trusted)
        tls.sendall(b"NOOP\r\n" * 100)
        one.door.settimeout(0.5)
        said = 0
        with contextlib.suppress(TimeoutError):
            while said < MUCH:
                said += one.door.send(bytes(MUCH - said))
        one.door.close()
        time.sleep(0.5)
        got = received(tls)
        check(got == said, f"of {said} bytes that the door had said {got} arrived")


def dawdler(resident: Resident) -> float:
    """How long a client is served whose handshake has two seconds, and who says a byte of it every half second."""
    # A record of a handshake, 512 bytes long, that begins like any other.
    hello = iter(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))
    began = time.monotonic()
    with session(resident, 2000) as one:
        one.control.settimeout(0.5)
        for byte in hello:
            with contextlib.suppress(OSError):
                one.client.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                answer = one.control.recv(400)
                check(answer == b"no TLS handshake timed out", f"the door hears {answer!r} of a late handshake")
                break
        else:
            check(False, "nobody is told that a handshake takes too long")
    return time.monotonic() - began


def exchanges(resident: Resident, directory: Path, new: Path, old: Path) -> None:
    """A new bundle counts from the next session on, a broken one doesn't, and a session that is open goes on."""
    with session(resident) as before:
        tls = before.shake(old)
        link(directory, new)
        with session(resident) as one:
            one.shake(new)
        broken = directory / "broken.pem"
        broken.write_text("nothing\n")
        link(directory, broken)
        for _ in range(2):
            with session(resident) as one:
                one.shake(new)
        said = resident.log.read_text()
        check(said.count(FORMER) == 1, f"that the former bundle stays in use is to be said once: {said}")
        tls.sendall(b"x")
        check(before.door.recv(1) == b"x", "a session did not outlast an exchange of the bundle")
    link(directory, new)


def places(resident: Resident, trusted: Path) -> None:
    """There is one place; it is free again when its door has gone, whatever the client does."""
    with session(resident) as silent:
        silent.shake(trusted)
        check(refused(resident), "one session more than there are places was begun")
        silent.door.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                silent.door.sendall(bytes(65536))
        silent.door.close()
        until = time.monotonic() + 3
        while refused(resident):
            check(time.monotonic() < until, "a client that takes nothing holds the place of a door that has gone")
            time.sleep(0.1)
        # The end comes as a reset, past all that the client has not taken.
        broken = select.poll()
        broken.register(silent.client, 0)
        check(bool(broken.poll(15_000)), "a client that takes nothing is served for ever")


def ends(resident: Resident, trusted: Path) -> None:
    """It ends with what it stands beside, and a session that is open goes on."""
    with session(resident) as one:
        tls = one.shake(trusted)
        resident.finish()
        tls.sendall(b"x")
        check(one.door.recv(1) == b"x", "a session did not outlast the process that waits")


def main() -> None:
    """Exit with a sentence where something is not as it should be."""
    stunnel = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ours, new = make_certificate(directory, "ours"), make_certificate(directory, "other")
        link(directory, ours)
        resident = Resident(stunnel, directory)
        carries(resident, ours)
        last_words(resident, ours)
        held = dawdler(resident)
        check(held < 30, f"a client was served for {held:.1f} s without a handshake; 2 were allowed")
        exchanges(resident, directory, new, ours)
        ends(resident, new)
        resident = Resident(stunnel, directory, most=1, busy=5)
        places(resident, new)
        resident.finish()
        resident = Resident(stunnel, directory, uid=os.getuid() + 1)
        check(refused(resident), "a user that is no door was served")
        resident.finish()
    print(
        "resident: carries, keeps last words, bounds handshakes and places, follows the bundle, ends with its service"
    )


if __name__ == "__main__":
    main()
