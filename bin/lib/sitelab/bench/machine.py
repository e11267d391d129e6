"""What machine it was, without which no figure says anything."""

import os
import platform
import re
from pathlib import Path
from typing import Any


def processor(cpuinfo: str) -> str:
    """Give the processor's name from the text of /proc/cpuinfo, and whether it is a virtual machine's."""
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", cpuinfo)
    virtual = re.search(r"(?m)^flags\s*:.*\bhypervisor\b", cpuinfo)
    return (model[1].strip() if model else "unknown") + (", virtual" if virtual else "")


def mount_of(path: str, mountinfo: str) -> tuple[str, str, str]:
    """Give type, source and options of the file system that holds PATH.

    MOUNTINFO is the text of /proc/self/mountinfo (proc(5)).
    """
    found = ("", "unknown", "unknown", "")
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        where, (kind, source, options) = left.split()[4], right.split()[:3]
        # Of two in one place, the later one is on top.
        inside = path == where or path.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(found[0]):
            found = (where, kind, source, options)
    return found[1:]


def file_system(path: Path) -> str:
    """Say what file system holds PATH, and of ext4 whether it has a journal."""
    kind, source, options = mount_of(str(path.resolve()), Path("/proc/self/mountinfo").read_text())
    if kind != "ext4":
        return f"{kind} ({options})"
    # The journal of a file system on DEVICE is shown by the kernel as DEVICE-INODE.
    journal = any(Path("/proc/fs/jbd2").glob(f"{Path(source).name}-*"))
    return f"ext4 ({options}), {'with a' if journal else 'without'} journal"


def load() -> list[float]:
    """Give the load averages of the last 1, 5 and 15 minutes (getloadavg(3))."""
    return [round(average, 2) for average in os.getloadavg()]


def describe(disk: Path) -> dict[str, Any]:
    """Describe this machine, with the file system at DISK and how busy the machine is now."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "memory_mib": memory // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": file_system(disk),
        "load_before": load(),
    }
