"""A part of the bench from its hosts to its results: rounds in turn, and what is told of them."""

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sitelab.bench import disk, show
from sitelab.bench.machine import describe
from sitelab.bench.machine import load as load_average
from sitelab.bench.part import Part
from sitelab.bench.peer import DISK, HOME, Peer
from sitelab.bench.peers import PEERS
from sitelab.bench.rounds import Found, turns
from sitelab.bench.show import About
from sitelab.host import UnfitHostError
from sitelab.paths import ROOT
from verify.progress import say

SECONDS = 540.0
"""What a part may take once its hosts are there, which are kept; its first round it has in any case."""
ROUNDS = 5
QUICK = 1 / 3
"""The share of the load that a quick run has."""
RESULTS = ROOT / "bench/results"


@dataclass(frozen=True)
class Run:
    """How a part is to be run."""

    names: Sequence[str] = ()
    """Beside whom; empty: the usual ones."""
    rounds: int = ROUNDS
    quick: bool = False
    """One round with a share of the load, which leaves the recorded results alone."""
    as_they_are: bool = False
    """Take the hosts as the last run has left them."""
    results: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.results or (HOME / "quick" if self.quick else RESULTS)


def chosen(part: type[Part], names: Sequence[str]) -> list[str]:
    """Give who is measured, in the part's order: its first peer always is.

    Raises UnfitHostError where somebody is named whom it can't measure.
    """
    if unknown := [name for name in names if name not in part.peers]:
        raise UnfitHostError(f'{part.name}: "{unknown[0]}" is none of {", ".join(part.peers)}')
    wanted = names or part.usual or part.peers
    return [name for name in part.peers if name in wanted or name == part.peers[0]]


def have(names: Sequence[str], as_they_are: bool) -> list[Peer]:
    """Have the hosts there, each up to date, or as the last run has left them; those that can't be are left out.

    A host that isn't running is always made ready, and for all peers that share it.
    """
    there, fresh = [], set()
    if disk.ensure():
        remove_hosts()
    for peer in (PEERS[name] for name in names):
        if lacking := peer.lacks():
            say(f"{peer.name} is left out: {lacking}")
            continue
        if peer.host in fresh or not as_they_are or peer.container.state() != "running":
            fresh.add(peer.host)
            peer.up()
        there.append(peer)
    return there


def run(part: type[Part], how: Run) -> int:
    """Run a part of the bench; print its tables, write its results, and give the exit code."""
    peers = have(chosen(part, how.names), how.as_they_are)
    by_name = {peer.name: peer for peer in peers}
    begun = time.monotonic()
    # Whoever ends a run is not to leave a server stopped, or a queue put aside.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    made = part(peers, QUICK if how.quick else 1.0)
    try:
        about = describe_run(made)
        made.prepare()
        say("a warm-up")
        for column in part.warm_up:
            for peer in peers:
                if part.has(peer.name, column):
                    made.measure(peer, column)
        found = Found(
            [column for column in part.columns if any(part.has(name, column) for name in by_name)], [*by_name]
        )
        rounds, left = 1 if how.quick else how.rounds, SECONDS - (time.monotonic() - begun)
        for column, name in turns(found.columns, found.peers, rounds, left, has=part.has):
            sample = made.measure(by_name[name], column)
            found.add(column, name, sample)
            say(f"{column}: {name} {show.in_words(part.figures, sample)}")
    finally:
        made.close()
        signal.signal(signal.SIGTERM, before)
    about.machine["load_after"] = load_average()
    text = f"{show.about_lines(found, about)}\n{show.table(found, part.figures, part.peers[0])}"
    print(text)
    texts = {
        "md": f"# {part.title}\n\n{text}",
        "json": show.as_json(found, part.figures, part.peers[0], asdict(about)),
        "svg": show.picture(found, part.figures, part.title, show.note(found, about)),
    }
    for path in show.write(how.folder, part.name, texts):
        say(f"wrote {path}")
    return 0


def describe_run(part: Part) -> About:
    """Say when, where, and of what a part's figures are."""
    return About(
        part=part.name,
        when=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        machine=describe(DISK),
        peers={peer.name: peer.version() for peer in part.among},
        load=part.load(),
    )


def run_all(parts: Sequence[type[Part]], how: Run) -> int:
    """Run one part after the other; one that gives no figures doesn't keep the others from theirs, but is told."""
    if unknown := [name for name in how.names if name not in PEERS]:
        raise UnfitHostError(f'"{unknown[0]}" is none of {", ".join(PEERS)}')
    failed = []
    for part in parts:
        say(f"bench {part.name}: {part.title}")
        try:
            names = [name for name in how.names if name in part.peers]
            run(part, Run(names, how.rounds, how.quick, how.as_they_are, how.results))
        except UnfitHostError as error:
            failed.append(part.name)
            say(f"bench {part.name}: {error}")
    if failed:
        say(f"without figures: {', '.join(failed)}")
    return 1 if failed else 0


def remove_hosts() -> None:
    """Remove all hosts of the bench."""
    for peer in {peer.host: peer for peer in PEERS.values()}.values():
        peer.down()


def clean() -> int:
    """Remove all hosts of the bench, and what they wrote."""
    remove_hosts()
    disk.remove()
    return 0
