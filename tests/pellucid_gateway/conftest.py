"""A gateway in this process, with the fake backend behind it and a real gRPC channel in front."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from pellucid.v1 import (
    analysis_service_pb2_grpc,
    generation_service_pb2_grpc,
    model_service_pb2_grpc,
    translation_service_pb2_grpc,
)
from pellucid_gateway.admission import Admission
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.gateway import Gateway as Served
from pellucid_gateway.settings import Settings
from tests.pellucid_gateway import painting


@dataclass
class Gateway:
    backend: FakeBackend
    catalog: Catalog
    repository: Path
    core: Served
    admission: Admission
    channel: grpc.aio.Channel
    models: "model_service_pb2_grpc.ModelServiceAsyncStub"
    generation: "generation_service_pb2_grpc.GenerationServiceAsyncStub"
    analysis: "analysis_service_pb2_grpc.AnalysisServiceAsyncStub"
    translation: "translation_service_pb2_grpc.TranslationServiceAsyncStub"


@pytest.fixture
def backend() -> FakeBackend:
    return painting.backend()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return painting.write_repository(tmp_path / "repository")


@pytest.fixture
async def gateway(backend: FakeBackend, repository: Path) -> AsyncIterator[Gateway]:
    served = Served(settings(repository), backend)
    await served.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        yield Gateway(
            backend,
            served.catalog,
            repository,
            served,
            served.admission,
            channel,
            model_service_pb2_grpc.ModelServiceStub(channel),
            generation_service_pb2_grpc.GenerationServiceStub(channel),
            analysis_service_pb2_grpc.AnalysisServiceStub(channel),
            translation_service_pb2_grpc.TranslationServiceStub(channel),
        )
    await served.drain()


def settings(repository: Path, **others: object) -> Settings:
    """Settings that look at the repository once, and leave out what takes time."""
    quiet = {
        "address": "127.0.0.1:0",
        "admin_address": "",
        "catalog_interval_s": 3600,
        "drain_s": 1,
        "max_in_flight_bytes": 2**26,
    }
    return Settings(**{**quiet, "model_repository": str(repository), **others})
