"""uid_register: a uid is never given twice, whatever was taken out, put back or lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.uid_register import Register, RegisterError
from hypothesis import given
from hypothesis import strategies as st

FIRST, LAST = 200000, 200040
names = st.sampled_from(["anna", "bert", "info@a.test", "info@b.test", "carol"])


def test_a_mailbox_keeps_its_uid_and_nobody_gets_it() -> None:
    register = Register([])
    anna = register.give("anna", "virtual", FIRST, LAST)
    assert register.give("anna", "virtual", FIRST, LAST) == anna
    assert register.give("bert", "virtual", FIRST, LAST) != anna


def test_what_was_retired_is_given_to_nobody_also_not_to_the_same_name() -> None:
    register = Register([])
    anna = register.give("anna", "virtual", FIRST, LAST)
    register.retire("anna", "virtual")
    assert {register.give(name, "virtual", FIRST, LAST) for name in ("bert", "anna")}.isdisjoint({anna})


def test_uids_of_others_on_the_host_are_passed_over() -> None:
    assert Register([]).give("anna", "virtual", FIRST, LAST, {FIRST, FIRST + 1}) == FIRST + 2


def test_the_end_of_the_range_is_told() -> None:
    register = Register([])
    register.give("anna", "virtual", FIRST, FIRST)
    with pytest.raises(RegisterError, match="bert: no uid is left from 200000 to 200000"):
        register.give("bert", "virtual", FIRST, FIRST)


def test_an_account_with_a_former_ones_uid_is_refused() -> None:
    register = Register([])
    register.note(1000, "anna", "system")
    with pytest.raises(RegisterError, match="bert has the uid 1000, which was anna's"):
        register.note(1000, "bert", "system")


def test_an_account_that_was_made_anew_is_noted_with_its_new_uid() -> None:
    register = Register([])
    register.note(1000, "anna", "system")
    register.note(1001, "anna", "system")
    assert register.held("anna", "system") == 1001
    with pytest.raises(RegisterError):
        register.note(1000, "bert", "system")


def test_a_uid_that_something_belongs_to_is_spared_and_a_name_keeps_its_own(tmp_path: Path) -> None:
    register = Register([])
    register.note(FIRST, "anna", "virtual")
    for uid, name in ((FIRST, "bert"), (FIRST + 1, "anna"), (FIRST + 2, "carol"), (FIRST + 3, "da is\nwas")):
        register.spare(uid, name, "virtual", held=True)
    register.spare(FIRST + 4, "emil", "system", held=False)
    register.save(tmp_path / "uids")
    again = Register.read(tmp_path / "uids")
    assert again is not None
    assert [again.held(name, "virtual") for name in ("anna", "bert", "carol")] == [FIRST, None, FIRST + 2]
    assert again.held("emil", "system") is None
    assert again.give("bert", "virtual", FIRST, LAST) == FIRST + 5


@given(st.lists(st.tuples(st.sampled_from(["give", "retire", "reread"]), names)))
def test_no_uid_ever_has_two_names(steps: list[tuple[str, str]]) -> None:
    register, owners = Register([]), dict[int, tuple[str, int]]()
    lives: dict[str, int] = {}
    for step, name in steps:
        if step == "give":
            uid = register.give(name, "virtual", FIRST, FIRST + 1000)
            assert owners.setdefault(uid, (name, lives.get(name, 0))) == (name, lives.get(name, 0))
        elif step == "retire":
            if register.held(name, "virtual"):
                lives[name] = lives.get(name, 0) + 1
            register.retire(name, "virtual")
        else:
            register = Register(register.entries)


def test_the_file_says_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "state" / "uids"
    register = Register([], today="2026-11-27")
    register.give("anna", "virtual", FIRST, LAST)
    register.retire("anna", "virtual")
    register.give("info@a.test", "virtual", FIRST, LAST)
    register.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = Register.read(path)
    assert again is not None
    assert again.text() == register.text() == path.read_text()
    assert again.give("bert", "virtual", FIRST, LAST) == FIRST + 2


@pytest.mark.parametrize(
    "text", ["200000 anna virtual 2026-11-27 held", "200000 anna\n", "x anna virtual 2026-11-27 held\n"]
)
def test_a_file_that_is_not_whole_gives_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "uids"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(RegisterError, match="line 1 is not UID NAME KIND DATE STATE"):
        Register.read(path)


def test_a_file_that_others_can_write_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "uids"
    path.write_text("")
    path.chmod(0o620)
    with pytest.raises(RegisterError, match="somebody else than root can write to it"):
        Register.read(path)


def test_no_file_is_no_register(tmp_path: Path) -> None:
    assert Register.read(tmp_path / "uids") is None
