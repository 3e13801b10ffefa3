"""Starts the gateway: settings -> backend -> gateway. SIGTERM drains.

One request's way through it:

1. `rpc/interceptors` checks the message by the contract's own rules; `rpc/servicers` turns it into a job (`jobs`).
2. `catalog` finds the version that serves; `plans` checks the job against its card and cuts it into drafts.
3. `recipes`, `latents`, `conditions` and `edits` say where each image starts and what it is made under.
4. `mapping` takes what lies in W behind the model's mapping; `plans` completes the drafts to slices of tensors.
5. `synthesis` sends slices through the model's stages; `dispatch` puts those of several callers into one batch.
6. `backends/triton` asks Triton; `rendering` and `images` encode off the event loop.
7. The servicer answers; an error becomes a status in `rpc/status`.
"""

import asyncio
import os
import signal
import sys
from importlib.metadata import version

import uvloop

from pellucid_gateway.backends.triton import TritonBackend
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.settings import Settings
from pellucid_gateway.telemetry import logs
from pellucid_gateway.telemetry.traces import tracing


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    gateway = Gateway(settings, TritonBackend(settings.triton_address, settings.triton_timeout_s))
    await gateway.start()
    await stop.wait()
    await gateway.drain()


def main() -> None:
    """Start the gateway with the settings of the environment."""
    settings = Settings()
    logs.configure(settings.log_level, sys.stderr)
    tracing.start(os.environ, version("pellucid"))
    try:
        uvloop.run(serve(settings))
    finally:
        tracing.stop()


if __name__ == "__main__":
    main()
