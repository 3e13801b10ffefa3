"""A generator of two stages whose arithmetic in W is known beforehand; its images are those of `arithmetic`.

The mapping makes w = latent * SCALES + MIDDLE, and adds 1 to its last number for the second class where there are
classes. The synthesis truncates the first of its two layers towards MIDDLE and writes into red, as 128 + 25 * c,
    c_0 = first layer . A, c_1 = first layer . B, c_2 = 5 * the third number of the second layer, c_3 = second layer . B.
Green is 100 * noise_strength, blue 100 times the last number of the second layer.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_W_PLUS, SPACE_Z
from pellucid.v1.model_pb2 import (
    PRIOR_NORMAL,
    TASK_GENERATE,
    ClassList,
    LatentPrior,
    LatentSpace,
    Model,
    NoiseInput,
    StyleLayers,
    TruncationRange,
)
from pellucid_export.family import Family, Network, Signature, Stage, Tensor

SIZE, LAYERS = 4, 2
SCALES = (1.0, 0.5, 0.2, 0.1)
A, B = (0.6, 0.8, 0.0, 0.0), (0.8, -0.6, 0.0, 0.0)
MIDDLE = (0.3, 0.4, 0.0, 0.0)


@dataclass(frozen=True)
class Options:
    """Whether there are classes."""

    classes: bool = False


class Mapping(nn.Module):
    """Latents (N, 4), and labels (N, 2) where there are classes, to styles (N, 2, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scales", torch.tensor(SCALES))
        self.register_buffer("middle", torch.tensor(MIDDLE))

    def forward(self, latent: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        w = latent * self.scales + self.middle
        if label is not None:
            w = w + nn.functional.pad(label[:, 1:], (3, 0))
        return w[:, None].repeat(1, LAYERS, 1)


class Synthesis(nn.Module):
    """Styles (N, 2, 4) to images (N, 1, 4, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.tensor(MIDDLE))
        self.register_buffer("first", torch.tensor([A, B]))
        self.register_buffer("second", torch.tensor([(0.0, 0.0, 5.0, 0.0), B]))

    def forward(
        self,
        style: torch.Tensor,
        truncation: torch.Tensor,
        truncation_cutoff: torch.Tensor,
        noise_strength: torch.Tensor,
    ) -> torch.Tensor:
        truncated = self.middle + truncation[:, None] * (style - self.middle)
        below = torch.arange(LAYERS)[None, :, None] < truncation_cutoff[:, None]
        style = torch.where(below, truncated, style)
        red = 128 + 25 * torch.cat([style[:, 0] @ self.first.T, style[:, 1] @ self.second.T], dim=1)  # (N, 4)
        green = (100 * noise_strength).expand(-1, SIZE)
        blue = (100 * style[:, 1, 3:]).expand(-1, SIZE)
        image = torch.stack([red, green, blue], dim=2).round().clamp(0, 255).to(torch.uint8)
        return image[:, None]


def load(_path: Path, options: Options) -> Network:
    latent, label = Tensor("latent", "float32", (SIZE,)), Tensor("label", "float32", (2,), low=0, high=1)
    style = Tensor("style", "float32", (LAYERS, SIZE))
    controls = (
        Tensor("truncation", "float32", (1,), low=0, high=1),
        Tensor("truncation_cutoff", "int64", (1,), low=0, high=LAYERS),
        Tensor("noise_strength", "float32", (1,), low=0, high=1),
    )
    image = Tensor("image", "uint8", (1, SIZE, 3), low=0, high=255)
    return Network(
        stages=(
            Stage("mapping", Mapping().eval(), Signature((latent, label) if options.classes else (latent,), (style,))),
            Stage("synthesis", Synthesis().eval(), Signature((style, *controls), (image,))),
        ),
        card=Model(
            task=TASK_GENERATE,
            height=1,
            width=SIZE,
            latent=LatentPrior(size=SIZE, prior=PRIOR_NORMAL),
            spaces=[
                LatentSpace(space=SPACE_Z, size=SIZE, layers=1),
                LatentSpace(space=SPACE_W, size=SIZE, layers=1),
                LatentSpace(space=SPACE_W_PLUS, size=SIZE, layers=LAYERS),
            ],
            truncation=TruncationRange(min=0, max=1, default_value=0.5, layers=LAYERS, default_cutoff=1),
            classes=ClassList(names=["Cat", "Dog"]) if options.classes else None,
            style_layers=StyleLayers(count=LAYERS),
            noise=NoiseInput(),
        ),
        weights_digest=f"sha256:{'b' * 64}",
    )


FAMILY = Family("toy_styled", "A mapping and a synthesis", (), Options, load)
