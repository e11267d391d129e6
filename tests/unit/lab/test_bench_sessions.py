"""bin/bench tls, pop3 and idle: sessions, and what is in the mailbox."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sitelab.bench import pop3
from sitelab.bench.peers import PEERS
from sitelab.bench.sessions import Door, Session, context, pop3_session, sessions_a_second
from sitelab.host import UnfitHostError

Answers = dict[bytes, bytes]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench -keyout"
    subprocess.run(["openssl", *command.split(), path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def serve(certificate: Path) -> Iterator[Callable[..., int]]:
    """A server that has an answer for each first word; give its port."""
    listeners: list[socket.socket] = []
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)

    def session(connection: socket.socket, answers: Answers, encrypted: bool) -> None:
        with connection:
            talk = tls.wrap_socket(connection, server_side=True) if encrypted else connection
            talk.sendall(answers[b""])
            while line := talk.recv(999):
                word = line.split()[0]
                talk.sendall(answers.get(word, b"-ERR no\r\n"))
                if word == b"STARTTLS":
                    talk = tls.wrap_socket(talk, server_side=True)
                if word == b"QUIT":
                    break
            talk.close()

    def start(answers: Answers, encrypted: bool) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=session, args=(connection, answers, encrypted), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


SMTP: Answers = {
    b"": b"220 here\r\n",
    b"EHLO": b"250-here\r\n250 STARTTLS\r\n",
    b"STARTTLS": b"220 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


@pytest.mark.parametrize(("first", "starttls"), [(True, False), (False, True), (False, False)])
def test_sessions_by_every_door_are_counted(serve: Callable[..., int], first: bool, starttls: bool) -> None:
    door = Door(serve(SMTP, first), first, starttls)
    count, took = sessions_a_second("127.0.0.1", door, 2, 0.5)
    assert count > 2
    assert 0.5 <= took < 5


def test_a_session_that_is_refused_gives_no_figure(serve: Callable[..., int]) -> None:
    port = serve({b"": b"421 too many\r\n"}, False)
    with pytest.raises(UnfitHostError, match="421 too many"):
        sessions_a_second("127.0.0.1", Door(port), 2, 0.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UnfitHostError, match=f"port {port}: .*refused"):
        sessions_a_second("127.0.0.1", Door(port), 2, 0.5)


POP3: Answers = {
    b"": b"+OK here\r\n",
    b"USER": b"+OK\r\n",
    b"PASS": b"+OK\r\n",
    b"STAT": b"+OK 10000 5\r\n",
    b"LIST": b"+OK\r\n1 2\r\n2 3\r\n.\r\n",
    b"RETR": b"+OK\r\n..dot\r\n.\r\n",
    b"QUIT": b"+OK\r\n",
}


def test_answers_of_several_lines_are_read_to_their_end(serve: Callable[..., int]) -> None:
    session = Session("127.0.0.1", serve(POP3, True), context())
    assert session.greeting == b"+OK here\r\n"
    session.ask("LIST")
    assert session.lines() == len("1 2\r\n2 3\r\n")
    session.ask("RETR 1")
    assert session.lines() == len("..dot\r\n")
    session.ask("QUIT")
    session.close()


def test_a_mailbox_that_is_not_as_it_should_be_gives_no_figure(
    serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for answers, column, fault in (
        ({**POP3, b"STAT": b"+OK 9999 5\r\n"}, "STAT", "9999 messages"),
        (POP3, "RETR of 20 MB", "large message has 7 bytes"),
        ({**POP3, b"PASS": b"-ERR [AUTH] no\r\n"}, "LIST", "AUTH"),
    ):
        port = serve(answers, True)
        monkeypatch.setattr("sitelab.bench.sessions.POP3S", port)
        with pytest.raises(UnfitHostError, match=fault):
            pop3_session("127.0.0.1", "bob", "secret", pop3.WORK[column][0])


def test_the_mailbox_is_filled_once_and_in_the_order_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitelab.bench.peer.DISK", tmp_path)
    monkeypatch.setattr(pop3, "MESSAGES", 5)
    monkeypatch.setattr(pop3, "LARGE", 100_000)
    (tmp_path / "site/home/bob").mkdir(parents=True)
    peer = PEERS["qmail-site"]
    pop3.fill(peer)
    files = sorted((peer.maildir("bob") / "cur").iterdir())
    sizes = [path.stat().st_size for path in files]
    assert len(files) == 5
    assert max(sizes[:4]) <= pop3.SIZE
    assert sizes[4] > 99_000
    pop3.fill(peer)
    assert sorted((peer.maildir("bob") / "cur").iterdir()) == files
    files[0].unlink()
    pop3.fill(peer)
    assert len(list((peer.maildir("bob") / "cur").iterdir())) == 5
