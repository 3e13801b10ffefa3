"""The gateway put together: what `__main__` runs and tests embed."""

import asyncio
from dataclasses import asdict
from importlib.metadata import version

import structlog
from upath import UPath

from pellucid_gateway import images
from pellucid_gateway.admission import Admission
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.backends.base import Backend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.identity.identity import Identity
from pellucid_gateway.manifest import Manifest, load_key
from pellucid_gateway.rpc.admin_servicer import AdminServicer
from pellucid_gateway.rpc.credentials import server_credentials
from pellucid_gateway.rpc.interceptors import CallInterceptor
from pellucid_gateway.rpc.server import Listening, Server
from pellucid_gateway.rpc.servicers import AnalysisServicer, GenerationServicer, ModelServicer
from pellucid_gateway.rpc.translation_servicer import TranslationServicer
from pellucid_gateway.settings import Settings
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.telemetry import metrics
from pellucid_gateway.telemetry.facts import Facts
from pellucid_gateway.telemetry.lookout import Lookout
from pellucid_gateway.translation import Translation

_log = structlog.get_logger()


class Gateway:
    """Serves the models of a backend; `port` is where it listens."""

    def __init__(self, settings: Settings, backend: Backend):
        self.settings = settings
        self.backend = backend
        self.catalog = Catalog(backend, settings.model_repository, _manifest(settings))
        self.dispatcher = Dispatcher(backend, settings.max_in_flight_batches)
        self.admission = Admission(settings.max_calls, settings.max_in_flight_images, settings.max_in_flight_bytes)
        self._codec = images.executor(settings.encoder_threads)
        self._identity = Identity(settings)
        self._lookout = Lookout(settings.admin_address, settings.channelz_address, self.facts)
        self._draining = False
        self.server = self._server()
        self.port = self.server.port

    @property
    def admin_port(self) -> int | None:
        """Where metrics, probes and the debug page are served."""
        return self._lookout.admin_port

    async def start(self) -> None:
        """Look at what there is to serve, and serve it."""
        metrics.build(version("pellucid"))
        await self.catalog.refresh()
        await self._identity.prepare()
        self.report()
        await self.server.start()
        watches = [self.catalog.watch(self.settings.catalog_interval_s, self.report), *self._identity.watches()]
        self._watches = [asyncio.create_task(watch) for watch in watches]
        await self._lookout.open()
        ports = {"port": self.port, "admin_port": self.admin_port}
        _log.info("serving", address=self.settings.address, models=len(self.catalog.entries), **ports)

    def facts(self) -> Facts:
        """Tell the admin port of this gateway."""
        limits = (self.admission.calls, self.admission.images, self.admission.bytes)
        return Facts(
            reachable=self.catalog.reachable,
            draining=self._draining,
            models=[entry.card for entry in self.catalog.entries.values()],
            replicas=[asdict(replica) for replica in self.backend.replicas()],
            in_flight={limit.what: limit.used for limit in limits},
            settings=self.settings.model_dump(),
        )

    def report(self) -> None:
        """Tell health checks and metrics how everything is."""
        self.server.report_health(self.catalog, draining=self._draining)
        metrics.catalog(entry.card for entry in self.catalog.entries.values())
        replicas = self.backend.replicas()
        metrics.replicas(sum(replica.healthy for replica in replicas), len(replicas))

    async def drain(self) -> None:
        """Take no new calls, give those under way the time that the settings name, and let go of everything."""
        _log.info("draining", grace_s=self.settings.drain_s)
        self._draining = True
        for watch in self._watches:
            watch.cancel()
        await self.server.drain(self.settings.drain_s)
        await self.dispatcher.close()
        await self.backend.close()
        self._codec.shutdown()
        await self._lookout.close()

    def _server(self) -> Server:
        told = self.settings
        shared = (self._codec, self.admission)
        analysis = Analysis(self.catalog, self.dispatcher, *shared, told.max_image_px)
        synthesis = Synthesis(self.catalog, self.dispatcher, *shared, told.stream_window, told.style_cache_bytes)
        translation = Translation(self.catalog, self.dispatcher, analysis, *shared, told.max_image_px)
        return Server(
            _listening(told),
            CallInterceptor(self._identity.authenticator, self.admission),
            ModelServicer(self.catalog),
            GenerationServicer(synthesis),
            AnalysisServicer(analysis),
            TranslationServicer(translation),
            AdminServicer(self.catalog, self._set_draining),
        )

    def _set_draining(self, draining: bool) -> None:
        self._draining = draining
        self.report()


def _listening(settings: Settings) -> Listening:
    credentials = None
    if settings.tls_certificate and settings.tls_key:
        credentials = server_credentials(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    return Listening(settings.address, settings.connection_age_s, settings.worker > 0, credentials)


def _manifest(settings: Settings) -> Manifest | None:
    if settings.manifest_key is None:
        return None
    return Manifest(UPath(settings.model_repository), load_key(settings.manifest_key))
