"""A real gRPC server that lets callers in as the gateway does, with little behind its door."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_status import rpc_status

from pellucid.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from pellucid_gateway.errors import GatewayError
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.quotas import Quotas
from pellucid_gateway.rpc.authentication import admit
from pellucid_gateway.rpc.status import status_of
from tests.pellucid_gateway.identity.door_servicers import AdminServicer, GenerationServicer, ModelServicer


class _Admitting(grpc.aio.ServerInterceptor):
    def __init__(self, authenticator: Authenticator):
        self._authenticator = authenticator

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)

        async def serve(request: Any, context: Any) -> Any:
            try:
                await admit(self._authenticator, handler_call_details.method, context)
                return await handler.unary_unary(request, context)
            except GatewayError as error:
                await context.abort_with_status(rpc_status.to_status(status_of(error)))

        return grpc.unary_unary_rpc_method_handler(serve, handler.request_deserializer, handler.response_serializer)


@asynccontextmanager
async def opened(
    authenticator: Authenticator, quotas: Quotas | None = None, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[int]:
    """Open the door on a free port of localhost."""
    server = grpc.aio.server(interceptors=[_Admitting(authenticator)])
    # What the servicers leave out answers UNIMPLEMENTED.
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(), server)  # type: ignore[abstract]
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(GenerationServicer(quotas or Quotas()), server)  # type: ignore[abstract]
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(AdminServicer(), server)  # type: ignore[abstract]
    address = "localhost:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def knocking(port: int, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator["Visitor"]:
    """Connect anew: a handshake of another channel is not shared."""
    target, options = f"localhost:{port}", [("grpc.use_local_subchannel_pool", 1)]
    async with (
        grpc.aio.secure_channel(target, credentials, options=options)
        if credentials
        else grpc.aio.insecure_channel(target, options=options)
    ) as channel:
        yield Visitor(channel)


class Visitor:
    """Asks with the metadata given."""

    def __init__(self, channel: grpc.aio.Channel):
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)
        self._generation = generation_service_pb2_grpc.GenerationServiceStub(channel)
        self._admin = admin_service_pb2_grpc.AdminServiceStub(channel)

    async def who(self, *metadata: tuple[str, str]) -> str:
        """Hear as whom one is let in."""
        answer = await self._models.ListModels(model_service_pb2.ListModelsRequest(), metadata=metadata, timeout=10)
        return answer.next_page_token

    async def model(self, name: str, *metadata: tuple[str, str]) -> str:
        request = model_service_pb2.GetModelRequest(name=name)
        return (await self._models.GetModel(request, metadata=metadata, timeout=10)).model.name

    async def generate(self, count: int, *metadata: tuple[str, str]) -> int:
        request = generation_service_pb2.GenerateRequest(seeds={"count": count})
        return len((await self._generation.Generate(request, metadata=metadata, timeout=10)).images)

    async def drain(self, *metadata: tuple[str, str]) -> None:
        await self._admin.Drain(admin_service_pb2.DrainRequest(), metadata=metadata, timeout=10)
