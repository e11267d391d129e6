"""What the site costs, and how fast it is beside others.

bin/bench hi-q: CPU time of a message through hi-q. bin/bench play: a run of site.yml. Each has a limit; beyond it the
exit code is 1.
bin/bench mail: the mail path beside Debian's Postfix, and OpenSMTPD where it is named.
bin/bench clean: remove the hosts that mail has made.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from sitelab import bench_play
from sitelab.bench import against, hi_q
from sitelab.bench.peers import PEERS
from sitelab.host import UnfitHostError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hi-q", help="CPU time of a message through hi-q").add_argument(
        "--times", type=int, default=100
    )
    play = commands.add_parser("play", help="what a run of site.yml costs, beside an empty play and a plain script")
    play.add_argument("--again", action="store_true", help="no first run: use the host that --keep has left")
    play.add_argument("--keep", action="store_true", help="leave the host there")
    mail = commands.add_parser("mail", help="messages a second to one local Maildir, beside other mail servers")
    mail.add_argument("--quick", action="store_true", help="one round with a third of the messages")
    mail.add_argument("--as-they-are", action="store_true", help="don't bring the hosts up to date first")
    mail.add_argument("--rounds", type=int, default=against.ROUNDS, choices=range(1, 21), metavar="N", help="at most")
    mail.add_argument("--results", type=Path, help="write the results there (default: bench/results)")
    mail.add_argument(
        "--peers",
        type=_peers,
        default=list(against.USUAL),
        help=f"some of {','.join(PEERS)}; the first always is there",
    )
    commands.add_parser("clean", help="remove the hosts that are kept between runs of mail")
    return parser


def _peers(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(PEERS)):
        raise argparse.ArgumentTypeError(f'"{unknown[0]}" is none of {", ".join(PEERS)}')
    return [name for name in PEERS if name in names or name == against.BASE]


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments = _parser().parse_args(words)
    match arguments.command:
        case "play":
            return bench_play.measure(first=not arguments.again, keep=arguments.keep)
        case "mail":
            rounds = 1 if arguments.quick else arguments.rounds
            return against.run_mail(arguments.peers, rounds, arguments.quick, arguments.as_they_are, arguments.results)
        case "clean":
            return against.clean()
    return hi_q.measure_hi_q(arguments.times)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UnfitHostError as error:
        sys.exit(f"bench: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: `{error.cmd[0]}` failed with exit code {error.returncode}")
