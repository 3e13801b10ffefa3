"""Tritons of a test's own, and a gateway before them in this process, so that its pool can be looked into."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pellucid_gateway.backends.pool import Pool
from pellucid_gateway.backends.triton import TritonBackend
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.settings import Settings
from pellucid_triton.control import Control
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings as TritonSettings


@dataclass
class Embedded:
    """`tritons`, and a `gateway` that asks them through `pool`."""

    tritons: list[TritonServer]
    pool: Pool
    gateway: Gateway

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.gateway.port}"

    def healthy(self) -> list[bool]:
        return [facts.healthy for facts in self.pool.replicas()]

    async def load_on(self, number: int) -> None:
        """Have one Triton alone load the model."""
        control = Control(self.tritons[number].addresses.grpc)
        try:
            await asyncio.to_thread(control.load, "digiface", 60.0)
        finally:
            control.close()

    def signal(self, number: int, sent: signal.Signals) -> None:
        pid = self.tritons[number].pid
        assert pid is not None
        os.kill(pid, sent)


@asynccontextmanager
async def embedded(repository: Path, logs: Path, count: int) -> AsyncIterator[Embedded]:
    """Start `count` Tritons that serve `digiface` of a repository, and a gateway; stop them in the opposite order."""
    tritons = [
        TritonServer(TritonSettings(repository, models=("digiface",), threads=1, log_file=logs / f"triton-{k}.log"))
        for k in range(count)
    ]
    try:
        await asyncio.gather(*(asyncio.to_thread(triton.start) for triton in tritons))
        pool = Pool(",".join(one.addresses.grpc for one in tritons), lambda address: TritonBackend(address, 60))
        settings = Settings(
            address="127.0.0.1:0", model_repository=str(repository), catalog_interval_s=0.2, drain_s=5, admin_address=""
        )
        gateway = Gateway(settings, pool)
        await gateway.start()
        yield Embedded(tritons, pool, gateway)
        await gateway.drain()
    finally:
        await asyncio.gather(*(asyncio.to_thread(triton.stop) for triton in tritons))
