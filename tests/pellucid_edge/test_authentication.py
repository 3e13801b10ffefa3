"""Every way not to be let in, over JSON through the edge and over gRPC, at the gateway itself."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from pellucid.v1 import admin_service_pb2, admin_service_pb2_grpc, generation_service_pb2, generation_service_pb2_grpc
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.gateway import Gateway
from tests.pellucid_edge.conftest import Running
from tests.pellucid_gateway.conftest import settings
from tests.pellucid_gateway.identity import roster
from tests.pellucid_gateway.identity.issuer import AUDIENCE, NAME, write_jwks
from tests.pellucid_gateway.rpc.refusals import refusal
from tests.pellucid_gateway.rpc.test_authentication import ADA, ADAS, BOB, BOBS, ISSUER, REFUSED, bearer

Metadata = Callable[[], list[tuple[str, str]]]


@dataclass
class Door:
    """The gateway, over both protocols."""

    file: Path
    http: httpx.AsyncClient
    channel: grpc.aio.Channel

    async def by_json(self, *metadata: tuple[str, str]) -> tuple[int, str]:
        """The HTTP status of a request for an image, and the message of the refusal."""
        answer = await self.http.get("/v1/models/paint:render?seed=1", headers=dict(metadata))
        return answer.status_code, "" if answer.is_success else answer.json()["message"]

    async def by_grpc(self, *metadata: tuple[str, str]) -> tuple[str, str]:
        """The gRPC status of such a request, and the message of the refusal."""
        stub = generation_service_pb2_grpc.GenerationServiceStub(self.channel)
        try:
            await stub.Generate(generation_service_pb2.GenerateRequest(model="models/paint"), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            told = refusal(error)
            return told.code.name, told.message
        return "OK", ""


@pytest.fixture
async def door(backend: FakeBackend, repository: Path, tmp_path: Path, running: Running) -> AsyncIterator[Door]:
    file = roster.write(tmp_path / "callers.yaml", ADA | {"models": ["paint"], "images_per_minute": 1_000_000}, BOB)
    told = {
        "callers_file": file,
        "jwt_issuer": NAME,
        "jwt_audience": AUDIENCE,
        "jwt_jwks": str(write_jwks(tmp_path / "jwks", ISSUER.jwk())),
    }
    gateway = Gateway(settings(repository, **told), backend)
    await gateway.start()
    address = f"127.0.0.1:{gateway.port}"
    async with (
        running(address) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Door(file, http, channel)
    await gateway.drain()


async def test_whoever_does_not_prove_who_they_are_is_refused_over_both_protocols(door: Door) -> None:
    for name, (metadata, message) in REFUSED.items():
        assert await door.by_json(*metadata()) == (401, message), name
        assert await door.by_grpc(*metadata()) == ("UNAUTHENTICATED", message), name


async def test_a_caller_is_let_in_over_both_protocols_by_key_and_by_token(door: Door) -> None:
    for credential in (ADAS, ISSUER.token()):
        assert await door.by_json(bearer(credential)) == (200, "")
        assert await door.by_grpc(bearer(credential)) == ("OK", "")


async def test_another_callers_model_is_refused_over_both_protocols(door: Door) -> None:
    assert await door.by_json(bearer(BOBS)) == (403, "bob may not use models/paint")
    assert await door.by_grpc(bearer(BOBS)) == ("PERMISSION_DENIED", "bob may not use models/paint")
    listed = await door.http.get("/v1/models", headers=dict([bearer(ADAS)]))
    assert [model["name"] for model in listed.json()["models"]] == ["models/paint"]


async def test_a_revoked_key_is_refused_while_the_gateway_runs(door: Door) -> None:
    assert await door.by_json(bearer(ADAS)) == (200, "")
    roster.write(door.file, BOB)
    while (told := await door.by_json(bearer(ADAS)))[0] == 200:
        pass
    assert told == (401, "the API key is not valid")
    assert await door.by_grpc(bearer(ADAS)) == ("UNAUTHENTICATED", "the API key is not valid")


async def test_administration_is_refused_to_who_is_none_and_cannot_be_reached_through_the_edge(door: Door) -> None:
    stub = admin_service_pb2_grpc.AdminServiceStub(door.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Drain(admin_service_pb2.DrainRequest(), metadata=[bearer(ADAS)])
    assert refusal(caught.value).code is grpc.StatusCode.PERMISSION_DENIED
    answer = await door.http.post("/v1:drain", headers=dict([bearer(ADAS)]), json={})
    assert answer.status_code == 404
