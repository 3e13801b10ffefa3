"""Closed loops: a number of clients, each of which asks again as soon as it was answered."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

Call = Callable[[], Awaitable[int]]
"""One request; gives how many images came."""


@dataclass
class Sample:
    """One round of one system: images, seconds, and how long each request took in seconds."""

    images: int = 0
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


async def closed_loop(call: Call, clients: int, seconds: float) -> Sample:
    """Let `clients` ask for `seconds`."""
    sample = Sample()
    started = time.perf_counter()

    async def client() -> None:
        while (asked := time.perf_counter()) < started + seconds:
            made = await call()
            sample.images += made
            sample.latencies_s.append(time.perf_counter() - asked)

    await asyncio.gather(*(client() for _ in range(clients)))
    sample.seconds = time.perf_counter() - started
    return sample


async def alternating(calls: Sequence[Call], seconds: float) -> list[Sample]:
    """Let one client make all calls in turn: what is compared to the millisecond must meet the same moments."""
    samples = [Sample() for _ in calls]
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        for call, sample in zip(calls, samples, strict=True):
            asked = time.perf_counter()
            sample.images += await call()
            sample.latencies_s.append(time.perf_counter() - asked)
    for sample in samples:
        sample.seconds = sum(sample.latencies_s)
    return samples


@dataclass
class Result:
    """All rounds of one system."""

    system: str
    work: str
    rounds: list[Sample] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median of the rounds' images a second."""
        return statistics.median(sample.rate for sample in self.rounds)

    @property
    def spread(self) -> float:
        """Largest less smallest rate of a round, as a share of the median."""
        rates = [sample.rate for sample in self.rounds]
        return (max(rates) - min(rates)) / self.rate

    def latency_ms(self, percentile: float) -> float:
        """A percentile of all requests' latencies, in milliseconds."""
        return float(np.percentile([s for sample in self.rounds for s in sample.latencies_s], percentile) * 1e3)
