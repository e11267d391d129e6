#!/usr/bin/python3 -IS
"""qmail-vacation: answers who writes to somebody who is away, as RFC 3834 has it; a program for .qmail files.

The message is on descriptor 0, its sender in SENDER. Whatever happens the exit code is 0, since the mail is to be
delivered all the same: no trouble here may keep it.
"""

from __future__ import annotations

import binascii
import fcntl
import json
import os
import re
import sys
import time
from dataclasses import dataclass

HOME = "/var/qmail"
HEADER_MOST = 256 << 10  # bytes of a header; nobody writes a longer one by hand
WEEK = 7 * 24 * 3600
DAY = 24 * 3600
ANSWERS_A_DAY = 100  # whoever writes, and however many they are
STATE_MOST = 4 << 20  # bytes
LOCK_WAIT = 10  # seconds
ADDRESS_MOST = 256  # RFC 5321 section 4.5.3.1.3
SUBJECT_MOST = 200
IDS_MOST = 20  # in References
MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"

# Names that programs write under: RFC 3834 section 2, and those that are usual besides.
ROBOTS = re.compile(
    r"(?:owner-.*|.*-owner|.*-owner-.*|.*-request|.*-bounces?|bounces?[-+=].*|bounces?|.*-errors?|.*-relay"
    r"|mailer[-_.]?daemon|postmaster|listserv|majordomo|mailman|nobody|root|www-data"
    r"|(?:do[-_.]?)?not?[-_.]?reply.*|.*[-_.]no[-_.]?reply|srs[01][-+=].*|prvs=.*)",
    re.IGNORECASE | re.DOTALL,
)
LISTS = ("list-id", "list-post", "list-help", "list-unsubscribe", "list-subscribe", "list-owner", "list-archive")
ADDRESSED = ("to", "cc", "resent-to", "resent-cc")
_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

Header = dict[str, list[str]]


class Silence(Exception):  # noqa: N818 - it is no error
    """No answer is due; the reason is for the log."""


@dataclass(frozen=True)
class Vacation:
    """What is declared. Days since 1970 in UTC; the first and the last count."""

    addresses: tuple[str, ...]  # in small letters
    text: str
    state: str
    subject: str | None = None
    first: int | None = None
    last: int | None = None


def read_vacation(content: str) -> Vacation:
    """Read the declaration. ValueError, with a sentence, where it is none."""

    def take(name: str, *, must: bool = False) -> str | None:
        value = found.get(name)
        if (value is None and must) or not isinstance(value, str | None):
            raise ValueError(f"its {name} is no text")
        return value

    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("it is no mapping")
    addresses = found.get("addresses")
    if not isinstance(addresses, list) or not addresses or not all(isinstance(each, str) for each in addresses):
        raise ValueError("its addresses are no list of texts")
    if not all(is_plain(each) for each in addresses):
        raise ValueError("one of its addresses is none")
    text, state = take("text", must=True) or "", take("state", must=True) or ""
    days = [read_day(found.get("from")), read_day(found.get("until"))]
    if not state.startswith("/"):
        raise ValueError("its state is no absolute path")
    return Vacation(tuple(each.lower() for each in addresses), text, state, take("subject"), *days)


def read_day(said: object) -> int | None:
    """Read a day: a number of days since 1970, or YYYY-MM-DD. ValueError, with a sentence, where it is none."""
    if said is None or (isinstance(said, int) and not isinstance(said, bool)):
        return said
    if isinstance(said, str) and _DATE.fullmatch(said):
        from datetime import date

        return (date.fromisoformat(said) - date(1970, 1, 1)).days
    raise ValueError("a day of it is neither YYYY-MM-DD nor a number of days since 1970")


def is_plain(address: str) -> bool:
    """Can this stand between angle brackets in a header as it is?"""
    return len(address) <= ADDRESS_MOST and re.fullmatch(r"[!#-'*-+\--9=?A-Z^-~]+@[A-Za-z0-9._-]+", address) is not None


def read_header(fd: int) -> bytes:
    """Read the header of the message from its start. Silence where it is too long for a person's."""
    found = b""
    while len(found) <= HEADER_MOST:
        chunk = os.read(fd, 65536)
        if chunk:
            found += chunk
        head, end, _ = (b"\n" + found).partition(b"\n\n")
        if end or not chunk:
            if len(head) <= HEADER_MOST:
                return head[1:]
            break
    raise Silence("its header is too long for an answer")


def parse_header(text: bytes) -> Header:
    """Give the fields by their names in small letters, unfolded, in their order. Total."""
    fields: Header = {}
    for field in re.split(rb"\n(?![ \t])", text):
        name, colon, value = field.partition(b":")
        name = name.rstrip(b" \t")
        if colon and name and not re.search(rb"[^!-~]", name):
            fields.setdefault(name.decode("ascii").lower(), []).append(readable(value))
    return fields


def readable(value: bytes) -> str:
    """Decode a field's value: UTF-8, or the bytes as ISO 8859-1. Control characters, line ends too, become blanks."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", text).strip()


def first_word(value: str) -> str:
    """Give the first word of a value, in small letters, behind comments that aren't nested."""
    return re.sub(r"\([^()]*\)", " ", value[:1000]).strip().partition(";")[0].partition(" ")[0].lower()


def is_robot(sender: str, header: Header) -> str | None:
    """Say why a program, a list or nobody has written this; None for a person."""
    local = sender.rpartition("@")[0]
    if not sender or sender == "#@[]":
        return "it has no sender"
    if not is_plain(sender):
        return "its sender can't be answered"
    if ROBOTS.fullmatch(local):
        return "its sender is a program"
    for value in header.get("auto-submitted", []):
        if first_word(value) != "no":
            return "a program has submitted it"
    if any(name in header for name in LISTS):
        return "it is from a list"
    if any(first_word(value) in ("bulk", "junk", "list", "auto_reply") for value in header.get("precedence", [])):
        return "it is in bulk"
    if any(first_word(value) == "yes" for value in header.get("x-spam-flag", [])):
        return "it is marked as spam"
    suppressed = re.split(r"[ ,]+", " ".join(header.get("x-auto-response-suppress", [])).lower()[:1000])
    if {"all", "oof", "autoreply"} & set(suppressed) or "x-autoreply" in header or "x-autorespond" in header:
        return "it asks for no answer"
    return None


def addressed(header: Header, addresses: tuple[str, ...]) -> str | None:
    """Give the first of the addresses that To or Cc names, with an extension or without; None where it is in Bcc."""
    named: set[str] = set()
    for name in ADDRESSED:
        for value in header.get(name, []):
            words = re.split(r'[\s,;:<>()"\[\]]+', value)
            named.update(without_extension(word) for word in words if len(word) <= ADDRESS_MOST)
    return next((address for address in addresses if without_extension(address) in named), None)


def without_extension(address: str) -> str:
    """Give an address in small letters, without what stands behind a plus in its local part."""
    local, at, domain = address.lower().rpartition("@")
    return local.partition("+")[0] + at + domain


# What was answered: a line each, the time and the sender.


def read_state(text: str, now: int) -> dict[str, int]:
    """Give who was answered in the last week, and when. What isn't a line of ours counts for nothing."""
    answered: dict[str, int] = {}
    for line in text.splitlines():
        when, _, sender = line.partition(" ")
        if re.fullmatch(r"\d{1,12}", when) and sender and now - WEEK < int(when) <= now + DAY:
            answered[sender] = int(when)
    return answered


def format_state(answered: dict[str, int]) -> str:
    """Write the same."""
    return "".join(f"{when} {sender}\n" for sender, when in answered.items())


def may_answer(answered: dict[str, int], sender: str, now: int) -> None:
    """Silence where the sender had his answer, or all of them together had enough."""
    if sender in answered:
        raise Silence("its sender has had an answer in the last seven days")
    if sum(when > now - DAY for when in answered.values()) >= ANSWERS_A_DAY:
        raise Silence(f"there were {ANSWERS_A_DAY} answers in the last 24 hours")


# The answer


def encoded(text: str) -> str:
    """Give a header's words, in RFC 2047's form where they aren't ASCII."""
    if text.isascii():
        return text
    parts, part = [], ""
    for character in text:
        if len((part + character).encode()) > 42:
            parts.append(part)
            part = ""
        part += character
    words = (binascii.b2a_base64(each.encode(), newline=False).decode() for each in [*parts, part])
    return "\n ".join(f"=?utf-8?B?{word}?=" for word in words)


def shortened(words: str) -> str:
    """Cut between words, so that no encoded one is cut."""
    if len(words) <= SUBJECT_MOST:
        return words
    return words[: SUBJECT_MOST + 1].rpartition(" ")[0] or words[:SUBJECT_MOST]


def compose(vacation: Vacation, header: Header, sender: str, address: str, now: float) -> bytes:
    """Write the answer to a message."""
    subject = vacation.subject
    if subject is None:
        subject = "Auto: " + " ".join(header.get("subject", [])[:1])
    subject = shortened(re.sub(r"\s+", " ", subject).strip())
    clock = time.gmtime(now)
    month = MONTHS[3 * clock.tm_mon - 3 : 3 * clock.tm_mon]
    date = f"{clock.tm_mday} {month} {clock.tm_year} {clock.tm_hour:02}:{clock.tm_min:02}:{clock.tm_sec:02} -0000"
    fields = [
        f"Date: {date}",
        f"From: <{address}>",
        f"To: <{sender}>",
        f"Subject: {encoded(subject)}",
        f"Message-ID: <{int(now * 1000)}.{os.getpid()}.vacation@{address.rpartition('@')[2]}>",
        "Auto-Submitted: auto-replied",
    ]
    if ids := _ID.findall(" ".join(header.get("message-id", [])[:1])):
        before = _ID.findall(" ".join(header.get("references", [])[:1] or header.get("in-reply-to", [])[:1]))
        chain = "\n ".join([*before[-IDS_MOST:], ids[0]])
        fields += [f"In-Reply-To: {ids[0]}", f"References: {chain}"]
    fields += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64"]
    lines = vacation.text.replace("\r\n", "\n").rstrip("\n").split("\n")
    text = "".join(f"{line}\r\n" for line in lines).encode(errors="replace")  # RFC 2046 section 4.1.1
    body = b"".join(binascii.b2a_base64(text[at : at + 57]) for at in range(0, len(text), 57))
    return "\n".join(fields).encode() + b"\n\n" + body


def queueing_command() -> list[str]:
    """Return what queues a message of this site's own, seen from the home: qmail-sign(8) where the site signs."""
    program = os.environ.get("QMAILQUEUE")
    try:
        with open("control/signsocket", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost each message its start
            signs = bool(file.readline().strip())
    except FileNotFoundError:
        signs = False
    if signs:
        return ["bin/qmail-sign", *([program] if program else [])]
    return [program or "bin/qmail-queue"]


def queue(message: bytes, recipient: str, home: str) -> None:
    """Hand a message without a sender to qmail-queue. OSError where it doesn't take it."""
    os.chdir(home)
    command = queueing_command()
    message_in, message_out = os.pipe()
    envelope_in, envelope_out = os.pipe()
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, message_in, 0),
            (os.POSIX_SPAWN_DUP2, envelope_in, 1),
            (os.POSIX_SPAWN_DUP2, 2, 6),  # its reason, for the log
        ],
        setsigdef=[13],  # SIGPIPE, which Python ignores
    )
    os.close(message_in)
    os.close(envelope_in)
    with os.fdopen(message_out, "wb") as out:
        out.write(message)
    with os.fdopen(envelope_out, "wb") as out:
        out.write(b"F\0T" + recipient.encode() + b"\0\0")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(f"qmail-queue ended with {code}")


def replace_state(path: str, answered: dict[str, int]) -> None:
    """Write the state, whole or not at all."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(f"{path}.new", flags, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(format_state(answered))
    os.rename(f"{path}.new", path)  # noqa: PTH104 - see above


def load_state(path: str, now: int) -> dict[str, int]:
    """Read the state; none of it where there is none yet. OSError where it can't be read: nobody is answered then."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with os.fdopen(fd, "rb") as file:
        return read_state(file.read(STATE_MOST).decode(errors="replace"), now)


def wait_for(lock: int) -> None:
    """Lock it. Silence where somebody has it for long, as the mail must not wait for him."""
    for _ in range(LOCK_WAIT * 10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return
    raise Silence("another answer takes too long")


def answer_once(vacation: Vacation, message: bytes, sender: str, now: int, home: str) -> None:
    """Answer, unless the sender has had his answer: one delivery after the other."""
    key = sender.lower()
    lock = os.open(
        f"{vacation.state}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600
    )
    try:
        wait_for(lock)
        answered = load_state(vacation.state, now)
        may_answer(answered, key, now)
        # First, so that nobody is answered twice whatever becomes of us.
        replace_state(vacation.state, {**answered, key: now})
        try:
            queue(message, sender, home)
        except OSError:
            replace_state(vacation.state, answered)
            raise
    finally:
        os.close(lock)


def run(declaration: str, home: str) -> str:
    """Answer the message on descriptor 0, if an answer is due. Returns what to say of it."""
    with open(declaration, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost each message its start
        vacation = read_vacation(file.read())
    now = time.time()
    today = int(now // DAY)
    first, last = (today if day is None else day for day in (vacation.first, vacation.last))
    if not first <= today <= last:
        raise Silence("it is none of the days declared")
    sender = os.environ.get("SENDER", "")
    if os.lseek(0, 0, os.SEEK_SET):
        raise Silence("the message can't be read from its start")
    header = parse_header(read_header(0))
    if why := is_robot(sender, header):
        raise Silence(why)
    if without_extension(sender) in map(without_extension, vacation.addresses):
        raise Silence("he has written it himself")
    address = addressed(header, vacation.addresses)
    if address is None:
        raise Silence("neither To nor Cc names an address of his")
    answer_once(vacation, compose(vacation, header, sender, address, now), sender, int(now), home)
    return f"answered {sender}"


def main(arguments: list[str]) -> int:
    """Run, and say in one line what became of it."""
    home = HOME
    if arguments[:1] == ["--home"] and len(arguments) > 1:
        home, arguments = arguments[1], arguments[2:]
    if len(arguments) != 1:
        print("usage: in .qmail: |qmail-vacation declaration")
        return 0
    try:
        said = run(arguments[0], home)
    except Silence as reason:
        said = f"no answer: {reason}"
    except Exception as error:
        said = f"no answer: {arguments[0]}: {error}"
    print(f"vacation: {re.sub(r'[^ -~]', '?', said)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
