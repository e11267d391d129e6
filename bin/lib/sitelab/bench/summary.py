"""README's table: the few figures of the recorded results that a user would ask for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sitelab.bench.peers import DOVECOT, NATIVE, POSTFIX, SCANNING, SITE
from sitelab.host import UnfitHostError

BEGIN, END = "<!-- bin/bench table -->\n", "<!-- end of bin/bench table -->\n"
HEAD = ("qmail-site", "with its native front", "Postfix, Dovecot")
_PEERS = ((SITE, SCANNING), (NATIVE,), (POSTFIX, DOVECOT))
"""Whose figure stands in each column of HEAD: the first of these that has one."""


@dataclass(frozen=True)
class Row:
    """One figure, and where it stands in the results."""

    words: str
    part: str
    column: str
    figure: str
    digits: int = 0


ROWS = (
    Row("messages/s into a Maildir, ten clients, a connection for each", "mail", "10, new conn.", "delivered_per_s"),
    Row("the same, CPU s per 1000 messages", "mail", "10, new conn.", "cpu_s_per_1000", 1),
    Row("messages/s, ten connections that are reused", "mail", "10, reused", "delivered_per_s"),
    Row("one message to 1000 users, deliveries/s", "shapes", "1000 recipients", "delivered_per_s"),
    Row("outgoing messages/s, 20 at a time", "out", "20 at a time", "sent_per_s"),
    Row("messages/s that SpamAssassin scans, 20 clients", "scan", "20 clients", "delivered_per_s"),
    Row("SMTPS sessions/s, ten clients", "tls", "465, SMTPS", "sessions_per_s"),
    Row("POP3S sessions/s, ten clients", "tls", "995, POP3S", "sessions_per_s"),
    Row("POP3S session with 10 000 messages in the mailbox, ms", "pop3", "STAT", "ms"),
    Row("memory of an open SMTP session, KiB", "idle", "25, SMTP", "kib"),
    Row("start with 100 000 messages in the queue, s to the first delivery", "start", "all new", "first_s", 1),
)


def table(results: Mapping[str, Any]) -> str:
    """Give the table in Markdown from the results' JSON by part; a row of which nothing is known is left out."""
    lines = [f"| | {' | '.join(HEAD)} |", "|---" * (len(HEAD) + 1) + "|"]
    for row in ROWS:
        medians = results.get(row.part, {}).get("medians", {}).get(row.column, {})
        cells = []
        for peers in _PEERS:
            known = [medians[peer][row.figure]["median"] for peer in peers if peer in medians]
            cells.append(f"{known[0]:.{row.digits}f}" if known else "")
        if any(cells):
            lines.append(f"| {row.words} | {' | '.join(cells)} |")
    about = next(iter(results.values()))
    machine = f"{about['machine']['processor']}, {about['machine']['cores']} cores"
    days = sorted({result["when"][:10] for result in results.values()})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return "\n".join(lines) + f"\n\nMedians, measured by `bin/bench all` ({when}; {machine}).\n"


def read(folder: Path) -> dict[str, Any]:
    """Give the results there, by part.

    Raises UnfitHostError where there are none, or where they are of several machines.
    """
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    if not results:
        raise UnfitHostError(f"{folder} has no results; bin/bench all makes them")
    machines = {(result["machine"]["processor"], result["machine"]["cores"]) for result in results.values()}
    if len(machines) > 1:
        raise UnfitHostError(
            f"the results in {folder} are of {len(machines)} machines, and one table can't tell of all"
        )
    return results


def put(page: Path, text: str) -> None:
    """Write a table to its place in a page."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UnfitHostError(f"{page} has no place for the table: {BEGIN.strip()} and {END.strip()}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
