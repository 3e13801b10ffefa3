"""Tracing that is on, with a real receiver."""

from collections.abc import Callable, Iterator

import pytest

from pellucid_gateway.telemetry.traces import tracing
from tests.pellucid_gateway.telemetry.collector import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    opened = Collector()
    yield opened
    opened.close()


@pytest.fixture
def start_tracing(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Start tracing, with further variables of the environment."""

    def start(**variables: str) -> None:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", **variables}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert tracing.start(environment, "1.2")

    yield start
    tracing.stop()
