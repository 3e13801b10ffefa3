"""What a whole gateway tells of itself, on the fake backend."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.parser import text_string_to_metric_families

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc
from pellucid_client import AsyncClient
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.telemetry import calls
from tests.pellucid_gateway.conftest import settings
from tests.pellucid_gateway.telemetry.collector import Collector
from tests.pellucid_gateway.telemetry.samples import label_values, value

GENERATE = "GenerationService/Generate"


@pytest.fixture
async def seen(backend: FakeBackend, repository: Path) -> AsyncIterator[Gateway]:
    watchful = {"admin_address": "127.0.0.1:0", "catalog_interval_s": 0.05, "max_in_flight_images": 8, "drain_s": 10}
    gateway = Gateway(settings(repository, **watchful), backend)
    await gateway.start()
    yield gateway
    if not gateway.facts().draining:
        await gateway.drain()


@pytest.fixture
async def stub(seen: Gateway) -> AsyncIterator["generation_service_pb2_grpc.GenerationServiceAsyncStub"]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{seen.port}") as channel:
        yield generation_service_pb2_grpc.GenerationServiceStub(channel)


async def asked(gateway: Gateway, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{gateway.admin_port}{path}")


async def until_ready_is(gateway: Gateway, status: int) -> list[str]:
    async with asyncio.timeout(10):
        while (answer := await asked(gateway, "/readyz")).status_code != status:
            pass
    return list(answer.json()["reasons"])


async def test_a_call_is_counted_in_all_that_it_does(
    stub: "generation_service_pb2_grpc.GenerationServiceAsyncStub",
) -> None:
    counted = {
        "pellucid_calls_started_total": {"method": GENERATE},
        "pellucid_calls_handled_total": {"method": GENERATE, "code": "OK", "caller": "anonymous"},
        "pellucid_call_duration_seconds_count": {"method": GENERATE, "code": "OK"},
        "pellucid_images_made_total": {"model": "paint", "method": GENERATE},
        "pellucid_batch_rows_sum": {"model": "paint"},
        "pellucid_batch_rows_count": {"model": "paint"},
        "pellucid_queue_seconds_count": {"model": "paint"},
        "pellucid_inference_seconds_count": {"model": "paint"},
        "pellucid_encode_seconds_count": {"format": "jpeg"},
        "pellucid_received_bytes_total": {"method": GENERATE},
        "pellucid_sent_bytes_total": {"method": GENERATE},
    }
    before = {name: value(name, **labels) for name, labels in counted.items()}
    request = pb.GenerateRequest(model="models/paint", request_id="id-1")
    request.seeds.first, request.seeds.count = 7, 5
    response = await stub.Generate(request)
    added = {name: value(name, **labels) - before[name] for name, labels in counted.items()}
    assert added == {
        "pellucid_calls_started_total": 1,
        "pellucid_calls_handled_total": 1,
        "pellucid_call_duration_seconds_count": 1,
        "pellucid_images_made_total": 5,
        "pellucid_batch_rows_sum": 5,
        "pellucid_batch_rows_count": 1,
        "pellucid_queue_seconds_count": 1,
        "pellucid_inference_seconds_count": 1,
        "pellucid_encode_seconds_count": 5,
        "pellucid_received_bytes_total": request.ByteSize(),
        "pellucid_sent_bytes_total": response.ByteSize(),
    }
    assert value("pellucid_in_flight_calls") == 0
    assert value("pellucid_in_flight_bytes") == 0


async def test_a_refusal_is_counted_with_its_reason_and_shown(
    seen: Gateway, stub: "generation_service_pb2_grpc.GenerationServiceAsyncStub"
) -> None:
    shed = value("pellucid_shed_total", reason="images", caller="anonymous")
    request = pb.GenerateRequest(model="models/paint", request_id="too-many")
    request.seeds.count = 9
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Generate(request)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert value("pellucid_shed_total", reason="images", caller="anonymous") == shed + 1
    last = calls.recent[-1]
    assert (last.request_id, last.code, last.model) == ("too-many", "RESOURCE_EXHAUSTED", "models/paint")
    page = (await asked(seen, "/debug")).text
    assert "<td>too-many</td>" in page
    assert "<td>models/paint</td><td>available</td><td>1</td>" in page


async def test_models_that_callers_make_up_make_no_series(
    stub: "generation_service_pb2_grpc.GenerationServiceAsyncStub",
) -> None:
    for number in range(100):
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Generate(pb.GenerateRequest(model=f"models/made-up-{number}"))
    families = ("pellucid_images_made", "pellucid_batch_rows", "pellucid_queue_seconds")
    assert not [name for family in families for name in label_values(family, "model") if "made-up" in name]


async def test_readiness_follows_the_backend_and_the_drain(seen: Gateway, backend: FakeBackend) -> None:
    assert await until_ready_is(seen, 200) == []
    backend.reachable = False
    assert "no Triton can be reached" in await until_ready_is(seen, 503)
    assert value("pellucid_triton_replicas_healthy") == 0
    backend.reachable = True
    assert await until_ready_is(seen, 200) == []
    assert value("pellucid_triton_replicas_healthy") == 1
    told = {family.name for family in text_string_to_metric_families((await asked(seen, "/metrics")).text)}
    assert "pellucid_calls_handled" in told


async def test_a_gateway_that_drains_says_so_until_it_is_done(
    seen: Gateway, backend: FakeBackend, stub: "generation_service_pb2_grpc.GenerationServiceAsyncStub"
) -> None:
    backend.held["paint"] = asyncio.Event()
    call = asyncio.ensure_future(stub.Generate(pb.GenerateRequest(model="models/paint")))
    async with asyncio.timeout(10):
        while not backend.batches:
            await asked(seen, "/livez")
    drained = asyncio.create_task(seen.drain())
    assert await until_ready_is(seen, 503) == ["draining"]
    backend.held["paint"].set()
    await call
    await drained
    with pytest.raises(httpx.TransportError):
        await asked(seen, "/readyz")


async def test_one_trace_goes_from_the_client_through_the_gateway_to_the_batch(
    seen: Gateway, collector: Collector, start_tracing: Callable[..., None]
) -> None:
    start_tracing()
    tracer = TracerProvider().get_tracer("client")
    async with AsyncClient(f"127.0.0.1:{seen.port}") as client:
        with tracer.start_as_current_span("a studio's work") as span:
            await client.generate("paint", seed=7)
    mine = span.get_span_context()
    names = ("pellucid.v1.GenerationService/Generate", "plan", "queue", "inference", "encode")
    spans = collector.named(*names)
    assert {one.trace for one in spans.values()} == {f"{mine.trace_id:032x}"}
    server = spans[names[0]].span
    assert server.parent_span_id.hex() == f"{mine.span_id:016x}"
    assert {spans[name].span.parent_span_id for name in names[1:]} == {server.span_id}
    assert spans["inference"].attributes["pellucid.rows"] == 1
