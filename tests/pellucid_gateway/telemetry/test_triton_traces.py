"""Triton's own spans, in the trace of the call that they are for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.trace import SpanContext

from pellucid_gateway.backends.base import Inference
from pellucid_gateway.backends.triton import TritonBackend
from pellucid_gateway.telemetry import traces
from pellucid_gateway.telemetry.calls import Call
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from tests.pellucid_gateway.telemetry.collector import Collector
from tests.pellucid_triton import networks

pytestmark = pytest.mark.stack

GENERATE = "/pellucid.v1.GenerationService/Generate"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Member:
    trace: SpanContext | None
    arrived_ns: int = 0


@pytest.fixture
def triton(collector: Collector, tmp_path: Path) -> Iterator[TritonServer]:
    networks.write(tmp_path, "affine", networks.affine())
    server = TritonServer(Settings(tmp_path, trace_endpoint=collector.endpoint))
    server.start()
    yield server
    server.stop()


async def test_tritons_spans_are_below_the_batchs_and_only_those_of_calls_that_are_traced(
    triton: TritonServer, collector: Collector, start_tracing: Callable[..., None]
) -> None:
    start_tracing()
    inference = Inference("affine", "1", {"value": np.ones((1, 4), np.float32)}, ("total",))
    backend = TritonBackend(triton.addresses.grpc, 30)
    await backend.infer(inference)
    call = Call(GENERATE, "id", [("traceparent", f"00-{TRACE}-{PARENT}-01")])
    with traces.batch("affine", 1, [Member(traces.here())]):
        assert (await backend.infer(inference))["total"].tolist() == [[4.0]]
    call.end("OK")
    await backend.close()
    batch = collector.named("inference")["inference"]
    below = collector.named("InferRequest", "affine", "compute")
    assert {one.trace for one in (batch, *below.values())} == {TRACE}
    assert below["InferRequest"].span.parent_span_id == batch.span.span_id
    assert below["InferRequest"].service != batch.service
    assert len(collector.all_named("InferRequest", 1)) == 1
