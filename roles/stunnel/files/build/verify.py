"""verify.py STUNNEL [--patched]: does this stunnel serve TLS the way the site uses it?

That is, in inetd mode: one process for each connection, started with the connection as its standard input and output.
A client that trusts the certificate's issuer gets through to the program behind stunnel, one that trusts another does
not. Everything that is needed for that is made in a temporary directory and goes with it. With --patched, what our
patches promise is tried as well: no connection is lost while the bundle is exchanged, nobody dawdles for ever, and no
start reads certificates for a check that nobody asked for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

NAME = "mail.example.test"
GREETING = b"220 behind stunnel\n"


def make_certificate(directory: Path, name: str) -> Path:
    """A self-signed certificate and its key in one file."""
    key, cert, both = (directory / f"{name}.{suffix}" for suffix in ("key", "crt", "pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", f"/CN={NAME}"]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{NAME}"], check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    both.chmod(0o600)
    return both


def serve_once(stunnel: str, configuration: Path, listener: socket.socket) -> None:
    """What tcpserver does for one connection."""
    connection, _ = listener.accept()
    with connection:
        fd = connection.fileno()
        subprocess.run([stunnel, str(configuration)], stdin=fd, stdout=fd, timeout=20, check=False)


def dialogue(stunnel: str, configuration: Path, trusted: Path) -> bytes:
    """Connect as a client that verifies chain and name; gives what the program behind says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_once, args=(stunnel, configuration, listener))
        server.start()
        try:
            context = ssl.create_default_context(cafile=str(trusted))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname=NAME) as secure,
            ):
                print(f"verify: {secure.version()} {secure.cipher()}")
                return secure.recv(100)
        finally:
            server.join()


def log_of_a_start(stunnel: str, directory: Path, bundle: Path) -> str:
    """What is said where CAfile can't be read, and nobody is to be verified by it."""
    configuration = configure(directory, bundle, f"CAfile = {directory}/nothing\nforeground = yes\n")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)
        end = theirs.fileno()
        done = subprocess.run(
            [stunnel, str(configuration)], stdin=end, stdout=end, stderr=subprocess.PIPE, timeout=20, check=False
        )
    return done.stderr.decode(errors="replace")


def feed(fifo: Path, first: bytes, later: bytes) -> None:
    """Be a file that is exchanged after it was opened once: what is read then is another bundle."""
    content = first
    while True:
        with fifo.open("wb") as file:
            file.write(content)
        time.sleep(0.1)  # the reader sees the end, and opens the file again
        content = later


def exchanged(stunnel: str, directory: Path, old: Path, new: Path) -> bytes:
    """Connect while the bundle is exchanged between the reading of the certificate and that of the key."""
    fifo = directory / "fifo"
    os.mkfifo(fifo, 0o600)
    threading.Thread(target=feed, args=(fifo, old.read_bytes(), new.read_bytes()), daemon=True).start()
    return dialogue(stunnel, configure(directory, fifo), new)


def seconds_held(stunnel: str, directory: Path, bundle: Path) -> float:
    """How long a client is served whose handshake has two seconds, and who says a byte of it every half second."""
    configuration = configure(directory, bundle, "TIMEOUTbusy = 2\n")
    # A record of a handshake, 512 bytes long, that begins like any other.
    hello = iter(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_once, args=(stunnel, configuration, listener))
        server.start()
        began = time.monotonic()
        with socket.create_connection(listener.getsockname(), timeout=0.5) as client, contextlib.suppress(OSError):
            for byte in hello:
                client.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    if not client.recv(1):
                        break
        server.join()
    return time.monotonic() - began


def configure(directory: Path, bundle: Path, more: str = "") -> Path:
    """A configuration for inetd mode; gives its path."""
    configuration = directory / "stunnel.conf"
    configuration.write_text(
        f"cert = {bundle}\nsslVersionMin = TLSv1.2\nsyslog = no\ndebug = warning\n{more}"
        "exec = /bin/echo\nexecArgs = echo 220 behind stunnel\n"
    )
    return configuration


def main() -> None:
    """Exit with a sentence where something is not as it should be."""
    stunnel = sys.argv[1]
    # stunnel -version goes to standard error.
    version = subprocess.run([stunnel, "-version"], check=True, capture_output=True, text=True).stderr
    print(version)
    if "LIBWRAP" not in version:
        sys.exit("verify: this stunnel was built without libwrap")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ours, other = make_certificate(directory, "ours"), make_certificate(directory, "other")
        configuration = configure(directory, ours)
        got = dialogue(stunnel, configuration, ours)
        if got != GREETING:
            sys.exit(f"verify: expected {GREETING!r} through stunnel, got {got!r}")
        try:
            dialogue(stunnel, configuration, other)
        except ssl.SSLCertVerificationError:
            print("verify: a client that trusts another issuer is not served")
        else:
            sys.exit("verify: a client that trusts another issuer was served")
        if "--patched" not in sys.argv:
            return
        if exchanged(stunnel, directory, other, ours) != GREETING:
            sys.exit("verify: a connection was lost while the bundle was exchanged")
        said = log_of_a_start(stunnel, directory, ours)
        if "No trusted certificates" in said:
            sys.exit(f"verify: CAfile is read although nobody is verified: {said}")
        held = seconds_held(stunnel, directory, ours)
        if held > 5:
            sys.exit(f"verify: a client was served for {held:.1f} s without a handshake; 2 were allowed")
        print(f"verify: a handshake that may take 2 s and does not end: cut off after {held:.1f} s")


if __name__ == "__main__":
    main()
