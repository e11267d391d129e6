"""The disk that the peers write to: a directory of this machine's, and there a file system as hosts have it.

What ext4 without a journal costs, which only machines for tests have, says nothing of a host: each new file there
passes over the numbers of those that were removed in the last minute. Where this machine's disk is one of those, the
peers get ext4 with a journal instead, in an image that lies on it.
"""

import os
import shutil
import subprocess

from sitelab.bench import machine
from sitelab.bench.peer import DISK, HOME
from verify.progress import say

IMAGE = HOME / "disk.img"
SIZE = 6 * 2**30
"""Bytes of the image, of which only those that are written take room."""


def ensure() -> bool:
    """Have the directory there, and the file system in it if one is needed and can be mounted here.

    True: it was made anew, and hosts that were there before know nothing of it.
    """
    DISK.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(DISK) or not machine.file_system(DISK).endswith("without journal"):
        return False
    if anew := not IMAGE.exists():
        with IMAGE.open("wb") as image:
            os.truncate(image.fileno(), SIZE)
        now = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-E", now, IMAGE], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", IMAGE, DISK], capture_output=True, text=True, check=False)
    if mounted.returncode:
        say(f"queues and mailboxes are on a file system without a journal: {mounted.stderr.strip()}")
    return anew


def remove() -> None:
    """Remove it, with all that is on it."""
    if os.path.ismount(DISK):
        subprocess.run(["umount", DISK], check=True)
    IMAGE.unlink(missing_ok=True)
    shutil.rmtree(DISK, ignore_errors=True)
