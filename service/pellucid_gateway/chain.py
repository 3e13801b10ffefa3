"""The stages of a model, with what goes between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pellucid.v1 import model_pb2
from pellucid_gateway.backends.base import ModelConfig, TensorSpec

LATENT = "latent"
STYLE = "style"
IMAGE = "image"
BROUGHT = frozenset(
    {
        LATENT,
        IMAGE,
        "label",
        "condition",
        "truncation",
        "truncation_cutoff",
        "noise_strength",
        "noise",
        "noise_seeded",
        "tokens",
        "token_count",
        "conditioning_noise",
        "source",
        "domain",
        "label_map",
        "instance_map",
        "features",
        "dropout",
    }
)
"""Tensors that a request brings; all others must come from an earlier stage."""


@dataclass(frozen=True)
class Chain:
    """The stages of a model.

    `brought` are the tensors that a request must bring; `given` what the stages give. `mapping` are the stages up to
    the one that gives styles, none in a model without, and `synthesis` the others. `row_bytes` bounds what one row
    holds on its way.
    """

    mapping: tuple[model_pb2.Stage, ...]
    synthesis: tuple[model_pb2.Stage, ...]
    brought: Mapping[str, TensorSpec]
    given: Mapping[str, TensorSpec]

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one row of every tensor."""
        return sum(spec.bytes for spec in (*self.brought.values(), *self.given.values()))

    @property
    def style(self) -> tuple[int, int]:
        """Layers and numbers of a style; (0, 0) in a model without."""
        if not self.mapping:
            return (0, 0)
        layers, size = self.given[STYLE].shape
        return layers, size


def chain_of(card: model_pb2.Model, configs: Sequence[ModelConfig]) -> Chain:
    """Put the stages of a card together. Raises ValueError where they do not fit each other or their models."""
    brought: dict[str, TensorSpec] = {}
    given: dict[str, TensorSpec] = {}
    mapped = 0
    for number, (stage, config) in enumerate(zip(card.stages, configs, strict=True), 1):
        missing = set(stage.inputs) - given.keys() - BROUGHT
        if missing:
            raise ValueError(f"stage {stage.role!r} needs {sorted(missing)}, which nothing provides")
        _check_stage(stage, config)
        brought |= {name: config.inputs[name] for name in stage.inputs if name not in given}
        given |= {name: config.outputs[name] for name in stage.outputs}
        if STYLE in stage.outputs:
            mapped = number
    if mapped and len(given[STYLE].shape) != 2:
        raise ValueError(f"styles must be (layers, size), and are {given[STYLE].shape}")
    return Chain(tuple(card.stages[:mapped]), tuple(card.stages[mapped:]), brought, given)


def _check_stage(stage: model_pb2.Stage, config: ModelConfig) -> None:
    """Each stage must have the tensors that the card says."""
    absent = (set(stage.inputs) ^ set(config.inputs)) | (set(stage.outputs) - set(config.outputs))
    if absent:
        raise ValueError(f"stage {stage.role!r} and its model {stage.model!r} differ in {sorted(absent)}")
    if config.max_batch_size <= 0:
        raise ValueError(f"max_batch_size {config.max_batch_size} of {stage.model!r} must be above 0")
