"""Domains with letters beyond ASCII, from RCPT to the delivery: one domain in each of its spellings."""

from __future__ import annotations

import pytest
from lab.dialogue import Smtp
from lab.sendlab import site
from lab.suite import Home

SPELLINGS = ["bücher.test", "BÜCHER.Test", "xn--bcher-kva.test", "XN--bcher-kva.test"]


@pytest.mark.parametrize("listed", ["bücher.test", "xn--bcher-kva.test"])
def test_a_recipient_is_accepted_in_every_spelling_of_a_listed_domain(home: Home, listed: str) -> None:
    home.control(rcpthosts=listed, validrcptto="ann@xn--bcher-kva.test")
    assert home.run("qmail-newvrt").returncode == 0
    with Smtp(home) as session:
        for domain in SPELLINGS:
            assert session.command("MAIL FROM:<joe@x.test>").startswith("250 ")
            assert session.command(f"RCPT TO:<bob@{domain}>").startswith("55"), domain
            assert session.command(f"RCPT TO:<ann@{domain}>").startswith("250 "), domain
            assert session.command("RCPT TO:<ann@köln.test>").startswith("553 ")
            assert session.command("RSET").startswith("250 ")


@pytest.mark.parametrize("listed", ["bücher.test", "xn--bcher-kva.test"])
def test_a_delivery_is_local_in_every_spelling(listed: str) -> None:
    with site() as made:
        made.home.control(locals=listed)
        made.start()
        made.queue.send(b"Subject: x\n\n", "", *(f"alice@{domain}" for domain in SPELLINGS))
        made.await_log(": success: did_1", len(SPELLINGS))
        assert len(made.mail()) == len(SPELLINGS)
