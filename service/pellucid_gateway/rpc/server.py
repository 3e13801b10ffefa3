"""The gRPC server: services, health of each model, reflection."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pellucid.v1 import (
    analysis_service_pb2,
    analysis_service_pb2_grpc,
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    translation_service_pb2,
    translation_service_pb2_grpc,
)
from pellucid_gateway.admission import Admission
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.rpc.health import HealthServicer
from pellucid_gateway.rpc.interceptors import CallInterceptor
from pellucid_gateway.rpc.servicers import AnalysisServicer, GenerationServicer, ModelServicer
from pellucid_gateway.rpc.translation_servicer import TranslationServicer
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.translation import Translation

MAX_MESSAGE_BYTES = 4 * 2**20
SERVICES = (
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"].full_name,
    analysis_service_pb2.DESCRIPTOR.services_by_name["AnalysisService"].full_name,
    translation_service_pb2.DESCRIPTOR.services_by_name["TranslationService"].full_name,
)
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Server:
    """A gRPC server for a catalog's models, listening on `address` (`host:port`, port 0 for a free one)."""

    def __init__(
        self,
        address: str,
        catalog: Catalog,
        admission: Admission,
        authenticator: Authenticator,
        synthesis: Synthesis,
        analysis: Analysis,
        translation: Translation,
        credentials: grpc.ServerCredentials | None = None,
    ):
        self._catalog = catalog
        self._health = HealthServicer()
        self._server = grpc.aio.server(interceptors=[CallInterceptor(authenticator, admission)], options=_OPTIONS)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(catalog), self._server)
        generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(GenerationServicer(synthesis), self._server)
        analysis_service_pb2_grpc.add_AnalysisServiceServicer_to_server(AnalysisServicer(analysis), self._server)
        translation_service_pb2_grpc.add_TranslationServiceServicer_to_server(
            TranslationServicer(translation), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*SERVICES, HEALTH, reflection.SERVICE_NAME), self._server)
        self.port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )

    async def start(self) -> None:
        """Start listening."""
        await self._server.start()

    def report_health(self) -> None:
        """Report the health of the gateway (""), its services, and each model (`models/{model}`)."""
        models = {name: e.card.state == model_pb2.STATE_AVAILABLE for name, e in self._catalog.entries.items()}
        self._health.report(models | dict.fromkeys(("", *SERVICES), self._catalog.reachable))

    async def drain(self, grace_s: float) -> None:
        """Say that nothing is served any more, take no new calls, and give those under way `grace_s` seconds."""
        self._health.close()
        await self._server.stop(grace_s)
