"""One of three Tritons dies or freezes, and comes back, while requests come in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from tests.e2e.conftest import GatewayProcess
from tests.faults.conftest import Gateways, Loading, frozen, in_thread, pause

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
EJECTED_S = 4.0
"""Within which a replica that does not answer is found out: its probe runs every second, and has two."""


@pytest.fixture
async def tritons(repository: Path, tmp_path: Path) -> AsyncIterator[list[TritonServer]]:
    started = [
        TritonServer(Settings(repository, models=("digiface",), threads=1, log_file=tmp_path / f"triton-{number}.log"))
        for number in range(3)
    ]
    try:
        await asyncio.gather(*(asyncio.to_thread(triton.start) for triton in started))
        yield started
    finally:
        await asyncio.gather(*(asyncio.to_thread(triton.stop) for triton in started))


@pytest.fixture
async def gateway(tritons: list[TritonServer], gateway_of: Gateways) -> GatewayProcess:
    return await in_thread(gateway_of, PELLUCID_TRITON_ADDRESS=",".join(one.addresses.grpc for one in tritons))


async def test_one_of_three_replicas_killed_and_back_refuses_nobody(
    tritons: list[TritonServer], gateway: GatewayProcess, loading: Loading, enough: int
) -> None:
    async with loading(gateway.address) as load:
        await load.answers(enough)
        psutil.Process(tritons[1].pid).kill()
        await load.answers(2 * enough)
        await asyncio.to_thread(tritons[1].wait)
        await asyncio.to_thread(tritons[1].start)
        # The one that came back must serve again, for now the two others go.
        await pause(EJECTED_S)
        psutil.Process(tritons[0].pid).kill()
        await pause(EJECTED_S)
        psutil.Process(tritons[2].pid).kill()
        await load.answers(2 * enough)
    assert not load.tally.refused


async def test_one_of_three_replicas_frozen_refuses_nobody(
    tritons: list[TritonServer], gateway: GatewayProcess, loading: Loading, enough: int
) -> None:
    async with loading(gateway.address) as load:
        await load.answers(enough)
        async with frozen(psutil.Process(tritons[2].pid)):
            await pause(EJECTED_S)
            await load.answers(enough)
        await load.answers(enough)
    assert not load.tally.refused
