#!/usr/bin/python3 -IS
"""pido PIDFILE PROGRAM [ARGUMENT...]: record this process's identity, then become PROGRAM.

The pid of any stage of a pipeline is known that way, since executing a program keeps the pid. PIDFILE gets one line,
the pid. Beside it a second file, PIDFILE with .start in place of .pid, gets "PID STARTTICKS", the second number being
the start time of the process as in field 22 of /proc/PID/stat (proc(5)): who signals a recorded pid can see first
whether it is still the same process. Each is written whole and renamed into place, .start first, so a reader never sees
half a file, and never a pid without its start time.
"""

from __future__ import annotations

import posix
import sys

# The built-in module below signal, which would cost 6 ms of start-up; likewise for typing, 10 ms.
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MISUSED = 100
TROUBLE = 111


def leave(code: int, message: str) -> NoReturn:
    """Say what is wrong on descriptor 2 and end."""
    posix.write(2, b"pido: " + message.encode(errors="surrogateescape") + b"\n")
    posix._exit(code)


def read(path: str) -> bytes:
    """Return a file of /proc as it is now."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        posix.close(fd)


def start_ticks(stat: bytes) -> int:
    """Return field 22 of a /proc/PID/stat line; field 2, the name, is in parentheses and may hold anything."""
    return int(stat[stat.rindex(b")") + 1 :].split()[22 - 3])


def start_file(pidfile: str) -> str:
    """Return the name of the file beside PIDFILE."""
    return pidfile.removesuffix(".pid") + ".start"


def replace(path: str, line: str) -> None:
    """Make `path` a file of this one line, by renaming: links in its place are replaced, not followed."""
    temporary = f"{path}.{posix.getpid()}.new"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
    fd = posix.open(temporary, flags, 0o644)
    try:
        posix.fchmod(fd, 0o644)
        posix.write(fd, f"{line}\n".encode())
        posix.close(fd)
        posix.rename(temporary, path)
    except OSError:
        posix.unlink(temporary)
        raise


def environment() -> dict[bytes, bytes]:
    """Return the environment as we were given it: Python adds LC_CTYPE to one that has no locale."""
    given = read("/proc/self/environ").split(b"\0")
    return {
        name: value
        for name, value in posix.environ.items()  # bytes: posix.environ is what os.environ is made from
        if name != b"LC_CTYPE" or b"LC_CTYPE=" + value in given
    }


def candidates(program: str, path: str) -> list[str]:
    """Return the places where `program` may be: itself if it has a slash, or else in each folder of PATH."""
    if "/" in program:
        return [program]
    return [f"{folder or '.'}/{program}" for folder in path.split(":")]


def execute(program: str, arguments: list[str]) -> OSError:
    """Become the program; return why that failed."""
    # Python ignores these two, and what is ignored stays ignored across an exec.
    signal(SIGPIPE, SIG_DFL)
    signal(SIGXFSZ, SIG_DFL)
    env = environment()
    failure = FileNotFoundError(2, "No such file or directory")
    first: OSError | None = None
    for candidate in candidates(program, env.get(b"PATH", b"/bin:/usr/bin").decode(errors="surrogateescape")):
        try:
            posix.execve(candidate, [program, *arguments], env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            first = first or error
    return first or failure


def main(arguments: list[str]) -> NoReturn:
    """Do it."""
    if len(arguments) < 2 or not arguments[0]:
        leave(MISUSED, "usage: pido PIDFILE PROGRAM [ARGUMENT...]")
    pidfile, program = arguments[:2]
    pid = posix.getpid()
    written = []
    try:
        for path, line in (
            (start_file(pidfile), f"{pid} {start_ticks(read('/proc/self/stat'))}"),
            (pidfile, f"{pid}"),
        ):
            replace(path, line)
            written.append(path)
        failure = f"{program}: {execute(program, arguments[2:]).strerror}"
    except OSError as error:
        failure = f"{error.filename}: {error.strerror}"
    # There will be no process for them to name.
    for path in reversed(written):
        posix.unlink(path)
    leave(TROUBLE, failure)


if __name__ == "__main__":
    main(sys.argv[1:])
