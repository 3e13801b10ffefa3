import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.trace import SpanContext

from pellucid_gateway.telemetry import traces
from pellucid_gateway.telemetry.calls import Call
from tests.pellucid_gateway.telemetry.collector import Collector

GENERATE = "/pellucid.v1.GenerationService/Generate"
NAME = GENERATE[1:]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Start = Callable[..., None]

# All tests are coroutines: each has a context of its own, as each call has.


@dataclass
class Member:
    trace: SpanContext | None = field(default_factory=traces.here)
    arrived_ns: int = field(default_factory=time.monotonic_ns)


def metadata(trace: str = TRACE, *, sampled: bool = True) -> list[tuple[str, str]]:
    return [("traceparent", f"00-{trace}-{PARENT}-{'01' if sampled else '00'}")]


async def test_a_call_and_its_parts_are_spans_of_the_clients_trace(collector: Collector, start_tracing: Start) -> None:
    start_tracing()
    call = Call(GENERATE, "id-7", metadata())
    with traces.step("plan"):
        pass
    with traces.batch("paint", 4, [Member()]):
        sent = traces.headers()
    call.end("OK")
    spans = collector.named(NAME, "plan", "queue", "inference")
    assert {one.trace for one in spans.values()} == {TRACE}
    assert {one.service for one in spans.values()} == {"pellucid-gateway"}
    server = spans[NAME].span
    assert server.parent_span_id.hex() == PARENT
    assert server.kind == Span.SPAN_KIND_SERVER
    assert {spans[name].span.parent_span_id for name in ("plan", "queue", "inference")} == {server.span_id}
    assert spans["inference"].span.kind == Span.SPAN_KIND_CLIENT
    assert sent is not None
    assert dict(sent)["traceparent"] == f"00-{TRACE}-{spans['inference'].span.span_id.hex()}-01"
    assert call.facts["trace_id"] == TRACE
    facts = spans[NAME].attributes
    assert facts["rpc.service"] == "pellucid.v1.GenerationService"
    assert facts["rpc.method"] == "Generate"
    assert facts["pellucid.request_id"] == "id-7"


async def test_a_batch_of_several_calls_is_in_the_first_ones_trace_and_linked_to_the_others(
    collector: Collector, start_tracing: Start
) -> None:
    start_tracing()
    ids = [f"{number:032x}" for number in (1, 2, 3)]
    members = []
    for number, trace in enumerate(ids):
        Call(GENERATE, f"id-{number}", metadata(trace)).end("OK")
        members.append(Member(arrived_ns=time.monotonic_ns() - 10_000_000 * (number + 1)))
    with traces.batch("paint", 12, [Member(None), *members]):
        pass
    batch = collector.named("inference")["inference"]
    assert batch.trace == ids[0]
    assert [link.trace_id.hex() for link in batch.span.links] == ids[1:]
    assert batch.attributes["pellucid.rows"] == 12
    assert batch.attributes["pellucid.members"] == 4
    waits = {one.trace: one.span for one in collector.all_named("queue", 3)}
    assert set(waits) == set(ids)
    for number, trace in enumerate(ids):
        wait = waits[trace]
        assert [link.span_id for link in wait.links] == [batch.span.span_id]
        # Each tells its own wait, up to the time that the test itself took.
        waited_ns = wait.end_time_unix_nano - wait.start_time_unix_nano
        assert 10_000_000 * (number + 1) <= waited_ns < 10_000_000 * (number + 1) + 5_000_000_000
        assert wait.end_time_unix_nano <= batch.span.end_time_unix_nano


async def test_what_the_client_does_not_sample_is_not_traced_here_nor_by_triton(
    collector: Collector, start_tracing: Start
) -> None:
    start_tracing()
    Call(GENERATE, "unseen", metadata("1" * 32, sampled=False)).end("OK")
    unseen = Member()
    with traces.batch("paint", 1, [unseen]):
        assert traces.headers() is None
    Call(GENERATE, "seen", metadata("2" * 32)).end("OK")
    with traces.batch("paint", 2, [unseen, Member()]):
        pass
    assert collector.named("inference")["inference"].trace == "2" * 32
    assert [one.trace for one in collector.all_named(NAME, 1)] == ["2" * 32]


async def test_a_call_without_a_trace_begins_one_and_a_broken_trace_is_passed_over(
    collector: Collector, start_tracing: Start
) -> None:
    start_tracing()
    hostile = [
        [],
        [("traceparent", "00-zz-xx-01")],
        [("traceparent", "9" * 8000), ("tracestate", "," * 8000)],
        [("traceparent", b"\xff\x00")],
        [("traceparent", f"00-{'0' * 32}-{PARENT}-01")],
    ]
    for told in hostile:
        Call(GENERATE, "id", told).end("OK")
    begun = collector.all_named(NAME, len(hostile))
    assert len({one.trace for one in begun}) == len(hostile)
    assert {one.span.parent_span_id for one in begun} == {b""}


@pytest.mark.parametrize(
    ("code", "number", "status"),
    [
        ("OK", 0, Status.STATUS_CODE_UNSET),
        ("NOT_FOUND", 5, Status.STATUS_CODE_UNSET),
        ("RESOURCE_EXHAUSTED", 8, Status.STATUS_CODE_UNSET),
        ("INTERNAL", 13, Status.STATUS_CODE_ERROR),
        ("UNAVAILABLE", 14, Status.STATUS_CODE_ERROR),
    ],
)
async def test_only_the_servers_own_faults_make_its_span_an_error(
    collector: Collector, start_tracing: Start, code: str, number: int, status: int
) -> None:
    start_tracing()
    Call(GENERATE, "id", metadata()).end(code, "why")
    found = collector.named(NAME)[NAME]
    assert found.span.status.code == status
    assert found.attributes["rpc.grpc.status_code"] == number


async def test_a_batch_that_fails_is_an_error_and_says_so_upwards(collector: Collector, start_tracing: Start) -> None:
    start_tracing()
    Call(GENERATE, "id", metadata())
    with pytest.raises(ValueError, match="no rows"), traces.batch("paint", 1, [Member()]):
        raise ValueError("no rows")
    found = collector.named("inference")["inference"].span
    assert found.status.code == Status.STATUS_CODE_ERROR
    assert list(found.events) == []


async def test_names_and_attributes_of_the_service_can_be_set_as_everywhere(
    collector: Collector, start_tracing: Start
) -> None:
    start_tracing(OTEL_RESOURCE_ATTRIBUTES="service.name=studio,deployment.environment=test")
    Call(GENERATE, "id").end("OK")
    assert collector.named(NAME)[NAME].service == "studio"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
async def test_nothing_is_traced_unless_the_environment_asks_for_it(environment: dict[str, str]) -> None:
    assert not traces.tracing.start(environment, "1.2")
    call = Call(GENERATE, "id", metadata())
    with traces.step("plan"), traces.batch("paint", 1, [Member()]):
        assert (traces.here(), traces.headers()) == (None, None)
    call.end("OK")
    assert "trace_id" not in call.facts


async def test_calls_at_the_same_time_keep_their_traces_apart(collector: Collector, start_tracing: Start) -> None:
    start_tracing()
    ids = [f"{number:032x}" for number in range(1, 9)]
    both = asyncio.Barrier(len(ids))

    async def serve(trace: str) -> None:
        call = Call(GENERATE, trace, metadata(trace))
        await both.wait()
        with traces.step("plan"):
            await both.wait()
        call.end("OK")

    await asyncio.gather(*map(serve, ids))
    plans = collector.all_named("plan", len(ids))
    calls = {one.span.span_id: one for one in collector.all_named(NAME, len(ids))}
    assert sorted(one.trace for one in plans) == ids
    assert all(calls[plan.span.parent_span_id].trace == plan.trace for plan in plans)
