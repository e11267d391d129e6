"""Shell scripts mean the same whatever the language of who calls them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sitelab.paths import ROOT

LOCALE = "tr_TR.UTF-8"


def scripts() -> list[Path]:
    """Give what a host runs: every file of a role, and what the builds call, that a shell reads."""
    found = []
    for folder in ("roles", "src"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not path.is_symlink() and path.read_bytes().startswith(b"#!/bin/sh"):
                found.append(path)
    return found


@pytest.mark.parametrize("script", scripts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_works_in_the_c_locale(script: Path) -> None:
    text = script.read_text()
    if "\nengine=" in text:  # of the init scripts; it is sourced before they do anything
        text = (ROOT / "roles/helpers/files/usr/local/lib/qmail-site/init").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert "LC_ALL=C" in lines
    assert any(line.startswith("export ") and "LC_ALL" in line.split() for line in lines)


@pytest.fixture(scope="session")
def turkish(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give an environment in which i and I are no pair, and no range of letters is what it seems."""
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/tr_TR").exists():
        pytest.skip("this machine has no sources of locales (package locales)")
    folder = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", folder / LOCALE], check=True)
    return {"LC_ALL": LOCALE, "LOCPATH": str(folder)}


def test_rules_are_compiled_in_any_language(turkish: dict[str, str], tmp_path: Path) -> None:
    source = (ROOT / "roles/services/files/usr/local/sbin/tcprules-update").read_text()
    # Its PATH has no compiler of rules here.
    script = tmp_path / "tcprules-update"
    script.write_text(source.replace("PATH=/usr/local/bin", f"PATH={tmp_path}:/usr/local/bin"))
    compiler = tmp_path / "tcprules"
    compiler.write_text('#!/bin/sh\ncat >"$1"\n')
    for program in (script, compiler):
        program.chmod(0o755)
    rules = tmp_path / "smtp.rules"
    rules.write_text('127.:allow,RELAYCLIENT=""\n192.0.2.1:deny\n:allow,TCPREMOTEINFO="i"\n')
    done = subprocess.run([script, rules], env=os.environ | turkish, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
