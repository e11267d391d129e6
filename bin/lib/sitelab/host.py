"""What this machine lets a container do, found by looking at it.

Three things differ between a Debian server, a build runner and a machine inside another system: how the kernel's
control groups are mounted, whether resource limits may be raised, and which container runtimes are there. A wrong guess
shows itself only as a container that ends at once, so nothing is guessed.
"""

import os
import resource
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CAP_SYS_RESOURCE = 24
"""The bit of the capability that lets a process raise its limits (linux/capability.h)."""


class Cgroups(StrEnum):
    """How control groups are mounted; systemd's own names for the three layouts."""

    UNIFIED = "unified"
    HYBRID = "hybrid"
    LEGACY = "legacy"


class UnfitHostError(Exception):
    """This machine can't run a Debian system in a container; the text says why."""


@dataclass(frozen=True)
class Host:
    """The facts of a machine that decide how a container is started."""

    cgroups: Cgroups
    may_raise_limits: bool
    nofile: int
    """Hard limit of open files."""
    nproc: int
    """Hard limit of processes."""
    runtimes: frozenset[str]
    booted_with_systemd: bool

    def podman_options(self) -> list[str]:
        """Give podman's global options for this host.

        Raises UnfitHostError where no choice of options can work.
        """
        options: list[str] = []
        if self.cgroups is Cgroups.LEGACY:
            raise UnfitHostError(
                "the kernel's control groups are mounted in the legacy layout only (no cgroup2 file system under "
                "/sys/fs/cgroup), and systemd in a Debian 13 container needs cgroup2"
            )
        if self.cgroups is Cgroups.HYBRID:
            # crun refuses the hybrid layout.
            if "runc" not in self.runtimes:
                raise UnfitHostError("the hybrid control group layout needs runc (apt-get install runc)")
            options += ["--runtime", "runc"]
        elif not self.runtimes:
            raise UnfitHostError("no container runtime is installed (apt-get install runc)")
        elif "crun" not in self.runtimes:
            options += ["--runtime", "runc"]
        if not self.booted_with_systemd:
            options += ["--cgroup-manager", "cgroupfs"]
        return options

    def run_options(self, init: bool = True) -> list[str]:
        """Give the options of `podman run` with which systemd comes up as process 1, or can't be there."""
        options = ["--privileged", f"--systemd={'always' if init else 'false'}"]
        if init and self.cgroups is Cgroups.HYBRID:
            options += ["--cgroupns=host", "--volume", "/sys/fs/cgroup/unified:/sys/fs/cgroup:rw"]
        if not self.may_raise_limits:
            # podman asks for its own high limits unless told otherwise, and the kernel says no.
            options += ["--ulimit", f"nofile={min(self.nofile, 4096)}:{min(self.nofile, 4096)}"]
            options += ["--ulimit", f"nproc={min(self.nproc, 8192)}:{min(self.nproc, 8192)}"]
        return options


def cgroup_layout(mounts: str) -> Cgroups:
    """Tell the layout from the text of /proc/self/mounts."""
    types = {}
    for line in mounts.splitlines():
        _, where, kind, *_ = line.split()
        types[where] = kind
    if types.get("/sys/fs/cgroup") == "cgroup2":
        return Cgroups.UNIFIED
    if types.get("/sys/fs/cgroup/unified") == "cgroup2":
        return Cgroups.HYBRID
    return Cgroups.LEGACY


def has_capability(status: str, bit: int) -> bool:
    """Tell from the text of /proc/self/status whether an effective capability is held."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def _hard_limit(kind: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


def look() -> Host:
    """Look at this machine."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return Host(
        cgroups=cgroup_layout(Path("/proc/self/mounts").read_text()),
        may_raise_limits=has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE),
        nofile=_hard_limit(resource.RLIMIT_NOFILE),
        nproc=_hard_limit(resource.RLIMIT_NPROC),
        runtimes=frozenset(name for name in ("crun", "runc") if shutil.which(name, path=path)),
        booted_with_systemd=Path("/run/systemd/system").is_dir(),
    )
