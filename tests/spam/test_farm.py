"""A farm of spamds: the hosts of spamd_hosts, of which some are dead."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.spam.conftest import FILTERS, Host
from tests.spam.test_trouble import LATER
from tests.spam.test_zones import GREEN, YELLOW, accepted, message, submit, told
from verify.talk import Person, Site, fetch, find

ALIVE, DEAD, PORT = "127.0.0.2", "127.0.0.3", 7783
NAME = "farm.example.test"
RED = (554, "spam: score 7.0, refused from 7.0 (#5.7.1)")


@pytest.fixture(scope="module")
def farm(host: Host) -> Iterator[Host]:
    """Give a host with a further spamd, at a port of ALIVE; nobody listens there at DEAD."""
    command = host("tr '\\0' ' ' <\"/proc/$(cat /run/spamd/spamd.pid)/cmdline\"").split()
    rules = " ".join(word for word in command if word.startswith(("--configpath=", "--siteconfigpath=")))
    words = f"--nouser-config --local --max-children=2 --syslog=stderr --listen={ALIVE} --port={PORT} {rules}"
    host(f"systemd-run --quiet --unit=spam-farm --uid=spamd /usr/sbin/spamd {words} --allowed-ips=127.0.0.0/8")
    try:
        host(f"for i in $(seq 60); do spamc -K -x -t 2 -d {ALIVE} -p {PORT} && exit; sleep 1; done; exit 1")
        yield host
    finally:
        host("systemctl stop spam-farm")


@pytest.fixture
def ask(farm: Host, request: pytest.FixtureRequest) -> Iterator[Host]:
    """Give the same host with its filter as spamd_hosts writes it: these hosts are asked, and no socket."""
    before = farm.filter_line((" -U [^ ]+", f" -H -d {','.join(request.param)} -p {PORT}"))
    names = farm("cat /etc/hosts")
    farm("cat >>/etc/hosts", f"{DEAD} {NAME}\n{ALIVE} {NAME}\n".encode())
    yield farm
    farm("cat >/etc/hosts", names.encode())
    farm(f"cat >{FILTERS}", before.encode())


@pytest.mark.usefixtures("no_spamd")
@pytest.mark.parametrize("ask", [(NAME,), (ALIVE,)], indirect=True, ids=["a name with a dead address", "one address"])
def test_the_host_that_lives_decides(site: Site, alice: Person, ask: Host, marker: str) -> None:
    # spamc begins with either address, at random.
    for number in range(4):
        assert accepted(submit(site, alice, message(f"{marker}-{number}", "4.9")))
        assert GREEN + b"4.9 " in fetch(site, alice, f"{marker}-{number}")
    assert accepted(submit(site, alice, message(marker, "6.9")))
    assert YELLOW + b"6.9 " in fetch(site, alice, marker)
    assert told(submit(site, alice, message(marker, "7.0"))) == RED
    assert ask.nothing_queued()


@pytest.mark.usefixtures("no_spamd")
@pytest.mark.parametrize("ask", [(ALIVE, DEAD), (DEAD, ALIVE)], indirect=True, ids=["dead last", "dead first"])
def test_a_dead_entry_of_the_list_defers_and_lets_nothing_pass(
    site: Site, alice: Person, ask: Host, marker: str
) -> None:
    # Of a list, spamc asks the one entry that it begins with.
    for _ in range(8):
        assert told(submit(site, alice, message(marker, "7.0"))) in (LATER, RED)
    assert ask.nothing_queued()
    assert find(site, alice, marker) is None


@pytest.mark.usefixtures("no_spamd")
@pytest.mark.parametrize("ask", [(DEAD, "127.0.0.4")], indirect=True, ids=["all dead"])
def test_mail_is_deferred_while_all_are_dead(site: Site, alice: Person, ask: Host, marker: str) -> None:
    began = time.monotonic()
    assert told(submit(site, alice, message(marker, "0"))) == LATER
    assert time.monotonic() - began < 15
    assert ask.nothing_queued()
    assert find(site, alice, marker) is None
