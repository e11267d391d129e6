"""The hosts that the bench compares: each is a Debian system in a container of its own, kept between runs.

What a mail server writes, its queue and its mailboxes, is on a directory of this machine's disk and not on the
container's overlay. Each server is as it is installed; set is only what it takes to receive the mail of one account
from this machine.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from sitelab import people
from sitelab.container import Container
from sitelab.host import UnfitHostError
from sitelab.paths import CACHE, ROOT
from verify.progress import say

HOME = CACHE / "bench"
DISK = HOME / "disk"
HOSTNAME = "mail.example.test"
DOMAIN = "example.test"
USER = "alice"
RELEASE = "trixie"
NETWORKS = "10.0.0.0/8"
"""Where podman's bridges are. Postfix counts no sessions of clients in its own networks."""

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install"
_POSTFIX = rf"""
echo 'postfix postfix/main_mailer_type select Internet Site' | debconf-set-selections
echo 'postfix postfix/mailname string {DOMAIN}' | debconf-set-selections
apt-get -qq update && {_APT} postfix openssl
id {USER} >/dev/null 2>&1 || adduser --quiet --disabled-password --gecos '' {USER}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={HOSTNAME} \
	-keyout /etc/postfix/key.pem -out /etc/postfix/cert.pem 2>/dev/null
postconf -e 'home_mailbox = Maildir/' 'mydestination = {DOMAIN}, localhost' 'inet_interfaces = all' \
	'mynetworks = 127.0.0.0/8 {NETWORKS}' 'myhostname = {HOSTNAME}' \
	'smtpd_tls_cert_file = /etc/postfix/cert.pem' 'smtpd_tls_key_file = /etc/postfix/key.pem'
systemctl restart postfix
"""
_OPENSMTPD = rf"""
echo 'opensmtpd opensmtpd/mailname string {DOMAIN}' | debconf-set-selections
apt-get -qq update && {_APT} opensmtpd
id {USER} >/dev/null 2>&1 || adduser --quiet --disabled-password --gecos '' {USER}
chmod 0711 /var/spool/smtpd
cat >/etc/smtpd.conf <<'END'
listen on 0.0.0.0
action "local" maildir
match from any for domain "{DOMAIN}" action "local"
END
systemctl restart opensmtpd
"""


@dataclass(frozen=True)
class Peer:
    """A mail server in its container."""

    name: str
    queue: str
    """The directory inside that holds the queue."""
    install: Callable[["Peer"], None]
    package: str = ""
    """Debian's package, whose version is told; empty for the site of this repository."""

    @property
    def container(self) -> Container:
        """The container, whether or not it is there."""
        return Container(f"qmail-site-bench-{self.name}")

    @property
    def disk(self) -> Path:
        """The directory of this machine that holds the queue and the mailboxes."""
        return DISK / self.name

    @property
    def inbox(self) -> Path:
        """Where new mail comes to lie, seen from this machine."""
        return self.disk / "home" / USER / "Maildir/new"

    def up(self) -> None:
        """Have the host there, with its mail server as this tree or Debian has it now."""
        if self.container.state() == "absent":
            shutil.rmtree(self.disk, ignore_errors=True)
        volumes = {self.disk / "queue": self.queue, self.disk / "home": "/home"}
        for path in volumes:
            path.mkdir(parents=True, exist_ok=True)
        self.container.up(RELEASE, HOSTNAME, volumes=volumes)
        self.install(self)

    def down(self) -> None:
        """Remove the host and all that it wrote."""
        self.container.down()
        shutil.rmtree(self.disk, ignore_errors=True)

    def version(self) -> str:
        """Give what is installed: the tree's revision, or the version of Debian's package."""
        if self.package:
            return self.container.run("dpkg-query", "-W", "-f", "${Package} ${Version}", self.package).stdout.strip()
        command = ["git", "-c", f"safe.directory={ROOT}", "describe", "--always", "--dirty"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return f"qmail-site {(ROOT / 'VERSION').read_text().strip()} ({found.stdout.strip() or 'no git'})"


def _by_play(peer: Peer) -> None:
    """Have the site there as playbooks/site.yml makes it, without the spam filter."""
    say(f"{peer.name}: playbooks/site.yml")
    known = people.ensure(HOME / "people.json")
    site = yaml.safe_load((ROOT / "inventories/demo/group_vars/mail.yml").read_text())
    site |= {"mail_users": known["users"], "spam_filter": False}
    # One client with fifty sessions, which this machine is, would be refused otherwise.
    site |= {"services_connections_per_address": 0, "services_connections_per_network": 0}
    (HOME / "mail.yml").write_text(yaml.safe_dump(site))
    (HOME / "mail-inventory.yml").write_text(yaml.safe_dump(peer.container.inventory(HOSTNAME)))
    command = ["ansible-playbook", "-i", str(HOME / "mail-inventory.yml"), "-e", f"@{HOME / 'mail.yml'}"]
    environment = {**os.environ, "ANSIBLE_SSH_CONTROL_PATH_DIR": str(HOME / "cp")}
    log = HOME / "mail-play.log"
    with log.open("w") as out:
        done = subprocess.run(
            [*command, str(ROOT / "playbooks/site.yml")], cwd=ROOT, env=environment, stdout=out, stderr=out, check=False
        )
    if done.returncode:
        raise UnfitHostError(f"{peer.name}: playbooks/site.yml failed; {log} says where")


def _by_script(script: str) -> Callable[[Peer], None]:
    """Give what installs a server of Debian's by a shell script, unless that script has run there already."""

    def install(peer: Peer) -> None:
        mark = "/root/bench-installed"
        if peer.container.run("cat", mark, check=False).stdout == script:
            return
        say(f"{peer.name}: installing Debian's")
        peer.container.run("sh", "-eu", "-s", stdin=script)
        peer.container.run("sh", "-c", f"cat >{mark}", stdin=script)

    return install


PEERS = {
    peer.name: peer
    for peer in (
        Peer("qmail-site", "/var/qmail/queue", _by_play),
        Peer("postfix", "/var/spool/postfix", _by_script(_POSTFIX), "postfix"),
        Peer("opensmtpd", "/var/spool/smtpd", _by_script(_OPENSMTPD), "opensmtpd"),
    )
}
