"""What became of requests: each is answered, refused, or lost."""

from collections import Counter
from dataclasses import dataclass, field

import grpc

REFUSALS = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
}
"""Clear statuses that a caller knows what to do about."""


@dataclass
class Tally:
    """Counts of requests. `lost` says why: a wrong answer, no answer in time, or a status that tells nothing."""

    sent: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another tally's requests too."""
        self.sent += other.sent
        self.answered += other.answered
        self.refused += other.refused
        self.lost += other.lost

    def fail(self, error: grpc.RpcError) -> None:
        """Count a request that ended with a status."""
        code = error.code()
        if code in REFUSALS:
            self.refused[code.name] += 1
        else:
            self.lost.append(f"{code.name}: {error.details()}")

    def __str__(self) -> str:
        return f"sent {self.sent}, answered {self.answered}, refused {self.refused.total()}, lost {len(self.lost)}"
