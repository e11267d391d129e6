"""What is kept: policies, and the results of sessions by day. One SQLite file, which only its own account can read."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tls_policy.policy import Policy

POLICIES_MOST = 50000
RESULTS_MOST = 100000  # rows; each is one way in which sessions of a day ended
DAYS_KEPT = 3

SCHEMA = """
CREATE TABLE IF NOT EXISTS policy (
    domain TEXT PRIMARY KEY, id TEXT NOT NULL, mode TEXT NOT NULL, max_age INTEGER NOT NULL,
    mx TEXT NOT NULL, lines TEXT NOT NULL, fetched INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS result (
    day INTEGER NOT NULL, domain TEXT NOT NULL, kind TEXT NOT NULL, policy TEXT NOT NULL, mx_hosts TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, mx TEXT NOT NULL, ip TEXT NOT NULL, own TEXT NOT NULL,
    count INTEGER NOT NULL, UNIQUE (day, domain, kind, policy, mx_hosts, outcome, reason, mx, ip, own));
"""


@dataclass(frozen=True)
class Result:
    """How a session ended: what had been asked for, and the outcome, which is "success" or a type of RFC 8460."""

    domain: str
    kind: str  # tlsa, sts or no-policy-found
    policy: tuple[str, ...]
    mx_hosts: tuple[str, ...]
    outcome: str
    reason: str
    mx: str
    ip: str
    own: str = ""  # the address of this host that it was from; empty where there was no connection


@dataclass(frozen=True)
class Kept:
    """A policy that was fetched, and when (seconds since 1970)."""

    policy: Policy
    fetched: int

    def holds(self, now: float) -> bool:
        """Tell whether it still counts."""
        return now < self.fetched + self.policy.max_age


class Store:
    """The file; any thread may use it."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it. One that is broken is made anew: all of it can be learned again."""
        self.lock = threading.Lock()
        try:
            self.db = self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self.db = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.executescript(SCHEMA)
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def policy(self, domain: str, now: int) -> Kept | None:
        """Return what was fetched for a domain, however old it is, and note that it is in use."""
        with self.lock:
            row = self.db.execute(
                "SELECT id, mode, max_age, mx, lines, fetched FROM policy WHERE domain = ?", (domain,)
            ).fetchone()
            if row:
                self.db.execute("UPDATE policy SET used = ? WHERE domain = ? AND used < ?", (now, domain, now - 3600))
        return _kept(row) if row else None

    def keep(self, domain: str, policy: Policy, now: int) -> None:
        """Keep a policy in the place of an earlier one."""
        with self.lock:
            self.db.execute(
                "INSERT OR REPLACE INTO policy VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    domain,
                    policy.id,
                    policy.mode,
                    policy.max_age,
                    json.dumps(policy.mx),
                    json.dumps(policy.lines),
                    now,
                    now,
                ),
            )
            self.db.execute(
                "DELETE FROM policy WHERE domain IN (SELECT domain FROM policy ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (POLICIES_MOST,),
            )

    def stale(self, now: int, most: int) -> list[tuple[str, Kept]]:
        """Return policies in use that are to be fetched again: after a day, or half of their time."""
        with self.lock:
            self.db.execute("DELETE FROM policy WHERE fetched + max_age < ?", (now,))
            rows = self.db.execute(
                "SELECT domain, id, mode, max_age, mx, lines, fetched FROM policy"
                " WHERE used > ? AND fetched + min(86400, max_age / 2) < ? ORDER BY fetched LIMIT ?",
                (now - 30 * 86400, now, most),
            ).fetchall()
        return [(row[0], _kept(row[1:])) for row in rows]

    def note(self, result: Result, day: int) -> None:
        """Count a session."""
        row = (
            day,
            result.domain,
            result.kind,
            json.dumps(result.policy),
            json.dumps(result.mx_hosts),
            result.outcome,
            result.reason,
            result.mx,
            result.ip,
            result.own,
        )
        with self.lock:
            done = self.db.execute(
                "UPDATE result SET count = count + 1 WHERE day = ? AND domain = ? AND kind = ? AND policy = ?"
                " AND mx_hosts = ? AND outcome = ? AND reason = ? AND mx = ? AND ip = ? AND own = ?",
                row,
            )
            if done.rowcount:
                return
            (rows,) = self.db.execute("SELECT count(*) FROM result").fetchone()
            if rows < RESULTS_MOST:
                self.db.execute("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)", row)

    def due(self, today: int) -> list[tuple[int, str]]:
        """Return the days and domains of which a report is due; what is too old for one goes."""
        with self.lock:
            self.db.execute("DELETE FROM result WHERE day < ?", (today - DAYS_KEPT,))
            rows = self.db.execute(
                "SELECT DISTINCT day, domain FROM result WHERE day < ? ORDER BY day, domain", (today,)
            ).fetchall()
        return [(int(day), str(domain)) for day, domain in rows]

    def results(self, day: int, domain: str) -> Iterator[tuple[Result, int]]:
        """Yield the results of a day, each with its count."""
        with self.lock:
            rows = self.db.execute(
                "SELECT kind, policy, mx_hosts, outcome, reason, mx, ip, own, count FROM result"
                " WHERE day = ? AND domain = ? ORDER BY kind, policy, outcome, mx, ip, own, reason",
                (day, domain),
            ).fetchall()
        for kind, policy, mx_hosts, outcome, reason, mx, ip, own, count in rows:
            lines, hosts = tuple(json.loads(policy)), tuple(json.loads(mx_hosts))
            yield Result(domain, kind, lines, hosts, outcome, reason, mx, ip, own), int(count)

    def reported(self, day: int, domain: str) -> None:
        """Forget what was reported, or is of interest to nobody."""
        with self.lock:
            self.db.execute("DELETE FROM result WHERE day = ? AND domain = ?", (day, domain))


def _kept(row: tuple[str, str, int, str, str, int]) -> Kept:
    record, mode, max_age, mx, lines, fetched = row
    return Kept(Policy(record, mode, max_age, tuple(json.loads(mx)), tuple(json.loads(lines))), fetched)
