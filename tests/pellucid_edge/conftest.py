"""A real Envoy before a gateway in this process, which has the fake backend behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from pellucid_edge.edge import Edge
from pellucid_edge.process import EdgeProcess
from tests.pellucid_gateway.conftest import Gateway, backend, gateway, repository

__all__ = ["backend", "gateway", "repository"]

Running: TypeAlias = Callable[..., AbstractAsyncContextManager[EdgeProcess]]
LOCAL = Edge(address="127.0.0.1:0", admin_address="127.0.0.1:0", gateways=("127.0.0.1:1",))


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Runs an edge before gateways, with whatever else it is to be told."""

    @asynccontextmanager
    async def run(*gateways: str, **others: Any) -> AsyncIterator[EdgeProcess]:
        process = EdgeProcess(replace(LOCAL, gateways=gateways, **others), tmp_path / "edge.log")
        try:
            # The gateway serves in this thread's loop: what waits for the edge must wait elsewhere.
            await asyncio.to_thread(process.start)
            yield process
        finally:
            await asyncio.to_thread(process.stop)

    return run


@pytest.fixture
async def edge(gateway: Gateway, running: Running) -> AsyncIterator[EdgeProcess]:
    """An edge before the gateway of the test, open to the pages of https://app.example."""
    async with running(f"127.0.0.1:{gateway.core.port}", origins=("https://app.example",)) as process:
        yield process


@pytest.fixture
async def http(edge: EdgeProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as client:
        yield client
