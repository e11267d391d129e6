"""The crash test's short run; lab/crash.py has the long one."""

from __future__ import annotations

import os

from lab.crash import run


def test_nothing_accepted_is_lost_when_programs_are_killed() -> None:
    score = run(int(os.environ.get("QMAIL_CRASH_ROUNDS", "10")), seed=1)
    assert score.lost == []
    assert score.damaged == []
    assert score.strange == []
    assert score.accepted > 0
