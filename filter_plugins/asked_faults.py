"""Filter `asked_faults`: what the questions of a play found, from what they have registered, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: asked_faults
short_description: Collect what failed of all that was asked
description:
  - A question that fails may hide what comes after it. So each is asked with C(ignore_errors) and registers its answer
    under a name of its own, and this gives a sentence for each that failed.
  - Of a loop each item counts. What an item is isn't told, for it may hold a secret.
options:
  _input:
    description: What was registered, by name.
    type: dict
    required: true
  prefix:
    description: What all the names begin with, which is left out of the sentences.
    type: str
    required: true
  silent:
    description: Names of answers that may hold a secret, those of tasks with C(no_log). Only that they failed is told.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Say all that was found
  ansible.builtin.assert:
    that: registered | asked_faults('__verify_', silent=['__verify_passwords']) | length == 0
"""

RETURN = r"""
_value:
  description: A sentence for each question, or each item of one, that failed.
  type: list
  elements: str
"""

_LONGEST = 2000
_SILENCE = "failed; what it said may hold a secret"


def _said(answer: Mapping[str, Any]) -> str:
    """What a failed answer says: its message, and what a command wrote."""
    told = [str(answer.get(key) or "").strip() for key in ("msg", "stderr", "stdout")]
    return "\n".join(text for text in told if text)[:_LONGEST] or "failed"


def _faults(answer: Mapping[str, Any]) -> Iterator[str]:
    if not answer.get("failed"):
        return
    items = [item for item in answer.get("results") or [] if isinstance(item, Mapping) and item.get("failed")]
    for failed in items or [answer]:
        yield _said(failed)


def asked_faults(registered: object, prefix: str, silent: Collection[str] = ()) -> list[str]:
    """Give a sentence for each that failed.

    Args:
        registered: by name, what tasks have registered; what is none of a task's counts for nothing.
        prefix: of the names.
        silent: names of which no word is told, for it may be a secret.
    """
    if not isinstance(registered, Mapping):
        raise AnsibleFilterError("asked_faults: wants what was registered, by name")
    return [
        f"{str(name).removeprefix(prefix).replace('_', ' ')}: {_SILENCE if name in silent else fault}"
        for name, answer in sorted(registered.items())
        if isinstance(answer, Mapping)
        for fault in _faults(answer)
    ]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"asked_faults": asked_faults}
