"""hi-q between the real qmail-smtpd and the real qmail-queue, built from src/qmail under the sanitizers."""

from __future__ import annotations

import base64
import os
import shlex
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from site_double import SOURCE, Site

QMAIL = SOURCE.parent / "qmail"
SPLIT = 23
MESSAGE = b"Subject: real\r\n\r\nA message.\r\n"
GOOD = base64.b64encode(b"\0alice\0wonderland")
BAD = base64.b64encode(b"\0alice\0looking-glass")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the programs so that they take their home from the environment."""
    build = tmp_path_factory.mktemp("qmail")
    targets = [f"{build}/bin/{name}" for name in ("qmail-queue", "qmail-sign", "qmail-smtpd")]
    subprocess.run(["make", "-s", "-j2", f"BUILD={build}", "TESTABLE=1", *targets], cwd=QMAIL, check=True)
    return build / "bin"


@dataclass
class Mail:
    """A home of qmail's with hi-q before its queue."""

    site: Site
    home: Path
    programs: Path

    def send(self, message: bytes = MESSAGE) -> bytes:
        """Send one message as a stranger and return the reply to its end."""
        return self.talk(b"HELO client.example.test\r\n", message)

    def talk(self, before: bytes, message: bytes = MESSAGE, more: dict[str, str] | None = None) -> bytes:
        """Say these lines, send one message, and return the reply to its end."""
        dialogue = (
            before + b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
            b"RCPT TO:<carol@example.test>\r\nDATA\r\n" + message + b".\r\nQUIT\r\n"
        )
        env = {
            "PATH": "/usr/bin:/bin",
            "QMAIL_TEST_HOME": str(self.home),
            "QMAILQUEUE": str(self.site.top / "hi-q"),
            "TCPREMOTEIP": "192.0.2.1",
            "RELAYCLIENT": "",
            "ASAN_OPTIONS": "detect_leaks=0",
            **(more or {}),
        }
        command = [self.programs / "qmail-smtpd", self.site.top / "checker"]
        done = subprocess.run(command, input=dialogue, capture_output=True, env=env, cwd=self.home, timeout=60)
        replies = done.stdout.removesuffix(b"\r\n").split(b"\r\n")
        assert replies[-3][:3] == b"354", done
        return replies[-2]

    def send_as_a_user(self, auth: bytes = b"AUTH PLAIN " + GOOD, between: bytes = b"", **env: str) -> bytes:
        """Log in, say some more, send one message, and return the reply to its end."""
        more = {"TLSFRONT": "stunnel", "AUTHQMAILQUEUE": str(self.site.top / "hi-q-authenticated")} | env
        return self.talk(b"EHLO client.example.test\r\n" + auth + b"\r\n" + between, more=more)

    def authenticated(self, *lines: str) -> None:
        """Make these lines the list for users who have logged in."""
        (self.site.top / "authenticated").write_text("".join(line + "\n" for line in lines))

    def files(self, *folders: str) -> list[Path]:
        """Return what is in these folders of the queue."""
        return [path for folder in folders for path in (self.home / "queue" / folder).rglob("*") if path.is_file()]

    def empty(self) -> bool:
        """Is nothing in the queue, not even a message without an envelope, once all processes are done?"""
        for _ in range(100):
            if not self.files("pid", "mess", "intd", "todo"):
                return True
            time.sleep(0.05)
        return False


@pytest.fixture
def mail(site: Site, built: Path, tmp_path: Path) -> Mail:
    home = tmp_path / "home"
    names = ["control", "queue/pid", "queue/intd", "queue/todo", "queue/bounce", "queue/lock"]
    names += [f"queue/{name}/{number}" for name in ("mess", "info", "local", "remote") for number in range(SPLIT)]
    for name in names:
        (home / name).mkdir(parents=True)
    (home / "control/me").write_text("mail.example.test\n")
    (home / "queue/lock/sendmutex").touch()
    os.mkfifo(home / "queue/lock/trigger")
    (home / "bin").symlink_to(built)
    site.queue.unlink()
    site.queue.symlink_to(built / "qmail-queue")
    (home / "control/authdelay").write_text("0\n")
    lists = {"strangers": str(site.list), "authenticated": f"{tmp_path}/authenticated"}
    for name, whose in (("hi-q", "strangers"), ("hi-q-authenticated", "authenticated")):
        site.sh(
            name,
            f"echo {name} >>{tmp_path}/ran; exec {shlex.join(site.program_for(whose, lists))} --queue {site.queue}",
        )
    site.sh("checker", "case $(tr '\\0' : <&3) in alice:wonderland:*) ;; *) exit 1 ;; esac")
    made = Mail(site, home, built)
    made.authenticated()
    return made


@pytest.mark.parametrize("filters", [[], ["/bin/cat"], ["/bin/cat", "/bin/sed s/A/One/"]])
def test_a_message_that_passes_is_queued(mail: Mail, filters: list[str]) -> None:
    mail.site.filters(*filters)
    assert mail.send().startswith(b"250 ok")
    (todo,), (mess,) = mail.files("todo"), mail.files("mess")
    recipients = b"Falice@example.test\0Tbob@example.test\0Tcarol@example.test\0"
    assert todo.read_bytes().endswith(recipients)
    text = b"One message.\n" if len(filters) == 2 else b"A message.\n"
    assert b"\nSubject: real\n" in mess.read_bytes()
    assert mess.read_bytes().endswith(b"\n\n" + text)
    assert not mail.files("pid")


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("behaviour", "reply"),
    [
        ("cat; printf 'Dspam score 9.5, limit 7.0 (#5.7.1)' >&6; exit 1", b"554 spam score 9.5, limit 7.0 (#5.7.1)"),
        ("exit 1", b"554 message content refused (#5.7.1)"),
        ("cat; exit 75", b"451 mail filter in trouble, try again later (#4.3.0)"),
        ("cat; printf 'Zscanner is down (#4.3.2)' >&6; exit 75", b"451 scanner is down (#4.3.2)"),
        ("head -c 10; kill -9 $$", b"451 mail filter in trouble, try again later (#4.3.0)"),
        ("cat; sleep 1000", b"451 mail filter in trouble, try again later (#4.3.0)"),
    ],
)
def test_a_message_that_does_not_is_refused_in_the_session_and_leaves_no_trace(
    mail: Mail, place: int, behaviour: str, reply: bytes
) -> None:
    lines = ["/bin/cat"] * 2
    lines[place] = f"limit=1 {mail.site.sh('bad', behaviour)}"
    mail.site.filters(*lines)
    assert mail.send() == reply
    assert mail.empty()


def test_a_filter_that_stops_reading_a_long_message_neither_hangs_the_session_nor_passes_it(mail: Mail) -> None:
    mail.site.filters("/bin/cat", mail.site.sh("lazy", "head -c 10"))
    assert mail.send(b"Subject: long\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 50_000)[:3] == b"451"
    assert mail.empty()


def test_a_list_in_trouble_is_for_later(mail: Mail) -> None:
    mail.site.filters("no path")
    assert mail.send() == b"451 mail filter configuration in trouble (#4.3.5)"
    assert mail.empty()


# ---- who has logged in ----


@pytest.mark.parametrize("between", [b"", b"RSET\r\n", b"EHLO again\r\n", b"STARTTLS\r\n"])
def test_a_user_s_message_goes_through_the_list_for_users_alone(mail: Mail, between: bytes) -> None:
    mail.site.filters(mail.site.sh("no", "exit 1"))
    mail.authenticated(mail.site.sh("mark", "echo X-Class: user; cat"))
    assert mail.send_as_a_user(between=between).startswith(b"250 ok")
    (mess,) = mail.files("mess")
    assert mess.read_bytes().count(b"X-Class: user\n") == 1
    assert mail.send() == b"554 message content refused (#5.7.1)"


@pytest.mark.parametrize("auth", [b"NOOP", b"AUTH PLAIN " + BAD, b"AUTH PLAIN\r\n*"])
def test_who_has_not_logged_in_is_a_stranger(mail: Mail, auth: bytes) -> None:
    mail.site.filters(mail.site.sh("no", "exit 1"))
    mail.authenticated("/bin/cat")
    assert mail.send_as_a_user(auth) == b"554 message content refused (#5.7.1)"
    assert mail.empty()


@pytest.mark.parametrize(
    ("behaviour", "reply"),
    [
        ("printf 'Dtoo much mail from you (#5.7.1)' >&6; exit 1", b"554 too much mail from you (#5.7.1)"),
        ("cat; exit 75", b"451 mail filter in trouble, try again later (#4.3.0)"),
    ],
)
def test_the_list_for_users_refuses_and_defers_too(mail: Mail, behaviour: str, reply: bytes) -> None:
    mail.authenticated(mail.site.sh("bad", behaviour))
    assert mail.send_as_a_user() == reply
    assert mail.empty()


def test_a_list_for_users_in_trouble_is_never_no_filters(mail: Mail) -> None:
    (mail.site.top / "authenticated").unlink()
    assert mail.send_as_a_user() == b"451 mail filter configuration in trouble (#4.3.5)"
    assert mail.empty()


def test_an_empty_list_for_users_costs_no_process_where_no_program_is_named(mail: Mail) -> None:
    mail.site.filters(mail.site.sh("no", "exit 1"))
    assert mail.send_as_a_user(AUTHQMAILQUEUE="").startswith(b"250 ok")
    assert len(mail.files("mess")) == 1
    assert not (mail.site.top / "ran").exists()


def test_an_empty_list_is_plain_qmail_queue_where_one_is(mail: Mail) -> None:
    assert mail.send_as_a_user().startswith(b"250 ok")
    assert len(mail.files("mess")) == 1
    assert (mail.site.top / "ran").read_text() == "hi-q-authenticated\n"


FIELD = b"DKIM-Signature: v=1; b=x\n"


def sign_one(door: socket.socket, seen: list[bytes]) -> None:
    """Be the signer of src/qmail/sign/signer.h for one message."""
    talk, _ = door.accept()
    with talk:
        _, (fd,), _, _ = socket.recv_fds(talk, 64, 1)
        with os.fdopen(fd, "rb") as file:
            seen.append(file.read())
        talk.send(b"K" + FIELD)


@pytest.mark.parametrize("whose", ["a user", "a relay network"])
def test_mail_of_our_own_is_signed_as_it_leaves_the_filters(mail: Mail, whose: str) -> None:
    place = mail.site.top / "signer"
    (mail.home / "control/signsocket").write_text(f"{place}\n")
    (mail.site.top / "qmail-sign").symlink_to(mail.programs / "qmail-sign")
    mail.authenticated("/bin/sed s/A/One/")
    mail.site.filters("/bin/sed s/A/One/")
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(place))
        door.listen()
        signer = threading.Thread(target=sign_one, args=(door, seen), daemon=True)
        signer.start()
        if whose == "a user":
            assert mail.send_as_a_user(AUTHFILTERS=f"{mail.site.top}/authenticated").startswith(b"250 ok")
        else:
            lists = {"FILTERS": str(mail.site.list)}
            assert mail.talk(b"HELO client.example.test\r\n", more=lists).startswith(b"250 ok")
        signer.join(10)
    (mess,) = mail.files("mess")
    (signed,) = seen
    assert signed.endswith(b"\n\nOne message.\n")
    assert mess.read_bytes().split(b"\n", 1)[1] == FIELD + signed
