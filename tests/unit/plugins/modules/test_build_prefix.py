"""The module build_prefix: which build is in use, what the one before was, and what is left of older ones."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from action_plugins.build_prefix import ActionModule, stamp_of_recipe
from library import build_prefix
from module_utils.sealed_tree import compared as compare
from module_utils.sealed_tree import record_of
from tests.unit.conftest import RunModule

ME = pwd.getpwuid(os.geteuid()).pw_name
MY_GROUP = grp.getgrgid(os.getegid()).gr_name
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def stamp(letter: str) -> str:
    return letter * 64


def entry(letter: str) -> str:
    return f"1.0-{letter * 8}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "opt").mkdir()
    return tmp_path / "opt"


def build(root: Path, letter: str) -> Path:
    """A complete prefix of the part hello."""
    prefix = root / "hello" / entry(letter)
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "hello").write_text(letter)
    (prefix / "bin" / "hello").chmod(0o755)
    seal(prefix, letter)
    return prefix


def seal(prefix: Path, letter: str) -> None:
    """Write down what is there, as a build's last act."""
    (prefix / ".stamp").write_text(json.dumps({"stamp": stamp(letter), "files": record_of(prefix)}))
    (prefix / ".stamp").chmod(0o644)


def wanted(root: Path, letter: str, **more: Any) -> dict[str, Any]:
    return {"name": "hello", "version": "1.0", "stamp": stamp(letter), "root": str(root), **more}


def links(root: Path) -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in (root / "hello").iterdir() if path.is_symlink()}


def test_the_directory_of_a_link_is_open_to_all_whatever_the_umask_is(
    run_module: RunModule, root: Path, tmp_path: Path
) -> None:
    build(root, "a")
    link = tmp_path / "man" / "man8" / "hello.8"
    before = os.umask(0o077)
    try:
        run_module(build_prefix, wanted(root, "a", links=[{"path": str(link), "to": "bin/hello"}]))
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (link.parent, link.parent.parent)] == [0o755, 0o755]


def test_what_is_not_built_is_to_be_built_and_nothing_is_touched(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    answer = run_module(build_prefix, wanted(root, "b"))
    assert (answer["changed"], answer["to_build"]) == (False, True)
    assert links(root) == {"current": entry("a")}


def test_check_mode_says_what_would_be_built_also_on_a_bare_host(run_module: RunModule, root: Path) -> None:
    answer = run_module(build_prefix, wanted(root, "b"), check=True)
    assert (answer["changed"], answer["to_build"]) == (True, True)
    assert answer["diff"]["after"] == f"current {entry('b')}\n"
    assert list(root.iterdir()) == []


def test_a_prefix_without_its_stamp_was_never_finished(run_module: RunModule, root: Path) -> None:
    (build(root, "a") / ".stamp").unlink()
    assert run_module(build_prefix, wanted(root, "a"))["to_build"] is True


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stamp": 1}', '{"stamp": "' + "a" * 8 + '"}'])
def test_a_damaged_stamp_counts_as_none(run_module: RunModule, root: Path, content: str) -> None:
    (build(root, "a") / ".stamp").write_text(content)
    assert run_module(build_prefix, wanted(root, "a"))["to_build"] is True


def test_switching_keeps_the_previous_build_and_removes_older_ones(run_module: RunModule, root: Path) -> None:
    for letter in "abc":
        build(root, letter)
        assert run_module(build_prefix, wanted(root, letter))["changed"] is True
    assert links(root) == {"current": entry("c"), "previous": entry("b")}
    assert sorted(path.name for path in (root / "hello").iterdir()) == [entry("b"), entry("c"), "current", "previous"]
    assert run_module(build_prefix, wanted(root, "c"))["changed"] is False


def test_what_is_not_a_build_is_never_removed(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    (root / "hello" / "notes").mkdir()
    (root / "hello" / "1.0-aaaaaaab.tar").write_text("")
    run_module(build_prefix, wanted(root, "a"))
    assert (root / "hello" / "notes").is_dir()
    assert (root / "hello" / "1.0-aaaaaaab.tar").is_file()


def test_an_earlier_build_that_is_still_there_is_used_without_building(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    answer = run_module(build_prefix, wanted(root, "a"))
    assert (answer["changed"], answer["to_build"]) == (True, False)
    assert links(root) == {"current": entry("a"), "previous": entry("b")}


def test_rolling_back_twice_is_rolling_forward(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert run_module(build_prefix, back, check=True)["changed"] is True
    assert links(root)["current"] == entry("b")
    assert run_module(build_prefix, back)["current"] == entry("a")
    assert links(root) == {"current": entry("a"), "previous": entry("b")}
    run_module(build_prefix, back)
    assert links(root) == {"current": entry("b"), "previous": entry("a")}


BACK = {"name": "hello", "state": "previous"}


@pytest.fixture
def gone_back(run_module: RunModule, root: Path) -> Path:
    """A part that somebody went back with, from b to a."""
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    run_module(build_prefix, BACK | {"root": str(root)})
    return root


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings."""
    texts: list[str] = []
    monkeypatch.setattr("library.build_prefix.AnsibleModule.warn", lambda _, text: texts.append(text))
    return texts


@pytest.mark.parametrize("check", [True, False])
def test_what_was_gone_back_to_stays_while_the_same_is_declared(
    run_module: RunModule, gone_back: Path, said: list[str], check: bool
) -> None:
    answer = run_module(build_prefix, wanted(gone_back, "b"), check=check)
    assert (answer["changed"], answer["to_build"], answer["current"]) == (False, False, entry("a"))
    assert f"hello: {entry('a')} is in use since somebody went back to it on 20" in answer["stays"]
    assert f"though {entry('b')} is declared" in answer["stays"]
    assert "`ansible-playbook -i INVENTORY playbooks/rollback.yml -e part=hello`" in answer["stays"]
    assert said == [answer["stays"]]
    assert links(gone_back) == {"current": entry("a"), "previous": entry("b")}


def test_what_stays_is_mended(run_module: RunModule, gone_back: Path) -> None:
    program = gone_back / "hello" / entry("a") / "bin" / "hello"
    program.chmod(0o777)
    assert run_module(build_prefix, wanted(gone_back, "b"))["changed"] is True
    assert mode(program) == "0755"
    assert links(gone_back)["current"] == entry("a")


@pytest.mark.parametrize("letter", ["a", "c"])
def test_another_declaration_ends_it(run_module: RunModule, gone_back: Path, letter: str) -> None:
    if letter == "c":
        build(gone_back, letter)
    answer = run_module(build_prefix, wanted(gone_back, letter))
    assert (answer["current"], answer["stays"]) == (entry(letter), "")
    if letter == "a":
        assert answer["changed"] is False
    # And what was declared before is only another one then.
    if letter == "a":
        assert run_module(build_prefix, wanted(gone_back, "b"))["current"] == entry("b")


def test_going_forth_again_leaves_nothing(run_module: RunModule, gone_back: Path) -> None:
    assert run_module(build_prefix, BACK | {"root": str(gone_back)})["current"] == entry("b")
    answer = run_module(build_prefix, wanted(gone_back, "b"))
    assert (answer["changed"], answer["stays"]) == (False, "")
    assert not (gone_back / "hello" / ".left").exists()


def test_what_was_gone_back_to_does_not_stay_when_somebody_changed_it(
    run_module: RunModule, gone_back: Path, said: list[str]
) -> None:
    (gone_back / "hello" / entry("a") / "bin" / "hello").write_text("evil")
    answer = run_module(build_prefix, wanted(gone_back, "b"))
    assert (answer["current"], answer["stays"]) == (entry("b"), "")
    assert "bin/hello" in said[0]


def test_looking_what_going_back_would_do_remembers_nothing(run_module: RunModule, gone_back: Path) -> None:
    run_module(build_prefix, BACK | {"root": str(gone_back)}, check=True)
    assert run_module(build_prefix, wanted(gone_back, "b"))["current"] == entry("a")


@needs_root
def test_only_root_can_say_that_one_was_left(run_module: RunModule, gone_back: Path) -> None:
    os.chown(gone_back / "hello" / ".left", 65534, -1)
    assert run_module(build_prefix, wanted(gone_back, "b"))["current"] == entry("b")


def test_nobody_else_can_write_where_it_is_said_what_was_left(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    (root / "hello").chmod(0o777)
    run_module(build_prefix, BACK | {"root": str(root)})
    assert mode(root / "hello") == "0755"
    assert mode(root / "hello" / ".left") == "0644"


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def test_rolling_back_makes_the_modes_true_that_the_build_had(run_module: RunModule, root: Path) -> None:
    for letter, wish in (("a", "4711"), ("b", "4710")):
        build(root, letter)
        modes = [{"path": "bin/hello", "owner": ME, "group": MY_GROUP, "mode": wish}]
        run_module(build_prefix, wanted(root, letter, modes=modes))
    old = root / "hello" / entry("a") / "bin" / "hello"
    old.chmod(0o755)
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert run_module(build_prefix, back)["current"] == entry("a")
    assert mode(old) == "4711"


def test_rolling_back_to_a_build_that_noted_no_modes_gives_it_those_of_now(run_module: RunModule, root: Path) -> None:
    old = build(root, "a") / "bin" / "hello"
    run_module(build_prefix, wanted(root, "a"))
    build(root, "b")
    modes = [{"path": "bin/hello", "owner": ME, "group": MY_GROUP, "mode": "4711"}]
    run_module(build_prefix, wanted(root, "b", modes=modes))
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert run_module(build_prefix, back, check=True)["changed"] is True
    assert mode(old) == "0755"
    run_module(build_prefix, back)
    assert mode(old) == "4711"
    assert run_module(build_prefix, wanted(root, "a", modes=modes))["changed"] is False


def test_rolling_back_to_a_build_that_lacks_a_program_switches_nothing(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        modes = [{"path": "bin/hello", "owner": ME, "group": MY_GROUP, "mode": "4711"}]
        run_module(build_prefix, wanted(root, letter, modes=modes))
    (root / "hello" / entry("a") / "bin" / "hello").unlink()
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert "(bin/hello is missing); nothing was switched" in run_module(build_prefix, back)["msg"]
    assert links(root)["current"] == entry("b")


def test_check_mode_knows_that_a_group_may_be_yet_to_come(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    modes = [{"path": "bin/hello", "owner": ME, "group": "no-such-group", "mode": "0711"}]
    answer = run_module(build_prefix, wanted(root, "a", modes=modes), check=True)
    assert f"{ME}:no-such-group 0711" in answer["diff"]["after"]
    assert "no group 'no-such-group'" in run_module(build_prefix, wanted(root, "a", modes=modes))["msg"]


def test_what_was_cut_short_while_it_was_sealed_is_removed(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    left = root / "hello" / f".{entry('b')}.built"
    left.mkdir()
    run_module(build_prefix, wanted(root, "a"))
    assert not left.exists()


def test_rolling_back_to_nothing_is_a_sentence(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert "there is no previous version in" in run_module(build_prefix, back)["msg"]


def test_rolling_back_to_a_damaged_build_is_refused(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    (root / "hello" / entry("a") / ".stamp").unlink()
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert "is not a complete build; nothing was switched" in run_module(build_prefix, back)["msg"]
    assert links(root)["current"] == entry("b")


def test_links_go_through_current_and_are_made_once(run_module: RunModule, root: Path, tmp_path: Path) -> None:
    build(root, "a")
    link = tmp_path / "usr" / "bin" / "hello"
    args = wanted(root, "a", links=[{"path": str(link), "to": "bin/hello"}])
    assert run_module(build_prefix, args, check=True)["changed"] is True
    assert not link.is_symlink()
    assert run_module(build_prefix, args)["changed"] is True
    assert link.readlink() == root / "hello" / "current" / "bin" / "hello"
    assert link.read_text() == "a"
    assert run_module(build_prefix, args)["changed"] is False


def test_a_file_in_a_links_place_is_not_lost_and_nothing_is_switched(
    run_module: RunModule, root: Path, tmp_path: Path
) -> None:
    build(root, "a")
    (tmp_path / "hello").write_text("mine")
    answer = run_module(build_prefix, wanted(root, "a", links=[{"path": str(tmp_path / "hello"), "to": "bin/hello"}]))
    assert "is there and is not a symlink; move it away" in answer["msg"]
    assert (tmp_path / "hello").read_text() == "mine"
    assert links(root) == {}


def test_modes_are_applied_once_and_shown_in_the_diff(run_module: RunModule, root: Path) -> None:
    file = build(root, "a") / "bin" / "hello"
    args = wanted(root, "a", modes=[{"path": "bin/hello", "owner": ME, "group": MY_GROUP, "mode": "4711"}])
    answer = run_module(build_prefix, args, check=True)
    assert f"{file} {os.geteuid()}:{os.getegid()} 4711" in answer["diff"]["after"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    assert run_module(build_prefix, args)["changed"] is True
    assert stat.S_IMODE(file.stat().st_mode) == 0o4711
    assert run_module(build_prefix, args)["changed"] is False
    file.chmod(0o755)
    assert run_module(build_prefix, args)["changed"] is True


@pytest.mark.parametrize(
    ("mode", "complaint"),
    [
        ({"path": "bin/hello", "owner": "no-such-user", "mode": "0755"}, "has no user 'no-such-user'; create it first"),
        ({"path": "bin/hello", "group": "no-such-group", "mode": "0755"}, "has no group 'no-such-group'"),
        ({"path": "../x", "mode": "0755"}, "is not a path inside the prefix"),
        ({"path": "/etc/passwd", "mode": "0755"}, "is not a path inside the prefix"),
        ({"path": "bin/absent", "mode": "0755"}, "No such file"),
        ({"path": "bin/hello", "mode": "u+s"}, "is not an octal mode"),
        ({"path": "bin/link", "mode": "0755"}, "symbolic links"),
    ],
)
def test_a_bad_mode_is_a_sentence_and_nothing_is_switched(
    run_module: RunModule, root: Path, mode: dict[str, str], complaint: str
) -> None:
    prefix = build(root, "a")
    (prefix / "bin" / "link").symlink_to("/etc/passwd")
    seal(prefix, "a")
    assert complaint in run_module(build_prefix, wanted(root, "a", modes=[mode]))["msg"]
    assert links(root) == {}


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b"])
def test_a_bad_name_is_a_sentence(run_module: RunModule, root: Path, name: str) -> None:
    assert "is not a plain name" in run_module(build_prefix, wanted(root, "a") | {"name": name})["msg"]


def sources(digest: str = "1" * 64) -> list[dict[str, Any]]:
    return [{"name": "x.tar", "sha256": digest, "into": "source", "unpack": True, "sites": ["/a"], "size": 1}]


def test_a_stamp_depends_on_all_of_the_recipe_but_not_on_where_a_source_comes_from() -> None:
    recipe = {"commands": ["make"], "patches": [], "environment": {}, "platform": "Debian-13-x86_64"}
    base = stamp_of_recipe("hello", "1.0", recipe, sources())
    elsewhere = [{**sources()[0], "sites": ["/b"], "name": "y.tar"}]
    assert stamp_of_recipe("hello", "1.0", recipe, elsewhere) == base
    others = [
        stamp_of_recipe("hello", "1.1", recipe, sources()),
        stamp_of_recipe("hello", "1.0", recipe, sources("2" * 64)),
        stamp_of_recipe("hello", "1.0", recipe, sources() * 2),
        stamp_of_recipe("hello", "1.0", recipe | {"platform": "Debian-12-x86_64"}, sources()),
        stamp_of_recipe("hello", "1.0", recipe | {"commands": ["make", ""]}, sources()),
        stamp_of_recipe("hello", "1.0", recipe | {"environment": {"CC": "clang"}}, sources()),
        stamp_of_recipe("hello", "1.0", recipe | {"patches": [{"file": "x"}]}, sources()),
    ]
    assert base not in others
    assert len(set(others)) == len(others)


COMMIT = "6c1f4d1f0d5d3b9a8a4a6c0b7d4f0a1e2c3b4a59"


def resolve(source: dict[str, Any]) -> dict[str, Any]:
    plugin = ActionModule.__new__(ActionModule)
    plugin._task = SimpleNamespace(args={"name": "hello"})
    resolved: dict[str, Any] = plugin._resolved(source, 0)
    return resolved


def test_a_stamp_depends_on_the_commit_but_not_on_the_repository_that_has_it() -> None:
    def stamp(**git: str) -> str:
        return stamp_of_recipe("hello", "1.0", {}, [resolve({"git": {"url": "https://a/x", "commit": COMMIT} | git})])

    assert stamp() == stamp(url="ssh://git@b/x")
    assert len({stamp(), stamp(commit="0" * 40), stamp(sha256="1" * 64)}) == 3


def test_a_commit_is_named_after_itself_in_the_cache() -> None:
    assert resolve({"git": {"url": "https://a/x", "commit": COMMIT}})["name"] == f"hello-{COMMIT}.tar"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({}, "give one of tree"),
        ({"git": {"url": "https://a/x", "commit": COMMIT}, "tree": "x"}, "give one of tree"),
        ({"git": "https://a/x"}, "recipe.sources[0].git: not a dict with url, commit"),
        ({"git": {"url": "https://a/x"}}, "recipe.sources[0].git: commit missing"),
        ({"git": {"url": "https://a/x", "commit": "main"}}, "a branch or a tag may name another one tomorrow"),
        ({"git": {"url": "https://a/x", "commit": COMMIT[:12]}}, "give all 40 hexadecimal digits"),
        ({"distfile": {"name": "x", "size": 1, "sites": []}}, "recipe.sources[0].distfile: sha256 missing"),
    ],
)
def test_a_source_without_a_digest_is_refused_before_the_host_is_asked(source: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        resolve(source)
    assert complaint in str(caught.value)


def place(*patches: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    placed: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    placed = ActionModule.__new__(ActionModule)._patches(list(patches))
    return placed


def patch(name: str, **more: Any) -> dict[str, Any]:
    return {"distfile": {"name": name, "size": 1, "sha256": "1" * 64, "sites": ["/a"]}, **more}


def test_patches_keep_their_order_and_those_with_a_digest_become_sources() -> None:
    patches, sources = place(patch("b.patch", strip=0), {"file": "ours/*.patch"}, patch("a.patch"))
    assert patches == [
        {"file": "patches/b.patch", "strip": 0},
        {"file": "ours/*.patch"},
        {"file": "patches/a.patch", "strip": 1},
    ]
    assert [(source["name"], source["into"], source["unpack"]) for source in sources] == [
        ("b.patch", "patches", False),
        ("a.patch", "patches", False),
    ]


@pytest.mark.parametrize(
    ("patches", "complaint"),
    [
        ([{"strip": 1}], "recipe.patches[0]: give one of file"),
        ([patch("a"), patch("b", file="x")], "recipe.patches[1]: give one of file"),
        ([{"distfile": {"name": "a", "size": 1, "sites": []}}], "recipe.patches[0].distfile: sha256 missing"),
        ([patch("a"), patch("a")], "recipe.patches[1].distfile.name: another patch is named a, too"),
    ],
)
def test_a_patch_without_a_digest_or_a_name_of_its_own_is_refused(
    patches: list[dict[str, Any]], complaint: str
) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        place(*patches)
    assert complaint in str(caught.value)


def become_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/sh")


def become_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What somebody did to a file of a build, and what is said of it.
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (lambda bin_: (bin_ / "hello").write_text("b"), "bin/hello has another content than what was built"),
    "more": (lambda bin_: (bin_ / "hello").write_text("aa"), "bin/hello has another content than what was built"),
    "gone": (lambda bin_: (bin_ / "hello").unlink(), "bin/hello is missing"),
    "a link": (lambda bin_: become_a_link(bin_ / "hello"), "bin/hello is no file any more"),
    "a directory": (lambda bin_: become_a_directory(bin_ / "hello"), "bin/hello is no file any more"),
    "all gone": (shutil.rmtree, "bin is missing"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_build_is_built_anew_beside_and_runs_until_then(run_module: RunModule, root: Path, case: str) -> None:
    build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    damage, said = DAMAGE[case]
    damage(root / "hello" / entry("a") / "bin")
    for check in (True, False):
        answer = run_module(build_prefix, wanted(root, "a"), check=check)
        assert answer["to_build"] is True
        assert answer["changed"] is check
        assert answer["prefix"] == str(root / "hello" / f"{entry('a')}.2")
        assert any(said in each for each in answer["differs"])
        assert links(root) == {"current": entry("a")}
    shutil.copytree(build(root, "b"), root / "hello" / f"{entry('a')}.2")
    shutil.rmtree(root / "hello" / entry("b"))
    seal(root / "hello" / f"{entry('a')}.2", "a")
    answer = run_module(build_prefix, wanted(root, "a"))
    assert (answer["to_build"], answer["current"]) == (False, f"{entry('a')}.2")
    assert links(root) == {"current": f"{entry('a')}.2"}, "nobody goes back to the damaged one"
    assert not (root / "hello" / entry("a")).exists()
    assert run_module(build_prefix, wanted(root, "a"))["changed"] is False


def test_a_third_build_is_made_where_the_second_is_damaged_too(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    shutil.copytree(root / "hello" / entry("a"), root / "hello" / f"{entry('a')}.2")
    for name in (entry("a"), f"{entry('a')}.2"):
        (root / "hello" / name / "bin" / "hello").write_text("x")
    assert run_module(build_prefix, wanted(root, "a"))["prefix"].endswith(".3")


@pytest.mark.parametrize("content", ["", "{", "{}", '{"files": null}', '{"files": []}', '{"files": {".": 1}}'])
def test_a_build_whose_seal_says_nothing_of_its_files_is_made_anew(
    run_module: RunModule, root: Path, content: str
) -> None:
    with_stamp = content.replace("{", f'{{"stamp": "{stamp("a")}",', 1) if ":" in content else content
    (build(root, "a") / ".stamp").write_text(with_stamp)
    (root / "hello" / "current").symlink_to(entry("a"))
    answer = run_module(build_prefix, wanted(root, "a"))
    assert (answer["to_build"], answer["prefix"]) == (True, str(root / "hello" / f"{entry('a')}.2"))


def test_what_is_no_part_of_a_build_goes(run_module: RunModule, root: Path, tmp_path: Path) -> None:
    prefix = build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    (tmp_path / "kept").write_text("x")
    (prefix / "bin" / "extra").write_text("x")
    (prefix / "lib" / "deep").mkdir(parents=True)
    (prefix / "lib" / "deep" / "link").symlink_to(tmp_path)
    answer = run_module(build_prefix, wanted(root, "a"), check=True)
    assert answer["differs"] == [f"{prefix}: {x} is no part of what was built" for x in ("bin/extra", "lib")]
    assert (prefix / "lib").exists()
    assert run_module(build_prefix, wanted(root, "a"))["changed"] is True
    assert sorted(path.name for path in prefix.rglob("*")) == [".stamp", "bin", "hello"]
    assert (tmp_path / "kept").exists()
    assert run_module(build_prefix, wanted(root, "a"))["changed"] is False


@pytest.mark.parametrize("path", ["bin/hello", "bin", ".", ".stamp", ".modes"])
def test_a_mode_that_is_not_the_build_s_is_set_again(run_module: RunModule, root: Path, path: str) -> None:
    prefix = build(root, "a")
    (prefix / "bin" / "other").touch()
    seal(prefix, "a")
    args = wanted(root, "a", modes=[{"path": "bin/other", "owner": ME, "group": MY_GROUP, "mode": "0700"}])
    run_module(build_prefix, args)
    before = mode(prefix / path)
    (prefix / path).chmod(0o777)
    answer = run_module(build_prefix, args, check=True)
    assert answer["changed"] is True
    assert mode(prefix / path) == "0777"
    assert run_module(build_prefix, args)["changed"] is True
    assert mode(prefix / path) == before
    assert run_module(build_prefix, args)["changed"] is False


@needs_root
def test_who_has_opened_a_file_to_write_does_not_write_to_what_runs(run_module: RunModule, root: Path) -> None:
    program = build(root, "a") / "bin" / "hello"
    run_module(build_prefix, wanted(root, "a"))
    os.chown(program, 65534, 65534)
    with program.open("r+") as kept:
        assert run_module(build_prefix, wanted(root, "a"))["changed"] is True
        kept.write("b")
    assert program.read_text() == "a"
    assert (program.stat().st_uid, program.stat().st_gid, mode(program)) == (0, 0, "0755")
    assert sorted(path.name for path in program.parent.iterdir()) == ["hello"]


@needs_root
def test_a_declared_owner_takes_a_copy_of_what_was_a_stranger_s(run_module: RunModule, root: Path) -> None:
    program = build(root, "a") / "bin" / "hello"
    args = wanted(root, "a", modes=[{"path": "bin/hello", "owner": "root", "group": "root", "mode": "4711"}])
    run_module(build_prefix, args)
    os.chown(program, 65534, 65534)
    with program.open("r+") as kept:
        run_module(build_prefix, args)
        kept.write("b")
    assert (program.read_text(), program.stat().st_uid, mode(program)) == ("a", 0, "4711")


def test_a_previous_build_that_was_damaged_is_let_go(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    (root / "hello" / entry("a") / "bin" / "hello").write_text("x")
    back = {"name": "hello", "state": "previous", "root": str(root)}
    assert "has another content than what was built); nothing was switched" in run_module(build_prefix, back)["msg"]
    assert run_module(build_prefix, wanted(root, "b"))["changed"] is True
    assert links(root) == {"current": entry("b")}
    assert not (root / "hello" / entry("a")).exists()


def test_a_previous_build_has_its_modes_kept(run_module: RunModule, root: Path) -> None:
    modes = [{"path": "bin/hello", "owner": ME, "group": MY_GROUP, "mode": "4711"}]
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter, modes=modes))
    old = root / "hello" / entry("a") / "bin" / "hello"
    old.chmod(0o4777)
    assert run_module(build_prefix, wanted(root, "b", modes=modes))["changed"] is True
    assert mode(old) == "4711"


@pytest.mark.parametrize("target", ["notes", "/etc", "../hello"])
def test_what_is_no_build_is_nothing_to_go_back_to(run_module: RunModule, root: Path, target: str) -> None:
    build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    (root / "hello" / "notes").mkdir()
    (root / "hello" / "previous").symlink_to(target)
    assert run_module(build_prefix, wanted(root, "a"))["changed"] is True
    assert links(root) == {"current": entry("a")}
    assert (root / "hello" / "notes").is_dir()


def test_a_build_under_anothers_name_is_nothing_to_go_back_to(run_module: RunModule, root: Path) -> None:
    strange = build(root, "a").rename(root / "hello" / "9.9-deadbeef")
    build(root, "b")
    run_module(build_prefix, wanted(root, "b"))
    (root / "hello" / "previous").symlink_to(strange.name)
    shutil.copytree(root / "hello" / entry("b"), strange, dirs_exist_ok=True)
    assert run_module(build_prefix, wanted(root, "b"), check=True)["changed"] is True
    assert run_module(build_prefix, wanted(root, "b"))["changed"] is True
    assert links(root) == {"current": entry("b")}
    assert not strange.exists()


def test_what_there_is_to_go_back_to_is_told_of_as_well_where_the_current_build_would_be_made_anew(
    run_module: RunModule, root: Path
) -> None:
    build(root, "b")
    run_module(build_prefix, wanted(root, "b"))
    shutil.copytree(root / "hello" / entry("b"), root / "hello" / "9.9-deadbeef")
    (root / "hello" / "previous").symlink_to("9.9-deadbeef")
    (root / "hello" / entry("b") / "bin" / "hello").write_text("x")
    result = run_module(build_prefix, wanted(root, "b"), check=True)
    assert result["to_build"] is True
    assert "previous 9.9-deadbeef\n" in result["diff"]["before"]
    assert links(root) == {"current": entry("b"), "previous": "9.9-deadbeef"}


def test_a_build_without_its_seal_is_told(run_module: RunModule, root: Path) -> None:
    prefix = build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    (prefix / ".stamp").unlink()
    result = run_module(build_prefix, wanted(root, "a"), check=True)
    assert result["to_build"] is True
    assert "does not say what was built" in " ".join(result["differs"])


def test_a_current_that_is_no_build_of_ours_is_left_and_not_gone_back_to(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    (root / "hello" / "mine").mkdir()
    (root / "hello" / "current").symlink_to("mine")
    run_module(build_prefix, wanted(root, "a"))
    assert links(root) == {"current": entry("a")}


def test_nobody_else_writes_where_the_builds_are(run_module: RunModule, root: Path) -> None:
    build(root, "a")
    run_module(build_prefix, wanted(root, "a"))
    for path in (root, root / "hello"):
        path.chmod(0o777)
        assert run_module(build_prefix, wanted(root, "a"), check=True)["changed"] is True
        assert run_module(build_prefix, wanted(root, "a"))["changed"] is True
        assert mode(path) == "0755"
    assert run_module(build_prefix, wanted(root, "a"))["changed"] is False


def test_going_back_from_a_damaged_build_keeps_no_way_to_it(run_module: RunModule, root: Path) -> None:
    for letter in "ab":
        build(root, letter)
        run_module(build_prefix, wanted(root, letter))
    (root / "hello" / entry("b") / "bin" / "hello").write_text("x")
    run_module(build_prefix, {"name": "hello", "state": "previous", "root": str(root)})
    assert links(root) == {"current": entry("a"), "previous": entry("a")}
    assert run_module(build_prefix, wanted(root, "b"))["to_build"] is True


@needs_root
@pytest.mark.parametrize("path", ["bin", "bin/hello"])
def test_what_its_owner_exchanges_meanwhile_gets_no_rights(
    run_module: RunModule, root: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = build(root, "a") / "bin" / "hello"
    args = wanted(root, "a", modes=[{"path": "bin/hello", "mode": "4711"}])
    run_module(build_prefix, args)
    os.chown(root / "hello" / entry("a") / path, 65534, 65534)
    compared: list[Path] = []

    def meanwhile(prefix: Path, modes: list[dict[str, str]]) -> Any:
        found = compare(prefix, modes)
        if len(compared) == 1:  # it has been found good, and is about to be given to root
            program.unlink()
            program.write_text("x")
            os.chown(program, 65534, 65534)
        compared.append(prefix)
        return found

    monkeypatch.setattr(build_prefix, "compared", meanwhile)
    assert "was changed while it was looked at" in run_module(build_prefix, args)["msg"]
    assert (program.stat().st_uid, mode(program)) == (65534, "0644")
