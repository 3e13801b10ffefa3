"""Several Tritons as one backend.

    infer -> the replica with the fewest rows under way among those that have the version ready
          -> an answer | no answer in good time, no connection, version gone -> another replica, within the retry budget

All inference may be repeated: its inputs are given in full, so that it gives the same wherever it runs.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Sequence

import structlog

from pellucid_gateway.backends.addresses import Addresses
from pellucid_gateway.backends.base import Backend, Inference, ModelConfig, ReplicaFacts, Served, Tensor
from pellucid_gateway.backends.replica import Replica
from pellucid_gateway.backends.retry_budget import RetryBudget
from pellucid_gateway.backends.service_times import ServiceTimes
from pellucid_gateway.errors import BackendUnreachable, GatewayError, ModelUnavailable
from pellucid_gateway.telemetry import metrics

MOST_TRIES = 3
"""Replicas that one batch is tried on at most: what brings a Triton down must not bring all of them down."""

PROBE_TIMEOUT_S = 2.0
RESOLVE_INTERVAL_S = 5.0

_log = structlog.get_logger()


class Pool:
    """The backends at `addresses` (see `Addresses`), each made by `connect` from its address.

    `retries` counts the attempts that were made again.
    """

    def __init__(
        self,
        addresses: str,
        connect: Callable[[str], Backend],
        probe_timeout_s: float = PROBE_TIMEOUT_S,
        resolve_interval_s: float = RESOLVE_INTERVAL_S,
    ):
        self._addresses = Addresses(addresses)
        self._connect = connect
        self._probe_timeout_s = probe_timeout_s
        self._resolve_interval_s = resolve_interval_s
        self._resolve_at = 0.0
        self._times = ServiceTimes()
        self._budget = RetryBudget()
        self._checking = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._replicas: tuple[Replica, ...] = ()
        self._choices = 0
        self.retries = 0
        self._adopt(self._addresses.fixed)

    @property
    def cancels_safely(self) -> bool:
        """Whether every replica survives a cancelled inference."""
        return all(replica.backend.cancels_safely for replica in self._replicas)

    @property
    def replica_count(self) -> int:
        """How many replicas are healthy, at least 1."""
        return max(1, sum(replica.healthy for replica in self._replicas))

    def replicas(self) -> list[ReplicaFacts]:
        """Tell how each replica is."""
        return [replica.facts for replica in self._replicas]

    async def served(self) -> list[Served]:
        """List what the healthy replicas serve: a version is ready where one of them has it ready."""
        await self.check()
        healthy = [replica for replica in self._replicas if replica.healthy]
        if not healthy:
            reasons = [f"{replica.address}: {replica.last_error}" for replica in self._replicas]
            raise BackendUnreachable(f"no Triton answers ({'; '.join(reasons) or 'its name has no address'})")
        return _together([replica.served for replica in healthy])

    async def config(self, model: str) -> ModelConfig:
        """Describe a model as the replica with its newest version does."""
        able = sorted(self._replicas, key=lambda replica: (replica.healthy, replica.newest(model)), reverse=True)
        failure: GatewayError = ModelUnavailable(model, "no replica has it")
        for replica in able:
            try:
                return await replica.config(model, self._probe_timeout_s)
            except (BackendUnreachable, ModelUnavailable) as error:
                failure = error
        raise failure

    async def load(self, model: str) -> None:
        """Load a model's versions on one replica after the other; the first that refuses ends it.

        Raises ModelUnavailable, and BackendUnreachable after the others have loaded where one did not answer.
        """
        await self.check()
        missed = [f"{replica.address}: {replica.last_error}" for replica in self._replicas if not replica.healthy]
        for replica in filter(lambda replica: replica.healthy, self._replicas):
            try:
                await replica.backend.load(model)
            except BackendUnreachable as error:
                missed.append(str(error))
        if missed:
            raise BackendUnreachable(f"{model!r} is not loaded everywhere: {'; '.join(missed)}")

    async def infer(self, inference: Inference) -> dict[str, Tensor]:
        """Compute one batch, on another replica where one fails it."""
        if len(self._replicas) == 1:
            return await self._replicas[0].infer(inference)
        loop = asyncio.get_running_loop()
        ends = None if inference.timeout_s is None else loop.time() + inference.timeout_s
        self._budget.earn()
        tried: list[Replica] = []
        while True:
            replica = self._choose(inference, tried)
            tried.append(replica)
            # Where there is nobody else to ask, there is no sense in giving up early.
            others = any(replica.healthy for replica in self._able(inference, tried))
            patience_s = self._times.patience_s(inference.model) if others else None
            try:
                return await replica.infer_within(inference, patience_s, inference.timeout_s)
            except (BackendUnreachable, ModelUnavailable):
                if ends is not None:
                    inference = dataclasses.replace(inference, timeout_s=ends - loop.time())
                if not self._may_retry(inference, tried):
                    raise
            self.retries += 1
            metrics.retried()

    async def check(self) -> None:
        """Resolve names that are due, and see how each replica is."""
        async with self._checking:
            await self._resolve()
            due = [replica for replica in self._replicas if replica.is_due]
            if not any(replica.healthy for replica in self._replicas):
                due = list(self._replicas)
            await asyncio.gather(*(replica.probe(self._probe_timeout_s) for replica in due))

    async def watch(self, interval_s: float) -> None:
        """Check every `interval_s` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.check()

    async def close(self) -> None:
        """Close all connections."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, *(r.backend.close() for r in self._replicas), return_exceptions=True)

    def _choose(self, inference: Inference, tried: Sequence[Replica]) -> Replica:
        able = self._able(inference, tried)
        # Where all are ejected, more may be wrong with the probes than with the replicas: any is better than none.
        able = [r for r in able if r.healthy] or able
        if not able:
            raise ModelUnavailable(inference.model, f"version {inference.version} is ready on no replica")
        chosen = min(able, key=lambda replica: (replica.outstanding_rows, replica.last_chosen))
        self._choices += 1
        chosen.last_chosen = self._choices
        return chosen

    def _able(self, inference: Inference, tried: Sequence[Replica]) -> list[Replica]:
        return [r for r in self._replicas if r.has(inference.model, inference.version) and r not in tried]

    def _may_retry(self, inference: Inference, tried: Sequence[Replica]) -> bool:
        in_time = inference.timeout_s is None or inference.timeout_s > 0
        possible = in_time and len(tried) < MOST_TRIES and self._able(inference, tried)
        return bool(possible) and self._budget.spend()

    async def _resolve(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._addresses.may_change and now >= self._resolve_at:
            self._resolve_at = now + self._resolve_interval_s
            self._adopt(await self._addresses.resolve())

    def _adopt(self, addresses: Sequence[str]) -> None:
        known = {replica.address: replica for replica in self._replicas}
        for address in addresses:
            if address not in known:
                known[address] = Replica(address, self._connect(address), self._times)
        for gone in known.keys() - set(addresses):
            _log.info("replica left", address=gone)
            task = asyncio.create_task(known[gone].retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        self._replicas = tuple(known[address] for address in addresses)


def _together(views: Iterable[Sequence[Served]]) -> list[Served]:
    """Merge what replicas serve; `share` tells how many of them have a version ready."""
    views = list(views)
    merged: dict[tuple[str, str], list[Served]] = {}
    for view in views:
        for one in view:
            merged.setdefault((one.model, one.version), []).append(one)
    return [
        dataclasses.replace(max(same, key=lambda one: one.ready), share=sum(one.ready for one in same) / len(views))
        for same in merged.values()
    ]
