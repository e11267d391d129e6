"""Filter `unit_faults`: where systemd says otherwise of the services' units than the table in docs/architecture.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: unit_faults
short_description: Compare what each unit may do with the table that says so
description:
  - The table's first row is C(property) and the names of the services of each column, with blanks between them; each
    further row is a property of C(systemctl show) in backquotes, and its value for each column.
  - Values of several words are compared without regard to their order.
options:
  _input:
    description: Name of a service to the output of C(systemctl show) for its unit.
    type: dict
    required: true
  document:
    description: The text of the document that has the table.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that the units are what the document says
  ansible.builtin.assert:
    that: "{'spamd': shown.stdout} | unit_faults(lookup('ansible.builtin.file', 'docs/architecture.md')) | length == 0"
"""

RETURN = r"""
_value:
  description: A sentence for each difference.
  type: list
  elements: str
"""

_ROW = re.compile(r"^\| (?:`(?P<name>[A-Z]\w+)`|property) \|(?P<cells>.*)\|$", re.MULTILINE)


def _table(document: str) -> dict[str, dict[str, str]]:
    """Give, for each service that the table names, its properties."""
    said: dict[str, dict[str, str]] = {}
    columns: list[list[str]] = []
    for row in _ROW.finditer(document):
        cells = [cell.strip() for cell in row["cells"].split("|")]
        if not row["name"]:
            columns = [cell.split() for cell in cells]
            said.update((service, {}) for column in columns for service in column)
            continue
        for column, cell in zip(columns, cells, strict=True):
            for service in column:
                said[service][row["name"]] = cell
    if not said:
        raise AnsibleFilterError("unit_faults: the document has no table whose first row begins with | property |")
    return said


def _faults(service: str, shown: str, said: Mapping[str, str]) -> Iterator[str]:
    is_so = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    for name, value in said.items():
        # Of a list that is empty systemd says nothing.
        if sorted(is_so.get(name, "").split()) != sorted(value.split()):
            yield f'{service}: {name} is "{is_so.get(name, "")}"; docs/architecture.md says "{value}"'


def unit_faults(shown: object, document: str) -> list[str]:
    """Give one sentence for each property of a unit that is not what the document says.

    Args:
        shown: name of a service to what `systemctl show` says of its unit.
        document: the text with the table of DOCUMENTATION.

    Raises:
        AnsibleFilterError: if there is no such table, a row has another number of cells, or a service isn't in it.
    """
    if not isinstance(shown, Mapping):
        raise AnsibleFilterError("unit_faults: wants a mapping of services to what systemctl shows")
    try:
        said = _table(document)
        return [fault for name, text in shown.items() for fault in _faults(name, str(text), said[name])]
    except KeyError as error:
        raise AnsibleFilterError(f"unit_faults: the document's table has no column for {error}") from error
    except ValueError as error:
        raise AnsibleFilterError(f"unit_faults: a row of the document's table: {error}") from error


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"unit_faults": unit_faults}
