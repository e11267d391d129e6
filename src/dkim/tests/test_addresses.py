"""Whose a message is, by its From field."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qmail_dkim.addresses import AddressError, author_domains
from qmail_dkim.stream import Message


@pytest.mark.parametrize(
    ("value", "domains"),
    [
        ("a@example.org", ["example.org"]),
        ("Alice <a@Example.ORG.>", ["example.org"]),
        ('"evil@bad.example" <a@example.org>', ["example.org"]),
        ("evil@bad.example <a@example.org>", ["example.org"]),
        ("(a@bad.example) a@example.org (b@bad.example)", ["example.org"]),
        ('"a@bad.example"@example.org', ["example.org"]),
        ("A <a@example.org>, B <b@example.net>", ["example.org", "example.net"]),
        ("A <a@example.org>, b@example.org", ["example.org"]),
        ("<a@example.org> <b@example.net>", ["example.org", "example.net"]),
        ("group: a@example.org, b@example.net;", ["example.org", "example.net"]),
        ("<@route.example,@other.example:a@example.org>", ["example.org"]),
        ("A\r\n <a@example.org>", ["example.org"]),
        ("a@b\u00fccher.example", ["xn--bcher-kva.example"]),
        ('"a\\" <x@bad.example>" <a@example.org>', ["example.org"]),
        ("[News] <a@example.org>", ["example.org"]),
        ("[News <a@example.org>, b@example.net", ["example.org", "example.net"]),
        ("a @ example.org (x)", ["example.org"]),
        ("<a@example.org> by hand", ["example.org"]),
        ("Alice a@example.org", ["example.org"]),
    ],
)
def test_the_domains(value: str, domains: list[str]) -> None:
    assert author_domains([f"From: {value}\r\n".encode()]) == domains


@pytest.mark.parametrize(
    "value",
    [
        *("", "alice", "<>", "a@", "<a@example.org", "a@exa$mple.org", "a@[192.0.2.1]", "a@x..org", "a@" + "x" * 64),
        # One reader finds a@example.org, and another one b@bad.example or what belongs to it.
        "[ <a@example.org> ] b@bad.example",
        "<a@example.org <b@bad.example>",
        "a@example.org b@bad.example",
        "a@example.org@bad.example",
        "a@example.org bad.example",
        'a@example.org"".bad.example',
        "a@example.org(x)bad.example",
        "a@[<a@example.org>].bad.example",
        "<b@bad.example> a@example.org",
        "a@example.org> b@bad.example",
        "b@bad.example (, a@example.org",
        'b@bad.example ", a@example.org',
        "a@example.org: b@bad.example;",
        "a@example.org\0.bad.example",
        "a@example.org . bad.example",
        "a@example.org.(x)bad.example",
        "<@a@example.org:b@bad.example>",
    ],
)
def test_what_is_nobodys(value: str) -> None:
    with pytest.raises(AddressError):
        author_domains([f"From: {value}\r\n".encode()])


def test_there_is_one_field() -> None:
    with pytest.raises(AddressError, match="2 From fields"):
        author_domains([b"From: a@b.example\r\n", b"From: a@b.example\r\n"])
    message = Message(iter([b"From\0: a@b.example\r\nFrom: a@b.example\r\n\r\n"]), 1000)
    with pytest.raises(AddressError, match="2 From fields"):
        author_domains(message.named(b"from"))
    with pytest.raises(AddressError, match="no From field"):
        author_domains([])
    with pytest.raises(AddressError, match="too long"):
        author_domains([b"From: " + b"a@b.example, " * 10000])


@given(st.text(alphabet='a@.<>"()\\,;:[] \r\n', max_size=100))
def test_any_text_gives_domains_or_an_error(value: str) -> None:
    with contextlib.suppress(AddressError):
        assert author_domains([b"From: " + value.encode()])


def test_it_takes_linear_time() -> None:
    began = time.process_time()
    for part in (b"(", b"<", b'"', b"a@b.c,", b"\\", b"[", b" ", b"@[", b"<>", b"@:", b" ."):
        with contextlib.suppress(AddressError):
            author_domains([b"From: " + part * (60000 // len(part))])
    assert time.process_time() - began < 2
