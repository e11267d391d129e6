"""One stranger with many messages that cost much, and what others see of it meanwhile."""

from __future__ import annotations

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.spam.conftest import FILTERS, Host
from tests.spam.test_zones import SHARED, STRANGER, message, told
from verify.talk import Person, Reply, Site, Smtp, fetch

LATER = (451, "the spam filter is not available, try again later (#4.3.0)")
ROWS = b"<tr><td>a cell</td><td>another cell</td></tr>\r\n" * 10000

# Another client than this machine: the host itself, by its own address, which may not relay.
OTHER = """
import smtplib, sys, time
address, recipient, subject = sys.argv[1:]
began = time.monotonic()
with smtplib.SMTP(address, timeout=60, source_address=(address, 0)) as smtp:
    smtp.sendmail("other@example.org", recipient, f"Subject: {subject}\\r\\n\\r\\nbody\\r\\n")
print(time.monotonic() - began)
"""


def flood(
    site: Site, person: Person, subjects: list[str], begun: threading.Event, body: bytes
) -> list[tuple[Reply, float]]:
    """Send messages of this body at once; give each answer, and the seconds that it took."""
    start = threading.Barrier(len(subjects), action=begun.set, timeout=60)

    def session(subject: str) -> tuple[Reply, float]:
        with Smtp(site) as smtp:
            smtp.socket.settimeout(180)
            smtp.envelope(STRANGER, person.address)
            data = message("flood", subject, b"Content-Type: text/html\r\n", body)
            start.wait()
            began = time.monotonic()
            smtp.send(data + b".\r\n")
            return smtp.reply(), time.monotonic() - began

    with ThreadPoolExecutor(len(subjects)) as pool:
        return list(pool.map(session, subjects))


def from_another(host: Host, site: Site, person: Person, subject: str) -> float:
    """Send a message as another client; give the seconds until it was accepted."""
    command = ["podman", "exec", host.name, "python3", "-c", OTHER, site.address, person.address, subject]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_one_stranger_s_costly_messages_make_nobody_else_wait(
    site: Site, alice: Person, bob: Person, host: Host, marker: str
) -> None:
    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(flood, site, alice, [f"{marker} slow 60"] * 10, begun, ROWS)
        assert begun.wait(60)
        time.sleep(1)
        waited = [from_another(host, site, bob, f"{marker}-{number}") for number in range(3)]
        assert not flooding.done()
        answers = flooding.result()
    # Each scan takes the 12 seconds that spamd allows, and 20 seconds are what a message may wait for its turn.
    assert max(waited) < 10, waited
    assert {told(reply) for reply, _ in answers} == {LATER, SHARED}
    assert sum(told(reply) == LATER for reply, _ in answers) <= 3
    assert max(seconds for _, seconds in answers) < 50
    for number in range(3):
        fetch(site, bob, f"{marker}-{number}")
    assert host.nothing_queued()


def test_messages_of_one_client_that_cost_little_all_have_their_turn(site: Site, alice: Person, marker: str) -> None:
    answers = flood(site, alice, [f"{marker}-{number}" for number in range(10)], threading.Event(), b"body\r\n")
    assert {reply.code for reply, _ in answers} == {250}
    for number in range(10):
        fetch(site, alice, f"{marker}-{number}")


def test_the_table_is_the_sessions_alone(host: Host) -> None:
    places = "/var/lib/spamzone", "/var/lib/spamzone/slots", "/var/lib/spamzone/large"
    assert host(f"stat -c '%U %a' {' '.join(places)}").splitlines() == ["root 711", "qmaild 600", "qmaild 700"]
    line = host(f"grep spamzone {FILTERS}")
    assert " -d /var/lib/spamzone -n 4 -c 1 -w 20 " in line
    assert "--max-children=5" in host("tr '\\0' ' ' <\"/proc/$(cat /run/spamd/spamd.pid)/cmdline\"").split()


def test_nothing_is_left_of_large_messages(host: Host) -> None:
    assert host("ls -A /var/lib/spamzone").split() == ["large", "slots"]
    assert host("ls -A /var/lib/spamzone/large") == ""
