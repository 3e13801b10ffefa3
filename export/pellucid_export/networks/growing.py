"""How far a progressively grown generator has grown.

Karras et al., "Progressive growing of GANs", 2018, section 2. The level of detail is 0 for a finished generator. At
level L, k <= L < k + 1, the last k blocks are not in use, and the image of the last one in use, B, is faded into that
of the block before, A: (1 - (L - k)) * B + (L - k) * A. The image has the full size at every level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import torch
from torch import nn
from torch.nn import functional

from pellucid_export.errors import FamilyError
from pellucid_export.networks.layers import doubled

AS_STORED = -1.0
"""The option that leaves the level of detail to the checkpoint."""


@dataclass(frozen=True)
class Growth:
    """A generator of `blocks` blocks, one a resolution, at a level of detail from 0 to `blocks` - 1."""

    blocks: int
    level: float

    @property
    def in_use(self) -> int:
        """How many blocks are."""
        return self.blocks - floor(self.level)

    def image(self, features: Sequence[torch.Tensor], outputs: Sequence[nn.Module]) -> torch.Tensor:
        """The image (N, C, H, W) from what the blocks in use gave, and each block's way from features to colours."""
        last = self.in_use - 1
        image: torch.Tensor = outputs[last](features[last])
        share = self.level - floor(self.level)
        if share:
            image = (1 - share) * image + share * doubled(outputs[last - 1](features[last - 1]))
        if last == self.blocks - 1:
            return image
        return functional.interpolate(image, scale_factor=2.0 ** (self.blocks - 1 - last), mode="nearest")


def growth(blocks: int, option: float, stored: torch.Tensor) -> Growth:
    """What an export option says, or for AS_STORED the checkpoint.

    Raises FamilyError for a level that the generator does not have.
    """
    level = float(stored) if option == AS_STORED else option
    if not 0 <= level <= blocks - 1:  # also true for NaN
        raise FamilyError(f"lod is {level:g}; 0 (finished) to {blocks - 1} (4 x 4 pixels) is possible here")
    return Growth(blocks, level)
