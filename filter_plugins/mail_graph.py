"""Filters `mail_graph`, `mail_control` and their like: what follows from the declaration of a site."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: mail_graph
short_description: What follows from the declaration of a site
description:
  - C(mail_graph) gives the graph of a site as plain data, without any password (C(module_utils/mail_graph)) - the
    mailboxes, the addresses and where each of them leads, who may send as whom, lists and routes. C(mail_graph_text)
    gives the same as JSON for a module to take, since Ansible looks at each word of a mapping again and again.
  - C(mail_control) gives the control files that follow from it, what of control/validrcptto does, the local parts that
    there are in each domain without addresses of its own, and where aliases lead.
  - C(mail_hashes) gives what opens which mailbox, as V(hashes) and V(passwords).
  - C(system_people) gives those of mail_users who have an account of the host, C(domain_names) the names of
    mail_domains, and C(own_domains) of those whose unknown addresses are refused here.
options:
  _input:
    description: The site's variables (for C(mail_hashes) C(mail_users)), without a fault.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show where an address leads
  ansible.builtin.debug:
    msg: "{{ (_site_declared | mail_graph).addresses['info@example.org'].to }}"
"""

RETURN = r"""
_value:
  description: The graph; V(files), V(recipients), V(local_parts) and V(alias_targets); V(hashes) and V(passwords); some
    of mail_users; or names.
  type: raw
"""

# Ansible's loader gives plugins no package to import from.
_graph: Any = runpy.run_path(str(Path(__file__).with_name("site_faults.py")))["_graph"]


def _of(what: str, reckon: Callable[[Mapping[str, Any]], Any], site: object) -> Any:
    if not isinstance(site, Mapping):
        raise AnsibleFilterError(f"{what}: wants the mapping of a site's variables")
    try:
        return reckon(site)
    except ValueError as error:
        raise AnsibleFilterError(f"{what}: {error}") from error


def mail_graph(site: object) -> dict[str, Any]:
    """Give the graph of a site. Raises AnsibleFilterError, with its faults."""
    graph: dict[str, Any] = _of("mail_graph", _graph.compile_site, site)
    return graph


def mail_graph_text(site: object) -> str:
    """Give the graph as JSON. Raises AnsibleFilterError, with its faults."""
    return json.dumps(mail_graph(site), ensure_ascii=False, separators=(",", ":"))


def mail_control(site: object) -> dict[str, Any]:
    """Give what control files are made of. Raises AnsibleFilterError, with the site's faults."""
    control: dict[str, Any] = _of("mail_control", _graph.site_control, site)
    return control


def mail_hashes(users: object) -> dict[str, dict[str, str]]:
    """Give `hashes` and `passwords` by NAME or NAME/DEVICE."""
    opens: dict[str, dict[str, str]] = _graph.declared_passwords(users)
    return opens


def system_people(site: Mapping[str, Any]) -> list[Any]:
    """Give those of mail_users who have an account of the host; whoever has no name, too."""
    default = site.get("mail_mailboxes") or "system"
    return [user for user in site.get("mail_users") or [] if _has_account(user, default)]


def _has_account(user: object, default: object) -> bool:
    if not isinstance(user, Mapping):
        return True
    virtual = "@" in str(user.get("name")) or (user.get("mailbox") or default) == "virtual"
    return not virtual and user.get("state") != "absent"


def own_domains(domains: list[Any]) -> list[str]:
    """Give the names of the domains that are neither passed on nor have a catch-all; of all, if there are none."""
    own = [each for each in domains if not isinstance(each, Mapping) or not _is_open(each)]
    names: list[str] = _graph.domain_names(own or domains)
    return names


def _is_open(domain: Mapping[str, Any]) -> bool:
    return bool(domain.get("relay_to")) or "*" in (domain.get("addresses") or {})


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {
            "mail_graph": mail_graph,
            "mail_graph_text": mail_graph_text,
            "mail_control": mail_control,
            "mail_hashes": mail_hashes,
            "system_people": system_people,
            "domain_names": _graph.domain_names,
            "own_domains": own_domains,
        }
