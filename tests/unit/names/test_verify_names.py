"""bin/verify --dns: what it makes of a host's names, asked of a real name server."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from module_utils.name_servers import Names, Server
from tests.unit.names.conftest import PRIMARY, Start
from tests.unit.names.test_dns_command import NS, REVERSE, REVERSE_ZONE
from verify import names

SITE: dict[str, Any] = {
    "host": "mail.a.test",
    "domain": "a.test",
    "address": "192.0.2.25",
    "address6": None,
    "ports": {},
}
GOOD = {
    "mail": "mail A 192.0.2.25",
    "mx": "@ MX 10 mail",
    "spf": '@ TXT "v=spf1 a:mail.a.test ~all"',
    "own": 'mail TXT "v=spf1 a -all"',
    "dmarc": '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:x@b.test"',
}


def failed(start: Start, said: str = "mail.a.test", reverse: str = REVERSE_ZONE, **changes: str) -> list[str]:
    """What is wrong, where some lines of a good zone are others."""
    port = start({"a.test": NS + "\n".join((GOOD | changes).values()) + "\n", REVERSE: reverse})
    checks = names.look(SITE, Names([Server(PRIMARY, PRIMARY, port)], seconds=30), lambda address, port: said)
    assert checks
    return [check.what for check in checks if check.outcome == "failed"]


def test_a_host_whose_names_agree_is_well(start: Start) -> None:
    assert failed(start) == []


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"said": "localhost"}, ["it is the name that the host greets with"]),
        ({"mx": "@ MX 10 ns1"}, ["mail for the domain goes to the host"]),
        ({"spf": '@ TXT "v=spf1 -all"'}, ["its SPF record lets the host pass"]),
        ({"spf": '@ TXT "v=spf1 a:mail.a.test"\n@ TXT "v=spf1 -all"'}, ["its SPF record lets the host pass"]),
        ({"own": ""}, ["so does that of the host's own name"]),
        ({"dmarc": '_dmarc TXT "hello"'}, ["it has a DMARC policy"]),
        (
            {"reverse": REVERSE_ZONE.replace("25 PTR", "26 PTR"), "said": ""},
            [
                "the address has one PTR record",
                "the name of the PTR record leads back to the address",
                "it is the name that the host has",
            ],
        ),
        (
            {"reverse": REVERSE_ZONE.replace("mail.a.test", "ns1.a.test"), "said": ""},
            ["the name of the PTR record leads back to the address", "it is the name that the host has"],
        ),
        ({"reverse": REVERSE_ZONE + "25 PTR ns1.a.test.\n", "said": ""}, [
            "the address has one PTR record", "the name of the PTR record leads back to the address",
        ]),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_told(start: Start, more: dict[str, str], what: list[str]) -> None:
    assert failed(start, **more) == what


def test_a_policy_of_the_domain_above_counts(start: Start) -> None:
    port = start({"a.test": NS + "\n".join(GOOD.values()) + "\nlists MX 10 mail\n", REVERSE: REVERSE_ZONE})
    checks = names.look(SITE | {"domain": "lists.a.test"}, Names([Server(PRIMARY, PRIMARY, port)]), lambda a, p: "")
    assert [check.what for check in checks if check.outcome == "failed"] == ["its SPF record lets the host pass"]


def test_a_silent_resolver_is_one_sentence(start: Start) -> None:
    port = start({"a.test": NS})
    checks = names.look(SITE, Names([Server("127.0.31.99", "127.0.31.99", port)], seconds=3), lambda a, p: "")
    assert {check.what for check in checks} == {"the DNS answers"}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"220 Mail.A.test. ESMTP\r\n", "mail.a.test"),
        (b"554 no\r\n", ""),
        (b"220\r\n", ""),
        (b"x" * 5000, ""),
    ],
)
def test_the_greeting_has_a_name(line: bytes, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            session, _ = door.accept()
            with session:
                session.sendall(line)
                session.recv(100)

        thread = threading.Thread(target=serve)
        thread.start()
        assert names.greeting("127.0.0.1", door.getsockname()[1]) == name
        thread.join()
