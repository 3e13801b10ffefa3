"""A stack that is broken again and again, under load that is counted."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import START_TIMEOUT_S, GatewayProcess, generate, repository
from tests.faults.load import Load
from tests.faults.tally import Tally

__all__ = ["generate", "repository"]
SEEDS = range(24)
TOTAL = pytest.StashKey[Tally]()


class Broken:
    """A running stack, and ways to break it."""

    def __init__(self, stack: Stack):
        self.stack = stack
        self.gateway = stack.facts["gateway"]

    def triton(self) -> psutil.Process:
        """The server process that runs now."""
        return self._one(lambda child: child.name() == "tritonserver")

    def gateway_process(self) -> psutil.Process:
        """The gateway process that runs now."""
        return self._one(
            lambda child: child.cmdline()[-1:] == ["pellucid_gateway"] and "guardian.py" not in str(child.cmdline())
        )

    def _one(self, wanted: Callable[[psutil.Process], bool]) -> psutil.Process:
        [found] = [child for child in psutil.Process(self.stack.pid).children(recursive=True) if wanted(child)]
        return found

    @asynccontextmanager
    async def frozen(self, process: psutil.Process) -> AsyncIterator[None]:
        """Stop a process meanwhile."""
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def broken(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    with Stack.of_repository(repository, tmp_path_factory.mktemp("faults") / "log", START_TIMEOUT_S) as stack:
        yield Broken(stack)


@pytest.fixture(scope="module")
def expected(generate: Callable[..., np.ndarray]) -> list[bytes]:
    """The pixels of each seed."""
    return [generate(seed).tobytes() for seed in SEEDS]


@pytest.fixture
def enough(is_long: bool) -> int:
    """Right answers before and after each fault."""
    return 200 if is_long else 15


Loading = Callable[[str], "LoadContext"]


class LoadContext:
    """Load on an address; at the end, nothing may be lost."""

    def __init__(self, address: str, expected: list[bytes], total: Tally):
        self._address = address
        self._expected = expected
        self._total = total

    async def __aenter__(self) -> Load:
        self._channel = grpc.aio.insecure_channel(self._address, options=[("grpc.max_reconnect_backoff_ms", 500)])
        self._load = Load(lambda: self._channel, self._expected)
        return await self._load.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        await self._load.__aexit__(None, None, None)
        await self._channel.close()
        self._total.add(self._load.tally)
        assert self._load.tally.lost == []
        assert self._load.tally.sent == self._load.tally.answered + self._load.tally.refused.total()


@pytest.fixture
def loading(expected: list[bytes], pytestconfig: pytest.Config) -> Loading:
    total = pytestconfig.stash.setdefault(TOTAL, Tally())
    return lambda address: LoadContext(address, expected, total)


@pytest.fixture
def gateway_of(broken: Broken, repository: Path, tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Start further gateways before the stack's Triton."""
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


async def in_thread(call: Callable[..., GatewayProcess], *args: object, **settings: str) -> GatewayProcess:
    """Start a gateway without holding up what it may depend on."""
    return await asyncio.to_thread(call, *args, **settings)


async def pause(seconds: float) -> None:
    """Let a fault last."""
    await asyncio.sleep(seconds)
