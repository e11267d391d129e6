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
import re
import stat
import tarfile
from collections.abc import Iterator
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


@dataclass(frozen=True)
class Rule:
    """One line of a .gitignore (gitignore(5)), compiled."""

    base: Path  # the directory of the file that it stands in
    pattern: re.Pattern[str]
    negated: bool
    directories_only: bool

    def matches(self, path: Path, is_directory: bool) -> bool:
        """Does this line speak of PATH?"""
        if self.directories_only and not is_directory:
            return False
        return self.pattern.fullmatch(path.relative_to(self.base).as_posix()) is not None


def compile_rule(line: str, base: Path) -> Rule | None:
    """The rule in LINE, None for a blank line or a comment."""
    line = re.sub(r"(?<!\\) +$", "", line.rstrip("\n\r"))
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!")
    directories_only = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    text = _translate(line) if anchored else "(?:.*/)?" + _translate(line)
    return Rule(base, re.compile(text, re.DOTALL), negated, directories_only)


def _translate(glob: str) -> str:
    """A glob of gitignore(5) as a regular expression over a path with slashes."""
    out, at = "", 0
    while at < len(glob):
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            out, at = out + "(?:.*/)?", at + 3
        elif glob[at:] == "**" and (at == 0 or glob[at - 1] == "/"):
            out, at = out + ".+", at + 2
        elif glob[at] == "*":
            out, at = out + "[^/]*", at + 1
        elif glob[at] == "?":
            out, at = out + "[^/]", at + 1
        elif glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            members = glob[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            members = "^/" + members[1:] if members[0] in "!^" else members
            out, at = f"{out}[{members}]", end + 1
        elif glob[at] == "\\" and at + 1 < len(glob):
            out, at = out + re.escape(glob[at + 1]), at + 2
        else:
            out, at = out + re.escape(glob[at]), at + 1
    return out


def rules_in(directory: Path) -> list[Rule]:
    """The rules of DIRECTORY's own .gitignore."""
    try:
        text = (directory / ".gitignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [rule for line in text.splitlines() if (rule := compile_rule(line, directory))]


def rules_above(tree: Path) -> list[Rule]:
    """The rules that stand above TREE, the outermost first: up to the top of the git work tree if there is one."""
    rules: list[Rule] = []
    for directory in tree.parents:
        rules = rules_in(directory) + rules
        if (directory / ".git").exists():
            break
    return rules


def source_files(directory: Path, rules: list[Rule]) -> Iterator[Path]:
    """Files and symlinks below DIRECTORY that git would track, in one order everywhere (that of their bytes)."""
    rules = rules + rules_in(directory)
    for path in sorted(directory.iterdir(), key=lambda path: os.fsencode(path.name)):
        is_directory = path.is_dir() and not path.is_symlink()
        verdicts = [rule for rule in rules if rule.matches(path, is_directory)]
        if path.name == ".git" or (verdicts and not verdicts[-1].negated):
            continue
        if is_directory:
            yield from source_files(path, rules)
        else:
            yield path


def pack(tree: Path) -> Packed:
    """TREE as a tar archive with everything left out of it that is not source: owners, times, modes but x.

    Raises ValueError where there is nothing to pack, too much, or something that is neither a file nor a symlink.
    """
    tree = tree.resolve()
    out = io.BytesIO()
    number = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in source_files(tree, rules_above(tree)):
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
