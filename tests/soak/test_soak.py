"""Memory stays flat under mixed traffic with cancels, bad requests and reloads."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from pellucid.v1 import admin_service_pb2, admin_service_pb2_grpc
from pellucid_client.demo.stack import Stack
from pellucid_gateway.identity import api_keys
from tests.e2e.conftest import START_TIMEOUT_S
from tests.faults.conftest import Broken
from tests.pellucid_gateway.identity import roster
from tests.soak.memory import Memory
from tests.soak.traffic import MODEL, Traffic

pytestmark = [pytest.mark.stack, pytest.mark.timeout(2400)]
LONG_S, SHORT_S = 1800, 30
RELOADS = {True: 60, False: 5}
MB_PER_HOUR = {"gateway": 20.0, "triton": 60.0}
"""Bounds of the long run."""

WARMING_MB = {"gateway": 40.0, "triton": 120.0}
"""Bounds of the short run's second half, in which caches and heaps still fill."""


@pytest.fixture
def key() -> str:
    return api_keys.create_key()


@pytest.fixture
def own(repository: Path, tmp_path: Path) -> Path:
    """A repository in which files may be touched."""
    return Path(shutil.copytree(repository, tmp_path / "repository"))


@pytest.fixture
def broken(own: Path, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    callers = roster.write(tmp_path / "callers.yaml", roster.caller("operations", key, admin=True))
    monkeypatch.setenv("PELLUCID_CALLERS_FILE", str(callers))
    with Stack.of_repository(own, tmp_path / "log", START_TIMEOUT_S) as stack:
        yield Broken(stack)


async def test_memory_stays_flat(broken: Broken, own: Path, key: str, told: list[str], is_long: bool) -> None:
    processes = {"gateway": broken.gateway_process(), "triton": broken.triton()}
    async with (
        grpc.aio.insecure_channel(broken.gateway) as channel,
        Memory(**processes) as memory,
        Traffic(channel, key) as traffic,
    ):
        await reload_now_and_then(channel, own, key, RELOADS[is_long], LONG_S if is_long else SHORT_S)
    told.append(f"{traffic.tally}; {RELOADS[is_long]} reloads; {dict(traffic.kinds)}")
    growths = [memory.growth(name) for name in processes]
    told += [f"{growth}; bound {bound(growth.name, is_long)}; {memory.course(growth.name)}" for growth in growths]
    assert traffic.tally.lost == []
    assert traffic.tally.refused.total() == 0
    assert traffic.tally.answered == traffic.tally.sent
    assert len(traffic.kinds) == 8, "not everything was done"
    assert loads(broken) == 1 + RELOADS[is_long]
    assert_the_same_processes(broken, processes)
    for growth in growths:
        grown = growth.mb_per_hour if is_long else growth.mb
        assert grown <= (MB_PER_HOUR if is_long else WARMING_MB)[growth.name]


async def reload_now_and_then(channel: grpc.aio.Channel, own: Path, key: str, reloads: int, seconds: float) -> None:
    admin = admin_service_pb2_grpc.AdminServiceStub(channel)
    request = admin_service_pb2.ReloadModelRequest(name=MODEL)
    started = time.monotonic()
    for number in range(1, reloads + 1):
        await asyncio.sleep(started + seconds * number / (reloads + 1) - time.monotonic())
        # What has not changed is not loaded again.
        os.utime(own / "digiface" / "1" / "model.onnx")
        await admin.ReloadModel(request, timeout=60, metadata=(("x-api-key", key),))
    await asyncio.sleep(started + seconds - time.monotonic())


def loads(broken: Broken) -> int:
    return Path(broken.stack.facts["triton_log"]).read_text().count("successfully loaded 'digiface'")


def assert_the_same_processes(broken: Broken, processes: dict[str, psutil.Process]) -> None:
    """One that had been started anew would hide what its forerunner lost."""
    assert {"gateway": broken.gateway_process(), "triton": broken.triton()} == processes


def bound(name: str, is_long: bool) -> str:
    return f"{MB_PER_HOUR[name]:g} MB/hour" if is_long else f"{WARMING_MB[name]:g} MB"
