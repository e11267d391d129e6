"""Filters `certificates`, `certificate_{copies,names,faults}`: which certificate each service of a host uses."""

from __future__ import annotations

import ipaddress
import re
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: certificates
short_description: Every certificate of a mail host in one form
description:
  - A host has one certificate of its own and may have further ones (V(mail_certificates)), each for some of its
    services. C(certificates) gives all of them in one form, the host's own first; that one has the services that no
    other claims. C(certificate_copies) gives what of them has to be copied to the host. C(certificate_names) gives
    only what differs, the name that a client meets at each service with a certificate of another name.
    C(certificate_faults) gives one sentence for each thing that is wrong with the list.
options:
  _input:
    description:
      - The further certificates, a list of mappings. V(name) is the bundle's file name and V(services) what uses it;
        without V(names) it covers its name alone; V(source), and for the source V(files) V(chain), V(key) and
        V(on_host), are as of the role certs.
    type: list
    elements: dict
    required: true
  own:
    description: The host's own, a mapping with V(name), V(names), V(source), V(chain), V(key) and V(on_host). Only its
      name and source are needed to see faults. Not for C(certificate_names).
    type: dict
    required: true
  places:
    description: For each source, patterns of the paths on the host where its chain and key are, with C({name}) for the
      certificate's name. Only for C(certificates) and C(certificate_copies).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show which bundle serves what
  ansible.builtin.debug:
    msg: "{{ item.name }}.pem: {{ item.services | join(', ') }}"
  loop: "{{ mail_certificates | certificates(own, places) }}"
  vars:
    own: {name: mail.example.org, names: [mail.example.org], source: files, chain: mail.pem, key: mail.key}
    places: {files: {chain: "/etc/qmail-site/certs/{name}.pem", key: "/etc/qmail-site/certs/{name}.key"}}
"""

RETURN = r"""
_value:
  description: The certificates, each with V(name), V(names), V(services), V(source), V(chain) and V(key), the paths on
    the host; a list of V(src) on the controller and V(dest) on the host; the names by service; or the sentences.
  type: raw
"""

SERVICES = ("smtp", "submission", "smtps", "pop3s")
SOURCES = ("acme", "selfsigned", "files")
_KEYS = ("name", "names", "services", "source", "chain", "key", "on_host")
# It becomes a file's name, and certbot's name of a lineage.
_FILE_NAME = re.compile(r"(?=.{1,200}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
# Ansible's loader gives plugins no package to import from.
_shown: Callable[[object], str] = runpy.run_path(str(Path(__file__).with_name("site_faults.py")))["_shown"]
_words = runpy.run_path(str(Path(__file__).parents[1] / "module_utils/words.py"))
_is_dns_name: Callable[[str], bool] = _words["is_dns_name"]


def _is_name(name: object) -> bool:
    """Can a certificate be for it: a host name, an address, `*.` and a domain?"""
    if not isinstance(name, str):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return True
    try:
        return _is_dns_name(name.encode("idna").decode())
    except UnicodeError:
        return False


def _names(where: str, names: object) -> Iterator[str]:
    if not isinstance(names, Sequence) or isinstance(names, str):
        yield f"{where}: {_shown(names)} is not a list of host names"
        return
    if not names:
        yield f"{where}: is empty; a certificate is for at least one host name"
    for index, name in enumerate(names):
        if not _is_name(name):
            yield f"{where}[{index}]: {_shown(name)} is neither a host name nor an address"
        elif name in names[:index]:
            yield f"{where}[{index}]: {_shown(name)} is there already"


def _source(where: str, each: Mapping[str, Any], source: object) -> Iterator[str]:
    if source not in SOURCES:
        yield f"{where}source: {_shown(source)} is none of {', '.join(SOURCES)}"
    elif source == "files":
        for part in ("chain", "key"):
            if not each.get(part):
                place = "on the host" if each.get("on_host") else "on the controller"
                yield f"{where}{part}: the source files needs the path of a PEM file {place}"


def _services(where: str, services: object, taken: dict[str, str], name: str) -> Iterator[str]:
    known = ", ".join(SERVICES)
    if not isinstance(services, Sequence) or isinstance(services, str) or not services:
        yield f"{where}: says no list of what uses it, of {known}"
        return
    for service in services:
        if service not in SERVICES:
            yield f"{where}: {_shown(service)} is none of {known}"
        elif service in taken:
            yield f"{where}: {service} has the certificate {taken[service]} already; it can serve one"
        else:
            taken[service] = name


def certificate_faults(further: object, own: Mapping[str, Any]) -> list[str]:
    """Give one sentence for each fault in the list of further certificates, and in what is said of the host's own."""
    faults: list[str] = []
    if "names" in own:
        faults += _names("certs_names", own["names"])
        faults += _source("certs_", own, own["source"])
    if not isinstance(further, Sequence) or isinstance(further, str):
        return [*faults, f"mail_certificates: {_shown(further)} is not a list"]
    files = {str(own["name"]).lower(): "the host's own"}
    taken: dict[str, str] = {}
    for index, each in enumerate(further):
        where = f"mail_certificates[{index}]"
        if not isinstance(each, Mapping):
            faults.append(f"{where}: {_shown(each)} is not a mapping with name and services")
            continue
        name = each.get("name")
        called = name if isinstance(name, str) and _FILE_NAME.fullmatch(name) else ""
        if not called:
            faults.append(
                f"{where}.name: {_shown(name or '')} is not a host name in small letters, after which the bundle "
                "could be called"
            )
        elif called in files:
            faults.append(f"{where}.name: {_shown(called)} is the name of {files[called]} already, and of its bundle")
        else:
            files[called] = where
        if "names" in each:
            faults += _names(f"{where}.names", each["names"])
        faults += _services(f"{where}.services", each.get("services"), taken, called or _shown(name or ""))
        faults += _source(f"{where}.", each, each.get("source", own["source"]))
        faults += [
            f"{where}: {_shown(key)} means nothing here; a certificate has {', '.join(_KEYS)}"
            for key in each
            if key not in _KEYS
        ]
    return faults


def _every(further: Sequence[Mapping[str, Any]], own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every certificate with what it does not say itself, the host's own first. Raises AnsibleFilterError."""
    if faults := certificate_faults(further, own):
        raise AnsibleFilterError(f"certificates: {'; '.join(faults)}")
    claimed = [service for each in further for service in each["services"]]
    rest = [service for service in SERVICES if service not in claimed]
    return [
        {**own, "services": rest},
        *({"names": [each["name"]], "source": own["source"], **each} for each in further),
    ]


def _is_brought(each: Mapping[str, Any]) -> bool:
    return each["source"] == "files" and not each.get("on_host")


def _place(each: Mapping[str, Any], part: str, places: Mapping[str, Mapping[str, str]]) -> str:
    if each["source"] == "files" and each.get("on_host"):
        return str(each[part])
    return places[each["source"]][part].format(name=each["name"])


def certificates(
    further: Sequence[Mapping[str, Any]], own: Mapping[str, Any], places: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Give every certificate in one form, the host's own first. Raises AnsibleFilterError, with every fault."""
    return [
        {key: each[key] for key in ("name", "source")}
        | {key: list(each[key]) for key in ("names", "services")}
        | {part: _place(each, part, places) for part in ("chain", "key")}
        for each in _every(further, own)
    ]


def certificate_copies(
    further: Sequence[Mapping[str, Any]], own: Mapping[str, Any], places: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str]]:
    """Give what has to be copied to the host, and where to. Raises AnsibleFilterError, with every fault."""
    return [
        {"src": str(each[part]), "dest": _place(each, part, places)}
        for each in _every(further, own)
        if _is_brought(each)
        for part in ("chain", "key")
    ]


def certificate_names(further: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Give the first name of the further certificate at each service that has one."""
    return {service: each.get("names", [each["name"]])[0] for each in further for service in each["services"]}


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {
            "certificates": certificates,
            "certificate_copies": certificate_copies,
            "certificate_names": certificate_names,
            "certificate_faults": certificate_faults,
        }
