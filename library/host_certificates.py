#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: the certificates of a mail host, from their sources to what its ports serve."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_certificates
short_description: Obtain, check, install and compare all certificates of a mail host
description:
  - Each certificate is obtained from its source if there is a reason to (the reasons are the same for every source),
    and refused, with one sentence that names the file and the cause, unless a server can really use it. Its bundle,
    chain and key in one file, is exchanged by one rename, and the bundle before is kept as C(NAME.pem.previous). A link
    for each service points to it; the host's own has the link O(default_link), too. Then each port that is up is asked
    for what it serves. If one serves something else, the bundle and the links before come back.
  - One after the other, each to its end. A fault of one leaves those behind it as they were.
  - Two runs at once, of plays or of certbot's own renewals, wait for each other; the second stops after two minutes,
    and says who is there.
  - What is left of certificates that are no longer declared holds keys, so it stays, and a warning names it.
options:
  certificates:
    description: The certificates, the host's own first.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of its bundle without C(.pem).
        type: str
        required: true
      names:
        description: Host names and IP addresses that it must cover, the first of which is its subject.
        type: list
        elements: str
        required: true
      services:
        description: Names of the services that serve it.
        type: list
        elements: str
        required: true
      source:
        description: Who puts chain and key in their places. With V(files), somebody else.
        type: str
        choices: [acme, files, selfsigned]
        required: true
      chain:
        description: PEM file with the server's certificate, then the ones between it and the root.
        type: path
        required: true
      key:
        description: PEM file with the key, not encrypted.
        type: path
        required: true
  force:
    description: Names of certificates that are had anew though they are not due.
    type: list
    elements: str
    default: []
  bundles:
    description: Directory of the bundles. Others may not write to it.
    type: path
    required: true
  bundle:
    description: What holds for each bundle.
    type: dict
    required: true
    suboptions:
      roots:
        description: PEM files with the roots that the host trusts. Those that are not there are passed over.
        type: list
        elements: path
        default: [/etc/ssl/certs/ca-certificates.crt]
      warn_days:
        description: Warn when a certificate has fewer days left.
        type: int
        default: 21
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
      mode:
        description: Mode in octal. Others may have no part in it.
        type: str
        default: "0600"
  default_link:
    description: Link to the host's own bundle. Empty is none.
    type: path
    default: ""
  ports:
    description: What a client meets, by the name of a service - its V(port), V(starttls), the V(link) under which the
      program there finds its bundle, and the V(feature) of the qmail in use without which it has no TLS.
    type: dict
    default: {}
  features:
    description: File that lists the features.
    type: path
    default: /opt/qmail-site/qmail/current/features
  verify:
    description: Ask the ports that are up, and go back where one serves something else.
    type: bool
    default: true
  key_type:
    description: Type of the keys of V(selfsigned) and V(acme).
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  renew_before_days:
    description: They are due when fewer days remain.
    type: int
    default: 30
  authority:
    description: For V(selfsigned), C(directory), C(common_name) and C(ca_days) of the authority, and C(days) of what it
      issues.
    type: dict
    default: {}
  keys:
    description: Directory of the keys that come after the present ones of V(selfsigned) and V(acme). Empty is none.
    type: path
    default: ""
  key_days:
    description: >-
      After so many days a key's successor takes its turn, if the DNS has that one's TLSA record, or none at all. 0 is
      never.
    type: int
    default: 0
  new_key:
    description: Names of certificates of O(force) that go on with the next key in any case.
    type: list
    elements: str
    default: []
  acme:
    description: For V(acme), the variables of the role that begin with C(certs_acme_), without that.
    type: dict
    default: {}
  wishes:
    description: File in which the host's own program finds what is wanted here. Empty is none.
    type: path
    default: ""
  to:
    description: Who that program writes to.
    type: str
    default: ""
  directories:
    description: Directories of root's that are made if they are not there, 0755.
    type: list
    elements: path
    default: []
  lock:
    description: File by which two runs at once wait for each other.
    type: path
    default: /run/qmail-site-certs.lock
  kept:
    description: Directories in which bundles, chains and keys may be left of certificates that are no longer declared.
    type: list
    elements: path
    default: []
  leave:
    description:
      - Only warn where a port doesn't serve what it must although nothing was exchanged for it, and give it as
        RV(ignore:unserved). For plays that mend the services afterwards, and ask then.
    type: bool
    default: false
requirements:
  - cryptography 38 or newer on the target (Debian package python3-cryptography)
attributes:
  check_mode:
    description: Says what would be had anew, checks what is there and compares it with what is served.
    support: full
  diff_mode:
    description: Shows subjects, names, dates and fingerprints, never anything of a key.
    support: full
author:
  - the qmail-site authors
"""

EXAMPLES = r"""
- name: Have a certificate of the host's own authority in place
  host_certificates:
    certificates:
      - name: mail.example.org
        names: [mail.example.org]
        services: [smtps]
        source: selfsigned
        chain: /etc/qmail-site/ca/issued/mail.example.org.pem
        key: /etc/qmail-site/ca/issued/mail.example.org.key
    authority: {directory: /etc/qmail-site/ca, common_name: CA of mail.example.org, ca_days: 3650, days: 90}
    bundles: /etc/stunnel
    bundle: {group: qmailtls, mode: "0640"}
    ports: {smtps: {port: 465, starttls: none, link: /etc/stunnel/smtps.pem}}
"""

RETURN = r"""
certificates:
  description: >-
    For each certificate, by its name, the facts of its bundle (RV(ignore:dest), RV(ignore:subject), RV(ignore:names),
    RV(ignore:not_before), RV(ignore:not_after), RV(ignore:days_left), RV(ignore:fingerprint), RV(ignore:chain),
    RV(ignore:key_type), RV(ignore:previous)), why it was had anew (RV(ignore:because), empty if it was not) and which
    services were seen to serve it (RV(ignore:served)). In check mode there are no facts where there is no certificate
    yet.
  type: dict
  returned: success
undeclared:
  description: Paths of bundles, chains and keys that belong to no certificate.
  type: list
  elements: str
  returned: success
unserved:
  description: With O(leave), what was not served, as options of the module tls_served, with C(fault), a sentence.
  type: list
  elements: dict
  returned: success
"""

import contextlib
import errno
import grp
import json
import os
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils import (  # type: ignore[attr-defined,unused-ignore]
    certbot,
    key_turn,
    pem_bundle,
    pem_chain,
    private_ca,
)
from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.host_paths import PathError, Way
from ansible.module_utils.host_wishes import LOCK, BusyError, alone, asked, bundle_of, not_served, running
from ansible.module_utils.pem_chain import RefusedError
from ansible.module_utils.whole_file import make_directory, write
from ansible.module_utils.words import is_dns_name


class PortError(Exception):
    """A port serves something else than its bundle."""


def point(link: Path, target: str) -> None:
    """Have LINK lead to TARGET, by one rename."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def target_of(link: Path) -> str | None:
    """Where LINK leads to, None if nothing is there. Raises RefusedError where something else is."""
    if link.is_symlink():
        return os.readlink(link)  # noqa: PTH115
    if link.exists():
        raise RefusedError(f"{link}: is there and is not a link; move it away")
    return None


class Host:
    """The certificates of a host."""

    def __init__(self, params: dict[str, Any], check_mode: bool) -> None:
        """Take what is wanted."""
        self.params, self.check_mode = params, check_mode
        self.diff: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self.unserved: list[dict[str, Any]] = []
        self.unmade: list[Path] = []
        self.followed = False
        self.up = asked(params, running()) if params["verify"] else set()

    def make(self, directory: Path) -> bool:
        """Have a directory that is root's and nobody else may write to; was there another, or none?"""
        if directory.is_dir():
            status = directory.stat()
            if (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o755):
                return False
        if not self.check_mode:
            make_directory(directory)
            os.chown(directory, os.geteuid(), os.getegid())
            directory.chmod(0o755)
        else:
            self.unmade.append(directory)
        self.diff.append({"before": "", "after": f"the directory {directory} with the mode 0755\n"})
        return True

    def guard(self) -> bool:
        """Have the authority, what it issued and all next keys be root's, keys for nobody else; was it otherwise?"""
        own = [each for each in self.params["certificates"] if each["source"] == "selfsigned"]
        wanted: dict[Path, int] = {}
        if own:
            authority = Path(self.params["authority"]["directory"])
            wanted = {authority: 0o755, authority / "ca.key": 0o600, authority / "ca.pem": 0o644}
        for each in own:
            chain, key = Path(each["chain"]), Path(each["key"])
            wanted |= {chain.parent: 0o700, key: 0o600, chain: 0o644}
        for successor in filter(None, map(self.successor, self.params["certificates"])):
            wanted |= {successor.path.parent: 0o700, successor.path: 0o600}
        way = Way()
        shut = [self.shut(way, path, mode) for path, mode in wanted.items()]
        return any(shut)

    def shut(self, way: Way, path: Path, mode: int) -> bool:
        """Have one thing that is there be root's, with this mode; was it otherwise?

        Raises PathError where somebody else may have put another thing there: its mode would be that of a key's chain.
        Not in check mode, where nothing is written, and what mends the place before this has not done so.
        """
        try:
            if not self.check_mode:
                path = way.directory(str(path.parent)) / path.name
            have = path.lstat()
        except FileNotFoundError:
            return False
        is_so = (have.st_uid, stat.S_IMODE(have.st_mode))
        if is_so == (os.geteuid(), mode) or stat.S_ISLNK(have.st_mode):
            return False
        if not self.check_mode:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.fchown(fd, os.geteuid(), os.getegid())
                os.fchmod(fd, mode)
            finally:
                os.close(fd)
        self.diff.append({
            "before_header": str(path), "after_header": str(path),
            "before": f"uid {is_so[0]}, mode {is_so[1]:04o}\n", "after": f"uid {os.geteuid()}, mode {mode:04o}\n",
        })  # fmt: skip
        if path.suffix == ".key":
            way_out = (
                "remove it, and publish the record of the one that is made then"
                if str(path.parent) == self.params["keys"]
                else "have another one (-e certs_force_renew=true -e certs_new_key=true; for the authority's own, move "
                "its directory away)"
            )
            self.warnings.append(
                f"{path}: was of uid {is_so[0]}, with mode {is_so[1]:04o}; if somebody has read it, {way_out}"
            )
        return True

    def obtain(self, certificate: dict[str, Any]) -> str:
        """Have chain and key in their places; say why they were had anew."""
        wish = {key: self.params[key] for key in ("key_type", "renew_before_days")}
        wish |= {"names": certificate["names"], "force": certificate["name"] in self.params["force"]}
        pair = Path(certificate["chain"]), Path(certificate["key"])
        because = ""
        successor = self.successor(certificate)
        if successor is not None:
            wish |= self.turn(successor, certificate)
        if certificate["source"] == "selfsigned":
            because = private_ca.obtain(pair, wish, self.params["authority"], self.check_mode)
        elif certificate["source"] == "acme":
            because = certbot.obtain(pair, certificate["name"], wish, self.params["acme"], self.check_mode)
        if successor is not None:
            self.follow(successor, pair[1])
        return because

    def successor(self, certificate: dict[str, Any]) -> key_turn.Next | None:
        """The key after a certificate's present one; None where keys are somebody else's."""
        if not self.params["keys"] or certificate["source"] == "files":
            return None
        return key_turn.Next(Path(self.params["keys"]), certificate["name"], self.params["key_type"])

    def turn(self, successor: key_turn.Next, certificate: dict[str, Any]) -> dict[str, Any]:
        """Whether the key's turn has come, for reason_to_renew; only SMTP has records to wait for."""
        asked = certificate["name"] in self.params["new_key"]
        wish = {"key_days": self.params["key_days"], "new_key": asked}
        names = certificate["names"] if "smtp" in certificate["services"] else []
        names = [name for name in names if is_dns_name(name) and not name.startswith("*")]
        why, waits = key_turn.turn(successor, names, wish, note=not self.check_mode)
        if waits:
            self.warnings.append(f"{certificate['name']}: its key is old, and stays: {pem_chain.printable(waits)}")
        return {"turn": why, "next": successor.key()}

    def follow(self, successor: key_turn.Next, present: Path) -> None:
        """Have a next key that is another one than the present."""
        key = successor.key()
        with contextlib.suppress(RefusedError):  # check mode: there is no present one yet
            if key is not None and not pem_chain.same_key(key.public_key(), pem_chain.load_key(present).public_key()):
                return
        if not self.check_mode:
            successor.make()
        self.diff.append({"before": "", "after": f"a next key, {successor.path}\n"})
        self.followed = True

    def links(self, certificate: dict[str, Any]) -> dict[Path, str]:
        """Where each link of a certificate is to lead to. The host's own is behind two, so that its name is once."""
        bundle = Path(bundle_of(certificate, self.params)["dest"])
        default = self.params["default_link"]
        services = [Path(self.params["ports"][service]["link"]) for service in certificate["services"]]
        wanted = dict.fromkeys(services, bundle)
        if default and certificate is self.params["certificates"][0]:
            wanted = {Path(default): bundle} | dict.fromkeys(services, Path(default))
        return {link: target.name if link.parent == target.parent else str(target) for link, target in wanted.items()}

    def lead(self, links: dict[Path, str]) -> dict[Path, str | None]:
        """Have the links lead where they are to; give where those that were changed led before."""
        before = {link: have for link, target in links.items() if (have := target_of(link)) != target}
        for link, have in before.items():
            if not self.check_mode:
                point(link, links[link])
            self.diff.append({
                "before_header": str(link), "after_header": str(link),
                "before": f"link to {have}\n" if have else "", "after": f"link to {links[link]}\n",
            })  # fmt: skip
        return before

    def go_back(self, bundle: dict[str, Any], made: dict[str, Any], links: dict[Path, str | None]) -> str:
        """Have the bundle and the links that were in use before; say what is in use now."""
        # What led to no bundle was no better before.
        links = {link: have for link, have in links.items() if have and pem_bundle.look(link.parent / have)[0]}
        for link, have in links.items():
            point(link, str(have))
        if made["changed"] and made["previous"]:
            try:
                pem_bundle.back(bundle | {"fingerprint": made["fingerprint"]}, check_mode=False)
            except RefusedError as error:
                return str(error)
            return f"{bundle['dest']} is again the bundle that was in use before"
        if links:
            return "The services are again at the bundles that they had before"
        return f"See the log of the service; {bundle['dest']} was not exchanged in this run"

    def possible(self, certificate: dict[str, Any]) -> bool:
        """Is there what the bundle needs, and what earlier tasks would have made on a fresh host (check mode)?"""
        with contextlib.suppress(KeyError):
            grp.getgrnam(self.params["bundle"]["group"])
            bundles = Path(self.params["bundles"])
            return Path(certificate["chain"]).exists() and bundles.is_dir() and bundles not in self.unmade
        return False

    def have(self, certificate: dict[str, Any]) -> dict[str, Any]:
        """Have one certificate in place and served; give its facts. Raises RefusedError, OSError."""
        bundle = bundle_of(certificate, self.params)
        because = self.obtain(certificate)
        if self.check_mode and because:
            self.diff.append({
                "before_header": bundle["dest"], "after_header": bundle["dest"],
                "before": "", "after": f"a new certificate: {because}\n",
            })  # fmt: skip
        if self.check_mode and (because or not self.possible(certificate)):
            self.lead(self.links(certificate))
            return {"because": because, "changed": True}
        made: dict[str, Any] = pem_bundle.run(bundle, self.check_mode)
        if made["changed"]:
            self.diff.append(made["diff"])
        if warning := made.pop("warning", ""):
            self.warnings.append(warning)
        links = self.lead(self.links(certificate))
        del made["diff"]
        services = [service for service in certificate["services"] if service in self.up]
        if self.check_mode and (made["changed"] or links):
            services = []
        faults = {service: not_served(service, certificate, self.params, made["fingerprint"]) for service in services}
        for service in [service for service in services if faults[service] and self.may_be_left(service, made, links)]:
            self.unserved.append({
                "port": self.params["ports"][service]["port"],
                "starttls": self.params["ports"][service]["starttls"],
                "name": certificate["names"][0],
                "fingerprint": made["fingerprint"],
                "fault": faults.pop(service),
            })  # fmt: skip
        if any(faults.values()):
            raise PortError(f"{'; '.join(filter(None, faults.values()))}. {self.go_back(bundle, made, links)}")
        services = list(faults)
        return made | {"because": because, "served": services, "changed": bool(made["changed"] or links or because)}

    def may_be_left(self, service: str, made: dict[str, Any], links: dict[Path, str | None]) -> bool:
        """Is that the service doesn't serve its certificate no matter of this exchange, and somebody else's to mend?"""
        exchanged = {self.params["ports"][service]["link"], self.params["default_link"]} & {str(link) for link in links}
        return bool(self.params["leave"]) and not made["changed"] and not exchanged

    def tell(self) -> bool:
        """Have what the host's own program goes by; was it another?"""
        wishes = {
            key: self.params[key] for key in ("bundle", "bundles", "certificates", "features", "keys", "ports", "to")
        }
        content = json.dumps(wishes, indent=4, sort_keys=True) + "\n"
        path = Path(self.params["wishes"])
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        have = path.lstat() if path.exists() else None
        is_own = have is not None and (have.st_uid, have.st_mode) == (os.geteuid(), stat.S_IFREG | 0o644)
        if before == content and is_own:
            return False
        if not self.check_mode:
            write(path, content.encode(), 0o644)
        # Its owner and mode are nothing to be seen in its lines.
        other = "" if have is None or is_own else "(of somebody else, or with another mode)\n"
        self.diff.append({
            "before_header": str(path), "after_header": str(path), "before": before + other, "after": content
        })  # fmt: skip
        return True

    def undeclared(self) -> list[str]:
        """Bundles, chains and keys that belong to no certificate."""
        names = {each["name"] for each in self.params["certificates"]}
        return [
            pem_chain.printable(str(path))
            for directory in map(Path, self.params["kept"])
            if directory.is_dir()
            for path in sorted(directory.iterdir())
            if path.suffix in (".pem", ".key") and path.is_file() and not path.is_symlink() and path.stem not in names
        ]

    def apply(self) -> dict[str, Any]:
        """Have all of it; give the module's result."""
        made = [self.make(Path(directory)) for directory in self.params["directories"]] + [self.guard()]
        facts = {}
        for certificate in self.params["certificates"]:
            bundle = f"{self.params['bundles']}/{certificate['name']}.pem"
            try:
                facts[certificate["name"]] = self.have(certificate)
            except RefusedError as error:
                raise RefusedError(f"{error}; {bundle} stays as it was") from error
        told = bool(self.params["wishes"]) and self.tell()
        changed = [each.pop("changed") for each in facts.values()]
        return {
            "changed": told or self.followed or any(changed + made),
            "certificates": facts,
            "undeclared": self.undeclared(),
            "unserved": self.unserved,
            "diff": self.diff,
        }


def main() -> None:
    """Run as an Ansible module."""
    certificate = {
        "name": {"type": "str", "required": True},
        "names": {"type": "list", "elements": "str", "required": True},
        "services": {"type": "list", "elements": "str", "required": True},
        "source": {"type": "str", "choices": ["acme", "files", "selfsigned"], "required": True},
        "chain": {"type": "path", "required": True},
        "key": {"type": "path", "required": True, "no_log": False},
    }
    bundle = {
        "roots": {"type": "list", "elements": "path", "default": ["/etc/ssl/certs/ca-certificates.crt"]},
        "warn_days": {"type": "int", "default": 21},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str", "default": "0600"},
    }
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": certificate},
            "force": {"type": "list", "elements": "str", "default": []},
            "bundles": {"type": "path", "required": True},
            "bundle": {"type": "dict", "required": True, "options": bundle},
            "default_link": {"type": "path", "default": ""},
            "ports": {"type": "dict", "default": {}},
            "features": {"type": "path", "default": "/opt/qmail-site/qmail/current/features"},
            "verify": {"type": "bool", "default": True},
            "key_type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa", "no_log": False},
            "renew_before_days": {"type": "int", "default": 30},
            "keys": {"type": "path", "default": "", "no_log": False},
            "key_days": {"type": "int", "default": 0, "no_log": False},
            "new_key": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "authority": {"type": "dict", "default": {}},
            "acme": {"type": "dict", "default": {}},
            "wishes": {"type": "path", "default": ""},
            "to": {"type": "str", "default": ""},
            "directories": {"type": "list", "elements": "path", "default": []},
            "lock": {"type": "path", "default": LOCK},
            "kept": {"type": "list", "elements": "path", "default": []},
            "leave": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if not pem_chain.HAVE_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography", reason="to check certificates"))
    host = Host(module.params, module.check_mode)
    turn = contextlib.nullcontext() if module.check_mode else alone(Path(module.params["lock"]), "a play")
    try:
        with turn:
            result = host.apply()
    except (PathError, RefusedError, PortError, BusyError) as error:
        module.fail_json(msg=f"certs: {error}", diff=host.diff)
    except OSError as error:
        full = "; the old bundle stays" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        module.fail_json(msg=f"certs: {error.filename or module.params['bundles']}: {error.strerror}{full}")
    if result["undeclared"]:
        host.warnings.append(
            f"{', '.join(result['undeclared'])}: of no certificate that is declared (mail_certificates); no service "
            "uses it. Declare the certificate, or remove the file"
        )
    host.warnings += [f"{each['fault']}; left to what mends the services" for each in result["unserved"]]
    for warning in host.warnings:
        module.warn(f"certs: {warning}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
