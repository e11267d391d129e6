"""mail-tlsa, which tells the records of the host's keys: run as the host runs it, with its parts beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sitelab.paths import ROOT

from tests.unit.pki import HOST, Pki, issue

PROGRAM = ROOT / "roles/certs/files/usr/local/lib/qmail-site/mail-tlsa/mail_tlsa.py"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The program in a place of its own, with a certificate, and a configuration that is not the host's."""
    home = tmp_path / "lib"
    (home / "mail-tlsa").mkdir(parents=True)
    text = PROGRAM.read_text().replace("/etc/qmail-site/certs.json", str(tmp_path / "certs.json"))
    (home / "mail-tlsa/mail_tlsa.py").write_text(text)
    for part in ("key_turn", "pem_chain", "whole_file"):
        shutil.copy(ROOT / f"module_utils/{part}.py", home)
    leaf = issue(issuer=Pki(tmp_path).middle)
    (tmp_path / f"{HOST}.pem").write_bytes(leaf.pem + leaf.key_pem())
    (tmp_path / "own.key").write_bytes(leaf.key_pem())
    return tmp_path


def tell(place: Path, *words: str, services: list[str] | None = None) -> tuple[int, str, str]:
    certificate = {
        "name": HOST, "names": [HOST], "services": ["smtp"] if services is None else services, "chain": "-",
        "key": str(place / "own.key"),
    }  # fmt: skip
    config: dict[str, Any] = {"bundles": str(place), "keys": str(place / "next"), "to": f"postmaster@{HOST}"}
    (place / "certs.json").write_text(json.dumps(config | {"certificates": [certificate]}))
    done = subprocess.run(
        [sys.executable, "-E", place / "lib/mail-tlsa/mail_tlsa.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def spki(file: Path) -> str:
    """What openssl makes of it."""
    public = subprocess.run(
        ["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"], capture_output=True, check=True
    )
    digest = subprocess.run(["openssl", "sha256", "-r"], input=public.stdout, capture_output=True, check=True)
    return "3 1 1 " + digest.stdout.decode().split()[0]


def test_the_key_that_is_served_is_current_and_the_next_one_next(place: Path) -> None:
    (place / "next").mkdir()
    (place / f"next/{HOST}.key").write_bytes(issue(issuer=Pki(place).middle).key_pem())
    code, said, _ = tell(place, "records")
    assert code == 0
    name = f"_25._tcp.{HOST}"
    assert json.loads(said) == [
        {"name": name, "type": "TLSA", "value": spki(place / "own.key"), "state": "current"},
        {"name": name, "type": "TLSA", "value": spki(place / f"next/{HOST}.key"), "state": "next"},
    ]


def test_a_name_that_the_certificate_isnt_for_has_no_record(place: Path) -> None:
    assert json.loads(tell(place, "records", "mx.elsewhere.test")[1]) == []
    assert len(json.loads(tell(place, "records", "mx.elsewhere.test", HOST.upper())[1])) == 1


def test_a_certificate_of_another_service_has_no_record(place: Path) -> None:
    assert json.loads(tell(place, "records", services=["pop3s"])[1]) == []


def test_without_a_bundle_it_says_so(place: Path) -> None:
    (place / f"{HOST}.pem").unlink()
    code, said, why = tell(place, "records")
    assert (code, said) == (1, "")
    assert f"{HOST}.pem" in why


def test_it_shows_no_key(place: Path) -> None:
    for word in ("records", "status"):
        _, said, why = tell(place, word)
        assert "PRIVATE" not in said + why
    assert tell(place, "help")[0] == 2
