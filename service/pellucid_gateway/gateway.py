"""The gateway put together: what `__main__` runs and tests embed."""

import asyncio

import structlog

from pellucid_gateway import images
from pellucid_gateway.admission import Admission
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.backends.base import Backend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.rpc.server import Server
from pellucid_gateway.settings import Settings
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.translation import Translation

_log = structlog.get_logger()


class Gateway:
    """Serves the models of a backend; `port` is where it listens."""

    def __init__(self, settings: Settings, backend: Backend):
        self.settings = settings
        self.backend = backend
        self.catalog = Catalog(backend, settings.model_repository)
        self.dispatcher = Dispatcher(backend, settings.max_in_flight_batches)
        self.admission = Admission(settings.max_calls, settings.max_in_flight_images, settings.max_in_flight_bytes)
        self._codec = images.executor(settings.encoder_threads)
        shared = (self._codec, self.admission)
        analysis = Analysis(self.catalog, self.dispatcher, *shared, settings.max_image_px)
        self.server = Server(
            settings.address,
            self.catalog,
            self.admission,
            Synthesis(self.catalog, self.dispatcher, *shared, settings.stream_window, settings.style_cache_bytes),
            analysis,
            Translation(self.catalog, self.dispatcher, analysis, *shared, settings.max_image_px),
        )
        self.port = self.server.port

    async def start(self) -> None:
        """Look at what there is to serve, and serve it."""
        await self.catalog.refresh()
        self.server.report_health()
        await self.server.start()
        self._watch = asyncio.create_task(
            self.catalog.watch(self.settings.catalog_interval_s, self.server.report_health)
        )
        _log.info("serving", address=self.settings.address, port=self.port, models=len(self.catalog.entries))

    async def drain(self) -> None:
        """Take no new calls, give those under way the time that the settings name, and let go of everything."""
        _log.info("draining", grace_s=self.settings.drain_s)
        self._watch.cancel()
        await self.server.drain(self.settings.drain_s)
        await self.dispatcher.close()
        await self.backend.close()
        self._codec.shutdown()
