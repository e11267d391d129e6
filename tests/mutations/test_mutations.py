"""What is changed by hand on a finished host is noticed, and mended where it is ours.

table.yml lists the mutations. Those of one group are made together, then the host is looked at once: by `site.yml
--check` and by `verify.yml`; then the play runs, and each mutation must be undone. At the end the host is what it was.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).parent / "table.yml"
LONGEST = 900
"""Seconds that a play may take."""
FINGERPRINT = (
    'if [ -L "$1" ]; then readlink "$1"; fi; stat -c "%F %a %U:%G" "$1"; if [ -f "$1" ]; then sha256sum "$1"; fi'
)
"""What a file is, its times left out."""
EACH = """
while IFS= read -r -d '' command && IFS= read -r -d '' path; do
    said=$(timeout 120 bash -c "$command" bash "$path" 2>&1 </dev/null)
    printf '%s\\0%s\\0' "$?" "$said"
done
"""
"""Runs commands and paths as they come, one after the other; each says its exit code and what it said."""


@dataclass(frozen=True)
class Mutation:
    """One change of a finished host, as table.yml describes it."""

    id: str
    group: str
    how: str
    says: str
    by: tuple[str, ...] = ("check",)
    path: str = ""
    state: str = FINGERPRINT
    mended: bool = True
    back: str = ""
    unless: str = "false"


def mutations(table: list[dict[str, Any]]) -> Iterator[Mutation]:
    """Read the table: an entry with paths is a mutation for each of them."""
    for entry in table:
        paths = entry.pop("paths", None)
        by = entry.pop("by", "check")
        common = entry | {"by": (by,) if isinstance(by, str) else tuple(by)}
        if paths is None:
            yield Mutation(**common)
            continue
        what = common.pop("what")
        for path in paths:
            yield Mutation(**{"id": f"{what}: {path}", "path": path, "says": said_of(path), **common})


def said_of(path: str) -> str:
    """Give a pattern for what is said of a path: a part of the site is told with its prefix, not with `current`."""
    return re.escape(path).replace("/current/", "/(current/|[^/ ]+: )")


@dataclass
class Seen:
    """What became of a group's mutations, by their ids: states, what was said in between, which can't be made."""

    before: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


MUTATIONS = list(mutations(yaml.safe_load(TABLE.read_text())))


class Host:
    """A finished host in a container, and the plays that are run against it."""

    def __init__(self, container: str, inventories: Iterable[str], keep: str | None) -> None:
        """Keep what is needed to reach it, and where what the plays say belongs."""
        self.container = container
        self.keep = Path(keep) if keep else None
        self.inventories = [f"--inventory={path}" for path in inventories]

    def sh(self, commands: list[tuple[str, str]]) -> list[tuple[int, str]]:
        """Run shell commands as root, each with its path as $1; give exit codes and what they said."""
        done = subprocess.run(
            ["podman", "exec", "-i", self.container, "bash", "-c", EACH],
            input="".join(f"{command}\0{path}\0" for command, path in commands).encode(),
            stdout=subprocess.PIPE,
            timeout=LONGEST,
            check=True,
        )
        said = done.stdout.decode(errors="replace").split("\0")[:-1]
        found = [(int(code), text) for code, text in zip(said[::2], said[1::2], strict=True)]
        assert len(found) == len(commands)
        return found

    def play(self, name: str, *options: str) -> tuple[int, str]:
        """Run a playbook; give its exit code and its whole output."""
        done = subprocess.run(
            ["ansible-playbook", *self.inventories, *options, f"playbooks/{name}"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def states(self, mutations: list[Mutation]) -> dict[str, str]:
        """Ask what each mutation is about."""
        found = self.sh([(mutation.state, mutation.path) for mutation in mutations])
        return {mutation.id: said for mutation, (_, said) in zip(mutations, found, strict=True)}


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> Host:
    """Give the host."""
    return Host(*(pytestconfig.getoption(name) for name in ("--container", "--inventory", "--keep")))


@cache
def round_of(host: Host, group: str) -> Seen:
    """Make a group's mutations, look, and run the play; the host is whole afterwards, whatever became of it."""
    all_of_it = [mutation for mutation in MUTATIONS if mutation.group == group]
    absent = host.sh([(mutation.unless, mutation.path) for mutation in all_of_it])
    chosen = [mutation for mutation, (code, _) in zip(all_of_it, absent, strict=True) if code != 0]
    seen = Seen(before=host.states(chosen))
    made = host.sh([(mutation.how, mutation.path) for mutation in chosen])
    seen.failed = {mutation.id: said for mutation, (code, said) in zip(chosen, made, strict=True) if code != 0}
    seen.changed = host.states(chosen)
    # Neither changes anything. What is asked from outside is asked in the end.
    with ThreadPoolExecutor() as both:
        check = both.submit(host.play, "site.yml", "--check", "--diff")
        verify = both.submit(
            host.play, "verify.yml", "--skip-tags", "outside", "--extra-vars", "verify_unchanged=false"
        )
        seen.said = {"check": check.result()[1], "verify": verify.result()[1]}
    seen.said["play"] = host.play("site.yml", "--diff")[1]
    seen.after = host.states(chosen)
    if host.keep:
        for who, said in seen.said.items():
            (host.keep / f"{group}.{who}").write_text(said)
    host.sh(
        [
            (mutation.back, mutation.path)
            for mutation in chosen
            if mutation.back and seen.after[mutation.id] != seen.before[mutation.id]
        ]
    )
    return seen


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.id for mutation in MUTATIONS])
def test_a_mutation_is_noticed_and_mended(host: Host, mutation: Mutation, pytestconfig: pytest.Config) -> None:
    wanted = pytestconfig.getoption("--group")
    if wanted and mutation.group not in wanted:
        pytest.skip("of another group")
    seen = round_of(host, mutation.group)
    if mutation.id not in seen.before:
        pytest.skip(f"not here: {mutation.unless}")
    assert mutation.id not in seen.failed, seen.failed[mutation.id]
    before, changed, after = (found[mutation.id] for found in (seen.before, seen.changed, seen.after))
    assert changed != before, "the mutation changed nothing"
    # The lines are broken between words.
    silent = [who for who in mutation.by if not re.search(mutation.says, re.sub(r"\s+", " ", seen.said[who]))]
    assert not silent, f"{silent} said nothing of {mutation.says!r}"
    assert (after == before) == mutation.mended, f"before: {before}\nafter: {after}\n{seen.said['play'][-2000:]}"


def test_in_the_end_the_host_is_as_it_must_be(host: Host) -> None:
    code, said = host.play("site.yml", "--diff")
    assert code == 0, said[-3000:]
    code, said = host.play("site.yml", "--check", "--diff")
    assert code == 0, said[-3000:]
    assert re.search(r"\bchanged=0\b", said), said[-3000:]
    code, said = host.play("verify.yml", "--extra-vars", "verify_scanners=false")
    assert code == 0, said[-3000:]
