"""The module site_state: what it says of processes, sockets and units is what the kernel and systemd say."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from library import site_state
from tests.unit.conftest import RunModule

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_a_process_is_told_with_all_of_its_ids_arguments_and_variables() -> None:
    words = [sys.executable, "-I", "-c", "import time; time.sleep(60)", "two words", ""]
    with subprocess.Popen(words, env={"ONE": "1", "EMPTY": "", "WITH": "a=b"}) as process:
        try:
            told = site_state.process(process.pid)
            me, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
            assert told is not None
            assert told["pid"] == process.pid
            assert told["program"] == os.path.realpath(sys.executable)
            assert told["arguments"] == words
            assert told["environment"] == {"ONE": "1", "EMPTY": "", "WITH": "a=b"}
            assert (told["users"], told["groups"]) == ([me] * 4, [group] * 4)
        finally:
            process.kill()
    assert site_state.process(process.pid) is None


@needs_root
def test_real_effective_saved_ids_and_further_groups_are_told_apart() -> None:
    script = "import os, time; os.setresuid(65534, 65534, 0); print(flush=True); time.sleep(60)"
    words = [sys.executable, "-I", "-c", script]
    with subprocess.Popen(words, group=65534, extra_groups=[0, 54321], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            told = site_state.process(process.pid)
            assert told is not None
            assert told["users"] == ["nobody", "nobody", "root", "nobody"]
            assert set(told["groups"]) == {grp.getgrgid(65534).gr_name}
            assert told["further"] == ["54321", "root"]
        finally:
            process.kill()


def test_helpers_are_found_by_their_programs_with_their_process_group(tmp_path: Path) -> None:
    program = tmp_path / "1" / "qmail-clean"
    program.parent.mkdir()
    shutil.copy("/bin/sleep", program)
    with (
        subprocess.Popen([program, "60"], start_new_session=True) as process,
        subprocess.Popen(["/bin/sleep", "60"]) as other,
    ):
        try:
            (told,) = site_state.helpers(tmp_path, ["qmail-clean", "sleep"])
            assert (told["name"], told["pid"], told["group_leader"]) == ("qmail-clean", process.pid, process.pid)
            program.unlink()
            (told,) = site_state.helpers(tmp_path, ["qmail-clean"])
            assert (told["name"], told["program"]) == ("qmail-clean", f"{program} (deleted)")
        finally:
            process.kill()
            other.kill()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_listens_is_told(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        (told,) = [each for each in site_state.listeners() if each["port"] == port]
        assert told == {"address": address, "port": port, "programs": [os.path.realpath(sys.executable)]}
    assert [each for each in site_state.listeners() if each["port"] == port] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0100007F:0019", ("127.0.0.1", 25)),
        ("00000000000000000000000001000000:01BB", ("::1", 443)),
        ("0000000000000000FFFF00000200A8C0:03E1", ("192.168.0.2", 993)),
        ("00000000000000000000000000000000:0016", ("::", 22)),
    ],
)
def test_an_address_is_read_as_the_kernel_writes_it(text: str, told: tuple[str, int]) -> None:
    assert site_state.address_of(text) == told


def test_who_is_in_a_group_is_told_those_too_whose_own_it_is() -> None:
    group = grp.getgrgid(pwd.getpwnam("daemon").pw_gid)
    assert "daemon" in (site_state.members(group.gr_name) or [])
    assert site_state.members("no-such-group") is None


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with units, and a systemd that answers."""
    for name in ("qmail.service", "qmail@.service", "qmail-site-certs.timer", "ssh.service"):
        (tmp_path / name).touch()
    (tmp_path / "qmail.service.d").mkdir()
    said = r'printf "Id=%s\nDropInPaths=a=b\n\n" "$name"'
    (tmp_path / "systemctl").write_text(
        f"#!/bin/sh\nfor name; do case $name in show | -*) ;; *) {said} ;; esac; done\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(site_state, "UNITS", tmp_path)
    monkeypatch.setattr(site_state, "SYSTEMD", tmp_path)
    return tmp_path


def test_units_are_those_with_a_file_and_an_instance_for_each_service(host: Path) -> None:
    names = site_state.unit_names(["qmail*"], ["smtp", "spamd"])
    assert names == ["qmail-site-certs.timer", "qmail.service", "qmail@smtp.service"]
    assert site_state.units(names) == {name: {"Id": name, "DropInPaths": "a=b"} for name in names}


def test_a_host_without_the_site_has_an_answer(run_module: RunModule, tmp_path: Path) -> None:
    answer: dict[str, Any] = run_module(
        site_state, {"services": str(tmp_path / "none"), "units": ["no-such-*"], "groups": ["root", "no-such-group"]}
    )
    assert (answer["services"], answer["helpers"], answer["units"]) == ({}, [], {})
    assert isinstance(answer["systemd"], bool)
    assert "root" in answer["members"]["root"]
    assert answer["members"]["no-such-group"] is None
    assert answer["changed"] is False


def test_a_pid_that_is_no_process_s_is_none(tmp_path: Path) -> None:
    for text in ("", "x", "1", "-1", "0"):
        (tmp_path / "smtp.pid").write_text(text)
        assert site_state.recorded(tmp_path, "smtp") is None
    assert site_state.recorded(tmp_path, "send") is None
    (tmp_path / "smtp.pid").write_text(f"{os.getpid()}\n")
    told = site_state.recorded(tmp_path, "smtp")
    assert told is not None
    assert told["pid"] == os.getpid()
