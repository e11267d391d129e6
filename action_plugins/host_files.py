# SPDX-License-Identifier: MIT
"""Action plugin of the module host_files: renders templates, reads sources, notifies the handlers of what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - its name everywhere
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import action_loader
from ansible.template import trust_as_template

HOLDS = ("content", "template", "source")
KINDS = ("directories", "files", "links")
NAME = "NAME"
NAMED = ("path", "to", "template", "source", "validate")


class ActionModule(action_loader.get("normal", class_only=True)):  # type: ignore[misc]
    """Gives the module what each file is to hold; one module call on the target."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, once for each host."""
        result: dict[str, Any] = self.begun(tmp, task_vars)
        args = dict(self._task.args)
        entries = {kind: self._entries(args, kind) for kind in KINDS}
        secrets: dict[str, str] = {}
        faults: list[str] = []
        for entry in entries["files"]:
            try:
                self._fill(entry, secrets, task_vars or {})
            except (AnsibleError, OSError, UnicodeError) as error:
                faults.append(f"{entry['path']}: {error}")
        if faults:
            raise AnsibleActionFail("; ".join(faults))
        args |= entries
        if secrets:
            args["secrets"] = secrets
        result.update(self._execute_module(module_name="host_files", module_args=args, task_vars=task_vars))
        # Also of a run that failed halfway: what it has changed is changed.
        changed = {*result.get("written", []), *result.get("removed", [])}
        self._notify([entry for kind in KINDS for entry in entries[kind] if entry["path"] in changed])
        return result

    def _entries(self, args: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        """What is declared of one kind: a list in the list counts as its entries, and so does each word."""
        entries: list[dict[str, Any]] = []
        given = args.get(kind) or []
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, list):
                entries += self._entries({kind: entry}, kind)
            elif not isinstance(entry, dict) or not entry.get("path"):
                raise AnsibleActionFail(f"{kind}: not a list of dicts with a path each")
            elif entry.get("each") is None:
                entries.append({**entry, "path": str(entry["path"])})
            else:
                entries += [self._named(entry, kind, str(word)) for word in entry["each"]]
        return entries

    @staticmethod
    def _named(entry: dict[str, Any], kind: str, word: str) -> dict[str, Any]:
        """One of those that an entry with `each` stands for."""
        more = {"vars": {**(entry.get("vars") or {}), NAME: word}, "namesake": entry["path"]} if kind == "files" else {}
        named = {key: str(entry[key]).replace(NAME, word) for key in NAMED if entry.get(key) is not None}
        return {key: value for key, value in entry.items() if key != "each"} | more | named

    def _fill(self, entry: dict[str, Any], secrets: dict[str, str], task_vars: dict[str, Any]) -> None:
        """Give a file what it is to hold, as its content or, where that is secret, beside it."""
        given = [key for key in HOLDS if entry.get(key) is not None]
        if len(given) > 1:
            raise AnsibleActionFail(f"{' and '.join(given)} exclude each other")
        template, source = entry.pop("template", None), entry.pop("source", None)
        more = entry.pop("vars", None) or {}
        names = [entry["path"], str(entry.pop("namesake", entry["path"]))]
        wanted, keeps = (boolean(entry.get(key, key == "wanted"), strict=False) for key in ("wanted", "keeps"))
        if keeps or not wanted:
            entry.pop("content", None)
            return
        if not given:
            template, source = self._namesake(names)
        if template is not None:
            entry["content"] = self._rendered(str(template), task_vars | more)
        elif source is not None:
            found = self._find_needle("files", str(source))
            entry["content"] = Path(found).read_text(encoding="utf-8")
        if boolean(entry.get("secret", False), strict=False):
            secrets[entry["path"]] = entry.pop("content")

    def _namesake(self, paths: list[str]) -> tuple[str | None, str | None]:
        """The role's template, or else its file, of the first of these paths that has one."""
        for name in (path.lstrip("/") for path in paths):
            for kind, ending in (("templates", ".j2"), ("files", "")):
                try:
                    found = str(self._find_needle(kind, name + ending))
                except AnsibleError:
                    continue
                return (found, None) if ending else (None, found)
        raise AnsibleActionFail(
            f"the role has neither a template nor a file {paths[-1].lstrip('/')}, and nothing is given"
        )

    def _rendered(self, name: str, variables: dict[str, Any]) -> str:
        """A template as ansible.builtin.template renders it; what it includes is looked for beside it, too."""
        path = Path(self._find_needle("templates", name))
        places = [str(path.parent)]
        for place in variables.get("ansible_search_path", []):
            places += [f"{place}/templates", place]
        known = {"ansible_managed": C.config.get_config_value("DEFAULT_MANAGED_STR")} | variables
        templar = self._templar.copy_with_new_env(searchpath=places, available_variables=known)
        text = trust_as_template(path.read_text(encoding="utf-8"))
        return str(templar.template(text, escape_backslashes=False))

    def _notify(self, entries: list[dict[str, Any]]) -> None:
        """Have the handlers of these notified, beside those that the task names; where nothing changed, none is."""
        names = [name for entry in entries for name in entry.get("notify") or []]
        if names:
            self._task.notify = list(dict.fromkeys([*(self._task.notify or []), *names]))
