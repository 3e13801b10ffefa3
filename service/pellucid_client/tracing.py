"""A call's place in the trace of the program that makes it (https://www.w3.org/TR/trace-context)."""

import sys


def place() -> tuple[tuple[str, str], ...]:
    """Give the metadata that tell the current span of OpenTelemetry, empty where there is none."""
    # A span can be current only in a program that has imported OpenTelemetry, which this package does not need.
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return tuple(carrier.items())
