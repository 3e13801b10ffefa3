"""What operators do, over RPC, to a gateway that asks who they are."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid.v1 import admin_service_pb2 as pb
from pellucid.v1 import admin_service_pb2_grpc, generation_service_pb2, generation_service_pb2_grpc
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.errors import ModelUnavailable
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.identity import api_keys
from tests.pellucid_gateway.conftest import settings
from tests.pellucid_gateway.identity import roster
from tests.pellucid_gateway.rpc.refusals import refusal

PAINT = "models/paint"
OPERATOR, ADA = api_keys.create_key(), api_keys.create_key()


@dataclass
class Office:
    """A gateway, and what an operator calls it with."""

    backend: FakeBackend
    repository: Path
    admin: Any
    generation: Any
    health: Any

    async def do(self, method: str, request: object, key: str = OPERATOR) -> Any:
        return await getattr(self.admin, method)(request, metadata=[("x-api-key", key)])

    async def version_of(self, request_id: str) -> str:
        request = generation_service_pb2.GenerateRequest(model=PAINT, request_id=request_id)
        [image] = (await self.generation.Generate(request, metadata=[("x-api-key", ADA)])).images
        return str(image.recipe.version)

    async def status(self) -> int:
        return int((await self.health.Check(health_pb2.HealthCheckRequest(service=PAINT))).status)


@pytest.fixture
async def office(backend: FakeBackend, repository: Path, tmp_path: Path) -> AsyncIterator[Office]:
    callers = roster.write(
        tmp_path / "callers.yaml", roster.caller("operator", OPERATOR, admin=True), roster.caller("ada", ADA)
    )
    gateway = Gateway(settings(repository, callers_file=callers), backend)
    await gateway.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        yield Office(
            backend,
            repository,
            admin_service_pb2_grpc.AdminServiceStub(channel),
            generation_service_pb2_grpc.GenerationServiceStub(channel),
            health_pb2_grpc.HealthStub(channel),
        )
    await gateway.drain()


def publish(office: Office, version: str) -> None:
    folder = office.repository / "paint" / version
    folder.mkdir()
    (folder / "version.json").write_text(json.dumps({"name": version}))
    office.backend.versions["paint"] = ("1", version)


async def test_a_reload_brings_a_new_version_and_the_next_request_is_its(office: Office) -> None:
    assert await office.version_of("a") == "1"
    publish(office, "2")
    told = await office.do("ReloadModel", pb.ReloadModelRequest(name=PAINT))
    assert office.backend.loads == ["paint"]
    assert [version.name for version in told.model.versions] == ["1", "2"]
    assert await office.version_of("a") == "2"


async def test_weights_share_out_requests_until_they_are_taken_back(office: Office) -> None:
    publish(office, "2")
    await office.do("ReloadModel", pb.ReloadModelRequest(name=PAINT))
    told = await office.do("SetVersionWeights", pb.SetVersionWeightsRequest(name=PAINT, weights={"1": 90, "2": 10}))
    assert (dict(told.model.version_weights), told.model.default_version) == ({"1": 90, "2": 10}, "1")
    shares = Counter([await office.version_of(f"request {k}") for k in range(200)])
    assert 5 <= shares["2"] <= 40
    assert shares["1"] + shares["2"] == 200
    told = await office.do("SetVersionWeights", pb.SetVersionWeightsRequest(name=PAINT))
    assert not told.model.version_weights
    assert await office.version_of("request 0") == "2"


async def test_weights_of_a_version_that_does_not_serve_are_refused_by_name(office: Office) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await office.do("SetVersionWeights", pb.SetVersionWeightsRequest(name=PAINT, weights={"7": 1}))
    told = refusal(caught.value)
    assert (told.code, told.message) == (grpc.StatusCode.NOT_FOUND, "no version of models/paint '7'; there are 1")


async def test_a_drained_gateway_says_that_it_does_not_serve_and_answers_what_comes(office: Office) -> None:
    await office.do("Drain", pb.DrainRequest())
    assert await office.status() == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await office.version_of("a") == "1"
    await office.do("Drain", pb.DrainRequest(undo=True))
    assert await office.status() == health_pb2.HealthCheckResponse.SERVING


async def test_a_model_that_triton_cannot_load_is_unavailable_with_its_reason(office: Office) -> None:
    office.backend.failure = ModelUnavailable("paint", "the file is broken")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await office.do("ReloadModel", pb.ReloadModelRequest(name=PAINT))
    told = refusal(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_UNAVAILABLE")
    assert "the file is broken" in told.message


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ReloadModel", pb.ReloadModelRequest(name=PAINT)),
        ("SetVersionWeights", pb.SetVersionWeightsRequest(name=PAINT)),
        ("Drain", pb.DrainRequest()),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_who_is_no_administrator_changes_nothing(office: Office, method: str, request_: object) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await office.do(method, request_, ADA)
    assert refusal(caught.value).code == grpc.StatusCode.PERMISSION_DENIED
    assert office.backend.loads == []
    assert await office.status() == health_pb2.HealthCheckResponse.SERVING
