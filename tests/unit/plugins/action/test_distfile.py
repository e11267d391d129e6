"""A source tree as a distfile: the same files give the same bytes, whatever the controller, the clock and the umask."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

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
    subprocess.run(["git", "init", "-q", str(tmp_path / "project")], check=True)
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


def test_what_git_ignores_is_left_out(tree: Path) -> None:
    before = distfile.pack(tree).sha256
    write(tree, {"lib/a.o": "", "build/x": "", "lib/__pycache__/x.pyc": ""})
    assert distfile.pack(tree).sha256 == before


def test_in_an_unpacked_release_every_file_is_source(tree: Path) -> None:
    shutil.rmtree(tree.parents[1] / ".git")
    before = distfile.pack(tree).sha256
    write(tree, {".git/config": ""})
    assert distfile.pack(tree).sha256 == before
    write(tree, {"lib/a.o": ""})
    assert names(distfile.pack(tree)) == ["hello/Makefile", "hello/lib/a.c", "hello/lib/a.o", "hello/lib/b.c"]


def test_a_release_and_a_clone_have_one_digest(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "release" / "hello")
    assert distfile.pack(tmp_path / "release" / "hello").sha256 == distfile.pack(tree).sha256


def test_a_file_that_git_tracks_and_the_tree_lacks_is_left_out(tree: Path) -> None:
    subprocess.run(["git", "-C", str(tree), "add", "."], check=True)
    (tree / "lib/b.c").unlink()
    assert names(distfile.pack(tree)) == ["hello/Makefile", "hello/lib/a.c"]


def test_a_directory_that_git_ignores_is_packed_when_it_is_asked_for(tree: Path) -> None:
    write(tree, {"build/x": ""})
    assert names(distfile.pack(tree / "build")) == ["build/x"]


def test_symlinks_stay_symlinks(tree: Path) -> None:
    (tree / "link").symlink_to("/etc/passwd")
    with tarfile.open(fileobj=io.BytesIO(distfile.pack(tree).data)) as archive:
        assert archive.getmember("hello/link").linkname == "/etc/passwd"


def test_a_fifo_is_no_source(tree: Path) -> None:
    assert "hello/fifo" not in names(distfile.pack(tree))
    shutil.rmtree(tree.parents[1] / ".git")
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
