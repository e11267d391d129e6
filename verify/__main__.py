"""bin/verify: ask a running mail site, from outside, whether it keeps its promises.

It runs verify/questions, leaving out what would cost a host in production something: no load, no big messages, about
ten wrong passwords. Without --user no mail is sent; with it, at most six small messages (and one that must be refused),
to that user alone, and they are removed again.

Exit code: 0 all well, 1 something is not, 2 it could not be asked.
"""

import argparse
import shutil
import socket
import sys
from typing import Any

from verify import tlsfacts
from verify.arguments import VerifyError, describe, parser
from verify.cases import ask
from verify.progress import say
from verify.report import Outcome, as_json, report


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


def look(site: dict[str, Any], arguments: argparse.Namespace) -> Outcome:
    """Ask all there is to ask."""
    outcome = Outcome()
    reachable(site)
    say(f"looking at the certificates of {site['host']}")
    outcome.tls = tlsfacts.look(site)
    known(site, outcome.tls)
    for facts in outcome.tls:
        if facts.days_left is not None and facts.days_left < arguments.warn_days:
            outcome.warnings.append(f"{facts.place}: the certificate ends in {facts.days_left} days, {facts.not_after}")
    outcome.checks = ask(site, arguments)
    if not arguments.no_scanner:
        outcome.scans = tlsfacts.scan(site)
    return outcome


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    arguments = parser(__doc__ or "").parse_args(words)
    try:
        site = describe(arguments)
        outcome = look(site, arguments)
    except VerifyError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(as_json(site, outcome) if arguments.json else report(site, outcome, arguments.all))
    if not shutil.which("swaks") and site["users"]:
        say("swaks is not installed here: one of the deliveries was not tried with it")
    return 0 if outcome.well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
