"""The module source_build: a prefix is there and complete, or it is not there."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import json
import mmap
import os
import pwd
import shlex
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import build_cell

from library import source_build
from module_utils.sealed_tree import record_of
from tests.unit.conftest import RunModule

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


@contextlib.contextmanager
def place_in(directory: str | None) -> Iterator[Place]:
    base = Path(tempfile.mkdtemp(prefix="source-build-", dir=directory))
    base.chmod(0o755)
    yield Place(base)
    shutil.rmtree(base)


@pytest.fixture
def place() -> Iterator[Place]:
    with place_in(None) as place:
        yield place


def test_what_is_built_is_sealed(run_module: RunModule, place: Place) -> None:
    install = 'install -D -m 6777 word "$PREFIX/bin/word"; ln -s word "$PREFIX/bin/link"; chmod 2777 "$PREFIX/bin"'
    answer = run_module(source_build, place.args(install))
    assert answer["changed"] is True
    assert (place.prefix / "bin/link").read_text() == "one\n"
    sealed = json.loads((place.prefix / ".stamp").read_text())
    assert sealed.pop("files") == record_of(place.prefix)
    assert sealed == {"stamp": "a" * 64}
    for path in (place.prefix, place.prefix / "bin", place.prefix / "bin/word"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert {path.lstat().st_uid for path in place.prefix.rglob("*")} == {os.geteuid()}
    assert not place.work.exists()


@needs_root
def test_commands_run_as_the_user_without_further_groups_or_rights(run_module: RunModule, place: Place) -> None:
    run_module(
        source_build, place.args('grep -E "^(Uid|Gid|Groups|CapEff|NoNewPrivs):" /proc/self/status >"$PREFIX/x"')
    )
    status = dict(line.split(":", 1) for line in (place.prefix / "x").read_text().splitlines())
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == [str(nobody.pw_gid)], "a build asks getgroups(2), and stops where it gives none"
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


# More directories in one another than any recursion or path stands.
DEEP = """python3 -c 'import os
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")' """
DEEP = f'cd "{{where}}"; {DEEP}'
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
    "hard link": (
        {"steps": [{"name": "i", "run": ['cp word "$PREFIX/x"; ln "$PREFIX/x" "$PREFIX/y"']}]},
        "seal",
        "has a second hard link",
    ),
    "bottomless": ({"steps": [{"name": "i", "run": [DEEP.format(where="$PREFIX")]}]}, "seal", "64 directories deep"),
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


def test_a_patch_for_lines_that_are_not_quite_there_is_refused(run_module: RunModule, place: Place) -> None:
    """With patch's own allowance it would apply: most lines around the change are as it knows them."""
    place.archive("hello.tar", {"hello-1.0/word": "other\nb\nc\none\nd\ne\nf\n"})
    text = "--- a/word\n+++ b/word\n@@ -1,7 +1,7 @@\n a\n b\n c\n-one\n+two\n d\n e\n f\n"
    (place.base / "cache" / "fuzzy.patch").write_text(text)
    archives = [
        {"name": "hello.tar", "into": "source"},
        {"name": "fuzzy.patch", "into": "patches", "unpack": False},
    ]
    answer = run_module(source_build, place.args("true", archives=archives, patches=[{"file": "patches/*"}]))
    assert answer.get("step") == "patch", answer
    assert not place.prefix.exists()


def test_the_error_ends_with_the_end_of_the_log_and_the_log_has_it_all(run_module: RunModule, place: Place) -> None:
    answer = run_module(source_build, place.args("seq 1000; exit 1"))
    assert answer["msg"].endswith("  | 999\n  | 1000")
    assert "| 900\n" not in answer["msg"]
    assert "\n1\n2\n" in place.log.read_text()


KINDS = [
    pytest.param(kind, id=lacks or "all namespaces", marks=[needs_root] if kind else [])
    for kind, lacks in build_cell.KINDS
]


def running(word: str) -> list[str]:
    """The processes that have WORD in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (path / "cmdline").read_bytes():
                found.append(path.name)
    return found


def skip_if_forbidden(answer: dict[str, Any]) -> None:
    if "unshare: Operation not permitted" in answer.get("msg", ""):
        pytest.skip("this host does not allow these namespaces")


@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_that_a_build_leaves_behind_is_ended_and_changes_nothing(
    run_module: RunModule, place: Place, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr(build_cell, "KINDS", [(kind, "")])
    word = f"daemon-{place.base.name}"
    daemon = f"""
        trap "" HUP INT TERM
        touch "$WORK/ready"
        sleep 1
        echo changed >>"$PREFIX/word"
        sleep 300 # {word}
    """
    # In a session of its own, and no child of anything in it.
    install = f"""
        cp word "$PREFIX/"
        (setsid sh -c {shlex.quote(daemon)} >/dev/null 2>&1 &)
        while ! [ -e "$WORK/ready" ]; do sleep 0.05; done
    """
    answer = run_module(source_build, place.args(install))
    skip_if_forbidden(answer)
    assert answer["changed"] is True, answer
    assert running(word) == []
    time.sleep(1.2)
    assert (place.prefix / "word").read_text() == "one\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_that_is_not_done_in_time_is_ended_with_its_daemons(
    run_module: RunModule, place: Place, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr(build_cell, "KINDS", [(kind, "")])
    word = f"daemon-{place.base.name}"
    install = f"(setsid sh -c 'sleep 300; : {word}' &); sh -c 'sleep 300; : {word}'"
    answer = run_module(source_build, place.args(install, timeout=1))
    skip_if_forbidden(answer)
    assert "not done after 1 s, ended" in answer["msg"]
    assert running(word) == []


def test_a_descriptor_or_mapping_that_was_kept_does_not_lead_to_what_is_sealed(
    run_module: RunModule, place: Place
) -> None:
    kept: list[mmap.mmap] = []

    def keep() -> None:
        path = place.prefix / "word"
        while not (path.exists() and path.stat().st_size == 4):
            time.sleep(0.01)
        with path.open("r+b") as file:
            kept.append(mmap.mmap(file.fileno(), 0))
        (place.prefix / "go").touch()

    thread = threading.Thread(target=keep)
    thread.start()
    wait = 'while ! [ -e "$PREFIX/go" ]; do sleep 0.05; done; rm -f "$PREFIX/go"'
    answer = run_module(source_build, place.args(f'cp word "$PREFIX/"; {wait}'))
    thread.join()
    assert answer["changed"] is True, answer
    kept[0][:4] = b"two\n"
    kept[0].flush()
    assert (place.prefix / "word").read_text() == "one\n"


def whole_cell(answer: dict[str, Any]) -> None:
    if not answer["isolated"]:
        pytest.skip("this host does not allow all namespaces")


CONNECT = """python3 -c 'import socket, sys
for family, place in {places}:
    try:
        with socket.socket(family) as sock:
            sock.connect(place)
            print("reached", place)
    except OSError as error:
        print(error)' >"$PREFIX/x" """


@needs_root
def test_a_build_can_connect_to_nothing_of_the_host(run_module: RunModule, place: Place) -> None:
    path = place.base / "socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as file,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        file.bind(str(path))
        path.chmod(0o666)
        abstract.bind(f"\0{path}")
        file.listen()
        abstract.listen()
        places = [(2, ("127.0.0.1", tcp.getsockname()[1])), (1, str(path)), (1, f"\0{path}"), (1, "/dev/log")]
        answer = run_module(source_build, place.args(CONNECT.format(places=str(places).replace("'", '"'))))
    whole_cell(answer)
    said = (place.prefix / "x").read_text()
    assert len(said.splitlines()) == 4
    assert "reached" not in said


@needs_root
def test_a_build_reads_nothing_of_another_and_leaves_nothing_for_it(run_module: RunModule, place: Place) -> None:
    builder = pwd.getpwnam("nobody")
    other = place.base / "other"
    other.mkdir(mode=0o700)
    (other / "secret").write_text("secret")
    for path in (other, other / "secret"):
        os.chown(path, builder.pw_uid, builder.pw_gid)
    left = [f"{name}/{place.base.name}-left" for name in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")]  # noqa: S108
    install = [
        'cp "$WORK/../other/secret" "$PREFIX/" || :',
        *(f"touch {name} || :" for name in left),
        # The first three are there to be used within one command.
        f'touch {" ".join(left[:3])}; ls {" ".join(left[:3])} >"$PREFIX/x"',
    ]
    answer = run_module(source_build, place.args(*install))
    whole_cell(answer)
    assert not (place.prefix / "secret").exists()
    assert not any(Path(name).exists() for name in left)
    assert len((place.prefix / "x").read_text().splitlines()) == 3


KEYS = """python3 -c 'import ctypes
libc = ctypes.CDLL(None)
number = {number}
keyctl = lambda *words: libc.syscall(number, *words)
read = ctypes.create_string_buffer(64)
print(keyctl(11, {key}, read, 64), keyctl(2, {key}, b"evil", 4))
for keyring in (-4, -5):
    print(keyctl(10, keyring, b"user", b"left", 0), libc.syscall({add}, b"user", b"left", b"x", 1, keyring) > 0)
' >"$PREFIX/keys" """


@needs_root
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86-64")
def test_a_build_reaches_no_key_of_its_caller_or_of_another_build(run_module: RunModule, place: Place) -> None:
    libc, number, add = ctypes.CDLL(None), build_cell.SYS_KEYCTL["x86_64"], 248
    if libc.syscall(number, build_cell.KEYCTL_JOIN_SESSION_KEYRING, None) < 0:
        pytest.skip("this host does not allow keyrings")
    key = libc.syscall(add, b"user", b"ticket", b"secret", 6, -3)
    assert key > 0
    for _ in range(2):
        answer = run_module(source_build, place.args(KEYS.format(number=number, add=add, key=key)))
        assert answer["changed"] is True, answer
        assert (place.prefix / "keys").read_text().split() == ["-1", "-1", "-1", "True", "-1", "True"]
        shutil.rmtree(place.prefix)


@needs_root
@pytest.mark.parametrize("directory", ["/tmp", "/var/cache"])  # noqa: S108
def test_a_build_writes_to_its_own_directories_and_to_no_other(run_module: RunModule, directory: str) -> None:
    with place_in(directory) as place:
        shared = place.prefix.parent / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        install = f'chmod 0700 "$PREFIX"; touch "$WORK/x" "$PREFIX/x"; ! touch {shared}/x; echo >/dev/null'
        answer = run_module(source_build, place.args(install))
        whole_cell(answer)
        assert {path.name for path in place.prefix.iterdir()} == {"x", ".stamp"}
        assert list(shared.iterdir()) == []


@needs_root
def test_a_build_sees_and_signals_no_other_process_of_its_user(run_module: RunModule, place: Place) -> None:
    with subprocess.Popen(["setpriv", "--reuid=nobody", "--clear-groups", "sleep", "60"]) as other:
        try:
            install = f'if kill -9 {other.pid}; then echo hit >"$PREFIX/x"; fi; ls /proc >"$PREFIX/proc"'
            answer = run_module(source_build, place.args(f"({install}) || :"))
            assert answer.get("changed"), answer
            whole_cell(answer)
            assert other.poll() is None
            assert not (place.prefix / "x").exists()
            numbers = [int(name) for name in (place.prefix / "proc").read_text().split() if name.isdigit()]
            assert 1 <= len(numbers) < 10
        finally:
            other.kill()


@needs_root
def test_a_stray_process_of_the_build_user_is_named_before_anything_is_built(
    run_module: RunModule, place: Place
) -> None:
    with subprocess.Popen(["setpriv", "--reuid=nobody", "--clear-groups", "sleep", "60"]) as stray:
        try:
            while str(pwd.getpwnam("nobody").pw_uid) not in Path(f"/proc/{stray.pid}/status").read_text():
                time.sleep(0.01)
            answer = run_module(source_build, place.args("true", exclusive=True))
        finally:
            stray.kill()
    assert answer["failed"] is True
    assert f"{stray.pid} (sleep)" in answer["msg"]
    assert "runs as nobody outside of any build" in answer["msg"]
    assert not place.prefix.exists()


def test_builds_wait_for_each_other(run_module: RunModule, place: Place) -> None:
    with (place.base / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = run_module(source_build, place.args("true", timeout=1))
        assert "another build is at work in" in answer["msg"]
    assert run_module(source_build, place.args("true"))["changed"] is True


def test_the_log_is_not_the_commands_to_change_and_has_an_end(
    run_module: RunModule, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_module(source_build, place.args("truncate -s 0 /proc/self/fd/1 || :", "echo second"))
    assert "=== unpack: " in place.log.read_text()
    shutil.rmtree(place.prefix)
    monkeypatch.setattr(source_build, "LOG_BYTES", 20000)
    answer = run_module(source_build, place.args("yes | head -c 1000000"))
    assert answer["changed"] is True
    assert 20000 < place.log.stat().st_size < 20100
    assert place.log.read_text().endswith("=== the log is full; the rest is left out\n")


def test_a_work_tree_of_any_depth_and_its_links_are_removed_without_following(
    run_module: RunModule, place: Place
) -> None:
    (place.base / "outside").mkdir()
    (place.base / "outside" / "kept").touch()
    step = f'ln -s "{place.base}/outside" "$WORK/link"; {DEEP.format(where="$WORK")}'
    assert run_module(source_build, place.args(step))["changed"] is True
    assert not place.work.exists()
    assert (place.base / "outside" / "kept").exists()


def test_times_and_links_are_those_of_the_build(run_module: RunModule, place: Place) -> None:
    run_module(source_build, place.args('touch -d @1000000000.5 "$PREFIX/x"; ln -s /nowhere "$PREFIX/y"'))
    assert (place.prefix / "x").stat().st_mtime == 1000000000.5
    assert (place.prefix / "y").readlink() == Path("/nowhere")


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
