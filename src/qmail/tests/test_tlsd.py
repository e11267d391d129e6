"""qmail-tlsd: each test states one fact of its manual page."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from lab.certificates import Certificate
from lab.dialogue import Dialogue, Smtp
from lab.queuelab import wait_until
from lab.suite import Home, Recorder
from lab.tlsd import NAME, EndedError, RefusedError, Session, Tlsd


@pytest.fixture
def tlsd(home: Home, certificate: Certificate) -> Iterator[Tlsd]:
    with Tlsd(home, certificate.bundle) as daemon:
        yield daemon


@pytest.fixture
def context(certificate: Certificate) -> ssl.SSLContext:
    return certificate.client()


def receive(end: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = end.recv(size - len(got))
        if not part:
            break
        got += part
    return bytes(got)


def has_two_sockets(pid: int) -> bool:
    found = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # one that is closed while they are looked at
            found += str(fd.readlink()).startswith("socket:")
    return found == 2


def cpu(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# A session ------------------------------------------------------------------------------------


def test_bytes_go_both_ways(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        tls.sendall(b"hello\r\n")
        assert session.door.recv(100) == b"hello\r\n"
        session.door.sendall(b"good day\r\n")
        assert tls.recv(100) == b"good day\r\n"


def test_a_greeting_does_not_wait_for_what_the_client_acknowledges(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    # With Nagle's algorithm it comes 40 ms after the ticket, by Linux's clock of delayed acknowledgements.
    took = []
    for _ in range(10):
        with Session(tlsd) as session:
            tls = session.shake(context)
            begun = time.monotonic()
            session.door.sendall(b"220 ready\r\n")
            assert tls.recv(100) == b"220 ready\r\n"
            took.append(time.monotonic() - begun)
    assert min(took) < 0.03


def test_door_hears_protocol_and_cipher(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        context.wrap_socket(session.client, server_hostname=NAME)
        assert session.answer() == "yes TLSv1.3 TLS_AES_256_GCM_SHA384"


def test_tls_1_2_is_spoken_and_nothing_older(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Session(tlsd) as session:
        context.wrap_socket(session.client, server_hostname=NAME)
        assert session.answer().startswith("yes TLSv1.2 ECDHE-ECDSA-")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Session(tlsd) as session:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(session.client, server_hostname=NAME)
        assert session.answer() == "no TLS handshake: unsupported protocol"


@pytest.mark.parametrize("way", ["to the door", "to the client", "both"])
def test_much_is_carried_whole(tlsd: Tlsd, context: ssl.SSLContext, way: str) -> None:
    data = os.urandom(8 << 20)
    with Session(tlsd) as session:
        tls = session.shake(context)
        got: dict[str, bytes] = {}

        def sender(end: socket.socket) -> threading.Thread:
            thread = threading.Thread(target=end.sendall, args=(data,))
            thread.start()
            return thread

        threads = []
        if way != "to the client":
            reader = threading.Thread(target=lambda: got.update(door=receive(session.door, len(data))))
            reader.start()
            threads.append(reader)
        if way == "to the client":
            threads.append(sender(session.door))
            got["client"] = receive(tls, len(data))
        elif way == "to the door":
            tls.sendall(data)
        else:
            # A client of Python's ssl can't be used by two threads: it answers in turns.
            threads.append(sender(session.door))
            got["client"] = b""
            sent = 0
            while sent < len(data) or len(got["client"]) < len(data):
                if sent < len(data):
                    sent += tls.send(data[sent : sent + 16384])
                if len(got["client"]) < len(data):
                    got["client"] += tls.recv(16384)
        for thread in threads:
            thread.join(60)
        for received in got.values():
            assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


def test_memory_does_not_grow_where_nobody_reads(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        [child] = tlsd.children()
        before = int(Path(f"/proc/{child}/statm").read_text().split()[1])
        tls.settimeout(1)
        with pytest.raises(TimeoutError):
            tls.sendall(bytes(64 << 20))
        spent = cpu(child)
        time.sleep(1)
        assert cpu(child) - spent <= 5, "it waits without running in circles"
        assert int(Path(f"/proc/{child}/statm").read_text().split()[1]) - before < 1024


def test_a_silent_session_costs_nothing_and_lasts(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        [child] = tlsd.children()
        spent = cpu(child)
        time.sleep(2)
        assert cpu(child) - spent <= 2
        tls.sendall(b"still here")
        assert session.door.recv(100) == b"still here"


# Ends ------------------------------------------------------------------------------------------


def test_what_the_door_said_last_arrives_before_close_notify(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        session.door.sendall(b"x" * 100_000)
        session.door.close()
        assert len(receive(tls, 100_000)) == 100_000
        assert tls.recv(1) == b"", "close_notify, or Python would raise SSLEOFError"
        tlsd.wait_for_children(0)


def test_client_that_ends_its_half_still_hears_the_door(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        tls.sendall(b"QUIT\r\n")
        raw = socket.socket(fileno=tls.detach())
        raw.shutdown(socket.SHUT_WR)
        assert session.door.recv(100) == b"QUIT\r\n"
        assert session.door.recv(100) == b"", "the end of what the client says is one for the door"
        [child] = tlsd.children()
        spent = cpu(child)
        time.sleep(1)
        assert cpu(child) - spent <= 2
        session.door.sendall(b"221 bye\r\n")
        raw.settimeout(10)
        assert raw.recv(1000), "a record comes"
        session.door.close()
        raw.close()
        tlsd.wait_for_children(0)


def test_connection_that_breaks_behind_its_end_wakes_nobody(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        raw = socket.socket(fileno=session.shake(context).detach())
        raw.shutdown(socket.SHUT_WR)
        assert session.door.recv(100) == b""
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
        [child] = tlsd.children()
        spent = cpu(child)
        time.sleep(1)
        assert cpu(child) - spent <= 2


def test_door_that_ends_its_half_still_hears_the_client(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        session.door.sendall(b"421 too many\r\n")
        session.door.shutdown(socket.SHUT_WR)
        assert tls.recv(100) == b"421 too many\r\n"
        assert tls.recv(100) == b""
        with socket.socket(fileno=os.dup(tls.fileno())) as raw:
            assert raw.recv(1) == b"", "the connection's end follows TLS's"
        [child] = tlsd.children()
        spent = cpu(child)
        time.sleep(1)
        assert cpu(child) - spent <= 2
        tls.sendall(b"more")
        assert session.door.recv(100) == b"more"
        tls.close()
        assert session.door.recv(100) == b""
        tlsd.wait_for_children(0)


def test_client_that_breaks_off_ends_the_session(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        tls.close()
        assert session.door.recv(100) == b""
        tlsd.wait_for_children(0)


def test_broken_record_ends_the_session(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as session:
        tls = session.shake(context)
        raw = socket.socket(fileno=os.dup(tls.fileno()))
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert session.door.recv(100) == b""
        raw.close()
        tlsd.wait_for_children(0)


def test_client_that_takes_nothing_does_not_hold_a_place_after_the_door(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd, narrow=True) as session:
        stop_reading(session, context)
        session.door.close()
        time.sleep(5)
        assert tlsd.children(), "something is left that the client could still take"
        tlsd.wait_for_children(0, seconds=15)


def stop_reading(session: Session, context: ssl.SSLContext) -> None:
    """Fill all that is between the door and a client that takes nothing."""
    session.shake(context)
    session.door.setblocking(False)
    # Full for a moment is not full: what the door has written moves on to the client's connection.
    while select.select([], [session.door], [], 1)[1]:
        with suppress(BlockingIOError):
            session.door.send(bytes(65536))


def test_who_takes_nothing_has_no_place_of_others(
    home: Home, certificate: Certificate, context: ssl.SSLContext
) -> None:
    with Tlsd(home, certificate.bundle, "-c", "1") as tlsd, Session(tlsd, narrow=True) as silent:
        stop_reading(silent, context)
        with pytest.raises(RefusedError):
            Session(tlsd)
        silent.door.close()
        with another_chance(tlsd) as session:
            session.shake(context)
            assert len(tlsd.children()) == 2


def another_chance(tlsd: Tlsd) -> Session:
    """Ask until there is a place: that one became free is heard of a moment later."""
    until = time.monotonic() + 5
    while True:
        try:
            return Session(tlsd)
        except RefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def test_of_those_who_take_nothing_the_first_ends_for_another(
    home: Home, certificate: Certificate, context: ssl.SSLContext
) -> None:
    with (
        Tlsd(home, certificate.bundle, "-c", "2") as tlsd,
        Session(tlsd, narrow=True) as first,
        Session(tlsd, narrow=True) as second,
    ):
        one = tlsd.children()[0]
        stop_reading(first, context)
        stop_reading(second, context)
        assert len(tlsd.children()) == 2
        first.door.close()
        time.sleep(1)
        assert len(tlsd.children()) == 2
        second.door.close()
        tlsd.wait_for_children(1, seconds=4)
        assert one not in tlsd.children()


# Handshakes that fail --------------------------------------------------------------------------


def test_garbage_is_told(tlsd: Tlsd) -> None:
    with Session(tlsd) as session:
        session.client.sendall(b"EHLO client.example.org\r\n")
        assert re.fullmatch(r"no TLS handshake: [a-z0-9 ]+", session.answer())
        tlsd.wait_for_children(0)


@pytest.mark.parametrize("bytes_sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01"])
def test_slow_handshake_is_ended_in_its_time(tlsd: Tlsd, bytes_sent: bytes) -> None:
    with Session(tlsd, milliseconds=500) as session:
        session.client.sendall(bytes_sent)
        start = time.monotonic()
        assert session.answer() == "no TLS handshake timed out"
        assert 0.3 < time.monotonic() - start < 3
        tlsd.wait_for_children(0)


def test_client_that_sends_a_byte_a_time_has_no_more_time(tlsd: Tlsd) -> None:
    with Session(tlsd, milliseconds=1000) as session:
        start = time.monotonic()
        session.control.settimeout(0.1)
        session.client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        while time.monotonic() < start + 10:
            try:
                answer = session.answer()
                break
            except TimeoutError:
                session.client.sendall(b"x")
        assert answer == "no TLS handshake timed out"
        assert time.monotonic() - start < 3


def test_door_gets_no_more_time_than_there_is(home: Home, certificate: Certificate) -> None:
    with Tlsd(home, certificate.bundle, "-t", "1") as tlsd, Session(tlsd, milliseconds=60000) as session:
        start = time.monotonic()
        assert session.answer() == "no TLS handshake timed out"
        assert 0.5 < time.monotonic() - start < 4


def test_client_that_goes_in_the_middle_is_told(tlsd: Tlsd) -> None:
    with Session(tlsd) as session:
        session.client.sendall(b"\x16\x03\x01\x02\x00\x01")
        session.client.close()
        assert session.answer().startswith("no TLS handshake: ")
        tlsd.wait_for_children(0)


def test_door_that_goes_in_the_middle_ends_it(tlsd: Tlsd) -> None:
    with Session(tlsd) as session:
        tlsd.wait_for_children(1)
        session.control.close()
        tlsd.wait_for_children(0)


# Doors -----------------------------------------------------------------------------------------


def test_who_is_no_door_gets_nothing(home: Home, certificate: Certificate) -> None:
    with Tlsd(home, certificate.bundle, doors=("nobody",)) as tlsd:
        with pytest.raises(RefusedError):
            Session(tlsd)
        tlsd.wait_for_log(f"user {os.getuid()} is no door")
        assert tlsd.children() == []


@pytest.mark.parametrize("text", [b"", b"tls", b"tls x", b"tls -1", b"tls 99999999999", b"x" * 300])
def test_a_request_that_is_none_ends_it(tlsd: Tlsd, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control, socket.socket() as other:
        control.connect(str(tlsd.path))
        control.settimeout(10)
        assert control.recv(100) == b"ready"
        socket.send_fds(control, [text or b" "], [other.fileno(), other.fileno()])
        assert control.recv(100) == b""
    tlsd.wait_for_children(0)


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_another_number_of_descriptors_ends_it(tlsd: Tlsd, count: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control, socket.socket() as other:
        control.connect(str(tlsd.path))
        control.settimeout(10)
        assert control.recv(100) == b"ready"
        if count:
            socket.send_fds(control, [b"tls 1000"], [other.fileno()] * count)
        else:
            control.send(b"tls 1000")
        assert control.recv(100) == b""
    tlsd.wait_for_children(0)


def test_a_pipe_is_no_connection(tlsd: Tlsd) -> None:
    ours, theirs = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(str(tlsd.path))
        assert control.recv(100) == b"ready"
        socket.send_fds(control, [b"tls 1000"], [ours, theirs])
        assert control.recv(100) == b""
    os.close(ours)
    os.close(theirs)


def test_places_are_bounded_and_come_back(home: Home, certificate: Certificate) -> None:
    with Tlsd(home, certificate.bundle, "-c", "2") as tlsd:
        with Session(tlsd), Session(tlsd):
            with pytest.raises(RefusedError):
                Session(tlsd)
            tlsd.wait_for_log("all 2 places are taken")
        tlsd.wait_for_children(0)
        with Session(tlsd) as session:
            session.shake(certificate.client())


def test_two_hundred_sessions_at_once(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    before = tlsd.descriptors()
    sessions = [Session(tlsd, milliseconds=60000) for _ in range(200)]
    for number, session in enumerate(sessions):
        session.shake(context).sendall(b"%d" % number)
    for number, session in enumerate(sessions):
        assert session.door.recv(100) == b"%d" % number
    assert len(tlsd.children()) == 200
    assert tlsd.descriptors() == before, "this process holds nothing of a session"
    for session in sessions:
        session.end()
    tlsd.wait_for_children(0)


def test_a_session_sees_nothing_of_another(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Session(tlsd) as first, Session(tlsd) as second:
        first.shake(context)
        second.shake(context)
        for child in tlsd.children():
            # The connection with the door is closed behind the answer, a moment later.
            wait_until(partial(has_two_sockets, child), "a session has its two sockets and no other")


def test_socket_is_for_who_runs_it_unless_a_group_is_named(tlsd: Tlsd) -> None:
    assert tlsd.path.stat().st_mode & 0o777 == 0o600


def open_to_all(home: Home) -> None:
    home.path.chmod(0o755)
    for parent in list(home.path.parents)[:-2]:
        parent.chmod(parent.stat().st_mode | 0o111)


@pytest.mark.skipif(os.getuid() != 0, reason="to become another user takes root")
def test_it_becomes_its_user_and_leaves_the_socket_to_a_group(home: Home, certificate: Certificate) -> None:
    open_to_all(home)
    with Tlsd(home, certificate.bundle, "-u", "nobody", "-g", "nogroup") as tlsd:
        status = Path(f"/proc/{tlsd.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.M)
        assert re.search(r"^Groups:\t65534 *$", status, re.M)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        assert tlsd.path.stat().st_mode & 0o777 == 0o660
        assert Path(f"/proc/{tlsd.process.pid}/mem").stat().st_uid == 0, "its memory is closed"
        with Session(tlsd) as session:
            session.shake(certificate.client())


@pytest.mark.skipif(os.getuid() != 0, reason="to give something to a group takes root")
@pytest.mark.parametrize("there", [False, True])
def test_directory_of_the_socket_is_for_the_group_to_enter(home: Home, certificate: Certificate, there: bool) -> None:
    place = home.path / "smtps.tls"
    if there:
        place.mkdir(mode=0o710)
    with Tlsd(home, certificate.bundle, "-g", "nogroup", path=place / "socket"):
        about = place.stat()
        assert (about.st_uid, about.st_mode & 0o7777) == (0, 0o710)
        assert there or about.st_gid == 65534
        assert ((place / "socket").stat().st_gid, (place / "socket").stat().st_mode & 0o7777) == (65534, 0o660)


@pytest.mark.skipif(os.getuid() != 0, reason="to give something to a group takes root")
def test_directory_that_others_can_write_to_is_refused(home: Home, certificate: Certificate) -> None:
    place = home.path / "smtps.tls"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(EndedError, match="others can write to it"):
        Tlsd(home, certificate.bundle, "-g", "nogroup", path=place / "socket")


@pytest.mark.skipif(os.getuid() != 0, reason="to give something away takes root")
def test_it_needs_no_capability_but_those_to_become_somebody(home: Home, certificate: Certificate) -> None:
    before = ("setpriv", "--bounding-set", "-all,+setuid,+setgid", "--")
    place = home.path / "smtps.tls"
    open_to_all(home)
    with Tlsd(home, certificate.bundle, "-u", "nobody", "-g", "nogroup", path=place / "socket", before=before) as tlsd:
        assert (place / "socket").stat().st_gid == 65534
        with Session(tlsd) as session:
            session.shake(certificate.client())


# What is spoken --------------------------------------------------------------------------------


def test_lowest_protocol_can_be_told(home: Home, certificate: Certificate, context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        Tlsd(home, certificate.bundle, "-p", "TLSv1.3") as tlsd,
        Session(tlsd) as session,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(session.client, server_hostname=NAME)


def test_suites_and_ciphers_can_be_told(home: Home, certificate: Certificate, context: ssl.SSLContext) -> None:
    options = ("-s", "TLS_CHACHA20_POLY1305_SHA256", "-e", "ECDHE-ECDSA-AES256-GCM-SHA384")
    with Tlsd(home, certificate.bundle, *options) as tlsd:
        with Session(tlsd) as session:
            context.wrap_socket(session.client, server_hostname=NAME)
            assert session.answer() == "yes TLSv1.3 TLS_CHACHA20_POLY1305_SHA256"
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with Session(tlsd) as session:
            context.wrap_socket(session.client, server_hostname=NAME)
            assert session.answer() == "yes TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384"


def test_the_hosts_order_of_ciphers_counts(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384")
    with Session(tlsd) as session:
        context.wrap_socket(session.client, server_hostname=NAME)
        assert session.answer() == "yes TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(("groups", "common"), [("P-384", True), ("X25519", False)])
def test_groups_can_be_told(
    home: Home, certificate: Certificate, context: ssl.SSLContext, groups: str, common: bool
) -> None:
    context.set_ecdh_curve("secp384r1")
    with Tlsd(home, certificate.bundle, "-k", groups) as tlsd, Session(tlsd) as session:
        if common:
            session.shake(context)
        else:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(session.client, server_hostname=NAME)


@pytest.mark.parametrize("option", [("-p", "TLSv1.1"), ("-t", "0"), ("-t", "601"), ("-c", "0")])
def test_nonsense_is_refused(home: Home, certificate: Certificate, option: tuple[str, str]) -> None:
    with pytest.raises(EndedError, match="fatal: " + " ".join(option)):
        Tlsd(home, certificate.bundle, *option)


# The program beside it ------------------------------------------------------------------------


# It tells who has ended, as tcpserver -W does by ending itself.
WAITING = (
    "python3",
    "-c",
    "import os; print('program', os.getpid(), flush=True); print('ended', os.wait()[0], flush=True)",
)


@pytest.fixture
def beside(home: Home, certificate: Certificate) -> Iterator[Tlsd]:
    with Tlsd(home, certificate.bundle, program=WAITING) as daemon:
        wait_until(lambda: "program" in daemon.said(), "the program runs", 10)
        yield daemon


def test_program_takes_the_place_of_the_process(beside: Tlsd, context: ssl.SSLContext) -> None:
    assert beside.said() == f"program {beside.process.pid}\n"
    assert beside.pid != beside.process.pid
    with Session(beside) as session:
        session.shake(context)
        assert len(beside.children()) == 1


def test_program_hears_of_its_end(beside: Tlsd) -> None:
    os.kill(beside.pid, signal.SIGKILL)
    wait_until(lambda: f"ended {beside.pid}" in beside.said(), "the program has heard of it", 5)


def test_it_ends_with_the_program_and_its_sessions_go_on(beside: Tlsd, context: ssl.SSLContext) -> None:
    with Session(beside) as session:
        tls = session.shake(context)
        beside.process.kill()
        beside.process.wait(10)
        wait_until(lambda: not Path(f"/proc/{beside.pid}").exists(), "it has ended", 5)
        tls.sendall(b"as before")
        assert session.door.recv(100) == b"as before"


def test_program_has_nothing_of_it(beside: Tlsd) -> None:
    open_files = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{beside.process.pid}/fd").iterdir()}
    assert set(open_files) == {"0", "1", "2"}


def test_who_had_asked_before_the_end_is_served(beside: Tlsd, context: ssl.SSLContext) -> None:
    os.kill(beside.pid, signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(10)
        control.connect(str(beside.path))
        beside.process.kill()
        beside.process.wait(10)
        os.kill(beside.pid, signal.SIGCONT)
        assert control.recv(100) == b"ready"


# Another program that speaks TLS ---------------------------------------------------------------


# What it is given, as the manual page says; it ends as that says, too.
FRONT = """#!/usr/bin/python3 -I
import os, select, socket, sys
place = socket.socket(fileno=os.dup(0))
kind = {socket.SOCK_SEQPACKET: "packets"}.get(place.type)
print("front", *sys.argv[1:], kind, place.getsockname(), os.getuid(), flush=True, file=sys.stderr)
print("left", *sorted(os.listdir("/proc/self/fd"), key=int)[3:-1], "end", flush=True, file=sys.stderr)
select.select([1], [], [])
print("over", flush=True, file=sys.stderr)
"""


@pytest.fixture
def front(home: Home) -> Path:
    path = home.path / "front"
    path.write_text(FRONT)
    path.chmod(0o755)
    return path


def test_another_program_gets_the_place_and_the_end(home: Home, front: Path) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    options = ("-x", str(front), "-c", "7")
    with Tlsd(home, b"", *options, doors=(user, "nobody"), program=WAITING, says="left") as tlsd:
        uids = f"{os.getuid()},{pwd.getpwnam('nobody').pw_uid}"
        where = f"{home.path}/bundle.pem packets {tlsd.path} {os.getuid()}"
        assert f"front -resident {uids} 7 {where}\nleft 3 end\n" in tlsd.log(), "3 is its own copy of the socket"
        assert "over" not in tlsd.log()
        tlsd.process.kill()
        tlsd.process.wait(10)
        tlsd.wait_for_log("over")


def test_program_hears_of_the_others_end(home: Home, front: Path) -> None:
    with Tlsd(home, b"", "-x", str(front), program=WAITING, says="left") as tlsd:
        os.kill(tlsd.pid, signal.SIGKILL)
        wait_until(lambda: f"ended {tlsd.pid}" in tlsd.said(), "the program has heard of it", 5)


@pytest.mark.skipif(os.getuid() != 0, reason="to become another user takes root")
def test_another_program_is_started_as_the_user_who_becomes_nobody_else(home: Home, front: Path) -> None:
    open_to_all(home)
    options = ("-x", str(front), "-u", "nobody", "-g", "nogroup")
    with Tlsd(home, b"", *options, path=home.path / "x.tls/socket", program=WAITING, says="left") as tlsd:
        status = Path(f"/proc/{tlsd.pid}/status").read_text()
        assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.M)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        blocked = re.search(r"^SigBlk:\t(\w+)$", status, re.M)
        assert blocked is not None
        assert int(blocked[1], 16) == 0


@pytest.mark.parametrize("more", [("-t", "9"), ("-e", "X"), ("-k", "X"), ("-s", "X"), ("-p", "TLSv1.3")])
def test_what_is_spoken_is_told_to_the_other_program_by_its_configuration(
    home: Home, front: Path, more: tuple[str, str]
) -> None:
    with pytest.raises(EndedError, match="usage: "):
        Tlsd(home, b"", "-x", str(front), *more, program=WAITING, says="left")


def test_another_program_needs_a_service(home: Home, front: Path) -> None:
    with pytest.raises(EndedError, match="usage: "):
        Tlsd(home, b"", "-x", str(front), says="left")


# Resumption ------------------------------------------------------------------------------------


def resumable(tlsd: Tlsd, context: ssl.SSLContext) -> ssl.SSLSession:
    with Session(tlsd) as session:
        tls = session.shake(context)
        session.door.sendall(b"x")
        assert tls.recv(1) == b"x"
        assert not tls.session_reused
        assert tls.session is not None
        return tls.session


def test_another_process_resumes(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    before = resumable(tlsd, context)
    with Session(tlsd) as session:
        assert session.shake(context, before).session_reused


def test_tls_1_2_has_no_tickets(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    before = resumable(tlsd, context)
    with Session(tlsd) as session:
        assert not session.shake(context, before).session_reused


def test_a_new_bundle_is_seen_by_who_would_resume(tlsd: Tlsd) -> None:
    second = Certificate(NAME)
    loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loose.check_hostname = False
    loose.verify_mode = ssl.CERT_NONE
    before = resumable(tlsd, loose)
    tlsd.rotate(second.bundle, "second")
    with Session(tlsd) as session:
        assert not session.shake(loose, before).session_reused


# Rotation --------------------------------------------------------------------------------------


def test_new_bundle_counts_from_the_next_session(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    second = Certificate(NAME)
    with Session(tlsd) as old:
        tls = old.shake(context)
        tlsd.rotate(second.bundle, "second")
        with Session(tlsd) as session:
            session.shake(second.client())
        tls.sendall(b"as before")
        assert old.door.recv(100) == b"as before"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nx\n", None])
def test_broken_bundle_leaves_the_former_in_use(tlsd: Tlsd, context: ssl.SSLContext, content: bytes | None) -> None:
    if content is None:
        tlsd.bundle.unlink()
    else:
        tlsd.rotate(content, "broken")
    for _ in range(3):
        with Session(tlsd) as session:
            session.shake(context)
    assert tlsd.log().count("the former bundle stays in use: ") == 1
    second = Certificate(NAME)
    tlsd.rotate(second.bundle, "second")
    with Session(tlsd) as session:
        session.shake(second.client())


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_without_a_bundle_it_waits_for_one(
    home: Home, certificate: Certificate, context: ssl.SSLContext, content: bytes
) -> None:
    with Tlsd(home, content, says="no session before there is a bundle: ") as tlsd:
        for _ in range(2):
            with pytest.raises(RefusedError):
                Session(tlsd)
        assert tlsd.log().count("no session before there is a bundle: ") == 1
        tlsd.rotate(certificate.bundle, "whole")
        with Session(tlsd) as session:
            session.shake(context)


def test_key_of_another_certificate_is_not_used(tlsd: Tlsd, context: ssl.SSLContext) -> None:
    other = Certificate(NAME)
    key = other.bundle[len(other.pem) :]
    tlsd.rotate(Certificate(NAME).pem + key, "mixed")
    with Session(tlsd) as session:
        session.shake(context)
    assert "the former bundle stays in use: " in tlsd.log()


# The doors' programs ---------------------------------------------------------------------------


@pytest.fixture
def smtp_home(home: Home, recorder: Recorder) -> Home:
    home.control(rcpthosts="example.test", authdelay="0")
    return home


def test_smtpd_has_it_encrypt_at_starttls(
    smtp_home: Home, recorder: Recorder, tlsd: Tlsd, context: ssl.SSLContext
) -> None:
    with Smtp(smtp_home, env={"TLSD": str(tlsd.path)}, tcp=True) as smtp:
        assert "STARTTLS" in smtp.extensions
        assert smtp.command("STARTTLS").startswith("220 ")
        smtp.start_tls(context, NAME)
        assert smtp.command("MAIL FROM:<a@b.test>").startswith("503 "), "EHLO has been forgotten"
        assert "STARTTLS" not in smtp.ehlo()
        assert smtp.command("STARTTLS").startswith("502 ")
        assert smtp.message().startswith("250 ")
        assert smtp.command("QUIT").startswith("221 ")
        assert smtp.ended() == 0
    tlsd.wait_for_children(0)
    received = b" ".join(recorder.one().message.split(b"\n")[:2])
    assert b" with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) (" in received


def test_smtpd_begins_with_it(smtp_home: Home, tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Smtp(smtp_home, env={"TLSD": str(tlsd.path), "SMTPS": "1"}, greeted=False, tcp=True) as smtp:
        smtp.start_tls(context, NAME)
        assert smtp.reply()[0].startswith("220 ")
        assert "STARTTLS" not in smtp.ehlo()


def test_commands_behind_starttls_are_dropped(smtp_home: Home, tlsd: Tlsd, context: ssl.SSLContext) -> None:
    with Smtp(smtp_home, env={"TLSD": str(tlsd.path)}, tcp=True) as smtp:
        smtp.send(b"STARTTLS\r\nMAIL FROM:<injected@example.org>\r\n")
        assert smtp.reply()[0].startswith("220 ")
        smtp.start_tls(context, NAME)
        assert smtp.command("NOOP") == "250 ok"
        assert smtp.command("RCPT TO:<bob@example.test>").startswith("503 ")


def test_smtpd_goes_on_in_the_clear_without_it(smtp_home: Home, certificate: Certificate) -> None:
    with Tlsd(smtp_home, certificate.bundle) as tlsd:
        path = str(tlsd.path)
    with Smtp(smtp_home, env={"TLSD": path}, tcp=True) as smtp:
        assert smtp.command("STARTTLS").startswith("454 ")
        assert smtp.command("NOOP") == "250 ok"
        assert "TLS not available: qmail-tlsd: Connection refused" in smtp.log()


def test_smtpd_has_patience_with_a_busy_machine(smtp_home: Home, tlsd: Tlsd, context: ssl.SSLContext) -> None:
    os.kill(tlsd.pid, signal.SIGSTOP)
    with Smtp(smtp_home, env={"TLSD": str(tlsd.path), "SMTPS": "1"}, greeted=False, tcp=True) as smtp:
        time.sleep(5)
        os.kill(tlsd.pid, signal.SIGCONT)
        smtp.start_tls(context, NAME)
        assert smtp.reply()[0].startswith("220 ")


def test_smtpd_says_why_a_handshake_failed(smtp_home: Home, tlsd: Tlsd) -> None:
    smtp_home.control(timeouttls="1")
    with Smtp(smtp_home, env={"TLSD": str(tlsd.path)}, tcp=True) as smtp:
        smtp.command("STARTTLS")
        assert smtp.ended() == 1
        assert "ended: TLS handshake timed out" in smtp.log()


def test_last_words_of_smtpd_arrive(smtp_home: Home, tlsd: Tlsd, context: ssl.SSLContext) -> None:
    smtp_home.control(smtpcommands="5")
    with Smtp(smtp_home, env={"TLSD": str(tlsd.path), "SMTPS": "1"}, greeted=False, tcp=True) as smtp:
        smtp.start_tls(context, NAME)
        smtp.send(b"NOOP\r\n" * 2000)
        assert b"421 too many commands" in smtp.rest()
    tlsd.wait_for_children(0)


def test_popup_begins_with_it(home: Home, tlsd: Tlsd, context: ssl.SSLContext) -> None:
    env = {"TCPREMOTEIP": "192.0.2.1", "TLSD": str(tlsd.path)}
    with Dialogue(home, "qmail-popup", NAME, "/bin/false", env=env, tcp=True) as pop:
        pop.start_tls(context, NAME)
        assert pop.line() == b"+OK mail.example.test POP3"
        pop.send(b"QUIT\r\n")
        assert pop.line().startswith(b"+OK")
        assert pop.ended() == 0


def test_popup_says_why_it_ends(home: Home) -> None:
    env = {"TCPREMOTEIP": "192.0.2.1", "TLSD": str(home.path / "nothing")}
    with Dialogue(home, "qmail-popup", NAME, "/bin/false", env=env, tcp=True) as pop:
        assert pop.ended() == 1
        assert "ended: qmail-tlsd: No such file or directory" in pop.log()
