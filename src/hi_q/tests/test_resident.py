"""The resident: who takes a message, what it takes over, and that a message is never taken twice or half."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_double import ENVELOPE, MESSAGE, SOURCE, Site

sys.path.insert(0, str(SOURCE))
from hi_q.resident import NotOursError, Request

ACCEPTED, INTERNAL, REASON = 0, 81, 82
SOMEBODY, GROUP = 65534, 64000


@pytest.fixture
def resident(site: Site, launcher: Path) -> Site:
    """Give a site with a resident, and a filter."""
    site.filters("/bin/cat")
    site.reside(launcher)
    return site


def call(site: Site) -> socket.socket:
    """Call the resident by hand."""
    talk = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    talk.settimeout(10)
    talk.connect(str(site.top / "resident"))
    return talk


def child_of(site: Site) -> int:
    """Wait for the resident's child with a message, and return its pid."""
    assert site.resident
    for _ in range(500):
        children = Path(f"/proc/{site.resident.pid}/task/{site.resident.pid}/children").read_text().split()
        for child in children:
            if (site.record / "started").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
                return int(child)
        time.sleep(0.01)
    raise AssertionError("the resident has no child")


def slow(site: Site) -> None:
    """Make the filter one that takes until the file `go` is there."""
    site.filters(site.sh("slow", f"cat; while [ ! -e {site.top}/go ]; do sleep 0.02; done"))


def queued_once(site: Site) -> bool:
    """Has one message been queued, whole?"""
    return site.queued and site.recorded("message") == MESSAGE and site.recorded("envelope") == ENVELOPE


def test_the_resident_takes_the_message(resident: Site) -> None:
    assert resident.run().code == ACCEPTED
    assert queued_once(resident)
    assert not resident.alone


def test_what_a_filter_sees_of_its_process_is_the_callers(resident: Site) -> None:
    look = (
        "env | sort >seen; umask >>seen; pwd >>seen; ls /proc/self/fd >fds; grep -h Sig /proc/self/status >signals; cat"
    )
    resident.filters(resident.sh("look", look))
    assert resident.run().code == ACCEPTED
    seen = (resident.top / "seen").read_text().splitlines()
    assert {"TCPREMOTEIP=192.0.2.1", "PATH=/usr/bin:/bin"} <= set(seen)
    assert {line.split("=")[0] for line in seen if "=" in line} <= {
        "TCPREMOTEIP",
        "PATH",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }
    assert seen[-1] == str(resident.top)
    assert (resident.top / "fds").read_text().split() == ["0", "1", "2", "3", "6", "7"]  # 3 is of ls
    signals = dict(line.split() for line in (resident.top / "signals").read_text().splitlines())
    assert {int(signals[name], 16) & 0x7FFFFFFF for name in ("SigBlk:", "SigIgn:")} == {0}
    assert not resident.alone


def test_a_list_counts_from_the_next_message_on(resident: Site) -> None:
    assert resident.run().code == ACCEPTED
    resident.filters("/bin/sed s/A/One/")
    assert resident.run().code == ACCEPTED
    assert resident.recorded("message") == MESSAGE.replace(b"A", b"One")
    assert not resident.alone


def test_the_log_has_the_pid_of_hi_q(resident: Site) -> None:
    resident.filters("/bin/false")
    caller = resident.give()
    result = caller.result()
    assert result.code == REASON
    assert f"pid={caller.process.pid} result=refused" in result.log


# --- hi-q does it by itself -----------------------------------------------------------------------------------------


def test_without_a_resident(resident: Site) -> None:
    resident.dismiss()
    assert resident.run().code == ACCEPTED
    assert queued_once(resident)
    assert resident.alone


def test_a_resident_of_another_build(site: Site, launcher: Path, tmp_path: Path) -> None:
    site.filters("/bin/cat")
    site.reside(launcher, code=tmp_path)
    assert site.run().code == ACCEPTED
    assert site.alone


def test_a_resident_that_has_enough(site: Site, launcher: Path) -> None:
    slow(site)
    site.reside(launcher, most=1)
    first = site.start()
    child_of(site)
    first.give_message(MESSAGE)
    first.give_envelope(ENVELOPE)
    second = site.give()
    while not site.alone:
        time.sleep(0.02)
    (site.top / "go").touch()
    assert (first.result().code, second.result().code) == (ACCEPTED, ACCEPTED)
    (site.record / "alone").unlink()
    assert site.run().code == ACCEPTED
    assert not site.alone


def test_a_resident_that_is_stopped_is_not_waited_for_and_touches_nothing_later(resident: Site) -> None:
    assert resident.resident
    resident.resident.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    assert resident.run().code == ACCEPTED
    assert 0.9 < time.monotonic() - begin < 8
    assert resident.alone
    (resident.record / "queued").unlink()
    (resident.record / "started").unlink()
    resident.resident.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    assert not (resident.record / "started").exists()
    (resident.record / "alone").unlink()
    assert resident.run().code == ACCEPTED
    assert not resident.alone


def test_an_environment_that_is_too_large_for_a_request(resident: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    resident.program = ["/usr/bin/env", f"LARGE={'x' * 40000}", *resident.program]
    assert resident.run().code == ACCEPTED
    assert resident.alone


@pytest.mark.parametrize("text", ["cat\n", "# \u00e4\n", "limit=0 /bin/cat\n"])
def test_a_list_that_the_resident_leaves_to_the_program(resident: Site, text: str) -> None:
    resident.list.write_text(text)
    resident.run()
    assert resident.alone


def test_a_directory_that_is_gone(resident: Site) -> None:
    gone = resident.top / "gone"
    gone.mkdir()
    caller = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    resident.program = ["/bin/sh", "-c", caller, "sh", str(gone), *resident.program]
    # Its relative names lead nowhere there, the resident's too: the point is that nothing is accepted by half.
    assert resident.run().code != ACCEPTED
    assert not resident.queued


# --- never twice, never half ----------------------------------------------------------------------------------------


def test_a_caller_that_is_killed_takes_its_filters_along(resident: Site) -> None:
    slow(resident)
    caller = resident.give()
    child = child_of(resident)
    time.sleep(0.3)
    caller.process.kill()
    assert caller.result().code == -signal.SIGKILL
    for _ in range(500):
        if not Path(f"/proc/{child}").exists():
            break
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()
    (resident.top / "go").touch()
    time.sleep(0.2)
    assert not resident.queued


def test_a_child_that_is_killed_is_no_success_and_no_second_try(resident: Site) -> None:
    slow(resident)
    caller = resident.give()
    child = child_of(resident)
    time.sleep(0.3)
    os.kill(child, signal.SIGKILL)
    assert caller.process.wait(10) == INTERNAL
    assert not resident.alone
    # The filter is nobody's now, and has no envelope.
    (resident.top / "go").touch()
    caller.result()
    assert not resident.queued


def test_the_end_of_the_resident_ends_no_message(resident: Site) -> None:
    slow(resident)
    caller = resident.give()
    child_of(resident)
    assert resident.resident
    resident.resident.send_signal(signal.SIGTERM)
    assert resident.resident.wait(10) == -signal.SIGTERM
    (resident.top / "go").touch()
    assert caller.result().code == ACCEPTED
    assert queued_once(resident)
    assert not resident.alone


# --- strangers at the socket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"strangers", b"strangers\0" + b"022\0/\0", b"\0" * 100, b"x" * 40000])
def test_nonsense_ends_the_talk_and_nothing_else(resident: Site, said: bytes) -> None:
    with call(resident) as talk:
        assert talk.recv(1000) == str(SOURCE).encode()
        if said:
            talk.send(said)
        else:
            talk.shutdown(socket.SHUT_WR)
        assert talk.recv(1000) == b""
    assert resident.run().code == ACCEPTED
    assert not resident.alone


def test_who_says_nothing_has_no_place_for_long(site: Site, launcher: Path) -> None:
    site.filters("/bin/cat")
    site.reside(launcher, most=1)
    with call(site) as talk:
        assert talk.recv(1000) == str(SOURCE).encode()
        begin = time.monotonic()
        assert talk.recv(1000) == b""
        assert time.monotonic() - begin < 8
    assert site.run().code == ACCEPTED


@given(st.binary(max_size=200), st.lists(st.integers(3, 9), max_size=5))
def test_a_request_is_read_or_not_ours(text: bytes, descriptors: list[int]) -> None:
    try:
        request = Request(text, descriptors)
    except NotOursError:
        return
    assert request.mask <= 0o7777
    assert len(request.descriptors) in (3, 4)


@given(
    st.dictionaries(
        st.sampled_from([b"A", b"B", b"\xff"]), st.binary().map(lambda value: value.replace(b"\0", b"")), max_size=3
    )
)
def test_an_environment_arrives_as_it_is(environment: dict[bytes, bytes]) -> None:
    words = b"".join(name + b"=" + value + b"\0" for name, value in environment.items())
    request = Request(b"strangers\x0022\0/\0" + words, [3, 4, 5])
    assert (request.whose, request.mask, request.directory) == ("strangers", 0o22, b"/")
    assert request.environment == environment


# --- whose it is ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stepped(site: Site) -> Iterator[Site]:
    """Give a resident that was root and is somebody else."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    site.top.chmod(0o755)
    start = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from hi_q.resident import main; main(sys.argv[1:])"
    ids = [SOMEBODY, SOMEBODY, GROUP, SOMEBODY]
    command = ["/usr/bin/python3", "-IS", "-c", start, "resident", "4", *map(str, ids)]
    site.resident = subprocess.Popen(command, cwd=site.top, stdin=subprocess.DEVNULL)
    site.await_door()
    yield site
    site.dismiss()


def test_it_steps_down_and_is_closed_to_others_of_its_user(stepped: Site) -> None:
    assert stepped.resident
    pid = stepped.resident.pid
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == [str(SOMEBODY)] * 4
    assert status["Gid"] == [str(SOMEBODY), str(GROUP), str(GROUP), str(GROUP)]
    assert status["Groups"] == [str(SOMEBODY)]
    assert int(status["CapEff"][0], 16) == int(status["CapPrm"][0], 16) == 0
    # What can't be looked into belongs to root in /proc.
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
    door = (stepped.top / "resident").stat()
    assert (door.st_uid, door.st_gid, door.st_mode & 0o777) == (0, GROUP, 0o660)


def test_another_user_is_not_served(stepped: Site) -> None:
    """Root may call; what it would have done is not this user's affair."""
    with call(stepped) as talk:
        assert talk.recv(1000) == b""
