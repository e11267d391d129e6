# SPDX-License-Identifier: MIT
"""Action plugin of the module build_prefix: works out a build's stamp from its recipe."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import action_loader

# Part of every stamp: to be raised when the pipeline itself comes to build something else from the same recipe.
PIPELINE = 1
# What of a source the result depends on: its content and its place, but not where it came from.
COUNTED = ("sha256", "commit", "into", "unpack")

COMMIT = re.compile(r"[0-9a-f]{40}")


def plain(value: Any) -> Any:
    """VALUE without the templating engine's own types (its tagged strings and lists), so that it can be hashed."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def stamp_of_recipe(name: str, version: str, recipe: dict[str, Any], sources: list[dict[str, Any]]) -> str:
    """SHA-256 over everything that the result depends on; of a source, its digest (or commit) and its place."""
    counted = [{key: source[key] for key in COUNTED if key in source} for source in sources]
    everything = {
        **{key: value for key, value in recipe.items() if key != "sources"},
        "name": name,
        "version": version,
        "pipeline": PIPELINE,
        "sources": counted,
    }
    text = json.dumps(plain(everything), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class ActionModule(action_loader.get("normal", class_only=True)):  # type: ignore[misc]
    """Adds the stamp to the module's arguments and the sources' digests to its result."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host; one module call on the target."""
        result: dict[str, Any] = self.begun(tmp, task_vars)
        args = dict(self._task.args)
        recipe = args.pop("recipe", None)
        more: dict[str, Any] = {}
        if args.get("state", "present") == "present":
            if not isinstance(recipe, dict) or not recipe.get("sources"):
                raise AnsibleActionFail(
                    "recipe.sources: nothing to build from; give at least one tree, distfile or git"
                )
            sources = [self._resolved(source, at) for at, source in enumerate(recipe["sources"])]
            patches, files = self._patches(recipe.get("patches") or [])
            recipe, sources = {**recipe, "patches": patches}, sources + files
            stamp = stamp_of_recipe(str(args.get("name")), str(args.get("version")), recipe, sources)
            archives = [{key: source[key] for key in ("name", "into", "unpack")} for source in sources]
            more = {"stamp": stamp, "sources": sources, "archives": archives, "patches": patches}
            args["stamp"] = stamp
        result.update(self._execute_module(module_name="build_prefix", module_args=args, task_vars=task_vars))
        return result | more

    def _resolved(self, source: dict[str, Any], at: int) -> dict[str, Any]:
        """A source with its digest: declared for a distfile, computed for a tree; of a git repository, the commit."""
        where = f"recipe.sources[{at}]"
        entry: dict[str, Any] = {
            "into": str(source.get("into") or "source"),
            "unpack": bool(source.get("unpack", True)),
        }
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry["into"]):
            raise AnsibleActionFail(f"{where}.into: {entry['into']!r} is not a plain directory name")
        given = {kind: source[kind] for kind in ("tree", "distfile", "git") if source.get(kind) is not None}
        if len(given) != 1:
            raise AnsibleActionFail(
                f"{where}: give one of tree (a directory), distfile (name, size, sha256, sites) and git (url, commit)"
            )
        if "tree" in given:
            path = self._find_needle("files", given["tree"])
            packed = action_loader.get("distfile", class_only=True).packed(path)
            name = f"{self._task.args['name']}-{entry['into']}.tar"
            return entry | {"name": name, "tree": path, "size": packed.size, "sha256": packed.sha256}
        if "git" in given:
            return entry | self._commit(given["git"], f"{where}.git")
        return entry | self._fields(given["distfile"], f"{where}.distfile", ("name", "size", "sha256", "sites"))

    def _patches(self, patches: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The patches, each by its place in the working directory, and a source for each that is a distfile."""
        placed: list[dict[str, Any]] = []
        files: list[dict[str, Any]] = []
        for at, patch in enumerate(patches):
            where = f"recipe.patches[{at}]"
            if (patch.get("file") is None) == (patch.get("distfile") is None):
                raise AnsibleActionFail(
                    f"{where}: give one of file (in a source) and distfile (name, size, sha256, sites)"
                )
            if patch.get("distfile") is None:
                placed.append(patch)
                continue
            fields = self._fields(patch["distfile"], f"{where}.distfile", ("name", "size", "sha256", "sites"))
            if fields["name"] in {file["name"] for file in files}:
                raise AnsibleActionFail(f"{where}.distfile.name: another patch is named {fields['name']}, too")
            files.append({"into": "patches", "unpack": False} | fields)
            placed.append({"file": f"patches/{fields['name']}", "strip": int(patch.get("strip", 1))})
        return placed, files

    def _commit(self, git: Any, where: str) -> dict[str, Any]:
        """A commit of a repository, named after it in the cache."""
        fields = self._fields(git, where, ("url", "commit"), ("sha256",))
        if not COMMIT.fullmatch(str(fields["commit"])):
            raise AnsibleActionFail(
                f"{where}.commit: {str(fields['commit'])!r} is not a commit: give all 40 hexadecimal digits in lower "
                "case, as `git rev-parse 'NAME^{commit}'` prints them; a branch or a tag may name another one tomorrow"
            )
        return fields | {"name": f"{self._task.args['name']}-{fields['commit']}.tar"}

    @staticmethod
    def _fields(given: Any, where: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
        """The fields of GIVEN that are known, refusing one that lacks a NEEDED one."""
        if not isinstance(given, dict):
            raise AnsibleActionFail(f"{where}: not a dict with {', '.join(needed)}")
        if missing := sorted({key for key in needed if given.get(key) is None}):
            raise AnsibleActionFail(f"{where}: {', '.join(missing)} missing")
        return {key: plain(given[key]) for key in (*needed, *optional) if given.get(key) is not None}
