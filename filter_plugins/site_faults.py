"""Filter `site_faults`: everything that is wrong with the variables that describe a site, in sentences."""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: site_faults
short_description: List what is wrong with a site's variables
description:
  - Checks what the variables of a mail site mean before anything on the host is touched, and gives one sentence for
    each fault. All faults are found in one go, so a new inventory needs one round of corrections. Whether a number is
    one and a list is one is C(said_faults)'s affair.
  - A sentence names the variable, the value and the way out. Values that may be passwords are never repeated.
  - Domains, people, lists and routes are judged as one graph (C(module_utils/mail_graph)); V(passwd) and V(uids), what
    C(getent passwd) and the register of uids say on the host, may stand beside the variables, and V(inventory_dir).
options:
  _input:
    description:
      - A mapping of variables that are of the kind that C(roles/*/meta/argument_specs.yml) says. Those that mean
        something beyond it are checked.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse a site that can't work
  ansible.builtin.assert:
    that: __faults | length == 0
    fail_msg: "{{ __faults }}"
  vars:
    __faults: "{{ {'mail_fqdn': mail_fqdn, 'mail_domains': mail_domains, 'mail_users': mail_users,
      'mail_relay_networks': mail_relay_networks, 'mail_postmaster': mail_postmaster} | site_faults }}"
"""

RETURN = r"""
_value:
  description: The sentences, in the order of the variables; empty for a site without a fault.
  type: list
  elements: str
"""

# Shorter prefixes than these are not anybody's own network.
_WIDEST = {4: 8, 6: 8}


def _beside(name: str, folder: Path) -> Any:
    """A package of this repository: Ansible's loader gives plugins none to import from."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise AnsibleFilterError(f"{folder} is missing from this repository")
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


_graph = _beside("_qmail_mail_graph", Path(__file__).resolve().parents[1] / "module_utils" / "mail_graph")
_dns = _beside("_qmail_dns_records", Path(__file__).resolve().parents[1] / "module_utils" / "dns_records")
_shown: Callable[[object], str] = _graph.words.shown
_kind: Callable[[object], str] = _graph.words.kind
_is_local_part: Callable[[str], bool] = _graph.words.is_local_part
host_name_fault: Callable[[str], str | None] = _graph.words.host_name_fault


def _fqdn(where: str, name: Any) -> Iterator[str]:
    if fault := host_name_fault(str(name)):
        yield f"{where}: {_shown(name)} is not a full host name ({fault})"
    elif str(name).lower() == "localhost.localdomain":
        yield f"{where}: {_shown(name)} is every host's name; give the name that the MX record points to"


def _relay_networks(where: str, networks: Any) -> Iterator[str]:
    yield from _networks(where, networks, "this host would relay for strangers")


def _deny(where: str, networks: Any) -> Iterator[str]:
    yield from _networks(where, networks, "hardly anybody could come in any more")


def _excepted(where: str, networks: Any) -> Iterator[str]:
    yield from _networks(where, networks, "guesses would hardly be counted")
    if len(networks) > 64:
        yield f"{where}: has {len(networks)} networks; 64 is the most"


def _networks(variable: str, networks: Sequence[object], what: str) -> Iterator[str]:
    for index, text in enumerate(networks):
        where = f"{variable}[{index}]"
        if not isinstance(text, str):
            yield f"{where}: is {_kind(text)}, not a network such as 192.0.2.0/24"
            continue
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            yield f"{where}: {_shown(text)} is not a network such as 192.0.2.0/24 or 2001:db8::/32 ({_reason(error)})"
            continue
        if network.prefixlen < _WIDEST[network.version]:
            yield f"{where}: {_shown(text)} is so wide that {what}"
        elif str(ipaddress.ip_interface(text).ip) != str(network.network_address):
            yield f"{where}: {_shown(text)} has bits set behind its prefix; the network is {network}"


def _reason(error: ValueError) -> str:
    # The text of ipaddress repeats the value in front, which the sentence has said already.
    return re.sub(r"^'.*?' ", "", str(error)) if len(str(error)) < 120 else "too long"


# --- the settings: a number, a word, a path ---


def _is_points(least: float) -> Callable[[str, object], Iterator[str]]:
    def check(where: str, value: Any) -> Iterator[str]:
        if not least <= float(value) <= 999:
            yield f"{where}: {_shown(value)} is not a number of points from {least:g} to 999, such as 5.0"

    return check


def _is_count(unit: str, least: int, most: int, *, zero: bool = False) -> Callable[[str, object], Iterator[str]]:
    def check(where: str, value: Any) -> Iterator[str]:
        # On the command line every value is a string.
        if not (least <= int(value) <= most or (zero and int(value) == 0)):
            none = ", or 0 for no limit" if zero else ""
            yield f"{where}: {_shown(value)} is not a number of {unit} from {least} to {most}{none}"

    return check


def _is_prefix(where: str, value: object) -> Iterator[str]:
    if not re.fullmatch(r"[ -~]{0,60}", str(value)):
        yield f"{where}: {_shown(value)} can't stand in a Subject; ASCII without control characters does, at most 60"


def _is_path(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]+", value) or "/../" in value + "/":
        yield f"{where}: {_shown(value)} is not the absolute path of a file"


def _is_empty_or_path(where: str, value: object) -> Iterator[str]:
    if value != "":
        yield from _is_path(where, value)


def _is_host(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return host_name_fault(value if "." in value else f"{value}.local") is None
    return True


def _is_forwarder(value: str) -> bool:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        return "/" not in value and "." in value and host_name_fault(value) is None
    return network.prefixlen >= _WIDEST[network.version]


def _is_site(value: str) -> bool:
    return re.fullmatch(r"https?://[!-~]+/|(file://)?/[!-~]*", value) is not None


def _is_list_of(good: Callable[[str], bool], objection: str) -> Callable[[str, object], Iterator[str]]:
    def check(where: str, value: Any) -> Iterator[str]:
        for index, each in enumerate(value):
            if not isinstance(each, str) or not good(each):
                yield f"{where}[{index}]: {_shown(each)} is {objection}"

    return check


_CHECKS: dict[str, Callable[[str, Any], Iterator[str]]] = {
    "mail_relay_networks": _relay_networks,
    "mail_deny": _deny,
    "checkpassword_failures_except": _excepted,
    "checkpassword_failures_per_address": _is_count("failures", 1, 1000000, zero=True),
    "checkpassword_failures_per_network": _is_count("failures", 1, 1000000, zero=True),
    "checkpassword_failures_per_account": _is_count("failures", 1, 1000000, zero=True),
    "checkpassword_failures_seconds": _is_count("seconds", 1, 31536000),
    "checkpassword_failures_trust": _is_count("seconds", 1, 31536000),
    "services_connections_per_address": _is_count("sessions", 1, 100000, zero=True),
    "services_connections_per_network": _is_count("sessions", 1, 100000, zero=True),
    "services_connections_local": _is_count("sessions", 1, 100000, zero=True),
    "services_handshake_timeout": _is_count("seconds", 1, 3600),
    "dmarc_forwarders": _is_list_of(_is_forwarder, "neither a network, nor a host name, nor a domain"),
    "mta_sts_directory": _is_empty_or_path,
    "resolver_cache_mib": _is_count("MiB", 4, 16384),
    "spamassassin_dns_seconds": _is_count("seconds", 1, 60),
    "certs_key_days": _is_count("days", 1, 36500, zero=True),
    "mail_offices": _is_list_of(_is_local_part, "not a local part, such as postmaster"),
    # RFC 5321 section 4.5.3.1.7: no less than 64 KiB.
    "mail_message_size": _is_count("bytes", 65536, 4294967295, zero=True),
    "mail_greet_delay": _is_count("seconds", 1, 30, zero=True),
    "mail_password_database": _is_path,
    "mail_distfile_sites": _is_list_of(_is_site, "neither an https:// URL that ends in / nor an absolute path"),
    "spam_threshold": _is_points(-999),
    "spam_zap": _is_points(0),
    "spam_subject_prefix": _is_prefix,
    "spam_time_limit": _is_count("seconds", 1, 3600),
    "spam_size": _is_count("bytes", 1, 268435456),
    "spam_scans": _is_count("scans", 1, 256),
    "spam_client_scans": _is_count("scans", 1, 256),
    "spamd_hosts": _is_list_of(_is_host, "neither a host name nor an address"),
}


def site_faults(site: object) -> list[str]:
    """Give one sentence for each fault in a site's variables.

    Args:
        site: values by variable, each of its kind.

    Raises:
        AnsibleFilterError: if the input is not a mapping.
    """
    if not isinstance(site, Mapping):
        raise AnsibleFilterError(f"site_faults: wants a mapping of the site's variables, not {_kind(site)}")
    today = _graph.words.day_of(datetime.datetime.now(datetime.UTC))
    faults: list[str] = list(_fqdn("mail_fqdn", site["mail_fqdn"])) if "mail_fqdn" in site else []
    faults += _graph.faults(site, today)
    faults += _dns.variable_faults(site)
    for name, check in _CHECKS.items():
        if name in site:
            faults += check(name, site[name])
    return faults


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"site_faults": site_faults}
