"""Filters `role_options`, `said_faults`: what a site says of the roles' variables, against the roles' own specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

DOCUMENTATION = r"""
name: said_faults
short_description: List which variables are not of the kind that their role expects
description:
  - Ansible checks a role's variables against its C(meta/argument_specs.yml) when it comes to that role, which for the
    last of them is when all others are done. C(said_faults) does so for all at once, before anything is touched.
    C(role_options) reads the specs.
options:
  _input:
    description: For C(said_faults) the values by variable. For C(role_options) the directory of the roles.
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
  description: A sentence by variable, for those with a fault; or the options of all roles by name.
  type: dict
"""

_WANTED = {"int": "a whole number", "float": "a number", "bool": "true or false", "dict": "a mapping", "list": "a list"}


def role_options(roles: str) -> dict[str, Any]:
    """Give the options of all roles' entry points named main."""
    options: dict[str, Any] = {}
    for file in sorted(Path(roles).glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"]
        options |= specs.get("main", {}).get("options") or {}
    return options


def _plain(value: object) -> Any:
    # What Ansible hands over are its own kinds of mappings, lists and texts, which know where they are from.
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, str) else value


def _sentence(name: str, value: object, option: Mapping[str, Any]) -> str | None:
    # Whether it is needed, and what takes its place, is not asked here.
    spec = {key: each for key, each in option.items() if key not in ("required", "default", "description")}
    faults = ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages
    if not faults:
        return None
    simple = isinstance(value, str | int | float)
    shown = '"' + "".join(c if c.isprintable() else "?" for c in str(value)[:60]) + '"'
    if simple and "choices" in spec:
        return f"{name}: {shown} is none of {', '.join(map(str, spec['choices']))}"
    if simple and spec.get("type") in _WANTED:
        return f"{name}: {shown} is not {_WANTED[spec['type']]}"
    return f"{name}: {'; '.join(faults)}"


def said_faults(said: object, options: Mapping[str, Any]) -> dict[str, str]:
    """Give a sentence by name for each variable that its role would not take."""
    if not isinstance(said, Mapping):
        raise AnsibleFilterError("said_faults: wants the values by variable")
    sentences = {
        str(name): _sentence(str(name), _plain(value), options[name])
        for name, value in said.items()
        if name in options and value is not None
    }
    return {name: sentence for name, sentence in sentences.items() if sentence}


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"role_options": role_options, "said_faults": said_faults}
