"""pix2pixHD's encoder: Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs",
2018, section 3.4 (E). Layers bear the numbers that they have in the files' one Sequential `model`.
"""

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.colours import signed
from pellucid_export.networks.global_generator import count_halvings, doubling, from_planes, halving, kernel, to_image
from pellucid_export.networks.scene_planes import pooled

COLOURS = 3

_FIRST = "model.1.weight"


class FeatureEncoder(nn.Module):
    """Photographs (N, H, W, 3), uint8, and instances (N, H, W) to the instances' features (N, MAX_INSTANCES, size).

    Features are in [-1, 1], the means over each instance. Sides are multiples of 2^halvings.
    """

    def __init__(self, width: int, size: int, halvings: int, is_affine: bool) -> None:
        super().__init__()
        self.size = size
        self.multiple = 2**halvings
        widths = [width * 2**index for index in range(halvings + 1)]
        self.model = nn.Sequential(
            *from_planes(COLOURS, width, is_affine),
            *(layer for before in widths[:-1] for layer in halving(before, is_affine)),
            *(layer for before in reversed(widths[1:]) for layer in doubling(before, is_affine)),
            *to_image(width, size),
        )

    @classmethod
    def of(cls, state: State) -> "FeatureEncoder":
        """An empty network of the sizes that the weights have. Raises CheckpointError."""
        width, colours = kernel(state, _FIRST)
        halvings = count_halvings(state, width)
        last = 5 + 6 * halvings
        if f"model.{last}.weight" not in state and f"model.{last - 1}.weight" in state:
            raise CheckpointError(
                f"an encoder of an older layout, whose last convolution is model.{last - 1} and not model.{last}: it"
                " cannot be read, and neither can the current official code"
            )
        if colours != COLOURS:
            raise CheckpointError(f"an encoder of images with {colours} channels; {COLOURS} are read")
        size, _ = kernel(state, f"model.{last}.weight")
        return cls(width, size, halvings, is_affine="model.2.weight" in state)

    def forward(self, source: torch.Tensor, instance_map: torch.Tensor) -> torch.Tensor:
        """Measure a batch of photographs."""
        return pooled(self.model(signed(source)), instance_map)
