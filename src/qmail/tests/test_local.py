"""qmail-local at its interface: arguments, files, environment, report and exit code."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from lab.suite import BUILD, Home, Recorder

MESSAGE = b"Received: (x); y\nSubject: hello\n\nFirst line.\nLast line.\n"
TRACE = b"Return-Path: <joe@sender.test>\nDelivered-To: alice@example.test\n"
PERMANENT = (64, 65, 70, 76, 77, 78, 100, 112)


class User:
    """A user with a home directory, and deliveries to them."""

    def __init__(self, home: Home, recorder: Recorder, path: Path) -> None:
        self.site, self.recorder, self.path = home, recorder, path
        path.mkdir(mode=0o755)
        self.stdin = path.parent / "message"

    def maildir(self, name: str = "Maildir") -> Path:
        for part in ("tmp", "new", "cur"):
            (self.path / name / part).mkdir(parents=True)
        return self.path / name

    def dot(self, text: str | bytes, name: str = ".qmail", mode: int = 0o644) -> Path:
        file = self.path / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return file

    def deliver(
        self,
        message: bytes = MESSAGE,
        *,
        ext: str | None = None,
        whole: bool = False,
        options: tuple[str, ...] = (),
        sender: str = "joe@sender.test",
        domain: str = "example.test",
        default: str = "./Maildir/",
        env: dict[str, str] | None = None,
        limits: dict[int, int] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        self.stdin.write_bytes(message)
        local, dash = ("alice", "") if ext is None else (f"alice-{ext}", "-")
        if whole:
            dash, ext = "", f"-{ext}"
        return self.site.run(
            "qmail-local",
            *options,
            *("alice", self.path, local, dash, ext or "", domain, sender, default),
            stdin=self.stdin,
            env={"QMAILQUEUE": str(self.recorder.program), **(env or {})},
            limits=limits,
        )


@pytest.fixture
def user(home: Home, recorder: Recorder, tmp_path: Path) -> User:
    return User(home, recorder, tmp_path / "alice")


def only(directory: Path) -> Path:
    files = list(directory.iterdir())
    assert len(files) == 1, files
    return files[0]


def empty(maildir: Path) -> bool:
    return not any(list((maildir / part).iterdir()) for part in ("tmp", "new", "cur"))


# The default delivery, and the Maildir


def test_no_dot_qmail_means_the_default_delivery(user: User) -> None:
    maildir = user.maildir()
    done = user.deliver()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"did 1+0+0\n", b"")
    assert only(maildir / "new").read_bytes() == TRACE + MESSAGE
    assert not list((maildir / "tmp").iterdir())


def test_an_empty_dot_qmail_means_the_default_delivery(user: User) -> None:
    maildir = user.maildir()
    user.dot("")
    assert user.deliver().returncode == 0
    assert only(maildir / "new")


def test_an_empty_extension_file_means_the_default_delivery(user: User) -> None:
    maildir = user.maildir()
    user.dot("", ".qmail-list")
    assert user.deliver(ext="list").returncode == 0
    assert only(maildir / "new")


def test_only_comments_discard_the_message(user: User) -> None:
    maildir = user.maildir()
    user.dot("# nothing\n")
    done = user.deliver()
    assert (done.returncode, done.stdout) == (0, b"did 0+0+0\n")
    assert empty(maildir)


def test_the_default_delivery_may_have_several_lines(user: User) -> None:
    one, two = user.maildir("one"), user.maildir("two")
    assert user.deliver(default="./one/\n./two/").returncode == 0
    assert only(one / "new").name != only(two / "new").name


def test_maildir_names_tell_time_process_delivery_and_host(user: User) -> None:
    maildir = user.maildir()
    user.dot("./Maildir/\n./Maildir/\n")
    before = int(time.time())
    assert user.deliver().returncode == 0
    names = [file.name for file in (maildir / "new").iterdir()]
    parts = [re.fullmatch(r"(\d+)\.M(\d{6})P(\d+)Q(\d+)\.(.+),S=\d+,W=\d+", name) for name in names]
    assert sorted(part[4] for part in parts if part) == ["1", "2"]
    assert all(part and before <= int(part[1]) <= time.time() for part in parts)
    host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")
    assert {part[5] for part in parts if part} == {host}


@pytest.mark.parametrize(
    "message", [b"Subject: x\n\nbody\n", b"a: b\r\n\r\nmixed\nends\r\n", b"\n" * 20000, b"x\r\r\n"]
)
def test_a_name_tells_the_size_on_disk_and_on_the_wire(user: User, message: bytes) -> None:
    maildir = user.maildir()
    assert user.deliver(message=message).returncode == 0
    file = only(maildir / "new")
    stored = file.read_bytes()
    assert stored == TRACE + message
    sent = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    assert file.name.endswith(f",S={len(stored)},W={len(sent)}")


def test_a_message_without_an_end_of_line_has_no_size_on_the_wire(user: User) -> None:
    maildir = user.maildir()
    assert user.deliver(message=b"a: b\n\nno end").returncode == 0
    file = only(maildir / "new")
    assert re.search(rf"[^,],S={file.stat().st_size}$", file.name)


def test_a_delivered_file_is_private(user: User) -> None:
    maildir = user.maildir()
    user.deliver()
    assert only(maildir / "new").stat().st_mode & 0o777 == 0o600


def test_a_message_without_a_final_line_end_is_kept_as_it_is(user: User) -> None:
    maildir = user.maildir()
    user.deliver(b"\0\xff no end")
    assert only(maildir / "new").read_bytes() == TRACE + b"\0\xff no end"


@pytest.mark.parametrize("missing", ["tmp", "new", ""])
def test_a_missing_part_of_the_maildir_defers(user: User, missing: str) -> None:
    maildir = user.maildir()
    if missing:
        (maildir / missing).rmdir()
    else:
        maildir.rename(user.path / "gone")
    done = user.deliver()
    assert done.returncode == 111
    assert b"is not a Maildir" in done.stdout


def test_a_maildir_of_files_defers(user: User) -> None:
    (user.path / "Maildir").write_text("")
    assert user.deliver().returncode == 111


def test_a_maildir_behind_a_symlink_is_delivered_to(user: User) -> None:
    maildir = user.maildir("elsewhere")
    (user.path / "Maildir").symlink_to("elsewhere")
    assert user.deliver().returncode == 0
    assert only(maildir / "new")


def test_a_maildir_symlink_loop_defers(user: User) -> None:
    (user.path / "Maildir").symlink_to("Maildir")
    assert user.deliver().returncode == 111


def test_a_full_disk_defers_and_leaves_nothing(user: User) -> None:
    maildir = user.maildir()
    done = user.deliver(b"x" * 100000, limits={resource.RLIMIT_FSIZE: 50000})
    assert done.returncode == 111
    assert b"File too large" in done.stdout
    assert empty(maildir)


def test_a_very_long_line_is_delivered(user: User) -> None:
    maildir = user.maildir()
    message = b"Subject: " + b"x" * (8 << 20) + b"\n\nbody\n"
    assert user.deliver(message).returncode == 0
    assert only(maildir / "new").read_bytes() == TRACE + message


def test_after_its_time_limit_a_delivery_leaves_nothing(user: User) -> None:
    maildir = user.maildir()
    with user.stdin.open("wb") as file:
        file.write(b"\n\n")
        file.truncate(3 << 30)
    with user.stdin.open("rb") as stdin:
        process = subprocess.Popen(
            [BUILD / "bin/qmail-local", "alice", user.path, "alice", "", "", "example.test", "", "./Maildir/"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            env=user.site.environment(),
        )
    deadline = time.monotonic() + 20
    while not list((maildir / "tmp").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGALRM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 111
    assert b"timed out" in output
    assert empty(maildir)


# Finding the file


def test_an_extension_without_a_file_is_refused(user: User) -> None:
    user.maildir()
    done = user.deliver(ext="nobody")
    assert done.returncode == 100
    assert b"no mailbox here by that name. (#5.1.1)" in done.stdout


@pytest.mark.parametrize(
    ("ext", "file", "default"),
    [
        ("foo-bar", ".qmail-foo-bar", "unset"),
        ("foo-bar", ".qmail-foo-default", "bar"),
        ("foo-bar", ".qmail-default", "foo-bar"),
        ("foo-", ".qmail-foo-default", ""),
        ("", ".qmail-default", ""),
        ("Foo-Bar", ".qmail-foo-default", "Bar"),
        ("a.b-c", ".qmail-a:b-default", "c"),
        ("x" * 300 + "-y", ".qmail-default", "x" * 300 + "-y"),
    ],
)
def test_the_search_for_a_file_and_its_default(user: User, ext: str, file: str, default: str) -> None:
    user.dot('|printf %s "${DEFAULT-unset}"\n', file)
    done = user.deliver(ext=ext, env={"DEFAULT": "inherited"})
    assert done.stdout == default.encode() + b"did 0+0+1\n"


def test_the_longest_default_wins(user: User) -> None:
    user.dot("|echo short\n", ".qmail-default")
    user.dot("|echo long\n", ".qmail-a-default")
    assert user.deliver(ext="a-b").stdout == b"long\ndid 0+0+1\n"


@pytest.mark.parametrize(
    ("files", "ran", "default"),
    [
        ([".qmail-a-b", ".qmail-a-default", ".qmail"], ".qmail-a-b", ""),
        ([".qmail-a-default", ".qmail-default", ".qmail"], ".qmail-a-default", "b"),
        ([".qmail-default", ".qmail"], ".qmail-default", "A-b"),
        ([".qmail", ".qmail-a", ".qmail-b", ".qmaila-b"], ".qmail", ""),
    ],
)
def test_an_extension_that_is_the_user_s_goes_by_its_own_file_or_by_his(
    user: User, files: list[str], ran: str, default: str
) -> None:
    for file in files:
        user.dot(f'|echo {file} "$EXT" "$DEFAULT"\n', file)
    done = user.deliver(ext="A-b", whole=True)
    assert (done.returncode, done.stdout) == (0, f"{ran} A-b {default}\ndid 0+0+1\n".encode())


@pytest.mark.parametrize("ext", ["shop", "", "a-b-c", "x/../../outside", ".", "owner", "x" * 300])
def test_an_extension_that_is_the_user_s_is_never_refused(user: User, ext: str) -> None:
    maildir = user.maildir()
    assert user.deliver(ext=ext, whole=True).stdout == b"did 1+0+0\n"
    assert only(maildir / "new").read_bytes().endswith(f"\nDelivered-To: alice-{ext}@example.test\n".encode() + MESSAGE)
    user.dot("|echo ran\n")
    assert user.deliver(ext=ext, whole=True).stdout == b"ran\ndid 0+0+1\n"


def test_the_instructions_of_an_extension_that_is_the_user_s_must_be_sound(user: User) -> None:
    user.maildir()
    for name in (".qmail", ".qmail-default", ".qmail-shop"):
        user.dot("|echo ran\n", name, mode=0o666)
        assert user.deliver(ext="shop", whole=True).returncode == 111


def test_an_extension_cannot_leave_the_home(user: User) -> None:
    (user.path.parent / "outside").write_text("|echo escaped\n")
    (user.path / ".qmail-x").mkdir()
    assert user.deliver(ext="x/../../outside").returncode == 100


def test_a_default_file_is_not_used_for_the_address_itself(user: User) -> None:
    maildir = user.maildir()
    user.dot("|exit 100\n", ".qmail-default")
    assert user.deliver().returncode == 0
    assert only(maildir / "new")


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_defers(user: User, mode: int) -> None:
    user.maildir()
    user.dot("./Maildir/\n", mode=mode)
    done = user.deliver()
    assert done.returncode == 111
    assert b"(#4.7.0)" in done.stdout


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_home_that_others_can_write_defers(user: User, mode: int) -> None:
    maildir = user.maildir()
    user.path.chmod(mode)
    done = user.deliver()
    assert done.returncode == 111
    assert b"(#4.7.0)" in done.stdout
    assert empty(maildir)


def test_a_sticky_home_defers(user: User) -> None:
    maildir = user.maildir()
    user.path.chmod(0o1755)
    done = user.deliver()
    assert done.returncode == 111
    assert b"editing" in done.stdout
    assert empty(maildir)


def test_a_home_that_is_gone_defers(user: User) -> None:
    user.path.rmdir()
    assert user.deliver().returncode == 111


def test_a_directory_or_fifo_in_the_files_place_defers(user: User) -> None:
    (user.path / ".qmail").mkdir()
    assert user.deliver().returncode == 111
    (user.path / ".qmail").rmdir()
    os.mkfifo(user.path / ".qmail")
    (user.path / ".qmail").chmod(0o644)
    assert user.deliver().returncode == 111


# The lines


@pytest.mark.parametrize("line", ["./Maildir/", "|true"])
def test_an_executable_file_may_only_forward(user: User, line: str) -> None:
    maildir = user.maildir()
    user.dot(f"{line}\n", mode=0o744)
    done = user.deliver()
    assert done.returncode == 111
    assert b"executable" in done.stdout
    assert empty(maildir)


def test_an_executable_file_forwards(user: User) -> None:
    user.dot("&bob@example.test\n", mode=0o744)
    assert user.deliver().returncode == 0
    assert user.recorder.one().recipients == [b"bob@example.test"]


@pytest.mark.parametrize("first", [b"\n", b"  \t\n", b"\r\n", b" "])
def test_a_blank_first_line_defers(user: User, first: bytes) -> None:
    maildir = user.maildir()
    user.dot(first + b"./Maildir/\n" if first.endswith(b"\n") else first)
    done = user.deliver()
    assert done.returncode == 111
    assert b"blank" in done.stdout
    assert empty(maildir)


def test_blank_lines_and_blanks_at_line_ends_do_not_count(user: User) -> None:
    maildir = user.maildir()
    user.dot("#\n\n   \n./Maildir/  \t \n\t\n# end")
    assert user.deliver().returncode == 0
    assert only(maildir / "new")


@pytest.mark.parametrize(
    "line",
    [
        *(b"+x", b"&", b"& a@b", b"&<a@b>", b"./Mail\0dir/", b" |true", b"\xff"),
        *(b"&bob@x.test # note", b"&a@x.test, b@x.test", b"a@x.test b@x.test", b"&a@x.test,", b"&@x.test", b"&a@"),
        *(b"Maildir/", b"procmail -d alice", b'&"a@x.test', b"a@x.test (Ann)", b"&" + b"a" * 900 + b"@x.test"),
    ],
)
def test_a_line_that_is_no_instruction_defers_before_anything_is_done(user: User, line: bytes) -> None:
    maildir = user.maildir()
    user.dot(b"./Maildir/\n" + line + b"\n")
    done = user.deliver()
    assert done.returncode == 111
    assert b"Line 2" in done.stdout
    assert empty(maildir)


def test_a_huge_line_is_one_instruction(user: User) -> None:
    user.dot(b"#" + b"x" * (4 << 20) + b"\n|echo ran\n")
    assert user.deliver().stdout == b"ran\ndid 0+0+1\n"


def test_a_file_without_end_defers(user: User) -> None:
    with user.dot("").open("wb") as file:
        file.truncate(1 << 30)
    assert user.deliver().returncode == 111


def test_description_delivers_nothing(user: User) -> None:
    maildir = user.maildir()
    user.dot("./Maildir/\n|exit 1\nbob@b.test\n./box\n")
    done = user.deliver(options=("-n",))
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[2:] == ["maildir: ./Maildir/", "program: exit 1", "forward: bob@b.test", "mbox: ./box"]
    assert empty(maildir)


def test_the_last_of_both_options_counts(user: User) -> None:
    maildir = user.maildir()
    assert user.deliver(options=("-nN",)).returncode == 0
    assert only(maildir / "new")


@pytest.mark.parametrize("args", [(), ("a",), ("-x", *"abcdefgh"), ("u", "relative", "l", "", "", "d", "s", "./M/")])
def test_wrong_arguments_are_refused(home: Home, args: tuple[str, ...]) -> None:
    done = home.run("qmail-local", *args)
    assert done.returncode == 100
    assert done.stdout.startswith(b"usage: qmail-local")


# mbox


def test_an_mbox_gets_the_from_line_and_quoting(user: User) -> None:
    user.dot("./Mailbox\n")
    body = b"From a\n>From b\n>>From c\n>> From d\nFrom\nFromage\n>\n From e\nFro"
    assert user.deliver(b"Subject: x\n\n" + body).returncode == 0
    content = (user.path / "Mailbox").read_bytes()
    first, rest = content.split(b"\n", 1)
    assert re.fullmatch(rb"From joe@sender\.test \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}", first)
    quoted = b">From a\n>>From b\n>>>From c\n>> From d\nFrom\nFromage\n>\n From e\nFro\n\n"
    assert rest == TRACE + b"Subject: x\n\n" + quoted


@pytest.mark.parametrize("cut", range(16380, 16400))
def test_mbox_quoting_does_not_depend_on_where_a_buffer_ends(user: User, cut: int) -> None:
    user.dot("./Mailbox\n")
    message = b"x" * cut + b"\n>>From y\n"
    assert user.deliver(message).returncode == 0
    assert (user.path / "Mailbox").read_bytes().endswith(b"x\n>>>From y\n\n")


def test_an_mbox_from_line_has_no_blanks_in_the_sender(user: User) -> None:
    user.dot("./Mailbox\n")
    user.deliver(sender="a b\tc\nd@e.test")
    content = (user.path / "Mailbox").read_bytes()
    assert content.startswith(b"From a-b-c-d@e.test ")
    assert b'\nReturn-Path: <"a b\tc_d"@e.test>\n' in content


def test_a_bounce_in_an_mbox_comes_from_mailer_daemon(user: User) -> None:
    user.dot("./Mailbox\n")
    user.deliver(sender="")
    content = (user.path / "Mailbox").read_bytes()
    assert content.startswith(b"From MAILER-DAEMON ")
    assert b"\nReturn-Path: <>\n" in content


def test_an_mbox_is_appended_to(user: User) -> None:
    (user.path / "Mailbox").write_bytes(b"old\n\n")
    user.dot(f"{user.path}/Mailbox\n")
    assert user.deliver().returncode == 0
    assert (user.path / "Mailbox").read_bytes().startswith(b"old\n\nFrom joe@sender.test ")


def test_an_mbox_that_cannot_grow_keeps_its_old_length(user: User) -> None:
    (user.path / "Mailbox").write_bytes(b"old\n\n")
    user.dot("./Mailbox\n")
    done = user.deliver(b"x" * 100000, limits={resource.RLIMIT_FSIZE: 50000})
    assert done.returncode == 111
    assert (user.path / "Mailbox").read_bytes() == b"old\n\n"


def test_an_mbox_is_locked_while_it_is_written(user: User) -> None:
    user.dot("./Mailbox\n")
    user.stdin.write_bytes(MESSAGE)
    with (user.path / "Mailbox").open("wb") as mailbox, user.stdin.open("rb") as stdin:
        fcntl.flock(mailbox, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [BUILD / "bin/qmail-local", "alice", user.path, "alice", "", "", "example.test", "", "./Maildir/"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            env=user.site.environment(),
        )
        time.sleep(0.4)
        assert process.poll() is None
        assert (user.path / "Mailbox").stat().st_size == 0
        process.send_signal(signal.SIGALRM)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 111
    assert b"lock" in output


def test_dev_null_is_an_mbox_and_a_fifo_is_none(user: User) -> None:
    user.dot("/dev/null\n")
    assert user.deliver().returncode == 0
    os.mkfifo(user.path / "fifo")
    reader = os.open(user.path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    user.dot("./fifo\n")
    assert user.deliver().returncode == 111
    os.close(reader)
    assert user.deliver().returncode == 111


# Programs


def test_a_program_gets_the_message_and_nothing_in_front(user: User) -> None:
    user.dot("|cat >one\n|cat >two\n")
    assert user.deliver().stdout == b"did 0+0+2\n"
    assert (user.path / "one").read_bytes() == (user.path / "two").read_bytes() == MESSAGE


def test_a_programs_environment(user: User) -> None:
    user.dot("|env -0 >env\n", ".qmail-list-default")
    done = user.deliver(ext="list-a-b-c-d", domain="one.two.three.four.test", env={"EXT": "old", "KEPT": "1"})
    assert done.returncode == 0
    pairs = (user.path / "env").read_bytes().split(b"\0")[:-1]
    assert len(pairs) == len({pair.split(b"=")[0] for pair in pairs})
    env = {name.decode(): value.decode() for name, value in (pair.split(b"=", 1) for pair in pairs)}
    recipient = "alice-list-a-b-c-d@one.two.three.four.test"
    expected = {
        "SENDER": "joe@sender.test",
        "NEWSENDER": "joe@sender.test",
        "RECIPIENT": recipient,
        "USER": "alice",
        "HOME": str(user.path),
        "LOCAL": "alice-list-a-b-c-d",
        "HOST": "one.two.three.four.test",
        "HOST2": "one.two.three.four",
        "HOST3": "one.two.three",
        "HOST4": "one.two",
        "EXT": "list-a-b-c-d",
        "EXT2": "a-b-c-d",
        "EXT3": "b-c-d",
        "EXT4": "c-d",
        "DEFAULT": "a-b-c-d",
        "DTLINE": f"Delivered-To: {recipient}\n",
        "RPLINE": "Return-Path: <joe@sender.test>\n",
        "KEPT": "1",
    }
    assert {name: env[name] for name in expected} == expected
    assert env["UFLINE"].startswith("From joe@sender.test ")
    assert env["UFLINE"].endswith("\n")


def test_a_program_has_three_descriptors_in_the_users_home(user: User) -> None:
    user.dot("|ls /proc/self/fd; pwd; umask\n")
    lines = user.deliver().stdout.decode().split()
    assert lines[:3] == ["0", "1", "2"]
    assert lines[3] == "3"  # the directory that ls reads
    assert lines[4:6] == [str(user.path), "0077"]


def test_a_programs_output_is_reported(user: User) -> None:
    user.dot("|echo out; echo err >&2; exit 100\n")
    done = user.deliver()
    assert (done.returncode, done.stdout, done.stderr) == (100, b"out\n", b"err\n")


@pytest.mark.parametrize("code", [*PERMANENT, 1, 63, 66, 71, 75, 79, 98, 101, 111, 113, 127, 255])
def test_a_programs_exit_codes(user: User, code: int) -> None:
    maildir = user.maildir()
    user.dot(f"|exit {code}\n./Maildir/\n")
    assert user.deliver().returncode == (100 if code in PERMANENT else 111)
    assert empty(maildir)


def test_exit_code_99_stops_but_keeps_earlier_forwards(user: User) -> None:
    maildir = user.maildir()
    user.dot("&a@a.test\n|exit 99\n&b@b.test\n./Maildir/\n")
    done = user.deliver()
    assert done.returncode == 0
    assert user.recorder.one().recipients == [b"a@a.test"]
    assert empty(maildir)


def test_a_program_ended_by_a_signal_defers(user: User) -> None:
    user.dot("|kill -SEGV $$\n")
    done = user.deliver()
    assert done.returncode == 111
    assert b"signal 11" in done.stdout


def test_a_program_left_behind_cannot_move_our_place_in_the_message(user: User) -> None:
    maildir = user.maildir()
    user.dot("|(while read x; do :; done) & true\n./Maildir/\n")
    message = b"Subject: x\n\n" + b"line\n" * 100000
    assert user.deliver(message).returncode == 0
    assert only(maildir / "new").read_bytes() == TRACE + message


def test_a_program_finds_sigpipe_as_usual(user: User) -> None:
    user.dot("|grep SigIgn /proc/self/status\n")
    ignored = int(user.deliver().stdout.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1) | 1 << (signal.SIGALRM - 1))


def run_limited(user: User, seconds: str) -> tuple[float, subprocess.CompletedProcess[bytes]]:
    user.site.control(timeoutprogram=seconds)
    start = time.monotonic()
    done = user.deliver()
    return time.monotonic() - start, done


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_has_its_time(user: User) -> None:
    maildir = user.maildir()
    user.dot("|exec sleep 60\n./Maildir/\n")
    took, done = run_limited(user, "1")
    assert done.returncode == 111
    assert done.stdout == (
        b"Programs of this delivery took longer than the 1 seconds of control/timeoutprogram and were ended. (#4.3.0)\n"
    )
    assert 1 <= took < 10
    assert empty(maildir)


def test_the_programs_of_a_delivery_have_their_time_together(user: User) -> None:
    maildir = user.maildir()
    user.dot("|sleep 0.6\n" * 3 + "./Maildir/\n")
    assert run_limited(user, "1")[1].returncode == 111
    assert empty(maildir)
    assert run_limited(user, "30")[1].returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        "sleep 300 & echo $! >>pids; wait",
        "trap '' TERM; sleep 300 & echo $! >>pids; while :; do wait; done",
        "setsid sh -c 'trap \"\" TERM; echo $$ >>pids; while :; do sleep 1; done' & wait",
        "(setsid sh -c 'echo $$ >>pids; (trap \"\" TERM; sleep 300 & echo $! >>pids); exec sleep 300' &) ; sleep 300",
        "sh -c 'echo $$ >>pids; kill -STOP $$'",
    ],
    ids=["child", "deaf", "session", "daemon", "stopped"],
)
def test_what_a_program_has_started_ends_with_it(user: User, line: str) -> None:
    user.dot(f"|{line}\n")
    took, done = run_limited(user, "1")
    assert done.returncode == 111
    pids = [int(pid) for pid in (user.path / "pids").read_text().split()]
    assert pids
    assert not [pid for pid in pids if is_running(pid)]
    assert took < 20


def test_what_a_program_leaves_behind_within_its_time_goes_on(user: User) -> None:
    user.dot("|sleep 300 >&- 2>&- & echo $! >pid\n")
    done = run_limited(user, "20")[1]
    assert (done.returncode, done.stdout) == (0, b"did 0+0+1\n")
    pid = int((user.path / "pid").read_text())
    assert is_running(pid)
    os.kill(pid, signal.SIGKILL)


def test_orphans_of_a_program_are_no_trouble(user: User) -> None:
    user.dot("|for i in 1 2 3 4 5 6 7 8 9; do (true &) ; done; sleep 0.2; (exit 3 &); exit 100\n")
    assert run_limited(user, "20")[1].returncode == 100


@pytest.mark.parametrize("seconds", ["0", "x", "", "86401"])
def test_a_limit_that_is_none(user: User, seconds: str) -> None:
    maildir = user.maildir()
    user.dot("./Maildir/\n")
    done = run_limited(user, seconds)[1]
    assert (done.returncode, done.stdout) == (111, b"Can't use control/timeoutprogram. (#4.3.5)\n")
    assert empty(maildir)


# Forwarding


def test_forwards_are_queued_once_for_all_with_delivered_to(user: User) -> None:
    user.dot('&bob@b.test\ncarl@c.test\n&"odd one"@d.test\n9@e.test\n')
    done = user.deliver()
    assert done.returncode == 0
    assert re.fullmatch(rb"did 0\+4\+0\nqp \d+\n", done.stdout)
    queued = user.recorder.one()
    assert queued.sender == b"joe@sender.test"
    assert queued.recipients == [b"bob@b.test", b"carl@c.test", b'"odd one"@d.test', b"9@e.test"]
    assert queued.message == b"Delivered-To: alice@example.test\n" + MESSAGE


@pytest.mark.parametrize("line", ["|exit 111", "|exit 100", "./nowhere/"])
def test_nothing_is_forwarded_after_a_failure(user: User, line: str) -> None:
    user.dot(f"&bob@b.test\n{line}\n")
    assert user.deliver().returncode != 0
    assert user.recorder.all() == []


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"), [(31, "", 100), (11, "", 100), (53, "", 111), (82, "Dno", 100), (82, "Zwait", 111)]
)
def test_a_refused_forward_fails_as_the_queue_says(user: User, code: int, reason: str, exit_code: int) -> None:
    user.dot("&bob@b.test\n")
    user.recorder.answer(code, reason)
    done = user.deliver()
    assert done.returncode == exit_code
    assert b"Unable to forward" in done.stdout
    assert b"did" not in done.stdout


def test_a_queue_program_that_is_missing_defers(user: User) -> None:
    user.dot("&bob@b.test\n")
    assert user.deliver(env={"QMAILQUEUE": "/nonexistent"}).returncode == 111


def test_a_hundred_thousand_forwards(user: User) -> None:
    addresses = [b"u%d@b.test" % number for number in range(100000)]
    user.dot(b"\n".join(addresses))
    assert user.deliver().returncode == 0
    assert user.recorder.one().recipients == addresses


@pytest.mark.parametrize(
    ("files", "sender", "expected"),
    [
        (["-list-owner"], "joe@sender.test", b"alice-list-owner@example.test"),
        (["-list-owner", "-list-owner-default"], "joe@sender.test", b"alice-list-owner-@example.test-@[]"),
        (["-list-owner-default"], "joe@sender.test", b"joe@sender.test"),
        (["-list-owner"], "", b""),
        (["-list-owner", "-list-owner-default"], "#@[]", b"#@[]"),
    ],
)
def test_the_owner_becomes_the_forwarding_sender(user: User, files: list[str], sender: str, expected: bytes) -> None:
    user.dot('|printf %s "$NEWSENDER" >newsender\n&bob@b.test\n', ".qmail-list")
    for name in files:
        user.dot("", f".qmail{name}")
    assert user.deliver(ext="list", sender=sender).returncode == 0
    assert user.recorder.one().sender == expected
    assert (user.path / "newsender").read_bytes() == expected


def test_the_owner_of_the_address_itself(user: User) -> None:
    user.dot("&bob@b.test\n")
    user.dot("", ".qmail-owner")
    assert user.deliver().returncode == 0
    assert user.recorder.one().sender == b"alice-owner@example.test"


def test_the_owner_of_an_address_that_a_default_file_serves(user: User) -> None:
    user.dot("&bob@b.test\n", ".qmail-default")
    user.dot("", ".qmail-list-owner")
    assert user.deliver(ext="list").returncode == 0
    assert user.recorder.one().sender == b"alice-list-owner@example.test"


# Loops


def test_a_message_that_has_been_here_is_refused(user: User) -> None:
    maildir = user.maildir()
    done = user.deliver(b"Subject: x\nDelivered-To: alice@example.test\n\nbody\n")
    assert done.returncode == 100
    assert b"(#5.4.6)" in done.stdout
    assert empty(maildir)


@pytest.mark.parametrize(
    ("lines", "sender", "code"),
    [
        ("&bob@b.test\n./Maildir/\n", "joe@sender.test", 0),
        ("./Maildir/\n|echo ran >>ran\n", "", 0),
        ("./mbox\n&bob@b.test\n", "joe@sender.test", 0),
        ("&bob@b.test\n", "joe@sender.test", 100),
        ("&bob@b.test\n", "ALICE-owner@example.test", 0),
        ("|echo ran >>ran\n", "alice-owner@example.test", 0),
        ("|echo ran >>ran\n", "alice-owner@else.test", 100),
        ("|echo ran >>ran\n", "alice@example.test", 100),
        ("./Maildir/\n", "joe@sender.test", 100),
    ],
)
def test_what_comes_back_ends_quietly_where_nothing_is_lost(user: User, lines: str, sender: str, code: int) -> None:
    """A copy was kept before it was sent on; or it is what a list sent to its members."""
    maildir = user.maildir()
    user.dot(lines)
    done = user.deliver(b"delivered-to: x\nDelivered-To: alice@example.test\n\nbody\n", sender=sender)
    assert done.returncode == code
    said = b"It came back: it already has my Delivered-To line, and ends here.\n"
    assert (done.stdout == said) is (code == 0)
    assert empty(maildir)
    assert not user.recorder.all()
    assert not (user.path / "ran").exists()
    assert not (user.path / "mbox").exists()


def test_a_list_of_a_virtual_domain_knows_its_own_mail(user: User) -> None:
    user.dot("|false\n", ".qmail-team")
    arguments = ("alice", user.path, "b.test-team", "-", "team", "b.test")
    user.stdin.write_bytes(b"Delivered-To: b.test-team@b.test\n\nbody\n")
    done = user.site.run("qmail-local", *arguments, "team-owner@b.test", "./Maildir/", stdin=user.stdin)
    assert (done.returncode, done.stdout[:12]) == (0, b"It came back")


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\n\nDelivered-To: alice@example.test\n",
        b"Delivered-To: alice@example.test2\n\n",
        b"Delivered-To: alice@example.tes\n\n",
        b"X: " + b"x" * 70000 + b"\nDelivered-To: alice@example.test.\n\n",
        b"",
        b"Delivered-To: alice@example.test",
    ],
)
def test_what_only_resembles_a_loop_is_delivered(user: User, message: bytes) -> None:
    maildir = user.maildir()
    assert user.deliver(message).returncode == 0
    assert only(maildir / "new").read_bytes() == TRACE + message


def test_a_loop_is_found_behind_a_million_header_lines(user: User) -> None:
    user.maildir()
    header = b"X-Long: " + b"y" * 40 + b"\n"
    start = time.monotonic()
    done = user.deliver(header * 1_000_000 + b"Delivered-To: alice@example.test\n\n")
    assert done.returncode == 100
    assert time.monotonic() - start < 20


def test_line_breaks_in_addresses_make_no_header_lines(user: User) -> None:
    maildir = user.maildir()
    assert user.deliver(sender="a\nX: y@b.test", domain="d\nZ: w").returncode == 0
    lines = only(maildir / "new").read_bytes().split(b"\n")
    assert lines[:3] == [b'Return-Path: <"a_X: y"@b.test>', b"Delivered-To: alice@d_Z: w", b"Received: (x); y"]


def test_closed_standard_descriptors_do_no_harm(user: User) -> None:
    maildir = user.maildir()
    user.stdin.write_bytes(MESSAGE)
    command = f"exec {BUILD}/bin/qmail-local alice {user.path} alice '' '' example.test joe@sender.test ./Maildir/"
    with user.stdin.open("rb") as stdin:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command} >&- 2>&-"], stdin=stdin, env=user.site.environment(), check=False
        )
    assert done.returncode == 0
    assert only(maildir / "new").read_bytes() == TRACE + MESSAGE
