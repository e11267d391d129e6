"""What is scanned of a message above the limit, and that all of it goes on."""

from __future__ import annotations

import base64
import email
import email.message
import email.policy
import quopri
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from running import MESSAGE, Result, run, status

MARK = b"Here is what must be found."
LINE = b"a line of a large message\n"


def scanned(tmp_path: Path, size: int, message: bytes, *options: str) -> tuple[Result, bytes]:
    """Give what becomes of a message, and what the scanner was given."""
    seen = tmp_path / "seen"
    verdict = status("0", spam=False)
    result = run(
        "-s", str(size), *options, "sh", "-c", f"cat >{seen}; printf '%s' \"$0\"; exit 0", verdict, message=message
    )
    assert result.code == 0, result
    assert result.out.startswith(verdict.encode())
    return result, seen.read_bytes()


def parts(message: bytes) -> list[bytes]:
    """Give the decoded text of each leaf of a message."""
    leaves = []
    for part in email.message_from_bytes(message, policy=email.policy.compat32).walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            leaves.append(payload)
    return leaves


def test_a_message_of_exactly_the_limit_is_scanned_as_it_is(tmp_path: Path) -> None:
    result, seen = scanned(tmp_path, len(MESSAGE), MESSAGE)
    assert seen == MESSAGE
    assert b"X-Spam-Scanned" not in result.out


@pytest.mark.parametrize("where", [[], ["-d"]], ids=["memory", "directory"])
def test_a_large_message_goes_on_whole_with_its_forged_fields_gone(tmp_path: Path, where: list[str]) -> None:
    head = b"X-Spam-Flag: YES\nSubject: x\nX-Long: " + b"y" * 3000 + b"\nX-Spam-Status: No, score=0 required=5\n\n"
    body = b"line %d of a large message\n" * 40000
    result, seen = scanned(tmp_path, 2000, head + body, *where, *[str(tmp_path)] * len(where))
    wanted = b"Subject: x\nX-Long: " + b"y" * 3000 + b"\n\n" + body
    said = b"X-Spam-Scanned: 2000 of %d bytes, the first and the last\n" % len(wanted)
    assert result.out == status("0", spam=False).encode() + said + wanted
    assert result.note.endswith(f" rules=AA,BB scanned=2000/{len(wanted)}\n")
    assert b"X-Spam" not in seen
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["seen", *(["slots"] if where else [])])


def test_a_large_message_can_be_red(scanner: Path) -> None:
    result = run("-s", "2000", str(scanner), "1", status("99", spam=True), message=MESSAGE + LINE * 1000)
    assert (result.code, result.out) == (1, b"")


def test_a_large_yellow_message_gets_its_prefix(scanner: Path) -> None:
    fields = status("5.0", spam=True)
    result = run("-s", "2000", "-p", "[SPAM] ", str(scanner), "1", fields, message=MESSAGE + LINE * 1000)
    assert result.out.endswith((MESSAGE + LINE * 1000).replace(b"hello", b"[SPAM] hello"))


@pytest.mark.parametrize(("size", "head", "tail"), [(20000, 900, 900), (400000, 30000, 4000)])
def test_plain_text_is_cut_at_lines(tmp_path: Path, size: int, head: int, tail: int) -> None:
    lines = [b"line %d\n" % number for number in range(100000)]
    _, seen = scanned(tmp_path, size, b"Subject: x\nX-Other: y\n\n" + b"".join(lines))
    assert len(seen) <= size + 500
    assert seen.startswith(b"Subject: x\nX-Other: y\n")
    first, last = (part.splitlines(keepends=True) for part in parts(seen))
    assert first == lines[: len(first)]
    # The reader takes the last line's end for the multipart's.
    assert b"".join(last) + b"\n" == b"".join(lines[-len(last) :])
    assert len(first) > head
    assert len(last) > tail
    # As much as SpamAssassin looks at.
    assert len(b"".join(last)) < 50000


def test_the_boundary_is_another_each_time(tmp_path: Path) -> None:
    message = b"Subject: x\n\n" + LINE * 1000
    assert scanned(tmp_path, 2000, message)[1] != scanned(tmp_path, 2000, message)[1]


@pytest.mark.parametrize("width", [76, 75, 61, 10000000], ids=["76", "75", "61", "one line"])
@pytest.mark.parametrize("size", [20000, 20001, 20002, 20003])
def test_base64_of_one_part_is_read_on_behind_the_cut(tmp_path: Path, width: int, size: int) -> None:
    text = base64.b64encode(b"".join(b"%08d " % number for number in range(30000)) + MARK)
    lines = b"\n".join(text[at : at + width] for at in range(0, len(text), width))
    fields = b"Content-type: text/html;\n charset=utf-8\ncontent-transfer-encoding: BASE64\n"
    _, seen = scanned(tmp_path, size, b"Subject: x\n" + fields + b"\n" + lines + b"\n")
    first, last = parts(seen)
    assert seen.count(fields) == 2
    assert first.startswith(b"00000000 00000001 ")
    assert last.endswith(b"00029999 " + MARK)
    assert b"00029990 00029991 " in last


def nested(last: bytes) -> bytes:
    """Give a message of some multiparts within each other; what is in last is at its end."""
    filler = b"--inner\nContent-Type: text/plain\n\n" + LINE * 2000
    return (
        b'Subject: x\nMIME-Version: 1.0\nContent-Type: MULTIPART/mixed;\n boundary="o u:ter"\n\npreamble\n'
        b"--o u:ter\nContent-Type: text/plain\n\n" + LINE * 2000 + b"--o u:ter\n"
        b"Content-Type: multipart/related; Boundary=outer2; x=y\n\n--outer2\n"
        b"Content-Type: multipart/alternative; boundary=inner\n\n" + filler * 3 + last + b"--o u:ter--\n"
    )


def encoded(text: bytes, how: str) -> bytes:
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "base64": base64.encodebytes,
        "quoted-printable": quopri.encodestring,
        "8bit": bytes,
    }
    body = encoders[how](text)
    return b"Content-Type: text/html\nContent-Transfer-Encoding: %s\n\n" % how.encode() + body


@pytest.mark.parametrize("how", ["base64", "quoted-printable", "8bit"])
@pytest.mark.parametrize("long", [10, 3000], ids=["whole part", "cut part"])
def test_the_last_part_is_decoded_wherever_it_is(tmp_path: Path, how: str, long: int) -> None:
    text = b"<b>x = y</b>\n" * long + MARK + b"\n"
    for last in (
        b"--inner\n" + encoded(text, how) + b"\n--inner--\n--outer2--\n",
        b"--inner--\n--outer2\n" + encoded(text, how) + b"\n--outer2--\n",
        b"--inner--\n--outer2--\n--o u:ter\n" + encoded(text, how),
    ):
        _, seen = scanned(tmp_path, 20000, nested(last))
        got = parts(seen)
        assert got[0].startswith(LINE)
        assert sum(MARK in part for part in got) == 1
        assert any(part.count(b"<b>x = y</b>\n") > min(long, 500) // 2 for part in got if MARK in part)


def test_a_part_behind_the_beginning_of_the_end_is_a_part(tmp_path: Path) -> None:
    last = b"--inner\n\n" + LINE * 20 + b"--inner\n" + encoded(MARK, "base64") + b"\n--inner--\n--outer2--\n"
    _, seen = scanned(tmp_path, 20000, nested(last))
    assert parts(seen)[-1].strip() == MARK


def test_text_behind_the_last_boundary_is_read(tmp_path: Path) -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b--\n"
    _, seen = scanned(tmp_path, 20000, head + LINE * 10000 + MARK + b"\n")
    assert seen.startswith(head)
    assert seen.endswith(MARK + b"\n")


def test_a_header_longer_than_the_limit_leaves_the_end_to_be_read(tmp_path: Path) -> None:
    message = b"Subject: x\n" + b"X-A: y\n" * 10000 + b"\n" + LINE * 10000 + MARK + b"\n"
    _, seen = scanned(tmp_path, 20000, message)
    (got,) = parts(seen)
    assert got.startswith(LINE)
    assert got.endswith(MARK + b"\n")


def test_any_bytes_are_taken(tmp_path: Path) -> None:
    chosen = random.Random(7)  # noqa: S311 (nothing secret)
    words = [
        b"\n",
        b"\r\n",
        b"--b",
        b"--b--",
        b"--",
        b"Content-Type: multipart/x; boundary=b",
        b'boundary="',
        b"\0",
        b"x" * 90,
    ]
    words += [
        b"Content-Transfer-Encoding: base64",
        b"QUJD",
        b"=",
        b" ",
        b"\n\n",
        b"Content-Type: multipart/y; boundary=bb",
    ]
    for _ in range(60):
        message = b"".join(chosen.choices(words, k=3000))
        result, seen = scanned(tmp_path, 4000, message)
        assert result.out.endswith(message)
        assert len(seen) < 4000 + 20000
