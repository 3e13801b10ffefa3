"""A generator of images from images, with all that stands between it and 8-bit pixels."""

import torch
from torch import nn

from pellucid_export.networks import dropout, lab
from pellucid_export.networks.pixels import PixelOutput, Pixels
from pellucid_export.networks.resnet_generator import ResnetGenerator
from pellucid_export.networks.unet_generator import UnetGenerator

Generator = ResnetGenerator | UnetGenerator

LAB = (1, 2)
"""Channels before and after a generator that adds colours: L in, a and b out."""

_LEVELS = 255
# Pillow's luma: red, green and blue in 1/65536, half a level added. Sums stay below 2^24, exact in float32.
_LUMA = torch.tensor((19595.0, 38470.0, 7471.0)).reshape(1, 3, 1, 1)
_LUMA_HALF, _LUMA_ONE = 0x8000, 0x10000
# Colourisation's scales: x = L / 50 - 1 and y = ab / 110.
_L_SCALE, _AB_SCALE = 50, 110


class Translator(nn.Module):
    """Images `source` (N, H, W, 3), uint8, to `image` of the same size.

    `size` is given where flags (N, total) for the generator's dropouts come with images of that size.
    """

    def __init__(self, generator: Generator, pixels: Pixels, size: int | None = None) -> None:
        super().__init__()
        self.generator = generator
        self.dropped = [] if size is None else generator.dropped(size)
        self._channels = generator.layout.inputs, generator.layout.outputs
        self.output = PixelOutput(pixels, generator.layout.outputs)

    def forward(self, source: torch.Tensor, flags: torch.Tensor | None = None) -> torch.Tensor:
        """Translate a batch of images."""
        rgb = source.permute(0, 3, 1, 2).to(torch.float32)  # (N, 3, H, W) in [0, 255]
        x = self._seen(rgb)
        y = self.generator(x, None if flags is None else dropout.factors(flags, self.dropped))
        if self._channels == LAB:
            y = lab.to_rgb((x + 1) * _L_SCALE, y * _AB_SCALE) * 2 - 1
        image: torch.Tensor = self.output(y)
        return image

    def _seen(self, rgb: torch.Tensor) -> torch.Tensor:
        """What the generator takes, in [-1, 1]."""
        if self._channels == LAB:
            return lab.lightness(rgb / _LEVELS) / _L_SCALE - 1
        levels = rgb if self._channels[0] == 3 else grey(rgb)
        return levels / (_LEVELS / 2) - 1


def grey(rgb: torch.Tensor) -> torch.Tensor:
    """The levels (N, 1, H, W) that Pillow's mode L has for levels (N, 3, H, W) of red, green and blue."""
    return (((rgb * _LUMA).sum(dim=1, keepdim=True) + _LUMA_HALF) / _LUMA_ONE).floor()
