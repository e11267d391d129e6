"""What is secret is in no output, argument, log or open file."""

from __future__ import annotations

import re

import pytest

from tests.declared.conftest import Seen

# Who may hold a secret, and how closed it is.
BACKUP = "/etc/shadow- (accounts)"
PLACES = {
    "/etc/qmail-shadow": "600 root root",
    "/var/qmail/control/smtproutes_auth": "640 root qmail",
    "/var/qmail/control/clientkey.pem": "640 root qmail",
    "/etc/shadow (accounts)": "640 root shadow",
    "/etc/qmail-shadow (accounts)": "600 root root",
}


@pytest.mark.parametrize("play", ["changed", "again", "by tag", "accounts", "as it was"])
def test_no_secret_is_in_the_output_of_a_play(seen: Seen, play: str) -> None:
    assert [what for what, word in seen.words.items() if word in seen.outputs[play]] == []


def test_the_output_tells_whose_password_changed(seen: Seen) -> None:
    assert "+alice (another password)" in seen.outputs["changed"]
    assert "(its content is secret)" in seen.outputs["changed"]


def test_a_declared_password_opens_the_mailbox_and_its_hash_stays(seen: Seen) -> None:
    assert seen.login == "0\n"
    assert seen.kept[0].startswith("$y$")
    assert seen.kept[1] == seen.kept[0]
    assert "(another password)" not in seen.outputs["again"]
    assert re.search(r"\bchanged=0\b", seen.outputs["again"])


def test_no_secret_was_an_argument_of_a_program(seen: Seen) -> None:
    assert seen.arguments == []


def test_no_secret_is_in_the_journal(seen: Seen) -> None:
    assert [what for what, word in seen.words.items() if word in seen.journal] == []


def test_secrets_are_in_their_places_alone_and_these_are_closed(seen: Seen) -> None:
    keys = {path: mode for path, mode in seen.files.items() if path.startswith(("/etc/qmail-site/", "/etc/stunnel/"))}
    assert {mode.split()[0] for mode in keys.values()} <= {"600", "640"}
    found = {path: mode for path, mode in seen.files.items() if path not in keys}
    # The backup that chpasswd makes holds what was there before its last change, whichever that was.
    assert found.pop(BACKUP, "640 root shadow") == "640 root shadow"
    assert found == PLACES


def test_qmail_remote_takes_the_relays_password(seen: Seen) -> None:
    assert "smtproutes_auth" not in seen.remote
    assert "able to establish an SMTP connection" in seen.remote
