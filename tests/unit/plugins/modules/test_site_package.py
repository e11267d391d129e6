"""A package of the site's own: the same content is the same file, and only what differs is installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

from library import site_package

RunModule = Callable[..., dict[str, Any]]
NAME = "qmail-site-of-a-test"
PARAMS: dict[str, Any] = {
    "name": NAME,
    "state": "present",
    "version": "1.0",
    "description": ["of a test", "One paragraph.", "Another one."],
    "fields": {"Provides": "default-of-a-test", "Protected": "yes"},
    "links": {"/usr/sbin/of-a-test": "/bin/sh", "/usr/lib/of-a-test": "../sbin/of-a-test"},
    "files": [
        {"path": "/usr/bin/a-test", "content": "#!/bin/sh\n", "mode": "0755"},
        {"path": "/usr/share/doc/of-a-test", "content": "ü\n", "mode": "0644"},
    ],
    "scripts": {"postinst": "#!/bin/sh\nexit 0\n"},
}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    return PARAMS | {"cache": str(tmp_path / "cache")}


def digest(folder: Path, params: dict[str, Any]) -> str:
    folder.mkdir()
    return hashlib.sha256(site_package.build(params, folder).read_bytes()).hexdigest()


def deb(*words: str | Path) -> str:
    return subprocess.run(["dpkg-deb", *words], check=True, capture_output=True, text=True).stdout


def test_the_same_content_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(tmp_path / "a", PARAMS)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    before = os.umask(0o077)
    try:
        assert digest(tmp_path / "another-name", PARAMS) == first
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.1"},
        {"description": ["of another test"]},
        {"fields": {}},
        {"links": {}},
        {"files": []},
        {"scripts": {}},
    ],
)
def test_another_content_is_another_version(tmp_path: Path, change: dict[str, Any]) -> None:
    assert site_package.full_version(PARAMS | change) != site_package.full_version(PARAMS)
    assert digest(tmp_path / "a", PARAMS | change) != digest(tmp_path / "b", PARAMS)


def test_where_the_file_is_kept_is_no_part_of_it() -> None:
    versions = {site_package.full_version(PARAMS | {"cache": cache, "instead_of": ["exim4"]}) for cache in ("/a", "/b")}
    assert versions == {site_package.full_version(PARAMS)}


def test_what_is_in_the_package(tmp_path: Path) -> None:
    package = site_package.build(PARAMS, tmp_path)
    assert package.name == f"{NAME}_{site_package.full_version(PARAMS)}_all.deb"
    fields = deb("--field", package)
    assert "Provides: default-of-a-test\nProtected: yes\n" in fields
    assert "Description: of a test\n One paragraph.\n .\n Another one.\n" in fields
    listed = [line.split() for line in deb("--contents", package).splitlines()]
    assert {owner for _, owner, *_ in listed} == {"root/root"}
    assert {mode for mode, *_, name in listed if name.endswith("/")} == {"drwxr-xr-x"}
    assert {name: mode for mode, *_, name in listed if mode.startswith("-")} == {
        "./usr/bin/a-test": "-rwxr-xr-x",
        "./usr/share/doc/of-a-test": "-rw-r--r--",
    }
    assert [" ".join(words[-3:]) for words in listed if words[0].startswith("l")] == [
        "./usr/lib/of-a-test -> ../sbin/of-a-test",
        "./usr/sbin/of-a-test -> /bin/sh",
    ]
    assert deb("--info", package, "postinst") == PARAMS["scripts"]["postinst"]


def test_check_mode_says_what_would_be_and_leaves_nothing(run_module: RunModule, given: dict[str, Any]) -> None:
    answer = run_module(site_package, given, check=True)
    assert answer["changed"] is True
    assert (answer["removed"], answer["version"]) == ([], site_package.full_version(PARAMS))
    assert f"{NAME}: absent\n/usr/sbin/of-a-test: absent\n" in answer["diff"]["before"]
    assert "/usr/sbin/of-a-test: -> /bin/sh\n" in answer["diff"]["after"]
    assert not Path(given["cache"]).exists()
    assert site_package.installed(NAME) == ""


def test_what_takes_another_package_away_is_refused(run_module: RunModule, given: dict[str, Any]) -> None:
    given["fields"] = {"Conflicts": "dash"}
    answer = run_module(site_package, given, check=True)
    assert answer["failed"] is True
    assert "dash" in answer["msg"]


def test_a_link_to_nowhere_is_refused(run_module: RunModule, given: dict[str, Any], tmp_path: Path) -> None:
    given["links"] = {"/usr/sbin/of-a-test": str(tmp_path / "sendmail")}
    message = run_module(site_package, given)["msg"]
    assert f"/usr/sbin/of-a-test is to lead to {tmp_path}/sendmail, which is not there; install what brings" in message
    assert site_package.installed(NAME) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "Upper"}, "'Upper' is not a package's name"),
        ({"instead_of": ["-o=x"]}, "'-o=x' is not a package's name"),
        ({"version": "1.0-1"}, "version: '1.0-1' is not a plain version"),
        ({"links": {"usr/bin/x": "y"}}, "'usr/bin/x' is not an absolute path"),
        ({"links": {"/usr/../x": "y"}}, "'/usr/../x' is not an absolute path"),
        ({"files": [{"path": "/", "content": ""}]}, "'/' is not an absolute path"),
        ({"files": [{"path": "/x", "content": "", "mode": "4755"}]}, 'is not an octal mode such as "0755"'),
        ({"fields": {"Depends": "a\nEssential: yes"}}, "is not a line of a control file"),
        ({"fields": {"a b": "c"}}, "is not a line of a control file"),
    ],
)
def test_what_makes_no_package_is_refused(
    run_module: RunModule, given: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    assert sentence in run_module(site_package, given | change, check=True)["msg"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("ii |1.0-a", "1.0-a"),
        ("hi |1.0-a", "1.0-a"),
        ("ri |1.0-a", "1.0-a (dpkg: ri)"),
        ("iF |1.0-a", "1.0-a (dpkg: iF)"),
        ("iiR|1.0-a", "1.0-a (dpkg: iiR)"),
        ("rc |1.0-a", ""),
        ("un |", ""),
        ("", ""),
    ],
)
def test_only_what_dpkg_calls_installed_and_wanted_is(
    monkeypatch: pytest.MonkeyPatch, status: str, expected: str
) -> None:
    monkeypatch.setattr(site_package, "run", lambda command, codes: status)
    assert site_package.installed(NAME) == expected


def test_the_roles_agree_on_the_mail_systems() -> None:
    mta, preflight = (
        yaml.safe_load((ROOT / "roles" / role / "vars/main.yml").read_text(encoding="utf-8"))
        for role in ("mta", "preflight")
    )
    assert list(mta["_mta_known"]) == preflight["_preflight_mtas"]
    assert mta["_mta_name"] == preflight["_preflight_own_package"]
