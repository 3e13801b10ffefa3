"""More than the machine can do: what becomes of the requests that are answered, and of those that are refused.

`python -m benchmarks.overload [--seconds N] [--rounds N]` first measures how many requests a second the gateway answers
to clients that each wait for their answer (the capacity), then offers 1, 2 and 3 times as many with Poisson arrivals,
all with the same deadline. Latencies count from the time at which a request was due, not from when it could be sent.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc, image_pb2
from pellucid_client.demo.stack import Stack

MODEL = "models/digiface"
IMAGES = 8
CLIENTS = 8
DEADLINE_OF_MEDIAN = 4
"""The deadline, in medians of the latency at capacity."""

Call = Callable[[float | None], Awaitable[Any]]


@dataclass
class Offer:
    """What became of the requests of one offered load; latencies in seconds."""

    load: float
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    late: int = 0
    failed: int = 0

    @property
    def sent(self) -> int:
        """Requests that were due."""
        return len(self.answered) + len(self.refused) + self.late + self.failed


async def capacity(call: Call, seconds: float) -> tuple[float, float]:
    """Measure requests a second, and the median latency, of clients that each wait for their answer."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            started = time.perf_counter()
            await call(None)
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return len(latencies) / seconds, statistics.median(latencies)


async def offered(call: Call, load: float, rate: float, seconds: float, deadline_s: float, seed: int) -> Offer:
    """Offer `rate` requests a second with Poisson arrivals."""
    offer = Offer(load)
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))
    start = time.perf_counter()

    async def request(due: float) -> None:
        sent = time.perf_counter()
        try:
            await call(deadline_s)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                offer.refused.append(time.perf_counter() - sent)
            elif error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                offer.late += 1
            else:
                offer.failed += 1
        else:
            latency = time.perf_counter() - due
            if latency <= deadline_s:
                offer.answered.append(latency)
            else:
                offer.late += 1

    tasks = []
    for due in start + np.cumsum(gaps):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(request(due)))
    await asyncio.gather(*tasks)
    return offer


async def measured(target: str, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure the capacity, and then the loads in turn, `rounds` times."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = generation_service_pb2_grpc.GenerationServiceStub(channel)
        seeds = iter(range(2**60))

        async def call(deadline_s: float | None) -> Any:
            sources = [image_pb2.Source(seed=next(seeds)) for _ in range(IMAGES)]
            return await stub.Generate(pb.GenerateRequest(model=MODEL, sources=sources), timeout=deadline_s)

        await capacity(call, 2)
        rate, median = await capacity(call, seconds)
        deadline_s = DEADLINE_OF_MEDIAN * median
        offers = [
            await offered(call, load, load * rate, seconds, deadline_s, seed=turn)
            for turn in range(rounds)
            for load in (1, 2, 3)
        ]
    return {
        "capacity": round(rate, 1),
        "deadline_ms": round(deadline_s * 1e3),
        "loads": [_row([one for one in offers if one.load == load], rate, seconds) for load in (1, 2, 3)],
    }


def _row(offers: list[Offer], rate: float, seconds: float) -> dict[str, Any]:
    answered = [latency for offer in offers for latency in offer.answered]
    refused = [latency for offer in offers for latency in offer.refused]
    sent = sum(offer.sent for offer in offers)
    return {
        "load": offers[0].load,
        "sent": sent,
        "goodput": round(len(answered) / seconds / len(offers) / rate, 2),
        "answered_p50_ms": _ms(answered, 50),
        "answered_p99_ms": _ms(answered, 99),
        "refused": round(len(refused) / sent, 3),
        "refusal_p50_ms": _ms(refused, 50),
        "refusal_p99_ms": _ms(refused, 99),
        "late": sum(offer.late for offer in offers),
        "failed": sum(offer.failed for offer in offers),
    }


def _ms(latencies: list[float], percentile: float) -> float | None:
    return round(float(np.percentile(latencies, percentile)) * 1e3, 2) if latencies else None


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/overload.json"))
    options = parser.parse_args()
    with TemporaryDirectory() as scratch, Stack.of_repository(options.repository, Path(scratch, "log"), 120) as stack:
        found = uvloop.run(measured(stack.facts["gateway"], options.seconds, options.rounds))
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    table = Table(
        *found["loads"][0], title=f"{found['capacity']} requests/s of {IMAGES} images; {found['deadline_ms']} ms"
    )
    for row in found["loads"]:
        table.add_row(*map(str, row.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
