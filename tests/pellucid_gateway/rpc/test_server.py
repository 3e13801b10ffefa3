import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.reflected import list_and_render

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
    gateway.core.report()
    assert [await health(gateway, service) for service in ("", "models/paint")] == [NOT_SERVING, NOT_SERVING]
    gateway.backend.reachable = True
    await gateway.catalog.refresh()
    gateway.core.report()
    assert await health(gateway, "models/paint") == SERVING


async def test_a_model_that_went_is_not_healthy(gateway: Gateway) -> None:
    del gateway.backend.models["meter"]
    await gateway.catalog.refresh()
    gateway.core.report()
    assert await health(gateway, "models/meter") == NOT_SERVING


async def test_a_watcher_is_told_of_changes_and_let_go_at_the_end(gateway: Gateway) -> None:
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="models/paint"))
    told = [(await watch.read()).status]
    gateway.backend.reachable = False
    await gateway.catalog.refresh()
    gateway.core.report()
    told.append((await watch.read()).status)
    await gateway.core.server.drain(5)
    assert await watch.read() == grpc.aio.EOF
    assert told == [SERVING, NOT_SERVING]


async def test_a_client_built_from_reflection_alone_gets_an_image(gateway: Gateway) -> None:
    names, data = await asyncio.to_thread(list_and_render, f"127.0.0.1:{gateway.core.server.port}", "models/paint")
    assert names == ["models/meter", "models/paint"]
    assert data.startswith(b"\xff\xd8")
