"""control/nameservers, as Python's programs read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.site_resolvers import listed, resolvers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1\n", {"127.0.0.1": 53}),
        ("127.0.0.1 \t\r\n::1\n", {"127.0.0.1": 53, "::1": 53}),
        ("[127.0.0.1]:5353\n[::1]:54\n[192.0.2.1]\n", {"127.0.0.1": 5353, "::1": 54, "192.0.2.1": 53}),
        ("127.0.0.1\n[127.0.0.1]:54\n", {"127.0.0.1": 53}),
        ("# a comment\n\nlocalhost\n127.0.0.1:53\n[::1\n192.0.2.1", {"192.0.2.1": 53}),
        ("[::1]:0\n[::1]:65536\n[::1]:" + "9" * 5000 + "\n[::1]:x\n", {}),
        ("", {}),
    ],
)
def test_what_is_an_address_is_asked(text: str, found: dict[str, int]) -> None:
    assert listed(text) == found


@given(st.text(max_size=60))
def test_nothing_in_it_is_trouble(text: str) -> None:
    assert all(0 < port < 65536 for port in listed(text).values())


def test_a_file_that_can_not_be_read_names_none(tmp_path: Path) -> None:
    assert resolvers(tmp_path / "nothing") == {}
    assert resolvers(tmp_path) == {}
    (tmp_path / "nameservers").write_bytes(b"\xff\n127.0.0.1\n")
    assert resolvers(tmp_path / "nameservers") == {"127.0.0.1": 53}
