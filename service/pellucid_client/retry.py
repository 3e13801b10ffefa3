"""When a failed call is tried again.

Only what may succeed later (Transient: UNAVAILABLE, and RESOURCE_EXHAUSTED with RetryInfo) and what means the same
when it is asked twice is tried again. The pause is the gateway's RetryInfo or an exponential back-off with jitter,
whichever is longer. A client that mostly fails stops trying: every failure takes a token from its budget, every
success gives a tenth back, and below half of the budget nothing is repeated (gRFC A6, "Throttling Retry Attempts").
An attempt that brought a part of a stream before it broke gives a whole token back.
"""

import random
import time
from dataclasses import dataclass

from pellucid_client.errors import PellucidError, Transient


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how fast failed calls are repeated; `attempts=1` never repeats."""

    attempts: int = 5
    """Attempts without progress, the first included."""
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    """Limit of the back-off; RetryInfo may ask for more."""
    budget: float = 10.0
    """Tokens a client starts with, and has at most."""


class RetryBudget:
    """The tokens of one client."""

    def __init__(self, size: float) -> None:
        self._size = size
        self._tokens = size

    def failed(self) -> bool:
        """Take a token, and return whether repeating is still within the budget."""
        self._tokens = max(self._tokens - 1, 0)
        return self._tokens > self._size / 2

    def succeeded(self) -> None:
        """Give a tenth of a token back."""
        self._give(0.1)

    def progressed(self) -> None:
        """Give a whole token back."""
        self._give(1.0)

    def _give(self, tokens: float) -> None:
        self._tokens = min(self._tokens + tokens, self._size)


class Attempts:
    """The attempts of one call, all within its time."""

    def __init__(self, policy: RetryPolicy, budget: RetryBudget, timeout_s: float) -> None:
        self._policy = policy
        self._budget = budget
        self._end = time.monotonic() + timeout_s
        self._fruitless = 0
        self._fruitful = False

    def remaining_s(self) -> float:
        """Return the time that is left, at least 0."""
        return max(self._end - time.monotonic(), 0.0)

    def progressed(self) -> None:
        """Count from the first attempt again, should this one break, and tell the budget."""
        self._fruitful = True

    def succeeded(self) -> None:
        """Tell the budget."""
        self._budget.succeeded()

    def pause_s(self, error: PellucidError) -> float | None:
        """Return how long to wait before the next attempt; None where there is to be none."""
        if self._fruitful:
            self._fruitless, self._fruitful = 0, False
            self._budget.progressed()
        self._fruitless += 1
        if not isinstance(error, Transient) or not self._budget.failed():
            return None
        pause_s = max(self._backoff_s(), error.retry_after_s or 0.0)
        if self._fruitless >= self._policy.attempts or pause_s >= self.remaining_s():
            return None
        return pause_s

    def _backoff_s(self) -> float:
        doubled_s = self._policy.first_pause_s * 2.0 ** (self._fruitless - 1)
        # Half fixed, half random: clients that failed together do not come back together.
        return min(doubled_s, self._policy.longest_pause_s) * random.uniform(0.5, 1.0)  # noqa: S311
