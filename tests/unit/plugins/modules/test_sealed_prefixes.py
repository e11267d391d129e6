"""The module sealed_prefixes: each part is what was built, and what isn't is told."""

from __future__ import annotations

import grp
import json
import os
import pwd
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from library import sealed_prefixes
from module_utils.sealed_tree import record_of
from tests.unit.conftest import RunModule

ME = pwd.getpwuid(os.geteuid()).pw_name
MY_GROUP = grp.getgrgid(os.getegid()).gr_name
A, B = "1.0-aaaaaaaa", "1.0-bbbbbbbb"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A part with a current and a previous build, each with a program, a link and a declared mode."""
    part = tmp_path / "hello"
    for name in (A, B):
        bin_ = part / name / "bin"
        bin_.mkdir(parents=True)
        (bin_ / "hello").write_text(name)
        (bin_ / "hi").symlink_to("hello")
        stamp = {"stamp": name[-8:] * 8, "files": record_of(part / name)}
        (part / name / ".stamp").write_text(json.dumps(stamp))
        modes = [{"path": "bin/hello", "owner": ME, "group": MY_GROUP, "mode": "4711"}]
        (part / name / ".modes").write_text(json.dumps(modes))
        (bin_ / "hello").chmod(0o4711)
    (part / "current").symlink_to(B)
    (part / "previous").symlink_to(A)
    return part


def found(run_module: RunModule, part: Path) -> list[str]:
    answer = run_module(sealed_prefixes, {"root": str(part.parent)})
    assert answer.get("failed", False) is bool(answer["found"])
    said: list[str] = answer["found"]
    return said


def test_what_was_built_is_good(run_module: RunModule, part: Path) -> None:
    assert found(run_module, part) == []


def test_a_part_without_a_way_back_is_good(run_module: RunModule, part: Path) -> None:
    (part / "previous").unlink()
    assert found(run_module, part) == []


def link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def copied(part: Path, name: str) -> None:
    """A build under another name, as somebody puts it there who has copied one."""
    (part / B).rename(part / name)
    link(part / "current", name)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (lambda part: (part / B / "bin/hello").write_text("1.0-bbbbbbbc"), "bin/hello has another content"),
    "a byte of the way back": (lambda part: (part / A / "bin/hello").write_text("x"), "bin/hello has another content"),
    "a link": (lambda part: link(part / B / "bin/hi", "/bin/sh"), "bin/hi leads to /bin/sh, not to hello"),
    "more": (lambda part: (part / B / "bin/more").write_text(""), "bin/more is no part of what was built"),
    "a mode": (lambda part: (part / B / "bin").chmod(0o777), "0777, not"),
    "a declared mode": (lambda part: (part / B / "bin/hello").chmod(0o4755), "4755, not"),
    "another build": (lambda part: copied(part, "1.0-cccccccc"), "1.0-cccccccc, whose stamp is bbbbbbbb"),
    "no build": (lambda part: link(part / "current", "/usr"), "leads to /usr, which is no build of this part"),
    "no way back": (lambda part: link(part / "previous", "gone"), "leads to gone, which is no build of this part"),
    "no link": (lambda part: (part / "current").unlink(), "current is no symlink to a build"),
    "an old seal": (
        lambda part: (part / B / ".stamp").write_text(f'{{"stamp": "{"b" * 64}"}}'),
        "does not say what was",
    ),
    "no seal": (lambda part: (part / B / ".stamp").unlink(), "whose stamp is missing"),
    "open to all": (lambda part: part.chmod(0o777), "only root may write there"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_not_as_it_was_built_is_told(run_module: RunModule, part: Path, case: str) -> None:
    damage, said = DAMAGE[case]
    damage(part)
    assert said in " ".join(found(run_module, part))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("path", ["bin", "bin/hello", ".stamp", "."])
def test_what_is_somebody_else_s_is_told(run_module: RunModule, part: Path, path: str) -> None:
    os.chown(part / B / path, 65534, 0)
    assert "65534:0" in " ".join(found(run_module, part))


def test_a_host_without_any_part_is_told(run_module: RunModule, tmp_path: Path) -> None:
    assert "has no part of the site" in run_module(sealed_prefixes, {"root": str(tmp_path / "none")})["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give capabilities")
def test_a_program_with_capabilities_is_told_though_its_mode_says_nothing_of_them(
    run_module: RunModule, part: Path
) -> None:
    net_bind_service = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # version 2 of the attribute
    os.setxattr(part / B / "bin/hello", "security.capability", net_bind_service)
    assert "bin/hello has capabilities" in " ".join(found(run_module, part))
