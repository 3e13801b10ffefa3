"""The benchmark's short version: it runs, checks the pixels it is given, and reports every system."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.measure import Result, Sample, alternating, closed_loop

ROOT = Path(__file__).parents[2]


@pytest.mark.stack
def test_a_short_run_reports_every_system(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    short = ["--seconds", "0.2", "--rounds", "1", "--stream-images", "64", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "benchmarks", *short], cwd=ROOT, check=True, timeout=280)
    figures = json.loads(out.read_text())
    assert {row["system"] for row in figures["results"]} == {
        "ONNX Runtime, in process", "Triton, directly", "gateway, unary", "gateway, stream",
    }  # fmt: skip
    assert all(row["images_per_s"] > 0 and row["p99_ms"] >= row["p50_ms"] > 0 for row in figures["results"])
    assert figures["stream_over_triton"] > 0
    assert isinstance(figures["unary_overhead_ms_p50"], float)


async def test_a_closed_loop_counts_every_image_of_every_client() -> None:
    async def call() -> int:
        await asyncio.sleep(0.01)
        return 3

    sample = await closed_loop(call, clients=4, seconds=0.1)
    assert sample.images == 3 * len(sample.latencies_s)
    assert len(sample.latencies_s) >= 8


async def test_alternating_calls_meet_the_same_moments() -> None:
    made: list[str] = []

    async def one() -> int:
        made.append("one")
        return 1

    async def two() -> int:
        made.append("two")
        await asyncio.sleep(0.005)
        return 2

    samples = await alternating([one, two], 0.05)
    assert made == ["one", "two"] * (len(made) // 2)
    assert [sample.images for sample in samples] == [len(made) // 2, len(made)]
    assert samples[1].seconds > samples[0].seconds


def test_a_result_is_the_median_of_its_rounds() -> None:
    rounds = [Sample(images, 2.0, [0.001 * images]) for images in (100, 300, 200)]
    result = Result("system", "work", rounds)
    assert (result.rate, result.spread) == (100, 1)
    assert result.latency_ms(50) == pytest.approx(200)
