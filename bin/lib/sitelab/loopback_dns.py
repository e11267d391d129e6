"""DNS servers on loopback addresses, for tests: by dnspython of the host's Python, with zones that change at once."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Zone = Mapping[str, Mapping[str, Sequence[str]] | str]
"""By name, its records by type; or what becomes of a question: "servfail", "silent", "nxdomain"."""

SERVER = r"""
import json, socket, struct, sys, threading
import dns.flags, dns.message, dns.rcode, dns.rdatatype, dns.rrset

path, port, *addresses = sys.argv[1:]

def answered(address, data):
    with open(path) as file:
        view = json.load(file)[address]
    asked = dns.message.from_wire(data)
    answer = dns.message.make_response(asked)
    if view.get("authoritative", True):
        answer.flags |= dns.flags.AA
    else:
        answer.flags |= dns.flags.RA
    question = asked.question[0]
    name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
    with open(path + ".log", "a") as log:
        log.write(f"{address} {name} {kind}\n")
    zone = view["zone"]
    found = zone.get(name)
    if found is None and not any(other.endswith("." + name) for other in zone):
        found = "nxdomain"
    if found == "silent":
        return None
    if found == "servfail":
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif found == "nxdomain":
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif found:
        for each in ["CNAME", kind]:
            values = found.get(each, [])
            if each == "TXT":
                values = [" ".join('"%s"' % value[i : i + 250].replace("\\", "\\\\").replace('"', '\\"')
                                   for i in range(0, max(1, len(value)), 250)) for value in values]
            if values:
                answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", each, values))
                break
    return answer

def by_udp(address):
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind((address, int(port)))
    while True:
        data, peer = door.recvfrom(65536)
        answer = answered(address, data)
        if answer:
            try:
                wire = answer.to_wire(max_size=1232)
            except Exception:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
                wire = answer.to_wire()
            door.sendto(wire, peer)

def by_tcp(address):
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((address, int(port)))
    door.listen(16)
    while True:
        talk, _ = door.accept()
        with talk:
            talk.settimeout(5)
            size = struct.unpack("!H", talk.recv(2))[0]
            answer = answered(address, talk.recv(size))
            if answer:
                wire = answer.to_wire(max_size=65535)
                talk.sendall(struct.pack("!H", len(wire)) + wire)

for address in addresses:
    for serve in (by_udp, by_tcp):
        threading.Thread(target=serve, args=(address,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


class Servers:
    """Servers that run, each at an address of its own, all at one port."""

    def __init__(self, path: Path, port: int) -> None:
        """Keep where their zones are."""
        self.path = path
        self.port = port
        self.views: dict[str, dict[str, object]] = {}

    def serve(self, address: str, zone: Zone, *, authoritative: bool = True) -> None:
        """Have a server answer so from now on."""
        self.views[address] = {"zone": dict(zone), "authoritative": authoritative}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.views), encoding="utf-8")
        new.replace(self.path)

    def asked(self) -> list[str]:
        """Give the questions up to now, each as "address name type", and forget them."""
        log = Path(f"{self.path}.log")
        found = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return found


@contextmanager
def servers(folder: Path, *addresses: str) -> Iterator[Servers]:
    """Run servers at these addresses of 127.0.0.0/8 until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((addresses[0], 0))
        port = probe.getsockname()[1]
    made = Servers(folder / "zones.json", port)
    for address in addresses:
        made.serve(address, {})
    command = ["/usr/bin/python3", "-c", SERVER, str(made.path), str(port), *addresses]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout  # noqa: S101
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the DNS servers don't start; is python3-dnspython installed?")
        time.sleep(0.1)  # until each of them has its port
        yield made
    finally:
        process.communicate()
