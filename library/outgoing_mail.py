#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: whether mail leaves the host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: outgoing_mail
short_description: See whether mail leaves a mail host
description:
  - Queues one small message to O(to), and follows it in the log of qmail-send until it was delivered, by whatever route
    the site has for that address. Anything else is a fault.
  - In any case looks at what waits in the queue for other hosts. Where something does, and each delivery to another
    host of the last day was put off for a reason that is this host's own (its DNS, its control files, its relay's
    password, no way out to several domains), that is a fault.
options:
  to:
    description: The address. Without one, nothing is sent.
    type: str
    default: ""
  sender:
    description: The envelope's sender, who gets a bounce. Required with O(to).
    type: str
    default: ""
  seconds:
    description: How long the delivery may take.
    type: int
    default: 90
  home:
    description: Where qmail is.
    type: path
    default: /var/qmail
  log:
    description: The log of qmail-send, where there is no journal.
    type: path
    default: /var/log/qmail/send.log
attributes:
  check_mode:
    description: Sends nothing.
    support: full
  diff_mode:
    support: none
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Verify that mail leaves the host
  outgoing_mail:
    to: probe@example.net
    sender: postmaster@example.test
"""

RETURN = r"""
report:
  description: What the other host said of the message.
  type: str
  returned: with O(to)
waiting:
  description: Recipients of other hosts in the queue.
  type: int
  returned: success
"""

import os
import pwd
import re
import secrets
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

# Reasons for which this host itself can't send: no control file, memory or process; the relay takes not what
# control/smtproutes_auth has.
OWN = re.compile(r"\(#4\.3\.[0-9]\)|\(#4\.7\.8\)|control/|qmail-r?spawn|Unable_to_(?:run|fork)")
# The same, if it is so of more domains than one: no DNS, no way out.
SHARED = re.compile(r"\(#4\.4\.[13]\)")
STARTED = re.compile(r"starting delivery (\d+): msg (\d+) to (local|remote) (\S+)")
ENDED = re.compile(r"delivery (\d+): (success|failure|deferral): ?(.*)")
USER = "qmails"
LINES = 20000
TOOL_SECONDS = 30


class OutgoingError(Exception):
    """The sentence for the operator."""


@dataclass
class Deliveries:
    """What a log of qmail-send tells of deliveries."""

    recipients: dict[str, str] = field(default_factory=dict)
    """Those to other hosts that were begun: number to address."""
    ended: list[tuple[str, str, str]] = field(default_factory=list)
    """Those of them that ended, each with its address, its outcome, and the report."""


def deliveries(lines: list[str]) -> Deliveries:
    """Read the lines of a log. A number may come again after a restart; the later one counts."""
    told = Deliveries()
    for line in lines:
        if begun := STARTED.search(line):
            told.recipients.pop(begun[1], None)
            if begun[3] == "remote":
                told.recipients[begun[1]] = begun[4]
        elif (done := ENDED.search(line)) and done[1] in told.recipients:
            told.ended.append((told.recipients.pop(done[1]), done[2], done[3]))
    return told


def fault_of(told: Deliveries) -> str:
    """The sentence about deliveries that were all put off by this host itself; empty if some were not."""
    if not told.ended or any(outcome != "deferral" for _, outcome, _ in told.ended):
        return ""
    # What the other host said may read like anything.
    ours = [(address, report.partition("Remote_host_said")[0]) for address, _, report in told.ended]
    reasons = Counter(report for _, report in ours)
    domains = {address.rpartition("@")[2].lower() for address, report in ours if not OWN.search(report)}
    shared = all(OWN.search(report) or SHARED.search(report) for report in reasons)
    if not shared or len(domains) == 1:
        return ""
    reason, _ = reasons.most_common(1)[0]
    return (
        f"none of the last {len(told.ended)} deliveries to other hosts went out, each put off for a reason of this "
        f"host's own; most often: {reason.replace('_', ' ')[:300]}"
    )


def tool(*words: str) -> str:
    """What a command says; nothing if it fails."""
    done = subprocess.run(words, capture_output=True, timeout=TOOL_SECONDS, check=False, text=True, errors="replace")
    return done.stdout if done.returncode == 0 else ""


class Log:
    """The lines of qmail-send, from a moment on."""

    def __init__(self, path: Path, seconds: float) -> None:
        """Have those of the last SECONDS; of a file, which has no times, the last ones, or with 0 those to come."""
        self.journal = Path("/run/systemd/journal/socket").exists()
        self.path, self.since = path, time.time() - seconds
        size = path.stat().st_size if path.is_file() else 0
        self.offset = max(0, size - 200 * LINES) if seconds else size

    def lines(self) -> list[str]:
        """What is there now."""
        if self.journal:
            # Anybody may write there by that name, and only qmail-send as its user.
            words = ["journalctl", "-t", "qmail-send", "-o", "cat", "-n", str(LINES), "--no-pager"]
            words.append(f"_UID={pwd.getpwnam(USER).pw_uid}")
            return tool(*words, f"--since=@{self.since:.6f}").splitlines()
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read().decode(errors="replace").splitlines()


def queue(home: Path, sender: str, to: str) -> int:
    """Have qmail-queue take a message; give its process id, by which qmail-send's log knows it."""
    mark = secrets.token_hex(8)
    host = sender.rpartition("@")[2]
    head = f"From: <{sender}>\nTo: <{to}>\nDate: {formatdate()}\nMessage-ID: <verify-{mark}@{host}>\n"
    text = f"{head}Subject: A message of playbooks/verify.yml\n\nIt asks whether mail leaves {host}; that is all.\n"
    ends = [os.pipe(), os.pipe()]
    words = [str(home / "bin/qmail-queue")]
    with subprocess.Popen(words, cwd=home, stdin=ends[0][0], stdout=ends[1][0]) as process:
        for (_, writer), data in zip(ends, (text.encode(), f"F{sender}\0T{to}\0\0".encode()), strict=True):
            os.write(writer, data)
            os.close(writer)
        for reader, _ in ends:
            os.close(reader)
        code = process.wait(TOOL_SECONDS)
    if code:
        raise OutgoingError(f"qmail-queue took no message for {to}: exit code {code} (see qmail-queue(8))")
    return process.pid


def follow(log: Log, pid: int, to: str, seconds: float) -> str:
    """Wait for the delivery of the message that the process queued; give the report."""
    end = time.monotonic() + seconds
    number = delivery = where = ""
    while True:
        for line in log.lines():
            if info := re.search(rf"info msg (\d+): .* qp {pid} uid \d+$", line):
                number = info[1]
            elif (begun := STARTED.search(line)) and begun[2] == number:
                delivery, where = begun[1], begun[3]
            elif (done := ENDED.search(line)) and delivery and done[1] == delivery:
                report = done[3].replace("_", " ")
                if where == "local":
                    raise OutgoingError(f"{to} is an address of this host's; name one that is elsewhere")
                if done[2] != "success":
                    raise OutgoingError(f"the message to {to} was not delivered ({done[2]}): {report[:500]}")
                return report
        if time.monotonic() > end:
            stage = (
                "is still under way" if delivery else "waits in the queue" if number else "was not seen by qmail-send"
            )
            raise OutgoingError(f"the message to {to} {stage} after {seconds:.0f} s; it stays in the queue")
        time.sleep(0.5)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "to": {"type": "str", "default": ""},
            "sender": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 90},
            "home": {"type": "path", "default": "/var/qmail"},
            "log": {"type": "path", "default": "/var/log/qmail/send.log"},
        },
        supports_check_mode=True,
    )
    params = module.params
    home, log = Path(params["home"]), Path(params["log"])
    result: dict[str, Any] = {"changed": False}
    faults = []
    try:
        listed = tool(str(home / "bin/qmail-qread"))
        result["waiting"] = len(re.findall(r"(?m)^\s+remote\s", listed))
        if result["waiting"] and (fault := fault_of(deliveries(Log(log, 86400).lines()))):
            faults.append(f"{result['waiting']} recipients elsewhere wait in the queue, and {fault}")
        if params["to"] and not module.check_mode:
            later = Log(log, 0)
            result["report"] = follow(
                later, queue(home, params["sender"], params["to"]), params["to"], params["seconds"]
            )
    except OutgoingError as error:
        faults.append(str(error))
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        module.fail_json(msg=f"outgoing mail can't be asked about: {error}")
    if faults:
        module.fail_json(msg="; ".join(faults), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
