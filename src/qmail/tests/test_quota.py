"""Quotas of Maildirs: what is counted, who is turned away, who is told, and what deleting gives back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.dialogue import Dialogue
from lab.suite import Home

UID = os.getuid()
NOBODY = 65534 if UID == 0 else UID
MESSAGE = b"Subject: hello\n\n" + b"x" * 79 + b"\n"
TRACE = len(b"Return-Path: <joe@sender.test>\nDelivered-To: alice@example.test\n")
SIZE = TRACE + len(MESSAGE)


class Mailbox:
    """A Maildir with a limit, and deliveries into it by qmail-local."""

    def __init__(self, home: Home, path: Path) -> None:
        self.site, self.home = home, path
        self.path = self.folder("Maildir")
        self.note_file = home.path / "users" / "full" / str(UID)

    def folder(self, name: str) -> Path:
        for part in ("tmp", "new", "cur"):
            (self.home / name / part).mkdir(parents=True)
        return self.home / name

    def limit(self, *pairs: tuple[int, str]) -> None:
        """Write users/quotas.cdb, older than what is counted from now on."""
        records = "".join(f"+{len(str(uid))},{len(value)}:{uid}->{value}\n" for uid, value in pairs) + "\n"
        path = self.site.path / "users" / "quotas.cdb"
        subprocess.run(["cdb", "-c", path], input=records.encode(), check=True)
        os.utime(path, (time.time() - 10,) * 2)

    def noted(self, content: str = "") -> None:
        """Give it a note, as the play does."""
        self.note_file.parent.mkdir(exist_ok=True)
        self.note_file.write_text(content)

    def note(self) -> list[str]:
        """Its words; it must be a whole line of its fixed length."""
        text = self.note_file.read_text()
        assert re.fullmatch(r"\d+ \d+ (ok|80|95|full) \d+ *\n", text)
        assert len(text) == 64
        return text.split()

    def deliver(
        self,
        message: bytes = MESSAGE,
        *,
        to: str = "./Maildir/",
        domain: str = "example.test",
        local: str = "alice",
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        stdin = self.home / "message"
        stdin.write_bytes(message)
        arguments = ("alice", self.home, local, "", "", domain, "joe@sender.test", to)
        return self.site.run("qmail-local", *arguments, stdin=stdin, env=env)

    def size(self) -> list[str] | None:
        """The lines of maildirsize."""
        file = self.path / "maildirsize"
        return file.read_text().splitlines() if file.exists() else None

    def mail(self, subject: str = "hello") -> list[Path]:
        """What has been delivered, or warnings."""
        return [file for file in sorted((self.path / "new").iterdir()) if f"Subject: {subject}" in file.read_text()]

    def warnings(self) -> list[str]:
        """Of how many percent there was a warning, in their order."""
        found = [re.search(r"Subject: (\d+) % of your mailbox", f.read_text()) for f in self.mail("")]
        return [match[1] for match in found if match]


@pytest.fixture
def mailbox(home: Home, tmp_path: Path) -> Mailbox:
    path = tmp_path / "alice"
    path.mkdir(mode=0o755)
    return Mailbox(home, path)


def test_without_quotas_nothing_is_counted_and_one_open_fails(mailbox: Mailbox, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    stdin = tmp_path / "in"
    stdin.write_bytes(MESSAGE)
    program = mailbox.site.path / "bin" / "qmail-local"
    arguments = ["alice", str(mailbox.home), "alice", "", "", "example.test", "joe@sender.test", "./Maildir/"]
    with stdin.open("rb") as message:
        done = subprocess.run(
            ["strace", "-e", "trace=file", "-o", trace, program, *arguments],
            stdin=message,
            env=mailbox.site.environment(),
            check=False,
        )
    assert done.returncode == 0
    assert mailbox.size() is None
    asked = [line for line in trace.read_text().splitlines() if re.search(r"users/|maildirsize", line)]
    assert len(asked) == 1
    assert re.search(r'open.*/users/quotas\.cdb".* ENOENT', asked[0])


def test_who_is_not_in_the_table_has_no_limit(mailbox: Mailbox) -> None:
    mailbox.limit((UID + 1, "1"))
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() is None


def test_a_delivery_is_counted_with_what_was_there(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "100000"))
    (mailbox.path / "cur" / "1.a.host,S=500:2,S").write_bytes(b"not as many")
    (mailbox.path / "new" / "2.b.host").write_bytes(b"x" * 30)
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() == ["100000S", "530 2", f"{SIZE} 1"]
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() == ["100000S", "530 2", f"{SIZE} 1", f"{SIZE} 1"]
    assert not list((mailbox.path / "tmp").iterdir())
    assert (mailbox.path / "maildirsize").stat().st_mode & 0o777 == 0o600


def test_folders_count_but_not_what_is_none(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "100000"))
    for name in ("Maildir/.Sent", "Maildir/.Trash", "Maildir/other"):
        (mailbox.folder(name) / "cur" / "1.a.host,S=100:2,ST").touch()
    (mailbox.path / ".Broken").mkdir()
    (mailbox.path / ".file").touch()
    (mailbox.path / ".link").symlink_to(mailbox.folder("elsewhere"))
    (mailbox.home / "elsewhere" / "cur" / "1.a.host,S=7").touch()
    (mailbox.path / "new" / ".hidden,S=7").touch()
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() == ["100000S", "200 2", f"{SIZE} 1"]


@pytest.mark.parametrize(("mark", "counted"), [(True, ["100000S", "0 0", f"{SIZE} 1"]), (False, None)])
def test_a_delivery_into_a_folder_counts_for_its_maildir(
    mailbox: Mailbox, mark: bool, counted: list[str] | None
) -> None:
    mailbox.limit((UID, "100000"))
    folder = mailbox.folder("Maildir/.Lists")
    if mark:
        (folder / "maildirfolder").touch()
    assert mailbox.deliver(to="./Maildir/.Lists/").returncode == 0
    assert mailbox.size() == counted
    assert (folder / "maildirsize").exists() is not mark


def test_what_fits_exactly_is_delivered_and_one_byte_more_waits(mailbox: Mailbox) -> None:
    mailbox.limit((UID, str(2 * SIZE)))
    assert mailbox.deliver().returncode == 0
    more = mailbox.deliver(MESSAGE + b"\n")
    assert (more.returncode, more.stdout) == (111, b"This mailbox is full. (#4.2.2)\n")
    assert not list((mailbox.path / "tmp").iterdir())
    assert mailbox.deliver().returncode == 0
    assert len(mailbox.mail()) == 2


def test_a_message_larger_than_the_whole_quota_is_refused_for_good(mailbox: Mailbox) -> None:
    mailbox.limit((UID, str(SIZE - 1)))
    done = mailbox.deliver()
    assert (done.returncode, done.stdout) == (100, b"This message is larger than the mailbox may be. (#5.2.2)\n")
    assert not mailbox.mail()


def test_nobody_is_turned_away_before_it_is_counted(mailbox: Mailbox) -> None:
    """Whoever deletes mail without counting it has room for more."""
    large = MESSAGE + b"z" * (100000 - SIZE)
    mailbox.limit((UID, "302000"))
    for _ in range(3):
        assert mailbox.deliver(large).returncode == 0
    assert mailbox.deliver(large).returncode == 111
    mailbox.mail()[0].unlink()
    told = sum(file.stat().st_size for file in mailbox.mail("95 %"))
    (mailbox.path / "maildirsize").write_text("302000S\n200000 2\n100000 1\n")
    assert mailbox.deliver(large).returncode == 0
    assert len(mailbox.mail()) == 3
    assert (mailbox.size() or [])[:3] == ["302000S", f"{200000 + told} 3", "100000 1"]


def test_a_young_count_is_not_repeated_and_an_old_one_is(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "1000"))
    file = mailbox.path / "maildirsize"
    file.write_text("1000S\n1000 1\n")
    assert mailbox.deliver().returncode == 111
    os.utime(mailbox.site.path / "users" / "quotas.cdb", (1, 1))
    os.utime(file, (time.time() - 1000,) * 2)
    assert mailbox.deliver().returncode == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "100000S\n",
        "100001S\n7 1\n",
        "100000S,5C\n7 1\n",
        "100000C\n7 1\n",
        "100000S\n7 1",
        "100000S\n7\n",
        "100000S\n7 1 1\n",
        "100000S\n-7 1\n",
        "100000S\n7 -1\n",
        "100000S\n7 1\nx\n",
        "100000S\n" + "9" * 19 + " 1\n",
        "100000S\n" + ("9" * 18 + " 1\n") * 12,
        "100000S\n7 1\n\0\n",
        "100000S\n7 1\n" + "0 0\n" * 1300,
    ],
)
def test_a_file_that_can_not_be_believed_is_counted_anew(mailbox: Mailbox, content: str) -> None:
    mailbox.limit((UID, "100000"))
    (mailbox.path / "maildirsize").write_text(content)
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() == ["100000S", "0 0", f"{SIZE} 1"]


def test_blanks_and_removals_are_read_as_others_write_them(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "100000"))
    content = "100000S\n      5000    3\n        -2000   -1\n"
    (mailbox.path / "maildirsize").write_text(content)
    mailbox.noted()
    assert mailbox.deliver().returncode == 0
    assert (mailbox.path / "maildirsize").read_text() == content + f"{SIZE} 1\n"
    assert mailbox.note() == [str(3000 + SIZE), "100000", "ok", "0"]


def test_another_table_means_another_count(mailbox: Mailbox) -> None:
    """So a limit that was taken away and given back doesn't find what was counted before."""
    mailbox.limit((UID, "100000"))
    (mailbox.path / "maildirsize").write_text("100000S\n7 1\n")
    os.utime(mailbox.path / "maildirsize", (time.time() - 60,) * 2)
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() == ["100000S", "0 0", f"{SIZE} 1"]


def test_what_is_in_the_file_s_place_is_not_followed(mailbox: Mailbox, tmp_path: Path) -> None:
    mailbox.limit((UID, "100000"))
    other = tmp_path / "other"
    other.write_text("100000S\n7 1\n")
    (mailbox.path / "maildirsize").symlink_to(other)
    assert mailbox.deliver().returncode == 0
    assert other.read_text() == "100000S\n7 1\n"
    assert mailbox.size() == ["100000S", "0 0", f"{SIZE} 1"]
    (mailbox.path / "maildirsize").unlink()
    os.mkfifo(mailbox.path / "maildirsize")
    assert mailbox.deliver().returncode == 0
    assert mailbox.size() == ["100000S", f"{SIZE} 1", f"{SIZE} 1"]


@pytest.mark.parametrize("table", [b"short", b"\xff" * 4096])
def test_a_table_that_can_not_be_read_defers(mailbox: Mailbox, table: bytes) -> None:
    (mailbox.site.path / "users" / "quotas.cdb").write_bytes(table)
    done = mailbox.deliver()
    assert (done.returncode, done.stdout) == (111, b"Can't use users/quotas.cdb. (#4.3.5)\n")


@pytest.mark.parametrize("value", ["", "x", "-1", "5G", "9" * 30])
def test_a_limit_that_is_no_number_defers(mailbox: Mailbox, value: str) -> None:
    mailbox.limit((UID, value))
    assert mailbox.deliver().returncode == 111


# What others are told


def test_the_note_says_what_is_used_and_full_after_a_delivery_without_room(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "1000"))
    mailbox.noted()
    assert mailbox.deliver().returncode == 0
    assert mailbox.note() == [str(SIZE), "1000", "ok", "0"]
    assert mailbox.deliver().returncode == 0
    assert mailbox.note()[:3] == [str(2 * SIZE), "1000", "ok"]
    assert mailbox.deliver(MESSAGE * 8).returncode == 111
    assert mailbox.note()[:3] == [str(2 * SIZE), "1000", "full"]
    assert mailbox.deliver().returncode == 0
    assert mailbox.note() == [str(3 * SIZE), "1000", "ok", "0"]


@pytest.mark.parametrize("content", ["", "rubbish", "1 2 ok 95", "x" * 64, "9" * 60 + " ok\n", "\0" * 64])
def test_any_content_of_the_note_is_replaced(mailbox: Mailbox, content: str) -> None:
    mailbox.limit((UID, "100000"))
    mailbox.noted(content)
    assert mailbox.deliver().returncode == 0
    assert mailbox.note() == [str(SIZE), "100000", "ok", "0"]


def test_nobody_makes_a_note_of_his_own(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "100000"))
    mailbox.note_file.parent.mkdir()
    assert mailbox.deliver().returncode == 0
    assert not mailbox.note_file.exists()


# Warnings


def deliver_until(mailbox: Mailbox, bytes_: int) -> None:
    """One message that brings what is used to so many bytes."""
    lines = mailbox.size() or ["", "0 0"]
    used = sum(int(line.split()[0]) for line in lines[1:])
    assert mailbox.deliver(b"Subject: hello\n\n" + b"y" * (bytes_ - used - TRACE - 17) + b"\n").returncode == 0


@pytest.mark.parametrize("noted", [False, True])
def test_a_mailbox_that_fills_up_is_told_at_80_and_95_percent_once_each(mailbox: Mailbox, noted: bool) -> None:
    mailbox.limit((UID, "100000"))
    if noted:
        mailbox.noted()
    for target, expected in [
        (79999, []),
        (80000, ["80"]),
        (90000, ["80"]),
        (95000, ["80", "95"]),
        (99000, ["80", "95"]),
    ]:
        deliver_until(mailbox, target)
        assert mailbox.warnings() == expected


def test_who_had_more_and_is_full_at_once_is_told(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "100000"))
    mailbox.noted()
    (mailbox.path / "cur" / "1.a.host,S=99900:2,S").touch()
    for _ in range(2):
        assert mailbox.deliver().returncode == 111
        assert mailbox.warnings() == ["95"]
        assert mailbox.note()[1:] == ["100000", "full", "95"]


@pytest.mark.parametrize(
    "course",
    [
        [(81000, 1), (78000, 1), (82000, 1), (74000, 1), (81000, 2)],
        [(95500, 1), (91000, 1), (95500, 1), (89000, 1), (95500, 2), (81000, 2), (74000, 2), (81000, 3)],
    ],
)
def test_it_is_told_again_only_after_it_was_5_percent_below(mailbox: Mailbox, course: list[tuple[int, int]]) -> None:
    mailbox.limit((UID, "100000"))
    mailbox.noted()
    for used, expected in course:
        (mailbox.path / "maildirsize").write_text(f"100000S\n{used - SIZE} 5\n")
        assert mailbox.deliver().returncode == 0
        assert len(mailbox.warnings()) == expected


def test_a_warning_is_a_whole_message_from_postmaster_and_is_counted(mailbox: Mailbox) -> None:
    mailbox.limit((UID, "1000000"))
    deliver_until(mailbox, 812345)
    (file,) = mailbox.mail("80 %")
    text = file.read_bytes()
    head, body = text.decode("ascii").split("\n\n", 1)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    assert fields["Return-Path"] == "<>"
    assert fields["From"] == "Postmaster <postmaster@example.test>"
    assert fields["To"] == "<alice@example.test>"
    assert fields["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch(r"\d+ \w{3} \d{4} [\d:]{8} -0000", fields["Date"])
    assert re.fullmatch(r"<[\w.]+@example\.test>", fields["Message-ID"])
    assert body.startswith("Of the 1.0 MB that your mailbox may have, 0.8 MB are used, in 1 messages.\n")
    wire = len(text.replace(b"\n", b"\r\n"))
    assert file.name.endswith(f",S={len(text)},W={wire}")
    assert (mailbox.size() or [])[-1] == f"{len(text)} 1"


@pytest.mark.parametrize(
    ("local", "domain", "shown"),
    [
        ("example.net-info", "example.net", "<info@example.net>"),
        ("example.net-", "example.net", "<example.net-@example.net>"),
        ("a b", "example.test", '<"a b"@example.test>'),
        ("x\nBcc: y", "example.test", '<"x_Bcc: y"@example.test>'),
        ("a", "x>\nBcc: <y", "<a@x__Bcc___y>"),
    ],
)
def test_a_warning_names_the_address_as_people_know_it(mailbox: Mailbox, local: str, domain: str, shown: str) -> None:
    mailbox.limit((UID, "1000"))
    assert mailbox.deliver(b"Subject: hello\n\n" + b"x" * 780 + b"\n", local=local, domain=domain).returncode == 0
    (file,) = mailbox.mail("80 %")
    head = file.read_text().split("\n\n")[0].splitlines()
    assert f"To: {shown}" in head
    assert not [line for line in head if line.startswith("Bcc")]


# qmail-pop3d


class Pop3(Dialogue):
    """qmail-pop3d, spoken to."""

    def ask(self, text: str) -> str:
        self.send(text.encode() + b"\r\n")
        return self.line().decode()


def pop3(mailbox: Mailbox) -> Pop3:
    """Start it as the user whose mail it is."""
    for directory, names, files in os.walk(mailbox.home):
        for name in [".", *names, *files]:
            os.chown(Path(directory) / name, NOBODY, NOBODY, follow_symlinks=False)
    if mailbox.note_file.exists():
        os.chown(mailbox.note_file, NOBODY, NOBODY)
    session = Pop3(mailbox.site, "qmail-pop3d", "Maildir", cwd=mailbox.home, user=NOBODY if UID == 0 else None)
    assert session.line().startswith(b"+OK")
    return session


@pytest.fixture
def pop_mailbox() -> Iterator[Mailbox]:
    """Two messages of a user who may have more, in a place that he can reach."""
    place = Path(tempfile.mkdtemp(prefix="qmail-"))
    place.chmod(0o755)
    for name in ("qmail", "alice"):
        (place / name).mkdir(mode=0o755)
    mailbox = Mailbox(Home(place / "qmail"), place / "alice")
    mailbox.note_file = mailbox.site.path / "users" / "full" / str(NOBODY)
    mailbox.limit((NOBODY, "1000"))
    (mailbox.path / "cur" / "1.a.host,S=500:2,S").write_bytes(b"not as many")
    (mailbox.path / "new" / "2.b.host").write_bytes(b"x" * 30)
    yield mailbox
    shutil.rmtree(place)


def test_what_is_deleted_makes_room(pop_mailbox: Mailbox) -> None:
    (pop_mailbox.path / "maildirsize").write_text("1000S\n930 2\n")
    pop_mailbox.noted(f"{'930 1000 full 95':<63}\n")
    with pop3(pop_mailbox) as pop:
        assert pop.ask("DELE 1").startswith("+OK")
        assert pop.ask("QUIT").startswith("+OK")
    assert pop_mailbox.size() == ["1000S", "930 2", "-500 -1"]
    assert pop_mailbox.note() == ["430", "1000", "ok", "0"]


def test_deleting_counts_where_the_file_can_not_be_believed(pop_mailbox: Mailbox) -> None:
    (pop_mailbox.path / "maildirsize").write_text("2000S\n930 2\n")
    pop_mailbox.noted()
    with pop3(pop_mailbox) as pop:
        assert pop.ask("DELE 1").startswith("+OK")
        assert pop.ask("QUIT").startswith("+OK")
    assert pop_mailbox.size() == ["1000S", "30 1"]
    assert pop_mailbox.note() == ["30", "1000", "ok", "0"]


def test_what_somebody_else_removed_is_not_taken_off_again(pop_mailbox: Mailbox) -> None:
    (pop_mailbox.path / "maildirsize").write_text("1000S\n530 2\n")
    with pop3(pop_mailbox) as pop:
        assert pop.ask("DELE 1").startswith("+OK")
        assert pop.ask("DELE 2").startswith("+OK")
        (pop_mailbox.path / "cur" / "1.a.host,S=500:2,S").unlink()
        assert pop.ask("QUIT").startswith("+OK")
    assert pop_mailbox.size() == ["1000S", "530 2", "-30 -1"]


def test_a_session_that_deletes_nothing_counts_nothing(pop_mailbox: Mailbox) -> None:
    with pop3(pop_mailbox) as pop:
        assert pop.ask("QUIT").startswith("+OK")
    assert pop_mailbox.size() is None


def test_deleting_without_a_limit_counts_nothing(pop_mailbox: Mailbox) -> None:
    pop_mailbox.limit((NOBODY + 1, "1000"))
    (pop_mailbox.path / "maildirsize").write_text("1000S\n530 2\n")
    with pop3(pop_mailbox) as pop:
        assert pop.ask("DELE 1").startswith("+OK")
        assert pop.ask("QUIT").startswith("+OK")
    assert pop_mailbox.size() == ["1000S", "530 2"]
