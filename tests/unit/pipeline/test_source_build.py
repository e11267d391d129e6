"""The module source_build: a prefix is there and complete, or it is not there."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from library import source_build

from .conftest import RunModule

ROOT = os.geteuid() == 0
BUILDER = "nobody" if ROOT else None
needs_root = pytest.mark.skipif(not ROOT, reason="only root can become another user")
PATCH = "--- a/word\n+++ b/word\n@@ -1 +1 @@\n-{old}\n+{new}\n"


class Place:
    """Directories of a build that any user may reach, and a source archive with one file, word."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.log, self.work = base / "log", base / "work"
        self.prefix = base / "opt" / "1.0-aaaaaaaa"
        self.prefix.parent.mkdir()
        (base / "cache").mkdir()
        self.archive("hello.tar", {"hello-1.0/word": "one\n"})

    def archive(self, name: str, files: dict[str, str]) -> None:
        with tarfile.open(self.base / "cache" / name, "w") as archive:
            for path, text in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))

    def patch(self, name: str, old: str, new: str) -> dict[str, Any]:
        """A patch as a source of its own. Gives its entry for archives."""
        (self.base / "cache" / name).write_text(PATCH.format(old=old, new=new))
        return {"name": name, "into": "patches", "unpack": False}

    def args(self, *install: str, **more: Any) -> dict[str, Any]:
        return {
            "label": "hello 1.0",
            "user": BUILDER,
            "work": str(self.work),
            "prefix": str(self.prefix),
            "stamp": {"stamp": "a" * 64},
            "log": str(self.log),
            "cache": str(self.base / "cache"),
            "archives": [{"name": "hello.tar", "into": "source"}],
            "steps": [{"name": "install", "run": list(install)}],
            "timeout": 20,
        } | more


@pytest.fixture
def place() -> Iterator[Place]:
    base = Path(tempfile.mkdtemp(prefix="source-build-"))
    base.chmod(0o755)
    yield Place(base)
    shutil.rmtree(base)


def test_what_is_built_is_sealed(run_module: RunModule, place: Place) -> None:
    install = 'install -D -m 6777 word "$PREFIX/bin/word"; ln -s word "$PREFIX/bin/link"; chmod 2777 "$PREFIX/bin"'
    answer = run_module(source_build, place.args(install))
    assert answer["changed"] is True
    assert (place.prefix / "bin/link").read_text() == "one\n"
    assert json.loads((place.prefix / ".stamp").read_text()) == {"stamp": "a" * 64}
    for path in (place.prefix, place.prefix / "bin", place.prefix / "bin/word"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert {path.lstat().st_uid for path in place.prefix.rglob("*")} == {os.geteuid()}
    assert not place.work.exists()


@needs_root
def test_commands_run_as_the_user_without_groups_or_rights(run_module: RunModule, place: Place) -> None:
    run_module(
        source_build, place.args('grep -E "^(Uid|Gid|Groups|CapEff|NoNewPrivs):" /proc/self/status >"$PREFIX/x"')
    )
    status = dict(line.split(":", 1) for line in (place.prefix / "x").read_text().splitlines())
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == []
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"


def test_commands_see_no_variable_of_the_caller(
    run_module: RunModule, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    run_module(source_build, place.args('env >"$PREFIX/x"', environment={"CC": "gcc -O2"}))
    names = {line.partition("=")[0] for line in (place.prefix / "x").read_text().splitlines()}
    names -= {"PWD", "OLDPWD", "_", "SHLVL"}
    assert names == {"PATH", "HOME", "WORK", "PREFIX", "JOBS", "TMPDIR", "LC_ALL", "TZ", "SOURCE_DATE_EPOCH", "CC"}


@needs_root
def test_what_a_command_makes_in_its_temporary_directory_can_be_executed(run_module: RunModule, place: Place) -> None:
    script = """d=$(mktemp -d); printf '#!/bin/sh\necho "$1" >"$PREFIX/x"\n' >"$d/p"; chmod +x "$d/p"; "$d/p" "$d" """
    run_module(source_build, place.args(script))
    where = Path((place.prefix / "x").read_text().strip())
    assert where.parent == place.work / ".tmp"


def test_commands_reach_no_network_but_a_loopback_of_their_own(run_module: RunModule, place: Place) -> None:
    answer = run_module(source_build, place.args('cat /proc/net/dev >"$PREFIX/x"; cat /proc/net/route >"$PREFIX/y"'))
    if not answer["isolated"]:
        pytest.skip("this host allows no network namespaces")
    devices = [line.split(":")[0].strip() for line in (place.prefix / "x").read_text().splitlines()[2:]]
    assert "lo" in devices
    assert len((place.prefix / "y").read_text().splitlines()) == 1  # the headline: no route to anywhere


def test_the_order_is_archives_then_patches_then_steps(run_module: RunModule, place: Place) -> None:
    first, second = place.patch("10.patch", "one", "two"), place.patch("20.patch", "two", "three")
    args = place.args(
        'cp word "$PREFIX/"',
        archives=[{"name": "hello.tar", "into": "source"}, second, first],
        patches=[{"file": "patches/*.patch"}],
        steps=[{"name": "build", "run": ["echo four >>word"]}, {"name": "install", "run": ['cp word "$PREFIX/"']}],
    )
    assert list(run_module(source_build, args)["seconds"]) == ["unpack", "patch", "build", "install"]
    assert (place.prefix / "word").read_text() == "three\nfour\n"


FAILURES: dict[str, tuple[dict[str, Any], str, str]] = {
    "command": ({"steps": [{"name": "build", "run": ["echo said; exit 3"]}]}, "build", "exit code 3"),
    "first line of two": (
        {"steps": [{"name": "build", "run": ["false\ntrue"]}]},
        "build",
        "false ...: exit code 1",
    ),
    "signal": ({"steps": [{"name": "check", "run": ["kill -9 $$"]}]}, "check", "signal SIGKILL"),
    "endless": ({"steps": [{"name": "build", "run": ["sleep 60"]}], "timeout": 1}, "build", "not done after 1 s"),
    "no archive": ({"archives": [{"name": "absent.tar", "into": "source"}]}, "unpack", "exit code 2"),
    "no patch": ({"patches": [{"file": "patches/*.patch"}]}, "patch", "no such file among the unpacked sources"),
    "patch from outside": ({"patches": [{"file": "../../etc/passwd"}]}, "patch", "not a path inside"),
    "unset variable": ({"steps": [{"name": "build", "run": ['echo "$NOTHING"']}]}, "build", "exit code 2"),
    "pipe as a product": ({"steps": [{"name": "i", "run": ['mkfifo "$PREFIX/x"']}]}, "seal", "neither a file nor"),
    "hard link": ({"steps": [{"name": "i", "run": ['ln word "$PREFIX/x"']}]}, "seal", "has a second hard link"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_the_running_version_and_nothing_of_itself(
    run_module: RunModule, place: Place, failure: str
) -> None:
    running = place.prefix.parent / "0.9-bbbbbbbb"
    running.mkdir()
    (running / "word").write_text("old")
    (place.prefix.parent / "current").symlink_to(running.name)
    change, step, complaint = FAILURES[failure]
    answer = run_module(source_build, place.args("true") | change)
    assert (answer["failed"], answer["step"]) == (True, step)
    assert complaint in answer["msg"]
    assert f"The version in use, {running.name}, is untouched. The whole log is {place.log}" in answer["msg"]
    assert sorted(path.name for path in place.prefix.parent.iterdir()) == [running.name, "current"]
    assert (running / "word").read_text() == "old"
    assert not place.work.exists()


def test_a_patch_that_does_not_apply_ends_the_build_and_is_named(run_module: RunModule, place: Place) -> None:
    archives = [{"name": "hello.tar", "into": "source"}, place.patch("broken.patch", "seven", "eight")]
    answer = run_module(source_build, place.args("true", archives=archives, patches=[{"file": "patches/*"}]))
    assert answer["step"] == "patch"
    assert "patches/broken.patch: exit code 1" in answer["msg"]
    assert "Hunk #1 FAILED" in answer["msg"]
    assert not place.prefix.exists()


def test_the_error_ends_with_the_end_of_the_log_and_the_log_has_it_all(run_module: RunModule, place: Place) -> None:
    answer = run_module(source_build, place.args("seq 1000; exit 1"))
    assert answer["msg"].endswith("  | 999\n  | 1000")
    assert "| 900\n" not in answer["msg"]
    assert "\n1\n2\n" in place.log.read_text()


def test_what_a_command_leaves_running_is_ended(run_module: RunModule, place: Place) -> None:
    run_module(source_build, place.args('sleep 300 & echo $! >"$PREFIX/pid"'))
    pid = int((place.prefix / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and " Z " not in f" {Path(f'/proc/{pid}/stat').read_text().split()[2]} ":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_unfinished_prefix_is_built_anew_and_a_complete_one_never_over(run_module: RunModule, place: Place) -> None:
    place.prefix.mkdir()
    (place.prefix / "stale").write_text("")
    assert run_module(source_build, place.args('cp word "$PREFIX/"'))["changed"] is True
    assert not (place.prefix / "stale").exists()
    answer = run_module(source_build, place.args("exit 1"))
    assert "is a complete build, not to be built over" in answer["msg"]
    assert (place.prefix / "word").read_text() == "one\n"


def test_an_archive_cannot_write_outside_of_its_directory(run_module: RunModule, place: Place) -> None:
    place.archive("evil.tar", {"evil/../../../escaped": "x"})
    archives = [{"name": "hello.tar", "into": "source"}, {"name": "evil.tar", "into": "more"}]
    assert run_module(source_build, place.args("true", archives=archives))["step"] == "unpack"
    assert not (place.base / "escaped").exists()


@needs_root
@pytest.mark.parametrize(("user", "complaint"), [(None, "never built as root"), ("root", "never built as root")])
def test_root_never_builds(run_module: RunModule, place: Place, user: str | None, complaint: str) -> None:
    assert complaint in run_module(source_build, place.args("true", user=user))["msg"]


def test_an_unknown_user_is_said(run_module: RunModule, place: Place) -> None:
    assert "has no user 'no-such-user'" in run_module(source_build, place.args("true", user="no-such-user"))["msg"]


def test_check_mode_runs_nothing(run_module: RunModule, place: Place) -> None:
    assert run_module(source_build, place.args('touch "$PREFIX/x"'), check=True)["changed"] is True
    assert not place.prefix.exists()
    assert not place.log.exists()
