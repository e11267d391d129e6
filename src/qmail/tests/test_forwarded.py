"""Mail that is forwarded from here has a sender of ours, and its bounce finds the one that it had."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.dialogue import Smtp as Door
from lab.queuelab import Queue
from lab.remoteworld import World, routed
from lab.servers import Dns, Smtp, Zone
from lab.suite import Home, Recorder

KEY = "0123456789abcdef0123456789abcdef"
OLD = "an older key which signs nothing more"
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
SENT_ON = b"Received: (qmail 4711 invoked by %s); 27 Nov 2026 10:00:00 -0000\nDelivered-To: carol@here.test\n"
REST = b"Received: (qmail 4710 invoked from network); 27 Nov 2026 10:00:00 -0000\nSubject: x\n\nx\n"
BY_ALIAS = SENT_ON % b"alias" + REST
BY_UID = SENT_ON % b"uid 200001" + REST


@pytest.fixture
def server() -> Iterator[Smtp]:
    with Smtp() as smtp:
        yield smtp


@pytest.fixture
def world(home: Home, server: Smtp) -> Iterator[World]:
    with Dns(Zone()) as dns:
        world = routed(World(home, dns), server)
        home.control(srsdomain="here.test", srskey=f"{KEY}\n{OLD}", rcpthosts="here.test\n.ours.test\nrelayed.test")
        yield world


def told(world: World, server: Smtp, message: bytes = BY_ALIAS, sender: str = "ann@else.test") -> str:
    """Return the sender that the next host is told."""
    assert world.send("x.test", sender=sender, message=message).letters == "rK"
    (line,) = (line for line in server.commands if line.startswith(b"MAIL"))
    return line.decode().partition("<")[2].rpartition(">")[0]


def signed(text: str, kind: int) -> str:
    digest = hmac.new(KEY.encode(), f"{kind}{text.lower()}".encode(), hashlib.sha256).digest()
    return f"SRS{kind}={base64.b32encode(digest[:5]).decode()}={text}@here.test"


@pytest.mark.parametrize("message", [BY_ALIAS, BY_UID])
@pytest.mark.parametrize(
    ("sender", "kind", "text"),
    [
        ("ann@else.test", 0, "{stamp}=else.test=ann"),
        ("Ann=x+Y@Else.Test", 0, "{stamp}=Else.Test=Ann=x+Y"),
        ("SRS0=OPAQ=QQ=a.test=b@else.test", 1, "else.test==OPAQ=QQ=a.test=b"),
        ("srs0+x@else.test", 1, "else.test=+x"),
        ("SRS1=OPAQ=first.test==x=y@else.test", 1, "first.test==x=y"),
        ("ann@b\u00fccher.test", 0, "{stamp}=xn--bcher-kva.test=ann"),
    ],
)
def test_what_is_forwarded_has_a_sender_of_ours(
    world: World, server: Smtp, message: bytes, sender: str, kind: int, text: str
) -> None:
    today = int(time.time()) // 86400
    stamp = BASE32[today % 1024 // 32] + BASE32[today % 32]
    assert told(world, server, message, sender) == signed(text.format(stamp=stamp), kind)


@pytest.mark.parametrize(
    "message",
    [
        REST,
        b"Subject: x\n" + BY_ALIAS,
        BY_ALIAS.replace(b"alias", b"alice"),
        BY_ALIAS.replace(b"by alias", b"from network"),
        BY_ALIAS.replace(b"by alias", b"for bounce"),
        BY_UID.replace(b"200001", b""),
        BY_UID.replace(b"200001", b"x1"),
        BY_ALIAS.replace(b"4711", b"-1"),
        BY_ALIAS.replace(b"Delivered-To", b"X-Delivered-To"),
        BY_ALIAS.replace(b"\nDelivered", b"\nSubject: x\nDelivered"),
        b"Received: (qmail 1 invoked by alias); " + b"x" * 600 + b"\nDelivered-To: a@b.test\n\n",
        b"",
    ],
)
def test_what_a_client_sends_keeps_its_sender(world: World, server: Smtp, message: bytes) -> None:
    assert told(world, server, message) == "ann@else.test"


@pytest.mark.parametrize(
    "sender",
    ["", "#@[]", "bob@here.test", "BOB@Here.Test", "bob@sub.ours.test", "bob@relayed.test", "bob", "ann@a=b.test"],
)
def test_senders_that_are_ours_or_nobody_stay(world: World, server: Smtp, sender: str) -> None:
    world.home.control(srskey=None)
    if "=" in sender:
        world.home.control(srskey=KEY)
    assert told(world, server, sender=sender) == sender.replace("#@[]", "")


def test_a_sender_that_would_become_too_long_stays(world: World, server: Smtp) -> None:
    sender = "a" * 880 + "@else.test"
    assert told(world, server, sender=sender) == sender


def test_mail_to_a_domain_that_we_relay_for_keeps_its_sender(world: World, server: Smtp) -> None:
    world.home.control(rcpthosts="here.test\nx.test")
    assert told(world, server) == "ann@else.test"


def test_without_the_domain_nothing_is_rewritten(world: World, server: Smtp) -> None:
    world.home.control(srsdomain=None, srskey=None)
    assert told(world, server) == "ann@else.test"


@pytest.mark.parametrize(
    ("name", "content"),
    [("srskey", None), ("srskey", "short"), ("srskey", "#"), ("rcpthosts", b"a\0b"), ("srsdomain", b"a\0b")],
)
def test_without_what_it_takes_the_message_waits(
    world: World, server: Smtp, name: str, content: str | bytes | None
) -> None:
    world.home.control(**{name: content})
    report = world.send("x.test", sender="ann@else.test", message=BY_ALIAS)
    assert report.letter == "Z"
    assert f"control/{name}: " in report.text
    assert not server.commands
    if name == "srskey":
        assert world.send("x.test", sender="ann@else.test", message=REST).letter == "K", "it needs none"


def test_a_message_that_can_not_be_looked_at_twice_keeps_its_sender(world: World, server: Smtp) -> None:
    assert world.run("x.test", "ann@else.test", ("u@x.test",), BY_ALIAS).letter == "K"
    assert any(b"<ann@else.test>" in line for line in server.commands)


def test_there_and_back_through_the_real_programs(
    world: World, server: Smtp, recorder: Recorder, tmp_path: Path
) -> None:
    """A user's forward, queued by qmail-queue, sent by qmail-remote; its bounce, received by qmail-smtpd."""
    home = world.home
    user = tmp_path / "user"
    user.mkdir(mode=0o700)
    (user / ".qmail").write_text("&away@x.test\n")
    (user / ".qmail").chmod(0o600)
    message = tmp_path / "message"
    message.write_bytes(b"From: ann@else.test\nSubject: x\n\nx\n")
    arguments = ("carol", str(user), "carol", "", "", "here.test", "ann@else.test", "./Maildir/")
    assert home.run("qmail-local", "--", *arguments, stdin=message).returncode == 0
    (number,) = Queue(home).numbers()
    queued = Queue(home).split("mess", number)
    assert queued.read_bytes().startswith(b"Received: (qmail ")
    sender = told(world, server, queued.read_bytes())
    assert sender.startswith("SRS0=")
    assert sender.endswith("=else.test=ann@here.test")
    home.control(srskeyin=f"a new key that signs from tomorrow on\n{KEY}")
    with Door(home) as door:
        door.envelope("", sender)
        assert door.data(b".\r\n").startswith("250 ")
    assert recorder.one().recipients == [b"ann@else.test"]
