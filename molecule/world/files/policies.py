"""The HTTPS server of the policies: what is in /srv/policies/HOST/PATH, HOST being the name that is asked for.

policies.py ADDRESS NAME      NAME is whose certificate it shows
"""

import http.server
import pathlib
import ssl
import sys

HOME = pathlib.Path("/srv/policies")
CERTIFICATES = pathlib.Path("/srv/authority")


class Policies(http.server.BaseHTTPRequestHandler):
    """One question."""

    def do_GET(self) -> None:
        """Answer with the file, or say that there is none. A file REDIRECT beside it is where the client is sent to."""
        file = HOME / str(self.headers["Host"]).split(":")[0] / self.path.lstrip("/")
        elsewhere = file.with_name("REDIRECT")
        if elsewhere.exists():
            self.send_response(301)
            self.send_header("Location", elsewhere.read_text().strip())
            self.end_headers()
            return
        if not file.is_file() or HOME not in file.resolve().parents:
            self.send_error(404)
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(address: str, name: str) -> None:
    """Serve until the end."""
    server = http.server.ThreadingHTTPServer((address, 443), Policies)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem", CERTIFICATES / f"{name}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main(*sys.argv[1:])
