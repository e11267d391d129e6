"""A part of the bench: what it measures, of whom, and in which columns."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from sitelab.bench.peer import Peer
from sitelab.bench.rounds import Sample
from sitelab.bench.show import Figure


class Part(ABC):
    """One command of `bin/bench` that puts the site beside others: made when its hosts are up, asked round by round."""

    name: ClassVar[str]
    """The command, and the name of the results' files."""
    title: ClassVar[str]
    figures: ClassVar[tuple[Figure, ...]]
    columns: ClassVar[tuple[str, ...]]
    peers: ClassVar[tuple[str, ...]]
    """Who can be measured. The first is the one whose ratios to the others are told, and is always there."""
    usual: ClassVar[tuple[str, ...]] = ()
    """Who is, unless somebody is named; empty: all of them."""
    warm_up: ClassVar[tuple[str, ...]] = ()
    """The columns that are run through once before the first round."""

    def __init__(self, peers: Sequence[Peer], share: float) -> None:
        """Measure these, with this share of the load."""
        self.among = peers
        self.share = share

    @classmethod
    def has(cls, peer: str, column: str) -> bool:
        """Tell whether a peer has what a column is about."""
        del peer, column
        return True

    @abstractmethod
    def measure(self, peer: Peer, column: str) -> Sample:
        """Run a column's load once; give a value for each figure.

        Raises UnfitHostError where there is none to give: something was refused, lost, or took too long.
        """

    @abstractmethod
    def load(self) -> dict[str, Any]:
        """Say what the load is, for the results."""

    def prepare(self) -> None:  # noqa: B027 (most parts need nothing)
        """Have on the hosts what the rounds need."""

    def close(self) -> None:  # noqa: B027 (most parts leave nothing behind)
        """Put back what the hosts are to be without; whether or not all went well."""
