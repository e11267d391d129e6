"""Mutants of Python: comparisons, conditions, constants, and calls that are made for their effect."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sitelab.mutate.mutant import Mutant

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}


class _Source:
    """Where things stand in a file: ast counts lines, and bytes in a line."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self._lines = [0]
        for line in data.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def begin(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        return self._lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def text(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        return self.data[self.begin(node) : self.end(node)].decode()

    def instead(self, node: ast.expr | ast.stmt | ast.keyword, new: str, what: str) -> Mutant:
        return Mutant(self.path, self.begin(node), self.end(node), new.encode(), what)

    def between(self, left: ast.expr, right: ast.expr, new: str, what: str) -> Mutant:
        """Replace what stands between two operands, which is an operator and perhaps a parenthesis: keep the latter."""
        begin, end = self.end(left), self.begin(right)
        gap = self.data[begin:end].decode()
        operator = gap.strip(" ()\n\t")
        if "#" in gap or not operator:
            return Mutant(self.path, begin, begin, b"", "")
        return Mutant(self.path, begin, end, gap.replace(operator, new, 1).encode(), what.format(operator))


def mutants(path: str, data: bytes) -> Iterator[Mutant]:
    """Give every mutant of the Python file PATH that holds DATA."""
    source = _Source(path, data)
    tree = ast.parse(data)
    documentation = set(_documentation(tree))
    for node in ast.walk(tree):
        if node in documentation:
            continue
        yield from (mutant for mutant in _of(source, node) if mutant.what)


def _documentation(tree: ast.Module) -> Iterator[ast.AST]:
    """Give the nodes that no program runs: docstrings, annotations, and a module's documentation blocks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node
            yield node.value
        for name in ("annotation", "returns"):
            if isinstance(note := getattr(node, name, None), ast.expr):
                yield from ast.walk(note)


def _of(source: _Source, node: ast.AST) -> Iterator[Mutant]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            new = _COMPARISONS[type(operator)]
            yield source.between(left, right, new, f"{{}} becomes {new}")
    elif isinstance(node, ast.BoolOp):
        new = "or" if isinstance(node.op, ast.And) else "and"
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield source.between(left, right, new, f"{{}} becomes {new}")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield source.instead(node, f"bool({source.text(node.operand)})", "not is dropped")
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield source.instead(node, str(not node.value), f"{node.value} becomes {not node.value}")
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        text = source.text(node)
        new = oct(node.value ^ 0o022) if text.startswith("0o") else str(node.value + 1)
        yield source.instead(node, new, f"{text} becomes {new}")
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield source.instead(node, "pass", f"{source.text(node.value.func)}() is not called")
    elif isinstance(node, ast.Raise):
        yield source.instead(node, "pass", "nothing is raised")
