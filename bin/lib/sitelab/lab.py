"""bin/lab: throw-away Debian hosts in containers, for trying the playbooks by hand and for the Molecule scenarios."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from sitelab import host as machine
from sitelab import image, people
from sitelab.container import Container, Place
from sitelab.host import UnfitHostError
from sitelab.paths import CACHE
from sitelab.playing import Playing

HOSTNAME = "mail.example.test"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a host, or have it running")
    up.add_argument("name", help="the container's name")
    up.add_argument("--release", default="trixie", choices=image.RELEASES)
    up.add_argument("--hostname", default=HOSTNAME)
    up.add_argument("--no-init", action="store_true", help="without systemd: process 1 is `sleep infinity`")
    up.add_argument("--network", metavar="NAME", help="a network that it shares with others")
    up.add_argument("--address", default="", metavar="IPV4", help="its address there; the network is the /24 around it")
    up.add_argument("--json", action="store_true", help="print {container, address} on standard output")
    play = commands.add_parser("play", help="run a playbook against a host that is up")
    play.add_argument("name")
    play.add_argument("playbook", nargs="?", default="playbooks/site.yml")
    play.add_argument("--hostname", default=HOSTNAME)
    for name, text in (("restart", "boot a host again"), ("down", "remove a host"), ("shell", "look around in a host")):
        commands.add_parser(name, help=text).add_argument("name")
    known = commands.add_parser("people", help="make a file with users and their passwords, unless it is there")
    known.add_argument("file", type=Path)
    built = commands.add_parser("image", help="make a release's system image, and print its name")
    built.add_argument("release", choices=image.RELEASES)
    return parser


def _next(name: str, address: str) -> str:
    return (
        f"{name} is up, at {address}. Go on with\n"
        f"  bin/lab play {name} playbooks/site.yml -e @inventories/example/group_vars/mail.yml\n"
        f"  bin/lab shell {name}\n"
        f"  bin/lab down {name}"
    )


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments, rest = _parser().parse_known_args(words)
    if rest and arguments.command != "play":
        _parser().error(f"unknown arguments: {' '.join(rest)}")
    if arguments.command == "image":
        print(image.ensure(arguments.release, machine.look()))
        return 0
    if arguments.command == "people":
        people.ensure(arguments.file)
        return 0
    container = Container(arguments.name)
    match arguments.command:
        case "up":
            place = Place(arguments.network, arguments.address) if arguments.network else None
            container.up(arguments.release, arguments.hostname, init=not arguments.no_init, place=place)
            if arguments.json:
                print(json.dumps({"container": container.name, "address": container.address()}))
            else:
                print(_next(container.name, container.address()))
        case "play":
            return Playing(container, arguments.hostname, CACHE / "lab").run(arguments.playbook, *rest)
        case "restart":
            container.restart()
        case "down":
            container.down()
        case "shell":
            words = ["podman", *container.host.podman_options(), "exec", "-it", container.name, "bash", "-l"]
            os.execvp(words[0], words)  # noqa: S606 (the shell takes this process's place)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (UnfitHostError, ValueError) as error:
        sys.exit(f"lab: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"lab: `{error.cmd[0]}` failed with exit code {error.returncode}")
