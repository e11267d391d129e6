"""bin/bench play: what a run of playbooks/site.yml costs, beside an empty play and beside a plain shell script.

All in containers of its own: a first run, one with nothing to do, in check mode, an exchange of certificates, and the
same with a thousand users. CPU time is that of Ansible and of the host as a whole, so that another load on the machine
counts little. The script does the packages and the builds that the first run did, and nothing else.
"""

import json
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sitelab import people
from sitelab.bench import plain
from sitelab.container import Container
from sitelab.host import UnfitHostError
from sitelab.paths import CACHE, ROOT
from sitelab.playing import Playing
from verify.progress import say

HOST = "qmail-site-bench-play"
PLAIN = "qmail-site-bench-plain"
HOSTNAME = "mail.example.test"
HOME = CACHE / "bench"
MANY = 1000
DEAREST = 10
SITE = ROOT / "playbooks/site.yml"


@dataclass
class Cost:
    """What a run took, in seconds, and its tasks."""

    what: str
    wall: float
    controller: float
    host: float
    tasks: list[dict[str, Any]] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """CPU time on both sides."""
        return self.controller + self.host

    @property
    def ran(self) -> int:
        """Tasks that were not skipped."""
        return sum(not task["skipped"] for task in self.tasks)


class Bench:
    """One host, and plays that are measured."""

    def __init__(self) -> None:
        """Have the host and its people."""
        HOME.mkdir(parents=True, exist_ok=True)
        self.users: list[Any] = list(people.ensure(HOME / "people.json")["users"])
        self.host = Container(HOST)
        self.costs: dict[str, Cost] = {}

    def variables(self, many: int) -> dict[str, Any]:
        """The site's variables, with so many users more, whom no password lets in."""
        users = [*self.users, *({"name": f"bench{at:04}", "password_hash": "*", "aliases": []} for at in range(many))]
        site = yaml.safe_load((ROOT / "inventories/demo/group_vars/mail.yml").read_text())
        return {**site, "mail_users": users}

    def play(self, what: str, playbook: Path, *words: str, many: int = 0) -> Cost:
        """Run a playbook, and note what it took."""
        say(what)
        times = HOME / "times.json"
        environment = {
            "PLAY_TIMES": str(times),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent),
            "ANSIBLE_CALLBACKS_ENABLED": "play_times",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(HOME / "cp"),
        }
        playing, variables, log = Playing(self.host, HOSTNAME, HOME), self.variables(many), HOME / "play.log"
        used = self.host.cpu_seconds()
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        if playing.run(playbook, *words, variables=variables, environment=environment, log=log):
            raise UnfitHostError(f"{what}: {playbook.name} failed; {log} says where")
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        controller = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cost = Cost(what, wall, controller, self.host.cpu_seconds() - used, **json.loads(times.read_text()))
        self.costs[what] = cost
        return cost

    def all(self, first: bool) -> None:
        """Measure everything."""
        site, empty = SITE, HOME / "empty.yml"
        empty.write_text(yaml.safe_dump(without_roles(SITE)))
        if first:
            self.host.down()
        self.host.up("trixie", HOSTNAME)
        self.play("an empty play", empty)
        if first:
            self.play("a fresh host, in check mode", site, "--check")
            self.play("the first run", site)
            self.plain()
        else:
            self.play("a run before", site)
        self.play("nothing to do", site)
        self.play("nothing to do, in check mode", site, "--check")
        self.play("a new certificate", ROOT / "playbooks/rotate-certs.yml", "-e", "certs_force_renew=true")
        self.play(f"{MANY} more users", site, many=MANY)
        self.play(f"nothing to do, {MANY} users", site, many=MANY)
        self.play(f"one more, {MANY} users", site, many=MANY + 1)

    def plain(self) -> None:
        """Have a shell script do what the first run did of packages and builds, on a host of its own."""
        host = Container(PLAIN)
        host.down()
        host.up("trixie", HOSTNAME)
        say("a plain shell script")
        try:
            cache = "/var/cache/qmail-site/distfiles"
            packed = self.host.run("sh", "-c", f"tar -C {cache} -cf - . | base64").stdout
            host.run("sh", "-c", f"mkdir -p {cache} && base64 -d | tar -C {cache} -xf -", stdin=packed)
            host.run("sh", "-c", "cat >/root/script", stdin=plain.script(self.costs["the first run"].done))
            used, begun = host.cpu_seconds(), time.monotonic()
            if host.run("sh", "-c", "sh -eu /root/script >/root/log 2>&1; echo $?").stdout.strip() != "0":
                raise RuntimeError(f"the plain script failed:\n{host.run('tail', '-n', '20', '/root/log').stdout}")
            wall, used = time.monotonic() - begun, host.cpu_seconds() - used
            self.costs["a plain script"] = Cost("a plain script", wall, 0, used)
        finally:
            host.down()

    def limits(self) -> list[tuple[str, float, float]]:
        """What was measured, what it is, and what it may be, in seconds of CPU time or as a ratio."""
        cpu = {what: cost.cpu for what, cost in self.costs.items()}
        idle, many = cpu["nothing to do"], cpu[f"nothing to do, {MANY} users"]
        found = [
            ("nothing to do, s", idle, 12.0),
            ("nothing to do in check mode, s", cpu["nothing to do, in check mode"], 12.0),
            ("a new certificate, s", cpu["a new certificate"], 5.0),
            (f"nothing to do with {MANY} users, s more", many - idle, 5.0),
            ("one user more, s more", cpu[f"one more, {MANY} users"] - many, 3.0),
        ]
        if "a plain script" in cpu:
            found.append(("first run, times the plain script", cpu["the first run"] / cpu["a plain script"], 1.15))
        return found

    def report(self) -> bool:
        """Print what was found; tell whether all of it is within its limit."""
        print(f"{'':32} {'CPU s':>7} {'here':>6} {'host':>6} {'wall':>6} {'times empty':>11}  tasks run, skipped")
        empty = self.costs["an empty play"].cpu
        for what, cost in self.costs.items():
            times = f"{cost.cpu / empty:11.1f}"
            counts = f"{cost.ran:4} {len(cost.tasks) - cost.ran:4}" if cost.tasks else ""
            print(
                f"{what:32} {cost.cpu:7.1f} {cost.controller:6.1f} {cost.host:6.1f} {cost.wall:6.1f} {times}  {counts}"
            )
        for what in ("nothing to do", f"nothing to do, {MANY} users"):
            print(f"\nthe dearest tasks, {what} (s of wall time)")
            for task in sorted(self.costs[what].tasks, key=lambda task: -task["seconds"])[:DEAREST]:
                print(f"  {task['seconds']:5.2f}  {task['name']}")
        print()
        for what, is_so, most in self.limits():
            print(f"{'ok     ' if is_so <= most else 'TOO DEAR'} {what}: {is_so:.2f}, allowed {most:g}")
        return all(is_so <= most for _, is_so, most in self.limits())


def without_roles(playbook: Path) -> list[dict[str, Any]]:
    """A playbook that gathers the same facts of the same hosts, and does nothing."""
    return [{**play, "roles": []} for play in yaml.safe_load(playbook.read_text())]


def measure(first: bool, keep: bool) -> int:
    """Measure, say what was found, and give the exit code: 1 where something is too dear."""
    bench = Bench()
    try:
        bench.all(first)
    finally:
        if not keep:
            bench.host.down()
    return 0 if bench.report() else 1
