"""A family of two stages, as StyleGAN will have: a mapping doubles the latent, a synthesis paints its sum."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pellucid.v1.model_pb2 import TASK_GENERATE, LatentPrior, Model
from pellucid_export.containers import checkpoints
from pellucid_export.family import Family, Network, Signature, Stage, Tensor


@dataclass(frozen=True)
class Options:
    """How much the mapping multiplies by."""

    gain: int = 2


class Mapping(nn.Module):
    """Multiplies its latent (N, 2)."""

    def __init__(self, gain: int) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Map a batch."""
        return latent * self.gain


class Synthesis(nn.Module):
    """Paints (N, 1, 1, 3) with the clamped sum of the style and an offset for each image."""

    def forward(self, style: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """Paint a batch."""
        level = (style.sum(1, keepdim=True) + offset).round().clamp(0, 255).to(torch.uint8)
        return level.expand(-1, 3).reshape(-1, 1, 1, 3)


def load(path: Path, options: Options) -> Network:
    """Take any state dict for the weights."""
    latent, style = Tensor("latent", "float32", (2,)), Tensor("style", "float32", (2,))
    offset = Tensor("offset", "float32", (1,), low=0, high=200)
    image = Tensor("image", "uint8", (1, 1, 3), low=0, high=255)
    return Network(
        stages=(
            Stage("mapping", Mapping(options.gain).eval(), Signature((latent,), (style,))),
            Stage("synthesis", Synthesis().eval(), Signature((style, offset), (image,))),
        ),
        card=Model(task=TASK_GENERATE, height=1, width=1, latent=LatentPrior(size=2)),
        weights_digest=checkpoints.digest(checkpoints.load_state(path)),
    )


FAMILY = Family("two_stages", "A mapping and a synthesis", ("state dict",), Options, load)
