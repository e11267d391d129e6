"""certs.py, which acts on the host between plays: the modules' own code makes the bundle, and what is wrong is told."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from library import pem_bundle, tls_served
from tests.unit.certs.pki import Pki, issue

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "roles/certs/files/usr/local/lib/qmail-site/certs.py"
PORT = {"service": "smtps", "port": 465, "starttls": "none", "host": "127.0.0.1", "name": "x", "timeout": 1}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "pem_bundle", pem_bundle)
    monkeypatch.setitem(sys.modules, "tls_served", tls_served)
    spec = importlib.util.spec_from_file_location("host_certs", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def config(pki: Pki, **changes: Any) -> dict[str, Any]:
    bundle = pki.options(**changes) | {"state": "present", "warn_days": 21, "mode": "0600"}
    mine = {"owner": Path(pki.directory).owner(), "group": Path(pki.directory).group()}
    return {"bundle": bundle | mine, "ports": [PORT], "to": "postmaster@mail.example.test"}


def test_a_renewed_pair_becomes_the_bundle(program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = config(pki)
    monkeypatch.setenv("RENEWED_LINEAGE", str(pki.directory))
    assert program.renewed(wishes) == 0
    assert pem_bundle.load_chain(Path(wishes["bundle"]["dest"])) == pem_bundle.load_chain(
        Path(wishes["bundle"]["chain"])
    )


def test_the_renewal_of_another_certificate_is_let_be(program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = config(pki)
    monkeypatch.setenv("RENEWED_LINEAGE", "/etc/letsencrypt/live/www.example.test")
    assert program.renewed(wishes) == 0
    assert not Path(wishes["bundle"]["dest"]).exists()


def test_a_renewed_pair_that_is_no_good_leaves_the_bundle(
    program: Any, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    wishes = config(pki)
    assert program.renewed(wishes) == 0
    before = Path(wishes["bundle"]["dest"]).read_bytes()
    capsys.readouterr()
    Path(wishes["bundle"]["key"]).write_bytes(issue(issuer=pki.middle).key_pem())
    assert program.renewed(wishes) == 1
    assert Path(wishes["bundle"]["dest"]).read_bytes() == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith(f"{wishes['bundle']['dest']} stays as it was\n")


@pytest.mark.parametrize(("days", "words"), [(0, None), (80, "expires in 10 days"), (95, "has expired")])
def test_the_watch_tells_of_the_end(program: Any, pki: Pki, days: int, words: str | None) -> None:
    wishes = config(pki)
    program.renewed(wishes)
    found = program.faults(wishes, datetime.now(UTC) + timedelta(days=days))
    assert [words in each for each in found] == ([True] if words else [])


@pytest.mark.parametrize("missing", [True, False])
def test_the_watch_tells_of_a_bundle_that_is_none(program: Any, pki: Pki, missing: bool) -> None:
    wishes = config(pki)
    if not missing:
        Path(wishes["bundle"]["dest"]).write_text("nothing")
    found = program.faults(wishes, datetime.now(UTC))
    assert len(found) == 1
    assert found[0].startswith(wishes["bundle"]["dest"])


def test_the_watch_tells_of_ports_that_serve_something_else_or_nothing(
    program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = config(pki)
    program.renewed(wishes)
    monkeypatch.setattr(program, "running", lambda: {"smtps"})
    monkeypatch.setattr(program.tls_served, "look", lambda _: {"fingerprint": "f00"})
    (found,) = program.faults(wishes, datetime.now(UTC))
    assert found.startswith("port 465 (smtps) serves another certificate (f00) than ")

    def silent(_: object) -> None:
        raise tls_served.ServedError("can't be spoken to: Connection refused")

    monkeypatch.setattr(program.tls_served, "look", silent)
    found = program.faults(wishes, datetime.now(UTC))
    assert found == ["port 465 (smtps) can't be spoken to: Connection refused"]
    monkeypatch.setattr(program, "running", set)
    assert program.faults(wishes, datetime.now(UTC)) == []


def test_the_watch_mails_the_postmaster(
    program: Any, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = config(pki)
    sent = tmp_path / "sent"
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\n[ "$*" = postmaster@mail.example.test ] && exec cat >{sent}\n')
    sendmail.chmod(0o755)
    monkeypatch.setattr(program, "SENDMAIL", sendmail)
    assert program.watch(wishes) == 1
    message = message_from_bytes(sent.read_bytes())
    assert message["To"] == "postmaster@mail.example.test"
    assert wishes["bundle"]["dest"] in message.get_payload()


def test_a_mail_that_can_not_be_sent_is_told(
    program: Any, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "SENDMAIL", tmp_path / "nothing")
    assert program.watch(config(pki)) == 1
    assert "could not be sent" in capsys.readouterr().err


def test_it_needs_no_ansible_on_the_host(tmp_path: Path) -> None:
    for file in (PROGRAM, ROOT / "library/pem_bundle.py", ROOT / "library/tls_served.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    hidden = tmp_path / "ansible"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('no ansible here')")
    done = subprocess.run([sys.executable, tmp_path / "certs.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: certs.py renewed|watch\n")
