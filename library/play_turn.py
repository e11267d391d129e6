#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: one play after the other on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: play_turn
short_description: Have one play change a host at a time
description:
  - Takes the host's turn for the run of ansible-playbook that the task belongs to, waiting for another's to end. The
    turn is that run's until its process on the controller has ended, in whatever way, whichever plays it consists of.
  - The turn is written down in O(path), which a boot clears. A process that the action plugin leaves on the controller
    renews it every half a minute, and gives it back when the run has ended. What is not renewed for two minutes counts
    no more, so a controller that is switched off, or that loses the network, holds no host for longer.
  - Nothing else is kept from anything by this; it is for plays that ask.
options:
  path:
    description: The file. Its directory must be root's alone, and empty after a boot.
    type: path
    default: /run/qmail-site-play
  patience:
    description: Seconds to wait for another's turn to end. Longer than it takes for one that is not renewed.
    type: float
    default: 150
  owner:
    description: What tells one run of ansible-playbook from each other. The action plugin gives it.
    type: str
  who:
    description: The same for people. The action plugin gives it.
    type: str
attributes:
  check_mode:
    description: Takes no turn, and waits for none. Warns of another's.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Wait for the host's turn
  play_turn:
"""

RETURN = r"""
holder:
  description: Who has the turn now, and since when; empty if nobody has, as in check mode.
  type: str
  returned: success
taken:
  description: Whether it was taken now; not if the run had it.
  type: bool
  returned: success
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ansible.module_utils.basic import AnsibleModule

LEASE = 120
"""Seconds that a turn lasts without being renewed; action_plugins/play_turn.py renews it."""
UPTIME = Path("/proc/uptime")


class BusyError(Exception):
    """Another has the turn; the text is the sentence for the operator."""


@dataclass(frozen=True)
class Turn:
    """Whose the turn is, and until when, in seconds since the host was started: no clock that is set touches these."""

    owner: str = ""
    said: str = ""
    until: float = 0.0

    def lasts(self, now: float) -> bool:
        """Whether it counts. One that ends later than one can end is from before a boot."""
        return bool(self.owner) and now < self.until <= now + LEASE + 1


def uptime() -> float:
    """Seconds since the host was started."""
    return float(UPTIME.read_text(encoding="ascii").split()[0])


@contextlib.contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The file, which nobody else reads or writes meanwhile."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+", encoding="utf-8", errors="replace") as file:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield file


def read(file: TextIO) -> Turn:
    """What is written down; nobody's turn if that is nothing that could be read."""
    lines = file.read(4000).splitlines()
    with contextlib.suppress(ValueError):
        if len(lines) == 3:
            return Turn(lines[0], lines[1], float(lines[2]))
    return Turn()


def holder(path: Path) -> Turn | None:
    """Whose turn it is; None if it is nobody's. Nothing is written."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            turn = read(file)
    except OSError:
        return None
    return turn if turn.lasts(uptime()) else None


def take(path: Path, mine: Turn) -> Turn | None:
    """Have it be MINE, unless it is another's; give whose it was before."""
    with opened(path) as file:
        now, have = uptime(), read(file)
        had = have if have.lasts(now) else None
        if had and had.owner != mine.owner:
            return had
        file.seek(0)
        file.truncate()
        file.write(f"{mine.owner}\n{had.said if had else mine.said}\n{now + LEASE:.0f}\n")
        return had


def wait(path: Path, mine: Turn, patience: float) -> bool:
    """Take the turn, waiting for it; give whether it was not ours before. Raises BusyError."""
    end = time.monotonic() + patience
    while (had := take(path, mine)) and had.owner != mine.owner:
        if time.monotonic() >= end:
            raise BusyError(
                f"{had.said} is changing this host; run again when that has ended. If it is gone, the host is free "
                f"in {max(0, had.until - uptime()):.0f} seconds, or at once by `rm {path}` there"
            )
        time.sleep(0.3)
    return had is None


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/run/qmail-site-play"},
            "patience": {"type": "float", "default": 150},
            "owner": {"type": "str"},
            "who": {"type": "str"},
        },
        supports_check_mode=True,
    )
    path, owner = Path(module.params["path"]), module.params["owner"] or "nobody"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    mine = Turn(owner, f"{module.params['who'] or owner}, since {since} UTC,")
    if module.check_mode:
        other = holder(path)
        if other and other.owner != owner:
            module.warn(f"{other.said} is changing this host meanwhile; what is said of it may be half of that")
        module.exit_json(changed=False, holder="", taken=False)
    try:
        taken = wait(path, mine, module.params["patience"])
    except BusyError as error:
        module.fail_json(msg=str(error), busy=True)
    except OSError as error:
        module.fail_json(msg=f"{path}: {error.strerror}; it is to say whose turn this host is, and root must write it")
    module.exit_json(changed=False, holder=mine.said, taken=taken)


if __name__ == "__main__":
    main()
