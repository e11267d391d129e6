"""bin/bench mail and shapes: what is sent, and that it has arrived."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sitelab.bench import delivery, mail, scan, shapes
from sitelab.bench.mail import COLUMNS, Mail
from sitelab.bench.peers import PEERS
from sitelab.bench.shapes import Shapes
from sitelab.container import Container
from sitelab.host import UnfitHostError

POSTFIX = PEERS["postfix"]


@pytest.fixture(autouse=True)
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sender that puts as many files into the inbox as it is told to send, and a container that isn't there."""
    sender = tmp_path / "root/usr/sbin/smtp-source"
    sender.parent.mkdir(parents=True)
    sender.write_text(
        "#!/bin/sh\n"
        "while [ $# -gt 0 ]; do case $1 in -m) many=$2 ;; -t) user=${2%@*} ;; esac; shift; done\n"
        f'echo "$many $user" >>{tmp_path}/asked\n'
        f'[ ! -e {tmp_path}/refuse ] || {{ echo "fatal: 421 no" >&2; exit 1; }}\n'
        f"inbox={tmp_path}/disk/postfix/home/$user/Maildir/new; mkdir -p $inbox\n"
        f"i=0; while [ $i -lt $many ]; do i=$((i + 1)); : >$inbox/$i; done\n[ ! -e {tmp_path}/lose ] || rm $inbox/7\n"
    )
    sender.chmod(sender.stat().st_mode | stat.S_IXUSR)
    used = iter([10.0, 11.2])
    monkeypatch.setattr(Container, "cpu_seconds", lambda *_: next(used))
    monkeypatch.setattr(Container, "address", lambda _: "192.0.2.1")
    monkeypatch.setattr("sitelab.bench.peer.DISK", tmp_path / "disk")
    for module in (mail, shapes):
        monkeypatch.setattr(module, "ensure_tools", lambda: tmp_path / "root")
    monkeypatch.setattr(delivery, "SETTLE", 0.0)
    monkeypatch.setattr(delivery, "WAIT", 5.0)
    return tmp_path


def test_a_round_counts_its_own_messages_and_its_own_cpu_time(hosts: Path) -> None:
    POSTFIX.inbox.mkdir(parents=True)
    (POSTFIX.inbox / "left over").touch()
    sample = Mail([POSTFIX], 1).measure(POSTFIX, "10, new conn.")
    assert sample["cpu_s_per_1000"] == pytest.approx(2.0)
    assert 0 < sample["delivered_per_s"] <= sample["accepted_per_s"]
    assert len(list(POSTFIX.inbox.iterdir())) == 600


def test_a_message_that_is_refused_ends_the_run(hosts: Path) -> None:
    (hosts / "refuse").touch()
    with pytest.raises(UnfitHostError, match=r"^postfix, 10, new conn.: smtp-source: fatal: 421 no$"):
        Mail([POSTFIX], 1).measure(POSTFIX, "10, new conn.")


def test_a_message_that_is_lost_ends_the_run(hosts: Path) -> None:
    (hosts / "lose").touch()
    send = delivery.by_source(hosts / "root", [delivery.source(hosts / "root", "192.0.2.1", 10, 10)])
    with pytest.raises(UnfitHostError, match="of 10 accepted messages 9 were delivered"):
        delivery.deliver(POSTFIX, send, {"alice": 10}, "x", 0.3)


def test_a_sender_that_hangs_ends_the_run_and_is_ended(hosts: Path) -> None:
    with pytest.raises(UnfitHostError, match=r"not all messages were accepted in 0 s"):
        delivery.by_source(hosts, [["sleep", "99"], ["sleep", "98"]], 0.1)()


def test_connections_are_reused_only_where_the_column_says_so(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(mail, "deliver", lambda *_: {})
    monkeypatch.setattr(mail, "by_source", lambda _, commands: asked.extend(commands))
    for name, column in COLUMNS.items():
        Mail([POSTFIX], 1).measure(POSTFIX, name)
        words = asked.pop()
        assert ("-d" in words) == column.reused == name.endswith("reused")
        assert words[words.index("-s") + 1] == str(column.connections)
        assert words[words.index("-l") + 1] == "4096"
        assert words[-1] == "192.0.2.1:25"


def test_a_share_of_a_load_has_a_message_for_each_connection() -> None:
    assert [column.count(0.001) for column in COLUMNS.values()] == [1, 10, 50, 10, 50]
    assert [column.count(1) for column in COLUMNS.values()] == [300, 600, 600, 600, 600]


def test_ten_users_are_sent_to_at_the_same_time_each_his_own(hosts: Path) -> None:
    sample = Shapes([POSTFIX], 1 / 3).measure(POSTFIX, "10 users")
    asked = sorted((hosts / "asked").read_text().splitlines())
    assert asked == [f"20 bench{at:04}" for at in range(10)]
    assert sample["cpu_s_per_1000"] == pytest.approx(6.0)


def test_the_columns_of_sizes_say_their_size(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(shapes, "deliver", lambda *_: {})
    monkeypatch.setattr(shapes, "by_source", lambda _, commands: asked.extend(commands))
    for column, size in (("1 KB", "1024"), ("4 KB", "4096"), ("100 KB", "102400")):
        Shapes([POSTFIX], 1).measure(POSTFIX, column)
        assert asked.pop()[4] == size


@pytest.fixture
def server() -> Iterator[tuple[int, list[bytes]]]:
    """A server of SMTP at its port, that refuses whoever is called nobody; and what it was told."""
    told: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as talk:
            talk.write(b"220 here\r\n")
            data = False
            for line in iter(talk.readline, b""):
                told.append(line)
                if data and line != b".\r\n":
                    continue
                data = line == b"DATA\r\n"
                word = {b"DATA": b"354", b"QUIT": b"221"}.get(line[:4], b"550" if b"nobody" in line else b"250")
                talk.write(word + b"-more\r\n" + word + b" so\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], told
    thread.join(10)
    listener.close()


def test_one_message_goes_to_all_in_one_transaction(server: tuple[int, list[bytes]]) -> None:
    port, told = server
    shapes.send_to_many("127.0.0.1", ["a@x.test", "b@x.test"], port)
    assert told[1:5] == [
        b"MAIL FROM:<bench@elsewhere.test>\r\n",
        b"RCPT TO:<a@x.test>\r\n",
        b"RCPT TO:<b@x.test>\r\n",
        b"DATA\r\n",
    ]
    assert told[-2:] == [b".\r\n", b"QUIT\r\n"]
    assert 4000 < sum(map(len, told)) < 4500


def test_a_recipient_who_is_refused_ends_the_run(server: tuple[int, list[bytes]]) -> None:
    with pytest.raises(UnfitHostError, match="550 so"):
        shapes.send_to_many("127.0.0.1", ["a@x.test", "nobody@x.test"], server[0])


def test_the_scanned_message_has_the_size_that_the_results_name() -> None:
    text = scan.ham()
    assert len(text) == scan.SIZE
    assert text.count("\n\n") >= 1
    assert text.endswith("\n")
    assert max(map(len, text.splitlines())) < 200


def test_spamds_time_is_told_apart_from_the_rest(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = PEERS["qmail-site-scan"]
    units = {"": 0.0, scan.SPAMD: 0.0}
    monkeypatch.setattr(Container, "cpu_seconds", lambda _, unit="": units[unit])
    monkeypatch.setattr(scan, "ensure_tools", lambda: hosts / "root")
    monkeypatch.setattr(scan, "HOME", hosts)

    def deliver(*_: object) -> dict[str, float]:
        units[scan.SPAMD] += 24.0
        return {"delivered_per_s": 5.0, "cpu_s_per_1000": 130.0}

    monkeypatch.setattr(scan, "deliver", deliver)
    sample = scan.Scan([peer], 1).measure(peer, "20 clients")
    assert sample == {"delivered_per_s": 5.0, "spamd_cpu_ms": 100.0, "rest_cpu_ms": 30.0}
