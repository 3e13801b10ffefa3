"""Fake backends at invented addresses, behind a pool."""

import asyncio
from collections.abc import Mapping

import numpy as np

from pellucid_gateway.backends.base import Inference, ModelConfig, Served, Tensor
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.backends.pool import Pool
from tests.pellucid_gateway import painting

PROBE_TIMEOUT_S = 0.1


class Replica(FakeBackend):
    """A fake backend that can freeze: nothing is answered until it thaws."""

    def __init__(self) -> None:
        super().__init__(painting.backend().models)
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.looked_at = asyncio.Event()
        self.described: list[str] = []
        self.closed = False

    async def served(self) -> list[Served]:
        self.looked_at.set()
        await self.thawed.wait()
        return await super().served()

    async def config(self, model: str) -> ModelConfig:
        self.described.append(model)
        return await super().config(model)

    async def infer(self, inference: Inference) -> dict[str, Tensor]:
        outputs = await super().infer(inference)
        await self.thawed.wait()
        self._check_reachable()
        return outputs

    async def close(self) -> None:
        self.closed = True


class Replicas:
    """The replicas behind `pool`, by their addresses, made when the pool connects to them."""

    def __init__(self, addresses: str):
        self.by_address: dict[str, Replica] = {}
        self.pool = Pool(addresses, self._connect, PROBE_TIMEOUT_S)

    def _connect(self, address: str) -> Replica:
        self.by_address[address] = Replica()
        return self.by_address[address]

    @property
    def all(self) -> list[Replica]:
        return list(self.by_address.values())

    def counts(self) -> list[int]:
        """Batches that came to each replica."""
        return [len(replica.batches) for replica in self.all]

    def healthy(self) -> list[bool]:
        return [facts.healthy for facts in self.pool.replicas()]

    def outstanding(self) -> list[int]:
        return [facts.outstanding_rows for facts in self.pool.replicas()]


def paint(*numbers: float, version: str = "1", timeout_s: float | None = None) -> Inference:
    latents = np.array([[number, 0, 0, 0] for number in numbers], dtype=np.float32)
    return Inference("paint", version, {"latent": latents}, ("image",), timeout_s=timeout_s)


def reds(outputs: Mapping[str, Tensor]) -> list[int]:
    return np.asarray(outputs["image"])[:, 0, 0, 0].tolist()
