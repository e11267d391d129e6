"""What is declared holds when the play is over, and what is no longer declared is gone."""

from __future__ import annotations

from tests.declared.conftest import BY_HAND, Seen


def test_a_virtual_address_is_just_that_one_and_a_virtual_domain_is_all_of_it(seen: Seen) -> None:
    told = {
        recipient: code for recipient, code in seen.replies.items() if recipient.endswith(("beta.test", "gamma.test"))
    }
    assert told == {"info@beta.test": 250, "alice@beta.test": 550, "x@beta.test": 550, "any@gamma.test": 250}


def test_what_is_written_is_compiled_in_the_same_run(seen: Seen) -> None:
    assert seen.replies["u@backup.test"] == 250
    assert seen.replies["x@elsewhere.test"] == 553


def test_mail_for_a_virtual_address_is_in_its_users_maildir(seen: Seen) -> None:
    assert seen.delivered == ["/home/alice/Maildir", "/home/bob/Maildir"]


def test_a_maildir_without_tmp_is_mended(seen: Seen) -> None:
    assert seen.listed["changed"][-3:] == ["cur", "new", "tmp"]


def test_what_is_no_longer_declared_is_gone_and_what_was_made_by_hand_is_told(seen: Seen) -> None:
    new = {
        ".qmail-info",
        ".qmail-default",
        "clientkey.pem",
        "morercpthosts",
        "morercpthosts.cdb",
        "smtproutes",
        "smtproutes_auth",
    }
    assert new <= set(seen.listed["changed"])
    assert not new & set(seen.listed["as it was"])
    assert "by-hand" in seen.listed["as it was"]
    assert f"{BY_HAND.rpartition('/')[0]}: by-hand: not declared" in " ".join(seen.outputs["as it was"].split())
