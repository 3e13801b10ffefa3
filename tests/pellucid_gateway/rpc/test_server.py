import asyncio

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.pellucid_gateway.conftest import Gateway

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def health(gateway: Gateway, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_health_is_told_of_the_gateway_its_services_and_each_model(gateway: Gateway) -> None:
    for service in ("", "pellucid.v1.GenerationService", "models/paint"):
        assert await health(gateway, service) == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(gateway, "models/nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_health_follows_the_backend(gateway: Gateway) -> None:
    gateway.backend.reachable = False
    await gateway.catalog.refresh()
    await gateway.server.report_health()
    assert [await health(gateway, service) for service in ("", "models/paint")] == [NOT_SERVING, NOT_SERVING]
    gateway.backend.reachable = True
    await gateway.catalog.refresh()
    await gateway.server.report_health()
    assert await health(gateway, "models/paint") == SERVING


async def test_a_model_that_went_is_not_healthy(gateway: Gateway) -> None:
    del gateway.backend.models["meter"]
    await gateway.catalog.refresh()
    await gateway.server.report_health()
    assert await health(gateway, "models/meter") == NOT_SERVING


def _list_and_render(address: str) -> tuple[list[str], bytes]:
    """List models and get an image with nothing but what reflection tells: none of our stubs."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)

        def call(service: str, method: str, **fields: object) -> object:
            described = pool.FindServiceByName(service).FindMethodByName(method)
            request = message_factory.GetMessageClass(described.input_type)(**fields)
            answer = message_factory.GetMessageClass(described.output_type)
            return channel.unary_unary(
                f"/{service}/{method}", lambda message: message.SerializeToString(), answer.FromString
            )(request, timeout=10)

        models = call("pellucid.v1.ModelService", "ListModels")
        body = call("pellucid.v1.GenerationService", "RenderImage", model="models/paint", seed=3)
        return [model.name for model in models.models], body.data


async def test_a_client_built_from_reflection_alone_gets_an_image(gateway: Gateway) -> None:
    names, data = await asyncio.to_thread(_list_and_render, f"127.0.0.1:{gateway.server.port}")
    assert names == ["models/meter", "models/paint"]
    assert data.startswith(b"\xff\xd8")
