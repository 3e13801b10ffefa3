"""Requests at a steady rate, each with a deadline, whatever becomes of those before."""

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import grpc

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc, image_pb2
from tests.faults.tally import Tally

MODEL = "models/digiface"
RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)
DEADLINE_S = 4.0
GRACE_S = 2.0
"""A status may come so long after the deadline: the machine that tests run on is shared."""

STREAMED = 24
GAP_S = 0.1

Connect = Callable[[], AbstractAsyncContextManager[grpc.aio.Channel]]


class Load(ABC):
    """Requests while entered; every answer's pixels are compared with `expected`."""

    def __init__(self, expected: list[bytes], gap_s: float = GAP_S):
        self._expected = expected
        self._gap_s = gap_s
        self._requests: set[asyncio.Task[None]] = set()
        self.tally = Tally()

    async def until(self, condition: Callable[[], bool], patience_s: float = 90) -> None:
        """Go on until a condition holds."""
        end = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < end, f"it never came true; {self.tally}"
            await asyncio.sleep(0.05)

    async def answers(self, count: int = 10) -> None:
        """Go on for so many right answers more."""
        enough = self.tally.answered + count
        await self.until(lambda: self.tally.answered >= enough)

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        await asyncio.gather(*self._requests)

    async def _send(self) -> None:
        for number in itertools.count():
            request = asyncio.create_task(self._counted(number))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)
            await asyncio.sleep(self._gap_s)

    async def _counted(self, number: int) -> None:
        self.tally.sent += 1
        try:
            async with asyncio.timeout(DEADLINE_S + GRACE_S):
                fault = await self._ask(number)
        except grpc.aio.AioRpcError as error:
            self.tally.fail(error)
        except TimeoutError:
            self.tally.lost.append("neither an answer nor a status within the deadline")
        else:
            if fault:
                self.tally.lost.append(fault)
            else:
                self.tally.answered += 1

    @abstractmethod
    async def _ask(self, number: int) -> str:
        """Send a request, and say what is wrong with its answer. Raises AioRpcError where it ends with a status."""

    def _fault(self, images: list[bytes], first: int, count: int) -> str:
        wanted = [self._expected[seed % len(self._expected)] for seed in range(first, first + count)]
        return "" if images == wanted else f"{len(images)} images, some of them wrong, for {count}"


class GrpcLoad(Load):
    """Single images and short streams in turn.

    `connect` gives the channel to ask through, anew for each request. `key` is an API key to show.
    """

    def __init__(self, connect: Connect, expected: list[bytes], key: str = ""):
        super().__init__(expected)
        self._connect = connect
        self._metadata = (("x-api-key", key),) if key else ()

    async def _ask(self, number: int) -> str:
        async with self._connect() as channel:
            stub: Any = generation_service_pb2_grpc.GenerationServiceStub(channel)
            return await (self._stream(stub) if number % 5 == 4 else self._single(stub, number))

    async def _single(self, stub: Any, number: int) -> str:
        seed = number % len(self._expected)
        request = pb.GenerateRequest(model=MODEL, sources=[image_pb2.Source(seed=seed)], output=RAW)
        answer = await stub.Generate(request, timeout=DEADLINE_S, metadata=self._metadata)
        return self._fault([image.data for image in answer.images], seed, 1)

    async def _stream(self, stub: Any) -> str:
        seeds = pb.SeedRange(first=0, count=STREAMED)
        request = pb.StreamGenerateRequest(model=MODEL, seeds=seeds, output=RAW)
        call = stub.StreamGenerate(request, timeout=DEADLINE_S, metadata=self._metadata)
        return self._fault([image.data async for part in call for image in part.images], 0, STREAMED)
