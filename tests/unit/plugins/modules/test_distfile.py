"""The module distfile: what it keeps, what it refuses, what it says."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library import distfile
from tests.unit.conftest import RunModule
from tests.unit.plugins.modules.conftest import Web

DATA = gzip.compress(b"a source archive\n" * 500, mtime=0)
NAME = "hello-1.0.tar.gz"


def wanted(cache: Path, *sites: str, **more: Any) -> dict[str, Any]:
    """Arguments of the module for DATA."""
    digest = hashlib.sha256(DATA).hexdigest()
    return {"name": NAME, "size": len(DATA), "sha256": digest, "cache": str(cache), "sites": sites, "timeout": 1} | more


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


def kept(cache: Path) -> dict[str, bytes]:
    """Everything in the cache."""
    return {path.name: path.read_bytes() for path in cache.iterdir()}


def test_a_file_with_the_digest_is_left_alone_and_no_site_is_asked(
    run_module: RunModule, web: Web, cache: Path
) -> None:
    (cache / NAME).write_bytes(DATA)
    before = (cache / NAME).stat()
    answer = run_module(distfile, wanted(cache, f"{web.url}/{NAME}"))
    assert answer["changed"] is False
    assert web.asked == []
    after = (cache / NAME).stat()  # its time of access alone may be another
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_fetched_can_be_read_by_the_build_whatever_the_umask_is(
    run_module: RunModule, web: Web, cache: Path
) -> None:
    web.files[NAME] = DATA
    before = os.umask(0o077)
    try:
        run_module(distfile, wanted(cache, f"{web.url}/{NAME}"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((cache / NAME).stat().st_mode) == 0o644


def test_the_first_site_that_has_the_file_gives_it(
    run_module: RunModule, web: Web, cache: Path, tmp_path: Path
) -> None:
    web.files[NAME] = DATA
    answer = run_module(
        distfile, wanted(cache, str(tmp_path / "nowhere"), f"{web.url}/{NAME}", "https://unused.invalid/")
    )
    assert answer["changed"] is True
    assert answer["site"] == f"{web.url}/{NAME}"
    assert answer["tried"] == [{"site": str(tmp_path / "nowhere"), "error": "No such file or directory"}]
    assert kept(cache) == {NAME: DATA}
    assert stat.S_IMODE((cache / NAME).stat().st_mode) == 0o644


@pytest.mark.parametrize("form", ["{url}/", "{url}/moved/{name}", "{url}/labelled/{name}"])
def test_web_sites_that_are_fine(run_module: RunModule, web: Web, cache: Path, form: str) -> None:
    """A directory, a redirection, and a server that labels a .gz as an encoding: the bytes count as they are."""
    web.files[NAME] = DATA
    assert run_module(distfile, wanted(cache, form.format(url=web.url, name=NAME)))["changed"] is True
    assert kept(cache) == {NAME: DATA}


@pytest.mark.parametrize("form", ["{0}", "{0}/{1}", "file://{0}", "file://{0}/{1}"])
def test_local_sites(run_module: RunModule, cache: Path, tmp_path: Path, form: str) -> None:
    """A directory on the target or a file there, by path or by URL."""
    store = tmp_path / "store"
    store.mkdir()
    (store / NAME).write_bytes(DATA)
    assert run_module(distfile, wanted(cache, form.format(store, NAME)))["changed"] is True
    assert kept(cache) == {NAME: DATA}


FAULTS: dict[str, tuple[Callable[[str], str], bytes, str]] = {
    "wrong digest": (lambda url: f"{url}/{NAME}", DATA[:-1] + b"?", "wrong digest: expected sha256 {want}, got {got}"),
    "announced larger": (lambda url: f"{url}/{NAME}", DATA + b"?", "has {more} bytes, {size} are declared"),
    "announced smaller": (lambda url: f"{url}/{NAME}", DATA[:-1], "has {less} bytes, {size} are declared"),
    "cut short": (lambda url: f"{url}/short/{NAME}", DATA, "ends after {less} of {size} bytes"),
    "endless": (lambda url: f"{url}/endless/{NAME}", DATA, "larger than the declared {size} bytes"),
    "absent": (lambda url: f"{url}/other", DATA, "HTTP 404 Not Found"),
    "silent": (lambda url: f"{url}/silent/{NAME}", DATA, "timed out"),
    "of no known form": (lambda _: "ftp://example.org/x", DATA, "not a site: give an https:// URL"),
    "relative": (lambda _: "some/where", DATA, "not a site: give an https:// URL"),
    "outside the pool": (lambda _: "debian-pool:../../etc/passwd", DATA, "is not a path under pool/"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_site_is_named_with_its_error_and_nothing_is_kept(
    run_module: RunModule, web: Web, cache: Path, fault: str
) -> None:
    form, data, expected = FAULTS[fault]
    web.files[NAME] = data
    answer = run_module(distfile, wanted(cache, form(web.url)))
    assert answer["failed"] is True
    (entry,) = answer["tried"]
    assert entry["site"] == form(web.url)
    assert (
        expected.format(
            want=hashlib.sha256(DATA).hexdigest(),
            got=hashlib.sha256(data).hexdigest(),
            size=len(DATA),
            less=len(DATA) - 1,
            more=len(DATA) + 1,
        )
        in (entry["error"])
    )
    assert kept(cache) == {}


def test_when_all_sites_fail_one_error_lists_each_with_its_reason(
    run_module: RunModule, web: Web, cache: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    answer = run_module(
        distfile, wanted(cache, str(tmp_path / "absent"), f"http://127.0.0.1:{port}/x", f"{web.url}/not-here")
    )
    first, *lines = answer["msg"].splitlines()
    assert first.startswith(f"{NAME} (sha256 {hashlib.sha256(DATA).hexdigest()}) could not be fetched")
    assert lines[0] == f"  {tmp_path / 'absent'}: No such file or directory"
    assert lines[1].startswith(f"  http://127.0.0.1:{port}/x: ")
    assert "refused" in lines[1]
    assert lines[2] == f"  {web.url}/not-here: HTTP 404 Not Found"


def test_an_unresolvable_host_is_a_sentence(run_module: RunModule, cache: Path) -> None:
    answer = run_module(distfile, wanted(cache, "https://mirror.invalid/x"))
    assert answer["tried"][0]["error"]
    assert "\n" not in answer["tried"][0]["error"]


def test_passwords_of_a_site_are_in_no_message(run_module: RunModule, cache: Path) -> None:
    answer = run_module(distfile, wanted(cache, "http://user:secret@127.0.0.1:9/x"))
    assert "secret" not in str({k: v for k, v in answer.items() if k != "invocation"})


def test_no_sites_is_said(run_module: RunModule, cache: Path) -> None:
    assert "has no sites to fetch it from" in run_module(distfile, wanted(cache))["msg"]


def test_a_damaged_file_in_the_cache_is_replaced_but_kept_until_then(
    run_module: RunModule, web: Web, cache: Path
) -> None:
    (cache / NAME).write_bytes(b"damaged")
    assert run_module(distfile, wanted(cache, f"{web.url}/{NAME}"))["failed"] is True
    assert kept(cache) == {NAME: b"damaged"}
    web.files[NAME] = DATA
    assert run_module(distfile, wanted(cache, f"{web.url}/{NAME}"))["changed"] is True
    assert kept(cache) == {NAME: DATA}


def test_the_remains_of_a_broken_run_are_no_obstacle(run_module: RunModule, web: Web, cache: Path) -> None:
    web.files[NAME] = DATA
    (cache / f"{NAME}.new").symlink_to("/etc/passwd")
    assert run_module(distfile, wanted(cache, f"{web.url}/{NAME}"))["changed"] is True
    assert kept(cache) == {NAME: DATA}


def test_a_symlink_in_the_cache_is_replaced_not_followed(
    run_module: RunModule, web: Web, cache: Path, tmp_path: Path
) -> None:
    web.files[NAME] = DATA
    (tmp_path / "elsewhere").write_bytes(DATA)
    (cache / NAME).symlink_to(tmp_path / "elsewhere")
    assert run_module(distfile, wanted(cache, f"{web.url}/{NAME}"))["changed"] is True
    assert not (cache / NAME).is_symlink()


def test_a_fifo_as_a_site_does_not_block(run_module: RunModule, cache: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    assert run_module(distfile, wanted(cache, str(tmp_path)))["tried"][0]["error"] == "not a regular file"


def test_a_missing_cache_is_not_blamed_on_a_site(run_module: RunModule, web: Web, tmp_path: Path) -> None:
    web.files[NAME] = DATA
    answer = run_module(distfile, wanted(tmp_path / "none", f"{web.url}/{NAME}"))
    assert "cannot be kept in" in answer["msg"]
    assert web.asked == []


def test_check_mode_asks_no_site_and_tells_the_truth(run_module: RunModule, web: Web, cache: Path) -> None:
    answer = run_module(distfile, wanted(cache, f"{web.url}/{NAME}"), check=True)
    assert answer["changed"] is True
    assert answer["diff"]["after"] == f"sha256 {hashlib.sha256(DATA).hexdigest()}\n"
    assert answer["diff"]["before"] == ""
    assert (web.asked, kept(cache)) == ([], {})
    (cache / NAME).write_bytes(DATA)
    assert run_module(distfile, wanted(cache), check=True)["changed"] is False


def test_check_mode_works_where_there_is_no_cache_yet(run_module: RunModule, tmp_path: Path) -> None:
    assert run_module(distfile, wanted(tmp_path / "none"), check=True)["changed"] is True


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "../etc/x"}, "is not a plain file name"),
        ({"name": ".hidden"}, "is not a plain file name"),
        ({"sha256": "abc"}, "is not 64 lower-case hexadecimal digits"),
        ({"sha256": "A" * 64}, "is not 64 lower-case hexadecimal digits"),
        ({"size": -1}, "is negative"),
    ],
)
def test_bad_arguments_get_a_sentence(
    run_module: RunModule, cache: Path, change: dict[str, Any], complaint: str
) -> None:
    assert complaint in run_module(distfile, wanted(cache, "/nowhere") | change)["msg"]


def test_a_site_that_drips_is_given_up(cache: Path) -> None:
    want = distfile.Distfile(NAME, len(DATA), hashlib.sha256(DATA).hexdigest())
    with pytest.raises(distfile.SiteError, match="too slow"):
        distfile.take(io.BytesIO(DATA), cache / "x", want, time.monotonic() - 1)
    assert kept(cache) == {}


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_only_the_declared_bytes_are_ever_kept(
    tmp_path_factory: pytest.TempPathFactory, want: bytes, got: bytes
) -> None:
    """Whatever a source gives: either exactly the declared bytes are there afterwards, or nothing is."""
    target = tmp_path_factory.mktemp("take") / "file"
    declared = distfile.Distfile("x", len(want), hashlib.sha256(want).hexdigest())
    try:
        distfile.take(io.BytesIO(got), target, declared, time.monotonic() + 60)
    except distfile.SiteError:
        assert got != want
        assert not target.exists()
    else:
        assert target.read_bytes() == want == got
