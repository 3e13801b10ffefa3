"""The whole gateway with callers of its own: what each may see, use and change, and how much."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from pellucid.v1 import (
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.identity import api_keys
from tests.pellucid_gateway.conftest import settings
from tests.pellucid_gateway.identity import roster
from tests.pellucid_gateway.rpc.refusals import Refusal, refusal

ADAS, BOBS, POOR = (api_keys.create_key() for _ in range(3))


@pytest.fixture
async def channel(backend: FakeBackend, repository: Path, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    callers = roster.write(
        tmp_path / "callers.yaml",
        roster.caller("ada", ADAS),
        roster.caller("bob", BOBS, models=("other-*",)),
        roster.caller("poor", POOR, images_per_minute=4, bytes_per_minute=10_000_000),
    )
    gateway = Gateway(settings(repository, callers_file=callers), backend)
    await gateway.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        yield channel
    await gateway.drain()


def bearer(key: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {key}"),)


async def refused(call: object) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal(caught.value)


async def names(channel: grpc.aio.Channel, key: str) -> list[str]:
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    answer = await stub.ListModels(model_service_pb2.ListModelsRequest(), metadata=bearer(key))
    return [model.name for model in answer.models]


async def generate(channel: grpc.aio.Channel, key: str, model: str, count: int = 1) -> int:
    stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
    request = generation_service_pb2.GenerateRequest(model=model, seeds={"first": 1, "count": count})
    return len((await stub.Generate(request, metadata=bearer(key))).images)


async def test_models_that_a_caller_may_not_use_are_not_listed(channel: grpc.aio.Channel) -> None:
    assert await names(channel, ADAS) != []
    assert await names(channel, BOBS) == []


async def test_a_model_that_is_not_theirs_and_one_that_is_not_there_are_refused_alike(
    channel: grpc.aio.Channel,
) -> None:
    [mine, *_] = await names(channel, ADAS)
    for name in (mine, "models/nothing"):
        told = await refused(generate(channel, BOBS, name))
        assert told == Refusal(grpc.StatusCode.PERMISSION_DENIED, f"bob may not use {name}", "PERMISSION_DENIED")


async def test_who_may_use_some_models_is_told_of_no_others(channel: grpc.aio.Channel) -> None:
    told = await refused(generate(channel, BOBS, "models/other-1"))
    assert (told.code, told.message) == (grpc.StatusCode.NOT_FOUND, "no model 'models/other-1'")


async def test_nobody_gets_in_without_a_credential(channel: grpc.aio.Channel) -> None:
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    assert (
        await refused(stub.ListModels(model_service_pb2.ListModelsRequest()))
    ).code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_quota_is_counted_in_images(channel: grpc.aio.Channel) -> None:
    assert await generate(channel, POOR, "models/paint", 3) == 3
    told = await refused(generate(channel, POOR, "models/paint", 3))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert told.retry_after_s == pytest.approx(30, abs=2)
    assert await generate(channel, POOR, "models/paint") == 1
    assert await generate(channel, ADAS, "models/paint", 5) == 5
