"""Several gateway processes on one port.

    supervise -> worker 1 .. n, each a gateway that listens on the same port (SO_REUSEPORT) and ends with its supervisor

The kernel shares out connections, not calls. A worker that ends is started again, ever more slowly while it keeps
failing. Workers are programs of their own, not forks: gRPC does not survive one.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import structlog
from prometheus_client.multiprocess import mark_process_dead

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0
HEALTHY_S = 60.0
"""A worker that ran for so long is restarted at once when it ends."""

GRACE_S = 5.0
"""Seconds that workers have beyond their drain before they are killed."""

COMMAND = (sys.executable, "-m", "pellucid_gateway")
_PR_SET_PDEATHSIG = 1

_log = structlog.get_logger()


async def supervise(address: str, count: int, drain_s: float, command: Sequence[str] = COMMAND) -> None:
    """Run `count` workers at `address` (port 0 takes a free one) until SIGTERM or SIGINT, then let them drain.

    Raises OSError where the address cannot be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _reserved(address) as chosen, _metrics_directory() as metrics:
        variables = {"PELLUCID_ADDRESS": chosen, METRICS_VARIABLE: str(metrics)}
        _log.info("supervising", address=chosen, workers=count)
        workers = [
            _Worker(command, {**os.environ, **variables, "PELLUCID_WORKER": str(number)}, metrics)
            for number in range(1, count + 1)
        ]
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(stop, drain_s + GRACE_S))


def end_with_supervisor() -> None:
    """Have the kernel send this process SIGTERM when the process that started it ends, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Worker:
    """Keeps one gateway process running."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], metrics: Path):
        self._command = command
        self._environment = environment
        self._metrics = metrics
        self._log = _log.bind(worker=environment["PELLUCID_WORKER"])

    async def run(self, stop: asyncio.Event, grace_s: float) -> None:
        """Start the process, and again whenever it ends, until `stop`; then let it end within `grace_s`."""
        back_off_s = FIRST_BACK_OFF_S
        while not stop.is_set():
            started = time.monotonic()
            try:
                status = str(await self._once(stop, grace_s))
            except OSError as error:
                # Short of processes or memory: the other workers serve on meanwhile.
                status = f"not started: {error}"
            if time.monotonic() - started >= HEALTHY_S:
                back_off_s = FIRST_BACK_OFF_S
            if not stop.is_set():
                self._log.warning("worker ended", status=status, back_off_s=back_off_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), back_off_s)
                back_off_s = min(LONGEST_BACK_OFF_S, 2 * back_off_s)

    async def _once(self, stop: asyncio.Event, grace_s: float) -> int:
        # A session of its own: Ctrl-C reaches the supervisor alone, which then has its workers drain.
        process = await asyncio.create_subprocess_exec(*self._command, env=self._environment, start_new_session=True)
        self._log.info("worker started", pid=process.pid)
        ended, stopped = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
                await asyncio.wait({ended}, timeout=grace_s)
            if not ended.done():
                self._log.warning("worker killed", grace_s=grace_s)
                process.kill()
            return await ended
        finally:
            stopped.cancel()
            mark_process_dead(process.pid, str(self._metrics))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _reserved(address: str) -> Iterator[str]:
    """Hold a port for the workers: while the socket is bound, nobody else gets it, and no connection goes to it."""
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, place = found[0]
    # Without SO_REUSEPORT first: another gateway that listens there already would go unnoticed, and share its calls.
    with socket.socket(family) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(place)
        place = alone.getsockname()
    with socket.socket(family) as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(place)
        yield f"{host}:{place[1]}"


@contextlib.contextmanager
def _metrics_directory() -> Iterator[Path]:
    """Give an empty folder for the workers' metrics: the one that the environment names, or one of our own."""
    named = os.environ.get(METRICS_VARIABLE)
    folder = Path(named) if named else Path(tempfile.mkdtemp(prefix="pellucid-metrics-"))
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    try:
        yield folder
    finally:
        _sweep(folder)
        if not named:
            shutil.rmtree(folder)


def _sweep(folder: Path) -> None:
    for file in folder.glob("*.db"):
        file.unlink()
