"""One backend among several: what it serves, what it has to do, and whether it can be relied on.

    healthy --a probe fails, or FAILURES_TO_EJECT attempts without an answer between--> ejected
    ejected --its back-off is over and a probe is answered, or an attempt is--> healthy

A replica that comes back is on trial: its next failure ejects it again, for twice as long.
"""

import asyncio

import structlog

from pellucid_gateway.backends.base import Backend, Inference, ModelConfig, ReplicaFacts, Served, Tensor
from pellucid_gateway.backends.service_times import ServiceTimes
from pellucid_gateway.errors import BackendUnreachable, DeadlineExceeded, GatewayError, ModelUnavailable

FAILURES_TO_EJECT = 3
FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 10.0

_log = structlog.get_logger()


class Replica:
    """A backend at an address; answered batches are recorded in `times`."""

    def __init__(self, address: str, backend: Backend, times: ServiceTimes):
        self.address = address
        self.backend = backend
        self.served: list[Served] = []
        self.outstanding_rows = 0
        self.last_chosen = 0
        self.last_error = ""
        self._times = times
        self._ready: set[tuple[str, str]] = set()
        self._failures = 0
        self._ejections = 0
        self._ejected_until: float | None = None
        self._waits: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def healthy(self) -> bool:
        """Whether requests are sent here as long as there is a choice."""
        return self._ejected_until is None

    @property
    def is_due(self) -> bool:
        """Whether it is to be probed: always when healthy, after its back-off when ejected."""
        return self._ejected_until is None or _now() >= self._ejected_until

    @property
    def facts(self) -> ReplicaFacts:
        """What there is to see of it."""
        left_s = 0.0 if self._ejected_until is None else max(0.0, self._ejected_until - _now())
        return ReplicaFacts(self.address, self.healthy, self.outstanding_rows, left_s, self.last_error)

    def has(self, model: str, version: str) -> bool:
        """Whether a version was ready here when it was last looked at."""
        return (model, version) in self._ready

    def newest(self, model: str) -> int:
        """Give the newest version of a model that is ready here, 0 where there is none."""
        return max((int(version) for name, version in self._ready if name == model), default=0)

    async def probe(self, timeout_s: float) -> None:
        """See what is ready here. An answer makes it healthy again; anything else ejects it."""
        try:
            async with asyncio.timeout(timeout_s):
                self.served = await self.backend.served()
        except TimeoutError:
            self._eject(f"no answer to a probe within {timeout_s:g} s")
        except GatewayError as error:
            self._eject(str(error))
        else:
            self._ready = {(one.model, one.version) for one in self.served if one.ready}
            self._readmit()

    async def config(self, model: str, timeout_s: float) -> ModelConfig:
        """Describe a model. Raises BackendUnreachable or ModelUnavailable."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.backend.config(model)
        except TimeoutError:
            raise BackendUnreachable(
                f"Triton at {self.address} did not describe {model!r} within {timeout_s:g} s"
            ) from None

    async def infer(self, inference: Inference) -> dict[str, Tensor]:
        """Compute a batch, however long it takes."""
        rows = self._take(inference)
        try:
            return await self._call(inference)
        finally:
            self._give(rows)

    async def infer_within(
        self, inference: Inference, patience_s: float | None, remaining_s: float | None
    ) -> dict[str, Tensor]:
        """Compute a batch, waiting no longer than is sensible, nor after this replica's ejection.

        Raises BackendUnreachable after `patience_s`, which counts against this replica, and DeadlineExceeded after
        `remaining_s`, which does not. What is given up goes on unheard: to cancel it could bring an old Triton down,
        and its end tells whether the replica was slow or gone.
        """
        rows = self._take(inference)
        attempt = asyncio.ensure_future(self._call(inference))
        attempt.add_done_callback(lambda _: self._give(rows))
        limit_s = min((one for one in (patience_s, remaining_s) if one is not None), default=None)
        wait = asyncio.timeout(limit_s)
        try:
            async with wait:
                self._waits.add(wait)
                return await asyncio.shield(attempt)
        except TimeoutError:
            if self.healthy and limit_s != patience_s:
                raise DeadlineExceeded(f"Triton at {self.address} did not answer before the deadline") from None
            if self.healthy:
                self._fail(f"no answer within {patience_s} s")
            raise BackendUnreachable(f"Triton at {self.address} was given up: {self.last_error}") from None
        except asyncio.CancelledError:
            attempt.cancel()
            raise
        finally:
            self._waits.discard(wait)

    async def retire(self) -> None:
        """Let go of the connection as soon as nothing is under way on it."""
        try:
            await self._idle.wait()
        finally:
            await self.backend.close()

    def _take(self, inference: Inference) -> int:
        rows = len(next(iter(inference.inputs.values())))
        self.outstanding_rows += rows
        self._idle.clear()
        return rows

    def _give(self, rows: int) -> None:
        self.outstanding_rows -= rows
        if not self.outstanding_rows:
            self._idle.set()

    async def _call(self, inference: Inference) -> dict[str, Tensor]:
        started = _now()
        try:
            outputs = await self.backend.infer(inference)
        except BackendUnreachable as error:
            self._fail(str(error))
            raise
        except ModelUnavailable:
            self._ready.discard((inference.model, inference.version))
            raise
        self._times.record(inference.model, _now() - started)
        self._readmit()
        self._failures = self._ejections = 0
        return outputs

    def _fail(self, reason: str) -> None:
        self.last_error = reason
        self._failures += 1
        if self.healthy and self._failures >= FAILURES_TO_EJECT:
            self._eject(reason)

    def _eject(self, reason: str) -> None:
        back_off_s = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2 ** min(self._ejections, 16))
        if self.healthy:
            _log.warning("replica ejected", address=self.address, reason=reason, back_off_s=back_off_s)
        self.last_error = reason
        self._ejections += 1
        self._ejected_until = _now() + back_off_s
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(_now())

    def _readmit(self) -> None:
        if not self.healthy:
            _log.info("replica readmitted", address=self.address)
            self._ejected_until = None
            self._failures = FAILURES_TO_EJECT - 1


def _now() -> float:
    return asyncio.get_running_loop().time()
