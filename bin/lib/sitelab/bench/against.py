"""The parts of the bench that put the site beside other mail servers: hosts, rounds, results."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sitelab.bench import mail, show
from sitelab.bench.machine import describe
from sitelab.bench.machine import load as load_average
from sitelab.bench.peers import DISK, HOME, PEERS, Peer
from sitelab.bench.rounds import Found, turns
from sitelab.bench.show import About, Figure
from sitelab.paths import ROOT
from verify.progress import say

SECONDS = 540.0
"""What all rounds of a part may take; the hosts are made before, and kept."""
ROUNDS = 5
BASE = "qmail-site"
USUAL = (BASE, "postfix")
"""Without OpenSMTPD, which left some sessions of the trial without a greeting for five seconds; why is not known."""
TITLE = "Mail to one local Maildir, 4 KB a message"
RESULTS = ROOT / "bench/results"
FIGURES = (
    Figure("delivered_per_s", "delivered/s", 0),
    Figure("cpu_s_per_1000", "CPU s per 1000 messages", 1),
)


def have(names: Sequence[str], as_they_are: bool) -> list[Peer]:
    """Have the hosts there, each up to date, or as the last run has left them."""
    peers = [PEERS[name] for name in names]
    for peer in peers:
        if not as_they_are or peer.container.state() != "running":
            peer.up()
    return peers


def run_mail(names: Sequence[str], rounds: int, quick: bool, as_they_are: bool, results: Path | None) -> int:
    """Run `bin/bench mail`; print its tables, write its results, and give the exit code.

    A quick run has a third of the messages, and leaves the recorded results alone.
    """
    peers, share = have(names, as_they_are), 1 / 3 if quick else 1.0
    load = mail.Load(peers)
    columns = {column.name: column for column in mail.COLUMNS}
    about = describe_run(peers, share)
    say("a warm-up")
    for peer in peers:
        load.measure(peer, mail.COLUMNS[1], 1 / 3)
    found = Found(list(columns), list(names))
    for name, peer_name in turns(found.columns, found.peers, rounds, SECONDS):
        sample = load.measure(PEERS[peer_name], columns[name], share)
        found.add(name, peer_name, sample)
        say(f"{name}: {peer_name} {sample['delivered_per_s']:.0f}/s, {sample['cpu_s_per_1000']:.1f} CPU s per 1000")
    about.machine["load_after"] = load_average()
    text = f"{show.about_lines(found, about)}\n{show.table(found, FIGURES, BASE)}"
    print(text)
    texts = {
        "md": f"# {TITLE}\n\n{text}",
        "json": show.as_json(found, FIGURES, BASE, asdict(about)),
        "svg": show.picture(found, FIGURES, TITLE, show.note(found, about)),
    }
    for path in show.write(results or (HOME / "quick" if quick else RESULTS), "mail", texts):
        say(f"wrote {path}")
    return 0


def describe_run(peers: Sequence[Peer], share: float) -> About:
    """Say when, where, and of what the figures of `bin/bench mail` are."""
    return About(
        part="mail",
        when=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        machine=describe(DISK),
        peers={peer.name: peer.version() for peer in peers},
        load={
            "bytes a message": mail.SIZE,
            "messages a round": {column.name: column.count(share) for column in mail.COLUMNS},
        },
    )


def clean() -> int:
    """Remove all hosts of the bench, and what they wrote."""
    for peer in PEERS.values():
        peer.down()
    return 0
