"""A Debian system in a container: started, reached, restarted, removed."""

import ipaddress
import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sitelab import host as machine
from sitelab import image
from sitelab.host import Host, UnfitHostError
from sitelab.paths import CACHE
from verify.progress import say

BOOT_SECONDS = 90
# What runs as process 1 where there is no init. sshd -i wants that directory.
NO_INIT = ("sh", "-c", "mkdir -p -m 0755 /run/sshd && exec sleep infinity")
KEY = CACHE / "lab" / "id_ed25519"
# The way in is a pipe into the container and no network, so there is no host key to know in advance.
SSH_OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    "-o ProxyCommand='podman exec -i %h /usr/sbin/sshd -i'"
)


def ensure_key() -> None:
    """Make the key with which Ansible enters the containers."""
    if not KEY.exists():
        KEY.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sitelab", "-f", str(KEY)], check=True)


@dataclass(frozen=True)
class Place:
    """Where a container is to be: in a network of this name, and at this IPv4 address of its /24."""

    network: str
    address: str = ""


@dataclass
class Container:
    """A container by its name; whether it exists is asked each time."""

    name: str
    host: Host = field(default_factory=machine.look)

    def _podman(self, *words: str, check: bool = True, **keywords: Any) -> subprocess.CompletedProcess[str]:
        command = ["podman", *self.host.podman_options(), *words]
        result = subprocess.run(command, text=True, capture_output=True, check=False, **keywords)
        if check and result.returncode != 0:
            raise UnfitHostError(
                f"`{' '.join(command[:4])} ...` failed: {result.stderr.strip() or result.stdout.strip()}"
            )
        return result

    def state(self) -> str:
        """Give podman's word for the container's state; "absent" where there is none."""
        result = self._podman("container", "inspect", "--format", "{{.State.Status}}", self.name, check=False)
        return result.stdout.strip() if result.returncode == 0 else "absent"

    def identity(self) -> str:
        """Give the container's id, which no later container of the same name has."""
        return self._podman("container", "inspect", "--format", "{{.Id}}", self.name).stdout.strip()

    def groups(self) -> list[Path]:
        """Give the directories of the container's control group, in each hierarchy of this machine's that has it."""
        group = self._podman("container", "inspect", "--format", "{{.State.CgroupPath}}", self.name).stdout.strip()
        mounts = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory")
        return [path for mount in mounts if (path := Path(f"{mount}{group}")).is_dir()]

    def cpu_seconds(self, unit: str = "") -> float:
        """Give the CPU time of all that has ever run inside, of the container's control group, or of a unit's in it."""
        groups = self.groups()
        for file in (group / unit / "cpu.stat" for group in groups):
            if file.exists() and (used := re.search(r"(?m)^usage_usec (\d+)", file.read_text())):
                return int(used[1]) / 1e6
        raise UnfitHostError(f"{self.name}: nothing tells the CPU time of {unit or 'its control group'} (no cgroup2)")

    def _network(self) -> list[dict[str, Any]]:
        settings = json.loads(self._podman("container", "inspect", self.name).stdout)[0]["NetworkSettings"]
        return [settings, *(settings.get("Networks") or {}).values()]

    def address(self) -> str:
        """Give the IPv4 address at which this machine reaches the container."""
        for network in self._network():
            if address := network.get("IPAddress"):
                return str(address)
        raise UnfitHostError(f"podman gave {self.name} no address on its network")

    def gateway(self) -> str:
        """Give the IPv4 address at which the container reaches this machine."""
        for network in self._network():
            if address := network.get("Gateway"):
                return str(address)
        raise UnfitHostError(f"podman gave {self.name} no gateway on its network")

    def run(self, *command: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside."""
        return self._podman(
            "exec", *(["-i"] if stdin is not None else []), self.name, *command, check=check, input=stdin
        )

    def _ensure_network(self, place: Place) -> None:
        if self._podman("network", "exists", place.network, check=False).returncode == 0:
            return
        subnet = [f"--subnet={ipaddress.ip_network(f'{place.address}/24', strict=False)}"] if place.address else []
        self._podman("network", "create", "--disable-dns", *subnet, place.network)

    def boots(self) -> bool:
        """Tell whether process 1 of the container is an init, as its creation settled it."""
        result = self._podman("container", "inspect", "--format", "{{index .Config.Cmd 0}}", self.name)
        return result.stdout.strip() == "/sbin/init"

    def up(
        self,
        release: str,
        hostname: str,
        init: bool = True,
        volumes: Mapping[Path, str] | None = None,
        place: Place | None = None,
    ) -> None:
        """Have the container running with its system booted; what is already so stays as it is.

        Of this machine's directories, VOLUMES has those that are to be seen inside, and where.
        Without an init, process 1 does nothing: nobody starts a service, nor collects a process that has ended.
        Without a PLACE the network is the container's own.
        """
        ensure_key()
        state = self.state()
        if state != "running":
            if state == "absent":
                tag = image.ensure(release, self.host)
                say(f"starting {self.name} ({hostname}, Debian {release})")
                # A network of its own: the bridge of a shared one takes another hardware address when any container
                # comes or goes, and whoever is outside then talks to the old one for seconds.
                place = place or Place(self.name)
                self._ensure_network(place)
                options = [
                    "--name",
                    self.name,
                    "--hostname",
                    hostname,
                    "--network",
                    place.network,
                    *([f"--ip={place.address}"] if place.address else []),
                    *self.host.run_options(init),
                    *(f"--volume={path}:{inside}" for path, inside in (volumes or {}).items()),
                ]
                self._podman("run", "--detach", *options, tag, *([] if init else NO_INIT))
            else:
                say(f"starting {self.name} again")
                self._podman("start", self.name)
        self.wait_for_boot()
        self.run("install", "-d", "-m", "0700", "/root/.ssh")
        self.run(
            "sh", "-c", "umask 077; cat > /root/.ssh/authorized_keys", stdin=KEY.with_suffix(".pub").read_text()
        )  # fmt: skip

    def wait_for_boot(self) -> None:
        """Wait until systemd says that the system is up; failed units are named, as they may be what is looked for."""
        if not self.boots():
            return
        deadline = time.monotonic() + BOOT_SECONDS
        state = "absent"
        while time.monotonic() < deadline:
            result = self.run("systemctl", "is-system-running", check=False)
            state = result.stdout.strip() or result.stderr.strip()
            if state == "running":
                return
            if state == "degraded":
                failed = self.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", check=False)
                names = ", ".join(line.split()[0] for line in failed.stdout.splitlines() if line.strip())
                say(f"{self.name} is up, with failed units: {names}")
                return
            if self.state() != "running":
                break
            time.sleep(0.3)
        logs = self._podman("logs", "--tail", "20", self.name, check=False)
        raise UnfitHostError(
            f"systemd did not come up in {self.name} (last state: {state})\n{logs.stdout}{logs.stderr}"
        )

    def restart(self) -> None:
        """Stop the system in order and boot it again, as a reboot does."""
        self._podman("restart", "--time", "60", self.name)
        self.wait_for_boot()

    def down(self) -> None:
        """Remove the container, and its networks unless another one is in them; they need not exist."""
        names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
        networks = self._podman("container", "inspect", "--format", names, self.name, check=False).stdout.split()
        self._podman("rm", "--force", "--volumes", "--time", "2", "--ignore", self.name)
        for network in {self.name, *networks} - {"podman"}:
            self._podman("network", "rm", network, check=False)

    def inventory(self, hostname: str) -> dict[str, Any]:
        """Give an Ansible inventory that has just this host."""
        variables = {
            "ansible_host": self.name,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(KEY),
            "ansible_ssh_common_args": SSH_OPTIONS,
        }
        return {"mail": {"hosts": {hostname: variables}}}
