"""private_ca: what it issues is what OpenSSL-based clients verify, and nothing is issued without a reason."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import pem_chain, private_ca  # type: ignore[attr-defined,unused-ignore]
from cryptography import x509


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return {
        "directory": str(tmp_path / "ca"),
        "common_name": "test CA",
        "leaf": str(tmp_path / "ca" / "issued" / "mail.example.test"),
        "names": ["mail.example.test", "192.0.2.1"],
    }


def issue(options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Have a certificate of the authority's; give what there is to say of it."""
    given = {"ca_days": 3650, "days": 90, "renew_before_days": 30, "key_type": "ecdsa", "force": False} | options
    pair = Path(f"{given['leaf']}.pem"), Path(f"{given['leaf']}.key")
    wish = {key: given[key] for key in ("names", "key_type", "renew_before_days", "force")}
    try:
        because = private_ca.obtain(pair, wish, given, check)
    except pem_chain.RefusedError as error:
        return {"failed": True, "msg": str(error)}
    answer: dict[str, Any] = {"changed": bool(because), "issued_because": because}
    if pair[0].exists():
        leaf = pem_chain.load_chain(pair[0])[0]
        answer |= {"fingerprint": pem_chain.fingerprint(leaf), "not_after": pem_chain.end_of(leaf)}
    return answer


def verify(options: dict[str, Any], name: str) -> bool:
    """What OpenSSL itself says of chain, purpose and name."""
    kind = "-verify_ip" if name[0].isdigit() else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", kind, name]
    command += ["-CAfile", f"{options['directory']}/ca.pem", f"{options['leaf']}.pem"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_issued_certificate_verifies_for_its_names_only(options: dict[str, Any]) -> None:
    result = issue(options)
    assert result["changed"]
    assert result["issued_because"] == "there was no authority yet"
    assert verify(options, "mail.example.test")
    assert verify(options, "192.0.2.1")
    assert not verify(options, "other.example.test")


def test_pair_can_be_loaded_by_a_server(options: dict[str, Any]) -> None:
    issue({**options, "key_type": "rsa"})
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"{options['leaf']}.pem", f"{options['leaf']}.key")


def test_keys_are_for_their_owner_only(options: dict[str, Any]) -> None:
    issue(options)
    assert (Path(options["directory"]) / "ca.key").stat().st_mode & 0o777 == 0o600
    assert Path(f"{options['leaf']}.key").stat().st_mode & 0o777 == 0o600
    assert (Path(options["directory"]) / "ca.pem").stat().st_mode & 0o777 == 0o644


def test_the_authority_can_be_read_by_all_whatever_the_umask_is(options: dict[str, Any]) -> None:
    before = os.umask(0o077)
    try:
        issue(options)
    finally:
        os.umask(before)
    directory = Path(options["directory"])
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert stat.S_IMODE((directory / "ca.pem").stat().st_mode) == 0o644


def test_second_run_changes_nothing(options: dict[str, Any]) -> None:
    first = issue(options)
    second = issue(options)
    assert not second["changed"]
    assert second["fingerprint"] == first["fingerprint"]


@pytest.mark.parametrize(
    ("difference", "because"),
    [
        ({"force": True}, "it was asked for"),
        ({"names": ["mail2.example.test"]}, "the names differed"),
        ({"key_type": "rsa"}, "the key was of type ecdsa"),
        ({"days": 200, "renew_before_days": 100}, "fewer than 100 days remained"),
    ],
)
def test_each_reason_to_issue_again(options: dict[str, Any], difference: dict[str, Any], because: str) -> None:
    first = issue(options)
    ca = (Path(options["directory"]) / "ca.pem").read_bytes()
    again = issue({**options, **difference})
    assert (again["changed"], again["issued_because"]) == (True, because)
    assert again["fingerprint"] != first["fingerprint"]
    assert (Path(options["directory"]) / "ca.pem").read_bytes() == ca


def test_lost_or_foreign_key_is_replaced_together_with_its_certificate(options: dict[str, Any]) -> None:
    issue(options)
    key = Path(f"{options['leaf']}.key")
    key.unlink()
    assert issue(options)["issued_because"] == "its key was missing"
    key.write_bytes((Path(options["directory"]) / "ca.key").read_bytes())
    assert issue(options)["issued_because"] == "the key was of another certificate"
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"{options['leaf']}.pem", f"{options['leaf']}.key")


@pytest.mark.parametrize("lost", ["ca.pem", "ca.key"])
def test_half_an_authority_is_an_error_and_nothing_is_overwritten(options: dict[str, Any], lost: str) -> None:
    issue(options)
    before = Path(f"{options['leaf']}.pem").read_bytes()
    (Path(options["directory"]) / lost).write_text("not PEM")
    answer = issue(options)
    assert answer["failed"]
    assert "bring it back" in answer["msg"]
    assert Path(f"{options['leaf']}.pem").read_bytes() == before
    assert (Path(options["directory"]) / lost).read_text() == "not PEM"


def test_key_of_another_authority_is_an_error(options: dict[str, Any], tmp_path: Path) -> None:
    issue(options)
    other = {**options, "directory": str(tmp_path / "other"), "leaf": str(tmp_path / "other" / "x")}
    issue(other)
    (Path(options["directory"]) / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    assert "is not the key of" in issue(options)["msg"]


def test_certificate_of_another_authority_is_issued_again(options: dict[str, Any], tmp_path: Path) -> None:
    issue({**options, "directory": str(tmp_path / "other")})
    issue({**options, "leaf": str(tmp_path / "x")})
    assert issue(options)["issued_because"] == "it was of another authority"
    assert verify(options, "mail.example.test")


def test_check_mode_writes_nothing_and_tells_the_truth(options: dict[str, Any], tmp_path: Path) -> None:
    answer = issue(options, check=True)
    assert answer["changed"]
    assert list(tmp_path.iterdir()) == []
    issue(options)
    assert not issue(options, check=True)["changed"]


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ({"names": []}, "names: there is none"),
        ({"names": ["exmaple..org"]}, 'names[0]: "exmaple..org"'),
        ({"names": ["a b"]}, 'names[0]: "a b"'),
        ({"names": ["x" * 64 + ".org"]}, "names[0]"),
        ({"days": 10}, "days: 10 must be more than certs_renew_before_days (30)"),
        ({"ca_days": 10}, "no more than certs_ca_days (10)"),
    ],
)
def test_bad_input_gets_a_sentence(
    options: dict[str, Any], tmp_path: Path, difference: dict[str, Any], words: str
) -> None:
    answer = issue({**options, **difference})
    assert answer["failed"]
    assert words in answer["msg"]
    assert list(tmp_path.iterdir()) == []


def test_certificate_never_outlives_its_authority(options: dict[str, Any]) -> None:
    issue({**options, "ca_days": 40, "days": 39, "renew_before_days": 1})
    answer = issue({**options, "days": 400, "ca_days": 4000})
    ca = x509.load_pem_x509_certificate((Path(options["directory"]) / "ca.pem").read_bytes())
    assert answer["not_after"] <= pem_chain.end_of(ca)


def test_long_name_is_cut_in_the_subject_only(options: dict[str, Any]) -> None:
    name = ".".join(["a" * 60, "b" * 60, "example.test"])
    issue({**options, "names": [name]})
    assert verify(options, name)


def test_link_in_the_place_of_the_temporary_file_is_not_followed(options: dict[str, Any], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / ".ca.key.new").symlink_to(victim)
    issue(options)
    assert victim.read_text() == "precious"
