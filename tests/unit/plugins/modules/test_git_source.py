"""The module git_source: one commit of a real repository, and nothing that the repository says of itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from library import git_source
from tests.unit.conftest import RunModule

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Repository:
    """A repository on this host, made with nobody's configuration."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o755)
        self.path = path
        self.url = f"file://{path}"
        self.git("init", "-q", "-b", "main", ".")

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": f"x{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(["git", *words], cwd=self.path, env=env, input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.path / name.replace("__", ".")).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "a change")
        return self.git("rev-parse", "HEAD")

    def commit_of(self, tree: str) -> str:
        return self.git("commit-tree", tree, "-m", "made by hand")

    def plant(self, kind: bytes, content: bytes, name: str | None = None) -> str:
        """Write an object as it is, however wrong; under another's NAME if one is given."""
        raw = b"%s %d\0" % (kind, len(content)) + content
        name = name or hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        path = self.path / ".git" / "objects" / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(zlib.compress(raw))
        return name


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


@pytest.fixture
def bring(run_module: RunModule, cache: Path) -> Callable[..., dict[str, Any]]:
    """Run the module for a URL and a commit."""

    def run(url: str, commit: str, check: bool = False, **more: Any) -> dict[str, Any]:
        name = f"hello-{commit}.tar"
        return run_module(git_source, {"name": name, "url": url, "commit": commit, "cache": str(cache), **more}, check)

    return run


Bring = Callable[..., dict[str, Any]]


def members(answer: dict[str, Any]) -> dict[str, bytes]:
    """Files of the archive, without the topmost directory."""
    assert "path" in answer, answer
    found = {}
    with tarfile.open(answer["path"]) as archive:
        for member in archive.getmembers():
            if member.isdir():
                continue
            file = archive.extractfile(member) if member.isfile() else None
            found[member.name.partition("/")[2]] = file.read() if file else b"-> " + member.linkname.encode()
    return found


def test_the_files_of_the_commit_are_brought_and_not_those_of_a_later_one(repository: Repository, bring: Bring) -> None:
    first = repository.commit(a="one\n")
    repository.commit(a="two\n", b="new\n")
    answer = bring(repository.url, first)
    assert answer["changed"] is True
    assert members(answer) == {"a": b"one\n"}
    assert answer["sha256"] == hashlib.sha256(Path(answer["path"]).read_bytes()).hexdigest()


def test_two_repositories_give_the_same_bytes(repository: Repository, bring: Bring, cache: Path) -> None:
    commit = repository.commit(a="one\n")
    first = bring(repository.url, commit)["sha256"]
    clone = repository.path.with_name("clone")
    repository.git("clone", "-q", "--bare", str(repository.path), str(clone))
    for path in cache.iterdir():
        path.unlink()
    assert bring(f"file://{clone}", commit)["sha256"] == first


def test_what_the_cache_has_is_left_alone_and_no_repository_is_asked(
    repository: Repository, bring: Bring, cache: Path
) -> None:
    commit = repository.commit(a="one\n")
    first = bring(repository.url, commit)
    shutil.rmtree(repository.path)
    second = bring(repository.url, commit)
    assert (second["changed"], second["sha256"]) == (False, first["sha256"])
    assert sorted(path.name for path in cache.iterdir()) == [f"hello-{commit}.tar", f"hello-{commit}.tar.sha256"]
    subprocess.run(["sha256sum", "--check", "--quiet", f"hello-{commit}.tar.sha256"], cwd=cache, check=True)


def test_an_archive_that_was_altered_is_fetched_anew(repository: Repository, bring: Bring) -> None:
    commit = repository.commit(a="one\n")
    first = bring(repository.url, commit)
    with Path(first["path"]).open("ab") as file:
        file.write(b"more")
    assert bring(repository.url, commit, check=True)["changed"] is True
    assert bring(repository.url, commit)["sha256"] == first["sha256"]
    assert members(first) == {"a": b"one\n"}


def test_check_mode_says_so_and_fetches_nothing(repository: Repository, bring: Bring, cache: Path) -> None:
    commit = repository.commit(a="one\n")
    answer = bring(repository.url, commit, check=True)
    assert answer["changed"] is True
    assert "would be fetched" in answer["msg"]
    assert list(cache.iterdir()) == []
    bring(repository.url, commit)
    assert bring(repository.url, commit, check=True)["changed"] is False


@pytest.mark.parametrize("name", ["main", "v1.0", "HEAD", "0123456", "g" * 40, "A" * 40, "a" * 39, "a" * 64, ""])
def test_what_is_not_a_whole_commit_is_refused(repository: Repository, bring: Bring, cache: Path, name: str) -> None:
    repository.commit(a="one\n")
    answer = bring(repository.url, name)
    assert "is not a commit: give all 40 hexadecimal digits" in answer["msg"]
    assert "a branch or a tag may name another commit tomorrow" in answer["msg"]
    assert list(cache.iterdir()) == []


def test_the_digest_of_a_tag_is_refused_with_the_way_to_the_commit(repository: Repository, bring: Bring) -> None:
    repository.commit(a="one\n")
    repository.git("tag", "-a", "-m", "release", "v1.0")
    tag = repository.git("rev-parse", "v1.0")
    assert f"{tag} is a tag, not a commit; give the commit that it names" in bring(repository.url, tag)["msg"]


def test_a_commit_that_is_not_there_is_refused(repository: Repository, bring: Bring, cache: Path) -> None:
    repository.commit(a="one\n")
    assert "not our ref " + "1" * 40 in bring(repository.url, "1" * 40)["msg"]
    assert list(cache.iterdir()) == []


def test_a_branch_named_like_a_commit_does_not_stand_in_for_it(repository: Repository, bring: Bring) -> None:
    repository.commit(a="one\n")
    (repository.path / ".git" / "refs" / "heads" / ("2" * 40)).write_text(repository.git("rev-parse", "HEAD") + "\n")
    assert "msg" in bring(repository.url, "2" * 40)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.git",
        "git://127.0.0.1/x.git",
        "ext::sh -c touch% /tmp/x",
        "git@example.org:x.git",
        "--upload-pack=touch /tmp/x",
        "file://relative",
        "ssh://-oProxyCommand=touch%20x/y",
        "https://example.org/a b",
        "/srv/x.git",
        "",
    ],
)
def test_what_is_not_a_repository_is_refused(bring: Bring, url: str) -> None:
    assert "is not a repository: give a https://, ssh:// or file:/// URL" in bring(url, "1" * 40)["msg"]


def test_a_repository_that_is_not_there_is_refused(bring: Bring, tmp_path: Path) -> None:
    assert "No such file or directory" in bring(f"file://{tmp_path}/absent", "1" * 40)["msg"]


def test_no_message_tells_a_password(bring: Bring) -> None:
    answer = bring("https://user:secret@127.0.0.1:9/x.git", "1" * 40, timeout=1)
    assert "https://127.0.0.1:9/x.git" in answer["msg"]
    assert "secret" not in str(answer["msg"])


def test_a_declared_digest_is_demanded(repository: Repository, bring: Bring, cache: Path) -> None:
    commit = repository.commit(a="one\n")
    assert "wrong digest: expected sha256 " + "0" * 64 in bring(repository.url, commit, sha256="0" * 64)["msg"]
    assert list(cache.iterdir()) == []
    digest = bring(repository.url, commit)["sha256"]
    assert bring(repository.url, commit, sha256=digest)["changed"] is False
    assert "wrong digest" in bring(repository.url, commit, sha256="0" * 64)["msg"]


def test_modes_and_symlinks_are_kept_and_nothing_else(repository: Repository, bring: Bring) -> None:
    (repository.path / "run").write_text("#!/bin/sh\n")
    (repository.path / "run").chmod(0o755)
    (repository.path / "link").symlink_to("/etc/passwd")
    (repository.path / "d").mkdir()
    (repository.path / "d" / "f").write_text("")
    commit = repository.commit(a="one\n")
    with tarfile.open(bring(repository.url, commit)["path"]) as archive:
        seen = {m.name.partition("/")[2]: (m.mode, m.linkname) for m in archive.getmembers()}
        assert {(m.uid, m.gid, m.uname, m.gname) for m in archive.getmembers()} == {(0, 0, "root", "root")}
    files = {"a": (0o644, ""), "d/f": (0o644, ""), "link": (0o777, "/etc/passwd"), "run": (0o755, "")}
    assert seen == {"": (0o755, ""), "d": (0o755, "")} | files


def test_nothing_that_the_repository_says_of_itself_counts(
    repository: Repository, bring: Bring, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    attributes = "a ident text eol=crlf filter=x\nsecret export-ignore\nb export-subst\n"
    files = {"a": "$Id$\nline\n", "b": "$Format:%H$\n", "secret": "kept\n"}
    commit = repository.commit(__gitattributes=attributes, **files)
    for name in (
        "core.fsmonitor",
        "core.sshCommand",
        "filter.x.smudge",
        "uploadpack.packObjectsHook",
        "core.hooksPath",
    ):
        repository.git("config", name, f"touch {witness}; false")
    for name in ("post-checkout", "reference-transaction", "post-upload-pack", "pre-receive"):
        hook = repository.path / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {witness}\n")
        hook.chmod(0o755)
    got = members(bring(repository.url, commit))
    assert got.pop(".gitattributes").decode() == attributes
    assert got == {name: text.encode() for name, text in files.items()}
    assert not witness.exists()


def test_the_users_own_git_configuration_does_not_count(
    repository: Repository, bring: Bring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(f'[url "file:///nowhere/"]\n\tinsteadOf = {repository.url}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert members(bring(repository.url, repository.commit(a="one\n"))) == {"a": b"one\n"}


def test_a_submodule_is_left_out(repository: Repository, bring: Bring) -> None:
    (repository.path / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = file:///nowhere\n')
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"one\n")
    lines = f"100644 blob {blob}\ta\n160000 commit {'3' * 40}\tsub\n"
    tree = repository.git("mktree", "--missing", stdin=lines.encode())
    assert members(bring(repository.url, repository.commit_of(tree))) == {"a": b"one\n"}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"..", "contains '..'"),
        (b".", "contains '.'"),
        (b".git", "contains '.git'"),
        (b".GIT", "contains '.git'"),
        (b"a/b", "contains full pathnames"),
    ],
)
def test_a_name_that_leaves_the_tree_is_refused(
    repository: Repository, bring: Bring, cache: Path, name: bytes, fault: str
) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"evil\n")
    tree = repository.plant(b"tree", b"100644 " + name + b"\0" + bytes.fromhex(blob))
    commit = repository.commit_of(tree)
    answer = bring(repository.url, commit)
    assert fault in answer["msg"]
    assert list(cache.iterdir()) == []


def test_the_same_name_twice_is_refused(repository: Repository, bring: Bring) -> None:
    blob = bytes.fromhex(repository.git("hash-object", "-w", "--stdin", stdin=b"/etc"))
    tree = repository.plant(b"tree", b"120000 a\0" + blob + b"100644 a\0" + blob)
    assert "contains duplicate file entries" in bring(repository.url, repository.commit_of(tree))["msg"]


def test_an_object_under_anothers_name_is_refused(repository: Repository, bring: Bring, cache: Path) -> None:
    commit = repository.commit(a="one\n")
    blob = repository.git("rev-parse", f"{commit}:a")
    repository.plant(b"blob", b"evil\n", blob)
    assert "msg" in bring(repository.url, commit)
    assert list(cache.iterdir()) == []


def test_a_repository_without_end_is_refused(
    repository: Repository, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit(a="x" * 30_000)
    monkeypatch.setattr(git_source, "LARGEST", 10_000)
    assert "is it a source tree?" in bring(repository.url, commit)["msg"]


def test_a_commit_that_unfolds_to_more_than_it_weighs_is_refused(
    repository: Repository, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten trees, each of ten times the same one: ten thousand million files of a few hundred bytes."""
    tree = repository.git(
        "mktree", stdin=f"100644 blob {repository.git('hash-object', '-w', '--stdin', stdin=b'')}\ta\n".encode()
    )
    for _ in range(10):
        tree = repository.git("mktree", stdin="".join(f"040000 tree {tree}\t{at}\n" for at in range(10)).encode())
    monkeypatch.setattr(git_source, "MEMORY", 200 << 20)
    assert "is it a source tree?" in bring(repository.url, repository.commit_of(tree))["msg"]


def test_an_empty_commit_is_refused(repository: Repository, bring: Bring) -> None:
    tree = repository.git("mktree", stdin=b"")
    assert "holds no file" in bring(repository.url, repository.commit_of(tree))["msg"]


def test_no_history_is_fetched(repository: Repository, tmp_path: Path) -> None:
    repository.commit(a="one\n")
    commit = repository.commit(a="two\n")
    with git_source.fetched(repository.url, commit, 10) as git:
        count = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", git.scratch, "count-objects", "-v"],
            check=True,
            capture_output=True,
        )
    assert b"in-pack: 3" in count.stdout or b"count: 3" in count.stdout


def test_over_ssh_it_asks_for_the_repository_without_a_question(
    repository: Repository, bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit(a="one\n")
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/asked\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    assert members(bring(f"ssh://git@mirror.invalid{repository.path}", commit)) == {"a": b"one\n"}
    asked = (tmp_path / "asked").read_text()
    assert "-oBatchMode=yes -oStrictHostKeyChecking=yes" in asked
    assert "git@mirror.invalid" in asked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_repository_of_another_user_is_read_as_that_user(
    repository: Repository, bring: Bring, tmp_path: Path
) -> None:
    commit = repository.commit(a="one\n")
    for path in [repository.path, *repository.path.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    for path in [tmp_path, *list(tmp_path.parents)[:-2]]:
        path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    assert members(bring(repository.url, commit)) == {"a": b"one\n"}
    assert git_source.account_for("file", repository.url) == (65534, 65534)


def test_over_https_it_runs_without_rights() -> None:
    account = git_source.account_for("https", "https://mirror.invalid/x.git")
    assert account is None if os.geteuid() != 0 else account is not None and account[0] != 0


def test_the_archive_is_what_the_pipeline_unpacks(repository: Repository, bring: Bring, tmp_path: Path) -> None:
    answer = bring(repository.url, repository.commit(a="one\n"))
    target = tmp_path / "unpacked"
    target.mkdir()
    command = ["tar", "-xf", answer["path"], "-C", str(target), "--strip-components=1"]
    subprocess.run(command, check=True)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a": "one\n"}
