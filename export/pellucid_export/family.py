"""The seam between families of networks and everything that exports, checks and publishes them.

A family is one module in `families/` with a constant `FAMILY`. Its `load` turns a published checkpoint into
a `Network`: modules whose tensors are named by role, and the card with what the checkpoint alone can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from pellucid.v1.model_pb2 import Model

Options = TypeVar("Options")

_QUICK = 128 * 128 * 3
"""Numbers of an output up to which it is taken to be quickly computed."""


@dataclass(frozen=True)
class Length:
    """A length that may vary, in whole multiples of `multiple`; those of the same name are equal in all tensors.

    `example` is what graphs are traced and compared with.
    """

    name: str
    multiple: int
    example: int


@dataclass(frozen=True)
class Tensor:
    """A tensor named by role (`latent`, `image`, `label`, ...); its first axis, not in `shape`, is the batch.

    `dtype` is numpy's name ("float32", "uint8", "int64").
    `low` and `high` bound the values; without them a floating-point input is drawn from a standard normal.
    `tolerance` is the largest absolute error that an output may have after export, in the tensor's own unit;
    where it is absent one 8-bit level (1/255 of the range) applies.
    """

    name: str
    dtype: str
    shape: tuple[int | Length, ...]
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape with -1 for lengths that may vary."""
        return tuple(-1 if isinstance(length, Length) else length for length in self.shape)

    def example(self, grown: int = 0) -> tuple[int, ...]:
        """The shape with examples for lengths that may vary, each `grown` multiples longer."""
        return tuple(
            length.example + grown * length.multiple if isinstance(length, Length) else length for length in self.shape
        )


@dataclass(frozen=True)
class Signature:
    """The tensors of a graph, in the order of its `forward`."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def is_quick(self) -> bool:
        """Whether a row is taken to be quickly computed, so that many may be compared."""
        return max(prod(tensor.example()) for tensor in self.outputs) <= _QUICK

    @property
    def varies(self) -> bool:
        """Whether any length may vary."""
        return any(isinstance(length, Length) for tensor in self.inputs for length in tensor.shape)


@dataclass(frozen=True)
class Stage:
    """One graph of a network.

    `module` is a float32 torch module in eval mode whose forward takes and gives tensors in the signature's
    order (a single output bare, several as a tuple), or an ONNX graph whose tensors bear the signature's names
    and whose batch axis is free; the latter can be exported as ONNX only. `role` says what it does
    ("synthesis", "mapping", "classifier").
    """

    role: str
    module: nn.Module | ModelProto
    signature: Signature


@dataclass(frozen=True)
class Network:
    """What a family reads from a checkpoint.

    `stages` are in the order a request runs through them. The last is the primary one: it gets the model's
    name and the card; the others are called `<name>.<role>`. `card` holds what the family knows (task, height,
    width, latent, spaces, labels, ...); export adds name, family, stages, largest batch, and what the zoo says.
    `weights_digest` is `checkpoints.digest` of the weights. `assets` are files for the gateway, by name, that are
    written beside the primary graph (a vocabulary).
    """

    stages: tuple[Stage, ...]
    card: Model
    weights_digest: str
    assets: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Family(Generic[Options]):
    """A declaration of what a family reads and how.

    `name` is the module's name. `containers` describes the files it reads, for people; none where it needs no
    weights. `options` is a frozen dataclass whose fields all have defaults and are str, int, float, bool or a
    Literal of strings. `load` takes a file, or a folder where a checkpoint has several files, and raises
    CheckpointError for anything it cannot read or that does not fit.
    """

    name: str
    description: str
    containers: tuple[str, ...]
    options: type[Options]
    load: Callable[[Path, Options], Network]


AnyFamily = Family[Any]
