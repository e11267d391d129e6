"""hi-q between the real qmail-smtpd and the real qmail-queue, built from src/qmail under the sanitizers."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from site_double import SOURCE, Site

QMAIL = SOURCE.parent / "qmail"
SPLIT = 23


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the two programs so that they take their home from the environment."""
    build = tmp_path_factory.mktemp("qmail")
    targets = [f"{build}/bin/{name}" for name in ("qmail-queue", "qmail-smtpd")]
    subprocess.run(["make", "-s", "-j2", f"BUILD={build}", "TESTABLE=1", *targets], cwd=QMAIL, check=True)
    return build / "bin"


@dataclass
class Mail:
    """A home of qmail's with hi-q before its queue."""

    site: Site
    home: Path
    programs: Path

    def send(self, message: bytes = b"Subject: real\r\n\r\nA message.\r\n") -> bytes:
        """Send one message by SMTP and return the reply to its end."""
        dialogue = (
            b"HELO client.example.test\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
            b"RCPT TO:<carol@example.test>\r\nDATA\r\n" + message + b".\r\nQUIT\r\n"
        )
        env = {
            "PATH": "/usr/bin:/bin",
            "QMAIL_TEST_HOME": str(self.home),
            "QMAILQUEUE": str(self.site.top / "hi-q"),
            "TCPREMOTEIP": "192.0.2.1",
            "RELAYCLIENT": "",
            "ASAN_OPTIONS": "detect_leaks=0",
        }
        done = subprocess.run(
            [self.programs / "qmail-smtpd"], input=dialogue, capture_output=True, env=env, cwd=self.home, timeout=60
        )
        replies = done.stdout.split(b"\r\n")
        assert replies[5][:3] == b"354", done
        return replies[6]

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
    words = [str(word) for word in site.command()]
    site.sh("hi-q", "exec " + " ".join("'" + word.replace("'", "'\\''") + "'" for word in words))
    return Mail(site, home, built)


@pytest.mark.parametrize("filters", [[], ["/bin/cat"], ["/bin/cat", "/bin/sed s/A/One/"]])
def test_a_message_that_passes_is_queued(mail: Mail, filters: list[str]) -> None:
    mail.site.filters(*filters)
    assert mail.send().startswith(b"250 ok")
    (todo,), (mess,) = mail.files("todo"), mail.files("mess")
    recipients = b"Falice@example.test\0Tbob@example.test\0Tcarol@example.test\0"
    assert todo.read_bytes().endswith(recipients)
    text = b"One message.\n" if len(filters) == 2 else b"A message.\n"
    assert mess.read_bytes().endswith(b"Subject: real\n\n" + text)
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
