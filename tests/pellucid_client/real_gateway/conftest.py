"""The gateway itself in front of the hand-computable models of atelier and workshop, instead of the toy gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from pellucid_client.loop_thread import LoopThread
from pellucid_gateway.gateway import Gateway
from tests.pellucid_gateway import atelier, painting, workshop
from tests.pellucid_gateway.conftest import settings

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
    gateway = Gateway(settings(repository, max_image_px=MAX_IMAGE_PX, max_in_flight_bytes=2**27), backend)
    await gateway.start()
    # Enough for images that exceed a message.
    gateway.catalog.serving("models/seasons").card.translation.sizes.max_px = MAX_IMAGE_PX
    yield f"127.0.0.1:{gateway.port}"
    await gateway.drain()
