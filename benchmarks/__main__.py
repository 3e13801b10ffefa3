"""Measures what a request costs on its way: `python -m benchmarks [--seconds S] [--rounds N] [--out FILE]`.

Rounds are interleaved, so that a machine that slows down slows all systems down; read the ratios.
"""

import argparse
import asyncio
import platform
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from benchmarks import report
from benchmarks.measure import Result, Sample, alternating, closed_loop
from benchmarks.systems import (
    BATCH,
    MODEL,
    ONE,
    System,
    gateway_systems,
    in_process,
    in_process_systems,
    latents,
    triton_systems,
)
from pellucid_client.demo.stack import Stack

START_TIMEOUT_S = 600.0


async def measure(
    addresses: dict[str, str], model: Path, seconds: float, rounds: int, stream_images: int
) -> list[Result]:
    """Measure all systems in turn, `rounds` times."""
    generate = in_process(model)
    expected = generate(latents(0, BATCH))
    async with AsyncExitStack() as context:
        systems = [
            *in_process_systems(generate),
            *await context.enter_async_context(triton_systems(addresses["triton_grpc"], expected)),
            *await context.enter_async_context(gateway_systems(addresses["gateway"], expected, stream_images)),
        ]
        results = [Result(system.name, system.work) for system in systems]
        for number in range(rounds + 1):
            samples = await _round(systems, seconds)
            if number:  # the first round warms up
                for sample, result in zip(samples, results, strict=True):
                    result.rounds.append(sample)
    return results


async def _round(systems: list[System], seconds: float) -> list[Sample]:
    compared = [system for system in systems if system.work == ONE]
    together = await alternating([system.call for system in compared], seconds * len(compared))
    taken = dict(zip((system.name for system in compared), together, strict=True))
    return [
        taken[system.name] if system.work == ONE else await closed_loop(system.call, system.clients, seconds)
        for system in systems
    ]


def main() -> None:
    """Run, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one system's round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stream-images", type=int, default=2000)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/latest.json"))
    options = parser.parse_args()
    model = options.repository / MODEL / "1" / "model.onnx"
    log = options.out.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    before = psutil.cpu_times()
    with Stack.of_repository(options.repository, log, START_TIMEOUT_S) as stack:
        results = asyncio.run(measure(stack.facts, model, options.seconds, options.rounds, options.stream_images))
    machine = report.machine(platform.processor() or platform.machine(), before, psutil.cpu_times())
    figures = report.figures(results, machine)
    report.write(figures, options.out)
    report.show(figures)


if __name__ == "__main__":
    main()
