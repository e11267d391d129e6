"""/etc/init.d/qmail and spamd with real daemons: what they start, find, signal, say, and answer as exit code."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sitelab.paths import ROOT

ENGINE = ROOT / "roles/helpers/files/usr/local/lib/qmail-site/init"
PROCESSES = ENGINE.with_name("processes")
SCRIPTS = {
    "qmail": ROOT / "roles/services/files/etc/init.d/qmail",
    "spamd": ROOT / "roles/spamassassin/files/etc/init.d/spamd",
}
PIDO = ROOT / "src/pido/pido.py"
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the script serves root alone")

SLEEPER = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
# Like qmail-send: leader of its group, with a child that is at work; TERM lets the child finish.
LEADER = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("{marks}/child", "w").write(str(child.pid))
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGHUP, lambda *_: open("{marks}/hup", "w").close())
while child.poll() is None: time.sleep(0.05)
"""
LISTENER = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"


def stat_fields(pid: int) -> list[str] | None:
    """Give the fields of /proc/PID/stat from the third on, or None when there is no such process, or its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def wait_for(what: str, condition: object, seconds: float = 5) -> None:
    """Wait until condition() holds."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextlib.contextmanager
def running_as(user: str, *words: str | Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Have a program of another user run for a while."""
    with subprocess.Popen(words, user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[], **more) as process:
        try:
            yield process
        finally:
            process.kill()


class Site:
    """A set of services in a directory of their own."""

    def __init__(self, root: Path, family: str = "qmail") -> None:
        """Lay the directories out and copy the script, with its engine and settings in place of the host's."""
        self.root = root
        self.family = family
        self.run = root / "run"
        self.services = root / "services"
        self.logs = root / "log"
        self.marks = root / "marks"
        for directory in (self.services, self.logs, self.marks):
            directory.mkdir(mode=0o777)
        for directory in (self.logs, self.marks):
            directory.chmod(0o777)
        self.settings = root / "defaults"
        self.settings.write_text(
            textwrap.dedent(f"""\
                services_dir={self.services}
                run_dir={self.run}
                log_dir={self.logs}
                log_socket={root}/no-such-socket
                log_user=nobody
                log_group=nogroup
                systemd_dir={root}/no-systemd
                tcprules_update={root}/tcprules-update
                start_wait=3 settle=0.3 stop_wait=1 zap_wait=1 lock_wait=5 again_wait=30
            """)
        )
        text = SCRIPTS[family].read_text()
        self.features = root / "features"
        self.features.write_text("auth\nfilters\n")
        for name in ("features", "stunnel") if family == "qmail" else ():
            text, count = re.subn(rf"(?m)^{name}=/.*$", f"{name}={root / name}", text)
            assert count == 1
        # The repository may lie where only its owner can read.
        engine = root / "engine"
        shutil.copyfile(ENGINE, engine)
        shutil.copyfile(PROCESSES, engine.with_name(PROCESSES.name))
        for name, value in (("defaults", self.settings), ("engine", engine)):
            text, count = re.subn(rf"(?m)^{name}=/.*$", f"{name}={value}", text)
            assert count == 1
        self.script = root / family
        self.script.write_text(text)
        self.script.chmod(0o755)

    def define(self, name: str, program: str, listen: str = "", extra: str = "") -> None:
        """Define a service that is a Python program."""
        source = self.root / f"{name}.py"
        source.write_text(program.format(marks=self.marks, port=listen))
        (self.services / name).write_text(
            f"listen={listen}\n{extra}\nrun() {{\n"
            f'    exec env -i NAME={name} {sys.executable} -I {PIDO} "$pid_file" {sys.executable} {source}\n}}\n'
        )

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script with these words."""
        env = {"PATH": os.environ["PATH"], "SECRET": "of the admin's shell"} | environment
        return subprocess.run(
            [self.script, *words],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/tmp",  # noqa: S108
        )

    def pid(self, name: str) -> int:
        """Give the recorded pid of a service."""
        return int((self.run / f"{name}.pid").read_text())

    def running(self) -> set[str]:
        """Name the services whose recorded process is there, found by our own means."""
        names = set()
        for file in self.run.glob("*.start"):
            pid, ticks = file.read_text().split()
            fields = stat_fields(int(pid))
            if fields and fields[19] == ticks:
                names.add(file.stem)
        return names


@contextlib.contextmanager
def made_site(family: str) -> Iterator[Site]:
    """Give an empty site, in a directory that all users can reach; end whatever it left behind."""
    directory = Path(tempfile.mkdtemp(prefix="qmail-site-"))
    directory.chmod(0o755)
    made = Site(directory, family)
    yield made
    for file in made.run.glob("*.start"):
        pid, ticks = (int(word) for word in file.read_text().split())
        fields = stat_fields(pid)
        if fields and int(fields[19]) == ticks:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(directory)


@pytest.fixture
def site() -> Iterator[Site]:
    """Give an empty site for /etc/init.d/qmail."""
    with made_site("qmail") as made:
        yield made


@pytest.fixture
def spam() -> Iterator[Site]:
    """Give an empty site for /etc/init.d/spamd."""
    with made_site("spamd") as made:
        yield made


@pytest.fixture
def three(site: Site) -> Site:
    """Give a site with three services."""
    for name in ("send", "smtp", "pop3s"):
        site.define(name, SLEEPER)
    return site


def free_port() -> str:
    """Give a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def test_start_status_stop(three: Site) -> None:
    assert three("status").returncode == 3
    started = three("start")
    assert started.returncode == 0, started
    assert [line.split()[:2] for line in started.stdout.splitlines()] == [
        ["send", "started"],
        ["smtp", "started"],
        ["pop3s", "started"],
    ]
    assert three.running() == {"send", "smtp", "pop3s"}
    status = three("status")
    assert status.returncode == 0
    assert f"running (pid {three.pid('smtp')})" in status.stdout
    pids = [three.pid(name) for name in ("send", "smtp", "pop3s")]
    stopped = three("stop")
    assert stopped.returncode == 0
    assert [line.split()[0] for line in stopped.stdout.splitlines()] == ["pop3s", "smtp", "send"]
    assert [stat_fields(pid) for pid in pids] == [None, None, None]
    assert not list(three.run.glob("[a-z]*"))
    assert three("status").returncode == 3


def test_start_again_starts_nothing(three: Site) -> None:
    three("start")
    pids = {name: three.pid(name) for name in three.running()}
    again = three("start")
    assert again.returncode == 0
    assert again.stdout.count("already running") == 3
    assert {name: three.pid(name) for name in three.running()} == pids


def test_stop_again_is_well(three: Site) -> None:
    stopped = three("stop")
    assert stopped.returncode == 0
    assert stopped.stdout.count("not running") == 3


def test_two_starts_at_once_start_one(three: Site) -> None:
    words = [str(three.script), "start", "smtp"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=30)[0] for process in both]
    assert sorted("already" in line for line in said) == [False, True]
    assert three.running() == {"smtp"}


def test_a_subset_by_arguments(three: Site) -> None:
    three("start")
    assert three("stop", "pop3s").returncode == 0
    assert three.running() == {"send", "smtp"}


def test_a_subset_by_environment(three: Site) -> None:
    three("start")
    assert three("stop", pop3s="yes", smtp="no").returncode == 0
    assert three.running() == {"send", "smtp"}
    assert three("start", pop3s="yes").returncode == 0
    assert three.running() == {"send", "smtp", "pop3s"}


def test_status_of_a_subset(three: Site) -> None:
    three("start", "smtp")
    assert three("status", "smtp").returncode == 0
    assert three("status", "send").returncode == 3
    assert three("status").returncode == 3


def test_restart_gives_new_processes(three: Site) -> None:
    three("start")
    before = {name: three.pid(name) for name in three.running()}
    assert three("restart", "smtp", "pop3s").returncode == 0
    after = {name: three.pid(name) for name in three.running()}
    assert {name for name in before if before[name] != after[name]} == {"smtp", "pop3s"}


def test_try_restart_starts_nothing_that_was_stopped(three: Site) -> None:
    three("start", "smtp")
    before = three.pid("smtp")
    assert three("try-restart").returncode == 0
    assert three.running() == {"smtp"}
    assert three.pid("smtp") != before


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 2), (("fly",), 2), (("start", "imap"), 2), (("start", "../smtp"), 2), (("start", "pop3"), 6), (("help",), 0)],
)
def test_codes_of_the_command_line(three: Site, words: tuple[str, ...], code: int) -> None:
    assert three(*words).returncode == code
    assert not three.running()


def test_nothing_configured(site: Site) -> None:
    answer = site("start")
    assert answer.returncode == 6
    assert str(site.services) in answer.stderr


def test_only_root(three: Site) -> None:
    answer = subprocess.run(
        ["setpriv", "--reuid=nobody", "--clear-groups", three.script, "start"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 4
    assert "root" in answer.stderr
    assert not three.running()


# ---- who is signalled ----


def test_a_recycled_pid_is_not_signalled(three: Site) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        three("start", "smtp")
        os.kill(three.pid("smtp"), signal.SIGKILL)
        fields = stat_fields(bystander.pid)
        assert fields
        (three.run / "smtp.pid").write_text(f"{bystander.pid}\n")
        (three.run / "smtp.start").write_text(f"{bystander.pid} {int(fields[19]) - 1}\n")
        status = three("status", "smtp")
        assert status.returncode == 1
        assert "dead" in status.stdout
        for action in ("stop", "zap", "restart"):
            assert three(action, "smtp").returncode == 0
        assert bystander.poll() is None
        assert three.pid("smtp") != bystander.pid
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(
    ("pid", "start"),
    [
        ("{pid}\n", None),
        ("{pid}\n", "1 {ticks}\n"),
        ("{pid}\n", "{pid} {ticks} 1\n"),
        ("{pid}\n", "{pid}\n"),
        ("{pid}\n", ""),
        ("{pid} 1\n", "{pid} {ticks}\n"),
        ("-{pid}\n", "-{pid} {ticks}\n"),
        ("0{pid}\n", "0{pid} {ticks}\n"),
        ("", "{pid} {ticks}\n"),
        ("$(kill {pid})\n", "$(kill {pid}) {ticks}\n"),
        ("-1\n", "-1 {ticks}\n"),
    ],
)
def test_damaged_pid_files_lead_to_no_signal(three: Site, pid: str, start: str | None) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        fields = stat_fields(bystander.pid)
        assert fields
        values = {"pid": bystander.pid, "ticks": fields[19]}
        three.run.mkdir()
        (three.run / "smtp.pid").write_text(pid.format(**values))
        if start is not None:
            (three.run / "smtp.start").write_text(start.format(**values))
        assert three("status", "smtp").returncode == 1
        assert three("stop", "smtp").returncode == 0
        assert bystander.poll() is None
        assert not (three.run / "smtp.pid").exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_a_name_full_of_numbers_does_not_mislead(three: Site) -> None:
    three.define("smtp", "open('/proc/self/comm', 'w').write(') S 1 2 3 4\\n5 6')\n" + SLEEPER)
    assert three("start", "smtp").returncode == 0
    pid = three.pid("smtp")
    assert three("stop", "smtp").returncode == 0
    assert stat_fields(pid) is None


def test_a_stale_pid_file_does_not_hinder_a_start(three: Site) -> None:
    three("start", "smtp")
    os.kill(three.pid("smtp"), signal.SIGKILL)
    wait_for("it is gone", lambda: not three.running())
    assert three("status").returncode == 1
    assert three("start", "smtp").returncode == 0
    assert three.running() == {"smtp"}


# ---- what a start notices ----


def test_a_daemon_that_ends_at_once(three: Site) -> None:
    three.define("smtp", "import sys; sys.exit('no control/me')")
    began = time.monotonic()
    answer = three("start")
    assert answer.returncode == 1
    assert "smtp       did not start; see" in answer.stderr
    assert time.monotonic() - began < 3
    assert three.running() == {"send", "pop3s"}, "the others start all the same"
    wait_for("its last words are logged", lambda: "no control/me" in (three.logs / "smtp.log").read_text())


def test_a_daemon_that_ends_before_it_is_one(three: Site) -> None:
    (three.services / "smtp").write_text("run() {\n    uid=$(uid_of nosuchuser)\n    exec sleep 60\n}\n")
    answer = three("start", "smtp")
    assert answer.returncode == 1
    assert "did not start" in answer.stderr


def test_a_port_that_must_be_open(three: Site) -> None:
    port = free_port()
    three.define("smtp", "import time; time.sleep(0.5)\n" + LISTENER, listen=port)
    assert three("start", "smtp").returncode == 0
    socket.create_connection(("127.0.0.1", int(port))).close()


def test_a_port_on_which_the_daemon_does_not_listen(three: Site) -> None:
    port = free_port()
    three.define("smtp", SLEEPER, listen=port)
    answer = three("start", "smtp")
    assert answer.returncode == 1
    assert f"does not listen on port {port}" in answer.stderr


@pytest.mark.parametrize("action", ["start", "apply"])
def test_who_holds_the_port_is_named_and_left_alone(three: Site, action: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        three.define("smtp", LISTENER, listen=port)
        began = time.monotonic()
        answer = three(action, "smtp")
        assert time.monotonic() - began < 3
    assert answer.returncode == 1
    words = f"port {port} is held by {Path(sys.executable).resolve()} (pid {os.getpid()}), which no pid file names"
    assert words in answer.stderr
    assert f"kill {os.getpid()}" in answer.stderr
    assert not three.running()


def test_a_daemon_of_ours_without_its_pid_file_is_found_by_its_port(three: Site) -> None:
    port = free_port()
    three.define("smtp", LISTENER, listen=port)
    assert three("start", "smtp").returncode == 0
    pid = three.pid("smtp")
    for name in ("pid", "start"):
        (three.run / f"smtp.{name}").unlink()
    answer = three("apply", "smtp")
    assert answer.returncode == 1
    assert f"port {port} is held by {Path(sys.executable).resolve()} (pid {pid})" in answer.stderr
    os.kill(pid, signal.SIGTERM)
    wait_for("it has ended", lambda: stat_fields(pid) is None)
    assert three("apply", "smtp").returncode == 0
    assert three.running() == {"smtp"}


def test_a_daemon_without_a_port_is_found_by_its_program(three: Site) -> None:
    program = three.root / "qmail-send"
    shutil.copyfile("/usr/bin/sleep", program)
    program.chmod(0o755)
    (three.services / "send").write_text(
        f'daemon={program}\nrun() {{ exec {sys.executable} -I {PIDO} "$pid_file" {program} 600; }}\n'
    )
    assert three("start", "send").returncode == 0
    pid = three.pid("send")
    (three.run / "send.pid").unlink()
    answer = three("start", "send")
    assert answer.returncode == 1
    assert f"its place is held by {program} (pid {pid})" in answer.stderr
    os.kill(pid, signal.SIGTERM)


def test_who_runs_the_program_as_another_user_is_in_nobody_s_way(three: Site) -> None:
    """Anybody may run it: a user who keeps it running must not keep the service from its start."""
    program = three.root / "qmail-send"
    shutil.copyfile("/usr/bin/sleep", program)
    program.chmod(0o755)
    (three.services / "send").write_text(
        f'daemon={program}\nuser=daemon\nrun() {{ exec {sys.executable} -I {PIDO} "$pid_file" {program} 600; }}\n'
    )
    with running_as("nobody", program, "600"):
        assert three("start", "send").returncode == 0
        assert three("stop", "send").returncode == 0
    with running_as("daemon", program, "600") as own:
        assert f"its place is held by {program} (pid {own.pid})" in three("start", "send").stderr


# ---- what ends by itself, where systemd does not look after it ----


def test_what_was_ended_by_another_is_started_again(three: Site) -> None:
    with three.settings.open("a") as settings:
        settings.write("again_wait=1\n")
    port = free_port()
    three.define("smtp", LISTENER, listen=port)
    assert three("start", "smtp").returncode == 0
    for _ in range(2):
        before = three.pid("smtp")
        os.kill(before, signal.SIGTERM)
        wait_for("it is back", lambda before=before: three.running() == {"smtp"} and three.pid("smtp") != before)
    wait_for("it listens", lambda: socket.socket().connect_ex(("127.0.0.1", int(port))) == 0)
    log = (three.logs / "smtp.log").read_text()
    assert "ended by itself (exit code 143); started again after 1 s" in log
    assert "started again after 2 s" in log, "more and more slowly"
    assert three("status", "smtp").returncode == 0


def keepers(site: Site) -> int:
    """Count the processes that keep a service of this site running."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended just now
            found += f"{site.script}\0keep\0".encode() in entry.read_bytes()
    return found


def test_what_was_stopped_stays_so(three: Site) -> None:
    with three.settings.open("a") as settings:
        settings.write("again_wait=1\n")
    assert three("start", "smtp", "send").returncode == 0
    assert keepers(three) == 2
    assert three("stop", "smtp").returncode == 0
    os.kill(three.pid("send"), signal.SIGTERM)
    assert three("stop", "send").returncode == 0, "also between an end and the next start"
    wait_for("nobody keeps them", lambda: keepers(three) == 0)
    assert not three.running()
    assert "ended by itself" not in (three.logs / "smtp.log").read_text()


def test_a_start_that_fails_is_not_tried_again(three: Site) -> None:
    with three.settings.open("a") as settings:
        settings.write("again_wait=1\n")
    three.define("smtp", f"open('{three.marks}/tries', 'a').write('x'); raise SystemExit(1)")
    assert three("start", "smtp").returncode == 1
    wait_for("nobody keeps it", lambda: keepers(three) == 0)
    assert (three.marks / "tries").read_text() == "x"


def test_what_runs_is_not_run_a_second_time(three: Site) -> None:
    three("start", "smtp")
    answer = three("run", "smtp")
    assert answer.returncode == 1
    assert f"smtp runs already (pid {three.pid('smtp')})" in answer.stderr


# ---- what the daemon is given ----


def test_the_daemon_gets_exactly_its_environment_and_descriptors(three: Site) -> None:
    held = three.root / "held"
    subprocess.run(["sh", "-c", f"exec {three.script} start smtp 5>{held} 7>{held}"], check=True, timeout=20)
    pid = three.pid("smtp")
    assert Path(f"/proc/{pid}/environ").read_bytes() == b"NAME=smtp\0"
    descriptors = {int(entry.name): str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert descriptors[0] == "/dev/null"
    assert descriptors[1] == descriptors[2]
    assert descriptors[1].startswith("pipe:")
    assert not {3, 4, 5, 6, 7, 8, 9} & set(descriptors)
    assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
    fields = stat_fields(pid)
    assert fields
    assert fields[2] == fields[3] == str(pid), "leader of its own group and session"
    ignored = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn"))
    ours = {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM}
    assert not {number for number in ours if int(ignored.split()[1], 16) >> (number - 1) & 1}


def test_the_script_ends_while_the_daemon_lives_on(three: Site) -> None:
    answer = subprocess.run([three.script, "start"], capture_output=True, timeout=20, check=False)
    assert answer.returncode == 0  # and the pipes of capture_output are closed, or this would have timed out


def test_log_lines_have_a_time_and_belong_to_the_log_user(three: Site) -> None:
    three.define("smtp", "print('well begun', flush=True)\n" + SLEEPER)
    three("start", "smtp")
    log = three.logs / "smtp.log"
    wait_for("a line is logged", lambda: log.exists() and log.read_text())
    stamp, _, words = log.read_text().partition(" ")
    assert words == "well begun\n"
    time.strptime(stamp, "%Y-%m-%dT%H:%M:%S%z")
    assert log.owner() == "nobody"


def test_syslog_where_there_is_a_socket(three: Site) -> None:
    where = three.root / "devlog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(where))
        where.chmod(0o666)
        syslog.settimeout(5)
        three.settings.write_text(three.settings.read_text() + f"log_socket={where}\n")
        three.define("smtp", "print('well begun', flush=True)\n" + SLEEPER)
        three("start", "smtp")
        line = syslog.recv(1000).decode()
    assert line.startswith("<22>"), "facility mail, level info"
    assert line.endswith("qmail-smtp: well begun")


def test_run_keeps_it_in_the_foreground(three: Site) -> None:
    three.define("smtp", "import os; print('pid', os.getpid()); raise SystemExit(7)")
    answer = three("run", "smtp")
    assert answer.returncode == 7
    assert answer.stdout.startswith("pid ")
    assert three("run").returncode == 2
    assert three("run", "smtp", "send").returncode == 2


# ---- ends ----


def test_a_daemon_that_ignores_term(three: Site) -> None:
    three.define("smtp", DEAF)
    three("start", "smtp")
    wait_for("it is deaf", lambda: "deaf" in (three.logs / "smtp.log").read_text())
    pid = three.pid("smtp")
    answer = three("stop", "smtp")
    assert answer.returncode == 1
    assert "still running" in answer.stderr
    assert stat_fields(pid), "stop never kills"
    assert "ending" in three("status", "smtp").stdout
    start = three("start", "smtp")
    assert start.returncode == 1
    assert "still ending" in start.stderr
    assert three("restart", "smtp").returncode == 1
    assert three.pid("smtp") == pid
    assert three("zap", "smtp").returncode == 0
    wait_for("zap kills in the end", lambda: stat_fields(pid) is None)


def child_of(site: Site) -> int:
    """Give the pid of the delivery of the qmail-send there."""
    wait_for("a delivery is at work", lambda: (site.marks / "child").exists() and (site.marks / "child").read_text())
    return int((site.marks / "child").read_text())


def test_stop_lets_deliveries_finish_and_zap_does_not(site: Site) -> None:
    site.define("send", LEADER)
    site("start")
    child = child_of(site)
    assert site("stop").returncode == 1
    assert stat_fields(child)
    assert site("zap", "send").returncode == 0
    wait_for("the delivery is gone", lambda: stat_fields(child) is None)
    assert site("status").returncode == 3


@pytest.fixture
def lax_parent() -> Iterator[None]:
    """Become the parent of every orphan, and collect none that ends, as a process 1 that is no init."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@pytest.mark.usefixtures("lax_parent")
def test_where_nobody_collects_the_ended_they_count_as_ended(site: Site) -> None:
    with site.settings.open("a") as settings:
        settings.write("zap_wait=60 stop_wait=60\n")
    site.define("send", LEADER)
    site.define("smtp", SLEEPER)
    site("start")
    child_of(site)
    began = time.monotonic()
    assert site("zap", "send").returncode == 0
    assert site("stop", "smtp").returncode == 0
    assert time.monotonic() - began < 30
    assert site("status").returncode == 3


def test_zap_leaves_the_sessions_of_a_tcpserver_alone(site: Site) -> None:
    site.define("smtp", LEADER.replace("lambda *_: None", "signal.SIG_DFL"))
    site("start")
    child = child_of(site)
    try:
        assert site("zap").returncode == 0
        assert not site.running()
        assert stat_fields(child)
    finally:
        os.kill(child, signal.SIGKILL)


# ---- reload ----


def test_reload_tells_qmail_send(site: Site) -> None:
    site.define("send", LEADER)
    assert site("reload").returncode == 7
    site("start")
    child_of(site)
    assert site("reload").returncode == 0
    wait_for("HUP arrives", (site.marks / "hup").exists)
    assert site("status").returncode == 0


def test_reload_compiles_rules_and_restarts_nothing(three: Site) -> None:
    compiler = three.root / "tcprules-update"
    compiler.write_text('#!/bin/sh\necho "$1 compiled anew"\n')
    compiler.chmod(0o755)
    three.define("smtp", SLEEPER, extra="rules=/etc/tcp/smtp.rules")
    three("start", "smtp", "pop3s")
    pid = three.pid("smtp")
    answer = three("reload", "smtp", "pop3s")
    assert answer.returncode == 0
    assert "/etc/tcp/smtp.rules compiled anew" in answer.stdout
    assert "nothing to reload" in answer.stdout
    assert three.pid("smtp") == pid
    compiler.write_text('#!/bin/sh\necho "line 3: bad" >&2\nexit 1\n')
    answer = three("reload", "smtp")
    assert answer.returncode == 1
    assert "line 3: bad" in answer.stderr


def test_reload_compiles_each_of_several_rules_files(three: Site) -> None:
    compiler = three.root / "tcprules-update"
    compiler.write_text('#!/bin/sh\necho "$1 compiled anew"\n[ "$1" != /etc/tcp/bad.rules ]\n')
    compiler.chmod(0o755)
    three.define("smtp", SLEEPER, extra="rules='/etc/tcp/bad.rules /etc/tcp/doors.rules'")
    three("start", "smtp")
    answer = three("reload", "smtp")
    assert answer.returncode == 1
    assert "/etc/tcp/bad.rules" in answer.stderr
    assert "/etc/tcp/doors.rules compiled anew" in answer.stdout


# ---- apply ----


def test_apply_restarts_just_what_differs(three: Site) -> None:
    first = three("apply")
    assert first.returncode == 0
    assert first.stdout.count("started") == 3
    assert three("apply").stdout == ""
    before = {name: three.pid(name) for name in three.running()}
    definition = three.services / "smtp"
    definition.write_text(definition.read_text() + "# a change\n")
    plan = three("plan")
    assert plan.stdout.split() == ["smtp", "to", "restart"]
    assert {name: three.pid(name) for name in three.running()} == before, "a plan changes nothing"
    assert three("apply").returncode == 0
    after = {name: three.pid(name) for name in three.running()}
    assert {name for name in before if before[name] != after[name]} == {"smtp"}
    assert three("apply").stdout == ""


def test_apply_restarts_what_was_started_for_a_qmail_that_could_do_other_things(three: Site) -> None:
    three("apply")
    three.features.write_text("filters\n")
    assert three("plan").stdout.split() == ["smtp", "to", "restart"]
    three("apply")
    assert three("plan").stdout == ""


def test_apply_restarts_what_another_build_of_the_front_stays_beside(three: Site) -> None:
    builds = [three.root / name for name in ("bin-1", "bin-2")]
    for build in builds:
        build.mkdir()
        (build / "qmail-tlsd").touch()
    (three.root / "bin").symlink_to(builds[0].name)
    for name in ("smtp", "pop3s"):
        definition = three.services / name
        definition.write_text(definition.read_text() + "# beside it: qmail-tlsd\n" * (name == "pop3s"))
    three("start")
    (three.root / "bin").unlink()
    (three.root / "bin").symlink_to(builds[1].name)
    assert re.fullmatch(r"pop3s +to restart\n", three("plan").stdout)


def test_apply_restarts_what_another_build_of_stunnel_stays_beside(three: Site) -> None:
    stunnel = three.root / "stunnel"
    stunnel.symlink_to("stunnel-1")
    definition = three.services / "pop3s"
    definition.write_text(definition.read_text() + "# if stunnel_stays\n")
    three("start")
    stunnel.unlink()
    stunnel.symlink_to("stunnel-2")
    assert re.fullmatch(r"pop3s +to restart\n", three("plan").stdout)


@pytest.mark.parametrize(
    ("features", "code", "stays"), [("stunnel", 0, True), ("stunnel", 1, False), ("tlsd", 0, False)]
)
def test_stunnel_stays_where_it_can_and_the_qmail_in_use_can_ask_it(
    site: Site, features: str, code: int, stays: bool
) -> None:
    stunnel = site.root / "stunnel"
    stunnel.write_text(f'#!/bin/sh\n[ "$*" = -resident ] && exit {code}\nexit 2\n')
    stunnel.chmod(0o755)
    site.features.write_text(f"{features}\n")
    (site.services / "smtp").write_text("run() { if stunnel_stays; then exit 41; else exit 42; fi; }\n")
    assert site("run", "smtp").returncode == (41 if stays else 42)


def test_what_a_front_had_goes_with_its_service(three: Site) -> None:
    three("start")
    for name in ("smtp", "pop3s"):
        (three.run / f"{name}.tls").mkdir()
        (three.run / f"{name}.tls/socket").touch()
    three("stop", "pop3s")
    assert not (three.run / "pop3s.tls").exists()
    assert (three.run / "smtp.tls/socket").exists()
    # One that ended by itself has left it.
    (three.run / "pop3s.tls").mkdir()
    three("start", "pop3s")
    assert not (three.run / "pop3s.tls").exists()


def test_a_service_asks_what_the_qmail_in_use_can_do(site: Site) -> None:
    (site.services / "smtp").write_text(
        "run() { need filters 'it lacks filters'; suite_has aut || need starttls no; }\n"
    )
    answer = site("run", "smtp")
    assert (answer.returncode, answer.stderr) == (6, "qmail: no\n")
    site.features.unlink()
    answer = site("run", "smtp")
    assert (answer.returncode, answer.stderr) == (6, "qmail: it lacks filters\n")


def test_apply_restarts_what_runs_an_older_build(three: Site) -> None:
    older, newer, current = three.root / "older", three.root / "newer", three.root / "current"
    for program in (older, newer):
        shutil.copyfile("/usr/bin/sleep", program)
        program.chmod(0o755)
    current.symlink_to(older)
    (three.services / "smtp").write_text(
        f'daemon={current}\nrun() {{ exec {sys.executable} -I {PIDO} "$pid_file" {current} 600; }}\n'
    )
    three("apply")
    assert three("plan").stdout == ""
    current.unlink()
    current.symlink_to(newer)
    assert three("plan").stdout.split() == ["smtp", "to", "restart"]


def test_apply_stops_what_is_no_longer_defined(three: Site) -> None:
    three("apply")
    (three.services / "pop3s").unlink()
    answer = three("apply")
    assert answer.stdout.split()[:2] == ["pop3s", "stopped"]
    assert three.running() == {"send", "smtp"}


# ---- the other family ----


SOCKET_LISTENER = """
import os, signal, socket, subprocess, sys, time
path = "{marks}/socket"
def listen(*_):
    global s
    if os.path.exists(path): os.unlink(path)
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen()
    open("{marks}/listened", "a").write("x")
signal.signal(signal.SIGHUP, listen)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("{marks}/child", "w").write(str(child.pid))
listen()
while True: time.sleep(1)
"""


def define_spamd(spam: Site, program: str = SOCKET_LISTENER) -> None:
    """Define spamd as a program that listens on a Unix socket."""
    spam.define("spamd", program)
    definition = spam.services / "spamd"
    definition.write_text(definition.read_text().replace("listen=\n", f"listen={spam.marks}/socket\n"))


def test_spamd_starts_reloads_and_stops(spam: Site) -> None:
    define_spamd(spam)
    assert spam("status").returncode == 3
    started = spam("start")
    assert started.returncode == 0, started
    assert (spam.marks / "socket").is_socket()
    pid = spam.pid("spamd")
    assert spam("reload").returncode == 0
    wait_for("it listens anew", lambda: (spam.marks / "listened").read_text() == "xx")
    assert spam.pid("spamd") == pid
    assert spam("status").stdout.split() == ["spamd", "running", "(pid", f"{pid})"]
    assert spam("stop").returncode == 0
    assert not spam.running()


def test_spamd_that_opens_no_socket_has_not_started(spam: Site) -> None:
    define_spamd(spam, SLEEPER)
    answer = spam("start")
    assert answer.returncode == 1
    assert f"does not listen on {spam.marks}/socket" in answer.stderr


def test_who_holds_the_socket_is_named(spam: Site) -> None:
    define_spamd(spam)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{spam.marks}/socket")
        other.listen()
        answer = spam("start")
    assert answer.returncode == 1
    assert f"{spam.marks}/socket is held by {Path(sys.executable).resolve()} (pid {os.getpid()})" in answer.stderr


def test_a_socket_of_that_name_of_another_user_is_in_nobody_s_way(spam: Site) -> None:
    """In a mount namespace of one's own it can have any path."""
    define_spamd(spam)
    # Not our own Python, which may lie where only its owner can execute it.
    program = "my $s = IO::Socket::UNIX->new(Local => shift, Listen => 1) or die; $| = 1; print qq(x\\n); sleep 600"
    words = ["/usr/bin/perl", "-MIO::Socket::UNIX", "-e", program, f"{spam.marks}/socket"]
    with running_as("nobody", *words, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout
        stranger.stdout.readline()
        (spam.marks / "socket").unlink()  # it stands in the stranger's own view of the directories
        assert spam("start").returncode == 0


def test_spamd_that_listens_but_is_not_ready_has_not_started(spam: Site) -> None:
    define_spamd(spam)
    definition = spam.services / "spamd"
    spam.settings.write_text(spam.settings.read_text() + "start_wait=2\n")
    definition.write_text(definition.read_text() + f"ready() {{ echo x >>{spam.marks}/asked; false; }}\n")
    began = time.monotonic()
    answer = spam("start")
    assert answer.returncode == 1
    assert "does not answer after 2 s" in answer.stderr
    assert time.monotonic() - began < 8
    spam("zap")
    definition.write_text(definition.read_text() + f"ready() {{ [ -e {spam.marks}/ready ]; }}\n")
    (spam.marks / "ready").touch()
    assert spam("start").returncode == 0


def test_zap_ends_the_children_of_spamd(spam: Site) -> None:
    define_spamd(spam)
    spam("start")
    child = child_of(spam)
    assert spam("zap").returncode == 0
    wait_for("its child is gone", lambda: stat_fields(child) is None)


@pytest.mark.parametrize(("words", "code"), [((), 2), (("start", "smtp"), 2), (("start",), 6), (("help",), 0)])
def test_codes_of_spamd_s_command_line(spam: Site, words: tuple[str, ...], code: int) -> None:
    answer = spam(*words)
    assert answer.returncode == code
    assert "qmail-send" not in answer.stdout + answer.stderr


def test_families_share_a_directory_of_definitions_and_nothing_else(spam: Site, three: Site) -> None:
    define_spamd(three)
    assert three("apply").returncode == 0
    assert three.running() == {"send", "smtp", "pop3s"}
    define_spamd(spam)
    spam.define("smtp", SLEEPER)
    assert spam("apply").returncode == 0
    assert spam.running() == {"spamd"}


def test_shellcheck_finds_nothing() -> None:
    files = [ENGINE, PROCESSES, *SCRIPTS.values(), ROOT / "roles/services/files/usr/local/sbin/tcprules-update"]
    subprocess.run(["shellcheck", *files], check=True)


def test_words_are_what_run_becomes_and_nothing_is_started(site: Site) -> None:
    site.define("smtp", SLEEPER, extra="x='two words'")
    file = site.services / "smtp"
    file.write_text(
        "run() {\n"
        "    set --\n"
        "    ! suite_has auth || set -- checker 'two words' ''\n"
        f"    install -d {site.marks}/made\n"
        "    ulimit -c 0\n"
        '    exec env -i NAME=smtp \\\n        pido "$pid_file" tcpserver -u "$(uid_of nobody)" "$@"\n'
        "}\n"
    )
    answer = site("words", "smtp")
    assert answer.returncode == 0
    uid = str(pwd.getpwnam("nobody").pw_uid)
    assert answer.stdout.split("\0") == [
        *(
            "env",
            "-i",
            "NAME=smtp",
            "pido",
            f"{site.run}/smtp.pid",
            "tcpserver",
            "-u",
            uid,
            "checker",
            "two words",
            "",
            "",
        )
    ]
    assert not (site.marks / "made").exists()
    assert not site.run.exists()


def test_words_of_what_would_not_run_are_none(site: Site) -> None:
    (site.services / "smtp").write_text("run() {\n    need starttls 'no STARTTLS here'\n    exec tcpserver\n}\n")
    answer = site("words", "smtp")
    assert (answer.returncode, answer.stdout) == (6, "")
    (site.services / "smtp").write_text("run() { true; }\n")
    assert (site("words", "smtp").returncode, site("words", "smtp").stdout) == (1, "")
    assert site("words").returncode == 1
    (site.services / "send").write_text("run() { true; }\n")
    assert "name exactly one service" in site("words").stderr
