"""The gateway itself in front of the hand-computable models of atelier, instead of the toy gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import structlog

from pellucid.v1 import generation_service_pb2_grpc, model_service_pb2_grpc
from pellucid_client.loop_thread import LoopThread
from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.rpc.interceptors import CallInterceptor
from pellucid_gateway.rpc.servicers import GenerationServicer, ModelServicer
from pellucid_gateway.synthesis import Synthesis
from tests.pellucid_gateway import atelier, painting


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # The gateway's log would mix with what the commands print.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    thread = LoopThread()
    serving = served(tmp_path_factory.mktemp("served") / "repository")
    yield thread.run(serving.__aenter__())
    thread.run(serving.__aexit__(None, None, None))
    thread.stop()
    structlog.reset_defaults()


@asynccontextmanager
async def served(repository: Path) -> AsyncIterator[str]:
    """Serve the models on a free port, and give the address."""
    backend = painting.backend()
    painting.write_repository(repository)
    atelier.open_for(backend, repository)
    catalog = Catalog(backend, str(repository))
    await catalog.refresh()
    dispatcher, codec = Dispatcher(backend, 2), images.executor(2)
    synthesis = Synthesis(catalog, dispatcher, codec, ByteBudget(2**26), 4, 2**20)
    server = grpc.aio.server(interceptors=[CallInterceptor()])
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(catalog), server)
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(GenerationServicer(synthesis), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)
    await dispatcher.close()
    codec.shutdown()
