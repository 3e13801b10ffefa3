"""A toy gateway on a free port, and a client of either face."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pellucid_client import AsyncClient, Client, RetryPolicy
from pellucid_client.loop_thread import LoopThread
from tests.pellucid_client.servicers import ToyGateway, serve

QUICK = RetryPolicy(first_pause_s=0.001, longest_pause_s=0.01)


@pytest.fixture
def gateway() -> ToyGateway:
    return ToyGateway()


@pytest.fixture
def target(gateway: ToyGateway) -> Iterator[str]:
    thread = LoopThread()
    server, address = thread.run(serve(gateway))
    yield address
    thread.run(server.stop(None))
    thread.stop()


@pytest.fixture(params=["blocking", "asyncio"])
async def client(request: pytest.FixtureRequest, target: str) -> AsyncIterator[Any]:
    if request.param == "blocking":
        with Client(target, retry=QUICK) as blocking:
            yield blocking
    else:
        async with AsyncClient(target, retry=QUICK) as asynchronous:
            yield asynchronous
