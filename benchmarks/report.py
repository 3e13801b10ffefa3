"""Figures as JSON and as a table."""

import json
import os
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Result
from benchmarks.systems import ONE

DIRECT, UNARY, STREAM = "Triton, directly", "gateway, unary", "gateway, stream"
PACKAGES = ("grpcio", "numpy", "onnxruntime", "tritonclient", "uvloop")


def machine(processor: str, before: Any, after: Any) -> dict[str, Any]:
    """Describe the machine, and what share of the time that was wanted its host gave to others (`psutil.cpu_times`)."""
    stolen = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    used = after.user + after.system - before.user - before.system
    return {"processor": processor, "cores": os.cpu_count(), "stolen_share": round(stolen / (used + stolen), 3)}


def figures(results: list[Result], machine: dict[str, Any]) -> dict[str, Any]:
    """Gather rates, latencies and the ratios that matter."""
    by_name = {(result.system, result.work): result for result in results}
    batches = by_name[DIRECT, "batches of 16, 2 in flight"]
    stream = next(result for result in results if result.system == STREAM and result.work.endswith("raw"))
    direct, unary = by_name[DIRECT, ONE], by_name[UNARY, ONE]
    return {
        "machine": machine,
        "versions": {package: version(package) for package in PACKAGES},
        "stream_over_triton": round(_ratio(stream, batches), 3),
        "unary_overhead_ms_p50": round(unary.latency_ms(50) - direct.latency_ms(50), 3),
        "results": [_row(result) for result in results],
    }


def _ratio(result: Result, reference: Result) -> float:
    """Give the median of the rounds' ratios: the two were measured one after the other in each."""
    pairs = zip(result.rounds, reference.rounds, strict=True)
    return statistics.median(sample.rate / other.rate for sample, other in pairs)


def _row(result: Result) -> dict[str, Any]:
    return {
        "system": result.system,
        "work": result.work,
        "images_per_s": round(result.rate, 1),
        "spread": round(result.spread, 3),
        "p50_ms": round(result.latency_ms(50), 3),
        "p99_ms": round(result.latency_ms(99), 3),
        "rounds": len(result.rounds),
    }


def write(found: dict[str, Any], file: Path) -> None:
    """Write the figures as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=2) + "\n")


def show(found: dict[str, Any]) -> None:
    """Print the table and the ratios."""
    table = Table("system", "work", "images/s", "spread", "p50 ms", "p99 ms")
    for row in found["results"]:
        table.add_row(
            row["system"],
            row["work"],
            f"{row['images_per_s']:,.0f}",
            f"{row['spread']:.0%}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(f"share of processor time that the host gave to others: {found['machine']['stolen_share']:.0%}")
    console.print(f"stream over Triton with the same batches: {found['stream_over_triton']:.2f}")
    console.print(f"one image through the gateway above Triton directly, p50: {found['unary_overhead_ms_p50']:.2f} ms")
