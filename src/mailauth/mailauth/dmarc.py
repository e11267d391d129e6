"""DMARC (RFC 9989): the policy of a From field's domain, by a walk up the DNS, and whether a message accords."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from qmail_dkim.verify import UnansweredError

QUERIES_MOST = 8  # of one walk, section 4.10
POLICIES = ("none", "quarantine", "reject")
Ask = Callable[[str], list[bytes]]


@dataclass(frozen=True)
class Record:
    """A policy record (section 4.7), and where it stands."""

    domain: str
    tags: dict[str, str]

    def choice(self, tag: str, known: Iterable[str], default: str) -> str:
        """Give a tag's value; what isn't known counts as not there."""
        value = self.tags.get(tag, default).lower()
        return value if value in known else default

    @property
    def psd(self) -> str:
        """Is it that of a public suffix: y, n, or u for unsaid."""
        return self.choice("psd", ("y", "n", "u"), "u")

    @property
    def strict_dkim(self) -> bool:
        """Must a signature be of the very domain?"""
        return self.choice("adkim", ("r", "s"), "r") == "s"

    @property
    def strict_spf(self) -> bool:
        """Must the envelope's sender be of the very domain?"""
        return self.choice("aspf", ("r", "s"), "r") == "s"

    @property
    def testing(self) -> bool:
        """Does the owner ask not to have the policy applied (t=y)?"""
        return self.choice("t", ("y", "n"), "n") == "y"

    def policy(self, *tags: str) -> str | None:
        """Give the policy of the first of these tags that is there; none for a record without one (section 4.10.1)."""
        for tag in ("p", "sp", "np"):
            if self.tags.get(tag, "" if tag == "p" else "none").lower() not in POLICIES:
                return "none" if self.tags.get("rua", "").lower().startswith(("mailto:", "http")) else None
        return next(self.tags[tag].lower() for tag in (*tags, "p") if tag in self.tags)


def parsed(domain: str, texts: Iterable[bytes]) -> Record | None:
    """Give the one record at a domain; several are none, and so is what doesn't begin with this version."""
    found = []
    for text in texts:
        words = text.decode("ascii", "replace").split(";", 64)
        pairs = [(name.strip().lower(), value.strip()) for name, _, value in (word.partition("=") for word in words)]
        if pairs and pairs[0] == ("v", "DMARC1"):
            tags: dict[str, str] = {}
            for name, value in pairs:
                tags.setdefault(name, value)
            found.append(tags)
    return Record(domain, found[0]) if len(found) == 1 else None


def targets(domain: str) -> list[str]:
    """Give the domains that a walk asks, first to last: at most eight, a long name's middle left out (section 4.10)."""
    labels = domain.split(".")
    first = [domain]
    rest = labels[1:] if len(labels) < QUERIES_MOST else labels[-(QUERIES_MOST - 1) :]
    return first + [".".join(rest[start:]) for start in range(len(rest))]


def is_within(domain: str, other: str) -> bool:
    """Is a domain another one, or below it?"""
    return domain == other or domain.endswith("." + other)


@dataclass
class Walks:
    """The walks of one message; each is made once."""

    ask: Ask
    done: dict[str, list[Record]] = field(default_factory=dict)

    def records(self, domain: str) -> list[Record]:
        """Give the records that a walk from a domain finds, the longest name's first. Raises UnansweredError."""
        found = self.done.get(domain)
        if found is None:
            found = []
            for number, target in enumerate(targets(domain)):
                record = parsed(target, self.ask(f"_dmarc.{target}"))
                if record:
                    found.append(record)
                    if record.psd == "n" or (record.psd == "y" and number > 0):
                        break
            self.done[domain] = found
        return found

    def organization(self, domain: str) -> str:
        """Give the organizational domain (section 4.10.2). Raises UnansweredError."""
        records = self.records(domain)
        for record in records:
            if record.psd == "n":
                return record.domain
            if record.psd == "y" and record.domain != domain:
                below = domain.removesuffix("." + record.domain).split(".")
                return f"{below[-1]}.{record.domain}"
        return records[-1].domain if records else domain

    def aligned(self, author: str, other: str, *, strict: bool) -> bool:
        """Are these of one organization (section 4.4)? Raises UnansweredError."""
        if author == other:
            return True
        if strict:
            return False
        organization = self.organization(author)
        # Of whom it can't be nobody is asked: his silence would leave in doubt what is certain.
        return is_within(other, organization) and self.organization(other) == organization


@dataclass
class Dmarc:
    """What DMARC says: a result of RFC 8601's table, and the policy that the domain's owner wishes to have applied."""

    result: str  # pass, fail, none, temperror, permerror
    domain: str = ""
    policy: str = "none"  # of the record that counts
    applied: str = "none"  # that with t=y taken into account
    why: str = ""


def discovered(walks: Walks, author: str, exists: Callable[[str], bool]) -> tuple[Record, str] | None:
    """Give the record that counts, and its policy for this domain (section 4.10.1). Raises UnansweredError."""
    records = walks.records(author)
    if not records:
        return None
    if records[0].domain == author:
        record, tags = records[0], ()
    else:
        organization = walks.organization(author)
        record = next((each for each in records if each.domain == organization), records[-1])
        tags = ("sp",) if "np" not in record.tags or exists(author) else ("np", "sp")  # type: ignore[assignment]
    policy = record.policy(*tags)
    return (record, policy) if policy is not None else None


def evaluated(
    ask: Ask, exists: Callable[[str], bool], author: str, spf: tuple[str, str], signers: list[tuple[str, str]]
) -> Dmarc:
    """Judge a message of this author's domain; `spf` and each of `signers` are a result and its domain."""
    walks = Walks(ask)
    try:
        found = discovered(walks, author, exists)
    except UnansweredError as error:
        return Dmarc("temperror", author, why=str(error))
    if found is None:
        return Dmarc("none", author)
    record, policy = found
    applied = POLICIES[max(0, POLICIES.index(policy) - 1)] if record.testing else policy
    unsure = ""
    ways = [(*spf, record.strict_spf), *((*signer, record.strict_dkim) for signer in signers)]
    for result, domain, strict in sorted(ways, key=lambda way: way[1] != author):
        try:
            if result in ("pass", "temperror") and walks.aligned(author, domain, strict=strict):
                if result == "pass":
                    return Dmarc("pass", author, policy, applied)
                unsure = f"{domain}: no answer"
        except UnansweredError as error:
            unsure = str(error)
    # Section 5.3.5: where it might have passed, nobody knows that it has failed.
    return Dmarc("temperror" if unsure else "fail", author, policy, applied, unsure)


def strictest(found: list[Dmarc]) -> Dmarc:
    """Give what counts of the results for several authors' domains: one failing is enough, and all must pass."""
    order = ("pass", "none", "temperror", "fail")
    return max(found, key=lambda each: (order.index(each.result), POLICIES.index(each.applied)))
