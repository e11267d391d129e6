"""Alternating rounds, and what is told of them: medians, their spread, and ratios."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Sample: TypeAlias = dict[str, float]
"""What one measurement found, by the name of the figure."""


@dataclass(frozen=True)
class Spread:
    """The median of some figures, the least and the greatest of them."""

    median: float
    least: float
    greatest: float


def spread(figures: Sequence[float]) -> Spread:
    """Sum up some figures; at least one."""
    return Spread(statistics.median(figures), min(figures), max(figures))


@dataclass
class Found:
    """All samples of a part: of each column, of each peer that has it, one a round."""

    columns: list[str]
    peers: list[str]
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    def add(self, column: str, peer: str, sample: Sample) -> None:
        """Add what a round found."""
        self.samples.setdefault(column, {}).setdefault(peer, []).append(sample)

    def has(self, column: str, *peers: str) -> bool:
        """Tell whether there are samples of these peers in a column."""
        return all(self.samples.get(column, {}).get(peer) for peer in peers)

    def spread(self, column: str, peer: str, figure: str) -> Spread:
        """Sum up a figure of a peer in a column."""
        return spread([sample[figure] for sample in self.samples[column][peer]])

    def ratio(self, column: str, peer: str, other: str, figure: str) -> Spread:
        """Give how many times the other's a peer's figure is.

        It is the ratio of the medians; its spread is that of the rounds, in each of which both stood beside each other.
        """
        pairs = zip(self.samples[column][peer], self.samples[column][other], strict=False)
        rounds = [_quotient(one[figure], two[figure]) for one, two in pairs]
        mine, its = self.spread(column, peer, figure).median, self.spread(column, other, figure).median
        return Spread(_quotient(mine, its), min(rounds), max(rounds))

    @property
    def rounds(self) -> int:
        """How many rounds each peer had, at least."""
        return min((len(each) for of in self.samples.values() for each in of.values()), default=0)


def _quotient(one: float, other: float) -> float:
    return one / other if other else math.nan


def order(peers: Sequence[str], number: int) -> list[str]:
    """Give the order of a round: each begins with another peer, so that none always comes after the same one."""
    first = number % len(peers)
    return [*peers[first:], *peers[:first]]


def turns(
    columns: Sequence[str],
    peers: Sequence[str],
    rounds: int,
    seconds: float,
    now: Callable[[], float] = time.monotonic,
    has: Callable[[str, str], bool] = lambda peer, column: True,
) -> Iterator[tuple[str, str]]:
    """Give whom to measure next, in which column, round by round through all columns that a peer has.

    A round that would not end within SECONDS of the start, judged by the longest so far, is not begun; the first
    always is.
    """
    begun, longest = now(), 0.0
    for number in range(rounds):
        started = now()
        if started - begun + longest > seconds:
            return
        for column in columns:
            for peer in order(peers, number):
                if has(peer, column):
                    yield column, peer
        longest = max(longest, now() - started)
