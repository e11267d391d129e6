"""Sites of the form debian-pool:PATH: the archive that apt of this host is configured with, by apt's own transport."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library import distfile
from tests.unit.conftest import RunModule
from tests.unit.plugins.modules.conftest import Web

DATA = b"source " * 1000
PATH = "main/h/hello/hello_1.0.orig.tar.gz"
needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt")


def wanted(cache: Path) -> dict[str, Any]:
    digest = hashlib.sha256(DATA).hexdigest()
    return {
        "name": "hello.tar.gz",
        "size": len(DATA),
        "sha256": digest,
        "cache": str(cache),
        "sites": [f"debian-pool:{PATH}"],
        "timeout": 3,
    }


class Apt:
    """An apt with a configuration of its own below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "apt.conf"
        (root / "parts").mkdir()
        (root / "lists").mkdir()
        self.conf.write_text(
            f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "{root}/parts";\n'
            f'Dir::State::lists "{root}/lists";\nDir::Etc::parts "{root}/none";\nAcquire::Retries "0";\n'
            'APT::Architecture "amd64";\n'
        )

    def option(self, text: str) -> None:
        """One more line of configuration."""
        with self.conf.open("a") as file:
            file.write(text + "\n")

    def one_line(self, text: str) -> None:
        """The content of sources.list(5) in its old form."""
        (self.root / "sources.list").write_text(text)

    def deb822(self, text: str) -> None:
        """A file in sources.list(5)'s other form."""
        (self.root / "parts" / "debian.sources").write_text(text)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    apt = Apt(tmp_path)
    monkeypatch.setitem(distfile._APT_ENV, "APT_CONFIG", str(apt.conf))
    return apt


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


@needs_apt
@pytest.mark.parametrize("base", ["debian", "debian/"])
def test_a_one_line_source_names_the_archive(run_module: RunModule, web: Web, apt: Apt, cache: Path, base: str) -> None:
    web.files[f"debian/pool/{PATH}"] = DATA
    apt.one_line(f"# a comment\ndeb [trusted=yes] {web.url}/{base} trixie main contrib\n")
    assert run_module(distfile, wanted(cache))["changed"] is True
    assert (cache / "hello.tar.gz").read_bytes() == DATA


@needs_apt
def test_a_deb822_source_names_the_archive_and_a_disabled_one_does_not(
    run_module: RunModule, web: Web, apt: Apt, cache: Path
) -> None:
    web.files[f"mirror/pool/{PATH}"] = DATA
    apt.deb822(
        f"Types: deb\nURIs: {web.url}/off\nSuites: trixie\nComponents: main\nEnabled: no\n\n"
        f"Types: deb\nURIs: {web.url}/mirror\nSuites: trixie trixie-updates\nComponents: main\n"
    )
    assert run_module(distfile, wanted(cache))["changed"] is True
    assert web.asked == [f"/mirror/pool/{PATH}"]


@needs_apt
def test_a_mirror_list_is_asked_in_the_order_of_its_priorities(
    run_module: RunModule, web: Web, apt: Apt, cache: Path, tmp_path: Path
) -> None:
    web.files[f"second/pool/{PATH}"] = DATA
    listed = tmp_path / "mirrors.list"
    listed.write_text(f"{web.url}/second\tpriority:2\n# off\n{web.url}/first/\tpriority:1\n{web.url}/third\n")
    listed.chmod(0o644)
    apt.one_line(f"deb mirror+file:{listed} trixie main\n")
    assert run_module(distfile, wanted(cache))["changed"] is True
    assert [path for path in web.asked if path.startswith("/first")]
    assert web.asked[-1] == f"/second/pool/{PATH}"


@needs_apt
def test_a_local_archive_works(run_module: RunModule, apt: Apt, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "archive" / "pool" / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(DATA)
    apt.one_line(f"deb [trusted=yes] file:{tmp_path}/archive trixie main\n")
    assert run_module(distfile, wanted(cache))["changed"] is True


@needs_apt
def test_the_proxy_that_apt_is_configured_with_is_used(run_module: RunModule, web: Web, apt: Apt, cache: Path) -> None:
    url = f"http://archive.invalid/debian/pool/{PATH}"
    web.files[url.lstrip("/")] = DATA
    apt.option(f'Acquire::http::Proxy "{web.url}";')
    apt.one_line("deb http://archive.invalid/debian trixie main\n")
    assert run_module(distfile, wanted(cache))["changed"] is True
    assert web.asked == [url]


@needs_apt
@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (DATA[:-1] + b"?", "wrong digest: expected sha256"),
        (DATA + b"more", "larger than the declared 7000 bytes"),
        (DATA[:-1], "ends after 6999 of 7000 bytes"),
    ],
)
def test_what_the_archive_gives_is_verified_like_anything_else(
    run_module: RunModule, web: Web, apt: Apt, cache: Path, data: bytes, complaint: str
) -> None:
    web.files[f"debian/pool/{PATH}"] = data
    apt.one_line(f"deb {web.url}/debian trixie main\n")
    assert complaint in run_module(distfile, wanted(cache))["tried"][0]["error"]
    assert list(cache.iterdir()) == []


@needs_apt
def test_each_archive_that_does_not_have_it_is_named(run_module: RunModule, web: Web, apt: Apt, cache: Path) -> None:
    secret = web.url.replace("//", "//user:secret@")
    apt.one_line(f"deb {web.url}/one trixie main\ndeb {secret}/two trixie main\n")
    (entry,) = run_module(distfile, wanted(cache))["tried"]
    assert f"{web.url}/one/pool/{PATH}: 404" in entry["error"]
    assert f"{web.url}/two/pool/{PATH}: " in entry["error"]
    assert "secret" not in entry["error"]


@needs_apt
def test_an_apt_without_sources_is_said(run_module: RunModule, apt: Apt, cache: Path) -> None:
    assert "no archive configured" in run_module(distfile, wanted(cache))["tried"][0]["error"]


def test_a_host_without_apt_is_said(run_module: RunModule, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setitem(distfile._APT_ENV, "PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "this host has no apt" in run_module(distfile, wanted(cache))["tried"][0]["error"]


def test_debian_comes_first_then_what_is_not_known_yet_then_security_then_others() -> None:
    looked_into = (
        "Other\tOther\thttp://other.example/x\n"
        "Debian\tDebian-Security\thttp://sec.example/security/\n"
        "Debian\tDebian\thttp://deb.example/debian/\n"
        "Debian\tDebian\thttp://deb.example/debian/\n"
    )
    configured = "http://other.example/x\nhttp://unknown.example/debian/\ncdrom:[disc]/\nhttp://deb.example/debian/\n"
    assert distfile.archive_bases(looked_into, configured) == [
        "http://deb.example/debian",
        "http://unknown.example/debian",
        "http://sec.example/security",
        "http://other.example/x",
    ]


word = st.text(st.characters(exclude_categories=("Zs", "Zl", "Zp", "Cc", "Cs"), exclude_characters="#"), min_size=1)


@given(st.lists(st.tuples(st.sampled_from(["Debian", "Other"]), word)), st.lists(word))
def test_every_archive_is_asked_once(entries: list[tuple[str, str]], more: list[str]) -> None:
    looked_into = "".join(f"{origin}\t{origin}\thttp://{uri}\n" for origin, uri in entries)
    configured = "".join(f"http://{uri}\n" for uri in more)
    bases = distfile.archive_bases(looked_into, configured)
    assert len(bases) == len(set(bases))
    assert set(bases) == {f"http://{uri}".rstrip("/") for uri in [uri for _, uri in entries] + more}


@given(st.text(), st.text())
def test_no_output_of_apt_is_a_crash(looked_into: str, configured: str) -> None:
    bases = distfile.archive_bases(looked_into, configured)
    assert all(base and not base.startswith("cdrom:") for base in bases)


@given(st.lists(st.tuples(word, st.integers(0, 10**8))))
def test_mirrors_are_sorted_by_priority(entries: list[tuple[str, int]]) -> None:
    text = "".join(f"http://{name}\tpriority:{number}\n" for name, number in entries)
    priority: dict[str, int] = {}
    for name, number in entries:
        uri = f"http://{name}".rstrip("/")
        priority[uri] = min(number, priority.get(uri, number))
    numbers = [priority[uri] for uri in distfile.mirrors_in(text)]
    assert numbers == sorted(numbers)
    assert len(numbers) == len(priority)


@given(st.text())
def test_no_mirror_list_is_a_crash(text: str) -> None:
    assert all(" " not in uri for uri in distfile.mirrors_in(text))


def test_a_mirror_for_indexes_only_is_left_out() -> None:
    text = "http://a\ttype:index\nhttp://b\ttype:index\ttype:deb\nhttp://c\n"
    assert distfile.mirrors_in(text) == ["http://b", "http://c"]
