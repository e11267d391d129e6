"""mail_passwords: the database has the declared hashes, and nothing else has."""

from __future__ import annotations

import ctypes
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import password_overrides
from ansible.module_utils.host_crypt import Crypt
from ansible.module_utils.password_overrides import Override
from passlib.hash import sha512_crypt

from library import mail_passwords
from tests.unit.conftest import RunModule

# What crypt(3) of Debian 13 makes of PASSWORD by each method that is strong enough, at the least cost.
PASSWORD = "grün ist es"  # noqa: S105 - it opens nothing
KEPT = (
    "$y$j75$FesN16zoVOpDg1u6BIzEg/$k4H3rKks3kYwInsn1yicV0wXINWguU/8MuWjwxGDQDA",
    "$gy$j75$hCDPVVonsfW.wMyvrgZIt0$CRUzkZk1u2aHJjGuvhLhA70vU6O8HFOT0i0Xpe31ibA",
    "$7$BU..../....OPWuPg40ty9SDAmqJUwAw/$mEtsbqnOGMq2t6bIgp4wJgbOcN7nmk6SjmBg3VKZ19/",
    "$2b$04$K12VRepyhJA9E5JwvjRSyuVdJ5dc70kBAknKZZg/vcUrm1BhqC4aK",
    "$2y$04$BCC3kvCyMs02N1SjMBdQvOEmXQRDWIBSIL8hDi4kn/Dhi1ud8BSVO",
    "$6$rounds=1000$/R2TefWC414BmqVh$HMzHdy63YBBiAM4VAaGkBxFBfJU0Xsxs8Ajg/ONb0hO3HvLSKSKepIqeQzgfmZKGFwUqRlZCFj05oWmlFHfwO1",
    "$5$rounds=1000$jtEmFNact9BdiUCB$D6M3o0J7GXDtPDyZuVDVsCsxtSofQ8f51AjwV/tgFB/",
)
WEAK = "$1$kDOClJM9$X18HT.1U6YtrJeBwAGAcJ."
ALICE, BOB = "$y$j9T$salt$" + "a" * 43, "$y$j9T$salt$" + "b" * 43


@pytest.fixture
def shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for /etc/shadow, and a chpasswd that tells what it was given."""
    path = tmp_path / "shadow"
    path.write_text(f"root:*:1::::::\nalice:{BOB}:1::::::\nbob:!:1::::::\ncarol:{BOB}:1::::::\n")
    monkeypatch.setattr(mail_passwords, "SHADOW", path)
    program = tmp_path / "bin" / "chpasswd"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments; env >{tmp_path}/environment; cat >{tmp_path}/stdin\n'
        f"[ ! -e {tmp_path}/broken ] || {{ echo 'chpasswd: cannot lock /etc/shadow' >&2; exit 1; }}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return path


def test_the_file_has_the_hashes_and_is_roots_alone(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    args = {"path": str(path), "hashes": {"bob": BOB, "alice": ALICE}}
    before = os.umask(0o022)
    try:
        answer = run_module(mail_passwords, args)
    finally:
        os.umask(before)
    assert (answer["changed"], answer["set"]) == (True, ["alice", "bob"])
    assert path.read_text() == f"alice:{ALICE}:::::::\nbob:{BOB}:::::::\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run_module(mail_passwords, args)["changed"] is False


def test_who_is_no_longer_declared_is_gone_and_the_rest_stays(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    run_module(mail_passwords, {"path": str(path), "hashes": {"bob": BOB, "alice": ALICE}})
    answer = run_module(mail_passwords, {"path": str(path), "hashes": {"bob": "*"}}, check=True)
    assert (answer["set"], answer["removed"]) == (["bob"], ["alice"])
    assert ALICE in path.read_text()
    run_module(mail_passwords, {"path": str(path), "hashes": {"bob": "*"}})
    assert path.read_text() == "bob:*:::::::\n"


def test_the_diff_tells_who_is_new_who_has_another_password_and_who_goes(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    first = run_module(mail_passwords, {"path": str(path), "hashes": {"bob": BOB, "alice": ALICE}})
    assert first["diff"]["after"] == "alice (a first password)\nbob (a first password)\n"
    other = run_module(mail_passwords, {"path": str(path), "hashes": {"bob": BOB, "alice": BOB}})
    assert (other["diff"]["before"], other["diff"]["after"]) == ("", "alice (another password)\n")
    gone = run_module(mail_passwords, {"path": str(path), "hashes": {"bob": BOB}})
    assert (gone["diff"]["before"], gone["diff"]["after"]) == ("alice\n", "")
    path.chmod(0o644)
    closed = run_module(mail_passwords, {"path": str(path), "hashes": {"bob": BOB}})
    assert (closed["diff"]["before"], closed["diff"]["after"]) == ("", "(another owner, mode or form)\n")


def test_the_diff_tells_of_a_device_s_password_whose_it_is(run_module: RunModule, tmp_path: Path) -> None:
    args: dict[str, Any] = {"path": str(tmp_path / "qmail-shadow"), "hashes": {"bob": BOB, "bob/phone": ALICE}}
    first = run_module(mail_passwords, args)
    assert first["diff"]["after"] == "bob (a first password)\nbob (a first password of device phone)\n"
    other = run_module(mail_passwords, args | {"hashes": {"bob": BOB, "bob/phone": BOB}}, check=True)
    assert other["diff"]["after"] == "bob (another password of device phone)\n"
    less = run_module(mail_passwords, args | {"details": {"bob/phone": {"services": ["smtp"], "until": 8}}})
    assert less["diff"]["after"] == "bob (other doors or another last day for the password of device phone)\n"


def test_a_database_that_others_can_read_is_closed(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    args = {"path": str(path), "hashes": {"bob": BOB}}
    run_module(mail_passwords, args)
    path.chmod(0o644)
    assert run_module(mail_passwords, args)["changed"] is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("check", [True, False])
def test_no_hash_is_in_what_it_says(run_module: RunModule, tmp_path: Path, check: bool) -> None:
    path = tmp_path / "qmail-shadow"
    path.write_text(f"alice:{BOB}:::::::\n")
    args = {"path": str(path), "hashes": {"alice": ALICE}, "_ansible_diff": True, "_ansible_verbosity": 3}
    text = json.dumps(run_module(mail_passwords, args, check=check))
    assert ALICE not in text
    assert BOB not in text
    assert "alice (another password)" in text


def test_in_the_accounts_database_hashes_go_through_a_pipe(run_module: RunModule, shadow: Path) -> None:
    args: dict[str, Any] = {"path": str(shadow), "hashes": {"alice": ALICE, "bob": "!"}, "lock": ["carol", "root", "x"]}
    assert run_module(mail_passwords, args, check=True)["set"] == ["alice"]
    assert not (shadow.parent / "stdin").exists()
    answer = run_module(mail_passwords, args)
    assert (answer["changed"], answer["set"], answer["removed"]) == (True, ["alice"], ["carol"])
    assert (shadow.parent / "stdin").read_text() == f"alice:{ALICE}\ncarol:!\n"
    for seen in ("arguments", "environment"):
        assert ALICE not in (shadow.parent / seen).read_text()


def test_nothing_to_set_asks_no_program(run_module: RunModule, shadow: Path) -> None:
    args = {"path": str(shadow), "hashes": {"alice": BOB}, "lock": ["bob"]}
    assert run_module(mail_passwords, args)["changed"] is False
    assert not (shadow.parent / "stdin").exists()


def test_a_failure_is_told_without_a_hash(run_module: RunModule, shadow: Path) -> None:
    (shadow.parent / "broken").touch()
    answer = run_module(mail_passwords, {"path": str(shadow), "hashes": {"alice": ALICE}})
    assert answer["failed"]
    assert "cannot lock" in answer["msg"]
    assert ALICE not in json.dumps(answer)


@pytest.mark.parametrize(("name", "value"), [("a", "x:y"), ("a", "x\nroot:y"), ("a:b", "*"), ("a", ""), ("a", "x y")])
def test_what_would_make_another_line_is_refused(run_module: RunModule, tmp_path: Path, name: str, value: str) -> None:
    answer = run_module(mail_passwords, {"path": str(tmp_path / "p"), "hashes": {name: value}})
    assert answer["failed"]
    assert not (tmp_path / "p").exists()


def hash_of(path: Path, name: str) -> str:
    return mail_passwords.entries(path)[name]


@pytest.mark.parametrize("kept", [*KEPT, sha512_crypt.hash(PASSWORD)])
def test_a_hash_that_the_password_fits_stays(run_module: RunModule, tmp_path: Path, kept: str) -> None:
    path = tmp_path / "qmail-shadow"
    args: dict[str, Any] = {"path": str(path), "hashes": {"alice": kept}}
    assert run_module(mail_passwords, args)["changed"] is True
    for text in (PASSWORD, PASSWORD + "\n"):
        assert run_module(mail_passwords, {"path": str(path), "passwords": {"alice": text}})["changed"] is False
    assert hash_of(path, "alice") == kept


@pytest.mark.parametrize("kept", [None, "*", "!", "!" + KEPT[0], WEAK, KEPT[0].replace("H3r", "H3s"), "ü$6$", PASSWORD])
def test_otherwise_the_host_makes_a_hash_of_its_own(run_module: RunModule, tmp_path: Path, kept: str | None) -> None:
    path = tmp_path / "qmail-shadow"
    if kept is not None:
        path.write_text(f"alice:{kept}:::::::\n")
    args = {"path": str(path), "hashes": {"bob": BOB}, "passwords": {"alice": PASSWORD}}
    answer = run_module(mail_passwords, args)
    assert (answer["changed"], answer["set"]) == (True, ["alice", "bob"])
    made = hash_of(path, "alice")
    assert made.startswith("$y$")
    assert Crypt().fits(PASSWORD.encode(), made)
    assert run_module(mail_passwords, args)["changed"] is False
    assert hash_of(path, "alice") == made


def test_another_password_is_another_hash_and_equal_ones_have_not_the_same(
    run_module: RunModule, tmp_path: Path
) -> None:
    path = tmp_path / "qmail-shadow"
    run_module(mail_passwords, {"path": str(path), "passwords": {"alice": PASSWORD, "bob": PASSWORD}})
    before = mail_passwords.entries(path)
    assert before["alice"] != before["bob"]
    args = {"path": str(path), "passwords": {"alice": PASSWORD, "bob": PASSWORD + "!"}}
    assert run_module(mail_passwords, args, check=True)["set"] == ["bob"]
    assert mail_passwords.entries(path) == before
    assert run_module(mail_passwords, args)["set"] == ["bob"]
    assert hash_of(path, "alice") == before["alice"]


def test_in_the_accounts_database_a_hash_stays_too(run_module: RunModule, shadow: Path) -> None:
    shadow.write_text(f"alice:{KEPT[0]}:1::::::\nbob:{KEPT[0]}:1::::::\n")
    args = {"path": str(shadow), "passwords": {"alice": PASSWORD, "bob": "another one"}}
    answer = run_module(mail_passwords, args)
    assert answer["set"] == ["bob"]
    (line,) = (shadow.parent / "stdin").read_text().splitlines()
    assert line.startswith("bob:$y$")
    for seen in ("arguments", "environment", "stdin"):
        assert "another one" not in (shadow.parent / seen).read_text()


@pytest.mark.parametrize("check", [True, False])
def test_no_password_is_in_what_it_says_or_writes(run_module: RunModule, tmp_path: Path, check: bool) -> None:
    path = tmp_path / "qmail-shadow"
    args = {"path": str(path), "passwords": {"alice": PASSWORD}, "_ansible_diff": True, "_ansible_verbosity": 3}
    text = json.dumps(run_module(mail_passwords, args, check=check), ensure_ascii=False)
    assert PASSWORD not in text
    assert "$y$" not in text
    assert "alice (a first password)" in text
    assert check or PASSWORD not in path.read_text()


@pytest.mark.parametrize(
    ("passwords", "sentence"),
    [
        ({"alice": "two\nlines"}, "the password of alice is empty, no string, or has a control character"),
        ({"alice": "a\0b"}, "the password of alice is empty, no string, or has a control character"),
        ({"alice": "\n"}, "the password of alice is empty"),
        ({"alice": "ü" * 101}, "the password of alice has more than 200 bytes"),
        ({"a:b": PASSWORD}, "'a:b' is not a user's name"),
        ({"bob": PASSWORD}, "bob has a hash and a password"),
    ],
)
def test_what_is_no_password_is_refused_without_it(
    run_module: RunModule, tmp_path: Path, passwords: dict[str, str], sentence: str
) -> None:
    answer = run_module(mail_passwords, {"path": str(tmp_path / "p"), "hashes": {"bob": BOB}, "passwords": passwords})
    assert sentence in answer["msg"]
    assert all(text not in answer["msg"] for text in passwords.values() if len(text) > 2)
    assert not (tmp_path / "p").exists()


def test_a_host_without_crypt_says_so(run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str, **_: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", none)
    answer = run_module(mail_passwords, {"path": str(tmp_path / "p"), "passwords": {"alice": PASSWORD}})
    assert "libcrypt.so.1: cannot open shared object file; install libcrypt1" in answer["msg"]
    assert run_module(mail_passwords, {"path": str(tmp_path / "p"), "hashes": {"bob": BOB}})["changed"] is True


def test_a_device_s_line_has_its_end_and_its_doors(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "qmail-shadow"
    details = {"alice/phone": {"until": 2, "services": ["smtp", "imap"]}, "bob/tablet": {}}
    hashes = {"alice": "*", "alice/phone": ALICE, "bob/tablet": BOB}
    run_module(mail_passwords, {"path": str(path), "hashes": hashes, "details": details})
    assert path.read_text() == f"alice:*:::::::\nalice/phone:{ALICE}::::::3:smtp,imap\nbob/tablet:{BOB}:::::::\n"


def test_a_password_that_was_set_on_the_host_counts_until_another_one_is_declared(
    run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("library.mail_passwords.AnsibleModule.warn", lambda _, text: told.append(text))
    path, set_here = tmp_path / "qmail-shadow", tmp_path / "passwords"
    args = {"path": str(path), "hashes": {"alice": ALICE}, "passwords": {"erin": PASSWORD}, "overrides": str(set_here)}
    run_module(mail_passwords, args)
    erin = mail_passwords.entries(path)["erin"]
    password_overrides.save({"alice": Override(BOB, ALICE), "erin": Override(BOB, erin)}, set_here)
    assert run_module(mail_passwords, args)["overridden"] == ["alice", "erin"]
    assert mail_passwords.entries(path) == {"alice": BOB, "erin": BOB}
    assert run_module(mail_passwords, args)["changed"] is False
    assert "alice, erin: the password was set on this host" in told[-1]
    other = args | {"hashes": {"alice": ALICE.replace("a", "c")}, "passwords": {"erin": "another password"}}
    run_module(mail_passwords, other, check=True)
    assert set_here.exists()
    run_module(mail_passwords, other)
    assert not set_here.exists()
    assert BOB not in path.read_text()
