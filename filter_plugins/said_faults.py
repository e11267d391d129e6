"""Filters `role_options`, `said_faults`, `unknown_variables`: what a site says, against the roles' own specs."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: said_faults
short_description: List which variables are not of the kind that their spec says, or are none at all
description:
  - Ansible checks a role's variables against its C(meta/argument_specs.yml) when it comes to that role, which for the
    last of them is when all others are done, and takes the text C(no) for false where the roles would take it for true.
    C(said_faults) does so for all at once, before anything is touched, and takes each value as the roles do.
  - What lists and mappings hold is for those to judge who know what it means.
  - C(unknown_variables) gives a sentence for each variable that looks like one of these roles' and is none.
    C(role_options) reads the specs, of all roles or of one.
options:
  _input:
    description:
      - For C(said_faults) the values by variable, for C(unknown_variables) the names of variables. For C(role_options)
        the directory of the roles.
    type: raw
    required: true
  options:
    description: What C(role_options) gave.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what is no number
  ansible.builtin.debug:
    msg: "{{ {'certs_warn_days': 'soon'} | said_faults('roles' | role_options) }}"
"""

RETURN = r"""
_value:
  description: A sentence by variable, for those with a fault; or the options of all roles by name; or sentences.
  type: raw
"""

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": 'a mapping; give one as {"...": "..."}',
    "list": 'a list; give one as ["...", "..."]',
    "str": "a text",
    "path": "a path",
}
# The one in C is ten times as fast, and not everywhere.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WHOLE = re.compile(r"\s*[-+]?\d{1,30}\s*", re.ASCII)
# How variables begin that describe the site; each role's own begin with its name.
_OF_THE_SITE = ("mail_", "spam_", "spamd_", "verify_", "replace_mta", "tls_front", "mta_sts_")
# What the role build registers, for whoever had it build something.
_RESULTS = ("build_result",)


@functools.cache
def _role_options(roles: str, role: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for file in sorted(Path(roles).glob(f"{role}/meta/argument_specs.yml")):
        specs = yaml.load(file.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 (a safe one)
        for spec in specs["argument_specs"].values():
            options |= spec.get("options") or {}
    return options


def role_options(roles: str, role: str = "*") -> dict[str, Any]:
    """Give the options of all roles, or of one."""
    return _role_options(str(roles), str(role))


def _shown(value: object) -> str:
    return '"' + "".join(c if c.isprintable() else "?" for c in str(value)[:60]) + '"'


def _is_number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return True
    # On the command line every value is a string.
    if isinstance(value, str):
        if whole:
            return _WHOLE.fullmatch(value) is not None
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, float) and (not whole or value.is_integer())


def _is_of(wanted: str, value: object) -> bool:
    if wanted in ("int", "float"):
        return _is_number(value, whole=wanted == "int")
    if wanted == "bool":
        return isinstance(value, bool)
    if wanted == "dict":
        return isinstance(value, Mapping)
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    # Of the others a text can be made, also of a day.
    return is_list if wanted == "list" else value is not None and not is_list and not isinstance(value, Mapping)


def _sentence(name: str, value: object, option: Mapping[str, Any]) -> str | None:
    wanted = str(option.get("type", "str"))
    if not _is_of(wanted, value):
        if value is None:
            return f"{name}: is empty; leave it out to have its default"
        # What should be a list or a mapping may hold a secret, and what is one says little.
        simple = isinstance(value, str | int | float) and wanted not in ("list", "dict")
        sentence = f"{name}: {_shown(value) if simple else 'is'} {'is ' if simple else ''}not {_WANTED[wanted]}"
        if wanted == "bool" and isinstance(value, str):
            sentence += f" but a text; on the command line: -e '{{\"{name}\": true}}', in an INI file: {name}=True"
        return sentence
    if "choices" not in option:
        return None
    said = value if isinstance(value, list | tuple) else [value]
    wrong = [each for each in said if each not in option["choices"]]
    if not wrong:
        return None
    sentence = f"{name}: {_shown(wrong[0])} is none of {', '.join(map(str, option['choices']))}"
    # YAML 1.1 takes the words for true and false.
    return sentence + ("; yes, no, on and off are no texts without quotes" if isinstance(wrong[0], bool) else "")


def said_faults(said: object, options: Mapping[str, Any]) -> dict[str, str]:
    """Give a sentence by name for each variable that is not of its kind."""
    if not isinstance(said, Mapping):
        raise AnsibleFilterError("said_faults: wants the values by variable")
    sentences = {
        str(name): _sentence(str(name), value, options[name]) for name, value in said.items() if name in options
    }
    return {name: sentence for name, sentence in sentences.items() if sentence}


def _nearest(name: str, part: str, options: Mapping[str, Any]) -> str | None:
    # The end of a name is what one remembers of it: services_deny is mail_deny.
    ends = [begin + name.removeprefix(part) for begin in ("", "mail_", "spam_")]
    near = [end for end in ends if end in options]
    near += difflib.get_close_matches(name, [option for option in options if option.startswith(part)], n=1, cutoff=0.7)
    near += difflib.get_close_matches(name, list(options), n=1, cutoff=0.85)
    return near[0] if near else None


def unknown_variables(names: Iterable[str], roles: str, others: Sequence[str]) -> list[str]:
    """Give a sentence for each name that begins as these roles' variables do, and is none of them.

    Args:
        names: of variables, such as all that there are.
        roles: the directory of the roles.
        others: names that are for something else.
    """
    options = role_options(roles)
    begins = [f"{path.parents[1].name}_" for path in Path(str(roles)).glob("*/meta/argument_specs.yml")]
    ours = re.compile("|".join(sorted([*begins, *_OF_THE_SITE], key=len, reverse=True)))
    sentences = []
    for name in sorted({str(name) for name in names} - set(options) - set(_RESULTS) - set(others)):
        if part := ours.match(name):
            near = _nearest(name, part[0], options)
            hint = f"did you mean {near}?" if near else "docs/variables.md has those that there are."
            sentences.append(
                f"{name}: no such variable; {hint} What is for something else belongs into preflight_foreign_variables"
            )
    return sentences


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"role_options": role_options, "said_faults": said_faults, "unknown_variables": unknown_variables}
