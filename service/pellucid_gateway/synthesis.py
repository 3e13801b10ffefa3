"""Jobs to images: a plan's drafts run through the model's stages and the encoder, in order, several in flight.

plan.drafts -> for each: bytes reserved -> mapped -> completed -> stages (dispatch) -> encoded -> images in order
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import TypeAlias, TypeVar

from pellucid.v1 import image_pb2
from pellucid_gateway import rendering
from pellucid_gateway.admission import Admission
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.chain import IMAGE
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.errors import InvalidRequest, invalid
from pellucid_gateway.identity.caller import current
from pellucid_gateway.jobs import Job
from pellucid_gateway.mapping import NOTHING_MAPPED, Mapper
from pellucid_gateway.plans import Draft, Plan, is_light
from pellucid_gateway.run import Run
from pellucid_gateway.telemetry import calls, traces
from pellucid_gateway.versions import ServedVersion

Planned = TypeVar("Planned")
Pending: TypeAlias = asyncio.Future[list[image_pb2.Image]]

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
        admission: Admission,
        stream_window: int,
        style_cache_bytes: int,
    ):
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._mapper = Mapper(dispatcher, style_cache_bytes)
        self._encoder = encoder
        self._admission = admission
        self._window = stream_window

    async def bounded(self, job: Job, clock: Clock) -> list[image_pb2.Image]:
        """Make all images of a job at once. Raises InvalidRequest where they could exceed one message."""
        served = self._catalog.serving(job.model, job.version, job.request_id)
        if job.count > MAX_UNARY_IMAGES:
            raise invalid(
                job.field, f"{job.count} images, and a unary call gives at most {MAX_UNARY_IMAGES}: use the stream"
            )
        light = is_light(job)
        run = Run(self._dispatcher, served, job.priority, job.deadline, clock)
        run.refuse_late(served.card.stages, job.count)
        with traces.step("plan"):
            plan, drafts = await _off_loop(light, lambda: _planned(job, served))
        size = _check_fits(plan, drafts)
        with self._admission.refuse_beyond(job.count, size):
            if len(drafts) == 1:
                return await self._render(run, plan, drafts[0], light)
            batches = await _all_or_none(
                [asyncio.ensure_future(self._render(run, plan, draft, light)) for draft in drafts]
            )
        return [image for batch in batches for image in batch]

    async def stream(self, job: Job, clock: Clock) -> AsyncGenerator[list[image_pb2.Image]]:
        """Make the images of a job in order, a batch at a time, never more than the window ahead of the reader.

        What a slice turns out to be refused for is raised after the images before it.
        """
        served, light = self._catalog.serving(job.model, job.version, job.request_id), is_light(job)
        run = Run(self._dispatcher, served, job.priority, job.deadline, clock)
        with traces.step("plan"):
            plan = await _off_loop(light, lambda: _checked(job, served))
        size, window = self._pace(plan)
        ahead: deque[Pending] = deque()
        async with self._admission.wait_for(size * window, _slice_bytes(plan, size * window)):
            started = self._started(run, plan, size, light)
            try:
                while True:
                    while len(ahead) < window and (pending := await anext(started, None)):
                        ahead.append(pending)
                    if not ahead:
                        return
                    yield await ahead.popleft()
            finally:
                for pending in ahead:
                    pending.cancel()

    async def _started(self, run: Run, plan: Plan, size: int, light: bool) -> AsyncGenerator[Pending]:
        """Start to render slice after slice; one that is refused is the last, and fails."""
        drafts = plan.drafts(size)
        try:
            while draft := await _off_loop(light, lambda: next(drafts, None)):
                yield asyncio.ensure_future(self._paced(run, plan, draft, light))
        except InvalidRequest as error:
            refused: Pending = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            refused.exception()  # whether or not anyone is left to hear of it
            yield refused

    def _pace(self, plan: Plan) -> tuple[int, int]:
        """Choose a stream's images a batch and its batches in flight: whole ones, unless too large for it."""
        affordable = max(1, self._admission.bytes.most // STREAMS_AT_ONCE // _slice_bytes(plan, 1))
        size = min(plan.served.card.max_batch_size, affordable)
        return size, min(self._window, max(1, affordable // size))

    async def _paced(self, run: Run, plan: Plan, draft: Draft, light: bool) -> list[image_pb2.Image]:
        """Render a slice as soon as the caller's quota has its images; what is ready before is handed out meanwhile."""
        await self._admission.quotas.wait(current.get(), len(draft.origins))
        return await self._render(run, plan, draft, light)

    async def _render(self, run: Run, plan: Plan, draft: Draft, light: bool) -> list[image_pb2.Image]:
        mapped = await self._mapper.map(draft.leaves, run) if plan.served.chain.mapping else NOTHING_MAPPED
        part = await _off_loop(light, lambda: plan.complete(draft, mapped))
        tensors = await run.through(plan.served.chain.synthesis, part.tensors, rendering.outputs(plan))
        started_ns = time.monotonic_ns()
        with traces.step("encode"):
            if tensors[IMAGE].nbytes <= INLINE_BYTES:
                rendered = rendering.render(plan, part, tensors)
            else:
                loop = asyncio.get_running_loop()
                rendered = await loop.run_in_executor(self._encoder, rendering.render, plan, part, tensors)
        calls.made(plan.served.card.name, len(rendered))
        run.clock.encode_ns += time.monotonic_ns() - started_ns
        return rendered


def _slice_bytes(plan: Plan, count: int) -> int:
    """Bytes that `count` images hold at most: the tensors of all stages, encoded, and their recipes."""
    return count * (plan.served.chain.row_bytes + rendering.worst_case_bytes(plan) + plan.job.recipe_bytes)


def _check_fits(plan: Plan, drafts: list[Draft]) -> int:
    """Bound the bytes that a unary call holds. Raises InvalidRequest where its answer may exceed one message."""
    count = plan.job.count
    told = sum(draft.recipe_bytes for draft in drafts)
    if plan.is_edited_late:
        told += count * plan.job.recipe_bytes
    size = count * (rendering.worst_case_bytes(plan) + FRAMING_BYTES) + told
    if size > MAX_UNARY_BYTES:
        raise invalid(
            plan.job.field,
            f"{count} images may take {size} bytes, and a unary answer {MAX_UNARY_BYTES}: use the stream",
        )
    return _slice_bytes(plan, count) + told


def _planned(job: Job, served: ServedVersion) -> tuple[Plan, list[Draft]]:
    plan = Plan(job, served)
    return plan, list(plan.drafts(served.card.max_batch_size))


def _checked(job: Job, served: ServedVersion) -> Plan:
    plan = Plan(job, served)
    plan.check()
    return plan


async def _off_loop(light: bool, plan: Callable[[], Planned]) -> Planned:
    """Plan on the event loop what takes microseconds, and in a thread what could hold others up."""
    return plan() if light else await asyncio.to_thread(plan)


async def _all_or_none(tasks: list[Pending]) -> list[list[image_pb2.Image]]:
    """Await all tasks; where one fails or the caller goes, cancel the rest."""
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
