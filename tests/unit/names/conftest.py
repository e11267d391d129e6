"""Two name servers of one site: the second one may lag behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.unit.bind import HERE, NAMED, Bind, Relay, free_port

PRIMARY, SECONDARY = HERE, "127.0.31.2"
Start = Callable[..., int]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bind]]:
    """Both, for all tests of a process."""
    if not NAMED.exists():
        pytest.skip("bind9 is not installed; bin/test does that")
    folder, port = tmp_path_factory.mktemp("names"), free_port(SECONDARY)
    running = [Bind(folder / "primary", port)]
    running.append(Bind(folder / "secondary", free_port()))
    relay = Relay(SECONDARY, port, running[1].port)
    yield running
    relay.stop()
    for each in running:
        each.stop()


@pytest.fixture
def start(servers: list[Bind]) -> Start:
    """Have both serve the same zones, or the second one others; give their port."""

    def both(zones: Mapping[str, str], second: Mapping[str, str] | None = None, secret: str = "") -> int:
        servers[0].load(zones, secret)
        servers[1].load(zones if second is None else second)
        return servers[0].port

    return both
