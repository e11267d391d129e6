"""fake_spamd.py SOCKET MANNER: a spamd that behaves badly. Says "ready"; ends when standard input does."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

path, manner = sys.argv[1:]
OK = b"SPAMD/1.1 0 EX_OK\r\n"


def header(length: int, spam: str = "False ; 0.0 / 5.0") -> bytes:
    """Give the lines before an answer of this length."""
    return OK + b"Content-length: %d\r\nSpam: %s\r\n\r\n" % (length, spam.encode())


def read(client: socket.socket) -> bytes:
    """Read a whole request; give the message."""
    data = b""
    while chunk := client.recv(65536):
        data += chunk
    return data.partition(b"\r\n\r\n")[2]


def serve(client: socket.socket) -> None:
    """Answer one request."""
    if manner == "close at once":
        return
    if manner == "hang before reading":
        time.sleep(600)
    if manner == "close while reading":
        client.recv(20)
        return
    message = read(client)
    green = b"X-Spam-Status: No, score=0.0 required=5.0 tests=NONE\r\n"
    answers = {
        "close after reading": b"",
        "garbage": os.urandom(5000),
        "garbage lines": b"\r\n".join(os.urandom(20).replace(b"\n", b"") for _ in range(500)) + b"\r\n\r\n",
        "an error": b"SPAMD/1.1 75 EX_TEMPFAIL\r\n\r\n",
        "half a header": OK + b"Content-le",
        "half a message": header(len(green + message)) + (green + message)[: len(message) // 2],
        "less than announced": header(len(green + message) + 1000) + green + message,
        "no verdict": header(len(message)) + message,
        "an empty message": header(0),
        "a length without end": OK
        + b"Content-length: 99999999999999999999\r\nSpam: False ; 0.0 / 5.0\r\n\r\n"
        + message,
        "a negative length": OK + b"Content-length: -1\r\nSpam: False ; 0.0 / 5.0\r\n\r\n" + message,
        "another verdict in the header": header(len(green + message), "True ; 9.0 / 5.0") + green + message,
        "no number": header(len(message) + 60, "True ; nan / 5.0")
        + b"X-Spam-Status: Yes, score=nan required=5.0 tests=A\r\n".ljust(58)
        + b"\r\n"
        + message,
    }
    if manner == "hang after reading":
        time.sleep(600)
    elif manner == "without end":
        client.sendall(header(10**9))
        while True:
            client.sendall(b"X-Spam-A: b\r\n" * 1000)
    elif manner == "a byte a second":
        for byte in header(len(message)) + message:
            client.sendall(bytes([byte]))
            time.sleep(1)
    elif manner == "another message":
        other = green + b"Subject: another\r\n\r\nanother\r\n"
        client.sendall(header(len(other)) + other)
    else:
        client.sendall(answers[manner])


def handle(client: socket.socket) -> None:
    """Answer one request, whatever the other side does."""
    with client, contextlib.suppress(OSError):
        serve(client)


os.umask(0)
Path(path).unlink(missing_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(200)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def accept() -> None:
    """Answer everybody."""
    while True:
        threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
Path(path).unlink()
