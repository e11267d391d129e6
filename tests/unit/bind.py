"""A real name server (Debian's bind9) for tests: private, without rights, on a high port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query

NAMED = Path("/usr/sbin/named")
KEY = 'key probe { algorithm hmac-sha256; secret "%s"; };'


HERE = "127.0.0.1"
"""named listens only on what interfaces have as their address."""


def free_port(*more: str) -> int:
    """A port that is free, by UDP and TCP, at 127.0.0.1 and these addresses."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind((HERE, 0))
            port = int(first.getsockname()[1])
        if all(
            _is_free(address, port, kind)
            for address in (HERE, *more)
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        ):
            return port
    raise OSError("no port is free")


def _is_free(address: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


class Relay:
    """Passes questions by UDP on to a port of 127.0.0.1, and the answers back: a name server of another address."""

    def __init__(self, address: str, port: int, to: int) -> None:
        """Begin."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._to = to
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(65536)
            except OSError:
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beyond:
                beyond.settimeout(2)
                beyond.sendto(question, (HERE, self._to))
                with contextlib.suppress(OSError):
                    self._socket.sendto(beyond.recv(65536), client)

    def stop(self) -> None:
        """End."""
        self._socket.close()


def is_whole(text: str) -> bool:
    """Whether a master file has a SOA record of its own, as a signed one."""
    return " SOA" in text.replace("\t", " ")


class Bind:
    """One name server. What it has authority for can be exchanged while it runs."""

    def __init__(self, folder: Path, port: int) -> None:
        """Start it, with nothing."""
        self.port = port
        self._folder = folder
        self._generation = 0
        folder.mkdir(parents=True)
        # AppArmor, where it is on, lets the program of that path into its own directories only.
        program = shutil.copy(NAMED, folder / "named")
        self._configure({}, "")
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [program, "-g", "-c", folder / "named.conf", "-n", "1"], stdout=self._log, stderr=subprocess.STDOUT
        )
        self._wait(["first.test"])

    def _configure(self, zones: Mapping[str, str], secret: str) -> None:
        """Write configuration and master files, each generation's with names of its own, so that all are read anew."""
        self._generation += 1
        here = self._folder / str(self._generation)
        here.mkdir()
        lines = [
            f'options {{ directory "{here}"; listen-on port {self.port} {{ {HERE}; }}; listen-on-v6 {{ none; }};',
            f'pid-file "{self._folder}/pid"; session-keyfile "{self._folder}/session.key"; recursion no;',
            "dnssec-validation no; notify no; allow-transfer { none; }; minimal-responses no; };",
            "controls { };",
        ]
        if secret:
            lines.append(KEY % secret)
        for name, text in {"first.test": "@ NS ns1.first.test.\nns1 A 127.0.0.1\n", **zones}.items():
            head = f"$TTL 60\n@ IN SOA ns1.{name}. hostmaster.{name}. {self._generation} 3600 600 86400 60\n"
            (here / f"{name}.zone").write_text(text if is_whole(text) else head + text)
            may = "allow-update { key probe; };" if secret else ""
            lines.append(f'zone "{name}" {{ type primary; file "{here}/{name}.zone"; {may} }};')
        (self._folder / "named.conf").write_text("\n".join(lines) + "\n")

    def load(self, zones: Mapping[str, str], secret: str = "") -> None:
        """Have authority for ZONES, master files by name, most without SOA. With a SECRET the key `probe` may write."""
        self._configure(zones, secret)
        self._process.send_signal(signal.SIGHUP)
        self._wait(["first.test", *(name for name, text in zones.items() if not is_whole(text))])

    def _wait(self, zones: Sequence[str]) -> None:
        end = time.monotonic() + 50
        while time.monotonic() < end and self._process.poll() is None:
            if all(self._has(zone) for zone in zones):
                return
            time.sleep(0.05)
        raise OSError(f"named doesn't answer:\n{(self._folder / 'log').read_text()}")

    def _has(self, zone: str) -> bool:
        try:
            said = dns.query.udp(dns.message.make_query(zone, "SOA"), HERE, timeout=2, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return f" {self._generation} 3600 " in "".join(rrset.to_text() for rrset in said.answer)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=120)
        self._log.close()
