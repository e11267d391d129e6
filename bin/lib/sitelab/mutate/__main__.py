"""bin/mutate PATH...: make each single change of these files in a copy of the tree, and say which no fast test notices.

A file's fast tests are the unit tests that name it, or its part's Makefile; they must pass on the unchanged copy. What
survives is told by place and in words, with the line as it is and as it became. Ends with 0 when nothing survived, with
1 when something did, with 2 when a question could not be asked.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from action_plugins.distfile import source_files
from sitelab.mutate import c, python, recipe
from sitelab.mutate.judge import Judge, judge
from sitelab.mutate.mutant import Mutant
from sitelab.paths import ROOT
from verify.progress import say

LONGEST = 900
"""Seconds that a judge may take; a mutant that takes longer is noticed."""
_KINDS = {
    ".py": python.mutants,
    ".c": c.mutants,
    ".h": c.mutants,
    ".yml": recipe.yaml_mutants,
    ".yaml": recipe.yaml_mutants,
}


class UnfitError(Exception):
    """A question can't be asked; the text says why."""


def mutants(path: str, data: bytes) -> Iterator[Mutant]:
    """Give every mutant of a file, in the order of their places."""
    kind = _KINDS.get(Path(path).suffix, recipe.shell_mutants)
    return iter(sorted(kind(path, data), key=lambda mutant: (mutant.begin, mutant.end)))


def copy(into: Path) -> None:
    """Copy what is source of this tree, uncommitted changes too."""
    for file in source_files(ROOT):
        there = into / file.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, there, follow_symlinks=False)


def noticed(tree: Path, by: Judge, output: Path) -> bool:
    """Whether the judge refuses the tree. What its commands print is in the file `output`."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{tree}/bin/lib:{tree}"}
    with output.open("wb") as out:
        for command in by.commands:
            try:
                done = subprocess.run(
                    command,
                    cwd=tree,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    timeout=LONGEST,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return True
            if done.returncode != 0:
                return True
    return False


def survivors(tree: Path, path: str, chosen: list[Mutant]) -> Iterator[Mutant]:
    """Give the mutants that a file's judge doesn't notice. Raises UnfitError where it refuses the file as it is."""
    by = judge(tree, path)
    output = tree / ".mutate-output"
    if noticed(tree, by, output):
        tail = "\n".join(output.read_text(errors="replace").splitlines()[-15:])
        raise UnfitError(f"{path}: its checks fail without any change:\n{tail}")
    file = tree / path
    data = file.read_bytes()
    for mutant in chosen:
        file.write_bytes(mutant.apply(data))
        if not noticed(tree, by, output):
            yield mutant
    file.write_bytes(data)


def told(mutant: Mutant, data: bytes) -> str:
    """Say what a mutant is: its place, the change in words, and the line before and after it."""
    number = mutant.line(data)
    before = data.splitlines()[number - 1].decode(errors="replace").strip()
    changed = mutant.apply(data).splitlines()
    after = changed[number - 1].decode(errors="replace").strip() if number <= len(changed) else ""
    return f"{mutant.path}:{number}: {mutant.what}\n    - {before}\n    + {after}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="bin/mutate", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file of this repository, relative to its root")
    parser.add_argument("--list", action="store_true", help="only say which changes there are")
    parser.add_argument("--most", type=int, metavar="N", help="of each file, N changes drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="which ones are drawn (default: 0)")
    parser.add_argument("--like", default="", metavar="WORDS", help="only changes whose description has these words")
    options = parser.parse_args(arguments)
    asked = survived = 0
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        tree = Path(folder)
        if not options.list:
            copy(tree)
        for path in options.paths:
            try:
                data = (ROOT / path).read_bytes()
                chosen = [mutant for mutant in mutants(path, data) if options.like in mutant.what]
                if options.most is not None and len(chosen) > options.most:
                    drawn = random.Random(options.seed).sample(range(len(chosen)), options.most)  # noqa: S311
                    chosen = [chosen[place] for place in sorted(drawn)]
                asked += len(chosen)
                if options.list:
                    print("\n".join(told(mutant, data) for mutant in chosen))
                    continue
                say(f"{path}: {len(chosen)} changes")
                for mutant in survivors(tree, path, chosen):
                    survived += 1
                    print(told(mutant, data), flush=True)
            except (OSError, ValueError, SyntaxError, UnfitError) as error:
                print(f"bin/mutate: {error}", file=sys.stderr)
                return 2
    if not options.list:
        say(f"{asked} changes, {survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
