"""qmail-popup and qmail-pop3d: each test states one fact of their manual pages."""

from __future__ import annotations

import os
import poplib
import re
import resource
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from lab.dialogue import Dialogue
from lab.suite import BUILD, Counts, Home, counted

NOBODY = 65534 if os.getuid() == 0 else None


class Maildir:
    """A user's Maildir and home directory."""

    def __init__(self, path: Path) -> None:
        self.home = path
        self.path = path / "Maildir"
        for name in ("tmp", "new", "cur"):
            (self.path / name).mkdir(parents=True)
        self.hand_over()

    def hand_over(self) -> None:
        if NOBODY is not None:
            for directory, names, files in os.walk(self.home):
                for name in [".", *names, *files]:
                    os.chown(Path(directory) / name, NOBODY, NOBODY, follow_symlinks=False)

    def put(self, name: str, content: bytes = b"Subject: x\n\nbody\n") -> Path:
        file = self.path / name
        file.write_bytes(content)
        self.hand_over()
        return file

    def names(self) -> list[str]:
        return sorted(f"{d}/{file.name}" for d in ("new", "cur") for file in (self.path / d).iterdir())


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "bob")


class Pop3(Dialogue):
    """A POP3 program, spoken to."""

    def ask(self, text: str) -> str:
        self.send(text.encode() + b"\r\n")
        return self.line().decode("latin-1")

    def many(self, text: str) -> list[str]:
        """Return a multi-line answer, dots still stuffed, without the last one."""
        assert self.ask(text).startswith("+OK"), text
        return self.more()

    def more(self) -> list[str]:
        lines: list[str] = []
        while (line := self.line().decode("latin-1")) != ".":
            lines.append(line)
            assert len(lines) < 100000
        return lines


def pop3d(
    home: Home, maildir: Maildir, *, user: int | None = NOBODY, env: Mapping[str, str | bytes] | None = None
) -> Pop3:
    session = Pop3(home, "qmail-pop3d", "Maildir", cwd=maildir.home, user=user, env=env)
    session.greeting = session.line().decode()  # type: ignore[attr-defined]
    return session


# qmail-pop3d ------------------------------------------------------------------------------------


def test_root_gets_no_mail(home: Home, maildir: Maildir) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can start it as root")
    maildir.put("new/1.a.host")
    with Pop3(home, "qmail-pop3d", "Maildir", cwd=maildir.home) as pop:
        assert pop.line().startswith(b"-ERR")
        assert pop.rest() == b""
        assert pop.ended() == 0


def test_a_directory_that_is_no_maildir_is_refused(home: Home, maildir: Maildir) -> None:
    (maildir.path / "new").rmdir()
    with Pop3(home, "qmail-pop3d", "Maildir", cwd=maildir.home, user=NOBODY) as pop:
        assert pop.line().startswith(b"-ERR")


def test_messages_of_new_and_cur_are_listed_oldest_first(home: Home, maildir: Maildir) -> None:
    maildir.put("new/300.a.host", b"333\n")
    maildir.put("cur/200.b.host:2,S", b"22\n")
    maildir.put("new/1000.c.host", b"4444\n")
    with pop3d(home, maildir) as pop:
        assert pop.many("LIST") == ["1 4", "2 5", "3 6"]


def test_dot_files_directories_and_links_are_no_messages(home: Home, maildir: Maildir) -> None:
    maildir.put("new/.hidden")
    (maildir.path / "new" / "directory").mkdir()
    (maildir.path / "new" / "link").symlink_to("/etc/passwd")
    os.mkfifo(maildir.path / "new" / "fifo")
    with pop3d(home, maildir) as pop:
        assert pop.ask("STAT") == "+OK 0 0"


def test_stat_and_list_leave_deleted_messages_out(home: Home, maildir: Maildir) -> None:
    for number in range(1, 4):
        maildir.put(f"new/{number}.a.host", b"x" * number + b"\n")
    with pop3d(home, maildir) as pop:
        assert pop.ask("STAT") == "+OK 3 12"
        assert pop.ask("DELE 2").startswith("+OK")
        assert pop.ask("STAT") == "+OK 2 8"
        assert pop.many("LIST") == ["1 3", "3 5"]
        assert pop.many("UIDL") == ["1 1.a.host", "3 3.a.host"]
        assert pop.ask("LIST 2").startswith("-ERR")


def test_list_and_uidl_of_one_message(home: Home, maildir: Maildir) -> None:
    maildir.put("cur/1.a.host:2,FS", b"xx\n")
    with pop3d(home, maildir) as pop:
        assert pop.ask("LIST 1") == "+OK 1 4"
        assert pop.ask("UIDL 1") == "+OK 1 1.a.host"


@pytest.mark.parametrize("verb", ["LIST", "UIDL", "RETR", "DELE"])
@pytest.mark.parametrize(
    "number", ["0", "3", "-1", "1x", "x", "99999999999999999999999", "18446744073709551617", "1 1 1", "+1"]
)
def test_numbers_of_no_message_are_errors(home: Home, maildir: Maildir, verb: str, number: str) -> None:
    maildir.put("new/1.a.host")
    maildir.put("new/2.a.host")
    with pop3d(home, maildir) as pop:
        assert pop.ask(f"{verb} {number}").startswith("-ERR")
        assert pop.ask("NOOP") == "+OK"


def test_retr_sends_crlf_and_stuffs_dots(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host", b"a: b\n\n.\n..x\ny.\n\r\nz\r\n.")
    with pop3d(home, maildir) as pop:
        assert pop.many("RETR 1") == ["a: b", "", "..", "...x", "y.", "", "z", ".."]
        assert pop.ask("NOOP") == "+OK"


def test_retr_of_an_empty_message(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host", b"")
    with pop3d(home, maildir) as pop:
        assert pop.many("RETR 1") == []


def test_retr_of_a_large_message_is_exact(home: Home, maildir: Maildir) -> None:
    content = b"\n".join(b"%d %s" % (i, b"x" * (i % 300)) for i in range(20000)) + b"\n"
    maildir.put("new/1.a.host", content)
    with pop3d(home, maildir) as pop:
        assert "\n".join(pop.many("RETR 1")).encode() + b"\n" == content


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, ["a: b", ""]), (1, ["a: b", "", "one"]), (2, ["a: b", "", "one", "..two"]), (99, None)],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_top_sends_header_and_lines(
    home: Home, maildir: Maildir, lines: int, expected: list[str] | None, end: bytes
) -> None:
    whole = ["a: b", "", "one", "..two", "", "four"]
    maildir.put("new/1.a.host", end.join([b"a: b", b"", b"one", b".two", b"", b"four", b""]))
    with pop3d(home, maildir) as pop:
        assert pop.many(f"TOP 1 {lines}") == (expected or whole)


@pytest.mark.parametrize("arguments", ["", " 1", " 1 x", " 1 -1", " 9 1"])
def test_top_needs_a_message_and_a_number(home: Home, maildir: Maildir, arguments: str) -> None:
    maildir.put("new/1.a.host")
    with pop3d(home, maildir) as pop:
        assert pop.ask(f"TOP{arguments}").startswith("-ERR")


def test_deleted_message_can_not_be_read(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host")
    with pop3d(home, maildir) as pop:
        pop.ask("DELE 1")
        for command in ("RETR 1", "TOP 1 0", "DELE 1", "UIDL 1"):
            assert pop.ask(command).startswith("-ERR"), command


def test_quit_removes_deleted_and_moves_the_others_to_cur(home: Home, maildir: Maildir) -> None:
    for name in ("new/1.a.host", "new/2.a.host", "cur/3.a.host:2,RS", "new/4.a.host:2,odd"):
        maildir.put(name)
    with pop3d(home, maildir) as pop:
        pop.ask("DELE 1")
        assert pop.ask("QUIT") == "+OK"
        assert pop.ended() == 0
    assert maildir.names() == ["cur/2.a.host:2,", "cur/3.a.host:2,RS", "cur/4.a.host:2,"]


CONTENTS = [b"", b"a: b\n\n.\n..x\n", b"a\r\nb\n\r\n", b"no end", b"cr at the end\r", b"\r\r\n", b"x\n" * 50000]


@pytest.mark.parametrize("content", CONTENTS)
def test_sizes_are_what_retr_sends(home: Home, maildir: Maildir, content: bytes) -> None:
    """RFC 1939 section 11: two bytes a line end, stuffed dots and the last line apart."""
    maildir.put("new/1.a.host", content)
    with pop3d(home, maildir) as pop:
        lines = pop.many("RETR 1")
        size = sum(len(line.removeprefix(".")) + 2 for line in lines)
        assert pop.ask("LIST 1") == f"+OK 1 {size}"
        assert pop.ask("STAT") == f"+OK 1 {size}"


@pytest.mark.parametrize(
    ("suffix", "size"),
    [(",S=17,W=21", 21), (",W=21", 21), (",W=21,S=17", 21), (",S=17,W=21:2,S", 21), (",S=17,W=34", 34)],
)
def test_the_size_that_a_name_tells_is_taken(home: Home, maildir: Maildir, suffix: str, size: int) -> None:
    """One that could be true, but is not, shows that nothing was read."""
    maildir.put(f"cur/1.a.host{suffix}")
    with pop3d(home, maildir) as pop:
        assert pop.ask("LIST 1") == f"+OK 1 {size}"
        assert len(pop.many("RETR 1")) == 3


@pytest.mark.parametrize(
    "suffix",
    [",S=17", ",S=18,W=21", ",S=17,W=16", ",S=17,W=36", ",W=0", ",W=", ",W=-21", ",W=21x", ",W=0x15", ",W=+21",
     ",W=18446744073709551637", ",W=99999999999999999999999", ":2,W=21", ",X=1"],
)  # fmt: skip
def test_a_name_that_can_not_be_true_is_not_believed(home: Home, maildir: Maildir, suffix: str) -> None:
    maildir.put(f"cur/1.a.host{suffix}")
    with pop3d(home, maildir) as pop:
        assert pop.ask("LIST 1") == "+OK 1 20"
        assert pop.ask("STAT") == "+OK 1 20"


def test_ten_thousand_sizes_and_unique_ids_open_no_message(home: Home, maildir: Maildir) -> None:
    count = 10000
    for number in range(count):
        name = f"{1000000 + number}.M{number}.host,S=5,W=8:2,S"
        (maildir.path / "cur" / name).write_bytes(b"a\n\nb\n"[:5])
    maildir.hand_over()
    with pop3d(home, maildir, env=counted(Path("../counted"))) as pop:  # it has gone into the Maildir by then
        assert pop.ask("STAT") == f"+OK {count} {8 * count}"
        assert pop.many("LIST")[-1] == f"{count} 8"
        assert len(pop.many("UIDL")) == count
        assert pop.ask("QUIT") == "+OK"
        assert pop.ended(30) == 0
    done = Counts.read(maildir.home / "counted", "end")
    assert done.opens <= 5
    assert done.looks <= count
    assert done.names < count + 20
    assert done.reads < 20


def test_sizes_of_many_messages_cost_no_reading(home: Home, maildir: Maildir) -> None:
    """Files without a byte of data on disk, which would still have to be read."""
    for number in range(40):
        file = maildir.path / "new" / f"{number + 1}.a.host,S={1 << 30},W={1 << 30}"
        with file.open("wb") as sparse:
            sparse.truncate(1 << 30)
    maildir.hand_over()
    with pop3d(home, maildir) as pop:
        began = time.monotonic()
        assert pop.ask("STAT") == f"+OK 40 {40 << 30}"
        assert time.monotonic() - began < 2


def sizes(pop: Pop3) -> list[int]:
    return [int(line.split()[1]) for line in pop.many("LIST")]


@pytest.mark.parametrize("end", ["QUIT", ""])
def test_sizes_that_messages_were_read_for_are_known_to_later_sessions(home: Home, maildir: Maildir, end: str) -> None:
    """Nobody can read the messages any more; their files alone would be told as 20 bytes."""
    for number in range(20):
        maildir.put(f"new/{number}.a.host", b"0123456789\n\n\n\n\n\n\n\n\n\n")
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [30] * 20
        if end:
            pop.ask(end)
        else:
            pop.end_of_sending()
        assert pop.ended() == 0
    for name in maildir.names():
        (maildir.path / name).chmod(0)
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [30] * 20
        assert pop.ask("STAT") == "+OK 20 600"
    assert (maildir.path / "qmail-pop3d.sizes").stat().st_mode & 0o777 == 0o600
    assert not list((maildir.path / "tmp").iterdir())


def test_what_is_new_is_read_and_what_is_gone_forgotten(home: Home, maildir: Maildir) -> None:
    for number in range(40):
        maildir.put(f"cur/{100 + number}.a.host:2,", b"12\n" * (number + 1))
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [4 * (number + 1) for number in range(40)]
        pop.send(b"".join(b"DELE %d\r\n" % number for number in range(1, 11)))
        assert [pop.line() for _ in range(10)] == [b"+OK"] * 10
        pop.ask("QUIT")
    for number in range(40, 60):
        maildir.put(f"cur/{100 + number}.a.host:2,", b"12\n" * (number + 1))
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [4 * (number + 1) for number in range(10, 60)]
        pop.ask("QUIT")
    records = (maildir.path / "qmail-pop3d.sizes").read_bytes().split(b"\0")[:-1]
    assert sorted(records, key=lambda r: int(r.split()[0])) == [
        b"%d %d %d.a.host" % (4 * (n + 1), 3 * (n + 1), 100 + n) for n in range(10, 60)
    ]


def test_few_small_messages_cost_no_file(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host")
    with pop3d(home, maildir) as pop:
        assert pop.many("LIST") == ["1 20"]
        pop.ask("QUIT")
    assert not (maildir.path / "qmail-pop3d.sizes").exists()


@pytest.mark.parametrize(
    "record",
    [b"34 17 1.a.host", b"36 17 1.a.host", b"35 17 1.a.host", b"17 17 1.a.host"],
)
def test_a_noted_size_that_could_be_true_is_taken(home: Home, maildir: Maildir, record: bytes) -> None:
    maildir.put("cur/1.a.host:2,S")
    maildir.put("qmail-pop3d.sizes", b"99 99 0.b.host\0" + record + b"\0" + b"99 99 2.c.host\0")
    with pop3d(home, maildir) as pop:
        assert pop.ask("LIST 1") == f"+OK 1 {record.decode().split()[0]}"


@pytest.mark.parametrize(
    "notes",
    [b"", b"\0", b"34 17 1.a.host", b"34 18 1.a.host\0", b"16 17 1.a.host\0", b"37 17 1.a.host\0", b"34 17\0", b"34\0",
     b"34 17 \0", b"34  17 1.a.host\0", b"-34 17 1.a.host\0", b"34 17x 1.a.host\0", b"x 17 1.a.host\0",
     b"18446744073709551650 17 1.a.host\0", b"34 17 1.a.host:2,S\0", b"34 17 1.a\0", b"\xff" * 5000, b"\0" * 5000,
     b" \0" * 5000, b"1 1 " * 5000],
)  # fmt: skip
def test_a_note_that_can_not_be_true_is_not_believed(home: Home, maildir: Maildir, notes: bytes) -> None:
    maildir.put("cur/1.a.host:2,S")
    maildir.put("qmail-pop3d.sizes", notes)
    with pop3d(home, maildir) as pop:
        assert pop.ask("LIST 1") == "+OK 1 20"


def test_notes_that_are_no_file_of_their_own_are_left_alone(home: Home, maildir: Maildir) -> None:
    """A link in their place is neither followed to be read nor to be written, and a pipe holds nobody up."""
    other = maildir.put("other", b"34 17 1.a.host\0")
    for number in range(1, 21):
        maildir.put(f"cur/{number}.a.host:2,S")
    notes = maildir.path / "qmail-pop3d.sizes"
    notes.symlink_to(other)
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [20] * 20
        pop.ask("QUIT")
    assert other.read_bytes() == b"34 17 1.a.host\0"
    assert not notes.is_symlink()
    notes.unlink()
    os.mkfifo(notes)
    maildir.hand_over()
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [20] * 20
        pop.ask("QUIT")
    notes.unlink()
    notes.mkdir()
    with pop3d(home, maildir) as pop:
        assert sizes(pop) == [20] * 20
        assert pop.ask("QUIT") == "+OK"
    assert not list((maildir.path / "tmp").iterdir())


def test_of_equal_names_none_has_the_noted_size_of_another(home: Home, maildir: Maildir) -> None:
    for number in range(20):
        maildir.put(f"new/{number}.a.host", b"12\n")
        maildir.put(f"cur/{number}.a.host:2,S", b"\n\n\n")
    for directory in ("new", "cur"):
        (maildir.path / directory).chmod(0o555)
    for _ in range(2):
        with pop3d(home, maildir) as pop:
            assert sorted(sizes(pop)) == [4] * 20 + [6] * 20
            pop.ask("QUIT")
    for directory in ("new", "cur"):
        (maildir.path / directory).chmod(0o755)


TWINS = ("new/1.a.host", "cur/1.a.host:2,S", "cur/1.a.host:2,RS")


def test_messages_with_equal_unique_names_are_several(home: Home, maildir: Maildir) -> None:
    for name in TWINS:
        maildir.put(name, name.encode() + b"\n")
    with pop3d(home, maildir) as pop:
        first = dict(line.split() for line in pop.many("UIDL"))
        texts = {first[str(n)]: pop.many(f"RETR {n}") for n in (1, 2, 3)}
        assert len(set(first.values())) == 3
        assert pop.ask("QUIT") == "+OK"
    assert texts["1.a.host"] == ["cur/1.a.host:2,RS"], "one keeps the unique-id that clients know"
    with pop3d(home, maildir) as pop:
        second = dict(line.split() for line in pop.many("UIDL"))
        assert {uid: pop.many(f"RETR {n}") for n, uid in second.items()} == texts
    assert sorted(name[:6] for name in maildir.names()) == ["cur/1."] * 3


@pytest.mark.parametrize("number", [1, 2, 3])
def test_of_several_with_one_name_just_the_right_one_is_deleted(home: Home, maildir: Maildir, number: int) -> None:
    for name in TWINS:
        maildir.put(name, name.encode() + b"\n")
    with pop3d(home, maildir) as pop:
        (gone,) = pop.many(f"RETR {number}")
        pop.ask(f"DELE {number}")
        assert pop.ask("QUIT") == "+OK"
    left = {(maildir.path / name).read_text().strip() for name in maildir.names()}
    assert left == set(TWINS) - {gone}


def test_a_deleted_twin_does_not_hand_its_unique_id_on(home: Home, maildir: Maildir) -> None:
    """The client would take the other one for the one it has read."""
    for name in TWINS[:2]:
        maildir.put(name, name.encode() + b"\n")
    with pop3d(home, maildir) as pop:
        (deleted,) = (n for n in (1, 2) if pop.many(f"RETR {n}") == [TWINS[1]])
        uid = pop.ask(f"UIDL {deleted}").split()[2]
        pop.ask(f"DELE {deleted}")
        pop.ask("QUIT")
    with pop3d(home, maildir) as pop:
        assert pop.many("RETR 1") == [TWINS[0]]
        assert pop.ask("UIDL 1").split()[2] != uid


def test_twins_that_can_not_be_renamed_are_still_told_apart(home: Home, maildir: Maildir) -> None:
    for name in TWINS[:2]:
        maildir.put(name, name.encode() + b"\n")
    for directory in ("new", "cur"):
        (maildir.path / directory).chmod(0o555)
    with pop3d(home, maildir) as pop:
        uids = [line.split()[1] for line in pop.many("UIDL")]
        assert len(set(uids)) == 2
        assert sorted(pop.many("RETR 1") + pop.many("RETR 2")) == sorted(TWINS[:2])
    for directory in ("new", "cur"):
        (maildir.path / directory).chmod(0o755)


def test_a_message_that_comes_to_stand_in_cur_meanwhile_is_not_overwritten(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host", b"mine\n")
    with pop3d(home, maildir) as pop:
        maildir.put("cur/1.a.host:2,", b"another\n")
        assert pop.ask("QUIT") == "+OK"
    assert maildir.names() == ["cur/1.a.host:2,", "new/1.a.host"]


def test_without_quit_nothing_changes(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host")
    with pop3d(home, maildir) as pop:
        assert pop.ask("DELE 1").startswith("+OK")
        pop.end_of_sending()
        assert pop.ended() == 0
    assert maildir.names() == ["new/1.a.host"]


def test_a_message_that_ends_in_an_error_does_not_pass_for_a_whole_one(home: Home, maildir: Maildir) -> None:
    """A process's memory is a file whose reading fails at its start."""
    (maildir.path / "new").rmdir()
    (maildir.path / "new").symlink_to("/proc/self")
    with pop3d(home, maildir) as pop:
        (number,) = (line.split()[0] for line in pop.many("UIDL") if line.endswith(" mem"))
        pop.send(f"RETR {number}\r\nNOOP\r\n".encode())
        assert pop.rest() in (b"", b"+OK\r\n"), "neither the dot that ends a message, nor an answer to what follows"


def test_rset_takes_deletions_back(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host")
    with pop3d(home, maildir) as pop:
        pop.ask("DELE 1")
        assert pop.ask("RSET") == "+OK"
        assert pop.ask("STAT") == "+OK 1 20"
        pop.ask("QUIT")
    assert maildir.names() == ["cur/1.a.host:2,"]


def test_vanished_message_is_an_error_and_the_session_goes_on(home: Home, maildir: Maildir) -> None:
    file = maildir.put("new/1.a.host")
    maildir.put("new/2.a.host", b"second\n")
    with pop3d(home, maildir) as pop:
        file.unlink()
        assert pop.ask("RETR 1").startswith("-ERR")
        assert pop.many("RETR 2") == ["second"]
        pop.ask("DELE 1")
        assert pop.ask("QUIT") == "+OK"


@pytest.mark.parametrize("target", ["cur/1.a.host:2,S", "cur/1.a.host"])
def test_moved_message_is_found_again(home: Home, maildir: Maildir, target: str) -> None:
    file = maildir.put("new/1.a.host", b"here\n")
    with pop3d(home, maildir) as pop:
        file.rename(maildir.path / target)
        assert pop.many("RETR 1") == ["here"]
        assert pop.many("TOP 1 9") == ["here"]


def test_moved_message_is_removed_at_quit(home: Home, maildir: Maildir) -> None:
    file = maildir.put("cur/1.a.host:2,", b"here\n")
    other = maildir.put("new/2.a.host")
    with pop3d(home, maildir) as pop:
        pop.ask("DELE 1")
        pop.ask("DELE 2")
        file.rename(maildir.path / "cur/1.a.host:2,RS")
        other.rename(maildir.path / "cur/2.a.host:2,")
        assert pop.ask("QUIT") == "+OK"
    assert maildir.names() == []


def test_undeletable_message_is_said_at_quit(home: Home, maildir: Maildir) -> None:
    maildir.put("cur/1.a.host:2,")
    with pop3d(home, maildir) as pop:
        pop.ask("DELE 1")
        (maildir.path / "cur").chmod(0o500)
        try:
            assert pop.ask("QUIT").startswith("-ERR")
        finally:
            (maildir.path / "cur").chmod(0o700)


@pytest.mark.parametrize("name", ["x" * 71, "with blank", "ü"])
def test_names_that_are_no_unique_id_get_a_digest(home: Home, maildir: Maildir, name: str) -> None:
    maildir.put(f"new/{name}")
    with pop3d(home, maildir) as pop:
        (line,) = pop.many("UIDL")
        uidl = line.split(" ")[1]
        assert len(uidl) == 32
        pop.ask("QUIT")
    with pop3d(home, maildir) as pop:
        assert pop.many("UIDL") == [f"1 {uidl}"], "the id outlives the move to cur"


def test_capa_lists_what_there_is(home: Home, maildir: Maildir) -> None:
    with pop3d(home, maildir) as pop:
        capabilities = pop.many("CAPA")
    assert {"TOP", "UIDL", "PIPELINING"} <= set(capabilities)
    assert not {"LAST", "APOP", "STLS"} & set(capabilities)


@pytest.mark.parametrize("command", ["LAST", "USER bob", "PASS x", "APOP a b", "STLS", "", "XSTAT", "\0"])
def test_other_commands_are_errors(home: Home, maildir: Maildir, command: str) -> None:
    with pop3d(home, maildir) as pop:
        assert pop.ask(command).startswith("-ERR")
        assert pop.ask("NOOP") == "+OK"


def test_too_long_a_line_ends_the_session_without_update(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host")
    with pop3d(home, maildir) as pop:
        pop.ask("DELE 1")
        pop.send(b"x" * 5000 + b"\r\nQUIT\r\n")
        assert pop.line().startswith(b"-ERR")
        assert pop.rest() == b""
    assert maildir.names() == ["new/1.a.host"]


def test_pipelined_commands_are_answered_in_order(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host", b"x\n")
    with pop3d(home, maildir) as pop:
        pop.send(b"STAT\r\nretr 1\r\nDELE 1\r\nquit\r\n")
        assert pop.rest() == b"+OK 1 3\r\n+OK\r\nx\r\n.\r\n+OK\r\n+OK\r\n"
    assert maildir.names() == []


def test_old_files_in_tmp_are_removed(home: Home, maildir: Maildir) -> None:
    old = maildir.put("tmp/old")
    young = maildir.put("tmp/young")
    then = time.time() - 37 * 3600
    os.utime(old, (then, then))
    with pop3d(home, maildir):
        assert not old.exists()
        assert young.exists()


def test_ten_thousand_messages(home: Home, maildir: Maildir) -> None:
    for number in range(10000):
        (maildir.path / "new" / f"{1000000 + number}.M{number}.host").write_bytes(b"a\n\nb\n")
    maildir.hand_over()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pop3d(home, maildir) as pop:
        pop.socket.settimeout(120)
        assert pop.ask("STAT") == "+OK 10000 80000"
        assert pop.many("UIDL")[9999] == "10000 1009999.M9999.host"
        for file in list((maildir.path / "new").iterdir()):
            file.rename(maildir.path / "cur" / f"{file.name}:2,S")
        pop.send(b"".join(b"DELE %d\r\n" % n for n in range(1, 10001)))
        assert all(pop.line() == b"+OK" for _ in range(10000))
        assert pop.ask("QUIT") == "+OK"
    assert maildir.names() == []
    # Its own time, which a busy disk does not change: a look through 10000 names for each of them would take minutes.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10


def cpu_seconds(pop: Pop3) -> float:
    """Return what its process has used so far."""
    return int(Path(f"/proc/{pop.process.pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.parametrize("where", ["moved", "gone"])
def test_a_look_at_the_directory_serves_all_that_are_not_where_they_were(
    home: Home, maildir: Maildir, where: str
) -> None:
    count = 3000
    for number in range(count):
        (maildir.path / "new" / f"{1000000 + number}.M{number}.host").write_bytes(b"a\n\nb\n")
        (maildir.path / "cur" / f"{2000000 + number}.M{number}.host:2,").write_bytes(b"")
    maildir.hand_over()
    with pop3d(home, maildir) as pop:
        pop.socket.settimeout(120)
        for file in list((maildir.path / "new").iterdir()):
            if where == "gone":
                file.unlink()
            else:
                file.rename(maildir.path / "cur" / f"{file.name}:2,S")
        (maildir.path / "cur" / "another").touch()
        if where == "gone":
            time.sleep(3)  # until a later change would show in the directory's time
        before = cpu_seconds(pop)
        for number in range(1, count + 1):
            pop.send(b"TOP %d 0\r\n" % number)
            if where == "gone":
                assert pop.line().startswith(b"-ERR")
            else:
                assert pop.line() == b"+OK"
                assert pop.more() == ["a", ""]
        # Reading and sorting thousands of names for each of them takes many times as long.
        assert cpu_seconds(pop) - before < 3


def test_what_moves_after_a_look_at_the_directory_is_found_all_the_same(home: Home, maildir: Maildir) -> None:
    file = maildir.put("new/1.a.host", b"here\n")
    maildir.put("new/2.a.host").rename(maildir.path / "cur/2.a.host:2,")
    with pop3d(home, maildir) as pop:
        (maildir.path / "cur/2.a.host:2,").unlink()
        assert pop.ask("RETR 2").startswith("-ERR")
        for target in ("cur/1.a.host:2,", "cur/1.a.host:2,S", "cur/1.a.host:2,RS"):
            file = file.rename(maildir.path / target)
            assert pop.many("RETR 1") == ["here"]


def test_a_large_message_takes_no_memory(home: Home, maildir: Maildir) -> None:
    def resident() -> int:
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pop.process.pid}/status").read_text())
        return int(line)

    maildir.put("new/1.a.host", b"Subject: x\n\nbody\n")
    maildir.put("new/2.a.host", (b"x" * 76 + b"\n") * 400000)
    with pop3d(home, maildir) as pop:
        assert len(pop.many("RETR 1")) == 3
        before = resident()
        pop.send(b"RETR 2\r\nNOOP\r\n")
        got, end = 0, b""
        while not end.endswith(b"\r\n.\r\n+OK\r\n"):
            part = pop.socket.recv(1 << 20)
            assert part
            got += len(part)
            end = (end + part)[-20:]
        assert got == len("+OK\r\n") + 400000 * 78 + len(".\r\n+OK\r\n")
        assert resident() - before < 2000


# qmail-popup ------------------------------------------------------------------------------------

CHECKER = """#!/usr/bin/python3 -I
import os, sys
user, password, timestamp, rest = os.fdopen(3, "rb").read().split(b"\\0")
assert not rest and timestamp.startswith(b"<") and timestamp.endswith(b"@pop.example.test>")
if password == b"slow crash":
    os.kill(os.getpid(), 9)
if password == b"trouble":
    sys.exit(111)
if (user, password) != (b"bob", b"se cret"):
    sys.exit(1)
os.write(1, b"+OK in\\r\\n")
while (line := sys.stdin.buffer.raw.read(4096)):
    os.write(1, b"got " + line)
"""


@pytest.fixture
def checker(home: Home) -> str:
    program = home.path / "checker"
    program.write_text(CHECKER)
    program.chmod(0o755)
    home.control(authdelay="0")
    return str(program)


def popup(home: Home, *checker: str, env: Mapping[str, str | bytes] | None = None) -> Pop3:
    session = Pop3(home, "qmail-popup", "pop.example.test", *checker, env={"TCPREMOTEIP": "192.0.2.1", **(env or {})})
    assert session.line() == b"+OK pop.example.test POP3", "no <...>: it would announce APOP"
    return session


def test_right_password_starts_the_next_program(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        assert pop.ask("USER bob").startswith("+OK")
        assert pop.ask("PASS se cret").startswith("+OK in")
        assert pop.ask("STAT") == "got STAT"
        pop.end_of_sending()
        assert pop.ended() == 0


def test_wrong_password_is_refused_and_the_session_ends(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        pop.ask("USER bob")
        assert pop.ask("PASS wrong").startswith("-ERR [AUTH]")
        assert pop.rest() == b""
        assert pop.ended() == 1
        assert "192.0.2.1: auth: user bob refused" in pop.log()
        assert "wrong" not in pop.log()


@pytest.mark.parametrize("password", ["trouble", "slow crash"])
def test_trouble_of_the_checker_is_not_a_wrong_password(home: Home, checker: str, password: str) -> None:
    with popup(home, checker) as pop:
        pop.ask("USER bob")
        assert pop.ask(f"PASS {password}").startswith("-ERR [SYS/TEMP]")


def test_missing_checker_is_trouble(home: Home) -> None:
    with popup(home, "/nowhere/checker") as pop:
        pop.ask("USER bob")
        assert pop.ask("PASS x").startswith("-ERR [SYS/TEMP]")


def test_wrong_password_is_answered_late(home: Home, checker: str) -> None:
    home.control(authdelay="1")
    with popup(home, checker) as pop:
        pop.ask("USER bob")
        began = time.monotonic()
        pop.ask("PASS wrong")
        assert time.monotonic() - began >= 0.9


def test_commands_sent_behind_pass_reach_the_next_program(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        pop.send(b"USER bob\r\nPASS se cret\r\nSTAT\r\n")
        assert pop.line().startswith(b"+OK")
        assert pop.line().startswith(b"+OK in")
        assert pop.line() == b"got STAT"


@pytest.mark.parametrize("user", ["", "b\0ob", "x" * 480])
def test_credentials_that_break_the_interface_are_refused(home: Home, checker: str, user: str) -> None:
    with popup(home, checker) as pop:
        answer = pop.ask(f"USER {user}")
        answer = pop.ask("PASS se cret")
        assert answer.startswith("-ERR")
        assert "[SYS" not in answer


def test_empty_password_is_refused_without_asking(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        pop.ask("USER bob")
        assert pop.ask("PASS").startswith("-ERR [AUTH]")


def test_pass_before_user_is_out_of_order(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        assert pop.ask("PASS se cret").startswith("-ERR")
        assert pop.ask("USER bob").startswith("+OK")


@pytest.mark.parametrize("command", ["STAT", "APOP bob x", "AUTH PLAIN", "STLS", "TOP 1 1"])
def test_nothing_else_before_authorization(home: Home, checker: str, command: str) -> None:
    with popup(home, checker) as pop:
        assert pop.ask(command).startswith("-ERR")


def test_popup_knows_capa_and_quit(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        assert {"USER", "TOP", "UIDL"} <= set(pop.many("CAPA"))
        assert pop.ask("QUIT") == "+OK"
        assert pop.ended() == 0


def test_popup_bounds_lines_and_commands(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        pop.send(b"USER " + b"x" * 600 + b"\r\n")
        assert pop.line().startswith(b"-ERR")
        assert pop.rest() == b""
    with popup(home, checker) as pop:
        answers = [pop.ask("WHAT") for _ in range(50)]
        assert pop.rest() == b"-ERR too many commands\r\n", answers[-1]


def test_popup_log_is_printable(home: Home, checker: str) -> None:
    with popup(home, checker) as pop:
        pop.ask("USER b\x1b[2Job\xff")
        pop.ask("PASS wrong")
        pop.ended()
        (line,) = pop.log().splitlines()
        assert line.endswith("auth: user b\\x1b[2job\\xc3\\xbf refused")


@pytest.mark.parametrize("name", ["BOB", "bob@example.test", "Bob@Mail.Example.TEST"])
def test_the_address_does_as_well_as_the_name_in_any_case(home: Home, checker: str, name: str) -> None:
    home.control(locals="example.test\nmail.example.test")
    with popup(home, checker) as pop:
        pop.ask(f"USER {name}")
        assert pop.ask("PASS se cret").startswith("+OK in")


@pytest.mark.parametrize("name", ["bob", "b.ob@else.test", "B.Ob@Else.TEST"])
def test_any_address_of_a_mailbox_does_as_well(home: Home, checker: str, name: str) -> None:
    value = "\0".join(("bob", "200001", "200001", "/srv/mail/bob", ""))
    records = "".join(f"+{len(key)},{len(value)}:{key}->{value}\n" for key in ("bob", "b.ob@else.test"))
    subprocess.run(["cdb", "-c", home.path / "users" / "logins.cdb"], input=records.encode() + b"\n", check=True)
    with popup(home, checker) as pop:
        pop.ask(f"USER {name}")
        assert pop.ask("PASS se cret").startswith("+OK in")


@pytest.mark.parametrize(("days", "said"), [(0, "+OK in"), (-1, "-ERR [AUTH]")])
def test_an_address_opens_a_mailbox_until_its_last_day(home: Home, checker: str, days: int, said: str) -> None:
    until = f"until {int(time.time()) // 86400 + days}"
    value = "\0".join(("bob", "200001", "200001", "/srv/mail/bob", until, ""))
    record = f"+{len('shop7@else.test')},{len(value)}:shop7@else.test->{value}\n\n"
    subprocess.run(["cdb", "-c", home.path / "users" / "logins.cdb"], input=record.encode(), check=True)
    with popup(home, checker) as pop:
        pop.ask("USER shop7@else.test")
        assert pop.ask("PASS se cret").startswith(said)


def test_log_ins_that_can_not_be_read_are_trouble(home: Home, checker: str) -> None:
    (home.path / "users" / "logins.cdb").write_bytes(b"short")
    with popup(home, checker) as pop:
        pop.ask("USER bob")
        assert pop.ask("PASS se cret").startswith("-ERR [SYS/TEMP]")


@pytest.mark.parametrize("name", ["bob@else.test", "bob@", "@example.test", "bo b", "bob@example.test "])
def test_another_name_is_another_name(home: Home, checker: str, name: str) -> None:
    home.control(locals="example.test")
    with popup(home, checker) as pop:
        pop.ask(f"USER {name}")
        assert pop.ask("PASS se cret").startswith("-ERR [AUTH]")


def test_locals_that_can_not_be_read_are_trouble(home: Home, checker: str) -> None:
    home.control(locals="a\0b")
    with popup(home, checker) as pop:
        pop.ask("USER bob@example.test")
        assert pop.ask("PASS se cret").startswith("-ERR [SYS/TEMP]")


# Both, with a client that is not ours -----------------------------------------------------------


def test_poplib_reads_and_deletes_through_both(home: Home, maildir: Maildir) -> None:
    maildir.put("new/1.a.host", b"Subject: hello\n\n.dot\n")
    program = home.path / "checker"
    become = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})" if NOBODY else "pass"
    program.write_text(
        "#!/usr/bin/python3 -I\nimport os, sys\n"
        "ok = os.fdopen(3, 'rb').read().split(b'\\0')[:2] == [b'bob', b'secret']\n"
        f"if not ok: sys.exit(1)\nos.chdir({str(maildir.home)!r})\n{become}\nos.execv(sys.argv[1], sys.argv[1:])\n"
    )
    program.chmod(0o755)
    session = Pop3(
        home,
        "qmail-popup",
        "pop.example.test",
        str(program),
        str(BUILD / "bin" / "qmail-pop3d"),
        "Maildir",
    )
    with session:
        client = poplib.POP3.__new__(poplib.POP3)
        client.sock = session.socket
        client.file = session.socket.makefile("rb")
        client._debugging = 0  # type: ignore[attr-defined]
        client.welcome = client._getresp()  # type: ignore[attr-defined]
        client.user("bob")
        client.pass_("secret")
        assert client.stat() == (1, 24)
        assert client.retr(1)[1] == [b"Subject: hello", b"", b".dot"]
        client.dele(1)
        client.quit()
    assert maildir.names() == []
