"""The gateway put together: what `__main__` runs and tests embed."""

import asyncio
import os
from importlib.metadata import version

import grpc
import structlog

from pellucid_gateway import images
from pellucid_gateway.admission import Admission
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.backends.base import Backend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.identity.anonymous import takes_anonymous
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.callers import Callers
from pellucid_gateway.identity.signing_keys import SigningKeys
from pellucid_gateway.identity.tokens import TokenVerifier
from pellucid_gateway.rpc.credentials import server_credentials
from pellucid_gateway.rpc.server import Server
from pellucid_gateway.settings import Settings
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.telemetry import metrics
from pellucid_gateway.telemetry.admin import AdminServer
from pellucid_gateway.telemetry.channelz import channelz_server
from pellucid_gateway.telemetry.facts import Facts
from pellucid_gateway.translation import Translation

CALLERS_INTERVAL_S = 1.0

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
        self.callers = Callers(settings.callers_file)
        self._signing_keys = SigningKeys(settings.jwt_jwks) if settings.jwt_jwks else None
        self.server = Server(
            settings.address,
            self.catalog,
            self.admission,
            self._authenticator(),
            Synthesis(self.catalog, self.dispatcher, *shared, settings.stream_window, settings.style_cache_bytes),
            analysis,
            Translation(self.catalog, self.dispatcher, analysis, *shared, settings.max_image_px),
            _credentials(settings),
        )
        self.port = self.server.port
        self.draining = False
        self._admin: AdminServer | None = None
        self._channelz: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Look at what there is to serve, and serve it."""
        metrics.build(version("pellucid"))
        await self.catalog.refresh()
        if self._signing_keys:
            await self._signing_keys.refresh()
        self._report()
        await self.server.start()
        watches = [
            self.catalog.watch(self.settings.catalog_interval_s, self._report),
            self.callers.watch(CALLERS_INTERVAL_S),
            *([self._signing_keys.watch()] if self._signing_keys else []),
        ]
        self._watches = [asyncio.create_task(watch) for watch in watches]
        await self._show()
        _log.info(
            "serving",
            address=self.settings.address,
            port=self.port,
            admin_port=self.admin_port,
            models=len(self.catalog.entries),
        )

    @property
    def admin_port(self) -> int | None:
        """Where metrics, probes and the debug page are served."""
        return self._admin.port if self._admin else None

    def facts(self) -> Facts:
        """Tell the admin port of this gateway."""
        limits = (self.admission.calls, self.admission.images, self.admission.bytes)
        return Facts(
            reachable=self.catalog.reachable,
            draining=self.draining,
            models=[entry.card for entry in self.catalog.entries.values()],
            in_flight={limit.what: limit.used for limit in limits},
            settings=self.settings.model_dump(),
        )

    def _authenticator(self) -> Authenticator:
        told = self.settings
        keys = self._signing_keys
        tokens = TokenVerifier(told.jwt_issuer, told.jwt_audience, keys, told.jwt_leeway_s) if keys else None
        anonymous = takes_anonymous(told.address, told.callers_file is not None, told.allow_anonymous)
        return Authenticator(self.callers, tokens, anonymous)

    def _report(self) -> None:
        self.server.report_health()
        metrics.catalog(entry.card for entry in self.catalog.entries.values())
        metrics.replicas(int(self.catalog.reachable), 1)

    async def _show(self) -> None:
        """Open the ports of those who look after the gateway."""
        if self.settings.admin_address:
            shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
            loop = asyncio.get_running_loop()
            self._admin = AdminServer(self.settings.admin_address, self.facts, loop, shared=shared)
            self._admin.start()
        if self.settings.channelz_address:
            self._channelz, _ = channelz_server(self.settings.channelz_address)
            await self._channelz.start()

    async def drain(self) -> None:
        """Take no new calls, give those under way the time that the settings name, and let go of everything."""
        _log.info("draining", grace_s=self.settings.drain_s)
        self.draining = True
        for watch in self._watches:
            watch.cancel()
        await self.server.drain(self.settings.drain_s)
        await self.dispatcher.close()
        await self.backend.close()
        self._codec.shutdown()
        if self._channelz:
            await self._channelz.stop(None)
        if self._admin:
            await asyncio.to_thread(self._admin.stop)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if not (settings.tls_certificate and settings.tls_key):
        return None
    return server_credentials(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
