"""What became of inputs: each is answered or refused, or a fault was found."""

from dataclasses import dataclass


@dataclass
class Tally:
    """Counts of inputs; one that failed counts again whenever it is tried again to make it smaller."""

    answered: int = 0
    refused: int = 0
    failed: int = 0

    def __str__(self) -> str:
        total = self.answered + self.refused + self.failed
        return f"fuzzed {total} inputs, {self.answered} answered, {self.refused} refused, {self.failed} failed"
