"""A site's records, held against what each server with authority says."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from module_utils.dns_records import DIFFERENT, RIGHT, Finding, Rule, Site, compare, merge, spf
from module_utils.dns_records.spf import VERSION
from module_utils.name_servers import Names, NoAnswerError, Server, Zone

WORKERS = 8


@dataclass(slots=True)
class Outcome:
    """All that was found."""

    findings: list[Finding] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """Sentences about servers that gave no answer, and what was not asked for that."""
    unasked: list[Rule] = field(default_factory=list)
    zones: dict[str, str] = field(default_factory=dict)
    """The zone of each name."""

    def trouble(self, sentence: str) -> None:
        """Remember a sentence, once."""
        if sentence not in self.troubles:
            self.troubles.append(sentence)


def look(site: Site, rules: Sequence[Rule], names: Names) -> Outcome:
    """Ask every server of each record's zone, and compare."""
    outcome = Outcome()
    by_zone: dict[str, tuple[Zone, list[Rule]]] = {}
    for rule in rules:
        try:
            zone = names.zone(rule.name)
        except NoAnswerError as error:
            outcome.trouble(str(error))
            outcome.unasked.append(rule)
            continue
        outcome.zones[rule.name] = zone.name
        by_zone.setdefault(zone.name, (zone, []))[1].append(rule)
    said: dict[int, list[Finding]] = {}
    for zone, its_rules in by_zone.values():
        for sentence in zone.silent:
            outcome.trouble(sentence)
        said |= _zone(site, zone, its_rules, names, outcome)
    for rule in rules:
        outcome.findings += said.get(id(rule), [])
    _judge_spf(site, names, outcome)
    _judge_tlsa(names, outcome)
    return outcome


def _zone(site: Site, zone: Zone, rules: Sequence[Rule], names: Names, outcome: Outcome) -> dict[int, list[Finding]]:
    """What its servers say together of each rule, by the rule's id()."""
    by_rule: dict[int, dict[str, list[Finding]]] = {id(rule): {} for rule in rules}

    def ask(server: Server) -> None:
        for rule in rules:
            try:
                by_rule[id(rule)][str(server)] = _findings(site, rule, server, names)
            except NoAnswerError as error:
                outcome.trouble(f"{zone.name}: {error}")

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(ask, zone.servers))
    outcome.unasked += [rule for rule in rules if not by_rule[id(rule)]]
    return {key: merge(by_server) for key, by_server in by_rule.items()}


def _findings(site: Site, rule: Rule, server: Server, names: Names) -> list[Finding]:
    texts = names.answer(server, rule.name, rule.type)
    if rule.type != "CNAME" or texts:
        return compare(rule, texts)
    # A name may as well have addresses of its own.
    addresses = names.answer(server, rule.name, "A") + names.answer(server, rule.name, "AAAA")
    if not addresses:
        return compare(rule, [])
    (record,) = rule.wanted
    is_ours = record.value != site.fqdn or not site.addresses or set(addresses) <= set(site.addresses)
    note = "" if is_ours else f"it leads elsewhere than {site.fqdn}"
    return [Finding(rule, RIGHT if is_ours else DIFFERENT, record, ", ".join(addresses), record.need, note)]


def _judge_spf(site: Site, names: Names, outcome: Outcome) -> None:
    """What an SPF record costs, and whether another one than ours does as well."""
    for finding in outcome.findings:
        if finding.rule.mark != VERSION or finding.record is None:
            continue
        text, name = finding.found, finding.rule.name
        if not text:
            continue
        cost = spf.cost(text, name, names.authoritative)
        finding.note = "; ".join(cost.faults)
        if not cost.well:
            finding.status, finding.need = DIFFERENT, finding.record.need
            continue
        finding.note = f"{cost.lookups} of {spf.LOOKUPS_MOST} look-ups"
        if finding.status == DIFFERENT and site.addresses and not finding.servers:
            results = {each: spf.result(text, name, each, names.authoritative) for each in site.addresses}
            refused = [f"{each}: {result}" for each, result in results.items() if result != "pass"]
            if refused:
                finding.note += f"; {', '.join(refused)}"
            else:
                finding.status = RIGHT
                finding.note += f"; another text than ours, which lets this host pass as well: {text}"


def _judge_tlsa(names: Names, outcome: Outcome) -> None:
    """TLSA records count only in a signed zone (RFC 7672, section 2.2)."""
    for finding in outcome.findings:
        if finding.rule.type != "TLSA":
            continue
        try:
            if not names.is_signed(names.zone(finding.rule.name)):
                finding.note = f"the zone {outcome.zones[finding.rule.name]} isn't signed, so nobody looks at this yet"
        except NoAnswerError as error:
            outcome.trouble(str(error))
