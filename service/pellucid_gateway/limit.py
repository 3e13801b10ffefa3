"""At most so much of something in flight, shared fairly among callers."""

from collections import Counter
from typing import Literal

from pellucid_gateway.telemetry import metrics

KEPT_FREE = 4
"""One part in so many of a limit is kept for callers who hold less than their share, and for what cannot wait."""


class Limit:
    """At most `most` of something (`what`, a plural such as `bytes`) in flight, held by callers by name."""

    def __init__(self, what: Literal["calls", "images", "bytes"], most: int):
        self.what = what
        self.most = most
        self.common = most - most // KEPT_FREE
        """What may be in flight whoever holds it."""
        self.used = 0
        self._held: Counter[str] = Counter()

    def has_room(self, caller: str, amount: int) -> bool:
        """Whether a caller may have `amount` more: up to the common part, and up to the limit within their share."""
        if self.used + amount <= self.common:
            return True
        share = self.most // len(self._held.keys() | {caller})
        return self.used + amount <= self.most and self._held[caller] + amount <= share

    def held(self, caller: str) -> int:
        """What a caller holds."""
        return self._held[caller]

    def take(self, caller: str, amount: int) -> None:
        """Let a caller hold `amount` more."""
        self.used += amount
        self._held[caller] += amount
        metrics.in_flight(self.what, self.used)

    def give(self, caller: str, amount: int) -> None:
        """Take `amount` back from a caller."""
        self.used -= amount
        self._held[caller] -= amount
        if not self._held[caller]:
            del self._held[caller]
        metrics.in_flight(self.what, self.used)
