#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: where the spam filter's zones begin, as it runs."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: filter_zones
short_description: Ask the spam filter where its zones begin, as it runs
description:
  - Asks spamd itself, through the client and the server that the list of filters names, from which score on a message
    is spam.
  - Gives the line of the filter, as the list has it, three messages with the very scores at which it must decide, just
    below spam, just below red and at red. What it runs is the installed filter with all of its options, as the user
    who runs it; only instead of spamd it asks a stand-in, which says these scores. So no rule has to be brought to the
    site, by which others could choose their scores.
  - Changes nothing; no message is queued.
options:
  list:
    description: The list of filters.
    type: path
    default: /etc/hi-q/filters
  threshold:
    description: The score from which on a message must be spam.
    type: float
    required: true
  zap:
    description: Points above O(threshold) from which on it must be refused.
    type: float
    required: true
  user:
    description: Who runs the filter.
    type: str
    default: qmaild
  group:
    description: The user's group there.
    type: str
    default: nofiles
  further:
    description: The further groups of a door's processes, by which they reach spamd.
    type: list
    elements: str
    default: [qmaildoor]
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Verify that the filter's zones begin where they are declared to
  filter_zones:
    threshold: "{{ spam_threshold }}"
    zap: "{{ spam_zap }}"
"""

RETURN = r"""
threshold:
  description: What spamd says.
  type: float
  returned: success
answers:
  description: What became of the message with each score.
  type: dict
  returned: success
"""

import contextlib
import grp
import os
import pwd
import re
import shlex
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

SECONDS = 90
FILTER = "spamzone"
CLIENT = "spamc"
# Where the client finds spamd: options that have a word behind them, and one that has none.
PLACES, ALONE = ("-U", "-d", "-p"), ("-H",)
MESSAGE = (
    b"From: <stranger@example.org>\r\nTo: <postmaster@example.org>\r\nDate: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
    b"Message-ID: <zones@example.org>\r\nSubject: About nothing\r\n\r\nWhat is written here is of no importance.\r\n"
)
GREEN, YELLOW, RED, NONE = "green", "yellow", "red", "none"


class FilterError(Exception):
    """The sentence for the operator."""


def line_of(path: Path) -> list[str]:
    """The words of the filter in the list, without the settings before them."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise FilterError(f"{path}: {error}") from None
    found = []
    for line in lines:
        if line.lstrip().startswith("#"):
            continue
        words = shlex.split(line)
        while words and not words[0].startswith("/"):
            words.pop(0)
        if words and Path(words[0]).name == FILTER:
            found.append(words)
    if len(found) != 1:
        raise FilterError(
            f"{path} has {len(found)} lines of {FILTER}, and not one: the site is declared to filter spam"
        )
    return found[0]


def parts(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Split the filter's words: its own, the client's, and those of the client that say where spamd is."""
    at = next((n for n, word in enumerate(words) if n and Path(word).name == CLIENT and word.startswith("/")), None)
    if at is None:
        raise FilterError(f"the line of {FILTER} names no {CLIENT}: {' '.join(words)}")
    client, place = [words[at]], []
    rest = iter(words[at + 1 :])
    for word in rest:
        if word in PLACES:
            place += [word, next(rest, "")]
        elif word in ALONE:
            place.append(word)
        else:
            client.append(word)
    return words[:at], client, place


def asks_alone(client: list[str]) -> list[str]:
    """The client's words without those that have its exit code tell a zone."""
    kept, rest = [], iter(client)
    for word in rest:
        if word == "-Y":
            next(rest, "")
        elif word != "-E":
            kept.append(word)
    return kept


def identity(user: str, group: str, further: list[str]) -> dict[str, Any]:
    """The ids of who runs the filter, for a process; nothing where only root's could be changed."""
    if os.geteuid() != 0:
        return {}
    ids = [grp.getgrnam(name).gr_gid for name in (group, *further)]
    return {"user": pwd.getpwnam(user).pw_uid, "group": ids[0], "extra_groups": ids[1:]}


def run(words: list[str], who: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    """Run a command as the filter is run, its notes on standard error."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TCPREMOTEIP": "127.0.0.1", "RELAYCLIENT": ""}
    try:
        return subprocess.run(
            ["sh", "-c", 'exec "$@" 6>&2 7>&2', "sh", *words],
            input=MESSAGE,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            cwd="/",
            env=environment,
            **who,
        )
    except subprocess.TimeoutExpired:
        raise FilterError(f"{words[0]} gave no answer within {SECONDS} seconds") from None


def threshold_of(client: list[str], place: list[str], who: dict[str, Any]) -> float:
    """What spamd itself says a message needs to be spam."""
    done = run([*asks_alone(client), *place, "-c"], who)
    said = re.fullmatch(rb"\s*-?[0-9.]+/(-?[0-9.]+)\s*", done.stdout)
    if not said or done.returncode not in (0, 1):
        why = (done.stderr or done.stdout).decode(errors="replace").strip()[:200]
        raise FilterError(f"spamd can't be asked ({' '.join([*client, *place])}: exit code {done.returncode}) {why}")
    return float(said[1])


def answer(client: socket.socket, score: float, threshold: float) -> None:
    """Answer as spamd would, had the message this score."""
    with client, contextlib.suppress(OSError), client.makefile("rb") as file:
        while file.readline().strip():
            pass
        message = file.read()
        spam = score >= threshold
        numbers = f"score={score:.1f} required={threshold:.1f}"
        head = f"X-Spam-Status: {'Yes' if spam else 'No'}, {numbers} tests=ASKED autolearn=no\r\n"
        head = (f"X-Spam-Flag: {'YES' if spam else 'NO'}\r\n" if spam else "") + head
        body = head.encode() + message
        told = f"SPAMD/1.1 0 EX_OK\r\nContent-length: {len(body)}\r\n"
        told += f"Spam: {'True' if spam else 'False'} ; {score:.1f} / {threshold:.1f}\r\n\r\n"
        client.sendall(told.encode() + body)


@contextlib.contextmanager
def stand_in(score: float, threshold: float, group: int) -> Iterator[str]:
    """Have a socket that answers like spamd, with this score for each message; give its path.

    Only that group comes to it: one is answered after the other, and who asks for nothing would keep it.
    """
    with tempfile.TemporaryDirectory(prefix="filter-", dir="/run" if os.geteuid() == 0 else None) as directory:
        path = f"{directory}/spamd"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            for each, mode in ((path, 0o660), (directory, 0o710)):
                os.chown(each, -1, group)
                Path(each).chmod(mode)
            listener.listen()

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        answer(listener.accept()[0], score, threshold)

            threading.Thread(target=serve, daemon=True).start()
            yield path
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def zone_of(words: list[str], client: list[str], score: float, threshold: float, who: dict[str, Any]) -> str:
    """What the filter makes of a message with this score."""
    with stand_in(score, threshold, who.get("group", -1)) as path:
        done = run([*words, *client, "-U", path], who)
    if done.returncode == 1:
        return RED
    if done.returncode == 0 and b"X-Spam-Status:" in done.stdout:
        return YELLOW if re.search(rb"(?m)^X-Spam-Flag: YES", done.stdout) else GREEN
    return f"{NONE} (exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[:200]})"


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "list": {"type": "path", "default": "/etc/hi-q/filters"},
            "threshold": {"type": "float", "required": True},
            "zap": {"type": "float", "required": True},
            "user": {"type": "str", "default": "qmaild"},
            "group": {"type": "str", "default": "nofiles"},
            "further": {"type": "list", "elements": "str", "default": ["qmaildoor"]},
        },
        supports_check_mode=True,
    )
    params = module.params
    threshold, red = params["threshold"], params["threshold"] + params["zap"]
    answers: dict[str, str] = {}
    try:
        who = identity(params["user"], params["group"], params["further"])
        words, client, place = parts(line_of(Path(params["list"])))
        said = threshold_of(client, place, who)
        faults = []
        if abs(said - threshold) > 0.001:
            faults.append(f"spamd takes a message for spam from {said:g} on, and {threshold:g} is declared")
        for score, wanted in ((threshold - 0.1, GREEN), (red - 0.1, YELLOW), (red, RED)):
            if wanted == YELLOW and params["zap"] < 0.1:
                continue
            zone = answers[f"{score:.1f}"] = zone_of(words, client, score, threshold, who)
            if zone != wanted:
                faults.append(
                    f"a message with the score {score:.1f} is {zone} for the filter, and {wanted} is declared"
                )
    except (FilterError, OSError, KeyError, ValueError) as error:
        module.fail_json(msg=f"{params['list']}: {error}" if not isinstance(error, FilterError) else str(error))
    if faults:
        module.fail_json(msg="; ".join(faults), threshold=said, answers=answers)
    module.exit_json(changed=False, threshold=said, answers=answers)


if __name__ == "__main__":
    main()
