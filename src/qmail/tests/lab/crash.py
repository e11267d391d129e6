#!/usr/bin/env python3
"""Kill the suite's programs at random moments under load, and count what became of the mail.

    cd tests && python -m lab.crash [--rounds 200] [--seed N]

In each round messages are queued by several qmail-queues at a time while qmail-send delivers;
then one kind of victim is killed with SIGKILL: qmail-send, the qmail-queues, the qmail-locals, a
helper, or everything at once. qmail-send is started again, and the next round begins. At the end:

- every message that qmail-queue accepted is in the Maildir, whole, for each of its recipients;
- nothing that is there is truncated or mixed up;
- duplicates are counted: a delivery that was not yet written down when its qmail-send died is
  repeated, as SMTP would;
- the queue holds nothing but states S2 and S3 of killed qmail-queues, and these are gone after a
  start of qmail-send that is 36 hours later.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.queuelab import envelope, names, wait_until
from lab.sendlab import Site, site

HEADER = re.compile(rb"^X-Token: (\S+) (\d+) ([0-9a-f]{64})\n\n", re.MULTILINE)
VICTIMS = ("qmail-send", "qmail-queue", "qmail-local", "qmail-lspawn", "qmail-clean", "all")
WRITERS = 3


@dataclass
class Score:
    """What was counted."""

    rounds: int = 0
    accepted: int = 0
    refused: int = 0
    deliveries: int = 0
    duplicates: int = 0
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    abandoned: int = 0

    def good(self) -> bool:
        """Nothing is lost, damaged or left over."""
        return not (self.lost or self.damaged or self.strange)

    def __str__(self) -> str:
        """Lay it out for people."""
        return (
            f"{self.rounds} rounds: {self.accepted} messages accepted, {self.refused} not; "
            f"{self.deliveries} deliveries, {self.duplicates} of them repeated; "
            f"{len(self.lost)} lost, {len(self.damaged)} damaged; "
            f"{self.abandoned} abandoned files cleaned up, {len(self.strange)} left over"
        )


class Load:
    """Writers that queue messages one after another, and remember which were accepted."""

    def __init__(self, place: Site, seed: int) -> None:
        """Begin at once."""
        self.place = place
        self.accepted: dict[str, list[str]] = {}
        self.refused = 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(i, seed + i)) for i in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, writer: int, seed: int) -> None:
        """Queue messages until the load is over."""
        dice = random.Random(seed)  # noqa: S311
        count = 0
        while not self.over.is_set():
            count += 1
            token = f"{writer}-{count}"
            body = dice.randbytes(dice.choice((10, 2_000, 70_000, 400_000))).hex().encode()
            message = b"X-Token: %s %d %s\n\n%s\n" % (
                token.encode(),
                len(body),
                hashlib.sha256(body).hexdigest().encode(),
                body,
            )
            extensions = [f"alice-{i}" for i in range(dice.randint(1, 3))]
            recipients = [f"{name}@example.test" for name in extensions]
            code = self.place.queue.put(message, envelope("joe@sender.test", *recipients))
            with self.lock:
                if code == 0:
                    self.accepted[token] = recipients
                else:
                    self.refused += 1

    def end(self) -> None:
        """Let each writer finish its message."""
        self.over.set()
        for thread in self.threads:
            thread.join()


def processes(home: Path, name: str) -> list[int]:
    """The processes of this name that belong to the home."""
    found = []
    for status in Path("/proc").glob("[0-9]*/comm"):
        try:
            environment = status.with_name("environ").read_bytes()
            if status.read_text().strip() == name[:15] and os.fsencode(home) in environment:
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found


def kill(place: Site, victim: str) -> None:
    """Kill what is called so, or everything."""
    victims = ("qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean", "qmail-queue", "qmail-local")
    for name in victims if victim == "all" else (victim,):
        for process in processes(place.path, name):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue


def start_again(place: Site) -> None:
    """Start qmail-send if it has ended, once the one before is quite gone."""
    assert place.process
    try:
        place.process.wait(0.2)
    except subprocess.TimeoutExpired:
        return
    place.start()


def judge(place: Site, accepted: dict[str, list[str]], score: Score) -> None:
    """Count what is in the Maildir."""
    seen: Counter[tuple[str, str]] = Counter()
    for file in (place.user_home / "Maildir" / "new").iterdir():
        content = file.read_bytes()
        found = HEADER.search(content)
        to = re.search(rb"^Delivered-To: (.*)$", content, re.MULTILINE)
        body = content[found.end() : -1] if found else b""
        if not found or not to or hashlib.sha256(body).hexdigest().encode() != found[3]:
            score.damaged.append(file.name)
            continue
        seen[found[1].decode(), to[1].decode()] += 1
    score.accepted = len(accepted)
    score.deliveries = seen.total()
    score.duplicates = sum(count - 1 for count in seen.values())
    for token, recipients in accepted.items():
        score.lost += [f"{token} for {to}" for to in recipients if not seen[token, to]]


def drain(place: Site) -> None:
    """Have everything that is queued delivered."""
    start_again(place)

    def empty() -> bool:
        place.signal(signal.SIGALRM)
        time.sleep(0.2)
        return not place.queue.files("todo", "info", "local", "remote", "bounce")

    wait_until(empty, "the queue is drained", 300)
    place.stop()


def sweep(place: Site, score: Score) -> None:
    """Make what is left 36 hours older, and have it cleaned up."""
    left = place.queue.files()
    score.abandoned = len(left)
    numbers = {name.rsplit("/", 1)[1] for name in names(left, "mess")}
    score.strange += [name for name in names(left, "intd") if name.rsplit("/", 1)[1] not in numbers]
    old = time.time() - 37 * 3600
    for name in left:
        os.utime(place.queue.path / name, (old, old))
    place.start()
    try:
        wait_until(lambda: not place.queue.files("mess", "pid"), "abandoned files are gone", 30)
    except AssertionError:
        score.strange += place.queue.files("mess", "pid")
    place.stop()


def run(rounds: int, seed: int) -> Score:
    """Play that many rounds."""
    dice = random.Random(seed)  # noqa: S311
    score = Score()
    with site() as place:
        dot = place.user_home / ".qmail-default"
        dot.write_text("./Maildir/\n")
        place.home.control(concurrencylocal="8")
        place.start()
        load = Load(place, seed)
        for score.rounds in range(1, rounds + 1):
            time.sleep(dice.uniform(0.05, 0.6))
            kill(place, dice.choice(VICTIMS))
            start_again(place)
        load.end()
        drain(place)
        score.refused = load.refused
        judge(place, load.accepted, score)
        sweep(place, score)
    return score


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program: 0 where nothing went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    score = run(options.rounds, options.seed)
    sys.stdout.write(f"{score} (seed {options.seed})\n")
    for kind in ("lost", "damaged", "strange"):
        for item in getattr(score, kind)[:20]:
            sys.stdout.write(f"{kind}: {item}\n")
    return 0 if score.good() else 1


if __name__ == "__main__":
    sys.exit(main())
