"""A mutant: a file with one change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """The bytes from `begin` to `end` of a file become `new`; `what` says so in words."""

    path: str
    begin: int
    end: int
    new: bytes
    what: str

    def apply(self, data: bytes) -> bytes:
        """Give the changed file."""
        return data[: self.begin] + self.new + data[self.end :]

    def line(self, data: bytes) -> int:
        """Give the line of DATA that the change begins in, counted from 1."""
        return data.count(b"\n", 0, self.begin) + 1
