# SPDX-License-Identifier: MIT
"""Loops: what is declared to lead back to where it came from, by addresses, forwards and lists together."""

from __future__ import annotations

from collections.abc import Iterator

from .addresses import LIST, Book
from .words import Say, several


def _after(book: Book, node: str) -> list[str]:
    """Where mail goes from a node, which is a target: the next targets, or none at an end."""
    if box := book.boxes.get(node):
        return box.forward
    claim = book.step(node)
    return claim.to if claim else []


def _node(book: Book, target: str) -> str:
    """One name for a place, in whichever way it is said."""
    if target in book.boxes:
        return target
    local, at, name = target.rpartition("@")
    return f"{local.lower()}@{name}" if at and book.is_ours(name) else target


def _starts(book: Book) -> Iterator[str]:
    for name, box in book.boxes.items():
        if box.forward:
            yield name
    for address, claim in book.exact.items():
        if claim.why == LIST or len(claim.to) != 1 or claim.to[0] not in book.boxes:
            yield address
    for claim in book.caught.values():
        yield from claim.to


def loops(book: Book) -> list[list[str]]:
    """Each loop once, as the places it goes through."""
    done: set[str] = set()
    found = []
    for start in _starts(book):
        path: list[str] = []
        on_path: dict[str, int] = {}
        # Either a place to go to, or None: the way back from the last one.
        waiting: list[str | None] = [_node(book, start)]
        while waiting:
            node = waiting.pop()
            if node is None:
                last = path.pop()
                del on_path[last]
                done.add(last)
            elif node in on_path:
                found.append(path[on_path[node] :])
            elif node not in done:
                on_path[node] = len(path)
                path.append(node)
                waiting.append(None)
                waiting += [_node(book, each) for each in reversed(_after(book, node))]
    return found


def say_loops(book: Book, say: Say) -> None:
    """Say each loop, and how it could end."""
    for loop in loops(book):
        boxes = [node for node in loop if node in book.boxes]
        if len(boxes) == 1 and not any(node in book.site.lists for node in loop):
            box = book.boxes[boxes[0]]
            say(f"{box.where}: forwards to itself; say keep: true to keep a copy, and take {loop[-1]} out of forward")
        else:
            say(f"mail would go round: {several([*loop, loop[0]], 10)}; take one of these steps out")
