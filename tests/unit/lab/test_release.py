"""One file says the version, everything takes it from there, and bin/release makes the next one."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from sitelab import release
from sitelab.paths import ROOT

VERSION = (ROOT / "VERSION").read_text().strip()
DAY = datetime.date(2027, 3, 1)
# A version said in so many words, under any name of one, in a Makefile, a vars file, a program or a page.
SAID = re.compile(r"(?im)^[^#\n]*version[\"']?\s*[:?]?[:=]\s*[\"']?v?\d+(?:\.\d+)+")
# Versions of others' things: what is built from a distfile, what a tool is to read, and examples of modules.
OTHERS = re.compile(
    r"(?i)python[_-]version|target-version|mime-version|callback_version|(?:ansible|distfile|spamassassin|stunnel)_version"
    r'|build_version: "0\.88'
)


def files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def said(text: str) -> list[str]:
    text = re.sub(r'(?s)\b(?:DOCUMENTATION|EXAMPLES|RETURN) = r""".*?"""', "", text)
    return [line for line in SAID.findall(text) if not OTHERS.search(line)]


def test_nothing_else_says_a_version() -> None:
    parts = [f for f in files() if f.relative_to(ROOT).parts[0] in ("roles", "src", "playbooks", "library", "bin")]
    found = {}
    for file in [ROOT / "pyproject.toml", *parts]:
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        if lines := said(text):
            found[str(file.relative_to(ROOT))] = lines
    assert found == {}


def test_what_would_say_one_is_found() -> None:
    for line in (
        "VERSION := 1.0.0",
        '_helpers_version: "1.0"',
        'version = "0.1.0"',
        "    version: 1.0.0",
        "VERSION='1.2'",
    ):
        assert said(f"x\n{line}\n"), line
    assert not said("version: \"{{ lookup('ansible.builtin.file', role_path ~ '/../../VERSION') }}\"")


def test_every_part_of_ours_has_the_releases_version(tmp_path: Path) -> None:
    """As the roles themselves evaluate it."""
    wanted = {"checkpassword": "_checkpassword_recipes.tree.version", "qmail": "_qmail_recipes.tree.version"}
    tasks = {"helpers": "install", "mta": "package"}
    plays = []
    for role, variable in wanted.items():
        plays.append((f"roles/{role}/vars/main.yml", variable))
    for role, file in tasks.items():
        (task,) = [
            task
            for task in yaml.safe_load((ROOT / f"roles/{role}/tasks/{file}.yml").read_text())
            if "version" in (task.get("site_package") or {}) or "build_version" in (task.get("vars") or {})
        ]
        expression = task.get("vars", {}).get("build_version") or task["site_package"]["version"]
        path = tmp_path / f"{role}.yml"
        path.write_text(json.dumps({f"_{role}_said": expression}))
        plays.append((str(path), f"_{role}_said"))
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"role_path": str(ROOT / "roles" / "build")},
            "vars_files": [str(ROOT / file) for file, _ in plays],
            "tasks": [
                {"ansible.builtin.assert": {"that": [f"{variable} == '{VERSION}'" for _, variable in plays]}},
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local"]
    done = subprocess.run([*command, str(tmp_path / "play.yml")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_changelog_has_a_section_for_it() -> None:
    headings = re.findall(r"(?m)^## \[(.*?)\](.*)$", (ROOT / "CHANGELOG.md").read_text())
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == VERSION
    assert re.fullmatch(r" - \d{4}-\d\d-\d\d", headings[1][1])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "somebody@example.org")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "VERSION").write_text("1.0.0\n")
    (root / ".gitignore").write_text("/.cache/\n")
    (root / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- A thing.\n\n## [1.0.0] - 2026-11-26\n\n- All.\n"
    )
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def test_a_release_is_a_commit_a_tag_and_an_archive(repository: Path) -> None:
    archive = release.release(repository, "1.1.0", DAY)
    with tarfile.open(archive) as packed:
        names = {member.name for member in packed}
        version = packed.extractfile("qmail-site-1.1.0/VERSION")
        assert version is not None
        assert version.read() == b"1.1.0\n"
    assert {name.partition("/")[0] for name in names} == {"qmail-site-1.1.0"}
    assert (repository / "CHANGELOG.md").read_text().split("\n")[2:8] == [
        "## [Unreleased]", "", "## [1.1.0] - 2027-03-01", "", "- A thing.", "",
    ]  # fmt: skip
    said = subprocess.run(["git", "describe"], cwd=repository, capture_output=True, text=True, check=True).stdout
    assert said == "v1.1.0\n"


def test_a_version_that_is_said_already_is_tagged_as_it_is(repository: Path) -> None:
    before = (repository / "CHANGELOG.md").read_text()
    release.release(repository, "1.0.0", DAY)
    assert (repository / "CHANGELOG.md").read_text() == before
    with pytest.raises(release.ReleaseError, match="there already"):
        release.release(repository, "1.0.0", DAY)


@pytest.mark.parametrize(
    ("version", "sentence"), [("1.1", "three numbers"), ("v1.1.0", "three numbers"), ("0.9.9", "older than 1.0.0")]
)
def test_what_is_no_next_version_is_refused(repository: Path, version: str, sentence: str) -> None:
    with pytest.raises(release.ReleaseError, match=sentence):
        release.release(repository, version, DAY)


def test_what_is_not_committed_is_not_released(repository: Path) -> None:
    (repository / "more").touch()
    with pytest.raises(release.ReleaseError, match="not committed"):
        release.release(repository, "1.1.0", DAY)
    assert (repository / "VERSION").read_text() == "1.0.0\n"


def test_there_must_be_something_to_release(repository: Path) -> None:
    release.release(repository, "1.1.0", DAY)
    with pytest.raises(release.ReleaseError, match="nothing under Unreleased"):
        release.release(repository, "1.2.0", DAY)
