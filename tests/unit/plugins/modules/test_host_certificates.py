"""host_certificates: each certificate goes its whole way, from its source to its ports, or back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import certbot, host_wishes, key_turn, name_servers, pem_chain  # type: ignore[attr-defined,unused-ignore]

from library import host_certificates
from tests.unit.pki import HOST, Pair, Pki, issue

Run = Any
POP = "pop.example.test"


class Site:
    """A host with two services, smtps with the host's own certificate and pop3s with a further one."""

    def __init__(self, place: Path, ports: dict[str, int]) -> None:
        """Take where it is, and where it listens."""
        self.place = place
        (place / "bundles").mkdir(mode=0o755)
        self.params: dict[str, Any] = {
            "certificates": [self.certificate(HOST, ["smtps"]), self.certificate(POP, ["pop3s"])],
            "authority": {"directory": str(place / "ca"), "common_name": "CA", "ca_days": 3650, "days": 90},
            "bundles": str(place / "bundles"),
            "bundle": {"owner": place.owner(), "group": place.group(), "mode": "0600"},
            "default_link": str(place / "bundles/stunnel.pem"),
            "ports": {
                name: {"port": port, "starttls": "none", "link": str(place / f"bundles/{name}.pem")}
                for name, port in ports.items()
            },
            "wishes": str(place / "certs.json"),
            "to": f"postmaster@{HOST}",
            "lock": str(place.parent / "lock"),
            "kept": [str(place / "bundles"), str(place / "ca/issued")],
        }

    def certificate(self, name: str, services: list[str]) -> dict[str, Any]:
        """Give one of the host's own authority."""
        pair = {part: str(self.place / f"ca/issued/{name}.{end}") for part, end in (("chain", "pem"), ("key", "key"))}
        return {"name": name, "names": [name], "services": services, "source": "selfsigned", **pair}

    def bundle(self, name: str) -> Path:
        """Give a bundle, or a link's path."""
        return self.place / f"bundles/{name}.pem"

    def fingerprint(self, name: str) -> str:
        """Give the SHA-256 of what a bundle, or a link, begins with."""
        return str(pem_chain.fingerprint(pem_chain.load_chain(self.bundle(name))[0]))

    def state(self) -> dict[str, Any]:
        """Give all files with mode and content, and all links with where they lead to."""
        return {
            str(path.relative_to(self.place)): os.readlink(path)  # noqa: PTH115
            if path.is_symlink()
            else (stat.S_IMODE(path.stat().st_mode), path.read_bytes() if path.is_file() else None)
            for path in self.place.rglob("*")
        }


@contextlib.contextmanager
def port(bundle: Path) -> Iterator[int]:
    """Serve what a bundle holds at the time of each connection, as stunnel does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the end
                    return
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(bundle)
                    context.wrap_socket(connection, server_side=True).recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    place = tmp_path / "host"
    place.mkdir()
    with port(place / "bundles/smtps.pem") as smtps, port(place / "bundles/pop3s.pem") as pop3s:
        monkeypatch.setattr(host_certificates, "running", lambda: {"smtps", "pop3s"})
        yield Site(place, {"smtps": smtps, "pop3s": pop3s})


def test_a_fresh_host_gets_all_of_it_and_a_second_run_changes_nothing(run_module: Run, site: Site) -> None:
    first = run_module(host_certificates, site.params)
    assert first["changed"]
    assert [each["because"] for each in first["certificates"].values()] == [
        "there was no authority yet",
        "there was no certificate yet",
    ]
    links = {name: os.readlink(site.bundle(name)) for name in ("stunnel", "smtps", "pop3s")}  # noqa: PTH115
    assert links == {"stunnel": f"{HOST}.pem", "smtps": "stunnel.pem", "pop3s": f"{POP}.pem"}
    assert [each["served"] for each in first["certificates"].values()] == [["smtps"], ["pop3s"]]
    before = site.state()
    second = run_module(host_certificates, site.params)
    assert (second["changed"], second["diff"], second["undeclared"]) == (False, [], [])
    assert site.state() == before


def test_check_mode_writes_nothing_and_tells_the_truth(run_module: Run, site: Site) -> None:
    before = site.state()
    result = run_module(host_certificates, site.params, check=True)
    assert result["changed"]
    assert "a new certificate: there was no authority yet\n" in [each["after"] for each in result["diff"]]
    assert site.state() == before
    run_module(host_certificates, site.params)
    before = site.state()
    assert not run_module(host_certificates, site.params, check=True)["changed"]
    forced = run_module(host_certificates, site.params | {"force": [POP]}, check=True)
    assert (forced["changed"], [each["after"] for each in forced["diff"]]) == (
        True,
        ["a new certificate: it was asked for\n"],
    )
    assert site.state() == before


def test_one_alone_is_renewed(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    before = [site.fingerprint(name) for name in (HOST, POP)]
    result = run_module(host_certificates, site.params | {"force": [POP]})
    assert [each["because"] for each in result["certificates"].values()] == ["", "it was asked for"]
    assert site.fingerprint(HOST) == before[0]
    assert site.fingerprint(POP) == result["certificates"][POP]["fingerprint"] != before[1]


def test_a_port_that_serves_something_else_takes_its_bundle_back_and_stops_those_behind(
    run_module: Run, site: Site
) -> None:
    run_module(host_certificates, site.params)
    before = {name: site.fingerprint(name) for name in (HOST, POP)}
    other = site.place / "other.pem"
    alone = issue()
    other.write_bytes(alone.pem + alone.key_pem())
    with port(other) as elsewhere:
        site.params["ports"]["smtps"]["port"] = elsewhere
        result = run_module(host_certificates, site.params | {"force": [HOST, POP]})
    assert result["failed"]
    assert f"certs: port {elsewhere} (smtps) serves another certificate" in result["msg"]
    assert f"{site.bundle(HOST)} is again the bundle that was in use before" in result["msg"]
    assert {name: site.fingerprint(name) for name in before} == before


def test_a_service_that_moves_and_does_not_serve_what_it_moved_to_goes_back(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    with port(site.bundle(HOST)) as elsewhere:
        site.params["ports"]["smtps"]["port"] = elsewhere
        own, pop = site.params["certificates"]
        moved = [own | {"services": []}, pop | {"services": ["pop3s", "smtps"]}]
        result = run_module(host_certificates, site.params | {"certificates": moved})
    assert "The services are again at the bundles that they had before" in result["msg"]
    assert os.readlink(site.bundle("smtps")) == "stunnel.pem"  # noqa: PTH115


def test_a_fault_leaves_the_bundle_and_names_it(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    before = site.state()
    site.params["certificates"][1] |= {"source": "files", "chain": "/no/such.pem"}
    result = run_module(host_certificates, site.params)
    assert result["msg"] == f"certs: /no/such.pem: No such file or directory; {site.bundle(POP)} stays as it was"
    assert site.state() == before


def test_what_stands_where_a_link_belongs_is_not_removed(run_module: Run, site: Site) -> None:
    site.bundle("pop3s").write_text("somebody's")
    assert f"{site.bundle('pop3s')}: is there and is not a link" in run_module(host_certificates, site.params)["msg"]
    assert site.bundle("pop3s").read_text() == "somebody's"


def test_what_is_left_of_others_is_named_and_stays(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    own = site.params["certificates"][:1]
    result = run_module(host_certificates, site.params | {"certificates": own})
    assert [Path(path).name for path in result["undeclared"]] == [f"{POP}.pem", f"{POP}.key", f"{POP}.pem"]
    assert all(Path(path).exists() for path in result["undeclared"])


def test_the_hosts_own_program_is_told_what_the_module_was(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    wishes = json.loads(Path(site.params["wishes"]).read_text())
    bundle = host_wishes.bundle_of(wishes["certificates"][1], wishes)
    assert (bundle["dest"], bundle["mode"]) == (str(site.bundle(POP)), "0600")
    assert host_wishes.not_served("pop3s", wishes["certificates"][1], wishes, site.fingerprint(POP)) == ""
    assert stat.S_IMODE(Path(site.params["wishes"]).stat().st_mode) == 0o644


def test_directories_are_made_and_mended(run_module: Run, site: Site) -> None:
    place = site.place / "a/b"
    params = site.params | {"directories": [str(place)]}
    assert run_module(host_certificates, params, check=True)["changed"]
    assert not place.exists()
    run_module(host_certificates, params)
    place.chmod(0o777)
    assert run_module(host_certificates, params)["changed"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert not run_module(host_certificates, params)["changed"]


def test_two_at_once_wait_for_each_other_or_say_who_is_there(
    run_module: Run, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has the lock; its end, in whatever way, is the lock's."""
    lock = Path(site.params["lock"])
    ready, there = os.pipe()
    child = os.fork()
    if not child:
        with host_wishes.alone(lock, "a renewal by certbot"):
            os.write(there, b".")
            time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    before = site.state()
    monkeypatch.setattr(host_certificates, "alone", lambda lock, who: host_wishes.alone(lock, who, 0.3))
    result = run_module(host_certificates, site.params)
    assert re.match(rf"certs: a renewal by certbot, process {child}, since \d{{4}}-.* UTC, is still", result["msg"])
    assert site.state() == before
    assert not run_module(host_certificates, site.params, check=True).get("failed")
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert run_module(host_certificates, site.params)["changed"]
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


# ---- an ACME directory, by a program in certbot's place ----


class Lineage:
    """What certbot has of a certificate, and what it is asked."""

    def __init__(self, place: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a program of certbot's name in the way, which gives what `next` holds, or says a fault."""
        self.place, self.pki = place, pki
        (place / "renewal").mkdir(parents=True)
        program = place / "bin/certbot"
        program.parent.mkdir()
        program.write_text(
            f"#!/bin/sh\ncd {place} || exit 2\n[ ! -e key.pem ] || cp key.pem had.key\n"
            'printf "%s\\n" "$@" "trust $REQUESTS_CA_BUNDLE" >asked\n'
            "[ ! -e fault ] || { cat fault; exit 1; }\nmv next.pem chain.pem && mv next.key key.pem\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setattr(certbot, "RENEWAL", place / "renewal")
        self.offer(issue(issuer=pki.middle))

    def offer(self, leaf: Pair) -> None:
        """Have it ready for the next order."""
        (self.place / "next.pem").write_bytes(leaf.pem + self.pki.middle.pem)
        (self.place / "next.key").write_bytes(leaf.key_pem())

    def note(
        self, server: str = "https://acme.test/dir", authenticator: str = "standalone", more: str = "reuse_key = True"
    ) -> None:
        """Note how it was ordered, as certbot does."""
        (self.place / f"renewal/{HOST}.conf").write_text(
            f"server = {server}\nauthenticator = {authenticator}\n{more}\n"
        )

    def asked(self) -> list[str]:
        """Give what certbot was asked since the last time."""
        file = self.place / "asked"
        words = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return words


ACME: dict[str, Any] = {
    "directory": "https://acme.test/dir", "ca_file": "", "email": "", "challenge": "standalone", "http_port": 80,
    "webroot": "/var/www/html", "dns_hook": "/hook", "dns_cleanup_hook": "",
}  # fmt: skip


@pytest.fixture
def lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lineage:
    return Lineage(tmp_path / "letsencrypt", Pki(tmp_path), monkeypatch)


@pytest.fixture
def acme(site: Site, lineage: Lineage) -> dict[str, Any]:
    pair = {"chain": str(lineage.place / "chain.pem"), "key": str(lineage.place / "key.pem")}
    own: dict[str, Any] = site.params["certificates"][0] | {"source": "acme"} | pair
    roots = [str(lineage.pki.directory / "roots.pem")]
    bundle = site.params["bundle"] | {"roots": roots}
    return site.params | {"certificates": [own], "bundle": bundle, "acme": ACME, "kept": []}


def test_an_order_is_made_once(run_module: Run, acme: dict[str, Any], lineage: Lineage) -> None:
    result = run_module(host_certificates, acme | {"acme": ACME | {"ca_file": "/roots.pem"}})
    assert result["certificates"][HOST]["because"] == "there was no certificate yet"
    asked = lineage.asked()
    assert asked[-3:] == ["--domains", HOST, "trust /roots.pem"]
    assert "--register-unsafely-without-email" in asked
    lineage.note()
    assert not run_module(host_certificates, acme)["changed"]
    assert lineage.asked() == []


@pytest.mark.parametrize(
    ("note", "options", "acme_options", "because"),
    [
        ({}, {"force": [HOST]}, {}, "it was asked for"),
        ({"server": "https://other.test/dir"}, {}, {}, "it was from another directory"),
        ({}, {}, {"challenge": "webroot"}, "its names were proven in another way"),
        ({}, {}, {"challenge": "dns"}, "its names were proven in another way"),
        ({"more": ""}, {}, {}, "certbot would have changed its key at each renewal"),
        ({}, {"key_type": "rsa"}, {}, "the key was of type ecdsa"),
        ({}, {"renew_before_days": 100}, {}, "fewer than 100 days remained"),
    ],
)
def test_each_reason_to_order_again(
    run_module: Run,
    acme: dict[str, Any],
    lineage: Lineage,
    note: dict[str, str],
    options: dict[str, Any],
    acme_options: dict[str, str],
    because: str,
) -> None:
    run_module(host_certificates, acme)
    lineage.note(**note)
    lineage.asked()
    lineage.offer(issue(issuer=lineage.pki.middle))
    changed = acme | options | {"acme": ACME | acme_options}
    checked = run_module(host_certificates, changed, check=True)
    assert (checked["changed"], lineage.asked()) == (True, [])
    assert run_module(host_certificates, changed)["certificates"][HOST]["because"] == because
    asked = lineage.asked()
    assert {"--force-renewal", "--reuse-key"} <= set(asked)
    assert ("--new-key" in asked) == ("key_type" in options)


def test_names_are_compared_as_certificates_have_them(run_module: Run, acme: dict[str, Any], lineage: Lineage) -> None:
    names = ["Mail.example.test", "b\u00fccher.example.test"]
    lineage.offer(issue(issuer=lineage.pki.middle, names=["xn--bcher-kva.example.test", HOST]))
    acme["certificates"][0]["names"] = names
    run_module(host_certificates, acme)
    lineage.note()
    assert not run_module(host_certificates, acme)["changed"]
    acme["certificates"][0]["names"] = names[:1]
    lineage.offer(issue(issuer=lineage.pki.middle))
    assert run_module(host_certificates, acme)["certificates"][HOST]["because"] == "the names differed"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "Saving debug log to x\nDetail: no A record\nDetail: no A record\nDetail: and more.\nHint",
            "no A record; and more",
        ),
        (
            "Saving debug log to x\nAn unexpected error occurred:\nConnection refused\nAsk for help",
            "Connection refused",
        ),
        ("Detail: \x1b[2J evil \u202e text", "?[2J evil ? text"),
        ("Saving debug log", "certbot says nothing of the cause"),
    ],
)
def test_a_directory_that_gives_nothing_is_one_sentence(
    run_module: Run, acme: dict[str, Any], lineage: Lineage, site: Site, said: str, sentence: str
) -> None:
    (lineage.place / "fault").write_text(said)
    message = run_module(host_certificates, acme)["msg"]
    assert message.startswith(f"certs: https://acme.test/dir gave no certificate for {HOST}: {sentence}; more is in")
    assert message.endswith(f"{site.bundle(HOST)} stays as it was")
    assert message.isprintable()


def test_a_door_that_is_shut_though_nothing_was_exchanged_may_be_left_to_who_mends_it(
    run_module: Run, site: Site
) -> None:
    run_module(host_certificates, site.params)
    with socket.create_server(("127.0.0.1", 0)) as shut:
        number = shut.getsockname()[1]
    site.params["ports"]["pop3s"]["port"] = number
    assert f"port {number} (pop3s)" in run_module(host_certificates, site.params)["msg"]
    left = run_module(host_certificates, site.params | {"leave": True})
    (unserved,) = left["unserved"]
    assert unserved.pop("fault").startswith(f"port {number} (pop3s) ")
    assert unserved == {"port": number, "starttls": "none", "name": POP, "fingerprint": site.fingerprint(POP)}
    assert [each["served"] for each in left["certificates"].values()] == [["smtps"], []]
    # But not if it was exchanged, for then that may be why.
    site.bundle("pop3s").unlink()
    said = run_module(host_certificates, site.params | {"leave": True})
    assert said["failed"]
    assert f"port {number} (pop3s)" in said["msg"]
    # What led to no bundle is nothing to go back to.
    site.bundle("pop3s").unlink()
    site.bundle("pop3s").symlink_to("/bin/true")
    assert run_module(host_certificates, site.params | {"leave": True})["failed"]
    assert os.readlink(site.bundle("pop3s")) == f"{POP}.pem"  # noqa: PTH115


def test_what_the_host_s_own_program_goes_by_is_root_s_alone(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    wishes = Path(site.params["wishes"])
    wishes.chmod(0o666)
    told = run_module(host_certificates, site.params, check=True)
    assert told["changed"]
    assert "with another mode" in told["diff"][0]["before"]
    assert run_module(host_certificates, site.params)["changed"]
    assert stat.S_IMODE(wishes.stat().st_mode) == 0o644
    assert not run_module(host_certificates, site.params)["changed"]


def test_check_mode_takes_the_bundles_place_for_what_it_would_be_by_then(run_module: Run, site: Site) -> None:
    place = site.bundle(HOST).parent
    site.params["directories"] = [str(place)]
    run_module(host_certificates, site.params)
    place.chmod(0o777)
    told = run_module(host_certificates, site.params, check=True)
    assert told["changed"]
    assert f"the directory {place} with" in told["diff"][0]["after"]
    assert run_module(host_certificates, site.params)["changed"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_the_authority_and_the_keys_are_root_s_alone(run_module: Run, site: Site) -> None:
    run_module(host_certificates, site.params)
    authority = site.place / "ca"
    issued = Path(site.params["certificates"][0]["chain"]).parent
    key = Path(site.params["certificates"][0]["key"])
    wrong = {authority: 0o777, authority / "ca.key": 0o644, issued: 0o777, key: 0o640}
    right = {path: stat.S_IMODE(path.stat().st_mode) for path in wrong}
    assert list(right.values()) == [0o755, 0o600, 0o700, 0o600]
    for path, mode in wrong.items():
        path.chmod(mode)
    told = run_module(host_certificates, site.params, check=True)
    assert told["changed"]
    assert {Path(each["before_header"]) for each in told["diff"]} == set(wrong)
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in wrong} == wrong
    mended = run_module(host_certificates, site.params)
    assert mended["changed"]
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in wrong} == right
    assert not run_module(host_certificates, site.params)["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a link be somebody else's")
def test_no_link_of_somebody_else_s_leads_the_guard_to_another_key(run_module: Run, site: Site) -> None:
    """Where all could write to the authority's directory, `issued` may lead to the bundles, with the same names."""
    run_module(host_certificates, site.params)
    authority, bundle = site.place / "ca", site.bundle(HOST)
    (authority / "issued").rename(authority / "before")
    (authority / "issued").symlink_to(bundle.parent)
    os.chown(authority / "issued", 65534, 65534, follow_symlinks=False)
    authority.chmod(0o777)
    answer = run_module(host_certificates, site.params)
    assert f"{authority}/issued, on the way to" in answer["msg"]
    assert "is a link of nobody's; remove it" in answer["msg"]
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


def test_check_mode_tells_of_the_authority_where_what_is_mended_before_is_not_yet(run_module: Run, site: Site) -> None:
    """In a real run the directory above is root's again by then."""
    run_module(host_certificates, site.params)
    authority = Path(site.params["authority"]["directory"])
    authority.parent.chmod(0o777)
    (authority / "ca.key").chmod(0o644)
    told = run_module(host_certificates, site.params, check=True)
    assert "failed" not in told or not told["failed"], told.get("msg")
    assert str(authority / "ca.key") in [each.get("after_header") for each in told["diff"]]
    assert run_module(host_certificates, site.params)["failed"]


# --- keys ---


def keys_of(site: Site) -> tuple[Path, Path]:
    """The present key of the host's own certificate, and the next one."""
    return Path(site.params["certificates"][0]["key"]), site.place / f"next/{HOST}.key"


@pytest.fixture
def kept(site: Site) -> dict[str, Any]:
    return site.params | {"keys": str(site.place / "next"), "key_days": 180}


def grow_old(file: Path, days: int) -> None:
    os.utime(file, (time.time() - days * 86400,) * 2)


def test_a_renewal_keeps_the_key_and_has_the_next_one_ready(run_module: Run, site: Site, kept: dict[str, Any]) -> None:
    run_module(host_certificates, kept)
    own, successor = keys_of(site)
    before, after = own.read_bytes(), successor.read_bytes()
    assert before != after
    assert (successor.stat().st_mode & 0o777, successor.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    result = run_module(host_certificates, kept | {"force": [HOST]})
    assert result["certificates"][HOST]["because"] == "it was asked for"
    assert (own.read_bytes(), successor.read_bytes()) == (before, after)


def test_a_key_that_somebody_else_may_have_is_exchanged_for_the_next(
    run_module: Run, site: Site, kept: dict[str, Any]
) -> None:
    run_module(host_certificates, kept)
    own, successor = keys_of(site)
    wanted = successor.read_bytes()
    result = run_module(host_certificates, kept | {"force": [HOST], "new_key": [HOST]})
    assert result["certificates"][HOST]["because"] == "another key was asked for"
    assert own.read_bytes() == wanted
    assert successor.read_bytes() != wanted


@pytest.mark.parametrize(
    ("said", "seen", "because", "why"),
    [
        ([["mine"], ["mine", "other"]], 3, "it was the next key's turn", ""),
        ([["mine"], ["mine"]], 1, "", "old answers are forgotten in 24 hours"),
        ([["mine"], ["mine"]], None, "", "old answers are forgotten in 4"),
        ([["mine"], ["other"]], 3, "", "not every name server has"),
        ([["mine"], []], 3, "", "not every name server has"),
        ([[], []], None, "it was the next key's turn", ""),
        (LookupError("ns2 doesn't answer"), 3, "", "ns2 doesn't answer"),
    ],
)
def test_an_old_key_is_exchanged_once_every_name_server_has_had_the_next_ones_record(
    run_module: Run,
    site: Site,
    kept: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    said: list[list[str]] | LookupError,
    seen: int | None,
    because: str,
    why: str,
) -> None:
    own: dict[str, Any] = kept["certificates"][0]
    kept |= {"certificates": [own | {"services": ["smtp", *own["services"]]}, *kept["certificates"][1:]]}
    kept["ports"] = kept["ports"] | {"smtp": {"port": 25, "starttls": "smtp", "link": str(site.place / "smtp.pem")}}
    run_module(host_certificates, kept)
    key, successor = keys_of(site)
    before, wanted = key.read_bytes(), successor.read_bytes()
    mine = key_turn.record(pem_chain.load_key(successor).public_key())
    asked: list[str] = []

    def ask(name: str) -> list[list[str]]:
        asked.append(name)
        if isinstance(said, LookupError):
            raise said
        return [[mine if each == "mine" else "3 1 1 00" for each in server] for server in said]

    told: list[str] = []
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.warn", lambda self, text: told.append(text))
    monkeypatch.setattr(key_turn, "published", lambda: ask)
    assert run_module(host_certificates, kept)["certificates"][HOST]["because"] == ""
    assert asked == []  # it is young
    grow_old(successor, 181)
    if seen is not None:
        successor.with_suffix(".published").touch()
        grow_old(successor.with_suffix(".published"), seen)
    result = run_module(host_certificates, kept)
    assert asked == [f"_25._tcp.{HOST}"]
    assert result["certificates"][HOST]["because"] == because
    assert why in " ".join(told)
    assert key.read_bytes() == (wanted if because else before)
    if because:
        assert successor.read_bytes() != wanted
        assert not successor.with_suffix(".published").exists()


def test_certbot_has_the_next_key_while_it_orders_and_its_own_again_after_a_fault(
    run_module: Run, site: Site, acme: dict[str, Any], lineage: Lineage
) -> None:
    acme |= {"keys": str(site.place / "next"), "key_days": 180}
    run_module(host_certificates, acme)
    lineage.note()
    successor, key, had = site.place / f"next/{HOST}.key", lineage.place / "key.pem", lineage.place / "had.key"
    wanted, before = successor.read_bytes(), key.read_bytes()
    (lineage.place / "fault").write_text("Detail: too many orders\n")
    lineage.asked()
    assert "too many orders" in run_module(host_certificates, acme | {"force": [HOST], "new_key": [HOST]})["msg"]
    assert "--new-key" not in lineage.asked()
    assert (had.read_bytes(), key.read_bytes(), successor.read_bytes()) == (wanted, before, wanted)


def test_keys_of_certificates_that_are_brought_are_nobodys_business(
    run_module: Run, site: Site, kept: dict[str, Any]
) -> None:
    run_module(host_certificates, kept)
    own = kept["certificates"][0] | {"source": "files"}
    _, successor = keys_of(site)
    successor.unlink()
    run_module(host_certificates, kept | {"certificates": [own, *kept["certificates"][1:]]})
    assert not successor.exists()


def test_a_next_key_that_others_could_read_is_shut_and_told(
    run_module: Run, site: Site, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_module(host_certificates, kept)
    _, successor = keys_of(site)
    successor.parent.chmod(0o755)
    successor.chmod(0o644)
    told: list[str] = []
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.warn", lambda self, text: told.append(text))
    assert run_module(host_certificates, kept)["changed"]
    assert (successor.stat().st_mode & 0o777, successor.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "remove it, and publish the record" in told[0]
    assert not run_module(host_certificates, kept)["changed"]


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        (None, []),
        ("127.0.0.1\n\n# another\n[::1]:5353\n::1\n", [("127.0.0.1", 53), ("::1", 5353), ("::1", 53)]),
    ],
)
def test_the_site_s_resolver_is_asked_for_the_next_key_s_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, servers: list[tuple[str, int]]
) -> None:
    file = tmp_path / "nameservers"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(key_turn, "NAMESERVERS", file)
    assert key_turn.resolvers() == servers
    asked: list[Any] = []
    monkeypatch.setattr(name_servers.Names, "__init__", lambda _, resolvers, **__: asked.extend(resolvers))
    key_turn.published()
    assert [(each.address, each.port) for each in asked] == servers
