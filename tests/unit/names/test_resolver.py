"""The configuration of the role resolver, judged by unbound itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from sitelab.paths import ROOT

from tests.unit.bind import Bind, free_port

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
CHECK = Path("/usr/sbin/unbound-checkconf")
UNBOUND = Path("/usr/sbin/unbound")


def rendered(tmp_path: Path, **more: Any) -> Path:
    """What the role writes as its configuration."""
    template = str(ROOT / "roles/resolver/templates/etc/unbound/unbound.conf.d/qmail-site.conf.j2")
    task = {"ansible.builtin.template": {"src": template, "dest": str(tmp_path / "unbound.conf"), "mode": "0600"}}
    said = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "mail_fqdn": "mail.a.test"}
    (tmp_path / "hosts.json").write_text(json.dumps({"mail": {"hosts": {"one": said | more}}}))
    roles = [{"role": "resolver", "when": False}]
    play = {"hosts": "mail", "gather_facts": False, "roles": roles, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "ansible")}
    command = [str(ANSIBLE), "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "unbound.conf"


@pytest.mark.skipif(not CHECK.exists(), reason="unbound is not installed; bin/test does that")
def test_unbound_understands_it_and_answers_on_loopback_alone(tmp_path: Path) -> None:
    file = rendered(tmp_path, resolver_configuration='stub-zone:\n  name: "a.test"\n  stub-addr: 192.0.2.53\n')
    done = subprocess.run([CHECK, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    def value(option: str) -> str:
        return subprocess.run([CHECK, "-o", option, file], capture_output=True, text=True, check=True).stdout.strip()

    assert value("interface") == "127.0.0.1"
    assert value("access-control") == "127.0.0.0/8 allow"
    assert value("module-config") == "validator iterator"
    assert value("val-permissive-mode") == "no"
    assert value("msg-cache-size") == "33554432"
    assert "a.test" in file.read_text()


ZONE = """$TTL 60
@ SOA ns1.a.test. hostmaster.a.test. 1 3600 600 86400 60
@ NS ns1.a.test.
ns1 A 127.0.0.1
good A 192.0.2.1
bad A 192.0.2.2
"""


def signed(folder: Path) -> tuple[str, str]:
    """The zone, signed, and the DS record of its key; what it says of `bad` was changed after that."""
    (folder / "a.test").write_text(ZONE)
    run = {"cwd": folder, "capture_output": True, "text": True, "check": True}
    keygen = ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "a.test"]
    key = subprocess.run(keygen, **run).stdout.strip()  # type: ignore[call-overload]
    subprocess.run(["dnssec-signzone", "-S", "-z", "-o", "a.test", "a.test"], **run)  # type: ignore[call-overload]
    anchor = subprocess.run(["dnssec-dsfromkey", "-2", key], **run).stdout.strip()  # type: ignore[call-overload]
    return (folder / "a.test.signed").read_text().replace("192.0.2.2", "192.0.2.3"), anchor


@pytest.fixture
def resolver(servers: list[Bind], tmp_path: Path) -> Iterator[int]:
    """The port of an unbound that has the role's configuration, and knows the key of one zone."""
    text, anchor = signed(tmp_path)
    servers[0].load({"a.test": text})
    port = free_port()
    more = (
        f'port: {port}\ndo-not-query-localhost: no\nlocal-zone: "test." transparent\ntrust-anchor: "{anchor}"\n'
        f'username: ""\nchroot: ""\ndirectory: "{tmp_path}"\npidfile: "{tmp_path}/pid"\nuse-syslog: no\n'
        f"verbosity: 1\n"
        f'stub-zone:\n  name: "a.test"\n  stub-addr: 127.0.0.1@{servers[0].port}\n'
    )
    program = shutil.copy(UNBOUND, tmp_path / "unbound")  # AppArmor, as with named
    with (tmp_path / "log").open("w") as log:
        command = [program, "-d", "-c", rendered(tmp_path, resolver_configuration=more)]
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        yield port
        running.terminate()
        running.wait(timeout=60)


def answer(port: int, name: str) -> dns.message.Message:
    query = dns.message.make_query(name, "A", want_dnssec=True)
    end = time.monotonic() + 60
    while True:
        try:
            return dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
        except (dns.exception.DNSException, OSError):
            if time.monotonic() >= end:
                raise
            time.sleep(0.1)


@pytest.mark.skipif(not CHECK.exists(), reason="unbound is not installed; bin/test does that")
def test_what_dnssec_contradicts_is_no_answer(resolver: int) -> None:
    good = answer(resolver, "good.a.test")
    assert "192.0.2.1" in good.answer[0].to_text()
    assert good.flags & dns.flags.AD
    bad = answer(resolver, "bad.a.test")
    assert (bad.rcode(), bad.answer) == (dns.rcode.SERVFAIL, [])
