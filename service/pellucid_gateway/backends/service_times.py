"""How long batches take, and from when on one that is not answered is better tried elsewhere."""

LEAST_PATIENCE_S = 1.0
PATIENCE = 10.0
"""Patience in multiples of the slowest of the recent times."""

FADE = 0.98
"""What remains of the slowest time with each batch: half after 34."""


class ServiceTimes:
    """The slowest of each model's recent times: a maximum that fades, in place of a high quantile."""

    def __init__(self) -> None:
        self._slowest_s: dict[str, float] = {}

    def record(self, model: str, seconds: float) -> None:
        """Count a batch that was answered."""
        self._slowest_s[model] = max(seconds, FADE * self._slowest_s.get(model, 0.0))

    def patience_s(self, model: str) -> float | None:
        """Give the seconds to wait for a replica's answer, or None while the model has not been measured."""
        slowest_s = self._slowest_s.get(model)
        return None if slowest_s is None else max(LEAST_PATIENCE_S, PATIENCE * slowest_s)
