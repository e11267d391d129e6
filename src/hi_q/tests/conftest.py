"""Fixtures for every test of hi-q."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_double import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Make a site with no filters."""
    return Site(tmp_path)
