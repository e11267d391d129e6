#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What stands in front of an ACME directory that knows no rate limits, and adds one.

    front.py CERTIFICATE KEY AUTHORITY LIMIT

HTTPS on port 14000 of localhost; every request goes on to pebble on port 14100 as it is, and the answer back. Only
while the file LIMIT is there, a new order is answered as RFC 8555, section 6.6, has it, in the words of a large public
directory. The limit itself (how many orders in which time) is not modelled: what is under test is what a host makes
of that answer.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 14000
PEBBLE = 14100
PROBLEM = {
    "type": "urn:ietf:params:acme:error:rateLimited",
    "detail": "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
    "status": 429,
}


class Front(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    authority: str
    limit: Path

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        tls = ssl.create_default_context(cafile=self.authority)
        pebble = http.client.HTTPSConnection("localhost", PEBBLE, context=tls, timeout=60)
        # The Host that was asked for, as pebble makes the addresses that it tells from it.
        unwanted = ("connection", "content-length")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in unwanted}
        pebble.request(method, path, body, headers)
        answer = pebble.getresponse()
        content = answer.read()
        pebble.close()
        return answer, content

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if self.path == "/order-plz" and self.limit.exists():
            nonce, _ = self._ask("HEAD", "/nonce-plz")
            self.send_response(429)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Retry-After", "3600")
            self.send_header("Replay-Nonce", nonce.headers["Replay-Nonce"])
            content = json.dumps(PROBLEM).encode()
        else:
            answer, content = self._ask(self.command, self.path, body)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "content-length", "date", "transfer-encoding"):
                    self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815 (the names are http.server's)


def main(certificate: str, key: str, authority: str, limit: str) -> None:
    """Serve until killed."""
    Front.authority, Front.limit = authority, Path(limit)
    server = ThreadingHTTPServer(("localhost", PORT), Front)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
