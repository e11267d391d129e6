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
import yaml
from ansible.module_utils import (  # type: ignore[attr-defined,unused-ignore]
    host_wishes,
    pem_bundle,
    pem_chain,
    tls_served,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from sitelab.paths import ROOT

from tests.unit.pki import HOST, Pki, issue

PROGRAM = ROOT / "roles/certs/files/usr/local/lib/qmail-site/certs.py"
PORTS = {
    "smtp": {"port": 25, "starttls": "smtp", "feature": "starttls"},
    "smtps": {"port": 465, "starttls": "none"},
    "pop3s": {"port": 995, "starttls": "none"},
}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    monkeypatch.setitem(sys.modules, "pem_bundle", pem_bundle)
    monkeypatch.setitem(sys.modules, "pem_chain", pem_chain)
    monkeypatch.setitem(sys.modules, "host_wishes", host_wishes)
    spec = importlib.util.spec_from_file_location("host_certs", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOCK", str(tmp_path_factory.mktemp("run") / "lock"))
    return module


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def config(pki: Pki, *further: dict[str, Any]) -> dict[str, Any]:
    """Wish for one certificate on smtps, and for further ones."""
    options = pki.options()
    owner = {"owner": pki.directory.owner(), "group": pki.directory.group(), "mode": "0600"}
    own = {key: options[key] for key in ("chain", "key", "names")} | {"name": HOST, "services": ["smtps"]}
    return {
        "certificates": [own, *further],
        "bundles": str(pki.directory),
        "bundle": {"state": "present", "roots": options["roots"], "warn_days": 21} | owner,
        "ports": PORTS,
        "features": str(pki.directory / "features"),
        "to": "postmaster@mail.example.test",
    }


def another(pki: Pki, name: str = "pop.example.test") -> dict[str, Any]:
    """Have a pair in a lineage of its own, for pop3s; give its part of the wishes."""
    lineage = pki.directory / "live" / name
    lineage.mkdir(parents=True, exist_ok=True)
    leaf = issue(name, pki.middle)
    chain, key = lineage / "fullchain.pem", lineage / "privkey.pem"
    chain.write_bytes(leaf.pem + pki.middle.pem)
    key.write_bytes(leaf.key_pem())
    return {"name": name, "names": [name], "chain": str(chain), "key": str(key), "services": ["pop3s"]}


def bundle(pki: Pki, name: str = HOST) -> Path:
    return pki.directory / f"{name}.pem"


def fingerprint(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


def test_a_renewed_pair_becomes_the_bundle(program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = config(pki)
    monkeypatch.setenv("RENEWED_LINEAGE", str(pki.directory))
    assert program.renewed(wishes) == 0
    assert pem_chain.load_chain(bundle(pki)) == pem_chain.load_chain(Path(wishes["certificates"][0]["chain"]))


def test_the_renewal_of_another_certificate_is_let_be(program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENEWED_LINEAGE", "/etc/letsencrypt/live/www.example.test")
    assert program.renewed(config(pki)) == 0
    assert not bundle(pki).exists()


def test_a_renewed_lineage_becomes_its_own_bundle_and_no_other(
    program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    pop = another(pki)
    assert program.renewed(config(pki, pop)) == 0
    before = [fingerprint(bundle(pki)), fingerprint(bundle(pki, pop["name"]))]
    wishes = config(pki, another(pki))  # both lineages have a new pair now
    monkeypatch.setenv("RENEWED_LINEAGE", str(Path(pop["chain"]).parent))
    assert program.renewed(wishes) == 0
    assert fingerprint(bundle(pki)) == before[0]
    assert fingerprint(bundle(pki, pop["name"])) == fingerprint(Path(pop["chain"])) != before[1]


def test_a_renewal_waits_for_a_play(
    program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "alone", lambda lock, who: host_wishes.alone(lock, who, 0.2))
    with host_wishes.alone(Path(program.LOCK), "a play"):
        assert program.renewed(config(pki)) == 1
    assert "certs: a play, process " in capsys.readouterr().err
    assert not bundle(pki).exists()
    assert program.renewed(config(pki)) == 0


def test_a_pair_that_is_no_good_does_not_keep_the_others_from_theirs(program: Any, pki: Pki) -> None:
    pop = another(pki)
    wishes = config(pki, pop)
    Path(wishes["certificates"][0]["key"]).write_bytes(issue().key_pem())
    assert program.renewed(wishes) == 1
    assert not bundle(pki).exists()
    assert fingerprint(bundle(pki, pop["name"])) == fingerprint(Path(pop["chain"]))


def test_a_renewed_pair_that_is_no_good_leaves_the_bundle(
    program: Any, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    wishes = config(pki)
    assert program.renewed(wishes) == 0
    before = bundle(pki).read_bytes()
    capsys.readouterr()
    Path(wishes["certificates"][0]["key"]).write_bytes(issue(issuer=pki.middle).key_pem())
    assert program.renewed(wishes) == 1
    assert bundle(pki).read_bytes() == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith(f"{bundle(pki)} stays as it was\n")


@pytest.mark.parametrize(("days", "words"), [(0, None), (80, "expires in 10 days"), (95, "has expired")])
def test_the_watch_tells_of_the_end_of_each(program: Any, pki: Pki, days: int, words: str | None) -> None:
    wishes = config(pki, another(pki))
    program.renewed(wishes)
    found = program.faults(wishes, datetime.now(UTC) + timedelta(days=days))
    assert [words in each for each in found] == ([True, True] if words else [])
    assert not words or str(bundle(pki, "pop.example.test")) in found[1]


@pytest.mark.parametrize("missing", [True, False])
def test_the_watch_tells_of_a_bundle_that_is_none(program: Any, pki: Pki, missing: bool) -> None:
    if not missing:
        bundle(pki).write_text("nothing")
    found = program.faults(config(pki), datetime.now(UTC))
    assert len(found) == 1
    assert found[0].startswith(str(bundle(pki)))


def test_the_watch_tells_of_ports_that_serve_something_else_or_nothing(
    program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = config(pki)
    program.renewed(wishes)
    monkeypatch.setattr(program, "running", lambda: {"smtps"})
    monkeypatch.setattr(tls_served, "look", lambda _: {"fingerprint": "f00"})
    (found,) = program.faults(wishes, datetime.now(UTC))
    assert found.startswith("port 465 (smtps) serves another certificate (f00) than ")

    def silent(_: object) -> None:
        raise tls_served.ServedError("can't be spoken to: Connection refused")

    monkeypatch.setattr(tls_served, "look", silent)
    found = program.faults(wishes, datetime.now(UTC))
    assert found == ["port 465 (smtps) can't be spoken to: Connection refused"]
    monkeypatch.setattr(program, "running", set)
    assert program.faults(wishes, datetime.now(UTC)) == []


def test_the_watch_expects_of_each_port_its_own_certificate(
    program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    pop = another(pki)
    wishes = config(pki, pop)
    program.renewed(wishes)
    served = {465: fingerprint(bundle(pki)), 995: fingerprint(bundle(pki, pop["name"]))}
    asked = []

    def look(port: dict[str, Any]) -> dict[str, str]:
        asked.append((port["port"], port["name"]))
        return {"fingerprint": served[port["port"]]}

    monkeypatch.setattr(program, "running", lambda: {"smtps", "pop3s"})
    monkeypatch.setattr(tls_served, "look", look)
    assert program.faults(wishes, datetime.now(UTC)) == []
    assert asked == [(465, HOST), (995, "pop.example.test")]
    served[995] = served[465]
    (found,) = program.faults(wishes, datetime.now(UTC))
    assert found.startswith("port 995 (pop3s) serves another certificate")
    assert str(bundle(pki, pop["name"])) in found


@pytest.mark.parametrize(
    ("features", "asked"),
    [("auth\nfilters\nstarttls\n", {25, 465}), ("filters\n", {465}), ("starttls-not\n", {465}), (None, {465})],
)
def test_a_qmail_without_starttls_is_not_asked_for_it(
    program: Any, pki: Pki, monkeypatch: pytest.MonkeyPatch, features: str | None, asked: set[int]
) -> None:
    wishes = config(pki)
    wishes["certificates"][0]["services"] = ["smtp", "smtps"]
    program.renewed(wishes)
    if features is not None:
        Path(wishes["features"]).write_text(features)
    seen = set()

    def look(port: dict[str, Any]) -> dict[str, str]:
        seen.add(port["port"])
        return {"fingerprint": fingerprint(bundle(pki))}

    monkeypatch.setattr(program, "running", lambda: {"smtp", "smtps"})
    monkeypatch.setattr(tls_served, "look", look)
    assert program.faults(wishes, datetime.now(UTC)) == []
    assert seen == asked


def test_the_watch_mails_the_postmaster(
    program: Any, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent"
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\n[ "$*" = postmaster@mail.example.test ] && exec cat >{sent}\n')
    sendmail.chmod(0o755)
    monkeypatch.setattr(program, "SENDMAIL", sendmail)
    assert program.watch(config(pki)) == 1
    message = message_from_bytes(sent.read_bytes())
    assert message["To"] == "postmaster@mail.example.test"
    assert str(bundle(pki)) in str(message.get_payload(decode=True))


def test_a_mail_that_can_not_be_sent_is_told(
    program: Any, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "SENDMAIL", tmp_path / "nothing")
    assert program.watch(config(pki)) == 1
    assert "could not be sent" in capsys.readouterr().err


def test_a_hostile_subject_is_one_line_in_log_and_mail(
    program: Any, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leaf = issue("\x1b[2Jx\r\nBcc: all@example.test\n\n", pki.middle, names=[HOST], days=3)
    bundle(pki).write_bytes(leaf.pem + pki.middle.pem + leaf.key_pem())
    sent, sendmail = tmp_path / "sent", tmp_path / "sendmail"
    sendmail.write_text(f"#!/bin/sh\nexec cat >{sent}\n")
    sendmail.chmod(0o755)
    monkeypatch.setattr(program, "SENDMAIL", sendmail)
    assert program.watch(config(pki)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    message = message_from_bytes(sent.read_bytes())
    assert message["Bcc"] is None
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.count(b"\n") == 1


def test_the_hook_obeys_neither_its_environment_nor_what_it_is_told(tmp_path: Path) -> None:
    """certbot's environment is whoever's who runs it; a sentence may hold a file name with backslashes."""
    said = tmp_path / "said"
    logger = tmp_path / "logger"
    logger.write_text(f'#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >{said}\n')
    logger.chmod(0o755)
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "certs.py").write_text("import json, sys\nsys.exit('certs: -n \\\\c no good')\n")
    place = tmp_path / "program"
    place.mkdir()
    (tmp_path / "certs.py").rename(place / "certs.py")
    hook = tmp_path / "hook"
    text = (ROOT / "roles/certs/files/etc/letsencrypt/renewal-hooks/deploy/qmail-site").read_text()
    hook.write_text(text.replace("/usr/local/lib/qmail-site", str(place)))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "RENEWED_LINEAGE": "$(id)"}
    done = subprocess.run(["/bin/sh", hook], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "certs: -n \\c no good\n")
    assert said.read_text().splitlines() == ["-t", "qmail-site-certs", "--", "certs: -n \\c no good"]


def test_it_needs_no_ansible_on_the_host(tmp_path: Path) -> None:
    tasks = yaml.safe_load((ROOT / "roles/certs/tasks/program.yml").read_text())
    (parts,) = (file["each"] for file in tasks[0]["host_files"]["files"] if "module_utils" in file.get("source", ""))
    for file in (
        PROGRAM,
        *(ROOT / f"module_utils/{name}.py" for name in parts),
    ):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    hidden = tmp_path / "ansible"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('no ansible here')")
    done = subprocess.run([sys.executable, tmp_path / "certs.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: certs.py renewed|watch\n")


def test_no_other_role_s_program_is_taken_for_a_stranger_s() -> None:
    """A play warns of what nobody declared in /usr/local/lib/qmail-site, and says to remove it."""
    tasks = yaml.safe_load((ROOT / "roles/certs/tasks/program.yml").read_text(encoding="utf-8"))
    (known,) = (
        set(each["besides"])
        for task in tasks
        for each in task.get("host_files", {}).get("directories", [])
        if each["path"] == "{{ _certs_program }}"
    )
    others = {path.name for path in ROOT.glob("roles/*/files/usr/local/lib/qmail-site/*") if "certs" not in path.parts}
    assert "mail-dkim" in others
    assert others <= known
