"""A message as it is on the wire, and what of it is hashed (RFC 6376 section 3.4)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

CHUNK = 1 << 16  # bytes that are read at a time
LINE = 998  # bytes of a line, RFC 5321 section 4.5.3.1.6
STRAY = bytes.maketrans(b"\r\0", b"  ")
BLANKS = re.compile(rb"[ \t]+")

Sink = Callable[[bytes], object]


def pieces(fd: int, offset: int = 0) -> Iterator[bytes]:
    """Give a file's bytes from an offset on, in pieces."""
    while piece := os.pread(fd, CHUNK, offset):
        yield piece
        offset += len(piece)


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give stored bytes with CR LF for each LF, and all else as it is: what a message was when it came."""
    last = b"\n"
    for chunk in chunks:
        if chunk:
            last = chunk[-1:]
            yield chunk.replace(b"\n", b"\r\n")
    if last != b"\n":
        yield b"\r\n"


def broken(line: bytes) -> list[bytes]:
    """Give a line as the lines that qmail-remote makes of it."""
    rest = range(LINE, len(line), LINE - 1)
    return [line[:LINE], *(b" " + line[start : start + LINE - 1] for start in rest)]


def wire(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give stored bytes as qmail-remote(8) will send them, without the dots: see src/qmail/remote/encode.h.

    A signature is over this, since it is what arrives.
    """
    rest = b""  # of the line that has not ended
    held = False  # a CR, of which the next byte decides what it means
    for each in chunks:
        chunk = b"\r" + each if held else each
        held = chunk.endswith(b"\r")
        if held:
            chunk = chunk[:-1]
        lines = (rest + chunk.replace(b"\r\n", b"\n").translate(STRAY)).split(b"\n")
        if max(map(len, lines)) > LINE:
            *done, last = lines
            lines = [part for line in done for part in (broken(line) if len(line) > LINE else [line])]
            lines += broken(last) if len(last) > LINE else [last]
        rest = lines.pop()
        if lines:
            lines.append(b"")
            yield b"\r\n".join(lines)
    if held:
        rest += b" "
    if rest:
        yield b"\r\n".join([*broken(rest), b""])


class Body:
    """A body on its way into a hash: `simple` (section 3.4.3), or `relaxed` (3.4.4). `size` counts what came out."""

    def __init__(self, sink: Sink, *, relaxed: bool) -> None:
        """Give what is made of the body to this sink."""
        self.sink = sink
        self.relaxed = relaxed
        self.size = 0
        self.tail = b""  # a blank or a CR whose meaning the next byte decides
        self.empty_lines = 0  # that count only if something follows

    def put(self, data: bytes) -> None:
        """Give it to the sink."""
        self.size += len(data)
        self.sink(data)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, with CR LF where a line ends."""
        data = self.tail + chunk
        if self.relaxed:
            if b"\t" in data or b"  " in data:
                data = BLANKS.sub(b" ", data)
            data = data.replace(b" \r\n", b"\r\n")
        cut = len(data)
        if data.endswith(b"\r"):
            cut -= 1
        if self.relaxed and data[:cut].endswith(b" "):
            cut -= 1
        self.tail, data = data[cut:], data[:cut]
        content = len(data.rstrip(b"\r\n"))
        ends = (len(data) - content) // 2
        if data[content:] != b"\r\n" * ends:  # stray ones are content
            ends = 0
            while data.endswith(b"\r\n", 0, len(data) - 2 * ends):
                ends += 1
            content = len(data) - 2 * ends
        if content:
            self.put(b"\r\n" * self.empty_lines + data[:content])
            self.empty_lines = 0
        self.empty_lines += ends

    def end(self) -> None:
        """Take note that the body has ended, after the end of a line."""
        if self.tail:
            self.feed(b"\r\n")
        if self.size or not self.relaxed:
            self.put(b"\r\n")


class Message:
    """A message that has been read up to its body: the fields, as they stand there, each with its folds and CR LF."""

    def __init__(self, chunks: Iterator[bytes], most: int) -> None:
        """Read at most so many bytes of header from pieces with CR LF; of one that is longer it is not `whole`."""
        start = b"\r\n"  # so that a message without a header is no other case
        end = -1
        for chunk in chunks:
            searched = max(0, len(start) - 3)
            start += chunk
            end = start.find(b"\r\n\r\n", searched)
            if end >= 0 or len(start) > most + 2:
                break
        self.whole = len(start) <= most + 2 if end < 0 else end <= most
        if not self.whole:
            end = start.rfind(b"\r\n", 0, most + 2)
        self.fields = fields_of(start[2:] if end < 0 else start[2 : end + 2])
        self.body = chain([b"" if end < 0 else start[end + 4 :]], chunks)

    def named(self, name: bytes) -> list[bytes]:
        """Give the fields of this name, first to last."""
        return [field for field in self.fields if name_of(field) == name]


def name_of(field: bytes) -> bytes:
    """Give a field's name in lower case; none for a line that is no field. A NUL becomes a blank on its way out."""
    name, colon, _ = field.partition(b":")
    return name.rstrip(b" \t\0").lower() if colon else b""


def value_of(field: bytes) -> bytes:
    """Give what stands behind the name, unfolded and without blanks at its ends."""
    return field.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")


def fields_of(header: bytes) -> list[bytes]:
    """Give the fields of a header that has CR LF at each line's end."""
    fields: list[bytes] = []
    start = 0
    while start < len(header):
        end = header.find(b"\r\n", start)
        end = len(header) if end < 0 else end + 2
        while header[end : end + 1] in (b" ", b"\t"):
            more = header.find(b"\r\n", end)
            end = len(header) if more < 0 else more + 2
        fields.append(header[start:end])
        start = end
    return fields


def relaxed_field(field: bytes) -> bytes:
    """Give a field in relaxed form (RFC 6376 section 3.4.2), with CR LF."""
    name, _, value = field.partition(b":")
    value = BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.rstrip(b" \t").lower() + b":" + value + b"\r\n"
