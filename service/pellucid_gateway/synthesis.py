"""Latents to images: a plan's slices run through the model's stages and the encoder, in order, several in flight.

plan.slices -> for each: bytes reserved -> stages (dispatch) -> encoded off the event loop -> images in order
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import Executor

import numpy as np

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.catalog import Catalog, ServedVersion
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher, Work
from pellucid_gateway.errors import Refused, invalid
from pellucid_gateway.jobs import Job
from pellucid_gateway.plans import Plan, Slice

MAX_UNARY_IMAGES = 64
MAX_UNARY_BYTES = 4 * 2**20
RECIPE_BYTES = 2048
"""Taken for what comes with an image: its recipe, moves and warnings. Explicit latents are counted on their own."""

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
        plan = Plan(job, self._catalog.serving(job.model, job.version))
        _check_fits(plan)
        parts = list(plan.slices(plan.served.card.max_batch_size))
        with self._budget.refuse_beyond(_slice_bytes(plan.served, job.count)):
            if len(parts) == 1:
                return await self._render(plan, parts[0], clock)
            batches = await _all_or_none([asyncio.ensure_future(self._render(plan, part, clock)) for part in parts])
        return [image for batch in batches for image in batch]

    async def stream(self, job: Job, clock: Clock) -> AsyncGenerator[list[image_pb2.Image]]:
        """Make the images of a job in order, a batch at a time, never more than the window ahead of the reader."""
        plan = Plan(job, self._catalog.serving(job.model, job.version))
        plan.check()
        size, window = self._pace(plan.served)
        slices = plan.slices(size)
        ahead: deque[asyncio.Future[list[image_pb2.Image]]] = deque()
        async with self._budget.wait_for(_slice_bytes(plan.served, size * window)):
            try:
                while True:
                    while len(ahead) < window and (part := next(slices, None)):
                        ahead.append(asyncio.ensure_future(self._render(plan, part, clock)))
                    if not ahead:
                        return
                    yield await ahead.popleft()
            finally:
                for task in ahead:
                    task.cancel()

    def _pace(self, served: ServedVersion) -> tuple[int, int]:
        """Choose a stream's images a batch and its batches in flight: whole batches, unless they are too large for it."""
        affordable = max(1, self._budget.limit // STREAMS_AT_ONCE // _slice_bytes(served, 1))
        size = min(served.card.max_batch_size, affordable)
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


def _slice_bytes(served: ServedVersion, count: int) -> int:
    """Bytes that `count` images hold at most: latents, pixels, and encoded."""
    pixels = served.card.height * served.card.width * 3
    return count * (served.latent_size * 4 + pixels + _image_bytes(served))


def _check_fits(plan: Plan) -> None:
    job, count = plan.job, plan.job.count
    if count > MAX_UNARY_IMAGES:
        raise invalid("sources", f"{count} images, and a unary call gives at most {MAX_UNARY_IMAGES}: use the stream")
    latents = plan.served.latent_size * 4 * (2 if job.include_latent else 1)
    size = count * (_image_bytes(plan.served) + RECIPE_BYTES + latents)
    if size > MAX_UNARY_BYTES:
        raise invalid(
            "sources",
            f"{count} images may take {size} bytes, and a unary answer {MAX_UNARY_BYTES}: use the stream",
        )


async def _all_or_none(tasks: list[asyncio.Future[list[image_pb2.Image]]]) -> list[list[image_pb2.Image]]:
    """Await all tasks; where one fails or the caller goes, cancel the rest."""
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
