"""A gateway in this process with every kind of fake model, and callers with keys of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis.strategies import SearchStrategy

from pellucid_gateway.gateway import Gateway
from pellucid_gateway.identity import api_keys
from tests.fuzz.door import Door
from tests.fuzz.tally import Tally
from tests.fuzz.vocabulary import NORTHERN, SOUTHERN
from tests.pellucid_gateway import atelier, painting, workshop
from tests.pellucid_gateway.conftest import settings
from tests.pellucid_gateway.identity import roster

TOTAL = pytest.StashKey[Tally]()
OWNER, NORTH, SOUTH, THRIFTY, GREEDY = (api_keys.create_key() for _ in range(5))
QUOTA = 64
"""Images a minute of the thrifty and of the greedy caller."""

LONGER = 10
"""Inputs of the long version for one of the short."""

Input = TypeVar("Input")
Fuzz: TypeAlias = Callable[[int, SearchStrategy[Any], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@pytest.fixture
def tally(pytestconfig: pytest.Config) -> Tally:
    return pytestconfig.stash.setdefault(TOTAL, Tally())


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Gateway]:
    backend, repository = painting.backend(), painting.write_repository(tmp_path / "repository")
    atelier.open_for(backend, repository)
    workshop.open_for(backend, repository)
    callers = roster.write(
        tmp_path / "callers.yaml",
        roster.caller("owner", OWNER, admin=True),
        roster.caller("north", NORTH, models=tuple(NORTHERN)),
        roster.caller("south", SOUTH, models=tuple(SOUTHERN)),
        roster.caller("thrifty", THRIFTY, images_per_minute=QUOTA),
        roster.caller("greedy", GREEDY, images_per_minute=QUOTA),
    )
    gateway = Gateway(settings(repository, callers_file=callers), backend)
    await gateway.start()
    yield gateway
    await gateway.drain()


@pytest.fixture
async def door(served: Gateway, tally: Tally) -> AsyncIterator[Door]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        await channel.channel_ready()
        yield Door(served, channel, tally)


@pytest.fixture
def fuzz(is_long: bool) -> Fuzz:
    """Tries so many inputs, the same each time; the long version takes others each time."""

    async def over(count: int, inputs: SearchStrategy[Input], ask: Callable[[Input], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()

        @hypothesis_settings(
            max_examples=count * (LONGER if is_long else 1),
            derandomize=not is_long,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs)
        def each(one: Input) -> None:
            asyncio.run_coroutine_threadsafe(_awaited(ask(one)), loop).result()

        await asyncio.to_thread(each)

    return over


async def _awaited(asked: Awaitable[None]) -> None:
    await asked


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if TOTAL in config.stash:
        terminalreporter.write_line(str(config.stash[TOTAL]))
