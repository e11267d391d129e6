"""A source tree as a distfile: the same files give the same bytes, whatever the controller, the clock and the umask."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from action_plugins import distfile


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(packed: distfile.Packed) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed.data)) as archive:
        return archive.getnames()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project" / "src" / "hello"
    write(tmp_path / "project", {".gitignore": "*.o\n/src/*/build/\n__pycache__/\n"})
    write(root, {"Makefile": "all:\n", "lib/a.c": "int a;\n", "lib/b.c": "int b;\n"})
    (tmp_path / "project" / ".git").mkdir()
    return root


def test_an_unchanged_tree_has_an_unchanged_digest_however_it_was_checked_out(tree: Path, tmp_path: Path) -> None:
    before = distfile.pack(tree).sha256
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    copy = tmp_path / "elsewhere" / "hello"
    shutil.copytree(tree, copy)
    assert distfile.pack(tree).sha256 == before
    assert distfile.pack(copy).sha256 == before


@pytest.mark.parametrize("change", ["content", "name", "executable", "new file"])
def test_each_change_of_the_sources_changes_the_digest(tree: Path, change: str) -> None:
    before = distfile.pack(tree).sha256
    if change == "content":
        (tree / "lib/a.c").write_text("int c;\n")
    elif change == "name":
        (tree / "lib/a.c").rename(tree / "lib/c.c")
    elif change == "executable":
        (tree / "Makefile").chmod(0o755)
    else:
        (tree / "lib/c.c").write_text("")
    assert distfile.pack(tree).sha256 != before


def test_the_archive_says_nothing_of_its_maker(tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(distfile.pack(tree).data)) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["hello/Makefile", "hello/lib/a.c", "hello/lib/b.c"]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in members} == {(0, 0, "", "", 946684800, 0o644)}


@pytest.mark.parametrize("git", [True, False], ids=["in a git work tree", "without git"])
def test_what_git_ignores_is_left_out_with_and_without_git(tree: Path, git: bool) -> None:
    if not git:
        (tree.parents[1] / ".git").rmdir()
    before = distfile.pack(tree).sha256
    write(tree, {"lib/a.o": "", "build/x": "", "lib/__pycache__/x.pyc": "", ".git/config": ""})
    assert distfile.pack(tree).sha256 == before


def test_symlinks_stay_symlinks(tree: Path) -> None:
    (tree / "link").symlink_to("/etc/passwd")
    with tarfile.open(fileobj=io.BytesIO(distfile.pack(tree).data)) as archive:
        assert archive.getmember("hello/link").linkname == "/etc/passwd"


def test_a_fifo_is_no_source(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    with pytest.raises(ValueError, match="neither a file nor a symlink"):
        distfile.pack(tree)


def test_an_empty_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no source file"):
        distfile.pack(tmp_path)


def test_a_home_directory_by_mistake_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distfile, "LARGEST", 1000)
    with pytest.raises(ValueError, match="is it a source tree"):
        distfile.pack(tree)


# git itself is the judge of which files are sources.
segment = st.sampled_from(["a", "b", "ab", "a.o", "build", "build-x", "[a]", "!a", "#a", "a b"])
file_path = st.lists(segment, min_size=1, max_size=3).map("/".join)
glob = st.lists(
    st.sampled_from(
        ["a", "b", "*", "**", "?", "[ab]", "[!a]", "\\a", ".o", "build", "-x", "/", "**/", "/**", " ", "\\ "]
    ),
    min_size=1,
    max_size=4,
).map("".join)
# gitignore(5) gives ** a meaning as a whole name only; what git makes of "a**" beyond that is its own affair.
glob = glob.filter(lambda text: all(name == "**" or "**" not in name for name in text.split("/")))
line = st.builds(str.__add__, st.sampled_from(["", "!", "#", "/"]), glob)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=60, deadline=None)
@given(st.sets(file_path, min_size=1, max_size=8), st.lists(line, max_size=5), st.lists(line, max_size=3))
def test_the_files_are_those_that_git_would_track(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str], outer: list[str], inner: list[str]
) -> None:
    root = tmp_path_factory.mktemp("work")
    for path in sorted(paths):
        below_a_file = any((root / "src" / parent).is_file() for parent in Path(path).parents)
        if not below_a_file and not (root / "src" / path).is_dir():
            write(root, {f"src/{path}": ""})
    write(root, {".gitignore": "\n".join(outer), "src/.gitignore": "\n".join(inner)})
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", str(root)], check=True, env=env)
    # A tree was asked for by its name, so it counts even where its own directory is ignored. That git does not know.
    assume(subprocess.run(["git", "-C", str(root), "check-ignore", "-q", "src"], check=False, env=env).returncode == 1)
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard", "src"],
        check=True,
        env=env,
        capture_output=True,
    )
    expected = sorted(listing.stdout.decode().split("\0")[:-1])
    try:
        got = sorted(names(distfile.pack(root / "src")))
    except ValueError:
        got = []
    assert got == expected
