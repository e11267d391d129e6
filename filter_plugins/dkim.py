"""Filter `signed_domains`: whose keys a site has, and what is wrong with what is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: signed_domains
short_description: Give the domains that a site signs mail for
description:
  - The names of mail_domains that are not passed on to another host, the host's own name unless it is below one of
    them, and the further ones. Mail from a subdomain of one of them is signed by that one's key.
  - C(dkim_faults) gives a sentence for each fault of the C(dkim_*) variables.
options:
  _input:
    description: mail_domains.
    type: raw
    required: true
  fqdn:
    description: mail_fqdn.
    type: str
    required: true
  more:
    description: dkim_domains.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show whose mail is signed
  ansible.builtin.debug:
    msg: "{{ mail_domains | signed_domains(mail_fqdn, dkim_domains) }}"
"""

RETURN = r"""
_value:
  description: The domains, in lower case, each once.
  type: list
  elements: str
"""

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_PREFIX = re.compile(r"[a-z][a-z0-9-]{0,19}(?<!-)")
_LONGEST = 253 - len("._domainkey.") - 30  # with a selector before it


def _names(domains: object) -> list[tuple[str, bool]]:
    """Give each name of mail_domains, and whether its mail is passed on."""
    each = domains if isinstance(domains, list) else []
    said = [(one.get("name"), bool(one.get("relay_to"))) if isinstance(one, Mapping) else (one, False) for one in each]
    return [(_plain(name), relayed) for name, relayed in said if isinstance(name, str)]


def _plain(name: object) -> str:
    return str(name).lower().rstrip(".")


def _is_below(name: str, others: Iterable[str]) -> bool:
    """Is this one of them, or below one?"""
    return any(name == other or name.endswith("." + other) for other in others)


def signed_domains(domains: object, fqdn: object, more: object) -> list[str]:
    """Give the domains that have a key."""
    own = [name for name, relayed in _names(domains) if not relayed]
    own += [_plain(name) for name in (more if isinstance(more, list) else [])]
    host = _plain(fqdn)
    return list(dict.fromkeys(own if _is_below(host, own) else [*own, host]))


def dkim_faults(site: Mapping[str, Any]) -> list[str]:
    """Give a sentence for each fault in what a site says of its keys."""
    faults = []
    known = [name for name, _ in _names(site.get("mail_domains"))] + [_plain(site.get("mail_fqdn"))]
    signed = [name for name, relayed in _names(site.get("mail_domains")) if not relayed]
    for index, said in enumerate(site.get("dkim_domains") or []):
        where, name = f'dkim_domains[{index}]: "{said}"', _plain(said)
        if not all(map(_LABEL.fullmatch, name.split("."))) or "." not in name or len(name) > _LONGEST:
            faults.append(f"{where} is not a domain, such as example.org")
        elif not _is_below(name, known):
            faults.append(f"{where} is neither one of mail_domains nor below one; only what is ours is signed")
        elif name in signed:
            faults.append(f"{where} is signed anyway, being one of mail_domains; leave it out")
    prefix = site.get("dkim_selector_prefix")
    if prefix is not None and not _PREFIX.fullmatch(str(prefix)):
        faults.append(
            f'dkim_selector_prefix: "{prefix}" can\'t begin a name in the DNS; take at most 20 of a-z, 0-9 and -'
        )
    days = site.get("dkim_key_days")
    if days is not None and days != 0 and not 30 <= int(days) <= 3650:
        faults.append(f"dkim_key_days: {days} is not a number of days from 30 to 3650; 0 is never")
    return faults


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"signed_domains": signed_domains, "dkim_faults": dkim_faults}
