# SPDX-License-Identifier: MIT
"""Every DNS record that a site needs, and why: as rules of what should be at each name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from . import mta_sts
from .record import RECOMMENDED, REQUIRED, Record, Rule
from .site import Domain, Key, Site
from .spf import VERSION
from .words import below, reverse

DMARC, TLS_REPORTS, STS = "v=DMARC1", "v=TLSRPTv1", "v=STSv1"
NO_SERVICE = "0 0 0 ."
"""What says in an SRV record that there is no such service (RFC 2782)."""

_INSIDE = [
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
]


def rules(site: Site) -> list[Rule]:
    """All of them: the host's own first, then each domain's."""
    found = [*_host(site), *_tlsa(site)]
    for domain in site.domains:
        found += _domain(site, domain)
    if site.fqdn not in [domain.name for domain in site.domains]:
        found += _own_name(site)
    found += _dkim(site)
    return _without_doubles(found)


def not_yet(site: Site) -> list[str]:
    """What nobody has told yet, in sentences."""
    found = []
    if not site.addresses:
        found.append(
            f"addresses: those of {site.fqdn} are not known here; say them in dns_addresses, or have the host asked "
            "(--from-host)"
        )
    found += [
        f"addresses: {each} can't be reached from the Internet; say in dns_addresses by which the host is known there"
        for each in site.addresses
        if any(ipaddress.ip_address(each) in network for network in _INSIDE)
    ]
    if site.dkim is None:
        found.append("DKIM: the keys are made on the host, and it has not been asked (--from-host), or has none yet")
    for domain in _keyless(site):
        found.append(
            f"DKIM: the host has no key for {domain} yet, and its mail leaves unsigned; playbooks/users.yml makes it, "
            "where dkim_sign is on"
        )
    if site.tlsa is None:
        found.append("TLSA: only the host knows its keys, and it has not been asked (--from-host), or has none yet")
    if site.smarthost and not site.spf_more:
        found.append(
            f"SPF: mail leaves by {site.smarthost} (mail_routes), which no SPF record here lets pass; say what its "
            "operator wants included in dns_spf_more"
        )
    return found


def _keyless(site: Site) -> list[str]:
    """The domains that lack a key on a host that has keys for others: a host without any need not sign."""
    signed = {key.name.partition("._domainkey.")[2] for key in site.dkim or [] if key.state != "removable"}
    return [each.name for each in site.domains if signed and each.relay_to is None and each.name not in signed]


def _without_doubles(found: list[Rule]) -> list[Rule]:
    """Each name and type once; the first one that says it."""
    seen: dict[tuple[str, str, str], Rule] = {}
    for rule in found:
        seen.setdefault((rule.name, rule.type, rule.mark), rule)
    return list(seen.values())


def _one(
    domain: str, name: str, type_: str, value: str, why: str, need: str = REQUIRED, *, mark: str = "",
    others: str = REQUIRED, advice: bool = False,
) -> Rule:  # fmt: skip
    return Rule(
        name, type_, (Record(name, type_, value, why, need),), domain, mark, others, single=True, advice=advice, why=why
    )


def _none(domain: str, name: str, type_: str, why: str, *, mark: str = "", others: str = RECOMMENDED) -> Rule:
    return Rule(name, type_, (), domain, mark, others, why=why)


# --- the host ---


def _host(site: Site) -> Iterator[Rule]:
    if not site.addresses:
        return
    for version, type_ in ((4, "A"), (6, "AAAA")):
        own = [each for each in site.addresses if ipaddress.ip_address(each).version == version]
        why = "where the host is" if own else f"the host has no address of IPv{version}, so mail would be tried in vain"
        values = [str(ipaddress.ip_address(each)) for each in own]
        records = tuple(Record(site.fqdn, type_, value, why) for value in values)
        yield Rule(site.fqdn, type_, records, site.fqdn, why=why)
    for address in site.addresses:
        yield _one(
            site.fqdn, reverse(address), "PTR", site.fqdn,
            "the address must lead back to the name that the host says in HELO, or big receivers refuse; whoever gave "
            "you the address sets it", advice=True,
        )  # fmt: skip
    if site.caa:
        why = "who may issue certificates for the host"
        records = tuple(
            Record(site.fqdn, "CAA", f'0 issue "{name}"', why, RECOMMENDED) for name in dict.fromkeys(site.caa)
        )
        yield Rule(site.fqdn, "CAA", records, site.fqdn, others="", why=why)


def _tlsa(site: Site) -> Iterator[Rule]:
    if site.tlsa is None:
        return
    why = "which key the host has (DANE): senders then refuse any other one"
    for name in dict.fromkeys(key.name for key in site.tlsa):
        keys = [key for key in site.tlsa if key.name == name and key.state != "removable"]
        keys.sort(key=lambda key: key.state != "current")
        records = tuple(Record(name, "TLSA", key.value.lower(), _of_key(why, key), RECOMMENDED) for key in keys)
        yield Rule(name, "TLSA", records, site.fqdn, why=why)


def _of_key(why: str, key: Key) -> str:
    if key.state == "next":
        return why + "; the next key, which is used once this is published everywhere"
    return why + "; an old key, still in use somewhere" if key.state == "old" else why


def _own_name(site: Site) -> Iterator[Rule]:
    """The host's name as a sender: of bounces' HELO, of forwarded mail, of its programs."""
    name = site.fqdn
    why = "where answers to forwarded mail come back to"
    records = tuple(Record(name, "MX", value, why, RECOMMENDED) for value in _mx(site))
    yield Rule(name, "MX", records, name, others=RECOMMENDED, why=why)
    spf = " ".join([VERSION, "a", *site.spf_more, "-all"])
    yield _one(
        name, name, "TXT", spf, "mail that is forwarded, and bounces, are sent in this name (RFC 7208, section 2.3)",
        mark=VERSION,
    )  # fmt: skip
    if not any(below(name, domain.name) for domain in site.domains):
        yield _dmarc(site, name, RECOMMENDED)


def _mx(site: Site) -> list[str]:
    return [f"{10 * (index + 1)} {name}" for index, name in enumerate(site.mx)]


# --- a domain ---


def _domain(site: Site, domain: Domain) -> Iterator[Rule]:
    name = domain.name
    if domain.relay_to is not None:
        why = f"this host takes mail for {name} and passes it on"
        yield Rule(name, "MX", tuple(Record(name, "MX", value, why) for value in _mx(site)), name, others="", why=why)
        return
    why = f"where mail for {name} goes"
    yield Rule(name, "MX", tuple(Record(name, "MX", value, why) for value in _mx(site)), name, why=why)
    own = "a" if name == site.fqdn else f"a:{site.fqdn}"
    spf = " ".join([VERSION, own, *site.spf_more, site.spf_all])
    yield _one(name, name, "TXT", spf, f"who may send mail of {name}; big receivers want it", mark=VERSION)
    yield _dmarc(site, name, REQUIRED)
    yield from _report_permission(site, domain)
    yield from _tls_reports(site, name)
    yield from _mta_sts(site, name)
    yield from _clients(site, name)


def _dmarc(site: Site, name: str, need: str) -> Rule:
    value = f"{DMARC}; p={site.dmarc}" + (f"; rua=mailto:{site.dmarc_reports}" if site.dmarc_reports else "")
    return _one(
        name, f"_dmarc.{name}", "TXT", value, "what to do with mail in this name that neither SPF nor DKIM vouches "
        "for; Gmail, Outlook and Yahoo want one", need, mark=DMARC,
    )  # fmt: skip


def _report_permission(site: Site, domain: Domain) -> Iterator[Rule]:
    """Who gets another domain's reports has to agree to it, in its own zone."""
    to = site.dmarc_reports.rpartition("@")[2].lower()
    if to and not below(to, domain.name) and not below(domain.name, to):
        yield _one(
            to, f"{domain.name}._report._dmarc.{to}", "TXT", DMARC, f"{to} takes reports about {domain.name}",
            RECOMMENDED, mark=DMARC,
        )  # fmt: skip


def _tls_reports(site: Site, name: str) -> Iterator[Rule]:
    at, why = f"_smtp._tls.{name}", "who is told of senders' troubles with TLS (RFC 8460)"
    if site.tls_reports:
        value = f"{TLS_REPORTS}; rua=mailto:{site.tls_reports}"
        yield _one(name, at, "TXT", value, why, RECOMMENDED, mark=TLS_REPORTS, others=RECOMMENDED)
    else:
        yield _none(name, at, "TXT", why, mark=TLS_REPORTS)


def _mta_sts(site: Site, name: str) -> Iterator[Rule]:
    at = f"_mta-sts.{name}"
    if not site.mta_sts:
        yield _none(name, at, "TXT", "no MTA-STS policy is declared, so senders look for one in vain", mark=STS)
        return
    text = mta_sts.policy(site.mta_sts, site.mx, site.mta_sts_age)
    why = "that there is a policy of who may be believed to be this domain's MX (MTA-STS, RFC 8461), and which"
    value = f"{STS}; id={mta_sts.policy_id(text)};"
    yield _one(name, at, "TXT", value, why, RECOMMENDED, mark=STS)
    host = site.mta_sts_host or site.fqdn
    yield _one(
        name, f"mta-sts.{name}", "CNAME", host, f"the web server that has https://mta-sts.{name}/.well-known/mta-sts.txt",
        RECOMMENDED,
    )  # fmt: skip


def _clients(site: Site, name: str) -> Iterator[Rule]:
    """How mail programs find the services (RFC 6186; RFC 8314, section 5.1)."""
    host = site.fqdn
    services = {
        "_submissions": f"0 1 465 {host}",
        "_submission": f"10 1 587 {host}" if site.submission else NO_SERVICE,
        "_pop3s": f"0 1 995 {host}",
        "_pop3": NO_SERVICE,
    }
    for service, value in services.items():
        why = "mail programs find the host by it" if value != NO_SERVICE else "mail programs need not look for it"
        yield _one(name, f"{service}._tcp.{name}", "SRV", value, why, RECOMMENDED, others=RECOMMENDED)
    if site.autoconfig_host:
        to = site.autoconfig_host
        yield _one(name, f"autoconfig.{name}", "CNAME", to, "Thunderbird asks there for its settings", RECOMMENDED)
        yield _one(
            name,
            f"_autodiscover._tcp.{name}",
            "SRV",
            f"0 1 443 {to}",
            "Outlook asks there for its settings",
            RECOMMENDED,
        )


# --- DKIM ---


def _dkim(site: Site) -> Iterator[Rule]:
    for key in site.dkim or []:
        domain = key.name.partition("._domainkey.")[2] or site.fqdn
        why = {
            "current": "the key of the signatures on outgoing mail",
            "next": "the next key: the host signs with it once every server of the domain has this",
            "old": "the key before, for mail that is still on its way",
            "removable": "no mail has this key's signature any more",
        }[key.state]
        if key.state == "removable":
            yield _none(domain, key.name, "TXT", why)
        else:
            need = RECOMMENDED if key.state == "next" else REQUIRED
            yield _one(domain, key.name, "TXT", key.value, why, need)
