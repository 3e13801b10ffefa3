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
from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.rpc.server import Server
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.translation import Translation
from tests.pellucid_gateway import painting


@dataclass
class Gateway:
    backend: FakeBackend
    catalog: Catalog
    repository: Path
    server: Server
    budget: ByteBudget
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
    catalog = Catalog(backend, str(repository))
    await catalog.refresh()
    dispatcher, budget, codec = Dispatcher(backend, 2), ByteBudget(2**26), images.executor(2)
    analysis = Analysis(catalog, dispatcher, codec, budget, 4096 * 4096)
    server = Server(
        "127.0.0.1:0",
        catalog,
        Synthesis(catalog, dispatcher, codec, budget, 4, 2**20),
        analysis,
        Translation(catalog, dispatcher, analysis, codec, budget, 4096 * 4096),
    )
    server.report_health()
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Gateway(
            backend,
            catalog,
            repository,
            server,
            budget,
            channel,
            model_service_pb2_grpc.ModelServiceStub(channel),
            generation_service_pb2_grpc.GenerationServiceStub(channel),
            analysis_service_pb2_grpc.AnalysisServiceStub(channel),
            translation_service_pb2_grpc.TranslationServiceStub(channel),
        )
    await server.drain(1)
    await dispatcher.close()
    codec.shutdown()
