"""bin/release: a release of what is committed, as a commit, a tag and an archive; nothing leaves this machine.

The file VERSION gets the new version, and CHANGELOG.md a section with today's date for what stood under Unreleased.
Where both say the version already, there is only the tag and the archive to be made.
"""

import argparse
import datetime
import hashlib
import re
import subprocess
import sys
from pathlib import Path

from sitelab.paths import ROOT

UNRELEASED = "## [Unreleased]\n"
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class ReleaseError(Exception):
    """Why there can be no such release."""


def numbers(version: str) -> tuple[int, ...]:
    """Give the three numbers of a version, for comparison."""
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is not a version of three numbers, such as 1.2.0")
    return tuple(int(number) for number in version.split("."))


def dated(changelog: str, version: str, day: datetime.date) -> str:
    """Give CHANGELOG.md with what stands under Unreleased as the section of VERSION."""
    before, heading, after = changelog.partition(UNRELEASED)
    if not heading:
        raise ReleaseError(f"CHANGELOG.md has no line {UNRELEASED.strip()!r}")
    if not after.partition("\n## [")[0].strip():
        raise ReleaseError("CHANGELOG.md has nothing under Unreleased, so there is nothing to release")
    return f"{before}{UNRELEASED}\n## [{version}] - {day.isoformat()}\n{after}"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def release(root: Path, version: str, day: datetime.date) -> Path:
    """Commit, tag and pack VERSION of the repository at ROOT; give the archive."""
    file, changelog, tag = root / "VERSION", root / "CHANGELOG.md", f"v{version}"
    now = file.read_text().strip()
    if numbers(version) < numbers(now):
        raise ReleaseError(f"{version} is older than {now}, which VERSION says")
    if changes := _git(root, "status", "--porcelain"):
        raise ReleaseError(f"commit or put away what is not committed:\n{changes}")
    if _git(root, "tag", "--list", tag):
        raise ReleaseError(f"{tag} is there already; name the next version")
    if version != now:
        text = dated(changelog.read_text(), version, day)
        file.write_text(f"{version}\n")
        changelog.write_text(text)
        _git(root, "commit", "--quiet", "--message", f"Release {version}", "--", file.name, changelog.name)
    elif f"\n## [{version}] - " not in changelog.read_text():
        raise ReleaseError(f"CHANGELOG.md has no section for {version}")
    _git(root, "tag", "--annotate", "--message", f"qmail-site {version}", tag)
    archive = root / ".cache" / "release" / f"qmail-site-{version}.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    _git(root, "archive", f"--prefix=qmail-site-{version}/", f"--output={archive}", tag)
    return archive


def main(words: list[str]) -> int:
    """Make the release; say what there is to publish."""
    parser = argparse.ArgumentParser(
        prog="release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", help="three numbers, as https://semver.org has them")
    version = parser.parse_args(words).version
    try:
        archive = release(ROOT, version, datetime.datetime.now(datetime.UTC).date())
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive}")
    print(f"git push --atomic origin HEAD v{version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
