"""What is declared otherwise is so for the next command of an open session, and nothing is started again."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from tests.people.conftest import Declared, changed
from tests.people.test_log_in import smtp_answer
from verify.talk import STRANGER, Smtp

NEWS, GONE, NEW_DOMAIN = "news@beta.test", "info@gamma.test", "anybody@delta.test"


def otherwise(variables: dict[str, Any]) -> dict[str, Any]:
    """The same site with another address, one less, a domain more, and somebody who may no longer send."""
    other = copy.deepcopy(variables)
    other["mail_domains"][1]["addresses"] |= {"news": ["mona", "dave"]}
    del other["mail_domains"][1]["addresses"]["*"]
    other["mail_domains"][2]["addresses"] = {"office": "dave"}
    other["mail_domains"].append({"name": "delta.test", "users": False, "addresses": {"*": "mona"}})
    return other


def processes(people: Declared) -> str:
    return people.host("cd /run; grep -H . qmail/*.pid")


def test_a_second_play_changes_nothing(people: Declared) -> None:
    assert changed(people.play(people.variables)) == 0


def test_an_open_session_goes_by_what_is_declared_now(people: Declared) -> None:
    before = processes(people)
    with Smtp(people.site) as smtp:
        smtp.ehlo()

        def answers() -> list[int]:
            codes = []
            for recipient in (NEWS, "anything@beta.test", GONE, NEW_DOMAIN):
                smtp.say("RSET")
                smtp.say(f"MAIL FROM:<{STRANGER}>")
                codes.append(smtp.say(f"RCPT TO:<{recipient}>").code)
            return codes

        assert answers() == [250, 250, 250, 553]
        told = people.play(otherwise(people.variables), "--check")
        assert "+ news@beta.test → mona, dave" in told.replace("+++", "").replace("\n+", "\n")
        assert answers() == [250, 250, 250, 553]
        people.play(otherwise(people.variables))
        assert answers() == [250, 550, 550, 250]
        people.play(people.variables)
        assert answers() == [250, 250, 250, 553]
    assert processes(people) == before


def test_the_host_says_where_an_address_goes(people: Declared) -> None:
    assert "sales@beta.test → mona, dave, partner@outside.test" in people.host("mail-site show sales@beta.test")
    assert "550 5.1.1" in people.host("mail-site show nobody@gamma.test")
    assert "uid 200" in people.host("mail-site list")


def test_a_password_that_root_sets_is_in_force_until_the_declaration_changes(people: Declared) -> None:
    people.host("mail-site passwd mona", b"another one of mona's\n")
    new = people.person("mona", "another one of mona's")
    assert smtp_answer(people, new) == 235
    assert smtp_answer(people, people.person("mona", "mona")) == 535
    told = people.play(people.variables)
    assert "the password was set on this host" in " ".join(told.split())
    assert smtp_answer(people, new) == 235
    other = copy.deepcopy(people.variables)
    other["mail_users"][2]["password"] = "still another, from the vault"  # noqa: S105 - it opens nothing
    people.play(other)
    assert smtp_answer(people, new) == 535
    assert smtp_answer(people, people.person("mona", "still another, from the vault")) == 235
    people.play(people.variables)


def test_a_mailbox_that_is_no_longer_declared_keeps_its_mail_and_its_uid(people: Declared) -> None:
    was = people.host("stat -c %u /srv/mail/erin@gamma.test").strip()
    fewer = copy.deepcopy(people.variables)
    fewer["mail_users"] = [user for user in fewer["mail_users"] if user["name"] != "erin@gamma.test"]
    fewer["mail_users"].append({"name": "henry@gamma.test", "password_hash": "*"})
    people.play(fewer)
    assert people.host("stat -c %u /srv/mail/henry@gamma.test").strip() != was
    assert "mail/erin@gamma.test: the mail of erin@gamma.test" in people.host("mail-site undeclared")
    people.play(people.variables)
    assert people.host("stat -c %u /srv/mail/erin@gamma.test").strip() == was


def signers(people: Declared) -> set[str]:
    """The domains that have a key which signs."""
    return {each["domain"] for each in json.loads(people.host("mail-dkim records")) if each["state"] == "current"}


def test_what_a_new_domain_sends_is_signed_at_once(people: Declared) -> None:
    told = people.play(otherwise(people.variables), "--check")
    assert re.search(r"delta\.test: key \S+ \(rsa\) made, and signs", told)
    assert signers(people) & {"delta.test"} == set()
    assert re.search(r"delta\.test: key \S+ \(rsa\) made, and signs", people.play(otherwise(people.variables)))
    assert "delta.test" in signers(people)
    assert changed(people.play(otherwise(people.variables))) == 0
    people.play(people.variables)
