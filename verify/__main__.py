"""bin/verify: what it is asked for, what it asks, what it reports. What it promises is in arguments.ABOUT."""

import argparse
import shutil
import socket
import sys
from typing import Any

from module_utils.name_servers import PORT, Names, server
from verify import names, talk, tlsfacts
from verify.arguments import SERVICES, VerifyError, describe, parser
from verify.cases import Check, ask
from verify.deadline import LATE, within
from verify.progress import doing, elapsed, say
from verify.report import Door, Outcome, as_json, report


def reachable(site: dict[str, Any]) -> None:
    """See that there is somebody to ask. Raises VerifyError."""
    port = site["ports"].get("smtp", 25)
    try:
        socket.create_connection((site["address"], port), timeout=15).close()
    except OSError as error:
        raise VerifyError(
            f"{site['host']} ({site['address']}), port {port}: {error}; is it up, and is a firewall between?"
        ) from None


def known(site: dict[str, Any], tls: list[tlsfacts.Facts]) -> None:
    """See that the authority is known, or each question over TLS would only tell that again. Raises VerifyError."""
    if not tlsfacts.strangers(site):
        return
    issuers = " and ".join(sorted({facts.issuer for facts in tls if facts.issuer}))
    printable = "".join(c if c.isprintable() else "?" for c in issuers)[:200]
    raise VerifyError(
        f"{site['host']}: its certificates are by {printable}, whom {site.get('ca_file') or 'this machine'} does not "
        "know; give --ca-file with that authority's certificate (a host that has its own keeps it in "
        "/etc/qmail-site/ca/ca.pem), or have the site send its whole chain"
    )


def doors(data: dict[str, Any], left_out: str) -> list[Door]:
    """Tell which doors were asked. A declared one was to be, unless LEFT_OUT says why not every question was put."""
    site = talk.Site.from_json(data)
    return [
        Door(name, port, name in site.doors and port is not None, talk.OPENED[name] > 0, left_out)
        for name in SERVICES
        if name != "pop3"
        for port in [site.ports[name]]
    ]


def look_up(site: dict[str, Any], arguments: argparse.Namespace, until: float) -> list[Check]:
    """Ask the DNS. Raises VerifyError."""
    say(f"looking {site['host']} up in the DNS")
    doing("the DNS")
    try:
        asked = [server(arguments.resolver, PORT)] if arguments.resolver else []
    except ValueError as error:
        raise VerifyError(f"--resolver: {error}") from None
    return names.look(site, Names(asked, seconds=max(until - elapsed(), 1)))


def look(site: dict[str, Any], arguments: argparse.Namespace) -> Outcome:
    """Ask all there is to ask. In the last tenth of the time nothing is begun any more."""
    outcome = Outcome()
    until = elapsed() + 0.9 * arguments.deadline
    reachable(site)
    say(f"looking at the certificates of {site['host']}")
    doing("the certificates")
    outcome.tls = tlsfacts.look(site)
    known(site, outcome.tls)
    for facts in outcome.tls:
        if facts.days_left is not None and facts.days_left < arguments.warn_days:
            outcome.warnings.append(f"{facts.place}: the certificate ends in {facts.days_left} days, {facts.not_after}")
    talk.OPENED.clear()
    outcome.checks, outcome.late = ask(site, arguments, until)
    if arguments.dns and not outcome.late:
        outcome.checks += look_up(site, arguments, until)
    outcome.doors = doors(site, "no time was left" if outcome.late else "left out by -k" if arguments.keyword else "")
    if not arguments.no_scanner and not outcome.late:
        outcome.scans = tlsfacts.scan(site, until)
    return outcome


def asked(site: dict[str, Any], arguments: argparse.Namespace) -> int:
    """Ask, and report; give the exit code."""
    try:
        outcome = look(site, arguments)
    except VerifyError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(as_json(site, outcome) if arguments.json else report(site, outcome, arguments.all))
    if not shutil.which("swaks") and site["users"]:
        say("swaks is not installed here: one of the deliveries was not tried with it")
    if outcome.late:
        left = sum(check.why.startswith("no time was left") for check in outcome.checks)
        print(
            f"verify: {site['host']}: {left} questions were left out, or the last {arguments.deadline // 10} of "
            f"{arguments.deadline} seconds (--deadline) would not have been enough; the site answers slowly, or the "
            "way there is slow",
            file=sys.stderr,
        )
        return LATE
    return 0 if outcome.well else 1


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments = parser().parse_args(words)
    try:
        site = describe(arguments)
    except VerifyError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2

    def late(last: str) -> None:
        print(
            f"verify: {site['host']}: no end within {arguments.deadline} seconds (--deadline), so there is no report; "
            f"it waited for: {last or 'the first answer'}. The site answers too slowly, or without an end",
            file=sys.stderr,
        )

    return within(arguments.deadline, lambda: asked(site, arguments), late)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
