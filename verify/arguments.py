"""What bin/verify is asked for, and the description of the site that follows from it. Run, it prints the help.

Nothing but Python's own library is needed for that, so bin/verify makes nothing ready first.
"""

import argparse
import contextlib
import getpass
import json
import socket
import sys
from pathlib import Path
from typing import Any

SERVICES = ("smtp", "smtps", "submission", "pop3s", "pop3")
ENCRYPTED = SERVICES[:4]
DEADLINE = 900
DEADLINE_FULL = 3600
ABOUT = """bin/verify: ask a running mail site, from outside, whether it keeps its promises.

It runs verify/questions, leaving out what would cost a host in production something: no load, no big messages, about
ten wrong passwords. Without --user no mail is sent; with it, at most six small messages (and one at each door that must
be refused), to that user alone, and they are removed again.

Exit code: 0 all well, 1 something is not, 2 it could not be asked, 3 it took longer than --deadline.
"""


class VerifyError(Exception):
    """The site can't be asked; the text says why and what to do."""


def parser() -> argparse.ArgumentParser:
    """Give what reads the command line."""
    words = argparse.ArgumentParser(
        prog="verify", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = words.add_argument_group("the site")
    where.add_argument("--host", help="its name, as its certificate has it")
    where.add_argument("--address", help="where to connect to (default: what the name resolves to)")
    where.add_argument("--address6", help='the same for IPv6; "none" to leave IPv6 out')
    where.add_argument(
        "--domain", help="a domain that it receives mail for (default: the name without its first label)"
    )
    for service in SERVICES:
        where.add_argument(f"--port-{service}", metavar="PORT", help='"none" if the site has no such service')
    for service in ENCRYPTED:
        where.add_argument(f"--name-{service}", metavar="NAME", help="the name there, if it has another certificate")
    where.add_argument("--ca-file", type=Path, help="the authority to trust (default: those of this machine)")
    where.add_argument("--relay-source", help="an address of this machine that the site lets relay")
    where.add_argument("--size-limit", type=int, help="the longest message that the site should declare")
    where.add_argument("--spam-filter", action="store_true", default=None, help="the site should refuse spam")
    where.add_argument("--site", type=Path, help="all of this as JSON, in the form that `bin/demo --json` prints")
    who = words.add_argument_group("a test user")
    who.add_argument(
        "--user", action="append", default=[], metavar="LOGIN[=ADDRESS]",
        help="log in as this user, and send to ADDRESS (default: LOGIN@DOMAIN); may be given twice",
    )  # fmt: skip
    who.add_argument("--password-file", type=Path, help="one line for each --user; asked for if not given")
    what = words.add_argument_group("what is asked")
    what.add_argument(
        "--full", action="store_true", help="everything: load, big messages, wrong passwords; never in production"
    )
    what.add_argument(
        "--dns", action="store_true", help="also whether PTR, HELO, MX, SPF and DMARC are as others want them"
    )
    what.add_argument(
        "--resolver", metavar="ADDRESS[#PORT]", help="whom to ask for that (default: as resolv.conf says)"
    )
    what.add_argument("--classic", action="store_true", help="only what classic qmail promises, too")
    what.add_argument("-k", dest="keyword", help="only cases whose name matches, as in pytest")
    what.add_argument("--no-scanner", action="store_true", help="leave sslscan and testssl.sh out, even if installed")
    what.add_argument(
        "--deadline", type=int, metavar="SECONDS",
        help=f"the longest that all of it may take (default: {DEADLINE}, with --full {DEADLINE_FULL})",
    )  # fmt: skip
    what.add_argument("--warn-days", type=int, default=21, help="warn when a certificate ends sooner (default: 21)")
    out = words.add_argument_group("the report")
    out.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    out.add_argument("--junit", type=Path, help="write the cases as JUnit XML as well")
    out.add_argument("--all", action="store_true", help="a line for each case, also for those that passed")
    return words


def _resolve(host: str, family: socket.AddressFamily) -> str | None:
    with contextlib.suppress(OSError):
        return str(socket.getaddrinfo(host, 25, family, socket.SOCK_STREAM)[0][4][0])
    return None


def _port(value: str | None, name: str) -> int | None:
    if value == "none":
        return None
    if value is None or not value.isdecimal() or not 0 < int(value) < 65536:
        raise VerifyError(f'{name}: {value!r} is no port; give a number up to 65535, or "none"')
    return int(value)


def _passwords(arguments: argparse.Namespace, logins: list[str]) -> list[str]:
    if arguments.password_file:
        try:
            lines: list[str] = arguments.password_file.read_text().splitlines()
        except OSError as error:
            raise VerifyError(f"--password-file {arguments.password_file}: {error.strerror}") from None
        if len(lines) < len(logins):
            raise VerifyError(f"{arguments.password_file} has {len(lines)} lines; {len(logins)} users need a line each")
        return lines
    if not sys.stdin.isatty():
        raise VerifyError("there is no terminal to ask for the password at; give --password-file FILE")
    return [getpass.getpass(f"password of {login}: ", sys.stderr) for login in logins]


def describe(arguments: argparse.Namespace) -> dict[str, Any]:
    """Give the site as the suite wants it described. Raises VerifyError."""
    site: dict[str, Any] = {}
    if arguments.site:
        try:
            site = json.loads(arguments.site.read_text())
        except (OSError, ValueError) as error:
            raise VerifyError(f"--site {arguments.site}: {error}") from None
    for name in ("host", "address", "address6", "domain", "relay_source", "size_limit", "spam_filter"):
        if (value := getattr(arguments, name)) is not None:
            site[name] = value
    if arguments.ca_file:
        if not arguments.ca_file.is_file():
            raise VerifyError(f"--ca-file {arguments.ca_file}: no such file")
        site["ca_file"] = str(arguments.ca_file.absolute())
    if arguments.deadline is None:
        arguments.deadline = DEADLINE_FULL if arguments.full else DEADLINE
    if arguments.deadline < 1:
        raise VerifyError(f"--deadline {arguments.deadline}: give a number of seconds, 1 or more")
    if not site.get("host"):
        raise VerifyError("say which site: --host NAME")
    ports = site.setdefault("ports", {})
    for service in SERVICES:
        if (value := getattr(arguments, f"port_{service}")) is not None:
            ports[service] = _port(value, f"--port-{service}")
    names = site.setdefault("names", {})
    names.update({s: value for s in ENCRYPTED if (value := getattr(arguments, f"name_{s}")) is not None})
    host = site["host"]
    site.setdefault("domain", host.split(".", 1)[1] if host.count(".") > 1 else host)
    # Whoever says where something is says that it is there.
    told = {service for service in ENCRYPTED if getattr(arguments, f"port_{service}") not in (None, "none")}
    site["doors"] = sorted(told | set(site.get("doors") or ()))
    site["address"] = site.get("address") or _resolve(host, socket.AF_INET)
    site["address6"] = site.get("address6") or _resolve(host, socket.AF_INET6)
    site["address6"] = None if site["address6"] == "none" else site["address6"]
    site["address"] = site["address"] or site["address6"]
    if not site["address"]:
        raise VerifyError(f"{host} does not resolve; give --address")
    if arguments.user:
        pairs = [user.partition("=") for user in arguments.user]
        passwords = _passwords(arguments, [login for login, _, _ in pairs])
        site["users"] = [
            {"login": login, "address": address or f"{login}@{site['domain']}", "password": password}
            for (login, _, address), password in zip(pairs, passwords, strict=False)
        ]
    site.setdefault("users", [])
    return site


if __name__ == "__main__":
    parser().print_help()
