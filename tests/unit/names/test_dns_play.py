"""playbooks/dns.yml, and bin/dns with an inventory: what they make of what is declared, and of what the host says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sitelab.paths import ROOT

from dnscheck import inventory
from module_utils import dns_records
from module_utils.dns_records import mta_sts
from tests.unit.names.conftest import PRIMARY, Start
from tests.unit.names.test_dns_command import KINDS, SECRET, SITE, zones

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
SAID: dict[str, Any] = {
    "mail_fqdn": "mail.a.test",
    "mail_domains": ["a.test"],
    "dns_addresses": ["192.0.2.25"],
    "mta_sts_host": "mail.a.test",
    "ansible_connection": "local",
    "ansible_become": False,
    "ansible_python_interpreter": sys.executable,
}


def write(tmp_path: Path, **more: Any) -> Path:
    file = tmp_path / "hosts.json"
    file.write_text(json.dumps({"mail": {"hosts": {"one": SAID | more}}}))
    return file


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "ansible"))
    monkeypatch.setenv("PATH", f"{ANSIBLE.parent}:{os.environ['PATH']}")


def test_an_inventory_is_described_without_its_host(tmp_path: Path) -> None:
    more = {"dns_update": {"server": "192.0.2.53", "zones": ["a.test"], "key": "probe", "secret": SECRET}}
    said = inventory.described(str(write(tmp_path, **more)), "", False, [])
    assert dns_records.faults(said) == []
    assert said["update"]["secret"] == SECRET
    site = dns_records.read(said)
    assert (site.addresses, site.mx, site.mta_sts, site.dkim) == (["192.0.2.25"], ["mail.a.test"], "testing", None)
    assert site.dmarc_reports == "postmaster@a.test"


def test_each_kind_of_record_can_be_declared(tmp_path: Path) -> None:
    more = {
        "dns_addresses": ["192.0.2.25", "2001:db8::25"],
        "dns_autoconfig_host": "www.a.test",
        "dns_caa": ["letsencrypt.org"],
        "services_submission": True,
    }
    said = inventory.described(str(write(tmp_path, **more)), "", False, [])
    assert dns_records.faults(said) == []
    rules = dns_records.rules(dns_records.read(said | {key: SITE[key] for key in ("dkim", "tlsa")}))
    values = {(each.type, each.name): each.value for rule in rules for each in rule.wanted}
    assert values.keys() >= KINDS.keys()
    assert values["AAAA", "mail.a.test"] == "2001:db8::25"
    assert values["CNAME", "autoconfig.a.test"] == "www.a.test"
    assert values["SRV", "_autodiscover._tcp.a.test"] == "0 1 443 www.a.test"
    assert values["SRV", "_submission._tcp.a.test"] == "10 1 587 mail.a.test"
    assert values["CAA", "mail.a.test"] == '0 issue "letsencrypt.org"'


def test_the_example_has_no_fault() -> None:
    assert dns_records.faults(inventory.described(str(ROOT / "inventories/example"), "", False, [])) == []


def test_an_inventory_without_a_host_is_told(tmp_path: Path) -> None:
    (tmp_path / "hosts.json").write_text("{}")
    with pytest.raises(inventory.InventoryError):
        inventory.described(str(tmp_path / "hosts.json"), "", False, [])


def play(tmp_path: Path, port: int, *words: str, **more: Any) -> tuple[int, str]:
    programs = {"dkim": str(tmp_path / "mail-dkim"), "tlsa": str(tmp_path / "mail-tlsa")}
    options = ["--resolver", PRIMARY, "--server", PRIMARY, "--port", str(port), "--all"]
    own = {"_dns_programs": programs, "_dns_command": [sys.executable, "-m", "dnscheck"]}
    file = write(tmp_path, dns_options=options, **more)
    command = [str(ANSIBLE), "-i", str(file), "playbooks/dns.yml", "-e", json.dumps(own), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def tells(tmp_path: Path, name: str, keys: list[dict[str, str]]) -> None:
    (tmp_path / name).write_text(f"#!/bin/sh\n[ \"$1\" = records ] && cat <<'E'\n{json.dumps(keys)}\nE\n")
    (tmp_path / name).chmod(0o755)


def test_what_the_host_knows_is_among_it_and_what_it_lacks_is_not_yet(start: Start, tmp_path: Path) -> None:
    port = start(zones())
    tells(tmp_path, "mail-dkim", SITE["dkim"])
    code, said = play(tmp_path, port)
    assert code == 0, said
    assert "q1r._domainkey.a.test" in said
    assert "not yet: TLSA" in said
    assert "not yet: DKIM" not in said


def test_the_play_fails_where_something_required_is_missing(start: Start, tmp_path: Path) -> None:
    code, said = play(tmp_path, start(zones(without="_dmarc")))
    assert code != 0
    assert "1 missing (1 of them required)" in said


def test_with_a_key_the_play_writes_but_not_in_check_mode_and_tells_no_secret(start: Start, tmp_path: Path) -> None:
    port = start(zones(without="_dmarc"), secret=SECRET)
    key = {"server": PRIMARY, "port": port, "zones": ["a.test"], "key": "probe", "secret": SECRET}
    code, said = play(tmp_path, port, "--check", "-vvv", dns_update=key)
    assert code != 0
    assert SECRET not in said
    code, said = play(tmp_path, port, "-vvv", dns_update=key)
    assert code == 0, said
    assert SECRET not in said
    assert "written      TXT    _dmarc.a.test" in said
    assert "changed=1" in said


def test_the_role_writes_the_policy_that_the_record_speaks_of(tmp_path: Path) -> None:
    show = {"ansible.builtin.copy": {"dest": str(tmp_path / "policy"), "content": "{{ _dns_policy }}"}}
    steps = [{"ansible.builtin.include_role": {"name": "dns", "public": True}}, show]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "mail", "gather_facts": False, "tasks": steps}]))
    file = write(tmp_path, dns_mx=["mail.a.test", "MX2.b.test"], mta_sts_mode="enforce")
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    subprocess.run([str(ANSIBLE), "-i", str(file), str(tmp_path / "play.yml")], cwd=ROOT, env=environment, check=True)
    assert (tmp_path / "policy").read_text() == mta_sts.policy("enforce", ["mail.a.test", "mx2.b.test"], 604800)
