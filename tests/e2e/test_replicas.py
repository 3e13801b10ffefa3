"""One of three Tritons ends or freezes, and comes back, while requests run."""

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid_triton.server import TritonServer
from tests.e2e.embedded import Embedded, embedded
from tests.e2e.steady_load import SteadyLoad

pytestmark = pytest.mark.stack


@pytest.fixture
async def trio(repository: Path, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded(repository, tmp_path, 3) as started:
        yield started


@pytest.fixture
def load(trio: Embedded, generate: Callable[..., np.ndarray]) -> SteadyLoad:
    return SteadyLoad(trio.address, "models/digiface", {"1": [generate(seed).tobytes() for seed in range(8)]})


def batches_run(triton: TritonServer) -> int:
    with urllib.request.urlopen(f"http://{triton.addresses.metrics}/metrics", timeout=10) as answered:
        lines = answered.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("nv_inference_exec_count"))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
async def test_a_replica_that_ends_and_comes_back_costs_no_request(
    trio: Embedded, load: SteadyLoad, sent: signal.Signals
) -> None:
    async with load:
        await load.more(60)
        assert trio.healthy() == [True, True, True]
        assert all([await asyncio.to_thread(batches_run, triton) for triton in trio.tritons])

        trio.signal(1, sent)
        await load.until(lambda: trio.healthy() == [True, False, True])
        await load.more(60)

        await asyncio.to_thread(trio.tritons[1].wait)
        await asyncio.to_thread(trio.tritons[1].start)
        after_its_start = await asyncio.to_thread(batches_run, trio.tritons[1])
        await load.until(lambda: trio.healthy() == [True, True, True])
        await load.more(60)
        assert await asyncio.to_thread(batches_run, trio.tritons[1]) > after_its_start
    assert load.failures == []
    assert load.answered == load.sent
    assert 1 <= trio.pool.retries <= 20


async def test_a_replica_that_freezes_and_thaws_costs_no_request(trio: Embedded, load: SteadyLoad) -> None:
    async with load:
        await load.more(60)
        trio.signal(2, signal.SIGSTOP)
        try:
            await load.until(lambda: trio.healthy() == [True, True, False])
            await load.more(60)
        finally:
            trio.signal(2, signal.SIGCONT)
        await load.until(lambda: trio.healthy() == [True, True, True])
        await load.more(60)
    assert load.failures == []
    assert load.answered == load.sent
    assert 1 <= trio.pool.retries <= 20
    assert [facts.outstanding_rows for facts in trio.pool.replicas()] == [0, 0, 0]
