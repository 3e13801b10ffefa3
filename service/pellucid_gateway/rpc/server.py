"""The gRPC server: services, health of each model, reflection."""

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pellucid.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
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
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.rpc.admin_servicer import AdminServicer
from pellucid_gateway.rpc.health import HealthServicer
from pellucid_gateway.rpc.interceptors import CallInterceptor
from pellucid_gateway.rpc.servicers import AnalysisServicer, GenerationServicer, ModelServicer
from pellucid_gateway.rpc.translation_servicer import TranslationServicer

MAX_MESSAGE_BYTES = 4 * 2**20
SERVICES = tuple(
    service.full_name
    for file in (
        model_service_pb2,
        generation_service_pb2,
        analysis_service_pb2,
        translation_service_pb2,
        admin_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
)
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


@dataclass(frozen=True)
class Listening:
    """Where and how a server listens: at `address` (`host:port`, port 0 for a free one), with TLS by `credentials`.

    Connections are asked to come anew after `connection_age_s` seconds, so that they spread over processes and
    replicas; `shares_port` where other processes listen there too.
    """

    address: str
    connection_age_s: float
    shares_port: bool = False
    credentials: grpc.ServerCredentials | None = None

    @property
    def options(self) -> list[tuple[str, int]]:
        """gRPC's channel arguments."""
        return [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", int(self.shares_port)),
            ("grpc.max_connection_age_ms", int(self.connection_age_s * 1e3)),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]


class Server:
    """Serves the services; `port` is where it listens."""

    def __init__(
        self,
        listening: Listening,
        interceptor: CallInterceptor,
        models: ModelServicer,
        generation: GenerationServicer,
        analysis: AnalysisServicer,
        translation: TranslationServicer,
        admin: AdminServicer,
    ):
        self._health = HealthServicer()
        self._server = server = grpc.aio.server(interceptors=[interceptor], options=listening.options)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
        generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(generation, server)
        analysis_service_pb2_grpc.add_AnalysisServiceServicer_to_server(analysis, server)
        translation_service_pb2_grpc.add_TranslationServiceServicer_to_server(translation, server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, HEALTH, reflection.SERVICE_NAME), server)
        if listening.credentials:
            self.port = server.add_secure_port(listening.address, listening.credentials)
        else:
            self.port = server.add_insecure_port(listening.address)

    async def start(self) -> None:
        """Start listening."""
        await self._server.start()

    def report_health(self, catalog: Catalog, *, draining: bool = False) -> None:
        """Report the health of the gateway (""), its services, and each model (`models/{model}`)."""
        models = {name: entry.card.state == model_pb2.STATE_AVAILABLE for name, entry in catalog.entries.items()}
        told = models | dict.fromkeys(("", *SERVICES), catalog.reachable)
        self._health.report({name: serves and not draining for name, serves in told.items()})

    async def drain(self, grace_s: float) -> None:
        """Say that nothing is served any more, take no new calls, and give those under way `grace_s` seconds."""
        self._health.close()
        await self._server.stop(grace_s)
