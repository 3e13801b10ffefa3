"""Callers who do one thing after another, as people and programs do: much of it right, some cancelled, some wrong."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import grpc

from pellucid.v1 import analysis_service_pb2, analysis_service_pb2_grpc, generation_service_pb2_grpc, image_pb2
from pellucid.v1 import generation_service_pb2 as pb
from tests.faults.tally import Tally

MODEL = "models/digiface"
TIMEOUT_S = 30.0
PAUSE_S = 0.05
CALLERS = 4
STREAMED = 48


class Traffic:
    """Mixed requests of `CALLERS` callers with an API key at a gateway, while entered; `kinds` counts what was done."""

    def __init__(self, channel: grpc.aio.Channel, key: str):
        self._generation: Any = generation_service_pb2_grpc.GenerationServiceStub(channel)
        self._analysis: Any = analysis_service_pb2_grpc.AnalysisServiceStub(channel)
        self._shown: dict[str, Any] = {"timeout": TIMEOUT_S, "metadata": (("x-api-key", key),)}
        self._random = random.Random(1)
        self._stopping = False
        self.tally = Tally()
        self.kinds: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._callers = [asyncio.create_task(self._go_on()) for _ in range(CALLERS)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        await asyncio.gather(*self._callers)

    async def _go_on(self) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [
            *[self.generate, self.edit, self.analyze, self.stream, self.interpolate],
            *[self.cancel_stream, self.cancel_unary, self.ask_wrongly],
        ]
        while not self._stopping:
            kind = self._random.choice(kinds)
            self.tally.sent += 1
            try:
                await kind()
            except grpc.aio.AioRpcError as error:
                self.tally.fail(error)
            except AssertionError as error:
                self.tally.lost.append(f"{kind.__name__}: {error}")
            else:
                self.tally.answered += 1
                self.kinds[kind.__name__] += 1
            await asyncio.sleep(PAUSE_S)

    def _sources(self, count: int) -> list[image_pb2.Source]:
        # Few enough seeds to meet again, too many to be all remembered.
        return [image_pb2.Source(seed=self._random.randrange(100_000)) for _ in range(count)]

    async def generate(self) -> None:
        """A few images."""
        count = self._random.randint(1, 16)
        formats = [image_pb2.IMAGE_FORMAT_JPEG, image_pb2.IMAGE_FORMAT_PNG, image_pb2.IMAGE_FORMAT_WEBP]
        output = image_pb2.OutputOptions(format=self._random.choice(formats))
        request = pb.GenerateRequest(model=MODEL, sources=self._sources(count), output=output)
        answer = await self._generation.Generate(request, **self._shown)
        assert len(answer.images) == count

    async def edit(self) -> None:
        """An axis in several steps, with another locked."""
        sweep = pb.Sweep(axis="age", unit=pb.MOVE_UNIT_STEPS, amounts=[-1, 0, 1])
        request = pb.EditRequest(
            model=MODEL, sources=self._sources(2), sweep=sweep, edit=image_pb2.EditSet(locks=["masculine"])
        )
        answer = await self._generation.Edit(request, **self._shown)
        assert len(answer.images) == 6

    async def analyze(self) -> None:
        """An image made and measured."""
        made = await self._generation.Generate(pb.GenerateRequest(model=MODEL, sources=self._sources(1)), **self._shown)
        images = [analysis_service_pb2.ImageInput(data=made.images[0].data)]
        request = analysis_service_pb2.AnalyzeRequest(model="models/age_gender", images=images)
        answer = await self._analysis.Analyze(request, **self._shown)
        assert {measured.label for measured in answer.analyses[0].measurements} == {"age", "masculine"}

    async def stream(self) -> None:
        """A stream to its end."""
        indices = [image.index async for part in self._stream() for image in part.images]
        assert indices == list(range(STREAMED))

    async def interpolate(self) -> None:
        """A walk over three keyframes."""
        request = pb.InterpolateRequest(model=MODEL, keyframes=self._sources(3), frames_per_segment=10)
        call = self._generation.Interpolate(request, **self._shown)
        frames = [image.index async for part in call for image in part.images]
        assert frames == list(range(len(frames))), frames
        assert len(frames) in (20, 21)

    async def cancel_stream(self) -> None:
        """A stream given up after its first message."""
        call = self._stream()
        await call.read()
        call.cancel()
        assert await call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.OK)

    async def cancel_unary(self) -> None:
        """Images given up somewhere on the way."""
        call = self._generation.Generate(pb.GenerateRequest(model=MODEL, sources=self._sources(32)), **self._shown)
        await asyncio.sleep(self._random.uniform(0, 0.03))
        call.cancel()
        assert await call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.OK)

    async def ask_wrongly(self) -> None:
        """Requests that are no good, each with the status that says so."""
        generate, analyze = self._generation.Generate, self._analysis.Analyze
        [source] = self._sources(1)
        broken = [analysis_service_pb2.ImageInput(data=b"\xff\xd8no image")]
        wrong = [
            (generate(pb.GenerateRequest(model="Digiface", sources=[source]), **self._shown), "INVALID_ARGUMENT"),
            (generate(pb.GenerateRequest(model="models/nobody", sources=[source]), **self._shown), "NOT_FOUND"),
            (generate(pb.GenerateRequest(model=MODEL, sources=[source] * 65), **self._shown), "INVALID_ARGUMENT"),
            (analyze(analysis_service_pb2.AnalyzeRequest(model="models/age_gender", images=broken), **self._shown),
             "INVALID_ARGUMENT"),
            (generate(pb.GenerateRequest(model=MODEL, sources=[source]), timeout=TIMEOUT_S,
                      metadata=(("x-api-key", "pk_nobody_0"),)), "UNAUTHENTICATED"),
        ]  # fmt: skip
        for number, (call, status) in enumerate(wrong):
            code = await call.code()
            assert code.name == status, f"wrong request {number}: {code.name}"

    def _stream(self) -> Any:
        seeds = pb.SeedRange(first=self._random.randrange(100_000), count=STREAMED)
        return self._generation.StreamGenerate(pb.StreamGenerateRequest(model=MODEL, seeds=seeds), **self._shown)
