"""The filter list's parser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hi_q.filters import FILTERS_MAX, LIMIT_DEFAULT, Filter, ListError, load, parse, quote, split
from hypothesis import example, given
from hypothesis import strategies as st

words = st.text(
    st.characters(exclude_characters="'", exclude_categories=("Cc", "Cs")),
    min_size=0,
    max_size=20,
)


def one(line: str) -> Filter:
    """Return the one filter of a list of one line."""
    (filter_,) = parse(line.encode())
    return filter_


@given(st.binary(max_size=300))
@example(b"/bin/x\x00")
@example(b"\xff\n/bin/x")
def test_any_bytes_are_filters_or_one_sentence_that_names_the_file(text: bytes) -> None:
    fault = ""
    filters: list[Filter] = []
    try:
        filters = parse(text, "the-file")
    except ListError as error:
        fault = str(error)
    assert not fault or (fault.startswith("the-file:") and "\n" not in fault)
    assert all(filter_.module or filter_.argv[0].startswith("/") for filter_ in filters)
    assert not any("\0" in word for filter_ in filters for word in filter_.argv)


@given(st.lists(words, min_size=1))
def test_quoted_words_are_read_back(parts: list[str]) -> None:
    assert split(" ".join(quote(part) for part in parts)) == parts


@given(st.lists(words, max_size=5), st.integers(1, 86400))
def test_a_filter_as_shown_is_the_filter_as_written(arguments: list[str], limit: int) -> None:
    shown = str(one(f"limit={limit} /bin/x " + " ".join(quote(argument) for argument in arguments)))
    assert one(shown).argv == ["/bin/x", *arguments]


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("/bin/x", ["/bin/x"]),
        ("\t /bin/x \t a\t", ["/bin/x", "a"]),
        ("/bin/x 'a b' \"c 'd\" e' 'f", ["/bin/x", "a b", "c 'd", "e f"]),
        ("/bin/x '' \"\"", ["/bin/x", "", ""]),
        ("/bin/x # no comment here", ["/bin/x", "#", "no", "comment", "here"]),
        (r"/bin/x \n $HOME `id` ; | > *", ["/bin/x", r"\n", "$HOME", "`id`", ";", "|", ">", "*"]),
        ("'/bin/with blank' limit=3", ["/bin/with blank", "limit=3"]),
        ("/bin/ü", ["/bin/ü"]),
    ],
)
def test_words(line: str, argv: list[str]) -> None:
    assert one(line).argv == argv


def test_limits() -> None:
    assert one("/bin/x").limit == LIMIT_DEFAULT
    assert one("limit=60 /bin/x").limit == 60


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cat", "f:1: 'cat' is not a program's absolute path"),
        ("\n\n./cat", "f:3: './cat' is not"),
        ("limit=5", "f:1: names no program"),
        ("speed=5 /bin/x", "f:1: 'speed' is not a setting"),
        ("limit=0 /bin/x", "f:1: limit=0 is not a number of seconds from 1 to 86400"),
        ("limit=86401 /bin/x", "f:1: limit=86401 is not"),
        ("limit= /bin/x", "f:1: limit= is not"),
        ("limit=٣ /bin/x", "f:1: limit=٣ is not"),
        ("limit=-1 /bin/x", "f:1: limit=-1 is not"),
        ("limit=1 limit=2 /bin/x", "f:1: sets limit twice"),
        ("/bin/x 'open", "f:1: has a ' without its end"),
        ("/bin/x\r\n", "f:1: holds a control character"),
        ("/bin/x\0", "f:1: holds a control character"),
        ("/bin/x\n" * (FILTERS_MAX + 1), f"f: {FILTERS_MAX + 1} filters; there may be {FILTERS_MAX}"),
        ("#" * 70000, "f: longer than 65536 bytes"),
    ],
)
def test_bad_lists_are_told_by_line(text: str, sentence: str) -> None:
    with pytest.raises(ListError) as caught:
        parse(text.encode(), "f")
    assert str(caught.value).startswith(sentence)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize(
    ("owner", "mode", "sentence"),
    [
        (0, 0o644, None),
        (65534, 0o644, "must belong to root"),
        (0, 0o664, "writable by group or others"),
        (0, 0o646, "writable by group or others"),
    ],
)
def test_only_root_may_say_what_runs(tmp_path: Path, owner: int, mode: int, sentence: str | None) -> None:
    path = tmp_path / "filters"
    path.write_text("/bin/cat\n")
    os.chown(path, owner, 0)
    path.chmod(mode)
    if sentence is None:
        assert [each.argv for each in load(str(path))] == [["/bin/cat"]]
        return
    with pytest.raises(ListError, match=sentence):
        load(str(path))
