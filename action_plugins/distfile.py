# SPDX-License-Identifier: MIT
"""Action plugin of the module distfile: packs a source tree of the controller and brings it to the target.

A tree becomes an ordinary distfile: a file with a size and a digest, verified on the target like any other. The archive
is not compressed, because the bytes that a compressor writes differ from one zlib to the next; so the digest is the
same on every controller, and it changes only when the sources do.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

MTIME = 946684800  # 2000-01-01: any constant that tar does not call implausibly old
LARGEST = 64 << 20


@dataclass(frozen=True)
class Packed:
    """A source tree as one file: its bytes, their number and their digest."""

    data: bytes

    @property
    def size(self) -> int:
        """Length of the archive in bytes."""
        return len(self.data)

    @property
    def sha256(self) -> str:
        """Digest of the archive."""
        return hashlib.sha256(self.data).hexdigest()


def source_files(tree: Path) -> list[Path]:
    """The files and symlinks below TREE that are source, in one order everywhere (that of their bytes).

    Those are what git lists: what it tracks, and what it neither tracks nor ignores. In an unpacked release, which no
    git knows, it is every file but what is below a hidden directory; so it is in a directory that git itself ignores,
    for it was asked for by its name. Raises OSError where TREE can't be read.
    """
    ignored = _git(tree, "check-ignore", "--quiet", str(tree)) is not None
    listing = None if ignored else _git(tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listing is None:
        return sorted(_found_in(tree), key=os.fsencode)
    paths = {tree / os.fsdecode(name) for name in listing.split(b"\0") if name}
    return sorted((path for path in paths if os.path.lexists(path)), key=os.fsencode)


def _git(tree: Path, *words: str) -> bytes | None:
    """What git with WORDS says of TREE; None where it says no, is not there, or knows nothing of TREE."""
    # The repository may belong to somebody else than root; its code is about to be run all the same.
    command = ["git", "-c", "safe.directory=*", "-C", str(tree), *words]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=environment)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return done.stdout


def _found_in(tree: Path) -> list[Path]:
    """Every file and symlink below TREE."""
    found: list[Path] = []
    for folder, folders, names in os.walk(tree):
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in linked]
        found += [Path(folder) / name for name in names + linked]
    return found


def pack(tree: Path) -> Packed:
    """TREE as a tar archive with everything left out of it that is not source: owners, times, modes but x.

    Raises ValueError where there is nothing to pack, too much, or something that is neither a file nor a symlink.
    """
    tree = tree.resolve()
    out = io.BytesIO()
    number = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in source_files(tree):
            info = tarfile.TarInfo(f"{tree.name}/{path.relative_to(tree).as_posix()}")
            info.mtime = MTIME
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
                archive.addfile(info)
            elif stat.S_ISREG(status.st_mode):
                data = path.read_bytes()
                info.size = len(data)
                info.mode = 0o755 if status.st_mode & 0o100 else 0o644
                archive.addfile(info, io.BytesIO(data))
            else:
                raise ValueError(f"{path} is neither a file nor a symlink, so it cannot be a source")
            number += 1
            if out.tell() > LARGEST:
                raise ValueError(f"{tree} holds more than {LARGEST >> 20} MiB: is it a source tree?")
    if number == 0:
        raise ValueError(f"{tree} holds no source file")
    return Packed(out.getvalue())


class ActionModule(ActionBase):
    """Replaces the argument tree by a size, a digest and a site, then lets the module do the rest."""

    TRANSFERS_FILES = True

    @staticmethod
    def packed(tree: str) -> Packed:
        """For other plugins that need to know what a tree would become."""
        try:
            if not Path(tree).is_dir():
                raise ValueError(f"{tree} is not a directory")
            return pack(Path(tree))
        except (OSError, ValueError) as error:
            raise AnsibleActionFail(f"tree: {error}") from error

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        tree = args.pop("tree", None)
        if tree is not None:
            if given := sorted({"size", "sha256", "sites"} & set(args)):
                raise AnsibleActionFail(f"tree and {', '.join(given)} exclude each other: a tree has its own digest")
            packed = self.packed(self._find_needle("files", tree))  # type: ignore[no-untyped-call]
            args |= {"size": packed.size, "sha256": packed.sha256}
            if not self._task.check_mode:
                args["sites"] = [self._upload(packed, args, task_vars)]
        result.update(self._execute_module(module_name="distfile", module_args=args, task_vars=task_vars))
        if tree is not None and "site" in result:
            result["site"] = str(tree)
        return result

    def _upload(self, packed: Packed, args: dict[str, Any], task_vars: dict[str, Any] | None) -> str:
        """Put the archive into the target's temporary directory, unless the cache has it. Gives the path of it."""
        probe = {k: v for k, v in args.items() if k != "sites"} | {"_ansible_check_mode": True}
        in_cache = self._execute_module(module_name="distfile", module_args=probe, task_vars=task_vars)
        if not in_cache.get("failed") and not in_cache.get("changed"):
            return str(in_cache["path"])
        directory = self._connection._shell.tmpdir or self._make_tmp_path()
        remote: str = self._connection._shell.join_path(directory, "tree.tar")
        self._transfer_data(remote, packed.data)
        self._fixup_perms2((directory, remote))  # type: ignore[no-untyped-call]
        return remote
