"""pido as its callers run it: a real process, its files, and the program it becomes."""

from __future__ import annotations

import shutil
import stat
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

PIDO = Path(__file__).resolve().parents[1] / "pido.py"
MISUSED, TROUBLE = 100, 111


def run(
    *arguments: str | Path, env: Mapping[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run pido with the system's interpreter and no environment but PATH."""
    command: list[str] = ["/usr/bin/python3", "-IS", str(PIDO), *map(str, arguments)]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, capture_output=True, text=True, timeout=30, env={"PATH": "/usr/bin:/bin", **(env or {})}, **options
    )


def test_the_program_has_the_recorded_pid_and_start_time(tmp_path: Path) -> None:
    done = run(tmp_path / "x.pid", "sh", "-c", "echo $$; cat /proc/$$/stat")
    pid, process = done.stdout.splitlines()
    ticks = process.rpartition(")")[2].split()[19]
    assert (tmp_path / "x.pid").read_text() == f"{pid}\n"
    assert (tmp_path / "x.start").read_text() == f"{pid} {ticks}\n"


def test_a_name_with_blanks_and_parentheses_does_not_confuse_the_start_time(tmp_path: Path) -> None:
    odd = tmp_path / "py) 1 (x"
    odd.symlink_to("/usr/bin/python3")
    command: list[str | Path] = [odd, "-IS", PIDO, tmp_path / "x.pid", "sh", "-c", "cut -d' ' -f22 /proc/$$/stat"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert (tmp_path / "x.start").read_text().split()[1] == done.stdout.strip()


def test_a_pidfile_of_another_name_gets_its_suffix(tmp_path: Path) -> None:
    run(tmp_path / "daemon", "true")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daemon", "daemon.start"]


def test_the_files_can_be_read_by_all_whatever_the_umask(tmp_path: Path) -> None:
    run(tmp_path / "x.pid", "true", umask=0o777)
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o644, 0o644]


def test_exit_code_arguments_and_environment_are_the_programs(tmp_path: Path) -> None:
    done = run(tmp_path / "x.pid", "sh", "-c", 'printf "%s|" "$@"; exit 7', "sh", "a  b", "", "ü")
    assert (done.returncode, done.stdout) == (7, "a  b||ü|")


@pytest.mark.parametrize("env", [{}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}, {"PYTHONPATH": "/x", "X": "a=b"}])
def test_the_environment_passes_through_unchanged(tmp_path: Path, env: Mapping[str, str]) -> None:
    done = run(tmp_path / "x.pid", "/usr/bin/env", env=env)
    assert sorted(done.stdout.splitlines()) == sorted(f"{k}={v}" for k, v in {"PATH": "/usr/bin:/bin", **env}.items())


def test_descriptors_pass_through(tmp_path: Path) -> None:
    with (tmp_path / "inherited").open("w") as inherited:
        fd = inherited.fileno()
        script = f"echo hello >/proc/self/fd/{fd}; ls /proc/$$/fd"
        done = run(tmp_path / "x.pid", "sh", "-c", script, pass_fds=[fd])
    assert (tmp_path / "inherited").read_text() == "hello\n"
    assert {int(number) for number in done.stdout.split()} == {0, 1, 2, fd}


def test_no_signal_is_ignored_that_was_not(tmp_path: Path) -> None:
    done = run(tmp_path / "x.pid", "grep", "SigIgn", "/proc/self/status", restore_signals=True)
    assert int(done.stdout.split()[1], 16) == 0


@pytest.mark.parametrize("arguments", [[], ["x.pid"], ["", "true"]])
def test_too_few_arguments_are_misuse(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, "usage: pido PIDFILE" in done.stderr) == (MISUSED, True)


@pytest.mark.parametrize("program", ["/nonexistent/program", "no-such-program", "/etc/passwd", "/"])
def test_a_program_that_cannot_run_leaves_no_files(tmp_path: Path, program: str) -> None:
    done = run(tmp_path / "x.pid", program)
    assert (done.returncode, done.stdout) == (TROUBLE, "")
    assert done.stderr.startswith(f"pido: {program}: ")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "none" / "x.pid", "touch", tmp_path / "ran")
    assert (done.returncode, f"{tmp_path}/none/x." in done.stderr) == (TROUBLE, True)
    assert not (tmp_path / "ran").exists()


def test_a_folder_in_the_place_of_the_file_runs_nothing_and_stays_clean(tmp_path: Path) -> None:
    (tmp_path / "x.pid").mkdir()
    done = run(tmp_path / "x.pid", "touch", tmp_path / "ran")
    assert done.returncode == TROUBLE
    assert [path.name for path in tmp_path.iterdir()] == ["x.pid"]


def test_links_are_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "x.pid").symlink_to(victim)
    (tmp_path / "x.start").symlink_to(victim)
    run(tmp_path / "x.pid", "true")
    assert victim.read_text() == "precious\n"
    assert not (tmp_path / "x.pid").is_symlink()


def test_a_reader_never_sees_half_a_file_nor_a_pid_without_its_start(tmp_path: Path) -> None:
    """Poll while pido starts again and again: each pid that is read has had its .start written before."""
    seen: list[str] = []
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            try:
                pid = (tmp_path / "x.pid").read_text()
                start = (tmp_path / "x.start").read_text()
            except FileNotFoundError:
                continue
            # .start may be of a later process by now, never of an earlier one.
            if not (pid.endswith("\n") and int(start.split()[0]) >= int(pid)):
                seen.append(f"{pid!r} {start!r}")

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for _ in range(40):
            run(tmp_path / "x.pid", "true")
    finally:
        stop.set()
        reader.join()
    assert seen == []


def test_the_first_program_in_path_that_can_run_is_taken(tmp_path: Path) -> None:
    for name, mode in (("one", 0o644), ("two", 0o755)):
        (tmp_path / name).mkdir()
        shutil.copy("/bin/sh", tmp_path / name / "prog")
        (tmp_path / name / "prog").chmod(mode)
    env = {"PATH": f"{tmp_path}/none:{tmp_path}/one:{tmp_path}/two"}
    assert run(tmp_path / "x.pid", "prog", "-c", "echo ran", env=env).stdout == "ran\n"
