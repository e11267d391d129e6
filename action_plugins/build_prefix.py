# SPDX-License-Identifier: MIT
"""Action plugin of the module build_prefix: works out a build's stamp from its recipe."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import action_loader

# Part of every stamp: to be raised when the pipeline itself comes to build something else from the same recipe.
PIPELINE = 1


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
    """SHA-256 over everything that the result depends on; of a source, its digest and its place."""
    counted = [{key: source[key] for key in ("sha256", "into", "unpack")} for source in sources]
    everything = {
        **{key: value for key, value in recipe.items() if key != "sources"},
        "name": name,
        "version": version,
        "pipeline": PIPELINE,
        "sources": counted,
    }
    text = json.dumps(plain(everything), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class ActionModule(ActionBase):
    """Adds the stamp to the module's arguments and the sources' digests to its result."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host; one module call on the target."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        recipe = args.pop("recipe", None)
        more: dict[str, Any] = {}
        if args.get("state", "present") == "present":
            if not isinstance(recipe, dict) or not recipe.get("sources"):
                raise AnsibleActionFail("recipe.sources: nothing to build from; give at least one tree or distfile")
            sources = [self._resolved(source, at) for at, source in enumerate(recipe["sources"])]
            stamp = stamp_of_recipe(str(args.get("name")), str(args.get("version")), recipe, sources)
            archives = [{key: source[key] for key in ("name", "into", "unpack")} for source in sources]
            more = {"stamp": stamp, "sources": sources, "archives": archives}
            args["stamp"] = stamp
        result.update(self._execute_module(module_name="build_prefix", module_args=args, task_vars=task_vars))
        return result | more

    def _resolved(self, source: dict[str, Any], at: int) -> dict[str, Any]:
        """A source with its digest: declared for a distfile, computed for a tree."""
        where = f"recipe.sources[{at}]"
        entry: dict[str, Any] = {
            "into": str(source.get("into") or "source"),
            "unpack": bool(source.get("unpack", True)),
        }
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry["into"]):
            raise AnsibleActionFail(f"{where}.into: {entry['into']!r} is not a plain directory name")
        tree, distfile = source.get("tree"), source.get("distfile")
        if (tree is None) == (distfile is None):
            raise AnsibleActionFail(f"{where}: give one of tree (a directory) and distfile (name, size, sha256, sites)")
        if tree is not None:
            path = self._find_needle("files", tree)  # type: ignore[no-untyped-call]
            packed = action_loader.get("distfile", class_only=True).packed(path)
            name = f"{self._task.args['name']}-{entry['into']}.tar"
            return entry | {"name": name, "tree": path, "size": packed.size, "sha256": packed.sha256}
        if not isinstance(distfile, dict):
            raise AnsibleActionFail(f"{where}.distfile: not a dict with name, size, sha256 and sites")
        missing = sorted({"name", "size", "sha256", "sites"} - set(distfile))
        if missing:
            raise AnsibleActionFail(f"{where}.distfile: {', '.join(missing)} missing")
        entry |= {key: plain(distfile[key]) for key in ("name", "size", "sha256", "sites")}
        return entry
