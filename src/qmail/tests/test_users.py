"""Who the suite's processes are: the programs as a site gets them, built for users that every Debian has, in a home."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.queuelab import envelope, wait_until
from lab.suite import SOURCE

USERS = ("news", "daemon", "man", "root", "lp", "mail", "uucp", "proxy")
ALIAS, DAEMON, LOG, OWNER, LOOKUP, QUEUE, REMOTE, SEND = USERS
GROUPS = ("backup", "list")
VIRTUAL = 234567  # of a mailbox that is no account of the host
QMAIL, NOFILES = GROUPS
PROGRAMS = "qmail-home qmail-start qmail-send qmail-clean qmail-lspawn qmail-lookup qmail-rspawn qmail-queue qmail-newu"
# In the place of qmail-remote, and what alias delivers to: as whom it runs or, if asked to, how the message begins.
DELIVER = """#!/bin/sh
case $0 in *remote) printf 'r\\0K' ;; esac
case "$*$LOCAL" in
*header*) head -n 1 ;;
*) grep -E '^(Uid|Gid|Groups):' /proc/self/status ;;
esac
case $0 in *remote) printf '\\0' ;; esac
"""


def known(names: tuple[str, ...], look_up: Callable[[str], object]) -> bool:
    """Return whether all of the names exist."""
    try:
        return all(look_up(name) for name in names)
    except KeyError:
        return False


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not known(USERS, pwd.getpwnam) or not known(GROUPS, grp.getgrnam),
    reason="only root can be everybody, and all must exist",
)


def furnish_virtual(home: Path, homes: Path) -> None:
    """Make a virtual mailbox and root's instructions for it, as the play does."""
    homes.mkdir(mode=0o711)
    for name in ("", "Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"):
        (homes / "virtual" / name).mkdir(mode=0o700)
        os.chown(homes / "virtual" / name, VIRTUAL, VIRTUAL)
    (home / "mailboxes").mkdir()
    (home / "mailboxes").chmod(0o711)
    for name in ("virtual", "virtual-default"):
        file = home / "mailboxes" / f".qmail-{name}"
        file.write_text(f"# made by the play\n|{home}/alias/deliver\n{homes}/virtual/Maildir/\n")
        os.chown(file, 0, VIRTUAL)
        file.chmod(0o640)
    (homes / "virtual" / ".qmail-list").write_text("|echo his own file\n")


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """Build, install and furnish a home, as make setup does."""
    place = Path(tempfile.mkdtemp(prefix="qmail-"))
    place.chmod(0o755)
    home = place / "home"
    source = place / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("build*", "fuzz", "tests", "man"))
    for folder in ("fuzz", "tests", "man"):
        (source / folder).mkdir()
    (source / "conf-users").write_text("\n".join(USERS) + "\n")
    (source / "conf-groups").write_text("\n".join(GROUPS) + "\n")
    (source / "conf-qmail").write_text(f"{home}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    made = subprocess.run(
        ["make", "-s", "-j2", f"PROGRAMS={PROGRAMS}", "setup"],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (home / "control" / "me").write_text("mail.example.test\n")
    (home / "control" / "locals").write_text("example.test\n")
    for path in (home / "bin" / "qmail-remote", home / "alias" / "deliver"):
        path.write_text(DELIVER)
        path.chmod(0o755)
    (home / "alias" / ".qmail-default").write_text("|./deliver\n")
    alias = pwd.getpwnam(ALIAS)
    (home / "users" / "assign").write_text(
        f"+:{ALIAS}:{alias.pw_uid}:{alias.pw_gid}:{home}/alias:-::\n"
        f"=virtual:virtual:{VIRTUAL}:{VIRTUAL}:{place}/homes/virtual:::\n"
        f"=managed:virtual:{VIRTUAL}:{VIRTUAL}:{home}/mailboxes:-:virtual:\n"
        f"+managed+:virtual:{VIRTUAL}:{VIRTUAL}:{home}/mailboxes:-:virtual-:\n"
        f"+virtual-:virtual:{VIRTUAL}:{VIRTUAL}:{place}/homes/virtual::-:\n"
        f"+virtual+:virtual:{VIRTUAL}:{VIRTUAL}:{place}/homes/virtual::-:\n"
        f"=virtual-all:{ALIAS}:{alias.pw_uid}:{alias.pw_gid}:{home}/alias:-:virtual-all:\n"
        f"=foreign:other:{VIRTUAL + 1}:{VIRTUAL + 1}:{home}/mailboxes:-:virtual:\n.\n"
    )
    furnish_virtual(home, place / "homes")
    subprocess.run([home / "bin" / "qmail-newu"], check=True)
    yield home
    shutil.rmtree(place)


def test_what_root_writes_to_is_the_owner_s_alone_and_a_home_of_alias_s_is_mended(installed: Path) -> None:
    """Alias runs what mail from strangers starts; a link of its own in its home would lead root elsewhere."""
    homes = [installed / name for name in (".", "alias", "control", "users")]
    alias = pwd.getpwnam(ALIAS)
    os.chown(installed / "alias", alias.pw_uid, alias.pw_gid)
    subprocess.run([installed / "bin" / "qmail-home", "make"], check=True, capture_output=True)
    owner = pwd.getpwnam(OWNER).pw_uid
    assert [(path.stat().st_uid, path.stat().st_mode & 0o022) for path in homes] == [(owner, 0)] * 4
    written = subprocess.run(["touch", str(installed / "alias" / ".qmail-x")], user=ALIAS, group="nogroup", check=False)
    assert written.returncode != 0


class Running:
    """qmail-start in the home, with a logger."""

    def __init__(self, home: Path) -> None:
        self.home, self.log_file = home, home.parent / "log"
        logger = home.parent / "logger"
        logger.write_text(f"#!/bin/sh\nexec cat >>{self.log_file}\n")
        logger.chmod(0o755)
        self.log_file.touch()
        shutil.chown(self.log_file, LOG)
        self.process = subprocess.Popen(
            [home / "bin" / "qmail-start", "./Maildir/", str(logger)], extra_groups=[0, 4, 27], cwd="/"
        )
        wait_until(lambda: "status: " in self.log_file.read_text(), "qmail-send has started")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)

    def processes(self) -> dict[str, list[tuple[set[int], set[int], set[int]]]]:
        """Uids, gids and groups of all processes of the group, by their names."""
        found: dict[str, list[tuple[set[int], set[int], set[int]]]] = {}
        pids = subprocess.run(["pgrep", "-g", str(self.process.pid)], capture_output=True, check=True).stdout.split()
        for pid in pids:
            lines = Path(f"/proc/{int(pid)}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            uids, gids, groups = ({int(word) for word in status[key].split()} for key in ("Uid", "Gid", "Groups"))
            found.setdefault(status["Name"].strip(), []).append((uids, gids, groups))
        return found


@pytest.fixture(scope="module")
def running(installed: Path) -> Iterator[Running]:
    """Start it."""
    made = Running(installed)
    yield made
    made.stop()


def who(user: str, group: str) -> tuple[set[int], set[int], set[int]]:
    """Return what is left of a process that became somebody for good."""
    gid = grp.getgrnam(group).gr_gid
    return {pwd.getpwnam(user).pw_uid}, {gid}, {gid}


@pytest.mark.parametrize(
    ("program", "user", "group"),
    [
        ("qmail-send", SEND, QMAIL),
        ("qmail-rspawn", REMOTE, QMAIL),
        ("qmail-clean", QUEUE, QMAIL),
        ("cat", LOG, NOFILES),
    ],
)
def test_each_process_is_its_own_user_and_nobody_else(running: Running, program: str, user: str, group: str) -> None:
    assert running.processes()[program] == [who(user, group)]


def test_only_one_lspawn_is_root_and_another_looks_users_up(running: Running) -> None:
    found = running.processes()
    assert found["qmail-lookup"] == [who(LOOKUP, NOFILES)]
    roots = [name for name, processes in found.items() for uids, _, _ in processes if 0 in uids]
    assert roots == ["qmail-lspawn"]


def put(running: Running, user: str, recipient: str) -> None:
    """Hand a message to qmail-queue as a user."""
    message, envelope_file = (os.memfd_create(name) for name in ("message", "envelope"))
    os.pwrite(message, b"Subject: x\n\nx\n", 0)
    os.pwrite(envelope_file, envelope("", recipient), 0)
    command = [running.home / "bin" / "qmail-queue"]
    try:
        subprocess.run(
            command, stdin=message, stdout=envelope_file, user=user, group="nogroup", extra_groups=[], check=True
        )
    finally:
        os.close(message)
        os.close(envelope_file)


def delivered(running: Running, user: str, recipient: str) -> str:
    """Queue a message as a user; return the report of its delivery."""
    before = len(running.log_file.read_text())
    put(running, user, recipient)
    wait_until(lambda: "end msg" in running.log_file.read_text()[before:], "it is delivered")
    log = running.log_file.read_text()[before:]
    assert re.search(rf"^info msg \d+: .* uid {pwd.getpwnam(user).pw_uid}$", log, re.MULTILINE)
    (report,) = re.findall(r"^delivery \d+: success: (.*)$", log, re.MULTILINE)
    return str(report)


def said(uid: int, gid: int) -> str:
    """Return what a delivery says that has become somebody for good."""
    return f"Uid:{f'?{uid}' * 4}/Gid:{f'?{gid}' * 4}/Groups:?{gid}"


def test_a_delivery_is_the_user_who_gets_the_mail(running: Running) -> None:
    alias = pwd.getpwnam(ALIAS)
    assert delivered(running, "nobody", "somebody@example.test").startswith(said(alias.pw_uid, alias.pw_gid) + "_")


def virtual_mail(running: Running) -> list[Path]:
    return list((running.home.parent / "homes" / "virtual" / "Maildir" / "new").iterdir())


def test_a_virtual_mailbox_needs_no_account(running: Running) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(VIRTUAL)
    assert delivered(running, "nobody", "virtual@example.test") == "did_1+0+0/"
    (file,) = virtual_mail(running)
    assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o777) == (VIRTUAL, VIRTUAL, 0o600)
    file.unlink()


@pytest.mark.parametrize("recipient", ["virtual+shop", "virtual-shop", "Virtual-a-b", "virtual+", "virtual-allx"])
def test_an_extension_that_nothing_is_said_of_is_the_mailbox_s_own_mail(running: Running, recipient: str) -> None:
    assert delivered(running, "nobody", f"{recipient}@example.test") == "did_1+0+0/"
    (file,) = virtual_mail(running)
    assert f"Delivered-To: {recipient}@example.test\n" in file.read_text()
    file.unlink()


@pytest.mark.parametrize("recipient", ["virtual+list", "virtual-List"])
def test_an_extension_may_have_a_file_of_its_own(running: Running, recipient: str) -> None:
    assert delivered(running, "nobody", f"{recipient}@example.test") == "his_own_file/did_0+0+1/"


def test_an_address_goes_before_an_extension_of_that_name(running: Running) -> None:
    alias = pwd.getpwnam(ALIAS)
    assert delivered(running, "nobody", "virtual-all@example.test").startswith(said(alias.pw_uid, alias.pw_gid))


@pytest.mark.parametrize("recipient", ["managed", "Managed+shop"])
def test_root_s_instructions_are_followed_as_the_mailbox(running: Running, recipient: str) -> None:
    report = delivered(running, "nobody", f"{recipient}@example.test")
    assert report == said(VIRTUAL, VIRTUAL) + "_/did_1+0+1/"
    (file,) = virtual_mail(running)
    assert f"Delivered-To: {recipient}@example.test\n" in file.read_text()
    file.unlink()


def test_another_mailbox_can_not_even_read_them(running: Running) -> None:
    before = len(running.log_file.read_text())
    put(running, "nobody", "foreign@example.test")
    wait_until(lambda: "deferral: " in running.log_file.read_text()[before:], "it is deferred")
    assert "Can't_open_.qmail-virtual:_Permission_denied" in running.log_file.read_text()[before:]
    assert not virtual_mail(running)


def test_qmail_remote_is_its_own_user(running: Running) -> None:
    said_so = said(pwd.getpwnam(REMOTE).pw_uid, grp.getgrnam(QMAIL).gr_gid)
    assert delivered(running, "nobody", "x@remote.test").startswith(said_so + "_")


@pytest.mark.parametrize(
    ("user", "words"), [(DAEMON, "from_network"), (ALIAS, "by_alias"), (SEND, "for_bounce"), ("nobody", "by_uid_65534")]
)
def test_the_received_line_names_who_has_queued_it(running: Running, user: str, words: str) -> None:
    assert f"_invoked_{words});_" in delivered(running, user, "header@example.test")


def test_qmail_queue_is_out_of_reach_of_who_has_started_it(running: Running) -> None:
    """A signal at the right moment would leave files behind; a debugger would own the queue."""
    command = [running.home / "bin" / "qmail-queue"]
    files = running.home / "queue" / "mess"
    before = len(list(files.rglob("*")))
    given, ours = os.pipe()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=given, user="nobody", group="nogroup", extra_groups=[]
    ) as program:
        os.close(given)
        wait_until(lambda: len(list(files.rglob("*"))) > before, "it has begun")
        killed = subprocess.run(["kill", "-KILL", str(program.pid)], user="nobody", capture_output=True, check=False)
        assert killed.returncode != 0
        uids = re.findall(r"^Uid:\t(.*)$", Path(f"/proc/{program.pid}/status").read_text(), re.MULTILINE)
        assert set(uids[0].split()) == {str(pwd.getpwnam(QUEUE).pw_uid)}
        os.close(ours)
    assert program.returncode == 54


def test_the_files_of_the_queue_belong_to_its_user(running: Running) -> None:
    running.process.send_signal(signal.SIGSTOP)
    begin = time.time() - 0.1
    try:
        put(running, "nobody", "x@example.test")
        queue = running.home / "queue"
        files = [path for name in ("mess", "intd", "todo") for path in (queue / name).rglob("*") if path.is_file()]
        files = [path for path in files if path.stat().st_mtime >= begin]
        assert len(files) == 3
        assert {path.owner() for path in files} == {QUEUE}
    finally:
        running.process.send_signal(signal.SIGCONT)
