"""Work to batches: what arrives for a model while its batches are in flight forms the next one.

    run(work) -> a lane (same model, version, priority, outputs and shapes) -> a batch -> the backend -> rows back

No delay is added: a lane with room sends at once what it has, of each caller in turn. A member whose caller has gone or
whose time is up before it is sent is dropped; later, its rows are thrown away. A batch is cancelled only when all its
members are gone, and only on a backend that survives it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from opentelemetry.trace import SpanContext

from pellucid_gateway.backends.base import Backend, Inference, Tensor
from pellucid_gateway.errors import DeadlineExceeded, InferenceFailed
from pellucid_gateway.identity.caller import current
from pellucid_gateway.pace import Pace
from pellucid_gateway.telemetry import metrics, traces


@dataclass(frozen=True)
class Work:
    """Rows for one model: inputs (N, ...), at most `max_batch_size` rows. `deadline` is on the monotonic clock."""

    model: str
    version: str
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    max_batch_size: int
    priority: int = 0
    deadline: float | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.inputs.values())))

    @property
    def lane(self) -> tuple[object, ...]:
        """What must be equal for two pieces of work to share a batch."""
        shapes = tuple((name, tensor.shape[1:], tensor.dtype.str) for name, tensor in self.inputs.items())
        return (self.model, self.version, self.priority, self.outputs, shapes)


@dataclass(frozen=True)
class Outcome:
    """The outputs of a piece of work, each (N, ...), and how long it waited and was computed."""

    outputs: Mapping[str, Tensor]
    queue_ns: int
    inference_ns: int


@dataclass
class _Member:
    work: Work
    future: asyncio.Future[Outcome]
    arrived_ns: int = field(default_factory=time.monotonic_ns)
    caller: str = field(default_factory=lambda: current.get().name)
    trace: SpanContext | None = field(default_factory=traces.here)

    @property
    def expired(self) -> bool:
        return self.work.deadline is not None and time.monotonic() >= self.work.deadline


@dataclass
class _Lane:
    """What waits, by caller in the order of their turns, and the number of batches in flight."""

    waiting: dict[str, deque[_Member]] = field(default_factory=dict)
    in_flight: int = 0


class Dispatcher:
    """Coalesces work into batches, at most `max_in_flight` a lane and replica at a time."""

    def __init__(self, backend: Backend, max_in_flight: int):
        self._backend = backend
        self._max_in_flight = max_in_flight
        self._lanes: dict[tuple[object, ...], _Lane] = {}
        self._paces: dict[tuple[str, int], Pace] = {}
        self._batches: set[asyncio.Task[None]] = set()

    async def run(self, work: Work) -> Outcome:
        """Compute a piece of work. Raises DeadlineExceeded at its deadline, and what the backend raises."""
        member = _Member(work, asyncio.get_running_loop().create_future())
        if member.expired:
            raise DeadlineExceeded("the deadline had passed before the work could start")
        pace = self._paces.setdefault((work.model, work.priority), Pace())
        pace.arrived(work.rows)
        try:
            return await self._answer(member)
        finally:
            pace.left(work.rows)

    def expected_s(self, model: str, priority: int, rows: int) -> float:
        """Seconds until rows that come now would be done, by the pace measured so far; 0 where nothing waits."""
        pace = self._paces.get((model, priority))
        return pace.expected_s(rows) if pace else 0.0

    async def close(self) -> None:
        """Wait for the batches that are under way."""
        await asyncio.gather(*self._batches, return_exceptions=True)

    async def _answer(self, member: _Member) -> Outcome:
        work = member.work
        lane = self._lanes.setdefault(work.lane, _Lane())
        lane.waiting.setdefault(member.caller, deque()).append(member)
        self._send(work.lane, lane)
        if work.deadline is None:
            return await member.future
        try:
            async with asyncio.timeout(work.deadline - time.monotonic()):
                return await member.future
        except TimeoutError:
            raise DeadlineExceeded(f"{work.model} did not answer before the deadline") from None

    def _send(self, key: tuple[object, ...], lane: _Lane) -> None:
        while lane.in_flight < self._max_in_flight * self._backend.replica_count and (members := _take(lane.waiting)):
            lane.in_flight += 1
            task = asyncio.create_task(self._batch(key, lane, members))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
            if self._backend.cancels_safely:
                _cancel_when_all_gone(task, members)
        if not lane.in_flight:
            # Lanes of shapes and versions that are no longer asked for must not pile up.
            self._lanes.pop(key, None)

    async def _batch(self, key: tuple[object, ...], lane: _Lane, members: list[_Member]) -> None:
        first, rows = members[0].work, sum(member.work.rows for member in members)
        try:
            sent_ns = time.monotonic_ns()
            inference = _merge(members)
            with traces.batch(first.model, rows, members):
                outputs = await self._backend.infer(inference)
            _check(outputs, inference, rows)
            done_ns = time.monotonic_ns()
            metrics.batch(first.model, rows, [sent_ns - member.arrived_ns for member in members], done_ns - sent_ns)
            self._paces[first.model, first.priority].done(rows, sent_ns / 1e9)
            _split(outputs, members, sent_ns, done_ns)
        except asyncio.CancelledError:
            for member in members:
                member.future.cancel()
        except Exception as error:
            for member in members:
                if not member.future.done():
                    member.future.set_exception(error)
        finally:
            lane.in_flight -= 1
            self._send(key, lane)


def _take(waiting: dict[str, deque[_Member]]) -> list[_Member]:
    """Take what one batch holds: of each caller in turn their first; drop those that are gone."""
    members: list[_Member] = []
    rows = 0
    while waiting:
        caller, queue = next(iter(waiting.items()))
        member = queue[0]
        is_gone = member.future.done() or member.expired
        if not is_gone and members and rows + member.work.rows > member.work.max_batch_size:
            break
        # The caller's next turn comes after everyone else's.
        queue.popleft()
        del waiting[caller]
        if queue:
            waiting[caller] = queue
        if not is_gone:
            rows += member.work.rows
            members.append(member)
    return members


def _merge(members: Sequence[_Member]) -> Inference:
    first = members[0].work
    return Inference(
        model=first.model,
        version=first.version,
        inputs={name: _concatenate([m.work.inputs[name] for m in members]) for name in first.inputs},
        outputs=first.outputs,
        priority=first.priority,
        timeout_s=_latest_timeout(members),
    )


def _concatenate(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)


def _latest_timeout(members: Sequence[_Member]) -> float | None:
    deadlines = [m.work.deadline for m in members]
    if None in deadlines:
        return None
    return max(d for d in deadlines if d is not None) - time.monotonic()


def _check(outputs: Mapping[str, Tensor], inference: Inference, rows: int) -> None:
    """A graph that loses rows or outputs must not be taken for one that has fewer images to give."""
    for name in inference.outputs:
        if name not in outputs or len(outputs[name]) != rows:
            shape = outputs[name].shape if name in outputs else "nothing"
            raise InferenceFailed(f"{inference.model!r} gave {shape} as {name!r} for {rows} rows")


def _split(outputs: Mapping[str, Tensor], members: Sequence[_Member], sent_ns: int, done_ns: int) -> None:
    start = 0
    for member in members:
        end = start + member.work.rows
        if not member.future.done():
            rows = {name: tensor[start:end] for name, tensor in outputs.items()}
            member.future.set_result(Outcome(rows, sent_ns - member.arrived_ns, done_ns - sent_ns))
        start = end


def _cancel_when_all_gone(batch: asyncio.Task[None], members: Sequence[_Member]) -> None:
    left = len(members)

    def gone(future: asyncio.Future[Outcome]) -> None:
        nonlocal left
        left -= future.cancelled()
        if not left:
            batch.cancel()

    for member in members:
        member.future.add_done_callback(gone)
