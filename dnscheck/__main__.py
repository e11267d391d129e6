"""bin/dns: what it is asked for, what it finds, what it prints. What it promises is in arguments.ABOUT."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dnscheck import inventory, update
from dnscheck.arguments import parser
from dnscheck.look import Outcome, look
from module_utils import dns_records
from module_utils.dns_records import Site, mta_sts, tsig
from module_utils.dns_records.compare import Change, needs
from module_utils.dns_records.words import shown
from module_utils.name_servers import Names, server

WELL, AMISS, UNASKED, SILENT = 0, 1, 2, 3
PATIENCE = 30
"""Seconds in which the servers should have what was written into the primary one."""


class DnsError(Exception):
    """The command can't do what it is asked for; the text says why."""


def description(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is known of the site. Raises DnsError."""
    if (arguments.site is None) == (arguments.inventory is None):
        raise DnsError("say which site: -i INVENTORY, or --site FILE")
    if arguments.site is None:
        try:
            return inventory.described(
                arguments.inventory, arguments.host or "", arguments.from_host, arguments.ansible
            )
        except inventory.InventoryError as error:
            raise DnsError(str(error)) from None
    return read_file(arguments.site)


def read_file(path: Path) -> dict[str, Any]:
    """A description from a file. Raises DnsError."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DnsError(f"--site {path}: {error}") from None
    if not isinstance(said, dict):
        raise DnsError(f"--site {path}: is not a mapping")
    return said


def names_of(arguments: argparse.Namespace) -> Names:
    """Who is asked. Raises DnsError."""
    if not 0 < arguments.port < 65536:
        raise DnsError(f"--port {arguments.port}: is no port")
    try:
        servers = [server(text, arguments.port) for text in arguments.server]
        also = [server(text, arguments.port) for text in arguments.also]
        resolvers = [server(text, arguments.port) for text in arguments.resolver]
    except ValueError as error:
        raise DnsError(str(error)) from None
    return Names(resolvers, servers, also, arguments.port, arguments.deadline)


def secretless(said: dict[str, Any]) -> dict[str, Any]:
    """A description for others to see."""
    return {key: value for key, value in said.items() if key != "update"}


def wanted_updater(said: dict[str, Any]) -> update.Updater:
    """What writes records. Raises DnsError where nothing may."""
    key = said.get("update")
    if not key:
        raise DnsError("--update: no key for it is declared; docs/deliverability.md says what dns_update is")
    if found := tsig.faults(key):
        raise DnsError("\n".join(found))
    return update.Updater(key)


def mend(
    site: Site, updater: update.Updater, ask: Callable[[], Outcome], outcome: Outcome
) -> tuple[Outcome, list[Change]]:
    """Write what is amiss; give what is there afterwards, and what was written. Raises UpdateError."""
    changes = dns_records.changes(outcome.findings, lambda name: updater.zone_of(name) is not None)
    made = updater.update(changes, site.ttl)
    end = time.monotonic() + PATIENCE
    while made:
        outcome = ask()
        left = dns_records.changes(outcome.findings, lambda name: updater.zone_of(name) is not None)
        if not left or time.monotonic() >= end:
            break
        time.sleep(1)
    return outcome, made


def foreign(updater: update.Updater, changes: list[Change]) -> str:
    """A sentence about the names that want a change and are in no zone that may be written; empty without any."""
    names = dict.fromkeys(each.name for each in changes if updater.zone_of(each.name) is None)
    zones = ", ".join(updater.zones)
    return f"  not written, in none of dns_update.zones ({zones}): {', '.join(names)}" if names else ""


def as_json(site: Site, outcome: Outcome, written: list[Change]) -> str:
    """All of it as one JSON object."""
    required, recommended = needs(outcome.findings)
    return json.dumps({
        "host": site.fqdn,
        "ok": not required and not outcome.troubles,
        "required": required,
        "recommended": recommended,
        "records": [
            {
                "status": each.status,
                "need": each.need,
                "type": each.rule.type,
                "name": each.rule.name,
                "value": each.record.value if each.record else "",
                "found": each.found,
                "why": each.record.why if each.record else each.rule.why,
                "note": each.note,
                "servers": each.servers,
            }
            for each in outcome.findings
        ],
        "troubles": outcome.troubles,
        "not_asked": [f"{rule.type} {rule.name}" for rule in outcome.unasked],
        "not_yet": dns_records.not_yet(site),
        "written": [f"{each.type} {each.name}" for each in written],
    })  # fmt: skip


def in_words(
    site: Site, outcome: Outcome, written: list[Change], every: bool, updater: update.Updater | None = None
) -> str:
    """All of it for people. The last line is the sum, which is what dns.yml fails with."""
    lines = [dns_records.table(outcome.findings, dns_records.not_yet(site), every)]
    lines += [f"  written      {each.type:<6} {each.name}" for each in written]
    if updater is not None and (left := foreign(updater, dns_records.changes(outcome.findings))):
        lines.append(left)
    lines += [f"  no answer: {shown(sentence, 400)}" for sentence in outcome.troubles]
    # What is told of a name once is not told again of each of its records.
    told = {sentence.partition(": ")[0] for sentence in outcome.troubles}
    lines += [f"  not asked:   {rule.type:<6} {rule.name}" for rule in outcome.unasked if rule.name not in told]
    lines.append(f"  {site.fqdn}: {dns_records.summary(outcome.findings)}")
    return "\n".join(lines)


def code_of(outcome: Outcome, strict: bool) -> int:
    """The exit code."""
    required, recommended = needs(outcome.findings)
    if required or (strict and recommended):
        return AMISS
    return SILENT if outcome.troubles or outcome.unasked else WELL


def unasked(arguments: argparse.Namespace, site: Site) -> int:
    """Print what is needed, and ask nobody."""
    rules, not_yet = dns_records.rules(site), dns_records.not_yet(site)
    if arguments.form == "zone":
        print(dns_records.zone(rules, site.ttl, not_yet), end="")
    elif arguments.form == "nsupdate":
        print(dns_records.nsupdate(dns_records.additions(rules), site.ttl), end="")
    elif arguments.form == "json":
        print(json.dumps({"host": site.fqdn, "records": [
            {"type": each.type, "name": each.name, "value": each.value, "need": each.need, "why": each.why}
            for rule in rules for each in rule.wanted
        ], "not_yet": not_yet}))  # fmt: skip
    else:
        print(dns_records.wanted_table(rules, not_yet), end="")
    return WELL


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for; give the exit code. Raises DnsError, UpdateError."""
    said = description(arguments)
    if found := dns_records.faults(said):
        raise DnsError("\n".join(found))
    site = dns_records.read(said)
    if arguments.form == "describe":
        print(json.dumps(secretless(said), indent=2, sort_keys=True))
        return WELL
    if arguments.form == "policy":
        print(mta_sts.policy(site.mta_sts or "none", site.mx, site.mta_sts_age), end="")
        return WELL
    updater = wanted_updater(said) if arguments.update else None
    if arguments.offline or (arguments.form == "zone" and updater is None):
        return unasked(arguments, site)

    def ask() -> Outcome:
        return look(site, dns_records.rules(site), names_of(arguments))

    written: list[Change] = []
    outcome = ask()
    if updater is not None:
        outcome, written = mend(site, updater, ask, outcome)
    if arguments.form == "json":
        print(as_json(site, outcome, written))
    elif arguments.form == "nsupdate":
        print(dns_records.nsupdate(dns_records.changes(outcome.findings), site.ttl, outcome.zones), end="")
    elif arguments.form == "zone":
        print(dns_records.zone(dns_records.rules(site), site.ttl, dns_records.not_yet(site)), end="")
    else:
        print(in_words(site, outcome, written, arguments.all, updater))
    # Those forms have no place for it, and an empty one would pass for a zone that lacks nothing.
    if arguments.form in ("nsupdate", "zone"):
        for sentence in outcome.troubles:
            print(f"dns: no answer: {shown(sentence, 400)}", file=sys.stderr)
    return code_of(outcome, arguments.strict)


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments = parser().parse_args(words)
    try:
        return run(arguments)
    except (DnsError, update.UpdateError) as error:
        for line in str(error).splitlines():
            print(f"dns: {line}", file=sys.stderr)
        return UNASKED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
