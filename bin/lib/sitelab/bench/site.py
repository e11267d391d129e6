"""The site of this repository among the peers: what it is told for the bench, and Debian's stunnel4 as a door of it."""

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from sitelab import people
from sitelab.bench.peer import HOME, HOSTNAME, SINK, SINK_PORT, Peer, crowd
from sitelab.host import UnfitHostError
from sitelab.paths import ROOT
from sitelab.playing import Playing
from verify.progress import say

STUNNEL4_PORT = 1465
MOST_REMOTE = 200
"""Remote deliveries at a time that the site is ready for; a load may ask for fewer."""
SCANNING = {
    "spam_filter": True,
    "mail_judge": True,
    # All of the load comes from one client.
    "spam_client_scans": 20,
    # No DNS is in reach, and each scan would wait for it: the host's own resolver says at once that there is no such
    # name.
    "resolver": "unbound",
    "resolver_configuration": "local-zone: . static",
}
"""What the site that scans is told besides."""
_UNPACKED = "/opt/bench-stunnel4"
_DOOR = "bench-stunnel4"


def known() -> people.People:
    """Give the people whose passwords the bench knows, the same on all hosts."""
    return people.ensure(HOME / "people.json")


def variables(peer: Peer, more: Mapping[str, Any]) -> dict[str, Any]:
    """Give the site's variables: the demo's, and what lets one client have fifty sessions and mail go to the sink."""
    site: dict[str, Any] = yaml.safe_load((ROOT / "inventories/demo/group_vars/mail.yml").read_text())
    many = [{"name": name, "password_hash": "*", "aliases": []} for name in crowd()]
    sink = f"{SINK}:[{peer.container.gateway()}]:{SINK_PORT}"
    control = {"concurrencyremote": MOST_REMOTE, "concurrencydomain": MOST_REMOTE, "smtproutes": [sink]}
    return {
        **site,
        "mail_users": [*known()["users"], *many],
        # Nothing filters, unless a part asks for it: to judge strangers' mail is a filter, too.
        "spam_filter": False,
        "mail_judge": False,
        "services_connections_per_address": 0,
        "services_connections_per_network": 0,
        "qmail_control": control,
        **more,
    }


def by_play(**more: Any) -> Callable[[Peer], None]:
    """Give what has the site there as playbooks/site.yml makes it, with more variables."""

    def install(peer: Peer) -> None:
        say(f"{peer.name}: playbooks/site.yml")
        playing, log = Playing(peer.container, HOSTNAME, HOME), HOME / f"{peer.host}-play.log"
        environment = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(HOME / "cp")}
        site = variables(peer, more)
        if playing.run("playbooks/site.yml", variables=site, environment=environment, log=log):
            raise UnfitHostError(f"{peer.name}: playbooks/site.yml failed; {log} says where")

    return install


def lacks_variable(name: str) -> Callable[[], str]:
    """Give what says whether the roles know no variable of this name."""

    def lacks() -> str:
        for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
            specs = yaml.safe_load(path.read_text())["argument_specs"]
            if any(name in spec.get("options", {}) for spec in specs.values()):
                return ""
        return f"no role has a variable {name}"

    return lacks


def stunnel4_door(cmdline: str, environ: str, key_group: str) -> tuple[list[str], list[str]]:
    """Give command and environment of the same door behind Debian's stunnel4, which is started for each connection.

    CMDLINE and ENVIRON (proc(5)) are those of the site's tcpserver, which has a stunnel beside it; KEY_GROUP is the
    id of who may read the key.
    """
    words = cmdline.rstrip("\0").split("\0")
    at = len(words) - 1 - words[::-1].index("465")
    door = [word for word in words[:at] if word != "-W"]
    if "-G" in door:
        door[door.index("-G") + 1] += f",{key_group}"
    variables = [word for word in environ.split("\0") if word and not word.startswith(("TLSD=", "SMTPS="))]
    stunnel4 = [str(STUNNEL4_PORT), f"{_UNPACKED}/usr/bin/stunnel4", "/etc/stunnel/smtps.conf"]
    return [*door, *stunnel4], [*variables, "TLSFRONT=stunnel"]


def install_stunnel4(peer: Peer) -> None:
    """Have Debian's stunnel4 in front of the same qmail-smtpd, in the site's own host, which has to be up.

    It is unpacked and not installed: the package would bring a service of its own.
    """
    container = peer.container
    say(f"{peer.name}: a door behind Debian's stunnel4")
    script = f"""
    [ -x {_UNPACKED}/usr/bin/stunnel4 ] || {{
        mkdir -p {_UNPACKED} && cd {_UNPACKED}
        apt-get -qq update && apt-get -qq download stunnel4 libwrap0 2>/dev/null
        for package in *.deb; do dpkg-deb -x $package .; done
    }}
    systemctl stop {_DOOR} 2>/dev/null || true
    cat /run/qmail/smtps.pid
    echo {_UNPACKED}/usr/lib/*-linux-gnu*
    getent group qmailtls | cut -d : -f 3
    """
    pid, libraries, key_group = container.run("sh", "-eu", "-s", stdin=script).stdout.split()
    cmdline, environ = (container.run("cat", f"/proc/{pid}/{name}").stdout for name in ("cmdline", "environ"))
    door, environment = stunnel4_door(cmdline, environ, key_group)
    settings = [f"--setenv={word}" for word in (*environment, f"LD_LIBRARY_PATH={libraries}")]
    container.run("systemd-run", "--quiet", "--collect", f"--unit={_DOOR}", *settings, *door)


def stunnel4_version(peer: Peer) -> str:
    """Say which of Debian's stunnel4 was unpacked."""
    return peer.container.run("sh", "-c", f"cd {_UNPACKED} && ls stunnel4_*.deb").stdout.strip()
