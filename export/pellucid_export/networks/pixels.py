"""The end of an image graph: from a generator's range to what the model serves."""

from typing import Literal

import torch
from torch import nn

from pellucid_export.family import Length, Tensor

Pixels = Literal["uint8", "float32"]


class PixelOutput(nn.Module):
    """Turns images (N, C, H, W) in [-1, 1] into (N, H, W, 3); one channel is repeated to grey.

    "uint8": clamp((x + 1) * 127.5) rounded to the nearest level, halves to even, as IEEE 754 and ONNX's Round do.
    This is the rule for every family whose official code writes no images of its own.
    "float32": the values untouched.
    """

    def __init__(self, pixels: Pixels, channels: int = 3) -> None:
        super().__init__()
        self.is_grey = channels == 1
        self.is_uint8 = pixels == "uint8"

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Convert a batch of images."""
        if self.is_grey:
            image = image.expand(-1, 3, -1, -1)
        if self.is_uint8:
            image = ((image + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)
        return image.permute(0, 2, 3, 1).contiguous()  # (N, H, W, 3)


def image_tensor(pixels: Pixels, height: int | Length, width: int | Length) -> Tensor:
    """The output tensor `image` that belongs to a PixelOutput."""
    low, high = (0.0, 255.0) if pixels == "uint8" else (-1.0, 1.0)
    return Tensor("image", pixels, (height, width, 3), low=low, high=high)
