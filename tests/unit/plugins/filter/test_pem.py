"""The pem_ filters say of a certificate what OpenSSL says of it."""

from __future__ import annotations

import contextlib
import datetime
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.pem import pem_expiry, pem_fingerprint, pem_names
from tests.unit.pki import HOST, issue

LEAF = issue(names=[HOST, "*.example.test", "192.0.2.1", "2001:db8::1"])
TEXT = LEAF.pem.decode()
FILTERS = [pem_expiry, pem_names, pem_fingerprint]


def openssl(*words: str) -> str:
    said = subprocess.run(["openssl", "x509", "-noout", *words], input=LEAF.pem, capture_output=True, check=True)
    return said.stdout.decode().strip().partition("=")[2]


def test_expiry_is_openssl_s() -> None:
    end = datetime.datetime.strptime(openssl("-enddate"), "%b %d %H:%M:%S %Y %Z").replace(tzinfo=datetime.UTC)
    assert datetime.datetime.fromisoformat(pem_expiry(TEXT)) == end


def test_fingerprint_is_openssl_s() -> None:
    assert pem_fingerprint(TEXT) == openssl("-fingerprint", "-sha256").replace(":", "").lower()


def test_names() -> None:
    assert pem_names(TEXT) == [HOST, "*.example.test", "192.0.2.1", "2001:db8::1"]


def test_no_names() -> None:
    assert pem_names(issue(no_san=True).pem.decode()) == []


def test_the_first_of_a_bundle_counts() -> None:
    bundle = LEAF.key_pem().decode() + "text\n" + TEXT + issue("other.test").pem.decode()
    assert pem_fingerprint(bundle) == pem_fingerprint(TEXT)
    assert pem_fingerprint(LEAF.pem) == pem_fingerprint(TEXT)


@pytest.mark.parametrize("function", FILTERS)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds nothing in PEM form"),
        ("hello", "holds nothing in PEM form"),
        (LEAF.der.decode("latin-1"), "is DER or PKCS #12, not PEM; convert it first"),
        (LEAF.key_pem().decode(), "holds no certificate"),
        (TEXT[:200], "may be cut off"),
        (TEXT.replace("M", "!", 1), "can't be read"),
        (None, "takes the text of a PEM file, not NoneType"),
        ([TEXT], "takes the text of a PEM file, not list"),
    ],
)
def test_what_is_refused_and_why(function: Callable[[Any], Any], text: object, sentence: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"{function.__name__}: .*{sentence}"):
        function(text)


@given(st.text(max_size=300), st.integers(0, 2000), st.integers(0, 2000))
def test_whatever_the_text_is_there_is_an_answer(junk: str, begin: int, end: int) -> None:
    for function in FILTERS:
        with contextlib.suppress(AnsibleFilterError):  # and nothing else
            function(TEXT[:begin] + junk + TEXT[end:])
