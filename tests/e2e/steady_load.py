"""Callers who ask for one image after another until told to stop, and what became of each request."""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import grpc

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc, image_pb2

RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)
TIMEOUT_S = 20.0
PATIENCE_S = 60.0


class SteadyLoad:
    """Load on a gateway while entered: `callers` at a time ask for `model` with the seeds of `expected`, in turn.

    `expected` gives, for each version of the model, the pixels of each seed.
    """

    def __init__(self, address: str, model: str, expected: dict[str, list[bytes]], callers: int = 6):
        self._address = address
        self._model = model
        self._expected = expected
        self._callers = callers
        self._conditions: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._stopping = False
        self.sent = 0
        self.versions: Counter[str] = Counter()
        """Right answers, by the version that their recipes name."""
        self.failures: list[str] = []

    @property
    def answered(self) -> int:
        return self.versions.total()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Go on until a condition holds, which is looked at after each answer."""
        met: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._conditions[met] = condition
        await asyncio.wait_for(met, PATIENCE_S)

    async def more(self, count: int) -> None:
        """Go on for so many answers."""
        enough = self.answered + count
        await self.until(lambda: self.answered >= enough)

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address)
        stub = generation_service_pb2_grpc.GenerationServiceStub(self._channel)
        self._tasks = [asyncio.create_task(self._ask(stub)) for _ in range(self._callers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        await self._channel.close()

    async def _ask(self, stub: "generation_service_pb2_grpc.GenerationServiceAsyncStub") -> None:
        while not self._stopping:
            seed = self.sent % len(next(iter(self._expected.values())))
            self.sent += 1
            request = pb.GenerateRequest(model=self._model, sources=[image_pb2.Source(seed=seed)], output=RAW)
            try:
                [image] = (await stub.Generate(request, timeout=TIMEOUT_S)).images
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"{error.code().name}: {error.details()}")
                # A gateway that refuses at once must not be hammered.
                await asyncio.sleep(0.1)
            else:
                self._note(image.recipe.version, image.data == self._expected[image.recipe.version][seed])
            self._look()

    def _note(self, version: str, right: bool) -> None:
        if right:
            self.versions[version] += 1
        else:
            self.failures.append(f"wrong pixels for version {version}")

    def _look(self) -> None:
        for met in [met for met, condition in self._conditions.items() if met.done() or condition()]:
            del self._conditions[met]
            if not met.done():
                met.set_result(None)
