"""Attempts to log in that must fail. A site answers them late on purpose, so they are all begun at once (conftest.py).

Each gives the answers that it got, an SMTP answer as "CODE TEXT", a POP3 one as its line; "closed" for the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from verify.talk import DOORS, FOREIGN, STRANGER, Pop3, Site, Smtp, b64, plain

Attempt = Callable[[Site], list[str]]
MOST_FAILURES = 12
"""A session in which so many wrong passwords were tried should have been ended by the site."""
NOT_NOW = (5, 20, 0)
"""Seconds to wait where a site says 454, that it can't look at a password for now: all at once may be too many."""

# Name of the attempt, then what is tried; {login} and {password} are the first user's, {half} the half of that.
LOGINS = {
    "a wrong password": ("{login}", "wrong"),
    "the password and one more letter": ("{login}", "{password}x"),
    "half of the password": ("{login}", "{half}"),
    "the password in other case": ("{login}", "{swapped}"),
    "a blank behind the password": ("{login}", "{password} "),
    "an unknown user": ("nosuchuser", "{password}"),
    "root with a user's password": ("root", "{password}"),
    "an account of the system": ("daemon", "{password}"),
    "an account of the mail system": ("qmaild", "{password}"),
    "a path for a name": ("../{login}", "{password}"),
    "a colon behind the name": ("{login}:", "{password}"),
    "a percent sign in the name": ("{login}%s%n", "{password}"),
    "an option for a name": ("-{login}", "{password}"),
    "a name of a thousand letters": ("x" * 1000, "{password}"),
}


def credentials(site: Site, name: str) -> tuple[str, str]:
    """Give login and password of one of LOGINS."""
    person = site.people[0]
    words = {
        "login": person.login,
        "password": person.password,
        "half": person.password[: len(person.password) // 2],
        "swapped": person.password.swapcase(),
    }
    login, password = LOGINS[name]
    return login.format(**words), password.format(**words)


def was_looked_at(said: list[str]) -> bool:
    """Tell whether the site has judged each password: 454 (RFC 4954 section 6) is no judgement."""
    return not any(answer.startswith("454 ") for answer in said)


def _said(smtp: Smtp, command: str) -> str:
    try:
        reply = smtp.say(command)
    except (EOFError, OSError):
        return "closed"
    return f"{reply.code} {reply.text}"


def _told(pop: Pop3, command: str) -> str:
    try:
        return pop.say(command)
    except (EOFError, OSError):
        return "closed"


def _smtp(door: str, name: str) -> Attempt:
    def attempt(site: Site) -> list[str]:
        for pause in NOT_NOW:
            with Smtp.through(site, door) as smtp:
                smtp.ehlo()
                answer = _said(smtp, f"AUTH PLAIN {plain(*credentials(site, name))}")
            if not answer.startswith("454 "):
                break
            time.sleep(pause)
        return [answer]

    return attempt


def _smtp_by_login(site: Site) -> list[str]:
    login, password = credentials(site, "a wrong password")
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        return [_said(smtp, command) for command in ("AUTH LOGIN", b64(login), b64(password))]


def _smtp_line_feed(site: Site) -> list[str]:
    person = site.people[0]
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        return [_said(smtp, f"AUTH PLAIN {plain(person.login + chr(10) + 'root', person.password)}")]


def _smtp_goes_on(site: Site) -> list[str]:
    person = site.people[0]
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        commands = [
            f"AUTH PLAIN {plain(*credentials(site, 'a wrong password'))}",
            f"MAIL FROM:<{STRANGER}>",
            f"RCPT TO:<{person.address}>",
            f"RCPT TO:<{FOREIGN}>",
            "RSET",
            f"AUTH PLAIN {plain(person.login, person.password)}",
            f"MAIL FROM:<{person.address}>",
            f"RCPT TO:<{FOREIGN}>",
        ]
        return [_said(smtp, command) for command in commands]


def _smtp_for_another(site: Site) -> list[str]:
    person = site.people[0]
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        commands = [f"AUTH PLAIN {plain(person.login, person.password, site.people[-1].login + '.')}"]
        commands += [f"MAIL FROM:<{STRANGER}>", f"RCPT TO:<{FOREIGN}>"]
        return [_said(smtp, command) for command in commands]


def _smtp_again_and_again(site: Site) -> list[str]:
    answers: list[str] = []
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        smtp.socket.settimeout(40)
        while len(answers) < MOST_FAILURES and "closed" not in answers:
            answers.append(_said(smtp, f"AUTH PLAIN {plain(*credentials(site, 'a wrong password'))}"))
    return answers


def _pop3(name: str) -> Attempt:
    def attempt(site: Site) -> list[str]:
        login, password = credentials(site, name)
        with Pop3(site) as pop:
            return [_told(pop, command) for command in (f"USER {login}", f"PASS {password}", "STAT")]

    return attempt


def _pop3_as_another(site: Site) -> list[str]:
    with Pop3(site) as pop:
        return [_told(pop, f"USER {site.people[0].login}"), _told(pop, f"PASS {site.people[-1].password}")]


def _pop3_empty(site: Site) -> list[str]:
    with Pop3(site) as pop:
        return [_told(pop, f"USER {site.people[0].login}"), _told(pop, "PASS ")]


ATTEMPTS: dict[str, Attempt] = {
    **{f"smtps: {name}": _smtp("smtps", name) for name in LOGINS},
    **{
        f"{door}: {name}": _smtp(door, name)
        for door in DOORS
        if door != "smtps"
        for name in ("a wrong password", "an unknown user")
    },
    **{f"pop3s: {name}": _pop3(name) for name in LOGINS},
    "smtps: a wrong password by AUTH LOGIN": _smtp_by_login,
    "smtps: a line feed in the name": _smtp_line_feed,
    "smtps: a wrong password, then mail": _smtp_goes_on,
    "smtps: another one's identity": _smtp_for_another,
    "smtps: wrong passwords again and again": _smtp_again_and_again,
    "pop3s: another user's password": _pop3_as_another,
    "pop3s: an empty password": _pop3_empty,
}
