"""Starts the gateway: settings -> backend -> catalog -> server. SIGTERM drains.

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

from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.backends.triton import TritonBackend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.rpc.server import Server
from pellucid_gateway.settings import Settings
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.translation import Translation


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    log = structlog.get_logger()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    backend = TritonBackend(settings.triton_address, settings.triton_timeout_s)
    catalog = Catalog(backend, settings.model_repository)
    dispatcher = Dispatcher(backend, settings.max_in_flight_batches)
    budget = ByteBudget(settings.max_in_flight_bytes)
    codec = images.executor(settings.encoder_threads)
    analysis = Analysis(catalog, dispatcher, codec, budget, settings.max_image_px)
    server = Server(
        settings.address,
        catalog,
        Synthesis(catalog, dispatcher, codec, budget, settings.stream_window, settings.style_cache_bytes),
        analysis,
        Translation(catalog, dispatcher, analysis, codec, budget, settings.max_image_px),
    )
    await catalog.refresh()
    server.report_health()
    await server.start()
    watch = asyncio.create_task(catalog.watch(settings.catalog_interval_s, server.report_health))
    log.info("serving", address=settings.address, port=server.port, models=len(catalog.entries))

    await stop.wait()
    log.info("draining", grace_s=settings.drain_s)
    await server.drain(settings.drain_s)
    watch.cancel()
    await dispatcher.close()
    await backend.close()
    codec.shutdown()


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
