"""docs/variables.md: every public variable, from the roles' argument_specs.

python -m sitelab.variables           write the page
python -m sitelab.variables --check   only compare; 1 where the page is another one
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sitelab.paths import ROOT

PAGE = ROOT / "docs" / "variables.md"
HEAD = """\
# Variables

Made by `python -m sitelab.variables` from the roles' `meta/argument_specs.yml`; do not edit it. Say otherwise anywhere
in your inventory, as `inventories/example` shows, in a play, or with `-e`: all of that weighs more than these defaults.
Preflight refuses what is not understood, and names that there are not.
"""
_MARKUP = re.compile(r"\b[A-Z]\(([^)]*)\)")


def words(text: str | list[str]) -> str:
    """Give a description of Ansible's markup as one line of Markdown."""
    joined = " ".join([text] if isinstance(text, str) else text)
    return _MARKUP.sub(r"`\1`", " ".join(joined.split())).replace("|", "\\|")


def kind(option: dict[str, Any]) -> str:
    """Give the type in words, with its choices."""
    name = option.get("type", "str")
    if name == "list" and "elements" in option:
        name = f"list of {option['elements']}"
    if "choices" in option:
        name += ": " + ", ".join(f"`{choice}`" for choice in option["choices"])
    return str(name)


def default(option: dict[str, Any]) -> str:
    """Give the default as it would be written."""
    if "default" not in option:
        return "required" if option.get("required") else ""
    value = option["default"]
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


def rows(options: dict[str, Any], above: str = "") -> Iterator[str]:
    """Give a row for each variable, and for each key of those that are dictionaries."""
    for name, option in options.items():
        label = f"{above} `{name}`".strip()
        yield f"| {label} | {kind(option)} | {default(option)} | {words(option.get('description', ''))} |"
        yield from rows(option.get("options") or {}, f"{label}:")


def page(roles: Path) -> str:
    """Give the page for the roles in this folder."""
    parts = [HEAD]
    # What describes the site is what one looks for first.
    files = sorted(roles.glob("*/meta/argument_specs.yml"), key=lambda file: (file.parents[1].name != "site", file))
    for file in files:
        (spec,) = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"].values()
        if not spec.get("options"):
            continue
        role = file.parents[1].name
        parts += [f"\n## {role}\n\n{words(spec['short_description'])}.\n"]
        parts += ["\n| variable | type | default | meaning |\n|---|---|---|---|\n"]
        parts += [f"{row}\n" for row in rows(spec["options"])]
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it."""
    wanted = page(ROOT / "roles")
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print("docs/variables.md is not what the argument_specs say: python -m sitelab.variables", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
