"""The cases of the suite: asked through pytest, and remembered in plain words."""

import argparse
import contextlib
import io
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from verify.arguments import VerifyError
from verify.progress import doing, elapsed, say

QUESTIONS = Path(__file__).resolve().parent / "questions"
GENTLE = "not taxing and (not sends or essential)"
_ABBREVIATIONS = re.compile(
    r"\b(apop|auth|capa|cr|crlf|dele|ehlo|esmtps?|esmtpsa|helo|lf|mime|pop3|qsbmf|quit|rcpt|retr|rset|smtp|starttls|tls|"
    r"uidl|vrfy)\b"
)


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


def plain_words(name: str) -> str:
    """Give the sentence that a test's name is."""
    words = name.removeprefix("test_").replace("_", " ").replace("ipv6", "IPv6")
    return _ABBREVIATIONS.sub(lambda match: match[0].upper(), words)


class Recorder:
    """A pytest plugin that remembers each case in plain words."""

    def __init__(self, secrets: list[str], until: float) -> None:
        """Take the words that may stand in no report, and when the last question may begin."""
        self.until = until
        self.late = False
        self._session: pytest.Session | None = None
        self.checks: dict[str, Check] = {}
        self._secrets = [secret for secret in secrets if secret]
        self._last = 0.0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Put the cases into words."""
        self._session = session
        for item in session.items:
            if not isinstance(item, pytest.Function):
                continue
            title = (item.module.__doc__ or item.module.__name__).strip().splitlines()[0].rstrip(".")
            case = item.name[len(item.originalname) :].strip("[]")
            beyond = item.get_closest_marker("beyond_classic") is not None
            self.checks[item.nodeid] = Check(title, plain_words(item.originalname), case, beyond_classic=beyond)
        say(f"asking {len(self.checks)} questions")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell what is being asked."""
        check = self.checks[nodeid]
        doing(f"{check.what}{f' [{check.case}]' if check.case else ''}")

    def pytest_runtest_logfinish(self) -> None:
        """Begin no other question when it is too late for one."""
        if elapsed() > self.until and self._session is not None:
            self.late = True
            self._session.shouldstop = "no time is left"

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


def ask(site: dict[str, Any], arguments: argparse.Namespace, until: float) -> tuple[list[Check], bool]:
    """Run the suite, beginning no question after a moment (as `elapsed` has it); give its cases, and if it was late.

    Raises VerifyError where it could not be run.
    """
    markers = [] if arguments.full else [GENTLE]
    markers += ["not beyond_classic"] if arguments.classic else []
    recorder = Recorder([user["password"] for user in site["users"]], until)
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        file = Path(directory) / "site.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(site))
        words = ["-c", str(QUESTIONS.parent / "pytest.ini"), f"--rootdir={QUESTIONS}", f"--confcutdir={QUESTIONS}"]
        words += ["-p", "no:cacheprovider", "-q", "--site", str(file)]
        words += ["-m", " and ".join(f"({marker})" for marker in markers)] if markers else []
        words += ["-k", arguments.keyword] if arguments.keyword else []
        words += [f"--junitxml={arguments.junit.absolute()}"] if arguments.junit else []
        noise = io.StringIO()
        here = Path.cwd()
        os.chdir(QUESTIONS)
        try:
            with contextlib.redirect_stdout(noise):
                code = pytest.main([*words, str(QUESTIONS)], plugins=[recorder])
        finally:
            os.chdir(here)
    if recorder.late and code == pytest.ExitCode.INTERRUPTED:
        for check in recorder.checks.values():
            if check.outcome == "skipped" and not check.why:
                check.why = "no time was left (--deadline)"
        return list(recorder.checks.values()), True
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise VerifyError(f"the suite could not be run (pytest: {code}):\n{noise.getvalue()[-2000:]}")
    return list(recorder.checks.values()), False
