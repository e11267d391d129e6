"""The report on TLS that a domain asks for (RFC 8460), as the host's own timer sends it."""

from __future__ import annotations

import datetime
import gzip
import json
import time

from tests.world.conftest import SECONDS, World, letter, read, token

DELTA = "carol@delta.example"
ASKED = ("delta.example.", "_smtp._tls.delta.example.", "TXT")
# What alpha keeps of its sessions, changed by the account that has it: none of them is left, or
# those of today become the day before's.
FORGOTTEN = "DELETE FROM result"
DATED_BACK = "UPDATE result SET day = day - 1"
COUNTED = "SELECT count(*) FROM result"


def of_results(world: World, command: str) -> str:
    """Ask what alpha keeps, or change it; give the number that it answers with."""
    program = (
        "import sqlite3; db = sqlite3.connect('/var/lib/qmail-policy/policy.db', timeout=30, isolation_level=None);"
        f"print(*db.execute('{command}').fetchall() or '')"
    )
    who = "setpriv --reuid=qmailpolicy --regid=qmailpolicy --clear-groups"
    return world.host("alpha")(f'{who} python3 -c "{program}"').strip("(,)\n")


def test_a_day_s_report_is_sent_by_its_unit_and_signed(world: World) -> None:
    alpha = world.host("alpha")
    of_results(world, FORGOTTEN)
    word = token()
    world.submit("alpha", "alice@alpha.example", DELTA, letter("alice@alpha.example", DELTA, word))
    world.message("gamma", word)
    deadline = time.monotonic() + SECONDS
    while of_results(world, COUNTED) == "0":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    of_results(world, DATED_BACK)

    to = token()
    with world.named(*ASKED, f'"v=TLSRPTv1; rua=mailto:{to}@gamma.example"'):
        since = alpha.now()
        alpha("systemctl start qmail-tlsrpt.service")
        raw = world.arrived("gamma", to)
    said = world.journal("alpha", "-u qmail-tlsrpt.service", since)
    yesterday = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    assert f"mail-tlsrpt: delta.example: 1 results of {yesterday}, sent to 1" in said, said
    assert of_results(world, COUNTED) == "0"

    assert world.verified(raw) == ["dkimpy: pass", "OpenDKIM: pass"]
    message = read(raw)
    found = world.results("gamma", message)
    for each in ("spf=pass", "dkim=pass", "header.d=alpha.example"):
        assert each in found, found
    assert message["Return-Path"] == "<>"
    assert message["TLS-Report-Domain"] == "delta.example"
    assert message["TLS-Report-Submitter"] == "mail.alpha.example"
    assert message.get_content_type() == "multipart/report"
    (part,) = [each for each in message.iter_parts() if each.get_content_type() == "application/tlsrpt+gzip"]
    report = json.loads(gzip.decompress(part.get_content()))
    assert report["organization-name"] == "mail.alpha.example"
    assert report["date-range"]["start-datetime"] == f"{yesterday}T00:00:00Z"
    (policy,) = report["policies"]
    assert policy["policy"]["policy-type"] == "sts"
    assert policy["policy"]["policy-domain"] == "delta.example"
    assert policy["policy"]["mx-host"] == ["mx.delta.example"]
    assert policy["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}


def test_with_nothing_to_report_nothing_is_sent(world: World) -> None:
    alpha = world.host("alpha")
    of_results(world, FORGOTTEN)
    since = alpha.now()
    alpha("systemctl start qmail-tlsrpt.service")
    assert "sent to" not in world.journal("alpha", "-u qmail-tlsrpt.service", since)
