"""bin/verify: ask a running mail site, from outside, whether it keeps its promises.

It runs tests/acceptance, leaving out what would cost a host in production something: no load, no big messages, about
ten wrong passwords. Without --user no mail is sent; with it, at most six small messages (and one that must be refused),
to that user alone, and they are removed again.

Exit code: 0 all well, 1 something is not, 2 it could not be asked.
"""

import argparse
import contextlib
import datetime
import getpass
import io
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sitelab import tlsfacts
from sitelab.paths import ROOT
from sitelab.progress import elapsed, say

SUITE = ROOT / "tests" / "acceptance"
SERVICES = ("smtp", "smtps", "submission", "pop3s", "pop3")
ENCRYPTED = SERVICES[:4]
GENTLE = "not taxing and (not sends or essential)"
_ABBREVIATIONS = re.compile(
    r"\b(apop|auth|capa|cr|crlf|dele|ehlo|esmtps?|esmtpsa|helo|lf|mime|pop3|qsbmf|quit|rcpt|retr|rset|smtp|starttls|tls|"
    r"uidl|vrfy)\b"
)


class VerifyError(Exception):
    """The site can't be asked; the text says why and what to do."""


@dataclass
class Check:
    """One case of the suite, and what came of it."""

    group: str
    what: str
    case: str
    outcome: str = "skipped"
    """passed, failed or skipped."""
    why: str = ""
    beyond_classic: bool = False


@dataclass
class Outcome:
    """All that was found."""

    checks: list[Check] = field(default_factory=list)
    tls: list[tlsfacts.Facts] = field(default_factory=list)
    scans: list[tlsfacts.Scan] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """Count the cases with an outcome."""
        return sum(check.outcome == outcome for check in self.checks)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong, and something was asked at all."""
        bad_scans = [scan for scan in self.scans if scan.faults]
        return bool(self.count("passed")) and not self.count("failed") and not bad_scans


def plain_words(name: str) -> str:
    """Give the sentence that a test's name is."""
    words = name.removeprefix("test_").replace("_", " ").replace("ipv6", "IPv6")
    return _ABBREVIATIONS.sub(lambda match: match[0].upper(), words)


class Recorder:
    """A pytest plugin that remembers each case in plain words."""

    def __init__(self, secrets: list[str]) -> None:
        """Take the words that may stand in no report."""
        self.checks: dict[str, Check] = {}
        self._secrets = [secret for secret in secrets if secret]
        self._last = 0.0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Put the cases into words."""
        for item in session.items:
            if not isinstance(item, pytest.Function):
                continue
            title = (item.module.__doc__ or item.module.__name__).strip().splitlines()[0].rstrip(".")
            case = item.name[len(item.originalname) :].strip("[]")
            beyond = item.get_closest_marker("beyond_classic") is not None
            self.checks[item.nodeid] = Check(title, plain_words(item.originalname), case, beyond_classic=beyond)
        say(f"asking {len(self.checks)} questions")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what came of a phase of a case."""
        check = self.checks[report.nodeid]
        if report.failed:
            check.outcome, check.why = "failed", self._cause(report)
            say(f"  FAILED {check.what}{f' [{check.case}]' if check.case else ''}")
        elif report.skipped:
            check.why = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
            check.why = check.why.removeprefix("Skipped: ")
        elif report.when == "call" and not check.why:
            check.outcome = "passed"
        if elapsed() - self._last > 10:
            self._last = elapsed()
            say(f"  {sum(c.outcome != 'skipped' or bool(c.why) for c in self.checks.values())} asked")

    def _cause(self, report: pytest.TestReport) -> str:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = (crash.message if crash else str(report.longrepr)).strip().splitlines()
        line = re.sub(r"^AssertionError: ", "", text[0]) if text else "no cause given"
        for secret in self._secrets:
            line = line.replace(secret, "*****")
        # A command of AUTH holds a password in another dress.
        return re.sub(r"(?i)(AUTH \w+ |PASS )\S+", r"\1*****", line)[:300]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_argument_group("the site")
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
    who = parser.add_argument_group("a test user")
    who.add_argument(
        "--user", action="append", default=[], metavar="LOGIN[=ADDRESS]",
        help="log in as this user, and send to ADDRESS (default: LOGIN@DOMAIN); may be given twice",
    )  # fmt: skip
    who.add_argument("--password-file", type=Path, help="one line for each --user; asked for if not given")
    what = parser.add_argument_group("what is asked")
    what.add_argument(
        "--full", action="store_true", help="everything: load, big messages, wrong passwords; never in production"
    )
    what.add_argument("--classic", action="store_true", help="only what classic qmail promises, too")
    what.add_argument("-k", dest="keyword", help="only cases whose name matches, as in pytest")
    what.add_argument("--no-scanner", action="store_true", help="leave sslscan and testssl.sh out, even if installed")
    what.add_argument("--warn-days", type=int, default=21, help="warn when a certificate ends sooner (default: 21)")
    out = parser.add_argument_group("the report")
    out.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    out.add_argument("--junit", type=Path, help="write the cases as JUnit XML as well")
    out.add_argument("--all", action="store_true", help="a line for each case, also for those that passed")
    return parser


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


def reachable(site: dict[str, Any]) -> None:
    """See that there is somebody to ask. Raises VerifyError."""
    port = site["ports"].get("smtp", 25)
    try:
        socket.create_connection((site["address"], port), timeout=15).close()
    except OSError as error:
        raise VerifyError(
            f"{site['host']} ({site['address']}), port {port}: {error}; is it up, and is a firewall between?"
        ) from None


def ask(site: dict[str, Any], arguments: argparse.Namespace) -> list[Check]:
    """Run the suite; give its cases. Raises VerifyError where it could not be run."""
    markers = [] if arguments.full else [GENTLE]
    markers += ["not beyond_classic"] if arguments.classic else []
    recorder = Recorder([user["password"] for user in site["users"]])
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        file = Path(directory) / "site.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(site))
        words = [f"--rootdir={ROOT}", f"--confcutdir={ROOT}", "-p", "no:cacheprovider", "-q", "--site", str(file)]
        words += ["-m", " and ".join(f"({marker})" for marker in markers)] if markers else []
        words += ["-k", arguments.keyword] if arguments.keyword else []
        words += [f"--junitxml={arguments.junit.absolute()}"] if arguments.junit else []
        noise = io.StringIO()
        here = Path.cwd()
        os.chdir(ROOT)
        try:
            with contextlib.redirect_stdout(noise):
                code = pytest.main([*words, str(SUITE)], plugins=[recorder])
        finally:
            os.chdir(here)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise VerifyError(f"the suite could not be run (pytest: {code}):\n{noise.getvalue()[-2000:]}")
    return list(recorder.checks.values())


def look(site: dict[str, Any], arguments: argparse.Namespace) -> Outcome:
    """Ask all there is to ask."""
    outcome = Outcome()
    reachable(site)
    say(f"looking at the certificates of {site['host']}")
    outcome.tls = tlsfacts.look(site)
    for facts in outcome.tls:
        if facts.days_left is not None and facts.days_left < arguments.warn_days:
            outcome.warnings.append(f"{facts.place}: the certificate ends in {facts.days_left} days, {facts.not_after}")
    outcome.checks = ask(site, arguments)
    if not arguments.no_scanner:
        outcome.scans = tlsfacts.scan(site)
    return outcome


def _lines(checks: list[Check], every: bool) -> Iterator[str]:
    groups: dict[str, dict[str, list[Check]]] = {}
    for check in checks:
        groups.setdefault(check.group, {}).setdefault(check.what, []).append(check)
    for group, sentences in groups.items():
        yield ""
        yield f"  {group}"
        for what, cases in sentences.items():
            counts = {o: sum(c.outcome == o for c in cases) for o in ("passed", "failed", "skipped")}
            mark = "FAILED" if counts["failed"] else "ok" if counts["passed"] else "-"
            tried = counts["passed"] + counts["failed"]
            number = f"  ({counts['passed']} of {tried})" if tried > 1 else ""
            yield f"    {mark:<6} {what}{number}"
            if not tried:
                yield f"             not asked: {cases[0].why}"
            for check in cases:
                name = check.case.encode("ascii", "backslashreplace").decode()
                if check.outcome == "failed":
                    yield f"             {name + ': ' if name else ''}{check.why}"
                elif every and name:
                    yield f"           {'ok' if check.outcome == 'passed' else '-'} {name}"


def printable(line: str) -> str:
    """Give a line without what would move a terminal's cursor, or hide text: some of it is what the site said."""
    return "".join(c if c.isprintable() else "?" for c in line)


def report(site: dict[str, Any], outcome: Outcome, every: bool) -> str:
    """Give the table for people."""
    place = f"{site['address']}{', ' + site['address6'] if site['address6'] else ''}"
    lines = ["", f"  {site['host']} ({place}), domain {site['domain']}", "", "  Certificates"]
    for facts in outcome.tls:
        lines.append(f"    {facts.place:<11} {facts.line()}")
    lines += _lines(outcome.checks, every)
    for scan in outcome.scans:
        lines += ["", f"  {scan.program}, {scan.place}: {'FAILED' if scan.faults else 'ok'}"]
        lines += [f"             {fault}" for fault in scan.faults]
    lines += [""] + [f"  warning: {warning}" for warning in outcome.warnings]
    result = "all well" if outcome.well else "NOT WELL"
    lines.append(
        f"  {result}: {outcome.count('passed')} passed, {outcome.count('failed')} failed, "
        f"{outcome.count('skipped')} not asked, {elapsed():.0f} s"
    )
    return "\n".join([*map(printable, lines), ""])


def as_json(site: dict[str, Any], outcome: Outcome) -> str:
    """Give all of it as one JSON object, without passwords."""
    return json.dumps(
        {
            "host": site["host"],
            "address": site["address"],
            "address6": site["address6"],
            "domain": site["domain"],
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(elapsed()),
            "ok": outcome.well,
            "passed": outcome.count("passed"),
            "failed": outcome.count("failed"),
            "skipped": outcome.count("skipped"),
            "warnings": outcome.warnings,
            "tls": [asdict(facts) for facts in outcome.tls],
            "scans": [asdict(scan) for scan in outcome.scans],
            "checks": [asdict(check) for check in outcome.checks],
        }
    )


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments = _parser().parse_args(words)
    try:
        site = describe(arguments)
        outcome = look(site, arguments)
    except VerifyError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(as_json(site, outcome) if arguments.json else report(site, outcome, arguments.all))
    if not shutil.which("swaks") and site["users"]:
        say("swaks is not installed here: one of the deliveries was not tried with it")
    return 0 if outcome.well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
