"""What a play did of packages and builds, as a plain shell script: what `bin/bench play` compares a first run with."""

import shlex
from typing import Any


def script(done: list[dict[str, Any]]) -> str:
    """What a play did of packages and builds, as a plain shell script."""
    lines = ["export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8", "apt-get -qq update"]
    for step in done:
        arguments = step["arguments"]
        if step["action"] == "source_build":
            lines += build(arguments)
        elif packages := arguments.get("package") or arguments.get("name"):
            lines.append(f"apt-get -qq -y --no-install-recommends install {shlex.join(map(str, packages))}")
    return "\n".join(lines) + "\n"


def build(arguments: dict[str, Any]) -> list[str]:
    """One build: unpack, patch, and the commands of its recipe."""
    work, prefix = shlex.quote(arguments["work"]), shlex.quote(arguments["prefix"])
    own = [f"export {name}={shlex.quote(str(value))}" for name, value in arguments["environment"].items()]
    lines = [
        "(",
        f"export WORK={work} PREFIX={prefix} JOBS=$(nproc) HOME={work} TZ=UTC SOURCE_DATE_EPOCH=946684800",
        *own,
        f"mkdir -p {work} {prefix}",
        f"cd {work}",
    ]
    for archive in arguments["archives"]:
        file, into = f"{arguments['cache']}/{archive['name']}", archive["into"]
        unpack = f"tar -xf {file} -C {into} --strip-components=1" if archive["unpack"] else f"cp {file} {into}/"
        lines.append(f"mkdir -p {into}; {unpack}")
    lines.append(f"cd {arguments['archives'][0]['into']}")
    for patch in arguments["patches"]:
        lines.append(f"for file in {work}/{patch['file']}; do patch -s -p{patch['strip']} --batch -i $file; done")
    for step in arguments["steps"]:
        # What judges the result is meant for a user who may nothing.
        lines += [] if step["name"] == "verify" else step["run"]
    return [*lines, ")"]
