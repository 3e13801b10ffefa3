"""Latents to images: a plan's slices run through the model's stages and the encoder, in order, several in flight.

plan.slices -> for each: bytes reserved -> stages (dispatch) -> encoded off the event loop -> images in order
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import TypeAlias, TypeVar

import numpy as np

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.catalog import Catalog, ServedVersion
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher, Work
from pellucid_gateway.errors import InvalidRequest, Refused, invalid
from pellucid_gateway.jobs import Job
from pellucid_gateway.plans import Plan, Slice, is_light

Planned = TypeVar("Planned")
Rendering: TypeAlias = asyncio.Future[list[image_pb2.Image]]

MAX_UNARY_IMAGES = 64
MAX_UNARY_BYTES = 4 * 2**20
FRAMING_BYTES = 256
"""Taken for an image's other fields and what protobuf puts around them."""

STREAMS_AT_ONCE = 8
"""Streams that the budget must have room for, however large their images are."""

INLINE_BYTES = 64 * 64 * 3
"""Pixels up to here are encoded on the event loop: handing 40 microseconds of work to a thread costs 200."""


class Synthesis:
    """Makes the images of jobs."""

    def __init__(
        self,
        catalog: Catalog,
        dispatcher: Dispatcher,
        encoder: Executor,
        budget: ByteBudget,
        stream_window: int,
    ):
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._encoder = encoder
        self._budget = budget
        self._window = stream_window

    async def bounded(self, job: Job, clock: Clock) -> list[image_pb2.Image]:
        """Make all images of a job at once. Raises InvalidRequest where they could exceed one message."""
        served = self._catalog.serving(job.model, job.version)
        if job.count > MAX_UNARY_IMAGES:
            raise invalid(
                job.field, f"{job.count} images, and a unary call gives at most {MAX_UNARY_IMAGES}: use the stream"
            )
        plan, parts = await _off_loop(is_light(job), lambda: _planned(job, served))
        size = _check_fits(plan, parts)
        with self._budget.refuse_beyond(size):
            if len(parts) == 1:
                return await self._render(plan, parts[0], clock)
            batches = await _all_or_none([asyncio.ensure_future(self._render(plan, part, clock)) for part in parts])
        return [image for batch in batches for image in batch]

    async def stream(self, job: Job, clock: Clock) -> AsyncGenerator[list[image_pb2.Image]]:
        """Make the images of a job in order, a batch at a time, never more than the window ahead of the reader.

        What a slice turns out to be refused for is raised after the images before it.
        """
        served, light = self._catalog.serving(job.model, job.version), is_light(job)
        plan = await _off_loop(light, lambda: _checked(job, served))
        size, window = self._pace(plan)
        ahead: deque[Rendering] = deque()
        async with self._budget.wait_for(_slice_bytes(plan, size * window)):
            started = self._started(plan, size, light, clock)
            try:
                while True:
                    while len(ahead) < window and (rendering := await anext(started, None)):
                        ahead.append(rendering)
                    if not ahead:
                        return
                    yield await ahead.popleft()
            finally:
                for rendering in ahead:
                    rendering.cancel()

    async def _started(self, plan: Plan, size: int, light: bool, clock: Clock) -> AsyncGenerator[Rendering]:
        """Start to render slice after slice; one that is refused is the last, and fails."""
        slices = plan.slices(size)
        try:
            while part := await _off_loop(light, lambda: next(slices, None)):
                yield asyncio.ensure_future(self._render(plan, part, clock))
        except InvalidRequest as error:
            refused: Rendering = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            refused.exception()  # whether or not anyone is left to hear of it
            yield refused

    def _pace(self, plan: Plan) -> tuple[int, int]:
        """Choose a stream's images a batch and its batches in flight: whole ones, unless too large for it."""
        affordable = max(1, self._budget.limit // STREAMS_AT_ONCE // _slice_bytes(plan, 1))
        size = min(plan.served.card.max_batch_size, affordable)
        return size, min(self._window, max(1, affordable // size))

    async def _render(self, plan: Plan, part: Slice, clock: Clock) -> list[image_pb2.Image]:
        pixels = await self._synthesise(plan, part, clock)
        started_ns = time.monotonic_ns()
        if pixels.size <= INLINE_BYTES:
            rendered = _encode(plan.job, part, pixels)
        else:
            loop = asyncio.get_running_loop()
            rendered = await loop.run_in_executor(self._encoder, _encode, plan.job, part, pixels)
        clock.encode_ns += time.monotonic_ns() - started_ns
        return rendered

    async def _synthesise(self, plan: Plan, part: Slice, clock: Clock) -> images.Pixels:
        """Run a slice through the stages; each takes by name what the request brought or an earlier stage gave."""
        card, tensors = plan.served.card, dict[str, Tensor](latent=part.latents)
        for stage in card.stages:
            work = Work(
                model=stage.model,
                version=plan.served.version.name,
                inputs={name: tensors[name] for name in stage.inputs},
                outputs=tuple(stage.outputs),
                max_batch_size=card.max_batch_size,
                priority=plan.job.priority,
                deadline=plan.job.deadline,
            )
            outcome = await self._dispatcher.run(work)
            clock.add(outcome)
            tensors.update(outcome.outputs)
        pixels = tensors["image"]
        if pixels.dtype != np.uint8:
            raise Refused(
                "NO_PIXELS",
                f"{card.name} gives {pixels.dtype} for research; export it with uint8 pixels to serve it",
            )
        return np.asarray(pixels, np.uint8)


def _encode(job: Job, part: Slice, pixels: images.Pixels) -> list[image_pb2.Image]:
    """Encode a slice's pixels (N, H, W, 3); runs in the encoder's threads."""
    encoded = []
    for row in range(len(pixels)):
        data = images.encode(pixels[row], job.image_format, job.quality)
        image = image_pb2.Image(
            index=part.first + row,
            format=job.image_format,
            height=pixels.shape[1],
            width=pixels.shape[2],
            data=data,
            data_size=len(data),
            recipe=part.recipes[row],
            axis_moves=part.axis_moves[row],
            warnings=part.warnings[row],
        )
        if job.include_latent:
            image.latent.CopyFrom(latent_pb2.Latent(space=latent_pb2.SPACE_Z, values=part.latents[row]))
        encoded.append(image)
    return encoded


def _image_bytes(served: ServedVersion) -> int:
    return images.worst_case_bytes(served.card.height, served.card.width)


def _slice_bytes(plan: Plan, count: int) -> int:
    """Bytes that `count` images hold at most: latents, pixels, encoded, and their recipes."""
    card = plan.served.card
    latent, pixels = card.latent.size * 4, card.height * card.width * 3
    return count * (latent + pixels + _image_bytes(plan.served) + plan.job.recipe_bytes)


def _check_fits(plan: Plan, parts: list[Slice]) -> int:
    """Bound the bytes that a unary call holds. Raises InvalidRequest where its answer may exceed one message."""
    count = plan.job.count
    latents = plan.served.latent_size * 4 if plan.job.include_latent else 0
    told = sum(part.recipe_bytes for part in parts)
    size = count * (_image_bytes(plan.served) + latents + FRAMING_BYTES) + told
    if size > MAX_UNARY_BYTES:
        raise invalid(
            plan.job.field,
            f"{count} images may take {size} bytes, and a unary answer {MAX_UNARY_BYTES}: use the stream",
        )
    return _slice_bytes(plan, count) + told


def _planned(job: Job, served: ServedVersion) -> tuple[Plan, list[Slice]]:
    plan = Plan(job, served)
    return plan, list(plan.slices(served.card.max_batch_size))


def _checked(job: Job, served: ServedVersion) -> Plan:
    plan = Plan(job, served)
    plan.check()
    return plan


async def _off_loop(light: bool, plan: Callable[[], Planned]) -> Planned:
    """Plan on the event loop what takes microseconds, and in a thread what could hold others up."""
    return plan() if light else await asyncio.to_thread(plan)


async def _all_or_none(tasks: list[Rendering]) -> list[list[image_pb2.Image]]:
    """Await all tasks; where one fails or the caller goes, cancel the rest."""
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
