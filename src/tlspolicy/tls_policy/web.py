"""HTTPS to hosts that strangers have named: one request, bounded in bytes and in time, without redirects.

A host must prove its name by the authorities in /etc/ssl/certs before it is asked for anything. Addresses of this host
and of its link are never connected to.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

SECONDS = 60.0  # RFC 8461 section 3.3: for all of it
PORT = 443
CONNECT = 15.0
CONTEXT_KEPT = 3600.0


class WebError(Exception):
    """The request failed; the text says why."""


def is_own(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address is one of this host's interfaces."""
    with suppress(OSError), socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET) as probe:
        probe.bind((str(ip), 0))
        return True
    return False


def allowed(address: str) -> bool:
    """Tell whether a stranger may have us connect there."""
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    return not is_own(ip)


class Web:
    """What it takes to ask."""

    def __init__(
        self,
        addresses: Callable[[str], Iterable[str]],
        *,
        connect: Callable[[str, float], socket.socket] | None = None,
        authorities: str | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """Find a host by ADDRESSES; connect and authorities are for tests."""
        self.addresses = addresses
        self.connect = connect
        self.seconds = seconds
        self.authorities = authorities
        self.made: tuple[float, ssl.SSLContext] | None = None

    def _context(self) -> ssl.SSLContext:
        """Return one with the authorities as they are, or were within the hour: the service stays for months."""
        made = self.made
        if made and time.monotonic() < made[0] + CONTEXT_KEPT:
            return made[1]
        context = ssl.create_default_context(cafile=self.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.made = time.monotonic(), context
        return context

    def _connected(self, host: str, end: float) -> socket.socket:
        why = f"{host} has no address"
        for address in list(self.addresses(host))[:8]:
            left = min(CONNECT, end - time.monotonic())
            if left <= 0:
                break
            try:
                if self.connect:
                    return self.connect(address, left)
                if not allowed(address):
                    why = f"{address} is no address that a stranger may name"
                    continue
                return socket.create_connection((address, PORT), left)
            except OSError as error:
                why = f"{address}: {error.strerror or error}"
        raise WebError(why)

    def request(
        self,
        method: str,
        host: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        most: int = 65536,
    ) -> tuple[int, str, bytes]:
        """Return status, media type and at most MOST + 1 bytes of the answer's body. Raises WebError."""
        end = time.monotonic() + self.seconds
        raw = self._connected(host, end)
        seconds = max(1.0, end - time.monotonic())
        raw.settimeout(seconds)
        # It takes the raw one's place, and does nothing yet.
        wrapped = self._context().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
        # A server that gives a byte now and then would have for ever: a read's own limit begins anew each time.
        guard = threading.Timer(seconds, _cut, (wrapped,))
        guard.daemon = True
        guard.start()
        try:
            with wrapped:
                wrapped.do_handshake()
                connection = http.client.HTTPConnection(host, timeout=seconds)
                connection.sock = wrapped
                connection.request(method, path, body=body, headers=headers or {})
                answer = connection.getresponse()
                content = answer.read(most + 1)
                if answer.length and len(content) <= most:
                    raise WebError(f"{host}: the answer was cut off")
                return answer.status, answer.headers.get_content_type(), content
        except ssl.SSLCertVerificationError as error:
            raise WebError(f"the certificate of {host} is not valid: {error.verify_message}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise WebError(f"{host}: {str(error) or type(error).__name__}") from None
        finally:
            guard.cancel()


def _cut(wrapped: ssl.SSLSocket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(wrapped, socket.SHUT_RDWR)
