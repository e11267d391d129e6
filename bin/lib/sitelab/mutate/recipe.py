"""Mutants of what Ansible and the shell read: a guard that a task has is dropped, a mode is widened, an option goes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from sitelab.mutate.mutant import Mutant

GUARDS = {
    "changed_when",
    "check_mode",
    "diff",
    "failed_when",
    "group",
    "no_log",
    "notify",
    "owner",
    "secret",
    "secrets",
    "validate",
    "when",
}
"""Keys whose loss a site would notice, perhaps too late."""
_OPTION = re.compile(
    rb" (--fuzz=0|-u [\"\w$@{}]+|-g [\"\w$@{}]+|--no-same-owner|--require-hashes)(?=\s|$)|\b(umask 0?\d+)\b"
    rb"|(?<=\n)(set -[eu]+)(?=\n)| (&&|\|\|) ",
)


def yaml_mutants(path: str, data: bytes) -> Iterator[Mutant]:
    """Give every mutant of the YAML file PATH that holds DATA."""
    text = data.decode()
    for root in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        if root is not None:
            yield from _of(path, text, root)


def _of(path: str, text: str, node: yaml.Node) -> Iterator[Mutant]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _of(path, text, item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _of_pair(path, text, node, key, value)
            yield from _of(path, text, value)


def _of_pair(path: str, text: str, mapping: yaml.MappingNode, key: yaml.Node, value: yaml.Node) -> Iterator[Mutant]:
    def mutant(begin: int, end: int, new: str, what: str) -> Mutant:
        return Mutant(path, len(text[:begin].encode()), len(text[:end].encode()), new.encode(), what)

    if key.value == "mode" and isinstance(value, yaml.ScalarNode) and re.fullmatch(r"[0-7]{3,4}", value.value):
        wide = f"{int(value.value, 8) ^ 0o022:04o}"
        yield mutant(value.start_mark.index, value.end_mark.index, f'"{wide}"', f"mode {value.value} becomes {wide}")
    elif key.value in GUARDS and not mapping.flow_style and len(mapping.value) > 1:
        begin, column = key.start_mark.index, key.start_mark.column
        end, indent = _next_line(text, begin, column)
        # The next key of the same mapping comes to stand where this one began; after a last one, its line ends empty.
        yield mutant(begin, end + column if indent == column else end - 1, "", f"{key.value} is dropped")


def _next_line(text: str, begin: int, column: int) -> tuple[int, int]:
    """Give where the first line after BEGIN stands that is indented by COLUMN or less, and its indentation."""
    place = text.find("\n", begin) + 1
    while 0 < place < len(text):
        line = text[place : text.find("\n", place) + 1 or len(text)]
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and indent <= column:
            return place, indent
        place += len(line)
    return len(text), -1


def shell_mutants(path: str, data: bytes) -> Iterator[Mutant]:
    """Give every mutant of the shell script, unit or template PATH that holds DATA."""
    for match in _OPTION.finditer(data):
        group = match.lastindex or 0
        old = match[group].decode()
        new = {"&&": "||", "||": "&&"}.get(old, "" if old.startswith("-") else ":")
        yield Mutant(path, match.start(group), match.end(group), new.encode(), f"{old} becomes {new or 'nothing'}")
