"""How much memory a container uses, as the kernel counts it for its control group."""

import re
from pathlib import Path

from sitelab.container import Container
from sitelab.host import UnfitHostError


def used_bytes(group: Path) -> int | None:
    """Give what a control group uses without the pages of files, which the kernel takes back when it wants them.

    Counted are the processes' own memory, page tables, stacks, and what the kernel holds for them, such as buffers of
    sockets. None: no memory is counted here.
    """
    # cgroup2, then the older hierarchy (the kernel's admin-guide/cgroup-v2 and cgroup-v1/memory).
    for counter, pages in (("memory.current", "file"), ("memory.usage_in_bytes", "total_cache")):
        if (group / counter).exists():
            found = re.search(rf"(?m)^{pages} (\d+)$", (group / "memory.stat").read_text())
            return int((group / counter).read_text()) - (int(found[1]) if found else 0)
    return None


def memory_group(container: Container) -> Path:
    """Give the control group that counts a container's memory."""
    for group in container.groups():
        if used_bytes(group) is not None:
            return group
    raise UnfitHostError(f"{container.name}: nothing tells the memory of its control group")
