"""What the mutations of a finished host need to know.

pytest tests/mutations --container NAME --inventory FILE [--inventory FILE] [--group GROUP] [--keep DIRECTORY]
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say which container the host is in, and the inventories that declare it."""
    group = parser.getgroup("host")
    group.addoption("--site", help="not used: what other suites are told")
    group.addoption("--container", help="the name of the container that the host is in")
    group.addoption("--inventory", action="append", help="an inventory that declares the host")
    group.addoption("--group", action="append", help="one of the table's groups; without a word, all of them")
    group.addoption("--keep", help="a directory for what the plays say, group by group")
