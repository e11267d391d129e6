"""qmail-queued: what qmail-smtpd hands over to it, what it takes from nobody else, and what is done without it."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from lab.dialogue import Smtp
from lab.queuelab import Queue, envelope, names, wait_until
from lab.sendlab import site
from lab.signer import FIELDS, Signer
from lab.suite import BUILD, Home, fast_clock

NUMBERS = 1_000_000
ENVELOPE = envelope("a@b.test", "bob@example.test")


@pytest.fixture(autouse=True)
def example(home: Home) -> None:
    """Receive mail for example.test."""
    home.control(rcpthosts="example.test")


def address(home: Home) -> bytes:
    """The name of its socket, which follows from the queue's directory."""
    found = (home.path / "queue").stat()
    return b"\0qmail-queued/%x/%x" % (found.st_dev, found.st_ino)


def is_listening(home: Home) -> bool:
    """Whether anybody has that name."""
    return address(home)[1:].decode() in Path("/proc/net/unix").read_text()


@contextmanager
def started(home: Home, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run it as qmail-start does, with an end of a pipe, until that is closed."""
    program = subprocess.Popen([BUILD / "bin" / "qmail-queued"], stdin=subprocess.PIPE, env=home.environment(env))
    wait_until(lambda: is_listening(home), "it listens")
    try:
        yield program
    finally:
        assert program.stdin
        program.stdin.close()
        assert program.wait(30) in (0, -signal.SIGKILL)


@pytest.fixture
def queued(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    with started(home) as program:
        yield program


def by_queued(line: bytes) -> bool:
    """Whether the first line of a message is one of qmail-queued's."""
    assert line.startswith(b"Received: (qmail ")
    return int(line.split()[2]) > NUMBERS


def first_lines(queue: Queue) -> list[bytes]:
    return [queue.split("mess", number).read_bytes().split(b"\n")[0] for number in queue.numbers()]


def connected(home: Home) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(30)
    client.connect(address(home))
    return client


def code(home: Home, packet: bytes) -> int:
    """Hand over a packet; the code of the answer."""
    with connected(home) as client:
        client.send(packet)
        return int(struct.unpack("I4xQ", client.recv(100))[0])


def packet(message: bytes, raw_envelope: bytes = ENVELOPE) -> bytes:
    return struct.pack("I", len(message)) + message + raw_envelope


@pytest.mark.usefixtures("queued")
def test_a_small_message_needs_no_program_of_its_own(home: Home) -> None:
    queue = Queue(home)
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", "bob@example.test", "alice@example.test")
        answer = smtp.data(b"Subject: x\r\n\r\n..dot\r\n.\r\n")
    (number,) = queue.numbers()
    by_whom, by_smtpd, _, text = queue.split("mess", number).read_bytes().split(b"\n", 3)
    assert by_queued(by_whom)
    assert b" invoked from network); " in by_whom
    assert by_smtpd.startswith(b"Received: from client.example.org (client.example.org [192.0.2.1])")
    assert text == b"Subject: x\n\n.dot\n"
    assert answer.split()[-2:] == ["qp", by_whom.split()[2].decode()]
    records = queue.flat("todo", number).read_bytes().split(b"\0")
    assert records[:2] == [f"u{os.getuid()}".encode(), b"p" + by_whom.split()[2]]
    assert records[2:] == [b"Fa@b.test", b"Tbob@example.test", b"Talice@example.test", b""]
    assert queue.flat("intd", number).stat().st_nlink == 2
    assert names(queue.files(), "pid") == []


@pytest.mark.usefixtures("queued")
def test_each_message_of_many_at_a_time_is_whole_and_has_its_number(home: Home) -> None:
    def send(sender: int) -> None:
        with Smtp(home) as smtp:
            for count in range(5):
                assert smtp.message(b"Subject: %d-%d\r\n\r\n" % (sender, count) + b"%d\r\n" % sender * 900).startswith(
                    "250 "
                )

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue = Queue(home)
    texts = [queue.split("mess", number).read_bytes() for number in queue.numbers()]
    assert all(by_queued(text) for text in texts)
    assert len({text.split()[2] for text in texts}) == 30
    bodies = {text.split(b"Subject: ")[1] for text in texts}
    assert bodies == {b"%d-%d\n\n" % (s, c) + b"%d\n" % s * 900 for s in range(6) for c in range(5)}
    assert len(queue.files("todo")) == 30


@pytest.mark.usefixtures("queued")
@pytest.mark.parametrize(
    ("lines", "recipients", "expected"), [(3000, 1, True), (3300, 1, False), (10, 100, True), (10, 1100, False)]
)
def test_what_is_large_goes_to_qmail_queue(home: Home, lines: int, recipients: int, expected: bool) -> None:
    home.control(smtprecipients="2000", smtpcommands="5000")
    queue = Queue(home)
    with Smtp(home) as smtp:
        smtp.envelope("a@b.test", *[f"bob{i}@example.test" for i in range(recipients)])
        assert smtp.data(b"x" * 18 + b"\r\n" + (b"x" * 19 + b"\r\n") * lines + b".\r\n").startswith("250 ")
    (line,) = first_lines(queue)
    assert by_queued(line) is expected
    (number,) = queue.numbers()
    assert queue.split("mess", number).read_bytes().endswith(b"\n" + b"x" * 18 + b"\n" + (b"x" * 19 + b"\n") * lines)
    assert queue.flat("todo", number).read_bytes().count(b"@example.test\0") == recipients


def test_without_it_a_message_goes_to_qmail_queue(home: Home) -> None:
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
    (line,) = first_lines(Queue(home))
    assert not by_queued(line)


def test_a_session_goes_on_when_it_comes_and_goes(home: Home) -> None:
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
        with started(home):
            assert smtp.message().startswith("250 ")
        assert smtp.message().startswith("250 ")
    assert sorted(by_queued(line) for line in first_lines(Queue(home))) == [False, False, True]


def give_while_busy(smtp: Smtp, queued: subprocess.Popen[bytes]) -> None:
    """Say a whole message while qmail-queued does nothing, and let it come to lie there."""
    queued.send_signal(signal.SIGSTOP)
    smtp.envelope("a@client.example.org", "bob@example.test")
    smtp.command("DATA")
    smtp.send(b"x\r\n.\r\n")
    time.sleep(0.5)


def test_a_message_that_it_has_and_does_not_answer_for_is_not_accepted(
    home: Home, queued: subprocess.Popen[bytes]
) -> None:
    with Smtp(home) as smtp:
        give_while_busy(smtp, queued)
        queued.kill()
        assert smtp.reply()[0].startswith("451 ")
        assert smtp.command("NOOP") == "250 ok"


def test_a_message_waits_while_it_is_busy(home: Home, queued: subprocess.Popen[bytes]) -> None:
    with Smtp(home) as smtp:
        give_while_busy(smtp, queued)
        queued.send_signal(signal.SIGCONT)
        assert smtp.reply()[0].startswith("250 ")


def test_what_comes_together_is_written_out_together(home: Home, queued: subprocess.Popen[bytes]) -> None:
    messages = 8
    # Each time that it has written out it wakes qmail-send by a byte.
    trigger = os.open(home.path / "queue/lock/trigger", os.O_RDONLY | os.O_NONBLOCK)
    queued.send_signal(signal.SIGSTOP)
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(home)) for _ in range(messages)]
        for client in clients:
            client.send(packet(b"x\n"))
        queued.send_signal(signal.SIGCONT)
        assert [struct.unpack("I4xQ", client.recv(100))[0] for client in clients] == [0] * messages
    assert len(os.read(trigger, 100)) == 1
    os.close(trigger)
    assert len(Queue(home).numbers()) == messages


@pytest.mark.parametrize("silent", [48, 64])
def test_who_has_no_place_yet_waits_for_one(home: Home, silent: int) -> None:
    with started(home, fast_clock(10)) as queued, ExitStack() as stack:
        idle = [stack.enter_context(connected(home)) for _ in range(silent)]
        wait_until(lambda: len(list(Path(f"/proc/{queued.pid}/fd").iterdir())) >= silent, "they have places")
        queued.send_signal(signal.SIGSTOP)
        clients = [stack.enter_context(connected(home)) for _ in range(24)]
        for client in clients:
            client.send(packet(b"x\n"))
        queued.send_signal(signal.SIGCONT)
        assert [struct.unpack("I4xQ", client.recv(100))[0] for client in clients] == [0] * len(clients)
        assert len(Queue(home).numbers()) == len(clients)
        del idle


def test_a_message_that_can_not_be_written_is_refused_for_now_and_leaves_nothing(
    home: Home, queued: subprocess.Popen[bytes]
) -> None:
    subprocess.run(["prlimit", f"--pid={queued.pid}", "--fsize=1000"], check=True)
    with Smtp(home) as smtp:
        assert smtp.message(b"x\r\n" * 2000) == "451 qq write error or disk full (#4.3.0)"
        assert Queue(home).files() == []
        assert smtp.message(b"x\r\n").startswith("250 ")


@pytest.mark.usefixtures("queued")
@pytest.mark.parametrize("directory", ["pid", "mess", "intd", "todo"])
def test_a_queue_that_is_broken_is_named(home: Home, directory: str) -> None:
    whole = home.path / "queue" / directory
    whole.rename(whole.with_name("elsewhere"))
    assert code(home, packet(b"x\n")) == {"pid": 63, "mess": 64, "intd": 65, "todo": 66}[directory]
    whole.with_name("elsewhere").rename(whole)
    assert Queue(home).files() == []
    assert code(home, packet(b"x\n")) == 0


@pytest.mark.usefixtures("queued")
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"x", 54),
        (struct.pack("I", 5) + b"abcd", 54),
        (struct.pack("I", 0xFFFFFFFF) + b"abcd", 54),
        (struct.pack("I", 65537) + b"x" * 65537 + ENVELOPE, 54),
        (packet(b"x" * 65536, b"x" * 16385), 54),
        (packet(b"x\n", b""), 54),
        (packet(b"x\n", ENVELOPE[:-1]), 54),
        (packet(b"x\n", b"Fa@b.test\0\0"), 91),
        (packet(b"x\n", b"T" + ENVELOPE[1:]), 91),
        (packet(b"x\n", b"Fa\0T" + b"x" * 1004 + b"\0\0"), 11),
        (packet(b"x" * 65536), 0),
        (packet(b""), 0),
        (packet(b"x\n", ENVELOPE + b"rest"), 0),
    ],
)
def test_a_packet_is_understood_in_one_way_only(home: Home, sent: bytes, expected: int) -> None:
    assert code(home, sent) == expected
    assert len(Queue(home).files()) == (0 if expected else 3)
    assert code(home, packet(b"x\n")) == 0, "and the next one is none the worse"


def test_who_brings_nothing_makes_room(home: Home) -> None:
    with started(home, fast_clock(10)):
        idle = [connected(home) for _ in range(64)]
        wait_until(lambda: code_or_none(home) == 0, "there is room")
        for client in idle:
            assert client.recv(10) == b""
            client.close()


def code_or_none(home: Home) -> int | None:
    try:
        return code(home, packet(b"x\n"))
    except (ConnectionError, struct.error):
        return None


def as_nobody(function: str, home: Home) -> subprocess.Popen[bytes]:
    """Run a line of Python with a socket `s` and the address `a` as another user."""
    text = f"import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\na = {address(home)!r}\n{function}"
    return subprocess.Popen(["python3", "-c", text], user=65534, group=65534, stdout=subprocess.PIPE, cwd="/")


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
@pytest.mark.usefixtures("queued")
def test_it_serves_nobody_but_qmaild(home: Home) -> None:
    lines = f"try:\n s.connect(a); s.send({packet(b'x')!r}); print(s.recv(100))\nexcept OSError: print(b'')"
    assert as_nobody(lines, home).communicate(timeout=30)[0] == b"b''\n"
    assert Queue(home).files() == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_who_has_taken_its_name_gets_no_message(home: Home) -> None:
    lines = (
        "s.bind(a); s.listen(); print('ready', flush=True); c, _ = s.accept(); print(len(c.recv(100000)), flush=True)"
    )
    impostor = as_nobody(lines, home)
    assert impostor.stdout
    assert impostor.stdout.readline() == b"ready\n"
    with Smtp(home) as smtp:
        assert smtp.message().startswith("250 ")
    (line,) = first_lines(Queue(home))
    assert not by_queued(line)
    assert impostor.communicate(timeout=30)[0] == b"0\n"


def test_it_takes_the_place_of_a_predecessor(home: Home) -> None:
    with started(home) as first:
        second = subprocess.Popen([BUILD / "bin" / "qmail-queued"], stdin=subprocess.PIPE, env=home.environment())
        time.sleep(0.3)
        assert first.stdin
        first.stdin.close()
        first.wait(30)
        wait_until(lambda: code_or_refused(home) == 0, "the second one listens")
        second.communicate(timeout=30)
        assert second.returncode == 0


def code_or_refused(home: Home) -> int | None:
    try:
        return code(home, packet(b"x\n"))
    except ConnectionError:
        return None


def test_it_begins_and_ends_with_qmail_send() -> None:
    with site() as place:
        place.home.control(rcpthosts="example.test")
        place.start()
        wait_until(lambda: is_listening(place.home), "it listens")
        with Smtp(place.home) as smtp:
            smtp.envelope("a@b.test", "alice@example.test")
            assert smtp.data(b"Subject: x\r\n\r\nbody\r\n.\r\n").startswith("250 ")
        place.await_empty()
        (mail,) = place.mail()
        assert b"Received: (qmail " in mail
        assert place.stop() == 0
        wait_until(lambda: not is_listening(place.home), "it has ended")


def test_what_is_signed_goes_the_same_way_and_is_known_by_its_number(
    home: Home, queued: subprocess.Popen[bytes]
) -> None:
    path = home.path / "sign.socket"
    home.control(signsocket=str(path))
    with Signer(path), Smtp(home, env={"RELAYCLIENT": ""}) as smtp:
        answer = smtp.message()
        assert f"qp {answer.split()[-1]} " in smtp.log()
    queue = Queue(home)
    (number,) = queue.numbers()
    first, rest = queue.split("mess", number).read_bytes().split(b"\n", 1)
    assert by_queued(first)
    assert first.split()[2] == answer.split()[-1].encode()
    assert rest.startswith(FIELDS + b"Received: ")


def test_a_large_one_that_is_signed_has_a_process_of_its_own(home: Home, queued: subprocess.Popen[bytes]) -> None:
    path = home.path / "sign.socket"
    home.control(signsocket=str(path))
    with Signer(path), Smtp(home, env={"RELAYCLIENT": ""}) as smtp:
        assert smtp.message(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 6000).startswith("250 ")
    assert not by_queued(first_lines(Queue(home))[0])
