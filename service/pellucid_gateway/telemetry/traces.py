"""One trace from the client through the gateway into Triton, in W3C's and OpenTelemetry's terms.

    the client's span -> call (server span) -> plan, queue, inference (a batch at Triton), encode
                                                             └-> Triton's own spans, by the `traceparent` it is sent

Off unless the environment names an OTLP/HTTP endpoint; what is called here costs next to nothing then. A batch belongs
to several calls: its span is the child of the first one's that is sampled, and has links to the others.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from google.rpc import code_pb2
from opentelemetry import context, trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()
_OFF: AbstractContextManager[None] = nullcontext()
_SERVERS_FAULT = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that make a server's span an error, by OpenTelemetry's conventions for gRPC."""


class Waiting(Protocol):
    """A piece of work that waits for its batch since `arrived_ns`, on the monotonic clock."""

    @property
    def trace(self) -> SpanContext | None:
        """What `here` gave where the work came from."""

    @property
    def arrived_ns(self) -> int:
        """When it came."""


class Tracing:
    """The tracer and what exports its spans; none of both while it is off."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self._shutdown: Callable[[], None] | None = None

    def start(self, environment: Mapping[str, str], version: str) -> bool:
        """Trace from now on, where the OTEL_ variables of the environment say so, and as they say."""
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
        if disabled or environment.get("OTEL_TRACES_EXPORTER") == "none" or not any(map(environment.get, endpoints)):
            return False
        # Imported here: those who do not trace need not wait for the SDK.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        own = Resource.create({"service.name": "pellucid-gateway", "service.version": version})
        provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer, self._shutdown = provider.get_tracer("pellucid_gateway", version), provider.shutdown
        return True

    def stop(self) -> None:
        """Export what is left, and trace no more. Blocks, for some seconds where the endpoint does not answer."""
        self.tracer = None
        if self._shutdown is not None:
            self._shutdown()


tracing = Tracing()
"""The tracing of this process."""


def call(method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Span | None:
    """Begin the span of a gRPC call (`/package.Service/Method`), and make it the current one of the call's task.

    It is a child of the span that the metadata names. Give it to `ended`.
    """
    if tracing.tracer is None:
        return None
    carrier = {key: value for key, value in metadata if key in _W3C.fields and isinstance(value, str)}
    service, _, name = method.removeprefix("/").partition("/")
    span = tracing.tracer.start_span(
        f"{service}/{name}",
        _W3C.extract(carrier, context.Context()),
        SpanKind.SERVER,
        {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
    )
    # NOTE: never detached. The task and its context end with the call, and where a cancelled stream is closed the
    # context is another one.
    context.attach(trace.set_span_in_context(span))
    return span


def ended(span: Span | None, code: str, facts: Mapping[str, str]) -> None:
    """End a call's span with the name of its status code, and facts of it."""
    if span is None:
        return
    span.set_attributes({"rpc.grpc.status_code": code_pb2.Code.Value(code)})
    span.set_attributes({f"pellucid.{name}": value for name, value in facts.items()})
    if code in _SERVERS_FAULT:
        span.set_status(StatusCode.ERROR)
    span.end()


def trace_id(span: Span | None) -> str:
    """Give the id of a span's trace, 32 hexadecimal digits, or nothing."""
    return trace.format_trace_id(span.get_span_context().trace_id) if span else ""


def step(name: str) -> AbstractContextManager[object]:
    """Put a part of a call into a span of its own, as a context manager."""
    if tracing.tracer is None:
        return _OFF
    return tracing.tracer.start_as_current_span(name, record_exception=False)


def here() -> SpanContext | None:
    """Give the place in a trace from which work is sent to be batched."""
    if tracing.tracer is None:
        return None
    place = trace.get_current_span().get_span_context()
    return place if place.is_valid and place.trace_flags.sampled else None


def batch(model: str, rows: int, members: Sequence[Waiting]) -> AbstractContextManager[None]:
    """Put a batch at Triton into a span, as a context manager, and each member's wait for it into another."""
    if tracing.tracer is None:
        return _OFF
    return _batch(tracing.tracer, model, rows, members)


def headers() -> tuple[tuple[str, str], ...] | None:
    """Give the metadata that put what Triton does into the current span; none where it is not sampled.

    Triton that traces only what has a parent traces nothing else then.
    """
    if here() is None:
        return None
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return tuple(carrier.items())


@contextmanager
def _batch(tracer: Tracer, model: str, rows: int, members: Sequence[Waiting]) -> Iterator[None]:
    places = [(member.trace, member.arrived_ns) for member in members if member.trace is not None]
    if not places:
        yield
        return
    first, *others = (place for place, _ in places)
    span = tracer.start_span(
        "inference",
        _below(first),
        SpanKind.CLIENT,
        {"pellucid.triton_model": model, "pellucid.rows": rows, "pellucid.members": len(members)},
        [Link(other) for other in others],
    )
    sent_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
    for place, arrived_ns in places:
        link = Link(span.get_span_context())
        waited = tracer.start_span(
            "queue", _below(place), links=[link], start_time=sent_ns - (monotonic_ns - arrived_ns)
        )
        waited.end(sent_ns)
    with trace.use_span(span, end_on_exit=True, record_exception=False):
        yield


def _below(place: SpanContext) -> context.Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(place), context.Context())
