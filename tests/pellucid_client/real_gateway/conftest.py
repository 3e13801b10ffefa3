"""The gateway itself in front of the hand-computable models of atelier and workshop, instead of the toy gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from pellucid_client.loop_thread import LoopThread
from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.rpc.server import Server
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.translation import Translation
from tests.pellucid_gateway import atelier, painting, workshop

MAX_IMAGE_PX = 2048 * 2048


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
    workshop.open_for(backend, repository)
    catalog = Catalog(backend, str(repository))
    await catalog.refresh()
    # Enough for images that exceed a message.
    catalog.serving("models/seasons").card.translation.sizes.max_px = MAX_IMAGE_PX
    dispatcher, codec, budget = Dispatcher(backend, 2), images.executor(2), ByteBudget(2**27)
    analysis = Analysis(catalog, dispatcher, codec, budget, MAX_IMAGE_PX)
    server = Server(
        "127.0.0.1:0",
        catalog,
        Synthesis(catalog, dispatcher, codec, budget, 4, 2**20),
        analysis,
        Translation(catalog, dispatcher, analysis, codec, budget, MAX_IMAGE_PX),
    )
    await server.start()
    yield f"127.0.0.1:{server.port}"
    await server.drain(0)
    await dispatcher.close()
    codec.shutdown()
