"""The seam between the gateway and what computes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.generic]


@dataclass(frozen=True)
class Served:
    """A version of a model as the backend sees it; `version` is empty for a model that has none loaded.

    `share` is the part of the backend's replicas that have a ready version ready, above 0 and at most 1.
    """

    model: str
    version: str
    ready: bool
    reason: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a model: NumPy's name of its type, and the shape of one row; -1 is a length that may vary."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Bytes of one row; lengths that may vary count as 1."""
        return math.prod(abs(length) for length in self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ModelConfig:
    """What the backend knows of a model: its tensors by name, its largest batch (0: no batch axis), its parameters."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    max_batch_size: int
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inference:
    """One batch for one model. Inputs are (N, ...); `priority` 1 is the highest; `timeout_s` bounds queueing."""

    model: str
    version: str
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    priority: int = 0
    timeout_s: float | None = None


@dataclass(frozen=True)
class ReplicaFacts:
    """A replica as the debug page shows it. `ejected_for_s` is what is left of its back-off, 0 where healthy."""

    address: str
    healthy: bool
    outstanding_rows: int
    ejected_for_s: float
    last_error: str


class Backend(Protocol):
    """What computes. All methods raise BackendUnreachable where it does not answer."""

    @property
    def cancels_safely(self) -> bool:
        """Whether an inference under way may be cancelled without harm to others."""
        ...

    @property
    def replica_count(self) -> int:
        """How many replicas share the work, at least 1."""
        ...

    def replicas(self) -> Sequence[ReplicaFacts]:
        """Tell how each replica is; none where the backend is only itself."""
        ...

    async def served(self) -> list[Served]:
        """List all models and versions in the repository, ready or not."""
        ...

    async def config(self, model: str) -> ModelConfig:
        """Describe a model that has a ready version. Raises ModelUnavailable where it has none."""
        ...

    async def infer(self, inference: Inference) -> dict[str, Tensor]:
        """Compute one batch: the outputs by name, each (N, ...), perhaps read-only.

        Raises ModelUnavailable, Overloaded, DeadlineExceeded or InferenceFailed.
        """
        ...

    async def load(self, model: str) -> None:
        """Load what the repository has of a model now; versions that serve keep serving meanwhile.

        Raises ModelUnavailable where it cannot be loaded: what served before then serves still.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
