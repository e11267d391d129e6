"""Fixtures for every test of hi-q."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_double import SOURCE, Site

# What is about the program by itself: its process, its arguments.
ALONE = {"test_other_arguments_are_misuse"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each message by the program as hi-q starts it, and by the resident."""
    if "site" in metafunc.fixturenames and metafunc.module.__name__.endswith(("test_pipeline", "test_modules")):
        ways = ["alone"] if metafunc.function.__name__ in ALONE else ["alone", "resident"]
        metafunc.parametrize("site", ways, indirect=True)


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile hi-q, for which list, queue, program and resident are in the directory that it is started in."""
    program = tmp_path_factory.mktemp("launcher") / "hi-q"
    places = {"INTERPRETER": "/usr/bin/python3", "PROGRAM": "hi-q.py", "LIST": "filters", "QUEUE": "./qmail-queue"}
    places |= {"CLASS": "strangers", "CODE": str(SOURCE), "RESIDENT": "resident"}
    places |= {"SIGN": "./qmail-sign"}
    words = [f'-D{name}="{value}"' for name, value in places.items()]
    filters = SOURCE.parent / "qmail/filters"  # what qmail-smtpd has as well
    sources = [SOURCE / "hi-q.c", SOURCE / "ask.c", filters / "list.c"]
    subprocess.run(
        ["cc", "-std=c17", "-D_GNU_SOURCE", "-g", f"-I{filters}", *words, "-o", program, *sources], check=True
    )
    return program


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Make a site with no filters."""
    made = Site(tmp_path)
    if getattr(request, "param", "alone") == "resident":
        made.reside(request.getfixturevalue("launcher"))
    yield made
    made.dismiss()
