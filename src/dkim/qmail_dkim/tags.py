"""Lists of tags (RFC 6376 section 3.2)."""

from __future__ import annotations

TAGS_MOST = 64


class TagError(ValueError):
    """A text that is no list of tags."""


def tags_of(text: bytes) -> dict[bytes, bytes]:
    """Give the tags and their values, without blanks at the ends. Raises TagError, also for a tag that is twice."""
    tags: dict[bytes, bytes] = {}
    for word in text.split(b";", TAGS_MOST):
        name, equals, value = word.strip(b" \t\r\n").partition(b"=")
        if not (name or equals):
            continue
        name = name.rstrip(b" \t\r\n")
        if not equals or not name.replace(b"_", b"").isalnum() or name in tags:
            raise TagError("not a list of tags")
        tags[name] = value.strip(b" \t\r\n")
    return tags


def without_blanks(value: bytes) -> bytes:
    """Give a value without the blanks that may stand anywhere in it."""
    return b"".join(value.split())
