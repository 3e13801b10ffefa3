"""Where a request's time goes."""

import time
from dataclasses import dataclass

from pellucid.v1 import image_pb2
from pellucid_gateway.dispatch import Outcome


@dataclass
class Clock:
    """Where one request's time goes, in nanoseconds."""

    started_ns: int
    queue_ns: int = 0
    inference_ns: int = 0
    encode_ns: int = 0

    @classmethod
    def start(cls) -> "Clock":
        """Start now."""
        return cls(time.monotonic_ns())

    def add(self, outcome: Outcome) -> None:
        """Count one batch."""
        self.queue_ns = max(self.queue_ns, outcome.queue_ns)
        self.inference_ns += outcome.inference_ns

    def timings(self) -> image_pb2.Timings:
        """Stop, and tell."""
        return image_pb2.Timings(
            total_ns=time.monotonic_ns() - self.started_ns,
            queue_ns=self.queue_ns,
            inference_ns=self.inference_ns,
            encode_ns=self.encode_ns,
        )
