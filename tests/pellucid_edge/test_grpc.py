import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid.v1 import generation_service_pb2 as generation_pb
from pellucid.v1 import generation_service_pb2_grpc, model_service_pb2_grpc, translation_service_pb2_grpc
from pellucid.v1 import model_service_pb2 as pb
from pellucid.v1 import translation_service_pb2 as translation_pb
from pellucid_edge.process import EdgeProcess
from tests.pellucid_edge.conftest import Running
from tests.pellucid_edge.eventually import eventually
from tests.pellucid_edge.witness import Witness, serving
from tests.pellucid_gateway.conftest import Gateway

pytestmark = pytest.mark.stack
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def channel(edge: EdgeProcess) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.address) as channel:
        yield channel


async def test_unary_calls_and_streams_pass(channel: grpc.aio.Channel) -> None:
    stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
    made = await stub.Generate(generation_pb.GenerateRequest(model="models/paint", seeds={"first": 7}))
    assert made.images[0].recipe.seed == 7
    request = generation_pb.StreamGenerateRequest(model="models/paint", seeds={"first": 0, "count": 40})
    seeds = [image.recipe.seed async for message in stub.StreamGenerate(request) for image in message.images]
    assert seeds == list(range(40))


async def test_a_stream_both_ways_answers_while_it_is_open(channel: grpc.aio.Channel) -> None:
    stub = translation_service_pb2_grpc.TranslationServiceStub(channel)
    call = stub.StreamTranslate()
    await call.write(translation_pb.StreamTranslateRequest(start={"model": "models/paint"}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_health_passes(channel: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="models/paint"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("method", ["/grpc.channelz.v1.Channelz/GetServers", "/pellucid.v1.AdminService/Reload"])
async def test_what_is_not_for_the_public_does_not_pass(channel: grpc.aio.Channel, method: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(method)(b"")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNIMPLEMENTED, "no such path")


async def test_headers_reach_the_gateway_as_they_came(running: Running) -> None:
    witness = Witness()
    sent = {"x-request-id": "mine", "traceparent": TRACE, "authorization": "Bearer me", "x-forwarded-for": "192.0.2.9"}
    async with (
        serving(witness) as address,
        running(address) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
        grpc.aio.insecure_channel(edge.address) as channel,
    ):
        answer = await http.get("/v1/models", headers=sent)
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        await stub.ListModels(pb.ListModelsRequest(), metadata=tuple(sent.items()))
    assert answer.headers["x-request-id"] == "mine"
    for came in witness.came:
        claimed, _, added = came["x-forwarded-for"].partition(",")
        assert {name: came[name] for name in sent} == sent | {"x-forwarded-for": f"{claimed},{added}"}
        # Envoy adds where the connection came from: of a loopback address, an address of this machine.
        assert (claimed, added != "") == ("192.0.2.9", True)
    assert len(witness.came) == 2


async def test_a_request_without_an_id_gets_one_that_its_caller_is_told(running: Running) -> None:
    witness = Witness()
    async with (
        serving(witness) as address,
        running(address) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        told = [(await http.get("/v1/models")).headers["x-request-id"] for _ in range(2)]
    assert told == [came["x-request-id"] for came in witness.came]
    assert told[0] != told[1]


async def test_a_caller_s_deadline_reaches_the_gateway_from_json_and_ends_the_call(
    gateway: Gateway, edge: EdgeProcess, http: httpx.AsyncClient
) -> None:
    gateway.backend.held["paint"] = asyncio.Event()
    began = time.monotonic()
    answer = await http.post("/v1/models/paint:generate", json={}, headers={"grpc-timeout": "300m"})
    assert (answer.status_code, answer.json()["code"]) == (504, 4)
    assert 0.2 < time.monotonic() - began < 4
    gateway.backend.held["paint"].set()


async def test_the_time_left_reaches_the_gateway(running: Running) -> None:
    witness = Witness()
    async with (
        serving(witness) as address,
        running(address) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        await http.get("/v1/models", headers={"grpc-timeout": "60S"})
        await http.get("/v1/models")
    timed, untimed = witness.time_left_s
    assert timed is not None
    assert 0 < timed <= 60
    assert untimed is None


async def test_nothing_is_tried_twice(running: Running) -> None:
    witness = Witness()
    witness.failure = grpc.StatusCode.UNAVAILABLE
    async with (
        serving(witness) as address,
        running(address) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        asked = {"x-envoy-retry-on": "5xx,unavailable", "x-envoy-retry-grpc-on": "unavailable"}
        assert (await http.get("/v1/models", headers=asked)).status_code == 503
    assert len(witness.came) == 1


async def test_a_gateway_that_does_not_serve_gets_no_calls_while_another_does(running: Running) -> None:
    first, second = Witness("first"), Witness("second")
    first.is_serving = False
    async with (
        serving(first) as one,
        serving(second) as two,
        running(one, two) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):

        async def answers() -> set[str]:
            return {(await http.get("/v1/models")).json()["nextPageToken"] for _ in range(20)}

        async def has_changed() -> bool:
            return await answers() == {"first"}

        assert await answers() == {"second"}
        first.is_serving, second.is_serving = True, False
        await eventually(has_changed)
