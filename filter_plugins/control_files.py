"""Filters about the suite's control files: what is wrong with their declaration, what becomes of it, who gets mail."""

from __future__ import annotations

import difflib
import importlib.util
import ipaddress
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: control_faults
short_description: List what is wrong with the declared control files, virtual domains and recipients
description:
  - C(control_faults) gives one sentence for each fault in C(qmail_control), C(qmail_virtualdomains) and
    C(qmail_more_recipients), measured by the suite's own table (C(src/qmail/lib/controls.def)) and the site. Values
    that may be secret are never repeated.
  - C(control_files) gives the content of each control file of a mapping, V(files) for those that anybody on the host
    may read, V(secrets) for those that hold passwords or keys, and V(absent) for those that are null.
  - C(declared_control_files) gives the same of all that follows from a declared site, control/validrcptto too.
  - C(valid_recipients) gives the lines of that, C(mailbox_extensions) the extensions of each user's address that
    virtual domains lead to.
options:
  _input:
    description:
      - For C(control_faults) a mapping with V(control), V(virtualdomains), V(more_recipients), V(fqdn), V(domains), by
        name, V(users) (those of C(mail_users) with an account), V(passwd) (what C(getent passwd) says), V(own_tree),
        whether the suite is this repository's own, and V(checked), whether recipients are checked.
      - For C(declared_control_files) the site's variables, without a fault.
      - For C(valid_recipients) one with V(control) (derived ones included), V(virtualdomains), V(recipients),
        V(more_recipients), and V(declared), what C(mail_control) gives.
    type: dict
    required: true
  said:
    description:
      - For C(declared_control_files) what else is said - V(derived) control files, which weigh least, and
        C(qmail_control), C(qmail_virtualdomains) and so on, without C(qmail_).
    type: dict
"""

EXAMPLES = r"""
- name: Split what is to be written
  ansible.builtin.debug:
    msg: "{{ {'me': 'mail.example.org', 'smtproutes_auth': 'relay:587 u p', 'badmailfrom': none} | control_files }}"
    # files: {me: "mail.example.org\n"}, secrets: {smtproutes_auth: "relay:587 u p\n"}, absent: [badmailfrom]
"""

RETURN = r"""
_value:
  description: The sentences; or the mapping; or the lines; or user to list of extensions.
  type: raw
"""

_ROOT = Path(__file__).resolve().parent.parent


def _beside(name: str, path: Path) -> Any:
    """Another file of this repository as a module: Ansible's loader gives plugins no package to import from."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AnsibleFilterError(f"{path} is missing from this repository")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


_site = _beside("_qmail_site_faults", _ROOT / "filter_plugins" / "site_faults.py")
_suite = _beside("_qmail_control_files", _ROOT / "src" / "qmail" / "look" / "control_files.py")
_TABLE = {row.name: row for row in _suite.read_table(_suite.TABLE.read_text(encoding="utf-8"))}

# What other parts of the site write, and how one has a say there.
_ELSEWHERE = {
    "servercert.pem": "the role certs links it; say certs_source or mail_certificates",
    "serverkey.pem": "the key is in the bundle that the role certs links; say certs_source or mail_certificates",
    "outgoingipv6": "say outgoing_ipv6",
    "policysocket": "the service policy has it; say outgoing_mta_sts",
    "signsocket": "it is there while what originates here is signed; say dkim_sign",
    "srskey": "it is made on the host, and stays there",
    "srskeyin": "it is made on the host, and stays there",
    "validrcptto": "it is made from the people; say qmail_more_recipients",
    "virtualdomains": "say qmail_virtualdomains",
}
_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.pem)?")
_RELAY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")
_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n.*?-----END \1-----", re.DOTALL)
_CREDENTIAL_MAX = 512  # bytes, as in qmail-remote


def _flat(value: object) -> Iterator[Any]:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _text(value: object) -> str:
    """The content of a file: each item, and each line of an item, a line."""
    return "".join(f"{str(item).rstrip(chr(10))}\n" for item in _flat(value))


def _lines(value: object) -> list[str]:
    """The lines that count."""
    stripped = [line.rstrip(" \t") for line in _text(value).split("\n")]
    return [line for line in stripped if line and not line.startswith("#")]


def _is_secret(name: str, value: object) -> bool:
    return (name in _TABLE and _TABLE[name].kind == "SECRET") or _KEY.search(_text(value)) is not None


# --- qmail_control ---


def _line(where: str, value: object) -> Iterator[str]:
    if len(_text(value).rstrip("\n").split("\n")) > 1:
        yield f"{where}: has several lines; the file has one"


def _number(where: str, value: object, most: int) -> Iterator[str]:
    text = _text(value).strip()
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > most:
        yield f"{where}: {_site._shown(text)} is not a number from 0 to {most}"


def _table(where: str, value: object) -> Iterator[str]:
    for line in _lines(value):
        if ":" not in line:
            yield f"{where}: {_site._shown(line)} is not key:value"


def _pem(where: str, value: object) -> Iterator[str]:
    text = _text(value)
    if not _PEM.search(text) or text.count("-----BEGIN ") != len(_PEM.findall(text)):
        yield f"{where}: is not whole PEM (-----BEGIN ...----- to -----END ...-----, each on a line of its own)"


def _credentials(where: str, value: object) -> Iterator[str]:
    for number, line in enumerate(_lines(value), 1):
        relay, user, password = (*re.split(r"[ \t]", line, maxsplit=2), "", "")[:3]
        port = relay.rpartition(":")[2] if re.search(r":[0-9]+$", relay) else "25"
        fits = user and password and max(len(user.encode()), len(password.encode())) <= _CREDENTIAL_MAX
        if not fits or not _RELAY.fullmatch(relay) or not 0 < int(port) < 65536:
            yield f"{where}: line {number} is not RELAY:PORT USER PASSWORD, as in smtp.example.net:587 joe secret"


def _received_domains(where: str, value: object) -> Iterator[str]:
    for line in _lines(value):
        if "@" in line or " " in line or "\t" in line:
            yield f"{where}: {_site._shown(line)} is no domain, nor .domain for every name below it"


def _nameservers(where: str, value: object) -> Iterator[str]:
    for line in _lines(value):
        match = re.fullmatch(r"\[([^]]+)\](?::([0-9]{1,5}))?", line)
        try:
            ipaddress.ip_address(match[1] if match else line)
            fits = not match or 0 < int(match[2] or 53) < 65536
        except ValueError:
            fits = False
        if not fits:
            yield f"{where}: {_site._shown(line)} is neither an address nor [ADDRESS]:PORT"


_KINDS: dict[str, Callable[[str, object], Iterator[str]]] = {
    "LINE": _line,
    "TABLE": _table,
    "PEM": _pem,
    "SECRET": _credentials,
}


def _of_the_table(where: str, row: Any, value: object) -> Iterator[str]:
    if row.kind == "NUMBER":
        yield from _number(where, value, row.max)
    elif row.kind == "DIRECTORY":
        yield f"{where}: is a directory, which can't be declared"
    elif row.kind in _KINDS:
        yield from _KINDS[row.kind](where, value)
    if row.name == "nameservers":
        yield from _nameservers(where, value)
    if row.name in ("rcpthosts", "morercpthosts", "locals"):
        yield from _received_domains(where, value)


def _value(where: str, value: object) -> Iterator[str]:
    for item in _flat(value):
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            yield f"{where}: has {_site._kind(item)} where a text or a number belongs" + (
                "; write it in quotes, or 1 for true and 0 for false" if isinstance(item, bool) else ""
            )
        elif "\0" in str(item):
            yield f"{where}: has a NUL character in it"


def _control_file(name: object, value: object, own_tree: bool) -> Iterator[str]:
    where = f"qmail_control.{name}"
    if not isinstance(name, str) or (name in _TABLE and _TABLE[name].kind == "DATABASE") or str(name).endswith(".cdb"):
        source = str(name).removesuffix(".cdb")
        yield f"{where}: is compiled; declare {source} instead, and it is compiled in the same run"
    elif name in _ELSEWHERE:
        yield f"{where}: is not for qmail_control: {_ELSEWHERE[name]}"
    elif name not in _TABLE and not _NAME.fullmatch(name):
        yield (
            f"qmail_control: {_site._shown(name)} is not the name of a control file (lower-case letters, digits, - "
            "and _, as in concurrencyremote)"
        )
    elif name not in _TABLE and own_tree:
        near = difflib.get_close_matches(name, _TABLE, 1)
        yield f"qmail_control: {_site._shown(name)} is no control file of this suite" + (
            f"; is {near[0]} meant?" if near else " (docs/control-files.md has them all)"
        )
    elif value is not None and not (faults := list(_value(where, value))):
        yield from _of_the_table(where, _TABLE[name], value) if name in _TABLE else ()
    elif value is not None:
        yield from faults


# --- who gets mail ---


def _received(site: Mapping[str, Any], control: Mapping[str, Any]) -> list[str]:
    """The domains that mail is accepted for, in small letters."""
    rcpthosts = control.get("rcpthosts", ["localhost", site.get("fqdn", ""), *_strings(site.get("domains"))])
    return [line.lower() for line in _lines([rcpthosts or [], control.get("morercpthosts") or []])]


def _is_received(domain: str, received: Sequence[str]) -> bool:
    labels = domain.split(".")
    return domain in received or any("." + ".".join(labels[at:]) in received for at in range(1, len(labels)))


def _strings(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []


def _leads_to_an_account(prefix: str, names: Sequence[str]) -> bool:
    words = prefix.lower().split("-")
    return any("-".join(words[:at]) in names for at in range(1, len(words) + 1))


def _virtual(key: object, prefix: object, site: Mapping[str, Any], received: Sequence[str]) -> Iterator[str]:
    where = f"qmail_virtualdomains[{_site._shown(key)}]"
    if not isinstance(key, str) or not isinstance(prefix, str):
        yield f"{where}: is not a domain (or an address) and the name of its account, such as shop.example.org: carol"
        return
    local, at, domain = key.lower().rpartition("@")
    wild = domain.startswith(".") or key == ""
    if fault := None if key == "" else _site.host_name_fault(domain.removeprefix(".")):
        yield f"{where}: {_site._shown(domain)} is not a host name ({fault})"
        return
    if at and (not local or re.search(r"[\s:\0]", local)):
        yield f"{where}: what stands before the @ is not a local part"
    if domain in ("localhost", str(site.get("fqdn", "")).lower()):
        yield f"{where}: {domain} is this host's own name, whose mail is for its accounts; give the address as an alias"
    elif wild and site.get("checked", True):
        yield f"{where}: the names below a domain can't be listed as recipients; name each, or set qmail_recipients: []"
    elif not wild and not _is_received(domain, received):
        yield f"{where}: mail for {domain} is not accepted here; add {_site._shown(domain)} to mail_domains"
    users = site.get("users")
    people = [user.get("name") for user in users if isinstance(user, Mapping)] if isinstance(users, list) else []
    names = [*_strings(people), *re.findall(r"(?m)^([^:\n]+):", str(site.get("passwd", ""))), "alias"]
    if prefix and (not re.fullmatch(r"[!-9;-~]{1,255}", prefix) or not _leads_to_an_account(prefix, names)):
        yield f"{where}: {_site._shown(prefix)} leads to no account; it is one of mail_users, alone or with -EXTENSION"


def _is_recipient(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(at) and not re.search(r"[\s\0#]", local) and _site.host_name_fault(domain) in (None, _NO_DOT)


_NO_DOT = _site.host_name_fault("x")


def control_faults(site: object) -> list[str]:
    """Give one sentence for each fault in what is declared beside the site's own variables.

    Args:
        site: a mapping with the keys of DOCUMENTATION's `_input`.

    Raises:
        AnsibleFilterError: if the input is not a mapping.
    """
    if not isinstance(site, Mapping):
        raise AnsibleFilterError(f"control_faults: wants a mapping of what is declared, not {_site._kind(site)}")
    control, virtual = site.get("control", {}), site.get("virtualdomains", {})
    more = site.get("more_recipients", [])
    faults: list[str] = []
    for name, value in control.items():
        faults += _control_file(name, value, bool(site.get("own_tree", True)))
    received = _received(site, control)
    for key, prefix in virtual.items():
        faults += _virtual(key, prefix, site, received)
    recipients = _site._is_list_of(_is_recipient, "not local@domain, local-@domain or @domain")
    faults += recipients("qmail_more_recipients", more)
    if site.get("checked", True):
        faults += [
            f"qmail_control: {_site._shown(line)} accepts mail for every name below a domain, and recipients there "
            "can't be listed; name each domain, or set qmail_recipients: []"
            for line in received
            if line.startswith(".")
        ]
    return faults


# --- what becomes of it ---


def control_files(control: Mapping[str, Any]) -> dict[str, Any]:
    """Split control files by who may read them, each as the text of its file; null ones are to be absent."""
    written = {name: value for name, value in control.items() if value is not None}
    secret = [name for name, value in written.items() if _is_secret(name, value)]
    return {
        "files": {name: _text(value) for name, value in written.items() if name not in secret},
        "secrets": {name: _text(written[name]) for name in secret},
        "absent": [name for name, value in control.items() if value is None],
    }


def valid_recipients(site: Mapping[str, Any]) -> list[str]:
    """Give the lines of control/validrcptto, each once; none where no local part is checked.

    Each of the recipients in each domain that is delivered to accounts, where * stands for all that are declared; the
    virtual addresses, and all addresses of a whole virtual domain; the declared addresses of other domains; and of a
    domain that mail is only accepted for, whose recipients nobody here knows, those that are named, else all.
    """
    if not site["recipients"]:
        return []
    control, virtual, more = site["control"], site["virtualdomains"], list(site["more_recipients"])
    local_domains = [line.lower() for line in _lines(control.get("locals") or control.get("me") or [])]
    declared = site.get("declared") or {"local_parts": [], "recipients": {"lines": [], "domains": []}}
    local_parts = [part for said in site["recipients"] for part in (declared["local_parts"] if said == "*" else [said])]
    lines = [f"{local}@{domain}" for local in local_parts for domain in local_domains]
    lines += [key.lower() if "@" in key else f"@{key.lower()}" for key in virtual]
    lines += declared["recipients"]["lines"] + more
    known = {line.rpartition("@")[2].lower() for line in lines} | {*local_domains, *declared["recipients"]["domains"]}
    accepted = [line.lower() for line in _lines([control.get("rcpthosts") or [], control.get("morercpthosts") or []])]
    return list(dict.fromkeys(lines + [f"@{domain}" for domain in accepted if domain not in known]))


def declared_control_files(site: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Give what control_files does, of all control files: those that follow from the site, and those that are said.

    Raises:
        AnsibleFilterError: with the first of the site's faults, if it has any.
    """
    try:
        declared = _site._graph.site_control(site)
    except ValueError as error:
        raise AnsibleFilterError(f"declared_control_files: {error}") from error
    aliases = dict(declared["alias_targets"]) if "*" in said["alias_targets"] else {}
    aliases |= {alias: targets for alias, targets in said["alias_targets"].items() if alias != "*"}
    lines = [f"{alias}:{targets}" for alias, targets in aliases.items()]
    named = {**said["derived"], **declared["files"], "aliastargets": lines, **said["control"]}
    valid = valid_recipients({**said, "control": named, "declared": declared})
    return control_files(named | {"validrcptto": valid or None})


def mailbox_extensions(virtual: Mapping[str, Any], users: Sequence[str]) -> dict[str, list[str]]:
    """Give, for each user whom virtual domains lead to, the extensions of the dot-qmail files that their mail goes by.

    A virtual address is one extension, a virtual domain is `default`; behind a prefix with a dash all is the user's own
    affair.
    """
    found: dict[str, list[str]] = {}
    for key, prefix in virtual.items():
        if prefix in users:
            local, at, _ = key.lower().rpartition("@")
            extension = local.replace(".", ":") if at else "default"
            found.setdefault(prefix, [])
            found[prefix] += [extension] if extension not in found[prefix] else []
    return found


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {
            "control_faults": control_faults,
            "control_files": control_files,
            "declared_control_files": declared_control_files,
            "valid_recipients": valid_recipients,
            "mailbox_extensions": mailbox_extensions,
        }
