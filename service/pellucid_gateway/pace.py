"""How fast a model computes, measured while it serves."""

import time
from collections.abc import Callable

WEIGHT = 0.2
"""Of the newest batch in the running means."""


class Pace:
    """The measured pace of one model at one priority, and when rows that come now would be done.

    Only what is busy can be late: with nothing in flight the next rows are taken, whatever earlier ones took.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._rows = 0
        self._batches = 0
        self._row_s = 0.0
        self._batch_s = 0.0
        self._last_end = 0.0

    @property
    def rows(self) -> int:
        """Rows that wait or are computed."""
        return self._rows

    def expected_s(self, rows: int) -> float:
        """Seconds until `rows` that come now would be done."""
        if not self._rows:
            return 0.0
        return max(self._batch_s, (self._rows + rows) * self._row_s)

    def arrived(self, rows: int) -> None:
        """Count rows that wait from now on."""
        self._rows += rows

    def left(self, rows: int) -> None:
        """Take off rows that are done, or that nobody waits for any more."""
        self._rows -= rows

    def done(self, rows: int, sent_at: float) -> None:
        """Learn from a batch that was sent at `sent_at` on the clock and is answered now.

        Batches in flight together share the machine, so a batch counts from the end of the one before it.
        """
        now = self._clock()
        row_s = (now - max(sent_at, self._last_end)) / rows
        batch_s = now - sent_at
        self._last_end = now
        weight = WEIGHT if self._batches else 1.0
        self._batches += 1
        self._row_s += weight * (row_s - self._row_s)
        self._batch_s += weight * (batch_s - self._batch_s)
