"""What source files may know of each other: no circles, and src/*/lib knows nothing of the rooms that use it.

A C file and the header of its name are one unit; what a unit includes by quotes, it knows. A Python file knows what it
imports of the repository, also where it does so inside a function.

    python -m sitelab.structure

prints a line for each fault, and ends with 1 if there is any.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from action_plugins.distfile import source_files
from sitelab.paths import ROOT

Graph = dict[str, set[str]]
"""Each unit, a path without its suffix, and the units that it knows."""

PYTHON_ROOTS = ("", "bin/lib", "src/hi_q", "src/tlspolicy", "src/qmail/tests", "tests", "tests/unit")
"""Where an import may begin; below a part's tests, the folder of the file itself, too."""
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def unit(path: str) -> str:
    """Give the unit that the file PATH belongs to."""
    return str(Path(path).with_suffix(""))


def included(path: str, text: str, known: set[str]) -> Iterator[str]:
    """Give the C files among KNOWN that the file PATH with this TEXT includes."""
    part = "/".join(Path(path).parts[:2])
    for name in _INCLUDE.findall(text):
        for folder in (str(Path(path).parent), part):
            found = _normal(f"{folder}/{name}")
            if found in known:
                yield found
                break


def imported(path: str, text: str, known: set[str]) -> Iterator[str]:
    """Give the Python files among KNOWN that the file PATH with this TEXT imports."""
    here = str(Path(path).parent)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [(node.level, f"{base}.{alias.name}".strip(".")) for alias in node.names] + [(node.level, base)]
        else:
            continue
        for level, name in names:
            folders = [_normal(here + "/.." * (level - 1))] if level else [here, *PYTHON_ROOTS]
            for folder in folders:
                found = _normal(f"{folder}/{name.replace('.', '/')}.py")
                if found in known and found != path:
                    yield found
                    break


def _normal(path: str) -> str:
    """PATH without . and .. in it."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def graph(paths: Iterable[str]) -> Graph:
    """Read the files at PATHS, relative to the repository; give what each unit knows."""
    known = set(paths)
    result: Graph = {}
    for path in sorted(known):
        ask = {".c": included, ".h": included, ".py": imported}.get(Path(path).suffix)
        if ask is None:
            continue
        mine = result.setdefault(unit(path), set())
        mine.update(
            other for found in ask(path, (ROOT / path).read_text(), known) if (other := unit(found)) != unit(path)
        )
    return result


def circles(known: Graph) -> list[list[str]]:
    """Give each set of units that know each other all the way round, by Tarjan's algorithm."""
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in sorted(known.get(name, ())):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            at = stack.index(name)
            members = stack[at:]
            del stack[at:]
            if len(members) > 1:
                found.append(sorted(members))

    for name in sorted(known):
        if name not in number:
            visit(name)
    return found


def upwards(known: Graph) -> list[tuple[str, str]]:
    """Give each unit of a lib that knows one outside of it."""
    return [
        (name, other)
        for name, others in sorted(known.items())
        for other in sorted(others)
        if re.match(r"src/[^/]+/lib/", name) and not other.startswith(name[: name.index("/lib/") + 5])
    ]


def faults(known: Graph) -> list[str]:
    """Give a sentence for each fault."""
    round_about = [f"these files know each other all the way round: {', '.join(members)}" for members in circles(known)]
    return round_about + [
        f"{name} knows {other}: a lib knows nothing of what uses it" for name, other in upwards(known)
    ]


def main() -> int:
    """Look at every file of the repository."""
    paths = [path.relative_to(ROOT).as_posix() for path in source_files(ROOT) if path.is_file()]
    found = faults(graph(paths))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
