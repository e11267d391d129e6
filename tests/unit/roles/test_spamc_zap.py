"""The patch for spamc -Y, applied to a stand-in that has the lines it holds on to, elsewhere than the patch says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
PATCH = HERE.parents[2] / "roles/spamassassin/files/patches/spamc-zap.patch"


@pytest.fixture(scope="module")
def spamc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the patched stand-in."""
    folder = tmp_path_factory.mktemp("spamc")
    (folder / "spamc").mkdir()
    source = folder / "spamc/spamc.c"
    source.write_text("\n" * 300 + (HERE / "spamc_stand_in.c").read_text())
    subprocess.run(["patch", "-p1", "--batch", "--forward", "--fuzz=0", "-i", PATCH], cwd=folder, check=True)
    compiler = shutil.which("cc") or "cc"
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-o", folder / "run", source], check=True)
    return folder / "run"


FILES = PATCH.parent
POD = """=head1 NAME

spamc - client for spamd

=head1 SYNOPSIS

=over

=item spamc [options] < message

=back

=head1 OPTIONS

=over

=item B<-E>, B<--exitcode>

Filter as normal.

=over 4

=item nested

=back

=item B<--headers>

=back

=head1 EXIT CODES

=over 4

=item 0

=back
"""


def ask(spamc: Path, score: str, *options: str, **environment: str) -> int:
    env = {**os.environ, "SPAMD_SAYS": score, **environment}
    return subprocess.run([spamc, *options], env=env, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("score", "code"),
    [
        ("-3.0 / 5.0", 0),
        ("4.9 / 5.0", 0),
        ("5.0 / 5.0", 1),
        ("6.9 / 5.0", 1),
        ("7.0 / 5.0", 2),
        ("1005.2 / 5.0", 2),
        ("7.1 / 5.1", 2),
        ("7.0 / 5.1", 1),
    ],
)
def test_the_exit_code_is_the_zone(spamc: Path, score: str, code: int) -> None:
    assert ask(spamc, score, "-E", "-Y", "2.0") == code
    assert ask(spamc, score, "--zap", "2") == code


def test_no_score_is_lost_to_binary_fractions(spamc: Path) -> None:
    for tenths in range(1, 100):
        limit = f"{5.1 + tenths / 10:.1f} / 5.1"
        assert ask(spamc, limit, "-Y", f"{tenths / 10:.1f}") == 2, limit


def test_without_the_option_nothing_changes(spamc: Path) -> None:
    assert ask(spamc, "99 / 5.0", "-E") == 1
    assert ask(spamc, "99 / 5.0") == 0


def test_what_was_not_scanned_is_not_red(spamc: Path) -> None:
    assert ask(spamc, "99 / 5.0", "-Y", "2.0", TOOBIG="1") == 0


@pytest.mark.parametrize("points", ["", "x", "-1", "2x", "nan"])
def test_bad_points_are_refused(spamc: Path, points: str) -> None:
    assert ask(spamc, "9 / 5.0", "-Y", points) == 64


@pytest.mark.parametrize(("option", "code"), [("-h", 0), ("--what", 64)])
def test_the_usage_tells_of_it_below_the_others(spamc: Path, option: str, code: int) -> None:
    done = subprocess.run([spamc, option], capture_output=True, text=True, check=False)
    assert done.returncode == code
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Usage: spamc ")
    assert [line for line in lines if "-Y, --zap points" in line] == lines[3:4]


def test_the_manual_page_tells_of_it_at_the_end_of_the_options(tmp_path: Path) -> None:
    page = tmp_path / "spamc.pod"
    page.write_text(POD)
    subprocess.run(["perl", FILES / "document-zap.pl", page], check=True)
    text = page.read_text()
    assert text.replace(text[text.index("=item B<-Y>") : text.index("=back\n\n=head1 EXIT")], "") == POD
    assert text.index("--headers") < text.index("--zap") < text.index("EXIT CODES")
    checked = subprocess.run(["podchecker", page], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_manual_page_of_another_shape_stops_the_build(tmp_path: Path) -> None:
    page = tmp_path / "spamc.pod"
    page.write_text("=head1 NAME\n\nspamc\n")
    done = subprocess.run(["perl", FILES / "document-zap.pl", page], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'no list of options below "=head1 OPTIONS"' in done.stderr
    assert page.read_text() == "=head1 NAME\n\nspamc\n"


def commands(kind: str) -> list[str]:
    """Give the commands of one kind of the build."""
    tasks = yaml.safe_load((FILES.parents[1] / "tasks/distfile.yml").read_text())
    return list(tasks[0]["vars"][kind])


def test_the_check_of_the_build_accepts_a_spamd_that_perl_runs_tainted(tmp_path: Path) -> None:
    (tmp_path / "spamd").mkdir()
    (tmp_path / "lib/Mail").mkdir(parents=True)
    (tmp_path / "lib/Mail/SpamAssassin.pm").write_text("package Mail::SpamAssassin;\n1;\n")
    spamd = tmp_path / "spamd/spamd"
    spamd.write_text("#!/usr/bin/perl -T -w\nuse strict;\nuse Mail::SpamAssassin;\n")
    for command in commands("build_check"):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    spamd.write_text(spamd.read_text() + "my $x = ;\n")
    assert subprocess.run(["sh", "-c", commands("build_check")[0]], cwd=tmp_path, check=False).returncode != 0
