"""hold.py USER: begin a session with each door that asks for a password, and keep them until /run/hold.go is there.

The password comes on descriptor 3. Says "held" when all have begun; how they went is in /run/hold.result then.
"""

from __future__ import annotations

import os
import poplib
import smtplib
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GO, RESULT = Path("/run/hold.go"), Path("/run/hold.result")
MOST = 1800
# What the certificates are is asked elsewhere.
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def smtp(client: smtplib.SMTP, user: str, password: str) -> Callable[[str], bool]:
    """Log in; gives what sends a command and tells whether the answer was yes."""
    client.login(user, password)
    return lambda command: client.docmd(command)[0] in (221, 250)


def smtps(user: str, password: str) -> Callable[[str], bool]:
    """Begin a session on 465."""
    return smtp(smtplib.SMTP_SSL("127.0.0.1", 465, "client.example.test", context=CONTEXT), user, password)


def submission(user: str, password: str) -> Callable[[str], bool]:
    """Begin a session on 587."""
    client = smtplib.SMTP("127.0.0.1", 587, "client.example.test")
    client.starttls(context=CONTEXT)
    return smtp(client, user, password)


def pop3s(user: str, password: str) -> Callable[[str], bool]:
    """Begin a session on 995."""
    client = poplib.POP3_SSL("127.0.0.1", 995, context=CONTEXT, timeout=30)
    client.user(user)
    client.pass_(password)

    def say(command: str) -> bool:
        with suppress(poplib.error_proto):
            answer = client.quit() if command == "QUIT" else client.noop()
            return answer.startswith(b"+OK")
        return False

    return say


def course(say: Callable[[str], bool], command: str) -> bool:
    """Say it; a connection that is gone is a no."""
    with suppress(OSError, smtplib.SMTPException, EOFError):
        return say(command)
    return False


def main() -> None:
    """Hold them."""
    user = sys.argv[1]
    with os.fdopen(3) as given:
        password = given.readline().rstrip("\n")
    sessions = {
        "smtps": smtps(user, password),
        "submission": submission(user, password),
        "pop3s": pop3s(user, password),
    }
    print("held", flush=True)
    alive = dict.fromkeys(sessions, True)
    until = time.monotonic() + MOST
    while not GO.exists() and time.monotonic() < until:
        for name, say in sessions.items():
            alive[name] = alive[name] and course(say, "NOOP")
        time.sleep(1)
    if not GO.exists():
        alive = dict.fromkeys(sessions, False)  # nobody looked whether they go on
    ended = {name: alive[name] and course(say, "QUIT") for name, say in sessions.items()}
    new = RESULT.with_suffix(".new")
    new.write_text(", ".join(f"{name} {'ended' if well else 'was cut off'}" for name, well in ended.items()))
    new.rename(RESULT)


main()
