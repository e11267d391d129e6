"""Authentication-Results: what it says, and what is taken out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailauth.results import is_forged, value, without_comments


@pytest.mark.parametrize(
    "raw",
    [
        b"Authentication-Results: mx.example.org; spf=pass",
        b"authentication-RESULTS :  MX.example.ORG ; spf=pass",
        b"Authentication-Results:\r\n\tmx.example.org 1; dkim=pass",
        b"Authentication-Results: (comment (nested)) mx.example.org; none",
        b'Authentication-Results: "mx.example.org"; none',
        b"Authentication-Results: mx.example.org",
        b"Authentication-Results: mx.example.org.; none",
        b"Authentication-Results: m(x)x.example.org; none",
        b"Authentication-Results:",
        b"Authentication-Results: (no end",
        b"Authentication-Results\0: mx.example.org; spf=pass",
        b"Authentication-Results: mx.example.org\0; spf=pass",
        b"Authentication-Results: mx.exampl\\e.org; spf=pass",
        b"Authentication-Results: mx . example . org 1; spf=pass",
        b"Authentication-Results: mx.example.org/1; spf=pass",
        b"Authentication-Results: mx.example.org, x; spf=pass",
        b"Authentication-Results: =?utf-8?q?mx.example.org?=; spf=pass",
        "Authentication-Results: mx。example。org; spf=pass".encode(),
        "Authentication-Results: bücher.example; spf=pass".encode(),
    ],
)
def test_what_pretends_to_be_ours_goes(raw: bytes) -> None:
    assert is_forged(raw + b"\r\n", "mx.example.org")


@pytest.mark.parametrize(
    "raw",
    [
        b"Authentication-Results: mx.example.net; spf=pass",
        b"Authentication-Results: other (mx.example.org); spf=pass",
        b"Authentication-Results: amx.example.org; spf=pass",
        "Authentication-Results: other (bücher); spf=pass smtp.mailfrom=ü@b.test".encode(),
        b"Authentication-Results: a.mx.example.org; spf=pass",
        b"Authentication-Results: mx.example.org.example; spf=pass",
        b"X-Authentication-Results: mx.example.org; spf=pass",
        b"ARC-Authentication-Results: i=1; mx.example.org; spf=pass",
        b"Subject: Authentication-Results: mx.example.org;",
    ],
)
def test_what_is_others_stays(raw: bytes) -> None:
    assert not is_forged(raw + b"\r\n", "mx.example.org")


@given(st.text(max_size=300))
def test_no_value_ends_before_it_does(text: str) -> None:
    shown = value(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 402
    if shown.startswith('"'):
        inside = shown[1:-1].replace("\\\\", "").replace('\\"', "")
        assert '"' not in inside
        assert shown.endswith('"')
    else:
        assert not set(shown) & set(' ;()",<>[]:\\=')


def test_comments_take_linear_time() -> None:
    began = time.process_time()
    for text in ("(" * 100_000, '"' * 100_000, "\\" * 100_000, "()" * 50_000):
        without_comments(text)
    assert time.process_time() - began < 2
