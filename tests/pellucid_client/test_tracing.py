import subprocess
import sys
from typing import Any

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from tests.pellucid_client.faces import got
from tests.pellucid_client.servicers import ToyGateway

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CURRENT = NonRecordingSpan(SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=False, trace_flags=TraceFlags(1)))


async def test_calls_and_streams_tell_the_span_that_they_are_made_in(client: Any, gateway: ToyGateway) -> None:
    with use_span(CURRENT):
        await got(client.generate("toy", seed=7))
        await got(client.stream_generate("toy", seeds=[7]))
    await got(client.generate("toy", seed=7))
    told = [metadata.get("traceparent") for metadata in gateway.metadata]
    assert told == [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01", None]


def test_a_program_without_opentelemetry_need_not_load_it() -> None:
    program = "import sys; from pellucid_client import tracing; print(tracing.place(), 'opentelemetry' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "() False\n"
