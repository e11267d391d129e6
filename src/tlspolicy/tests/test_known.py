"""Which policy holds, with a real HTTPS server of many habits, names that a test gives, and a clock."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.authority import Authority
from tls_policy.known import AGAIN, BusyError, Known
from tls_policy.policy import LaterError
from tls_policy.store import Store
from tls_policy.web import Web, WebError, allowed

POLICY = b"version: STSv1\nmode: %s\nmx: mx.x.test\nmax_age: 604800\n"
DAY = 86400


class Policies:
    """An HTTPS server on loopback."""

    def __init__(self, authority: Authority, *names: str) -> None:
        self.status, self.kind, self.body = 200, "text/plain; charset=utf-8", POLICY % b"enforce"
        self.location: str | None = None
        self.drip = 0.0
        self.cut = False
        self.asked: list[tuple[str, str, str]] = []
        self.posted: list[bytes] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.command, self.headers["Host"], self.path))
                if self.command == "POST":
                    outer.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(outer.status)
                self.send_header("Content-Type", outer.kind)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", str(len(outer.body) + 9 * outer.cut))
                self.end_headers()
                for byte in outer.body if outer.drip else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(outer.drip)
                if not outer.drip:
                    self.wfile.write(outer.body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.leaf(*names))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def web(self, authority: Path, seconds: float = 10) -> Web:
        """Return a web in which every address is this server."""

        def connect(address: str, limit: float) -> socket.socket:
            assert address == "203.0.113.1"
            return socket.create_connection(("127.0.0.1", self.port), limit)

        return Web(lambda _: ["203.0.113.1"], connect=connect, authorities=str(authority), seconds=seconds)


class Site:
    """All that it takes to know a policy."""

    def __init__(self, policies: Policies, web: Web, store: Store) -> None:
        self.policies = policies
        self.records: dict[str, list[str]] = {"_mta-sts.x.test": ["v=STSv1; id=1;"]}
        self.silent = False
        self.now = 1_800_000_000.0
        self.lines: list[str] = []
        self.known = Known(self, web, store, self.lines.append, lambda: self.now)

    def texts(self, name: str) -> list[str]:
        if self.silent:
            raise LaterError("no answer")
        return self.records.get(name, [])

    def mode(self, domain: str = "x.test") -> str | None:
        policy = self.known.policy(domain)
        return policy.mode if policy else None


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path, "authority")


@pytest.fixture
def policies(authority: Authority) -> Iterator[Policies]:
    server = Policies(authority, "mta-sts.x.test", "reports.x.test")
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def site(policies: Policies, tmp_path: Path) -> Site:
    return Site(policies, policies.web(tmp_path / "authority.pem"), Store(tmp_path / "policy.db"))


def test_a_policy_is_fetched_once_and_kept(site: Site) -> None:
    policy = site.known.policy("x.test")
    assert policy
    assert (policy.mode, policy.mx) == ("enforce", ("mx.x.test",))
    assert site.mode() == "enforce"
    assert site.policies.asked == [("GET", "mta-sts.x.test", "/.well-known/mta-sts.txt")]


def test_it_outlives_the_process(site: Site, policies: Policies, tmp_path: Path) -> None:
    assert site.mode() == "enforce"
    again = Site(policies, policies.web(tmp_path / "authority.pem"), Store(tmp_path / "policy.db"))
    again.silent = True
    assert again.mode() == "enforce"


def test_without_a_record_nothing_is_fetched(site: Site) -> None:
    assert site.mode("y.test") is None
    assert site.policies.asked == []


def test_another_id_is_another_policy(site: Site) -> None:
    assert site.mode() == "enforce"
    site.policies.body = POLICY % b"testing"
    assert site.mode() == "enforce"
    site.records["_mta-sts.x.test"] = ["v=STSv1; id=2;"]
    assert site.mode() == "testing"


@pytest.mark.parametrize("how", ["no record", "no answer", "another id, and no policy"])
def test_a_policy_holds_to_its_end_whatever_becomes_of_its_source(site: Site, how: str) -> None:
    """Who can take the record away could take the protection away with it (RFC 8461 section 10.2)."""
    assert site.mode() == "enforce"
    if how == "no record":
        site.records.clear()
    elif how == "no answer":
        site.silent = True
    else:
        site.records["_mta-sts.x.test"] = ["v=STSv1; id=2;"]
        site.policies.status = 404
    site.now += 604799
    assert site.mode() == "enforce"
    site.now += 1
    assert site.mode() is None


def test_mode_none_ends_it(site: Site) -> None:
    assert site.mode() == "enforce"
    site.records["_mta-sts.x.test"] = ["v=STSv1; id=2;"]
    site.policies.body = POLICY % b"none"
    assert site.mode() is None
    site.silent = True
    assert site.mode() is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": 404}, "answers 404"),
        ({"status": 302, "location": "https://mta-sts.x.test/other"}, "answers 302"),
        ({"status": 500}, "answers 500"),
        ({"kind": "text/html"}, "not text/plain"),
        ({"kind": "application/octet-stream"}, "not text/plain"),
        ({"body": b"<html>"}, "colon"),
        ({"body": b"x: y\n" * 20000}, "64 KiB"),
    ],
)
def test_what_is_no_policy_is_said_and_asked_again_later(site: Site, change: dict[str, object], why: str) -> None:
    for name, value in change.items():
        setattr(site.policies, name, value)
    assert site.mode() is None
    assert site.mode() is None
    assert len(site.policies.asked) == 1
    assert why in site.lines[0]
    assert why in site.known.failure("x.test")
    site.policies.status, site.policies.kind, site.policies.body = 200, "text/plain", POLICY % b"testing"
    site.now += AGAIN
    assert site.mode() == "testing"


def test_another_id_is_asked_for_at_once(site: Site) -> None:
    site.policies.status = 404
    assert site.mode() is None
    site.policies.status = 200
    site.records["_mta-sts.x.test"] = ["v=STSv1; id=2;"]
    assert site.mode() == "enforce"


@pytest.mark.parametrize("names", [("x.test",), ("mta-sts.y.test",), ("*.x.test",)])
def test_the_host_proves_its_name(authority: Authority, tmp_path: Path, names: tuple[str, ...]) -> None:
    server = Policies(authority, *names)
    site = Site(server, server.web(tmp_path / "authority.pem"), Store(tmp_path / "policy.db"))
    assert site.mode() == ("enforce" if names == ("*.x.test",) else None)
    assert bool(site.lines) == (names != ("*.x.test",))
    server.server.shutdown()


def test_another_authority_is_none(site: Site, policies: Policies, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    Authority.make(tmp_path / "s", "stranger")
    other = Site(policies, policies.web(tmp_path / "s/stranger.pem"), Store(tmp_path / "other.db"))
    assert other.mode() is None
    assert "certificate of mta-sts.x.test is not valid" in other.lines[0]
    assert other.known.failure("x.test").startswith("sts-webpki-invalid: ")


def test_all_of_it_has_its_time(site: Site, policies: Policies, tmp_path: Path) -> None:
    policies.drip = 0.3
    slow = Site(policies, policies.web(tmp_path / "authority.pem", seconds=1), Store(tmp_path / "other.db"))
    began = time.monotonic()
    assert slow.mode() is None
    assert time.monotonic() - began < 5


def test_half_a_policy_is_none(site: Site) -> None:
    site.policies.cut = True
    assert site.mode() is None


def test_those_who_ask_at_once_wait_for_one_fetch(site: Site) -> None:
    site.policies.drip = 0.005
    found: list[str | None] = []
    threads = [threading.Thread(target=lambda: found.append(site.mode())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == ["enforce"] * 8
    assert len(site.policies.asked) == 1


def test_without_a_place_to_fetch_in_nobody_goes_without_a_policy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tls_policy.known.FETCH_WAIT", 0.05)
    places = 0
    while site.known.places.acquire(blocking=False):
        places += 1
    with pytest.raises(BusyError):
        site.mode()
    assert site.mode("y.test") is None  # it has none, and that needs no place
    for _ in range(places):
        site.known.places.release()
    assert site.mode() == "enforce"
    for _ in range(places):
        site.known.places.acquire()
    site.records["_mta-sts.x.test"] = ["v=STSv1; id=2;"]
    assert site.mode() == "enforce"  # the earlier one


def test_what_is_in_use_is_fetched_anew_before_it_ends(site: Site) -> None:
    assert site.mode() == "enforce"
    site.known.refresh()
    assert len(site.policies.asked) == 1
    site.now += DAY + 1
    site.policies.body = POLICY % b"testing"
    site.known.refresh()
    assert len(site.policies.asked) == 2
    site.now += 604800 - 10
    assert site.mode() == "testing"


def test_what_nobody_asks_for_is_left_to_end(site: Site) -> None:
    site.policies.body = b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 31557600\n"
    assert site.mode() == "enforce"
    site.now += 31 * DAY
    site.known.refresh()
    assert len(site.policies.asked) == 1


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "policy.db").write_bytes(b"junk" * 1000)
    assert Store(tmp_path / "policy.db").policy("x.test", 0) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",  # noqa: S104
        "169.254.169.254",
        "fe80::1",
        "::ffff:127.0.0.1",
        "::",
        "224.0.0.1",
    ],
)
def test_a_stranger_has_nobody_connect_to_this_host_or_its_link(address: str) -> None:
    assert not allowed(address)
    with pytest.raises(WebError, match="no address that a stranger may name"):
        Web(lambda _: [address]).request("GET", "mta-sts.x.test", "/")


def test_nor_to_an_address_of_its_own_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipaddress.IPv4Address, "is_loopback", False)
    assert not allowed("127.0.0.5")


def test_addresses_where_nobody_answers_take_no_longer_in_all() -> None:
    limits: list[float] = []

    def connect(_: str, limit: float) -> socket.socket:
        limits.append(limit)
        time.sleep(limit)
        raise TimeoutError("nobody")

    began = time.monotonic()
    with pytest.raises(WebError, match="nobody"):
        Web(lambda _: ["203.0.113.1"] * 8, connect=connect, seconds=0.5).request("GET", "mta-sts.x.test", "/")
    assert time.monotonic() - began < 2
    assert len(limits) == 1


@pytest.mark.parametrize("address", ["203.0.113.1", "198.18.7.20", "2001:db8::1", "10.0.0.1"])
def test_others_may_be_asked(address: str) -> None:
    assert allowed(address)


def test_a_report_is_posted(policies: Policies, tmp_path: Path) -> None:
    web = policies.web(tmp_path / "authority.pem")
    status, _, _ = web.request("POST", "reports.x.test", "/v1?a=b", body=b"report", headers={"Content-Type": "x/y"})
    assert (status, policies.asked[0][2], policies.posted) == (200, "/v1?a=b", [b"report"])
