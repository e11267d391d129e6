"""What the modules' tests share: a web server with a site's faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Web:
    """A server on the loopback interface: PATH to what it answers there."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, without a closing slash."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def web() -> Iterator[Web]:
    """Answers /FILE; /short/, /endless/, /silent/, /labelled/ and /moved/ in front of FILE add a fault."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            fault, _, name = self.path.lstrip("/").rpartition("/")
            data = state.files.get(self.path.lstrip("/"), state.files.get(name))
            if data is None:
                self.send_error(404)
                return
            if fault == "moved":
                self.send_response(302)
                self.send_header("Location", f"/{name}")
                self.end_headers()
                return
            self.send_response(200)
            if fault == "labelled":
                self.send_header("Content-Encoding", "gzip")
            if fault != "endless":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault == "silent":
                time.sleep(3)
            elif fault == "short":
                self.wfile.write(data[:-1])
            elif fault == "endless":
                self.send_endlessly(data)
            else:
                self.wfile.write(data)

        def send_endlessly(self, data: bytes) -> None:
            with_more = data + b"\0" * (1 << 16)
            try:
                for _ in range(1 << 12):
                    self.wfile.write(with_more)
            except OSError:
                pass

        def log_message(self, *_: Any) -> None:
            """Not into the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
