"""What is declared anew of a finished host is at work when the play is over, and nothing else was touched for it."""

from __future__ import annotations

from tests.declared.conftest import Seen


def test_a_new_user_logs_in_and_has_what_strangers_send(seen: Seen) -> None:
    assert b"for-a-new-user" in seen.fetched


def test_a_new_user_is_a_recipient_and_a_dropped_alias_is_none(seen: Seen) -> None:
    told = [
        {recipient.split("@")[0]: code for recipient, code in replies.items() if recipient.endswith("@example.test")}
        for replies in (seen.before, seen.replies)
    ]
    assert told == [{"info": 250, "alice": 250, "carol": 550}, {"info": 550, "alice": 250, "carol": 250}]


def test_who_comes_by_the_tag_users_alone_is_known_when_that_play_is_over(seen: Seen) -> None:
    told = [{recipient.split("@")[0]: code for recipient, code in replies.items()} for replies in seen.by_tag]
    assert told == [{"dora": 550, "erin": 550}, {"dora": 250, "erin": 550}]


def test_what_changes_is_told_in_words_and_of_the_addresses_no_file(seen: Seen) -> None:
    lines = seen.outputs["by tag"].splitlines()
    assert "++ mailbox dora: system" in lines
    shown = [line for line in lines if line.startswith(("--- ", "+++ "))]
    assert [line for line in shown if "/var/qmail/" in line] == []


def test_the_service_whose_unit_changed_runs_as_it_is_declared(seen: Seen) -> None:
    before, after = seen.units
    assert " -c 35 " in after
    assert " -c 35 " not in before
    assert before.splitlines()[0] != after.splitlines()[0]


def test_no_other_service_was_started_anew(seen: Seen) -> None:
    before, after = seen.pids
    assert {"send", "smtp", "smtps", "submission", "pop3s", "spamd"} <= set(before)
    assert {name for name in before if before[name] != after.get(name)} == {"pop3s"}
    assert set(after) == set(before)
