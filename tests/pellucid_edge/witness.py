"""A server in the gateway's place that keeps what comes to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid.v1 import model_service_pb2 as pb

Response = health_pb2.HealthCheckResponse


class Witness(health_pb2_grpc.HealthServicer):
    """Answers ListModels with its own name as the token of the next page, or fails with `failure`."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.failure: grpc.StatusCode | None = None
        self.is_serving = True
        self.came: list[dict[str, str]] = []
        self.time_left_s: list[float | None] = []

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        self.came.append(dict(context.invocation_metadata()))
        self.time_left_s.append(context.time_remaining())
        if self.failure:
            await context.abort(self.failure, "as it was told to")
        return pb.ListModelsResponse(next_page_token=self.name)

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Response:  # noqa: N802
        return Response(status=Response.SERVING if self.is_serving else Response.NOT_SERVING)


@asynccontextmanager
async def serving(witness: Witness, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[str]:
    """Serve and give the address."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        witness.ListModels, pb.ListModelsRequest.FromString, pb.ListModelsResponse.SerializeToString
    )
    service = grpc.method_handlers_generic_handler("pellucid.v1.ModelService", {"ListModels": handler})
    server.add_generic_rpc_handlers([service])
    health_pb2_grpc.add_HealthServicer_to_server(witness, server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
