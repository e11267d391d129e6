"""What the site costs, and how fast it is beside others.

bin/bench hi-q: CPU time of a message through hi-q. bin/bench play: a run of site.yml. Each has a limit; beyond it the
exit code is 1.
The others put the site beside Debian's mail servers, each part in ten minutes at most, once its hosts are there.
bin/bench all runs all of these; bin/bench table puts what they have found into README.md; bin/bench clean removes
their hosts.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from sitelab.bench import against, hi_q, play, summary
from sitelab.bench.against import Run
from sitelab.bench.idle import Idle
from sitelab.bench.mail import Mail
from sitelab.bench.out import Out
from sitelab.bench.pop3 import Pop3
from sitelab.bench.scan import Scan
from sitelab.bench.shapes import Shapes
from sitelab.bench.start import Start
from sitelab.bench.tls import Tls
from sitelab.host import UnfitHostError
from sitelab.paths import ROOT

PARTS = {part.name: part for part in (Mail, Shapes, Tls, Pop3, Scan, Idle, Start, Out)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hi-q", help="CPU time of a message through hi-q").add_argument(
        "--times", type=int, default=100
    )
    cost = commands.add_parser("play", help="what a run of site.yml costs, beside an empty play and a plain script")
    cost.add_argument("--again", action="store_true", help="no first run: use the host that --keep has left")
    cost.add_argument("--keep", action="store_true", help="leave the host there")
    for part in PARTS.values():
        _add(commands.add_parser(part.name, help=part.title), f"beside some of {', '.join(part.peers[1:])}")
    _add(commands.add_parser("all", help=f"all of {', '.join(PARTS)}"), "beside these, where a part can measure them")
    shown = commands.add_parser("table", help="put the recorded figures that a user would ask for into README.md")
    shown.add_argument("--results", type=Path, default=against.RESULTS, help="where they are (default: bench/results)")
    shown.add_argument("--page", type=Path, default=ROOT / "README.md", help="another page")
    commands.add_parser("clean", help="remove the hosts that are kept between runs")
    return parser


def _add(command: argparse.ArgumentParser, peers: str) -> None:
    command.add_argument("--quick", action="store_true", help="one round with a third of the load")
    command.add_argument("--as-they-are", action="store_true", help="don't bring the hosts up to date first")
    command.add_argument(
        "--rounds", type=int, default=against.ROUNDS, choices=range(1, 21), metavar="N", help="at most"
    )
    command.add_argument("--results", type=Path, help="write the results there (default: bench/results)")
    command.add_argument("--peers", type=lambda text: text.split(","), default=[], help=peers)


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments = _parser().parse_args(words)
    match arguments.command:
        case "play":
            return play.measure(first=not arguments.again, keep=arguments.keep)
        case "hi-q":
            return hi_q.measure_hi_q(arguments.times)
        case "table":
            summary.put(arguments.page, summary.table(summary.read(arguments.results)))
            return 0
        case "clean":
            return against.clean()
    how = Run(arguments.peers, arguments.rounds, arguments.quick, arguments.as_they_are, arguments.results)
    if arguments.command == "all":
        return against.run_all(list(PARTS.values()), how)
    return against.run(PARTS[arguments.command], how)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UnfitHostError as error:
        sys.exit(f"bench: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: `{error.cmd[0]}` failed with exit code {error.returncode}")
