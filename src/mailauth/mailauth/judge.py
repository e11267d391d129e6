"""What hi-q calls: a message is judged, marked, and refused where its author's domain and the site wish so.

    module=mailauth name=MAIL_FQDN [policy=mark|refuse] [seconds=10] [forwarders=A,B,...]

Not judged is who may relay (RELAYCLIENT): only forged fields of our name are taken out of that mail.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qmail_dkim.addresses import AddressError, author_domains
from qmail_dkim.stream import Message, lines_of, pieces
from qmail_dkim.verify import Signature, UnansweredError, verify

from mailauth.dmarc import Dmarc, Walks, discovered, evaluated, is_within, strictest
from mailauth.questions import Questions
from mailauth.results import field, is_forged, value
from mailauth.spf_check import Spf, domain_of, spf_of
from mailauth.warm import warm

HEADER_MOST = 1 << 20  # bytes
QUESTIONS_MOST = 100
AUTHORS_MOST = 4  # domains in a From field
EACH = 5.0  # seconds for a question
SPARE = 20  # seconds for what is no question


class OptionError(ValueError):
    """An option that means nothing."""


class OverdueError(BaseException):
    """The time for a message is over. Not an Exception, so that nobody on the way takes it for his own."""


@dataclass(frozen=True)
class Options:
    """What the list of filters says."""

    name: str
    policy: str = "mark"
    seconds: float = 10
    forwarders: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    port: int = 53


@dataclass(frozen=True)
class Verdict:
    """What is to be done with a stored message: `head` takes the place of its first `skip` bytes."""

    head: bytes = b""
    skip: int = 0
    refusal: str = ""
    note: str = ""


def options_of(words: Iterable[str]) -> Options:
    """Read the words behind the module's name. Raises OptionError."""
    said = dict(word.partition("=")[::2] for word in words)
    if not said.get("name"):
        raise OptionError("wants name=, the host's own")
    unknown = said.keys() - {"name", "policy", "seconds", "forwarders", "nameservers", "port"}
    if unknown:
        raise OptionError(f"has no option {min(unknown)}")
    if said.get("policy", "mark") not in ("mark", "refuse"):
        raise OptionError(f"policy={said['policy']} is neither mark nor refuse")
    seconds = said.get("seconds", "10")
    if not (seconds.isdigit() and 1 <= int(seconds) <= 120):
        raise OptionError(f"seconds={seconds} is not a number from 1 to 120")
    return Options(
        said["name"],
        said.get("policy", "mark"),
        float(seconds),
        tuple(filter(None, said.get("forwarders", "").split(","))),
        tuple(filter(None, said.get("nameservers", "").split(","))),
        int(said.get("port", "53")),
    )


def is_believed(options: Options, questions: Questions, address: str, signatures: Iterable[Signature]) -> str:
    """Say which forwarder of the list a message has come by; nothing where by none.

    It is a network that the client is in, a host's name that leads to it and back, or a domain with a good signature.
    """
    signed = {each.domain for each in signatures if each.result == "pass"}
    names: list[str] | None = None
    for forwarder in options.forwarders:
        try:
            network = ipaddress.ip_network(forwarder, strict=False)
        except ValueError:
            wanted = forwarder.lower().rstrip(".")
            if wanted in signed:
                return forwarder
            if names is None:
                names = questions.names_of(address)
            if any(name == wanted or name.endswith("." + wanted) for name in names):
                return forwarder
        else:
            if ipaddress.ip_address(address) in network:
                return forwarder
    return ""


def dmarc_of(questions: Questions, message: Message, spf: Spf, signatures: list[Signature]) -> Dmarc:
    """Judge by the From field."""
    if not message.whole:
        return Dmarc("permerror", why=f"a header of more than {HEADER_MOST} bytes")
    try:
        domains = author_domains(message.named(b"from"))
    except AddressError as error:
        return Dmarc("permerror", why=str(error))
    if len(domains) > AUTHORS_MOST:
        return Dmarc("permerror", why=f"authors of more than {AUTHORS_MOST} domains")
    signers = [(each.result, each.domain) for each in signatures]
    # To exempt those of several, as RFC 9989 section 5.3.1 does, would be a way round every policy.
    return strictest(
        [evaluated(questions.texts, questions.exists, each, (spf.result, spf.domain), signers) for each in domains]
    )


def organizations(questions: Questions, authors: Iterable[str]) -> list[str]:
    """Give the organizations of the authors' domains, as far as they can be told, having asked what DMARC will.

    All that is before a stranger's names are asked for: he could have them take all the time and all the questions, so
    that nobody knew any more what the author's domain wants.
    """
    walks = Walks(questions.texts)
    found = []
    for author in authors:
        try:
            discovered(walks, author, questions.exists)
            found.append(walks.organization(author))
        except UnansweredError:
            found.append(author)
    return found


def refusal(options: Options, dmarc: Dmarc, override: str) -> str:
    """Say why a message is refused; nothing where it isn't."""
    if options.policy != "refuse" or override:
        return ""
    if dmarc.result == "fail" and dmarc.applied == "reject":
        return f"550 refused by the DMARC policy of {value(dmarc.domain)} (#5.7.1)"
    if dmarc.result == "permerror":
        # Nobody can say whose it is; RFC 5322 forbids it, and it would be a way round every policy.
        return f"550 no author can be told from the From field: {dmarc.why} (#5.6.0)"
    return ""


def headed(message: Message, name: str, top: bytes) -> tuple[bytes, int]:
    """Give what takes the place of how many stored bytes: `top`, and the fields but forged ones of ours."""
    kept = [raw for raw in message.fields if not is_forged(raw, name)]
    if len(kept) == len(message.fields):
        return top, 0
    stored = b"".join(message.fields).replace(b"\r\n", b"\n")
    return top + b"".join(kept).replace(b"\r\n", b"\n"), len(stored)


def judged(fd: int, sender: str, environment: Mapping[str, str], options: Options) -> Verdict:
    """Judge a stranger's message."""
    message = Message(lines_of(pieces(fd)), HEADER_MOST)
    address = environment.get("TCPREMOTEIP", "")
    questions = Questions(options.seconds, EACH, QUESTIONS_MOST, list(options.nameservers) or None, options.port)
    helo = environment.get("SMTPHELO", "")
    try:
        authors = organizations(questions, author_domains(message.named(b"from"))[:AUTHORS_MOST])
    except AddressError:
        authors = []

    def is_authors(domain: str) -> bool:
        return any(is_within(domain, each) for each in authors)

    # In the order of what may decide: see organizations().
    first = is_authors(domain_of(sender, helo))
    spf = spf_of(questions, address, sender, helo) if first else None
    signatures = verify(message, questions.texts, int(time.time()), is_authors)
    spf = spf or spf_of(questions, address, sender, helo)
    dmarc = dmarc_of(questions, message, spf, signatures)
    failed = dmarc.result in ("fail", "permerror")
    override = is_believed(options, questions, address, signatures) if failed and options.forwarders else ""
    if override:
        override = f"forwarded by {override}"
    results = [each.result for each in signatures]
    dkim = "pass" if "pass" in results else results[0] if results else "none"
    note = f"spf={spf.result} dkim={dkim} dmarc={dmarc.result}"
    if dmarc.result in ("fail", "pass"):
        note += f" policy={dmarc.applied}"
    top = field(options.name, spf, signatures, dmarc, override)
    head, skip = headed(message, options.name, top)
    return Verdict(head, skip, refusal(options, dmarc, override), note + (" forwarder=yes" if override else ""))


def is_strangers(environment: Mapping[str, str]) -> bool:
    """Is it mail of somebody whom this host doesn't know?"""
    if "RELAYCLIENT" in environment:
        return False
    try:
        ipaddress.ip_address(environment.get("TCPREMOTEIP", ""))
    except ValueError:
        return False
    return True


def judge(fd: int, sender: str, environment: Mapping[str, str], words: Iterable[str]) -> Verdict:
    """Judge a message. Raises OptionError; what else goes wrong is hi-q's to answer with `later`."""
    options = options_of(words)
    if is_strangers(environment):
        return judged(fd, sender, environment, options)
    return Verdict(*headed(Message(lines_of(pieces(fd)), HEADER_MOST), options.name, b""))


def check(words: Iterable[str]) -> str:
    """Say what is wrong with a list's words; nothing where they are good."""
    try:
        options_of(words)
    except OptionError as error:
        return str(error)
    return ""


def limit(words: Iterable[str]) -> int:
    """Give after how many seconds something is wrong with a message's judging."""
    return int(options_of(words).seconds) + SPARE


def ready() -> None:
    """Have the first message cost no more than the others. Raises SelfTestError."""
    warm()


__all__ = ["Verdict", "check", "judge", "limit", "ready"]
