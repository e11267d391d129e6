#!/usr/bin/env python3
"""Attack a mail site from addresses of its own, in bounded numbers and time, and tell what the others see meanwhile.

It runs on the host itself, as root, since the attackers and the bystanders have addresses that it adds to the loopback
device for as long as it runs: 198.51.100.0/24, 192.0.2.66 and 2001:db8:bad::/48 attack, 203.0.113.0/24 and
2001:db8:900d::/48 only want their mail. Each attack opens, holds, guesses or floods; before it and while it lasts,
bystanders connect to each door and the seconds until they are greeted are measured. Standard library only. The exit
code is 1 where a bystander waits for more than the bound longer than before, twice in a row, or where an attack gets
what it wants.

    attack.py --users users.json [--only NAME ...] [--bound SECONDS]

users.json: {"domain": ..., "users": [{"login": ..., "password": ...}, two of them]}.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import pwd
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

DOORS = {"smtp": 25, "smtps": 465, "submission": 587, "pop3s": 995}
TLS = ("smtps", "pop3s")
SERVER, SERVER6 = "203.0.113.1", "2001:db8:900d::1"
BYSTANDER, BYSTANDER6 = "203.0.113.9", "2001:db8:900d::9"
OWNER = "203.0.113.77"  # where the first user has been right before
GUESSER = "198.51.100.200"
DAWDLER = "192.0.2.66"
STRANGER = "stranger@example.net"
FLOOD = 120  # connections of one attack to one door
LONGEST = 20.0  # seconds that anything is waited for
SCANNED = 40.0  # and the reply to a message
SETTLING = 2  # seconds until the processes for those who hold connections are there


def attackers(count: int) -> list[str]:
    return [f"198.51.100.{number}" for number in range(1, count + 1)]


def attackers6(count: int) -> list[str]:
    return [f"2001:db8:bad:1::{number:x}" for number in range(1, count + 1)]


# --- connections --------------------------------------------------------------------------------


def dial(source: str, door: str, timeout: float = LONGEST) -> socket.socket:
    """Connect to a door from a source address."""
    server = SERVER6 if ":" in source else SERVER
    return socket.create_connection((server, DOORS[door]), timeout=timeout, source_address=(source, 0))


def encrypt(plain: socket.socket) -> ssl.SSLSocket:
    """Speak TLS; whose certificate it is is another test's matter."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


class Session:
    """A client's session, up to its greeting."""

    def __init__(self, source: str, door: str, timeout: float = LONGEST) -> None:
        """Connect; `greeting` is b"" where the server hangs up."""
        self.socket = dial(source, door, timeout)
        try:
            if door in TLS:
                self.socket = encrypt(self.socket)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline(1000)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def say(self, command: str) -> str:
        """Send a command; give the last line of the reply, "" at the end of the session."""
        self.socket.sendall(command.encode() + b"\r\n")
        while (line := self.file.readline(1000).decode("latin-1")) and line[3:4] == "-":
            pass
        return line.strip()

    def message(self, recipient: str, text: bytes) -> str:
        """Send a message; give the reply to it, or to what went wrong before."""
        for command, wanted in (
            ("EHLO client.example.net", "250"),
            (f"MAIL FROM:<{STRANGER}>", "250"),
            (f"RCPT TO:<{recipient}>", "250"),
            ("DATA", "354"),
        ):
            if not (reply := self.say(command)).startswith(wanted):
                return reply
        self.socket.sendall(text.replace(b"\n", b"\r\n") + b".\r\n")
        return self.file.readline(1000).decode("latin-1").strip()

    def log_in(self, login: str, password: str) -> str:
        """Give the reply to AUTH PLAIN."""
        self.say("EHLO client.example.net")
        return self.say("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()).decode())


def seconds_to_greeting(source: str, door: str) -> float:
    """How long a bystander waits; LONGEST where nothing comes, or another thing than a greeting."""
    began = time.monotonic()
    try:
        with Session(source, door) as session:
            if not session.greeting.startswith((b"220 ", b"+OK")):
                return LONGEST
            waited = time.monotonic() - began
            session.socket.sendall(b"QUIT\r\n")
            return waited
    except OSError:
        return LONGEST


@contextlib.contextmanager
def held(sources: list[str], door: str, count: int) -> Iterator[list[socket.socket]]:
    """Connections that say nothing, from these addresses in turn."""
    sockets: list[socket.socket] = []
    try:
        for number in range(count):
            with contextlib.suppress(OSError):
                sockets.append(dial(sources[number % len(sources)], door, 2))
        yield sockets
    finally:
        for each in sockets:
            each.close()


# --- what is measured ---------------------------------------------------------------------------


@dataclass
class Site:
    """What is attacked, and how long a bystander may wait."""

    domain: str
    users: list[dict[str, str]]
    bound: float
    before: dict[str, float] = field(default_factory=dict)  # the seconds to each door's greeting when nobody attacks
    faults: list[str] = field(default_factory=list)

    def fault(self, attack: str, text: str) -> None:
        """Remember what is not as it should be."""
        self.faults.append(f"{attack}: {text}")

    def allowed(self, door: str) -> float:
        """The bound, and what the machine's other work costs anyway."""
        return self.bound + self.before.get(door, 0.0)

    def address(self, number: int) -> str:
        return f"{self.users[number]['login']}@{self.domain}"


def together(count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    """Begin to work so many times at once."""
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def doors_seen(source: str) -> dict[str, float]:
    """The seconds to the greeting of each door, which are asked at the same time."""
    seen: dict[str, float] = {}
    doors = list(DOORS)

    def knock(number: int) -> None:
        seen[doors[number]] = seconds_to_greeting(source, doors[number])

    for thread in together(len(doors), knock):
        thread.join()
    return seen


def row(name: str, source: str, seen: dict[str, float]) -> None:
    cells = "".join(f"{seen[door]:11.2f}" for door in DOORS)
    print(f"{name:<34}{source:<18}{cells}", flush=True)


def bystanders(site: Site, name: str, sources: tuple[str, ...] = (BYSTANDER, BYSTANDER6)) -> None:
    """Measure, print and judge what the bystanders see now."""
    for source in sources:
        seen = doors_seen(source)
        row(name, source, seen)
        if any(seconds > site.allowed(door) for door, seconds in seen.items()):
            again = doors_seen(source)
            row("    again", source, again)
            seen = {door: min(seconds, again[door]) for door, seconds in seen.items()}
        for door, seconds in seen.items():
            if seconds > site.allowed(door):
                site.fault(name, f"{source} waited {seconds:.2f} s for the greeting of {door}")


# --- the attacks --------------------------------------------------------------------------------


def hold(site: Site, name: str, sources: list[str]) -> None:
    """FLOOD idle connections to each door."""
    with contextlib.ExitStack() as stack:
        for door in DOORS:
            stack.enter_context(held(sources, door, FLOOD))
        time.sleep(SETTLING)
        bystanders(site, name)


def one_address(site: Site, name: str) -> None:
    """120 idle connections to each door from one address."""
    hold(site, name, attackers(1))


def one_network(site: Site, name: str) -> None:
    """The same from twenty addresses of a /24."""
    hold(site, name, attackers(20))


def one_network6(site: Site, name: str) -> None:
    """The same from twenty addresses of a /64."""
    hold(site, name, attackers6(20))


def told_why(site: Site, name: str) -> None:
    """Whoever has enough connections to 25 is told so by 421, and gets in when he lets go of one."""
    source = attackers(1)[0]
    with held([source], "smtp", FLOOD), Session(source, "smtp") as refused:
        print(f"{name:<34}{source:<18}{refused.greeting.decode('latin-1').strip()}")
        if not refused.greeting.startswith(b"421 "):
            site.fault(name, f"was told {refused.greeting!r}, not 421")
    until = time.monotonic() + 10
    while not (greeted := seconds_to_greeting(source, "smtp") < LONGEST) and time.monotonic() < until:
        time.sleep(0.2)
    if not greeted:
        site.fault(name, f"{source} doesn't get in again")


def dawdle(site: Site, name: str) -> None:
    """A byte a second, in the handshake of 465 and before the first command of 25: it ends all the same."""
    ended: dict[str, float] = {}

    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(70)
    doors = (("smtps", hello, 30), ("smtp", b"EHLO " + b"x" * 75, 60))

    def drip(number: int) -> None:
        door, drops, _ = doors[number]
        began = time.monotonic()
        with contextlib.suppress(OSError), dial(DAWDLER, door, 1) as client:
            for drop in drops:
                client.sendall(bytes([drop]))
                try:
                    while client.recv(1000):
                        pass
                    break
                except TimeoutError:
                    continue
        ended[door] = time.monotonic() - began

    for thread in together(len(doors), drip):
        thread.join()
    for door, _, limit in doors:
        print(f"{name:<34}{DAWDLER:<18}{door} ended it after {ended[door]:.0f} s")
        if not limit - 5 < ended[door] < limit + 5:
            site.fault(name, f"{door} listened for {ended[door]:.0f} s")


def guess(site: Site, name: str) -> None:
    """Twenty connections guess as fast as they can, for ten seconds."""
    owner, other = site.users[0], site.users[1]
    with Session(OWNER, "smtps") as session:
        if not session.log_in(owner["login"], owner["password"]).startswith("235 "):
            site.fault(name, "the owner can't log in before it begins")
    answers: dict[str, int] = {}
    until = time.monotonic() + 10

    def guesser(number: int) -> None:
        login = (owner["login"], other["login"], "nobody")[number % 3]
        while time.monotonic() < until:
            try:
                with Session(GUESSER, "smtps", 8) as session:
                    reply = session.log_in(login, f"guess{time.monotonic()}")
            except OSError:
                reply = ""
            answers[reply[:3]] = answers.get(reply[:3], 0) + 1

    threads = together(20, guesser)
    time.sleep(2)
    bystanders(site, name)
    for thread in threads:
        thread.join()
    checked = answers.get("535", 0) + answers.get("235", 0)
    print(f"{name:<34}{GUESSER:<18}answers: {dict(sorted(answers.items()))}, so {checked} passwords were looked at")
    if checked > 25:
        site.fault(name, f"{checked} guesses were checked")
    locked_out(site, name)


def locked_out(site: Site, name: str) -> None:
    """The guesser learns nothing even with the right password, by no door; the owner is where he always was."""
    owner, other = site.users[0], site.users[1]
    with Session(GUESSER, "smtps") as session:
        reply = session.log_in(other["login"], other["password"])
    if not reply.startswith("454 "):
        site.fault(name, f"{GUESSER} got {reply!r} for a right password")
    with Session(GUESSER, "pop3s") as pop:
        pop.say(f"USER {other['login']}")
        reply = pop.say(f"PASS {other['password']}")
    if not reply.startswith("-ERR [SYS/TEMP]"):
        site.fault(name, f"{GUESSER} got {reply!r} for a right password by POP3")
    with Session(OWNER, "smtps") as session:
        began = time.monotonic()
        reply = session.log_in(owner["login"], owner["password"])
        waited = time.monotonic() - began
    print(f"{name:<34}{OWNER:<18}the owner logs in: {reply[:3]} after {waited:.2f} s")
    if not reply.startswith("235 ") or waited > site.bound + 1:
        site.fault(name, f"the owner got {reply!r} after {waited:.2f} s")


def hang_up(site: Site, name: str) -> None:
    """Guesses whose clients leave at once: the delays of their answers would hold all the places there are."""
    source = attackers(2)[1]
    for _ in range(60):
        with contextlib.suppress(OSError), Session(source, "smtps", 3) as session:
            if session.greeting:
                session.say("EHLO client.example.net")
                session.socket.sendall(b"AUTH PLAIN " + base64.b64encode(b"\0nobody\0guess") + b"\r\n")
    time.sleep(1)
    bystanders(site, name, (BYSTANDER, source))


def flood(site: Site, name: str) -> None:
    """Twenty connections pipeline garbage, unknown recipients and NOOPs, for six seconds."""
    until = time.monotonic() + 6
    sent = [0]
    loads = (
        b"\x00\xff garbage \x80\r\n" * 400,
        b"EHLO x\r\nMAIL FROM:<a@example.net>\r\n" + f"RCPT TO:<nobody@{site.domain}>\r\n".encode() * 400,
        b"NOOP\r\n" * 2000,
        b"\xf0" * 20000,
    )

    def flooder(number: int) -> None:
        while time.monotonic() < until:
            with contextlib.suppress(OSError), Session(attackers(4)[number % 4], "smtp", 3) as session:
                session.socket.sendall(loads[number % len(loads)])
                sent[0] += 1
                while session.socket.recv(65536):
                    pass

    threads = together(20, flooder)
    time.sleep(1)
    bystanders(site, name)
    for thread in threads:
        thread.join()
    print(f"{name:<34}{'198.51.100.1-4':<18}{sent[0]} sessions of it")


def html(rows: int) -> bytes:
    cells = b"<tr><td><b>a</b></td><td><i>b</i></td><td><a href=http://x.example.net/%d>c</a></td></tr>\n"
    head = b"From: stranger@example.net\nSubject: a table\nMIME-Version: 1.0\nContent-Type: text/html\n\n"
    return head + b"<html><table>\n" + b"".join(cells % number for number in range(rows)) + b"</table></html>\n"


def scan(site: Site, name: str) -> None:
    """Ten HTML messages of 480 kB at once, from one stranger, while another one sends ten words."""
    big = html(5200)
    small = b"From: friend@example.net\nSubject: ten words\n\nhello\n"

    def sender(_: int) -> None:
        with contextlib.suppress(OSError), Session(attackers(5)[4], "smtp", SCANNED) as session:
            session.message(site.address(1), big)

    def ten_words() -> tuple[str, float]:
        reply, asked = "", time.monotonic()
        with contextlib.suppress(OSError), Session(BYSTANDER, "smtp", SCANNED) as session:
            reply = session.message(site.address(0), small)
        return reply, time.monotonic() - asked

    # What the scanner asks the DNS takes its time without an attack, too.
    before = ten_words()[1]
    threads = together(10, sender)
    time.sleep(1)
    began = time.monotonic()
    reply, waited = ten_words()
    print(f"{name:<34}{BYSTANDER:<18}a small message: {reply[:3]} after {waited:.2f} s, {before:.2f} s before")
    if not reply.startswith("250 ") or waited > before + 15:
        site.fault(name, f"a bystander's message got {reply!r} after {waited:.2f} s")
    bystanders(site, name)
    for thread in threads:
        thread.join(max(0.0, began + 30 - time.monotonic()))


def sleepers(site: Site, name: str) -> None:
    """A user whose mail goes to a program that sleeps gets eleven messages; another user gets one."""
    sleeper, other = (pwd.getpwnam(user["login"]) for user in (site.users[1], site.users[0]))
    dot_qmail = Path(sleeper.pw_dir) / ".qmail"
    if dot_qmail.exists():
        site.fault(name, f"{dot_qmail} is there already")
        return
    marker = f"{os.getpid()}.{time.time_ns()}"
    message = f"From: friend@example.net\nSubject: {marker}\n\nhello\n".encode()
    descriptor = os.open(dot_qmail, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    os.write(descriptor, b"|sleep 60\n")
    os.fchown(descriptor, sleeper.pw_uid, sleeper.pw_gid)
    os.close(descriptor)
    try:
        for _ in range(11):
            with Session(attackers(6)[5], "smtp", SCANNED) as session:
                session.message(site.address(1), message)
        with Session(BYSTANDER, "smtp", SCANNED) as session:
            reply = session.message(site.address(0), message)
        # From here on: the scanner may wait for the DNS before, which is no matter of deliveries.
        began = time.monotonic()
        inbox = Path(other.pw_dir) / "Maildir" / "new"
        while not (arrived := delivered(inbox, marker)) and time.monotonic() < began + 20:
            time.sleep(0.2)
        waited = time.monotonic() - began
        outcome = "there" if arrived else "not there"
        print(f"{name:<34}{BYSTANDER:<18}the other user's message: {reply[:3]}, and {outcome} after {waited:.2f} s")
        if not arrived or waited > 10:
            site.fault(name, f"another user's message ({reply}) was not there after {waited:.2f} s")
    finally:
        dot_qmail.unlink(missing_ok=True)
        # Ends those who sleep; what they had is delivered at the next try.
        subprocess.run(["/etc/init.d/qmail", "zap", "send"], check=False, stdout=subprocess.DEVNULL)
        subprocess.run(["/etc/init.d/qmail", "start", "send"], check=False, stdout=subprocess.DEVNULL)


def delivered(inbox: Path, marker: str) -> bool:
    """Whether a message with this Subject is in a Maildir; it is removed."""
    for path in inbox.glob("*"):
        if marker.encode() in path.read_bytes():
            path.unlink()
            return True
    return False


ATTACKS: dict[str, Callable[[Site, str], None]] = {
    "one address holds": one_address,
    "twenty of a /24 hold": one_network,
    "twenty of a /64 hold": one_network6,
    "who has enough is told": told_why,
    "guesses": guess,
    "guesses, then hanging up": hang_up,
    "floods of commands": flood,
    "heavy messages for the scanner": scan,
    "a program that sleeps": sleepers,
}


# --- the addresses ------------------------------------------------------------------------------


@contextlib.contextmanager
def addresses() -> Iterator[None]:
    """The addresses of all who take part, on the loopback device."""
    mine = [SERVER, BYSTANDER, OWNER, GUESSER, DAWDLER, *attackers(20)]
    mine6 = [SERVER6, BYSTANDER6, *attackers6(20)]
    wanted = [f"{address}/32" for address in mine] + [f"{address}/128" for address in mine6]
    try:
        for address in wanted:
            subprocess.run(["ip", "address", "replace", address, "dev", "lo"], check=True)
        yield
    finally:
        for address in wanted:
            subprocess.run(["ip", "address", "delete", address, "dev", "lo"], check=False)


def main() -> int:
    """Attack; 1 if somebody waited too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=Path, required=True, help="JSON file with the domain and two users")
    parser.add_argument("--bound", type=float, default=1.0, help="seconds that a bystander may wait for a greeting")
    parser.add_argument("--only", action="append", choices=list(ATTACKS), help="these attacks alone")
    parser.add_argument("--except", dest="but", action="append", default=[], choices=list(ATTACKS), help="not these")
    parser.add_argument("--no-dawdling", action="store_true", help="don't wait for a minute for those who dawdle")
    arguments = parser.parse_args()
    known = json.loads(arguments.users.read_text())
    site = Site(known["domain"], known["users"], arguments.bound)
    began = time.monotonic()
    with addresses():
        print(f"{'seconds to the greeting':<34}{'seen from':<18}" + "".join(f"{door:>11}" for door in DOORS))
        for source in (BYSTANDER, BYSTANDER6):
            seen = doors_seen(source)
            row("before", source, seen)
            site.before = {door: max(seconds, site.before.get(door, 0.0)) for door, seconds in seen.items()}
        if (slowest := max(site.before.values())) > LONGEST / 4:
            site.fault("before", f"a greeting takes {slowest:.1f} s although nobody attacks")
        # It takes a minute, in which the others go on.
        dawdler = threading.Thread(target=dawdle, args=(site, "a byte a second"))
        if not arguments.no_dawdling:
            dawdler.start()
        for name, attack in ATTACKS.items():
            if name in (arguments.only or ATTACKS) and name not in arguments.but:
                attack(site, name)
        if not arguments.no_dawdling:
            dawdler.join()
        bystanders(site, "after")
    print(f"in all {time.monotonic() - began:.0f} s")
    for fault in site.faults:
        print(f"FAULT {re.sub(r'[^ -~]', '?', fault)}")
    return 1 if site.faults else 0


if __name__ == "__main__":
    sys.exit(main())
