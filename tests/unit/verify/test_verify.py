"""bin/verify: what it makes of its options, of the suite's names, and of the scanners' findings."""

import contextlib
import datetime
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.pki import Pki, issue
from verify import __main__ as command
from verify import arguments, cases, report, tlsfacts
from verify.refusals import was_looked_at
from verify.talk import Site


def describe(*words: str) -> dict[str, object]:
    return arguments.describe(arguments.parser().parse_args(list(words)))


def test_a_tests_name_is_a_sentence() -> None:
    assert cases.plain_words("test_25_auth_is_not_offered") == "25 AUTH is not offered"
    assert cases.plain_words("test_by_ipv6_starttls_works") == "by IPv6 STARTTLS works"


def test_the_domain_is_the_hosts_without_its_first_label() -> None:
    assert describe("--host", "mail.example.test", "--address", "192.0.2.1")["domain"] == "example.test"


def test_a_host_of_two_labels_is_its_own_domain() -> None:
    assert describe("--host", "example.test", "--address", "192.0.2.1")["domain"] == "example.test"


def test_a_service_can_be_said_to_be_absent() -> None:
    ports = describe(
        "--host", "a.example.test", "--address", "192.0.2.1", "--port-pop3s", "none", "--port-smtp", "2525"
    )
    assert ports["ports"] == {"smtp": 2525, "pop3s": None}


def test_a_service_can_have_another_name(tmp_path: Path) -> None:
    words = ["--host", "mail.example.test", "--address", "192.0.2.1", "--name-pop3s", "pop.example.test"]
    data = describe(*words)
    assert data["names"] == {"pop3s": "pop.example.test"}
    site = Site.from_json(data)
    assert [site.name(place) for place in ("starttls", "smtps", "pop3s")] == [
        *["mail.example.test"] * 2,
        "pop.example.test",
    ]


@pytest.mark.parametrize(
    ("features", "places"),
    [
        (None, ["starttls", "smtps"]),
        (["auth", "starttls"], ["starttls", "smtps"]),
        (["filters"], ["smtps"]),
        ([], ["smtps"]),
    ],
)
def test_a_qmail_without_starttls_has_no_such_door(features: list[str] | None, places: list[str]) -> None:
    site = Site.from_json({"host": "a.b", "address": "192.0.2.1", "domain": "b", "features": features})
    assert [place for place in ("starttls", "smtps") if site.has(place)] == places


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", ""])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(arguments.VerifyError, match=r"--port-smtp: .* is no port"):
        describe("--host", "a.example.test", "--address", "192.0.2.1", f"--port-smtp={port}")


def test_no_host_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(arguments.VerifyError, match="--host NAME"):
        describe()


def test_a_ca_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(arguments.VerifyError, match=r"none\.pem: no such file"):
        describe("--host", "a.b", "--address", "192.0.2.1", "--ca-file", str(tmp_path / "none.pem"))


def test_passwords_come_from_the_file_in_the_order_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("one\ntwo\n")
    words = ["--host", "mail.example.test", "--address", "192.0.2.1", "--user", "a", "--user", "b=b@example.org"]
    assert describe(*words, "--password-file", str(file))["users"] == [
        {"login": "a", "address": "a@example.test", "password": "one"},
        {"login": "b", "address": "b@example.org", "password": "two"},
    ]


def test_too_few_passwords_are_told(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("one\n")
    with pytest.raises(arguments.VerifyError, match="has 1 lines; 2 users"):
        describe("--host", "a.b", "--address", "::1", "--user", "a", "--user", "b", "--password-file", str(file))


class _Report:
    def __init__(self, text: str) -> None:
        self.longrepr = text


@pytest.mark.parametrize(
    "text",
    ["assert say('AUTH PLAIN AGEAc2VjcmV0') == 1", "PASS hunter2secret: -ERR", "Person(password='hunter2secret')"],
)
def test_no_cause_of_a_failure_shows_a_password(text: str) -> None:
    cause = cases.Recorder(["hunter2secret"], 1e9)._cause(_Report(text))  # type: ignore[arg-type]
    assert "hunter2secret" not in cause
    assert "AGEAc2VjcmV0" not in cause


def test_nothing_asked_is_not_well() -> None:
    assert not report.Outcome().well


def test_a_scanners_fault_is_not_well() -> None:
    outcome = report.Outcome(checks=[cases.Check("g", "w", "", "passed")])
    assert outcome.well
    outcome.scans.append(tlsfacts.Scan("sslscan", "smtps", ["RC4"]))
    assert not outcome.well


def test_the_report_names_what_failed_and_why() -> None:
    site = {"host": "h", "address": "a", "address6": None, "domain": "d"}
    outcome = report.Outcome(checks=[cases.Check("group", "it holds", "case", "failed", "it did not")])
    text = report.report(site, outcome, every=False)
    assert "FAILED it holds" in text
    assert "case: it did not" in text
    assert "NOT WELL" in text


def test_the_json_is_one_object_without_passwords() -> None:
    site = {"host": "h", "address": "a", "address6": None, "domain": "d", "users": [{"password": "hunter2secret"}]}
    text = report.as_json(site, report.Outcome())
    assert json.loads(text)["ok"] is False
    assert "hunter2secret" not in text


def test_sslscan_finds_old_versions_and_weak_ciphers() -> None:
    xml = """<document><ssltest host="h">
      <protocol type="ssl" version="3" enabled="0"/><protocol type="tls" version="1.1" enabled="1"/>
      <protocol type="tls" version="1.2" enabled="1"/><heartbleed sslversion="TLSv1.2" vulnerable="0"/>
      <compression supported="0"/>
      <cipher status="accepted" sslversion="TLSv1.2" cipher="ECDHE-RSA-AES128-GCM-SHA256" strength="strong"/>
      <cipher status="accepted" sslversion="TLSv1.2" cipher="RC4-SHA" strength="weak"/></ssltest></document>"""
    assert tlsfacts.sslscan_faults(xml) == ["TLS 1.1 is spoken", "RC4-SHA (TLSv1.2) is weak"]


def test_sslscan_without_a_result_is_a_fault() -> None:
    assert tlsfacts.sslscan_faults("<document></document>") == ["sslscan could not scan this"]


def test_testssl_counts_what_it_calls_high_or_critical_and_leaves_trust_to_the_suite() -> None:
    rows = [
        {"id": "TLS1_2", "severity": "OK", "finding": "offered"},
        {"id": "TLS1", "severity": "HIGH", "finding": "offered"},
        {"id": "cert_chain_of_trust", "severity": "CRITICAL", "finding": "failed (self signed)"},
        {"id": "BREACH", "severity": "MEDIUM", "finding": "potentially"},
    ]
    assert tlsfacts.testssl_faults(json.dumps(rows)) == ["TLS1: offered"]


def test_testssl_without_a_result_is_a_fault() -> None:
    assert tlsfacts.testssl_faults("[]") == ["testssl.sh could not scan this"]


def test_what_a_site_says_of_itself_does_not_reach_the_terminal_as_it_is() -> None:
    """A certificate may hold any text, and so may a reply."""
    hostile = "\x1b]0;owned\x07\x1b[2J\n  all well: 999 passed\u202e\r"
    site = {"host": "h", "address": "a", "address6": None, "domain": "d"}
    outcome = report.Outcome(
        checks=[cases.Check("group", "it holds", "case", "failed", hostile)],
        tls=[tlsfacts.Facts("smtps", 465, names=[hostile], issuer=hostile)],
        scans=[tlsfacts.Scan("testssl.sh", "smtps", [hostile])],
        warnings=[hostile],
    )
    text = report.report(site, outcome, every=True)
    assert all(line.isprintable() for line in text.split("\n"))
    assert not [line for line in text.split("\n") if line.startswith("  all well")]


class Doors:
    """Two doors of a site on this machine: one that only takes connections, and POP3S."""

    def __init__(self, folder: Path) -> None:
        """Have an authority, and no certificate yet."""
        self.pki, self.folder = Pki(folder), folder
        self.plain, self.pop3s = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))

    def describe(self, ca_file: Path | None) -> dict[str, object]:
        """Describe the site; write it to a file, too."""
        others = dict.fromkeys(("smtps", "submission", "pop3"))
        ports = {"smtp": self.plain.getsockname()[1], "pop3s": self.pop3s.getsockname()[1]}
        data = {"host": "mail.example.test", "address": "127.0.0.1", "address6": "none", "domain": "example.test"}
        site: dict[str, object] = {
            **data,
            "ports": ports | others,
            "features": [],
            "users": [],
            "ca_file": ca_file and str(ca_file),
        }
        (self.folder / "site.json").write_text(json.dumps(site))
        return site

    def serve(self, name: str, days: float = 90) -> None:
        """Serve a certificate of this name from now on."""
        leaf = issue(name, self.pki.middle, begin=datetime.timedelta(days=-9), days=days)
        chain = self.pki.write("served.pem", leaf.pem, self.pki.middle.pem, leaf.key_pem())
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(chain)
        threading.Thread(target=self._answer, args=(tls,), daemon=True).start()

    def _answer(self, tls: ssl.SSLContext) -> None:
        while True:
            try:
                client = self.pop3s.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), tls.wrap_socket(client, server_side=True):
                pass


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    made = Doors(tmp_path)
    yield made
    for door in (made.plain, made.pop3s):
        door.shutdown(socket.SHUT_RDWR)
        door.close()


@pytest.mark.parametrize("known", [None, "roots.pem", "another.pem"])
def test_an_unknown_authority_is_one_sentence(
    doors: Doors, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, known: str | None
) -> None:
    monkeypatch.setattr(
        command, "ask", lambda *_: pytest.fail("asked all the same") if known != "roots.pem" else ([], False)
    )
    doors.serve("mail.example.test")
    doors.pki.write("another.pem", issue("another root", ca=True).pem)
    site = doors.describe(doors.folder / known if known else None)
    code = command.main(["--site", str(doors.folder / "site.json"), "--no-scanner"])
    said = capfd.readouterr().err.splitlines()[-1]
    assert (code == 2) is tlsfacts.strangers(site) is (known != "roots.pem")
    if code == 2:
        assert said.startswith("verify: mail.example.test: its certificates are by CN=middle CA, whom ")
        assert "give --ca-file" in said


@pytest.mark.parametrize(("name", "days"), [("other.example.test", 90), ("mail.example.test", -1)])
def test_a_certificate_that_is_wrong_otherwise_is_for_the_questions(doors: Doors, name: str, days: float) -> None:
    doors.serve(name, days)
    assert not tlsfacts.strangers(doors.describe(doors.folder / "roots.pem"))


def test_a_site_without_tls_has_no_authority_to_be_known(doors: Doors) -> None:
    site = doors.describe(None)
    site["ports"] = dict.fromkeys(("smtp", "smtps", "submission", "pop3s", "pop3"))
    assert not tlsfacts.strangers(site)


@pytest.mark.parametrize(
    ("said", "looked"),
    [
        (["535 authorization failed (#5.7.8)"], True),
        (["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "535 authorization failed"], True),
        (["454 temporary authentication failure (#4.7.0)"], False),
        (["535 authorization failed", "454 temporary authentication failure"], False),
        (["closed"], True),
    ],
)
def test_a_password_that_the_site_did_not_look_at_is_no_answer(said: list[str], looked: bool) -> None:
    assert was_looked_at(said) is looked
