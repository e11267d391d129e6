"""Fixtures for every test of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab.certificates import Certificate
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


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    """Make one certificate for mail.example.test."""
    return Certificate("mail.example.test")
