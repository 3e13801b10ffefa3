"""Starts the gateway: settings -> backend -> gateway. SIGTERM drains.

One request's way through it:

1. `rpc/interceptors` checks the message by the contract's own rules; `rpc/servicers` turns it into a job (`jobs`).
2. `catalog` finds the version that serves; `plans` checks the job against its card and cuts it into drafts.
3. `recipes`, `latents`, `conditions` and `edits` say where each image starts and what it is made under.
4. `mapping` takes what lies in W behind the model's mapping; `plans` completes the drafts to slices of tensors.
5. `synthesis` sends slices through the model's stages; `dispatch` puts those of several callers into one batch.
6. `backends/pool` chooses a Triton, and `backends/triton` asks it; `rendering` and `images` encode off the event loop.
7. The servicer answers; an error becomes a status in `rpc/status`.
"""

import asyncio
import os
import signal
import sys
from importlib.metadata import version

import uvloop

from pellucid_gateway import workers
from pellucid_gateway.backends.pool import Pool
from pellucid_gateway.backends.triton import TritonBackend
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.settings import Settings
from pellucid_gateway.telemetry import logs
from pellucid_gateway.telemetry.traces import tracing

PROBE_INTERVAL_S = 1.0


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pool = Pool(settings.triton_address, lambda address: TritonBackend(address, settings.triton_timeout_s))
    gateway = Gateway(settings, pool)
    await gateway.start()
    watch = asyncio.create_task(pool.watch(PROBE_INTERVAL_S))
    await stop.wait()
    watch.cancel()
    await gateway.drain()


def main() -> None:
    """Start the gateway with the settings of the environment."""
    settings = Settings()
    logs.configure(settings.log_level, sys.stderr)
    if settings.workers > 1 and not settings.worker:
        asyncio.run(workers.supervise(settings.address, settings.workers, settings.drain_s))
        return
    if settings.worker:
        workers.end_with_supervisor()
    tracing.start(os.environ, version("pellucid"))
    try:
        uvloop.run(serve(settings))
    finally:
        tracing.stop()


if __name__ == "__main__":
    main()
