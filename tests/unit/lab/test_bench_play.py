"""bin/bench play: the plain script does what the play did, and what is too dear is told."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sitelab.bench import plain
from sitelab.bench.play import Bench, Cost


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Any]:
    """The arguments of a build: a source, a patch in another, and commands."""
    for name, files in {"hello": {"hello.sh": "echo hello\n"}, "ours": {"0001-better.patch": PATCH}}.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.add(tmp_path / name, name)
    return {
        "work": str(tmp_path / "work"),
        "prefix": str(tmp_path / "prefix"),
        "cache": str(tmp_path),
        "environment": {"WORD": "a word"},
        "archives": [
            {"name": "hello.tar", "into": "source", "unpack": True},
            {"name": "ours.tar", "into": "ours", "unpack": True},
        ],
        "patches": [{"file": "ours/*.patch", "strip": 1}],
        "steps": [
            {"name": "build", "run": ["sh hello.sh >said", 'echo "$WORD" >>said']},
            {"name": "install", "run": ['cp said "$PREFIX/"']},
        ],
    }


PATCH = """\
--- a/hello.sh
+++ b/hello.sh
@@ -1 +1 @@
-echo hello
+echo better
"""


def test_the_plain_script_builds_what_the_play_built(built: dict[str, Any], tmp_path: Path) -> None:
    words = plain.script([{"action": "source_build", "arguments": built}]).replace("apt-get -qq update", "")
    subprocess.run(["sh", "-eu", "-c", words], check=True)
    assert (tmp_path / "prefix/said").read_text() == "better\na word\n"


def test_the_plain_script_ends_where_a_build_fails(built: dict[str, Any]) -> None:
    built["steps"][0]["run"] = ["false"]
    words = plain.script([{"action": "source_build", "arguments": built}]).replace("apt-get -qq update", "")
    assert subprocess.run(["sh", "-eu", "-c", words], check=False).returncode != 0


def test_the_plain_script_installs_the_same_packages() -> None:
    done = {"action": "ansible.builtin.apt", "arguments": {"package": ["make", "patch"], "update_cache": False}}
    assert "apt-get -qq -y --no-install-recommends install make patch\n" in plain.script([done])


def test_what_is_beyond_its_limit_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Bench, "__init__", lambda self: None)
    bench = Bench()
    task = {"name": "a task", "seconds": 1.0, "skipped": False}
    cpu = {
        "an empty play": 1,
        "the first run": 115,
        "a plain script": 100,
        "nothing to do": 11,
        "nothing to do, in check mode": 12,
        "a new certificate": 5,
        "nothing to do, 1000 users": 16,
        "one more, 1000 users": 19,
    }
    bench.costs = {what: Cost(what, 1, seconds, 0, [task]) for what, seconds in cpu.items()}
    assert bench.report()
    assert "TOO DEAR" not in capsys.readouterr().out
    bench.costs["one more, 1000 users"].host = 0.1
    assert not bench.report()
    assert "TOO DEAR one user more, s more: 3.10, allowed 3" in capsys.readouterr().out
