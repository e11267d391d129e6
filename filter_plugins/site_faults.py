"""Filter `site_faults`: everything that is wrong with the variables that describe a site, in sentences."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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

# useradd(8) on Debian, less the upper case that qmail would fold away.
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]*")
# What a dot-qmail file's name can carry and every mail client sends without quotes.
_LOCAL_PART = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")
# crypt(5): yescrypt, gost-yescrypt, scrypt, bcrypt, sha512crypt, sha256crypt. Older ones are searched in hours.
_STRONG_HASH = re.compile(
    r"\$(?:y|gy)\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}"
    r"|\$7\$[./A-Za-z0-9]{11,97}\$[./A-Za-z0-9]{43}"
    r"|\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"
    r"|\$6\$(?:rounds=\d{1,9}\$)?[^$:\n]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$5\$(?:rounds=\d{1,9}\$)?[^$:\n]{1,16}\$[./A-Za-z0-9]{43}"
)
_WEAK_HASH = re.compile(r"\$(?:1|md5|sha1|3)[$,].*|[./A-Za-z0-9]{13}|_[./A-Za-z0-9]{19}")
_MAKE_A_HASH = "make one with `mkpasswd --method=yescrypt`"
# No password fits these (shadow(5)): the user can't log in, and still receives mail. A locked hash stays behind a "!".
_NO_LOG_IN = re.compile(r"[*!]+")
_USER_KEYS = ("name", "password_hash", "password", "aliases")
_MAKE_ONE = "make one with `openssl rand -base64 15`, and keep it in Ansible's vault"
# In characters; and in bytes, so that checkpassword's 512 have room for an address beside it.
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 8, 200
# Names that the host or the suite itself uses.
_TAKEN = frozenset({
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data",
    "backup", "list", "irc", "nobody", "sshd", "messagebus", "_apt", "alias", "qmaild", "qmaill", "qmailp", "qmailpop",
    "qmailq", "qmailr", "qmails",
})  # fmt: skip
# Shorter prefixes than these are not anybody's own network.
_WIDEST = {4: 8, 6: 8}


def _shown(value: object) -> str:
    text = str(value)
    if len(text) > 60:
        text = text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + '"'


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, Sequence) else "something else"


def host_name_fault(name: str) -> str | None:
    """Say what keeps a text from being the name of an Internet host (RFC 1123, section 2.1), or give None."""
    if not name:
        return "it is empty"
    if not name.isascii():
        return "it has letters outside ASCII; write an international name in its xn-- form"
    if len(name) > 253:
        return f"{len(name)} characters; 253 is the most"
    if name.endswith("."):
        return "it ends in a dot"
    labels = name.split(".")
    for label in labels:
        if not label:
            return "empty label"
        if len(label) > 63:
            return f"the label {_shown(label)} has {len(label)} characters; 63 is the most"
        wrong = next((c for c in label if not (c.isalnum() or c == "-")), None)
        if wrong is not None:
            return f"{_shown(wrong)} can't be part of one"
        if label.startswith("-") or label.endswith("-"):
            return f"the label {_shown(label)} begins or ends with a hyphen"
    if len(labels) < 2:
        return "it has no dot, so no other host can find it"
    if labels[-1].isdigit():
        return "it ends in a number, as an address does"
    return None


def _fqdn(where: str, name: Any) -> Iterator[str]:
    if fault := host_name_fault(str(name)):
        yield f"{where}: {_shown(name)} is not a full host name ({fault})"
    elif str(name).lower() == "localhost.localdomain":
        yield f"{where}: {_shown(name)} is every host's name; give the name that the MX record points to"


def _list(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        yield f"{where}: is {_kind(value)}, not a list"


def _domains(variable: str, domains: Any) -> Iterator[str]:
    if not domains:
        yield f"{variable}: is empty; name at least one domain that this host receives mail for"
    seen: dict[str, int] = {}
    for index, domain in enumerate(domains):
        where = f"{variable}[{index}]"
        if not isinstance(domain, str):
            yield f"{where}: is {_kind(domain)}, not a host name"
        elif fault := host_name_fault(domain):
            yield f"{where}: {_shown(domain)} is not a host name ({fault})"
        elif domain.lower() in seen:
            yield f"{where}: {_shown(domain)} is already {variable}[{seen[domain.lower()]}]"
        else:
            seen[domain.lower()] = index


def _password(where: str, user: Mapping[str, Any]) -> Iterator[str]:
    value = user["password"]
    if user.get("password_hash") is not None:
        yield f"{where}: has a password and a password_hash; leave one of them out"
    if not isinstance(value, str):
        yield f"{where}: password is {_kind(value)}, not a string; {_MAKE_ONE}"
        return
    # A file or a vault often ends in a newline.
    value = value.removesuffix("\n")
    if _STRONG_HASH.fullmatch(value.strip().lstrip("!")) or _NO_LOG_IN.fullmatch(value):
        yield f"{where}: password is what belongs into password_hash; rename it"
    elif not value.isprintable():
        yield f"{where}: password has a control character, which no client can send; {_MAKE_ONE}"
    elif len(value.strip()) < _SHORTEST_PASSWORD or value == user.get("name"):
        why = f"it has fewer than {_SHORTEST_PASSWORD} characters or is the name"
        yield f"{where}: password can be guessed, {why}; {_MAKE_ONE}"
    elif len(value.encode(errors="replace")) > _LONGEST_PASSWORD:
        yield f"{where}: password has more than {_LONGEST_PASSWORD} bytes, which not every client sends; {_MAKE_ONE}"


def _password_hash(where: str, user: Mapping[str, Any]) -> Iterator[str]:
    if "password" in user:
        yield from _password(where, user)
        return
    value = user.get("password_hash")
    if value is None or value == "":
        yield f'{where}: has no password_hash; {_MAKE_A_HASH}, or say "*" for a user who shall not log in'
        return
    if not isinstance(value, str):
        yield f"{where}: password_hash is {_kind(value)}, not a string; {_MAKE_A_HASH}"
        return
    # A file or a vault often ends in a newline; a locked hash counts as the hash.
    value = value.strip()
    if _NO_LOG_IN.fullmatch(value) or _STRONG_HASH.fullmatch(value.lstrip("!")):
        return
    if _WEAK_HASH.fullmatch(value):
        yield f"{where}: password_hash is of a method that is too weak to keep; {_MAKE_A_HASH}"
    else:
        yield f"{where}: password_hash is not a hash of crypt(5) (a clear password, or a cut line?); {_MAKE_A_HASH}"


def _user_name(where: str, name: object) -> Iterator[str]:
    if not isinstance(name, str) or not name:
        yield f"{where}: has no name"
    elif len(name) > 32:
        yield f"{where}: the name {_shown(name)} has {len(name)} characters; 32 is the most"
    elif not _USER_NAME.fullmatch(name):
        yield (
            f"{where}: {_shown(name)} is not a user name (small letters, digits, - and _, and no digit or - in front)"
        )
    elif name in _TAKEN:
        yield f"{where}: the name {_shown(name)} belongs to the system"


def _users(variable: str, users: Any) -> Iterator[str]:
    if not users:
        yield f"{variable}: is empty; name at least one user, who then gets the postmaster's mail"
    # Every local part that is spoken for, and by whom.
    taken: dict[str, str] = {}
    for index, user in enumerate(users):
        if isinstance(user, Mapping) and isinstance(name := user.get("name"), str) and name:
            where = f"{variable}[{index}] ({name})" if name.isprintable() else f"{variable}[{index}]"
            if name in taken:
                yield f"{where}: the name {_shown(name)} is already that of {taken[name]}"
            taken.setdefault(name, f"{variable}[{index}]")
    for index, user in enumerate(users):
        where = f"{variable}[{index}]"
        if not isinstance(user, Mapping):
            yield f"{where}: is {_kind(user)}, not a mapping with name and password_hash"
            continue
        name = user.get("name")
        yield from _user_name(where, name)
        if isinstance(name, str) and _USER_NAME.fullmatch(name):
            where += f" ({name})"
        yield from _password_hash(where, user)
        for key in user:
            if key not in _USER_KEYS:
                yield f"{where}: {_shown(key)} means nothing here; a user has {', '.join(_USER_KEYS)}"
        yield from _aliases(where, index, user.get("aliases", []), taken)


def _is_local_part(value: str) -> bool:
    return len(value) <= 64 and _LOCAL_PART.fullmatch(value) is not None


def _aliases(where: str, index: int, aliases: object, taken: dict[str, str]) -> Iterator[str]:
    yield from (not_a_list := list(_list(f"{where}: aliases", aliases)))
    if not_a_list or not isinstance(aliases, Sequence):
        return
    for alias in aliases:
        if not isinstance(alias, str):
            yield f"{where}: an alias is {_kind(alias)}, not a local part"
        elif not _is_local_part(alias):
            yield (
                f"{where}: the alias {_shown(alias)} is not a local part (what stands before the @, in small letters, "
                "digits and . _ + -, at most 64)"
            )
        elif alias in taken:
            yield f"{where}: the alias {_shown(alias)} is already that of {taken[alias]}"
        else:
            taken[alias] = f"mail_users[{index}]"


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


def _postmaster(name: object, users: Sequence[object]) -> Iterator[str]:
    names = [user.get("name") for user in users if isinstance(user, Mapping)]
    if name not in names:
        known = ", ".join(str(n) for n in names if isinstance(n, str)) or "none"
        yield f"mail_postmaster: {_shown(name)} is not the name of one of mail_users ({known})"


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


def _is_host(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return host_name_fault(value if "." in value else f"{value}.local") is None
    return True


def _is_site(value: str) -> bool:
    return re.fullmatch(r"https?://[!-~]+/|(file://)?/[!-~]*", value) is not None


def _is_list_of(good: Callable[[str], bool], objection: str) -> Callable[[str, object], Iterator[str]]:
    def check(where: str, value: Any) -> Iterator[str]:
        for index, each in enumerate(value):
            if not isinstance(each, str) or not good(each):
                yield f"{where}[{index}]: {_shown(each)} is {objection}"

    return check


_CHECKS: dict[str, Callable[[str, Any], Iterator[str]]] = {
    "mail_fqdn": _fqdn,
    "mail_domains": _domains,
    "mail_users": _users,
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
    "mail_offices": _is_list_of(_is_local_part, "not a local part, such as postmaster"),
    # RFC 5321 section 4.5.3.1.7: no less than 64 KiB.
    "mail_message_size": _is_count("bytes", 65536, 4294967295, zero=True),
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
    faults: list[str] = []
    for name, check in _CHECKS.items():
        if name in site:
            faults += check(name, site[name])
    if site.get("mail_users") and "mail_postmaster" in site:
        faults += _postmaster(site["mail_postmaster"], site["mail_users"])
    return faults


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give the filters by name."""
        return {"site_faults": site_faults}
