"""How many retries are made at most, so that trouble is not multiplied."""

import time


class RetryBudget:
    """Retries paid by requests: each request earns `share` of one, every second earns `per_s`, and a retry spends one.

    At most `most` are saved up, and so many are there at first: enough for all that one replica has in flight.
    """

    def __init__(self, share: float = 0.2, per_s: float = 1.0, most: float = 100.0):
        self._share = share
        self._per_s = per_s
        self._most = most
        self._saved = most
        self._counted_at = time.monotonic()

    def earn(self) -> None:
        """Count a request."""
        self._saved = min(self._most, self._saved + self._share)

    def spend(self) -> bool:
        """Take a retry where there is one."""
        now = time.monotonic()
        self._saved = min(self._most, self._saved + self._per_s * (now - self._counted_at))
        self._counted_at = now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
