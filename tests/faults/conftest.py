"""A stack that is broken again and again, under load that is counted."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
import psutil
import pytest

from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import START_TIMEOUT_S, GatewayProcess, generate, repository
from tests.faults.load import GrpcLoad, Load
from tests.faults.tally import Tally

__all__ = ["generate", "repository"]
SEEDS = range(24)
TOTAL = pytest.StashKey[Tally]()

AnyLoad = TypeVar("AnyLoad", bound=Load)
Counted = Callable[[AnyLoad], AbstractAsyncContextManager[AnyLoad]]
Loading = Callable[..., AbstractAsyncContextManager[Load]]
Gateways = Callable[..., GatewayProcess]


class Broken:
    """A running stack, and ways to break it."""

    def __init__(self, stack: Stack):
        self.stack = stack
        self.gateway = stack.facts["gateway"]

    def triton(self) -> psutil.Process:
        """The server process that runs now."""
        return self._one(lambda child: child.name() == "tritonserver")

    def envoy(self) -> psutil.Process:
        """The edge's Envoy that runs now."""
        return self._one(lambda child: child.name() == "envoy")

    def gateway_process(self) -> psutil.Process:
        """The gateway process that runs now."""
        return self._one(
            lambda child: child.cmdline()[-1:] == ["pellucid_gateway"] and "guardian.py" not in str(child.cmdline())
        )

    def _one(self, wanted: Callable[[psutil.Process], bool]) -> psutil.Process:
        [found] = [child for child in psutil.Process(self.stack.pid).children(recursive=True) if wanted(child)]
        return found


@asynccontextmanager
async def frozen(process: psutil.Process) -> AsyncIterator[None]:
    """Stop a process meanwhile."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="session")
def broken(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    log = tmp_path_factory.mktemp("faults") / "log"
    with Stack.of_repository(repository, log, START_TIMEOUT_S, edge="127.0.0.1:0") as stack:
        yield Broken(stack)


@pytest.fixture(scope="session")
def expected(generate: Callable[..., np.ndarray]) -> list[bytes]:
    """The pixels of each seed."""
    return [generate(seed).tobytes() for seed in SEEDS]


@pytest.fixture
def enough(is_long: bool) -> int:
    """Right answers before and after each fault."""
    return 200 if is_long else 15


@pytest.fixture
def counted(pytestconfig: pytest.Config) -> Counted[AnyLoad]:
    """Runs a load; at its end, nothing may be lost."""
    total = pytestconfig.stash.setdefault(TOTAL, Tally())

    @asynccontextmanager
    async def run(load: AnyLoad) -> AsyncIterator[AnyLoad]:
        try:
            async with load:
                yield load
        finally:
            total.add(load.tally)
        assert load.tally.lost == []
        assert load.tally.sent == load.tally.answered + load.tally.refused.total()

    return run


@pytest.fixture
def loading(counted: Counted[Load], expected: list[bytes]) -> Loading:
    """Puts load on an address, over one channel, with an API key where one is given."""

    @asynccontextmanager
    async def run(address: str, key: str = "") -> AsyncIterator[Load]:
        options = [("grpc.max_reconnect_backoff_ms", 500)]
        async with (
            grpc.aio.insecure_channel(address, options=options) as channel,
            counted(GrpcLoad(lambda: nullcontext(channel), expected, key)) as load,
        ):
            yield load

    return run


@pytest.fixture
def gateway_of(broken: Broken, repository: Path, tmp_path: Path) -> Iterator[Gateways]:
    """Start further gateways before the stack's Triton, or another that the settings name."""
    started: list[GatewayProcess] = []

    def start(log: Path = tmp_path / "gateway.log", **settings: str) -> GatewayProcess:
        started.append(GatewayProcess(broken.stack, repository, log, **settings))
        return started[-1]

    yield start
    for gateway in started:
        if gateway.process.poll() is None:
            gateway.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if TOTAL in config.stash:
        terminalreporter.write_line(str(config.stash[TOTAL]))


async def in_thread(call: Gateways, *args: object, **settings: str) -> GatewayProcess:
    """Start a gateway without holding up what it may depend on."""
    return await asyncio.to_thread(call, *args, **settings)


async def pause(seconds: float) -> None:
    """Let a fault last."""
    await asyncio.sleep(seconds)
