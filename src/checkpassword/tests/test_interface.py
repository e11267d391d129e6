"""checkpassword at its real interface: descriptor 3 in, an exit code or a running program out.

The program is built under AddressSanitizer and UBSan with its configuration in a temporary folder. What needs another
identity is tested as root only, on a hardened build that is installed set-user-id.
"""

from __future__ import annotations

import contextlib
import grp
import math
import os
import pwd
import resource
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1]
REFUSED, MISUSED, TROUBLE = 1, 2, 111
ACCOUNT = "bin"  # on every Debian: uid 2, home /bin
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")

PASSWORD = "correct horse"  # noqa: S105 - the one password of all tests
TODAY = int(time.time() // 86400)


def crypt(password: str, *options: str) -> str:
    """Return a hash made by a program that isn't ours (openssl)."""
    command = ["openssl", "passwd", *options, "-stdin"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Site:
    """A build of checkpassword with its configuration and database."""

    program: Path
    config: Path
    database: Path

    def lines(self, *lines: str) -> None:
        """Make these lines the database, and the configuration the one that names it."""
        self.database.write_text("".join(line + "\n" for line in lines))
        self.database.chmod(0o600)
        self.config.write_text(f"# which database\ndatabase {self.database}\n")
        self.config.chmod(0o644)

    def run(
        self,
        *arguments: str,
        request: bytes | None,
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] = lambda: None,
        as_user: str | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it with `request` on descriptor 3 (None: 3 is closed), `before` being called in the child."""
        read_end, write_end = os.pipe()

        def prepare() -> None:
            if request is None:
                with contextlib.suppress(OSError):
                    os.close(3)
            else:
                os.dup2(read_end, 3)
            if as_user:
                account = pwd.getpwnam(as_user)
                os.setgroups([])
                os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
                os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
            before()

        def feed() -> None:
            with contextlib.suppress(BrokenPipeError):
                os.write(write_end, request or b"")
            os.close(write_end)

        feeder = threading.Thread(target=feed)
        feeder.start()
        environment = {"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0", **(env or {})}
        try:
            return subprocess.run(
                [self.program, *arguments],
                capture_output=True,
                env=environment,
                pass_fds=() if request is None else (3,),
                preexec_fn=prepare,
                timeout=60,
            )
        finally:
            os.close(read_end)
            feeder.join()

    def check(self, user: str, password: str, **options: object) -> int:
        """Return the exit code of a check only."""
        done = self.run("-", request=ask(user, password), **options)  # type: ignore[arg-type]
        return done.returncode


def ask(user: str, password: str, timestamp: str = "stamp") -> bytes:
    """Return a request as the interface wants it."""
    return b"".join(field.encode() + b"\0" for field in (user, password, timestamp))


def build(top: Path, target: str, built: str) -> Site:
    """Compile `target` for a configuration below `top`."""
    config = top / "checkpassword.conf"
    paths = [f"CONFIG_FILE={config}", f"LOGINS_FILE={top}/users/logins.cdb"]
    command = ["make", "-s", f"BUILD={top}/build", *paths, target]
    subprocess.run(command, cwd=SOURCE, check=True, stdout=subprocess.DEVNULL)
    return Site(top / "build" / built, config, top / "shadow")


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return build(tmp_path_factory.mktemp("checkpassword"), "san", "san/checkpassword")


@pytest.fixture(scope="session")
def sha512() -> str:
    return crypt(PASSWORD, "-6", "-salt", "abcdefgh")


@pytest.fixture
def site(sanitized: Site, sha512: str) -> Site:
    """One account with a sha512 hash."""
    sanitized.lines(f"{ACCOUNT}:{sha512}:19000:0:99999:7:::")
    return sanitized


# --- the password ---------------------------------------------------------------------------------------------------


def test_right_password_is_accepted(site: Site) -> None:
    assert site.check(ACCOUNT, PASSWORD) == 0


@pytest.mark.parametrize("password", ["", "wrong", "correct hors", "correct horse ", "Correct horse", "x" * 480])
def test_wrong_password_is_refused_without_a_word(site: Site, password: str) -> None:
    done = site.run("-", request=ask(ACCOUNT, password))
    assert (done.returncode, done.stdout, done.stderr) == (REFUSED, b"", b"")


@pytest.mark.parametrize(
    "user", ["", "nobody-of-this-name", "BIN", "bin ", "bin:", "root", "../bin", "b" * 400, "bin\n"]
)
def test_unknown_user_is_refused_like_a_wrong_password(site: Site, user: str) -> None:
    done = site.run("-", request=ask(user, PASSWORD))
    assert (done.returncode, done.stdout, done.stderr) == (REFUSED, b"", b"")


# Made with mkpasswd(1) of whois, for "correct horse".
@pytest.mark.parametrize(
    "stored",
    [
        pytest.param("$y$j75$nrG.Qf4APc.1V4o4/.F3W1$qqE/Z4TzbFq6DwqtHFXKu7UP9W3VlW0.WxvLYdKvK9D", id="yescrypt"),
        pytest.param(
            "$6$rounds=1000$juXKzV8x/tgxsG4M$mAam6O1COF1Ncm0kry6S9wJ06A2y6IL8dGOoasm9djMZH6mOLZ8LHgGpEugeEd.M7lG8lFkNNCcB7AIwnpqr4.",
            id="sha512crypt",
        ),
        pytest.param("$5$rounds=1000$n6/5vTSOIfE.xf/z$Xb8W/eYcRuKjR81ore43FDla4FrpLsLu/FqfS2wmqb9", id="sha256crypt"),
        pytest.param("$2b$05$e3XF34OOUW1C3didTEH8zurNYYES7Fp7RdO9bDxMGYoJ/xZaYmSUe", id="bcrypt"),
    ],
)
def test_methods_of_the_host(site: Site, stored: str) -> None:
    site.lines(f"{ACCOUNT}:{stored}:19000:0:99999:7:::")
    assert site.check(ACCOUNT, PASSWORD) == 0
    assert site.check(ACCOUNT, PASSWORD + "x") == REFUSED


def test_a_password_may_hold_any_byte_but_nul(site: Site) -> None:
    odd = "".join(chr(code) for code in range(1, 128) if chr(code) != "\n") + "\u00e9\u20ac"
    site.lines(f"{ACCOUNT}:{crypt(odd, '-6', '-salt', 'odd')}:")
    assert site.check(ACCOUNT, odd) == 0
    assert site.check(ACCOUNT, odd[:-1]) == REFUSED


@pytest.mark.parametrize(
    "field", ["", "*", "!", "!!", "!{hash}", "*{hash}", "x", "{hash}x", "$6$abcdefgh$", "$6$", "$9$a$b"]
)
@pytest.mark.parametrize("password", [PASSWORD, "", "*", "!", "x"])
def test_locked_empty_or_broken_hashes_match_nothing(site: Site, sha512: str, field: str, password: str) -> None:
    site.lines(f"{ACCOUNT}:{field.format(hash=sha512)}:19000:0:99999:7:::")
    assert site.check(ACCOUNT, password) == REFUSED


def test_the_hash_of_the_empty_password_matches_nothing(site: Site) -> None:
    site.lines(f"{ACCOUNT}:{crypt('', '-6', '-salt', 'abc')}:19000:0:99999:7:::")
    assert site.check(ACCOUNT, "") == REFUSED


@pytest.mark.parametrize(
    ("dates", "code"),
    [
        pytest.param(f"19000:0:99999:7::{TODAY + 2}:", 0, id="expires later"),
        pytest.param(f"19000:0:99999:7::{TODAY}:", REFUSED, id="expires today"),
        pytest.param("19000:0:99999:7::1:", REFUSED, id="expired long ago"),
        pytest.param("0:0:99999:7:::", REFUSED, id="change ordered"),
        pytest.param(f"{TODAY - 10}:0:5:7:::", REFUSED, id="password too old"),
        pytest.param(f"{TODAY - 10}:0:5:7:30::", 0, id="too old, in the days of grace"),
        pytest.param("::::::", 0, id="no dates"),
    ],
)
def test_dates(site: Site, sha512: str, dates: str, code: int) -> None:
    site.lines(f"{ACCOUNT}:{sha512}:{dates}")
    assert site.check(ACCOUNT, PASSWORD) == code


def test_root_is_never_accepted(site: Site, sha512: str) -> None:
    site.lines(f"root:{sha512}:19000:0:99999:7:::")
    assert site.check("root", PASSWORD) == REFUSED


def test_an_account_must_be_in_the_user_database_too(site: Site, sha512: str) -> None:
    site.lines(f"no-such-account:{sha512}:19000:0:99999:7:::")
    assert site.check("no-such-account", PASSWORD) == REFUSED


# --- the request ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"bin", id="no NUL"),
        pytest.param(b"bin\0correct horse", id="one NUL"),
        pytest.param(b"bin\0correct horse\0", id="two NULs"),
        pytest.param(b"bin\0correct horse\0stamp", id="timestamp not ended"),
        pytest.param(ask("bin", PASSWORD).ljust(513, b"x"), id="513 bytes"),
        pytest.param(ask("bin", PASSWORD).ljust(60000, b"\0"), id="60000 bytes"),
    ],
)
def test_malformed_requests_are_misuse(site: Site, request_: bytes) -> None:
    done = site.run("-", request=request_)
    assert done.returncode == MISUSED
    assert done.stderr.startswith(b"checkpassword: ")
    assert PASSWORD.encode() not in done.stderr


@pytest.mark.parametrize("length", [100, 512])
def test_more_data_after_the_timestamp_is_ignored(site: Site, length: int) -> None:
    assert site.run("-", request=ask(ACCOUNT, PASSWORD).ljust(length, b"x")).returncode == 0


def test_the_order_of_auth_plain_is_not_ours(site: Site) -> None:
    assert site.run("-", request=b"x\0bin\0correct horse\0").returncode == REFUSED


def test_descriptor_3_closed_is_misuse(site: Site) -> None:
    assert site.run("-", request=None).returncode == MISUSED


def test_descriptor_3_open_for_writing_only_is_misuse(site: Site) -> None:
    def write_only() -> None:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 3)

    assert site.run("-", request=b"", before=write_only).returncode == MISUSED


def test_no_program_is_misuse(site: Site) -> None:
    done = site.run(request=ask(ACCOUNT, PASSWORD))
    assert done.returncode == MISUSED
    assert b"usage" in done.stderr


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_descriptors_change_nothing(site: Site, closed: Sequence[int]) -> None:
    def close() -> None:
        for fd in closed:
            os.close(fd)

    assert site.check(ACCOUNT, PASSWORD, before=close) == 0
    assert site.check(ACCOUNT, "wrong", before=close) == REFUSED


def test_requests_written_in_pieces_are_joined(site: Site) -> None:
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {site.program} - 3<&0"],
        stdin=read_end,
        env={"ASAN_OPTIONS": "detect_leaks=0"},
    )
    os.close(read_end)
    for byte in ask(ACCOUNT, PASSWORD):
        os.write(write_end, bytes([byte]))
    os.close(write_end)
    assert process.wait(timeout=60) == 0


# --- configuration and database -------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["config", "database"])
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_files_that_others_may_write_are_refused(site: Site, victim: str, mode: int) -> None:
    path: Path = getattr(site, victim)
    path.chmod(mode)
    done = site.run("-", request=ask(ACCOUNT, PASSWORD))
    assert done.returncode == TROUBLE
    assert f"{path}: writable by group or others".encode() in done.stderr


@needs_root
@pytest.mark.parametrize("victim", ["config", "database"])
def test_files_of_other_owners_are_refused(site: Site, victim: str) -> None:
    path: Path = getattr(site, victim)
    os.chown(path, 2, 2)
    try:
        done = site.run("-", request=ask(ACCOUNT, PASSWORD))
        assert (done.returncode, b"must belong to root" in done.stderr) == (TROUBLE, True)
    finally:
        os.chown(path, 0, 0)


@pytest.mark.parametrize("victim", ["config", "database"])
def test_links_are_refused(site: Site, victim: str) -> None:
    path: Path = getattr(site, victim)
    real = path.with_suffix(".real")
    path.rename(real)
    path.symlink_to(real)
    try:
        done = site.run("-", request=ask(ACCOUNT, PASSWORD))
        assert (done.returncode, b"symbolic link" in done.stderr) == (TROUBLE, True)
    finally:
        real.rename(path)


@pytest.mark.parametrize("victim", ["config", "database"])
def test_missing_files_are_a_temporary_problem(site: Site, victim: str) -> None:
    path: Path = getattr(site, victim)
    path.unlink()
    assert site.check(ACCOUNT, PASSWORD) == TROUBLE


def test_a_database_in_a_folder_that_others_may_write_is_refused(site: Site) -> None:
    folder = site.database.parent / "open"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    shutil.copy(site.database, folder / "shadow")
    site.config.write_text(f"database {folder}/shadow\n")
    done = site.run("-", request=ask(ACCOUNT, PASSWORD))
    assert (done.returncode, b"directory is writable" in done.stderr) == (TROUBLE, True)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "database\n", "database shadow\n", "password yes\n", "\0", "x" * 5000]
)
def test_bad_configuration_is_a_temporary_problem_that_names_the_file(site: Site, text: str) -> None:
    site.config.write_text(text)
    done = site.run("-", request=ask(ACCOUNT, PASSWORD))
    assert done.returncode == TROUBLE
    assert str(site.config).encode() in done.stderr


def test_an_empty_database_refuses_everybody(site: Site) -> None:
    site.lines()
    assert site.check(ACCOUNT, PASSWORD) == REFUSED


def test_malformed_lines_are_skipped_and_long_ones_not_split(site: Site, sha512: str) -> None:
    site.lines(
        "no colon", "# a: comment", ":" * 8, "x" * 1023 + f"nobody:{sha512}:::::::", f"{ACCOUNT}:{sha512}:::::::"
    )
    assert site.check(ACCOUNT, PASSWORD) == 0
    assert site.check("nobody", PASSWORD) == REFUSED


def test_a_second_line_of_the_same_name_does_not_count(site: Site, sha512: str) -> None:
    site.lines(f"{ACCOUNT}:!:::::::", f"{ACCOUNT}:{sha512}:::::::")
    assert site.check(ACCOUNT, PASSWORD) == REFUSED


def test_a_hundred_thousand_accounts(site: Site, sha512: str) -> None:
    site.lines(*(f"user{number}:{sha512}:19000:0:99999:7:::" for number in range(100_000)), f"{ACCOUNT}:{sha512}:")
    assert site.check(ACCOUNT, PASSWORD) == 0
    assert site.check("user100000", PASSWORD) == REFUSED


# --- a hostile caller -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "value"),
    [(resource.RLIMIT_NOFILE, 4), (resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)],
)
def test_limits_never_turn_a_refusal_into_a_success(site: Site, limit: int, value: int) -> None:
    def tighten() -> None:
        resource.setrlimit(limit, (value, value))

    assert site.check(ACCOUNT, "wrong", before=tighten) not in (0, -11)


# --- becoming the user ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed() -> Iterator[Site]:
    """A hardened build, set-user-id root, in a folder that others may enter."""
    # Debian 13 mounts /tmp so that no set-user-id bit counts there.
    roots = [root for root in ("/tmp", "/var/tmp") if not os.statvfs(root).f_flag & os.ST_NOSUID]  # noqa: S108
    top = Path(tempfile.mkdtemp(prefix="checkpassword-", dir=roots[0]))
    try:
        site = build(top, "all", "checkpassword")
        top.chmod(0o755)
        site.program.chmod(0o4711)
        yield site
    finally:
        shutil.rmtree(top)


@pytest.fixture
def setuid(installed: Site, sha512: str) -> Site:
    installed.lines(f"{ACCOUNT}:{sha512}:19000:0:99999:7:::", f"nobody:{sha512}:19000:0:99999:7:::", "daemon:!:")
    return installed


@needs_root
def test_the_program_runs_as_the_user(setuid: Site) -> None:
    """Ids, groups, home directory, umask and descriptors are the user's; nothing of root's is left."""
    script = (
        "import os,sys;"
        "u=os.umask(0);"
        "print(os.getresuid(),os.getresgid(),os.getgroups(),os.getcwd(),oct(u),sorted(map(int,os.listdir('/proc/self/fd'))))"
    )
    done = setuid.run("/usr/bin/python3", "-IS", "-c", script, request=ask(ACCOUNT, PASSWORD), as_user="nobody")
    assert done.returncode == 0, done.stderr
    home = str(Path("/bin").resolve())
    assert done.stdout.decode().strip() == f"(2, 2, 2) (2, 2, 2) [2] {home} 0o77 [0, 1, 2, 3]"  # 3: the listing itself


@needs_root
def test_nothing_that_the_caller_left_open_is_passed_on(setuid: Site, tmp_path: Path) -> None:
    request = tmp_path / "request"
    request.write_bytes(ask(ACCOUNT, PASSWORD))
    script = 'exec 3<"$1" 5</dev/null 9</etc/passwd; shift; exec "$@"'
    shows = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    command = ["sh", "-c", script, "sh", str(request), str(setuid.program), "/usr/bin/python3", "-IS", "-c", shows]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, b"[0, 1, 2, 3]")  # 3: the listing itself


@needs_root
@pytest.mark.parametrize("words", [["-"], ["true"]])
def test_a_password_is_in_no_core_and_nobody_can_trace_it(installed: Site, sha512: str, words: list[str]) -> None:
    """While it reads the request; without a set-user-id bit, which would have the kernel forbid it by itself."""
    installed.lines(f"{ACCOUNT}:{sha512}:19000:0:99999:7:::")
    plain = installed.program.with_name("plain")
    shutil.copyfile(installed.program, plain)
    plain.chmod(0o755)
    read_end, write_end = os.pipe()
    words = ["sh", "-c", 'exec 3<&0 </dev/null; exec "$@"', "sh", str(plain), *words]
    resource.prlimit(0, resource.RLIMIT_CORE, (1 << 20, resource.RLIM_INFINITY))
    try:
        with subprocess.Popen(words, stdin=read_end, user=2, group=2, extra_groups=[]) as process:
            deadline = time.monotonic() + 10
            status = Path(f"/proc/{process.pid}")
            while (status / "exe").readlink() != plain or "read" not in (status / "wchan").read_text():
                assert time.monotonic() < deadline, "it never waits for its request"
                time.sleep(0.02)
            core = next(line for line in (status / "limits").read_text().splitlines() if "core" in line)
            owner = (status / "environ").stat().st_uid
            os.close(write_end)
    finally:
        resource.prlimit(0, resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))
        os.close(read_end)
    assert core.split()[4:6] == ["0", "0"]
    assert owner == 0, "of a process that may be dumped it would be its user"


@needs_root
def test_the_environment_is_clean(setuid: Site) -> None:
    hostile = {
        "LD_PRELOAD": "/srv/evil.so",
        "LD_LIBRARY_PATH": "/srv",
        "IFS": "x",
        "ENV": "/srv/evil",
        "BASH_ENV": "/srv/evil",
        "PATH": "/srv:.",
        "HOME": "/root",
        "USER": "root",
        "SHELL": "/srv/evil",
        "TZ": "/etc/shadow",
        "TCPREMOTEIP": "192.0.2.1",
        "PROTO": "TCP",
    }
    done = setuid.run("env", request=ask(ACCOUNT, PASSWORD), as_user="nobody", env=hostile)
    assert sorted(done.stdout.decode().splitlines()) == [
        "HOME=/bin",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "PROTO=TCP",
        f"SHELL={pwd.getpwnam(ACCOUNT).pw_shell}",
        "TCPREMOTEIP=192.0.2.1",
        "USER=bin",
    ]


@needs_root
def test_arguments_and_exit_code_are_the_programs(setuid: Site) -> None:
    done = setuid.run("sh", "-c", 'echo "$1"; exit 7', "sh", "a  b", request=ask(ACCOUNT, PASSWORD), as_user="nobody")
    assert (done.returncode, done.stdout) == (7, b"a  b\n")


@needs_root
def test_a_wrong_password_runs_nothing(setuid: Site, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = setuid.run("touch", str(tmp_path / "ran"), request=ask(ACCOUNT, "wrong"), as_user="nobody")
    assert done.returncode == REFUSED
    assert not (tmp_path / "ran").exists()


@needs_root
def test_a_program_that_is_not_there_is_a_temporary_problem(setuid: Site) -> None:
    done = setuid.run("/nonexistent/program", request=ask(ACCOUNT, PASSWORD), as_user="daemon")
    assert (done.returncode, b"/nonexistent/program: No such file" in done.stderr) == (TROUBLE, True)


@needs_root
def test_a_missing_home_is_a_temporary_problem_and_a_check_does_not_need_it(setuid: Site) -> None:
    assert pwd.getpwnam("nobody").pw_dir == "/nonexistent"
    done = setuid.run("true", request=ask("nobody", PASSWORD), as_user="daemon")
    assert (done.returncode, b"/nonexistent: " in done.stderr) == (TROUBLE, True)
    assert setuid.check("nobody", PASSWORD, as_user="daemon") == 0


@needs_root
def test_checking_gives_root_up_before_it_reads(setuid: Site) -> None:
    """While a caller holds back the request, the process is already its caller's for good, and can't be traced."""
    nobody = pwd.getpwnam("nobody").pw_uid
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {setuid.program} - 3<&0"],
        stdin=subprocess.PIPE,
        user=nobody,
        group=nobody,
        extra_groups=[],
    )
    assert process.stdin
    proc = Path(f"/proc/{process.pid}")
    for _ in range(500):
        if (proc / "comm").read_text() == "checkpassword\n" and f"Uid:\t{nobody}\t{nobody}\t{nobody}" in (
            proc / "status"
        ).read_text():
            break
        time.sleep(0.01)
    status = (proc / "status").read_text()
    assert f"Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}" in status
    time.sleep(0.05)
    # An undumpable process's /proc files are root's: its caller can't read its memory.
    assert (proc / "mem").stat().st_uid == 0
    peek = subprocess.run(
        ["head", "-c1", proc / "environ"], user=nobody, group=nobody, extra_groups=[], capture_output=True
    )
    assert peek.returncode != 0
    limits = (proc / "limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6] == [
        "0",
        "0",
    ]
    process.communicate(ask(ACCOUNT, PASSWORD), timeout=60)
    assert process.returncode == 0


@needs_root
def test_starved_of_memory_it_never_says_yes_or_no(setuid: Site) -> None:
    """With too little memory for the hash the answer is "temporary", never "wrong password"."""
    yescrypt = "$y$j9T$f8YfzPiZd9mcqb7TQZcjz/$60JP9s0TMVYeP27JpkkV3hWMI1NiVS5.60nuCFYRe1/"
    setuid.lines(f"{ACCOUNT}:{yescrypt}:")
    assert setuid.check(ACCOUNT, PASSWORD, as_user="nobody") == 0

    def starve() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (12 << 20, 12 << 20))

    assert setuid.check(ACCOUNT, PASSWORD, as_user="nobody", before=starve) == TROUBLE


@needs_root
def test_without_the_set_user_id_bit_shadow_stays_closed(setuid: Site) -> None:
    setuid.program.chmod(0o755)
    try:
        assert setuid.check(ACCOUNT, PASSWORD, as_user="nobody") == TROUBLE
    finally:
        setuid.program.chmod(0o4711)


@needs_root
def test_in_rbin_only_qmaild_reaches_it(setuid: Site) -> None:
    """The design's modes: a folder of the caller's with mode 0500, the program 4711 root in it."""
    caller, other = pwd.getpwnam("daemon"), "nobody"
    rbin = setuid.program.parents[1] / "rbin"
    rbin.mkdir()
    shutil.copy(setuid.program, rbin / "checkpassword")
    (rbin / "checkpassword").chmod(0o4711)
    os.chown(rbin, caller.pw_uid, 0)
    rbin.chmod(0o500)
    inside = Site(rbin / "checkpassword", setuid.config, setuid.database)
    assert stat.S_IMODE(rbin.stat().st_mode) == 0o500
    assert inside.check(ACCOUNT, PASSWORD, as_user="daemon") == 0
    assert inside.check(ACCOUNT, "wrong", as_user="daemon") == REFUSED
    with pytest.raises(PermissionError):
        inside.check(ACCOUNT, PASSWORD, as_user=other)


# --- what has failed ------------------------------------------------------------------------------------------------


@pytest.fixture
def counting(sanitized: Site, tmp_path: Path) -> Site:
    """Two accounts whose passwords take a second to check, and three failures for each address."""
    tmp_path.chmod(0o700)
    slow = crypt(PASSWORD, "-6", "-salt", "rounds=1500000$abcdefgh")
    sanitized.lines(f"{ACCOUNT}:{slow}:19000:0:99999:7:::", f"daemon:{slow}:19000:0:99999:7:::")
    with sanitized.config.open("a") as config:
        config.write(f"failures {tmp_path}/failures\nfailures-per-address 3\nfailures-per-account 5\n")
    return sanitized


def from_(address: str) -> dict[str, str]:
    return {"TCPREMOTEIP": address}


def operate(site: Site, *arguments: str) -> str:
    """Run checkpassword-failures and return what it says."""
    program = site.program.with_name("checkpassword-failures")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=30).stdout


def test_guesses_at_once_are_counted_like_guesses_in_a_row(counting: Site) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: counting.check(ACCOUNT, "wrong", env=from_("192.0.2.1")), range(8)))
    assert sorted(codes) == [REFUSED] * 3 + [TROUBLE] * 5


def test_who_is_locked_out_learns_nothing_and_costs_no_hash(counting: Site) -> None:
    assert [counting.check(ACCOUNT, "wrong", env=from_("192.0.2.1")) for _ in range(3)] == [REFUSED] * 3
    began = time.monotonic()
    done = [counting.run("-", request=ask(ACCOUNT, p), env=from_("192.0.2.1")) for p in ("wrong", PASSWORD)]
    assert time.monotonic() - began < 0.8
    assert [d.returncode for d in done] == [TROUBLE, TROUBLE]
    assert done[0].stderr == done[1].stderr
    assert done[0].stderr == b'checkpassword: locked out: 192.0.2.1: too many failures from there; user "bin"\n'


def test_strangers_lock_nobody_out_where_he_was_right(counting: Site) -> None:
    assert counting.check(ACCOUNT, PASSWORD, env=from_("192.0.2.1")) == 0
    for address in ("192.0.2.1", "198.51.100.1"):
        for _ in range(3):
            assert counting.check("daemon", "wrong", env=from_(address)) in (REFUSED, TROUBLE)
    for address in ("198.51.101.1", "198.51.102.1"):
        for _ in range(3):
            counting.check(ACCOUNT, "wrong", env=from_(address))
    assert counting.check(ACCOUNT, PASSWORD, env=from_("198.51.103.1")) == TROUBLE
    assert counting.check("daemon", PASSWORD, env=from_("192.0.2.1")) == TROUBLE
    assert counting.check(ACCOUNT, PASSWORD, env=from_("192.0.2.1")) == 0


def test_an_operator_sees_and_ends_a_lock(counting: Site) -> None:
    for _ in range(3):
        counting.check(ACCOUNT, "wrong", env=from_("192.0.2.1"))
    assert operate(counting, "show", ACCOUNT, "192.0.2.1") == (
        "bin: 3 of 5 failures\n192.0.2.1: 3 of 3 failures, locked out\n192.0.2.0/24: 3 of 40 failures\n"
    )
    assert counting.check(ACCOUNT, PASSWORD, env=from_("192.0.2.1")) == TROUBLE
    assert "192.0.2.1: 0 of 3" in operate(counting, "forget", "192.0.2.1")
    assert counting.check(ACCOUNT, PASSWORD, env=from_("192.0.2.1")) == 0


def test_an_operator_sees_what_counts_where_somebody_was_right(counting: Site) -> None:
    assert "right there before" not in operate(counting, "show", ACCOUNT, "192.0.2.1")
    assert counting.check(ACCOUNT, PASSWORD, env=from_("192.0.2.1")) == 0
    for number in range(4):
        count = f"bin at 192.0.2.1, right there before: {number} of 3 failures"
        count += ", counted like anybody" if number == 3 else ""
        said = operate(counting, "show", "192.0.2.1", ACCOUNT, "daemon", "192.0.2.2").splitlines()
        assert said[-1] == count
        assert "bin: 0 of 5 failures" in said
        assert sum("right there" in line for line in said) == 1
        if number < 3:
            assert counting.check(ACCOUNT, "wrong", env=from_("192.0.2.1")) == REFUSED
    said = operate(counting, "forget", ACCOUNT, "192.0.2.1").splitlines()
    assert said[-1] == "bin at 192.0.2.1, right there before: 0 of 3 failures"


def test_the_name_of_who_is_locked_out_makes_no_line_of_its_own(counting: Site) -> None:
    name = 'x" \n\x1bcheckpassword: locked out: 203.0.113.9'
    for _ in range(3):
        counting.check(name, "wrong", env=from_("192.0.2.1"))
    done = counting.run("-", request=ask(name, "wrong"), env=from_("192.0.2.1"))
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.count(b'"') == 2
    assert done.stderr.endswith(b'user "x????checkpassword:?locked?out:?203.0.113.9"\n')


def test_a_table_that_may_not_be_trusted_is_a_temporary_problem(counting: Site, tmp_path: Path) -> None:
    (tmp_path / "failures").write_bytes(b"")
    (tmp_path / "failures").chmod(0o666)
    done = counting.run("-", request=ask(ACCOUNT, PASSWORD), env=from_("192.0.2.1"))
    assert done.returncode == TROUBLE
    assert b"writable by group or others" in done.stderr


@needs_root
def test_a_door_counts_but_can_not_touch_the_table(setuid: Site, tmp_path: Path) -> None:
    setuid.program.parents[1].joinpath("failures").unlink(missing_ok=True)
    table = setuid.program.parents[1] / "failures"
    with setuid.config.open("a") as config:
        config.write(f"failures {table}\nfailures-per-address 2\n")
    codes = [setuid.check(ACCOUNT, "wrong", env=from_("192.0.2.1"), as_user="daemon") for _ in range(3)]
    assert codes == [REFUSED, REFUSED, TROUBLE]
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    assert table.stat().st_uid == 0


# --- the build ------------------------------------------------------------------------------------------------------


def test_the_program_is_hardened(installed: Site) -> None:
    def readelf(*options: str) -> str:
        return subprocess.run(
            ["readelf", *options, installed.program], capture_output=True, text=True, check=True
        ).stdout

    assert "DYN (Position-Independent Executable" in readelf("-h")
    assert "GNU_RELRO" in readelf("-lW")
    assert "BIND_NOW" in readelf("-dW") or "NOW" in readelf("-dW")
    assert "RWE" not in readelf("-lW")
    symbols = readelf("--dyn-syms", "-W")
    assert "__stack_chk_fail" in symbols
    assert "_chk@" in symbols or "_chk" in symbols.replace("__stack_chk_fail", "")


def test_install_puts_program_and_manual_below_the_prefix(tmp_path: Path) -> None:
    command = ["make", "-s", f"BUILD={tmp_path}/build", f"DESTDIR={tmp_path}/stage", "PREFIX=/opt/x", "install"]
    subprocess.run(command, cwd=SOURCE, check=True)
    files = sorted(
        str(path.relative_to(tmp_path / "stage")) for path in (tmp_path / "stage").rglob("*") if path.is_file()
    )
    assert files == [
        *(f"opt/x/bin/{name}" for name in ("checkpassword", "checkpassword-failures")),
        *(f"opt/x/share/man/man8/{name}.8" for name in ("checkpassword-failures", "checkpassword")),
    ]
    assert stat.S_IMODE((tmp_path / "stage/opt/x/bin/checkpassword").stat().st_mode) == 0o711


# --- passwords of devices, and mailboxes without an account -----------------------------------------------------------


def cdb(path: Path, records: Mapping[str, str]) -> None:
    """Write a constant database."""
    text = "".join(f"+{len(key)},{len(value)}:{key}->{value}\n" for key, value in records.items()) + "\n"
    subprocess.run(["cdb", "-c", path], input=text.encode(), check=True)
    path.chmod(0o644)


def declare(site: Site, **logins: str) -> Path:
    """Give the site a database of log-ins."""
    path = site.database.parent / "logins.cdb"
    cdb(path, logins)
    with site.config.open("a") as config:
        config.write(f"logins {path}\n")
    return path


def of(mailbox: str, uid: int, home: str = "/") -> str:
    return f"{mailbox}\0{uid}\0{uid}\0{home}\0"


def test_a_device_is_let_in_and_named_in_the_log(site: Site, sha512: str) -> None:
    site.lines(f"{ACCOUNT}:{crypt('own', '-6')}:::::::", f"{ACCOUNT}/phone:{sha512}:::::::")
    done = site.run("-", request=ask(ACCOUNT, PASSWORD), env={"TCPREMOTEIP": "192.0.2.7"})
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"checkpassword: 192.0.2.7: auth: user bin/phone accepted\n"
    done = site.run("-", request=ask(ACCOUNT, "own"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), "his own password is named by the door"
    for name in (f"{ACCOUNT}/phone", f"{ACCOUNT}/", "/phone", "phone"):
        done = site.run("-", request=ask(name, PASSWORD))
        assert (done.returncode, done.stdout, done.stderr) == (REFUSED, b"", b"")


@pytest.mark.parametrize(
    ("fields", "service", "code"),
    [
        pytest.param(":::::::", "", 0, id="all services, none known"),
        pytest.param(":::::::smtp", "smtp", 0, id="the only service"),
        pytest.param(":::::::pop3,smtp", "smtp", 0, id="one of two"),
        pytest.param(":::::::pop3,imap", "smtp", REFUSED, id="neither of two"),
        pytest.param(":::::::smtp", "", REFUSED, id="none known"),
        pytest.param(f"::::::{TODAY + 1}:", "smtp", 0, id="until later"),
        pytest.param(f"::::::{TODAY}:", "smtp", REFUSED, id="until yesterday"),
        pytest.param(f"::::::{TODAY}:smtp", "smtp", REFUSED, id="until yesterday, for the service"),
    ],
)
def test_a_device_has_services_and_an_end(site: Site, sha512: str, fields: str, service: str, code: int) -> None:
    site.lines(f"{ACCOUNT}:!:::::::", f"{ACCOUNT}/phone:{sha512}{fields}")
    assert site.check(ACCOUNT, PASSWORD, env={"AUTHSERVICE": service} if service else {}) == code


def test_nine_passwords_are_tried_and_no_tenth(site: Site, sha512: str) -> None:
    other = crypt("other", "-6", "-salt", "x")
    site.lines(f"{ACCOUNT}:{other}:", *(f"{ACCOUNT}/{i}:{other}:" for i in range(7)), f"{ACCOUNT}/7:{sha512}:")
    assert site.check(ACCOUNT, PASSWORD) == 0
    site.lines(f"{ACCOUNT}:{other}:", *(f"{ACCOUNT}/{i}:{other}:" for i in range(8)), f"{ACCOUNT}/8:{sha512}:")
    assert site.check(ACCOUNT, PASSWORD) == REFUSED


def test_an_unknown_name_takes_as_long_as_one_with_devices(site: Site) -> None:
    """Each hash takes a good while, so that the numbers of them can be told apart."""
    slow = crypt(PASSWORD, "-6", "-salt", "rounds=150000$abcdefgh")
    assert slow.startswith("$6$rounds=150000$")
    site.lines(f"{ACCOUNT}:{slow}:", f"{ACCOUNT}/a:{slow}:", f"{ACCOUNT}/b:{slow}:", f"daemon:{slow}:", "sys:!:")

    def seconds(name: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert site.check(name, "wrong") == REFUSED
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime

    names = (ACCOUNT, "daemon", "sys", "nobody-of-this-name", f"{ACCOUNT}/a")
    # What else the machine does makes a try dearer, and none cheaper: the least of some is what it costs.
    times = dict.fromkeys(names, math.inf)
    for _ in range(12):
        times = {name: min(times[name], seconds(name)) for name in names}
        if max(times.values()) < 1.3 * min(times.values()):
            return
    raise AssertionError(times)


@pytest.mark.parametrize("name", ["info@example.net", "Info@Example.NET", "shop@example.org"])
def test_a_mailbox_needs_no_account_and_is_known_by_each_address(site: Site, sha512: str, name: str) -> None:
    site.lines(f"info@example.net:{sha512}:", f"shop@example.org:{crypt('other', '-6')}:")
    assert site.check(name, PASSWORD) == REFUSED
    keys = ("info@example.net", "shop@example.org")
    declare(site, **dict.fromkeys(keys, of("info@example.net", 200001)))
    assert site.check(name, PASSWORD) == 0
    assert site.check(name, "wrong") == REFUSED
    assert site.check(name, "other") == REFUSED


@pytest.mark.parametrize(
    ("until", "code"),
    [
        (f"until {TODAY + 1}", 0),
        (f"until {TODAY}", 0),
        (f"until {TODAY - 1}", REFUSED),
        ("until 0", REFUSED),
        ("until", TROUBLE),
        ("until x", TROUBLE),
        ("until -1", TROUBLE),
        (f"until {'9' * 30}", TROUBLE),
        (f"{TODAY}", TROUBLE),
        (f"until {TODAY}\0more", TROUBLE),
    ],
)
def test_an_address_is_a_log_in_until_its_last_day(site: Site, sha512: str, until: str, code: int) -> None:
    site.lines(f"carol:{sha512}:")
    declare(site, **{"carol": of("carol", 200001), "shop7@example.org": of("carol", 200001) + f"{until}\0"})
    assert site.check("shop7@example.org", PASSWORD) == code
    assert site.check("carol", PASSWORD) == 0


def test_the_log_ins_have_a_place_that_needs_no_line(site: Site, sha512: str) -> None:
    """So that a configuration is one for the version before, too."""
    site.lines(f"carol:{sha512}:")
    users = site.database.parent / "users"
    assert site.check("carol", PASSWORD) == REFUSED, "not even the directory is there"
    users.mkdir()
    try:
        assert site.check("carol", PASSWORD) == REFUSED
        cdb(users / "logins.cdb", {"carol": of("carol", 200001)})
        assert site.check("carol", PASSWORD) == 0
        users.chmod(0o777)
        assert site.check("carol", PASSWORD) == TROUBLE
    finally:
        shutil.rmtree(users)


def test_names_that_are_not_declared_are_accounts_as_ever(site: Site) -> None:
    path = declare(site, carol=of("carol", 200001))
    assert site.check(ACCOUNT, PASSWORD) == 0
    path.unlink()
    assert site.check(ACCOUNT, PASSWORD) == 0


@pytest.mark.parametrize("value", [of(ACCOUNT, 0), f"{ACCOUNT}\0{200001}\0", of(f"{ACCOUNT}/phone", 200001), "x"])
def test_a_log_in_that_makes_no_sense_is_a_temporary_problem(site: Site, value: str) -> None:
    path = declare(site, **{ACCOUNT: value})
    done = site.run("-", request=ask(ACCOUNT, PASSWORD))
    assert (done.returncode, str(path).encode() in done.stderr) == (TROUBLE, True)


def test_log_ins_that_others_may_write_are_refused(site: Site) -> None:
    path = declare(site, **{ACCOUNT: of(ACCOUNT, 200001)})
    path.chmod(0o666)
    done = site.run("-", request=ask(ACCOUNT, PASSWORD))
    assert (done.returncode, f"{path}: writable by".encode() in done.stderr) == (TROUBLE, True)
    path.unlink()
    path.symlink_to("/etc/passwd")
    try:
        done = site.run("-", request=ask(ACCOUNT, PASSWORD))
        assert (done.returncode, b"symbolic link" in done.stderr) == (TROUBLE, True)
    finally:
        path.unlink()


# Somebody who is in a further group, where the host has anybody who is.
MEMBER = next((name for group in grp.getgrall() for name in group.gr_mem), ACCOUNT)


@needs_root
@pytest.mark.parametrize("name", ["info@example.net", ACCOUNT, MEMBER])
def test_the_program_runs_as_the_mailbox(setuid: Site, sha512: str, tmp_path: Path, name: str) -> None:
    """Alone in its group, also where an account of the system has its name; and no account's where the uid differs."""
    home = Path(tempfile.mkdtemp(dir=setuid.database.parent))
    home.chmod(0o755)
    setuid.lines(f"{name}:{sha512}:")
    declare(setuid, **{"any@example.org": of(name, 200001, str(home))})
    shows = "import os;print(os.getresuid(),os.getresgid(),os.getgroups(),os.getcwd(),os.environ)"
    done = setuid.run(
        "/usr/bin/python3", "-IS", "-c", shows, request=ask("any@example.org", PASSWORD), as_user="nobody"
    )
    assert done.returncode == 0, done.stderr
    ids = "(200001, 200001, 200001)"
    assert done.stdout.decode().startswith(f"{ids} {ids} [200001] {home} ")
    for part in (f"'USER': '{name}'", f"'HOME': '{home}'", "'SHELL': '/usr/sbin/nologin'"):
        assert part in done.stdout.decode()


@needs_root
def test_a_mailbox_that_is_an_account_has_its_groups(setuid: Site, sha512: str) -> None:
    setuid.lines(f"{ACCOUNT}:{sha512}:")
    declare(setuid, **{"any@example.org": of(ACCOUNT, 2, "/nowhere")})
    done = setuid.run("/usr/bin/pwd", request=ask("any@example.org", PASSWORD), as_user="nobody")
    assert (done.returncode, done.stdout.decode().strip()) == (0, str(Path("/bin").resolve()))


@needs_root
def test_guesses_count_for_the_mailbox_whatever_the_address(site: Site, sha512: str) -> None:
    site.lines(f"carol:{sha512}:")
    declare(site, **{name: of("carol", 200001) for name in ("carol", "a@example.org", "b@example.org")})
    with site.config.open("a") as config:
        config.write(f"failures {site.database.parent}/failures-of-mailbox\nfailures-per-account 2\n")
    assert site.check("a@example.org", "wrong") == REFUSED
    assert site.check("b@example.org", "wrong") == REFUSED
    assert site.check("carol", PASSWORD) == TROUBLE
