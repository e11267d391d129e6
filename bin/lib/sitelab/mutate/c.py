"""Mutants of C: comparisons, conditions, and calls that are made for their effect."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sitelab.mutate.mutant import Mutant

_OPERATORS = {"==": "!=", "!=": "==", "<=": "<", ">=": ">", "<": "<=", ">": ">=", "&&": "||", "||": "&&"}
_OPERATOR = re.compile(rb"(?<= )(==|!=|<=|>=|<|>|&&|\|\|)(?= )")
_NOT = re.compile(rb"(?<=[(&| ])!(?=[\w(*])")
_CALL = re.compile(rb"^[ \t]+(?:\(void\) ?)?([a-z]\w*)\([^;{}]*\);$", re.MULTILINE)
# What no program runs as it stands here: comments, literals, and the preprocessor's lines.
_ELSEWHERE = re.compile(
    rb'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*', re.DOTALL | re.MULTILINE
)


def code_only(data: bytes) -> bytes:
    """Give DATA with every byte that is no code replaced by a blank, line ends kept: places stay what they are."""
    return _ELSEWHERE.sub(lambda match: re.sub(rb"[^\n]", b" ", match[0]), data)


def mutants(path: str, data: bytes) -> Iterator[Mutant]:
    """Give every mutant of the C file PATH that holds DATA."""
    code = code_only(data)
    for match in _OPERATOR.finditer(code):
        old = match[1].decode()
        yield Mutant(path, match.start(1), match.end(1), _OPERATORS[old].encode(), f"{old} becomes {_OPERATORS[old]}")
    for match in _NOT.finditer(code):
        yield Mutant(path, match.start(), match.end(), b"", "! is dropped")
    for match in _CALL.finditer(code):
        begin = match.start(1)
        yield Mutant(path, begin, match.end() - 1, b"(void)0", f"{match[1].decode()}() is not called")
