"""System images: Debian as it is on a fresh server, systemd as process 1, made by mmdebstrap and kept by podman.

An image's tag is a digest of everything it was made from, so the cache can't be stale: change the recipe, or the
machine's apt sources, and the next start makes another.
"""

import fcntl
import hashlib
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from sitelab import apt
from sitelab.host import Host
from sitelab.paths import CACHE
from verify.progress import say

REPOSITORY = "localhost/qmail-site-host"
RELEASES = ("bookworm", "trixie")

# What a Debian server has when its installer is done, as far as the roles can tell. Ansible gets in by openssh-server.
PACKAGES = (
    "adduser", "apt-utils", "ca-certificates", "cron", "dbus", "iproute2", "kmod", "less", "logrotate", "netbase",
    "openssh-server", "procps", "python3", "python3-apt", "sudo", "systemd", "systemd-sysv", "tzdata",
)  # fmt: skip

# These act on the kernel, which is the machine's own and not the container's.
MASKED_UNITS = (
    "systemd-modules-load.service", "systemd-sysctl.service", "systemd-udevd.service", "systemd-udev-trigger.service",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "dev-hugepages.mount",
    "dev-mqueue.mount", "proc-sys-fs-binfmt_misc.automount", "getty.target",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """All that an image is made from."""

    release: str
    sources_path: str
    sources: str
    apt_config: str
    authorities: dict[str, str]
    packages: tuple[str, ...] = PACKAGES
    masked_units: tuple[str, ...] = MASKED_UNITS
    generation: int = 2
    """Raised when the steps of `_bootstrap` change in a way that the other fields don't show."""

    @property
    def tag(self) -> str:
        """The image's name in podman's storage."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{REPOSITORY}:{self.release}-{digest[:12]}"


def recipe(release: str, archive: apt.Archive, authorities: dict[str, str]) -> Recipe:
    """Give the recipe of a release's image, in which apt reaches what it reaches on this machine."""
    if release not in RELEASES:
        raise ValueError(f'"{release}" is not a Debian release that the playbooks support ({", ".join(RELEASES)})')
    # Each release in the form that its own installer writes, so both forms are met by the roles.
    deb822 = release != "bookworm"
    return Recipe(
        release=release,
        sources_path="/etc/apt/sources.list.d/debian.sources" if deb822 else "/etc/apt/sources.list",
        sources=apt.as_seen_inside(archive.sources(release) if deb822 else archive.one_line_sources(release)),
        apt_config=apt.as_seen_inside(archive.config),
        authorities=authorities,
    )


def _bootstrap(made_from: Recipe, archive: apt.Archive, target: Path, work: Path) -> None:
    command = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar",
        f"--include={','.join(made_from.packages)}",
    ]  # fmt: skip
    command += [f"--aptopt={line}" for line in archive.config.splitlines()]

    def place(path: str, text: str) -> None:
        local = work / path.strip("/").replace("/", "_")
        local.write_text(text)
        command.append(f"--customize-hook=upload {local} {path}")

    if made_from.sources:
        command.append('--customize-hook=rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*')
        place(made_from.sources_path, made_from.sources)
    command.append('--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap')
    if made_from.apt_config:
        place("/etc/apt/apt.conf.d/90archive", made_from.apt_config)
    for name, text in made_from.authorities.items():
        place(f"/usr/local/share/ca-certificates/{name}", text)
    if made_from.authorities:
        command.append('--customize-hook=chroot "$1" update-ca-certificates >/dev/null 2>&1')
    # Ansible comes in by `sshd -i`, which wants this directory also while ssh.service is down.
    place("/etc/tmpfiles.d/sshd.conf", "d /run/sshd 0755 root root -\n")
    masks = " ".join(made_from.masked_units)
    command.append(f'--customize-hook=for u in {masks}; do ln -sf /dev/null "$1/etc/systemd/system/$u"; done')
    # A machine id is made at the first boot, as on a new machine.
    command.append('--customize-hook=: > "$1"/etc/machine-id')
    command += [made_from.release, str(target)]
    sources = archive.sources(made_from.release)
    if sources:
        command.append("-")
    subprocess.run(command, input=sources, text=True, check=True)


def ensure(release: str, host: Host) -> str:
    """Give the tag of a release's system image, making the image if podman doesn't have it."""
    archive = apt.look()
    authorities = apt.local_authorities()
    made_from = recipe(release, archive, authorities)
    podman = ["podman", *host.podman_options()]
    exists = [*podman, "image", "exists", made_from.tag]
    if subprocess.run(exists, check=False).returncode == 0:
        return made_from.tag
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if subprocess.run(exists, check=False).returncode != 0:
            say(f"making a Debian {release} system image (once; half a minute with a near archive)")
            with tempfile.TemporaryDirectory(prefix="sitelab-", dir="/var/tmp") as work:
                tar = Path(work) / "root.tar"
                _bootstrap(made_from, archive, tar, Path(work))
                change = ["--change", 'CMD ["/sbin/init"]', "--change", "STOPSIGNAL SIGRTMIN+3"]
                subprocess.run(
                    [*podman, "import", "--quiet", *change, str(tar), made_from.tag],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
    return made_from.tag


def remove_all(host: Host) -> list[str]:
    """Remove the images that this module made and no container uses; give the tags of those still in use."""
    podman = ["podman", *host.podman_options()]
    listing = subprocess.run(
        [*podman, "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={REPOSITORY}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        tag
        for tag in sorted(set(listing.stdout.split()))
        if subprocess.run([*podman, "rmi", tag], check=False, capture_output=True).returncode != 0
    ]
