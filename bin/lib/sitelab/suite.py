"""bin/test: every check of the repository, in four stages, with the time that each takes; the last beside the others.

lint      the linters of .pre-commit-config.yaml, over every file that they concern
unit      pytest: tests/unit, and the tests of the Python programs under src/
c         each src/*/Makefile's own tests, built with AddressSanitizer and UBSan
molecule  the scenario `default`: a fresh host, the whole playbook, real mail

One more runs only when it is asked for:

scenarios  every other scenario of molecule/, one after the other; the name of one runs that one

A stage's output is shown where something failed, and kept in .cache/test/ in any case.
"""

import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from sitelab.paths import CACHE, ROOT
from verify.progress import elapsed, say

LOGS = CACHE / "test"
STAGES = ("lint", "unit", "c", "molecule")
"""The stages of every run. Others in CHECKS run only when they are asked for: they take longer than all these."""
LANES = (("lint", "unit", "c"), ("molecule",))
"""What runs at the same time: a host is made and asked while the rest uses what that leaves of the cores."""


# Tests own their ports and homes. Those of the C programs wait more than they compute, so there are more than cores.
_SIDE_BY_SIDE = ("-n", str(os.cpu_count() or 1))
_WAITING = f"-n {2 * (os.cpu_count() or 1)} --timeout=300"


@dataclass(frozen=True)
class Check:
    """One command that passes or fails."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    junit: Path | None = None
    """Where the command leaves the results of its single tests, if it does."""


@dataclass(frozen=True)
class Result:
    """What became of a check."""

    passed: int
    failed: int


def python_test_folders() -> list[Path]:
    """Give the folders below src/ that have Python tests, relative to the root."""
    return sorted({path.parent for path in (ROOT / "src").glob("*/tests/test_*.py")})


def makefile_target(makefile: str) -> str | None:
    """Give the target that runs a part's own tests: `test` where there is one, else `check`."""
    for target in ("test", "check"):
        if re.search(rf"^{target}\s*:", makefile, re.MULTILINE):
            return target
    return None


def lint_checks() -> list[Check]:
    """Give the linters: those that pre-commit runs over what a commit changes, here over everything that git knows."""
    hooks = [
        hook
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    return [Check(hook["name"], ("pre-commit", "run", "--all-files", "--color=never", hook["id"])) for hook in hooks]


def _pytest(folder: str) -> Check:
    name = folder.replace("/", "-")
    junit = LOGS / f"{name}.xml"
    command = ("python", "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "--timeout=300", *_SIDE_BY_SIDE)
    return Check(f"pytest {folder}", (*command, f"--junitxml={junit}", folder), junit=junit)


def unit_checks() -> list[Check]:
    """Give the runs of pytest; a part whose Makefile runs its own Python tests is left to it."""
    checks = [_pytest("tests/unit")]
    for folder in python_test_folders():
        makefile = folder.parent / "Makefile"
        if not makefile.exists() or makefile_target(makefile.read_text()) != "test":
            checks.append(_pytest(str(folder.relative_to(ROOT))))
    return checks


def c_checks() -> list[Check]:
    """Give the tests of each part that has a Makefile."""
    checks = []
    for makefile in sorted((ROOT / "src").glob("*/Makefile")):
        if target := makefile_target(makefile.read_text()):
            part = str(makefile.parent.relative_to(ROOT))
            jobs = str(os.cpu_count() or 1)
            command = ("make", "-j", jobs, "-C", part, target, "PYTHON=python", f"PYTEST_FLAGS={_WAITING}")
            checks.append(Check(f"make {target} in {part}", command))
    return checks


def scenarios() -> list[str]:
    """Give the names of the scenarios, the one that belongs to every run first."""
    names = sorted(file.parent.name for file in (ROOT / "molecule").glob("*/molecule.yml"))
    return sorted(names, key=lambda name: name != "default")


def _scenario(name: str) -> Check:
    junit = LOGS / ("acceptance.xml" if name == "default" else f"acceptance-{name}.xml")
    return Check(f"molecule {name}", ("molecule", "test", "-s", name), (("QMAIL_SITE_JUNIT", str(junit)),), junit)


def molecule_checks() -> list[Check]:
    """Give the scenario that belongs to every run."""
    return [_scenario(name) for name in scenarios() if name == "default"]


def scenario_checks() -> list[Check]:
    """Give the other scenarios."""
    return [_scenario(name) for name in scenarios() if name != "default"]


def _checks(stage: str) -> list[Check]:
    return CHECKS[stage]() if stage in CHECKS else [_scenario(stage)]


CHECKS: dict[str, Callable[[], list[Check]]] = {
    "lint": lint_checks,
    "unit": unit_checks,
    "c": c_checks,
    "molecule": molecule_checks,
    "scenarios": scenario_checks,
}


def count(junit: Path) -> Result:
    """Count the tests in a JUnit file; a skipped test counts for neither side."""
    passed = failed = 0
    for suite in ET.parse(junit).getroot().iter("testsuite"):  # noqa: S314 (our own pytest wrote it)
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return Result(passed, failed)


def run(check: Check, show: Callable[[str], bool] = lambda line: False) -> Result:
    """Run a check; say how it ended. Lines for which `show` holds are passed on while it runs."""
    LOGS.mkdir(parents=True, exist_ok=True)
    if check.junit:
        check.junit.unlink(missing_ok=True)
    log = LOGS / (re.sub(r"\W+", "-", check.name) + ".log")
    begun = time.monotonic()
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"} | dict(check.environment)
    with log.open("w") as out:
        process = subprocess.Popen(
            ("env", "--default-signal=HUP,INT,QUIT", *check.command),  # nohup and & have them ignored
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None  # noqa: S101 (asked for in the line above)
        for line in process.stdout:
            out.write(line)
            out.flush()
            if show(line):
                say(f"  {line.rstrip()}")
        code = process.wait()
    took = f"{time.monotonic() - begun:.1f} s"
    result = Result(1, 0) if code == 0 else Result(0, 1)
    if check.junit and check.junit.exists():
        counted = count(check.junit)
        # A run that ended badly without a failing test (a crash, a broken playbook) is a failure itself.
        result = Result(counted.passed, max(counted.failed, result.failed))
    if code == 0:
        say(f"{check.name}: ok ({result.passed} passed, {took})" if check.junit else f"{check.name}: ok ({took})")
    else:
        tail = log.read_text(errors="replace").splitlines()[-120:]
        say(f"{check.name}: FAILED with exit code {code} ({took}); all of it is in {log.relative_to(ROOT)}")
        print("\n".join(f"    {line}" for line in tail), file=sys.stderr, flush=True)
    return result


def _is_molecule_step(line: str) -> bool:
    return "] Execut" in line or line.startswith(("fatal:", "[ERROR]"))


def run_stage(stage: str) -> list[Result]:
    """Run a stage's checks: linters side by side, the rest one by one."""
    checks = _checks(stage)
    say(f"--- {stage}: {len(checks)} {'check' if len(checks) == 1 else 'checks'}")
    if stage == "lint":
        with ThreadPoolExecutor(max_workers=2) as pool:
            return list(pool.map(run, checks))
    show = _is_molecule_step if stage in ("molecule", "scenarios", *scenarios()) else lambda line: False
    return [run(check, show) for check in checks]


def run_lane(stages: list[str]) -> list[Result]:
    """Run stages one after the other."""
    return [result for stage in stages for result in run_stage(stage)]


def main(words: list[str]) -> int:
    """Run the stages that are asked for; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", nargs="*", help=f"run only these (default: {' '.join(STAGES)})")
    asked = parser.parse_args(words).stage
    known = [*CHECKS, *(name for name in scenarios() if name != "default")]
    if unknown := [stage for stage in asked if stage not in known]:
        parser.error(f"there is no stage {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [stage for stage in known if stage in (asked or STAGES)]
    lanes = [[stage for stage in chosen if stage in lane] for lane in LANES]
    rest = [stage for stage in chosen if not any(stage in lane for lane in LANES)]
    with ThreadPoolExecutor(max_workers=len(lanes)) as pool:
        results = [result for lane in pool.map(run_lane, lanes) for result in lane]
    results += run_lane(rest)
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    minutes, seconds = divmod(round(elapsed()), 60)
    print(f"took {minutes} min {seconds} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
