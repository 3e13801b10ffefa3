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
import logging
import signal
import sys

import structlog
import uvloop

from pellucid_gateway.backends.triton import TritonBackend
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.settings import Settings


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
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
