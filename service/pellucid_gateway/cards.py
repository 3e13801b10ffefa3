"""A model's card, as its configuration at Triton holds it, checked."""

import re

from google.protobuf import json_format

from pellucid.v1 import model_pb2
from pellucid_gateway.backends.base import ModelConfig
from pellucid_gateway.chain import IMAGE, Chain

CARD_PARAMETER = "pellucid.card"
NAME = re.compile("[a-z0-9][a-z0-9_.-]{0,62}")
SMALLEST_BOUND = 0.1
"""Below it, drawing a truncated normal by rejection takes too long."""


def read(model: str, config: ModelConfig) -> model_pb2.Model:
    """Read the card of a Triton model. Raises ValueError, and json_format.ParseError."""
    card = json_format.Parse(config.parameters[CARD_PARAMETER], model_pb2.Model(), ignore_unknown_fields=True)
    card.name = f"models/{model}"
    if not NAME.fullmatch(model):
        raise ValueError(f"the name {model!r} does not match {NAME.pattern}")
    if card.height <= 0 or card.width <= 0:
        raise ValueError(f"height {card.height} and width {card.width} must be above 0")
    if card.HasField("classes"):
        card.classes.count = len(card.classes.names)
    if not card.stages:
        raise ValueError("the card has no stages")
    if card.task in (model_pb2.TASK_GENERATE, model_pb2.TASK_CAPTION_TO_IMAGE):
        _check_prior(card.latent)
    return card


def check_sizes(card: model_pb2.Model, chain: Chain) -> None:
    """Check that what the card says of a tensor is what its model takes. Raises ValueError."""
    said = {
        "latent": card.latent.size,
        "label": len(card.classes.names),
        "condition": card.condition.size,
        "conditioning_noise": card.conditioning.size,
        "noise": card.noise.size,
        "tokens": card.caption.max_tokens,
        "domain": card.translation.domains.size,
        "dropout": card.translation.dropout.size,
    }
    for name, size in said.items():
        if name in chain.brought and chain.brought[name].shape != (size,):
            raise ValueError(f"tensor {name!r} has the shape {chain.brought[name].shape}, and the card says {size}")
    images = ((card.height, card.width, 3), (-1, -1, 3))
    for tensors in (chain.brought, chain.given):
        if IMAGE in tensors and tensors[IMAGE].shape not in images:
            raise ValueError(f"tensor 'image' has the shape {tensors[IMAGE].shape}, and the card says {images[0]}")


def _check_prior(prior: model_pb2.LatentPrior) -> None:
    if prior.size <= 0:
        raise ValueError(f"latent.size {prior.size} must be above 0")
    if prior.prior == model_pb2.PRIOR_TRUNCATED_NORMAL and not prior.truncation_bound >= SMALLEST_BOUND:
        raise ValueError(f"latent.truncation_bound {prior.truncation_bound} must be at least {SMALLEST_BOUND}")
