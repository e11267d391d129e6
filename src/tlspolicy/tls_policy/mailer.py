"""mail-tlsrpt: sends the reports that are due (RFC 8460) to whom each domain has named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

from tls_policy.names import Names
from tls_policy.policy import LaterError, report_addresses
from tls_policy.report import DAY, contents, mailbox, message, moment, packed
from tls_policy.store import Result, Store
from tls_policy.web import Web, WebError

ADDRESSES_MOST = 5  # of a domain
USAGE = "usage: mail-tlsrpt DIRECTORY NAMESERVERS HOST INJECT"


class Sender:
    """Who hands reports on."""

    def __init__(self, host: str, inject: str, names: Names, web: Web) -> None:
        """Send as HOST, by the program INJECT."""
        self.host, self.inject, self.names, self.web = host, inject, names, web
        self.contact = f"postmaster@{host}"

    def _mail(self, to: str, text: bytes) -> bool:
        # The null sender: nobody reads what comes back.
        try:
            done = subprocess.run([self.inject, "-a", "-f", "", "--", to], input=text, check=False, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"mail-tlsrpt: {to}: {error}", file=sys.stderr)
            return False
        return done.returncode == 0

    def _post(self, address: str, data: bytes) -> bool:
        headers = {"Content-Type": "application/tlsrpt+gzip"}
        try:
            parts = urllib.parse.urlsplit(address)
            if parts.port not in (None, 443) or not parts.hostname or parts.username is not None:
                return False
            path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            status, _, _ = self.web.request("POST", parts.hostname, path, body=data, headers=headers, most=1024)
        except (WebError, LaterError, ValueError) as error:  # of what is no address, too: others' reports follow
            print(f"mail-tlsrpt: {address!a}: {error}", file=sys.stderr)
            return False
        return 200 <= status < 300

    def send(self, day: int, domain: str, results: list[tuple[Result, int]]) -> bool:
        """Send the report of a day to whom it is for; false where it is to be tried again."""
        try:
            addresses = report_addresses(self.names.texts(f"_smtp._tls.{domain}"))[:ADDRESSES_MOST]
        except LaterError:
            return False
        if not addresses:
            return True
        report = contents(self.host, self.contact, day, domain, results)
        sent = 0
        for address in addresses:
            to = mailbox(address) if address[:7].lower() == "mailto:" else None
            if to:
                sent += self._mail(to, message(self.host, self.contact, day, domain, report, to))
            elif address[:8].lower() == "https://":
                sent += self._post(address, packed(report))
        print(f"mail-tlsrpt: {domain}: {len(results)} results of {moment(day * DAY)[:10]}, sent to {sent}")
        return sent > 0


def main(arguments: list[str]) -> int:
    """Send all reports that are due."""
    try:
        directory, nameservers, host, inject = arguments
    except ValueError:
        sys.exit(USAGE)
    os.umask(0o077)
    path = Path(directory) / "policy.db"
    if not path.exists():
        return 0
    names = Names(Path(nameservers))
    store = Store(path)
    sender = Sender(host, inject, names, Web(names.addresses))
    failed = 0
    for day, domain in store.due(int(time.time()) // DAY):
        if sender.send(day, domain, list(store.results(day, domain))):
            store.reported(day, domain)
        else:
            failed += 1
    return 1 if failed else 0
