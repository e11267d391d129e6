"""The filter list: one command a line.

    # comment
    limit=60 /usr/local/bin/a-filter --option "an argument with blanks"

A line is words, separated by blanks and tabs. Single or double quotes keep blanks in a word; nothing else is special:
no shell reads the line, nothing is expanded. Words before the first one that begins with a slash are settings,
NAME=VALUE. The word with the slash is the program, the others are its arguments.

    module=mailauth name=mail.example.org

A line that begins so is a module: what hi-q does by itself before any filter is started. Other words are its options.
"""

from __future__ import annotations

import posix

FILE_MAX = 65536  # bytes
FILTERS_MAX = 32
MODULES = ("mailauth",)
LIMIT_DEFAULT = 300  # seconds
LIMIT_MAX = 86400

S_IFMT, S_IFREG, OTHERS_WRITE = 0o170000, 0o100000, 0o022


class ListError(Exception):
    """The list can't be used: one sentence that names the file and, where there is one, the line."""


class Filter:
    """One filter: its command, and how many seconds it may take once it has the whole message. Or a module."""

    __slots__ = ("argv", "limit", "line", "module")

    def __init__(self, argv: list[str], limit: int, line: int, module: str = "") -> None:
        """Keep what was parsed from the list's line of number `line`."""
        self.argv = argv
        self.limit = limit
        self.line = line
        self.module = module

    def __str__(self) -> str:
        """Return the command as the list has it, quotes where they are needed."""
        words = " ".join(quote(word) for word in self.argv)
        return f"module={self.module} {words}".rstrip() if self.module else words


def quote(word: str) -> str:
    """Return `word` so that `split` reads it back; it must not hold both kinds of quotes."""
    if word and not any(character in " \t'\"" for character in word):
        return word
    return f"'{word}'" if "'" not in word else f'"{word}"'


def split(line: str) -> list[str]:
    """Return the words of a line. Raises ValueError for a quote without its end and for control characters."""
    words: list[str] = []
    word: str | None = None  # None between words: '' is a word too
    end = ""
    for character in line:
        if (character < " " and character != "\t") or character == "\x7f":
            raise ValueError("holds a control character")
        if end:
            if character == end:
                end = ""
            else:
                word = (word or "") + character
        elif character in "'\"":
            end = character
            word = word or ""
        elif character in " \t":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    if end:
        raise ValueError(f"has a {end} without its end")
    if word is not None:
        words.append(word)
    return words


def parse_command(words: list[str], line: int) -> Filter:
    """Return the filter that these words are. Raises ValueError with what would follow the line's number."""
    limit: int | None = None
    if words[0].startswith("module="):
        module = words[0].partition("=")[2]
        if module not in MODULES:
            raise ValueError(f"{module!r} is not a module (there is: {', '.join(MODULES)})")
        return Filter(words[1:], LIMIT_DEFAULT, line, module)
    for number, word in enumerate(words):
        if word.startswith("/"):
            return Filter(words[number:], LIMIT_DEFAULT if limit is None else limit, line)
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is not a program's absolute path, nor a setting (limit=SECONDS) before one")
        if name != "limit":
            raise ValueError(f"{name!r} is not a setting (there is: limit=SECONDS)")
        if limit is not None:
            raise ValueError("sets limit twice")
        if not (value.isascii() and value.isdigit() and len(value) < 6 and 1 <= int(value) <= LIMIT_MAX):
            raise ValueError(f"limit={value} is not a number of seconds from 1 to {LIMIT_MAX}")
        limit = int(value)
    raise ValueError("names no program")


def parse(text: bytes, name: str = "filters") -> list[Filter]:
    """Return the list's filters in their order. Total: any bytes give filters or a ListError."""
    if len(text) > FILE_MAX:
        raise ListError(f"{name}: longer than {FILE_MAX} bytes")
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as error:
        number = text.count(b"\n", 0, error.start) + 1
        raise ListError(f"{name}:{number}: is not UTF-8") from None
    filters = []
    for number, line in enumerate(lines, 1):
        try:
            words = [] if line.lstrip(" \t").startswith("#") else split(line)
            if words:
                filters.append(parse_command(words, number))
        except ValueError as error:
            raise ListError(f"{name}:{number}: {error}") from None
    if len(filters) > FILTERS_MAX:
        raise ListError(f"{name}: {len(filters)} filters; there may be {FILTERS_MAX}")
    return filters


def load(path: str) -> list[Filter]:
    """Return the filters of a file that only root and we may write. Raises ListError, also if there is no file."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC)
        try:
            status = posix.fstat(fd)
            if status.st_mode & S_IFMT != S_IFREG:
                raise ListError(f"{path}: not a regular file")
            if status.st_uid not in (0, posix.geteuid()):
                raise ListError(f"{path}: must belong to root")
            if status.st_mode & OTHERS_WRITE:
                raise ListError(f"{path}: writable by group or others (chmod go-w mends it)")
            text = b""
            while len(text) <= FILE_MAX and (chunk := posix.read(fd, FILE_MAX + 1)):
                text += chunk
        finally:
            posix.close(fd)
    except OSError as error:
        raise ListError(f"{path}: {error.strerror}") from None
    return parse(text, path)
