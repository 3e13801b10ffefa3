"""A backend whose results can be worked out by hand, for tests and trials of clients without Triton."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pellucid_gateway.backends.base import Inference, ModelConfig, ReplicaFacts, Served, Tensor
from pellucid_gateway.errors import BackendUnreachable, GatewayError, ModelUnavailable

Compute = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def paint(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn latents (N, D) into images uint8 (N, 8, 8, 3).

    Red, green and blue are 128 + 16 times the latent's first three numbers, rounded and clipped to 0..255.
    """
    levels = np.clip(np.rint(128 + 16 * np.asarray(inputs["latent"], np.float64)[:, :3]), 0, 255).astype(np.uint8)
    return {"image": np.ascontiguousarray(np.broadcast_to(levels[:, None, None, :], (len(levels), 8, 8, 3)))}


def measure(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn images (N, H, W, 3) into labels (N, 3): the means of red, green and blue, 0 to 255."""
    return {"labels": np.asarray(inputs["image"], np.float64).mean(axis=(1, 2)).astype(np.float32)}


class FakeBackend:
    """Models given as functions.

    `delay_s`, `failure`, `reachable` and `versions` (of models that have others than version 1) may be set while it
    serves, and a model `held` until an event; `batches` and `loads` keep what came.
    """

    cancels_safely = True
    replica_count = 1

    def __init__(self, models: Mapping[str, tuple[ModelConfig, Compute]]):
        self.models = dict(models)
        self.batches: list[Inference] = []
        self.loads: list[str] = []
        self.versions: dict[str, tuple[str, ...]] = {}
        self.delay_s = 0.0
        self.held: dict[str, asyncio.Event] = {}
        self.failure: GatewayError | None = None
        self.reachable = True

    def replicas(self) -> Sequence[ReplicaFacts]:
        """Tell of one, healthy where it is switched on."""
        return [ReplicaFacts("fake", self.reachable, 0, 0.0, "" if self.reachable else "switched off")]

    async def served(self) -> list[Served]:
        """List the models, each with its versions."""
        self._check_reachable()
        return [Served(name, v, ready=True) for name in self.models for v in self.versions.get(name, ("1",))]

    async def config(self, model: str) -> ModelConfig:
        """Give the model's configuration as it was given."""
        self._check_reachable()
        return self.models[model][0]

    async def infer(self, inference: Inference) -> dict[str, Tensor]:
        """Compute after `delay_s`, or raise `failure`."""
        self._check_reachable()
        self.batches.append(inference)
        await asyncio.sleep(self.delay_s)
        if inference.model in self.held:
            await self.held[inference.model].wait()
        if self.failure is not None:
            raise self.failure
        if inference.model not in self.models:
            raise ModelUnavailable(inference.model, "unknown model")
        return self.models[inference.model][1](inference.inputs)

    async def load(self, model: str) -> None:
        """Note that the model was to be loaded, or raise `failure`."""
        self._check_reachable()
        if self.failure is not None:
            raise self.failure
        self.loads.append(model)

    async def close(self) -> None:
        """Do nothing."""

    def _check_reachable(self) -> None:
        if not self.reachable:
            raise BackendUnreachable("the fake backend is switched off")
