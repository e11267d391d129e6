"""Fixtures for every test of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.certificates import Certificate
from lab.signer import Signer
from lab.suite import Home, Recorder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home with an empty queue."""
    path = tmp_path / "qmail"
    path.mkdir()
    return Home(path)


@pytest.fixture
def recorder(home: Home) -> Recorder:
    """Make a queueing program that records what it is given."""
    return home.recorder()


@pytest.fixture
def signer(home: Home) -> Iterator[Signer]:
    """Make a signer that the home's own mail is handed to."""
    path = home.path / "sign.socket"
    home.control(signsocket=str(path))
    with Signer(path) as found:
        yield found


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    """Make one certificate for mail.example.test."""
    return Certificate("mail.example.test")
